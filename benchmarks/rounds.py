"""Three rounds against one big one with the same number of judgements, on the helpdesk: a table in Markdown.

    DEMO=DIR[,DIR ...] python benchmarks/rounds.py [cells=rounds,big,...] [seeds=0] [jobs=1] [out=DIR]

DEMO is what `prefloop run helpdesk out=DIR` wrote, one folder for each seed: its SFT model and prompts are used. A cell
is the recipe `rounds` with a change: `rounds` is as it is, 3 x 1000 prompts; `big` one round of 3000; `big-90` the same
with as many steps of PPO as three rounds take; `from-sft` three rounds whose policies all begin as SFT. Each round's
candidate is measured by gold on the test prompts, beside SFT, whatever its gate says. A deviation is that of SFT's
samples.
"""

import math
import os
import time
from pathlib import Path
from typing import Any

import yaml
from scipy.stats import t
from side_by_side import shown

from prefloop.records.evaluations import Evaluation, bounds, mean
from prefloop.rounds import command, lineage
from prefloop.rounds.recipe import load

ROOT = Path(__file__).parents[1]
RECIPE: dict[str, Any] = yaml.safe_load((ROOT / "src/prefloop/recipes/rounds.yaml").read_text(encoding="utf-8"))
CELLS: dict[str, list[str]] = {
    "rounds": [],
    "big": ["rounds.num=1", "rounds.choose.num=3000"],
    "big-90": ["rounds.num=1", "rounds.choose.num=3000", "rounds.ppo.steps=90"],
    "from-sft": ["rounds.ppo.policy=$begin"],
}
"""Name -> what is typed beside the recipe."""


def in_demo(value: Any, demo: Path) -> Any:
    """A setting with what the recipe's first stages would write in the folder where it lies."""
    if isinstance(value, dict):
        return {key: in_demo(part, demo) for key, part in value.items()}
    made = isinstance(value, str) and value.split("/")[0] in ("world", "pretrain", "sft")
    return str(demo / value) if made else value


def one(cell: str, seed: int, folder: Path, further: dict[str, Any]) -> dict[str, Any]:
    """Goes round, and has gold judge what was selected last."""
    demo = Path(os.environ["DEMO"].split(",")[seed]).resolve()
    recipe = {"name": cell, "seed": seed, "threads": 1, "rounds": in_demo(RECIPE["rounds"], demo), "report": {}}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    begin = str(demo / "sft/model")
    typed = [word.replace("$begin", begin) for word in CELLS[cell]]
    typed += [f"rounds.{key}={value}" for key, value in further.items()]
    begun = time.process_time()
    command.run(load(str(file), [f"out={folder / 'run'}", *typed]))
    seconds = time.process_time() - begun
    made = lineage.read(folder / "run")
    line = made.line(made.head)
    told = [folder / "run/rounds" / each.name / "evaluate/evaluation.json" for each in line]
    return {
        "cell": cell, "seed": seed, "seconds": seconds, "decisions": [each.decision for each in line],
        "sentences": [each.sentence for each in line], "judgements": sum(each.judgements for each in line),
        "candidates": [measured(Evaluation.model_validate_json(file.read_bytes())) for file in told],
        "pairs": [[each.stale and each.stale.mean, each.fresh and each.fresh.mean] for each in line],
    }  # fmt: skip


def measured(evaluation: Evaluation) -> dict[str, Any]:
    """A round's candidate beside SFT, on test prompts: whether the gate let it pass is another question."""
    assert evaluation.base is not None
    before, after = evaluation.models[evaluation.base].test, evaluation.tested[1]
    assert before is not None
    assert after.base_win_rate is not None
    utility = before.measured("utility")
    ends = bounds(utility)
    assert ends is not None
    num = before.num_prompts
    deviation = (ends[1] - ends[0]) / 2 / float(t.ppf(0.975, num - 1)) * math.sqrt(num)
    return {
        "win": after.base_win_rate.model_dump(), "kl": mean(after.base_kl), "harmful": mean(after.measured("harmful")),
        "gain": ((mean(after.measured("utility")) or 0.0) - (mean(utility) or 0.0)) / deviation,
        "over_refusal": mean(after.measured("over_refusal")),
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line for each cell and seed."""
    lines = [
        "| | seed | judgements | round | gate | wins over SFT, % | gold above SFT, deviations | KL from SFT, nats "
        "| harmful, % | over-refusal, % | reward model of before, and refreshed, on its pairs, % | CPU s of all |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        for number, found in enumerate(row["candidates"]):
            win, (stale, fresh) = found["win"], row["pairs"][number]
            rate = f"{100 * win['mean']:.0f} [{100 * win['low']:.0f}, {100 * win['high']:.0f}]"
            pairs = f"{'-' if stale is None else f'{100 * stale:.0f}'}, {100 * fresh:.0f}"
            cells = [str(row["seed"]), str(row["judgements"]), str(number + 1), row["decisions"][number], rate]
            cells += [f"{found['gain']:.2f}", f"{found['kl']:.1f}"]
            cells += [f"{100 * found[name]:.1f}" for name in ("harmful", "over_refusal")]
            lines.append(f"| {row['cell']} | {' | '.join([*cells, pairs])} | {row['seconds']:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    shown(
        __file__,
        {"cells": ",".join(CELLS), "seeds": "0,1,2"},
        lambda job, folder, further: one(job[0], int(job[1]), folder, further),
        table,
        needs={"DEMO": "what `prefloop run helpdesk out=DIR` wrote, for each seed"},
    )
