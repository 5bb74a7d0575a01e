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
from prefloop.align import biases, responses, turns
from prefloop.align.ptx import Mixture
from prefloop.align.settings import OnlineConfig, Reused, RolloutsConfig
from prefloop.align.switches import Following, Mixed
from prefloop.align.turns import check_template, conversations, last_turns, placed, played, with_pay
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
from prefloop.models.following import Follower
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
from prefloop.scoring.environment import PythonEnvironment
from prefloop.scoring.named import environment_as, reward_input, reward_inputs, scorer_as
from prefloop.scoring.outliers import guarded
from prefloop.scoring.protocol import Scored, Scorer
from prefloop.seeds import seed_of
from prefloop.settings import SamplingConfig
from prefloop.text.examples import Asked, Pool

C = TypeVar("C", bound=RolloutsConfig)
SHOWN = 8
"""Responses of a step that are kept to be looked at, and to find in them what pays."""
Direction = Literal["reverse", "forward"]
"""Which KL: of the policy from the reference, or of the reference from the policy."""


@dataclass(frozen=True)
class Setup:
    """Everything that a run works with."""

    policy: Network
    reference: Network | None
    """None where nothing asks how far the policy has drifted"""
    sampler: Sampler
    scorer: Scorer | None
    """None where only the environment pays"""
    prompts: Pool
    environment: PythonEnvironment | None = None
    """who answers between turns; None for responses of one turn"""
    follower: Follower | None = None
    """the reference that drift is charged from, where it follows the policy; `reference` is then what it began as"""
    ptx: Mixture | None = None
    """what is imitated beside"""

    @property
    def charged(self) -> Network | None:
        """What drift is charged from."""
        return self.reference if self.follower is None else self.follower.network


def inputs(config: RolloutsConfig) -> dict[str, str | None]:
    """What a run reads, for its card."""
    beside = {"ptx": config.ptx} if isinstance(config, Mixed) else {}
    env = None if config.env is None else reward_input(config.env)
    return {
        "policy": model_folder(config.policy),
        **reward_inputs(config.reward),
        "prompts": config.prompts,
        "env": env,
        **beside,
    }


def prepared(run: Run, config: C, needs: Callable[[Any, Lengths], Needs], *, referred: bool = True) -> tuple[Setup, C]:
    """Loads the policy, copies it as the reference, and reads the prompts.

    Args:
        needs: of the algorithm.
        referred: False for an algorithm that has no reference.

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
    environment = None
    if config.env is not None:
        check_template(policy.codec, config.env)
        environment = environment_as(config.env, seconds=config.env_seconds)
    judge = (
        None
        if config.reward is None
        else scorer_as(config, config.reward, place, weights=config.weights, beside=policy)
    )
    if config.outliers != "ignore" and (judge is None or not judge.tells_outliers):
        name = "env" if judge is None else judge.name
        raise UserError(
            f"outliers={config.outliers}: {name} does not tell what is unusual to it: it is a function or a server, or "
            "its folder holds no prefloop_outliers.json. Leave outliers out, or train the reward model again with "
            "prefloop reward."
        )
    beside = Mixture.of(policy.codec, config, run)
    if isinstance(config, OnlineConfig):
        run.caution(biases.of(config), of="drift")
    if not referred or (isinstance(config, OnlineConfig) and config.kl_where == "off"):
        return Setup(policy, None, InProcess(policy), judge, prompts, environment, ptx=beside), config
    reference = policy.frozen_copy()
    reference.hold(config.weights)
    follower = Follower.of(policy, config) if isinstance(config, Following) else None
    return Setup(policy, reference, InProcess(policy), judge, prompts, environment, follower, beside), config


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


def step_prompts(prompts: Sequence[Asked], config: RolloutsConfig, step: int, *, again: int = 0) -> list[Asked]:
    """The prompt of each response of a step: pass after pass over all, every pass in a new order decided by the
    seed. Args: again: how often the step has sampled already; further prompts have an order of their own."""
    per_step = config.rollouts_per_step // config.responses_per_prompt
    chosen: list[int] = []
    order: Tensor | None = None
    for place in range(step * per_step, (step + 1) * per_step):
        number, index = divmod(place, len(prompts))
        if index == 0 or order is None:
            order = (
                permutation(len(prompts), config.seed, "online.further", number, again)
                if again
                else permutation(len(prompts), config.seed, "online.prompts", number)
            )
        chosen.append(int(order[index]))
    return [prompt for prompt in map(prompts.__getitem__, chosen) for _ in range(config.responses_per_prompt)]


def sample(setup: Setup, prompts: Sequence[Asked], config: RolloutsConfig, step: int, *, again: int = 0) -> Rollouts:
    """A response to each of `step_prompts`, of several turns where there is an environment. Args: again: how often the
    step has sampled already."""
    copies, seed = config.responses_per_prompt, config.seed
    if again:
        seed = seed_of(seed, "online.again", again)
    sampling = SamplingConfig(
        temperature=config.temperature, max_new_tokens=config.max_new_tokens, cache_tokens=config.cache_tokens
    )
    if setup.environment is not None:
        return played(
            setup.environment,
            setup.sampler,
            setup.policy.codec,
            prompts,
            sampling,
            copies=copies,
            max_turns=config.max_turns,
            seed=seed,
            step=step,
            device=setup.policy.device,
        )
    place = seed_of(seed, "online.rollouts", step)
    sampled = setup.sampler.sample([prompt.tokens for prompt in prompts[::copies]], sampling, place, copies=copies)
    return Rollouts.of([prompt.tokens for prompt in prompts], sampled, setup.policy.device)


def score(
    setup: Setup, config: RolloutsConfig, prompts: Sequence[Asked], rollouts: Rollouts, multipliers: Mapping[str, float]
) -> tuple[Tensor, dict[str, float], Tensor | None]:
    """(B,) what is optimised of the responses as text, in reward units: the scorer's numbers, constraints and outliers
    seen to, and what an environment paid. Args: multipliers: of the constraints, now. Returns: also what is logged of
    it; and (B, T) what of it is paid within a response, None if all is paid at the ends."""
    whole = judged(setup, config, prompts, rollouts, multipliers)
    codec = setup.policy.codec
    told = score_metrics(config, whole, multipliers) | responses.metrics(codec, prompts, rollouts, whole.scores)
    return whole.scores, told, placed(codec, rollouts, whole.placed)


def judged(
    setup: Setup, config: RolloutsConfig, prompts: Sequence[Asked], rollouts: Rollouts, multipliers: Mapping[str, float]
) -> Scored:
    """The same with all that is known of it."""
    codec, seen = setup.policy.codec, None
    if setup.scorer is not None:
        texts, tags = last_turns(codec, rollouts), [prompt.tags for prompt in prompts]
        said = setup.scorer.detailed(conversations(prompts, rollouts), texts, tags)
        seen = guarded(constrained(said, config.levels, multipliers), config.outliers, limit=config.outlier_limit)
    return with_pay(seen, rollouts)


def score_metrics(config: RolloutsConfig, said: Scored, multipliers: Mapping[str, float]) -> dict[str, float]:
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
    start_logprobs: Tensor | None = None
    """nats, under what the reference began as; None if the reference stays"""

    def kl(self, mask: Tensor, estimator: KLEstimator) -> Tensor | None:
        """(B, T) KL(policy || reference) at each token, estimated, in nats, 0 at padding; None without a reference."""
        return None if self.ref_logprobs is None else self.drift(mask, estimator, forward=False)

    def kl_start(self, mask: Tensor) -> Tensor | None:
        """(N, T) drift of the first N rows from what a reference that follows began as, by k1, in nats, 0 at padding;
        None if it stays. Args: mask: (N, T) of these rows."""
        if self.start_logprobs is None:
            return None
        return torch.where(mask, self.logprobs[: len(mask)] - self.start_logprobs[: len(mask)], 0.0)

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
    grids = [torch.zeros(rollouts.mask.shape, device=setup.policy.device) for _ in range(5)]
    charged = setup.charged
    reading = None
    for rows in groups:
        packed = rollouts.stream(rows)
        theirs, ref_logprobs, start = None, None, None
        if charged is not None and whole is not None:
            theirs = charged.read(packed, temperature=temperature, entropy="none", states=True)
            ref_logprobs = theirs.logprobs
        elif charged is not None:
            ref_logprobs = charged.logprobs(packed, temperature=temperature)
        if setup.follower is not None and setup.reference is not None:
            start = setup.reference.logprobs(packed, temperature=temperature)
        with torch.set_grad_enabled(kept is not None):
            asked = states or whole is not None
            now = setup.policy.read(packed, temperature=temperature, entropy=kept or "none", states=asked)
        reading = now if kept else None
        kl = None
        if whole is not None and charged is not None and theirs is not None:
            kl = divergence(setup.policy, now, charged, theirs, temperature=temperature, forward=whole == "forward")
        where = (torch.tensor(rows, device=packed.rows.device)[packed.rows], packed.columns)
        columns = (now.logprobs, ref_logprobs, now.values, kl, start)
        for grid, column in zip(grids, columns, strict=True):
            if column is not None:
                grid[where] = column.detach()
    return Before(
        grids[0],
        None if charged is None else grids[1],
        None if setup.policy.critic is None else grids[2],
        reading,
        None if whole is None else grids[3],
        None if setup.follower is None else grids[4],
    )


def entropy(config: OnlineConfig) -> Entropy:
    """What an update wants of the entropy, which is always logged."""
    return "gradient" if config.entropy_coef else "value"


def order(config: Reused, step: int) -> list[list[int]]:
    """The rollouts of each update of a step, those to a prompt side by side."""
    return minibatches(
        config.rollouts_per_step,
        size=config.minibatch_size,
        epochs=config.epochs,
        seed=config.seed,
        step=step,
        together=config.responses_per_prompt,
    )


def minibatches(num: int, *, size: int, epochs: int, seed: int, step: int, together: int = 1) -> list[list[int]]:
    """The rollouts of each update of a step: every epoch a new order of all `num`, cut into minibatches of `size`.

    Args:
        together: responses to a prompt, which stand side by side in every order, for then their prompt is read once.
    """
    orders = list[list[int]]()
    for epoch in range(epochs):
        groups = shuffled(num // together, seed, "online.minibatches", step, epoch)
        orders.append([group * together + i for group in groups for i in range(together)])
    return [order[start : start + size] for order in orders for start in range(0, num, size)]


def micro_batches(rollouts: Rollouts, rows: Sequence[int], *, limit: int) -> list[list[int]]:
    """Some rollouts cut, in their order, into what fits in memory: at most `limit` tokens, and a prompt of several
    responses counts once."""
    parts, asked, used = list[list[int]](), set[tuple[int, ...]](), 0
    for row in rows:
        prompt, new = rollouts.prompts[row], len(rollouts.responses[row])
        more = new if prompt in asked else len(prompt) + new
        if not parts or used + more > limit:
            parts.append([])
            asked, used, more = set(), 0, len(prompt) + new
        parts[-1].append(row)
        asked.add(prompt)
        used += more
    return parts


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
        **turns.metrics(rollouts),
    }


def log(
    run: Run, setup: Setup, step: int, metrics: dict[str, float], rollouts: Rollouts, scores: Tensor, kl: Tensor | None
) -> None:
    """The log line of a step, a few of its responses, and the bar."""
    run.log(step + 1, metrics)
    told = {"score": "scores/mean", "kl": "rewards/kl", "length": "rollouts/length"}
    run.progress.advance(1, **{word: metrics[name] for word, name in told.items() if name in metrics})
    rows = shown(setup, step, rollouts, scores)
    run.sample(rows if kl is None else [{**row, "kl": float(kl[i].sum())} for i, row in enumerate(rows)])


def shown(setup: Setup, step: int, rollouts: Rollouts, scores: Tensor) -> list[dict[str, Any]]:
    """A few of a step's responses, to be looked at."""
    codec = setup.policy.codec
    return [
        {
            "step": step + 1,
            "prompt": codec.tokenizer.decode(list(rollouts.prompts[i])),
            "response": codec.decode(rollouts.responses[i]),
            "score": float(scores[i]),
        }
        for i in range(min(SHOWN, len(rollouts)))
    ]


def save(run: Run, setup: Setup, config: RolloutsConfig, done: int) -> None:
    """Keeps the policy after `done` steps, if it is to be kept."""
    if done % config.save_every == 0 or done == config.steps:
        load.save(run.folder / layout.policy(done), setup.policy)


def follow(setup: Setup, done: int) -> None:
    """Refreshes the reference from the policy after `done` steps, if it follows it and that is due."""
    if setup.follower is not None:
        setup.follower.refresh(setup.policy, done)


def imitate(setup: Setup, number: int, *, limit: int) -> Mapping[str, float]:
    """Adds to the gradients of an update what it learns from texts or demonstrations, if there are any.

    Args:
        number: of the update, from 0.
        limit: most tokens at once.

    Returns: what is logged of it.
    """
    return {} if setup.ptx is None else setup.ptx.learn(setup.policy, number, limit=limit)


def finish(run: Run, setup: Setup, config: RolloutsConfig, told: Mapping[str, Any]) -> None:
    """Marks the run as done, with all the policies that were kept. Args: told: of the algorithm, for the result."""
    kept = [f"{layout.MODELS}/{path.name}" for path in layout.policies(run.folder)]
    kept += [path.name for path in layout.dumped(run.folder)]
    result: dict[str, Any] = {
        "last": layout.policy(config.steps),
        **told,
        "num_left_out": setup.prompts.num_left_out,
        "warnings": run.warnings,
    }
    run.finish(outputs=kept, result=result)
