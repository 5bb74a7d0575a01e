"""The judging page's boxes, measured: every kind, 1 to 8 responses, 1 to 6 axes, before and after it is answered.

The items are drawn by the page's own code, one after the other in one window. On a desk nothing lies over anything
else, nothing is cut off, the page itself does not scroll, and each response that is scrolled to shows its text on
TEXT of the window's height. On a phone the page scrolls downwards only, texts are whole, and the bar that stays at
its foot covers none and takes at most BAR of the height.
"""

import itertools
import random
from pathlib import Path

import pytest

from web import crowd
from web.browser.acts import begin
from web.browser.stand import plain

TEXT, BAR, NARROWEST = 0.38, 0.4, 280
COMBINATIONS = [
    *(("pair", 2, 1, strength) for strength in (False, True)),
    *(("ranking", responses, 1, False) for responses in range(2, 9)),
    *(("rating", responses, axes, False) for responses in range(1, 9) for axes in range(1, 7)),
    *((kind, responses, 1, False) for kind in ("thumb", "edit") for responses in range(1, 9)),
    ("demonstration", 0, 1, False),
]
AXES = ["helpful", "correct", "follows the instructions", "polite", "harmless", "concise"]
MEASURE = (Path(__file__).parent / "layout.js").read_text(encoding="utf-8")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1440, 900), (360, 740)])
def test_nothing_overlaps_and_the_responses_have_most_of_the_room(serve, window, width, height):
    stand = serve(plain(1))
    page = window(stand.person(), width=width, height=height)
    begin(page, stand.url)
    words = "Open the settings, choose returns, and print the label for the parcel; keep the receipt until it came. "
    texts = [f"{n}. {words * 2}" for n in range(14)]
    wrong = page.evaluate(MEASURE, [COMBINATIONS, AXES, texts, TEXT, BAR, NARROWEST])
    assert list(itertools.islice(wrong, 30)) == []


LEADS = "", "/people", "/settings", "/items?state=", "/annotators", "/adjudication", "/arena", "/data", "/advanced"
CUT = """() => [...document.querySelectorAll('.scroll, .look, .card')].flatMap(node => {
  const { left, right } = node.getBoundingClientRect();
  const out = left < 0 || right > innerWidth + 1;
  const cut = node.matches('.annotators .scroll, .look') && node.scrollWidth > node.clientWidth + 1;
  return out || cut ? [node.className] : [];
})"""


def test_what_a_lead_decides_by_is_in_sight(serve, window):
    """`Worth a look` of the annotators stands beside the name; no page for leads is wider than the window."""
    stand = serve(plain(60), kinds=("pair",), overlap={"judgements": 3})
    people = {"left": crowd.lefts, "ada": crowd.honest(random.Random(1)), "b" * 40: crowd.lefts}
    crowd.let_work(stand.site, people, 60)
    page = window(stand.person("lea", "admin"))
    for width in (1280, 1440, 360):
        page.set_viewport_size({"width": width, "height": 800})
        for path in LEADS:
            page.goto(f"{stand.url}/lead{path}")
            page.wait_for_load_state("networkidle")
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width, path
            assert page.evaluate(CUT) == [], (width, path)
            if path == "/annotators":
                assert "One side" in page.inner_text("td.look >> nth=0")
