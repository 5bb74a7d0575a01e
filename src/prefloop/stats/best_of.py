"""The best of n: what is to be expected of it, and how far choosing it goes from the model that wrote them.

Shapes: N responses to one prompt.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special


def best_of_mean(scores: Sequence[float], n: int, *, worth: Sequence[float] | None = None) -> float:
    """Expected highest score among n of the N responses, drawn without regard to order: without bias for the best of n.

        s_(1) <= ... <= s_(N);   sum over i of C(i - 1, n - 1) / C(N, n) * s_(i)

    (Nakano et al. 2021, arXiv:2112.09332, appendix.)

    Args:
        n: at least 1, at most N.
        worth: (N,) what is expected of the response with the highest score, instead of that score; of equal scores the
            later response counts as the higher.

    Raises: ValueError if n is not.
    """
    total = len(scores)
    if not 1 <= n <= total:
        raise ValueError(f"the best of {n} cannot be told from {total} responses")
    ranks = np.arange(n, total + 1)
    logs = _log_choose(ranks - 1, n - 1) - _log_choose(np.array(total), n)
    order = np.argsort(np.asarray(scores, dtype=np.float64), kind="stable")
    values = np.asarray(scores if worth is None else worth, dtype=np.float64)[order]
    return float(np.exp(logs) @ values[n - 1 :])


def _log_choose(n: np.ndarray, k: int) -> np.ndarray:
    return special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)


def best_of_kl(n: int) -> float:
    """log n - (n - 1) / n: nats by which the best of n is at most away from the model that wrote all of them.

    Stiennon et al. 2020 (arXiv:2009.01325); a bound, reached where no two responses are alike (Beirami et al. 2024,
    arXiv:2401.01879).
    """
    return math.log(n) - (n - 1) / n
