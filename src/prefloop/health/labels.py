"""What the labels themselves are worth: how far annotators agree, what ceiling that is, and what goes round."""

from collections import defaultdict

import numpy as np
from scipy.sparse import csgraph

from prefloop.health.held_out import HeldOut, share
from prefloop.records import Preference, spoken
from prefloop.records.cards import Agreement, Cycles, Share
from prefloop.stats.agreement import intransitivity
from prefloop.stats.arrays import Array
from prefloop.stats.noise import agreement_of_cycles, ceiling

LEAST_COUPLES = 30
"""Couples of votes, or triads, from which an agreement is told."""


def agreement(held_out: HeldOut, going_round: Cycles | None) -> Agreement | None:
    """From pairs that were judged twice; without those from triads of single decisions; None without either."""
    equal, rows = held_out.couples()
    if len(equal) >= LEAST_COUPLES:
        return _agreement(share(np.array(equal, dtype=float), held_out.clusters(rows)), "repeats")
    single = all(row.num_judgements == 1 for row in held_out.rows)
    if going_round is None or not single or going_round.triads < LEAST_COUPLES:
        return None
    cyclic = going_round.cyclic
    if cyclic.mean == 0:  # nobody errs, or the decisions are those of rankings, which cannot go round
        return None
    implied = {"mean": cyclic.mean, "low": cyclic.high, "high": cyclic.low}
    return _agreement(
        Share(**{name: agreement_of_cycles(value) for name, value in implied.items()}, num=cyclic.num), "cycles"
    )


def _agreement(equal: Share, source: str) -> Agreement:
    limit, low, high = (ceiling(share) for share in (equal.mean, equal.low, equal.high))
    best = Share(mean=limit.usual, low=low.usual, high=high.usual, num=equal.num)
    return Agreement(
        equal=equal,
        source="repeats" if source == "repeats" else "cycles",
        ceiling=best,
        ceiling_most=limit.most,
        ceiling_beyond=high.most,
        noise=Share(mean=1 - best.mean, low=1 - best.high, high=1 - best.low, num=best.num),
        nll_best=limit.nll,
    )


def cycles(held_out: HeldOut) -> Cycles | None:
    """What goes round among the decisions on each prompt; None if no three responses were all compared."""
    prompts: dict[str, list[Preference]] = defaultdict(list)
    for row in held_out.rows:
        prompts[spoken(row.messages)].append(row)
    around, triads, clusters = list[float](), list[float](), list[str]()
    for prompt, rows in prompts.items():
        wins = decisions(rows)
        cyclic, all_ = intransitivity(wins)
        if all_:
            around.append(float(_goes_round(wins)))
            triads += [1.0] * cyclic + [0.0] * (all_ - cyclic)
            clusters += [prompt] * all_
    if not around:
        return None
    prompts_around = share(around, list(dict.fromkeys(clusters)))
    return Cycles(prompts=prompts_around, triads=len(triads), cyclic=share(triads, clusters))


def decisions(rows: list[Preference]) -> Array:
    """(K, K) how many prefer the row's response to the column's, of one prompt; a decision without votes is one."""
    places: dict[str, int] = {}
    for row in rows:
        for text in (row.chosen, row.rejected):
            places.setdefault(text, len(places))
    wins = np.zeros((len(places), len(places)))
    for row in rows:
        sides = [vote.side for vote in row.votes]
        chosen, rejected = places[row.chosen], places[row.rejected]
        wins[chosen, rejected] += sides.count("chosen") if sides else 1
        wins[rejected, chosen] += sides.count("rejected")
    return wins


def _goes_round(wins: Array) -> bool:
    """Whether a chain of majorities leads from some response back to itself."""
    parts, _ = csgraph.connected_components(wins > wins.T, directed=True, connection="strong")
    return parts < len(wins)
