import math

import numpy as np
import pytest
from scipy import special

from prefloop.stats.calibration import (
    brier,
    cross_fitted,
    expected_calibration_error,
    fitted_temperature,
    reliability,
    sided_log_odds,
)


def test_expected_calibration_error_by_hand():
    """Two bins, [1/2, 3/4) and [3/4, 1]; confidence and accuracy:

    p 0.6, outcome 1 -> 0.6, right    p 0.3, outcome 1 -> 0.7, wrong    bin 1: 0.65, 1/2, gap 0.15
    p 0.9, outcome 1 -> 0.9, right    p 0.0, outcome 0 -> 1.0, right    bin 2: 0.95, 1,   gap 0.05
    ECE = (2 * 0.15 + 2 * 0.05) / 4 = 0.1
    """
    p, o = [0.6, 0.3, 0.9, 0.0], [1, 1, 1, 0]
    assert expected_calibration_error(p, o, bins=2) == pytest.approx(0.1)
    table = reliability(p, o, bins=2)
    assert table.edges.tolist() == [0.5, 0.75, 1.0]
    assert table.counts.tolist() == [2, 2]
    assert table.confidence.tolist() == pytest.approx([0.65, 0.95])
    assert table.accuracy.tolist() == pytest.approx([0.5, 1.0])


def test_always_sure_and_right_seven_times_in_ten():
    """0.9 said, 0.7 found: 0.2 whatever the bins, and empty bins count for nothing."""
    for bins in (1, 3, 10):
        assert expected_calibration_error([0.9] * 10, [1] * 7 + [0] * 3, bins=bins) == pytest.approx(0.2)
    assert np.isnan(reliability([0.9], [1], bins=10).accuracy).sum() == 9


def test_calibration_does_not_know_which_response_came_first(rng: np.random.Generator):
    p = rng.uniform(size=500)
    o = rng.integers(2, size=500)
    swapped = expected_calibration_error(1 - p, 1 - o, bins=10)
    assert swapped == pytest.approx(expected_calibration_error(p, o, bins=10))


def test_calibrated_predictions_are_near_the_noise_floor(rng: np.random.Generator):
    """p uniform, n = 2000, M = 10: mean of |N(0, c (1 - c) / (n / M))| over c in [1/2, 1] is
    sqrt(2 / pi) * (pi / 8) * sqrt(M / n) = 0.3133 * 0.0707 = 0.0222. Twice too sure, it is far above."""
    floor, sure = [], []
    for _ in range(100):
        p = rng.uniform(size=2000)
        outcomes = rng.uniform(size=2000) < p
        floor.append(expected_calibration_error(p, outcomes, bins=10))
        sure.append(expected_calibration_error(special.expit(2 * special.logit(p)), outcomes, bins=10))
    assert np.mean(floor) == pytest.approx(0.0222, rel=0.1)
    assert np.mean(sure) > 3 * np.mean(floor)
    assert np.min(sure) > np.max(floor)


def test_brier_by_hand():
    """(0.2^2 + 0.6^2 + 1^2) / 3 = 1.4 / 3; a coin scores 1/4."""
    assert brier([0.8, 0.6, 0.0], [1, 0, 1]) == pytest.approx(1.4 / 3)
    assert brier([0.5] * 4, [0, 1, 1, 1]) == 0.25
    assert brier([0.0, 1.0], [0, 1]) == 0


def test_brier_is_least_for_the_true_probability():
    """A proper score: with outcome rate 0.3 the best constant is 0.3, and it scores 0.3 * 0.7."""
    outcomes = [1] * 3 + [0] * 7
    scores = {p: brier([p / 10] * 10, outcomes) for p in range(11)}
    assert min(scores, key=lambda p: scores[p]) == 3
    assert scores[3] == pytest.approx(0.21)


@pytest.mark.parametrize("truth", [0.5, 1.0, 3.0])
def test_fitted_temperature_recovers_the_truth_and_calibrates(truth: float, rng: np.random.Generator):
    margins = rng.normal(0, 2 * truth, size=20_000)
    outcomes = rng.uniform(size=20_000) < special.expit(margins / truth)
    temperature = fitted_temperature(margins, outcomes)
    assert temperature == pytest.approx(truth, rel=0.05)
    assert expected_calibration_error(special.expit(margins / temperature), outcomes, bins=10) < 0.02


def test_fitted_temperature_by_hand():
    """All margins log 9, right 3 times of 4: sigmoid(log 9 / T) = 3/4 = sigmoid(log 3), so T = 2."""
    assert fitted_temperature([math.log(9)] * 4, [1, 1, 0, 1]) == pytest.approx(2.0, rel=1e-6)


def test_fitted_temperature_is_a_stationary_point(rng: np.random.Generator):
    """d / d(1/T) of the surprise is sum of (p - outcome) margin: 0 at the best T. Scores scaled, T scaled."""
    margins = rng.normal(size=300)
    outcomes = rng.uniform(size=300) < special.expit(margins)
    temperature = fitted_temperature(margins, outcomes)
    assert ((special.expit(margins / temperature) - outcomes) * margins).mean() == pytest.approx(0, abs=1e-6)
    assert fitted_temperature(100 * margins, outcomes) == pytest.approx(100 * temperature, rel=1e-5)
    assert fitted_temperature(-margins, ~outcomes) == pytest.approx(temperature, rel=1e-5)


def test_fitted_temperature_at_its_ends():
    """Never wrong: no temperature is cold enough. Always wrong: none is hot enough. Both stay finite."""
    assert fitted_temperature([1.0, -1.0], [1, 0]) < 0.1
    assert fitted_temperature([1.0, -1.0], [0, 1]) > 900


@pytest.mark.parametrize(
    ("measure", "given", "outcomes", "sentence"),
    [
        (brier, [0.5, 0.5], [1], "one length"),
        (brier, [2.0], [1], r"lie in \[0, 1\]"),
        (brier, [math.nan], [1], r"lie in \[0, 1\]"),
        (brier, [], [], "got 0"),
        (fitted_temperature, [0.0, 0.0], [1, 0], "not all 0"),
        (fitted_temperature, [], [], "not all 0"),
        (fitted_temperature, [1.0], [1, 0], "one length"),
    ],
)
def test_predictions_that_are_none(measure, given, outcomes, sentence):
    with pytest.raises(ValueError, match=sentence):
        measure(given, outcomes)


def test_a_temperature_is_tried_on_clusters_that_it_was_not_fitted_to():
    """Of two prompts one is always foreseen and one never: each is divided by what the other one asks for, the first by
    1000 mean margins, the second by next to nothing. Of one prompt alone nothing can be fitted elsewhere."""
    margins, outcomes, prompts = [1.0, 2.0, 1.0, 2.0, 1.0], [1, 1, 0, 0, 0], ["a", "a", "b", "b", "b"]
    tempered = cross_fitted(margins, outcomes, prompts, folds=2)
    assert tempered is not None
    assert tempered[:2] == pytest.approx([3 / 4000, 6 / 4000], rel=1e-3)
    assert tempered[2:].min() > 20
    assert cross_fitted(margins, outcomes, ["a"] * 5, folds=2) is None


def test_votes_with_a_side_by_hand():
    """Win and loss have sigmoid(m - e) and sigmoid(-m - e), the rest are ties."""
    win, loss = (1 / (1 + math.exp(0.5 - side * 2)) for side in (1, -1))
    assert sided_log_odds([2.0, -2.0], 0.5) == pytest.approx([math.log(win / loss), math.log(loss / win)])
    assert sided_log_odds([2.0], 0.0) == pytest.approx([2.0])
