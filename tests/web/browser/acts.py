"""What somebody does at the page, and what they wait for."""

import re
import time
from collections.abc import Callable
from typing import Any


def begin(page: Any, url: str) -> None:
    """Opens the judging page and waits for an item."""
    page.goto(url)
    page.wait_for_selector("article.item")


def keys(page: Any, *names: str) -> None:
    """Presses keys, one after the other."""
    for name in names:
        page.keyboard.press(name)


def saved(page: Any) -> None:
    """Waits until everything has reached the server."""
    page.wait_for_function("() => !Object.keys(localStorage).some(key => key.startsWith('prefloop.out.'))")
    page.wait_for_selector("#save[data-state=saved]")


def sign_out(stand: Any, page: Any) -> None:
    """Ends all sessions once the page that was just loaded asks for nothing more: a request that is refused opens a
    dialog, and the dialog would take the keys that come next."""
    page.wait_for_load_state("networkidle")
    stand.sign_everybody_out()


def reads(page: Any, where: str, words: str | re.Pattern[str]) -> None:
    """Waits until the first of these elements has these words in it, seen or not, on this page or the next."""
    page.locator(where).filter(has_text=words).first.wait_for(state="attached")


def follow(page: Any, link: Any) -> None:
    """Clicks a link and waits until the page behind it is there, its scripts too."""
    with page.expect_navigation():
        link.click()


def done(page: Any) -> None:
    """Waits until a form has said on the page after it that it is done; what an earlier form said does not count."""
    page.locator("#done:not([hidden]):not([data-met])").evaluate("line => line.setAttribute('data-met', '')")


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Waits for something that only the server shows."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def item(page: Any) -> str:
    """What is asked on the page."""
    return page.inner_text(".turn:last-child .words")


def next_item(page: Any, before: str) -> str:
    """Waits until another item is shown."""
    page.wait_for_function(
        "old => { const w = document.querySelector('.turn:last-child .words'); return w && w.innerText !== old }",
        arg=before,
    )
    return item(page)
