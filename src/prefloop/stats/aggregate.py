"""From many judgements to one decision: majority, weighted majority, Dawid-Skene, and orders from ballots.

Follows Nitzan and Paroush 1982, Dawid and Skene 1979, Tideman 1987 and Kemeny 1959. Leaves out MACE and GLAD.
Judgements come in long form: items[j], annotators[j], labels[j] say that an annotator gave an item a label.
Shape letters: J judgements, n items, A annotators, C classes, K candidates.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
TieRule = Literal["undecided", "lowest", "random"]
MAX_KEMENY = 8
"""Candidates whose orders are all tried: 8! = 40,320."""


@dataclass(frozen=True)
class Majority:
    """The class with most votes for each of n items."""

    labels: Ints  # (n,) a class; where decided is False it means nothing
    decided: NDArray[np.bool_]  # (n,) False where the tie rule left it open, or nobody voted
    shares: Array  # (n,) the winner's share of the votes, 0 where nobody voted


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


def vote_counts(
    items: ArrayLike, labels: ArrayLike, *, num_items: int, num_classes: int, weights: ArrayLike = 1.0
) -> Array:
    """Votes for each class of each item.

    Args:
        items: (J,) in [0, num_items).
        labels: (J,) in [0, num_classes).
        num_items, num_classes: n and C.
        weights: (J,) or one number: how much each judgement counts; for a weighted majority weights[annotators].

    Returns: (n, C) sums of weights.
    Raises: ValueError if lengths differ or an index is out of range.
    """
    where, said = _indices(items=(items, num_items), labels=(labels, num_classes))
    counts = np.zeros((num_items, num_classes))
    np.add.at(counts, (where, said), np.broadcast_to(np.asarray(weights, dtype=float), where.shape))
    return counts


def majority(counts: ArrayLike, *, ties: TieRule, rng: np.random.Generator | None = None) -> Majority:
    """The class with most votes, with an explicit rule where several have equally many.

    Votes within one part in 10^9 are equal. "undecided" leaves a tied item open, "lowest" takes the lowest class,
    "random" draws among the tied. "lowest" favours a class: never use it where classes are left and right.

    Args:
        counts: (n, C) votes, or weights of votes, at least 0; see `vote_counts`.
        ties: the rule.
        rng: where "random" draws from; no other rule needs it.

    Returns: Majority of (n,). An item without votes is undecided under every rule.
    Raises: ValueError if counts are not a table or negative, or if "random" has no generator.
    """
    votes = np.asarray(counts, dtype=float)
    if votes.ndim != 2 or (votes.size and votes.min() < 0):
        raise ValueError(f"votes need a row per item, a column per class, none below 0; got shape {votes.shape}")
    if ties == "random" and rng is None:
        raise ValueError("ties are to be drawn at random, but there is no generator; pass rng")
    totals, most = votes.sum(1), votes.max(1, initial=0.0)
    tied = votes >= (most * (1.0 - 1e-9))[:, None]
    lottery = rng.random(votes.shape) if ties == "random" and rng is not None else np.ones_like(votes)
    labels = np.where(tied, lottery, -1.0).argmax(1)
    decided = (totals > 0) & ((tied.sum(1) == 1) | (ties != "undecided"))
    shares = np.divide(most, totals, out=np.zeros_like(totals), where=totals > 0)
    return Majority(labels.astype(np.int64), decided, shares)


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
    """Accuracy of one annotator from how often two of them agree on a pair, if they are equally good and err independently.

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
    where, who, said = _indices(
        items=(items, num_items), annotators=(annotators, num_annotators), labels=(labels, num_classes)
    )
    if min(smoothing, trust) < 0:
        raise ValueError(f"pseudo-counts are at least 0, got smoothing {smoothing} and trust {trust}")
    votes = vote_counts(where, said, num_items=num_items, num_classes=num_classes)
    silent = votes.sum(1, keepdims=True) == 0
    posteriors = np.where(silent, 1.0 / num_classes, votes / np.maximum(votes.sum(1, keepdims=True), 1.0))
    pseudo = smoothing + trust * np.eye(num_classes)
    known = None if prior is None else np.asarray(prior, dtype=float) / np.sum(prior)
    shares, confusions, likelihood, objective = np.zeros(num_classes), np.zeros(0), 0.0, -np.inf
    for iteration in range(1, max_iterations + 1):
        shares = _normalised(posteriors.sum(0) + smoothing) if known is None else known
        told = np.zeros((num_annotators, num_classes, num_classes))
        np.add.at(told.transpose(0, 2, 1), (who, said), posteriors[where])
        confusions = _confusions(told + pseudo, one_coin=one_coin)
        joint = np.tile(_log(shares), (num_items, 1))
        np.add.at(joint, where, _log(confusions)[who, :, said])
        evidence = np.asarray(special.logsumexp(joint, axis=1, keepdims=True))
        posteriors, likelihood = np.exp(joint - evidence), float(np.sum(evidence))
        believed = smoothing * (_log(shares).sum() if known is None and smoothing else 0.0)
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
    table = _square(preferred)
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
    table = _square(preferred)
    if len(table) > MAX_KEMENY:
        raise ValueError(f"{len(table)} candidates have too many orders to try; use ranked_pairs above {MAX_KEMENY}")
    orders = np.array(list(itertools.permutations(range(len(table)))))
    agree = sum(table[orders[:, a], orders[:, b]] for a, b in itertools.combinations(range(len(table)), 2))
    return tuple(int(i) for i in orders[int(np.argmax(np.broadcast_to(agree, len(orders))))])


def _confusions(told: Array, *, one_coin: bool) -> Array:
    """(A, C, C) rows that sum to 1; a row that was never needed says nothing: 1 / C."""
    classes = told.shape[2]
    if not one_coin:
        rows = told.sum(2, keepdims=True)
        return np.where(rows > 0, told / np.where(rows > 0, rows, 1.0), 1.0 / classes)
    totals = told.sum((1, 2))
    right = np.where(totals > 0, np.einsum("acc->a", told) / np.where(totals > 0, totals, 1.0), 1.0 / classes)
    wrong = (1.0 - right) / max(classes - 1, 1)
    return wrong[:, None, None] + (right - wrong)[:, None, None] * np.eye(classes)


def _normalised(shares: Array) -> Array:
    return shares / shares.sum()


def _log(probabilities: Array) -> Array:
    """Natural logarithm, very low instead of -inf at 0, so that 0 times it stays 0."""
    return np.log(np.maximum(probabilities, 1e-300))


def _square(preferred: ArrayLike) -> Array:
    table = np.asarray(preferred, dtype=float)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not len(table):
        raise ValueError(f"preferences of row over column need a square table, got shape {table.shape}")
    return table


def _indices(**columns: tuple[ArrayLike, int]) -> list[Ints]:
    """Columns of indices of one length, each within its range."""
    found = {name: np.asarray(column).astype(np.int64) for name, (column, _) in columns.items()}
    shapes = {name: column.shape for name, column in found.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise ValueError(f"judgements need columns of one length, got {shapes}")
    for name, column in found.items():
        top = columns[name][1]
        if column.size and not (column.min() >= 0 and column.max() < top):
            raise ValueError(f"{name} must lie between 0 and {top - 1}, got {column.min()} to {column.max()}")
    return list(found.values())
