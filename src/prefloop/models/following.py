"""A frozen model that follows one in training: a reference that is refreshed (TR-DPO), or that lags behind.

Gorbatovski et al. 2024 (arXiv:2404.09656). Of an adapter on a base each matrix follows by itself, so that a mix is not
quite the mix of what the two say; a copy is exact.
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from prefloop.errors import UserError
from prefloop.models.network import Network
from prefloop.ops.direct import followed
from prefloop.settings import Refreshed


class Follower:
    """What the policy is compared with: at first what it began as, and after each refresh nearer to what it is."""

    def __init__(self, network: Network, settings: Refreshed) -> None:
        """Args: network: frozen, with weights or an adapter of its own."""
        self.network, self.settings = network, settings
        self.num_refreshes = 0

    @classmethod
    def of(cls, policy: Network, settings: Refreshed) -> Self | None:
        """What follows a policy that has not learned yet; None where nothing is to be refreshed.

        Raises: UserError for weights that cannot hold a small move.
        """
        if not settings.reference_every:
            return None
        role = policy.role
        if role is not None:
            own = role.copied(policy.pretrained, "following")
            made = Network(policy.model, policy.codec, path=policy.path, placement=policy.placement, role=own)
            return cls(made, settings)
        made = policy.frozen_copy()  # in the form in which the policy is trained, not in that of what never moves
        if settings.reference_mix < 1 and any(one.dtype == torch.bfloat16 for one in _weights(made).values()):
            raise UserError(
                f"reference_mix={settings.reference_mix:g}: the reference would move by less than weights=bfloat16 can "
                "hold. Set reference_mix=1, weights=float32 or adapter=lora."
            )
        return cls(made, settings)

    @torch.no_grad()
    def refresh(self, policy: Network, done: int) -> bool:
        """Moves it to the policy, or towards it, if that is due after `done` updates. Returns: whether it was."""
        if done % self.settings.reference_every:
            return False
        ours, theirs = _weights(self.network), _weights(policy)
        for name, weight in ours.items():
            weight.copy_(followed(weight, theirs[name], mix=self.settings.reference_mix))
        self.num_refreshes += 1
        return True

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return {"weights": _weights(self.network), "num_refreshes": self.num_refreshes}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` gave."""
        for name, weight in _weights(self.network).items():
            weight.copy_(state["weights"][name])
        self.num_refreshes = state["num_refreshes"]


def _weights(network: Network) -> dict[str, Tensor]:
    """What of a network can move: its adapter's weights, or all."""
    if network.role is not None:
        return {name: weight.detach() for name, weight in network.role.tensors.items()}
    return {name: weight.detach() for name, weight in network.pretrained.named_parameters()}
