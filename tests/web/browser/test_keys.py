"""Keys: never while writing or composing, remappable, and the clock that stops when nobody is there."""

from collections.abc import Callable
from typing import Any

import pytest

from web.browser.acts import begin, item, keys, next_item, reads, saved, until
from web.browser.stand import Stand, plain

Serve = Callable[..., Stand]
Window = Callable[..., Any]
PRESS = """([key, more]) => {
  const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more });
  if (more.keyCode) Object.defineProperty(event, 'keyCode', { value: more.keyCode });
  document.activeElement.dispatchEvent(event);
}"""


def start(serve: Serve, window: Window, **preferences: Any) -> tuple[Stand, Any]:
    """A page with pairs, for somebody with preferences."""
    stand = serve(plain(6))
    page = window(stand.person(**preferences))
    begin(page, stand.url)
    return stand, page


@pytest.mark.parametrize("more", [{"isComposing": True}, {"keyCode": 229}, {"repeat": True}])
def test_a_key_that_composes_or_repeats_does_nothing(serve, window, more):
    _, page = start(serve, window)
    page.evaluate(PRESS, ["1", more])
    assert not page.get_by_label("A is better").is_checked()
    page.evaluate(PRESS, ["1", {}])
    assert page.get_by_label("A is better").is_checked()


def test_chinese_is_composed_in_a_comment_without_setting_anything_off(serve, window):
    stand, page = start(serve, window)
    shown = item(page)
    keys(page, "3", "c")
    session = page.context.new_cdp_session(page)
    session.send("Input.imeSetComposition", {"text": "hao", "selectionStart": 3, "selectionEnd": 3})
    page.evaluate(PRESS, ["Enter", {"isComposing": True, "ctrlKey": True}])
    page.evaluate(PRESS, ["Enter", {"keyCode": 229}])
    session.send("Input.insertText", {"text": "好"})
    assert item(page) == shown
    assert page.input_value("#comment-text") == "好"
    assert stand.judgements() == []
    keys(page, "Control+Enter")
    until(lambda: len(stand.judgements()) == 1)
    assert stand.judgements()[0].comment == "好"


def test_keys_typed_into_text_are_text(serve, window):
    stand, page = start(serve, window)
    shown = item(page)
    keys(page, "c")
    page.keyboard.type("1 2 w z s f g ? Enter")
    keys(page, "Enter")
    assert item(page) == shown
    assert page.input_value("#comment-text") == "1 2 w z s f g ? Enter\n"
    keys(page, "Escape", "1", "w", "Enter")
    until(lambda: len(stand.judgements()) == 1)


def test_keys_are_remapped_and_kept(serve, window):
    stand = serve(plain(3))
    page = window(stand.person())
    page.goto(f"{stand.url}/preferences")
    page.get_by_role("button", name="A is better").click()
    with page.expect_response(lambda response: response.url.endswith("/me") and response.ok):
        keys(page, "a")
    begin(page, stand.url)
    keys(page, "1")
    assert not page.get_by_label("A is better").is_checked()
    keys(page, "a")
    assert page.get_by_label("A is better").is_checked()
    assert page.inner_text(".sides .choice >> nth=0").split() == ["A", "is", "better", "A"]


def test_two_actions_cannot_share_a_key(serve, window):
    stand = serve(plain(1))
    page = window(stand.person())
    page.goto(f"{stand.url}/preferences")
    page.get_by_role("button", name="A is better").click()
    keys(page, "2")
    assert "share a key" in page.inner_text("#told")
    assert page.locator(".key-row.clash").count() == 2


def test_single_keys_can_be_switched_off(serve, window):
    stand, page = start(serve, window)
    page.goto(f"{stand.url}/preferences")
    page.get_by_label("Single keys act").uncheck()
    begin(page, stand.url)
    keys(page, "3")
    assert not page.get_by_label("Equally good").is_checked()
    page.get_by_label("Equally good").check()
    keys(page, "Control+Enter")
    until(lambda: len(stand.judgements()) == 1)


def test_digits_work_where_they_need_shift(serve, window):
    _, page = start(serve, window)
    page.evaluate(PRESS, ["é", {"code": "Digit2"}])  # a French keyboard
    assert page.get_by_label("B is better").is_checked()


def test_enter_on_a_button_is_the_buttons(serve, window):
    stand, page = start(serve, window)
    keys(page, "3")
    page.get_by_role("button", name="Keys").focus()
    keys(page, "Enter")
    page.get_by_role("dialog").wait_for()
    assert stand.judgements() == []
    keys(page, "Escape")


def test_the_new_item_has_the_focus_and_is_named(serve, window):
    _, page = start(serve, window)
    keys(page, "1", "w", "Enter")
    page.wait_for_function("() => document.activeElement.matches('article.item')")
    assert page.evaluate("() => document.activeElement.getAttribute('aria-label')") == "New item: Pair"
    keys(page, "1")
    reads(page, "#voice", "A is better")


def test_the_clock_stops_when_nobody_is_there(serve, window):
    stand = serve(plain(2))
    page = window(stand.person())
    page.clock.install()
    begin(page, stand.url)
    page.clock.run_for(10_000)
    keys(page, "1")
    page.clock.fast_forward(3_600_000)
    keys(page, "w", "Enter")
    page.clock.run_for(1000)
    until(lambda: len(stand.judgements()) == 1)
    result = stand.judgements()[0]
    assert 129 <= result.active_seconds <= 133
    assert 10 <= result.first_key_seconds <= 12


def test_a_hidden_page_is_not_work(serve, window):
    stand = serve(plain(2))
    page = window(stand.person())
    page.clock.install()
    begin(page, stand.url)
    page.clock.run_for(5_000)
    hide = "hidden => { const value = hidden ? 'hidden' : 'visible';"
    hide += " Object.defineProperty(document, 'visibilityState', { value, configurable: true });"
    hide += " document.dispatchEvent(new Event('visibilitychange')) }"
    page.evaluate(hide, True)
    page.clock.run_for(60_000)
    page.evaluate(hide, False)
    page.clock.run_for(5_000)
    keys(page, "3", "Enter")
    page.clock.run_for(1000)
    until(lambda: len(stand.judgements()) == 1)
    assert 10 <= stand.judgements()[0].active_seconds <= 14


def test_the_guideline_is_beside_the_item_and_its_change_is_told(serve, window):
    stand = serve(plain(6))
    stand.guideline("# First")
    page = window(stand.person())
    begin(page, stand.url)
    keys(page, "g")
    assert page.is_hidden("#guideline")  # on a wide screen it is open at first
    keys(page, "g")
    assert "First" in page.inner_text("#guideline")
    page.get_by_role("button", name="Close the guideline").click()
    stand.guideline("# Second")
    for _ in range(5):
        before = item(page)
        keys(page, "3", "Enter")
        next_item(page, before)
    page.wait_for_selector("#guideline-notice:not([hidden])")
    page.get_by_role("button", name="Read it").click()
    assert "Second" in page.inner_text("#guideline")
    saved(page)
    assert {row.guideline for row in stand.judgements()} == {1, 2}
    page.reload()
    page.wait_for_selector("article.item")
    assert page.is_visible("#guideline")  # as it was left
    assert page.is_hidden("#guideline-notice")


def test_the_language_and_the_theme_are_chosen(serve, window):
    stand, page = start(serve, window)
    page.goto(f"{stand.url}/preferences")
    page.get_by_label("Dark").check()
    assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"
    page.wait_for_selector("#told.good")
    page.get_by_label("中文").check()
    page.wait_for_selector("html[lang=zh-Hans]")
    begin(page, stand.url)
    assert "哪个回答更好" in page.inner_text("#bar")
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
