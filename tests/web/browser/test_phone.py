"""The leads' sections on a phone of 360 pixels: all in sight once opened, by touch and keyboard, no page too wide."""

import pytest

from web.browser.acts import keys
from web.browser.stand import plain
from web.browser.test_access import violations

WIDTH = 360


def inside(page, links) -> bool:
    """True if each of them is in the window from left to right, and large enough for a finger."""
    boxes = [link.bounding_box() for link in links.all()]
    return all(box and box["x"] >= 0 and box["x"] + box["width"] <= WIDTH and box["height"] >= 24 for box in boxes)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_sections_by_keyboard(serve, window, language):
    stand = serve(plain(1))
    page = window(stand.person("ada", "admin", language=language), width=WIDTH, height=740)
    page.goto(f"{stand.url}/lead/advanced")
    assert page.locator(".side").is_hidden()
    summary = page.locator(".sections summary")
    assert summary.is_visible()
    assert page.locator(".sections a").first.is_hidden()  # the page itself is in sight
    assert page.inner_text("h1") in summary.inner_text()
    assert inside(page, page.locator(".menu a, .menu button"))
    page.locator(".menu button").focus()  # signing out, the last of the menu; the sections come next
    keys(page, "Tab")
    assert summary.evaluate("node => node === document.activeElement")
    keys(page, "Enter")
    links = page.locator(".sections a")
    assert links.count() == 10
    assert inside(page, links)
    assert page.locator(".sections a[aria-current]").count() == 1
    assert violations(page) == []
    keys(page, "Tab", "Tab", "Enter")
    page.wait_for_url("**/lead/people")
    assert page.locator(".sections[open]").count() == 0
    assert page.evaluate("() => document.documentElement.scrollWidth") <= WIDTH


def test_sections_by_touch_on_every_page(serve, window):
    stand = serve(plain(1))
    page = window(stand.person("ada", "admin"), width=WIDTH, height=740, has_touch=True)
    page.goto(f"{stand.url}/lead")
    for number in range(10):
        page.locator(".sections summary").tap()
        with page.expect_navigation(wait_until="networkidle"):
            page.locator(".sections a").nth(number).tap()
        assert page.locator(".sections a[aria-current]").count() == 1
        assert page.evaluate("() => document.documentElement.scrollWidth") <= WIDTH, page.url
        assert inside(page, page.locator(".sections summary"))


def test_cells_are_wide_enough_for_their_words(serve, window):
    stand = serve(plain(2))
    stand.calibration("plain-0000", {"best": 0}, "Because.")
    page = window(stand.person("ada", "admin"), width=WIDTH, height=740)
    page.goto(f"{stand.url}/lead/items")
    lines = (
        "node => { const it = document.createRange(); it.selectNodeContents(node); return it.getClientRects().length }"
    )
    assert page.get_by_role("cell", name="Pair").first.evaluate(lines) == 1  # not letter under letter
    assert page.evaluate("() => document.documentElement.scrollWidth") <= WIDTH


def test_on_a_desk_they_stand_at_the_side(serve, window):
    stand = serve(plain(1))
    page = window(stand.person("ada", "admin"))
    page.goto(f"{stand.url}/lead")
    assert page.locator(".side a").first.is_visible()
    assert page.locator(".sections").is_hidden()
    assert page.get_by_role("link", name="Advanced").count() == 1
