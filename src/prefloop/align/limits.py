"""Where a run has diverged: what is no number, or beyond a limit; the first of it is said, and the run stops.

A step is looked at once before its updates (scores, logprobs, values, drift) and once after each (losses, gradient,
ratios, weights), in the order in which one thing follows from another, and before anything is saved.
"""

from collections.abc import Sequence
from typing import NoReturn

import torch
from torch import Tensor

from prefloop import layout
from prefloop.align import first_batch
from prefloop.align.online import Before, Setup
from prefloop.align.progress import B, Progress
from prefloop.align.settings import OnlineConfig
from prefloop.align.switches import Limited, RatioLimited
from prefloop.models.network import Network
from prefloop.run import Run
from prefloop.sampling.rollouts import Rollouts
from prefloop.text.examples import Asked


def before_updates(
    run: Run,
    setup: Setup,
    config: OnlineConfig,
    at: Progress[B],
    prompts: Sequence[Asked],
    rollouts: Rollouts,
    scores: Tensor,
    before: Before,
    rewards: Tensor,
    placed: Tensor | None,
) -> None:
    """Looks at what a step has sampled and read, and at the first one more closely.

    Args:
        at: where the run is.
        prompts: of the new rollouts.
        scores: (B,) reward units.
        rewards: (B, T) reward units.
        placed: (B, T) reward units, the part of them that is paid within the responses; None for none.

    Raises: Diverged; UserError with watch=stop, if the first batch is not as it must be.
    """
    step = at.step
    if step == 0 and not bool(rollouts.finished.any()):
        run.say(
            f"none of the first {len(rollouts)} responses ended by itself within max_new_tokens = "
            f"{config.max_new_tokens}. A policy that does not know its end-of-text token learns from what is cut off: "
            "fine-tune it on demonstrations first (prefloop sft), or raise max_new_tokens."
        )
    mask, good = rollouts.mask, step - 1  # what wrote these rollouts is not
    for name, grid, why in (
        ("a logprob of the policy", before.logprobs, _calmer(config)),
        ("a logprob of the reference", before.ref_logprobs, "Take another policy folder"),
        ("a value of the critic", before.values, f"{_calmer(config)}, or value_coef"),
    ):
        if grid is not None and (wrong := _not_finite(grid[mask])):
            _stop(run, step, good, f"{name} became {wrong}", why)
    for name, numbers in (("a score", scores), ("a value of the critic", before.values)):
        if numbers is not None:
            _limit(run, config, step, good, name, numbers if numbers.ndim == 1 else numbers[mask])
    first_batch.look(run, setup, config, step, prompts, rollouts)
    first_batch.look_at_rewards(run, config, step, rollouts, rewards, before, placed, kl_coef=at.kl_coef)
    drift = before.kl(mask, "k1")
    if config.max_kl is None or drift is None:
        return
    if (moved := before.kl_start(mask)) is not None:  # a reference that follows is never far
        drift = moved
    kl = float(drift[: config.rollouts_per_step].cpu().double().sum(1).mean())  # of the new ones
    if kl > config.max_kl:
        what = f"the drift from the reference reached {kl:.4g} nats per response, past max_kl = {config.max_kl:g}"
        _stop(run, step, good, what, f"Raise kl_coef (now {config.kl_coef:g}), or lower lr ({config.lr:g})")


def after_update(run: Run, config: OnlineConfig, step: int, metrics: dict[str, float], policy: Network) -> None:
    """Looks at what an update has done, before it is saved.

    Args:
        step: from 0.
        metrics: of the update.

    Raises: Diverged.
    """
    run.refuse_nan(step + 1, metrics)
    limit = config.max_ratio if isinstance(config, RatioLimited) else None
    if limit is not None and (ratio := 1 + metrics["ratio/max_error"]) > limit:
        what = f"the probability ratio of a token reached {ratio:.4g}, past max_ratio = {limit:g}"
        _stop(run, step, step, what, f"{_calmer(config)}, take fewer epochs, or set max_policy_kl = 0.05")
    learned = [(name, weight) for name, weight in policy.named_parameters() if weight.requires_grad]
    if bool(torch.stack([torch.isfinite(weight).all() for _, weight in learned]).all()):  # asked of the device once
        return
    name, weight = next((name, weight) for name, weight in learned if _not_finite(weight))
    _stop(run, step, step, f"the weights {name} became {_not_finite(weight)}", _calmer(config))


def _limit(run: Run, config: Limited, step: int, good: int, name: str, numbers: Tensor) -> None:
    if wrong := _not_finite(numbers):
        _stop(run, step, good, f"{name} became {wrong}", "Mend the reward, which must give numbers")
    most = float(numbers.abs().max())
    if config.max_score is not None and most > config.max_score:
        what = f"{name} reached {most:.4g} in size, past max_score = {config.max_score:g}"
        _stop(run, step, good, what, "Read samples.jsonl, lower the reward's weight, or lower lr and head_lr")


def _not_finite(numbers: Tensor) -> str:
    """nan, inf or -inf, whichever comes first; empty if all are finite."""
    wrong = numbers.detach()[~torch.isfinite(numbers.detach())]
    return str(float(wrong[0])) if len(wrong) else ""


def _calmer(config: OnlineConfig) -> str:
    return f"Lower the learning rate (lr={config.lr:g})"


def _stop(run: Run, step: int, good: int, what: str, instead: str) -> NoReturn:
    """Args: step: from 0. good: steps after which the policy was still good."""
    kept = [path.name for path in layout.policies(run.folder) if (layout.step_of(path.name) or 0) <= good]
    last = f"{layout.MODELS}/{kept[-1]} is the last good policy" if kept else "No good policy had been kept yet"
    run.diverged(step + 1, what, f"{last}. {instead}, with another out=DIR.")
