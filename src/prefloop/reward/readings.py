"""What a finished model says of the sequences that are looked at after training, each of which is read once."""

from collections.abc import Sequence

import torch

from prefloop.feedback.items import Item
from prefloop.models.batching import Batching
from prefloop.models.network import Network
from prefloop.text.batches import cut


class Readings:
    """Raw scores and last states, on the CPU, kept: sequences that put scores on a scale, that were learned from and
    that say what is usual are partly the same."""

    def __init__(self, network: Network, sizes: Batching) -> None:
        self._network, self._sizes = network, sizes
        self._known: dict[tuple[int, ...], tuple[torch.Tensor, torch.Tensor]] = {}

    @torch.no_grad()
    def read(self, sequences: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """(n, C) raw scores of n >= 1 sequences of tokens, and (n, width) the states that they were read from."""
        keys = [tuple(sequence) for sequence in sequences]
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        for part in cut(range(len(new)), [len(key) for key in new], limit=self._sizes.reading_tokens):
            table, states = self._network.table_and_last_states([new[i] for i in part])
            both = zip(table.cpu(), states.cpu(), strict=True)
            self._known.update(zip((new[i] for i in part), both, strict=True))
        tables, states = zip(*(self._known[key] for key in keys), strict=True)
        return torch.stack(tables), torch.stack(states)

    def tables(self, items: Sequence[Item]) -> torch.Tensor:
        """(B, K, C) raw scores of B >= 1 items, 0 where one has fewer responses."""
        table, _ = self.read([ids for item in items for ids in item.sequences])
        each = table.split([len(item.sequences) for item in items])
        return torch.nn.utils.rnn.pad_sequence(list(each), batch_first=True)
