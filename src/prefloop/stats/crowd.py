"""Strength from annotators who differ: Bradley-Terry with an ability and a side bias for each of them.

Follows Chen et al. 2013 (Crowd-BT), with a bias as in NoisyBradleyTerry. Leaves out ties; pass them as 1/2.
Shape letters: n judgements, K players, A annotators.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from prefloop.stats.arrays import Array, Ints, columns, indices
from prefloop.stats.newton import players


@dataclass(frozen=True)
class Crowd:
    """What is believed of the players and of those who judged them."""

    strengths: Array  # (K,) nats, mean 0
    abilities: Array  # (A,) in (0, 1): share of judgements that look at the responses; the rest are coin tosses
    biases: Array  # (A,) nats towards the left side
    log_likelihood: float
    """nats, without the penalties"""
    converged: bool


@dataclass(frozen=True)
class CrowdPenalties:
    """How strongly each kind of parameter is held to its usual value: precisions of normal priors, per nat squared."""

    strength: float
    """towards 0; above 0"""
    bias: float
    """towards 0; above 0"""
    ability: float
    """of logit(ability) towards logit(usual_ability); above 0"""
    usual_ability: float
    """in (0, 1), such as 0.9"""


def crowd_surprise(
    strengths: ArrayLike,
    biases: ArrayLike,
    ability_logits: ArrayLike,
    *,
    left: ArrayLike,
    right: ArrayLike,
    annotators: ArrayLike,
    chose_left: ArrayLike,
    sided: ArrayLike | None = None,
) -> tuple[float, Array, Array, Array]:
    """Minus log likelihood of judgements, and its slopes.

        P(left) = s_a sigmoid(strength_left - strength_right + b_a) + (1 - s_a) / 2        s_a = sigmoid(logit_a)

    Where the sides are not known there is no b_a.

    Args:
        strengths: (K,) nats.
        biases: (A,) nats.
        ability_logits: (A,).
        left, right: (n,) players as shown.
        annotators: (n,) who judged.
        chose_left: (n,) 1 if the left was preferred, 0 if the right, 1/2 for a tie.
        sided: (n,) 1 if each player's side is known, 0 if left and right are but two names; None for all known.

    Returns: (nats, slope by strengths (K,), by biases (A,), by ability_logits (A,)).
    """
    score, bias, logit = (np.asarray(v, dtype=float) for v in (strengths, biases, ability_logits))
    i, j, a, y = np.asarray(left), np.asarray(right), np.asarray(annotators), np.asarray(chose_left, dtype=float)
    biased = np.ones(len(a)) if sided is None else np.asarray(sided, dtype=float)
    sure, ability = special.expit(score[i] - score[j] + biased * bias[a]), special.expit(logit)[a]
    p = ability * sure + (1.0 - ability) / 2.0
    by_p = (p - y) / (p * (1.0 - p))
    by_margin = by_p * ability * sure * (1.0 - sure)
    by_logit = by_p * (sure - 0.5) * ability * (1.0 - ability)
    by_score = _summed(by_margin, i, len(score)) - _summed(by_margin, j, len(score))
    surprise = -float((special.xlogy(y, p) + special.xlogy(1.0 - y, 1.0 - p)).sum())
    return surprise, by_score, _summed(biased * by_margin, a, len(bias)), _summed(by_logit, a, len(logit))


def crowd_bradley_terry(
    left: ArrayLike,
    right: ArrayLike,
    annotators: ArrayLike,
    chose_left: ArrayLike,
    *,
    num_players: int,
    num_annotators: int,
    penalties: CrowdPenalties,
    sided: ArrayLike | None = None,
) -> Crowd:
    """Strengths, abilities and side biases at once, by L-BFGS on the penalised likelihood of `crowd_surprise`.

    An annotator below chance cannot be told here from one who tosses coins: ability is at least 0. Where each response
    is judged once or twice only the abilities are worth reading, not the strengths.

    Args:
        left, right: (n,) players as shown.
        annotators: (n,) who judged, from 0.
        chose_left: (n,) 1 if the left was preferred, 0 if the right, 1/2 for a tie.
        num_players, num_annotators: K and A.
        penalties: all above 0, so that every parameter is finite and known.
        sided: (n,) 1 if the sides are known, 0 if not: such a judgement says nothing of a bias; None for all known.

    Returns: Crowd.
    Raises: ValueError if lengths differ, an index is out of range, or a penalty is not above 0.
    """
    i, j = players(left, right, num_players)
    (a,) = indices(annotators=(annotators, num_annotators))
    y, biased, *_ = columns(
        chose_left=chose_left, sided=np.ones(len(i)) if sided is None else sided, left=i, annotators=a
    )
    if not (min(penalties.strength, penalties.bias, penalties.ability) > 0 and 0 < penalties.usual_ability < 1):
        raise ValueError(f"penalties must be above 0 and the usual ability between 0 and 1, got {penalties}")
    usual = float(special.logit(penalties.usual_ability))
    sizes = [num_players, num_annotators, num_annotators]
    ends = [num_players, num_players + num_annotators]
    start = np.repeat([0.0, 0.0, usual], sizes)
    held = np.repeat([penalties.strength, penalties.bias, penalties.ability], sizes)

    judged = {"left": i, "right": j, "annotators": a, "chose_left": y, "sided": biased}

    def split(u: Array) -> tuple[Array, Array, Array]:
        strengths, biases, logits = np.split(u, ends)
        return strengths, biases, logits

    def penalised(u: Array) -> tuple[float, Array]:
        strengths, biases, logits = split(u)
        surprise, *slopes = crowd_surprise(strengths, biases, logits, **judged)
        away = u - start
        return surprise + float(held * away @ away) / 2.0, np.concatenate(slopes) + held * away

    options = {"maxiter": 5000, "ftol": 1e-13, "gtol": 1e-7}
    best = optimize.minimize(penalised, start, jac=True, method="L-BFGS-B", options=options)
    strengths, biases, logits = split(best.x)
    surprise = crowd_surprise(strengths, biases, logits, **judged)[0]
    return Crowd(strengths - strengths.mean(), special.expit(logits), biases, -surprise, bool(best.success))


def _summed(values: Array, groups: Ints, size: int) -> Array:
    return np.bincount(groups, values, size).astype(float)
