"""GRPO: sample several responses to a prompt, and make likelier what is better than its prompt's others, in deviations.

Reads: a policy folder, a reward, prompts. Writes: `models/step-*/` (plain Hugging Face folders), metrics, samples.
Follows Shao et al. 2024 (arXiv:2402.03300): what a response earned, less its group's mean, over its group's deviation,
is the advantage of all its tokens; clipped ratios, drift charged in the loss by k3. Dr. GRPO, DAPO, GSPO and CISPO are
settings of it (docs/stages/grpo.md). Leaves out: a critic, rewards for steps of a response.

Shapes: B responses of a step, T tokens of the longest, M tokens of some of them.
"""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from prefloop.align import drift, dump, dynamic, groups, limits, needs, online, shaping
from prefloop.align.config import GRPOConfig
from prefloop.align.online import Setup
from prefloop.align.progress import Batch, Progress, keep, restored, state
from prefloop.models.network import Reading
from prefloop.models.optim import Optimizer
from prefloop.models.sums import Sums
from prefloop.ops.groups import group_normalised
from prefloop.ops.kl import kl_estimate
from prefloop.ops.ratios import cispo_clipped, cispo_loss, clipped, clipped_loss, mean_log_ratios
from prefloop.run import Run


def train(config: GRPOConfig) -> Path:
    """Runs (or continues) GRPO. Returns: the folder of the last policy."""
    with Run(config, inputs=online.inputs(config)) as run:
        if run.finished:
            return run.folder / run.result["last"]
        setup, config = online.prepared(run, config, needs.grpo)
        policy = setup.policy
        limit = online.at_once(run, setup, config, needs.grpo, policy)
        plan = config.epochs * config.rollouts_per_step // config.minibatch_size  # updates in a step
        optimizer = Optimizer(policy.parameters(), config, num_updates=plan * config.steps, schedule="linear")
        begun: Progress[Batch] = Progress(0, config.kl_coef, online.first_multipliers(config))
        at = restored(run, policy, optimizer, setup.follower, kind=Batch) or begun
        run.progress.start(config.steps, at.step, unit="step")
        reading: Reading | None = None  # the policy's, kept for the next update
        while at.step < config.steps:
            order = online.order(config, at.step)
            if at.batch is None:
                setup.sampler.refresh(policy)
                prompts, rollouts, scores, scored, placed = dynamic.sampled(  # again where all are alike
                    run, setup, config, at.step, at.multipliers, at.seen
                )
                before = drift.read(config, setup, rollouts, order, limit=limit)
                reading = before.reading
                shaped = shaping.shaped(config, scores, rollouts, at.seen)
                due = groups.charged(config, rollouts, shaped)
                placed = shaping.within(config, placed, scores, at.seen)
                rewards = drift.rewards(config, rollouts, due, before, placed, kl_coef=at.kl_coef)
                limits.before_updates(run, setup, config, at, prompts, rollouts, scores, before, rewards, placed)
                earned, copies = groups.whole(rewards, rollouts.mask), config.responses_per_prompt
                better = group_normalised(earned, copies=copies, scale=config.scale)
                advantages = groups.spread(better, rollouts.mask)
                scored |= shaping.metrics(config, scores, rollouts, at.seen) | drift.metrics(before, rollouts.mask)
                read = (before.logprobs, before.ref_logprobs)
                at.batch = Batch(rollouts, scores, scored, *read, rewards, advantages)
                dump.write(run, setup, config, at.step, prompts, at.batch)
            for index in order[at.done :]:
                if at.stopped:
                    break
                metrics = _update(  # loss
                    config, setup, optimizer, at.batch, index, reading, limit=limit, kl_coef=at.kl_coef
                )
                reading = None
                limits.after_update(run, config, at.step, metrics, policy)
                at.count(metrics, max_policy_kl=config.max_policy_kl)
                saved = partial(state, policy, optimizer, at, setup.follower)
                run.checkpoint(at.step * plan + at.done, saved, every=config.checkpoint_every)
            optimizer.pass_over(plan - at.done)  # the schedule goes by steps, whether or not a step was cut short
            dump.after(run, setup, config, at.step, at.batch, limit=limit)
            metrics = groups.log(run, setup, at, at.batch)
            seen = shaping.next_seen(config, at.seen, at.batch.scores)
            multipliers = online.next_multipliers(config, at.multipliers, at.batch.scored)
            at = Progress(at.step + 1, drift.next_kl_coef(config, at.kl_coef, metrics), multipliers, seen=seen)
            keep(run, setup, config, at.step, partial(state, policy, optimizer, at, setup.follower))
        online.finish(run, setup, config, {"kl_coef": at.kl_coef})
        return run.folder / run.result["last"]


def _update(
    config: GRPOConfig,
    setup: Setup,
    optimizer: Optimizer,
    batch: Batch,
    index: list[int],
    reading: Reading | None,
    *,
    limit: int,
    kl_coef: float,
) -> dict[str, float]:
    """One optimiser update on one minibatch, which may have been read already. Returns: its metrics; those of the loss
    as they count in it, the others means over the minibatch's tokens."""
    policy, rollouts = setup.policy, batch.rollouts
    total = rollouts.num_tokens(index)
    weights = groups.weights(config, rollouts, index, mean=config.loss_mean)
    sums, lr = Sums(), optimizer.lr
    for rows in online.micro_batches(rollouts, index, limit=limit):
        old, advantages = (rollouts.packed(grid, rows) for grid in (batch.logprobs, batch.advantages))
        ref = None if batch.ref_logprobs is None else rollouts.packed(batch.ref_logprobs, rows)
        stream, states = rollouts.stream(rows), drift.wants_states(config)
        now = reading or policy.read(
            stream, temperature=config.temperature, entropy=online.entropy(config), states=states
        )
        exact = drift.whole(config, policy, now, setup.charged, stream)
        assert now.entropy is not None  # it was asked for
        weight = weights[rows][stream.rows]
        log_ratios = now.logprobs - old
        if config.ratio == "response":
            log_ratios = mean_log_ratios(log_ratios, stream.rows, num_responses=len(rows))
        terms = {
            "loss/policy": (1.0, _policy_loss(config, now.logprobs, log_ratios, advantages)),
            **drift.terms(config, now, ref, kl_coef=kl_coef, old_logprobs=old, exact=exact),
        }
        torch.stack([coef * (weight * term).sum() for coef, term in terms.values()]).sum().backward()
        with torch.no_grad():
            seen = {
                **{name: weight * term for name, (_, term) in terms.items()},
                "ratio/mean": log_ratios.exp() / total,
                "ratio/clipped": _clipped(config, log_ratios, advantages).float() / total,
                "ratio/kl": kl_estimate(old, now.logprobs, estimator="k3") / total,
                "entropy/mean": now.entropy / total,
            }
            for name, value in seen.items():
                sums.add(name, value)
            sums.largest("ratio/max_error", (log_ratios.exp() - 1).abs())
    beside = online.imitate(setup, optimizer.done, limit=limit)
    norm = optimizer.step()
    return {**sums.fetched(), **beside, "grad/norm": norm, "lr": lr}


def _policy_loss(config: GRPOConfig, logprobs: Tensor, log_ratios: Tensor, advantages: Tensor) -> Tensor:
    """(M,) loss of each token, before it is weighted."""
    low, high = config.limits
    if config.surrogate == "cispo":
        return cispo_loss(logprobs, log_ratios, advantages, low=low, high=high)
    return clipped_loss(log_ratios, advantages, low=low, high=high, worst=torch.inf)


def _clipped(config: GRPOConfig, log_ratios: Tensor, advantages: Tensor) -> Tensor:
    """(M,) bool, where the limits changed a token's gradient."""
    low, high = config.limits
    if config.surrogate == "cispo":
        return cispo_clipped(log_ratios, low=low, high=high)
    return clipped(log_ratios, advantages, low=low, high=high, worst=torch.inf)
