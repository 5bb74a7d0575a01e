"""Conversations: what is asked, what was demonstrated, and what a model wrote."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from prefloop.records.record import Record, Text

Role = Literal["system", "user", "assistant"]


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
    """The user's first words: conversations that begin alike count as one prompt when a share is held out."""
    return next(message.content for message in messages if message.role == "user")


def spoken(messages: tuple[Message, ...]) -> str:
    """A conversation as one string: all its turns, joined by newlines."""
    return "\n".join(message.content for message in messages)


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
        """The prompt as one string."""
        return spoken(self.messages)


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
    min_p: float = 0.0
    """Least share of the likeliest token's probability, 0 for none."""
    repetition_penalty: float = 1.0
    """Divides the logits of what was said."""
    stop: tuple[str, ...] = ()
    """Texts that end a response too."""
    max_new_tokens: int = 64
    """Limit on sampled tokens."""
    seed: int = 0
    """Seed of the generator that drew them."""
