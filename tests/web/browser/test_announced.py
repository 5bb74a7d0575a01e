"""What the page says of itself in a browser: practice, other queues, a new guideline, and what may be undone."""

from typing import Any

import pytest

from web.browser.acts import begin, done, follow, item, keys, next_item, reads, saved
from web.browser.stand import Stand, plain
from web.browser.test_access import violations


def contradicted(stand: Stand, window: Any) -> Any:
    """Two people contradict each other about everything. Returns: a lead's page."""
    for name, key in (("ann", "1"), ("bob", "3")):
        page = window(stand.person(name))
        begin(page, stand.url)
        for number in range(2):
            before = item(page)
            keys(page, *([key, "w"] if key == "1" else [key]), "Enter")
            if not number:
                next_item(page, before)
        page.wait_for_selector(".state")
        saved(page)
    return window(stand.person("lea", "lead"))


def test_practice_is_announced_before_the_answer(serve, window):
    stand = serve(plain(4))
    for number in range(2):
        stand.calibration(f"plain-{number:04d}", {"choice": "tie"}, "Because.")
    page = window(stand.person())
    begin(page, stand.url)
    assert "Practice, 1 of 2: it does not count." in page.inner_text("#practice")
    assert violations(page) == []
    before = item(page)
    keys(page, "3", "Enter")
    page.wait_for_selector(".feedback")
    keys(page, "Enter")
    next_item(page, before)
    assert "Practice, 2 of 2" in page.inner_text("#practice")
    before = item(page)
    keys(page, "3", "Enter")
    page.wait_for_selector(".feedback")
    keys(page, "Enter")
    next_item(page, before)
    assert page.is_hidden("#practice")


def test_adjudication_looks_by_itself_and_names_itself(serve, window):
    stand = serve(plain(2), overlap={"judgements": 2})
    page = contradicted(stand, window)
    page.goto(f"{stand.url}/lead/adjudication")
    reads(page, "#looked", "2")
    assert page.locator("tbody tr").count() == 2
    page.get_by_role("button", name="Decide this one").last.click()
    asked = page.inner_text(".turn:last-child .words")
    page.go_back()
    assert asked in page.inner_text("tbody tr >> nth=1")
    follow(page, page.get_by_role("link", name="Decide"))
    page.wait_for_selector("article.item")
    assert "your decision alone counts" in page.inner_text("#queue-notice")
    assert page.inner_text(".menu [aria-current]") == "Lead"
    assert page.title().startswith("Adjudication")
    assert violations(page) == []
    before = item(page)
    keys(page, "3", "Enter")
    next_item(page, before)
    saved(page)
    follow(page, page.get_by_role("link", name="All of adjudication"))
    reads(page, "#looked", "Nothing new")
    page.goto(stand.url)
    page.wait_for_selector(".state")
    assert page.is_disabled("#do-undo")  # a ruling is undone where it was made
    assert not page.locator("#queue-notice").count()
    page.goto(f"{stand.url}/?queue=arena")
    assert page.inner_text("#queue-notice").startswith("Arena: blind comparison")


def test_a_new_guideline_is_announced_beside_the_open_one_until_dismissed(serve, window):
    stand = serve(plain(30))
    stand.guideline("# First")
    page = window(stand.person())
    begin(page, stand.url)
    reads(page, "#guideline-text", "First")
    assert page.is_visible("#guideline")
    assert page.is_hidden("#guideline-notice")
    lead = window(stand.person("lea", "lead"))
    lead.goto(f"{stand.url}/lead/guideline")
    lead.get_by_label("Text, in Markdown").fill("# Second")
    lead.get_by_label("What is new").fill("Refunds come first.")
    lead.get_by_role("button", name="Save as version 2").click()
    done(lead)
    for _ in range(5):
        before = item(page)
        keys(page, "3", "Enter")
        next_item(page, before)
    page.wait_for_selector("#guideline-notice:not([hidden])")
    assert "Refunds come first." in page.inner_text("#guideline-notice")
    assert "Second" in page.inner_text("#guideline")
    saved(page)
    page.reload()
    page.wait_for_selector("#guideline-notice:not([hidden])")
    page.get_by_role("button", name="Dismiss").click()
    assert page.is_hidden("#guideline-notice")
    page.reload()
    page.wait_for_selector("article.item")
    reads(page, "#guideline-text", "Second")
    assert page.is_hidden("#guideline-notice")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_tools_stay_on_one_line(serve, window, language):
    stand = serve(plain(9))
    stand.guideline("# One")
    page = window(stand.person(language=language))
    begin(page, stand.url)
    before, rows = item(page), []
    for choice in (["1", "e"], ["4"]):
        rows.append(page.evaluate("() => [...document.querySelectorAll('.tools button')].map(one => one.offsetTop)"))
        keys(page, *choice, "Enter")
        before = next_item(page, before)
    assert len({top for row in rows for top in row}) == 1
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 1280


def test_what_can_be_undone_is_told_in_the_language_of_now(serve, window):
    stand = serve(plain(9))
    page = window(stand.person())
    begin(page, stand.url)
    before = item(page)
    keys(page, "3", "Enter")
    next_item(page, before)
    assert page.inner_text("#undo-says") == "Equally good"
    saved(page)
    page.goto(f"{stand.url}/preferences")
    page.get_by_label("中文").check()
    page.wait_for_function("() => document.documentElement.lang === 'zh-Hans'")
    begin(page, stand.url)
    assert page.inner_text("#undo-says") == "一样好"
