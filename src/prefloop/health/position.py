"""Does the place decide? Of the labels that are learned from, and of judges that read two responses in an order.

A scorer reads one response at a time, so it cannot prefer a place; but labels that do are noise to it.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from scipy import special

from prefloop.records import Preference, opening
from prefloop.records.probes import Finding, Probe
from prefloop.scoring.protocol import Conversation
from prefloop.stats.intervals import mean_interval, share_interval

CONFIDENCE = 0.95
DECIDED = 0.1
"""Share of the votes, on top of what chance and quality explain, that the place may decide."""
LARGE = 1 / 3
"""Share of what quality is worth to a judge of pairs that the place may be worth."""
LEAST = 40
"""Votes below which nothing is judged."""


class PairJudge(Protocol):
    """Whoever reads two responses in an order and says how much better the first is."""

    name: str

    def gaps(
        self, prompts: Sequence[Conversation], first: Sequence[str], second: Sequence[str]
    ) -> torch.Tensor | np.ndarray:
        """(B,) log-odds that the first response is better."""
        ...


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
        return _found("not_applicable", 0, 0, None)
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
    return _found(finding, len(said), 0, float(special.logit(counted)), *ends)


def of_judge(judge: PairJudge, rows: Sequence[Preference]) -> Probe:
    """Whether a judge of pairs prefers a place: each pair is read both ways round.

        gap(A, B) = quality + place,   gap(B, A) = -quality + place        place = the mean of the two

    The shift is the mean place in log-odds, `margins` what it is beside the mean size of quality.
    """
    if not rows:
        return _found("not_applicable", 0, 0, None)
    prompts = [row.messages for row in rows] * 2
    ahead, behind = [row.chosen for row in rows], [row.rejected for row in rows]
    gaps = np.array(judge.gaps(prompts, ahead + behind, behind + ahead).tolist()).reshape(2, -1)
    places, quality = gaps.mean(axis=0), float(np.abs(gaps[0] - gaps[1]).mean()) / 2
    shift = float(places.mean())
    if len({opening(row.messages) for row in rows}) < 2:
        return _found("unclear", len(rows), 2 * len(rows), shift)
    low, high = mean_interval(places, confidence=CONFIDENCE, clusters=[opening(row.messages) for row in rows])
    finding: Finding = "fine"
    if low > 0 or high < 0:
        finding = "shortcut" if abs(shift) >= LARGE * quality else "fine"
    elif max(-low, high) >= LARGE * quality and high > low:
        finding = "unclear"
    worth = shift / quality if quality else None
    return _found(finding, len(rows), 2 * len(rows), shift, low, high, margins=worth)


def _found(
    finding: Finding,
    num: int,
    num_scored: int,
    shift: float | None,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    margins: float | None = None,
) -> Probe:
    return Probe(
        name="position",
        kind="position",
        expected="not_rise",
        finding=finding,
        num=num,
        num_scored=num_scored,
        shift=shift,
        low=low if math.isfinite(low) else None,
        high=high if math.isfinite(high) else None,
        margins=margins,
        token=("first" if (shift or 0) > 0 else "second") if finding == "shortcut" else None,
    )
