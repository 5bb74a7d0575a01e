"""The language on disk: what stages hand to each other, one record per JSONL line.

Every record is frozen and strict: a field with the wrong name or type is an error with a sentence, never a guess.
A prompt is a conversation that ends with the user's turn; a response is plain text that continues it.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from prefloop.config import frozen

Role = Literal["system", "user", "assistant"]
Text = Annotated[str, Field(min_length=1)]
AnnotatorKind = Literal["person", "simulated", "model"]
PairChoice = Literal["left", "right", "tie", "both_bad"]
Side = Literal["chosen", "rejected", "tie"]


class Record(BaseModel):
    """Base of everything on disk: frozen, no unknown fields, no silent conversions except list -> tuple."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, values: Any) -> Any:
        return frozen(values)


class Message(Record):
    """One turn of a conversation."""

    role: Role
    """Who speaks."""
    content: Text
    """What is said."""


def _ends_with_user(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    if messages[-1].role != "user":
        last = messages[-1].role
        raise ValueError(
            f"the last message of a prompt is the {last}'s, but a prompt ends with the user's turn; mend it"
        )
    return messages


Conversation = Annotated[tuple[Message, ...], Field(min_length=1), AfterValidator(_ends_with_user)]


def opening(messages: tuple[Message, ...]) -> str:
    """The user's first words: conversations that begin alike, whatever their ids, count as one prompt when a share is held out."""
    return next(message.content for message in messages if message.role == "user")


class Prompt(Record):
    """What is asked: a conversation that the policy is to continue."""

    id: Text
    """Unique within its file."""
    messages: Conversation
    """The conversation so far; the last turn is the user's."""
    tags: tuple[str, ...] = ()
    """Free words for slicing results, for instance `topic:refund`, `unsafe`, `ood`."""

    @property
    def text(self) -> str:
        """The prompt as one string: the user's words, all turns joined by newlines."""
        return "\n".join(message.content for message in self.messages)


class Demonstration(Prompt):
    """A prompt with the response that somebody wrote for it."""

    response: Text
    """The ideal (or at least real) response."""
    source: str = ""
    """Who wrote it."""


class Response(Record):
    """One sampled response and where it came from."""

    text: str
    """Decoded text without the end-of-text token; may be empty."""
    num_tokens: int
    """Tokens sampled, the end-of-text token included."""
    finished: bool
    """True if the model ended it by itself, False if it ran into the token limit."""
    sampler: str
    """Fingerprint of the model that sampled it."""


class Sampling(Record):
    """How responses were drawn; stored with every comparison."""

    temperature: float
    """Divides the logits."""
    top_p: float = 1.0
    """Nucleus share kept."""
    top_k: int = 0
    """Number of tokens kept, 0 for all."""
    max_new_tokens: int = 64
    """Limit on sampled tokens."""
    seed: int = 0
    """Seed of the generator that drew them."""


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
        return "\n".join(message.content for message in self.messages)


class Judgement(Record):
    """One annotator's decision about one comparison. Immutable: a change of mind is a new judgement."""

    id: Text
    """Unique within its file."""
    comparison: Text
    """The comparison's id."""
    annotator: Text
    """Who judged."""
    annotator_kind: AnnotatorKind
    """A person, a simulation or a model."""
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
    """A lead's decision where annotators differed: of a pair on which there is one, all other judgements speak no more."""
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
    def outcome(self) -> float | None:
        """Share of the votes with a side that are for the chosen response; 1 if only the decision is known, None if all are ties."""
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

    @model_validator(mode="after")
    def _one_rank_each(self) -> Self:
        if len(self.ranks) != len(self.responses):
            raise ValueError(f"{len(self.responses)} responses but {len(self.ranks)} ranks; give each one rank")
        return self


class Score(Record):
    """A reward model's number for one response (written by `prefloop score`)."""

    id: Text
    """The row's id."""
    score: float
    """Reward units: shifted and scaled so that SFT demonstrations have mean 0 and deviation 1."""


class EmbeddedScore(Score):
    """The same, and where the reward model sees prompt and response (written by `prefloop score embed=true`)."""

    embedding: Annotated[tuple[float, ...], Field(min_length=1)]
    """Only distances between embeddings of one model mean anything."""
