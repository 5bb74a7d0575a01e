"""Every kind of item, by keys alone, by mouse, by drag and by touch: what was decided is what is kept."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from web.browser.acts import begin, item, keys, next_item, reads, saved, until
from web.browser.stand import Stand, comparison, plain

Serve = Callable[..., Stand]
Window = Callable[..., Any]


def opened(serve: Serve, window: Window, kind: str, responses: int = 2, **settings: Any) -> tuple[Stand, Any]:
    """A page with items of one kind."""
    stand = serve(plain(2, responses), kinds=(kind,), **settings)
    page = window(stand.person())
    begin(page, stand.url)
    return stand, page


def answers(stand: Stand, number: int = 1) -> list[Any]:
    """What was decided, once so much is in."""
    until(lambda: len(stand.judgements()) >= number)
    return [row.answer for row in stand.judgements()]


def test_a_whole_session_by_keys_alone(serve, window):
    kinds = ("pair", "ranking", "rating", "thumb", "edit", "demonstration")
    stand = serve(plain(1, 3), kinds=kinds, axes=("helpful", "polite"), pairs_per_prompt=1)
    page = window(stand.person())
    begin(page, stand.url)
    for _ in kinds:
        kind = page.get_attribute("#bar", "data-kind")
        if kind == "pair":
            keys(page, "2", "e", "Enter")
        elif kind == "ranking":
            keys(page, "3", "1", "t", "2", "Enter")
        elif kind == "rating":
            keys(page, "1", "2", "3", "4", "5", "1", "Enter")
        elif kind == "thumb":
            keys(page, "1", "2", "1", "Enter")
        elif kind == "edit":
            keys(page, "2", "Enter")
            page.keyboard.type(" Better.")
            keys(page, "Control+Enter")
        else:
            keys(page, "Enter")
            page.keyboard.type("My own words 1 2 3.")
            keys(page, "Control+Enter")
        if kind != "demonstration":
            page.wait_for_function("kind => document.querySelector('#bar')?.dataset.kind !== kind", arg=kind)
    page.wait_for_selector(".state.done")
    result = answers(stand, 6)
    assert result[:4] == [
        {"choice": "right", "strength": 3}, {"ranks": [2, 2, 1]},
        {"ratings": {"helpful": [1, 3, 5], "polite": [2, 4, 1]}}, {"thumbs": [True, False, True]},
    ]  # fmt: skip
    assert result[4]["slot"] == 1
    assert result[4]["text"].endswith(" Better.")
    assert result[5] == {"text": "My own words 1 2 3."}


@pytest.mark.parametrize(("key", "choice"), [("3", "tie"), ("4", "both_bad")])
def test_a_tie_has_no_strength(serve, window, key, choice):
    stand, page = opened(serve, window, "pair")
    keys(page, "1", "w", key, "Enter")
    assert answers(stand) == [{"choice": choice, "strength": None}]


def test_confirming_too_early_says_what_is_missing(serve, window):
    stand, page = opened(serve, window, "pair")
    keys(page, "Enter")
    assert page.inner_text("#hint") == "Choose a side, a tie, or both bad."
    keys(page, "1", "Enter")
    assert page.inner_text("#hint") == "How much better is it?"
    keys(page, "q", "Enter")
    assert answers(stand) == [{"choice": "left", "strength": 1}]


def shown_since(page: Any, seconds: float) -> None:
    """Lets the item have been on the page for so long."""
    page.evaluate(
        """async seconds => {
          const { judge } = await import(document.querySelector('script[src$="judge.js"]').src);
          judge.time.begun = performance.now() - 1000 * seconds;
        }""",
        seconds,
    )


@pytest.mark.parametrize(("key", "choice"), [("1", "left"), ("4", "both_bad")])
def test_one_key_answers_a_pair_where_no_strength_is_asked(serve, window, key, choice):
    stand, page = opened(serve, window, "pair", strength=False)
    first = item(page)
    shown_since(page, 1)
    keys(page, key)
    second = next_item(page, first)
    shown_since(page, -60)
    keys(page, key)  # the same key at once: nobody has read this one
    assert "Press it again" in page.inner_text("#hint")
    assert item(page) == second
    keys(page, "z")
    assert item(page) == first
    keys(page, "Enter")  # left as it was
    assert item(page) == second
    assert page.locator("#bar input:checked").count() == 1  # what was chosen too soon waits
    shown_since(page, 1)
    keys(page, key)
    page.wait_for_selector(".state.done")
    assert answers(stand, 2) == [{"choice": choice, "strength": None}] * 2


def test_one_tap_answers_and_arrow_keys_only_walk(serve, window):
    stand, page = opened(serve, window, "pair", strength=False)
    first = item(page)
    shown_since(page, 1)
    page.get_by_label("A is better").focus()
    keys(page, "ArrowRight", "ArrowRight")
    assert item(page) == first
    page.get_by_label("B is better").click()
    next_item(page, first)
    assert answers(stand) == [{"choice": "right", "strength": None}]


def test_a_pair_by_mouse(serve, window):
    stand, page = opened(serve, window, "pair")
    page.get_by_label("B is better").check()
    page.get_by_role("radio", name="much").check()
    page.get_by_role("button", name="Confirm").click()
    assert answers(stand) == [{"choice": "right", "strength": 3}]


def test_a_pair_by_touch_on_a_phone(serve, window):
    stand = serve(plain(1))
    page = window(stand.person(), width=360, height=740, has_touch=True, is_mobile=True)
    begin(page, stand.url)
    page.get_by_label("A is better").tap()
    page.get_by_role("radio", name="slightly").tap()
    page.get_by_role("button", name="Confirm").tap()
    assert answers(stand) == [{"choice": "left", "strength": 1}]
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_ranking_by_drag(serve, window):
    stand, page = opened(serve, window, "ranking", 3)
    for slot, place in ((0, 2), (1, 1), (2, 2)):
        page.get_by_role("button", name=re.compile(f"^{'ABC'[slot]} ?:")).drag_to(
            page.locator(f".zone[data-rank='{place}']")
        )
    assert page.inner_text(".asked-head .hint") == "B > A = C"
    page.get_by_role("button", name="Confirm").click()
    assert answers(stand) == [{"ranks": [2, 1, 2]}]


def test_ranking_with_arrows_on_a_chip(serve, window):
    stand, page = opened(serve, window, "ranking", 3)
    page.get_by_role("button", name=re.compile("^B ?:")).focus()
    keys(page, "ArrowRight")
    assert "place 1 of 3" in page.evaluate("() => document.activeElement.textContent")
    for chip in ("A", "C"):
        page.get_by_role("button", name=re.compile(f"^{chip} ?:")).focus()
        keys(page, "ArrowRight", "ArrowRight", "ArrowRight")
    page.get_by_role("article").focus()
    keys(page, "Enter")
    assert answers(stand) == [{"ranks": [2, 1, 2]}]  # places left empty are closed


def test_the_same_number_twice_takes_the_place_back(serve, window):
    stand, page = opened(serve, window, "ranking", 2)
    keys(page, "1", "1", "2", "1", "Enter")
    assert answers(stand) == [{"ranks": [2, 1]}]


def test_rating_by_arrows_goes_back_and_forth(serve, window):
    stand, page = opened(serve, window, "rating", 2, axes=("helpful",))
    keys(page, "5", "ArrowLeft", "2", "3", "Enter")
    assert answers(stand) == [{"ratings": {"helpful": [2, 3]}}]


def test_an_unchanged_edit_is_confirmed_twice(serve, window):
    stand, page = opened(serve, window, "edit", 2)
    keys(page, "1", "Enter")
    assert "Nothing is changed" in page.inner_text("#hint")
    assert stand.judgements() == []
    keys(page, "Control+Enter")
    assert answers(stand)[0]["slot"] == 0


def test_keys_of_one_kind_do_nothing_in_another(serve, window):
    _, page = opened(serve, window, "demonstration")
    keys(page, "1", "q", "t")
    assert page.input_value("textarea.editor") == ""


def test_a_conversation_is_shown_whole(serve, window):
    turns = [("user", "first"), ("assistant", "second"), ("user", "third")]
    stand = serve([comparison("many", turns, ["a", "b"])])
    page = window(stand.person())
    begin(page, stand.url)
    assert page.locator(".turn .words").all_inner_texts() == ["first", "second", "third"]
    assert page.locator(".turn .who").all_inner_texts() == ["User", "Assistant", "User"]


def test_skip_and_flag(serve, window):
    stand = serve(plain(3))
    page = window(stand.person())
    begin(page, stand.url)
    first = item(page)
    keys(page, "f")
    page.keyboard.type("The prompt is cut off. s z 1")
    keys(page, "Control+Enter")
    reads(page, "#hint", "lead")
    assert item(page) == first
    keys(page, "s", "2", "Enter")
    next_item(page, first)
    saved(page)
    answer = stand.events()
    assert [json.loads(row.payload)["reason"] for row in answer if row.kind == "skip"] == ["expertise"]
    assert [json.loads(row.payload)["comment"] for row in answer if row.kind == "flag"] == [
        "The prompt is cut off. s z 1"
    ]
    assert stand.judgements() == []


def test_scrolls_are_locked_and_raw_text_is_shown(serve, window):
    long = "\n\n".join(f"Paragraph **{n}**" for n in range(60))
    stand = serve([comparison("long", [("user", "Say much")], [long, long])])
    page = window(stand.person())
    begin(page, stand.url)
    keys(page, "l", "j")
    page.wait_for_function("() => [...document.querySelectorAll('.pane-words')].every(p => p.scrollTop > 50)")
    page.wait_for_timeout(200)
    page.evaluate("() => { document.querySelector('.pane-words').scrollTop = 0 }")
    page.wait_for_function("() => [...document.querySelectorAll('.pane-words')].every(p => p.scrollTop < 5)")
    keys(page, "r")
    assert "Paragraph **3**" in page.inner_text(".pane-words >> nth=0")
    keys(page, "1", "w", "Enter")
    until(lambda: len(stand.judgements()) == 1)
    assert 0.2 < stand.judgements()[0].seen < 1  # one of them was never read to its end


def test_the_keys_that_are_told_are_those_that_act(serve, window):
    _, page = opened(serve, window, "pair", strength=False)
    assert page.locator(".strengths").count() == 0
    keys(page, "?")
    told = page.get_by_role("dialog").inner_text()
    assert "equally good" in told
    assert "slightly" not in told
