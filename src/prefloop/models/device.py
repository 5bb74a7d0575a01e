"""Which device, which precision: decided once, by name or by what the machine has."""

import contextlib

import torch

from prefloop.config import RunConfig
from prefloop.errors import UserError


def chosen_device(config: RunConfig) -> torch.device:
    """The device asked for; auto takes CUDA, then MPS, then CPU. Raises: UserError if it is not there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if config.device == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if there[name]))
    if not there[config.device]:
        raise UserError(f"device={config.device}, but this machine has none that torch can use. Type device=auto.")
    return torch.device(config.device)


def has_bfloat16(device: torch.device) -> bool:
    """True if matrix products in bfloat16 are faster than in float32 on this device."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return False


def precision(config: RunConfig) -> contextlib.AbstractContextManager[object]:
    """Context in which matrix products run in the precision asked for; weights, sums and logarithms stay float32."""
    device = chosen_device(config)
    if config.dtype == "bfloat16" or (config.dtype == "auto" and has_bfloat16(device)):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()
