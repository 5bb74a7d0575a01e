"""What the lab found, as tables in Markdown: `python benchmarks/overopt.py DIR/lab/lab.json`.

DIR is what `prefloop lab overopt helpdesk out=DIR` wrote. The first table is of cells, the second of laws, the third of
every run: where gold turned, and at which step each rule of signs raised an alarm first.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from prefloop.files.documents import read_document
from prefloop.lab.page import has_turned
from prefloop.lab.words import described
from prefloop.records.evaluations import Interval
from prefloop.records.overopt import Lab, LabCell


def told(value: Interval | float | None, digits: int = 2) -> str:
    """A number, with its interval if it has one."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    ends = "" if value.low is None or value.high is None else f" [{value.low:.{digits}f}, {value.high:.{digits}f}]"
    return f"{value.mean:.{digits}f}{ends}"


def of_cell(cell: LabCell) -> str:
    """A line of the first table: a number for each seed where one is told of each."""
    ran = [run for run in cell.runs if run.trained]

    def each(values: Sequence[float], digits: int = 2) -> str:
        return ", ".join(f"{value:.{digits}f}" for value in values) or "-"

    turns = [run.turned for run in ran if run.turned]
    cells = [
        described(cell.settings, "en"),
        f"{sum(map(has_turned, ran))} of {len(ran)}",
        each([turn.rise for turn in turns]),
        each([turn.kl for turn in turns], 1),
        each([turn.fall for turn in turns]),
        each([turn.proxy_rise for turn in turns]),
        each([run.trained[-1].kl for run in ran], 0),
        told(cell.end),
        told(cell.ahead),
    ]
    return f"| {cell.name} | {' | '.join(cells)} |"


def of_laws(cell: LabCell) -> list[str]:
    """Lines of the second table."""
    rows: list[str] = []
    for law, far, ahead in ((cell.rl, cell.end, cell.ahead), (cell.best_of_n, cell.chosen_end, cell.chosen_ahead)):
        if law is not None:
            highest = "nowhere" if law.peak_kl is None else f"{law.peak_kl:.1f}"
            name = "RL" if law.law == "rl" else "best of n"
            numbers = " | ".join([told(law.a), told(law.b), told(law.r2), highest, told(far), told(ahead)])
            rows.append(f"| {cell.name} | {name} | {numbers} |")
    return rows


def of_runs(cell: LabCell) -> list[str]:
    """Lines of the third table."""
    rows: list[str] = []
    for run in cell.runs:
        if run.turned is None:
            rows.append(f"| {cell.name} | {run.seed} | {run.failed} |")
            continue
        heard = ", ".join(f"{name} {step}" for name, step in sorted(run.alarms.items(), key=lambda each: each[1]))
        turn = run.turned
        cells = f"{told(run.accuracy)} | {turn.place} | {told(turn.fall)} | {told(turn.fall_low)} | {heard or 'none'}"
        rows.append(f"| {cell.name} | {run.seed} | {cells} |")
    return rows


def main(typed: Sequence[str]) -> None:
    """Prints the tables."""
    if not typed:
        print("overopt.py needs DIR/lab/lab.json, which `prefloop lab overopt helpdesk out=DIR` wrote. Skipped.")
        return
    found = read_document(Path(typed[0]), Lab)
    first = found.cells[0].name
    print(
        "| cell | what it is | turned | gold rose by | to its highest at, nats | fell by | score rose meanwhile by | "
        f"end, nats | gold at the end | ahead of {first} |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    print("\n".join(map(of_cell, found.cells)), end="\n\n")
    print(f"| cell | law | a | b | R2 | highest at, nats | gold at the end, of {found.best_of} | ahead of {first} |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(row for cell in found.cells for row in of_laws(cell)), end="\n\n")
    print("| cell | seed | accuracy | gold's highest, step | fell by | at least | alarms, step |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(row for cell in found.cells for row in of_runs(cell)))


if __name__ == "__main__":
    main(sys.argv[1:])
