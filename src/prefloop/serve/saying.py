"""A response as it grows, token by token: only text that will not change any more is passed on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from prefloop.text.codec import Codec, begun


@dataclass
class Saying:
    """One response in the making."""

    codec: Codec
    stop: Sequence[str]
    """texts before which it ends"""
    tokens: list[int] = field(default_factory=list)
    """what was sampled, the end-of-text token included"""
    text: str = ""
    """what was passed on so far"""
    reason: str | None = None
    """`stop` if it ended by itself or at a stop text, `length` if it was cut, None while it grows"""

    def hear(self, token: int, *, ended: bool, full: bool) -> str:
        """One more token. Args: ended: it ends the response by itself. full: no more may follow.

        Returns: the text that can be passed on now; what may be the beginning of a stop text, and what is not settled
        (see `Codec.settled`), wait.
        """
        self.tokens.append(token)
        whole = self.codec.decode(self.tokens)
        at = min((place for stop in self.stop if (place := whole.find(stop)) >= 0), default=None)
        if at is not None:
            self.reason, whole = "stop", whole[:at]
        elif ended or full:
            self.reason = "stop" if ended else "length"
        else:
            whole = self.codec.settled(whole)
            whole = whole[: len(whole) - max((begun(whole, stop) for stop in self.stop), default=0)]
        added = whole[len(self.text) :]
        self.text = max(self.text, whole, key=len)
        return added
