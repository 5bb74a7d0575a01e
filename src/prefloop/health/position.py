"""Does the place decide, of the labels that are learned from?

A scorer reads one response at a time, and a pair classifier takes the mean of both orders, so neither can prefer a
place; but labels that do are noise to them.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from prefloop.records import Preference, opening
from prefloop.records.probes import Finding, Probe
from prefloop.stats.intervals import share_interval

CONFIDENCE = 0.95
DECIDED = 0.1
"""Share of the votes, on top of what chance and quality explain, that the place may decide."""
LEAST = 40
"""Votes below which nothing is judged."""


def of_labels(rows: Sequence[Preference]) -> Probe:
    """Whether annotators chose the place: the share of votes with a side that are for the response shown first.

    Sides are drawn at random, so quality favours neither. The shift is the log-odds of that share; a bias that decides
    more than `DECIDED` of the votes is a shortcut: the share is beyond (1 +- DECIDED) / 2. Ties say nothing.
    """
    said = [
        (float((vote.side == "chosen") == vote.first), opening(row.messages))
        for row in rows
        for vote in row.votes
        if vote.side != "tie" and vote.first is not None
    ]
    firsts, prompts = [first for first, _ in said], [prompt for _, prompt in said]
    if not said:
        return _found("not_applicable", 0, None)
    share = float(np.mean(firsts))
    low, high = share_interval(firsts, prompts, confidence=CONFIDENCE)
    finding: Finding = "fine"
    if len(said) < LEAST:
        finding = "unclear"
    elif (low > 0.5 or high < 0.5) and abs(2 * share - 1) >= DECIDED:
        finding = "shortcut"
    elif max(abs(2 * low - 1), abs(2 * high - 1)) >= DECIDED:
        finding = "unclear"
    # of all votes or none the log-odds are infinite: half a vote is added to both sides
    counted = (sum(firsts) + 0.5) / (len(firsts) + 1)
    ends = (float(special.logit(low)), float(special.logit(high)))
    return _found(finding, len(said), float(special.logit(counted)), *ends)


def _found(finding: Finding, num: int, shift: float | None, low: float = -math.inf, high: float = math.inf) -> Probe:
    return Probe(
        name="position",
        kind="position",
        expected="not_rise",
        finding=finding,
        num=num,
        shift=shift,
        low=low if math.isfinite(low) else None,
        high=high if math.isfinite(high) else None,
        token=("first" if (shift or 0) > 0 else "second") if finding == "shortcut" else None,
    )
