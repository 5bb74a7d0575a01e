"""The judging page's boxes, measured: every kind, 1 to 8 responses, 1 to 6 axes, before and after it is answered.

The items are drawn by the page's own code, one after the other in one window. On a desk nothing lies over anything
else, nothing is cut off, the page itself does not scroll, and each response that is scrolled to shows its text on
TEXT of the window's height. On a phone the page scrolls downwards only, texts are whole, and the bar that stays at
its foot covers none and takes at most BAR of the height.
"""

import itertools
from pathlib import Path

import pytest

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
