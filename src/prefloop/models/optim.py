"""AdamW over groups of parameters, with a schedule and a gradient-norm clip; its whole state can be saved."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from prefloop.settings import Optimised

Schedule = Literal["constant", "linear", "cosine"]
BETAS = (0.9, 0.99)
"""AdamW's memory for gradients and for squared gradients."""
FINAL_LR = 0.1
"""Learning rate at the end, as a share of the peak."""


@dataclass(frozen=True)
class Group:
    """Parameters with a learning rate of their own: constant, not clipped, not decayed."""

    parameters: tuple[Tensor, ...]
    lr: float


class Optimizer:
    """AdamW for a known number of updates."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        settings: Optimised,
        *,
        num_updates: int,
        schedule: Schedule = "cosine",
        apart: Sequence[Group] = (),
    ) -> None:
        """Plans the updates.

        Args:
            parameters: those that follow the settings; frozen ones are left alone. Only matrices decay.
            settings: learning rate, warm-up, decay and clip.
            num_updates: length of the schedule.
            schedule: what the learning rate does after warm-up: cosine or linear fall, or constant.
            apart: groups that do not follow the settings.
        """
        self.settings, self.num_updates, self._done = settings, num_updates, 0
        self.schedule: Schedule = schedule
        self.parameters = [p for p in parameters if p.requires_grad]
        self._apart = len(apart)
        groups: list[dict[str, Any]] = [
            {"params": list(group.parameters), "weight_decay": 0.0, "lr": group.lr, "betas": (0.9, 0.999)}
            for group in apart
        ]
        for decay, some in (
            (settings.weight_decay, [p for p in self.parameters if p.ndim >= 2]),
            (0.0, [p for p in self.parameters if p.ndim < 2]),
        ):
            groups += [{"params": some, "weight_decay": decay}] if some else []
        self._adam = torch.optim.AdamW(groups, lr=settings.lr, betas=BETAS, eps=1e-8, fused=True)

    @property
    def done(self) -> int:
        """Updates done or passed over."""
        return self._done

    @property
    def lr(self) -> float:
        """Learning rate of the next update."""
        return self.settings.lr * scale(
            self._done, self.num_updates, warmup=self.settings.warmup, schedule=self.schedule
        )

    def step(self) -> float:
        """Clips, updates and clears the gradients. Returns: the gradient norm before clipping."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.max_grad_norm)
        for group in self._adam.param_groups[self._apart :]:
            group["lr"] = self.lr
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        self._done += 1
        return float(norm)

    def pass_over(self, updates: int) -> None:
        """Counts updates that were planned and left out, so that the schedule stays that of the plan."""
        self._done += updates

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly."""
        return {"adam": self._adam.state_dict(), "done": self._done}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from `state`."""
        self._adam.load_state_dict(state["adam"])
        self._done = state["done"]


def scale(done: int, num_updates: int, *, warmup: float, schedule: Schedule) -> float:
    """Share of the peak learning rate for the update after `done` updates; `warmup` is a share of the updates."""
    rising = round(warmup * num_updates)
    if done < rising:
        return (done + 1) / (rising + 1)
    if schedule == "constant":
        return 1.0
    gone = min(1.0, (done - rising) / max(1, num_updates - rising))
    fall = (1 + math.cos(math.pi * gone)) / 2 if schedule == "cosine" else 1 - gone
    return FINAL_LR + (1 - FINAL_LR) * fall
