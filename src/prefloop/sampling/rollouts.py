"""What travels from sampling to the optimiser.

Shapes: B responses, T tokens of the longest response.

    prompt  "where is it?"    response  "on  its  way  END"      mask  [1 1 1 1]
    prompt  "thanks"          response  "bye END"                mask  [1 1 0 0]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad

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
        """The rollouts of B prompts and a response to each."""
        lengths = torch.tensor([len(s.tokens) for s in sampled], device=device)
        mask = torch.arange(int(lengths.max()), device=device) < lengths[:, None]
        finished = torch.tensor([s.finished for s in sampled], device=device)
        return cls(tuple(tuple(p) for p in prompts), tuple(s.tokens for s in sampled), finished, mask)

    @classmethod
    def taken(cls, several: Sequence[Self], rows: Sequence[int]) -> Self:
        """Some rows of several rollouts, counted through all of them."""
        prompts = [prompt for one in several for prompt in one.prompts]
        responses = [response for one in several for response in one.responses]
        widest = max(one.mask.shape[1] for one in several)
        masks = torch.cat([pad(one.mask, (0, widest - one.mask.shape[1])) for one in several])
        where = torch.tensor(rows, device=masks.device)
        kept = tuple(responses[i] for i in rows)
        mask = masks[where][:, : max(map(len, kept))]
        return cls(tuple(prompts[i] for i in rows), kept, torch.cat([one.finished for one in several])[where], mask)

    def __len__(self) -> int:
        """B"""
        return len(self.responses)

    @property
    def lengths(self) -> list[int]:
        """B numbers of tokens, prompt and response together."""
        return [len(p) + len(r) for p, r in zip(self.prompts, self.responses, strict=True)]

    def stream(self, rows: Sequence[int]) -> ResponseStream:
        """Some rows, ready to be read."""
        return ResponseStream.of([self.prompts[i] for i in rows], [self.responses[i] for i in rows], self.mask.device)

    def packed(self, grid: Tensor, rows: Sequence[int]) -> Tensor:
        """(M,) the real tokens of some rows of a (B, T) grid, row after row."""
        counts = torch.tensor([len(self.responses[i]) for i in rows])
        begun = torch.tensor(rows) * grid.shape[1] - (counts.cumsum(0) - counts)
        places = torch.repeat_interleave(begun, counts) + torch.arange(int(counts.sum()))  # counted here, not there
        return grid.flatten().index_select(0, places.to(grid.device))
