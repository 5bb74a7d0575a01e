"""How well each annotator judges, and what sways them besides: learned together with the scores.

    felt = ability_a gap + first_a side + longer_a length + logistic noise        within the edges of votes.py

gap is the raw score of the chosen response less that of the rejected one; side is 1 if the chosen one was shown on the
left, -1 if on the right, 0 if nobody knows; length is how much longer the chosen one is, in units of the usual
difference. So what somebody chose for its side or its length is not put down to the response. Abilities are above 0 and
their logarithms have mean 0: the scale is the scores'. Log-ability and both biases have a normal prior of mean 0 and
deviation `SPREAD`: who judged little stays ordinary (a dozen votes weigh about as much as the prior). With ability 1
and no bias it is `Edges`. They begin where the page's estimates are: accuracies by Dawid and Skene 1979, as far as
several judged one pair, and the share of lefts. Shapes: B preferences, V votes, A annotators.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from scipy.special import logit
from torch import Tensor, nn

from prefloop.errors import UserError
from prefloop.feedback.votes import Edges, Interval
from prefloop.records import Preference
from prefloop.stats.aggregate import dawid_skene

SPREAD = 0.5
"""Deviation of the prior of a log-ability and of each bias, in nats."""
FIT: dict[str, Any] = {
    "one_coin": True, "smoothing": 0.5, "trust": 2.0, "tolerance": 1e-6, "max_iterations": 200, "prior": (0.5, 0.5)
}  # fmt: skip
"""How accuracies are estimated for a start, as the page does."""
LOOKS = 4.0
"""Votes for each side that everybody is taken to have cast before."""
SURE = 1.96
"""Deviations on both sides of an interval of 95 %."""


class Voter(NamedTuple):
    """Who cast a vote, and where the chosen response stood."""

    annotator: str | None
    side: int
    """1 left, -1 right, 0 not known"""


NOBODY = Voter(None, 0)
"""Who is not known."""


def voters_of(preference: Preference) -> tuple[Voter, ...]:
    """Of each vote; of a preference without votes nobody, once."""
    sides = {True: 1, False: -1, None: 0}
    return tuple(Voter(vote.annotator, sides[vote.first]) for vote in preference.votes) or (NOBODY,)


def _named(row: Preference) -> list[str]:
    """The annotators of its votes, as far as they are known."""
    return [vote.annotator for vote in row.votes if vote.annotator]


class Annotators(nn.Module):
    """What is believed of each annotator; one who is not known judges as the middle of them, without a bias."""

    length_unit: Tensor
    information: Tensor
    looked: Tensor

    def __init__(self, num_votes: Mapping[str, int]) -> None:
        """Args: num_votes: annotator -> votes, all of which share the prior."""
        super().__init__()
        self.num_votes = dict(sorted(num_votes.items()))
        self._places = {name: place for place, name in enumerate(self.num_votes)}
        size = len(self.num_votes)
        self.log_abilities, self.first, self.longer = (nn.Parameter(torch.zeros(size)) for _ in range(3))
        self.register_buffer("length_unit", torch.ones(()))
        self.register_buffer("information", torch.zeros(size, 3, 3))
        self.register_buffer("looked", torch.zeros(size))

    @classmethod
    def of(cls, rows: Iterable[Preference], path: str) -> Self:
        """Those who voted on the preferences of a file. Raises: UserError if no vote says whose it is."""
        counts = Counter(name for row in rows for name in _named(row))
        if not counts:
            raise UserError(
                f"{path}: annotators=learned needs votes that name who cast them, and none does. Leave annotators out, "
                'or give each of the `votes` its "annotator", as collect and the page do.'
            )
        return cls(counts)

    def strangers(self, rows: Iterable[Preference]) -> Counter[str]:
        """Those of whom nothing was learned -> their votes on some rows."""
        return Counter(name for row in rows for name in _named(row) if name not in self._places)

    def begin(self, votes: Sequence[Sequence[Interval]], voters: Sequence[Sequence[Voter]], lengths: Tensor) -> None:
        """Sets the unit of length, and where abilities (by pairs that several judged) and biases to the left begin.

        Args:
            votes, voters: of some preferences.
            lengths: (B,) letters of the chosen response less those of the rejected one.
        """
        with torch.no_grad():
            self.length_unit.fill_(float(lengths.cpu().double().square().mean().sqrt()) or 1.0)
            cast = [
                (row, self._places[voter.annotator], way * voter.side, way)
                for row, (said, who) in enumerate(zip(votes, voters, strict=True))
                for (way, low, _), voter in zip(said, who, strict=True)
                if voter.annotator in self._places and low > 0  # ties tell nothing of either
            ]
            if cast:
                row, who, left, way = (np.array(column) for column in zip(*cast, strict=True))
                self._begin(row, who, left, way)

    def _begin(self, row: np.ndarray, who: np.ndarray, left: np.ndarray, way: np.ndarray) -> None:
        """From (n,) votes with a side: their preference, annotator, whether left (1, -1, 0), for which (1, -1)."""
        size = len(self.num_votes)
        count = partial(np.bincount, minlength=size)
        share = (count(who[left > 0]) + LOOKS) / (count(who[left != 0]) + 2 * LOOKS)
        self.first.copy_(torch.tensor(logit(share)))
        _, several, times = np.unique(row, return_inverse=True, return_counts=True)
        shared = times[several] > 1
        if not shared.any():
            return
        _, item = np.unique(row[shared], return_inverse=True)
        believed = dawid_skene(
            item,
            who[shared],
            (way[shared] < 0).astype(int),
            num_items=int(item.max()) + 1,
            num_annotators=size,
            num_classes=2,
            **FIT,
        )
        log_odds = np.log(logit(np.clip(believed.accuracies, 0.55, 0.95)))
        judged = count(who[shared]) > 0
        start = np.where(judged, log_odds - log_odds[judged].mean(), 0.0)
        self.log_abilities.copy_(torch.tensor(start - start.mean()))

    def believed(self) -> tuple[Tensor, Tensor, Tensor]:
        """(A + 1,) ability, bias to the left and bias to the longer one; the last of each is somebody unknown."""
        none = torch.zeros(1, device=self.first.device)
        abilities = torch.cat([self.log_abilities - self.log_abilities.mean(), none]).exp()
        return abilities, torch.cat([self.first, none]), torch.cat([self.longer, none])

    def prior(self) -> Tensor:
        """() nats: how unusual these annotators are."""
        logs = self.log_abilities - self.log_abilities.mean()
        return sum((part.square().sum() for part in (logs, self.first, self.longer)), logs.new_zeros(())) / (
            2 * SPREAD**2
        )

    def losses(
        self,
        edges: Edges,
        margins: Tensor,
        votes: Sequence[Sequence[Interval]],
        voters: Sequence[Sequence[Voter]],
        lengths: Tensor,
    ) -> Tensor:
        """(B,) nats per preference: the mean over its votes, those of somebody known each with its share of the prior.

        Args:
            margins: (B,) raw score of the chosen response less that of the rejected one; has grad.
            votes, voters: of each preference, at least one.
            lengths: (B,) letters of the chosen response less those of the rejected one.
        """
        _, rows, felt = self._felt(margins, voters, lengths)
        losses = edges.surprise(felt, [vote for of_row in votes for vote in of_row])
        share = torch.tensor([1 / len(of_row) for of_row in votes], device=margins.device)
        mean = torch.zeros_like(margins).index_add(0, rows, losses * share[rows])
        named = [sum(voter.annotator in self._places for voter in who) / len(who) for who in voters]
        return mean + self.prior() / sum(self.num_votes.values()) * torch.tensor(named, device=margins.device)

    def _felt(
        self, margins: Tensor, voters: Sequence[Sequence[Voter]], lengths: Tensor
    ) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
        """(V,) who and their (3, V) slopes, (V,) the preference of each vote, (V,) the difference felt."""
        device, unknown = margins.device, len(self.num_votes)
        flat = [(row, self._places.get(v.annotator or "", unknown), v.side) for row, w in enumerate(voters) for v in w]
        rows, who, side = torch.tensor(flat, device=device).unbind(1)
        ability, first, longer = (values[who] for values in self.believed())
        length = (lengths.to(device) / self.length_unit)[rows]
        felt = ability * margins[rows] + first * side + longer * length
        return (who, torch.stack([ability * margins[rows], side.to(length), length])), rows, felt

    @torch.no_grad()
    def look(
        self,
        edges: Edges,
        margins: Tensor,
        votes: Sequence[Sequence[Interval]],
        voters: Sequence[Sequence[Voter]],
        lengths: Tensor,
    ) -> None:
        """Notes what these votes tell of each annotator at the scores reached, for intervals. Args: see `losses`."""
        (who, slopes), _, felt = self._felt(margins, voters, lengths)
        sharpness = edges.sharpness(felt, [vote for of_row in votes for vote in of_row])
        known = who < len(self.num_votes)
        outer = (slopes[:, None] * slopes[None] * sharpness).permute(2, 0, 1)
        self.information.zero_().index_add_(0, who[known], outer[known])
        self.looked.zero_().index_add_(0, who[known], torch.ones_like(felt[known]))

    def told(self) -> list[dict[str, Any]]:
        """Of each annotator: votes, ability with its interval of 95 % at these scores, and both biases.

        The interval is None for whom `look` did not meet.
        """
        abilities, first, longer = (values.detach().cpu().double().tolist() for values in self.believed())
        rows = []
        for place, (name, num) in enumerate(self.num_votes.items()):
            interval = None
            if looked := float(self.looked[place]):
                prior = torch.eye(3).cpu().double() / SPREAD**2
                whole = self.information[place].cpu().double() * (num / looked) + prior
                deviation = math.sqrt(float(whole.inverse()[0, 0]))
                interval = [abilities[place] * math.exp(way * SURE * deviation) for way in (-1, 1)]
            row = {"name": name, "num_votes": num, "ability": abilities[place], "interval": interval}
            rows.append(row | {"first": first[place], "longer": longer[place]})
        return rows


def sentence(told: Mapping[str, Any]) -> str:
    """A row of `Annotators.told` as a line of a table."""
    low, high = told["interval"] or (math.nan, math.nan)
    return (
        f"{told['name']:<16} {told['num_votes']:>6} votes   ability {told['ability']:.2f} ({low:.2f} to {high:.2f})   "
        f"for the left {told['first']:+.2f}   for the longer {told['longer']:+.2f}"
    )
