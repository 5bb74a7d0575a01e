"""How long the rows of a file are, from some of them, as a model's tokenizer reads them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from prefloop.costs.reading import Lengths
from prefloop.files.foreign import serves
from prefloop.files.forms import recognise
from prefloop.files.index import Rows
from prefloop.models.load import codec_of, context_without_tokenizer, members_of
from prefloop.records import Comparison, Demonstration, Preference, Prompt, Ranking, Rated, Record

R = TypeVar("R", bound=Record)
Judged = Preference | Ranking | Rated

ROWS = 256
"""Rows of a file that are tokenised, evenly spread over it."""
BYTES, AROUND = 4, 5
"""Bytes of a token of English, about, and tokens that a template (ChatML) writes around a turn; where nobody counts."""


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


class _Measure:
    """How many tokens texts are to a model: by its tokenizer, or by their bytes where its folder holds none."""

    def __init__(self, model: str, template: str | None) -> None:
        context = context_without_tokenizer(model)
        self._codec, self._assumed = None, ""
        if context is None:
            self._codec = codec_of(model, template=template)
            context = self._codec.context
        else:
            self._assumed = (
                f"{model} holds no tokenizer: {BYTES} bytes of the rows are taken for a token, and {AROUND} tokens for "
                "what a chat template writes around a turn."
            )
        self._context = context

    def prompts(self, rows: Sequence[Prompt | Demonstration | Judged | Comparison]) -> list[int]:
        """Tokens of each row's prompt."""
        if self._codec is not None:
            return [len(ids) for ids in self._codec.prompts([row.messages for row in rows])]
        return [sum(AROUND + _by_bytes(message.content) for message in row.messages) for row in rows]

    def responses(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each response, with that which ends it."""
        if self._codec is not None:
            return [len(ids) for ids in self._codec.responses(texts)]
        return [_by_bytes(text) + 1 for text in texts]

    def lengths(self, prompts: Sequence[int], responses: Sequence[int], count: int) -> Lengths:
        """What rows of so many tokens are like. Args: count: rows in the file."""
        both = list(zip(prompts, responses, strict=True))
        return replace(lengths_of(both, count, self._context), assumed=self._assumed)


def _by_bytes(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // BYTES)


def demonstrations(file: str, model: str, *, template: str | None) -> Lengths:
    """The lengths of a file of demonstrations, as a model reads them."""
    rows, measure = Rows(file, Demonstration, say=_silent), _Measure(model, template)
    some = _some(rows)
    return measure.lengths(measure.prompts(some), measure.responses([row.response for row in some]), len(rows))


def preferences(file: str, model: str, *, template: str | None, kind: type[Judged]) -> Lengths:
    """The lengths of the responses of each row in a file, each with its prompt; counts pairs of responses.

    Args: kind: as what the rows are read.
    """
    rows = Rows(file, kind, on_bad="skip", say=_silent, noted=_noted)
    told = np.flatnonzero(rows.columns["told"])
    told = told if len(told) else np.arange(len(rows))  # votes may teach all the same
    some, measure = rows.take(told[:: -(-len(told) // ROWS)].tolist()), _Measure(model, template)
    texts = [_responses(row) for row in some]
    prompts = [asked for asked, own in zip(measure.prompts(some), texts, strict=True) for _ in own]
    responses = measure.responses([text for own in texts for text in own])
    return measure.lengths(prompts, responses, int(rows.columns["num"][told].sum()) // 2)


def prompts(file: str, model: str, *, template: str | None) -> Lengths:
    """The lengths of a file of prompts."""
    rows, measure = Rows(file, Prompt, say=_silent), _Measure(model, template)
    asked = measure.prompts(_some(rows))
    return measure.lengths(asked, [0] * len(asked), len(rows))


def scored(file: str, model: str) -> Lengths:
    """The lengths of all responses in a file, each with its prompt; counts responses."""
    form = recognise(file)
    kind = next((kind for kind in (Preference, Demonstration, Comparison) if serves(form, kind)), Demonstration)
    rows, measure = Rows(file, kind, on_bad="skip", say=_silent), _Measure(members_of(model)[0], None)
    some = _some(rows)
    texts = [_responses(row) for row in some]
    prompts = [asked for asked, own in zip(measure.prompts(some), texts, strict=True) for _ in own]
    responses = measure.responses([text for own in texts for text in own])
    return measure.lengths(prompts, responses, round(len(rows) * len(responses) / len(some)))


def _responses(row: Judged | Demonstration | Comparison) -> list[str]:
    match row:
        case Ranking() | Rated():
            return list(row.responses)
        case Preference():
            return [row.chosen, row.rejected]
        case Demonstration():
            return [row.response]
        case Comparison():
            return [response.text for response in row.responses]


def _some(rows: Rows[R]) -> list[R]:
    return rows.take(range(0, len(rows), -(-len(rows) // ROWS)))


def _noted(rows: Sequence[Judged]) -> dict[str, np.ndarray]:
    told = [row.decided if isinstance(row, Preference) else True for row in rows]
    return {"told": np.array(told), "num": np.array([len(_responses(row)) for row in rows])}


def _silent(_: str) -> None:
    """What is to be said of a file is said by the stage that learns from it."""
