"""What a finished model says of sequences, each of which is read once."""

from collections.abc import Callable

import pytest
import torch

from prefloop.feedback.items import Item, tables_of
from prefloop.models.batching import Batching
from prefloop.models.device import Placement
from prefloop.models.load import scalar
from prefloop.models.network import Network
from prefloop.reward.readings import Readings

ONE, TWO, OTHER = [3, 4, 5], [3, 4, 6, 7], [8, 9]


def _item(*sequences: list[int]) -> Item:
    return Item(tuple(sequences), ranks=tuple(map(float, range(len(sequences)))))


def test_each_sequence_is_read_once_and_as_elsewhere(folder: str, cpu: Placement, monkeypatch: pytest.MonkeyPatch):
    network, sizes = scalar(folder, cpu, fresh_head=True), Batching(micro_tokens=8, reading_tokens=8, recompute=False)
    torch.nn.init.normal_(network.pretrained.get_submodule("score").get_parameter("weight"))
    asked: list[list[int]] = []
    real: Callable[..., tuple[torch.Tensor, torch.Tensor]] = Network.table_and_last_states

    def told(self: Network, sequences: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        asked.extend(map(list, sequences))
        return real(self, sequences)

    monkeypatch.setattr(Network, "table_and_last_states", told)
    readings = Readings(network, sizes)
    table, states = readings.read([TWO, ONE, TWO])
    assert (table.shape, states.shape) == ((3, 1), (3, network.pretrained.config.hidden_size))
    items = [_item(ONE, OTHER), _item(TWO, ONE, OTHER)]
    torch.testing.assert_close(readings.tables(items), tables_of(items, network, sizes), rtol=0, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(table[:, 0], network.scores([TWO, ONE, TWO]), rtol=0, atol=1e-5)
    assert sorted(asked) == sorted([ONE, TWO, OTHER])
