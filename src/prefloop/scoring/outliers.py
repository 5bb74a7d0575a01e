"""How unusual a response is to a reward model, and what becomes of unusual ones where a policy learns from scores.

A number is calibrated on responses that the model knows the like of and did not learn from (those held out): it is the
share of them that are less unusual, so that of responses like them 1 % are above 0.99.

Shapes: B responses, D width of the last hidden states.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor

from prefloop.errors import UserError
from prefloop.files.documents import read_document
from prefloop.ops.outliers import unusualness, whitening
from prefloop.records.record import Record
from prefloop.scoring.protocol import Scored, summed

CARD, TENSORS = "prefloop_outliers.json", "prefloop_outliers.safetensors"
REACHED = 0.99
"""Share of the known responses whose scores are no higher than what known responses are said to reach."""
MOST_LEVELS = 1000
"""Known responses of which it is noted how unusual they are, evenly spread over all by rank."""
SHRINKAGE = 0.001
"""How far the covariance of hidden states is drawn towards equal variances; what was tried is in docs/log.md."""
KNOWN = 512
"""Responses by which it is learned what is usual, and as many held out by which that is calibrated."""
Rule = Literal["ignore", "clip", "abstain"]


class OutlierCard(Record):
    """`prefloop_outliers.json`: what known responses were like."""

    levels: tuple[float, ...] = Field(min_length=1)
    """How unusual they are, ascending."""
    reached: float
    """Reward units: the score that all but 1 % of them stay at or below."""
    num: int = Field(ge=1)
    """How many they are."""
    columns: dict[str, float] = Field(default_factory=dict)
    """Name of a column -> what `reached` is of its scores alone; of a model with several."""

    @classmethod
    def of(cls, unusual: Tensor, scores: Tensor, columns: Mapping[str, Tensor] | None = None) -> Self:
        """Of (B,) known responses. Args: columns: (B,) scores of each column by itself, where there are several."""
        levels = unusual.cpu().double().sort().values
        if len(levels) > MOST_LEVELS:
            levels = levels[torch.linspace(0, len(levels) - 1, MOST_LEVELS).round().long()]
        each = {name: _reached(some) for name, some in (columns or {}).items()}
        return cls(levels=tuple(levels.tolist()), reached=_reached(scores), num=len(unusual), columns=each)

    def share(self, unusual: Tensor) -> Tensor:
        """(B,) share of the known responses that are less unusual."""
        levels = torch.tensor(self.levels, dtype=torch.float64)
        return (torch.searchsorted(levels, unusual.cpu().double()) / len(levels)).float()

    def limited(self, scores: Tensor, column: str | None = None) -> Tensor:
        """(B,) the scores, no higher than known responses reach. Args: column: whose scores they are, if not all's."""
        return scores.clamp(max=self.columns.get(column or "", self.reached))


def _reached(scores: Tensor) -> float:
    return float(scores.cpu().double().quantile(REACHED))


@dataclass(frozen=True)
class Outliers:
    """How unusual last hidden states are: their distance from the mean of those that a model learned from."""

    card: OutlierCard
    mean: Tensor
    """(D,)"""
    factor: Tensor
    """(D, D) what a difference from the mean is multiplied by; its length is the distance"""

    @classmethod
    def of(cls, learned: Tensor, held_out: Tensor, scores: Tensor, columns: Mapping[str, Tensor] | None = None) -> Self:
        """From last hidden states of responses.

        Args:
            learned: (N, D).
            held_out: (B, D), with their scores (B,).
            columns: (B,) the same of each column by itself, where there are several.
        """
        mean, factor = whitening(learned, shrinkage=SHRINKAGE)
        card = OutlierCard.of(unusualness(held_out, mean, factor), scores, columns)
        return cls(card, mean.float().contiguous(), factor.float().contiguous())

    def files(self) -> dict[str, Mapping[str, Any]]:
        """File name -> what is in it: the card, and the tensors."""
        tensors = {"mean": self.mean, "factor": self.factor}
        return {CARD: self.card.model_dump(mode="json"), TENSORS: tensors}

    def share(self, states: Tensor) -> Tensor:
        """(B,) share of the known responses that are less unusual. Args: states: (B, D)."""
        return self.card.share(unusualness(states, self.mean, self.factor))


def read_card(folder: Path) -> OutlierCard | None:
    """What a model's or an ensemble's folder says known responses were like; None if it says nothing. Raises:
    UserError."""
    return read_document(folder / CARD, OutlierCard) if (folder / CARD).is_file() else None


def read_outliers(folder: Path) -> Outliers | None:
    """What a reward model's folder says of what is unusual to it; None if it says nothing. Raises: UserError."""
    card = read_card(folder)
    if card is None:
        return None
    if not (folder / TENSORS).is_file():
        raise UserError(f"{folder / TENSORS}: this file is missing, which belongs to {CARD}. Put it back.")
    tensors = load_file(folder / TENSORS)
    return Outliers(card, tensors["mean"], tensors["factor"])


def guarded(said: Scored, rule: Rule, *, limit: float) -> Scored:
    """What is optimised where unusual responses are seen to; the change is a part of the scores, `outliers`.

    Args:
        rule: clip limits the score of an unusual response to what known responses reach; abstain gives it the mean
            score of the others, so that nothing is learned from it.
        limit: an outlier above it is unusual.
    """
    if rule == "ignore" or said.outlier is None or said.limited is None:
        return said
    unusual = said.outlier > limit
    if rule == "clip":
        instead = said.limited
    else:
        usual = said.scores[~unusual] if not bool(unusual.all()) else said.scores
        instead = usual.cpu().double().mean().float().expand(len(unusual))
    change = torch.where(unusual, instead - said.scores, 0.0)
    parts = {**(said.parts or {"model": said.scores}), "outliers": change}
    placed = [[] if odd else places for odd, places in zip(unusual.tolist(), said.placed, strict=False)]
    return replace(said, scores=summed(parts), parts=parts, placed=placed)
