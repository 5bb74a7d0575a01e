"""Settings that several stages share, each declared once; a stage inherits them, and may give other defaults.

class SFTConfig(RunConfig, Templated, Optimised, defaults={"lr": 1e-3}): ...
"""

import re
import typing
from collections.abc import Mapping

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from prefloop import presets
from prefloop.config import LEFT, ONE, SEVERAL, Config, frozen, one_or_several
from prefloop.stages import stage_of


class Placed(Config):
    """Where a stage computes, and how precisely."""

    device: typing.Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where tensors live: auto takes CUDA, then MPS, then CPU."""

    dtype: typing.Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of matrix products: auto takes bfloat16 where the hardware has it. `weights` says how they are held."""


class RunConfig(Placed):
    """What every stage that writes a run's folder has in common."""

    out: str
    """Folder that the stage writes; the same command continues it."""

    AFTERWARDS: typing.ClassVar[tuple[str, ...]] = ()
    """Settings of what a stage does once it has trained: when they change, only that is done again."""

    seed: int = Field(default=0, ge=-(2**63), lt=2**63)
    """Decides every random choice of the stage."""

    threads: int = Field(default=0, ge=0, le=512)
    """CPU threads; 0 takes OMP_NUM_THREADS if it is set and otherwise all cores. Exact resume needs the same number."""

    verify: bool = False
    """Of a stage that has finished: read all that it wrote and compare it with what was recorded, byte by byte."""


class Templated(Config):
    """How a conversation becomes text."""

    template: str | None = None
    """Chat template, if the model folder records none: turns, human-assistant, instruction-zh, chatml or plain."""


class Batched(Config):
    """How much is computed at once."""

    micro_tokens: int | None = Field(default=None, ge=16, le=100_000_000)
    """Most tokens learned from at once; a larger batch is split, which does not change the result. None is as many as
    the memory that is free has room for, and says how many."""

    recompute: bool | typing.Literal["auto"] = "auto"
    """Keep only the input of each layer and compute it again in the backward pass: a third slower, a fraction of the
    memory. auto does so where otherwise little would fit, and says so."""


class Lora(Config):
    """How an adapter is made (LoRA): two small matrices beside each layer, whose product is added to its weights."""

    rank: int = Field(default=16, ge=1, le=4096)
    """Width of the two matrices."""

    alpha: float = Field(default=32.0, gt=0)
    """What the product is multiplied by, divided by the rank (or its root, see scaling)."""

    targets: str | tuple[str, ...] = "all-linear"
    """Layers that get one: all-linear, or ends of their names, for instance [q_proj, v_proj]. Heads never do."""

    scaling: typing.Literal["standard", "rslora"] = "standard"
    """What alpha is divided by: standard is the rank, rslora its root, so that a higher rank learns as fast."""

    dora: bool = False
    """Also learn the length of each output's weights apart from their direction (DoRA): slower."""


class Weighted(Config):
    """How the matrices of a model are held in memory."""

    weights: typing.Literal["auto", "float32", "bfloat16", "int8", "nf4"] = "auto"
    """How matrices are held: auto is bfloat16 for those that stay as they are, where products are bfloat16 anyway, and
    float32 for those that are trained; int8 and nf4 (4 bits) only for those that stay, and what they change is said."""


class Adapted(Weighted):
    """Whether all weights are trained, or only a small adapter beside them."""

    adapter: typing.Literal["auto", "none", "lora"] = "auto"
    """What is trained: none is all weights, lora an adapter; auto is lora from 20 million weights on, or where the
    model is an adapter already."""

    lora: Lora = Lora()
    """How a new adapter is made."""

    @model_validator(mode="after")
    def _none_is_made_in_no_way(self) -> typing.Self:
        if self.adapter == "none" and "lora" in self.model_fields_set:
            raise ValueError(
                "adapter = none trains all weights, so that what stands under lora does nothing. Leave lora out, or "
                "set adapter = lora."
            )
        return self


class Tracked(Config):
    """Where else metrics are shown."""

    track: typing.Literal["none", "tensorboard", "wandb", "trackio", "swanlab"] = "none"
    """A tracker that is told every row of metrics.jsonl too. It can change when the same run goes on."""

    def extras(self) -> Mapping[str, str]:
        """The tracker."""
        return {} if self.track == "none" else {self.track: f"track={self.track}"}


class Watched(Config):
    """Whether a run is watched for signs that it goes wrong."""

    watch: typing.Literal["warn", "stop", "off"] = "warn"
    """What becomes of signs that the run goes wrong (docs/signs.md): warn says each once, stop also saves and ends the
    run at the first that is grave, off does not look. It can change when the same run goes on."""


class Trained(RunConfig):
    """What every stage that trains has in common."""

    memory: float = Field(default=0.0, ge=0, le=1_000_000)
    """Gigabytes that training may hold, the process included; 0 takes what the machine or its container has free. A
    stage that is expected to need more stops before its first step."""


class Optimised(Tracked):
    """How weights are updated: AdamW, its gradient shortened, its learning rate on a schedule."""

    lr: float = Field(default=LEFT, gt=0)
    """Peak learning rate (AdamW, falling to a tenth of it); left out, it is what suits the model (docs/defaults.md)."""

    warmup: float = Field(default=0.05, ge=0, le=1)
    """Share of the updates over which the learning rate rises."""

    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay, on matrices only."""

    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients longer than this are shortened to it."""

    adam_eps: float = Field(default=1e-8, gt=0)
    """What AdamW adds to the root of a weight's mean squared gradient; weights whose gradients are far below it hardly
    move, where otherwise a gradient that is nothing but noise moves them as far as any (1e-5 in much of RL)."""

    checkpoint_every: int = Field(default=50, ge=0)
    """Updates between checkpoints, which may fall inside a step; 0 for none but on Ctrl-C."""


def below_preset(settings: type[Config], values: typing.Any) -> typing.Any:
    """Values as they were given, with those of their preset below them: for settings that were not parsed, as a script
    makes them; `parse` has done it already, and says where."""
    name = values.get("preset") if isinstance(values, dict) else None
    if not isinstance(name, str):
        return values
    return frozen(presets.below(values, presets.read(stage_of(settings), name).values))


class WithPreset(Config):
    """Settings that a preset may have given."""

    preset: str | None = None
    """Settings that belong together under one name (docs/presets.md), or a YAML file of one's own: the defaults below
    what is typed."""


class Refreshed(Config):
    """Whether the reference follows the policy (TR-DPO)."""

    reference_every: int = Field(default=0, ge=0)
    """Updates after which the reference is refreshed from the policy; 0 never does. Its final drift is told from what
    it began as all the same."""

    reference_mix: float = Field(default=1.0, gt=0, le=1)
    """Share of the policy in the refreshed reference: 1 copies it, 0.6 keeps 0.4 of what the reference was."""

    @model_validator(mode="after")
    def _what_is_mixed_is_refreshed(self) -> typing.Self:
        if self.reference_mix != 1 and not self.reference_every:
            raise ValueError(
                "reference_mix does nothing while the reference stays. Leave it out, or say after how many updates it "
                "is refreshed: reference_every = 100, say."
            )
        return self


class Sampled(Config):
    """How responses are drawn."""

    temperature: float = Field(default=1.0, ge=0)
    """Divides the logits; 0 takes the likeliest token every time."""

    max_new_tokens: int = Field(default=96, ge=1)
    """Most tokens in a response."""

    cache_tokens: int | None = Field(default=None, ge=1)
    """Most tokens, of prompts and responses, that are remembered at once while responses are written; null takes what
    an eighth of the memory holds. More prompts wait their turn, which changes no response but for rounding."""


class Varied(Sampled):
    """How responses are drawn where they must differ from each other: never the likeliest token every time."""

    temperature: float = Field(default=1.0, gt=0)
    """Divides the logits, in sampling and in every probability of a loss alike. Above 0: greedy responses are all
    alike."""


class Component(Config):
    """One of several rewards that are added."""

    model: str = Field(min_length=1)
    """Reward model folder, python:FILE.py:FUNCTION, or a server's http://HOST:PORT/PATH."""

    weight: float = 1.0
    """What its score is multiplied by; below 0 it is charged."""

    at_least: float | None = None
    """What its mean score is to be at least, in its own reward units: a constraint, for policies in training."""


TAKEN = ("mean", "std", "model", "env", "outliers", "unusual", "disagreement", "shaped", "shaped_std", "clipped")
"""Names that metrics have already, behind `scores/`."""


def _named_well(given: dict[str, Component]) -> dict[str, Component]:
    if not given:
        raise ValueError("this names no reward. Name at least one: NAME: {model: FOLDER, weight: 1.0}.")
    for name in given:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in TAKEN:
            why = "metrics have that name already" if name in TAKEN else "names are of a-z, 0-9 and _"
            raise ValueError(f"a reward cannot be called {name!r}: {why}. Choose another, for instance helpful.")
    return given


Reward = typing.Annotated[
    typing.Annotated[str, Tag(ONE)] | typing.Annotated[dict[str, Component], AfterValidator(_named_well), Tag(SEVERAL)],
    Discriminator(one_or_several),
]
"""A reward model folder, a function or a server; or several, NAME -> what it is and how much it counts."""


def models_of(reward: Reward | None, key: str = "reward") -> dict[str, str]:
    """What a setting names, by the setting or by its parts: `reward`, or `reward.safe`, `reward.helpful`."""
    if reward is None:
        return {}
    if isinstance(reward, str):
        return {key: reward}
    return {f"{key}.{name}": part.model for name, part in reward.items()}


class Rewarded(Config):
    """How rewards are asked: an ensemble, somebody's own function, and a server."""

    combine: typing.Literal["mean", "min", "variance"] = "mean"
    """How the scores of an ensemble's members become one: their mean, the lowest, or with variance their mean less
    variance_coef times their variance (Coste 2023)."""

    variance_coef: float = Field(default=0.5, ge=0)
    """With combine=variance: what a unit of the members' variance costs, in reward units."""

    reward_seconds: float = Field(default=600.0, gt=0, le=1_000_000)
    """Most seconds for one call of a Python reward function, or for one request to a reward server; then the stage
    stops and says in which line it was."""

    reward_batch: int = Field(default=256, ge=1, le=1_000_000)
    """Most responses in one request to a reward server."""

    reward_retries: int = Field(default=5, ge=0, le=100)
    """How often a request to a reward server is sent again after an error of the server or of the network, a second
    later and each time twice as late, up to a minute; then the stage stops."""

    @model_validator(mode="after")
    def _variance_counts(self) -> typing.Self:
        default = type(self).model_fields["variance_coef"].default
        if self.variance_coef != default and self.combine != "variance":
            raise ValueError(
                f"variance_coef does nothing with combine = {self.combine}. Leave it out, or set combine = variance."
            )
        return self


class Gated(Config):
    """Whether a reward model must be healthy."""

    anyway: bool = False
    """Optimise against a reward model although its health card says that it is not ready."""


class SamplingConfig(Sampled):
    """Everything that a sampler may be asked for; cut-offs and penalties are those of transformers, in its order."""

    top_k: int = Field(default=0, ge=0)
    """Keep only this many likeliest tokens; 0 keeps all."""

    top_p: float = Field(default=1.0, gt=0, le=1)
    """Keep the likeliest tokens that together have this probability; 1 keeps all."""

    min_p: float = Field(default=0.0, ge=0, le=1)
    """Keep only tokens with at least this share of the likeliest one's probability; 0 keeps all."""

    repetition_penalty: float = Field(default=1.0, gt=0, le=10)
    """Divides the logits of tokens that are in the prompt or were said (multiplies those below 0); 1 does nothing."""

    stop: tuple[str, ...] = Field(default=(), max_length=16)
    """Texts that end a response too, as the end-of-text token does; they stay in it."""

    @field_validator("stop")
    @classmethod
    def _something_to_wait_for(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        if not all(texts):
            raise ValueError("an empty text is in every response. Leave it out.")
        return texts

    def sampling(self) -> "SamplingConfig":
        """These settings alone, without those of the stage."""
        return SamplingConfig.model_validate(self.model_dump(include=set(SamplingConfig.model_fields)))
