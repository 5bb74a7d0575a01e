"""PPO: sample, score, charge drift, ask the critic what was expected, and move the policy a clipped step.

Reads: a policy folder, a reward, prompts. Writes: `models/step-*/` (plain Hugging Face folders), metrics, samples.
Follows Schulman et al. 2017 (arXiv:1707.06347) with the details of Huang et al. 2024 (arXiv:2403.17031): reward on the
true last token, KL charged per token, GAE, whitening under the mask, clipped ratio and value, no dropout, logprobs at
the sampling temperature. Leaves out: more than one process.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from prefloop.align import drift, dump, limits, needs, online, replay
from prefloop.align.config import PPOConfig
from prefloop.align.online import Before, Setup
from prefloop.align.progress import Batch, Progress, restored, state
from prefloop.costs.subject import unchanged
from prefloop.errors import UserError
from prefloop.models.load import model_folder, reader
from prefloop.models.network import Network, Reading
from prefloop.models.optim import Optimizer, heads_apart
from prefloop.models.sums import Sums
from prefloop.models.tokenizers import tokenizer_of
from prefloop.ops.advantages import gae, whitened
from prefloop.ops.kl import kl_estimate
from prefloop.ops.losses import ppo_policy_clipped, ppo_policy_loss, ppo_value_clipped, ppo_value_loss
from prefloop.ops.reduce import explained_variance
from prefloop.run import Run
from prefloop.sampling.rollouts import Rollouts


@dataclass(frozen=True)
class Judged(Batch):
    """A step's rollouts with what a critic said of them. Grids of (B, T), 0 at padding."""

    values: Tensor
    """reward units, the critic's prediction before the updates"""
    returns: Tensor
    """reward units"""
    weights: Tensor
    """of replayed tokens, see `replay`; 1 for all others"""


def train(config: PPOConfig) -> Path:
    """Runs (or continues) PPO. Returns: the folder of the last policy."""
    with Run(config, inputs={**online.inputs(config), "critic": _critic_folder(config)}) as run:
        if run.finished:
            return run.folder / run.result["last"]
        setup, config = online.prepared(run, config, needs.ppo)
        policy = _with_critic(setup, config, run)
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
                scores, scored = online.score(setup, config, prompts, rollouts, at.multipliers)
                rollouts, scores, past = memory.joined(rollouts, scores, at.step)
                before, values = _before(config, setup, rollouts, order, limit=limit)
                reading = before.reading
                limits.before_updates(run, config, at.step, rollouts, scores, before)
                rewards = drift.rewards(config, rollouts, scores, before, kl_coef=at.kl_coef)
                advantages, returns = gae(rewards, values, rollouts.mask, discount=config.discount, decay=config.decay)
                seen = replay.Corrected.of(config, past, before, rollouts.mask, rewards, advantages, returns)
                advantages, told = seen.advantages, {**before.drifted(rollouts.mask[: len(prompts)]), **seen.told}
                if config.whiten_advantages:
                    advantages = whitened(advantages, rollouts.mask, shift_mean=True)
                read, judged = (before.logprobs, before.ref_logprobs), (values, seen.returns, seen.weights)
                at.batch = Judged(rollouts, scores, {**scored, **told}, *read, rewards, advantages, *judged)
                dump.write(run, setup, config, at.step, prompts, at.batch, past)
            for index in order[at.done :]:
                if at.stopped:
                    break
                beside = online.imitate(setup, optimizer.done, limit=limit)
                metrics = _update(  # loss
                    config, policy, optimizer, at.batch, index, reading, limit=limit, kl_coef=at.kl_coef
                )
                reading, metrics = None, {**metrics, **beside}
                limits.after_update(run, config, at.step, metrics, policy)
                at.count(metrics, max_policy_kl=config.max_policy_kl)
                saved = partial(state, policy, optimizer, at, setup.follower, memory)
                run.checkpoint(at.step * plan + at.done, saved, every=config.checkpoint_every)
            optimizer.pass_over(plan - at.done)  # the schedule goes by steps, whether or not a step was cut short
            kl = _log(run, setup, at, at.batch.first(config.rollouts_per_step))
            memory.keep(at.step + 1, at.batch, online.step_prompts(setup.prompts, config, at.step))
            multipliers = online.next_multipliers(config, at.multipliers, at.batch.scored)
            at = Progress(at.step + 1, drift.next_kl_coef(config, at.kl_coef, kl), multipliers)
            online.follow(setup, at.step)
            online.save(run, setup, config, at.step)
        online.finish(run, setup, config, {"kl_coef": at.kl_coef})
        return run.folder / run.result["last"]


def _update(
    config: PPOConfig,
    policy: Network,
    optimizer: Optimizer,
    batch: Judged,
    index: list[int],
    reading: Reading | None,
    *,
    limit: int,
    kl_coef: float,
) -> dict[str, float]:
    """One optimiser update on one minibatch, which may have been read already. Returns: its metrics, means over the
    minibatch's tokens."""
    rollouts = batch.rollouts
    total = sum(len(rollouts.responses[i]) for i in index)
    sums, lr = Sums(), optimizer.lr
    for rows in online.micro_batches(rollouts, index, limit=limit):
        grids = (batch.logprobs, batch.advantages, batch.values, batch.returns, batch.ref_logprobs, batch.weights)
        old, advantages, old_values, returns, ref, weights = (rollouts.packed(grid, rows) for grid in grids)
        now = reading or policy.read(
            rollouts.stream(rows), temperature=config.temperature, entropy=online.entropy(config)
        )
        assert now.values is not None  # the policy has a critic
        assert now.entropy is not None  # it was asked for
        terms = {
            "loss/policy": (1.0, weights * ppo_policy_loss(now.logprobs, old, advantages, clip=config.clip)),
            "loss/value": (config.value_coef, ppo_value_loss(now.values, old_values, returns, clip=config.value_clip)),
            **replay.weighted(drift.terms(config, now, ref, kl_coef=kl_coef), weights),
        }
        loss = torch.stack([coef * term.sum() for coef, term in terms.values()]).sum() / total
        loss.backward()
        with torch.no_grad():
            ratio = (now.logprobs - old).exp()
            seen = {
                **{name: term for name, (_, term) in terms.items()},
                "ratio/mean": ratio,
                "ratio/clipped": ppo_policy_clipped(now.logprobs, old, advantages, clip=config.clip).float(),
                "values/clipped": ppo_value_clipped(now.values, old_values, returns, clip=config.value_clip).float(),
                "ratio/kl": kl_estimate(old, now.logprobs, estimator="k3"),
                "entropy/mean": now.entropy,
            }
            for name, value in seen.items():
                sums.add(name, value)
            sums.largest("ratio/max_error", (ratio - 1).abs())
    norm = optimizer.step()
    return {**sums.fetched(divided_by=total), "grad/norm": norm, "lr": lr}


def _before(
    config: PPOConfig, setup: Setup, rollouts: Rollouts, order: list[list[int]], *, limit: int
) -> tuple[Before, Tensor]:
    """What policy, reference and critic say before the updates, read in the groups of the first epoch."""
    first_epoch = order[: config.rollouts_per_step // config.minibatch_size]
    groups = [rows for index in first_epoch for rows in online.micro_batches(rollouts, index, limit=limit)]
    kept = online.entropy(config) if len(groups) == 1 else None
    before = online.read(setup, rollouts, groups, temperature=config.temperature, kept=kept)
    assert before.values is not None  # the policy has a critic
    return before, before.values


def _log(run: Run, setup: Setup, at: Progress[Judged], batch: Judged) -> float:
    """The log line and a few samples of a finished step. Returns: drift from the reference, nats per response."""
    rollouts = batch.rollouts
    kl = Before(batch.logprobs, batch.ref_logprobs, batch.values).kl(rollouts.mask, "k1")
    metrics = {
        **at.means(),
        **batch.scored,
        **online.step_metrics(rollouts, kl, batch.rewards, batch.advantages),
        "values/explained_variance": float(
            explained_variance(batch.values.cpu().double(), batch.returns.cpu().double(), rollouts.mask.cpu())
        ),
    }
    online.log(run, setup, at.step, metrics, rollouts, batch.scores, kl)
    return metrics["rewards/kl"]


def _critic_folder(config: PPOConfig) -> str | None:
    return None if config.critic in ("shared", "separate") else model_folder(config.critic)


def _with_critic(setup: Setup, config: PPOConfig, run: Run) -> Network:
    """The policy with the critic asked for. Raises: UserError for a critic that reads other tokens, or fewer."""
    policy = setup.policy
    if config.critic in ("shared", "separate"):
        return policy.with_critic(separate=config.critic == "separate")
    folder = model_folder(config.critic)
    if not policy.codec.tokenizer.get_vocab().items() <= tokenizer_of(folder).get_vocab().items():
        raise UserError(
            f"critic={config.critic}: it reads other tokens than the policy {config.policy} writes. "
            "Use a critic of the same base, or critic=separate."
        )
    kind = "none" if policy.role is None else "lora"  # as the policy is trained
    trained = config.model_copy(update={"adapter": kind})
    other = reader(folder, policy.placement, beside=policy, weights=unchanged(trained, folder, scores=True))
    longest = setup.prompts.longest + config.max_new_tokens
    if longest > other.codec.context:
        raise UserError(
            f"critic={config.critic}: it reads at most {other.codec.context} tokens, but a prompt and its response may "
            f"have {longest}. Lower max_new_tokens, or use critic=separate."
        )
    said = other.train_as(trained, seed=config.seed)
    run.caution([f"critic: {sentence}" for sentence in said], of="critic")
    return policy.with_critic(other)
