"""When to stop asking: e-values and intervals that may be looked at after every judgement; a test for a bad annotator.

Follows Ville 1939, Robbins 1970, Wald 1945, and for ties Waudby-Smith and Ramdas 2024 (arXiv:2010.09686). Judgements
must be independent: where several share a prompt, count each prompt once, with its share of wins.
A tie counts "half" a win and half a loss, and the win rate includes it: P(win) + P(tie) / 2. Or it is "left out", and
the win rate is that of the judgements which decide: P(win | no tie). With "half" the test stays valid and is cautious.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from scipy import optimize, special

TieRule = Literal["half", "left out"]
Verdict = Literal["ship", "hold", "continue"]
MAX_FORECAST = 1_000_000
"""Judgements beyond which a forecast is no help."""


@dataclass(frozen=True)
class Decision:
    """What to do now with the new model, and what is known."""

    verdict: Verdict
    win_rate: float | None
    """as the tie rule counts it; None before the first judgement that counts"""
    interval: tuple[float, float]
    """confidence sequence of the win rate, right at all times together"""
    e_value: float
    """evidence against a win rate of 1/2; inf if it is beyond what a number holds"""
    expected_more: int | None
    """judgements, ties too, until a verdict if the win rate stays as it seems; 0 after it, None if none is in sight"""


def log_e_value(wins: float, losses: float, *, null: float) -> float:
    """Logarithm of the evidence against a win rate, averaged over a uniform prior of what it may be instead.

        e = B(1 + wins, 1 + losses) / (null^wins (1 - null)^losses)

    If the null is true, e ever reaches 1 / alpha with a chance of at most alpha, however often one looks (Ville 1939).
    Fractions of wins are allowed: then e is still a supermartingale, by convexity.

    Args:
        wins, losses: at least 0, judgements or shares of them.
        null: in (0, 1), the win rate doubted.

    Returns: nats.
    Raises: ValueError if a count is negative or null is not in (0, 1).
    """
    if min(wins, losses) < 0 or not 0.0 < null < 1.0:
        raise ValueError(f"an e-value needs counts of at least 0 and a null in (0, 1), got {wins}, {losses}, {null}")
    return float(special.betaln(1.0 + wins, 1.0 + losses) - wins * math.log(null) - losses * math.log1p(-null))


def confidence_sequence(wins: float, losses: float, *, alpha: float) -> tuple[float, float]:
    """Interval for a win rate that holds the truth at every look together, with probability 1 - alpha.

        all null with e(null) < 1 / alpha, see `log_e_value`

    Robbins 1970.

    Args:
        wins, losses: at least 0.
        alpha: in (0, 1).

    Returns: (low, high), win rates; (0, 1) before the first judgement.
    Raises: ValueError if a count is negative or alpha is not in (0, 1).
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, such as 0.05, got {alpha}")

    def beyond(null: float) -> float:
        return log_e_value(wins, losses, null=null) + math.log(alpha)

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

    Returns: Decision. `expected_more` goes on at the present win rate, shrunk by one win and one loss: rough early on.
    Raises: ValueError if a count is negative, alpha is not in (0, 1), or worthwhile is below 1/2.
    """
    if min(wins, losses, ties) < 0 or not 0.5 <= worthwhile < 1.0:
        given = f"{wins}, {losses}, {ties}, {worthwhile}"
        raise ValueError(f"counts are at least 0 and worthwhile in [0.5, 1), got {given}")
    won, lost = (wins + ties / 2, losses + ties / 2) if tie_rule == "half" else (wins, losses)
    low, high = confidence_sequence(won, lost, alpha=alpha)
    log_e = log_e_value(won, lost, null=0.5)
    verdict: Verdict = "ship" if low > 0.5 else "hold" if high < worthwhile else "continue"
    counted = won + lost
    more: int | None = 0
    if verdict == "continue":
        needed = _needed(won, lost, alpha=alpha, worthwhile=worthwhile)
        count_share = (counted + 1.0) / (wins + losses + ties + 1.0)  # of judgements that count at all
        more = None if needed is None else math.ceil(needed / count_share)
    e_value = math.exp(log_e) if log_e < 700 else math.inf
    return Decision(verdict, won / counted if counted else None, (low, high), e_value, more)


def annotator_test(
    correct: int, wrong: int, *, good: float, bad: float, alpha: float, beta: float
) -> Literal["good", "bad", "continue"]:
    """Wald's sequential test of an annotator on gold comparisons.

        log_ratio = correct log(bad / good) + wrong log((1 - bad) / (1 - good))
        bad if log_ratio >= log((1 - beta) / alpha)        good if log_ratio <= log(beta / (1 - alpha))

    Wald 1945.

    Args:
        correct, wrong: gold judgements so far.
        good, bad: accuracies, bad < good, such as 0.85 and 0.65.
        alpha: chance to call a good one bad.
        beta: chance to call a bad one good.

    Returns: the verdict.
    Raises: ValueError if the accuracies or chances are out of order.
    """
    if not (0.0 < bad < good < 1.0 and alpha > 0 and beta > 0 and alpha + beta < 1):
        raise ValueError(f"need bad < good within (0, 1) and chances of error, got {good}, {bad}, {alpha}, {beta}")
    log_ratio = correct * math.log(bad / good) + wrong * math.log((1.0 - bad) / (1.0 - good))
    if log_ratio >= math.log((1.0 - beta) / alpha):
        return "bad"
    return "good" if log_ratio <= math.log(beta / (1.0 - alpha)) else "continue"


def _needed(won: float, lost: float, *, alpha: float, worthwhile: float) -> float | None:
    """Counted judgements until a verdict if they come at the present rate, shrunk by one win and one loss."""
    rate, roots = (won + 1.0) / (won + lost + 2.0), []
    for null, side in ((0.5, 1.0), (worthwhile, -1.0)):
        if side * (rate - null) <= 0:
            continue

        def lacking(more: float, null: float = null) -> float:
            return -math.log(alpha) - log_e_value(won + rate * more, lost + (1 - rate) * more, null=null)

        if lacking(MAX_FORECAST) < 0 < lacking(0.0):
            roots.append(_root(lacking, 0.0, MAX_FORECAST))
    return min(roots, default=None)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(optimize.root_scalar(function, bracket=(low, high), method="brentq", xtol=1e-12).root)
