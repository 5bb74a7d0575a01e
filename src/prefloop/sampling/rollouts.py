"""What travels from sampling to the optimiser.

Shapes: B responses, T tokens of the longest response.

    prompt  "where is it?"    response  "on  its  way  END"      mask  [1 1 1 1]
    prompt  "thanks"          response  "bye END"                mask  [1 1 0 0]

Where somebody answers the policy between its turns, a response is all that follows the prompt, and what the policy did
not write is context like the prompt: it is read, and nothing else.

    prompt  "guess"    response  "7 END  user: more assistant:  8 END"    mask  [1 1 0 0 0 1 1]    turns (0, 2), (5, 7)
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
    """(B, T) bool, True where the policy wrote"""
    turns: tuple[tuple[tuple[int, int], ...], ...] = ()
    """of each response where the policy's turns begin and end; empty where each is one turn"""
    paid: Tensor | None = None
    """(B, T) reward units, what an environment paid for a turn, at the turn's last token; None without one"""
    answered: tuple[tuple[tuple[str, str], ...], ...] = ()
    """of each response what was said between the prompt and the policy's last turn: (role, words)"""
    ended: tuple[str, ...] = ()
    """why each ended: `done` if the environment said so, else `turns`, `room` or `cut`, see `align.turns`"""

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

    def num_tokens(self, rows: Sequence[int]) -> int:
        """How many tokens the policy wrote in some rows."""
        return sum(end - begin for i in rows for begin, end in self.turns_of(i))

    def turns_of(self, row: int) -> tuple[tuple[int, int], ...]:
        """Where the policy's turns begin and end in a response."""
        return self.turns[row] if self.turns else ((0, len(self.responses[row])),)

    def stream(self, rows: Sequence[int]) -> ResponseStream:
        """Some rows, ready to be read; what is predicted is what the policy wrote."""
        prompts, responses = [self.prompts[i] for i in rows], [self.responses[i] for i in rows]
        whole = ResponseStream.of(prompts, responses, self.mask.device)
        return whole.only(self._written(rows)) if self.turns else whole

    def packed(self, grid: Tensor, rows: Sequence[int]) -> Tensor:
        """(M,) the real tokens of some rows of a (B, T) grid, row after row."""
        counts = torch.tensor([len(self.responses[i]) for i in rows])
        begun = torch.tensor(rows) * grid.shape[1] - (counts.cumsum(0) - counts)
        places = torch.repeat_interleave(begun, counts) + torch.arange(int(counts.sum()))  # counted here, not there
        places = places[self._written(rows)] if self.turns else places
        return grid.flatten().index_select(0, places.to(grid.device))

    def _written(self, rows: Sequence[int]) -> Tensor:
        """(tokens of these responses,) bool, on the CPU: whether the policy wrote it."""
        return torch.cat([written(self.turns[i], len(self.responses[i])) for i in rows])


def written(turns: Sequence[tuple[int, int]], length: int) -> Tensor:
    """(length,) bool, True within the turns."""
    made = torch.zeros(length, dtype=torch.bool)
    for begin, end in turns:
        made[begin:end] = True
    return made


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
