import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from prefloop.stats.sequential import annotator_test, bounds, decision, log_e_value

WALD = {"good": 0.85, "bad": 0.65, "alpha": 0.05, "beta": 0.10}


def running_log_e(wins: np.ndarray, played: np.ndarray, null: float = 0.5) -> np.ndarray:
    """Evidence after each game by another road: the mean of the likelihood ratio over the prior's own values above
    `null`, on a fine grid."""
    rate = np.linspace(null, 1, 4001)[1:-1]
    prior = stats.beta.pdf(rate, 8, 6)
    ratio = np.multiply.outer(wins, np.log(rate / null)) + np.multiply.outer(
        played - wins, np.log((1 - rate) / (1 - null))
    )
    return special.logsumexp(ratio, b=prior / prior.sum(), axis=-1)


def closed(wins: np.ndarray, played: np.ndarray) -> np.ndarray:
    """The same against 1/2, whole arrays at once."""
    above = np.log(special.betainc(6 + played - wins, 8 + wins, 0.5)) - math.log(special.betainc(6, 8, 0.5))
    return above + special.betaln(8 + wins, 6 + played - wins) - special.betaln(8, 6) + played * math.log(2)


# By hand


def test_by_another_road():
    for wins, losses, null in ((0, 0, 0.5), (9, 1, 0.5), (1, 9, 0.5), (240, 160, 0.5), (3.5, 1.5, 0.4), (70, 50, 0.55)):
        found = running_log_e(np.array(wins), np.array(wins + losses), null)
        assert log_e_value(wins, losses, null=null) == pytest.approx(float(found), abs=2e-3)
    assert log_e_value(0, 0, null=0.5) == 0.0
    assert decision(9, 1, 0, alpha=0.05).e_value == pytest.approx(math.exp(log_e_value(9, 1, null=0.5)))
    assert log_e_value(0, 3000, null=0.5) == -math.inf


def test_one_win_by_hand():
    """The prior's mean above 1/2, doubled: Beta(8, 6) above 1/2 has 1 - I(8, 6) = 5812 / 8192 of its mass, and
    Beta(9, 6) 12911 / 16384: e = 2 (8 / 14) (12911 / 16384) / (5812 / 8192)."""
    assert math.exp(log_e_value(1, 0, null=0.5)) == pytest.approx(16 / 14 * 12911 / 16384 * 8192 / 5812, rel=1e-12)


def verdict_of(right: np.ndarray) -> tuple[int, str]:
    """When and how the test of an annotator ends."""
    for n, correct in enumerate(np.cumsum(right).tolist(), start=1):
        verdict = annotator_test(correct, n - correct, **WALD)
        if verdict != "continue":
            return n, verdict
    return len(right), "continue"


def test_about_twenty_gold_items_either_way():
    """What 800 annotators of each kind need; both errors as asked. Wald's average lengths are 19.8 and 19.5: the mean
    of
    the bounds, weighed by the chances of error, over the mean of a judgement's evidence."""
    rng = np.random.default_rng(1)
    for accuracy, wrong_verdict, error, length in ((0.85, "bad", 0.05, 19.8), (0.65, "good", 0.10, 19.5)):
        ends = [verdict_of(right) for right in rng.random((800, 200)) < accuracy]
        lengths, wrong = [n for n, _ in ends], sum(verdict == wrong_verdict for _, verdict in ends)
        assert np.mean(lengths) == pytest.approx(length, rel=0.25)
        assert wrong / 800 < error + 0.015


@pytest.mark.parametrize(
    ("correct", "wrong", "verdict"),
    [(8, 0, "continue"), (9, 0, "good"), (21, 4, "continue"), (18, 3, "good"), (24, 11, "continue"), (5, 5, "bad")],
)
def test_wald_by_hand(correct: int, wrong: int, verdict: str):
    """A right one is log(65 / 85) = -0.26826, a wrong one log(35 / 15) = 0.84730; the bounds log(0.1 / 0.95) = -2.2513
    and log(0.9 / 0.05) = 2.8904. 8, 9, 21 and 4, 18 and 3: -2.1461, -2.4143, -2.2444, -2.2869. 24 and 11, 5 and 5:
    2.8819, 2.8952."""
    assert annotator_test(correct, wrong, **WALD) == verdict


# Anytime


def test_equals_are_seldom_shipped_in_2000_looks():
    """Two equals, looked at after every game: shipped in under 5 %, held in under 5 %, in 1500 tries."""
    rng = np.random.default_rng(2)
    wins, played = np.cumsum(rng.random((1500, 2000)) < 0.5, axis=1), np.arange(1, 2001)
    for won in (wins, played - wins):
        assert 0.02 < (closed(won, played) >= math.log(20)).any(1).mean() < 0.055


def test_mean_stops():
    """At a win rate of 0.60 a verdict comes within 400 judgements in nine of ten comparisons; on average after 171, at
    0.65 after 77, at 0.70 after 45."""
    rng = np.random.default_rng(3)
    for rate, expected in ((0.60, 171), (0.65, 77), (0.70, 45)):
        wins = np.cumsum(rng.random((1000, 3000)) < rate, axis=1)
        reached = closed(wins, np.arange(1, 3001)) >= math.log(20)
        assert reached.any(1).all()
        assert (reached.argmax(1) + 1).mean() == pytest.approx(expected, rel=0.07)
        assert reached[:, :400].any(1).mean() > 0.9


def test_the_running_formula_is_the_function():
    values = [log_e_value(w, n - w, null=0.5) for w, n in ((0, 3), (7, 9), (450, 800))]
    assert values == pytest.approx(closed(np.array([0, 7, 450]), np.array([3, 9, 800])).tolist())


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (5, 0), (0, 5), (9, 1), (450, 355), (3.5, 1.5)])
def test_bounds_are_where_the_evidence_is_alpha(wins: float, losses: float):
    """At the lower end e is 1 / alpha, the rate lies inside; swapping mirrors it."""
    low, high = bounds(wins, losses, alpha=0.05)
    if low > 0:
        assert log_e_value(wins, losses, null=low) == pytest.approx(math.log(20), abs=1e-6)
    if wins + losses:
        assert low < wins / (wins + losses) < high or wins in (0, wins + losses)
    assert bounds(losses, wins, alpha=0.05) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize("rate", [0.5, 0.7])
def test_each_bound_holds_at_all_looks_together(rate: float):
    """The truth is ever below the lower bound in under 5 % of runs: e against it ever reaches 20."""
    rng = np.random.default_rng(4)
    n = np.arange(1, 501)
    wins = np.cumsum(rng.random((600, 500)) < rate, axis=1)
    above = np.log(special.betainc(6 + n - wins, 8 + wins, 1 - rate)) - math.log(special.betainc(6, 8, 1 - rate))
    log_e = above + special.betaln(8 + wins, 6 + n - wins) - special.betaln(8, 6)
    log_e -= wins * math.log(rate) + (n - wins) * math.log(1 - rate)
    assert (log_e >= math.log(20)).any(1).mean() < 0.05


def test_half_ties_are_cautious():
    """Where a third of equal games tie, counting halves stops falsely even more rarely than leaving them out."""
    rng = np.random.default_rng(5)
    games = rng.choice([1.0, 0.5, 0.0], size=(1000, 1000))
    half = np.cumsum(games, axis=1)
    assert (closed(half, np.arange(1, 1001)) >= math.log(20)).any(1).mean() < 0.04


def test_a_verdict_is_where_its_bound_is():
    """Ship where the least win rate is above 1/2, hold where the most is below what is worthwhile, for all counts."""
    for wins, losses in itertools.product(range(0, 60, 3), range(0, 60, 3)):
        said = decision(wins, losses, 0, alpha=0.05, worthwhile=0.55)
        low, high = said.interval
        assert said.verdict == ("hold" if high < 0.55 else "ship" if low > 0.5 else "continue")
    assert decision(1650, 1350, 0, alpha=0.05, worthwhile=0.6).verdict == "hold"  # better for certain, and not enough


# Decisions


def test_verdicts_and_their_mirror():
    """Sides swapped, ship becomes hold; with nothing seen nothing is known."""
    assert decision(40, 10, 0, alpha=0.05).verdict == "ship"
    assert decision(10, 40, 0, alpha=0.05).verdict == "hold"
    assert decision(26, 24, 0, alpha=0.05).verdict == "continue"
    assert decision(40, 10, 0, alpha=0.05).expected_more == 0
    nothing = decision(0, 0, 0, alpha=0.05)
    assert (nothing.verdict, nothing.win_rate, nothing.expected_more) == ("continue", None, None)
    assert nothing.interval == (0, 1)
    better, worse = decision(30, 20, 6, alpha=0.05), decision(20, 30, 6, alpha=0.05)
    assert better.e_value > 1 > worse.e_value
    assert better.expected_more == worse.expected_more
    assert decision(4000, 10, 0, alpha=0.05).e_value == math.inf


def test_ties_half_or_left_out():
    """12 wins, 4 losses, 4 ties: 14 of 20, or 12 of 16. Among many ties left out the same verdict takes more
    judgements."""
    half, out = (decision(12, 4, 4, alpha=0.05, tie_rule=rule) for rule in ("half", "left out"))
    assert half.win_rate == pytest.approx(0.7)
    assert out.win_rate == pytest.approx(0.75)
    assert out.e_value == pytest.approx(decision(12, 4, 0, alpha=0.05).e_value)
    assert half.e_value < out.e_value
    few, many = (decision(12, 4, ties, alpha=0.05, tie_rule="left out").expected_more or 0 for ties in (0, 34))
    assert many == pytest.approx(3 * few, rel=0.1)


def test_equals_end_where_only_better_is_worthwhile():
    assert decision(500, 500, 0, alpha=0.05).verdict == "continue"
    assert decision(500, 500, 0, alpha=0.05).expected_more is None
    assert decision(500, 500, 0, alpha=0.05, worthwhile=0.6).verdict == "hold"
    assert decision(50, 50, 0, alpha=0.05, worthwhile=0.6).expected_more is not None


@pytest.mark.parametrize(
    ("wins", "losses", "worthwhile", "verdict"), [(24, 16, 0.5, "ship"), (53, 47, 0.6, "hold"), (116, 84, 0.6, "ship")]
)
def test_the_forecast_comes_true_if_the_rate_stays(wins: int, losses: int, worthwhile: float, verdict: str):
    """Continued as it goes, whichever verdict is nearer falls within two of the judgements forecast."""
    rule = {"alpha": 0.05, "worthwhile": worthwhile}
    more, rate = decision(wins, losses, 0, **rule).expected_more or 0, (wins + 1) / (wins + losses + 2)
    assert 50 < more < 800
    for extra, expected in ((0, "continue"), (more - 2, "continue"), (more + 2, verdict)):
        assert decision(wins + rate * extra, losses + (1 - rate) * extra, 0, **rule).verdict == expected


def test_numbers_that_make_no_sense():
    with pytest.raises(ValueError, match="at least 0"):
        decision(-1, 2, 0, alpha=0.05)
    with pytest.raises(ValueError, match="alpha"):
        decision(1, 2, 0, alpha=0.0)
    with pytest.raises(ValueError, match="bad < good"):
        annotator_test(1, 1, good=0.6, bad=0.8, alpha=0.05, beta=0.1)
