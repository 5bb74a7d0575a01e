"""Strengths when judgements may tie: Davidson's model and Rao and Kupper's.

Follows Davidson 1970 and Rao and Kupper 1967. Leaves out ridge and clusters: bootstrap by prompt where they matter.
Shape letters: n rows of games, K players.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from prefloop.stats.newton import connected, contrasts, inverse, minimised, players
from prefloop.stats.strengths import Strengths

Array = NDArray[np.float64]


def davidson(
    first: ArrayLike, second: ArrayLike, wins: ArrayLike, losses: ArrayLike, ties: ArrayLike, *, num_players: int
) -> Strengths:
    """Strengths where a tie is an outcome of its own, likeliest between equals.

        P(i) : P(j) : P(tie) = worth_i : worth_j : nu sqrt(worth_i worth_j)

    Davidson 1970, by Fisher scoring. nu = 2 if a tie between equals is as likely as not; effects is (log nu,).

    Args:
        first, second: (n,) indices of the players; a row may hold one game or many.
        wins, losses, ties: (n,) counts, wins of the first.
        num_players: K.

    Returns: Strengths.
    Raises: ValueError if shapes differ, a count is negative, nothing is tied, or no finite maximum exists.
    """
    return _with_ties(first, second, wins, losses, ties, num_players=num_players, model="davidson")


def rao_kupper(
    first: ArrayLike, second: ArrayLike, wins: ArrayLike, losses: ArrayLike, ties: ArrayLike, *, num_players: int
) -> Strengths:
    """Strengths where a difference below a threshold is not seen.

        P(i) = worth_i / (worth_i + theta worth_j)        P(j) alike        P(tie) = the rest

    Rao and Kupper 1967, by Fisher scoring. theta > 1; effects is (log theta,).

    Args:
        first, second: (n,) indices of the players; a row may hold one game or many.
        wins, losses, ties: (n,) counts, wins of the first.
        num_players: K.

    Returns: Strengths.
    Raises: ValueError if shapes differ, a count is negative, nothing is tied, or no finite maximum exists.
    """
    return _with_ties(first, second, wins, losses, ties, num_players=num_players, model="rao-kupper")


def _with_ties(
    first: ArrayLike,
    second: ArrayLike,
    wins: ArrayLike,
    losses: ArrayLike,
    ties: ArrayLike,
    *,
    num_players: int,
    model: Literal["davidson", "rao-kupper"],
) -> Strengths:
    """Fisher scoring on strengths and one number for ties: log nu, or log log theta."""
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

    u = minimised(surprise, derivatives, np.zeros(num_players))
    covariance, tie = inverse(derivatives(u)[1]), u[-1]
    if model == "rao-kupper":  # from log log theta to log theta
        scale, tie = np.r_[np.ones(num_players - 1), np.exp(tie)], np.exp(tie)
        covariance = covariance * np.outer(scale, scale)
    return Strengths(
        strengths=basis @ u[:-1],
        covariance=basis @ covariance[:-1, :-1] @ basis.T,
        effects=np.array([tie]),
        effect_errors=np.sqrt(covariance[-1:, -1]),
        log_likelihood=-surprise(u),
    )


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
