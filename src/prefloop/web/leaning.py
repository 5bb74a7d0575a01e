"""Whether somebody prefers what one model wrote more often than others do: a model that judges may favour its own kind (DIA-12)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from prefloop.stats import annotators, intervals
from prefloop.stats.annotators import Leaning, Norms
from prefloop.web import facts
from prefloop.web.accounts import PROGRAM
from prefloop.web.facts import Fact, Votes, finite
from prefloop.web.tables import responses, users

LEAST = 10
"""Comparisons before a leaning is looked for."""
Shares = dict[str, list[tuple[float, float]]]
"""Comparison -> (own share, mean share of the others) of each of its pairs."""


def by_sampler(
    connection: Connection, mine: Sequence[Fact], votes: Votes, *, look: tuple[int, float]
) -> list[dict[str, Any]]:
    """Of each sampler: how often this annotator and people preferred it on the same pairs of two samplers, and whether that differs.

    Args:
        mine: one annotator's judgements.
        votes: of those who are believed, see `quality.votes_of`. Programs that judge are left out: two of one family would hide each other.
        look: judgements up to which a leaning is looked for, and the chance of a false alarm that it may take (`quality.looked_at`).

    Returns: rows ready for JSON, the strongest leaning first; the interval is of all judgements, the finding of those looked at.
    """
    programs = set(connection.execute(select(users.c.id).where(users.c.password == PROGRAM)).scalars())
    people = {unit: [one for one in said if one.user not in programs] for unit, said in votes.items()}
    known = facts.of_responses(connection, {one.comparison for one in mine}, responses.c.sampler)
    early = _leanings(mine[: look[0]], people, known)
    found = {
        sampler
        for sampler, p in zip(early, intervals.holm([one.p_value for one in early.values()]), strict=True)
        if p < look[1]
    }
    rows = [
        {
            "sampler": sampler, "n": one.n, "mine": finite(one.mine), "others": finite(one.others), "difference": finite(one.difference),
            "low": finite(one.low), "high": finite(one.high), "leans": sampler in found,
        }
        for sampler, one in _leanings(mine, people, known).items()
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -abs(row["difference"]))


def _leanings(mine: Sequence[Fact], votes: Votes, known: Mapping[tuple[str, int], str]) -> dict[str, Leaning]:
    """Sampler -> leaning, where there are enough comparisons."""
    told: dict[str, Shares] = {}
    for one in mine:
        others = [other for other in votes.get(one.unit, ()) if other.user != one.user]
        if one.kind != "pair" or one.purpose != "work" or one.repeat or not others:
            continue
        written = [known.get((one.comparison, index), "") for index in one.responses]
        if written[0] == written[1]:
            continue
        for index, sampler in zip(one.responses, written, strict=True):
            shares = one.share(index), sum(other.share(index) for other in others) / len(others)
            told.setdefault(sampler, {}).setdefault(one.comparison, []).append(shares)
    means = {
        sampler: np.array([np.mean(pairs, axis=0) for pairs in shares.values()])
        for sampler, shares in sorted(told.items())
    }
    level = Norms().confidence
    return {
        sampler: annotators.leaning(one[:, 0], one[:, 1], confidence=level)
        for sampler, one in means.items()
        if len(one) >= LEAST
    }
