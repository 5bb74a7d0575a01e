"""Settings of `prefloop evaluate`: of checkpoints, and of a reward model on a file."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from prefloop.config import ONE, SEVERAL, Config, one_or_several
from prefloop.settings import Reward, Rewarded, RunConfig, SamplingConfig, Templated, Weighted


class EvaluateConfig(RunConfig, Templated, Weighted, SamplingConfig, Rewarded):
    """Everything that changes how checkpoints are compared and selected."""

    reference: str
    """Model folder that everything is compared with and KL is measured to, normally the SFT model."""

    candidates: str
    """Folder with one model folder for each checkpoint (`ppo/models`, or just `ppo`), or a single model folder."""

    base: str | None = None
    """Untouched model that the reference itself began from: its answers are measured beside, it is never selected, and
    KL and surprise of everybody's answers under it are measured too."""

    validation_prompts: str
    """File of prompts on which the checkpoints are compared and one is selected."""

    test_prompts: str
    """File of prompts on which the selected one is measured; no prompt may be in both files."""

    ood_prompts: str | None = None
    """File of prompts unlike those of training, for the out-of-distribution table."""

    micro_tokens: int = Field(default=16384, ge=16, le=100_000_000)
    """Most tokens that both models read at once for their KL; it does not change the result."""

    num_validation: int = Field(default=0, ge=0)
    """Prompts taken from the beginning of validation_prompts; 0 takes all."""

    num_test: int = Field(default=0, ge=0)
    """Prompts taken from the beginning of test_prompts and of ood_prompts; 0 takes all."""

    reward: Reward | None = None
    """Who gives the scores: a reward model folder, or python:FILE.py:FUNCTION; or several that are added, NAME:
    {model, weight}."""

    judge: Literal["gold", "score"] = "score"
    """Who decides which of two responses is better: the score itself (a proxy), or the helpdesk's gold program, which
    knows its own prompts and refuses any other."""

    collected: str | None = None
    """The collect stage's folder, to check the reward model on what was held out there: against its annotators, and for
    prompts of the helpdesk against the truth."""

    demonstrations: str | None = None
    """Demonstrations, to show what SFT imitates beside what became of it (with judge=gold only)."""

    best_of: int = Field(default=1, ge=1, le=10_000)
    """Responses that a candidate writes to each prompt, of which the one that a reward likes best is its answer (best
    of n); the reference writes one. What that adds to its KL is counted in."""

    best_of_reward: Reward | None = None
    """With best_of: the reward that chooses, if not `reward`, which gives the scores."""

    num_arena: int = Field(default=100, ge=0)
    """Prompts from the beginning of test_prompts that people may judge blind, in `arena.jsonl`."""

    num_audit: int = Field(default=10, ge=0)
    """Of the other test prompts, how many with the highest score, and how many with the highest KL, people look at."""

    kl_limit: float = Field(default=8.0, gt=0)
    """Checkpoints that drifted further from the reference than this, in nats per response, are not selected."""

    batch_prompts: int = Field(default=256, ge=1, le=100_000)
    """Prompts sampled together."""

    num_samples: int = Field(default=40, ge=0)
    """Prompts whose responses before and after are kept for the report."""

    @model_validator(mode="after")
    def _everything_given_is_used(self) -> Self:
        if self.judge == "score" and self.reward is None:
            raise ValueError(
                "judge = score needs a reward. Set reward to a reward model folder or python:FILE.py:FUNCTION."
            )
        held = [] if self.reward is None or isinstance(self.reward, str) else self.reward.items()
        if levels := [name for name, part in held if part.at_least is not None]:
            raise ValueError(
                f"reward.{levels[0]}.at_least is a constraint on a policy in training, and nothing is trained here. "
                "Leave it out."
            )
        if self.demonstrations is not None and self.judge != "gold":
            raise ValueError(
                "demonstrations are judged by gold alone, so with judge = score they would not be read. Leave "
                "demonstrations out, or set judge = gold if all prompts are the helpdesk's."
            )
        if self.best_of > 1 and self.reward is None and self.best_of_reward is None:
            raise ValueError(f"best_of = {self.best_of} needs a reward that says which is best. Set reward.")
        if self.best_of == 1 and self.best_of_reward is not None:
            raise ValueError("best_of_reward chooses among several responses. Set best_of, or leave it out.")
        if self.collected is not None and self.reward is None:
            raise ValueError("collected checks a reward model, and there is none. Set reward, or leave collected out.")
        return self


class RewardFileConfig(RunConfig, Weighted, Rewarded, defaults={"dtype": "float32"}):
    """How a reward model is evaluated on a file of preferences or rankings."""

    reward: Reward
    """A reward model folder, anyone's, or python:FILE.py:FUNCTION; or several that are added, NAME: {model, weight}."""

    data: str
    """File of preferences or rankings, in any form that `prefloop data check` names; RewardBench and RewardBench 2 are
    summed up as their authors do."""

    training: str | None = None
    """Preferences that the reward model learned from, for the leaks and the baselines of its card."""

    batch: int = Field(default=256, ge=1, le=1_000_000)
    """Rows scored together, and kept together."""

    @model_validator(mode="before")
    @classmethod
    def _one_thing_at_a_time(cls, values: Any) -> Any:
        given = values if isinstance(values, dict) else {}
        other = [name for name in given if name in EvaluateConfig.model_fields and name not in cls.model_fields]
        if other:
            raise ValueError(
                f"data evaluates a reward model on a file, and {', '.join(other)} would not be read: that compares "
                "checkpoints. Leave data out for the one, or everything but reward and data for the other."
            )
        return values


class Chooser(Config):
    """One of the rewards that choose."""

    model: str = Field(min_length=1)
    """Reward model folder, python:FILE.py:FUNCTION, or a server's http://HOST:PORT/PATH."""

    combine: Literal["mean", "min", "variance"] = "mean"
    """Of an ensemble: how its members' scores become one, as of `evaluate`."""

    variance_coef: float = Field(default=0.5, ge=0)
    """With combine=variance: what a unit of the members' variance costs, in reward units."""


Choosers = Annotated[
    Annotated[str, Tag(ONE)] | Annotated[dict[str, Chooser], Field(min_length=1), Tag(SEVERAL)],
    Discriminator(one_or_several),
]
"""One reward, or several, NAME -> what it is and how it is asked."""


class BestOfConfig(RunConfig, Templated, Weighted, SamplingConfig):
    """Which rewards choose among the same responses, and how many there are."""

    policy: str
    """Model folder (or hub id) that writes the responses, normally the SFT model."""

    reward: Choosers
    """A reward model folder, python:FILE.py:FUNCTION or a server; or several, NAME: {model, combine, variance_coef},
    each of which chooses among the same responses."""

    prompts: str
    """File of the helpdesk's prompts: gold knows no others."""

    responses_per_prompt: int = Field(default=64, ge=2, le=10_000)
    """Responses to each prompt, the largest n; all smaller ones are told from the same, without bias."""

    num_prompts: int = Field(default=128, ge=2)
    """Prompts taken from the beginning of the file."""

    batch_prompts: int = Field(default=8, ge=1, le=100_000)
    """Prompts sampled together."""

    @property
    def choosers(self) -> dict[str, Chooser]:
        """The rewards by name; a single one is called `reward`."""
        return {"reward": Chooser(model=self.reward)} if isinstance(self.reward, str) else self.reward
