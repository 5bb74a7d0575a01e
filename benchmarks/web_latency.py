"""How long from the key that confirms to the next item painted? A real browser, a real server, many items.

    python benchmarks/web_latency.py [ITEMS] [SECONDS_BETWEEN]      prints a table in Markdown; exit code 1 if it is too
    slow

Painted is when the first task after the frame's rendering runs (requestAnimationFrame, then a message): up to a frame
of 60 Hz is waiting for the screen. The double requestAnimationFrame, one frame more by its nature, stands beside it.
"""

import random
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from playwright.sync_api import Page, sync_playwright

from web.browser.samples import CODE, GUIDELINE, HELP, LONG, SECOND, SHORT
from web.browser.stand import CHROMIUM, Stand, comparison

LIMITS = {50: 16.0, 95: 40.0}
"""Percentile -> milliseconds, of the first column."""
WATCH = """() => {
  window.measured = { painted: [], twice: [], script: [] };
  let pressed = 0;
  addEventListener('keydown', event => { if (event.key === 'Enter') pressed = event.timeStamp; }, true);
  document.addEventListener('DOMContentLoaded', () => {
    new MutationObserver(() => {
      const from = pressed;
      if (!from || !document.querySelector('article.item')) return;
      pressed = 0;
      measured.script.push(performance.now() - from);
      requestAnimationFrame(() => {
        const after = new MessageChannel();
        after.port1.onmessage = () => measured.painted.push(performance.now() - from);
        after.port2.postMessage(null);
        requestAnimationFrame(() => measured.twice.push(performance.now() - from));
      });
    }).observe(document.getElementById('place'), { childList: true });
  });
}"""


def rows(number: int) -> list[dict[str, object]]:
    """Items as long as real ones."""
    texts = [HELP, SHORT, CODE, SECOND, LONG]
    return [
        comparison(
            f"item-{n:05d}",
            [("user", f"Question {n}: what shall I do with **this**?")],
            [f"{texts[n % 5]}\n\n({n})", f"{texts[(n // 5) % 5]}\n\n({n}, other)"],
        )
        for n in range(number)
    ]


def session(page: Page, url: str, number: int, between: float) -> dict[str, list[float]]:
    """Judges so many items by keys. Returns: milliseconds of each, by measure."""
    rng = random.Random(0)
    page.add_init_script(f"({WATCH})()")
    page.goto(url)
    page.wait_for_selector("article.item")
    for n in range(number):
        for key in (rng.choice("12"), rng.choice("qwe"), "Enter"):
            page.keyboard.press(key)
        page.wait_for_function("n => measured.twice.length > n", arg=n)
        page.wait_for_timeout(1000 * between * rng.uniform(0.5, 1.5))
    return page.evaluate("() => measured")


def percentile(values: list[float], share: int) -> float:
    """The value below which so many percent are."""
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


def main(arguments: list[str]) -> int:
    """Measures and prints. Returns: the exit code."""
    number = int(arguments[0]) if arguments else 500
    between = float(arguments[1]) if len(arguments) > 1 else 0.15
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        stand = Stand(Path(place) / "stand", rows(number + 5))
        stand.guideline(GUIDELINE["en"])
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.context.add_cookies([stand.person()])  # type: ignore[list-item]
        measured = session(page, stand.url, number, between)
        page.wait_for_function("() => !Object.keys(localStorage).some(key => key.startsWith('prefloop.out.'))")
        kept = len({row.presentation for row in stand.judgements()})
        browser.close()
        stand.stop()
    print(f"{number} items, {between} s between them; kept on the server: {kept}\n")
    print("| key press to | p50 ms | p95 ms | p99 ms | worst ms |\n|---|---:|---:|---:|---:|")
    for name, says in (
        ("painted", "next item painted"),
        ("twice", "second frame after"),
        ("script", "next item in the document"),
    ):
        values = measured[name]
        print(
            f"| {says} | {percentile(values, 50):.1f} | {percentile(values, 95):.1f} | {percentile(values, 99):.1f} | "
            f"{max(values):.1f} |"
        )
    slow = [share for share, limit in LIMITS.items() if percentile(measured["painted"], share) > limit]
    return 1 if slow or kept != number else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
