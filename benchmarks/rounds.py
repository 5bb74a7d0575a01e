"""Three rounds against one big one with the same number of judgements, on the helpdesk: a table in Markdown.

    DEMO=DIR[,DIR ...] python benchmarks/rounds.py [cells=rounds,big,...] [seeds=0] [jobs=1] [out=DIR]

DEMO is what `prefloop run helpdesk out=DIR` wrote, one folder for each seed: its SFT model and prompts are used. A cell
is the recipe `rounds` with a change: `rounds` is as it is, 3 x 1000 prompts; `big` one round of 3000; `big-90` the same
with as many steps of PPO as three rounds take; `from-sft` three rounds whose policies all begin as SFT. What each
selected last is measured by gold on the test prompts, beside SFT. A deviation is that of SFT's samples.
"""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import yaml
from scipy.stats import t
from side_by_side import shown

from prefloop.evaluate.config import EvaluateConfig
from prefloop.evaluate.stage import evaluate
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
    assert line[-1].selected is not None
    prompts = {
        name: str(demo / f"world/prompts.{name.split('_')[0]}.jsonl") for name in ("validation_prompts", "test_prompts")
    }
    given = {"reference": begin, "candidates": line[-1].selected.path, "out": str(folder / "evaluate"), "judge": "gold"}
    told = evaluate(EvaluateConfig(**given, **prompts, kl_limit=1000.0, num_arena=0, num_audit=0, threads=1))
    models = json.loads(told.read_text(encoding="utf-8"))["models"]
    before, after = (
        next(m["test"] for n, m in models.items() if (n == "reference") == first) for first in (True, False)
    )
    utility, num = before["gold"]["utility"], before["num_prompts"]
    deviation = (utility["high"] - utility["low"]) / 2 / float(t.ppf(0.975, num - 1)) * math.sqrt(num)
    return {
        "cell": cell, "seed": seed, "seconds": seconds, "decisions": [each.decision for each in line],
        "judgements": sum(each.judgements for each in line), "win": after["win_rate"],
        "gain": (after["gold"]["utility"]["mean"] - utility["mean"]) / deviation, "kl": after["kl_nats"]["mean"],
        "harmful": after["gold"]["harmful"]["mean"],
        "pairs": [[each.stale and each.stale.mean, each.fresh and each.fresh.mean] for each in line],
        "over_base": [each.over_base and each.over_base.mean for each in line],
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line for each cell and seed."""
    lines = [
        "| | seed | judgements | gates | candidates over SFT, % | wins over SFT at the end, % "
        "| gold above SFT, deviations | KL, nats | harmful, % | reward model of before, and refreshed, on its pairs, % "
        "| CPU s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        pairs = ", ".join(f"{'-' if a is None else f'{100 * a:.0f}'} to {100 * b:.0f}" for a, b in row["pairs"] if b)
        over = ", ".join("-" if each is None else f"{100 * each:.0f}" for each in row["over_base"])
        win = f"{100 * row['win']['mean']:.0f} [{100 * row['win']['low']:.0f}, {100 * row['win']['high']:.0f}]"
        cells = [str(row["seed"]), str(row["judgements"]), ", ".join(row["decisions"]), over, win, f"{row['gain']:.2f}"]
        cells += [f"{row['kl']:.1f}", f"{100 * row['harmful']:.1f}", pairs, f"{row['seconds']:.0f}"]
        lines.append(f"| {row['cell']} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    shown(
        __file__,
        {"cells": ",".join(CELLS), "seeds": "0,1,2"},
        lambda job, folder, further: one(job[0], int(job[1]), folder, further),
        table,
        needs={"DEMO": "what `prefloop run helpdesk out=DIR` wrote, for each seed"},
    )
