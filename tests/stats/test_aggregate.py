import itertools

import numpy as np
import pytest

from prefloop.stats.aggregate import (
    DawidSkene,
    dawid_skene,
    kemeny,
    log_odds_weights,
    majority_accuracy,
    ranked_pairs,
    single_accuracy,
)
from stats.reference import REFERENCE

CAPITAL = np.array([[0, 42, 42, 42], [58, 0, 68, 68], [58, 32, 0, 83], [58, 32, 17, 0]])
"""Tennessee votes for its capital: Memphis, Nashville, Chattanooga, Knoxville; the textbook example of Tideman."""


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
    result = fitted(anaesthetists())
    assert result.converged
    assert result.prior == pytest.approx(expected["marginals"], abs=6e-5)
    assert result.prior.round(2).tolist() == [0.4, 0.42, 0.11, 0.07]
    assert result.confusions[0] == pytest.approx(np.array(expected["observer1"]), abs=6e-5)
    assert result.log_likelihood == pytest.approx(expected["log_likelihood"], abs=6e-5)


def test_anaesthetists_are_at_rest_after_25_steps():
    result, later = (fitted(anaesthetists(), tolerance=-1.0, max_iterations=n) for n in (25, 200))
    assert (result.iterations, result.converged) == (25, False)
    assert result.log_likelihood == pytest.approx(later.log_likelihood, abs=1e-6)


def test_smoothed_prior_of_three_classes_by_hand():
    """One annotator says 0, 0, 1, 2 of four items and nothing of a fifth; smoothing 1, one step.

    Believed at first: (2, 1, 1) and a third of each for the silent one. Prior (2 + 1/3 + 1, 1 + 1/3 + 1, the same) of
    8. Confusions: row 0 is (2 + 1, 1, 1) of 5, row 1 is (1, 1 + 1, 1) of 4, row 2 mirrors it.
    Said 0: 10/24 3/5, 7/24 1/4, 7/24 1/4 = (24, 7, 7) of 96. Said 1: 10/24 1/5, 7/24 2/4, 7/24 1/4 = (8, 14, 7) of 96.
    """
    items, labels = [0, 1, 2, 3], [0, 0, 1, 2]
    result = dawid_skene(
        items,
        [0] * 4,
        labels,
        num_items=5,
        num_annotators=1,
        num_classes=3,
        one_coin=False,
        smoothing=1.0,
        trust=0.0,
        tolerance=-1.0,
        max_iterations=1,
    )
    assert result.prior == pytest.approx([10 / 24, 7 / 24, 7 / 24])
    assert result.confusions[0] == pytest.approx(
        np.array([[3 / 5, 1 / 5, 1 / 5], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]])
    )
    assert result.posteriors[0] == pytest.approx(np.array([24, 7, 7]) / 38)
    assert result.posteriors[2] == pytest.approx(np.array([8, 14, 7]) / 29)
    assert result.posteriors[4] == pytest.approx(result.prior)
    assert result.log_likelihood == pytest.approx(2 * np.log(38 / 96) + 2 * np.log(29 / 96))


def log_posterior(
    judged: np.ndarray, prior: np.ndarray, confusions: np.ndarray, smoothing: float, trust: float
) -> float:
    """Of the parameters, from its definition: every item's classes summed one by one, and Dirichlet priors."""
    total = smoothing * np.log(prior).sum() + smoothing * np.log(confusions).sum()
    total += trust * sum(np.log(np.diag(rows)).sum() for rows in confusions)
    for item in range(judged[:, 0].max() + 1):
        said = judged[judged[:, 0] == item]
        total += np.log(
            sum(prior[c] * np.prod([confusions[a, c, label] for _, a, label in said]) for c in range(len(prior)))
        )
    return float(total)


@pytest.mark.parametrize(("smoothing", "trust"), [(0.7, 0.0), (4.0, 1.5)])
def test_em_ends_where_the_log_posterior_is_flat(smoothing: float, trust: float):
    """Moving a little share from one class of the prior, or of a row of confusions, to another gains nothing."""
    judged = anaesthetists()
    result = fitted(judged, smoothing=smoothing, trust=trust, tolerance=1e-12, max_iterations=2000)

    def slope(which: str, place: tuple[int, ...], other: tuple[int, ...]) -> float:
        heights = []
        for sign in (1, -1):
            moved = {"prior": result.prior.copy(), "confusions": result.confusions.copy()}
            moved[which][place] += sign * 1e-6
            moved[which][other] -= sign * 1e-6
            heights.append(log_posterior(judged, **moved, smoothing=smoothing, trust=trust))
        return (heights[0] - heights[1]) / 2e-6

    assert [slope("prior", (c,), (d,)) for c, d in itertools.combinations(range(4), 2)] == pytest.approx(
        [0] * 6, abs=0.02
    )
    rows = [slope("confusions", (a, c, 0), (a, c, 3)) for a in range(5) for c in range(4)]
    assert rows == pytest.approx([0] * 20, abs=0.02)


@pytest.mark.parametrize("one_coin", [False, True])
@pytest.mark.parametrize(("smoothing", "trust"), [(0.0, 0.0), (0.7, 0.0), (4.0, 1.5)])
def test_em_never_falls_and_stops_where_the_log_posterior_rises_by_less(one_coin: bool, smoothing: float, trust: float):
    judged, given = anaesthetists(), {"one_coin": one_coin, "smoothing": smoothing, "trust": trust}
    steps = [fitted(judged, **given, tolerance=-1.0, max_iterations=n) for n in range(1, 15)]
    if smoothing:
        rises = np.diff([log_posterior(judged, s.prior, s.confusions, smoothing, trust) for s in steps])
    else:
        rises = np.diff([s.log_likelihood for s in steps])
    assert rises.min() > -1e-9
    assert rises.sum() > 0.1
    for tolerance in 1.001 * rises[rises > 1e-6]:
        assert fitted(judged, **given, tolerance=tolerance).iterations == 2 + int(np.argmax(rises < tolerance))


@pytest.mark.parametrize("one_coin", [False, True])
def test_who_is_how_good_is_recovered(one_coin: bool, rng: np.random.Generator):
    accuracies = [0.95, 0.8, 0.7, 0.55, 0.85]
    judged, truth = simulated(rng, accuracies, items=1500, classes=3)
    result = fitted(judged, 3, one_coin=one_coin, smoothing=0.5)
    assert result.accuracies == pytest.approx(accuracies, abs=0.04)
    votes = (judged[:, 2].reshape(5, 1500)[:, :, None] == np.arange(3)).sum(0)
    by_votes = np.mean(votes.argmax(1) == truth)
    by_em = np.mean(result.posteriors.argmax(1) == truth)
    assert by_em > by_votes + 0.01
    assert by_em == pytest.approx(result.posteriors.max(1).mean(), abs=0.02)  # as sure as it is right


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
    """Prior 1/2 fixed, in any scale, and everybody right with p = 2/3: votes 2 to 1 give odds of 2 to 1; nobody's vote
    gives 1/2.

    One coin, one step, posteriors of the start (2/3, 1/3) and (1/3, 2/3): expected right 2/3 + 2/3 + 1/3 + ... = 10 of
    18.
    """
    judged = np.array([(i, a, int(a == 2) if i % 2 == 0 else int(a != 2)) for i in range(2) for a in range(3)])
    items, annotators, labels = judged.T
    result = dawid_skene(
        items,
        0 * annotators,
        labels,
        num_items=3,
        num_annotators=1,
        num_classes=2,
        one_coin=True,
        smoothing=0.0,
        trust=0.0,
        tolerance=-1.0,
        max_iterations=1,
        prior=(3, 3),
    )
    assert result.accuracies == pytest.approx([5 / 9])  # (2/3 2 + 1/3 1) / 3
    assert result.posteriors[0, 0] == pytest.approx(5 / 9)  # odds (5/4)^(2 - 1)
    assert result.posteriors[2] == pytest.approx([0.5, 0.5])
    assert result.log_likelihood == pytest.approx(2 * np.log(0.5 * (5 / 9 * 4 / 9)))


def test_sides_of_a_pair_mirror(rng: np.random.Generator):
    """With the prior fixed at 1/2 and one coin, swapping the two responses of some pairs swaps their posteriors
    only."""
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
    result = fitted(judged, 2, smoothing=0.1, trust=4.0)
    assert result.confusions[0].diagonal().min() > 0.5
    assert result.posteriors[1, 1] > 0.9


# Votes


def test_an_expert_outweighs_two():
    """Accuracies 0.95, 0.7, 0.7: log odds 2.94 against 2 * 0.85. Below chance weighs nothing; of 3 classes chance is
    1/3."""
    weights = log_odds_weights([0.95, 0.7, 0.7, 0.4], num_classes=2)
    assert weights == pytest.approx([np.log(19), np.log(7 / 3), np.log(7 / 3), 0.0])
    assert log_odds_weights([1 / 3, 0.4], num_classes=3) == pytest.approx([0.0, np.log(4 / 3)])
    with pytest.raises(ValueError, match="nobody is certain"):
        log_odds_weights([1.0], num_classes=2)


def test_weighted_majority_is_best_of_all_rules():
    """Of all 2^8 ways to decide from three votes, none is right more often than the log odds."""
    accuracies = np.array([0.9, 0.75, 0.6])
    votes = np.array(list(itertools.product([0, 1], repeat=3)))
    likely = np.prod(np.where(votes == 1, accuracies, 1 - accuracies), axis=1) / 2  # truth is 1
    unlikely = np.prod(np.where(votes == 0, accuracies, 1 - accuracies), axis=1) / 2
    ours = (2 * votes - 1) @ log_odds_weights(accuracies, num_classes=2) > 0
    assert np.where(ours, likely, unlikely).sum() == pytest.approx(np.maximum(likely, unlikely).sum())


def test_agreement_accuracy_and_majorities():
    """73 % agreement is 84 % accuracy; three of those are right 93 % of the time, five 97 %; there and back is the
    same."""
    accuracies = [single_accuracy(q) for q in (0.63, 0.70, 0.726, 0.773, 0.81, 0.5, 1.0)]
    assert accuracies == pytest.approx([0.755, 0.816, 0.836, 0.869, 0.894, 0.5, 1.0], abs=6e-4)
    assert [q * q + (1 - q) ** 2 for q in accuracies] == pytest.approx([0.63, 0.70, 0.726, 0.773, 0.81, 0.5, 1.0])
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
        fitted(np.array([(0, 0, 0), (0, 0, 2)]), 2)
    with pytest.raises(ValueError, match="square"):
        ranked_pairs([[0, 1]])
    with pytest.raises(ValueError, match="pseudo-counts"):
        fitted(anaesthetists(), smoothing=-1.0)
