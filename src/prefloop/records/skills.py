"""`skills.json`: what models still can, the first of them beside the others; and the tasks by which that is seen."""

from typing import Literal, Self

from pydantic import Field, model_validator

from prefloop.records.evaluations import Interval, Number
from prefloop.records.record import Record, Text

TOKEN_LOSS, BYTE_LOSS, FALSE_CONFIDENCE, OOD = "token_loss", "byte_loss", "false_confidence", "_ood"
"""Names of skills, and the ending of one that is measured away from what was trained on."""
LESS_IS_BETTER = (TOKEN_LOSS, BYTE_LOSS, FALSE_CONFIDENCE)
"""Skills of which less is better."""
World = Literal["copies", "acts", "serves", "refuses", "facts", "abstains", "confident"]
"""What a program that knows the helpdesk's sentences looks for, see `prefloop.skills.helpdesk`."""


class Checks(Record):
    """What must be true of a response: everything that is given. Letters and white space around it do not count."""

    equals: tuple[Text, ...] = ()
    """It is one of these, capital letters and a last full stop put aside."""
    contains: tuple[Text, ...] = ()
    """All of these stand in it, capital letters put aside."""
    lacks: tuple[Text, ...] = ()
    """None of these does."""
    begins: Text | None = None
    ends: Text | None = None
    """Its beginning or end, capital letters and a last full stop put aside."""
    words: int | None = Field(default=None, ge=1)
    """So many words, parted by white space."""
    most_words: int | None = Field(default=None, ge=1)
    """No more than that, and at least one."""
    characters: int | None = Field(default=None, ge=1)
    """So many letters and digits: what Chinese counts."""
    most_characters: int | None = Field(default=None, ge=1)
    """No more than that, and at least one."""
    lines: int | None = Field(default=None, ge=1)
    """So many lines that are not blank."""
    begun: Text | None = None
    """What each of these lines begins with, for instance "- "."""
    capitals: bool = False
    """It has letters, and no small ones."""
    small: bool = False
    """It has letters, and no capital ones."""
    digits: bool = False
    """It is a whole number and nothing else."""
    json_keys: tuple[Text, ...] = ()
    """It is a JSON object with these keys and no others."""
    world: World | None = None
    """What the helpdesk's own program says."""

    @model_validator(mode="after")
    def _something_is_checked(self) -> Self:
        if self == Checks.model_construct():
            raise ValueError("checks are empty, so every response would be right. Name one, for instance words = 3")
        return self


class Task(Record):
    """One thing that a model is asked: to write a response that is checked, or which of some options is likeliest."""

    id: Text
    skill: Text = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """What it is a task of."""
    prompt: Text
    """What the user says."""
    options: tuple[Text, ...] = ()
    """Responses to choose from, by likelihood; none if a response is to be written."""
    right: int | None = Field(default=None, ge=0)
    """Which option is right, from 0."""
    checks: Checks | None = None
    """What must be true of a response that is written."""
    tags: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _one_way_to_be_right(self) -> Self:
        if bool(self.options) == (self.checks is not None):
            raise ValueError("a task has either options and right, or checks")
        if self.options and (self.right is None or self.right >= len(self.options)):
            raise ValueError(f"right must say which of the {len(self.options)} options is right, from 0")
        if self.options and (len(self.options) < 2 or len({*self.options}) < len(self.options)):
            raise ValueError("a choice needs at least two options, all different")
        if not self.options and self.right is not None:
            raise ValueError("right is about options, and there are none")
        return self


class Answered(Record):
    """What one model made of one task (`answers.jsonl`)."""

    model: Text
    task: Text
    skill: Text
    right: float = Field(ge=0, le=1)
    """1 if it was right, 0 if not; of a choice in which several options are as likely, the share of the right one."""
    response: str
    """What it wrote, or the option that it found likeliest."""


class Skill(Record):
    """One number about one model."""

    name: Text
    num: int
    """Tasks, or texts."""
    value: float
    """Share of tasks that were right (of `false_confidence` wrong); or nats per token or byte of the texts."""
    low: Number
    high: Number
    """Its 95 % interval; null with one task only."""
    change: Interval | None = None
    """From the first model, on the same tasks or texts; null of the first, and where nothing can be compared."""
    limit: float | None = None
    """Most that it may get worse by; null of the first."""
    lost: bool = False
    """It got worse by more than that for certain: the whole interval of the change is beyond the limit."""

    @property
    def drop(self) -> Interval | None:
        """How much worse it got: above 0 is worse."""
        return self.change if self.change is None or less_is_better(self.name) else negated(self.change)


class Measured(Record):
    """What one model can."""

    name: Text
    path: str
    fingerprint: str
    skills: tuple[Skill, ...]


class Skills(Record):
    """The matrix of models and skills (`skills.json`)."""

    suite: str | None
    """Whose tasks they are: helpdesk, small, or a file."""
    models: tuple[Measured, ...]
    """The first is the one that the others are compared with."""


def less_is_better(skill: str) -> bool:
    """True of losses and of confidence in what is false."""
    return skill.removesuffix(OOD) in LESS_IS_BETTER


def negated(interval: Interval) -> Interval:
    """The interval of the opposite number."""
    low, high = (None if end is None else -end for end in (interval.high, interval.low))
    return Interval(mean=-interval.mean, low=low, high=high)


def lost(found: Skills, fingerprint: str | None = None) -> tuple[str, ...] | None:
    """Names of the skills that a model has lost against the first.

    Args:
        fingerprint: of the model; None for the last.

    Returns: none if it lost nothing; None if that model was not measured, or is the first.
    """
    later = found.models[1:]
    if fingerprint is not None:
        later = tuple(model for model in later if model.fingerprint == fingerprint)
    return tuple(skill.name for skill in later[-1].skills if skill.lost) if later else None
