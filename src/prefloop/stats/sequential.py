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
PRIOR = (8.0, 6.0)
"""Of a new model's win rate, before the first judgement. Beside a uniform one it decides sooner where the rate is near
0.6: within 400 judgements in 92 of 100 comparisons, not 84."""
FLOOR = -1e6
"""Nats: where there is no evidence at all, so that roots can be looked for."""
MAX_FORECAST = 1_000_000
"""Judgements beyond which a forecast is no help."""


@dataclass(frozen=True)
class Decision:
    """What to do now with the new model, and what is known."""

    verdict: Verdict
    win_rate: float | None
    """as the tie rule counts it; None before the first judgement that counts"""
    interval: tuple[float, float]
    """the least and the most that the win rate can be, each right at all times together"""
    e_value: float
    """evidence for a win rate above 1/2; inf if it is beyond what a number holds"""
    expected_more: int | None
    """judgements, ties too, until a verdict if the win rate stays as it seems; 0 after it, None if none is in sight"""


def log_e_value(wins: float, losses: float, *, null: float) -> float:
    """Logarithm of the evidence that a win rate is above `null`, averaged over a prior of what it may be instead.

        e = integral over p in (null, 1) of (p / null)^wins ((1 - p) / (1 - null))^losses prior(p | p > null)
        prior = Beta(8, 6): a candidate that came this far is more often a little better than much

    If the win rate is null or less, e ever reaches 1 / alpha with a chance of at most alpha, however often one looks
    (Ville 1939). Fractions of wins are allowed: then e is still a supermartingale, by convexity.

    Args:
        wins, losses: at least 0, judgements or shares of them.
        null: in (0, 1), the win rate doubted.

    Returns: nats; -inf where there is no evidence at all.
    Raises: ValueError if a count is negative or null is not in (0, 1).
    """
    if min(wins, losses) < 0 or not 0.0 < null < 1.0:
        raise ValueError(f"an e-value needs counts of at least 0 and a null in (0, 1), got {wins}, {losses}, {null}")
    a, b = PRIOR
    above, before = (special.betainc(b + lost, a + won, 1.0 - null) for won, lost in ((wins, losses), (0.0, 0.0)))
    if above == 0.0:  # less than a number holds
        return -math.inf
    tried = special.betaln(a + wins, b + losses) - special.betaln(a, b)
    return float(math.log(above / before) + tried - wins * math.log(null) - losses * math.log1p(-null))


def bounds(wins: float, losses: float, *, alpha: float) -> tuple[float, float]:
    """Least and most that a win rate can be; each holds at every look together, with probability 1 - alpha.

        low = the null with e(wins, losses; null) = 1 / alpha        high = 1 - low(losses, wins)

    Robbins 1970, with the evidence of `log_e_value`.

    Args:
        wins, losses: at least 0.
        alpha: in (0, 1).

    Returns: (low, high), win rates; (0, 1) before the first judgement.
    Raises: ValueError if a count is negative or alpha is not in (0, 1).
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, such as 0.05, got {alpha}")

    def least(won: float, lost: float) -> float:
        def beyond(null: float) -> float:
            return max(log_e_value(won, lost, null=null), FLOOR) + math.log(alpha)

        edge, rate = 1e-12, min(max(won / (won + lost), 1e-9), 1.0 - 1e-9)
        return _root(beyond, edge, rate) if beyond(edge) > 0 > beyond(rate) else 0.0

    if wins + losses == 0:
        return 0.0, 1.0
    return least(wins, losses), 1.0 - least(losses, wins)


def decision(
    wins: float, losses: float, ties: float, *, alpha: float, tie_rule: TieRule = "half", worthwhile: float = 0.5
) -> Decision:
    """Ship the new model, hold it back, or ask on. May be called after every judgement.

        hold  if the evidence for a win rate below worthwhile is 1 / alpha or more
        ship  if that for one above 1/2 is
        else continue

    A model that is no better is shipped, at any look, with probability at most alpha; one that is worthwhile is held
    with as little.

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
    interval, log_e = bounds(won, lost, alpha=alpha), log_e_value(won, lost, null=0.5)
    verdict = verdict_of(won, lost, alpha=alpha, worthwhile=worthwhile)
    counted = won + lost
    more: int | None = 0
    if verdict == "continue":
        needed = _needed(won, lost, alpha=alpha, worthwhile=worthwhile)
        count_share = (counted + 1.0) / (wins + losses + ties + 1.0)  # of judgements that count at all
        more = None if needed is None else math.ceil(needed / count_share)
    e_value = math.exp(log_e) if log_e < 700 else math.inf
    return Decision(verdict, won / counted if counted else None, interval, e_value, more)


def verdict_of(wins: float, losses: float, *, alpha: float, worthwhile: float) -> Verdict:
    """The verdict of `decision` alone, for whoever looks after every judgement. Args: see there; ties are counted."""
    enough = -math.log(alpha)
    if log_e_value(losses, wins, null=1.0 - worthwhile) >= enough:
        return "hold"  # though it may be better than one half for certain
    return "ship" if log_e_value(wins, losses, null=0.5) >= enough else "continue"


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
    for null, ours, theirs, share in ((0.5, won, lost, rate), (1.0 - worthwhile, lost, won, 1.0 - rate)):
        if share <= null:
            continue

        def lacking(
            more: float, null: float = null, ours: float = ours, theirs: float = theirs, share: float = share
        ) -> float:
            seen = log_e_value(ours + share * more, theirs + (1 - share) * more, null=null)
            return -math.log(alpha) - max(seen, FLOOR)

        if lacking(MAX_FORECAST) < 0 < lacking(0.0):
            roots.append(_root(lacking, 0.0, MAX_FORECAST))
    return min(roots, default=None)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(optimize.root_scalar(function, bracket=(low, high), method="brentq", xtol=1e-12).root)
