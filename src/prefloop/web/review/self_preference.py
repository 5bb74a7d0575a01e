"""Whether somebody prefers what one model wrote more often than others do: judges favour their own kind (DIA-12)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from prefloop.stats import annotators, intervals
from prefloop.stats.annotators import Leaning, Norms
from prefloop.web.body import finite
from prefloop.web.store.comparisons import of_responses
from prefloop.web.store.tables import responses, users
from prefloop.web.work.votes import Vote, Votes

LEAST = 10
"""Comparisons before a leaning is looked for."""
Shares = dict[str, list[tuple[float, float]]]
"""Comparison -> (own share, mean share of the others) of each of its pairs."""


def by_sampler(
    connection: Connection, mine: Sequence[Vote], votes: Votes, *, look: tuple[int, float]
) -> list[dict[str, Any]]:
    """Of each sampler: how often this annotator and people preferred it on the same pairs, and whether that differs.

    Args:
        mine: one annotator's judgements.
        votes: of those who are believed, see `annotators.votes_of`. Programs that judge are left out: two of one family
            would hide each other.
        look: judgements up to which a leaning is looked for, and the chance of a false alarm that it may take
            (`annotators.looked_at`).

    Returns: rows for JSON, the strongest first; the interval is of all judgements, the finding of those looked at.
    """
    programs = set(connection.execute(select(users.c.id).where(users.c.kind != "person")).scalars())
    people = {unit: [vote for vote in said if vote.user not in programs] for unit, said in votes.items()}
    samplers = of_responses(connection, {vote.comparison for vote in mine}, responses.c.sampler)
    early = _leanings(mine[: look[0]], people, samplers)
    p_values = intervals.holm([leaning.p_value for leaning in early.values()])
    leans = {sampler for sampler, p in zip(early, p_values, strict=True) if p < look[1]}
    rows = []
    for sampler, leaning in _leanings(mine, people, samplers).items():
        numbers = {name: finite(asdict(leaning)[name]) for name in ("mine", "others", "difference", "low", "high")}
        rows.append({"sampler": sampler, "n": leaning.n, **numbers, "leans": sampler in leans})
    return sorted(rows, key=lambda row: -abs(row["difference"]))


def _leanings(mine: Sequence[Vote], votes: Votes, samplers: Mapping[tuple[str, int], str]) -> dict[str, Leaning]:
    """Sampler -> leaning, where there are enough comparisons."""
    shares: dict[str, Shares] = {}
    for vote in mine:
        others = [other for other in votes.get(vote.unit, ()) if other.user != vote.user]
        written = [samplers.get((vote.comparison, index), "") for index in vote.responses]
        if vote.kind != "pair" or vote.purpose != "work" or vote.repeat or not others or written[0] == written[1]:
            continue
        for index, sampler in zip(vote.responses, written, strict=True):
            both = vote.share(index), sum(other.share(index) for other in others) / len(others)
            shares.setdefault(sampler, {}).setdefault(vote.comparison, []).append(both)
    means = {
        sampler: np.array([np.mean(pairs, axis=0) for pairs in of_comparisons.values()])
        for sampler, of_comparisons in sorted(shares.items())
    }
    level = Norms().confidence
    return {
        sampler: annotators.leaning(column[:, 0], column[:, 1], confidence=level)
        for sampler, column in means.items()
        if len(column) >= LEAST
    }
