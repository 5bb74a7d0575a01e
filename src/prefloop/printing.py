"""Text of others on our terminal: it may be read there, but it may not steer it."""

import re

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and line end (ESC, carriage return, backspace, C1), marks that turn the direction of
writing around, separators that break a line, and halves of characters, which no terminal takes."""


def printable(text: str) -> str:
    r"""Text whose steering characters are spelled out as Python spells them, for instance \x1b; the rest as it is.

    What models, data and annotators say is printed through this, and through nothing else.
    """
    return STEERING.sub(lambda match: ascii(match[0])[1:-1], text)
