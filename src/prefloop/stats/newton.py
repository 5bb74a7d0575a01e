"""Strengths of players as an optimisation: games checked, the free directions, Newton's method, sandwich errors.

Shape letters: n games, K players, P free parameters.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.sparse import csgraph

from prefloop.stats.arrays import Array, Ints, indices

MAX_STEPS = 200
"""Newton steps; ten are usual."""


def minimised(
    surprise: Callable[[Array], float], derivatives: Callable[[Array], tuple[Array, Array]], start: Array
) -> Array:
    """Where a convex function is least: Newton's steps, or Fisher's, halved until they descend.

    Args:
        surprise: of (P,), what is minimised, nats.
        derivatives: of (P,), its gradient (P,) and its Hessian, or expected Hessian, (P, P).
        start: (P,).

    Returns: (P,).
    Raises: ValueError if there is no minimum within reach.
    """
    u, at = start, surprise(start)
    for _ in range(MAX_STEPS):
        gradient, information = derivatives(u)
        step = -np.linalg.lstsq(information, gradient, rcond=None)[0]
        if np.abs(step).max(initial=0.0) < 1e-10:
            return u
        promised, size = -float(gradient @ step), 1.0
        while promised > 1e-9 * (1.0 + abs(at)) and surprise(u + size * step) > at and size > 1e-18:
            size /= 2.0
        u = u + size * step
        at = surprise(u)
    raise ValueError("no finite maximum of the likelihood: something decides every game; give a ridge or leave it out")


def inverse(information: Array) -> Array:
    """Covariance from the information at the maximum.

    Args:
        information: (P, P) second derivatives of the surprise.

    Returns: (P, P).
    Raises: ValueError if some combination of the parameters is not determined.
    """
    if np.linalg.cond(information) > 1e13:
        raise ValueError("the games do not tell some effects apart: a covariate repeats another, or never varies")
    return np.linalg.inv(information).astype(float)


def sandwich(covariance: Array, gradients: Array, clusters: ArrayLike) -> Array:
    """Covariance that is right even if games of one cluster hang together.

        H^-1 (sum_c g_c g_c') H^-1 C / (C - 1)        g_c sum of the gradients of cluster c, C clusters

    Liang and Zeger 1986.

    Args:
        covariance: (P, P) inverse information H^-1.
        gradients: (n, P) of each game's log likelihood.
        clusters: (n,) a label per game.

    Returns: (P, P).
    Raises: ValueError if the lengths differ or there are fewer than 2 clusters.
    """
    labels, of = np.unique(np.asarray(clusters), return_inverse=True)
    if of.shape != gradients.shape[:1] or len(labels) < 2:
        raise ValueError(f"every game needs a cluster, and there are at least 2, got {of.shape} of {len(labels)}")
    sums = np.zeros((len(labels), gradients.shape[1]))
    np.add.at(sums, of, gradients)
    return covariance @ (sums.T @ sums) @ covariance * (len(labels) / (len(labels) - 1))


def contrasts(num_players: int) -> Array:
    """(K, K - 1) orthonormal columns that each sum to 0: the strengths with mean 0, without a redundant direction."""
    steps = np.tril(np.ones((num_players, num_players - 1)), -1) - np.triu(np.ones((num_players, num_players - 1)))
    return np.linalg.qr(steps - steps.mean(0))[0]


def connected(winners: Ints, losers: Ints, weights: Array, num_players: int) -> None:
    """Checks that strengths are finite: from each player a chain of wins leads to each other one (Ford 1957).

    Args:
        winners, losers: (n,) indices.
        weights: (n,) a win counts if above 0.
        num_players: K.

    Raises: ValueError that names the players who stand apart.
    """
    won = weights > 0
    graph = sparse.coo_matrix((np.ones(won.sum()), (winners[won], losers[won])), shape=(num_players, num_players))
    parts, part = csgraph.connected_components(graph, directed=True, connection="strong")
    if parts > 1:
        apart = np.flatnonzero(part != np.bincount(part).argmax()).tolist()
        raise ValueError(
            f"no finite strengths: players {apart} were not both preferred to and beaten by the others, "
            "directly or through a chain; give a ridge above 0 or more games"
        )


def players(first: ArrayLike, second: ArrayLike, num_players: int) -> tuple[Ints, Ints]:
    """The two players of each game, checked.

    Args:
        first, second: (n,) indices.
        num_players: K.

    Returns: two of (n,).
    Raises: ValueError if lengths differ, an index is out of range, or somebody plays against themselves.
    """
    if num_players < 2:
        raise ValueError(f"games need at least 2 players, got {num_players}")
    i, j = indices(first=(first, num_players), second=(second, num_players))
    if (i == j).any():
        raise ValueError(f"game {int((i == j).argmax())} is of a player against itself")
    return i, j
