"""How unusual a vector is beside others: a quadratic distance from their mean.

Shape letters: B vectors, N of those that are known, D their width.
"""

import torch
from torch import Tensor

from prefloop.ops.shapes import has_shape


def whitening(known: Tensor, *, shrinkage: float) -> tuple[Tensor, Tensor]:
    """Mean of some vectors, and a factor that whitens differences from it.

        covariance = (1 - shrinkage) * covariance of `known` + shrinkage * its mean variance * identity
        factor^T factor = covariance^-1

    The distance that it makes (`unusualness`) is Mahalanobis' (Lee et al. 2018, arXiv:1807.03888), and shrinkage keeps
    it finite where there are fewer vectors than dimensions (Ledoit and Wolf 2004).

    Args:
        known: (N, D), N at least 2.
        shrinkage: in (0, 1].

    Returns: mean (D,) and factor (D, D), in float64, on the CPU.
    """
    known = known.cpu().double()
    mean = known.mean(0)
    apart = known - mean
    covariance = apart.T @ apart / len(known)
    spread = covariance.diagonal().mean().clamp(min=torch.finfo(torch.float32).tiny)
    identity = torch.eye(known.shape[1]).cpu().double()
    values, vectors = torch.linalg.eigh((1 - shrinkage) * covariance + shrinkage * spread * identity)
    return mean, vectors.T / values.clamp(min=shrinkage * float(spread)).sqrt()[:, None]


def unusualness(states: Tensor, mean: Tensor, factor: Tensor) -> Tensor:
    """Distance of vectors from the mean of those that are known.

        distance = |factor (state - mean)|

    Args:
        states: (B, D).
        mean: (D,), of `whitening`.
        factor: (D, D), of the same.

    Returns: (B,) float32, on the CPU.
    """
    has_shape((states.shape[-1],), mean=mean)
    apart = states.cpu().double() - mean.cpu().double()
    return (apart @ factor.cpu().double().T).norm(dim=-1).float()
