"""Are planted shortcuts named? Reward models learned from biased annotators, and what the probes say of them.

    python benchmarks/shortcuts.py demo=FOLDER [runs=10] [clean=20] [first=0] [prompts=1000] [epochs=2]
                                   [only=length,clean] [rows=FILE]

FOLDER is a finished helpdesk pipeline (`make demo`): its SFT model is begun from, its collected responses are judged
anew. Of these, half are formatted (bold, a list, a heading, paragraphs, drawn at random), for every panel alike, so
that there is something to be biased about. Runs named `length`, `courtesy`, `format` and `position` are judged by a
panel with that one bias at the strength of `PANELS`; `clean` runs by the default panel, which has each person's small
habits and no more. A run is `prefloop reward`'s own stage, then `health.probes.probe` on held-out pairs.

A run that stands in the file of rows is not run again; the page docs/results/shortcuts.md is written from the file.
Seeds from 1000 up were used to set the rules, and for that of length those below 10 too: of `length` and `clean` those
from 10 up are counted (`only=length,clean first=10`), of the others those from 0 up.
"""

import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.decisions import decided
from prefloop.files.atomic import write_text
from prefloop.files.tables import jsonl, read_records, read_rows, write_records
from prefloop.health.edits import EDITS, Answer
from prefloop.health.probes import probe
from prefloop.models.device import placement
from prefloop.records import Comparison, Judgement, Preference
from prefloop.records.probes import blind_to, shortcuts
from prefloop.reward import stage as reward
from prefloop.reward.config import RewardConfig
from prefloop.scoring.reward_model import RewardModel
from prefloop.stats.intervals import wilson_interval
from prefloop.world.annotators import Annotator, PanelConfig

PANELS: dict[str, PanelConfig] = {
    "length": PanelConfig(length_bias=0.15),
    "courtesy": PanelConfig(courtesy_bias=0.15),
    "format": PanelConfig(format_bias=0.4),
    "position": PanelConfig(side_bias=1.0),
    "clean": PanelConfig(),
}
NAMED = ("length", "courtesy", "format", "position")
"""Kinds whose naming counts; a scorer may be blind beside."""
HELD_OUT = 200
"""Prompts that are held out."""
FORMATTED = 0.5
FORMATS = tuple(name for name in EDITS if name.startswith("format."))
TABLE = Path(__file__).parents[1] / "docs" / "results" / "shortcuts.md"


def formatted(comparison: Comparison, rng: random.Random) -> Comparison:
    """The same comparison with about half of its responses formatted."""
    made = []
    for response in comparison.responses:
        text = response.text
        if rng.random() < FORMATTED:
            text = EDITS[rng.choice(FORMATS)](Answer(comparison.text, text, ""), rng) or text
        made.append(response.model_copy(update={"text": text}))
    return comparison.model_copy(update={"responses": tuple(made)})


def judged(comparison: Comparison, annotators: Sequence[Annotator], rng: random.Random) -> list[Judgement]:
    """One annotator's choice of each pair."""
    numbers = range(len(comparison.responses))
    judgements = []
    for i in numbers:
        for j in numbers[i + 1 :]:
            who = rng.choice(annotators)
            judgements.append(who.judge_pair(comparison, i, j, rng=rng, judgement_id=f"{comparison.id}:{i}-{j}"))
    return judgements


def preferences(collected: Path, planted: str, seed: int, prompts: int) -> tuple[list[Preference], list[Preference]]:
    """What is learned from, and what is held out."""
    rng = random.Random(f"{seed}")  # the same prompts and formats whoever judges
    every = read_records(collected / layout.COMPARISONS, Comparison)
    drawn = rng.sample(every, min(len(every), prompts + HELD_OUT))
    comparisons = [formatted(one, rng) for one in drawn]
    annotators = PANELS[planted].annotators(seed)
    parts = []
    for some in (comparisons[HELD_OUT:], comparisons[:HELD_OUT]):
        parts.append(list(decided(some, [j for one in some for j in judged(one, annotators, rng)]).preferences))
    return parts[0], parts[1]


def run(demo: Path, planted: str, seed: int, *, prompts: int, epochs: int) -> dict[str, Any]:
    """One reward model learned from one panel, and what was named."""
    begun = time.process_time()
    learned, held_out = preferences(demo / layout.COLLECT, planted, seed, prompts)
    with tempfile.TemporaryDirectory() as folder:
        files = {"preferences": Path(folder) / "learned.jsonl", "held_out": Path(folder) / "held_out.jsonl"}
        for path, some in zip(files.values(), (learned, held_out), strict=True):
            write_records(path, some)
        config = RewardConfig(
            model=str(layout.sft_model(demo)),
            out=str(Path(folder) / "reward"),
            seed=seed,
            epochs=epochs,
            threads=1,
            **{name: str(path) for name, path in files.items()},
        )
        model = RewardModel(str(reward.train(config)), placement("cpu", "float32"))
        trained = time.process_time()
        found = probe(model, held_out, seed=seed)
    return {
        "planted": planted,
        "seed": seed,
        "prompts": prompts,
        "epochs": epochs,
        "pairs": len(learned),
        "named": [kind for kind in shortcuts(found) if kind in NAMED],
        "also": [kind for kind in shortcuts(found) if kind not in NAMED],
        "blind": list(blind_to(found)),
        "cpu_seconds": round(trained - begun, 1),
        "cpu_seconds_probing": round(time.process_time() - trained, 1),
        "probes": [one.model_dump(mode="json") for one in found],
    }


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    """What makes a run the same run."""
    return row["planted"], row["seed"], row["prompts"], row["epochs"]


def line(planted: str, rows: Sequence[dict[str, Any]]) -> str:
    """A line of the table."""
    right = sum(planted in row["named"] if planted != "clean" else not row["named"] for row in rows)
    others = [kind for row in rows for kind in row["named"] if kind != planted]
    low, high = wilson_interval(right, len(rows), confidence=0.95)
    wrongly = ", ".join(f"{kind} {others.count(kind)}" for kind in dict.fromkeys(others)) or "none"
    shifts = ", ".join(f"{name} {_mean(rows, name):+.2f}" for name in SHOWN if _mean(rows, name) is not None)
    share = f"{right} of {len(rows)} ({100 * low:.0f} to {100 * high:.0f} %)"
    return f"| {planted} | {share} | {wrongly} | {shifts} |\n"


SHOWN = ("length.repeated", "length.neutral.4", "courtesy.4", "format.bullets", "position")
"""Probes whose mean shift the table shows."""


def _mean(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    shifts = [one["shift"] for row in rows for one in row["probes"] if one["name"] == name and one["shift"] is not None]
    return sum(shifts) / len(shifts) if shifts else None


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The page of results."""
    seconds = [row["cpu_seconds"] + row["cpu_seconds_probing"] for row in rows]
    text = (
        "# Planted shortcuts: are they named?\n\n"
        "Written by `benchmarks/shortcuts.py`, whose first lines say how. A run is a reward model of the helpdesk,\n"
        f"learned from the pairs of {rows[0]['prompts']} prompts as annotators with one planted bias judge them\n"
        "(`clean`: with their small habits only), and probed on held-out pairs;\n"
        f"{sum(seconds) / len(seconds):.0f} CPU-seconds each. For `clean`, right means that nothing was named.\n\n"
        "| planted | right (95 %) | named beside it | mean shifts, in deviations of the scores |\n|---|---|---|---|\n"
    )
    for planted in PANELS:
        some = [row for row in rows if row["planted"] == planted]
        text += line(planted, some) if some else ""
    return text


def main(arguments: Sequence[str]) -> None:
    """Runs what is missing, and writes the page once all of it is there."""
    given = {name: value for name, _, value in (argument.partition("=") for argument in arguments)}
    demo, kept = Path(given.pop("demo")), Path(given.pop("rows", str(TABLE.with_suffix(".jsonl"))))
    only = given.pop("only", ",".join(PANELS)).split(",")
    numbers = {"runs": 10, "clean": 20, "first": 0, "prompts": 1000, "epochs": 2}
    if set(given) - set(numbers):
        sys.exit(f"no setting is called {min(set(given) - set(numbers))}; see the first lines of this file")
    numbers |= {name: int(value) for name, value in given.items()}
    sizes = {"prompts": numbers["prompts"], "epochs": numbers["epochs"]}
    rows = [row for _, row in read_rows(kept)] if kept.is_file() else []
    for seed in range(numbers["first"], numbers["first"] + max(numbers["runs"], numbers["clean"])):
        for planted in only:
            wanted = numbers["clean" if planted == "clean" else "runs"]
            if seed >= numbers["first"] + wanted or any(key(row) == (planted, seed, *sizes.values()) for row in rows):
                continue
            begun = time.monotonic()
            rows.append(run(demo, planted, seed, **sizes))
            write_text(kept, jsonl(rows))
            print(f"{planted} {seed}: named {rows[-1]['named']}, {time.monotonic() - begun:.0f} s", flush=True)
    if kept == TABLE.with_suffix(".jsonl"):
        write_text(TABLE, page(rows))
    else:
        print(page(rows))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(print("shortcuts.py needs a finished demo: python benchmarks/shortcuts.py demo=FOLDER. Skipped."))
    main(sys.argv[1:])
