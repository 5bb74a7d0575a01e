"""What tests of adapters share."""

import torch

from prefloop.models.network import Network


def moved(network: Network, seed: int) -> Network:
    """With every weight that is trained a little elsewhere."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.requires_grad:
                weight += 0.1 * torch.randn(weight.shape, generator=noise)
    return network
