"""Reward accuracy against the number of labels: of a small model learned here and now, and of the reward models whose scores came in.

The small model (`people.curve`) is there from the first hundred labels on and tells whether more of them help. A reward
model that was brought in is tried on what was first judged after its scores came, which it cannot have learned from.
"""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from prefloop.people import curve as arithmetic
from prefloop.web import facts, reward_scores
from prefloop.web.dashboard import agreed
from prefloop.web.facts import Fact, Kept, Unit, finite
from prefloop.web.site import Site
from prefloop.web.tables import comparisons, events, items, judgements, responses

MOST = 4_000
"""Pairs that the curve is learned from, the newest ones."""
LEAST = 30
"""New pairs from which a reward model's accuracy is shown."""
SIGMAS = 1.96


def shares(units: dict[Unit, list[Fact]]) -> dict[Unit, float]:
    """The share that prefers the first response of each pair, among those who prefer one; ties count half."""
    found = {}
    for unit, said in units.items():
        if any(one.best is not None for one in said):
            found[unit] = sum(0.5 if one.best is None else float(one.best == unit[2][0]) for one in said) / len(said)
    return found


def _texts(connection: Connection, names: set[str]) -> tuple[dict[str, tuple[str, str]], dict[tuple[str, int], str]]:
    """Comparison -> (prompt's name, all that was said before), and (comparison, index) -> response."""
    prompts: dict[str, tuple[str, str]] = {}
    answers: dict[tuple[str, int], str] = {}
    for part in facts.parts(names):
        for row in connection.execute(
            select(comparisons.c.id, comparisons.c.prompt_id, comparisons.c.messages).where(comparisons.c.id.in_(part))
        ):
            prompts[row.id] = (row.prompt_id, "\n".join(message["content"] for message in row.messages))
        texts = select(responses.c.comparison, responses.c.index.label("number"), responses.c.text).where(
            responses.c.comparison.in_(part)
        )
        for row in connection.execute(texts):
            answers[row.comparison, row.number] = row.text
    return prompts, answers


def points(connection: Connection, share: dict[Unit, float]) -> list[arithmetic.Point]:
    """The small model's curve over the newest pairs, in the order in which they were first judged."""
    units = list(share)[-MOST:]
    prompts, answers = _texts(connection, {unit[0] for unit in units})
    first, second = ([answers[unit[0], unit[2][place]] for unit in units] for place in (0, 1))
    features = arithmetic.differences([prompts[unit[0]][1] for unit in units], first, second)
    return arithmetic.learning_curve(features, [share[unit] for unit in units], [prompts[unit[0]][0] for unit in units])


def models(connection: Connection, units: dict[Unit, list[Fact]], share: dict[Unit, float]) -> list[dict[str, Any]]:
    """Of each reward model: judgements there were when its scores came, and its accuracy on pairs first judged since."""
    came: dict[str, float] = {}
    for row in connection.execute(
        select(events.c.at, events.c.payload).where(events.c.kind == "scores").order_by(events.c.seq)
    ):
        came[json.loads(row.payload)["model"]] = row.at
    known = reward_scores.of(connection, {unit[0] for unit in share})
    found = []
    for model, told in sorted(known.items(), key=lambda one: came.get(one[0], 0.0)):
        at = came.get(model, 0.0)
        right = [
            _right(gap, share[unit]) for unit, said in units.items()
            if share.get(unit, 0.5) != 0.5 and said[0].at > at and (gap := reward_scores.margin(told, unit[0], unit[2])) is not None
        ]  # fmt: skip
        before = select(func.count()).select_from(judgements.join(items, items.c.id == judgements.c.item))
        labels = connection.execute(
            before.where(judgements.c.at <= at, judgements.c.revision == 1, items.c.purpose == "work")
        ).scalar_one()
        found.append({"model": model, "labels": labels, "since": len(right), **_rate(right)})
    return found


def _right(gap: float, share: float) -> float:
    return 0.5 if gap == 0 else float((gap > 0) == (share > 0.5))


def _rate(right: Sequence[float]) -> dict[str, float | None]:
    if len(right) < LEAST:
        return {"accuracy": None, "standard_error": None}
    mean = sum(right) / len(right)
    return {"accuracy": finite(mean), "standard_error": finite((mean * (1 - mean) / len(right)) ** 0.5)}


def _reckon(site: Site, connection: Connection) -> dict[str, Any]:
    judged = facts.heard(facts.load(connection, items.c.purpose.in_(("work", "adjudication")), items.c.kind == "pair"))
    units = facts.by([one for one in judged if not one.repeat], lambda one: one.unit)
    share = shares(units)
    curve = points(connection, share)
    return {
        "pairs": len(share), "learned_from": min(len(share), MOST), "two_people": agreed(connection)["rate"],
        "points": [
            {
                "pairs": one.num_pairs, "accuracy": finite(one.accuracy), "standard_error": finite(one.standard_error),
                "gain": finite(one.gain), "gain_error": finite(one.gain_error),
            }
            for one in curve
        ],
        "verdict": verdict(curve), "models": models(connection, units, share),
    }  # fmt: skip


def verdict(curve: Sequence[arithmetic.Point]) -> str:
    """Whether the last doubling helped: `few` labels yet, `helps`, or `unclear`."""
    if not curve or curve[-1].gain is None or curve[-1].gain_error is None:
        return "few"
    return "helps" if curve[-1].gain > SIGMAS * curve[-1].gain_error else "unclear"


numbers = Kept(_reckon, seconds=60.0)
"""`numbers.of(site)`: the curve, at most a minute old."""
