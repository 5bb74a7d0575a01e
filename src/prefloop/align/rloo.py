"""RLOO: sample several responses to a prompt, and make likelier what earned more than the others of its prompt.

Reads: a policy folder, a reward, prompts. Writes: `models/step-*/` (plain Hugging Face folders), metrics, samples.
Follows Ahmadian et al. 2024 (arXiv:2402.14740): a response is one decision, what it earned is its score less the charge
for all its drift, and the mean of the others to its prompt is the baseline (Kool et al. 2019). With more than one
update of a step, the ratio is that of the whole response, clipped as in `ppo.py`. Leaves out: a critic, credit for
single tokens, deviations (GRPO).

Shapes: B responses of a step, T tokens of the longest, M tokens of some of them.
"""

from functools import partial
from pathlib import Path

import torch

from prefloop.align import drift, dump, groups, limits, needs, online, shaping
from prefloop.align.config import RLOOConfig
from prefloop.align.online import Setup
from prefloop.align.progress import Batch, Progress, keep, restored, state
from prefloop.models.network import Reading
from prefloop.models.optim import Optimizer
from prefloop.models.sums import Sums
from prefloop.ops.advantages import whitened
from prefloop.ops.groups import leave_one_out
from prefloop.ops.kl import kl_estimate
from prefloop.ops.ratios import clipped, clipped_loss, response_sums
from prefloop.run import Run


def train(config: RLOOConfig) -> Path:
    """Runs (or continues) RLOO. Returns: the folder of the last policy."""
    with Run(config, inputs=online.inputs(config)) as run:
        if run.finished:
            return run.folder / run.result["last"]
        setup, config = online.prepared(run, config, needs.rloo)
        policy = setup.policy
        limit = online.at_once(run, setup, config, needs.rloo, policy)
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
                prompts = online.step_prompts(setup.prompts, config, at.step)
                rollouts = online.sample(setup, prompts, config, at.step)
                scores, scored, placed = online.score(setup, config, prompts, rollouts, at.multipliers)
                before = drift.read(config, setup, rollouts, order, limit=limit)
                reading = before.reading
                shaped = shaping.shaped(config, scores, rollouts, at.seen)
                scored |= groups.counted(config, rollouts, shaped)
                due = groups.charged(config, rollouts, shaped)
                placed = shaping.within(config, placed, scores, at.seen)
                rewards = drift.rewards(config, rollouts, due, before, placed, kl_coef=at.kl_coef)
                limits.before_updates(run, setup, config, at, prompts, rollouts, scores, before, rewards, placed)
                better = leave_one_out(groups.whole(rewards, rollouts.mask), copies=config.responses_per_prompt)
                advantages = groups.spread(better, rollouts.mask)
                if config.whiten_advantages:
                    advantages = whitened(advantages, rollouts.mask, shift_mean=config.whiten_shift)
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
    config: RLOOConfig,
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
    as they count in it, of ratios means over the minibatch's responses, the others over its tokens."""
    policy, rollouts, (low, high) = setup.policy, batch.rollouts, config.limits
    total, num = rollouts.num_tokens(index), len(index)
    weights = groups.weights(config, rollouts, index, mean="constant")
    sums, lr = Sums(), optimizer.lr
    for rows in online.micro_batches(rollouts, index, limit=limit):
        old = rollouts.packed(batch.logprobs, rows)
        advantages, weight = batch.advantages[rows, 0], weights[rows]  # of the response, and so of each of its tokens
        ref = None if batch.ref_logprobs is None else rollouts.packed(batch.ref_logprobs, rows)
        stream, states = rollouts.stream(rows), drift.wants_states(config)
        now = reading or policy.read(
            stream, temperature=config.temperature, entropy=online.entropy(config), states=states
        )
        exact = drift.whole(config, policy, now, setup.charged, stream)
        assert now.entropy is not None  # it was asked for
        log_ratios = response_sums(now.logprobs - old, stream.rows, num_responses=len(rows))
        policy_loss = clipped_loss(log_ratios, advantages, low=low, high=high, worst=torch.inf)
        terms = {
            "loss/policy": (1.0, weight * policy_loss),
            **{
                name: (coef, weight[stream.rows] * term)
                for name, (coef, term) in drift.terms(
                    config, now, ref, kl_coef=kl_coef, old_logprobs=old, exact=exact
                ).items()
            },
        }
        torch.stack([coef * term.sum() for coef, term in terms.values()]).sum().backward()
        with torch.no_grad():
            stopped = clipped(log_ratios, advantages, low=low, high=high, worst=torch.inf)
            seen = {
                **{name: term for name, (_, term) in terms.items()},
                "ratio/mean": log_ratios.exp() / num,
                "ratio/clipped": stopped / num,
                "ratio/kl": kl_estimate(old, now.logprobs, estimator="k3") / total,
                "entropy/mean": now.entropy / total,
            }
            for name, value in seen.items():
                sums.add(name, value)
            sums.largest("ratio/max_error", (log_ratios.exp() - 1).abs())
    beside = online.imitate(setup, optimizer.done, limit=limit)
    norm = optimizer.step()
    return {**sums.fetched(), **beside, "grad/norm": norm, "lr": lr}
