"""Shortcut probes: how much an edit that should (or should not) matter moves a score; and the curve of learning."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from prefloop.records.record import Record, Text

ProbeKind = Literal[
    "quality",
    "length",
    "courtesy",
    "format",
    "stuffing",
    "position",
    "truncation",
    "shuffled",
    "prompt",
    "digit",
    "word",
]
Expected = Literal["rise", "fall", "not_rise", "none"]
Finding = Literal["fine", "shortcut", "by_length", "blind", "unclear", "not_applicable"]
"""`shortcut`: the score rises clearly, and much, for nothing. `by_length`: it does what is expected of it, but no more
than the text's length alone explains. `blind`: what makes a response worse does not lower the score. `unclear`: too few
responses to tell. `not_applicable`: nothing to try it on."""
Refusal = Literal["few_points", "narrow", "misfit", "wide"]
"""Why no forecast is made: fewer than 3 points; sizes less than four times apart; no curve that only rises passes near
the points; or the points are too uncertain to tell."""
ORDINARY: tuple[Finding, ...] = ("fine", "unclear", "not_applicable")
"""Findings that are no fault."""


class Probe(Record):
    """What one edit of responses does to the score, over prompts; all numbers are null where nothing was tried."""

    name: Text
    """The edit, for instance `courtesy.4`; its first part is its kind."""
    kind: ProbeKind
    """What it looks for. `quality` is no edit: it is what the others are measured against, chosen less rejected."""
    expected: Expected
    """What a good scorer does; `none`: measured and not judged."""
    finding: Finding
    """What was found."""
    num: int
    """Responses (or pairs, or votes) that it was tried on, each of another prompt where that is possible."""
    num_scored: int = 0
    """Responses that the scorer had to read for it."""
    shift: float | None = None
    """Mean change of the score, in standard deviations of the scores of the responses as they are."""
    low: float | None = None
    """Lower end of its 95 % interval, over prompts."""
    high: float | None = None
    """Upper end."""
    margins: float | None = None
    """The shift over what quality is worth: the mean margin between chosen and rejected."""
    beyond: float | None = None
    """The shift less what as much neutral text does to the score, where that raises it."""
    beyond_low: float | None = None
    """Lower end of its 95 % interval."""
    beyond_high: float | None = None
    """Upper end."""
    token: str | None = None
    """The word that does most: of those added, the one whose removal costs most; of `word` probes the word itself."""


def shortcuts(probes: Sequence[Probe]) -> tuple[ProbeKind, ...]:
    """Kinds of shortcut that were named, each once, in the order of the probes."""
    return tuple(dict.fromkeys(probe.kind for probe in probes if probe.finding == "shortcut"))


def blind_to(probes: Sequence[Probe]) -> tuple[ProbeKind, ...]:
    """Kinds of damage that the score does not see, each once, in the order of the probes."""
    return tuple(dict.fromkeys(probe.kind for probe in probes if probe.finding == "blind"))


class CurvePoint(Record):
    """How good a model is that learned from so many pairs."""

    num_pairs: int = Field(ge=1)
    accuracy: float = Field(ge=0, le=1)
    """On held-out pairs."""
    error: float = Field(gt=0)
    """Its standard error, clustered by prompt."""


class LearningCurve(Record):
    """Accuracy against the number of labels, and what twice as many would give."""

    points: tuple[CurvePoint, ...]
    """Smallest first."""
    exact: bool
    """Whether each point is a model that was trained on so many pairs from the start to its end; else they are looks at
    one model in its first pass, whose learning rate is still high: the early ones lie too low."""
    refusal: Refusal | None
    """Why there is no forecast; null if there is one."""
    num_pairs: int | None = None
    """Pairs that the forecast is for: twice as many as the last point's."""
    forecast: float | None = None
    """Accuracy with those."""
    low: float | None = None
    """Lower end of its 95 % interval."""
    high: float | None = None
    """Upper end."""
    gain: float | None = None
    """The forecast less the curve's accuracy at the last point."""
    gain_low: float | None = None
    """Lower end of its 95 % interval."""
    gain_high: float | None = None
    """Upper end."""
    ceiling: float | None = None
    """What the curve tends to, with any number of labels; known far worse than the forecast."""
