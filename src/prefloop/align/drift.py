"""What drift from the reference costs: in the reward of each token, or as a term of the loss.

Shapes: B responses of a step, T tokens of the longest, M tokens of some of them.
"""

import torch
from torch import Tensor

from prefloop.align.online import Before, earned
from prefloop.align.settings import OnlineConfig
from prefloop.models.network import Reading
from prefloop.ops.kl import adapted_kl_coef, kl_estimate
from prefloop.ops.rewards import last_index, placed_rewards, token_rewards
from prefloop.sampling.rollouts import Rollouts

Terms = dict[str, tuple[float, Tensor]]
"""Name in the log -> its coefficient and (M,) what each token adds to the loss."""


def rewards(
    config: OnlineConfig, rollouts: Rollouts, scores: Tensor, before: Before, placed: Tensor | None, *, kl_coef: float
) -> Tensor:
    """(B, T) reward units: the charge for drift, and at the last token what the response earns.

    Args:
        placed: (B, T) reward units, the part of the scores that is paid within the responses; None for none.
    """
    whole = earned(scores, rollouts, unfinished_penalty=config.unfinished_penalty)
    kl = before.kl(rollouts.mask, config.kl_estimator)
    if config.kl_where == "loss":
        kl = torch.zeros_like(kl)
    elif config.kl_unit != "token":
        everyone = (kl.sum() / rollouts.mask.sum()).expand(len(rollouts))
        due = kl.sum(1) if config.kl_unit == "response" else everyone
        kl = torch.zeros_like(kl).scatter(1, last_index(rollouts.mask)[:, None], due[:, None])
    found = token_rewards(whole, kl, rollouts.mask, kl_coef=kl_coef)
    return found if placed is None else placed_rewards(found, placed, rollouts.mask)


def terms(config: OnlineConfig, now: Reading, ref_logprobs: Tensor, *, kl_coef: float) -> Terms:
    """What every algorithm's loss has beside its own: the entropy, and drift if it is charged there.

    Args:
        ref_logprobs: (M,) nats, of the same tokens under the reference.
    """
    assert now.entropy is not None  # it was asked for
    found: Terms = {"loss/entropy": (config.entropy_coef, -now.entropy)}
    if config.kl_where == "loss":
        found["loss/kl"] = (kl_coef, kl_estimate(now.logprobs, ref_logprobs, estimator=config.kl_estimator))
    return found


def next_kl_coef(config: OnlineConfig, coef: float, kl: float) -> float:
    """The coefficient of the next step, after this one's drift of `kl` nats per response."""
    if config.kl_target is None:
        return coef
    return adapted_kl_coef(
        coef, kl, target=config.kl_target, horizon=config.kl_horizon, num_responses=config.rollouts_per_step
    )
