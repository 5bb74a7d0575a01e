"""What every sampler offers, in this process or elsewhere: `sample` and `refresh`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prefloop.models.network import Network
from prefloop.settings import SamplingConfig


@dataclass(frozen=True)
class Sampled:
    """One sampled response."""

    tokens: tuple[int, ...]
    """token ids; the end-of-text token is the last one if it was reached"""
    finished: bool
    """True if it ended by itself: with an end-of-text token, or with a stop text"""
    logprobs: tuple[float, ...] = field(default=(), compare=False)
    """nats, of each token at the sampling temperature (1 if that is 0), before anything is cut off or penalised; the
    sampler's own, in its precision"""


class Sampler(Protocol):
    """A rollout engine. It may hold weights of its own, so it is told when the policy has changed."""

    def sample(
        self, prompts: Sequence[Sequence[int]], sampling: SamplingConfig, place: int, *, copies: int = 1
    ) -> list[Sampled]:
        """Samples `copies` responses to each prompt.

        Args:
            prompts: token ids of each prompt, none empty.
            sampling: temperature, cut-offs and length.
            place: decides every random number, by `seeds.seed_of`.
            copies: K, responses per prompt.

        Returns: len(prompts) x copies responses, the K responses of a prompt together.
        """
        ...

    def refresh(self, policy: Network) -> None:
        """Takes over the policy's weights as they are now."""
        ...
