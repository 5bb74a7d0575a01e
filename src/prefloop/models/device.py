"""Where and how precisely a model computes: decided once, by name or by what the machine has."""

import contextlib
from dataclasses import dataclass

import torch

from prefloop.errors import UserError


@dataclass(frozen=True)
class Placement:
    """A device, and the precision of matrix products on it; weights, sums and logarithms stay float32."""

    device: torch.device
    autocast: torch.dtype | None = None
    """what matrix products are computed in; None for float32"""

    def precision(self) -> contextlib.AbstractContextManager[object]:
        """Context of this precision. Inside another one of the same placement it costs nothing."""
        if self.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.autocast)

    def full_precision(self) -> contextlib.AbstractContextManager[object]:
        """Context in which nothing is rounded to less than float32, whatever is around it."""
        return torch.autocast(self.device.type, enabled=False)


def placement(device: str, dtype: str) -> Placement:
    """The placement of that name.

    Args:
        device: cpu, cuda or mps; auto takes CUDA, then MPS, then CPU.
        dtype: float32 or bfloat16; auto takes bfloat16 where the hardware has it.

    Raises: UserError if the machine has no such device.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    name = next(name for name in ("cuda", "mps", "cpu") if there[name]) if device == "auto" else device
    if not there[name]:
        raise UserError(f"device={name}, but this machine has none that torch can use. Type device=auto.")
    chosen = torch.device(name)
    half = dtype == "bfloat16" or (dtype == "auto" and has_bfloat16(chosen))
    return Placement(chosen, torch.bfloat16 if half else None)


def has_bfloat16(device: torch.device) -> bool:
    """True if matrix products in bfloat16 are faster than in float32 on this device."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return False
