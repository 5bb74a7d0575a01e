"""How far a single vote can be foreseen: from votes that meet on one pair, or from decisions that go round.

Each pair has a chance p that an annotator drawn at random votes for its first response; nobody who does not know the
annotator can be right more often than max(p, 1 - p). With q = |2p - 1|, how clear the pair is,

    agreement of two annotators  A = E[p^2 + (1 - p)^2] = (1 + E[q^2]) / 2
    ceiling                      C = E[max(p, 1 - p)]   = (1 + E[q]) / 2

so A <= C <= (1 + sqrt(2A - 1)) / 2: on the right all pairs are equally clear, on the left they are certain or a coin.
"""

from typing import NamedTuple

import numpy as np
from scipy import special


class Ceiling(NamedTuple):
    """What the best forecast of single votes can reach."""

    most: float
    """accuracy, if all pairs are equally clear: an upper limit"""
    usual: float
    """accuracy, if p has a symmetric beta distribution"""
    nll: float
    """nats per vote, under the same"""


def ceiling(agreement: float) -> Ceiling:
    """The ceiling that an agreement implies.

        most  = (1 + sqrt(2A - 1)) / 2
        usual = (1 + 2^(1 - 2a) / (a B(a, a))) / 2        p ~ Beta(a, a), whose E[q^2] = 1 / (2a + 1) = 2A - 1
        nll   = digamma(2a + 1) - digamma(a + 1)

    Args:
        agreement: A, share of couples of votes of one pair, by two annotators, that are equal; ties left out.

    Returns: a coin's (1/2, 1/2, log 2) at 1/2 and below.
    Raises: ValueError if it is outside [0, 1].
    """
    if not 0 <= agreement <= 1:
        raise ValueError(f"an agreement lies between 0 and 1, got {agreement}")
    clear = 2 * agreement - 1
    if clear <= 1e-9:
        return Ceiling(0.5, 0.5, float(np.log(2)))
    if clear >= 1 - 1e-9:
        return Ceiling(1.0, 1.0, 0.0)
    a = (1 / clear - 1) / 2
    mean_clear = np.exp((1 - 2 * a) * np.log(2) - special.betaln(a, a)) / a
    nll = special.digamma(2 * a + 1) - special.digamma(a + 1)
    return Ceiling(float((1 + np.sqrt(clear)) / 2), float((1 + mean_clear) / 2), float(nll))


def agreement_of_cycles(cyclic: float) -> float:
    """The agreement that single votes would have which go round so often, where no pair was judged twice.

        cyclic = e (1 - e)        A = 1 - 2 e (1 - e) = 1 - 2 cyclic

    e is the chance that a vote is not for the better one, the same for all pairs: of three responses with a true order
    two sets of mistakes make a cycle, only the outer pair, or only both inner ones. Where far pairs are clearer than
    near ones fewer go round, so that it is rather too high.

    Args:
        cyclic: share of triads of single votes that go round, in [0, 1]; coins give 1/4.

    Returns: in [1/2, 1].
    """
    return max(0.5, 1 - 2 * cyclic)
