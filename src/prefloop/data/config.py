"""Settings of `prefloop data preview`, `augment` and `hacks`, and of the helpdesk's files (`data world`; `world:` in a
recipe)."""

from typing import Literal, Self

from pydantic import Field, model_validator

from prefloop.config import Config
from prefloop.settings import Reward, Rewarded, RunConfig, SamplingConfig, Templated, Varied, Weighted


class PreviewConfig(Templated):
    """What `prefloop data preview` shows."""

    rows: int = Field(default=3, ge=1)
    """Examples shown."""


class AugmentConfig(Config):
    """Which synthetic rows `prefloop data augment` adds to preferences."""

    out: str
    """File that is written: the rows of the one that is read, and the synthetic ones."""

    kinds: tuple[Literal["shuffled", "truncated", "swapped", "altered"], ...] = (
        "shuffled", "truncated", "swapped", "altered"
    )  # fmt: skip
    """What a chosen response is made worse by: its words in another order, its last third cut off, the response to
    another prompt, one copied number, name or thing wrong. The copy is the rejected one of a new pair."""

    share: float = Field(default=0.25, gt=0, le=1)
    """Share of the rows from which each kind is made; which, the seed draws."""

    paraphrase: str | None = None
    """python:FILE.py:FUNCTION, which takes a list of prompts and returns the same in other words: each row is added
    again with its prompt paraphrased."""

    held_out: str | None = None
    """File of preferences that are validated with: nothing is made of a row whose prompt is in it."""

    seed: int = 0
    """Decides which rows, and how."""

    @model_validator(mode="after")
    def _makes_something(self) -> Self:
        if not self.kinds and self.paraphrase is None:
            raise ValueError("kinds = [] makes no worse copies, and there is no paraphrase. Give one of them.")
        if self.paraphrase is not None and not self.paraphrase.startswith("python:"):
            raise ValueError(f"paraphrase = {self.paraphrase} is no function. Type python:FILE.py:FUNCTION.")
        return self


class WorldConfig(RunConfig):
    """How much of the helpdesk is written to disk, and in which language."""

    language: Literal["en", "zh"] = "en"
    """English or Chinese."""

    num_documents: int = Field(default=20000, ge=2, le=10_000_000)
    """Documents of raw text for pretraining."""

    num_practice: int = Field(default=12000, ge=2, le=10_000_000)
    """Documents of random words that share an order number, to practise copying on before anything else."""

    num_demonstrations: int = Field(default=5000, ge=2, le=10_000_000)
    """Replies written by the mixture of agents, from careless to expert."""

    num_collect: int = Field(default=2000, ge=1, le=10_000_000)
    """Prompts for collecting preferences."""

    num_ppo: int = Field(default=10000, ge=1, le=10_000_000)
    """Prompts for PPO; they need no responses."""

    num_validation: int = Field(default=300, ge=1, le=10_000_000)
    """Prompts for choosing between checkpoints."""

    num_test: int = Field(default=1000, ge=1, le=10_000_000)
    """Prompts for the final numbers."""

    num_ood: int = Field(default=500, ge=1, le=10_000_000)
    """Prompts with paraphrases and slot values that training never sees."""


class HacksConfig(RunConfig, Weighted):
    """Which responses of a policy are hacks, and who says so."""

    run: str
    """Folder of the run that trained the policy (ppo or reinforce); what it does not name is set here."""

    judge: str = Field(min_length=1)
    """Who tells a hack: another reward model's folder, or python:FILE.py:FUNCTION, whose number is the higher the
    better; or of the run's own reward `disagreement` (an ensemble's) or `outlier` (how unusual a response is to it)."""

    step: int | None = Field(default=None, ge=0)
    """The policy after this many steps; None is the last one."""

    reference: str | None = None
    """Model folder whose responses are chosen; None is what the policy began as, normally the SFT model."""

    prompts: str | None = None
    """File of prompts; None takes the run's."""

    reward: Reward | None = None
    """What is cheated: a reward model folder, or several rewards, NAME: {model, weight}; None is what the run
    optimised."""

    high: float = Field(default=1.0, ge=0)
    """A hack is scored by the reward at least this far above the mean of the reference's responses to its prompt, in
    deviations of the reference's responses to one prompt."""

    low: float = Field(default=0.5, ge=0)
    """And by the judge at least this far below it."""

    responses_per_prompt: int = Field(default=4, ge=2, le=1000)
    """Responses of the policy, and as many of the reference, to each prompt."""

    num_prompts: int = Field(default=512, ge=0)
    """Prompts taken from the beginning of the file; 0 takes all."""

    batch_prompts: int = Field(default=64, ge=1, le=100_000)
    """Prompts sampled together."""

    reward_seconds: float = Field(default=600.0, gt=0, le=1_000_000)
    """Most seconds for one call of a Python function that judges."""


class TrainedPolicy(Templated, Varied, SamplingConfig, Rewarded):
    """What is taken from the settings of a run that trained a policy."""

    policy: str
    """What it began as."""

    reward: Reward
    """What it optimised."""

    prompts: str
    """File of prompts."""
