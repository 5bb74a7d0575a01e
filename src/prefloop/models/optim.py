"""AdamW over groups of parameters, with a schedule and a gradient-norm clip; its whole state can be saved."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim.adamw import adamw

from prefloop.settings import Optimised

Schedule = Literal["constant", "linear", "cosine"]
BETAS = (0.9, 0.99)
"""AdamW's memory for gradients and for squared gradients."""
FINAL_LR = 0.1
"""Learning rate at the end, as a share of the peak."""


@dataclass(frozen=True)
class Group:
    """Parameters with a learning rate of their own, not decayed."""

    parameters: tuple[Tensor, ...]
    lr: float
    follows: bool = False
    """True for the peak of the same schedule, with its gradient clipped among all others (a new head); False for a
    constant rate, not clipped"""


def heads_apart(heads: Sequence[Tensor], *, lr: float, head_lr: float) -> list[Group]:
    """New heads as a group of their own, if they are to move at another rate than the rest."""
    return [] if head_lr == lr else [Group(tuple(heads), head_lr, follows=True)]


class Halves:
    """AdamW for matrices in bfloat16, whose missing bits are kept here: each is the upper half of a float32 number.

        whole = bfloat16 + rest        rest is 16 bits, so that the sum is exact

    The update is that of float32 weights, to the bit for the same gradients, and the bfloat16 matrix is the nearest to
    the whole one (the upper of two): what autocast would have made of it. In training that is 14 bytes a weight, where
    float32 takes 18.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        """Args: parameters: bfloat16."""
        self.parameters = parameters
        self.rests = [torch.zeros_like(p, dtype=torch.int16) for p in parameters]
        self.first = [torch.zeros_like(p, dtype=torch.float32) for p in parameters]
        self.second = [torch.zeros_like(p, dtype=torch.float32) for p in parameters]
        self.done = [0 for _ in self.parameters]  # updates of each: one without a gradient has none

    @torch.no_grad()
    def step(self, *, lr: float, decay: float, eps: float, shortened: Tensor | None) -> None:
        """One update of every matrix that has a gradient, one matrix at a time.

        Args:
            lr: learning rate.
            decay: decoupled weight decay.
            eps: what is added to the root of the mean squared gradient.
            shortened: what gradients are multiplied by, in float32.
        """
        states = zip(self.parameters, self.rests, self.first, self.second, strict=True)
        for i, (parameter, rest, first, second) in enumerate(states):
            if parameter.grad is None:
                continue
            steps = torch.tensor(float(self.done[i]))
            self.done[i] += 1
            upper = parameter.view(torch.int16)
            bits = (upper.to(torch.int32) << 16) + rest
            whole, grad = bits.view(torch.float32), parameter.grad.float()
            adamw(
                [whole],
                [grad if shortened is None else grad * shortened],
                [first],
                [second],
                [],
                [steps.to(parameter.device, copy=True)],
                fused=True,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=lr,
                weight_decay=decay,
                eps=eps,
                maximize=False,
            )
            upper.copy_((bits + 2**15) >> 16)
            rest.copy_(bits - (upper.to(torch.int32) << 16))

    def state(self) -> dict[str, Any]:
        """Everything beside the matrices."""
        return {"rests": self.rests, "first": self.first, "second": self.second, "done": self.done}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from `state`."""
        for name, ours in (("rests", self.rests), ("first", self.first), ("second", self.second)):
            for tensor, saved in zip(ours, state[name], strict=True):
                tensor.copy_(saved)
        self.done = [*state["done"]]


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
            parameters: those that follow the settings; frozen ones are left alone, and those that are in a group
                below. Only matrices decay. Of those in bfloat16 the bits beyond it are kept.
            settings: learning rate, warm-up, decay and clip.
            num_updates: length of the schedule.
            schedule: what the learning rate does after warm-up: cosine or linear fall, or constant.
            apart: groups with a rate of their own.
        """
        self.settings, self.num_updates, self._done = settings, num_updates, 0
        self.schedule: Schedule = schedule
        named = {id(p) for group in apart for p in group.parameters}
        main = [p for p in parameters if p.requires_grad and id(p) not in named]
        self.parameters = [*main, *(p for group in apart if group.follows for p in group.parameters)]
        self._halves = Halves([p for p in main if p.dtype == torch.bfloat16])
        main = [p for p in main if p.dtype != torch.bfloat16]
        groups: list[dict[str, Any]] = [
            {
                "params": list(group.parameters),
                "weight_decay": 0.0,
                "lr": group.lr,
                "betas": BETAS if group.follows else (0.9, 0.999),
            }
            for group in apart
        ]
        for decay, some in (
            (settings.weight_decay, [p for p in main if p.ndim >= 2]),
            (0.0, [p for p in main if p.ndim < 2]),
        ):
            groups += [{"params": some, "weight_decay": decay}] if some else []
        self._peaks = [group.lr if group.follows else None for group in apart]
        self._peaks += [settings.lr] * (len(groups) - len(apart))
        self._adam = torch.optim.AdamW(groups, lr=settings.lr, betas=BETAS, eps=settings.adam_eps, fused=True)

    @property
    def done(self) -> int:
        """Updates done or passed over."""
        return self._done

    @property
    def lr(self) -> float:
        """Learning rate of the next update."""
        return self.settings.lr * self._share

    @property
    def _share(self) -> float:
        return scale(self._done, self.num_updates, warmup=self.settings.warmup, schedule=self.schedule)

    def step(self) -> float:
        """Clips, updates and clears the gradients. Returns: the gradient norm before clipping."""
        norm, shortened = self._clip()
        for group, peak in zip(self._adam.param_groups, self._peaks, strict=True):
            group["lr"] = group["lr"] if peak is None else peak * self._share
        self._adam.step()
        self._halves.step(lr=self.lr, decay=self.settings.weight_decay, eps=self.settings.adam_eps, shortened=shortened)
        self._adam.zero_grad(set_to_none=True)
        for parameter in self._halves.parameters:
            parameter.grad = None
        self._done += 1
        return float(norm)

    def _clip(self) -> tuple[Tensor, Tensor | None]:
        """Shortens gradients that are too long. Returns: their norm, and what those of bfloat16 are to be multiplied
        by, which would be rounded if it were done here."""
        if not self._halves.parameters:
            return torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.max_grad_norm), None
        grads = [p.grad for p in self.parameters if p.grad is not None]
        norm = get_total_norm([get_total_norm([grad.float()]) for grad in grads])
        shortened = (self.settings.max_grad_norm / (norm + 1e-6)).clamp(max=1.0)
        for grad in grads:
            if grad.dtype != torch.bfloat16:
                grad.mul_(shortened)
        return norm, shortened

    def pass_over(self, updates: int) -> None:
        """Counts updates that were planned and left out, so that the schedule stays that of the plan."""
        self._done += updates

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly."""
        halves = {"halves": self._halves.state()} if self._halves.parameters else {}
        return {"adam": self._adam.state_dict(), "done": self._done, **halves}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from `state`."""
        self._adam.load_state_dict(state["adam"])
        if self._halves.parameters:
            self._halves.restore(state["halves"])
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
