"""One rollout token by token: what the policy wrote, how likely it was, what it earned, and what became of it.

Reads `rollouts-*.parquet`, which a run writes of the steps that `dump_rollouts=` names. What each column means stands
beside it, so that a student can read the table.
"""

import json
import shlex
from dataclasses import dataclass
from typing import Any

from prefloop import layout
from prefloop.doctor.reading import Patient, Ran
from prefloop.drawing.numerals import written
from prefloop.errors import UserError
from prefloop.files.tables import read_rows
from prefloop.stages import OPTIMISING, STAGES

COLUMNS: dict[str, tuple[str, str]] = {
    "text": ("the token, which is the action; its state is all before it", "词元，即动作；状态是它之前的全部内容"),
    "logprob": ("nats: how likely the policy made it when it was written", "奈特：写出时策略给它的对数概率"),
    "ref_logprob": ("nats: how likely the reference makes it", "奈特：参考模型给它的对数概率"),
    "kl": ("nats: logprob - ref_logprob, the drift that is charged for", "奈特：两者之差，即要付代价的偏离"),
    "value": ("reward units: what the critic expected from here on", "奖励单位：价值模型预计此后的总奖励"),
    "reward": ("reward units: what is earned here: the charge for drift, and at the end the score",
               "奖励单位：在这里得到的奖励：偏离的代价，最后一个词元加上得分"),
    "return": ("reward units: what the critic is to predict: advantage plus value",
               "奖励单位：价值模型应当预测的值：优势加价值"),
    "advantage": ("how much better than expected, perhaps in deviations: above 0 the token is made likelier",
                  "比预期好多少（可能以标准差计）：大于 0 就提高它的概率"),
    "ratio": ("its probability after the step's updates, divided by that before", "本步更新之后的概率除以之前的概率"),
    "clipped": ("yes: the updates have moved it to the limit, and may not go on", "是：更新已到边界，不再继续"),
}  # fmt: skip
"""Column -> what it means, in English and Chinese."""


@dataclass(frozen=True)
class Rollout:
    """A response with its prompt."""

    run: str
    step: int
    index: int
    prompt_id: str
    prompt: str
    score: float
    tokens: tuple[dict[str, Any], ...]
    """of the response, those of its columns that there are"""
    charged: float | None
    """nats, drift of the whole response; None without a reference"""

    @property
    def columns(self) -> list[str]:
        """The columns of which anything is known."""
        return [name for name in COLUMNS if any(token.get(name) is not None for token in self.tokens)]

    @property
    def missing(self) -> list[str]:
        """The others: the algorithm has no such thing, or an older version wrote it."""
        return [name for name in COLUMNS if name not in self.columns]


def found(patient: Patient, step: int, index: int) -> Rollout:
    """The rollout of a step. Raises: UserError if there is none, with what to type to get it."""
    ran = patient.run(*OPTIMISING)
    if ran is None:
        raise UserError(
            f"{patient.folder}: no run here learns from rollouts. Give the folder of a {' or '.join(OPTIMISING)} run."
        )
    path = ran.folder / layout.rollouts(step)
    if not path.is_file():
        raise UserError(_none(ran, step))
    rows = [row for _, row in read_rows(path) if row["row"] == index]
    if not rows:
        num = 1 + max((row["row"] for _, row in read_rows(path)), default=-1)
        raise UserError(f"{path}: this step has {num} responses, counted from 0; there is none with index {index}.")
    rows.sort(key=lambda row: row["position"])
    response = [_with_kl(row) for row in rows if row["position"] >= 0]
    drifts = [row["kl"] for row in response if row["kl"] is not None]
    return Rollout(
        run=str(ran.folder),
        step=step,
        index=index,
        prompt_id=rows[0]["prompt_id"],
        prompt="".join(row["text"] for row in rows if row["position"] < 0),
        score=rows[0]["score"],
        tokens=tuple({name: row.get(name) for name in COLUMNS} for row in response),
        charged=sum(drifts) if drifts else None,
    )


def _with_kl(row: dict[str, Any]) -> dict[str, Any]:
    both = (row["logprob"], row["ref_logprob"])
    return {**row, "kl": None if None in both else both[0] - both[1]}


def _none(ran: Ran, step: int) -> str:
    """Why there is no such file, and what to type to get it."""
    kept = [int(path.stem.partition("-")[2]) for path in layout.dumped(ran.folder)]
    if not ran.has("dump_rollouts"):
        return f"{ran.folder}: {ran.stage} writes no tokens of its steps. What it wrote is in {layout.SAMPLES}."
    if kept:
        return f"{ran.folder}: this run kept no tokens of step {step}. It kept those of: {', '.join(map(str, kept))}."
    settings, steps = ran.folder / layout.SETTINGS, ran.value("steps")
    if not 1 <= step <= steps:
        return f"{ran.folder}: there is no step {step}; steps are counted from 1, and this run has {steps}."
    words = ("prefloop", STAGES[ran.stage].command, str(settings), f"dump_rollouts=[{step}]")
    typed = shlex.join([*words, f"out={ran.folder.name}-again"])
    return (
        f"{ran.folder}: this run kept no tokens of step {step}. The same settings give the same tokens again; stop it "
        f"once {layout.rollouts(step)} is there: {typed}"
    )


def lines(rollout: Rollout) -> list[str]:
    """The rollout as a table for a terminal, and what its columns mean."""
    names = rollout.columns
    cells = [[cell(token, name) for name in names] for token in rollout.tokens]
    widths = [max(len(name), *(len(row[i]) for row in cells)) for i, name in enumerate(names)]
    told = [f"step {rollout.step}, response {rollout.index}, of {rollout.run} (prompt {rollout.prompt_id})", ""]
    told += [f"prompt: {rollout.prompt}", ""]
    told += ["  ".join(_aligned(name, widths[i], i) for i, name in enumerate(names)).rstrip()]
    told += ["  ".join(_aligned(text, widths[i], i) for i, text in enumerate(row)).rstrip() for row in cells]
    told += ["", *summed(rollout), "", *(f"  {name:<12} {COLUMNS[name][0]}" for name in names)]
    if rollout.missing:
        told.append(f"  not here     {', '.join(rollout.missing)}: the algorithm has none, or the run is older")
    return told


def _aligned(text: str, width: int, place: int) -> str:
    return text.ljust(width) if place == 0 else text.rjust(width)


def cell(token: dict[str, Any], name: str) -> str:
    """A cell as a reader sees it."""
    value = token.get(name)
    if name == "text":
        return json.dumps(value, ensure_ascii=False)
    if name == "clipped":
        return "" if value is None else "yes" if value else "no"
    return "" if value is None else f"{value:.3f}"


def summed(rollout: Rollout) -> list[str]:
    """What the columns add up to."""
    rewards = [token["reward"] for token in rollout.tokens if token["reward"] is not None]
    told = [f"score {written(rollout.score)}"]
    if rollout.charged is not None:
        told.append(f"drift {written(rollout.charged, 'nats')} nats")
    if rewards:
        told.append(f"rewards {written(sum(rewards))} in all")
    return [", ".join(told)]
