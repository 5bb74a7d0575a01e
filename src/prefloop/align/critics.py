"""Where PPO's values come from, what they are to be, and when the critic learns alone.

Shapes: B responses of a step, T tokens of the longest.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from prefloop.align import drift
from prefloop.align.config import PPOConfig
from prefloop.align.online import Before, Setup, next_multipliers
from prefloop.costs.subject import unchanged
from prefloop.errors import UserError
from prefloop.models.checkpoint import HEAD
from prefloop.models.columns import columns_of, parted
from prefloop.models.load import model_folder, reader
from prefloop.models.network import Critic, Network, Reading
from prefloop.models.tokenizers import tokenizer_of
from prefloop.ops.advantages import gae, response_returns
from prefloop.run import Run


def targets(config: PPOConfig, rewards: Tensor, values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """(B, T) what the critic is to predict, in reward units; 0 at padding.

    returns   advantage + old value                    GAE's, before whitening
    td        reward + discount * old value after      Sutton and Barto 2018, section 6.1; seed 001
    scores    sum over the response of rewards         at every token; seed 003's mse(values, rewards)
    """
    match config.value_target:
        case "returns":
            return returns
        case "td":
            return gae(rewards, values, mask, discount=config.discount, decay=0.0)[1]
        case "scores":
            return response_returns(rewards, mask)


def learning(config: PPOConfig, policy: Network, *, step: int) -> list[nn.Parameter] | None:
    """What an update of a step teaches: the critic alone while it warms up, of a shared trunk its head; else None,
    which is everything."""
    if step >= config.critic_warmup or policy.critic is None:
        return None
    return policy.critic.learned


def kl_coef(config: PPOConfig, coef: float, metrics: Mapping[str, float], *, step: int) -> float:
    """The coefficient of the next step; it waits while the policy does."""
    return coef if step < config.critic_warmup else drift.next_kl_coef(config, coef, metrics)


def multipliers(
    config: PPOConfig, before: Mapping[str, float], scored: Mapping[str, float], *, step: int
) -> dict[str, float]:
    """Those of constraints in the next step; they wait too. Args: before: now. scored: what the step's log says."""
    return dict(before) if step < config.critic_warmup else next_multipliers(config, before, scored)


def folder(config: PPOConfig) -> str | None:
    """Where the critic begins from; None for the policy."""
    return None if config.critic_from is None else model_folder(parted(config.critic_from)[0])


def with_critic(setup: Setup, config: PPOConfig, run: Run) -> Network:
    """The policy with the critic asked for. Raises: UserError for a critic that reads other tokens, or fewer."""
    policy, path = setup.policy, folder(config)
    if path is None:
        return policy.with_critic(separate=config.critic == "separate")
    if not policy.codec.tokenizer.get_vocab().items() <= tokenizer_of(path).get_vocab().items():
        raise UserError(
            f"critic={config.critic}: it reads other tokens than the policy {config.policy} writes. "
            "Use a critic of the same base, or critic=separate."
        )
    kind = "none" if policy.role is None else "lora"  # as the policy is trained
    trained = config.model_copy(update={"adapter": kind})
    other = reader(path, policy.placement, beside=policy, weights=unchanged(trained, path, scores=True))
    longest = setup.prompts.longest + config.max_new_tokens if config.env is None else policy.codec.context
    if longest > other.codec.context:
        raise UserError(
            f"critic={config.critic}: it reads at most {other.codec.context} tokens, but a prompt and its response may "
            f"have {longest}. Lower max_new_tokens, or use critic=separate."
        )
    said = other.train_as(trained, seed=config.seed)
    run.caution([f"critic: {sentence}" for sentence in said], of="critic")
    policy.with_critic(other)
    assert policy.critic is not None  # it has one now
    if config.critic_head == "score":
        _begin_with_score(policy.critic, other, path)
    return policy


def begun(
    config: PPOConfig, policy: Network, before: Before, rewards: Tensor, mask: Tensor, *, step: int
) -> tuple[Reading | None, Tensor]:
    """What the critic said of a step's tokens: the reading that is kept for the first update, and (B, T) values.

    Of the first step a fresh head is let know the mean of what follows a token, if it is asked to. Else all scores
    surprise it by their mean, and GAE hands that surprise to the tokens before in ever smaller parts: whitened, the
    last tokens look best where scores are above 0 and worst where they are below, so that responses become shorter or
    longer whatever is paid for. Yuan et al. 2025 (arXiv:2503.01491) find the like where a critic begins biased.

    Args:
        before: as it was read.
        rewards: (B, T) reward units.
        mask: (B, T).
        step: which it is; only the first counts.
    """
    reading, values = before.reading, before.values
    assert values is not None  # the policy has a critic
    assert policy.critic is not None
    if step or config.critic_head != "mean":
        return reading, values
    follow = gae(rewards, torch.zeros_like(values), mask, discount=config.discount, decay=1.0)[1]
    mean = float(follow[mask].cpu().double().mean())
    with torch.no_grad():
        policy.critic.head.bias.fill_(mean)  # it was 0
    if reading is not None:
        assert reading.values is not None
        reading = replace(reading, values=reading.values + mean)
    return reading, torch.where(mask, values + mean, 0.0)


@torch.no_grad()
def _begin_with_score(critic: Critic, model: Network, path: str) -> None:
    """Gives the critic's head what the reward model's says: (weight . state + bias - mean) / deviation, of the state
    before a token. Raises: UserError if it says no single score."""
    columns = columns_of(path)
    if not model.scores_only or len(columns.names) > 1:
        raise UserError(
            f"critic_head=score: {path} gives no single score: it is no reward model, or one of several columns. "
            "Leave critic_head out."
        )
    head = model.pretrained.get_submodule(HEAD)
    biases = [bias for name, bias in head.named_parameters() if name == "bias"]
    column = columns.columns[0]
    critic.head.weight.copy_(head.get_parameter("weight") / column.std)
    critic.head.bias.copy_((sum(biases) - column.mean) / column.std * torch.ones_like(critic.head.bias))
