"""From many judgements to one decision: weights for votes, Dawid-Skene, and orders from ballots.

Follows Nitzan and Paroush 1982, Dawid and Skene 1979, Tideman 1987 and Kemeny 1959. Leaves out MACE and GLAD; the plain
majority with its rule for ties is in `prefloop.decisions`.
Judgements come in long form: items[j], annotators[j], labels[j] say that an annotator gave an item a label.
Shape letters: J judgements, n items, A annotators, C classes, K candidates.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from prefloop.stats.arrays import Array, indices, square

MAX_KEMENY = 8
"""Candidates whose orders are all tried: 8! = 40,320."""


@dataclass(frozen=True)
class DawidSkene:
    """What EM believes of the items and of those who judged them."""

    posteriors: Array  # (n, C) probability of each class, sums to 1
    confusions: Array  # (A, C, C) probability that the annotator says the column when the row is true
    prior: Array  # (C,) share of each class
    log_likelihood: float
    """nats, of all judgements, at confusions and prior; without the smoothing"""
    iterations: int
    """EM steps taken"""
    converged: bool
    """False if the limit on iterations ended it"""

    @property
    def accuracies(self) -> Array:
        """(A,) probability that an annotator is right: the diagonals, weighted by prior."""
        return np.einsum("acc,c->a", self.confusions, self.prior)


def log_odds_weights(accuracies: ArrayLike, *, num_classes: int) -> Array:
    """The weights that make a weighted majority of independent annotators most often right.

        weight = log(accuracy (C - 1) / (1 - accuracy)), at least 0

    Nitzan and Paroush 1982. Someone at or below chance weighs nothing here, though below it the opposite could be read.

    Args:
        accuracies: (A,) in (0, 1).
        num_classes: C; wrong answers are taken to spread evenly over the others.

    Returns: (A,) nats.
    Raises: ValueError if an accuracy is not strictly between 0 and 1.
    """
    a = np.asarray(accuracies, dtype=float)
    if not np.all((a > 0) & (a < 1)):
        raise ValueError("accuracies must lie strictly between 0 and 1: nobody is certain; smooth them first")
    return np.maximum(special.logit(a) + np.log(num_classes - 1), 0.0)


def single_accuracy(agreement: float) -> float:
    """Accuracy of annotators from how often two of them agree on a pair, if all are equally good and err independently.

        agreement = a^2 + (1 - a)^2, hence a = (1 + sqrt(2 agreement - 1)) / 2

    Args:
        agreement: share of equal decisions between two classes, from 1/2 to 1.

    Returns: a, from 1/2 to 1.
    Raises: ValueError if agreement is below 1/2, which such annotators do not reach, or above 1.
    """
    if not 0.5 <= agreement <= 1.0:
        raise ValueError(f"two equally good annotators agree between half the time and always, got {agreement}")
    return (1.0 + math.sqrt(2.0 * agreement - 1.0)) / 2.0


def majority_accuracy(accuracy: float, annotators: int) -> float:
    """How often the majority of an odd number of independent, equally good annotators is right (Condorcet 1785).

        P(X > annotators / 2), X binomial(annotators, accuracy)

    Args:
        accuracy: of each, in [0, 1].
        annotators: an odd number, at least 1.

    Returns: in [0, 1].
    Raises: ValueError if the number is even, so that it may tie.
    """
    if annotators < 1 or annotators % 2 == 0:
        raise ValueError(f"a majority that never ties needs an odd number of annotators, got {annotators}")
    return float(special.bdtrc(annotators // 2, annotators, accuracy))


def dawid_skene(
    items: ArrayLike,
    annotators: ArrayLike,
    labels: ArrayLike,
    *,
    num_items: int,
    num_annotators: int,
    num_classes: int,
    one_coin: bool,
    smoothing: float,
    trust: float,
    tolerance: float,
    max_iterations: int,
    prior: ArrayLike | None = None,
) -> DawidSkene:
    """Who is how reliable, and what is true, from judgements alone: EM in log space.

        posterior_ic  ~ prior_c prod_{j of i} confusion_{a_j, c, l_j}
        confusion_acl ~ sum_{j of a, l_j = l} posterior_{i_j, c} + smoothing + trust [c = l]
        prior_c       ~ sum_i posterior_ic + smoothing                    unless it is given

    Dawid and Skene 1979, from majority shares. With one_coin an annotator has one accuracy, and errors fall evenly on
    the other classes; fewer numbers to learn when each judged little. smoothing and trust are Dirichlet pseudo-counts
    (MAP); trust says that people are better than chance, which keeps the classes from changing names. An annotator may
    judge an item repeatedly. For the two sides of a pair fix prior = (1/2, 1/2).

    Args:
        items, annotators, labels: (J,) indices from 0.
        num_items, num_annotators, num_classes: n, A, C.
        one_coin: one number per annotator instead of C (C - 1).
        smoothing, trust: judgements' worth, at least 0.
        tolerance: EM stops when the log posterior rises by less, nats.
        max_iterations: EM stops there in any case.
        prior: (C,) shares of the classes if they are known.

    Returns: DawidSkene.
    Raises: ValueError if lengths differ, an index is out of range, or a pseudo-count is negative.
    """
    where, who, said = indices(
        items=(items, num_items), annotators=(annotators, num_annotators), labels=(labels, num_classes)
    )
    if min(smoothing, trust) < 0:
        raise ValueError(f"pseudo-counts are at least 0, got smoothing {smoothing} and trust {trust}")
    posteriors = np.zeros((num_items, num_classes))
    np.add.at(posteriors, (where, said), 1.0)
    posteriors[posteriors.sum(1) == 0] = 1.0  # nobody judged it
    posteriors /= posteriors.sum(1, keepdims=True)
    pseudo = smoothing + trust * np.eye(num_classes)
    fixed = None if prior is None else np.asarray(prior, dtype=float) / np.sum(prior)
    shares, confusions, likelihood, objective = np.zeros(num_classes), np.zeros(0), 0.0, -np.inf
    for iteration in range(1, max_iterations + 1):
        counts = posteriors.sum(0) + smoothing
        shares = counts / counts.sum() if fixed is None else fixed
        expected = np.zeros((num_annotators, num_classes, num_classes))
        np.add.at(expected.transpose(0, 2, 1), (who, said), posteriors[where])
        confusions = _confusions(expected + pseudo, one_coin=one_coin)
        joint = np.tile(_log(shares), (num_items, 1))
        np.add.at(joint, where, _log(confusions)[who, :, said])
        evidence = np.asarray(special.logsumexp(joint, axis=1, keepdims=True))
        posteriors, likelihood = np.exp(joint - evidence), float(np.sum(evidence))
        believed = smoothing * _log(shares).sum() if fixed is None and smoothing else 0.0
        before, objective = objective, likelihood + believed + float(special.xlogy(pseudo, confusions).sum())
        if objective - before < tolerance:
            return DawidSkene(posteriors, confusions, shares, likelihood, iteration, True)
    return DawidSkene(posteriors, confusions, shares, likelihood, max_iterations, False)


def ranked_pairs(preferred: ArrayLike) -> tuple[int, ...]:
    """An order from pairwise majorities: lock in the strongest first, skip what would close a circle.

    Tideman 1987. Majorities are ordered by how many prefer the winner, then by how few prefer the loser, then by index.
    The winner beats every other one by one if there is such a candidate (Condorcet).

    Args:
        preferred: (K, K) how many prefer the row to the column.

    Returns: K indices, best first.
    Raises: ValueError if preferred is not square.
    """
    table = square(preferred)
    k = len(table)
    pairs = [(i, j) for i in range(k) for j in range(k) if table[i, j] > table[j, i]]
    above = np.zeros((k, k), dtype=bool)  # i is locked above j, directly or through others
    for i, j in sorted(pairs, key=lambda pair: (-table[pair], table[pair[::-1]], pair)):
        if not above[j, i]:
            higher, lower = above[:, i].copy(), above[j].copy()
            higher[i], lower[j] = True, True
            above |= np.outer(higher, lower)
    return tuple(sorted(range(k), key=lambda i: (int(above[:, i].sum()), i)))


def kemeny(preferred: ArrayLike) -> tuple[int, ...]:
    """The order that contradicts the fewest pairwise preferences; all K! orders are tried.

        maximise sum over i before j of preferred_ij

    Kemeny 1959. Among equally good orders the first in lexical order.

    Args:
        preferred: (K, K) how many prefer the row to the column; K at most 8.

    Returns: K indices, best first.
    Raises: ValueError if preferred is not square or K is above 8.
    """
    table = square(preferred)
    if len(table) > MAX_KEMENY:
        raise ValueError(f"{len(table)} candidates have too many orders to try; use ranked_pairs above {MAX_KEMENY}")
    orders = np.array(list(itertools.permutations(range(len(table)))))
    agree = sum(table[orders[:, a], orders[:, b]] for a, b in itertools.combinations(range(len(table)), 2))
    return tuple(int(i) for i in orders[int(np.argmax(np.broadcast_to(agree, len(orders))))])


def _confusions(counts: Array, *, one_coin: bool) -> Array:
    """(A, C, C) rows that sum to 1, from expected counts; a row that was never needed says nothing: 1 / C."""
    classes = counts.shape[2]
    if not one_coin:
        rows = counts.sum(2, keepdims=True)
        return np.where(rows > 0, counts / np.where(rows > 0, rows, 1.0), 1.0 / classes)
    totals = counts.sum((1, 2))
    right = np.where(totals > 0, np.einsum("acc->a", counts) / np.where(totals > 0, totals, 1.0), 1.0 / classes)
    wrong = (1.0 - right) / max(classes - 1, 1)
    return wrong[:, None, None] + (right - wrong)[:, None, None] * np.eye(classes)


def _log(probabilities: Array) -> Array:
    """Natural logarithm, very low instead of -inf at 0, so that 0 times it stays 0."""
    return np.log(np.maximum(probabilities, 1e-300))
