"""How long the rows of a file are, from some of them, as a model's tokenizer reads them."""

from collections.abc import Sequence

from prefloop.costs.reading import Lengths
from prefloop.files.foreign import read_demonstrations, read_preferences, read_prompts
from prefloop.models.load import codec_of

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
    rows = read_demonstrations(file, say=_silent).records
    some, codec = rows[:: -(-len(rows) // ROWS)], codec_of(model, template=template)
    prompts = codec.prompts([row.messages for row in some])
    responses = codec.responses([row.response for row in some])
    return lengths_of([(len(p), len(r)) for p, r in zip(prompts, responses, strict=True)], len(rows), codec.context)


def preferences(file: str, model: str, *, template: str | None) -> Lengths:
    """The lengths of the two sequences of each preference in a file, taken one by one; counts preferences."""
    rows = [row for row in read_preferences(file, on_bad="skip", say=_silent).records if row.decided]
    some, codec = rows[:: -(-len(rows) // ROWS) or 1], codec_of(model, template=template)
    prompts = codec.prompts([row.messages for row in some])
    both = [codec.responses([text for row in some for text in (row.chosen, row.rejected)][i::2]) for i in (0, 1)]
    lengths = [(len(p), len(r)) for responses in both for p, r in zip(prompts, responses, strict=True)]
    return lengths_of(lengths, len(rows), codec.context)


def prompts(file: str, model: str, *, template: str | None) -> Lengths:
    """The lengths of a file of prompts."""
    rows = read_prompts(file, say=_silent).records
    some, codec = rows[:: -(-len(rows) // ROWS)], codec_of(model, template=template)
    asked = codec.prompts([row.messages for row in some])
    return lengths_of([(len(p), 0) for p in asked], len(rows), codec.context)


def _silent(_: str) -> None:
    """What is to be said of a file is said by the stage that learns from it."""
