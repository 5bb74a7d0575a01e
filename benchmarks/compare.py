"""Every method on the same preferences, over seeds: `python benchmarks/compare.py DIR [DIR ...] [seeds=0,1,2]`.

DIR is the folder of `prefloop compare helpdesk seed=N out=DIR methods=[...]`, which is run here if it has not ended,
one for each seed; the N-th has seed N unless seeds= says otherwise. Writes docs/results/compare.md.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from prefloop import layout
from prefloop.compare.methods import METHODS
from prefloop.files.atomic import write_text
from prefloop.files.documents import read_document
from prefloop.records.compared import Compared, Tried
from prefloop.records.evaluations import Measured, bounds, mean

PAGE = Path(__file__).parents[1] / "docs" / "results" / "compare.md"
UNKNOWN = """ The reward model of a run here was trained before CPU seconds were counted, so that
they are missing beside the methods that rest on it."""
ASKED = [name for name in METHODS if name not in ("simpo", "orpo")]


def compared(folder: Path, seed: int) -> Compared:
    """What was found for one seed. Raises: SystemExit if it cannot be run."""
    typed = ["helpdesk", f"seed={seed}", f"out={folder}", f"methods=[{', '.join(ASKED)}]"]
    done = subprocess.run([sys.executable, "-W", "ignore", "-m", "prefloop", "compare", *typed], check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"prefloop compare {' '.join(typed)} ended with {done.returncode}")
    return read_document(folder / layout.COMPARE / layout.COMPARED, Compared)


def with_ends(measured: Measured, scale: float = 100.0) -> str:
    """A number with its interval, in percent."""
    value, ends = mean(measured), bounds(measured)
    if value is None:
        return "-"
    interval = f" [{scale * ends[0]:.0f}, {scale * ends[1]:.0f}]" if ends else ""
    return f"{scale * value:.0f}{interval}"


def table(found: Sequence[Compared]) -> str:
    """Markdown: a line for each method, a number for each seed."""
    lines = [
        "| method | wins over SFT, % | harmful, % | over-refusal, % | KL, nats | tokens | judgements "
        "| CPU s, + reward model | memory, MB | tokens sampled, thousands |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    by_name = [{one.name: one for one in each.tried} for each in found]
    for name in by_name[0]:
        rows = [each[name] for each in by_name if name in each]

        def cell(told: Callable[[Tried], str], rows: Sequence[Tried] = rows) -> str:
            return ", ".join(told(one) if one.failed is None else "failed" for one in rows)

        cells = [
            cell(lambda one: with_ends(one.test and one.test.win_rate)),
            cell(lambda one: with_ends(one.test and one.test.measured("harmful"))),
            cell(lambda one: with_ends(one.test and one.test.measured("over_refusal"))),
            cell(lambda one: f"{mean(one.test.kl_nats) or 0:.1f}" if one.test else "-"),
            cell(lambda one: f"{one.test.length:.0f}" if one.test and one.test.length else "-"),
            cell(lambda one: f"{one.judgements:,}"),
            cell(_seconds),
            cell(lambda one: f"{one.own.peak_mb:.0f}" if one.own and one.own.peak_mb else "-"),
            cell(lambda one: f"{one.own.sampled_tokens / 1000:.0f}" if one.own and one.own.sampled_tokens else "-"),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _seconds(one: Tried) -> str:
    own = one.own.cpu_seconds if one.own else 0.0
    return f"{own:.0f}" + (f" + {one.shared.cpu_seconds:.0f}" if one.shared and one.shared.cpu_seconds else "")


def main() -> None:
    """Runs what is not there yet, and writes the page."""
    given = dict(word.split("=", 1) for word in sys.argv[1:] if word.startswith("seeds="))
    folders = [Path(word).resolve() for word in sys.argv[1:] if not word.startswith("seeds=")]
    if not folders:
        print("compare.py needs a folder for each seed: python benchmarks/compare.py DIR ... Skipped.")
        return
    seeds = [int(seed) for seed in given.get("seeds", ",".join(map(str, range(len(folders))))).split(",")]
    found = [compared(folder, seed) for folder, seed in zip(folders, seeds, strict=True)]
    reference = ", ".join(
        f"{with_ends(each.reference.measured('harmful'))} and {with_ends(each.reference.measured('over_refusal'))}"
        for each in found
    )
    shared = [one.shared for each in found for one in each.tried if one.shared]
    unknown = "" if all(cost.cpu_seconds for cost in shared) else UNKNOWN
    num, asked = found[0].reference.num_prompts, ", ".join(ASKED)
    text = f"""# What each method gains and costs

Written by `python benchmarks/compare.py DIR ...`, which types `prefloop compare helpdesk seed=N out=DIR
methods=[{asked}]`
for the seeds {", ".join(map(str, seeds))}; a number in a cell for each. The helpdesk's own model, its preferences, its
reward model; gold judges on {num} new prompts, a tie is half a win, brackets are 95 % intervals over prompts. `sft` has
one half by definition; harmful and over-refusal of SFT: {reference}. CPU seconds of learning, one thread, measuring not
counted, beside nothing but short tests; best of n trains nothing and pays at every answer. `rlaif` learns
from a simulated judge, half as able as people, that likes what stands first, and length. What a name does not tell is
prefloop's default, or the recipe's.{unknown}

{table(found)}
"""
    write_text(PAGE, text)
    print(text)


if __name__ == "__main__":
    main()
