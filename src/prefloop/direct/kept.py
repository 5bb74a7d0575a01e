"""What the reference says of the responses that are learned from: read once, and kept for later passes and other runs.

4 bytes a response and 8 a row. In the run's folder it is a file that another run may reuse (`reuse`), if it begins from
the same policy and learns from the same rows: to try another beta or objective costs no reading of the reference then.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prefloop import layout
from prefloop.direct.config import DirectConfig, RatioConfig
from prefloop.errors import UserError
from prefloop.feedback.items import Item
from prefloop.files.atomic import write_bytes
from prefloop.files.documents import read_document
from prefloop.files.hashes import hash_of
from prefloop.records import RunCard

SAME = ("template", "dtype", "weights", "device", "adapter")
"""Settings that decide what the reference says of a row."""


class Kept:
    """Logprobs of whole responses under the reference, by training row; nothing at first."""

    def __init__(self, num_responses: np.ndarray) -> None:
        """Args: num_responses: (n,) of each training row."""
        self.ends = num_responses.cumsum(dtype=np.uint32)
        self.values = np.full(int(self.ends[-1]) if len(self.ends) else 0, np.nan, dtype=np.float32)
        self.rows = np.zeros(len(self.ends), dtype=np.uint32)
        """of each row what it was, as a number"""
        self.source = ""

    def of(self, items: Sequence[Item], like: Tensor) -> Tensor | None:
        """(B, K) of some items, 0 where there is no response; None if any was not read yet.

        Raises: UserError if what is kept, by another run, is of other rows.
        """
        table = np.zeros(tuple(like.shape), dtype=np.float32)
        for row, item in enumerate(items):
            own = self.values[self._where(item)]
            if len(own) != len(item.sequences) or np.isnan(own).any():
                return None
            if self.source and self.rows[item.row] != _number(item):
                raise UserError(
                    f"{self.source}: what its reference says is of other rows, or of responses in another order. Leave "
                    "reuse out, or give what is the same in both: preferences, replay, seed, and pairs or rankings."
                )
            table[row, : len(own)] = own
        return torch.from_numpy(table).to(like)

    def keep(self, items: Sequence[Item], table: Tensor) -> None:
        """Remembers (B, K) that were read."""
        read = table.detach().float().cpu().numpy()
        for row, item in enumerate(items):
            where = self._where(item)
            if where.stop - where.start == len(item.sequences):
                self.values[where], self.rows[item.row] = read[row, : len(item.sequences)], _number(item)

    def forget(self) -> None:
        """Nothing of it holds any more: the reference has moved."""
        self.values.fill(np.nan)

    def _where(self, item: Item) -> slice:
        """Its part of the values; of more than 255 responses, which are not counted, another number than it has."""
        begin = int(self.ends[item.row - 1]) if item.row else 0
        return slice(begin, int(self.ends[item.row]))

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return {
            "values": torch.from_numpy(self.values),
            "rows": torch.from_numpy(self.rows.view(np.int32)),
            "source": self.source,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` gave."""
        self.values, self.rows = state["values"].numpy(), state["rows"].numpy().view(np.uint32)
        self.source = state["source"]


def _number(item: Item) -> int:
    """32 bits of its tokens, and of where its responses begin, in their order."""
    return hash_of(repr((item.begins, item.sequences))) & 0xFFFFFFFF


def write(folder: Path, kept: Kept) -> None:
    """Puts what was read into a run's folder, for others."""
    file = io.BytesIO()
    np.savez(file, values=kept.values, ends=kept.ends, rows=kept.rows)
    write_bytes(folder / layout.REFERENCE, file.getvalue())


def reused(kept: Kept, config: DirectConfig) -> None:
    """Takes over what the run that `reuse` names has read.

    Raises: UserError if it is of other rows, or of another policy.
    """
    if not isinstance(config, RatioConfig) or config.reuse is None:
        return
    folder = Path(config.reuse)
    file = folder / layout.REFERENCE
    if not file.is_file():
        raise UserError(
            f"{config.reuse}: no {layout.REFERENCE} is here. Give as reuse the folder of a finished dpo or kto run, or "
            "leave it out."
        )
    ours, theirs = (_inputs(read_document(place / layout.CARD, RunCard)) for place in (Path(config.out), folder))
    differ = [name for name, value in ours.items() if theirs.get(name) != value]
    with np.load(file) as read:
        values, ends, rows = read["values"], read["ends"], read["rows"]
    if differ or not np.array_equal(ends, kept.ends):
        raise UserError(
            f"{config.reuse}: what its reference says is not of this run's rows; not the same are "
            f"{', '.join(differ) or 'the rows'}. Leave reuse out, or give what is the same in both."
        )
    kept.values, kept.rows, kept.source = values, rows, str(config.reuse)


def _inputs(card: RunCard) -> Mapping[str, Any]:
    """All that decides what a run's reference says of which row."""
    settings = card.config
    found: dict[str, Any] = {name: settings.get(name) for name in SAME}
    return found | {"policy": card.inputs["policy"].fingerprint}
