"""What is said of revisions: numbers worked by hand, of two principles and four prompts."""

import pytest

from prefloop.errors import UserError
from prefloop.records import Message, Revised, Step
from prefloop.revise.told import counted, refuse_worthless, sentences, turns
from prefloop.revise.wording import cleaned, unusable


def row(number: int, draft: str, *steps: Step) -> Revised:
    whole = bool(draft) and not any(step.failure for step in steps)
    return Revised(
        id=f"p{number}",
        messages=(Message(role="user", content=f"{number}?"),),
        draft=draft,
        steps=steps,
        revision=(steps[-1].revision if steps else draft) if whole else None,
        reviser="model:m",
    )


def step(principle: str, revision: str, *failures: str, failed: bool = False) -> Step:
    failure = failures[-1] if failed else ""
    return Step(principle=principle, critique="c", revision=revision, failures=failures, failure=failure)


ROWS = [
    row(0, "a b c d e", step("one", "a b c"), step("two", "a b c")),
    row(1, "a b c", step("two", "a b c x y", "empty")),
    row(2, "a b", step("one", "", "refused", "refused", "empty", failed=True)),
    row(3, ""),
]
"""Of one: five words become three, and a failure. Of two: nothing changes in what one has left; three become five."""


def test_each_step_is_of_the_text_before_it():
    assert [(s.principle, before) for s, before in turns(ROWS)] == [
        ("one", "a b c d e"),
        ("two", "a b c"),
        ("two", "a b c"),
        ("one", "a b"),
    ]


def test_numbers_by_hand():
    told = counted(ROWS, ("one", "two", "three"))
    assert (told["num_revised"], told["num_unchanged"], told["num_left_out"], told["num_no_draft"]) == (2, 0, 2, 1)
    assert (told["num_refused"], told["num_empty"], told["num_malformed"]) == (2, 2, 0)
    one, two, three = told["principles"].values()
    assert (one["drawn"], one["left_out"], one["num_refused"], one["num_empty"]) == (2, 1, 2, 1)
    assert (one["changed"], one["words"]) == (1.0, -2.0)
    assert (two["drawn"], two["left_out"], two["num_empty"]) == (2, 0, 1)
    assert (two["changed"], two["words"]) == (0.5, 1.0)
    assert 0 < one["overlap"] < two["overlap"] < 1
    assert (three["drawn"], three["changed"], three["overlap"], three["words"]) == (0, None, None, None)


def test_the_same_in_words():
    said = sentences(counted(ROWS, ("one", "two", "three")), ROWS)
    assert said[0].startswith("one: drawn 2 times, changed the text in 100% (word overlap ")
    assert said[0].endswith("-2.0 words); 1 left out (2 refused, 1 empty answers).")
    assert said[2] == "three: never drawn."
    assert said[3].startswith("2 of 4 drafts have a revision, 0 of them the draft itself; 2 are left out (answers that")
    failed = [row(0, "a", step("one", "", "empty", failed=True))]
    assert sentences(counted(failed, ("one",)), failed)[0] == (
        "one: drawn 1 times, and never followed; 1 left out (1 empty answers)."
    )


def test_one_text_for_all_is_worthless_only_where_the_drafts_differ():
    """Of eight drafts that are one text themselves nothing is known; nor of seven."""
    same = [row(i, f"draft {i}", step("one", "fine")) for i in range(8)]
    with pytest.raises(UserError, match="8 drafts into one and the same text, 'fine', of which nothing can be learned"):
        refuse_worthless(same, kept="there")
    refuse_worthless(same[:7], kept="there")
    refuse_worthless([row(i, "draft", step("one", "fine")) for i in range(8)], kept="there")
    refuse_worthless([*same[:7], row(7, "draft 7", step("one", "other"))], kept="there")


def test_no_revision_at_all_is_worthless_and_no_draft_is_not_the_revisers_fault():
    failed = [row(i, f"draft {i}", step("one", "", "empty", failed=True)) for i in range(8)]
    with pytest.raises(UserError, match=r"none of its revisions of 8 drafts can be used \(8 empty\)"):
        refuse_worthless(failed, kept="there")
    refuse_worthless([row(i, "") for i in range(20)], kept="there")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ('"Yes."', "Yes."),
        ('"Yes," he said, "no."', '"Yes," he said, "no."'),
        ("Revision: it is fine: yes", "it is fine: yes"),
        ("The revised response: Hello", "Hello"),
        ("A revision of the order was sent.", "A revision of the order was sent."),
        ("「好的。」", "好的。"),
        ("“好的。”", "好的。"),
        ("新回答：好的。", "好的。"),
    ],
)
def test_what_is_taken_off_an_answer(answer: str, text: str):
    assert cleaned(answer) == text


@pytest.mark.parametrize(
    ("answer", "critique", "why"),
    [
        ("I cannot help with that.", False, ""),
        ("I cannot help with that.", True, "refused"),
        ("对不起，我不能这样做。", False, ""),
        ("【回答】好的", False, "malformed"),
        ("It says [sic] so.", False, ""),
        (" \n", False, "empty"),
        ("Revision:", False, "empty"),
    ],
)
def test_which_answers_can_be_used(answer: str, critique: bool, why: str):
    assert unusable(answer, critique=critique) == why
