"""Learning directly beside learning by reward: `python benchmarks/direct.py DEMO [DEMO ...] [only=dpo,kto]`.

DEMO is a finished pipeline of `prefloop run helpdesk`, each of its own seed. From its SFT model and the judgements that
its reward model learned from, each method below moves a policy; gold, which none of them knows, judges on the
pipeline's test prompts what came of it, beside the pipeline's own PPO. KTO learns from thumbs that the same kind of
simulated annotators give to the same responses, one each. Runs lie in runs/direct; what is finished is not run again.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.files.atomic import write_text
from prefloop.files.tables import read_records, write_records
from prefloop.records import Comparison, Message, Rated
from prefloop.world.annotators import panel

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results" / "direct.md"
RUNS = ROOT / "runs" / "direct"
METHODS: dict[str, tuple[str, ...]] = {
    "dpo": ("dpo",),
    "dpo, beta=0.3": ("dpo", "beta=0.3"),
    "ipo": ("dpo", "objective=ipo"),
    "simpo": ("dpo", "score=simpo", "margin=0.5"),
    "orpo": ("dpo", "score=orpo"),
    "kto": ("kto",),
}
"""Name -> stage and settings; what is left out is prefloop's default."""
PPO = "ppo (of the pipeline)"


def thumbs(demo: Path, out: Path) -> str:
    """A thumb for each response that was sampled for the demo's judgements, by its panel. Returns: the file."""
    rng, judges = random.Random(f"thumbs {demo.name}"), panel(5)
    rows: list[Rated] = []
    for comparison in read_records(demo / layout.COLLECT / layout.COMPARISONS, Comparison):
        said = rng.choice(judges).judge_thumbs(comparison, rng=rng, judgement_id=f"t{len(rows)}")
        given = said.thumbs or ()
        shown = [comparison.responses[index].text for index in said.order]
        asked = tuple(Message(role=m.role, content=m.content) for m in comparison.messages)
        rows.append(
            Rated(id=f"t{len(rows)}", messages=asked, responses=tuple(shown), thumbs=tuple(given), tags=comparison.tags)
        )
    write_records(out, rows)
    return str(out)


def typed(*words: str) -> float:
    """Runs a command of prefloop, and tells its CPU seconds. Raises: SystemExit if it fails."""
    command = [sys.executable, "-W", "ignore", "-m", "prefloop", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime


def run(demo: Path, name: str) -> dict[str, Any]:
    """Trains by a method and has gold judge. Returns: what the table needs."""
    place = RUNS / demo.name / name.replace(" ", "").replace(",", "-")
    kept = place / "row.json"
    if kept.is_file():
        return json.loads(kept.read_text(encoding="utf-8"))
    place.mkdir(parents=True, exist_ok=True)
    stage, *settings = METHODS.get(name, ("",))
    seconds, policies = 0.0, demo / layout.PPO
    if stage:
        collect, policies = demo / layout.COLLECT, place / "run"
        files = [f"preferences={collect / layout.PREFERENCES}", f"held_out={collect / layout.HELD_OUT}"]
        if stage == "kto":
            files = [f"preferences={thumbs(demo, place / 'thumbs.jsonl')}"]
        first = RUNS / demo.name / "dpo" / "run"
        again = [f"reuse={first}"] if stage == "dpo" and "score=" not in " ".join(settings) and name != "dpo" else []
        seconds = typed(
            stage, f"policy={demo / 'sft/model'}", *files, f"out={policies}", "threads=1", *settings, *again
        )
    prompts = {part: f"{part}_prompts={demo / 'world' / layout.prompts(part)}" for part in ("validation", "test")}
    shared = [f"reference={demo / 'sft/model'}", f"candidates={policies / layout.MODELS}", "judge=gold", "threads=1"]
    typed("evaluate", *shared, *prompts.values(), f"out={place / 'evaluate'}", f"reward={demo / 'reward/model'}")
    row = judged(place / "evaluate") | {"seconds": seconds}
    write_text(kept, json.dumps(row) + "\n")
    return row


def judged(folder: Path) -> dict[str, Any]:
    """What gold found of the selected policy on test prompts, beside SFT."""
    said = json.loads((folder / layout.EVALUATION).read_text(encoding="utf-8"))
    ours, sft = said["models"][said["selected"]], said["models"][said["reference"]]["test"]
    test, win = ours["test"], ours["test"]["win_rate"]

    def gold(split: dict[str, Any], name: str) -> float:
        return split["gold"][name]["mean"]

    return {
        "validation": ours["validation"]["win_rate"]["mean"],
        "win": [win["mean"], win["low"], win["high"]],
        "harmful": gold(test, "harmful") / gold(sft, "harmful") - 1,
        "over_refusal": 100 * (gold(test, "over_refusal") - gold(sft, "over_refusal")),
        "kl": test["kl_nats"]["mean"],
        "length": test["length"] / sft["length"] - 1,
    }


def table(names: Sequence[str], rows: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown: a line for each method, a number for each seed."""
    lines = [
        "| method | wins over SFT, % | harmful, change | over-refusal, points | KL, nats | length | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in names:
        some = rows[name]
        wins = ", ".join(
            f"{100 * row['win'][0]:.0f} [{100 * row['win'][1]:.0f}, {100 * row['win'][2]:.0f}]" for row in some
        )
        cells = [
            ", ".join(f"{100 * row['harmful']:+.0f} %" for row in some),
            ", ".join(f"{row['over_refusal']:+.1f}" for row in some),
            ", ".join(f"{row['kl']:.1f}" for row in some),
            ", ".join(f"{100 * row['length']:+.0f} %" for row in some),
            ", ".join(f"{row['seconds']:.0f}" if row["seconds"] else "-" for row in some),
        ]
        lines.append(f"| {name} | {wins} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Runs what is not there yet, and writes the page."""
    given = dict(word.split("=", 1) for word in sys.argv[1:] if word.startswith("only="))
    demos = [Path(word).resolve() for word in sys.argv[1:] if not word.startswith("only=")]
    if not demos:
        print("direct.py needs finished pipelines: python benchmarks/direct.py DEMO ... Skipped.")
        return
    every = [PPO, *METHODS]
    names = given.get("only", "").split(",") if "only" in given else every
    rows = {name: [run(demo, name) for demo in demos] for name in every if name in names}
    losses = [name for name in rows if METHODS.get(name, ("",))[0] == "dpo"]
    text = f"""# Learning directly beside learning by reward

Written by `python benchmarks/direct.py DEMO ...`: from the helpdesk's SFT model and judgements, a number for each of
{len(demos)} seeds. Gold judges on the pipeline's test prompts, a tie is half a win, brackets are 95 % intervals. What a
name does not tell is prefloop's default. CPU seconds of one thread, of learning alone; those of PPO and its reward
model stand in the pipeline's report.

{table(list(rows), rows)}
"""
    if losses:
        best = max(losses, key=lambda name: sum(row["validation"] for row in rows[name]))
        text += f"\nOf the losses of dpo, `{best}` won most often on validation prompts, over all seeds.\n"
    write_text(PAGE, text)
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
