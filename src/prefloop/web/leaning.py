"""Whether somebody prefers what one model wrote more often than others do: a model that judges may favour its own kind (DIA-12)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from prefloop.people import annotators
from prefloop.people.annotators import Norms
from prefloop.web import facts
from prefloop.web.facts import Fact, Votes, finite
from prefloop.web.tables import responses

LEAST = 10
"""Comparisons before a leaning is looked for."""
Shares = dict[str, list[tuple[float, float]]]
"""Comparison -> (own share, mean share of the others) of each of its pairs."""


def by_sampler(connection: Connection, mine: Sequence[Fact], votes: Votes) -> list[dict[str, Any]]:
    """Of each sampler: how often this annotator and the others preferred it on the same pairs of two samplers, and whether that differs.

    Args:
        mine: one annotator's judgements.
        votes: of those who are believed, see `quality.votes_of`.

    Returns: rows ready for JSON, the strongest leaning first; p-values are Holm's over all rows.
    """
    judged = [one for one in mine if one.kind == "pair" and one.purpose == "work" and not one.repeat]
    known = samplers(connection, {one.comparison for one in judged})
    told: dict[str, Shares] = {}
    for one in judged:
        others = [other for other in votes.get(one.unit, ()) if other.user != one.user]
        written = [known.get((one.comparison, index), "") for index in one.responses]
        if not others or written[0] == written[1]:
            continue
        for index, sampler in zip(one.responses, written, strict=True):
            shares = _share(one, index), sum(_share(other, index) for other in others) / len(others)
            told.setdefault(sampler, {}).setdefault(one.comparison, []).append(shares)
    found = []
    for sampler, shares in sorted(told.items()):
        if len(shares) >= LEAST:
            means = np.array([np.mean(pairs, axis=0) for pairs in shares.values()])
            found.append((sampler, annotators.leaning(means[:, 0], means[:, 1], confidence=Norms().confidence)))
    adjusted = annotators.holm([one.p_value for _, one in found])
    rows = [
        {
            "sampler": sampler, "n": one.n, "mine": finite(one.mine), "others": finite(one.others), "difference": finite(one.difference),
            "low": finite(one.low), "high": finite(one.high), "p_value": finite(p), "leans": bool(p < 1 - Norms().confidence),
        }
        for (sampler, one), p in zip(found, adjusted, strict=True)
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -abs(row["difference"]))


def _share(one: Fact, index: int) -> float:
    return 0.5 if one.best is None else float(one.best == index)


def samplers(connection: Connection, names: set[str]) -> dict[tuple[str, int], str]:
    """(comparison, index) -> who wrote the response."""
    query = select(responses.c.comparison, responses.c.index.label("number"), responses.c.sampler)
    return {
        (row.comparison, row.number): row.sampler
        for part in facts.parts(names)
        for row in connection.execute(query.where(responses.c.comparison.in_(part)))
    }
