"""The policy with its critic: how likely it makes each response token, and what return it expects from there."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prefloop.models.load import Loaded, causal
from prefloop.models.stream import ResponseStream, hidden_states, logits_of
from prefloop.ops.logprobs import logprobs_and_entropy


@dataclass(frozen=True)
class Reading:
    """What a policy says about M response tokens."""

    logprobs: Tensor
    """(M,) nats, at the sampling temperature"""
    entropy: Tensor
    """(M,) nats, of the whole distribution"""
    values: Tensor
    """(M,) reward units, expected return before the token; zeros without a critic"""


class Policy(nn.Module):
    """A causal model and a value head, on the same trunk or on one of its own."""

    def __init__(self, model: PreTrainedModel, *, critic: str | None, device: torch.device) -> None:
        """Args: model: the policy. critic: shared, separate, a model folder, or None for no critic at all."""
        super().__init__()
        self.model = model
        self.trunk: nn.Module | None = None
        self.value: nn.Linear | None = None
        if critic is None:
            return
        if critic == "separate":
            self.trunk = copy.deepcopy(model.base_model)
        elif critic != "shared":
            model = causal(critic, device).model
            self.trunk = model.base_model
        width = int(model.config.get_text_config().hidden_size)
        self.value = nn.Linear(width, 1).to(device)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def read(self, packed: ResponseStream, *, temperature: float) -> Reading:
        """Logprobs, entropy and values of every response token."""
        hidden = hidden_states(self.model.base_model, packed.stream).index_select(0, packed.index)
        logprobs, entropy = logprobs_and_entropy(logits_of(self.model, hidden), packed.tokens, temperature=temperature)
        return Reading(logprobs, entropy, self._values(packed, hidden))

    def _values(self, packed: ResponseStream, hidden: Tensor) -> Tensor:
        if self.value is None:
            return torch.zeros_like(packed.tokens, dtype=torch.float32)
        if self.trunk is not None:
            hidden = hidden_states(self.trunk, packed.stream).index_select(0, packed.index)
        with torch.autocast(hidden.device.type, enabled=False):
            return self.value(hidden.float())[:, 0]


def frozen_copy(loaded: Loaded) -> PreTrainedModel:
    """The reference: a copy of the weights in memory (never loaded again from disk), without gradients."""
    return copy.deepcopy(loaded.model).requires_grad_(False).eval()
