"""Reward accuracy against the number of labels: of a small model learned here and now, and of the reward models whose scores came in.

The small model (`people.curve`) is there from the first hundred labels on and tells whether more of them help. A reward
model that was brought in is tried on what was first judged after its scores came, which it cannot have learned from.
"""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from prefloop.stats import curve as arithmetic
from prefloop.stats.intervals import proportion
from prefloop.web import facts, reward_scores
from prefloop.web.dashboard import agreed
from prefloop.web.facts import Fact, Kept, Unit, finite
from prefloop.web.site import Site
from prefloop.web.tables import events, items, judgements, responses

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
            found[unit] = sum(one.share(unit[2][0]) for one in said) / len(said)
    return found


def points(connection: Connection, share: dict[Unit, float]) -> list[arithmetic.Point]:
    """The small model's curve over the newest pairs, in the order in which they were first judged; imports may name a prompt twice, its words do not."""
    units = list(share)[-MOST:]
    names = {unit[0] for unit in units}
    prompts, answers = facts.prompts_of(connection, names), facts.of_responses(connection, names, responses.c.text)
    first, second = ([answers[unit[0], unit[2][place]] for unit in units] for place in (0, 1))
    features = arithmetic.differences([prompts[unit[0]] for unit in units], first, second)
    return arithmetic.learning_curve(features, [share[unit] for unit in units], [prompts[unit[0]] for unit in units])


def first_judged(connection: Connection) -> dict[Unit, float]:
    """When each pair of work was judged first, by anybody; a revision or a ruling makes it no newer."""
    query = (
        select(items.c.comparison, items.c.kind, items.c.responses, func.min(judgements.c.at).label("at"))
        .join(judgements, judgements.c.item == items.c.id)
        .where(items.c.purpose == "work", items.c.kind == "pair", judgements.c.revision == 1)
        .group_by(items.c.id)
    )
    return {(row.comparison, row.kind, tuple(row.responses)): row.at for row in connection.execute(query)}


def models(connection: Connection, share: dict[Unit, float]) -> list[dict[str, Any]]:
    """Of each reward model: judgements there were when its scores came, and its accuracy on pairs first judged since."""
    known = reward_scores.of(connection, {unit[0] for unit in share})
    if not known:
        return []
    came: dict[str, float] = {}
    for row in connection.execute(
        select(events.c.at, events.c.payload).where(events.c.kind == "scores").order_by(events.c.seq)
    ):
        came[json.loads(row.payload)["model"]] = row.at
    first, found = first_judged(connection), []
    for model, told in sorted(known.items(), key=lambda one: came.get(one[0], 0.0)):
        at = came.get(model, 0.0)
        right = {
            unit: 0.5 if gap == 0 else float((gap > 0) == (share[unit] > 0.5)) for unit in share
            if share[unit] != 0.5 and first.get(unit, 0.0) > at and (gap := reward_scores.margin(told, unit[0], unit[2])) is not None
        }  # fmt: skip
        before = select(func.count()).select_from(judgements.join(items, items.c.id == judgements.c.item))
        labels = connection.execute(
            before.where(judgements.c.at <= at, judgements.c.revision == 1, items.c.purpose == "work")
        ).scalar_one()
        found.append({"model": model, "labels": labels, "since": len(right), **_rate(connection, right)})
    return found


def _rate(connection: Connection, right: dict[Unit, float]) -> dict[str, float | None]:
    """Mean with Wilson's interval, as if each prompt had been judged once: pairs of one prompt hang together."""
    if len(right) < LEAST:
        return {"accuracy": None, "low": None, "high": None}
    mean = sum(right.values()) / len(right)
    prompts = set(facts.prompts_of(connection, {unit[0] for unit in right}).values())
    wilson = proportion(round(mean * len(prompts)), len(prompts), confidence=0.95)
    return {"accuracy": finite(mean), "low": finite(wilson.low), "high": finite(wilson.high)}


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
        "verdict": verdict(curve), "models": models(connection, share),
    }  # fmt: skip


def verdict(curve: Sequence[arithmetic.Point]) -> str:
    """Whether the last doubling helped: `few` labels yet, `helps`, or `unclear`."""
    if not curve or curve[-1].gain is None or curve[-1].gain_error is None:
        return "few"
    return "helps" if curve[-1].gain > SIGMAS * curve[-1].gain_error else "unclear"


numbers = Kept(_reckon, seconds=60.0)
"""`numbers.of(site)`: the curve, at most a minute old."""
