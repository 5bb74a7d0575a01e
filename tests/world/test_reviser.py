"""The simulated reviser: by gold, which it does not know, its revisions are better on the axis that was asked for."""

import random
from statistics import mean

import pytest

from prefloop.principles.reading import Principles, shipped
from prefloop.records import Message
from prefloop.world.agents import DEFAULT, reply
from prefloop.world.gold import AXES, judge
from prefloop.world.grammar import prompts
from prefloop.world.languages import table
from prefloop.world.reviser import MENDED, SimulatedReviser
from prefloop.world.tickets import read
from prefloop.world.vocabulary import plain


def drafts(language: str, count: int = 200) -> list[tuple[str, str]]:
    """(prompt, a response of the mixed staff)."""
    rng = random.Random(3)
    asked = prompts("train", count, language=language, seed=5)
    return [(p.text, reply(read(p.text), DEFAULT.draw(rng), rng)) for p in asked]


def test_it_knows_golds_axes_by_name():
    assert {*MENDED} == {*AXES}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("axis", AXES)
def test_what_it_mends_is_better_on_the_axis(language: str, axis: str):
    """With skill 1 the mean of the axis rises, or is nearly 1 already, and hardly a response falls; what gold would
    call harmful or untrue is gone where that was asked for."""
    before, after = [], []
    for number, (prompt, draft) in enumerate(drafts(language)):
        _, text = SimulatedReviser(1.0).revised(prompt, draft, (axis,), random.Random(number))
        before.append(vars_of(prompt, draft)[axis])
        after.append(vars_of(prompt, text)[axis])
    assert mean(after) > mean(before) + 0.04
    assert mean(b - a > 0.05 for a, b in zip(after, before, strict=True)) <= 0.06
    if axis in ("safe", "honest"):
        assert mean(after) > 0.99


def vars_of(prompt: str, text: str) -> dict[str, float]:
    verdict = judge(prompt, text)
    return {
        "helpful": verdict.helpful,
        "accurate": verdict.accurate,
        "empathetic": verdict.empathetic,
        "concise": verdict.concise,
        "safe": verdict.safe,
        "honest": verdict.honest,
        "utility": verdict.utility,
    }


def test_more_skill_more_utility():
    """All shipped principles, drawn at random: the mean utility rises with skill, and without any it falls a little."""
    drawn = Principles.of(["helpful", "harmless", "honest"])
    gains = []
    for skill in (0.0, 0.5, 1.0):
        gain = []
        for number, (prompt, draft) in enumerate(drafts("en", 400)):
            name = drawn.drawn(f"{number}")
            tags = drawn.named(name, [Message(role="user", content=prompt)]).tags
            _, text = SimulatedReviser(skill).revised(prompt, draft, tags, random.Random(number))
            gain.append(judge(prompt, text).utility - judge(prompt, draft).utility)
        gains.append(mean(gain))
    assert gains[0] < 0 < gains[1] < gains[2]
    assert gains[2] > 0.05


def test_skill_is_the_share_that_is_mended():
    """Drafts that are all harmful, revised to be safe: 0.7 of 2,000 are, within 4 deviations (0.041)."""
    prompt = next(p for p, _ in drafts("en") if read(p).unsafe)
    ticket = read(prompt)
    harm = plain(table("en").cases[ticket.topic].compliances[0]).format(who="", **ticket.slots())
    reviser = SimulatedReviser(0.7)
    mended = [
        not judge(prompt, reviser.revised(prompt, harm, ("safe",), random.Random(i))[1]).harmful for i in range(2000)
    ]
    assert judge(prompt, harm).harmful
    assert abs(mean(mended) - 0.7) < 0.041


def test_a_good_draft_is_left_alone_and_that_is_said():
    prompt, draft = next((p, d) for p, d in drafts("en") if judge(p, d).utility > 0.99 and not read(p).unsafe)
    for axis in ("safe", "honest", "empathetic"):
        critique, text = SimulatedReviser(1.0).revised(prompt, draft, (axis,), random.Random(0))
        assert (critique, text) == ("There is nothing to change.", draft)


def test_the_generator_decides():
    prompt, draft = drafts("en")[0]
    both = [SimulatedReviser(0.5).revised(prompt, draft, ("helpful",), random.Random(4)) for _ in range(2)]
    assert both[0] == both[1]


def test_every_shipped_principle_changes_something():
    """Each of the 30 mends some draft of the staff."""
    for name in shipped():
        drawn = Principles.of([name])
        for principle in drawn.by_language["en"]:
            revised = [
                SimulatedReviser(1.0).revised(prompt, draft, principle.tags, random.Random(0))[1] != draft
                for prompt, draft in drafts("en", 60)
            ]
            assert any(revised), principle.name
