"""The network is cut for 30 seconds while somebody judges on by keyboard, in a real browser: what is lost, and when
does the page recover?

    python benchmarks/web_cut.py [SECONDS]      prints a line of JSON for each way of cutting; exit code 1 if an answer
    is lost or doubled

offline: the browser knows. silent: nothing arrives any more and nobody says so. Both are in tests/web/browser/cut.py,
which says
what is counted; tests/web/browser/test_cut.py does the same for 3 seconds.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from playwright.sync_api import Browser, sync_playwright

from web.browser.cut import How, Line, through
from web.browser.stand import CHROMIUM, Stand, plain


def measured(browser: Browser, place: Path, how: How, seconds: float) -> dict[str, Any]:
    """One cut."""
    stand = Stand(place / how, plain(200))
    line = Line(stand.port)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.context.add_cookies([{**stand.person(), "url": line.url}])  # type: ignore[list-item]
    page.goto(line.url)
    page.wait_for_selector("article.item")
    result = through(page, stand, line, how=how, seconds=seconds, pace=2.0)
    page.context.close()
    line.close()
    stand.stop()
    return result


def main(arguments: list[str]) -> int:
    """Measures and prints. Returns: the exit code."""
    seconds = float(arguments[0]) if arguments else 30.0
    ways: tuple[How, ...] = ("offline", "silent")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        results = [measured(browser, Path(place), how, seconds) for how in ways]
        browser.close()
    for result in results:
        print(json.dumps(result))
    return 1 if any(result["lost"] or result["doubled"] or result["refused"] for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
