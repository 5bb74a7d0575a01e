"""What scores are to be, by what was said of responses: one objective for each kind of feedback.

An objective turns the scores of items into losses by a pure function of `ops`, knows what a model without an opinion
would lose, and holds what is learned beside the model. Shapes: B items, K responses.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from prefloop.ops.preferences import bradley_terry_loss, plackett_luce_loss
from prefloop.records import Preference, Ranking
from prefloop.reward.items import Item, Row
from prefloop.reward.votes import WIN, Edges, without_opinion


class Objective(nn.Module):
    """How items teach. The methods here are those of a plain win, of whichever loss."""

    READS: ClassVar[tuple[type[Row], ...]] = (Preference,)
    """Records that it learns from; what a file can give of them first is taken."""
    TIES: ClassVar[bool] = False
    """Whether pairs without a majority teach."""

    def losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        """(B,) nats per item. Args: scores: (B, K) raw, 0 where an item has fewer responses; has grad."""
        raise NotImplementedError

    def count(self, items: Sequence[Item], said: dict[Any, float]) -> None:
        """Counts what was said of items, for `without_opinion`."""
        with torch.no_grad():
            width = max((len(item.sequences) for item in items), default=0)
            start = self.losses(torch.zeros(len(items), width), items).tolist() if items else []
        for item, loss in zip(items, start, strict=True):
            said["loss"] = said.get("loss", 0.0) + loss * item.weight
            said["weight"] = said.get("weight", 0.0) + item.weight

    def without_opinion(self, said: Mapping[Any, float]) -> dict[str, float | None]:
        """`loss_at_start` and `loss_no_opinion`: see docs/stages/reward.md."""
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
        losses = self.losses(scores.to(device), items).cpu().double()
        return float((losses * weights).sum() / weights.sum())


def gaps(scores: Tensor) -> Tensor:
    """(B,) score of the first response less that of the second, of pairs (B, 2)."""
    return scores[:, 0] - scores[:, 1]


class Votes(Objective):
    """Each annotator's choice with its strength, as an interval of the difference that they felt (votes.py)."""

    TIES = True

    def __init__(self) -> None:
        super().__init__()
        self.edges = Edges()

    def losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        return self.edges.losses(gaps(scores), [item.votes or (WIN,) for item in items])

    def count(self, items: Sequence[Item], said: dict[Any, float]) -> None:
        for item in items:
            votes = item.votes or (WIN,)
            said[votes] = said.get(votes, 0.0) + item.weight

    def without_opinion(self, said: Mapping[Any, float]) -> dict[str, float | None]:
        return {**without_opinion(list(said.values()), list(said))}

    def learned(self, said: Mapping[Any, float]) -> dict[str, Any]:
        voted = any(votes != (WIN,) for votes in said)
        return {"vote_edges": self.edges.values()[2:5].tolist() if voted else None}

    def first_edge(self, said: Mapping[Any, float]) -> float:
        return (self.learned(said)["vote_edges"] or [0.0])[0]


class BradleyTerry(Objective):
    """The decision alone."""

    def losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        return bradley_terry_loss(scores[:, 0], scores[:, 1])


class PlackettLuce(Objective):
    """A ranking as a whole: the best is drawn first, then the best of those left."""

    READS = (Ranking, Preference)

    def losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        ranks, there = ranks_of(items, scores)
        return plackett_luce_loss(scores, ranks, mask=there)


def ranks_of(items: Sequence[Item], scores: Tensor) -> tuple[Tensor, Tensor]:
    """(B, K) ranks, and (B, K) True where a response stands; beside `scores`, on their device."""
    ranks, there = torch.zeros(scores.shape), torch.zeros(scores.shape, dtype=torch.bool)
    for row, item in enumerate(items):
        ranks[row, : len(item.ranks)] = torch.tensor(item.ranks)
        there[row, : len(item.ranks)] = True
    return ranks.to(scores.device), there.to(scores.device)


OBJECTIVES: Mapping[str, type[Objective]] = {
    "votes": Votes,
    "bradley_terry": BradleyTerry,
    "plackett_luce": PlackettLuce,
}
"""Its name -> what it is."""
AUTO: Mapping[str, str] = {"rankings": "plackett_luce"}
"""What a file holds -> the objective that suits it; of all others `votes`."""
