"""What travels from sampling to the optimiser.

Shapes: B responses, T tokens of the longest response.

    prompt  "where is it?"    response  "on  its  way  END"      mask  [1 1 1 1]
    prompt  "thanks"          response  "bye END"                mask  [1 1 0 0]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from prefloop.errors import UserError
from prefloop.models.stream import ResponseStream
from prefloop.sampling.protocol import Sampled


@dataclass(frozen=True)
class Rollouts:
    """Prompts with sampled responses. Grids of (B, T) have padding where `mask` is False, which is never read."""

    prompts: tuple[tuple[int, ...], ...]
    """B prompts in tokens"""
    responses: tuple[tuple[int, ...], ...]
    """B responses in tokens, the end-of-text token included where it was reached"""
    finished: Tensor
    """(B,) bool, True where the response ended by itself"""
    mask: Tensor
    """(B, T) bool"""

    @classmethod
    def of(cls, prompts: Sequence[Sequence[int]], sampled: Sequence[Sampled], device: torch.device) -> Self:
        """The rollouts of B prompts and a response to each.

        Raises: UserError for a response without any token: an empty one is the token that ends it, and nothing else.
        """
        if not all(s.tokens for s in sampled):
            raise UserError(
                "the sampler gave a response without a single token, not even the one that ends it, so nothing can be "
                "learned from it. Look at what it stops at: an empty response is the end-of-text token alone."
            )
        lengths = torch.tensor([len(s.tokens) for s in sampled], device=device)
        mask = torch.arange(int(lengths.max()), device=device) < lengths[:, None]
        finished = torch.tensor([s.finished for s in sampled], device=device)
        return cls(tuple(tuple(p) for p in prompts), tuple(s.tokens for s in sampled), finished, mask)

    def __len__(self) -> int:
        """B"""
        return len(self.responses)

    @property
    def lengths(self) -> list[int]:
        """B numbers of tokens, prompt and response together."""
        return [len(p) + len(r) for p, r in zip(self.prompts, self.responses, strict=True)]

    def first(self, num: int) -> Self:
        """The first rows alone, in a grid of the same width."""
        return self.taken(range(num))

    def taken(self, rows: Sequence[int]) -> Self:
        """Some rows, in a grid of the same width."""
        index = torch.tensor([*rows], device=self.mask.device)
        return type(self)(**{name: _taken(value, rows, index) for name, value in vars(self).items()})

    def joined(self, others: Sequence[Self]) -> Self:
        """These rows and others behind them, in a grid as wide as the widest."""
        each = [vars(some) for some in (self, *others)]
        return type(self)(**{name: _joined([fields[name] for fields in each]) for name in vars(self)})

    def stream(self, rows: Sequence[int]) -> ResponseStream:
        """Some rows, ready to be read."""
        return ResponseStream.of([self.prompts[i] for i in rows], [self.responses[i] for i in rows], self.mask.device)

    def packed(self, grid: Tensor, rows: Sequence[int]) -> Tensor:
        """(M,) the real tokens of some rows of a (B, T) grid, row after row."""
        counts = torch.tensor([len(self.responses[i]) for i in rows])
        begun = torch.tensor(rows) * grid.shape[1] - (counts.cumsum(0) - counts)
        places = torch.repeat_interleave(begun, counts) + torch.arange(int(counts.sum()))  # counted here, not there
        return grid.flatten().index_select(0, places.to(grid.device))


def _taken(value: Any, rows: Sequence[int], index: Tensor) -> Any:
    """Some rows of a field: B of them, or none at all."""
    if isinstance(value, Tensor):
        return value[index]
    return tuple(value[i] for i in rows) if value else value


def _joined(values: Sequence[Any]) -> Any:
    """A field of several rollouts as that of one."""
    if isinstance(values[0], Tensor):
        return torch.cat([*values]) if values[0].ndim == 1 else stacked(values)
    return values[0] if not values[0] else tuple(one for value in values for one in value)


def stacked(grids: Sequence[Tensor]) -> Tensor:
    """(B1 + B2 + ..., T) of grids (B1, T1), (B2, T2), ..., T being the widest's; what is added is padding, 0."""
    width = max(grid.shape[1] for grid in grids)
    return torch.cat([pad(grid, (0, width - grid.shape[1])) for grid in grids])
