"""Strength from lists: Plackett-Luce for any number of candidates, partial lists, top-k lists and ties.

Follows Plackett 1975, Luce 1959, and for ties Turner, van Etten, Firth and Kosmidis 2020 (arXiv:1810.12068). With two
candidates it is Bradley-Terry, and with ties Davidson. Leaves out annotators who differ.
Shape letters: n lists, K players, D the most players that tie anywhere.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from prefloop.stats.arrays import Array
from prefloop.stats.newton import connected, contrasts, inverse, minimised
from prefloop.stats.strengths import Strengths, strengths_at

Group = tuple[int, ...]
MAX_SETS = 200_000
"""Sets that may be chosen from one group of candidates: more are too slow to weigh against each other."""


@dataclass(frozen=True)
class _Choices:
    """All sets that could have been chosen from the same candidates, and how often each was."""

    features: Array  # (S, K - 1 + D - 1)
    chosen: Array  # (S,)


def plackett_luce(
    rankings: Sequence[Sequence[Sequence[int]]],
    *,
    num_players: int,
    ridge: float,
    offered: Sequence[Sequence[int]] | None = None,
) -> Strengths:
    """Maximum likelihood strengths from lists: the best is chosen from all, then the next from the rest, and so on.

        P(S from A) = f(S) / sum_T f(T)        f(S) = tie_|S| (prod_{i in S} worth_i)^(1 / |S|)        tie_1 = 1

    T runs over the sets within A of at most D players. Without ties f(S) is worth_i: Plackett-Luce.

    Args:
        rankings: n lists, each from best to worst, of groups of players that tie: [[2], [0, 3], [1]]. A player who is
            absent was not offered.
        num_players: K.
        ridge: per nat squared of strengths; 0 for none.
        offered: n groups, all that was offered; who was offered and not listed is worse than all listed, in no known
            order (a top-k list). None if all offered are listed.

    Returns: Strengths; effects are (log tie_2, ..., log tie_D): for a size that never occurs -inf, with an error of 0.
    Raises: ValueError if a player is listed twice, not offered or out of range, or no finite maximum exists.
    """
    stages = Counter(
        stage for place, listed in enumerate(rankings) for stage in _stages(listed, offered, place, num_players)
    )
    if ridge == 0:
        beats = [(i, j) for chosen, available in stages for i in chosen for j in available if i != j]
        winners, losers = np.array(beats, dtype=np.int64).reshape(-1, 2).T
        connected(winners, losers, np.ones(len(winners)), num_players)
    sizes = sorted({len(chosen) for chosen, _ in stages} - {1})
    basis, free = contrasts(num_players), num_players - 1
    choices = _all_choices(stages, sizes, basis)
    penalty = ridge * np.diag(np.r_[np.ones(free), np.zeros(len(sizes))])

    def surprise(u: Array) -> float:
        log_likelihood = 0.0
        for choice in choices:
            utilities = choice.features @ u
            log_likelihood += float(choice.chosen @ utilities - choice.chosen.sum() * special.logsumexp(utilities))
        return float(u @ penalty @ u) / 2.0 - log_likelihood

    def derivatives(u: Array) -> tuple[Array, Array]:
        gradient, information = penalty @ u, penalty.copy()
        for choice in choices:
            p, times = special.softmax(choice.features @ u), choice.chosen.sum()
            mean = p @ choice.features
            gradient = gradient - choice.chosen @ choice.features + times * mean
            information += times * ((choice.features.T * p) @ choice.features - np.outer(mean, mean))
        return gradient, information

    u = minimised(surprise, derivatives, np.zeros(free + len(sizes)))
    log_likelihood = float(u @ penalty @ u) / 2.0 - surprise(u)
    fitted = strengths_at(u, inverse(derivatives(u)[1]), basis, log_likelihood)
    occurring = np.array(sizes, dtype=np.int64) - 2
    effects, errors = np.full(max(sizes, default=1) - 1, -np.inf), np.zeros(max(sizes, default=1) - 1)
    effects[occurring], errors[occurring] = fitted.effects, fitted.effect_errors
    return replace(fitted, effects=effects, effect_errors=errors)


def _stages(
    listed: Sequence[Sequence[int]], offered: Sequence[Sequence[int]] | None, place: int, num_players: int
) -> list[tuple[Group, Group]]:
    """(chosen, available) for each choice of one list; a choice of the only one left says nothing."""
    names = [player for group in listed for player in group]
    rest = set(names if offered is None else offered[place])
    if len(set(names)) < len(names) or not set(names) <= rest or not rest <= set(range(num_players)):
        rule = f"every player once, among those offered, and counted from 0 to {num_players - 1}"
        raise ValueError(f"list {place} is {listed}: {rule}")
    stages = []
    for group in listed:
        if len(rest) > 1 and group:
            stages.append((tuple(sorted(group)), tuple(sorted(rest))))
        rest -= set(group)
    return stages


def _all_choices(stages: Counter[tuple[Group, Group]], sizes: list[int], basis: Array) -> list[_Choices]:
    """The choices of each group of candidates that was ever available."""
    choices = []
    for available in sorted({available for _, available in stages}):
        sets = [s for size in [1, *sizes] for s in itertools.combinations(available, size)]
        if len(sets) > MAX_SETS:
            raise ValueError(
                f"{len(available)} candidates with ties of {sizes[-1]} are too many; break the larger ties"
            )
        features = np.zeros((len(sets), basis.shape[1] + len(sizes)))
        for row, members in enumerate(sets):
            features[row, : basis.shape[1]] = basis[list(members)].mean(0)
            if len(members) > 1:
                features[row, basis.shape[1] + sizes.index(len(members))] = 1.0
        choices.append(_Choices(features, np.array([float(stages[members, available]) for members in sets])))
    return choices
