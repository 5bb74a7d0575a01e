"""Settings of `prefloop choose`."""

from collections.abc import Collection
from typing import Self

from pydantic import Field, field_validator, model_validator

from prefloop.settings import Rewarded, RunConfig, SamplingConfig, Templated, Varied, Weighted
from prefloop.stats.choosing import MIN_RANDOM


class ChooseConfig(RunConfig, Templated, Weighted, Varied, SamplingConfig, Rewarded):
    """Everything that changes which prompts are asked next."""

    prompts: str
    """File of prompts to choose from: the pool."""

    num: int = Field(ge=1)
    """Prompts that are chosen."""

    asked: tuple[str, ...] = ()
    """Files of prompts, comparisons or preferences of earlier rounds: what they ask is not chosen again, by its words,
    and what is chosen for diversity keeps away from it."""

    model: str | None = None
    """Policy folder that reads the prompts, for diversity, and writes the responses on which rewards may disagree;
    without it all prompts are drawn at random."""

    reward: str | None = None
    """Reward model folder, normally an ensemble's: prompts are preferred on whose responses its members disagree. With
    one model alone those are whose responses it cannot tell apart."""

    random: float = Field(default=0.4, ge=MIN_RANDOM, le=1)
    """Share of the prompts that is always drawn at random, so that nothing is out of reach; the rest is shared by the
    strategies below."""

    disagreement: float = Field(default=1.0, ge=0, le=1_000_000)
    """Weight, in the rest, of what the reward would learn from a judgement; counts with `reward`."""

    diversity: float = Field(default=1.0, ge=0, le=1_000_000)
    """Weight, in the rest, of prompts that together cover the pool as `model` sees it; counts with `model`."""

    floors: dict[str, int] = Field(default_factory=dict)
    """Tag -> least number of prompts chosen that have it, as far as there are so many: floors.unsafe=20."""

    candidates: int = Field(default=1000, ge=1)
    """Prompts that models look at, at most; of more that many are drawn, and the others are chosen at random only."""

    responses_per_prompt: int = Field(default=4, ge=2, le=64)
    """Responses sampled for each candidate, on whose pairs a reward may disagree."""

    batch_prompts: int = Field(default=128, ge=1, le=100_000)
    """Prompts looked at together."""

    @field_validator("floors")
    @classmethod
    def _floors_are_counts(cls, floors: dict[str, int]) -> dict[str, int]:
        low = next((tag for tag, floor in floors.items() if floor < 1), None)
        if low is not None:
            raise ValueError(f"the floor of `{low}` is {floors[low]}; a floor is 1 or more. Leave it out, or raise it.")
        return floors

    @model_validator(mode="after")
    def _nothing_is_for_nothing(self) -> Self:
        if self.reward is not None and self.model is None:
            raise ValueError(
                "reward is asked about responses, and without model nobody writes any. Add model=FOLDER, or leave "
                "reward out."
            )
        given = self.model_fields_set
        for name, needs in (("disagreement", "reward"), ("diversity", "model")):
            if name in given and dict(self)[name] and dict(self)[needs] is None:
                raise ValueError(f"{name} does nothing without {needs}. Leave {name} out, or add {needs}=FOLDER.")
        if self.reward is not None and not self.disagreement:
            raise ValueError("reward does nothing with disagreement = 0. Leave reward out, or raise disagreement.")
        if self.model is not None and not self.strategies:
            raise ValueError(
                f"model does nothing with random = {self.random:g}, disagreement = {self.disagreement:g} and diversity "
                f"= {self.diversity:g}. Leave model out, or give it something to do."
            )
        return self

    @property
    def strategies(self) -> Collection[str]:
        """Those that have a share of the places, beside random."""
        return [name for name in self.shares if name != "random"]

    @property
    def shares(self) -> dict[str, float]:
        """Strategy -> its share of the places, "random" among them; they sum to 1."""
        weights = {"disagreement": self.disagreement if self.reward is not None else 0.0}
        weights["diversity"] = self.diversity if self.model is not None else 0.0
        total = sum(weights.values())
        rest = 1.0 - self.random if total else 0.0
        some = {name: rest * weight / total for name, weight in weights.items() if weight * rest > 0}
        return {**some, "random": self.random if some else 1.0}
