"""One side of a conversation: what was said, what still fits the context, and text that grows token by token."""

from collections.abc import Callable
from dataclasses import dataclass

from prefloop.chat.config import ChatConfig
from prefloop.errors import UserError
from prefloop.models.network import Network
from prefloop.ops.draws import seeded
from prefloop.records import Message
from prefloop.sampling.in_process import generate
from prefloop.text.codec import Codec

OnText = Callable[[str], bool]
"""Called with the answer so far, whole characters only; returning False stops it."""
LEAST_ROOM = 4
"""An answer is given at least a quarter of the context, at the cost of the oldest turns."""


@dataclass(frozen=True)
class Answer:
    """What a model said."""

    text: str
    finished: bool
    """True if it ended by itself, False if it was stopped or ran into the limit"""
    num_forgotten: int
    """oldest turns that no longer fit the context"""


class Talker:
    """A model with its memory of the conversation."""

    def __init__(self, network: Network, config: ChatConfig, *, name: str, memory: bool) -> None:
        """Args: network: the model. config: how it speaks. name: what it is called. memory: read earlier turns
        again?"""
        self.network, self.config, self.name, self.memory = network, config, name, memory
        self.history: list[Message] = []

    def reset(self) -> None:
        """Forgets the conversation."""
        self.history = []

    def answer(self, text: str, *, turn: int, on_text: OnText) -> Answer:
        """Answers one user turn, and remembers both.

        Args:
            text: what the user says, not empty.
            turn: number of the turn; with the seed it decides the random numbers.
            on_text: see `OnText`.

        Raises: UserError if the turn alone does not fit the context.
        """
        codec = self.network.codec
        before = self.history if self.memory else []
        messages, ids = fitting(codec, [*before, Message(role="user", content=text)], room=self._room())
        said: list[int] = []

        def hear(token: int) -> bool:
            said.append(token)
            return on_text(codec.settled(codec.decode(said)))

        room = min(self.config.max_new_tokens, codec.context - len(ids))
        sampling = self.config.sampling().model_copy(update={"max_new_tokens": room})
        generator = seeded(self.config.seed, "chat.responses", turn)
        (sampled,) = generate(self.network, [ids], sampling, generator=generator, on_token=hear)
        words = codec.decode(sampled.tokens)
        num_forgotten = len(before) + 1 - len(messages)
        if words:  # silence is no turn: the next prompt would hold two user turns in a row
            self.history = [*messages, Message(role="assistant", content=words)]
        return Answer(words, sampled.finished, num_forgotten)

    def _room(self) -> int:
        return max(1, min(self.config.max_new_tokens, self.network.codec.context // LEAST_ROOM))


def fitting(codec: Codec, messages: list[Message], *, room: int) -> tuple[list[Message], list[int]]:
    """The conversation without its oldest turns, as far as they leave no room for an answer, and its tokens.

    Raises: UserError if not even the last turn fits.
    """
    ids: list[int] = []
    for start in range(0, len(messages), 2):  # a question is forgotten together with its answer
        ids = codec.prompt_ids(messages[start:])
        if len(ids) + room <= codec.context:
            return messages[start:], ids
    raise UserError(
        f"your turn has {len(ids)} tokens, but of the model's context of {codec.context} an answer needs {room}. "
        "Say it shorter."
    )
