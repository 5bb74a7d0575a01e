"""Reward accuracy against the number of labels: of a small model learned here and now, and of reward models.

The small model (`stats.curve`) is there from the first hundred labels on and tells whether more of them help. A reward
model whose scores came in is tried on what was first judged after they came, which it cannot have learned from.
"""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from prefloop.stats import curve
from prefloop.stats.intervals import share_interval
from prefloop.web.body import finite
from prefloop.web.review.cached import Cached
from prefloop.web.review.dashboard import agreed
from prefloop.web.review.reward_scores import margin, scores_of
from prefloop.web.store.comparisons import of_responses, prompts_of
from prefloop.web.store.site import Site
from prefloop.web.store.tables import events, items, judgements, responses
from prefloop.web.work.votes import Unit, Vote, heard, units_of, votes_where

MOST = 4_000
"""Pairs that the curve is learned from, the newest ones."""
LEAST = 30
"""New pairs from which a reward model's accuracy is shown."""
SIGMAS = 1.96


def shares(units: dict[Unit, list[Vote]]) -> dict[Unit, float]:
    """The share that prefers the first response of each pair, among those who prefer one; ties count half."""
    decided = {unit: said for unit, said in units.items() if any(vote.best is not None for vote in said)}
    return {unit: sum(vote.share(unit[2][0]) for vote in said) / len(said) for unit, said in decided.items()}


def points(connection: Connection, share: dict[Unit, float]) -> list[curve.Point]:
    """The small model's curve over the newest pairs, in the order in which they were first judged.

    Prompts are told apart by their words: imports may name one twice.
    """
    units = list(share)[-MOST:]
    names = {unit[0] for unit in units}
    prompts, answers = prompts_of(connection, names), of_responses(connection, names, responses.c.text)
    first, second = ([answers[unit[0], unit[2][place]] for unit in units] for place in (0, 1))
    asked = [prompts[unit[0]] for unit in units]
    return curve.learning_curve(curve.differences(asked, first, second), [share[unit] for unit in units], asked)


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
    """Of each reward model: the judgements when its scores came, and its accuracy on pairs first judged since."""
    by_model = scores_of(connection, {unit[0] for unit in share})
    if not by_model:
        return []
    brought = select(events.c.at, events.c.payload).where(events.c.kind == "scores").order_by(events.c.seq)
    came = {json.loads(row.payload)["model"]: row.at for row in connection.execute(brought)}
    first, rows = first_judged(connection), []
    of_work = judgements.c.revision == 1, items.c.purpose == "work"
    before = select(func.count()).select_from(judgements.join(items, items.c.id == judgements.c.item)).where(*of_work)
    for model, scores in sorted(by_model.items(), key=lambda entry: came.get(entry[0], 0.0)):
        at = came.get(model, 0.0)
        newer = [unit for unit in share if share[unit] != 0.5 and first.get(unit, 0.0) > at]
        gaps = {unit: gap for unit in newer if (gap := margin(scores, unit[0], unit[2])) is not None}
        right = {unit: 0.5 if gap == 0 else float((gap > 0) == (share[unit] > 0.5)) for unit, gap in gaps.items()}
        labels = connection.execute(before.where(judgements.c.at <= at)).scalar_one()
        rows.append({"model": model, "labels": labels, "since": len(right), **_rate(connection, right)})
    return rows


def _rate(connection: Connection, right: dict[Unit, float]) -> dict[str, float | None]:
    """Mean with its interval: pairs of one prompt hang together."""
    if len(right) < LEAST:
        return {"accuracy": None, "low": None, "high": None}
    prompts = prompts_of(connection, {unit[0] for unit in right})
    low, high = share_interval([*right.values()], [prompts[unit[0]] for unit in right], confidence=0.95)
    return {"accuracy": finite(sum(right.values()) / len(right)), "low": finite(low), "high": finite(high)}


def _reckon(site: Site, connection: Connection) -> dict[str, Any]:
    votes = votes_where(connection, items.c.purpose.in_(("work", "adjudication")), items.c.kind == "pair")
    share = shares(units_of([vote for vote in heard(votes) if not vote.repeat]))
    line = points(connection, share)
    return {
        "pairs": len(share), "learned_from": min(len(share), MOST), "two_people": agreed(connection)["rate"],
        "points": [
            {
                "pairs": point.num_pairs, "accuracy": finite(point.accuracy), "gain": finite(point.gain),
                "standard_error": finite(point.standard_error), "gain_error": finite(point.gain_error),
            }
            for point in line
        ],
        "verdict": verdict(line), "models": models(connection, share),
    }  # fmt: skip


def verdict(line: Sequence[curve.Point]) -> str:
    """Whether the last doubling helped: `few` labels yet, `helps`, or `unclear`."""
    if not line or line[-1].gain is None or line[-1].gain_error is None:
        return "few"
    return "helps" if line[-1].gain > SIGMAS * line[-1].gain_error else "unclear"


numbers = Cached(_reckon, seconds=60.0)
"""`numbers.of(site)`: the curve, at most a minute old."""
