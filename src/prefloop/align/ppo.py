"""PPO: sample, score, charge drift, ask the critic what was expected, and move the policy a clipped step.

Reads: a policy folder, a reward, prompts. Writes: `models/step-*/` (plain Hugging Face folders), metrics, samples.
Follows Schulman et al. 2017 (arXiv:1707.06347) with the details of Huang et al. 2024 (arXiv:2403.17031): reward on the
true last token, KL charged per token, GAE, whitening under the mask, clipped ratio and value, no dropout, logprobs at the
sampling temperature. Leaves out: replay of old rollouts, a pretraining term, more than one process.
"""

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from prefloop.align.config import PPOConfig
from prefloop.align.experience import Sources, drift, micro_batches, minibatches, sample_rollouts
from prefloop.errors import UserError
from prefloop.files.foreign import read_prompts
from prefloop.models.device import chosen_device, precision
from prefloop.models.load import Loaded, causal, model_folder, save_model, tokenizer_of
from prefloop.models.optim import OptimConfig, Optimizer
from prefloop.models.policy import Policy, frozen_copy
from prefloop.models.scorers import reward_input, scorer
from prefloop.models.stream import ResponseStream
from prefloop.ops.kl import adapted_kl_coef, kl_estimate
from prefloop.ops.losses import ppo_policy_loss, ppo_value_loss
from prefloop.ops.reduce import explained_variance, masked_mean
from prefloop.rollouts import Rollouts
from prefloop.run import Run


@dataclass
class Progress:
    """Where in the run we are; saved with every checkpoint."""

    step: int = 0
    """steps finished"""
    kl_coef: float = 0.0
    """the coefficient now"""
    rollouts: Rollouts | None = None
    """the unfinished step's rollouts"""
    done: int = 0
    """minibatches done in the unfinished step"""
    stopped: bool = False
    """the unfinished step's epochs were cut short"""
    sums: dict[str, float] = field(default_factory=dict)
    """sums of minibatch metrics of the unfinished step"""
    first_error: float = 0.0
    """largest distance of a ratio from 1 in the unfinished step's first minibatch, which must be 0"""


def train(config: PPOConfig) -> Path:
    """Runs (or continues) PPO. Returns: the folder of the last policy."""
    inputs: dict[str, str | None] = {
        "policy": model_folder(config.policy),
        "reward": reward_input(config.reward),
        "prompts": config.prompts,
    }
    inputs["critic"] = model_folder(config.critic) if config.critic not in ("shared", "separate") else None
    with Run("ppo", config, inputs=inputs) as run:
        if run.finished:
            return run.folder / run.result["last"]
        device = chosen_device(config)
        loaded = causal(config.policy, device, template=config.template)
        reference = frozen_copy(loaded)
        policy = Policy(loaded.model, critic=_critic(config, loaded), device=device)
        prompts, left_out = _prompts(config, loaded)
        sources = Sources(loaded, policy, reference, scorer(config.reward, device), prompts)
        plan = config.epochs * config.rollouts_per_step // config.minibatch_size  # updates in a step
        optimizer = Optimizer(
            policy.parameters(), OptimConfig.of(config, schedule="linear"), num_updates=plan * config.steps
        )
        at = _restored(run, policy, optimizer, device) or Progress(kl_coef=config.kl_coef)
        run.progress.start(config.steps, at.step)
        while at.step < config.steps:
            if at.rollouts is None:
                at.rollouts = sample_rollouts(config, sources, at.step, kl_coef=at.kl_coef)
            for index in itertools.islice(minibatches(config, at.step), at.done, None):
                if at.stopped:
                    break
                metrics = _update(config, policy, optimizer, at.rollouts, index, device, kl_coef=at.kl_coef)
                run.refuse_nan(at.step + 1, metrics)
                at.first_error = metrics["ratio/max_error"] if at.done == 0 else at.first_error
                at.sums = {k: at.sums.get(k, 0.0) + v for k, v in metrics.items()}
                at.done += 1
                at.stopped = config.max_policy_kl is not None and metrics["ratio/kl"] > config.max_policy_kl
                run.checkpoint(
                    at.step * plan + at.done,
                    lambda: _state(policy, optimizer, at),  # noqa: B023
                    every=config.checkpoint_every,
                )
            _log(config, run, loaded, at, optimizer)
            optimizer.done = (at.step + 1) * plan  # the schedule goes by steps, whether or not a step was cut short
            at = Progress(at.step + 1, _next_kl_coef(config, at))
            if at.step % config.save_every == 0 or at.step == config.steps:
                save_model(run.folder / policy_name(at.step), loaded.model, loaded.codec)
        kept = sorted(p.name for p in (run.folder / "models").iterdir() if not p.name.startswith("."))
        last = policy_name(config.steps)
        run.finish(
            outputs={f"models/{name}": f"models/{name}" for name in kept},
            result={"last": last, "kl_coef": at.kl_coef, "num_left_out": left_out},
        )
    return run.folder / last


def policy_name(step: int) -> str:
    """Where the policy after `step` steps is kept, inside the run's folder."""
    return f"models/step-{step:06d}"


def _update(
    config: PPOConfig,
    policy: Policy,
    optimizer: Optimizer,
    rollouts: Rollouts,
    index: list[int],
    device: torch.device,
    *,
    kl_coef: float,
) -> dict[str, float]:
    """One optimiser update on one minibatch. Returns: its metrics, means over the minibatch's tokens."""
    total = int(rollouts.mask[index].sum())
    sums: dict[str, float] = {}
    lr = optimizer.lr
    for rows in micro_batches(rollouts, index, limit=config.micro_tokens):
        old, advantages, old_values, returns, ref = (
            rollouts.packed(grid, rows)
            for grid in (
                rollouts.logprobs,
                rollouts.advantages,
                rollouts.values,
                rollouts.returns,
                rollouts.ref_logprobs,
            )
        )
        packed = ResponseStream.of([rollouts.prompts[i] for i in rows], [rollouts.responses[i] for i in rows], device)
        with precision(config):
            now = policy.read(packed, temperature=config.temperature)
        parts = {
            "loss/policy": ppo_policy_loss(now.logprobs, old, advantages, clip=config.clip),
            "loss/entropy": -now.entropy,
        }
        weights = {"loss/policy": 1.0, "loss/entropy": config.entropy_coef}
        if policy.value is not None:
            parts["loss/value"] = ppo_value_loss(now.values, old_values, returns, clip=config.value_clip)
            weights["loss/value"] = config.value_coef
        if config.kl_where == "loss":
            parts["loss/kl"] = kl_estimate(now.logprobs, ref, estimator=config.kl_estimator)
            weights["loss/kl"] = kl_coef
        loss = torch.stack([weights[name] * part.sum() for name, part in parts.items()]).sum() / total
        loss.backward()
        with torch.no_grad():
            ratio = (now.logprobs - old).exp()
            seen = {
                **parts,
                "ratio/mean": ratio,
                "ratio/clipped": ((ratio - 1).abs() > config.clip).float(),
                "ratio/kl": kl_estimate(old, now.logprobs, estimator="k3"),
                "entropy/mean": now.entropy,
            }
            for name, value in seen.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach().double().sum()) / total
            sums["ratio/max_error"] = max(sums.get("ratio/max_error", 0.0), float((ratio - 1).abs().max()))
    return {**sums, "grad/norm": optimizer.step(), "lr": lr}


def _log(config: PPOConfig, run: Run, loaded: Loaded, at: Progress, optimizer: Optimizer) -> None:
    """One line of metrics and a few samples for a finished step."""
    rollouts = at.rollouts
    assert rollouts is not None  # the step has just been done
    kl = drift(rollouts, "k1").sum(1)
    lengths = rollouts.mask.sum(1).double()
    ended = torch.tensor([r[-1] in loaded.codec.stop_ids for r in rollouts.responses])
    metrics = {k: v / at.done for k, v in at.sums.items() if k != "ratio/max_error"}
    metrics |= {
        "scores/mean": float(rollouts.scores.double().mean()),
        "scores/std": float(rollouts.scores.double().std(correction=0)),
        "rewards/mean": float(rollouts.rewards.double().sum(1).mean()),
        "rewards/kl": float(kl.double().mean()),
        "advantages/std": float(masked_mean(rollouts.advantages**2, rollouts.mask).sqrt()),
        "rollouts/length": float(lengths.mean()),
        "rollouts/finished": float(ended.double().mean()),
        "kl/coef": at.kl_coef,
        "ratio/first_error": at.first_error,
        "updates": at.done,
    }
    if "loss/value" in metrics:
        values, returns = rollouts.values.double(), rollouts.returns.double()
        metrics["values/explained_variance"] = float(explained_variance(values, returns, rollouts.mask))
    run.log(at.step + 1, metrics)
    run.progress.advance(score=metrics["scores/mean"], kl=metrics["rewards/kl"], length=metrics["rollouts/length"])
    decode = loaded.codec.tokenizer.decode
    run.sample([
        {"step": at.step + 1, "prompt": decode(list(rollouts.prompts[i])), "response": loaded.codec.decode(rollouts.responses[i]),
         "score": float(rollouts.scores[i]), "kl": float(kl[i])}
        for i in range(min(4, len(rollouts)))
    ])  # fmt: skip


def _next_kl_coef(config: PPOConfig, at: Progress) -> float:
    assert at.rollouts is not None  # the step has just been done
    if config.kl_target is None:
        return at.kl_coef
    kl = float(drift(at.rollouts, "k1").sum(1).double().mean())
    return adapted_kl_coef(
        at.kl_coef, kl, target=config.kl_target, horizon=config.kl_horizon, num_responses=len(at.rollouts)
    )


def _prompts(config: PPOConfig, loaded: Loaded) -> tuple[list[tuple[Any, list[int]]], int]:
    """(messages, tokens) of every prompt that leaves room for a response, and how many do not."""
    records = read_prompts(config.prompts).records
    ids, kept = loaded.codec.fitting_prompts([p.messages for p in records], config.max_new_tokens)
    if not kept:
        raise UserError(
            f"{config.prompts}: no prompt leaves room for max_new_tokens = {config.max_new_tokens} in the context of {loaded.codec.context}. Lower it."
        )
    if len(kept) < len(records):
        print(
            f"ppo: {len(records) - len(kept)} of {len(records)} prompts leave no room for a response and are left out."
        )
    return [(records[i].messages, tokens) for i, tokens in zip(kept, ids, strict=True)], len(records) - len(kept)


def _critic(config: PPOConfig, loaded: Loaded) -> str | None:
    """Where values come from, if anywhere. Raises: UserError for a critic's folder that reads other tokens than the policy."""
    if config.advantage == "batch_mean":
        return None
    if (
        config.critic not in ("shared", "separate")
        and tokenizer_of(config.critic).get_vocab() != loaded.codec.tokenizer.get_vocab()
    ):
        raise UserError(
            f"critic={config.critic}: it reads other tokens than the policy {config.policy} writes. Use a critic of the same base, or critic=separate."
        )
    return config.critic


def _state(policy: Policy, optimizer: Optimizer, at: Progress) -> dict[str, Any]:
    rollouts = at.rollouts.state() if at.rollouts else None
    return {"policy": policy.state_dict(), "optimizer": optimizer.state(), "at": {**vars(at), "rollouts": rollouts}}


def _restored(run: Run, policy: Policy, optimizer: Optimizer, device: torch.device) -> Progress | None:
    saved = run.restore()
    if saved is None:
        return None
    policy.load_state_dict(saved["policy"])
    optimizer.restore(saved["optimizer"])
    at = Progress(**{**saved["at"], "rollouts": None})
    rollouts = saved["at"]["rollouts"]
    return replace(at, rollouts=Rollouts.restored(rollouts, device) if rollouts else None)
