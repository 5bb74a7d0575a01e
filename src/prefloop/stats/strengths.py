"""Strength from who was preferred over whom: Bradley-Terry, with covariates, bootstrapped; and Elo.

Follows Bradley and Terry 1952 and Elo 1978. Ties: `ties`; lists of more than two: `lists`; annotators who differ: `voters`.
Strengths are log-odds in nats with mean 0: P(i over j) = sigmoid(strength_i - strength_j).
Shape letters: n games, K players, D covariates.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from prefloop.stats.newton import connected, contrasts, inverse, minimised, players, sandwich

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Strengths:
    """Fitted strengths of K players, their uncertainty, and what else decided."""

    strengths: Array  # (K,) nats, mean 0
    covariance: Array  # (K, K) of strengths
    effects: Array  # (D,) nats per unit of each covariate; for ties (1,): log nu or log theta
    effect_errors: Array  # (D,) standard errors
    log_likelihood: float
    """nats, without the ridge"""

    @property
    def standard_errors(self) -> Array:
        """(K,) of each strength against the mean of all."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def worth(self) -> Array:
        """(K,) exp(strength), scaled to sum 1."""
        return special.softmax(self.strengths)

    def gap(self, i: int, j: int) -> tuple[float, float]:
        """(strength_i - strength_j, its standard error), nats."""
        variance = self.covariance[i, i] + self.covariance[j, j] - 2.0 * self.covariance[i, j]
        return float(self.strengths[i] - self.strengths[j]), float(np.sqrt(max(variance, 0.0)))


@dataclass(frozen=True)
class BootstrapStrengths:
    """Intervals from drawing whole clusters of games anew."""

    low: Array  # (K,) nats
    high: Array  # (K,) nats
    best_rank: Ints  # (K,) 1 is first
    worst_rank: Ints  # (K,)


def bradley_terry(
    first: ArrayLike,
    second: ArrayLike,
    outcomes: ArrayLike,
    *,
    num_players: int,
    ridge: float,
    weights: ArrayLike = 1.0,
    covariates: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
) -> Strengths:
    """Maximum likelihood strengths, by Newton's method.

        margin_g = strength_first - strength_second + covariates_g . effects
        minimise sum_g weight_g (softplus(margin_g) - outcome_g margin_g) + ridge / 2 |strengths|^2

    Bradley and Terry 1952. With covariates it is contextual: style control gives each game the difference in style
    (see `normalised_difference`), and a column of ones is the advantage of being first. The covariance is the inverse
    Fisher information; with clusters it is the sandwich H^-1 (sum_c g_c g_c') H^-1 C / (C - 1), which is right even if
    games of one cluster hang together. A tie as outcome 1/2 gives biased strengths: better `ties.davidson`.

    Args:
        first, second: (n,) indices of the players.
        outcomes: (n,) 1 if the first was preferred, 0 if not, or a share between.
        num_players: K.
        ridge: per nat squared; 0 for none.
        weights: (n,) or one number, at least 0.
        covariates: (n, D) first less second; None for none.
        clusters: (n,) a label per game, such as its prompt.

    Returns: Strengths.
    Raises: ValueError if shapes differ, an index is out of range, or no finite maximum exists: without a ridge, if some
        players never lost against all the others.
    """
    i, j = players(first, second, num_players)
    y, w = np.asarray(outcomes, dtype=float), np.broadcast_to(np.asarray(weights, dtype=float), i.shape)
    x = np.zeros((len(i), 0)) if covariates is None else np.asarray(covariates, dtype=float)
    if y.shape != i.shape or x.ndim != 2 or len(x) != len(i):
        raise ValueError(f"every game needs one outcome and one row of covariates, got shapes {y.shape} and {x.shape}")
    if not np.all((y >= 0) & (y <= 1)) or (w < 0).any():
        raise ValueError("outcomes must lie in [0, 1] and weights be at least 0")
    if ridge == 0:
        connected(np.r_[i, j], np.r_[j, i], np.r_[y * w, (1 - y) * w], num_players)
    basis = contrasts(num_players)
    design = np.hstack([basis[i] - basis[j], x])
    penalty = ridge * np.diag(np.r_[np.ones(num_players - 1), np.zeros(x.shape[1])])

    def surprise(u: Array) -> float:
        margin = design @ u
        return float(w @ (np.logaddexp(0.0, margin) - y * margin) + u @ penalty @ u / 2.0)

    def derivatives(u: Array) -> tuple[Array, Array]:
        p = special.expit(design @ u)
        return design.T @ (w * (p - y)) + penalty @ u, (design.T * (w * p * (1 - p))) @ design + penalty

    u = minimised(surprise, derivatives, np.zeros(design.shape[1]))
    covariance = inverse(derivatives(u)[1])
    if clusters is not None:
        covariance = sandwich(covariance, design * (w * (y - special.expit(design @ u)))[:, None], clusters)
    free = num_players - 1
    return Strengths(
        strengths=basis @ u[:free],
        covariance=basis @ covariance[:free, :free] @ basis.T,
        effects=u[free:],
        effect_errors=np.sqrt(np.diag(covariance)[free:]),
        log_likelihood=float(u @ penalty @ u) / 2.0 - surprise(u),
    )


def bradley_terry_bootstrap(
    first: ArrayLike,
    second: ArrayLike,
    outcomes: ArrayLike,
    clusters: ArrayLike,
    *,
    num_players: int,
    ridge: float,
    confidence: float,
    resamples: int,
    seed: int,
) -> BootstrapStrengths:
    """Percentile intervals for strengths and ranks; whole clusters, such as prompts or annotators, are drawn anew.

    Davison and Hinkley 1997, section 3.8. A resample may leave a player without a defeat, hence the ridge.

    Args:
        first, second, outcomes: (n,) as in `bradley_terry`.
        clusters: (n,) a label per game.
        num_players: K.
        ridge: above 0; a small one such as 0.01 hardly moves strengths that are known.
        confidence: in (0, 1).
        resamples: how often to draw anew.
        seed: the same seed gives the same intervals.

    Returns: BootstrapStrengths of (K,). The ranks are those between which a player's rank falls in that share of resamples.
    Raises: ValueError if shapes differ, an index is out of range, the ridge is not above 0, or there is only one cluster.
    """
    i, j = players(first, second, num_players)
    y, (labels, of) = np.asarray(outcomes, dtype=float), np.unique(np.asarray(clusters), return_inverse=True)
    if y.shape != i.shape or of.shape != i.shape or len(labels) < 2 or not ridge > 0:
        raise ValueError("a bootstrap needs one outcome and cluster per game, at least 2 clusters, and a ridge above 0")
    low_player, high_player = np.minimum(i, j), np.maximum(i, j)
    pairs, pair = np.unique(low_player * num_players + high_player, return_inverse=True)
    won = np.where(i == low_player, y, 1.0 - y)
    rng, tail = np.random.default_rng(seed), (1.0 - confidence) / 2.0
    strengths = np.zeros((resamples, num_players))
    for r in range(resamples):
        times = np.bincount(rng.integers(len(labels), size=len(labels)), minlength=len(labels))[of]
        games = np.bincount(pair, weights=times, minlength=len(pairs))
        share = np.bincount(pair, weights=times * won, minlength=len(pairs)) / np.maximum(games, 1.0)
        fitted = bradley_terry(
            pairs // num_players, pairs % num_players, share, num_players=num_players, ridge=ridge, weights=games
        )
        strengths[r] = fitted.strengths
    ranks = 1 + (strengths[:, None, :] > strengths[:, :, None]).sum(2)
    low, high = np.quantile(strengths, [tail, 1.0 - tail], axis=0)
    best, worst = np.quantile(ranks, [tail, 1.0 - tail], axis=0, method="inverted_cdf")
    return BootstrapStrengths(low, high, best.astype(np.int64), worst.astype(np.int64))


def elo(first: ArrayLike, second: ArrayLike, outcomes: ArrayLike, *, num_players: int, k: float, start: float) -> Array:
    """Ratings that move after every game; they depend on the order of the games, so they are for a live board only.

        expected = 1 / (1 + 10^((rating_second - rating_first) / 400))
        rating_first += k (outcome - expected)        rating_second -= the same

    Elo 1978.

    Args:
        first, second: (n,) indices of the players, in the order played.
        outcomes: (n,) 1 if the first won, 0 if not, 1/2 for a tie.
        num_players: K.
        k: most points that one game can move, such as 32, or 4 for a board that stays put.
        start: everybody's first rating, such as 1000.

    Returns: (K,) points; 400 points are odds of 10 to 1.
    Raises: ValueError if shapes differ or an index is out of range.
    """
    i, j = players(first, second, num_players)
    results = np.asarray(outcomes, dtype=float)
    if results.shape != i.shape:
        raise ValueError(f"every game needs one outcome, got shapes {i.shape} and {results.shape}")
    ratings = np.full(num_players, float(start))
    for a, b, result in zip(i.tolist(), j.tolist(), results.tolist(), strict=True):
        moved = k * (result - 1.0 / (1.0 + 10.0 ** ((ratings[b] - ratings[a]) / 400.0)))
        ratings[a] += moved
        ratings[b] -= moved
    return ratings


def normalised_difference(first: ArrayLike, second: ArrayLike) -> Array:
    """A style covariate from two counts, such as lengths in tokens, headers or list items.

        (first - second) / (first + second), 0 where both are 0

    Args:
        first, second: (n,) counts, at least 0.

    Returns: (n,) in [-1, 1]; divide by its standard deviation if effects are to be compared.
    Raises: ValueError if shapes differ or a count is negative.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.shape != b.shape or (a.size and min(a.min(), b.min()) < 0):
        raise ValueError(f"counts of style need one shape and none below 0, got shapes {a.shape} and {b.shape}")
    return np.divide(a - b, a + b, out=np.zeros_like(a), where=a + b > 0)
