"""Settings of `prefloop serve`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from prefloop.settings import Weighted


class ServeConfig(Weighted):
    """How a policy is served."""

    scores: bool = False
    """Serve a reward model instead: POST /get_reward, for reward=http://127.0.0.1:8001/get_reward of another run."""

    port: int = Field(default=8001, ge=0, le=65535)
    """Port on 127.0.0.1; 0 takes a free one."""

    name: str = Field(default="", max_length=120)
    """What the model is called in the API; empty takes the last words of its path."""

    max_tokens: int = Field(default=256, ge=1)
    """Most tokens in a response if a request does not say; less where the model's context is nearly full."""

    max_rows: int = Field(default=32, ge=1, le=1024)
    """Most responses that are written at once, of all requests together; further requests wait."""

    cache_tokens: int | None = Field(default=None, ge=1)
    """Most tokens, of prompts and responses, that are remembered at once; null takes what an eighth of the memory
    holds. Further requests wait; one alone is always answered."""

    template: str | None = None
    """Chat template, if the model folder records none."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where tensors live: auto takes CUDA, then MPS, then CPU."""

    @model_validator(mode="after")
    def _who_scores_does_not_write(self) -> Self:
        idle = {"name", "max_tokens", "max_rows", "cache_tokens", "template"} & self.model_fields_set
        if self.scores and idle:
            name = min(idle)
            raise ValueError(f"{name} does nothing with scores = true, where nothing is written. Leave it out.")
        return self
