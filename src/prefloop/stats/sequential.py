"""When to stop asking: e-values and intervals that may be looked at after every judgement, and a test for a bad annotator.

Follows Ville 1939, Robbins 1970, Wald 1945, and for ties Waudby-Smith and Ramdas 2024 (arXiv:2010.09686). Judgements
must be independent: where several share a prompt, count each prompt once, with its share of wins.
A tie counts "half" a win and half a loss, and the win rate includes it: P(win) + P(tie) / 2. Or it is "left out", and the
win rate is that of the judgements which decide: P(win | no tie). With "half" the test stays valid and is cautious.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from scipy import optimize, special

TieRule = Literal["half", "left out"]
MAX_FORECAST = 1_000_000
"""Judgements beyond which a forecast is no help."""


@dataclass(frozen=True)
class Decision:
    """What to do now with the new model, and what is known."""

    verdict: Literal["ship", "hold", "continue"]
    win_rate: float | None
    """as the tie rule counts it; None before the first judgement that counts"""
    interval: tuple[float, float]
    """confidence sequence of the win rate, right at all times together"""
    e_value: float
    """evidence against a win rate of 1/2; inf if it is beyond what a number holds"""
    expected_more: int | None
    """judgements, ties included, until a verdict if the win rate stays what it seems to be; 0 if there is one; None if none is in sight"""


@dataclass(frozen=True)
class AnnotatorTest:
    """Where Wald's test of an annotator stands."""

    verdict: Literal["good", "bad", "continue"]
    log_ratio: float
    """nats, of bad over good"""
    good_below: float
    """nats: at or below it the annotator is good"""
    bad_above: float
    """nats: at or above it the annotator is bad"""


@dataclass(frozen=True)
class SampleSize:
    """How many judgements see a true win rate, if their number is fixed beforehand."""

    win_rate: float
    judgements: int


def log_e_value(wins: float, losses: float, *, null: float, prior_wins: float, prior_losses: float) -> float:
    """Logarithm of the evidence against a win rate, averaged over a beta prior of what it may be instead.

        e = B(prior_wins + wins, prior_losses + losses) / B(prior_wins, prior_losses) / (null^wins (1 - null)^losses)

    If the null is true, the chance that e ever reaches 1 / alpha is at most alpha, however often one looks (Ville 1939).
    Fractions of wins are allowed: then e is still a supermartingale, by convexity.

    Args:
        wins, losses: at least 0, judgements or shares of them.
        null: in (0, 1), the win rate doubted.
        prior_wins, prior_losses: above 0; (1, 1) is uniform.

    Returns: nats.
    Raises: ValueError if a count is negative or null is not in (0, 1).
    """
    if min(wins, losses) < 0 or not 0.0 < null < 1.0:
        raise ValueError(f"an e-value needs counts of at least 0 and a null in (0, 1), got {wins}, {losses}, {null}")
    mixture = special.betaln(prior_wins + wins, prior_losses + losses) - special.betaln(prior_wins, prior_losses)
    return float(mixture - wins * math.log(null) - losses * math.log1p(-null))


def confidence_sequence(
    wins: float, losses: float, *, alpha: float, prior_wins: float, prior_losses: float
) -> tuple[float, float]:
    """Interval for a win rate that holds the truth at every look together, with probability 1 - alpha.

        all null with e(null) < 1 / alpha, see `log_e_value`

    Robbins 1970.

    Args:
        wins, losses: at least 0.
        alpha: in (0, 1).
        prior_wins, prior_losses: above 0.

    Returns: (low, high), win rates; (0, 1) before the first judgement.
    Raises: ValueError if a count is negative or alpha is not in (0, 1).
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, such as 0.05, got {alpha}")

    def beyond(null: float) -> float:
        return log_e_value(wins, losses, null=null, prior_wins=prior_wins, prior_losses=prior_losses) + math.log(alpha)

    if wins + losses == 0:
        return 0.0, 1.0
    least, most = 1e-12, 1.0 - 1e-12
    centre = min(max(wins / (wins + losses), least), most)
    low = _root(beyond, least, centre) if beyond(least) > 0 > beyond(centre) else 0.0
    high = _root(beyond, centre, most) if beyond(most) > 0 > beyond(centre) else 1.0
    return low, high


def decision(
    wins: float, losses: float, ties: float, *, alpha: float, tie_rule: TieRule = "half", worthwhile: float = 0.5
) -> Decision:
    """Ship the new model, hold it back, or ask on. May be called after every judgement; uniform prior.

        ship  if the whole confidence sequence is above 1/2
        hold  if the whole confidence sequence is below worthwhile
        else continue

    A model that is no better is shipped, at any look, with probability at most alpha.

    Args:
        wins, losses, ties: of the new model, judgements so far.
        alpha: in (0, 1).
        tie_rule: "half" or "left out", see the top of this file.
        worthwhile: in [1/2, 1): above 1/2 a model is also held if it is surely less good than that, so that equals end.

    Returns: Decision. `expected_more` continues at the present win rate, shrunk by one win and one loss: early on it is rough.
    Raises: ValueError if a count is negative, alpha is not in (0, 1), or worthwhile is below 1/2.
    """
    if min(wins, losses, ties) < 0 or not 0.5 <= worthwhile < 1.0:
        raise ValueError(
            f"counts are at least 0 and worthwhile in [0.5, 1), got {wins}, {losses}, {ties}, {worthwhile}"
        )
    won, lost = (wins + ties / 2, losses + ties / 2) if tie_rule == "half" else (wins, losses)
    interval = confidence_sequence(won, lost, alpha=alpha, prior_wins=1.0, prior_losses=1.0)
    log_e = log_e_value(won, lost, null=0.5, prior_wins=1.0, prior_losses=1.0)
    verdict: Literal["ship", "hold", "continue"] = "continue"
    if interval[0] > 0.5:
        verdict = "ship"
    elif interval[1] < worthwhile:
        verdict = "hold"
    counted = won + lost
    more: int | None = 0
    if verdict == "continue":
        needed = _needed(won, lost, alpha=alpha, worthwhile=worthwhile)
        count_share = (counted + 1.0) / (wins + losses + ties + 1.0)  # of judgements that count at all
        more = None if needed is None else math.ceil(needed / count_share)
    e_value = math.exp(log_e) if log_e < 700 else math.inf
    return Decision(verdict, won / counted if counted else None, interval, e_value, more)


def annotator_test(correct: int, wrong: int, *, good: float, bad: float, alpha: float, beta: float) -> AnnotatorTest:
    """Wald's sequential test of an annotator on gold comparisons.

        log_ratio = correct log(bad / good) + wrong log((1 - bad) / (1 - good))
        bad if log_ratio >= log((1 - beta) / alpha)        good if log_ratio <= log(beta / (1 - alpha))

    Wald 1945.

    Args:
        correct, wrong: gold judgements so far.
        good, bad: accuracies, bad < good, such as 0.85 and 0.65.
        alpha: chance to call a good one bad.
        beta: chance to call a bad one good.

    Returns: AnnotatorTest.
    Raises: ValueError if the accuracies or chances are out of order.
    """
    right, miss, good_below, bad_above = _wald(good, bad, alpha, beta)
    ratio = correct * right + wrong * miss
    verdict: Literal["good", "bad", "continue"] = "continue"
    if ratio >= bad_above:
        verdict = "bad"
    elif ratio <= good_below:
        verdict = "good"
    return AnnotatorTest(verdict, ratio, good_below, bad_above)


def annotator_test_length(accuracy: float, *, good: float, bad: float, alpha: float, beta: float) -> float:
    """Gold comparisons that `annotator_test` takes on average if the accuracy is good, or bad.

        good: ((1 - alpha) good_below + alpha bad_above) / E_good[step]        bad: (beta good_below + (1 - beta) bad_above) / E_bad[step]

    Wald 1945; he leaves out the overshoot, so that it is a little too short.

    Args:
        accuracy: good or bad.
        good, bad, alpha, beta: as in `annotator_test`.

    Returns: comparisons.
    Raises: ValueError if accuracy is neither, or the rest is out of order.
    """
    right, miss, good_below, bad_above = _wald(good, bad, alpha, beta)
    if accuracy not in (good, bad):
        raise ValueError(f"the length is known at {good} and {bad}, got {accuracy}")
    called_bad = alpha if accuracy == good else 1.0 - beta
    return ((1.0 - called_bad) * good_below + called_bad * bad_above) / (accuracy * right + (1.0 - accuracy) * miss)


def sample_sizes(win_rates: tuple[float, ...], *, alpha: float, power: float) -> tuple[SampleSize, ...]:
    """Judgements that a test with one look at the end needs to see a true win rate.

        n = ((z_{1 - alpha / 2} / 2 + z_power sqrt(p (1 - p))) / (p - 1/2))^2

    Normal approximation, two-sided against 1/2, ties apart.

    Args:
        win_rates: true win rates, none 1/2.
        alpha: in (0, 1), two-sided.
        power: in (0, 1), chance to see it.

    Returns: one SampleSize per win rate.
    Raises: ValueError if a win rate is 1/2 or not in (0, 1).
    """
    if not all(0.0 < p < 1.0 and p != 0.5 for p in win_rates):
        raise ValueError(f"win rates must lie in (0, 1) and differ from 1/2, got {win_rates}")
    level, sure = float(special.ndtri(1.0 - alpha / 2.0)), float(special.ndtri(power))
    sizes = [((level / 2.0 + sure * math.sqrt(p * (1.0 - p))) / (p - 0.5)) ** 2 for p in win_rates]
    return tuple(SampleSize(p, math.ceil(size)) for p, size in zip(win_rates, sizes, strict=True))


def _needed(won: float, lost: float, *, alpha: float, worthwhile: float) -> float | None:
    """Counted judgements until a verdict if they come at the present rate, shrunk by one win and one loss."""
    rate, least = (won + 1.0) / (won + lost + 2.0), None
    for null, side in ((0.5, 1.0), (worthwhile, -1.0)):
        if side * (rate - null) <= 0:
            continue

        def lacking(more: float, null: float = null) -> float:
            evidence = log_e_value(won + rate * more, lost + (1 - rate) * more, null=null, prior_wins=1, prior_losses=1)
            return -math.log(alpha) - evidence

        if lacking(MAX_FORECAST) < 0 < lacking(0.0):
            found = _root(lacking, 0.0, MAX_FORECAST)
            least = found if least is None else min(least, found)
    return least


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    found = optimize.root_scalar(function, bracket=(low, high), method="brentq", xtol=1e-12)
    return float(found.root)


def _wald(good: float, bad: float, alpha: float, beta: float) -> tuple[float, float, float, float]:
    """Step for a correct and for a wrong judgement, and the two bounds, nats."""
    if not (0.0 < bad < good < 1.0 and alpha > 0 and beta > 0 and alpha + beta < 1):
        raise ValueError(f"need bad < good within (0, 1) and chances of error, got {good}, {bad}, {alpha}, {beta}")
    steps = math.log(bad / good), math.log((1.0 - bad) / (1.0 - good))
    return *steps, math.log(beta / (1.0 - alpha)), math.log((1.0 - beta) / alpha)
