"""What every algorithm shares that samples from the policy it trains: prompts -> rollouts -> scores, and the log line.

Shapes: B responses of a step, T tokens of the longest, M response tokens of some of them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from prefloop import layout
from prefloop.align import biases
from prefloop.align.settings import OnlineConfig, RolloutsConfig
from prefloop.costs.estimate import Needs
from prefloop.costs.expect import expect, refuse_too_large
from prefloop.costs.looking import ROWS, lengths_of
from prefloop.costs.reading import Lengths
from prefloop.costs.subject import unchanged
from prefloop.errors import UserError
from prefloop.health.gate import gate
from prefloop.models import load
from prefloop.models.batching import batched
from prefloop.models.device import placement
from prefloop.models.divergence import divergence
from prefloop.models.load import causal, model_folder
from prefloop.models.network import Network, Reading
from prefloop.ops.draws import permutation, shuffled
from prefloop.ops.kl import KLEstimator, forward_kl_estimate, kl_estimate
from prefloop.ops.reduce import masked_var
from prefloop.ops.vocabulary import Entropy
from prefloop.run import Run
from prefloop.sampling.in_process import InProcess
from prefloop.sampling.protocol import Sampler
from prefloop.sampling.rollouts import Rollouts
from prefloop.scoring.composite import constrained, next_multiplier
from prefloop.scoring.named import reward_inputs, scorer_as
from prefloop.scoring.outliers import guarded
from prefloop.scoring.protocol import Scored, Scorer
from prefloop.seeds import seed_of
from prefloop.settings import SamplingConfig
from prefloop.text.batches import cut
from prefloop.text.examples import Asked, Pool

C = TypeVar("C", bound=RolloutsConfig)
Direction = Literal["reverse", "forward"]
"""Which KL: of the policy from the reference, or of the reference from the policy."""


@dataclass(frozen=True)
class Setup:
    """Everything that a run works with."""

    policy: Network
    reference: Network | None
    """None where nothing asks how far the policy has drifted"""
    sampler: Sampler
    scorer: Scorer
    prompts: Pool


def inputs(config: RolloutsConfig) -> dict[str, str | None]:
    """What a run reads, for its card."""
    return {"policy": model_folder(config.policy), **reward_inputs(config.reward), "prompts": config.prompts}


def prepared(run: Run, config: C, needs: Callable[[Any, Lengths], Needs]) -> tuple[Setup, C]:
    """Loads the policy, copies it as the reference, and reads the prompts.

    Args:
        needs: of the algorithm.

    Returns: also the settings, with those that are left to prefloop.
    """
    gate(config.reward, anyway=config.anyway, say=run.say)
    refuse_too_large(config, needs(config, Lengths()))
    place = placement(config.device, config.dtype)
    policy = causal(config.policy, place, template=config.template, weights=unchanged(config, config.policy))
    run.caution(policy.train_as(config, seed=config.seed))
    config = run.settled(config, policy.learner)
    kept = run.folder / layout.ROWS / "prompts"
    prompts = Pool(policy.codec, config.prompts, room=config.max_new_tokens, say=run.say, kept=kept)
    judge = scorer_as(config, config.reward, place, weights=config.weights, beside=policy)
    if config.outliers != "ignore" and not judge.tells_outliers:
        raise UserError(
            f"outliers={config.outliers}: {judge.name} does not tell what is unusual to it: it is a function, or its "
            "folder holds no prefloop_outliers.json. Leave outliers out, or train the reward model again with prefloop "
            "reward."
        )
    if isinstance(config, OnlineConfig):
        run.caution(biases.of(config), of="drift")
        if config.kl_where == "off":
            return Setup(policy, None, InProcess(policy), judge, prompts), config
    reference = policy.frozen_copy()
    reference.hold(config.weights)
    return Setup(policy, reference, InProcess(policy), judge, prompts), config


def at_once(
    run: Run, setup: Setup, config: RolloutsConfig, needs: Callable[[Any, Lengths], Needs], policy: Network
) -> int:
    """Most tokens that are learned from at once; what the run will hold in memory is said. Call it once all is loaded.

    Args:
        needs: of the algorithm.
        policy: with its critic, if there is one.

    Raises: UserError if it is more than there is.
    """
    sizes, prompts = batched(policy, config, run), setup.prompts
    some = prompts.take(range(0, len(prompts), -(-len(prompts) // ROWS)))
    asked = lengths_of([(len(prompt.tokens), 0) for prompt in some], len(prompts), policy.codec.context)
    expect(run, config, needs(sizes.settle(config), asked))
    return sizes.micro_tokens


def step_prompts(prompts: Sequence[Asked], config: RolloutsConfig, step: int) -> list[Asked]:
    """The prompt of each response of a step: pass after pass over all, every pass in a new order decided by the
    seed."""
    per_step = config.rollouts_per_step // config.responses_per_prompt
    chosen: list[int] = []
    order: Tensor | None = None
    for place in range(step * per_step, (step + 1) * per_step):
        number, index = divmod(place, len(prompts))
        if index == 0 or order is None:
            order = permutation(len(prompts), config.seed, "online.prompts", number)
        chosen.append(int(order[index]))
    return [prompt for prompt in map(prompts.__getitem__, chosen) for _ in range(config.responses_per_prompt)]


def sample(setup: Setup, prompts: Sequence[Asked], config: RolloutsConfig, step: int) -> Rollouts:
    """A response to each of `step_prompts`."""
    copies = config.responses_per_prompt
    sampled = setup.sampler.sample(
        [prompt.tokens for prompt in prompts[::copies]],
        SamplingConfig(
            temperature=config.temperature, max_new_tokens=config.max_new_tokens, cache_tokens=config.cache_tokens
        ),
        seed_of(config.seed, "online.rollouts", step),
        copies=copies,
    )
    return Rollouts.of([prompt.tokens for prompt in prompts], sampled, setup.policy.device)


def score(
    setup: Setup, config: RolloutsConfig, prompts: Sequence[Asked], rollouts: Rollouts, multipliers: Mapping[str, float]
) -> tuple[Tensor, dict[str, float]]:
    """(B,) what is optimised of the responses as text, in reward units: the scorer's numbers, constraints and outliers
    seen to. Args: multipliers: of the constraints, now. Returns: also what is logged of it."""
    texts = [setup.policy.codec.decode(response) for response in rollouts.responses]
    said = setup.scorer.detailed([prompt.messages for prompt in prompts], texts, [prompt.tags for prompt in prompts])
    seen = guarded(constrained(said, config.levels, multipliers), config.outliers, limit=config.outlier_limit)
    return seen.scores, _score_metrics(config, seen, multipliers)


def _score_metrics(config: RolloutsConfig, said: Scored, multipliers: Mapping[str, float]) -> dict[str, float]:
    """The part of the log line that is about scores; the means of their parts sum to `scores/mean` exactly."""
    parts = {name: _mean(part) for name, part in said.parts.items()}
    metrics = {
        "scores/mean": math.fsum(parts.values()) if parts else _mean(said.scores),
        "scores/std": float(said.scores.cpu().double().std(correction=0)),
        **{f"scores/{name}": value for name, value in parts.items()},
    }
    if said.disagreement is not None:
        metrics["scores/disagreement"] = _mean(said.disagreement)
    if said.outlier is not None:
        metrics["scores/unusual"] = _mean(said.outlier > config.outlier_limit)
    for name, level in config.levels.items():
        metrics[f"constraint/{name}"] = _mean(said.components[name].scores) - level
        metrics[f"multiplier/{name}"] = multipliers[name]
    return metrics


def _mean(values: Tensor) -> float:
    return float(values.cpu().double().mean())


def first_multipliers(config: RolloutsConfig) -> dict[str, float]:
    """Where the multipliers of constraints begin: a constraint that holds by itself changes nothing."""
    return dict.fromkeys(config.levels, 0.0)


def next_multipliers(
    config: RolloutsConfig, multipliers: Mapping[str, float], metrics: Mapping[str, float]
) -> dict[str, float]:
    """The multipliers of the next step. Args: metrics: of this one."""
    return {
        name: next_multiplier(multiplier, metrics[f"constraint/{name}"], rate=config.multiplier_lr)
        for name, multiplier in multipliers.items()
    }


@dataclass(frozen=True)
class Before:
    """What was true of the rollouts before the step's updates. Grids of (B, T), 0 at padding."""

    logprobs: Tensor
    """nats, under the policy that sampled, at the sampling temperature"""
    ref_logprobs: Tensor | None
    """nats, under the reference; None without one"""
    values: Tensor | None
    """reward units, the critic's prediction; None without a critic"""
    reading: Reading | None = None
    """the policy's, with its gradient, where the first update is about all of them at once and would read it again"""
    whole: Tensor | None = None
    """nats, drift told from both whole distributions; None if it was not asked for"""

    def kl(self, mask: Tensor, estimator: KLEstimator) -> Tensor | None:
        """(B, T) KL(policy || reference) at each token, estimated, in nats, 0 at padding; None without a reference."""
        return None if self.ref_logprobs is None else self.drift(mask, estimator, forward=False)

    def drift(self, mask: Tensor, estimator: KLEstimator | Literal["full"], *, forward: bool) -> Tensor:
        """(B, T) drift from the reference at each token, in nats; 0 at padding. Args: forward: as it is charged."""
        if estimator == "full":
            assert self.whole is not None  # it was asked for
            return torch.where(mask, self.whole, 0.0)
        assert self.ref_logprobs is not None  # there is a reference
        if forward:
            kl = forward_kl_estimate(self.logprobs, self.ref_logprobs, self.logprobs, estimator=estimator)
        else:
            kl = kl_estimate(self.logprobs, self.ref_logprobs, estimator=estimator)
        return torch.where(mask, kl, 0.0)


@torch.no_grad()
def read(
    setup: Setup,
    rollouts: Rollouts,
    groups: Sequence[Sequence[int]],
    *,
    temperature: float,
    kept: Entropy | None = None,
    whole: Direction | None = None,
    states: bool = False,
) -> Before:
    """Reads all rollouts with policy and reference, in the given groups of rows.

    Read in the very groups of the first updates, the first ratio is exactly 1 and not nearly.

    Args:
        kept: what the first update wants of the entropy, if its one minibatch is the only group: the policy's reading
            is then kept with its gradient, and the update need not read again.
        whole: which KL is told from both whole distributions; None if none is.
        states: True if that reading is to have its hidden states.
    """
    grids = [torch.zeros(rollouts.mask.shape, device=setup.policy.device) for _ in range(4)]
    reading, reference = None, setup.reference
    for rows in groups:
        packed = rollouts.stream(rows)
        theirs = None
        if reference is not None:
            theirs = reference.read(packed, temperature=temperature, entropy="none", states=whole is not None)
        with torch.set_grad_enabled(kept is not None):
            asked = states or whole is not None
            now = setup.policy.read(packed, temperature=temperature, entropy=kept or "none", states=asked)
        reading = now if kept else None
        kl = None
        if whole is not None and reference is not None and theirs is not None:
            kl = divergence(setup.policy, now, reference, theirs, temperature=temperature, forward=whole == "forward")
        where = (torch.tensor(rows, device=packed.rows.device)[packed.rows], packed.columns)
        columns = (now.logprobs, theirs and theirs.logprobs, now.values, kl)
        for grid, column in zip(grids, columns, strict=True):
            if column is not None:
                grid[where] = column.detach()
    return Before(
        grids[0],
        None if reference is None else grids[1],
        None if setup.policy.critic is None else grids[2],
        reading,
        None if whole is None else grids[3],
    )


def entropy(config: OnlineConfig) -> Entropy:
    """What an update wants of the entropy, which is always logged."""
    return "gradient" if config.entropy_coef else "value"


def minibatches(num: int, *, size: int, epochs: int, seed: int, step: int) -> list[list[int]]:
    """The rollouts of each update of a step: every epoch a new order of all `num`, cut into minibatches of `size`."""
    orders = [shuffled(num, seed, "online.minibatches", step, epoch) for epoch in range(epochs)]
    return [order[start : start + size] for order in orders for start in range(0, num, size)]


def micro_batches(rollouts: Rollouts, rows: Sequence[int], *, limit: int) -> list[list[int]]:
    """Some rollouts cut into what fits in memory: at most `limit` tokens, prompts included."""
    lengths = rollouts.lengths
    return [[rows[i] for i in part] for part in cut(range(len(rows)), [lengths[i] for i in rows], limit=limit)]


def earned(scores: Tensor, rollouts: Rollouts, *, unfinished_penalty: float) -> Tensor:
    """(B,) what a whole response earns, in reward units: its score, less the penalty if it did not end by itself."""
    return scores.to(rollouts.mask.device) - unfinished_penalty * (~rollouts.finished).float()


def step_metrics(rollouts: Rollouts, kl: Tensor | None, rewards: Tensor, advantages: Tensor) -> dict[str, float]:
    """The part of the log line that is about rollouts, and what they earned.

    Args:
        kl: (B, T) nats, estimated by k1; None without a reference.
        rewards: (B, T) reward units.
        advantages: (B, T).
    """
    return {
        **rollout_metrics(rollouts, kl),
        "rewards/mean": float(rewards.cpu().double().sum(1).mean()),
        "advantages/std": float(masked_var(advantages, rollouts.mask).sqrt()),
    }


def rollout_metrics(rollouts: Rollouts, kl: Tensor | None) -> dict[str, float]:
    """The part of it that is about what was written alone. Args: kl: (B, T) nats, estimated by k1, or None."""
    return {
        "rollouts/length": float(rollouts.mask.sum(1).cpu().double().mean()),
        "rollouts/finished": float(rollouts.finished.cpu().double().mean()),
        **({} if kl is None else {"rewards/kl": float(kl.cpu().double().sum(1).mean())}),
    }


def log(
    run: Run, setup: Setup, step: int, metrics: dict[str, float], rollouts: Rollouts, scores: Tensor, kl: Tensor | None
) -> None:
    """The log line of a step, a few of its responses, and the bar."""
    run.log(step + 1, metrics)
    shown = {"score": "scores/mean", "kl": "rewards/kl", "length": "rollouts/length"}
    run.progress.advance(1, **{word: metrics[name] for word, name in shown.items() if name in metrics})
    codec = setup.policy.codec
    run.sample(
        [
            {
                "step": step + 1,
                "prompt": codec.tokenizer.decode(list(rollouts.prompts[i])),
                "response": codec.decode(rollouts.responses[i]),
                "score": float(scores[i]),
                **({} if kl is None else {"kl": float(kl[i].sum())}),
            }
            for i in range(min(4, len(rollouts)))
        ]
    )


def save(run: Run, setup: Setup, config: RolloutsConfig, done: int) -> None:
    """Keeps the policy after `done` steps, if it is to be kept."""
    if done % config.save_every == 0 or done == config.steps:
        load.save(run.folder / layout.policy(done), setup.policy)


def finish(run: Run, setup: Setup, config: RolloutsConfig, told: Mapping[str, Any]) -> None:
    """Marks the run as done, with all the policies that were kept. Args: told: of the algorithm, for the result."""
    kept = [f"{layout.MODELS}/{path.name}" for path in layout.policies(run.folder)]
    result: dict[str, Any] = {
        "last": layout.policy(config.steps),
        **told,
        "num_left_out": setup.prompts.num_left_out,
        "warnings": run.warnings,
    }
    run.finish(outputs=kept, result=result)
