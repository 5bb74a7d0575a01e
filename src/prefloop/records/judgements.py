"""Judgements: responses waiting for a decision, what annotators decided, and what training makes of it."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from prefloop.records.conversations import Conversation, Response, Sampling, spoken
from prefloop.records.record import Record, Text

AnnotatorKind = Literal["person", "simulated", "model"]
PairChoice = Literal["left", "right", "tie", "both_bad"]
Side = Literal["chosen", "rejected", "tie"]
SYNTHETIC = "synthetic"
"""The tag of rows that nobody judged, for they were made of others; `synthetic:KIND` says how."""
MAIN_AXES = ("overall", "helpfulness", "helpful", "quality")
"""Axes that say by themselves how good a response is, the first that is there."""


class Comparison(Record):
    """Responses to one prompt, waiting for judgements."""

    id: Text
    """Unique within its file."""
    prompt_id: Text
    """The prompt's id."""
    messages: Conversation
    """The prompt's conversation."""
    responses: Annotated[tuple[Response, ...], Field(min_length=2)]
    """K responses, in sampling order."""
    sampling: Sampling
    """How they were drawn."""
    tags: tuple[str, ...] = ()
    """The prompt's tags."""

    @property
    def text(self) -> str:
        """The prompt as one string."""
        return spoken(self.messages)


class Machine(Record):
    """What a model was asked, and what it said."""

    model: Text
    """The model's name at its endpoint, or the fingerprint of its folder."""
    prompt: Text
    """Fingerprint of the wording in which it was asked, and of how its answer was drawn."""
    answer: str = ""
    """What it said, as it said it; of a model whose likelihoods were read the likeliest answer."""
    answers: tuple[str, ...] = ()
    """rating: the same of each shown response, each of which it was asked by itself; `answer` is empty then."""
    share: float | None = Field(default=None, ge=0, le=1)
    """pair: how likely it was to say left rather than right; None if that is not known."""
    ratings: dict[str, tuple[float, ...]] | None = None
    """rating: for each axis what is to be expected of each shown response, by the likelihoods of 1 to 5; None if they
    are not known."""
    principle: str | None = Field(default=None, min_length=1)
    """The name of the principle by which it was asked to compare; None if it was asked by none."""


class Judgement(Record):
    """One annotator's decision about one comparison. Immutable: a change of mind is a new judgement."""

    id: Text
    """Unique within its file."""
    comparison: Text
    """The comparison's id."""
    annotator: Text
    """Who judged."""
    annotator_kind: AnnotatorKind
    """A person, a simulation, or a machine: a model, or a function, whose name begins with `python:`."""
    kind: Literal["pair", "ranking", "rating", "thumb"]
    """What was asked."""
    order: tuple[int, ...]
    """Indices of the responses in the order shown: for a pair (left, right)."""
    sides_known: bool = True
    """Whether they were shown in that order; False if that is not known, as of judgements made elsewhere."""
    choice: PairChoice | None = None
    """pair: the side preferred, as shown."""
    strength: int | None = Field(default=None, ge=1, le=3)
    """pair: 1 slightly, 2 clearly, 3 much better; None for ties."""
    ranks: tuple[int, ...] | None = None
    """ranking: the rank of each shown response, 1 is best, equal ranks are ties."""
    ratings: dict[str, tuple[int, ...]] | None = None
    """rating: for each axis the 1-5 rating of each shown response."""
    thumbs: tuple[bool, ...] | None = None
    """thumb: good (True) or bad for each shown response."""
    seconds: float
    """Active time taken."""
    guideline: str = ""
    """Version of the guideline the annotator saw."""
    ruling: bool = False
    """A lead's decision where annotators differed: beside it, other judgements of the same pair count no more."""
    comment: str = ""
    """What the annotator wrote beside the answer."""
    machine: Machine | None = None
    """What a model was asked and said, word by word; None for people, simulations and functions."""

    @model_validator(mode="after")
    def _answers_its_kind(self) -> Self:
        answers = {"pair": self.choice, "ranking": self.ranks, "rating": self.ratings, "thumb": self.thumbs}
        given = [name for name, answer in answers.items() if answer is not None]
        if given != [self.kind]:
            raise ValueError(f"a {self.kind} judgement must answer exactly that, but it answers {given or 'nothing'}")
        twice = next((index for place, index in enumerate(self.order) if index in self.order[:place]), None)
        if twice is not None:
            raise ValueError(f"`order` names response {twice} twice; a judgement shows each response once")
        if self.kind == "pair" and len(self.order) != 2:
            raise ValueError(f"a pair is of 2 responses, but `order` names {len(self.order)}")
        _no_strength(self.strength, self.choice in ("tie", "both_bad"))
        if self.ranks is not None:
            _one_each("ranks", self.ranks, len(self.order), "responses shown")
            _ranked(self.ranks)
        if self.thumbs is not None:
            _one_each("thumbs", self.thumbs, len(self.order), "responses shown")
        for axis, marks in (self.ratings or {}).items():
            _one_each(f"ratings.{axis}", marks, len(self.order), "responses shown")
        return self


class Vote(Record):
    """What one annotator said about the pair of a preference."""

    side: Side
    """Which response they preferred."""
    strength: int | None = Field(default=None, ge=1, le=3)
    """1 slightly, 2 clearly, 3 much better; None if it was not asked, or for a tie."""
    annotator: Text | None = None
    """Who; None if it is not known."""
    annotator_kind: AnnotatorKind | None = None
    """Of what kind they are; None if it is not known, as in files of before."""
    first: bool | None = None
    """Whether the preference's chosen response was the one shown on the left; None if it is not known."""

    @model_validator(mode="after")
    def _answers(self) -> Self:
        _no_strength(self.strength, self.side == "tie")
        return self


class Preference(Record):
    """A decision that training uses: of two responses to one prompt, which is better."""

    id: Text
    """Unique within its file."""
    messages: Conversation
    """The prompt's conversation."""
    chosen: Text
    """The better response."""
    rejected: Text
    """The worse response."""
    strength: float | None = Field(default=None, ge=1, le=3)
    """Mean strength stated, 1 to 3, if it was asked."""
    weight: float = Field(default=1.0, gt=0)
    """Weight in training."""
    agreement: float | None = Field(default=None, ge=0, le=1)
    """Share of the judgements that agree with the decision."""
    num_judgements: int = 1
    """Judgements behind it."""
    votes: tuple[Vote, ...] = ()
    """What each of those annotators said; none if only the decision is known."""
    annotator_kind: AnnotatorKind | None = None
    """Without votes: of what kind whoever judged is; None if it is not known."""
    comparison: str = ""
    """The comparison it came from, if it came from one."""
    chosen_index: int | None = None
    """Index of the chosen response in its comparison."""
    rejected_index: int | None = None
    """Index of the rejected response in its comparison."""
    tags: tuple[str, ...] = ()
    """The prompt's tags."""

    @model_validator(mode="after")
    def _differs(self) -> Self:
        if self.chosen == self.rejected:
            raise ValueError("chosen and rejected are the same text, so there is nothing to learn; remove the row")
        return self

    @property
    def decided(self) -> bool:
        """Whether more votes are for the chosen response than for the other, and than are ties; without votes it is."""
        sides = [vote.side for vote in self.votes]
        chosen = sides.count("chosen")
        return not sides or chosen > max(sides.count("rejected"), sides.count("tie"))

    @property
    def outcome(self) -> float | None:
        """Share for the chosen response of the votes with a side; 1 if there are no votes, None if all are ties."""
        if not self.votes:
            return 1.0
        sides = [vote.side for vote in self.votes if vote.side != "tie"]
        return sides.count("chosen") / len(sides) if sides else None


class Ranking(Record):
    """K responses to one prompt in order of preference."""

    id: Text
    """Unique within its file."""
    messages: Conversation
    """The prompt's conversation."""
    responses: Annotated[tuple[str, ...], Field(min_length=2)]
    """The responses."""
    ranks: tuple[int | None, ...]
    """Rank of each response, 1 is best, equal ranks are ties; null for one that was not ranked: it is below all that
    were, in no known order."""
    num_judgements: int = 1
    """Judgements behind it."""
    annotator_kind: AnnotatorKind | None = None
    """Of what kind whoever ranked is; None if it is not known."""
    comparison: str = ""
    """The comparison it came from."""
    tags: tuple[str, ...] = ()
    """The prompt's tags."""

    @model_validator(mode="after")
    def _one_rank_each(self) -> Self:
        _one_each("ranks", self.ranks, len(self.responses), "responses (null for one that was not ranked)")
        _ranked([rank for rank in self.ranks if rank is not None])
        if self.ranks.count(None) == len(self.ranks):
            raise ValueError("no response has a rank; give one in `ranks`, or remove the row")
        return self

    @property
    def places(self) -> tuple[int, ...]:
        """(K,) the ranks; those who have none share a last one of their own."""
        last = 1 + max(rank for rank in self.ranks if rank is not None)
        return tuple(last if rank is None else rank for rank in self.ranks)


class Rated(Record):
    """Responses to one prompt that somebody rated on axes, or called good or bad, each by itself."""

    id: Text
    """Unique within its file."""
    messages: Conversation
    """The prompt's conversation."""
    responses: Annotated[tuple[Text, ...], Field(min_length=1)]
    """K responses, one or more."""
    ratings: dict[str, tuple[float | None, ...]] | None = None
    """For each axis the rating of each response, the higher the better; None where it was not rated on that axis."""
    thumbs: tuple[bool | None, ...] | None = None
    """Of each response whether it is good; None where nobody said."""
    annotator: str | None = None
    """Who; None if it is not known, or several together."""
    annotator_kind: AnnotatorKind | None = None
    """Of what kind they are; None if it is not known."""
    comparison: str = ""
    """The comparison it came from."""
    tags: tuple[str, ...] = ()
    """The prompt's tags."""

    @model_validator(mode="after")
    def _one_mark_each(self) -> Self:
        if self.thumbs is not None:
            _one_each("thumbs", self.thumbs, len(self.responses), "responses")
        for axis, marks in (self.ratings or {}).items():
            _one_each(f"ratings.{axis}", marks, len(self.responses), "responses")
        given = [*(self.thumbs or ()), *(mark for marks in (self.ratings or {}).values() for mark in marks)]
        if all(mark is None for mark in given):
            raise ValueError("no response has a rating or a thumb; give one in `ratings` or `thumbs`")
        return self

    @property
    def main_axis(self) -> str | None:
        """The axis that says how good a response is; None if several do it together, or there are thumbs only."""
        axes = list(self.ratings or ())
        return next((name for name in MAIN_AXES if name in axes), axes[0] if len(axes) == 1 else None)

    @property
    def grades(self) -> tuple[float | None, ...]:
        """(K,) how good each response is: on the main axis, else the mean of all axes, else 1 for good and 0 for bad.

        None where it is not known; of a mean, where one of its axes is missing.
        """
        if self.ratings:
            if self.main_axis is not None:
                return self.ratings[self.main_axis]
            return tuple(_mean(marks) for marks in zip(*self.ratings.values(), strict=True))
        return tuple(None if thumb is None else float(thumb) for thumb in self.thumbs or ())


def _mean(marks: Sequence[float | None]) -> float | None:
    known = [mark for mark in marks if mark is not None]
    return sum(known) / len(known) if len(known) == len(marks) else None


def _one_each(name: str, marks: Sequence[object], number: int, of_what: str) -> None:
    if len(marks) != number:
        raise ValueError(f"`{name}` has {len(marks)} entries for {number} {of_what}; give each exactly one")


def _no_strength(strength: int | None, is_tie: bool) -> None:
    if is_tie and strength is not None:
        raise ValueError(f"a tie has the strength {strength}, but neither response is better; leave `strength` out")


def _ranked(ranks: Sequence[int]) -> None:
    low = next((rank for rank in ranks if rank < 1), None)
    if low is not None:
        raise ValueError(f"a rank is {low}, but ranks count from 1, which is the best")
