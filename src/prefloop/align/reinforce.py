"""REINFORCE: sample, score, charge drift, and make likelier what earned more than the others of its step.

Reads: a policy folder, a reward, prompts. Writes: `models/step-*/` (plain Hugging Face folders), metrics, samples.
Follows Williams 1992 with the mean of the batch as baseline, KL charged as in `ppo.py`. One update a step, on rollouts
of the very policy that is updated: no ratio, no clip. Leaves out: a critic, a baseline for each prompt.
"""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from prefloop.align import drift, dump, limits, needs, online, shaping
from prefloop.align.config import REINFORCEConfig
from prefloop.align.online import Before, Setup
from prefloop.align.progress import Batch, Progress, restored, state
from prefloop.models.optim import Optimizer
from prefloop.models.sums import Sums
from prefloop.ops.advantages import discounted_returns, response_returns, whitened
from prefloop.ops.groups import group_mean
from prefloop.ops.losses import reinforce_loss
from prefloop.run import Run
from prefloop.sampling.rollouts import Rollouts


def train(config: REINFORCEConfig) -> Path:
    """Runs (or continues) REINFORCE. Returns: the folder of the last policy."""
    with Run(config, inputs=online.inputs(config)) as run:
        if run.finished:
            return run.folder / run.result["last"]
        setup, config = online.prepared(run, config, needs.reinforce)
        policy = setup.policy
        limit = online.at_once(run, setup, config, needs.reinforce, policy)
        optimizer = Optimizer(policy.parameters(), config, num_updates=config.steps, schedule="linear")
        begun: Progress[Batch] = Progress(0, config.kl_coef, online.first_multipliers(config))
        at = restored(run, policy, optimizer, setup.follower, kind=Batch) or begun
        run.progress.start(config.steps, at.step, unit="step")
        while at.step < config.steps:
            setup.sampler.refresh(policy)
            prompts = online.step_prompts(setup.prompts, config, at.step)
            rollouts = online.sample(setup, prompts, config, at.step)
            scores, scored, placed = online.score(setup, config, prompts, rollouts, at.multipliers)
            groups = online.micro_batches(rollouts, range(len(rollouts)), limit=limit)
            kept = online.entropy(config) if len(groups) == 1 else None
            before = online.read(
                setup, rollouts, groups, temperature=config.temperature, kept=kept, **drift.asked(config)
            )
            kl = before.kl(rollouts.mask, "k1")
            shaped = shaping.shaped(config, scores, rollouts, at.seen)
            placed = shaping.within(config, placed, scores, at.seen)
            rewards = drift.rewards(config, rollouts, shaped, before, placed, kl_coef=at.kl_coef)
            limits.before_updates(run, setup, config, at, prompts, rollouts, scores, before, rewards, placed)
            advantages = advantages_of(config, rewards, rollouts.mask)
            read = (before.logprobs, before.ref_logprobs)
            batch = Batch(rollouts, scores, scored, *read, rewards, advantages)
            dump.write(run, setup, config, at.step, prompts, batch)
            metrics = {
                **online.imitate(setup, at.step, limit=limit),
                **_update(  # loss
                    config, setup, optimizer, rollouts, advantages, before, groups, kl_coef=at.kl_coef
                ),
                **scored,
                **online.step_metrics(rollouts, kl, rewards, advantages),
                **drift.metrics(before, rollouts.mask),
                **shaping.metrics(config, scores, rollouts, at.seen),
                "kl/coef": at.kl_coef,
            }
            limits.after_update(run, config, at.step, metrics, policy)
            dump.after(run, setup, config, at.step, batch, limit=limit)
            online.log(run, setup, at.step, metrics, rollouts, scores, kl)
            kl_coef, seen = drift.next_kl_coef(config, at.kl_coef, metrics), shaping.next_seen(config, at.seen, scores)
            at = Progress(at.step + 1, kl_coef, online.next_multipliers(config, at.multipliers, scored), seen)
            online.follow(setup, at.step)
            online.save(run, setup, config, at.step)
            saved = partial(state, policy, optimizer, at, setup.follower)
            run.checkpoint(at.step, saved, every=config.checkpoint_every)
        online.finish(run, setup, config, {"kl_coef": at.kl_coef})
        return run.folder / run.result["last"]


def advantages_of(config: REINFORCEConfig, rewards: Tensor, mask: Tensor) -> Tensor:
    """(B, T) what each token earned, less the baseline; 0 at padding."""
    returns = (
        response_returns(rewards, mask)
        if config.credit == "response"
        else discounted_returns(rewards, mask, discount=config.discount)
    )
    baseline = _baseline(config, returns[:, 0])
    advantages = torch.where(mask, returns - baseline, 0.0)
    return whitened(advantages, mask, shift_mean=config.whiten_shift) if config.whiten_advantages else advantages


def _baseline(config: REINFORCEConfig, whole: Tensor) -> Tensor | float:
    """What is taken off: (), or (B, 1). Args: whole: (B,) reward units, the whole reward of each response."""
    match config.baseline:
        case "batch_mean":
            return whole.mean()
        case "group_mean":
            return group_mean(whole, copies=config.responses_per_prompt)[:, None]
        case "none":
            return 0.0


def _update(
    config: REINFORCEConfig,
    setup: Setup,
    optimizer: Optimizer,
    rollouts: Rollouts,
    advantages: Tensor,
    before: Before,
    groups: list[list[int]],
    *,
    kl_coef: float,
) -> dict[str, float]:
    """The step's one update, of what may have been read already. Returns: its metrics, means over the step's tokens."""
    total = rollouts.num_tokens(range(len(rollouts)))
    sums, lr = Sums(), optimizer.lr
    for rows in groups:
        packed, states = rollouts.stream(rows), drift.wants_states(config)
        now = before.reading or setup.policy.read(
            packed, temperature=config.temperature, entropy=online.entropy(config), states=states
        )
        ref = None if before.ref_logprobs is None else rollouts.packed(before.ref_logprobs, rows)
        exact = drift.whole(config, setup.policy, now, setup.charged, packed)
        assert now.entropy is not None  # it was asked for
        terms = {
            "loss/policy": (1.0, reinforce_loss(now.logprobs, rollouts.packed(advantages, rows))),
            **drift.terms(config, now, ref, kl_coef=kl_coef, exact=exact),
        }
        (torch.stack([coef * term.sum() for coef, term in terms.values()]).sum() / total).backward()
        for name, value in {**{name: term for name, (_, term) in terms.items()}, "entropy/mean": now.entropy}.items():
            sums.add(name, value.detach())
    norm = optimizer.step()
    return {**sums.fetched(divided_by=total), "grad/norm": norm, "lr": lr}
