"""Nothing is lost or doubled: reloads, cut networks, dead servers, two tabs, double clicks, ended sessions."""

import json
from collections.abc import Callable
from typing import Any

from web.browser.acts import begin, follow, item, keys, next_item, saved, sign_out, until
from web.browser.stand import Stand, plain

Serve = Callable[..., Stand]
Window = Callable[..., Any]


def start(serve: Serve, window: Window, number: int = 6, **settings: Any) -> tuple[Stand, Any]:
    """A page with pairs."""
    stand = serve(plain(number), **settings)
    page = window(stand.person())
    begin(page, stand.url)
    return stand, page


def decide(page: Any, *answer: str) -> None:
    """Judges the item on the page, and waits for another."""
    before = item(page)
    keys(page, *(answer or ("1", "w")), "Enter")
    next_item(page, before)


def test_undo_reopens_the_last_judgement(serve, window):
    stand, page = start(serve, window)
    first = item(page)
    decide(page, "1", "w")
    second = item(page)
    keys(page, "z")
    assert item(page) == first
    assert page.is_visible("#revision")
    assert page.get_by_label("A is better").is_checked()
    keys(page, "2", "Enter")
    next_item(page, first)
    assert item(page) == second
    assert page.is_hidden("#revision")
    until(lambda: len(stand.judgements()) == 2)
    old, new = stand.judgements()
    assert (new.replaces, new.revision, new.answer) == (old.id, 2, {"choice": "right", "strength": 2})


def test_undo_goes_further_back_and_can_be_left(serve, window):
    stand, page = start(serve, window)
    shown = []
    for _ in range(2):
        shown.append(item(page))
        decide(page)
    third = item(page)
    keys(page, "3", "z", "z")
    assert item(page) == shown[0]
    page.get_by_role("button", name="Leave it as it was").click()
    assert item(page) == third
    assert page.get_by_label("Equally good").is_checked()  # what was begun here is still there
    saved(page)
    assert [row.revision for row in stand.judgements()] == [1, 1]


def test_undo_is_there_after_a_reload(serve, window):
    stand, page = start(serve, window)
    first = item(page)
    decide(page)
    saved(page)
    page.reload()
    page.wait_for_selector("article.item")
    keys(page, "z")
    assert item(page) == first
    keys(page, "4", "Enter")
    until(lambda: [row.revision for row in stand.judgements()] == [1, 2])


def test_history_reopens_a_judgement(serve, window):
    stand, page = start(serve, window)
    decide(page, "1", "e")
    saved(page)
    page.evaluate("() => localStorage.clear()")  # as in another browser
    page.goto(f"{stand.url}/history")
    page.get_by_role("button", name="Reopen").click()
    page.wait_for_selector("#revision:not([hidden])")
    assert page.get_by_role("radio", name="much").is_checked()
    keys(page, "q", "Enter")
    until(lambda: [row.answer["strength"] for row in stand.judgements()] == [3, 1])


def test_a_reload_in_the_middle_keeps_what_was_begun(serve, window):
    _, page = start(serve, window)
    shown = item(page)
    keys(page, "2", "e", "c")
    page.keyboard.type("half a thou")
    page.reload()
    page.wait_for_selector("article.item")
    assert item(page) == shown
    assert page.get_by_label("B is better").is_checked()
    assert page.input_value("#comment-text") == "half a thou"


def test_a_draft_follows_to_another_browser(serve, window):
    stand = serve(plain(1), kinds=("demonstration",))
    page = window(stand.person())
    begin(page, stand.url)
    keys(page, "Enter")
    with page.expect_response(lambda response: response.url.endswith("/draft") and response.ok):
        page.keyboard.type("Begun here")
    other = window(stand.signed_in("ada"))
    begin(other, stand.url)
    assert other.input_value("textarea.editor") == "Begun here"


def test_a_cut_network_loses_nothing_and_doubles_nothing(serve, window):
    stand, page = start(serve, window, 8)
    page.context.set_offline(True)
    for _ in range(2):
        decide(page)
    keys(page, "1", "w", "Enter")
    page.wait_for_selector("#save[data-state=offline]")
    assert "waiting" in page.inner_text("#save")
    while page.query_selector("article.item"):
        keys(page, "3", "Enter")
    assert "No connection" in page.inner_text(".state")  # dry, and it says why
    waiting = page.evaluate("() => Object.keys(localStorage).filter(key => key.startsWith('prefloop.out.')).length")
    assert waiting >= 3
    assert stand.judgements() == []
    page.context.set_offline(False)
    page.wait_for_selector("article.item")
    until(lambda: len(stand.judgements()) == waiting)
    saved(page)


def test_a_reload_while_offline_sends_afterwards(serve, window):
    stand, page = start(serve, window)
    page.route("**/api/v1/judgements", lambda route: route.abort())
    for _ in range(2):
        decide(page)
    page.wait_for_selector("#save[data-state=offline]")
    page.unroute("**/api/v1/judgements")
    page.reload()
    page.wait_for_selector("article.item")
    until(lambda: len(stand.judgements()) == 2)


def test_an_answer_whose_reply_is_lost_is_sent_again_and_kept_once(serve, window):
    stand, page = start(serve, window)
    lost = []

    def arrives_but_the_reply_does_not(route: Any) -> None:
        if len(lost) < 2:
            lost.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    page.route("**/api/v1/judgements", arrives_but_the_reply_does_not)
    decide(page)
    decide(page)
    page.wait_for_selector("#save[data-state=offline]")
    page.wait_for_selector("#save[data-state=saved]", timeout=20000)
    assert len(stand.judgements()) == 2
    assert lost == [200, 200]
    assert len({row.presentation for row in stand.judgements()}) == 2


def test_the_page_outlives_the_server(serve, window):
    stand, page = start(serve, window)
    saved(page)
    stand.stop()
    decide(page)
    page.wait_for_selector("#save[data-state=offline]")
    stand.start()
    page.wait_for_selector("#save[data-state=saved]", timeout=20000)
    assert len(stand.judgements()) == 1


def test_a_double_click_is_one_answer(serve, window):
    stand, page = start(serve, window)
    first = item(page)
    page.get_by_label("Both bad").check()
    page.get_by_role("button", name="Confirm").dblclick()
    second = next_item(page, first)
    saved(page)
    assert len(stand.judgements()) == 1
    assert page.inner_text("#hint") == ""
    assert item(page) == second


def test_a_held_enter_key_is_one_answer(serve, window):
    stand, page = start(serve, window)
    keys(page, "3")
    for _ in range(5):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    until(lambda: len(stand.judgements()) == 1)
    saved(page)
    assert len(stand.judgements()) == 1


def test_two_tabs_never_show_one_item_to_decide_twice(serve, window):
    stand, page = start(serve, window)
    keys(page, "1", "w")
    other = page.context.new_page()
    begin(other, stand.url)
    page.wait_for_selector(".state.away")
    keys(page, "Enter")
    assert stand.judgements() == []
    assert other.get_by_label("A is better").is_checked()  # the draft came along
    keys(other, "Enter")
    until(lambda: len(stand.judgements()) == 1)
    page.bring_to_front()
    page.get_by_role("button", name="Judge here").click()
    page.wait_for_selector("article.item")
    other.wait_for_selector(".state.away")
    decide(page)
    until(lambda: len(stand.judgements()) == 2)
    assert len({row.presentation for row in stand.judgements()}) == 2


def test_the_queue_runs_dry_and_fills_again(serve, window):
    stand, page = start(serve, window, 1)
    keys(page, "1", "w", "Enter")
    page.wait_for_selector(".state.done")
    stand.add(plain(3))
    page.get_by_role("button", name="Look again").click()
    page.wait_for_selector("article.item")
    keys(page, "1", "w", "Enter")
    until(lambda: len(stand.judgements()) == 2)


def test_a_session_that_ends_is_told_and_nothing_is_lost(serve, window):
    stand, page = start(serve, window)
    saved(page)
    sign_out(stand, page)
    keys(page, "1", "w", "Enter")
    page.get_by_role("dialog", name="Your session has ended").wait_for()
    assert "sent afterwards: 1" in page.inner_text("dialog")
    page.context.add_cookies([stand.signed_in("ada")])
    page.get_by_role("button", name="I have signed in").click()
    until(lambda: len(stand.judgements()) == 1)
    saved(page)


def test_signing_in_again_sends_what_waited(serve, window):
    stand, page = start(serve, window)
    saved(page)
    sign_out(stand, page)
    keys(page, "1", "w", "Enter")
    follow(page, page.get_by_role("link", name="Sign in", exact=True))
    page.fill("input[name=name]", "Ada")
    page.fill("input[name=password]", "a sentence is easy")
    keys(page, "Enter")
    page.wait_for_selector("article.item")
    until(lambda: len(stand.judgements()) == 1)


def test_what_the_server_refuses_for_good_is_kept_and_shown(serve, window):
    stand, page = start(serve, window)
    answer = json.dumps({"error": {"code": "invalid", "message": "This will not do."}})
    page.route(
        "**/api/v1/judgements", lambda route: route.fulfill(status=422, content_type="application/json", body=answer)
    )
    decide(page)
    page.wait_for_selector("#refused:not([hidden])")
    page.unroute("**/api/v1/judgements")
    decide(page)
    until(lambda: len(stand.judgements()) == 1)
    page.goto(f"{stand.url}/history")
    page.wait_for_selector("#refused-list li")
    assert "This will not do." in page.inner_text("#refused-list")
    page.get_by_role("button", name="Put away").click()
    assert page.is_hidden("#refused")


def test_a_full_storage_still_sends(serve, window):
    stand, page = start(serve, window)
    page.evaluate(
        "() => { Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') } }"
    )
    decide(page)
    until(lambda: len(stand.judgements()) == 1)
    saved(page)


def test_calibration_explains_and_then_goes_on(serve, window):
    stand = serve(plain(4))
    stand.calibration("plain-0000", {"best": 0}, "Because **A** says so.")
    page = window(stand.person())
    begin(page, stand.url)
    slot = page.locator(".pane-words").all_inner_texts().index("Answer 0 to question 0.")
    keys(page, str(slot + 1), "w", "Enter")
    page.wait_for_selector(".feedback.right")
    assert "Because A says so." in page.inner_text(".feedback")
    keys(page, "Enter")
    page.wait_for_selector(".feedback", state="detached")
    decide(page)
    until(lambda: len(stand.judgements()) == 2)


def test_a_failed_calibration_can_be_taken_again(serve, window):
    stand = serve(plain(2))
    stand.calibration("plain-0000", {"best": 0}, "Because.")
    page = window(stand.person())
    begin(page, stand.url)
    keys(page, "4", "Enter")
    page.wait_for_selector(".feedback.wrong")
    keys(page, "Enter")
    page.get_by_role("button", name="Take the round again").click()
    page.wait_for_selector("article.item")
    assert item(page) == "Question number 0?"
