"""What the reference says of the responses that are learned from: read once, and kept for later passes and other runs.

4 bytes a response. In the run's folder it is a file that another run may reuse (`reuse`), if it begins from the same
policy and learns from the same rows: to try another beta or objective costs no reading of the reference then.
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
from prefloop.records import RunCard

SAME = ("template", "dtype", "weights", "device", "validation", "share", "replay_share", "on_bad")
"""Settings that decide what the reference says of which row."""


class Kept:
    """Logprobs of whole responses under the reference, by training row; nothing at first."""

    def __init__(self, num_responses: np.ndarray) -> None:
        """Args: num_responses: (n,) of each training row."""
        self.ends = num_responses.astype(np.int64).cumsum()
        self.values = np.full(int(self.ends[-1]) if len(self.ends) else 0, np.nan, dtype=np.float32)

    def of(self, items: Sequence[Item], like: Tensor) -> Tensor | None:
        """(B, K) of some items, 0 where there is no response; None if any was not read yet."""
        table = np.zeros(tuple(like.shape), dtype=np.float32)
        for row, item in enumerate(items):
            own = self.values[self._where(item)]
            if np.isnan(own).any():
                return None
            table[row, : len(own)] = own
        return torch.from_numpy(table).to(like)

    def keep(self, items: Sequence[Item], table: Tensor) -> None:
        """Remembers (B, K) that were read."""
        read = table.detach().float().cpu().numpy()
        for row, item in enumerate(items):
            self.values[self._where(item)] = read[row, : len(item.sequences)]

    def _where(self, item: Item) -> slice:
        end = int(self.ends[item.row])
        return slice(end - len(item.sequences), end)


def write(folder: Path, kept: Kept) -> None:
    """Puts what was read into a run's folder, for others."""
    file = io.BytesIO()
    np.savez(file, values=kept.values, ends=kept.ends)
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
        values, ends = read["values"], read["ends"]
    if differ or not np.array_equal(ends, kept.ends):
        raise UserError(
            f"{config.reuse}: what its reference says is not of this run's rows; not the same are "
            f"{', '.join(differ) or 'the rows'}. Leave reuse out, or give what is the same in both."
        )
    kept.values = values


def _inputs(card: RunCard) -> Mapping[str, Any]:
    """All that decides what a run's reference says of which row."""
    settings = card.config
    found: dict[str, Any] = {name: settings.get(name) for name in SAME}
    found["split_seed"] = settings.get("split_seed") if settings.get("split_seed") is not None else settings.get("seed")
    return found | {name: artefact.fingerprint for name, artefact in card.inputs.items()}
