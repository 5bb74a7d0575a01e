"""What families of models do to their logits after the output matrix. Shapes: N tokens, V vocabulary."""

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from transformers import PretrainedConfig


@dataclass(frozen=True)
class LogitRule:
    """logits = cap * tanh(factor * x / cap), with x from the output matrix; without a cap, factor * x."""

    factor: float = 1.0
    cap: float | None = None

    @classmethod
    def of(cls, config: PretrainedConfig) -> Self:
        """The rule that a configuration names: a factor in Cohere, a divisor in Granite, a cap in Gemma 2 and 3."""
        named: dict[str, Any] = config.get_text_config().to_dict()
        factor = float(named.get("logit_scale") or 1.0) / float(named.get("logits_scaling") or 1.0)
        return cls(factor, named.get("final_logit_softcapping"))

    def __call__(self, logits: Tensor) -> Tensor:
        """(N, V) -> (N, V)"""
        if not math.isclose(self.factor, 1.0):
            logits = logits * self.factor
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)
