"""Settings of `prefloop sweep`."""

from typing import Self

from pydantic import Field, model_validator

from prefloop.settings import Reward, Rewarded, RunConfig, SamplingConfig, Templated, Weighted


class SweepConfig(RunConfig, Templated, Weighted, SamplingConfig, Rewarded):
    """Which rewards are weighed against each other, and how."""

    policy: str
    """Model folder (or hub id) that writes the responses, normally the SFT model."""

    reward: Reward
    """Two rewards or more, NAME: {model, weight}."""

    prompts: str
    """File of prompts."""

    vary: str | None = None
    """The reward whose weight is varied, the others keeping theirs; None is the last one."""

    over: tuple[float, ...] = Field(default=(0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0), min_length=2, max_length=1000)
    """Its weights."""

    responses_per_prompt: int = Field(default=16, ge=2, le=10_000)
    """Responses of which the best is taken, at each weight."""

    num_prompts: int = Field(default=256, ge=0)
    """Prompts taken from the beginning of the file; 0 takes all."""

    batch_prompts: int = Field(default=32, ge=1, le=100_000)
    """Prompts sampled together."""

    @property
    def varied(self) -> str:
        """The reward whose weight is varied."""
        return self.vary or ("" if isinstance(self.reward, str) else list(self.reward)[-1])

    @model_validator(mode="after")
    def _there_is_something_to_weigh(self) -> Self:
        if isinstance(self.reward, str) or len(self.reward) < 2:
            raise ValueError(
                "a sweep weighs several rewards against each other. Give two or more: reward.NAME.model=... each."
            )
        if self.varied not in self.reward:
            raise ValueError(f"vary = {self.vary} is none of the rewards. There are: {', '.join(self.reward)}.")
        if held := [name for name, part in self.reward.items() if part.at_least is not None]:
            raise ValueError(f"reward.{held[0]}.at_least is a constraint on a policy in training. Leave it out here.")
        return self
