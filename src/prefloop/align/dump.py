"""What a step's updates knew, token by token, in a Parquet file: states, actions and what they were worth.

A response's row has all tokens of its prompt, at positions below 0, and then its own from 0 on. So the state before the
token at a position is what the same row has at lower positions, and the token is the action (PIPE-10). Numbers are the
very ones that the updates used, in float32; null where a token has no such thing, or the algorithm knows none. Once the
step's updates are done, two columns follow: how much likelier they have made each token, and whether it is clipped.

Shapes: B responses, T tokens of the longest, M tokens of some of them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from prefloop import layout
from prefloop.align import online
from prefloop.align.config import GRPOConfig, PPOConfig, RLOOConfig
from prefloop.align.online import Setup
from prefloop.align.progress import Batch
from prefloop.align.replay import Past
from prefloop.align.settings import OnlineConfig, Reused
from prefloop.align.switches import Dumped
from prefloop.files.tables import read_rows, write_columns
from prefloop.ops.ratios import cispo_clipped, clipped, mean_log_ratios, response_sums
from prefloop.run import Run
from prefloop.sampling.rollouts import Rollouts
from prefloop.text.codec import Codec
from prefloop.text.examples import Asked

NUMBERS = ("logprob", "ref_logprob", "value", "reward", "advantage", "return", "weight")
"""Columns of a number for each token of a response."""
KINDS = {
    **{"prompt_id": "string", "text": "string", "mask": "bool", "clipped": "bool"},
    **dict.fromkeys(("step", "row", "position", "token"), "int32"),
}
"""Column -> Arrow's type, where it is not float."""


def is_due(config: Dumped, step: int) -> bool:
    """Whether a step is to be written down. Args: step: from 1."""
    some = config.dump_rollouts
    return some > 0 and step % some == 0 if isinstance(some, int) else step in some


def write(
    run: Run, setup: Setup, config: Dumped, step: int, prompts: Sequence[Asked], batch: Batch, past: Past | None = None
) -> None:
    """Writes a step's batch, if that is due.

    Args:
        step: from 0.
        prompts: of its new responses.
        batch: what the updates will learn from, replayed rows last.
        past: the replayed ones; None for none.
    """
    if not is_due(config, step + 1):
        return
    ids = [prompt.id for prompt in prompts] + [*(past.ids if past else ())]
    written = [step + 1] * len(prompts) + [*(past.steps if past else ())]
    names = {
        "logprob": "logprobs",
        "ref_logprob": "ref_logprobs",
        "value": "values",
        "reward": "rewards",
        "advantage": "advantages",
        "return": "returns",
        "weight": "weights",
    }
    grids = {name: vars(batch).get(field) for name, field in names.items()}
    table = columns(setup.policy.codec, batch.rollouts, batch.scores, grids, ids=ids, written=written)
    write_columns(run.folder / layout.rollouts(step + 1), table)


@torch.no_grad()
def after(run: Run, setup: Setup, config: OnlineConfig, step: int, batch: Batch, *, limit: int) -> None:
    """Adds to a step's file what its updates did, if that is due: `ratio`, of a token's probability after them to that
    before, and `clipped`, whether it is beyond what they may do, so that further ones would leave it (null where the
    algorithm has no such limit).

    Args:
        step: from 0.
        batch: what the updates learned from.
        limit: most tokens at once.
    """
    path = run.folder / layout.rollouts(step + 1)
    if not is_due(config, step + 1) or not path.is_file():  # somebody took it away
        return
    rollouts = batch.rollouts
    ratios, beyond = torch.zeros_like(batch.logprobs), torch.zeros_like(rollouts.mask)
    for rows in online.micro_batches(rollouts, range(len(rollouts)), limit=limit):
        stream = rollouts.stream(rows)
        now = setup.policy.logprobs(stream, temperature=config.temperature)
        moved = now - rollouts.packed(batch.logprobs, rows)
        where = (torch.tensor(rows, device=stream.rows.device)[stream.rows], stream.columns)
        ratios[where] = moved.exp()
        if isinstance(config, Reused):
            beyond[where] = _clipped(config, moved, rollouts.packed(batch.advantages, rows), stream.rows, len(rows))
    cells = [row for _, row in read_rows(path)]
    both = {"ratio": ratios.cpu().tolist(), "clipped": beyond.cpu().tolist() if isinstance(config, Reused) else None}
    table = {name: (KINDS.get(name, "float"), [row[name] for row in cells]) for name in cells[0]}
    for name, grid in both.items():
        found = [grid[row["row"]][row["position"]] if grid and row["mask"] else None for row in cells]
        table[name] = (KINDS.get(name, "float"), found)
    write_columns(path, table)


def _clipped(config: Reused, moved: Tensor, advantages: Tensor, rows: Tensor, num: int) -> Tensor:
    """(M,) bool, whether a token, or its response where that is what is clipped, is beyond the limits.

    Args:
        moved: (M,) nats, log-ratios.
        advantages: (M,) as the loss has them.
        rows: (M,) int, in [0, num).
    """
    low, high = config.clip, config.clip if config.clip_high is None else config.clip_high
    worst = (config.dual_clip if isinstance(config, PPOConfig) else None) or math.inf
    if isinstance(config, RLOOConfig):
        moved = response_sums(moved, rows, num_responses=num)[rows]
    if isinstance(config, GRPOConfig) and config.ratio == "response":
        moved = mean_log_ratios(moved, rows, num_responses=num)
    if isinstance(config, GRPOConfig) and config.surrogate == "cispo":
        return cispo_clipped(moved, low=low, high=high)
    return clipped(moved, advantages, low=low, high=high, worst=worst)


def columns(
    codec: Codec,
    rollouts: Rollouts,
    scores: Tensor,
    grids: Mapping[str, Tensor | None],
    *,
    ids: Sequence[str],
    written: Sequence[int],
) -> dict[str, tuple[str, list[Any]]]:
    """Name -> Arrow's type and the cells of a column, row after row.

    Args:
        scores: (B,) reward units.
        grids: one of `NUMBERS` -> (B, T), None where there is no such thing.
        ids: B ids of prompts.
        written: B steps in which they were written.
    """
    cells: dict[str, list[Any]] = {
        name: [] for name in ("prompt_id", "step", "row", "position", "token", "text", "mask", "score", *NUMBERS)
    }
    said = {name: None if grid is None else grid.detach().cpu().float().tolist() for name, grid in grids.items()}
    inside, words = rollouts.mask.cpu().tolist(), dict[int, str]()
    for row, (prompt, response) in enumerate(zip(rollouts.prompts, rollouts.responses, strict=True)):
        num, new = len(prompt) + len(response), len(response)
        learned = inside[row][:new]
        tokens = [*prompt, *response]
        for token in tokens:
            words[token] = words.get(token) or str(codec.tokenizer.decode([token]))
        cells["prompt_id"] += [ids[row]] * num
        cells["step"] += [written[row]] * num
        cells["row"] += [row] * num
        cells["position"] += range(-len(prompt), new)
        cells["token"] += tokens
        cells["text"] += [words[token] for token in tokens]
        cells["mask"] += [False] * len(prompt) + learned
        cells["score"] += [float(scores[row])] * num
        for name in NUMBERS:
            grid = said[name]
            own = [None] * new if grid is None else grid[row][:new]
            own = [number if its else None for number, its in zip(own, learned, strict=True)]
            cells[name] += [None] * len(prompt) + own
    return {name: (KINDS.get(name, "float"), column) for name, column in cells.items()}
