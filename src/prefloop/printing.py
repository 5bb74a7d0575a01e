"""Lines on our terminal. Text of others is read there but does not steer it; a reader that goes away ends no work."""

import os
import re
import sys
from typing import TextIO

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and line end (ESC, carriage return, backspace, C1), marks that turn the direction of
writing around, separators that break a line, and halves of characters, which no terminal takes."""


def printable(text: str) -> str:
    r"""Text whose steering characters are spelled out as Python spells them, for instance \x1b; the rest as it is.

    What models, data and annotators say is printed through this, and through nothing else.
    """
    return STEERING.sub(lambda match: ascii(match[0])[1:-1], text)


def amount(count: float) -> str:
    """How many, as people read it: 512, 41 thousand, 4.88 million, 8.03 billion."""
    if count < 999.5:
        return f"{count:.0f}"
    size, word = (1e3, "thousand") if count < 1e5 else (1e6, "million") if count < 999.5e6 else (1e9, "billion")
    return f"{count / size:.3g} {word}"


def say(line: str, *, to: TextIO | None = None) -> None:
    """Prints a printable line at once; if nobody reads any more, this and all later ones go nowhere.

    Args:
        to: where; None for standard output.
    """
    stream = sys.stdout if to is None else to
    if stream is None:  # closed before we began
        return
    try:
        print(printable(line), file=stream, flush=True)
    except OSError:  # the reader, the terminal or the disk behind it is gone
        to_nowhere(stream)


def to_nowhere(stream: TextIO) -> None:
    """Lets everything that is still to be printed go nowhere, or Python would complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
