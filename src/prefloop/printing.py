"""Lines for whoever watches. A reader that goes away, as `head` does, ends no work."""

import os
import sys
from typing import TextIO


def say(line: str, *, to: TextIO | None = None) -> None:
    """Prints a line at once; if nobody reads any more, this and all later ones go nowhere.

    Args:
        to: where; None for standard output.
    """
    stream = sys.stdout if to is None else to
    if stream is None:  # closed before we began
        return
    try:
        print(line, file=stream, flush=True)
    except OSError:  # the reader, the terminal or the disk behind it is gone
        to_nowhere(stream)


def to_nowhere(stream: TextIO) -> None:
    """Lets everything that is still to be printed go nowhere, or Python would complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
