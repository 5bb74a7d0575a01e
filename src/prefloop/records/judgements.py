"""Judgements: responses waiting for a decision, what annotators decided, and what training makes of it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from prefloop.records.conversations import Conversation, Response, Sampling, spoken
from prefloop.records.record import Record, Text

AnnotatorKind = Literal["person", "simulated", "model"]
PairChoice = Literal["left", "right", "tie", "both_bad"]
Side = Literal["chosen", "rejected", "tie"]


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
    choice: PairChoice | None = None
    """pair: the side preferred, as shown."""
    strength: int | None = None
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

    @model_validator(mode="after")
    def _answers_its_kind(self) -> Self:
        answers = {"pair": self.choice, "ranking": self.ranks, "rating": self.ratings, "thumb": self.thumbs}
        given = [name for name, answer in answers.items() if answer is not None]
        if given != [self.kind]:
            raise ValueError(f"a {self.kind} judgement must answer exactly that, but it answers {given or 'nothing'}")
        return self


class Vote(Record):
    """What one annotator said about the pair of a preference."""

    side: Side
    """Which response they preferred."""
    strength: int | None = Field(default=None, ge=1, le=3)
    """1 slightly, 2 clearly, 3 much better; None if it was not asked, or for a tie."""


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
    strength: float | None = None
    """Mean strength stated, 1 to 3, if it was asked."""
    weight: float = 1.0
    """Weight in training."""
    agreement: float | None = None
    """Share of the judgements that agree with the decision."""
    num_judgements: int = 1
    """Judgements behind it."""
    votes: tuple[Vote, ...] = ()
    """What each of those annotators said; none if only the decision is known."""
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
    ranks: tuple[int, ...]
    """Rank of each response, 1 is best, equal ranks are ties."""
    num_judgements: int = 1
    """Judgements behind it."""
    comparison: str = ""
    """The comparison it came from."""
    tags: tuple[str, ...] = ()
    """The prompt's tags."""

    @model_validator(mode="after")
    def _one_rank_each(self) -> Self:
        if len(self.ranks) != len(self.responses):
            raise ValueError(f"{len(self.responses)} responses but {len(self.ranks)} ranks; give each one rank")
        return self
