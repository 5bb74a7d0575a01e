"""How long the rows of a file are, from some of them, as a model's tokenizer reads them."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from prefloop.costs.reading import Lengths
from prefloop.files.index import Rows
from prefloop.models.load import codec_of
from prefloop.records import Demonstration, Preference, Prompt, Record

R = TypeVar("R", bound=Record)

ROWS = 256
"""Rows of a file that are tokenised, evenly spread over it."""


def lengths_of(both: Sequence[tuple[int, int]], count: int, context: int) -> Lengths:
    """What rows of these lengths are like. Args: both: tokens of prompt and of response. count: rows in the file."""
    whole = sorted(min(context, prompt + response) for prompt, response in both)
    responses = [min(context - 1, response) for _, response in both]
    return Lengths(
        count,
        mean=sum(whole) / len(whole),
        longest=whole[(95 * len(whole) - 1) // 100],
        responses=sum(responses) / len(responses),
    )


def demonstrations(file: str, model: str, *, template: str | None) -> Lengths:
    """The lengths of a file of demonstrations, as a model reads them."""
    rows, codec = Rows(file, Demonstration, say=_silent), codec_of(model, template=template)
    some = _some(rows)
    prompts = codec.prompts([row.messages for row in some])
    responses = codec.responses([row.response for row in some])
    return lengths_of([(len(p), len(r)) for p, r in zip(prompts, responses, strict=True)], len(rows), codec.context)


def preferences(file: str, model: str, *, template: str | None) -> Lengths:
    """The lengths of the two sequences of each preference in a file, taken one by one; counts preferences."""
    rows = Rows(file, Preference, on_bad="skip", say=_silent, noted=_decided)
    decided = np.flatnonzero(rows.columns["decided"])
    decided = decided if len(decided) else np.arange(len(rows))  # votes may teach all the same
    some, codec = rows.take(decided[:: -(-len(decided) // ROWS)].tolist()), codec_of(model, template=template)
    prompts = codec.prompts([row.messages for row in some])
    both = [codec.responses(texts) for texts in ([row.chosen for row in some], [row.rejected for row in some])]
    lengths = [(len(p), len(r)) for responses in both for p, r in zip(prompts, responses, strict=True)]
    return lengths_of(lengths, len(decided), codec.context)


def prompts(file: str, model: str, *, template: str | None) -> Lengths:
    """The lengths of a file of prompts."""
    rows, codec = Rows(file, Prompt, say=_silent), codec_of(model, template=template)
    asked = codec.prompts([row.messages for row in _some(rows)])
    return lengths_of([(len(p), 0) for p in asked], len(rows), codec.context)


def _some(rows: Rows[R]) -> list[R]:
    return rows.take(range(0, len(rows), -(-len(rows) // ROWS)))


def _decided(rows: Sequence[Preference]) -> dict[str, np.ndarray]:
    return {"decided": np.array([row.decided for row in rows])}


def _silent(_: str) -> None:
    """What is to be said of a file is said by the stage that learns from it."""
