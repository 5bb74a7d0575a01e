"""A chromium, a server, and windows; skipped, with the reason, where there is no browser."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from web.browser.stand import CHROMIUM, Stand

QUIET = "Failed to load resource"
"""What a browser says of a request that a test cuts off or refuses on purpose."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install prefloop[dev])")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with sync.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Stand]]:
    """Makes stands; all are stopped in the end."""
    made: list[Stand] = []

    def make(rows: list[dict[str, Any]], **settings: Any) -> Stand:
        made.append(Stand(tmp_path / f"stand-{len(made)}", rows, **settings))
        return made[-1]

    yield make
    for stand in made:
        stand.stop()


@pytest.fixture
def window(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages; whatever goes wrong in one of them fails the test."""
    problems: list[str] = []
    contexts: list[Any] = []

    def watch(page: Any) -> None:
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on(
            "console",
            lambda line: line.type == "error" and QUIET not in line.text and problems.append(f"console: {line.text}"),
        )
        page.on("dialog", lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def make(cookie: dict[str, str] | None = None, *, width: int = 1280, height: int = 800, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(30_000)  # a machine that does much else is not a fault of the page
        contexts.append(context)
        context.on("page", watch)
        if cookie:
            context.add_cookies([cookie])
        return context.new_page()

    yield make
    for context in contexts:
        context.close()
    assert problems == []
