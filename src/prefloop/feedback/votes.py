"""What each annotator of a pair said, as an interval of the difference they felt.

    rejected is much | clearly | slightly better | tie | chosen is slightly | clearly | much better
                  -third    -second         -first first              second    third

The three edges are learned with the model, so that nobody has to say what "slightly" means. A vote without a strength
is all that lies beyond a tie; a preference whose votes are not known is a plain win, from 0 upwards, as Bradley and
Terry had it.
"""

import math
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from prefloop.ops.preferences import graded_preference_loss
from prefloop.records import Preference, Vote

Interval = tuple[int, int, int]
"""1 or -1 for the side, and two places in `Edges.values`"""
EDGE_LR = 0.02
"""Learning rate of the edges' logarithms: three numbers that every vote speaks of, whatever the rate that the model
needs."""
_MINUS_FIRST, _NOTHING, _FIRST, _SECOND, _THIRD, _INFINITE = range(6)
WIN: Interval = (1, _NOTHING, _INFINITE)
TIE, ANY_STRENGTH = (_MINUS_FIRST, _FIRST), (_FIRST, _INFINITE)
"""Where a tie lies, and where a side without a strength does."""


def intervals(preference: Preference) -> tuple[Interval, ...]:
    """One for each vote; a plain win if votes are not known."""
    return tuple(map(interval, preference.votes)) or (WIN,)


def interval(vote: Vote) -> Interval:
    """What one annotator said."""
    if vote.side == "tie":
        return 1, _MINUS_FIRST, _FIRST
    low = _FIRST if vote.strength is None else (_FIRST, _SECOND, _THIRD)[vote.strength - 1]
    return 1 if vote.side == "chosen" else -1, low, _INFINITE if vote.strength is None else low + 1


def outcomes_of(votes: Sequence[Interval], share: float | None) -> list[tuple[int, float]]:
    """What the votes of a pair are without their strengths: 1 for the chosen response, 0 for a tie, -1 for the other,
    each with its share of the votes; a share that is known without votes serves as well, and without both it is a win.
    """
    if not votes:
        return [(1, 1.0)] if share is None else [(1, share), (-1, 1 - share)]
    return [(0 if (low, high) == TIE else side, 1 / len(votes)) for side, low, high in votes]


class Edges(nn.Module):
    """Where a tie ends, and where slight becomes clear and clear becomes much; in log-odds, always in that order."""

    def __init__(self) -> None:
        super().__init__()
        self.gaps = nn.Parameter(torch.tensor([0.5, 1.0, 1.0]).log())

    def values(self) -> Tensor:
        """(6,) the edges, and what lies around them: -first, 0, first, second, third, inf."""
        first, second, third = self.gaps.exp().cumsum(0)
        return torch.stack([-first, torch.zeros_like(first), first, second, third, torch.full_like(first, torch.inf)])

    def losses(self, margins: Tensor, votes: Sequence[Sequence[Interval]]) -> Tensor:
        """(B,) nats per preference: the mean over its votes.

        Args:
            margins: (B,) raw score of the chosen response less that of the rejected one.
            votes: of each preference, at least one.
        """
        device = margins.device
        rows = torch.tensor([row for row, of_row in enumerate(votes) for _ in of_row], device=device)
        losses = self.surprise(margins[rows], [vote for of_row in votes for vote in of_row])
        share = torch.tensor([1 / len(of_row) for of_row in votes], device=device)
        return torch.zeros_like(margins).index_add(0, rows, losses * share[rows])

    def surprise(self, felt: Tensor, votes: Sequence[Interval]) -> Tensor:
        """(V,) nats of each vote. Args: felt: (V,) the difference that its annotator felt, without their noise."""
        sides, low, high = torch.tensor(votes, device=felt.device).unbind(1)
        edges = self.values()
        return graded_preference_loss(felt * sides, edges[low], edges[high])

    def sharpness(self, felt: Tensor, votes: Sequence[Interval]) -> Tensor:
        """(V,) second derivative of `surprise` by felt: how much a vote tells of where the difference lies."""
        sides, low, high = torch.tensor(votes, device=felt.device).unbind(1)
        edges = self.values()
        return sum(
            (
                torch.sigmoid(edge - felt * sides) * torch.sigmoid(felt * sides - edge)
                for edge in (edges[low], edges[high])
            ),
            torch.zeros_like(felt),
        )


def without_opinion(weights: Sequence[float], votes: Sequence[Sequence[Interval]]) -> dict[str, float]:
    """What the loss is for a model to which all responses are equal, in nats per vote: where learning begins.

    `loss_at_start`: with the edges as they begin. `loss_no_opinion`: once it knows how often a tie and each strength
    are chosen, while the side is still a coin's: all that lies below was learned from what the responses say.

    Args:
        weights: (n,) of the preferences that are trained on.
        votes: of each, at least one.
    """
    edges = Edges()
    with torch.no_grad():
        start = edges.losses(torch.zeros(len(votes)), votes).cpu().double()
    weight = torch.tensor(weights, dtype=torch.float64)
    counts: defaultdict[tuple[int, int], float] = defaultdict(float)
    for each, said in zip(weights, votes, strict=True):
        for _, low, high in said:
            counts[low, high] += each / len(said) / sum(weights)
    ties, plain = counts.pop(TIE, 0.0), counts.pop(WIN[1:], 0.0)
    sided = sum(counts.values())
    strengths = [share for (low, high), share in counts.items() if (low, high) != ANY_STRENGTH]
    surprise = plain * math.log(2) - xlogx(ties / (1 - plain)) * (1 - plain) if plain < 1 else math.log(2)
    if sided > 0:
        surprise += sided * (math.log(2) - math.log(sided / (1 - plain)))
        surprise -= sum(strengths) * sum(xlogx(share / sum(strengths)) for share in strengths)
    return {"loss_at_start": float((start * weight).sum() / weight.sum()), "loss_no_opinion": surprise}


def xlogx(share: float) -> float:
    """share log share, 0 for none."""
    return share * math.log(share) if share > 0 else 0.0
