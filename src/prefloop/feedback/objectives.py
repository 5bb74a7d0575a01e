"""What scores are to be, by what was said of responses: one objective for each kind of feedback.

An objective turns the scores of items into losses by a pure function of `ops`, knows what a model without an opinion
would lose, and holds what is learned beside the model. Shapes: B items, K responses, M rated ones.

    pairs         votes  bradley_terry  robust  hinge  rao_kupper  davidson  pair_classifier
    K at once     plackett_luce  all_pairs
    one by one    regression  ordinal  thumbs
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from prefloop.feedback.annotators import NOBODY, Annotators, Voter
from prefloop.feedback.config import FeedbackConfig
from prefloop.feedback.items import Item, Row
from prefloop.feedback.votes import WIN, Edges, Interval, outcomes_of, without_opinion, xlogx
from prefloop.ops.preferences import (
    all_pairs_loss,
    bradley_terry_loss,
    centring_loss,
    davidson_loss,
    flipped_preference_loss,
    hinge_preference_loss,
    ordinal_loss,
    pair_logit,
    plackett_luce_loss,
    rao_kupper_loss,
    regression_loss,
    smoothed_preference_loss,
    soft_preference_loss,
    thumb_loss,
)
from prefloop.records import Preference, Ranking, Rated

FIRST_THRESHOLD = 0.5
"""Where a tie ends as learning begins, in log-odds, as for votes."""
LEAST_STEP = -10.0
"""Logarithm of the narrowest level: of one that is never learned from nothing else would be left to float32."""
HINGE = 1.0
"""Score units that a hinge asks for; scores are scaled afterwards, so that any number would do."""


class Objective(nn.Module):
    """How items teach. What stands here is right for losses of pairs that nothing is learned beside."""

    READS: tuple[type[Row], ...] = (Preference,)
    """Records that it learns from; what a file can give of them first is taken."""
    TIES: bool = False
    """Whether pairs without a majority teach."""
    BOTH_ORDERS: bool = False
    """Whether the model reads both responses of a pair in one sequence, in both orders."""
    THUMBS: bool = False
    """Whether it learns from thumbs, where it reads rated rows."""
    UNIT: float = 1.0
    """Log-odds of winning in a difference of one between raw scores."""

    def __init__(self, config: FeedbackConfig, levels: Sequence[float] = ()) -> None:
        """Args: levels: the different ratings of the file, ascending, if it rates."""
        super().__init__()
        self.config, self.levels = config, tuple(levels)

    def forward(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        """(B,) nats per item, with the charge that holds scores near 0, if there is one.

        Args: scores: (B, K) raw, 0 where an item has fewer responses; has grad.
        """
        losses = self._losses(scores, items)
        if not self.config.center_coef:
            return losses
        num = torch.tensor([len(item.sequences) for item in items], device=scores.device)
        return losses + self.config.center_coef * centring_loss(scores).sum(-1) / num

    def _losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        """(B,) nats per item. Args: scores: as in `forward`."""
        raise NotImplementedError

    def meet(self, rows: Iterable[Row]) -> None:
        """Looks at all that is learned from, before there is an optimiser."""

    def begin(self, items: Sequence[Item]) -> None:
        """Puts what is learned beside the model where the first items say, which may be none."""

    def look(self, scores: Tensor, items: Sequence[Item]) -> None:
        """Looks at items that taught, with the scores that they have at last. Args: scores: (B, K), on the CPU."""

    def count(self, items: Sequence[Item], said: dict[Any, float]) -> None:
        """Counts what was said of items, for `without_opinion`."""
        with torch.no_grad():
            width = max((len(item.sequences) for item in items), default=2)
            start = self._losses(torch.zeros(len(items), width), items).tolist() if items else []
        for item, loss in zip(items, start, strict=True):
            add(said, "loss", loss * item.weight)
            add(said, "weight", item.weight)

    def without_opinion(self, said: Mapping[Any, float]) -> dict[str, float | None]:
        """The loss of a model to which all responses are equal: where learning begins, and at best."""
        loss = said["loss"] / said["weight"] if said.get("weight") else None
        return {"loss_at_start": loss, "loss_no_opinion": loss}

    def learned(self, said: Mapping[Any, float]) -> dict[str, Any]:
        """What was learned beside the model, for the result."""
        return {}

    def first_edge(self, said: Mapping[Any, float]) -> float:
        """Log-odds where a tie ends; 0 if it knows no ties."""
        return 0.0

    @torch.no_grad()
    def mean_loss(self, scores: Tensor, items: Sequence[Item]) -> float:
        """Nats per item, as in training. Args: scores: (B, K), on the CPU."""
        device = next(self.parameters(), scores).device
        weights = torch.tensor([item.weight for item in items], dtype=torch.float64)
        losses = self(scores.to(device), items).cpu().double()
        return float((losses * weights).sum() / weights.sum())


def add(said: dict[Any, float], what: Any, weight: float) -> None:
    """Counts one more."""
    said[what] = said.get(what, 0.0) + weight


def gaps(scores: Tensor) -> Tensor:
    """(B,) score of the first response less that of the second, of pairs (B, 2)."""
    return scores[:, 0] - scores[:, 1]


def beside(scores: Tensor, numbers: Sequence[float]) -> Tensor:
    """(B,) a number of each item, in the form of its scores."""
    return torch.tensor(numbers, dtype=scores.dtype, device=scores.device)


class Votes(Objective):
    """Each annotator's choice with its strength, as an interval of the difference that they felt (votes.py).

    Of a preference without votes of which a share of the annotators is known that share is learned.
    """

    TIES = True

    def __init__(self, config: FeedbackConfig, levels: Sequence[float] = ()) -> None:
        super().__init__(config, levels)
        self.edges, self.annotators = Edges(), None

    def meet(self, rows: Iterable[Row]) -> None:
        """See `Objective`."""
        if self.config.annotators == "learned":
            self.annotators = Annotators.of(
                (row for row in rows if isinstance(row, Preference)), self.config.preferences
            )

    def begin(self, items: Sequence[Item]) -> None:
        """See `Objective`."""
        if self.annotators is not None:
            self.annotators.begin(*_votes(items))

    def look(self, scores: Tensor, items: Sequence[Item]) -> None:
        """See `Objective`."""
        if self.annotators is not None:
            self.annotators.look(self.edges, gaps(scores).to(self.edges.gaps.device), *_votes(items))

    def _losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        gap = gaps(scores)
        if self.annotators is None:
            losses = self.edges.losses(gap, [item.votes or (WIN,) for item in items])
        else:
            losses = self.annotators.losses(self.edges, gap, *_votes(items))
        if all(item.share is None for item in items):
            return losses
        share = beside(scores, [math.nan if item.share is None else item.share for item in items])
        known = ~share.isnan()
        return torch.where(known, soft_preference_loss(gap, torch.where(known, share, 1.0)), losses)

    def count(self, items: Sequence[Item], said: dict[Any, float]) -> None:
        """See `Objective`."""
        for item in items:
            add(said, item.votes or (WIN,), item.weight)

    def without_opinion(self, said: Mapping[Any, float]) -> dict[str, float | None]:
        """See `Objective`."""
        return {**without_opinion(list(said.values()), list(said))}

    def learned(self, said: Mapping[Any, float]) -> dict[str, Any]:
        """See `Objective`."""
        voted = any(votes != (WIN,) for votes in said)
        edges = {"vote_edges": self.edges.values()[2:5].tolist() if voted else None}
        return edges if self.annotators is None else edges | {"annotators": self.annotators.told()}

    def first_edge(self, said: Mapping[Any, float]) -> float:
        """See `Objective`."""
        return (self.learned(said)["vote_edges"] or [0.0])[0]


def _votes(items: Sequence[Item]) -> tuple[list[tuple[Interval, ...]], list[tuple[Voter, ...]], Tensor]:
    """What was said of pairs, by whom, and (B,) how much longer the chosen response is."""
    lengths = torch.tensor([float(item.letters[0] - item.letters[1]) for item in items])
    return [item.votes or (WIN,) for item in items], [item.voters or (NOBODY,) for item in items], lengths


class BradleyTerry(Objective):
    """The decision alone, believed a little less than said with `label_smoothing`."""

    def _losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        margin = beside(scores, [item.strength for item in items]) * self.config.margin_per_strength
        if self.config.label_smoothing:
            return smoothed_preference_loss(gaps(scores) - margin, smoothing=self.config.label_smoothing)
        return bradley_terry_loss(scores[:, 0], scores[:, 1], margin=margin)


class Robust(Objective):
    """The decision alone, of which a known share is the wrong way round."""

    def _losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        assert self.config.flip_rate is not None  # the settings say so
        return flipped_preference_loss(gaps(scores), flip_rate=self.config.flip_rate)


class Hinge(Objective):
    """The decision alone: enough is enough."""

    def _losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        wider = beside(scores, [item.strength for item in items]) * self.config.margin_per_strength
        return hinge_preference_loss(gaps(scores) - wider, margin=HINGE)


class Outcomes(Objective):
    """Wins, ties and losses, one for each vote, with a parameter of ties that is learned."""

    TIES = True
    BEGIN: ClassVar[float]

    def __init__(self, config: FeedbackConfig, levels: Sequence[float] = ()) -> None:
        super().__init__(config, levels)
        self.tie = nn.Parameter(torch.tensor(self.BEGIN))

    def _outcome_losses(self, gap: Tensor, outcome: Tensor) -> Tensor:
        """(M,) nats of outcomes 1, 0 and -1."""
        raise NotImplementedError

    def _losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        told = [(row, *each) for row, item in enumerate(items) for each in outcomes_of(item.votes, item.share)]
        rows = torch.tensor([row for row, _, _ in told], device=scores.device)
        gap, outcome = gaps(scores), beside(scores, [outcome for _, outcome, _ in told])
        losses = self._outcome_losses(gap[rows], outcome) * beside(scores, [share for _, _, share in told])
        return torch.zeros_like(gap).index_add(0, rows, losses)

    def count(self, items: Sequence[Item], said: dict[Any, float]) -> None:
        """See `Objective`."""
        for item in items:
            for outcome, share in outcomes_of(item.votes, item.share):
                add(said, "side" if outcome else "tie", item.weight * share)

    def without_opinion(self, said: Mapping[Any, float]) -> dict[str, float | None]:
        """See `Objective`."""
        ties, sides = said.get("tie", 0.0), said.get("side", 0.0)
        if not ties + sides:
            return {"loss_at_start": None, "loss_no_opinion": None}
        share = ties / (ties + sides)
        fresh = type(self)(self.config)
        with torch.no_grad():
            start = fresh._outcome_losses(torch.zeros(2), torch.tensor([0.0, 1.0])).tolist()
        return {
            "loss_at_start": share * start[0] + (1 - share) * start[1],
            "loss_no_opinion": -xlogx(share) - xlogx(1 - share) + (1 - share) * math.log(2),
        }


class RaoKupper(Outcomes):
    """A tie is a difference too small to be felt."""

    BEGIN = math.log(FIRST_THRESHOLD)

    def _outcome_losses(self, gap: Tensor, outcome: Tensor) -> Tensor:
        return rao_kupper_loss(gap, outcome, log_threshold=self.tie)

    def learned(self, said: Mapping[Any, float]) -> dict[str, Any]:
        """See `Objective`."""
        return {"tie_edge": self.tie.exp().item()}

    def first_edge(self, said: Mapping[Any, float]) -> float:
        """See `Objective`."""
        return self.tie.exp().item()


class Davidson(Outcomes):
    """A tie is a third outcome, likeliest between equals."""

    BEGIN = math.log(FIRST_THRESHOLD)

    def _outcome_losses(self, gap: Tensor, outcome: Tensor) -> Tensor:
        return davidson_loss(gap, outcome, log_tie=self.tie)

    def learned(self, said: Mapping[Any, float]) -> dict[str, Any]:
        """See `Objective`."""
        return {"log_tie": self.tie.item()}


class PairClassifier(Objective):
    """The model reads both responses, in both orders; a vote for the chosen one is a win, a tie half of one."""

    TIES = True
    BOTH_ORDERS = True
    UNIT = 0.5

    def _losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        shares = [
            sum(share * (1 + outcome) / 2 for outcome, share in outcomes_of(item.votes, item.share)) for item in items
        ]
        return soft_preference_loss(pair_logit(scores[:, 0], scores[:, 1]), beside(scores, shares))


class PlackettLuce(Objective):
    """A ranking as a whole: the best is drawn first, then the best of those left."""

    READS = (Ranking, Preference)

    def _losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        ranks, there = ranks_of(items, scores)
        groups: dict[int, list[int]] = {}  # those with ties cost 2^K, each of its own K
        for row, item in enumerate(items):
            groups.setdefault(len(item.ranks) if len(set(item.ranks)) < len(item.ranks) else 0, []).append(row)
        losses = torch.zeros_like(scores[:, 0])
        for width, some in groups.items():
            rows, columns = torch.tensor(some, device=scores.device), slice(width or None)
            mask = there[rows, columns]
            found = plackett_luce_loss(scores[rows, columns], ranks[rows, columns], mask=mask)
            losses = losses.index_add(0, rows, found)
        return losses


class AllPairs(Objective):
    """A ranking as the mean of its pairs."""

    READS = (Ranking, Preference)

    def _losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        ranks, there = ranks_of(items, scores)
        return all_pairs_loss(scores, ranks, divisor=self.config.divisor, mask=there)


def ranks_of(items: Sequence[Item], scores: Tensor) -> tuple[Tensor, Tensor]:
    """(B, K) ranks, and (B, K) True where a response stands; beside `scores`, on their device."""
    ranks, there = torch.zeros(scores.shape), torch.zeros(scores.shape, dtype=torch.bool)
    for row, item in enumerate(items):
        ranks[row, : len(item.ranks)] = torch.tensor(item.ranks)
        there[row, : len(item.ranks)] = True
    return ranks.to(scores.device), there.to(scores.device)


class Marked(Objective):
    """Responses that were rated each by itself; an item weighs as much as it has marks."""

    READS = (Rated,)

    def _mark_losses(self, scores: Tensor, marks: Tensor) -> Tensor:
        """(M,) loss of each mark."""
        raise NotImplementedError

    def _losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        marks = [(row, place, mark) for row, item in enumerate(items) for place, mark in known(item)]
        told = torch.tensor([mark[:2] for mark in marks], dtype=torch.long).view(-1, 2)
        rows, places = told.to(scores.device).unbind(1)
        losses = self._mark_losses(scores[rows, places], beside(scores, [mark for _, _, mark in marks]))
        share = beside(scores, [1 / len(known(items[row])) for row, _, _ in marks])
        return torch.zeros_like(scores[:, 0]).index_add(0, rows, losses * share)

    def count(self, items: Sequence[Item], said: dict[Any, float]) -> None:
        """See `Objective`."""
        for item in items:
            for _, mark in known(item):
                add(said, mark, 1.0)

    def without_opinion(self, said: Mapping[Any, float]) -> dict[str, float | None]:
        """See `Objective`."""
        total = sum(said.values())
        if not total:
            return {"loss_at_start": None, "loss_no_opinion": None}
        fresh, marks = type(self)(self.config, self.levels), torch.tensor(list(said))
        fresh.load_state_dict(self.begun)
        with torch.no_grad():
            start = fresh._mark_losses(torch.zeros(len(said)), marks) * torch.tensor(list(said.values())) / total
        return {"loss_at_start": float(start.sum()), "loss_no_opinion": -sum(xlogx(n / total) for n in said.values())}

    def begin(self, items: Sequence[Item]) -> None:
        """See `Objective`."""
        self._put([mark for item in items for _, mark in known(item)])
        self.begun = {name: value.clone() for name, value in self.state_dict().items()}

    def _put(self, marks: Sequence[float]) -> None:
        """Begins where some marks are what is expected of responses of score 0."""
        raise NotImplementedError


def known(item: Item) -> list[tuple[int, float]]:
    """(place, mark) of the responses that have one."""
    return [(place, mark) for place, mark in enumerate(item.marks) if not math.isnan(mark)]


class Regression(Marked):
    """The rating is the score, but for an offset that is learned; the steps of the scale are equal."""

    def __init__(self, config: FeedbackConfig, levels: Sequence[float] = ()) -> None:
        super().__init__(config, levels)
        self.offset = nn.Parameter(torch.tensor(0.0))

    def _put(self, marks: Sequence[float]) -> None:
        some = marks or self.levels
        nn.init.constant_(self.offset, sum(some) / len(some))

    def _mark_losses(self, scores: Tensor, marks: Tensor) -> Tensor:
        return regression_loss(scores + self.offset, marks)

    def count(self, items: Sequence[Item], said: dict[Any, float]) -> None:
        """See `Objective`."""
        marks = [mark for item in items for _, mark in known(item)]
        for power in (0, 1, 2):
            add(said, power, sum(mark**power for mark in marks))

    def without_opinion(self, said: Mapping[Any, float]) -> dict[str, float | None]:
        """See `Objective`."""
        if not said.get(0):
            return {"loss_at_start": None, "loss_no_opinion": None}
        mean, square, begun = said[1] / said[0], said[2] / said[0], float(self.begun["offset"])
        return {"loss_at_start": square - 2 * begun * mean + begun**2, "loss_no_opinion": square - mean**2}

    def learned(self, said: Mapping[Any, float]) -> dict[str, Any]:
        """See `Objective`."""
        return {"rating_offset": self.offset.item()}


class Ordinal(Marked):
    """A rating is the level into which a felt quality falls; where levels end is learned."""

    def __init__(self, config: FeedbackConfig, levels: Sequence[float] = ()) -> None:
        super().__init__(config, levels)
        self.lowest = nn.Parameter(torch.tensor(0.0))
        self.steps = nn.Parameter(torch.zeros(max(0, len(levels) - 2)))

    @property
    def edges(self) -> Tensor:
        """(L - 1,) log-odds, ascending."""
        return torch.cat([self.lowest[None], self.lowest + self.steps.clamp(min=LEAST_STEP).exp().cumsum(0)])

    def _put(self, marks: Sequence[float]) -> None:
        counts = torch.tensor([0.5 + sum(mark == level for mark in marks) for level in self.levels])
        edges = (counts.cumsum(0)[:-1] / counts.sum()).logit()
        nn.init.constant_(self.lowest, float(edges[0]))
        with torch.no_grad():
            self.steps.copy_(edges.diff().log())

    def _mark_losses(self, scores: Tensor, marks: Tensor) -> Tensor:
        levels = torch.tensor(self.levels, device=scores.device)
        return ordinal_loss(scores, torch.searchsorted(levels, marks), self.edges)

    def learned(self, said: Mapping[Any, float]) -> dict[str, Any]:
        """See `Objective`."""
        return {"rating_levels": list(self.levels), "rating_edges": self.edges.tolist()}


class Thumbs(Marked):
    """A thumb up is a coin whose log-odds are the score, but for an offset that is learned."""

    THUMBS = True

    def __init__(self, config: FeedbackConfig, levels: Sequence[float] = ()) -> None:
        super().__init__(config, levels)
        self.offset = nn.Parameter(torch.tensor(0.0))

    def _put(self, marks: Sequence[float]) -> None:
        up = 0.5 + sum(marks)
        nn.init.constant_(self.offset, math.log(up / (1 + len(marks) - up)))

    def _mark_losses(self, scores: Tensor, marks: Tensor) -> Tensor:
        return thumb_loss(scores + self.offset, marks > 0.5)

    def learned(self, said: Mapping[Any, float]) -> dict[str, Any]:
        """See `Objective`."""
        return {"thumb_offset": self.offset.item()}
