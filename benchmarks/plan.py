"""Does `prefloop plan` foresee what a stage then takes?

    python benchmarks/plan.py [model=FOLDER] [only=sft,reward]

Each configuration is planned, then run to its end by the command line, each in a process of its own and on one thread:
the peak of its memory beside the planned one, and its seconds beside the planned ones. Rows are half of the
assistant's demonstrations; pairs are made of two of them. With `model=` (SmolLM2-135M-Instruct is meant) that model is
taken, with adapters and with all weights; without, a random Llama of 3.4 million weights. Each writes its part of
docs/results/plan.md. About 20 CPU minutes with a model of 135 million weights.
"""

import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import peers
import torch
from pages import write_parts

import prefloop
from prefloop import layout
from prefloop.costs.estimate import Estimate
from prefloop.costs.speed import measured
from prefloop.files.documents import read_document
from prefloop.files.tables import read_records, write_records
from prefloop.models.device import placement
from prefloop.models.machine import held_memory
from prefloop.named import named
from prefloop.plan.command import planned
from prefloop.records import Demonstration, Message, Preference, Prompt, Timing
from prefloop.stages import STAGES

DEMONSTRATIONS = Path(prefloop.__file__).parent / "recipes" / "assistant_demonstrations.jsonl"
PAGE = Path(__file__).parents[1] / "docs" / "results" / "plan.md"
SMALL, LARGE = "A random Llama of 3.4 million weights", "SmolLM2-135M-Instruct"
"""The headings of the page."""
OPENING = f"# plan: what is foreseen, and what is then taken\n\n{str(__doc__).split(chr(10) * 2)[2]}\n"
ALLOWED = 0.15
PPO = {"steps": 2, "rollouts_per_step": 32, "minibatch_size": 16, "max_new_tokens": 48}
SFT = {"demonstrations": "demonstrations.jsonl", "epochs": 1, "gate": "warn"}
PAIRS = {"preferences": "pairs.jsonl", "held_out": "held_out.jsonl"}
LONG = {"preferences": "long.jsonl", "held_out": "held_out.jsonl"}
SMALL_ONES: dict[str, tuple[str, dict[str, Any]]] = {
    "sft": ("sft", SFT),
    "reward": ("reward", PAIRS),
    "ppo, the critic on the policy's trunk": ("ppo", {**PPO, "critic": "shared"}),
    "ppo, a critic of its own": ("ppo", {**PPO, "critic": "separate"}),
}
LARGE_ONES: dict[str, tuple[str, dict[str, Any]]] = {
    "sft, adapter": ("sft", SFT),
    "sft, adapter, layers computed again": ("sft", {**SFT, "recompute": "true"}),
    "sft, adapter, frozen weights in int8": ("sft", {**SFT, "weights": "int8"}),
    "sft, all weights": ("sft", {**SFT, "adapter": "none"}),
    "reward, adapter": ("reward", PAIRS),
    "reward, all weights": ("reward", {**PAIRS, "adapter": "none"}),
    "reward, adapter, rows of 300 to 900 tokens": ("reward", LONG),
    "ppo, adapter": ("ppo", PPO),
}
"""What is run -> stage and settings."""


def write_rows(folder: Path) -> None:
    """Writes demonstrations, prompts, pairs of two demonstrations' responses, and pairs with long prompts."""
    told = read_records(DEMONSTRATIONS, Demonstration)[::2]
    draw = random.Random(0)
    write_records(folder / "demonstrations.jsonl", told)
    write_records(folder / "prompts.jsonl", [Prompt(id=row.id, messages=row.messages) for row in told])
    pairs = [
        Preference(id=row.id, messages=row.messages, chosen=row.response, rejected=other.response)
        for row, other in itertools.pairwise(told)
        if row.response != other.response
    ]
    write_records(folder / "pairs.jsonl", pairs[:128])
    write_records(folder / "held_out.jsonl", pairs[128:160])
    long = list[Preference]()
    for row in pairs[:64]:
        before = list[Message]()
        for other in draw.sample(told[:128], draw.randrange(4, 12)):
            before += [*other.messages, Message(role="assistant", content=other.response)]
        long.append(row.model_copy(update={"messages": (*before, *row.messages)}))
    write_records(folder / "long.jsonl", long)


def foreseen(name: str, arguments: list[str]) -> dict[str, float]:
    """What `prefloop plan` computes. Returns: bytes of the peak, seconds."""
    stage = STAGES[name]
    settings: Any = named(stage.settings or "").load(None, arguments)
    torch.set_num_threads(1)
    place = placement(settings.device, settings.dtype)
    plan, _ = planned(stage, settings)
    needs = plan(settings)
    return {"peak": Estimate(needs, held_memory(place.device)).peak, "seconds": measured(place).seconds(needs.parts)}


def both(name: str, given: dict[str, Any], folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """A configuration, planned and then run. Returns: planned and measured bytes and seconds; measured is never less
    than what this process holds, which Linux counts to a child's peak."""
    out = Path(tempfile.mkdtemp(dir=folder)) / "out"
    words = [f"{key}={value}" for key, value in {**given, "out": out, "threads": 1}.items()]
    plan = json.loads(_run(folder, [sys.executable, __file__, "--plan", name, *words]).splitlines()[-1])
    _run(folder, [sys.executable, "-m", "prefloop", name, *words])
    timing = read_document(out / layout.TIMING, Timing)
    return plan, {"peak": timing.peak_mb * 2**20, "seconds": timing.seconds}


def _run(folder: Path, command: list[str]) -> str:
    here = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=folder, env=here, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return done.stdout


def part(heading: str, rows: list[tuple[str, dict[str, float], dict[str, float]]]) -> str:
    """A part of the page."""
    lines = [
        f"## {heading}",
        "",
        "| configuration | peak planned, MB | measured | ratio | seconds planned | measured | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    within = {"peak": 0, "seconds": 0}
    for name, plan, was in rows:
        ratios = {key: was[key] / plan[key] for key in within}
        for key, ratio in ratios.items():
            within[key] += abs(ratio - 1) <= ALLOWED
        lines.append(
            f"| {name} | {plan['peak'] / 1e6:.0f} | {was['peak'] / 1e6:.0f} | {ratios['peak']:.2f} "
            f"| {plan['seconds']:.0f} | {was['seconds']:.0f} | {ratios['seconds']:.2f} |"
        )
    lines += [
        "",
        f"Within {ALLOWED:.0%}: the peak of {within['peak']} of {len(rows)}, the time of {within['seconds']}.",
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Plans and runs all of them, and writes the page's part."""
    given = dict(word.split("=", 1) for word in arguments)
    some = given.get("only", "").split(",") if "only" in given else None
    rows = list[tuple[str, dict[str, float], dict[str, float]]]()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_rows(folder)
        heading, model = (LARGE, given["model"]) if "model" in given else (SMALL, peers.random_model(folder, "small"))
        scorer = peers.reward_model(folder, model)
        for name, (stage, settings) in (LARGE_ONES if "model" in given else SMALL_ONES).items():
            if some is not None and stage not in some:
                continue
            files = (
                {"policy": model, "reward": scorer, "prompts": "prompts.jsonl"} if stage == "ppo" else {"model": model}
            )
            rows.append((name, *both(stage, {**files, **settings}, folder)))
            print(rows[-1], flush=True)
    text = part(heading, rows)
    print(text)
    if some is None:
        write_parts(PAGE, OPENING, {heading: text}, (LARGE, SMALL))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--plan"]:
        print(json.dumps(foreseen(sys.argv[2], sys.argv[3:])))
    else:
        main(sys.argv[1:])
