"""What comes between the page and its server: a proxy that answers instead, and somebody else in the same browser."""

import json

import pytest

from prefloop.web.store.tables import users
from web.browser.acts import begin, follow, item, keys, next_item, reads, saved, sign_out, until
from web.browser.stand import PASSWORD, plain

HTML = "<html><head><title>Error</title></head><body>nginx</body></html>"
ANSWERS = [
    (413, "text/html", HTML),
    (403, "text/html", HTML),
    (401, "text/html", HTML),
    (400, "application/json", '{"message": "gateway"}'),
    (404, "application/json", '{"error": {"code": 404, "message": "no route"}}'),
    (200, "text/html", HTML),
    (200, "text/plain", ""),
]


def waiting(page) -> int:
    """Answers in the page's outbox."""
    return page.evaluate("() => Object.keys(localStorage).filter(key => key.startsWith('prefloop.out.')).length")


@pytest.mark.parametrize(("status", "kind", "body"), ANSWERS, ids=lambda value: str(value)[:20])
def test_what_a_proxy_says_is_never_the_last_word(serve, window, status, kind, body):
    stand = serve(plain(6))
    page = window(stand.person())
    begin(page, stand.url)
    page.route("**/api/v1/judgements", lambda route: route.fulfill(status=status, content_type=kind, body=body))
    before = item(page)
    keys(page, "1", "w", "Enter")
    next_item(page, before)
    page.wait_for_selector("#save[data-state=offline]")
    assert page.is_hidden("#refused")
    assert page.locator("dialog").count() == 0
    assert waiting(page) == 1
    page.unroute("**/api/v1/judgements")
    page.wait_for_selector("#save[data-state=saved]", timeout=20000)
    assert len(stand.judgements()) == 1


def of_whom(stand) -> list[str]:
    """Who judged, oldest first."""
    with stand.site.database.reading() as connection:
        names = {row.id: row.name for row in connection.execute(users.select())}
    return [names[row.user] for row in stand.judgements()]


def test_somebody_else_in_the_same_browser_sends_nothing_of_mine(serve, window):
    stand = serve(plain(8), overlap={"judgements": 2})
    page = window(stand.person("ada"))
    stand.person("bob")
    begin(page, stand.url)
    saved(page)
    second = page.context.new_page()
    second.goto(f"{stand.url}/login")
    second.fill("input[name=name]", "Bob")
    second.fill("input[name=password]", PASSWORD)
    keys(second, "Enter")
    second.wait_for_selector("article.item")

    keys(page, "1", "w", "Enter")
    box = page.get_by_role("dialog", name="Somebody else signed in here")
    box.wait_for()
    assert "sign in again as ada, nothing is lost" in box.inner_text()
    assert "sent afterwards: 1" in box.inner_text()
    assert waiting(page) == 1
    before = item(second)
    keys(second, "2", "w", "Enter")
    next_item(second, before)
    until(lambda: of_whom(stand) == ["bob"])
    page.bring_to_front()
    page.get_by_role("button", name="I have signed in").click()
    assert box.is_visible()  # not yet true

    follow(page, page.get_by_role("link", name="Sign in", exact=True))
    page.fill("input[name=name]", "Ada")
    page.fill("input[name=password]", PASSWORD)
    keys(page, "Enter")
    page.wait_for_selector("article.item")
    until(lambda: of_whom(stand) == ["bob", "ada"])
    saved(page)
    assert stand.judgements()[1].answer["choice"] == "left"
    refusals = [key for key in page.evaluate("() => Object.keys(localStorage)") if key.startswith("prefloop.refused.")]
    assert refusals == []


def test_a_session_that_ends_and_then_is_somebody_elses_says_so(serve, window):
    stand = serve(plain(4))
    page = window(stand.person("ada"))
    stand.person("bob")
    begin(page, stand.url)
    saved(page)
    sign_out(stand, page)
    keys(page, "1", "w", "Enter")
    page.get_by_role("dialog", name="Your session has ended").wait_for()
    page.context.add_cookies([stand.signed_in("bob")])
    page.get_by_role("button", name="I have signed in").click()
    page.get_by_role("dialog", name="Somebody else signed in here").wait_for()
    page.context.add_cookies([stand.signed_in("ada")])
    page.get_by_role("button", name="I have signed in").click()
    until(lambda: of_whom(stand) == ["ada"])
    saved(page)


def test_the_pages_of_leads_write_nothing_as_somebody_else(serve, window):
    stand = serve(plain(2))
    page = window(stand.person("ada", "admin"))
    page.goto(f"{stand.url}/lead/settings")
    stand.person("eve", "admin")
    page.context.add_cookies([stand.signed_in("eve")])
    page.get_by_label("Judgements of each item").fill("3")
    page.get_by_role("button", name="Save").click()
    reads(page, ".save-bar [role=status]", "Somebody else signed in")
    assert not any(event.kind == "settings" and "overlap" in json.loads(event.payload) for event in stand.events())
    assert page.get_by_label("Judgements of each item").input_value() == "3"


def test_what_a_lead_judged_is_sent_from_the_leads_pages_too(serve, window):
    """After a lost session a lead comes back to them: what waits in the browser must not wait for the judging page."""
    stand = serve(plain(2))
    page = window(stand.person("lea", "lead"))
    begin(page, stand.url)
    page.route("**/api/v1/judgements", lambda route: route.abort())
    keys(page, "3", "Enter")
    page.wait_for_function("() => Object.keys(localStorage).some(key => key.startsWith('prefloop.out.'))")
    page.goto(f"{stand.url}/lead/people")
    assert stand.judgements() == []
    page.unroute("**/api/v1/judgements")
    until(lambda: len(stand.judgements()) == 1)
    assert page.url.endswith("/lead/people")
