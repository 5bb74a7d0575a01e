"""Strength from who was preferred over whom: Bradley-Terry with covariates or ties, bootstrapped; and Elo.

Follows Bradley and Terry 1952, Davidson 1970, Rao and Kupper 1967 and Elo 1978. Lists of more than two: `lists`;
annotators who differ: `crowd`. Models of ties leave out ridge and clusters: bootstrap by prompt where they matter.
Strengths are log-odds in nats with mean 0: P(i over j) = sigmoid(strength_i - strength_j).
Shape letters: n games, K players, D covariates.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from prefloop.stats.arrays import Array, Ints, columns
from prefloop.stats.intervals import middle
from prefloop.stats.newton import connected, contrasts, inverse, minimised, players, sandwich


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


def strengths_at(u: Array, covariance: Array, basis: Array, log_likelihood: float) -> Strengths:
    """Strengths from (K - 1 + D,) parameters, of `newton.contrasts` and of effects, and their covariance."""
    free = basis.shape[1]
    return Strengths(
        strengths=basis @ u[:free],
        covariance=basis @ covariance[:free, :free] @ basis.T,
        effects=u[free:],
        effect_errors=np.sqrt(np.diag(covariance)[free:]),
        log_likelihood=log_likelihood,
    )


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
    Fisher information; with clusters it is the sandwich of `newton.sandwich`, which is right even if games of one
    cluster hang together. A tie as outcome 1/2 gives biased strengths: better `strengths_with_ties`.

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
    y, _ = columns(outcomes=outcomes, first=i)
    w = np.broadcast_to(np.asarray(weights, dtype=float), i.shape)
    x = np.zeros((len(i), 0)) if covariates is None else np.asarray(covariates, dtype=float)
    if x.ndim != 2 or len(x) != len(i):
        raise ValueError(f"every game needs one row of covariates, got shape {x.shape} for {len(i)} games")
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
    return strengths_at(u, covariance, basis, float(u @ penalty @ u) / 2.0 - surprise(u))


def strengths_with_ties(
    first: ArrayLike,
    second: ArrayLike,
    wins: ArrayLike,
    losses: ArrayLike,
    ties: ArrayLike,
    *,
    num_players: int,
    model: Literal["davidson", "rao-kupper"],
) -> Strengths:
    """Maximum likelihood strengths where a tie is an outcome of its own, by Fisher scoring.

        davidson    P(i) : P(j) : P(tie) = worth_i : worth_j : nu sqrt(worth_i worth_j)
        rao-kupper  P(i) = worth_i / (worth_i + theta worth_j)        P(j) alike        P(tie) = the rest

    Davidson 1970: ties are likeliest between equals, nu = 2 if as likely there as not. Rao and Kupper 1967: a
    difference below a threshold is not seen, theta > 1.

    Args:
        first, second: (n,) indices of the players; a row may hold one game or many.
        wins, losses, ties: (n,) counts, wins of the first.
        num_players: K.
        model: how likely a tie is.

    Returns: Strengths; effects is (log nu,) or (log theta,).
    Raises: ValueError if shapes differ, a count is negative, nothing is tied, or no finite maximum exists.
    """
    i, j = players(first, second, num_players)
    counts = np.stack([np.broadcast_to(np.asarray(c, dtype=float), i.shape) for c in (wins, losses, ties)], axis=1)
    if counts.size == 0 or counts.min() < 0 or not counts[:, 2].sum() > 0:
        raise ValueError("a model of ties needs counts of at least 0 and some ties; without ties use bradley_terry")
    connected(np.r_[i, j], np.r_[j, i], np.r_[counts[:, 0] + counts[:, 2], counts[:, 1] + counts[:, 2]], num_players)
    basis = contrasts(num_players)
    difference, games = basis[i] - basis[j], counts.sum(1, keepdims=True)
    outcome = {"davidson": _davidson_logprobs, "rao-kupper": _rao_kupper_logprobs}[model]

    def surprise(u: Array) -> float:
        return -float((counts * outcome(difference @ u[:-1], u[-1])[0]).sum())

    def derivatives(u: Array) -> tuple[Array, Array]:
        logprobs, by_margin, by_tie = outcome(difference @ u[:-1], u[-1])
        slopes = np.concatenate([by_margin[:, :, None] * difference[:, None, :], by_tie[:, :, None]], axis=2)
        information = np.einsum("no,noa,nob->ab", games * np.exp(logprobs), slopes, slopes)
        return -np.einsum("no,noa->a", counts, slopes), information

    u = minimised(surprise, derivatives, np.zeros(num_players))  # the last is log nu, or log log theta
    covariance, tie = inverse(derivatives(u)[1]), u[-1]
    if model == "rao-kupper":  # to log theta
        scale, tie = np.r_[np.ones(num_players - 1), np.exp(tie)], np.exp(tie)
        covariance = covariance * np.outer(scale, scale)
    return strengths_at(np.r_[u[:-1], tie], covariance, basis, -surprise(u))


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

    Returns: BootstrapStrengths of (K,). A player's rank is between its two in that share of resamples.
    Raises: ValueError if shapes differ, an index is out of range, the ridge is not above 0, or there is 1 cluster.
    """
    i, j = players(first, second, num_players)
    labels, of = np.unique(np.asarray(clusters), return_inverse=True)
    y, *_ = columns(outcomes=outcomes, clusters=of, first=i)
    if len(labels) < 2 or not ridge > 0:
        raise ValueError(f"a bootstrap needs at least 2 clusters and a ridge above 0, got {len(labels)} and {ridge}")
    low_player, high_player = np.minimum(i, j), np.maximum(i, j)
    pairs, pair = np.unique(low_player * num_players + high_player, return_inverse=True)
    won = np.where(i == low_player, y, 1.0 - y)
    rng = np.random.default_rng(seed)
    common = {"num_players": num_players, "ridge": ridge}
    strengths = np.zeros((resamples, num_players))
    for r in range(resamples):
        times = np.bincount(rng.integers(len(labels), size=len(labels)), minlength=len(labels))[of]
        games = np.bincount(pair, weights=times, minlength=len(pairs))
        share = np.bincount(pair, weights=times * won, minlength=len(pairs)) / np.maximum(games, 1.0)
        fitted = bradley_terry(pairs // num_players, pairs % num_players, share, **common, weights=games)
        strengths[r] = fitted.strengths
    ranks = 1 + (strengths[:, None, :] > strengths[:, :, None]).sum(2)
    best, worst = middle(ranks, confidence=confidence, method="inverted_cdf").astype(np.int64)
    low, high = middle(strengths, confidence=confidence)
    return BootstrapStrengths(low, high, best, worst)


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
    results, _ = columns(outcomes=outcomes, first=i)
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
    a, b = columns(first=first, second=second)
    if a.size and min(a.min(), b.min()) < 0:
        raise ValueError(f"counts of style are at least 0, got {min(a.min(), b.min()):g}")
    return np.divide(a - b, a + b, out=np.zeros_like(a), where=a + b > 0)


def _davidson_logprobs(margin: Array, tie: float) -> tuple[Array, Array, Array]:
    """(n, 3) log P of win, loss and tie, and its slopes by the margin and by log nu."""
    utilities = np.stack([margin / 2, -margin / 2, np.full_like(margin, tie)], axis=1)
    logprobs = special.log_softmax(utilities, axis=1)
    p = np.exp(logprobs)
    by_margin = np.array([0.5, -0.5, 0.0]) - (p[:, :1] - p[:, 1:2]) / 2
    return logprobs, by_margin, np.array([0.0, 0.0, 1.0]) - p[:, 2:]


def _rao_kupper_logprobs(margin: Array, tie: float) -> tuple[Array, Array, Array]:
    """(n, 3) log P of win, loss and tie, and its slopes by the margin and by log log theta."""
    threshold = np.exp(min(tie, 5.0))
    win, loss = special.log_expit(margin - threshold), special.log_expit(-margin - threshold)
    logprobs = np.stack([win, loss, win + loss + np.log(np.expm1(2 * threshold))], axis=1)
    not_win, not_loss = -np.expm1(win), -np.expm1(loss)
    by_margin = np.stack([not_win, -not_loss, not_win - not_loss], axis=1)
    wider = 2.0 / -np.expm1(-2 * threshold)
    return logprobs, by_margin, threshold * np.stack([-not_win, -not_loss, wider - not_win - not_loss], axis=1)
