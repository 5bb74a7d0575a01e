import itertools

import numpy as np
import pytest

from prefloop.stats.aggregate import (
    DawidSkene,
    dawid_skene,
    kemeny,
    log_odds_weights,
    majority,
    majority_accuracy,
    ranked_pairs,
    single_accuracy,
    vote_counts,
)
from stats.reference import REFERENCE

CAPITAL = np.array([[0, 42, 42, 42], [58, 0, 68, 68], [58, 32, 0, 83], [58, 32, 17, 0]])
"""Tennessee votes for its capital: Memphis, Nashville, Chattanooga, Knoxville; the textbook example of Tideman's method."""


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def anaesthetists() -> np.ndarray:
    """(J, 3) patient, observer, class from 0."""
    patients = REFERENCE["dawid_skene_1979_anaesthetists"]["ratings"]
    return np.array([(i, a, c - 1) for i, p in enumerate(patients) for a, said in enumerate(p) for c in said])


def fitted(judged: np.ndarray, classes: int = 4, **changes: float | bool | np.ndarray) -> DawidSkene:
    """Dawid-Skene of (J, 3) rows, plain unless changed."""
    settings = {"one_coin": False, "smoothing": 0.0, "trust": 0.0, "tolerance": 1e-9, "max_iterations": 300} | changes
    items, annotators, labels = judged.T
    sizes = {"num_items": int(items.max()) + 1, "num_annotators": int(annotators.max()) + 1, "num_classes": classes}
    return dawid_skene(items, annotators, labels, **sizes, **settings)  # pyright: ignore[reportArgumentType]


def simulated(
    rng: np.random.Generator, accuracies: list[float], *, items: int, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """(J, 3) judgements of everything by everybody, and the truth."""
    truth = rng.integers(classes, size=items)
    rows = []
    for a, accuracy in enumerate(accuracies):
        wrong = (truth + rng.integers(1, classes, size=items)) % classes
        said = np.where(rng.random(items) < accuracy, truth, wrong)
        rows.append(np.stack([np.arange(items), np.full(items, a), said], axis=1))
    return np.concatenate(rows), truth


# Dawid and Skene


def test_anaesthetists_as_published():
    expected = REFERENCE["dawid_skene_1979_anaesthetists"]["expected"]
    found = fitted(anaesthetists())
    assert found.converged
    assert found.prior == pytest.approx(expected["marginals"], abs=6e-5)
    assert found.prior.round(2).tolist() == [0.4, 0.42, 0.11, 0.07]
    assert found.confusions[0] == pytest.approx(np.array(expected["observer1"]), abs=6e-5)
    assert found.log_likelihood == pytest.approx(expected["log_likelihood"], abs=6e-5)


def test_anaesthetists_are_at_rest_after_25_steps():
    found, later = (fitted(anaesthetists(), tolerance=-1.0, max_iterations=n) for n in (25, 200))
    assert (found.iterations, found.converged) == (25, False)
    assert found.log_likelihood == pytest.approx(later.log_likelihood, abs=1e-6)


@pytest.mark.parametrize("one_coin", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.7])
def test_em_never_falls(one_coin: bool, smoothing: float):
    """The log posterior rises at each step; without smoothing it is the log likelihood."""
    steps = [
        fitted(anaesthetists(), one_coin=one_coin, smoothing=smoothing, tolerance=-1.0, max_iterations=n)
        for n in range(1, 15)
    ]
    objective = [
        step.log_likelihood
        + (smoothing * (np.log(step.confusions).sum() + np.log(step.prior).sum()) if smoothing else 0.0)
        for step in steps
    ]
    assert np.diff(objective).min() > -1e-9
    assert objective[-1] > objective[0] + 0.1


@pytest.mark.parametrize("one_coin", [False, True])
def test_who_is_how_good_is_recovered(one_coin: bool, rng: np.random.Generator):
    accuracies = [0.95, 0.8, 0.7, 0.55, 0.85]
    judged, truth = simulated(rng, accuracies, items=1500, classes=3)
    found = fitted(judged, 3, one_coin=one_coin, smoothing=0.5)
    assert found.accuracies == pytest.approx(accuracies, abs=0.04)
    votes = vote_counts(judged[:, 0], judged[:, 2], num_items=1500, num_classes=3)
    by_votes = np.mean(majority(votes, ties="lowest").labels == truth)
    by_em = np.mean(found.posteriors.argmax(1) == truth)
    assert by_em > by_votes + 0.01
    assert by_em == pytest.approx(found.posteriors.max(1).mean(), abs=0.02)  # as sure as it is right


def test_relabelling_and_order(rng: np.random.Generator):
    """Names of items, annotators and classes and the order of judgements are no matter."""
    judged, _ = simulated(rng, [0.9, 0.8, 0.7], items=60, classes=3)
    before = fitted(judged, 3, smoothing=0.5, trust=0.5)
    items, annotators, classes = rng.permutation(60), rng.permutation(3), rng.permutation(3)
    renamed = np.stack([items[judged[:, 0]], annotators[judged[:, 1]], classes[judged[:, 2]]], axis=1)
    after = fitted(rng.permutation(renamed), 3, smoothing=0.5, trust=0.5)
    assert after.log_likelihood == pytest.approx(before.log_likelihood, abs=1e-6)
    assert after.posteriors[items][:, classes] == pytest.approx(before.posteriors, abs=1e-5)


def test_posterior_by_hand():
    """Prior 1/2 fixed and everybody right with p = 2/3: votes 2 to 1 give odds of 2 to 1; nobody's vote gives 1/2.

    One coin, one step, posteriors of the start (2/3, 1/3) and (1/3, 2/3): expected right 2/3 + 2/3 + 1/3 + ... = 10 of 18.
    """
    judged = np.array([(i, a, int(a == 2) if i % 2 == 0 else int(a != 2)) for i in range(2) for a in range(3)])
    items, annotators, labels = judged.T
    found = dawid_skene(
        items, 0 * annotators, labels, num_items=3, num_annotators=1, num_classes=2, one_coin=True,
        smoothing=0.0, trust=0.0, tolerance=-1.0, max_iterations=1, prior=(0.5, 0.5),
    )  # fmt: skip
    assert found.accuracies == pytest.approx([5 / 9])  # (2/3 2 + 1/3 1) / 3
    assert found.posteriors[0, 0] == pytest.approx(5 / 9)  # odds (5/4)^(2 - 1)
    assert found.posteriors[2] == pytest.approx([0.5, 0.5])
    assert found.log_likelihood == pytest.approx(2 * np.log(0.5 * (5 / 9 * 4 / 9)))


def test_sides_of_a_pair_mirror(rng: np.random.Generator):
    """With the prior fixed at 1/2 and one coin, swapping the two responses of some pairs swaps their posteriors only."""
    judged, _ = simulated(rng, [0.9, 0.7, 0.6], items=40, classes=2)
    half = np.array([0.5, 0.5])
    before = fitted(judged, 2, one_coin=True, smoothing=1.0, prior=half)
    swapped = judged.copy()
    swapped[judged[:, 0] < 20, 2] = 1 - judged[judged[:, 0] < 20, 2]
    after = fitted(swapped, 2, one_coin=True, smoothing=1.0, prior=half)
    assert after.posteriors[:20, ::-1] == pytest.approx(before.posteriors[:20])
    assert after.posteriors[20:] == pytest.approx(before.posteriors[20:])


def test_trust_keeps_the_names():
    """One judgement of each item, and they are nearly all 1: without trust nothing says that 1 means 1."""
    judged = np.array([(i, 0, int(i > 0)) for i in range(20)])
    found = fitted(judged, 2, smoothing=0.1, trust=4.0)
    assert found.confusions[0].diagonal().min() > 0.5
    assert found.posteriors[1, 1] > 0.9


# Majority


def test_majority_and_its_tie_rules(rng: np.random.Generator):
    votes = [[2, 1], [1, 1], [0, 0], [0, 3]]
    open_ = majority(votes, ties="undecided")
    assert open_.decided.tolist() == [True, False, False, True]
    assert open_.labels[[0, 3]].tolist() == [0, 1]
    assert open_.shares == pytest.approx([2 / 3, 1 / 2, 0, 1])
    lowest = majority(votes, ties="lowest")
    assert (lowest.labels[1], lowest.decided.tolist()) == (0, [True, True, False, True])
    drawn = majority([[2, 2, 1]] * 2000, ties="random", rng=rng)
    assert set(drawn.labels.tolist()) == {0, 1}
    assert drawn.labels.mean() == pytest.approx(0.5, abs=0.05)
    with pytest.raises(ValueError, match="pass rng"):
        majority(votes, ties="random")


def test_one_expert_outweighs_two():
    """Accuracies 0.95, 0.7, 0.7: log odds 2.94 against 2 * 0.85."""
    weights = log_odds_weights([0.95, 0.7, 0.7, 0.4], num_classes=2)
    assert weights == pytest.approx([np.log(19), np.log(7 / 3), np.log(7 / 3), 0.0])
    items, labels = [0, 0, 0], [1, 0, 0]
    plain = vote_counts(items, labels, num_items=1, num_classes=2)
    weighted = vote_counts(items, labels, num_items=1, num_classes=2, weights=weights[:3])
    assert majority(plain, ties="undecided").labels[0] == 0
    assert majority(weighted, ties="undecided").labels[0] == 1


def test_weighted_majority_is_best_of_all_rules():
    """Of all 2^8 ways to decide from three votes, none is right more often than the log odds."""
    accuracies = np.array([0.9, 0.75, 0.6])
    weights = log_odds_weights(accuracies, num_classes=2)
    votes = np.array(list(itertools.product([0, 1], repeat=3)))
    likely = np.prod(np.where(votes == 1, accuracies, 1 - accuracies), axis=1) / 2  # truth is 1
    unlikely = np.prod(np.where(votes == 0, accuracies, 1 - accuracies), axis=1) / 2
    counts = vote_counts(np.repeat(range(8), 3), votes.ravel(), num_items=8, num_classes=2, weights=np.tile(weights, 8))
    ours = majority(counts, ties="lowest").labels
    assert np.where(ours == 1, likely, unlikely).sum() == pytest.approx(np.maximum(likely, unlikely).sum())


def test_agreement_accuracy_and_majorities():
    """73 % agreement is 84 % accuracy; three of those are right 93 % of the time, five 97 %; back and forth is the same."""
    found = [single_accuracy(q) for q in (0.63, 0.70, 0.726, 0.773, 0.81, 0.5, 1.0)]
    assert found == pytest.approx([0.755, 0.816, 0.836, 0.869, 0.894, 0.5, 1.0], abs=6e-4)
    assert [q * q + (1 - q) ** 2 for q in found] == pytest.approx([0.63, 0.70, 0.726, 0.773, 0.81, 0.5, 1.0])
    assert [majority_accuracy(0.836, n) for n in (1, 3, 5)] == pytest.approx([0.836, 0.928, 0.966], abs=6e-4)
    with pytest.raises(ValueError, match="odd"):
        majority_accuracy(0.8, 2)
    with pytest.raises(ValueError, match="half the time"):
        single_accuracy(0.4)


# Orders


def test_capital_of_tennessee():
    """Nashville, Chattanooga, Knoxville, Memphis, though Memphis has most first votes."""
    assert ranked_pairs(CAPITAL) == (1, 2, 3, 0)
    assert kemeny(CAPITAL) == (1, 2, 3, 0)


def test_ranked_pairs_breaks_a_circle_where_it_is_weakest():
    """a beats b by 8 to 1, b beats c by 7 to 2, c beats a by 5 to 4: the last is skipped."""
    assert ranked_pairs([[0, 8, 4], [1, 0, 7], [5, 2, 0]]) == (0, 1, 2)


def test_orders_follow_their_names(rng: np.random.Generator):
    wins = rng.permutation(np.arange(25)).reshape(5, 5)
    names = rng.permutation(5)
    renamed = np.empty_like(wins)
    renamed[np.ix_(names, names)] = wins
    assert ranked_pairs(renamed) == tuple(names[list(ranked_pairs(wins))])
    best = kemeny(wins)
    assert sum(wins[i, j] for i, j in itertools.combinations(best, 2)) == max(
        sum(wins[i, j] for i, j in itertools.combinations(order, 2)) for order in itertools.permutations(range(5))
    )
    with pytest.raises(ValueError, match="ranked_pairs"):
        kemeny(np.zeros((9, 9)))


def test_judgements_that_do_not_fit():
    with pytest.raises(ValueError, match="labels must lie between 0 and 1"):
        vote_counts([0], [2], num_items=1, num_classes=2)
    with pytest.raises(ValueError, match="one length"):
        vote_counts([0, 1], [1], num_items=2, num_classes=2)
    with pytest.raises(ValueError, match="pseudo-counts"):
        fitted(anaesthetists(), smoothing=-1.0)
