"""The lab's page: the picture, a table of cells, their laws, and every run with its alarms."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median_low

from markupsafe import Markup

from prefloop import layout
from prefloop.drawing.numerals import estimate, figure, in_words, written
from prefloop.drawing.pages import rendered
from prefloop.files.atomic import write_text
from prefloop.lab.picture import gold_at, picture
from prefloop.lab.words import LANGUAGES, described, label
from prefloop.records.evaluations import bounds
from prefloop.records.overopt import Lab, LabCell, LabRun

HERE = Path(__file__).parent
PAGES = {"en": layout.PAGE, "zh": layout.PAGE_ZH}
PICTURES = {"en": layout.PICTURE, "zh": layout.PICTURE_ZH}
LEAST = 0.3
"""Deviations that gold falls from its highest at least, for it to have turned."""


@dataclass(frozen=True)
class Row:
    """A line of a table: its name, a few words, and its cells in the order of the columns."""

    name: str
    what: str
    cells: tuple[Markup | str, ...]


def write(found: Lab, folder: Path) -> Path:
    """Writes page and picture in both languages. Returns: the English page."""
    for language in LANGUAGES:
        write_text(folder / PICTURES[language], f"{picture(found, language)}\n")
        write_text(folder / PAGES[language], page(found, language))
    return folder / layout.PAGE


def page(found: Lab, language: str) -> str:
    """The page as HTML."""
    t = partial(label, language=language)
    first = found.cells[0].name
    columns = ["accuracy", "turned", "peak_kl", "peak", "end_kl", "proxy", "end"]
    context = {
        "t": t,
        "title": found.title,
        "on": t("on", algorithm=found.algorithm, num=len(found.seeds), prompts=found.num_prompts),
        "verdict": verdict(found, language),
        "alarms": alarms(found, language),
        "tiles": [],
        "picture": picture(found, language),
        "least": LEAST,
        "columns": [*(t(f"col.{name}") for name in columns), t("col.ahead", first=first)],
        "far": [t("col.far", n=found.best_of), t("col.ahead", first=first)],
        "rows": [_row(cell, language) for cell in found.cells],
        "laws": [row for cell in found.cells for row in _laws(cell, language)],
        "runs": [_run(cell, run, language) for cell in found.cells for run in cell.runs if run.trained],
    }
    return rendered(HERE, "lab.html", context, language=language)


def has_turned(run: LabRun) -> bool:
    """Whether gold fell by `LEAST` or more while the score rose."""
    return run.turned is not None and run.turned.fall >= LEAST and run.turned.proxy_rise > 0


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def verdict(found: Lab, language: str) -> list[str]:
    """What the curves say, in a few sentences: of the first cell, and of what the others are ahead of it."""
    t = partial(label, language=language)
    first = found.cells[0]
    told = [_turned(first, language)]
    for cell in found.cells[1:]:
        ends = bounds(cell.ahead)
        if cell.ahead is None:
            continue
        side = "unclear" if ends is None or ends[0] <= 0 <= ends[1] else "higher" if ends[0] > 0 else "lower"
        told.append(t(f"ahead.{side}", name=cell.name, first=first.name, ahead=in_words(cell.ahead)))
    return [*told, *_of_signs(found, language)]


def _turned(cell: LabCell, language: str) -> str:
    turns = [run.turned for run in cell.runs if run.turned is not None]
    numbers = {
        "kl": written(_mean([turn.kl for turn in turns]), "nats"),
        "rise": written(_mean([turn.rise for turn in turns])),
        "fall": written(_mean([turn.fall for turn in turns])),
        "proxy": written(_mean([turn.proxy_rise for turn in turns])),
    }
    num = sum(has_turned(run) for run in cell.runs)
    return label("turned", language, name=cell.name, turned=num, num=len(turns), **numbers)


def _of_signs(found: Lab, language: str) -> list[str]:
    """How signs did on the runs that turned: those which watch a run hear nothing of gold."""
    t = partial(label, language=language)
    runs = [run for cell in found.cells for run in cell.runs if has_turned(run)]
    heard = [(min(run.alarms.values()) - run.turned.place, run) for run in runs if run.alarms and run.turned]
    if not runs:
        return []
    if not heard:
        return [t("signs.none", runs=len(runs), least=LEAST)]
    late = median_low([steps for steps, _ in heard])
    when = t(f"when.{'after' if late > 0 else 'before' if late < 0 else 'at'}", steps=abs(late))
    rules = Counter(name for _, run in heard for name in run.alarms)
    names = t("comma").join(f"{name} {num}" for name, num in rules.most_common())
    return [t("signs", num=len(heard), runs=len(runs), least=LEAST, rules=names, when=when)]


def alarms(found: Lab, language: str) -> list[str]:
    """What did not come to its end."""
    return [
        label("warn.failed", language, name=cell.name, seed=run.seed, why=run.failed)
        for cell in found.cells
        for run in cell.runs
        if run.failed is not None
    ]


def _row(cell: LabCell, language: str) -> Row:
    ran = [run for run in cell.runs if run.trained]
    turns = [run.turned for run in ran if run.turned is not None]
    cells = (
        figure(_mean([run.accuracy for run in ran]), "share"),
        Markup("{}/{}").format(sum(map(has_turned, ran)), len(ran)),
        figure(_mean([turn.kl for turn in turns]), "nats"),
        figure(_mean([gold_at(run.trained, run.turned.place) for run in ran if run.turned])),
        figure(_mean([run.trained[-1].kl for run in ran]), "nats"),
        figure(_mean([run.trained[-1].proxy for run in ran])),
        estimate(cell.end),
        estimate(cell.ahead),
    )
    return Row(cell.name, described(cell.settings, language), cells)


def _laws(cell: LabCell, language: str) -> list[Row]:
    rows: list[Row] = []
    for name, law, far, ahead in (
        ("rl", cell.rl, cell.end, cell.ahead),
        ("best_of_n", cell.best_of_n, cell.chosen_end, cell.chosen_ahead),
    ):
        if law is not None:
            highest = label("never", language) if law.peak_kl is None else figure(law.peak_kl, "nats")
            cells = (estimate(law.a), estimate(law.b), figure(law.r2), highest, estimate(far), estimate(ahead))
            rows.append(Row(cell.name, label(f"law.{name}", language), cells))
    return rows


def _run(cell: LabCell, run: LabRun, language: str) -> Row:
    assert run.turned is not None  # it was trained
    heard = label("comma", language).join(
        f"{name} {step}" for name, step in sorted(run.alarms.items(), key=lambda x: x[1])
    )
    cells = (
        figure(run.accuracy, "share"),
        figure(run.turned.place, "count"),
        figure(run.turned.kl, "nats"),
        figure(run.turned.fall),
        figure(run.turned.fall_low),
        figure(run.turned.proxy_rise),
        heard or "–",
    )
    return Row(cell.name, str(run.seed), cells)


def lines(found: Lab) -> Sequence[str]:
    """The table for a terminal."""
    told = [
        f"  {'cell':<10} {'turned':>6} {'peak KL':>8} {'peak':>6} {'end KL':>7} {'gold at the end':>22} {'ahead':>22}"
    ]
    for cell in found.cells:
        ran = [run for run in cell.runs if run.trained]
        if not ran:
            told.append(f"  {cell.name:<10} failed")
            continue
        far = written(_mean([run.turned.kl for run in ran if run.turned]), "nats")
        peak = _mean([gold_at(run.trained, run.turned.place) for run in ran if run.turned])
        told.append(
            f"  {cell.name:<10} {sum(map(has_turned, ran))}/{len(ran):<4} {far:>8} "
            f"{written(peak):>6} {written(_mean([run.trained[-1].kl for run in ran]), 'nats'):>7} "
            f"{in_words(cell.end):>22} {in_words(cell.ahead) if cell.ahead else '':>22}"
        )
    return told
