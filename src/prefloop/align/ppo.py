"""PPO: sample, score, charge drift, ask the critic what was expected, and move the policy a clipped step.

Reads: a policy folder, a reward, prompts. Writes: `models/step-*/` (plain Hugging Face folders), metrics, samples.
Follows Schulman et al. 2017 (arXiv:1707.06347) with the details of Huang et al. 2024 (arXiv:2403.17031): reward on the
true last token, KL charged per token, GAE, whitening under the mask, clipped ratio and value, no dropout, logprobs at
the sampling temperature. Leaves out: more than one process.
"""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from prefloop.align import critics, drift, dump, limits, needs, online, replay, shaping
from prefloop.align.config import PPOConfig
from prefloop.align.online import Before, Setup
from prefloop.align.progress import Batch, Progress, keep, restored, state
from prefloop.models.network import Reading
from prefloop.models.optim import Optimizer, heads_apart
from prefloop.models.sums import Sums
from prefloop.ops.advantages import gae, whitened
from prefloop.ops.kl import kl_estimate
from prefloop.ops.losses import ppo_policy_clipped, ppo_policy_loss, ppo_value_clipped, ppo_value_loss
from prefloop.ops.reduce import explained_variance
from prefloop.run import Run


@dataclass(frozen=True)
class Judged(Batch):
    """A step's rollouts with what a critic said of them. Grids of (B, T), 0 at padding."""

    values: Tensor
    """reward units, the critic's prediction before the updates"""
    returns: Tensor
    """reward units, what the critic is to predict"""
    weights: Tensor
    """of replayed tokens, see `replay`; 1 for all others"""


def train(config: PPOConfig) -> Path:
    """Runs (or continues) PPO. Returns: the folder of the last policy."""
    with Run(config, inputs={**online.inputs(config), "critic": critics.folder(config)}) as run:
        if run.finished:
            return run.folder / run.result["last"]
        setup, config = online.prepared(run, config, needs.ppo)
        policy = critics.with_critic(setup, config, run)
        limit = online.at_once(run, setup, config, needs.ppo, policy)
        plan = config.epochs * config.rollouts_per_step // config.minibatch_size  # updates in a step
        apart = heads_apart(policy.heads, lr=config.lr, head_lr=config.head_lr)
        optimizer = Optimizer(
            policy.parameters(), config, num_updates=plan * config.steps, schedule="linear", apart=apart
        )
        begun: Progress[Judged] = Progress(0, config.kl_coef, online.first_multipliers(config))
        memory = replay.Memory(config, device=policy.device)
        at = restored(run, policy, optimizer, setup.follower, memory, kind=Judged) or begun
        run.progress.start(config.steps, at.step, unit="step")
        reading: Reading | None = None  # the policy's, kept for the next update
        while at.step < config.steps:
            order = memory.order(at.step)
            if at.batch is None:
                setup.sampler.refresh(policy)
                prompts = online.step_prompts(setup.prompts, config, at.step)
                rollouts = online.sample(setup, prompts, config, at.step)
                scores, scored, placed = online.score(setup, config, prompts, rollouts, at.multipliers)
                shaped = shaping.shaped(config, scores, rollouts, at.seen)
                placed = shaping.within(config, placed, scores, at.seen)
                rollouts, scores, shaped, placed, past = memory.joined(rollouts, scores, shaped, placed, at.step)
                before = drift.read(config, setup, rollouts, order, limit=limit)
                rewards = drift.rewards(config, rollouts, shaped, before, placed, kl_coef=at.kl_coef)
                limits.before_updates(run, setup, config, at, prompts, rollouts, scores, before, rewards, placed)
                reading, values = critics.begun(config, policy, before, rewards, rollouts.mask, step=at.step)
                advantages, returns = gae(rewards, values, rollouts.mask, discount=config.discount, decay=config.decay)
                targets = critics.targets(config, rewards, values, returns, rollouts.mask)
                fair = replay.Corrected.of(config, past, before, rollouts.mask, rewards, advantages, targets)
                advantages, read = fair.advantages, (before.logprobs, before.ref_logprobs)
                if config.whiten_advantages:
                    advantages = whitened(advantages, rollouts.mask, shift_mean=config.whiten_shift)
                scored |= drift.metrics(before, rollouts.mask[: len(prompts)]) | fair.told
                at.batch = Judged(rollouts, scores, scored, *read, rewards, advantages, values, *fair.learned)
                dump.write(run, setup, config, at.step, prompts, at.batch, past)
            for index in order[at.done :]:
                if at.stopped:
                    break
                metrics = _update(config, setup, optimizer, at, at.batch, index, reading, limit=limit)  # loss
                reading = None
                limits.after_update(run, config, at.step, metrics, policy)
                at.count(metrics, max_policy_kl=config.max_policy_kl)
                saved = partial(state, policy, optimizer, at, setup.follower, memory)
                run.checkpoint(at.step * plan + at.done, saved, every=config.checkpoint_every)
            optimizer.pass_over(plan - at.done)  # the schedule goes by steps, whether or not a step was cut short
            dump.after(run, setup, config, at.step, at.batch, limit=limit)
            new = at.batch.first(config.rollouts_per_step)
            metrics, seen = _log(run, setup, config, at, new), shaping.next_seen(config, at.seen, new.scores)
            if config.replay_steps:
                memory.keep(at.step + 1, new, online.step_prompts(setup.prompts, config, at.step))
            multipliers = critics.multipliers(config, at.multipliers, at.batch.scored, step=at.step)
            kl_coef = critics.kl_coef(config, at.kl_coef, metrics, step=at.step)
            at = Progress(at.step + 1, kl_coef, multipliers, seen=seen)
            keep(run, setup, config, at.step, partial(state, policy, optimizer, at, setup.follower, memory))
        online.finish(run, setup, config, {"kl_coef": at.kl_coef})
        return run.folder / run.result["last"]


def _update(
    config: PPOConfig,
    setup: Setup,
    optimizer: Optimizer,
    at: Progress[Judged],
    batch: Judged,
    index: list[int],
    reading: Reading | None,
    *,
    limit: int,
) -> dict[str, float]:
    """One optimiser update on one minibatch, which may have been read already. Returns: its metrics, means over the
    minibatch's tokens."""
    policy, rollouts = setup.policy, batch.rollouts
    total = rollouts.num_tokens(index)
    sums, lr, learning = Sums(), optimizer.lr, critics.learning(config, policy, step=at.step)
    limits = {"clip": config.clip, "clip_high": config.clip_high, "dual_clip": config.dual_clip}
    value_clip = math.inf if config.value_clip is None else config.value_clip
    for rows in online.micro_batches(rollouts, index, limit=limit):
        grids = (batch.logprobs, batch.advantages, batch.values, batch.returns, batch.weights)
        old, advantages, old_values, returns, weights = (rollouts.packed(grid, rows) for grid in grids)
        ref = None if batch.ref_logprobs is None else rollouts.packed(batch.ref_logprobs, rows)
        packed, states = rollouts.stream(rows), drift.wants_states(config)
        now = reading or policy.read(
            packed, temperature=config.temperature, entropy=online.entropy(config), states=states
        )
        assert now.values is not None  # the policy has a critic
        assert now.entropy is not None  # it was asked for
        exact = drift.whole(config, policy, now, setup.charged, packed)
        terms = {
            "loss/policy": (1.0, weights * ppo_policy_loss(now.logprobs, old, advantages, **limits)),
            "loss/value": (config.value_coef, ppo_value_loss(now.values, old_values, returns, clip=value_clip)),
            **replay.weighted(
                drift.terms(config, now, ref, kl_coef=at.kl_coef, old_logprobs=old, exact=exact), weights, exact=exact
            ),
        }
        loss = torch.stack([coef * term.sum() for coef, term in terms.values()]).sum() / total
        loss.backward(inputs=learning)
        with torch.no_grad():
            ratio = (now.logprobs - old).exp()
            seen = {
                **{name: term for name, (_, term) in terms.items()},
                "ratio/mean": ratio,
                "ratio/clipped": ppo_policy_clipped(now.logprobs, old, advantages, **limits).float(),
                "values/clipped": ppo_value_clipped(now.values, old_values, returns, clip=value_clip).float(),
                "ratio/kl": kl_estimate(old, now.logprobs, estimator="k3"),
                "entropy/mean": now.entropy,
            }
            for name, value in seen.items():
                sums.add(name, value)
            sums.largest("ratio/max_error", (ratio - 1).abs())
    beside = {} if learning else online.imitate(setup, optimizer.done, limit=limit)  # the critic learns alone, or not
    norm = optimizer.step()
    return {**sums.fetched(divided_by=total), **beside, "grad/norm": norm, "lr": lr}


def _log(run: Run, setup: Setup, config: PPOConfig, at: Progress[Judged], batch: Judged) -> dict[str, float]:
    """The log line and a few samples of a finished step. Returns: the line."""
    rollouts = batch.rollouts
    kl = Before(batch.logprobs, batch.ref_logprobs, batch.values).kl(rollouts.mask, "k1")
    metrics = {
        **at.means(),
        **batch.scored,
        **shaping.metrics(config, batch.scores, rollouts, at.seen),
        **online.step_metrics(rollouts, kl, batch.rewards, batch.advantages),
        "values/explained_variance": float(
            explained_variance(batch.values.cpu().double(), batch.returns.cpu().double(), rollouts.mask.cpu())
        ),
    }
    online.log(run, setup, at.step, metrics, rollouts, batch.scores, kl)
    return metrics
