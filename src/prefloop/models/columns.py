"""The columns of a reward model: the numbers that one trunk gives a response, and on what scale each is.

A model with one number has `prefloop_scores.json` with its mean and deviation; one with several has their names and
what they are beside them. Shapes: B responses, C columns.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from prefloop.errors import UserError
from prefloop.files.documents import read_document
from prefloop.ops.rewards import normalised_scores
from prefloop.records.record import Record, Text

NORMALISATION = "prefloop_scores.json"
COMMON = "common"
"""The column of everybody and of every domain."""
DOMAINS = ("domain:", "topic:")
"""How a tag begins that names a domain."""
Kind = Literal["one", "axes", "domains", "annotators", "members"]
TOGETHER: tuple[Kind, ...] = ("axes", "members")
"""Kinds whose score is the mean over all columns; that of the others is the column `common`."""


class Normalisation(Record):
    """What the scores of demonstrations were before they were shifted and scaled, in raw scores."""

    mean: float = Field(allow_inf_nan=False)
    std: float = Field(gt=0, allow_inf_nan=False)


class Column(Normalisation):
    """One number of several."""

    name: Text


class Columns(Record):
    """All numbers that a reward model gives."""

    kind: Kind
    """What they are: `one` number, or several."""
    columns: Annotated[tuple[Column, ...], Field(min_length=1)]
    """In the order of the head's rows."""
    std: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Deviation over demonstrations of the mean over all columns, each shifted and scaled; 1 where no mean is taken."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if len(set(self.names)) < len(self.names):
            raise ValueError("two columns have one name")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """What the columns are called."""
        return tuple(column.name for column in self.columns)

    @property
    def weights(self) -> dict[str, float]:
        """What each column, shifted and scaled, counts in the score, so that it too has deviation 1."""
        if self.kind in TOGETHER:
            return dict.fromkeys(self.names, 1 / (len(self.columns) * self.std))
        return {self.names[0]: 1.0}

    def scores(self, raw: Tensor) -> Tensor:
        """(B,) what a response scores. Args: raw: (B, C)."""
        weights = self.weights
        parts = [
            normalised_scores(one, mean=column.mean, std=column.std) * weights[column.name]
            for one, column in zip(raw.unbind(1), self.columns, strict=True)
            if column.name in weights
        ]
        return parts[0] if len(parts) == 1 else torch.stack(parts).cpu().double().sum(0).float().to(raw.device)

    def raw_scores(self, raw: Tensor) -> Tensor:
        """(...,) the score in raw scores and not shifted: 1 apart where all columns that count are 1 apart.

        Args: raw: (..., C), which may have no rows.
        """
        weights = self.weights
        unit = self.unit(weights)
        slopes = [unit * weights.get(column.name, 0.0) / column.std for column in self.columns]
        return raw @ raw.new_tensor(slopes)

    @property
    def told(self) -> dict[str, Any]:
        """What `prefloop_scores.json` is to hold."""
        first = self.columns[0]
        return {"mean": first.mean, "std": first.std} if self.kind == "one" else self.model_dump(mode="json")

    def unit(self, weights: Mapping[str, float]) -> float:
        """How far apart, in raw scores, two responses are whose scores differ by 1, where the columns that count agree.

        Args: weights: what each of them counts in the score.
        """
        stds = {column.name: column.std for column in self.columns}
        if len(weights) == 1:
            return stds[next(iter(weights))]
        return 1 / sum(weight / stds[name] for name, weight in weights.items())


AS_IT_IS = Columns(kind="one", columns=(Column(name="score", mean=0.0, std=1.0),))
"""One number, on the scale of raw scores."""


def domain_of(tags: Sequence[str]) -> str | None:
    """The domain that the first of some tags names which names one."""
    return next((tag.partition(":")[2] for tag in tags if tag.startswith(DOMAINS)), None)


def columns_of(folder: str) -> Columns:
    """The columns that a reward model's folder tells of; one on the scale of raw scores where it tells of none.

    Raises: UserError if the file that tells is damaged.
    """
    file = Path(folder) / NORMALISATION
    if not file.is_file():
        return AS_IT_IS
    if b'"columns"' in file.read_bytes():
        return read_document(file, Columns)
    one = read_document(file, Normalisation)
    return Columns(kind="one", columns=(Column(name="score", mean=one.mean, std=one.std),))


def parted(reward: str) -> tuple[str, str | None]:
    """`FOLDER:COLUMN` -> the folder, and the column that is named; any other path as it is, and None."""
    path, colon, column = reward.rpartition(":")
    return (path, column) if colon and column and Path(path).is_dir() and not Path(reward).exists() else (reward, None)


def check_column(path: str, known: Columns, column: str | None) -> None:
    """Raises: UserError if the folder has no such column, naming those there are."""
    if column is None or column in known.names:
        return
    if known.kind == "one":
        raise UserError(f"{path}:{column}: this reward model gives one number only. Give {path} alone.")
    raise UserError(f"{path}:{column}: it has no such column. Its columns are {', '.join(known.names)}.")
