"""A token-level look at what SFT learns from: every token of an example, and whether it counts in the loss (SFT-1)."""

import sys
from collections.abc import Sequence
from functools import partial

import numpy as np
from rich.console import Console
from rich.text import Text

from prefloop.models.load import codec_of
from prefloop.printing import printable
from prefloop.text.codec import Codec
from prefloop.text.examples import Example, Examples


def print_preview(model: str, file: str, *, template: str | None, rows: int) -> None:
    """Shows the first examples of a file as the model would read them."""
    codec = codec_of(model, template=template)
    made = Examples(codec, file, say=print)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(
        f"template {codec.template_name}, end-of-text token {printable(_written(codec, codec.stop_ids[:1])[0])}"
    )
    console.print("Tokens in [[brackets]] (bold green) count in the loss; the others are only read.\n")
    for example in made[: min(rows, len(made))]:
        console.print(preview_text(example, partial(_written, codec), colour=sys.stdout.isatty()))
        console.print()
    learned = sum(len(example.response) for example in made)
    console.print(
        f"{len(made)} examples, {made.lengths.sum(dtype=np.int64)} tokens, {learned} of them learned; "
        f"{made.num_too_long} examples longer than the context of {codec.context}."
    )


def preview_text(example: Example, token_text, *, colour: bool) -> Text:
    """One example: tokens separated by a bar, learned ones in brackets.

    Args:
        example: prompt and response tokens.
        token_text: turns a list of token ids into a list of strings.
        colour: True to print learned tokens in green too.
    """
    text = Text()
    for token in token_text(example.prompt):
        text.append(f"{printable(token)}|", style="dim" if colour else "")
    for token in token_text(example.response):
        text.append(f"[{printable(token)}]", style="bold green" if colour else "")
    return text


def _written(codec: Codec, ids: Sequence[int]) -> list[str]:
    """Tokens as they stand in the vocabulary."""
    return [str(token) for token in codec.tokenizer.convert_ids_to_tokens(list(ids))]
