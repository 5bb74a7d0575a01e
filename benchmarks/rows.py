"""Ten thousand preferences against a million: memory, and time to the first update.

python benchmarks/rows.py makes files of short preferences, begins to learn from each in a process of its own with a
tiny model, stops after a few updates, goes on once, and writes docs/results/rows.md. About two CPU-minutes.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "results" / "rows.md"
UPDATES = 20
"""Updates after which a run is stopped."""
TEXT = "parcel late refund order please number help where thanks broken box the my is not it was to again account card"
WORDS = TEXT.split()


def write_preferences(path: Path, num: int) -> None:
    """Writes that many preferences of random words: 12 words in a prompt, 4 to 24 in a response."""
    draw = random.Random(num)
    with path.open("w", encoding="utf-8") as file:
        for number in range(num):
            asked, *both = (" ".join(draw.choices(WORDS, k=size)) for size in (12, *draw.choices(range(4, 25), k=2)))
            messages = [{"role": "user", "content": f"{asked} {number}"}]
            row = {"id": f"p{number}", "messages": messages, "chosen": f"{both[0]} sorry", "rejected": both[1]}
            file.write(json.dumps(row) + "\n")


def write_model(folder: Path) -> None:
    """Writes a model of 20 thousand weights that has learned nothing."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from prefloop.pretrain.tokenizer import trained_tokenizer
    from prefloop.text.templates import template_text

    tokenizer = trained_tokenizer([" ".join(WORDS)] * 100, vocab_size=400)
    tokenizer.chat_template = template_text("turns")
    torch.manual_seed(0)
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=128,
        eos_token_id=end,
        bos_token_id=end,
        pad_token_id=pad,
        **size,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def learn(preferences: Path, model: Path, out: Path) -> None:
    """Begins a reward model or goes on with it, stops after some updates, and prints what it took, as JSON."""
    begun = time.monotonic()
    from prefloop.reward.config import RewardConfig
    from prefloop.reward.stage import train
    from prefloop.run import Run

    seen = {"updates": 0, "first": 0.0, "cpu": 0.0}
    real = Run.log

    def log(run: Run, step: int, metrics: dict[str, float]) -> None:
        real(run, step, metrics)
        seen["first"] = seen["first"] or time.monotonic() - begun
        seen["cpu"] = seen["cpu"] or time.process_time()
        seen["updates"] += 1
        if seen["updates"] == UPDATES:
            raise KeyboardInterrupt

    Run.log = log
    config = RewardConfig(
        model=str(model),
        preferences=str(preferences),
        out=str(out),
        threads=1,
        checkpoint_every=UPDATES - 1,
        lr=1e-3,
        micro_tokens=4096,
    )
    try:
        train(config)
    except KeyboardInterrupt:
        print(json.dumps({**seen, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def measured(preferences: Path, model: Path, out: Path) -> dict[str, float]:
    """What `learn` says, in a process of its own."""
    command = [sys.executable, __file__, "--learn", str(preferences), str(model), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def page(rows: list[tuple[int, float, dict[str, float], dict[str, float]]]) -> str:
    """The table, as Markdown."""
    head = ["preferences", "file", *("peak memory", "first update after", "CPU till then") * 2]
    lines = [
        "# rows: a million preferences in the memory of ten thousand",
        "",
        "Written by `python benchmarks/rows.py`: `prefloop reward` with a tiny model, stopped after",
        f"{UPDATES} updates (left), and once more with the same command, which goes on (right). One thread of torch on",
        f"{os.cpu_count()} cores, which others used too (load {os.getloadavg()[2]:.0f}): what the stage needs is the",
        "CPU time. All is from the start of the process, imports included, to the end of the first update.",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
    ]
    for num, size, first, again in rows:
        took = [
            cell
            for each in (first, again)
            for cell in (f"{each['memory']:.0f} MB", f"{each['first']:.1f} s", f"{each['cpu']:.1f} s")
        ]
        lines.append(f"| {num:,} | {size:.0f} MB | {' | '.join(took)} |")
    (few, _, one, _), *_, (many, _, other, _) = rows
    more = other["memory"] - one["memory"]
    lines += [
        "",
        f"{many / few:,.0f} times as many rows take {more / one['memory']:+.1%} memory, which is",
        f"{more * 2**20 / (many - few):.0f} bytes for each further row at the peak, while prompts are parted.",
        "Every row was checked before the first update; rows are read again and tokenised when their batch comes.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measures both, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--out", type=Path, default=PAGE)
    parser.add_argument("--learn", type=Path, nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.learn:
        learn(*asked.learn)
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder) / "model")
        for num in asked.rows:
            preferences = Path(folder) / f"{num}.jsonl"
            write_preferences(preferences, num)
            first, again = (measured(preferences, Path(folder) / "model", Path(folder) / f"out{num}") for _ in range(2))
            rows.append((num, preferences.stat().st_size / 1e6, first, again))
            print(rows[-1])
    asked.out.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
