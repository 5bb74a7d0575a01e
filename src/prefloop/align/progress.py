"""Where a run is whose steps have several updates: what the unfinished step needs, and how it goes on after a kill.

Shapes: B responses of a step, T tokens of the longest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor

from prefloop.align import online
from prefloop.align.online import Setup
from prefloop.align.settings import Reused
from prefloop.models.network import Network
from prefloop.models.optim import Optimizer
from prefloop.run import Run
from prefloop.sampling.rollouts import Rollouts


@dataclass(frozen=True)
class Batch:
    """One step's rollouts with all that its updates need. Grids of (B, T), 0 at padding."""

    rollouts: Rollouts
    scores: Tensor
    """(B,) reward units"""
    scored: dict[str, float]
    """what is logged of the scores"""
    logprobs: Tensor
    """nats, under the policy that sampled, at the sampling temperature"""
    ref_logprobs: Tensor | None
    """nats, under the reference; None without one"""
    rewards: Tensor
    """reward units"""
    advantages: Tensor
    """reward units, or deviations once whitened"""

    def first(self, num: int) -> Self:
        """Its first rows alone."""
        cut: dict[str, Any] = {name: value[:num] for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, rollouts=self.rollouts.first(num), **cut)


class Kept(Protocol):
    """What else a run goes on with: a reference that follows, a memory of rollouts."""

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` gave."""
        ...


B = TypeVar("B", bound=Batch)


@dataclass
class Progress(Generic[B]):
    """Where in the run we are; saved with every checkpoint."""

    step: int = 0
    """steps finished"""
    kl_coef: float = 0.0
    """the coefficient now"""
    multipliers: dict[str, float] = field(default_factory=dict)
    """of the constraints, now"""
    seen: tuple[float, ...] = ()
    """of the scores of the steps before, where they are normalised by them (align/shaping.py)"""
    batch: B | None = None
    """the unfinished step's"""
    done: int = 0
    """updates done in the unfinished step"""
    stopped: bool = False
    """the unfinished step's epochs were cut short"""
    sums: dict[str, float] = field(default_factory=dict)
    """sums over the updates of the unfinished step of their metrics"""
    first_error: float = 0.0
    """largest distance of a ratio from 1 in the unfinished step's first update, which must be 0"""

    def count(self, metrics: Mapping[str, float], *, max_policy_kl: float | None) -> None:
        """Notes an update; the step's epochs end once the policy has drifted too far from the one that sampled."""
        if self.done == 0:
            self.first_error = metrics["ratio/max_error"]
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in metrics.items()}
        self.done += 1
        self.stopped = max_policy_kl is not None and metrics["ratio/kl"] > max_policy_kl

    def means(self) -> dict[str, float]:
        """The part of the log line that is about updates: means over those of the step."""
        return {
            **{name: value / self.done for name, value in self.sums.items() if name != "ratio/max_error"},
            "kl/coef": self.kl_coef,
            "ratio/first_error": self.first_error,
            "updates": self.done,
        }


def keep(run: Run, setup: Setup, config: Reused, done: int, state: Callable[[], dict[str, Any]]) -> None:
    """Ends `done` steps: a new reference and the policy, if they are due; a checkpoint, if the run is to end here.

    Args:
        state: what a checkpoint needs.
    """
    online.follow(setup, done)
    online.save(run, setup, config, done)
    run.checkpoint(done * len(online.order(config, done)), state, every=0)


def state(policy: Network, optimizer: Optimizer, at: Progress[B], *others: Kept | None) -> dict[str, Any]:
    """All that a checkpoint needs. Args: others: what else goes on, None for what there is not."""
    batch = at.batch and {**vars(at.batch), "rollouts": vars(at.batch.rollouts)}
    kept = {"others": [None if other is None else other.state() for other in others]} if others else {}
    return {"policy": policy.trained(), "optimizer": optimizer.state(), "at": {**vars(at), "batch": batch}, **kept}


def restored(
    run: Run, policy: Network, optimizer: Optimizer, *others: Kept | None, kind: type[B]
) -> Progress[B] | None:
    """Goes on from the last checkpoint, if there is one. Args: others: as in `state`. kind: of the unfinished step's
    batch."""
    saved = run.restore()
    if saved is None:
        return None
    policy.restore(saved["policy"])
    optimizer.restore(saved["optimizer"])
    for other, its in zip(others, saved.get("others", [None] * len(others)), strict=True):
        if other is not None:
            other.restore(its)
    batch = saved["at"].pop("batch")
    if batch is not None:
        rollouts = Rollouts(**moved(batch.pop("rollouts"), policy.device))
        batch = kind(rollouts=rollouts, **moved(batch, policy.device))
    return Progress(**saved["at"], batch=batch)


def moved(saved: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """What was saved, its tensors on a device."""
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in saved.items()}
