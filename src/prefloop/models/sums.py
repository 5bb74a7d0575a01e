"""Numbers of an update, added up where they are: one by one they would make an accelerator wait for each."""

import torch
from torch import Tensor


class Sums:
    """Sums and maxima over the micro-batches of an update, on their device until they are fetched all at once."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._largest: dict[str, Tensor] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Adds the sum of a tensor, in float64 where the device has it."""
        exact = torch.float32 if value.device.type == "mps" else torch.float64
        total = value.detach().sum(dtype=exact)
        self._sums[name] = self._sums[name] + total if name in self._sums else total

    def largest(self, name: str, value: Tensor) -> None:
        """Keeps the largest number of a tensor."""
        most = value.detach().max()
        self._largest[name] = torch.maximum(self._largest[name], most) if name in self._largest else most

    def fetched(self, *, divided_by: float = 1.0) -> dict[str, float]:
        """All of them, at least one sum first; sums are divided."""
        numbers = [*self._sums.values(), *self._largest.values()]
        each = iter(torch.stack([number.to(numbers[0].dtype) for number in numbers]).tolist())
        sums = {name: next(each) / divided_by for name in self._sums}
        return {**sums, **{name: next(each) for name in self._largest}}
