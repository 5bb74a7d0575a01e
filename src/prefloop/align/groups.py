"""What RLOO and GRPO share: responses measured against the others to their prompt, and what a token weighs in a loss.

Shapes: B responses of a step, T tokens of the longest.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from prefloop.align import online
from prefloop.align.online import Before, Setup
from prefloop.align.progress import Batch, Progress
from prefloop.align.settings import Grouped
from prefloop.ops.groups import flat_groups
from prefloop.ops.ratios import LossMean, overlong_share, token_weights
from prefloop.ops.reduce import masked_sum
from prefloop.run import Run
from prefloop.sampling.rollouts import Rollouts


def charged(config: Grouped, rollouts: Rollouts, scores: Tensor) -> Tensor:
    """(B,) scores as they are rewarded, less what is charged softly of responses that ended by themselves, but late;
    the others are charged unfinished_penalty in full, as everywhere."""
    if config.overlong != "soft":
        return scores
    assert config.overlong_share is not None  # the settings say so
    buffer = max(1, round(config.overlong_share * config.most_tokens))
    share = overlong_share(lengths(rollouts), longest=config.most_tokens, buffer=buffer)
    due = torch.where(rollouts.finished, config.unfinished_penalty * share, 0.0)
    return scores - due.to(scores.device)


def whole(rewards: Tensor, mask: Tensor) -> Tensor:
    """(B,) what each response earned, charges for drift included. Args: rewards: (B, T) reward units."""
    return masked_sum(rewards, mask, dim=1)


def spread(advantages: Tensor, mask: Tensor) -> Tensor:
    """(B, T) a response's advantage at each of its tokens, 0 at padding. Args: advantages: (B,)."""
    return torch.where(mask, advantages[:, None], 0.0)


def lengths(rollouts: Rollouts) -> Tensor:
    """(B,) tokens of each response."""
    return rollouts.mask.sum(1)


def weights(config: Grouped, rollouts: Rollouts, index: Sequence[int], *, mean: LossMean) -> Tensor:
    """(B,) what each token of a response weighs in the loss of an update of the rows `index`; 0 for other rows."""
    rows = torch.tensor(index, device=rollouts.mask.device)
    learned = rollouts.finished[rows] if config.overlong == "mask" else torch.ones_like(rows, dtype=torch.bool)
    some = token_weights(lengths(rollouts)[rows], learned, mean=mean, longest=config.most_tokens)
    return torch.zeros(len(rollouts), device=rows.device).index_put((rows,), some)


def flat(config: Grouped, rollouts: Rollouts, scores: Tensor) -> Tensor:
    """(B / K,) bool: prompts whose responses all earned the same, charges for drift aside."""
    due = online.earned(charged(config, rollouts, scores), rollouts, unfinished_penalty=config.unfinished_penalty)
    return flat_groups(due, copies=config.responses_per_prompt)


def counted(config: Grouped, rollouts: Rollouts, scores: Tensor) -> dict[str, float]:
    """The part of the log line that is about groups. Args: scores: (B,) as they are rewarded."""
    return {"groups/flat": float(flat(config, rollouts, scores).cpu().double().mean())}


def log(run: Run, setup: Setup, at: Progress[Batch], batch: Batch) -> dict[str, float]:
    """The log line and a few samples of a finished step. Returns: the line."""
    rollouts = batch.rollouts
    kl = Before(batch.logprobs, batch.ref_logprobs, None).kl(rollouts.mask, "k1")
    metrics = {**at.means(), **batch.scored, **online.step_metrics(rollouts, kl, batch.rewards, batch.advantages)}
    online.log(run, setup, at.step, metrics, rollouts, batch.scores, kl)
    return metrics
