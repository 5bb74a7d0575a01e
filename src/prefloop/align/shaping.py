"""What becomes of scores before they are a reward: normalised by the run's own, scaled, shifted, clipped, replaced.

    shaped = clip((score - mean) / deviation * score_scale + score_shift, -score_clip, score_clip)
    shaped = unfinished_score, if there is one and the response did not end by itself

The scorer's own numbers stay what `scores/mean` tells. Shapes: B responses of a step.
"""

import torch
from torch import Tensor

from prefloop.align.settings import Shaped
from prefloop.ops.moments import Moments, with_more
from prefloop.ops.rewards import normalised_scores
from prefloop.sampling.rollouts import Rollouts

Seen = tuple[float, ...]
"""Moments of all scores of the steps before, as a checkpoint holds them; empty at first."""
LEAST = 1e-8
"""Smallest deviation that scores are divided by: those that are all alike become 0."""


def shaped(config: Shaped, scores: Tensor, rollouts: Rollouts, seen: Seen) -> Tensor:
    """(B,) the step's scores as they are rewarded, in reward units. Args: seen: before this step."""
    found = _scaled(config, scores, seen)
    if config.score_clip is not None:
        found = found.clamp(-config.score_clip, config.score_clip)
    if config.unfinished_score is None:
        return found
    return torch.where(rollouts.finished.to(found.device), found, config.unfinished_score)


def _scaled(config: Shaped, scores: Tensor, seen: Seen) -> Tensor:
    if config.score_norm == "running":
        moments = with_more(Moments(*seen), scores)
        scores = normalised_scores(scores, mean=moments.mean, std=max(moments.std, LEAST))
    plain = (config.score_scale, config.score_shift) == (1.0, 0.0)
    return scores if plain else scores * config.score_scale + config.score_shift


def within(config: Shaped, placed: Tensor | None, scores: Tensor, seen: Seen) -> Tensor | None:
    """(B, T) what is paid within the responses, in reward units, scaled as their scores are. What is shifted, clipped
    or replaced is the whole score, and the difference is paid at the end.

    Args:
        placed: (B, T) as the scorer has it; None for none.
        scores: (B,) the step's, as the scorer has them.
        seen: before this step.
    """
    if placed is None:
        return None
    std = 1.0
    if config.score_norm == "running":
        std = max(with_more(Moments(*seen), scores).std, LEAST)
    return placed * (config.score_scale / std)


def next_seen(config: Shaped, seen: Seen, scores: Tensor) -> Seen:
    """The moments for the next step; nothing is kept where nothing is normalised."""
    return tuple(with_more(Moments(*seen), scores)) if config.score_norm == "running" else ()


def metrics(config: Shaped, scores: Tensor, rollouts: Rollouts, seen: Seen) -> dict[str, float]:
    """The part of the log line that is about what became of scores; nothing where they stay as they are."""
    if not config.shapes:
        return {}
    whole = shaped(config, scores, rollouts, seen).cpu().double()
    found = {"scores/shaped": float(whole.mean()), "scores/shaped_std": float(whole.std(correction=0))}
    if config.score_clip is not None:
        found["scores/clipped"] = float((_scaled(config, scores, seen).abs() > config.score_clip).cpu().double().mean())
    return found
