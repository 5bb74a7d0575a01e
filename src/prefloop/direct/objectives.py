"""What the scores that a policy implies are to be, where only a policy can be taught so; all else is `feedback`'s.

Scores are beta times a log-ratio. Shapes: B items, K responses, M rated ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from prefloop.direct.config import CPLConfig, DPOConfig, KTOConfig
from prefloop.errors import UserError
from prefloop.feedback.items import Item, Row
from prefloop.feedback.kinds import OBJECTIVES, Kinds
from prefloop.feedback.objectives import Marked, Objective, beside, known
from prefloop.ops.direct import apo_down_loss, apo_zero_loss, cpl_loss, exo_loss, ipo_loss, kto_loss, kto_weights
from prefloop.records import Preference, Ranking, Rated


class IPO(Objective):
    """The gap of log-ratios is to be 1 / (2 beta), and no more: a decision without exception sends nothing to infinity.

    The loss is counted in scores, as beta^2 times the paper's: it begins at 1/4 whatever beta is.
    """

    config: DPOConfig

    def _losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        return ipo_loss(scores[:, 0], scores[:, 1], tau=1.0)


class EXO(Objective):
    """The policy's odds of the two are to be those that were said, by the reverse KL."""

    config: DPOConfig

    def _losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        return exo_loss(scores[:, 0], scores[:, 1], beta=1.0, smoothing=self.config.exo_smoothing)


class APODown(Objective):
    """The better response becomes less likely, the worse one even less: for pairs of which both are bad."""

    def _losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        return apo_down_loss(scores[:, 0], scores[:, 1], beta=1.0)


class CPL(Objective):
    """The decision alone, by regret; of a ranking, the mean over the pairs that were told apart."""

    READS = (Ranking, Preference)
    config: CPLConfig

    def _losses(self, scores: Tensor, items: Sequence[Item]) -> Tensor:
        told = [(row, i, j, 1 / len(item.pairs)) for row, item in enumerate(items) for i, j in item.pairs]
        rows, better, worse = (torch.tensor([pair[side] for pair in told], device=scores.device) for side in range(3))
        losses = cpl_loss(scores[rows, better], scores[rows, worse], bias=self.config.bias)
        share = beside(scores, [share for *_, share in told])
        return torch.zeros_like(scores[:, 0]).index_add(0, rows, losses * share)

    def without_opinion(self, said: Mapping[Any, float]) -> dict[str, float | None]:
        """See `Objective`: it begins as the policy is, and with a bias equal scores lose what they are themselves."""
        known = super().without_opinion(said)["loss_no_opinion"] if self.config.bias == 1 else None
        return {"loss_at_start": None, "loss_no_opinion": known}

    def learned(self, said: Mapping[Any, float]) -> dict[str, Any]:
        """See `Objective`: what it was learned with."""
        return {"alpha": self.config.alpha, "discount": self.config.discount, "bias": self.config.bias}


class Thumbed(Marked):
    """Thumbs, each response by itself; nothing is learned beside the policy."""

    THUMBS = True
    config: KTOConfig
    ANCHORED: ClassVar[bool] = False
    """Whether a score is measured from the mean score of responses to other prompts."""

    anchor: float | Tensor = 0.0
    """() score that a response has anyway, in this update"""

    def _put(self, marks: Sequence[float]) -> None:
        """Begins nowhere else."""

    def without_opinion(self, said: Mapping[Any, float]) -> dict[str, float | None]:
        """See `Objective`; a coin's loss is no floor here, for the loss is no surprise."""
        return super().without_opinion(said) | {"loss_no_opinion": None}


class KTO(Thumbed):
    """A gain or a loss beside what responses have anyway, each less the larger it is already."""

    ANCHORED = True

    def __init__(self, config: KTOConfig, levels: Sequence[float] = ()) -> None:
        super().__init__(config, levels)
        self.register_buffer("weights", torch.tensor([config.good_weight or 1.0, config.bad_weight or 1.0]))

    weights: Tensor

    def meet(self, rows: Iterable[Row]) -> None:
        """See `Objective`: counts thumbs, for their weights. Raises: UserError if all are of one kind."""
        counts = [0, 0]
        for row in rows:
            for thumb in row.thumbs or () if isinstance(row, Rated) else ():
                if thumb is not None:
                    counts[not thumb] += 1
        if min(counts) == 0:
            kind, other = ("down", "up") if counts[0] == 0 else ("up", "down")
            raise UserError(
                f"{self.config.preferences}: all its {sum(counts)} thumbs are {kind}; to learn from thumbs alone some "
                f"must be {other}. Add such rows, or fine-tune on the good responses (prefloop sft)."
            )
        good, bad = kto_weights(*counts)
        self.weights.copy_(torch.tensor([self.config.good_weight or good, self.config.bad_weight or bad]))
        self.counts = counts

    counts: Sequence[int] = (0, 0)

    def _mark_losses(self, scores: Tensor, marks: Tensor) -> Tensor:
        good, bad = self.weights.tolist()
        anchor = torch.as_tensor(self.anchor, dtype=scores.dtype, device=scores.device)
        return kto_loss(scores, marks > 0.5, anchor, beta=1.0, good_weight=good, bad_weight=bad)

    def learned(self, said: Any) -> dict[str, Any]:
        """See `Objective`: what thumbs weighed."""
        good, bad = self.weights.tolist()
        return {"good_weight": good, "bad_weight": bad, "num_good": self.counts[0], "num_bad": self.counts[1]}


class APOZero(Thumbed):
    """A good response is to become likelier than the reference has it, a bad one less likely."""

    def _mark_losses(self, scores: Tensor, marks: Tensor) -> Tensor:
        return apo_zero_loss(scores, marks > 0.5, beta=1.0)


def thumbs(items: Sequence[Item], scores: Tensor) -> tuple[Tensor, Tensor]:
    """(M,) scores of the responses that have a thumb, and (M,) True for those with a thumb up."""
    marks = [(row, place, mark) for row, item in enumerate(items) for place, mark in known(item)]
    rows, places = torch.tensor([mark[:2] for mark in marks], dtype=torch.long).view(-1, 2).to(scores.device).unbind(1)
    good = torch.tensor([mark > 0.5 for _, _, mark in marks], dtype=torch.bool, device=scores.device)
    return scores[rows, places], good


_OF_SCORES = ("votes", "bradley_terry", "robust", "hinge", "rao_kupper", "davidson", "plackett_luce", "all_pairs")
PAIRED = Kinds(
    {name: OBJECTIVES[name] for name in _OF_SCORES} | {"ipo": IPO, "exo": EXO, "apo_down": APODown},
    {"preferences": "votes", "rankings": "plackett_luce"},
    {"thumbs": "kto", "ratings": "offline"},
)
"""Those of DPO."""
THUMBED = Kinds(
    {"kto": KTO, "apo_zero": APOZero},
    {"thumbs": "kto"},
    {"preferences": "dpo", "rankings": "dpo", "ratings": "offline"},
)
"""Those of KTO."""
CONTRASTED = Kinds({"cpl": CPL}, {"preferences": "cpl", "rankings": "cpl"}, {"thumbs": "kto", "ratings": "offline"})
"""That of CPL."""
