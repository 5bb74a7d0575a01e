"""AdamW with a schedule and a gradient-norm clip, in one object whose whole state can be saved."""

import math
from collections.abc import Iterable
from typing import Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from prefloop.config import Config

Schedule = Literal["constant", "linear", "cosine"]


class OptimConfig(Config):
    """How weights are updated."""

    lr: float = Field(gt=0)
    """Peak learning rate."""

    warmup: float = Field(default=0.05, ge=0, le=1)
    """Share of the updates over which the learning rate rises from 0."""

    schedule: Schedule = "cosine"
    """What the learning rate does after warm-up: cosine or linear fall to `final_lr`, or constant."""

    final_lr: float = Field(default=0.1, ge=0, le=1)
    """Learning rate at the end, as a share of the peak."""

    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay, on matrices only."""

    beta2: float = Field(default=0.99, gt=0, lt=1)
    """AdamW's memory for squared gradients; beta1 is 0.9."""

    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients longer than this are shortened to it."""

    @classmethod
    def of(cls, settings: Config, *, schedule: Schedule = "cosine") -> Self:
        """The settings of a stage that have the same names here."""
        return cls(**{k: v for k, v in settings if k in cls.model_fields}, schedule=schedule)


class Optimizer:
    """AdamW over some parameters for a known number of updates."""

    def __init__(self, parameters: Iterable[Tensor], config: OptimConfig, *, num_updates: int) -> None:
        """Args: parameters: those that are trained. config: settings. num_updates: length of the schedule."""
        self.config, self.num_updates, self.done = config, num_updates, 0
        self.parameters = [p for p in parameters if p.requires_grad]
        groups = [
            {"params": [p for p in self.parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in self.parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        self._adam = torch.optim.AdamW(
            [g for g in groups if g["params"]], lr=config.lr, betas=(0.9, config.beta2), eps=1e-8, fused=True
        )

    @property
    def lr(self) -> float:
        """Learning rate of the next update."""
        return self.config.lr * scale(self.done, self.num_updates, self.config)

    def step(self) -> float:
        """Clips, updates and clears the gradients. Returns: the gradient norm before clipping."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.max_grad_norm)
        for group in self._adam.param_groups:
            group["lr"] = self.lr
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        self.done += 1
        return float(norm)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly."""
        return {"adam": self._adam.state_dict(), "done": self.done}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from `state`."""
        self._adam.load_state_dict(state["adam"])
        self.done = state["done"]


def scale(done: int, num_updates: int, config: OptimConfig) -> float:
    """Share of the peak learning rate for the update after `done` updates."""
    warmup = round(config.warmup * num_updates)
    if done < warmup:
        return (done + 1) / (warmup + 1)
    if config.schedule == "constant":
        return 1.0
    gone = min(1.0, (done - warmup) / max(1, num_updates - warmup))
    fall = (1 + math.cos(math.pi * gone)) / 2 if config.schedule == "cosine" else 1 - gone
    return config.final_lr + (1 - config.final_lr) * fall
