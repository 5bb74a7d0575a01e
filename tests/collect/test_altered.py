"""Hard negatives: one copied thing is wrong, everything else stays, and held-out prompts get none."""

import random

import pytest

from prefloop.collect.altered import ALTERED, with_altered
from prefloop.records import Message, Prompt, Response
from prefloop.text.facts import Facts

CITIES = ("Leeds", "Dundee", "Exeter", "Luton")


def prompt(number: int) -> Prompt:
    """A customer of one of four cities, with one of four things."""
    thing = ("lamp", "chair", "sofa", "desk")[number % 4]
    text = f"Order {1000 + number}, the {thing}, must go to {CITIES[number // 4 % 4]}, please."
    return Prompt(id=f"p{number}", messages=(Message(role="user", content=text),))


PROMPTS = [prompt(number) for number in range(320)]
FACTS = Facts(names=CITIES, things=("lamp", "chair", "sofa", "desk"))


@pytest.mark.parametrize(
    ("response", "right"),
    [
        ("Order 1005 is on its way; 1005 it is.", "1005"),
        ("It goes to Dundee.", "Dundee"),
        ("Your chair is here.", "chair"),
    ],
)
def test_one_copied_thing_is_wrong_wherever_it_stands_and_all_else_is_as_it_was(response: str, right: str) -> None:
    for seed in range(20):
        text = FACTS.altered(PROMPTS[5], response, random.Random(seed))
        assert text is not None
        assert right not in text
        old, new = response.split(), text.split()
        assert {b for a, b in zip(old, new, strict=True) if a == b} == {a for a in old if right not in a}
        wrong = {b.strip(".;") for a, b in zip(old, new, strict=True) if a != b}
        assert len(wrong) == 1
        assert not wrong & {*PROMPTS[5].messages[0].content.replace(",", "").split()}
        if right.isdecimal():
            assert sum(a != b for a, b in zip(right, wrong.pop(), strict=True)) == 1


def test_nothing_is_made_of_a_response_that_copies_nothing() -> None:
    assert FACTS.altered(PROMPTS[5], "We are sorry. Call 4711, Anna.", random.Random(0)) is None


def test_words_that_many_prompts_have_are_no_facts() -> None:
    sparse = [prompt(number).model_copy(update={"id": f"p{number}"}) for number in range(4)] + [
        Prompt(id=f"q{number}", messages=(Message(role="user", content=f"Order {number} please Leeds"),))
        for number in range(60)
    ]
    assert Facts.of([*sparse, *sparse]) == Facts(names=(), things=("chair", "desk", "lamp", "sofa"))


def test_copies_are_added_of_different_responses_decided_by_seed_and_prompt_alone() -> None:
    def sampled() -> list[list[Response]]:
        texts = [(f"Order {1000 + n} is sent.", f"We sent order {1000 + n}.", "Thank you.") for n in range(320)]
        return [[Response(text=t, num_tokens=5, finished=True, sampler="m") for t in three] for three in texts]

    whole, half = sampled(), sampled()[160:]
    assert with_altered(PROMPTS, whole, FACTS, num=3, seed=1) == 320  # the third response copies nothing
    assert with_altered(PROMPTS[160:], half, FACTS, num=3, seed=1) == 160
    assert whole[160:] == half
    assert all(len({r.text for r in kept}) == 5 for kept in whole)
    assert all([r.sampler for r in kept] == ["m", "m", "m", ALTERED, ALTERED] for kept in whole)
