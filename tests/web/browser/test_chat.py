"""Chat with the policy, by keyboard: what is said is judged, survives a reload, and waits when the model is away."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from web.browser.acts import begin, keys, reads, saved, sign_out, until
from web.browser.stand import Stand, plain
from web.browser.test_access import LOOKS, violations
from web.model_server import NAME, ModelServer

Serve = Callable[..., Stand]
Window = Callable[..., Any]


@pytest.fixture
def model() -> Iterator[ModelServer]:
    server = ModelServer()
    yield server
    server.close()


@pytest.fixture
def chat(serve: Serve, window: Window, model: ModelServer) -> Callable[..., tuple[Stand, Any]]:
    """Opens the chat for somebody with preferences."""

    def start(width: int = 1280, database: str = "", **preferences: Any) -> tuple[Stand, Any]:
        stand = serve(plain(2), model_server=model.url, chat={"seconds": 5}, database=database)
        page = window(stand.person(**preferences), width=width, reduced_motion="reduce")
        page.goto(f"{stand.url}/chat")
        composer(page)
        return stand, page

    return start


def composer(page: Any) -> None:
    """Waits until the next message can be written, with what was said before."""
    page.wait_for_selector("#chat-text:focus:not([readonly])")


def say(page: Any, text: str) -> None:
    """Writes a message, sends it and waits for the responses."""
    page.keyboard.type(text)
    keys(page, "Control+Enter")
    page.wait_for_selector("article.item")


def thread(page: Any) -> list[str]:
    """What was said."""
    return page.locator(".turn .words").all_inner_texts()


def goes_on(page: Any, turns: int) -> None:
    """Waits until the conversation has so many messages, and the next can be written."""
    composer(page)
    page.wait_for_function("n => document.querySelectorAll('.chat .turn').length === n", arg=turns)


def test_two_turns_by_keyboard_are_two_judgements(new_url, chat, model):
    """From the link in the menu; the focus, what a screen reader hears, undo, and another conversation."""
    stand, page = chat(database=new_url())
    begin(page, stand.url)  # its item takes the focus when it comes
    page.get_by_role("link", name="Chat").focus()
    keys(page, "Enter")
    composer(page)
    say(page, "Hello?")
    assert page.inner_text("#voice") == "The model has answered. Which response is better?"
    page.wait_for_function("() => document.activeElement.matches('article.item')")
    assert NAME not in page.content()
    right = page.inner_text(".pane >> nth=1 >> .pane-words")
    keys(page, "2", "w", "Enter")
    goes_on(page, 2)
    assert thread(page) == ["Hello?", right]
    reads(page, "#voice", "The conversation goes on. Write the next message.")
    keys(page, "Escape", "z")  # undo reopens the pair
    page.wait_for_selector("#revision:not([hidden])")
    left = page.inner_text(".pane >> nth=0 >> .pane-words")
    keys(page, "1", "q", "Enter")
    goes_on(page, 2)
    page.wait_for_function("left => document.querySelectorAll('.turn .words')[1]?.innerText === left", arg=left)
    say(page, "And then?")
    keys(page, "3", "Enter")
    goes_on(page, 4)
    assert "goes on with the left one" in page.inner_text(".thread .notice")
    saved(page)
    decided = [(row.answer["choice"], row.revision) for row in stand.judgements()]
    assert decided == [("right", 1), ("left", 2), ("tie", 1)]
    reply = model.replies([{"role": "user", "content": ""}], 2)[0 if "a" in left else 1]
    assert [message["content"] for message in model.requests[1]["messages"]] == ["Hello?", reply, "And then?"]
    keys(page, "Tab")
    page.get_by_role("button", name="Begin another conversation").focus()
    keys(page, "Enter")
    page.wait_for_selector(".thread .first")
    composer(page)
    say(page, "Something else")
    assert thread(page) == ["Something else"]


def test_only_the_last_pair_is_undone_and_only_until_the_next_message(chat):
    stand, page = chat()
    begin(page, stand.url)
    keys(page, "3", "Enter")  # ordinary work, which the chat does not reopen
    saved(page)
    page.goto(f"{stand.url}/chat")
    composer(page)
    assert page.is_disabled("#do-undo")
    say(page, "Hello?")
    keys(page, "1", "w", "Enter")
    goes_on(page, 2)
    assert page.is_enabled("#do-undo")
    say(page, "And then?")
    assert page.is_disabled("#do-undo")
    keys(page, "z")
    reads(page, "#voice", "There is nothing to undo.")
    keys(page, "2", "w", "Enter")
    goes_on(page, 4)
    saved(page)
    page.reload()
    composer(page)
    page.wait_for_selector("#do-undo:enabled")
    keys(page, "Escape", "z")
    page.wait_for_selector("#revision:not([hidden])")
    assert page.inner_text(".turn:last-child .words") == "And then?"
    page.get_by_role("button", name="Leave it as it was").click()
    composer(page)
    page.get_by_role("button", name="Begin another conversation").click()
    page.wait_for_selector("#do-undo:disabled")


def test_a_reload_keeps_the_conversation_the_pair_and_what_was_typed(chat):
    stand, page = chat()
    say(page, "Hello?")
    keys(page, "1")
    page.reload()
    page.wait_for_selector("article.item")
    assert thread(page) == ["Hello?"]
    page.wait_for_function("() => document.querySelector('.sides input')?.checked")  # the draft of the judgement
    keys(page, "q", "Enter")
    goes_on(page, 2)
    page.keyboard.type("Half of a mess")
    page.reload()
    goes_on(page, 2)
    assert page.input_value("#chat-text") == "Half of a mess"
    sign_out(stand, page)
    keys(page, "Control+Enter")
    page.get_by_role("dialog").wait_for()
    page.context.add_cookies([stand.signed_in("ada")])
    page.get_by_role("button", name="I have signed in").click()
    page.wait_for_selector("dialog", state="detached")
    page.focus("#chat-text")
    keys(page, "Control+Enter")
    page.wait_for_selector("article.item")
    assert thread(page)[2] == "Half of a mess"


BROKEN = "does not answer as it should"


@pytest.mark.parametrize(
    ("broken", "says"), [("500", BROKEN), ("hangs", "took too long"), ("{", BROKEN), ("too_long", "longer than")]
)
def test_when_the_model_is_away_the_text_stays_and_is_sent_once(chat, model, broken, says):
    stand, page = chat()
    model.broken = broken
    page.keyboard.type("Keep this")
    keys(page, "Control+Enter")
    page.wait_for_selector(".chat-note.bad")
    assert says in page.inner_text("#chat-note")
    assert page.input_value("#chat-text") == "Keep this"
    reads(page, "#voice", says)
    model.broken = ""
    model.let_go.set()
    page.focus("#chat-text")
    keys(page, "Control+Enter")
    page.wait_for_selector("article.item")
    keys(page, "3", "Enter")
    goes_on(page, 2)
    assert page.input_value("#chat-text") == ""
    saved(page)
    assert len(stand.judgements()) == 1


def test_an_answer_that_was_lost_on_the_way_is_found_again(chat, model):
    """The server kept the turn, but its answer never reached the page: nothing is said twice."""
    _, page = chat()
    page.route("**/chat/messages", lambda route: (route.fetch(), route.abort()))
    page.keyboard.type("Once")
    keys(page, "Control+Enter")
    page.wait_for_selector(".chat-note.bad")
    page.unroute("**/chat/messages")
    keys(page, "Control+Enter")
    page.wait_for_selector("article.item")
    assert len(model.requests) == 1
    keys(page, "3", "Enter")
    goes_on(page, 2)
    assert page.input_value("#chat-text") == ""


def test_a_message_written_before_the_judgement_arrived_follows_it(chat, model):
    stand, page = chat()
    say(page, "Hello?")
    held: list[Any] = []
    page.route("**/judgements", lambda route: held.append(route))
    keys(page, "1", "q", "Enter")
    composer(page)
    page.keyboard.type("And then?")
    keys(page, "Control+Enter")
    reads(page, "#chat-note", "this follows it")
    held.pop().continue_()
    page.wait_for_selector("article.item")
    assert thread(page)[2] == "And then?"
    assert len(model.requests) == 2
    assert len(stand.judgements()) == 1


def test_responses_that_are_the_same_are_shown_once(chat, model):
    _, page = chat(language="zh")
    model.replies = lambda messages, count: ["好的。", "好的"][:count]
    page.keyboard.type("在吗")
    keys(page, "Control+Enter")
    goes_on(page, 2)
    assert "无需比较" in page.inner_text(".thread .notice")


def test_hostile_responses_are_text(chat, model):
    _, page = chat()
    model.replies = lambda messages, count: ["<img src=x onerror=alert(1)>one", "<script>alert(2)</script>two"][:count]
    say(page, "<b onmouseover=alert(3)>me</b>")
    keys(page, "4", "Enter")
    goes_on(page, 2)
    assert page.locator(".thread img, .thread script, .thread b").count() == 0


def test_without_a_model_server_there_is_no_link(serve, window):
    stand = serve(plain(1))
    page = window(stand.person())
    page.goto(stand.url)
    page.wait_for_selector("article.item")
    assert page.get_by_role("link", name="Chat").count() == 0


def test_other_work_goes_on_meanwhile(chat):
    """The pair of a chat is not in the queue, and the chat waits where it was left."""
    stand, page = chat()
    say(page, "Hello?")
    page.goto(stand.url)
    page.wait_for_selector("article.item")
    assert "Question number" in thread(page)[-1]
    for _ in range(2):
        keys(page, "3", "Enter")
    page.wait_for_selector(".state.done")
    page.goto(f"{stand.url}/chat")
    page.wait_for_selector("article.item")
    assert thread(page) == ["Hello?"]
    until(lambda: len(stand.judgements()) == 2)


@pytest.mark.parametrize(("language", "theme", "width"), LOOKS)
def test_no_serious_violation_while_chatting(chat, model, language, theme, width):
    _, page = chat(width=width, language=language, theme=theme)
    assert violations(page) == []
    say(page, "Hello?")
    assert violations(page) == []
    keys(page, "4", "Enter")
    goes_on(page, 2)
    assert violations(page) == []
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    model.broken = "500"
    page.keyboard.type("More")
    keys(page, "Control+Enter")
    page.wait_for_selector(".chat-note.bad")
    assert violations(page) == []
