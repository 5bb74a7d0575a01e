"""The first five words of the spine: prompts -> rollouts -> scores -> rewards -> advantages.

Reads: policy, reference, scorer and prompts, all in memory. Returns: `Rollouts`, ready for the loss.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

from prefloop.align.config import PPOConfig
from prefloop.models.device import precision
from prefloop.models.load import Loaded
from prefloop.models.policy import Policy
from prefloop.models.scorers import Scorer
from prefloop.models.stream import ResponseStream, hidden_states, logits_of
from prefloop.ops.advantages import discounted_returns, gae, whitened
from prefloop.ops.kl import KLEstimator, kl_estimate
from prefloop.ops.logprobs import token_logprobs
from prefloop.ops.rewards import last_index, token_rewards
from prefloop.records import Message
from prefloop.rollouts import Rollouts
from prefloop.sampling.generate import SamplingConfig, generate
from prefloop.text.batches import cut, seeded


@dataclass(frozen=True)
class Sources:
    """Everything that rollouts come from."""

    loaded: Loaded
    """the policy's model and codec"""
    policy: Policy
    """the same model with its critic"""
    reference: PreTrainedModel
    """the frozen copy"""
    scorer: Scorer
    """who scores"""
    prompts: Sequence[tuple[Sequence[Message], list[int]]]
    """conversations and their tokens"""


def minibatches(config: PPOConfig, step: int) -> Iterator[list[int]]:
    """The rollouts of each update of a step: every epoch a new order, decided by seed, step and epoch."""
    for epoch in range(config.epochs):
        order = torch.randperm(config.rollouts_per_step, generator=seeded(config.seed, 10, step, epoch)).tolist()
        for start in range(0, len(order), config.minibatch_size):
            yield order[start : start + config.minibatch_size]


def micro_batches(rollouts: Rollouts, index: list[int], *, limit: int) -> list[list[int]]:
    """A minibatch cut into what fits in memory."""
    lengths = [len(rollouts.prompts[i]) + len(rollouts.responses[i]) for i in index]
    return [[index[i] for i in part] for part in cut(range(len(index)), lengths, limit=limit)]


def step_prompts(config: PPOConfig, num_prompts: int, step: int) -> list[int]:
    """The prompts of a step: pass after pass over all of them, every pass in a new order decided by the seed."""
    per_step = config.rollouts_per_step // config.responses_per_prompt
    chosen: list[int] = []
    order: list[int] = []
    for place in range(step * per_step, (step + 1) * per_step):
        epoch, index = divmod(place, num_prompts)
        if index == 0 or not order:
            order = torch.randperm(num_prompts, generator=seeded(config.seed, 11, epoch)).tolist()
        chosen.append(order[index])
    return chosen


@torch.no_grad()
def sample_rollouts(config: PPOConfig, sources: Sources, step: int, *, kl_coef: float) -> Rollouts:
    """A step's rollouts, scored, charged and compared with what the critic expected."""
    loaded, device = sources.loaded, sources.loaded.model.device
    which = step_prompts(config, len(sources.prompts), step)
    sampling = SamplingConfig(temperature=config.temperature, max_new_tokens=config.max_new_tokens)
    with precision(config):
        sampled = generate(
            loaded.model,
            [sources.prompts[i][1] for i in which],
            sampling,
            stop_ids=loaded.codec.stop_ids,
            generator=seeded(config.seed, 12, step),
            copies=config.responses_per_prompt,
        )
    of_prompt = [i for i in which for _ in range(config.responses_per_prompt)]
    with precision(config):
        scores = sources.scorer.score(
            [sources.prompts[i][0] for i in of_prompt], [loaded.codec.decode(s.tokens) for s in sampled]
        )
    scores = scores - config.unfinished_penalty * torch.tensor([float(not s.finished) for s in sampled])
    prompts = tuple(tuple(sources.prompts[i][1]) for i in of_prompt)
    responses = tuple(s.tokens for s in sampled)
    lengths = torch.tensor([len(r) for r in responses], device=device)
    mask = torch.arange(int(lengths.max()), device=device) < lengths[:, None]
    empty = torch.zeros(mask.shape, device=device)
    rollouts = Rollouts(prompts, responses, scores.to(device), mask, empty, empty, empty, empty, empty, empty)
    rollouts = _read(config, sources, rollouts, step)
    return _judged(config, rollouts, kl_coef=kl_coef)


def _read(config: PPOConfig, sources: Sources, rollouts: Rollouts, step: int) -> Rollouts:
    """Fills in logprobs, reference logprobs and values.

    Read in the very groups of the first epoch's minibatches, so that its first ratio is exactly 1 and not nearly.
    """
    device = rollouts.mask.device
    grids = {name: torch.zeros(rollouts.mask.shape, device=device) for name in ("logprobs", "ref_logprobs", "values")}
    first_epoch = len(rollouts) // config.minibatch_size
    for index, _ in zip(minibatches(config, step), range(first_epoch), strict=False):
        for rows in micro_batches(rollouts, index, limit=config.micro_tokens):
            packed = ResponseStream.of(
                [rollouts.prompts[i] for i in rows], [rollouts.responses[i] for i in rows], device
            )
            with precision(config):
                now = sources.policy.read(packed, temperature=config.temperature)
                hidden = hidden_states(sources.reference.base_model, packed.stream).index_select(0, packed.index)
            ref = token_logprobs(logits_of(sources.reference, hidden), packed.tokens, temperature=config.temperature)
            where = (torch.tensor(rows, device=device)[packed.rows], packed.columns)
            grids["logprobs"][where], grids["values"][where], grids["ref_logprobs"][where] = (
                now.logprobs,
                now.values,
                ref,
            )
    return replace(rollouts, **grids)


def drift(rollouts: Rollouts, estimator: KLEstimator) -> Tensor:
    """(B, T) estimated KL from the reference at each token, in nats; 0 at padding."""
    kl = kl_estimate(rollouts.logprobs, rollouts.ref_logprobs, estimator=estimator)
    return torch.where(rollouts.mask, kl, 0.0)


def _judged(config: PPOConfig, rollouts: Rollouts, *, kl_coef: float) -> Rollouts:
    """Fills in rewards, advantages and returns."""
    kl = _charge(config, rollouts)
    rewards = token_rewards(rollouts.scores, kl, rollouts.mask, kl_coef=kl_coef)
    advantages, returns = advantages_of(config, rewards, rollouts.values, rollouts.mask)
    if config.whiten_advantages:
        advantages = whitened(advantages, rollouts.mask, shift_mean=True)
    return replace(rollouts, rewards=rewards, advantages=advantages, returns=returns)


def _charge(config: PPOConfig, rollouts: Rollouts) -> Tensor:
    """(B, T) the drift that each token pays for, in nats."""
    kl = drift(rollouts, config.kl_estimator)
    if config.kl_where == "loss":
        return torch.zeros_like(kl)
    if config.kl_unit == "token":
        return kl
    everyone = kl.sum() / rollouts.mask.sum()
    due = kl.sum(1) if config.kl_unit == "response" else everyone.expand(len(rollouts))
    return torch.zeros_like(kl).scatter(1, last_index(rollouts.mask)[:, None], due[:, None])


def advantages_of(config: PPOConfig, rewards: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Advantages and returns, both (B, T), as `advantage` and `reward_at` ask."""
    if config.reward_at == "response":  # one decision: the whole reward, against what was expected at the start
        total = rewards.sum(1, keepdim=True).expand_as(rewards)
        expected = values[:, :1] if config.advantage != "batch_mean" else total.mean(0, keepdim=True)
        return torch.where(mask, total - expected, 0.0), torch.where(mask, total, 0.0)
    if config.reward_at == "every":  # every token earns what is still to come, as its return, without asking the critic
        returns = discounted_returns(rewards, mask, discount=config.discount)
        expected = values if config.advantage != "batch_mean" else returns[:, 0].mean()
        return torch.where(mask, returns - expected, 0.0), returns
    if config.advantage == "batch_mean":
        returns = discounted_returns(rewards, mask, discount=config.discount)
        return torch.where(mask, returns - returns[:, 0].mean(), 0.0), returns
    decay = {"gae": config.decay, "td": 0.0, "return": 1.0}[config.advantage]
    return gae(rewards, values, mask, discount=config.discount, decay=decay)
