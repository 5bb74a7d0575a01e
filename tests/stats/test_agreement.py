import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from prefloop.stats.agreement import (
    Level,
    cohen_kappa,
    equal_couples,
    fleiss_kappa,
    intransitivity,
    kendall_w,
    krippendorff_alpha,
    krippendorff_interval,
    percent_agreement,
)
from stats.reference import REFERENCE

LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval", "ratio")


def table_of(name: str) -> np.ndarray:
    """(n, A) ratings of a reference, nan where missing."""
    return np.array(REFERENCE[name]["ratings"], dtype=float).T


# Published answers


@pytest.mark.parametrize("name", ["krippendorff_c", "krippendorff_wikipedia"])
def test_alpha_as_published(name: str):
    expected = REFERENCE[name]["expected"]
    alphas = {level: krippendorff_alpha(table_of(name), level=level).value for level in expected}
    assert alphas == pytest.approx(expected, abs=6e-5)


def test_fleiss_as_published():
    reference = REFERENCE["fleiss_wikipedia"]
    assert fleiss_kappa(reference["counts"]).value == pytest.approx(reference["expected"]["kappa"], abs=6e-6)


def test_cohen_as_published():
    reference = REFERENCE["cohen_wikipedia"]
    kappas = [cohen_kappa(table).value for table in reference["tables"]]
    assert kappas == pytest.approx(reference["expected"]["kappa"], abs=6e-5)


def test_kappa_against_sklearn(rng: np.random.Generator):
    first = rng.integers(4, size=200)
    second = np.where(rng.random(200) < 0.5, first, rng.integers(4, size=200))
    table = np.zeros((4, 4))
    np.add.at(table, (first, second), 1)
    assert cohen_kappa(table).value == pytest.approx(float(cohen_kappa_score(first, second)))


def test_kendall_w_against_friedman(rng: np.random.Generator):
    """W = chi2 / (A (n - 1)), with ties and without."""
    for scores in (rng.normal(size=(6, 5)), rng.integers(3, size=(8, 4)).astype(float)):
        chi2 = stats.friedmanchisquare(*scores).statistic
        n, annotators = scores.shape
        assert kendall_w(scores).value == pytest.approx(chi2 / (annotators * (n - 1)))


# By hand


def test_percent_agreement_by_hand():
    """Unit 1: three say 0, 0, 1: 1 of 3 couples. Unit 2: 1 of 1. Unit 3 was judged once. In all 2 of 4."""
    nan = np.nan
    assert percent_agreement([[0, 0, 1], [1, nan, 1], [0, nan, nan]]).value == pytest.approx(0.5)


def test_couples_are_of_two_people():
    """Ann twice is no couple; ann-bob twice, of which once equal, and in the next unit ann-cid."""
    units = [[("ann", 0), ("bob", 0), ("ann", 1)], [("ann", 1), ("cid", 1)], [("bob", 1)], []]
    assert equal_couples(units) == (2, 3)


def test_nominal_alpha_of_two_by_hand():
    """Units 00, 01, 11: o_01 + o_10 = 2, n = (3, 3): alpha = 1 - 5 * 2 / (2 * 9) = 4 / 9."""
    assert krippendorff_alpha([[0, 0], [0, 1], [1, 1]], level="nominal").value == pytest.approx(4 / 9)


def test_intransitivity_by_hand():
    """Stone, scissors, paper is one cycle; a fourth who beats all three adds three triads without a cycle."""
    wins = np.array([[0, 2, 0, 0], [1, 0, 2, 0], [3, 0, 0, 0], [1, 1, 1, 0]])
    assert intransitivity(wins) == (1, 4)
    wins[0, 1] = wins[1, 0] = 1
    assert intransitivity(wins) == (0, 2)
    assert intransitivity(np.zeros((2, 2))) == (0, 0)


def test_cycles_of_coin_tosses_are_a_quarter(rng: np.random.Generator):
    upper = np.triu(rng.random((60, 60)) < 0.5, 1)
    cycles, triads = intransitivity(upper + np.tril(~upper.T, -1))
    assert cycles / triads == pytest.approx(0.25, abs=0.01)


# Laws


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_laws(level: Level, rng: np.random.Generator):
    """Order of units and annotators is no matter; a lone judgement says nothing; perfect is 1, chance about 0."""
    ratings = table_of("krippendorff_c")
    alpha = krippendorff_alpha(ratings, level=level).value
    shuffled = ratings[rng.permutation(12)][:, rng.permutation(4)]
    assert krippendorff_alpha(shuffled, level=level).value == pytest.approx(alpha)
    lone = np.vstack([ratings, [np.nan, 9, np.nan, np.nan]])
    assert krippendorff_alpha(lone, level=level).value == pytest.approx(alpha)
    assert krippendorff_alpha(np.tile(np.arange(5.0), (3, 1)).T, level=level).value == 1.0
    noise = krippendorff_alpha(rng.integers(1, 5, size=(3000, 3)), level=level).value
    assert noise == pytest.approx(0.0, abs=0.04)


def test_what_each_level_ignores():
    """Nominal: names. Ordinal: any rising map. Interval: shift and scale. Ratio: scale; a shift changes it."""
    ratings = table_of("krippendorff_c")
    maps = {"nominal": (7 * ratings) % 11, "ordinal": ratings**3, "interval": 3 * ratings - 10, "ratio": 5 * ratings}
    for level in LEVELS:
        before = krippendorff_alpha(ratings, level=level).value
        assert krippendorff_alpha(maps[level], level=level).value == pytest.approx(before)
    assert krippendorff_alpha(ratings + 4, level="ratio").value != pytest.approx(0.7974, abs=0.01)


def test_alpha_interval_shrinks_and_holds(rng: np.random.Generator):
    """The seed decides; four times the units, half the width; it holds the alpha of the whole."""
    truth = rng.integers(3, size=1600)
    said = np.stack([np.where(rng.random(1600) < 0.7, truth, rng.integers(3, size=1600)) for _ in range(2)], axis=1)
    widths = []
    for n in (400, 1600):
        first, again = (
            krippendorff_interval(said[:n], level="nominal", confidence=0.95, resamples=300, seed=1) for _ in range(2)
        )
        assert first == again
        low, high = first or (1.0, 0.0)
        assert low < 0.49 < high  # 0.7 * 0.7
        widths.append(high - low)
    assert 1.5 < widths[0] / widths[1] < 2.7


def test_unanimous_is_undefined_and_says_why():
    """Nobody disagrees and nothing varies: not 1, not 0."""
    same = np.ones((10, 3))
    for level in LEVELS:
        assert krippendorff_alpha(same, level=level).value is None
        assert "without variation" in krippendorff_alpha(same, level=level).reason
    assert krippendorff_interval(same, level="nominal", confidence=0.95, resamples=20, seed=0) is None
    undefined = (
        cohen_kappa([[5, 0], [0, 0]]),
        fleiss_kappa([[3, 0], [3, 0]]),
        kendall_w(np.ones((4, 3))),
        percent_agreement([[1, np.nan]]),
    )
    assert all(coefficient.value is None and coefficient.reason for coefficient in undefined)
    assert krippendorff_alpha([[1, np.nan]], level="nominal").reason == "no unit was judged twice"


def test_two_annotators_swap():
    """Kappa is the same from either side; against each other it is negative."""
    table = np.array([[20, 5, 3], [10, 15, 1], [2, 2, 9]])
    assert cohen_kappa(table).value == pytest.approx(cohen_kappa(table.T).value)
    assert cohen_kappa([[0, 5], [5, 0]]).value == -1.0


def test_tables_that_are_none():
    with pytest.raises(ValueError, match="square table"):
        cohen_kappa([[1, 2, 3]])
    for counts in ([[0, 0], [0, 0]], [[2, -1], [1, 1]]):
        with pytest.raises(ValueError, match="at least 0, and some"):
            cohen_kappa(counts)
    with pytest.raises(ValueError, match="Krippendorff"):
        fleiss_kappa([[3, 0], [2, 0]])
    with pytest.raises(ValueError, match="ratio"):
        krippendorff_alpha([[-1, 1]], level="ratio")
    with pytest.raises(ValueError, match="no gap"):
        kendall_w([[1, np.nan], [2, 1]])
