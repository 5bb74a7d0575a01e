"""Letters that are not seen but change what is seen: they are shown as ⟦U+202E⟧, in every page and script alike.

Among them: direction overrides and isolates, which show a text in another order than it has; letters without a width,
tags and fillers, which hide words; control characters. A joiner or a selector stays where a script or an emoji needs
it. static/dom.js has the same table.
"""

import re
from typing import Any

from markupsafe import Markup

HIDDEN = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
    "|(?<![\u0590-\u1fff\u2190-\u2bff\u3030\u303d\ufe0f\U0001f000-\U0001faff])[\u200c\u200d]"
    "|(?<![#*0-9\xa9\xae\u1800-\u18af\u2030-\u33ff\u3400-\u9fff\uf900-\ufaff\U0001f000-\U0003ffff])"
    "[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)


class Exact(str):
    """A text that stays as it is, because somebody goes on writing it in a form."""


def visible(text: str) -> str:
    """The text with a mark in the place of each letter that is not seen."""
    return HIDDEN.sub(lambda found: f"⟦U+{ord(found[0]):04X}⟧", text)


def in_templates(value: Any) -> Any:
    """What a template writes of a value."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup | Exact) else value
