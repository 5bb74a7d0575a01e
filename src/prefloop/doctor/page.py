"""The page of `prefloop doctor` in English and Chinese: alarms with curves and samples, or one rollout in tokens."""

from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from prefloop import layout
from prefloop.doctor.examined import Examined, Finding, Shown
from prefloop.doctor.microscope import COLUMNS, Rollout, cell
from prefloop.doctor.reading import Patient
from prefloop.doctor.words import (
    LANGUAGES,
    advice,
    cure,
    exploits,
    label,
    rule,
    says,
    setting,
    summary,
    values,
    when,
    why,
)
from prefloop.drawing import charts
from prefloop.drawing.charts import Series
from prefloop.drawing.numerals import Kind, figure, written
from prefloop.drawing.pages import rendered
from prefloop.files.atomic import write_text
from prefloop.report.curves import SPECS
from prefloop.report.words import LABELS as OF_REPORT
from prefloop.signs.training import BETWEEN
from prefloop.stats.shallow import NAMES, PAYS

HERE = Path(__file__).parent
PAGES = {"en": layout.PAGE, "zh": layout.PAGE_ZH}
CURVES: dict[str, tuple[str, ...]] = {
    **{name: (metric, "scores/mean", "rewards/kl") for name, (metric, _) in BETWEEN.items()},
    "cut_off": ("rollouts/finished", "scores/mean", "rollouts/length"),
    "entropy": ("entropy/mean", "rewards/kl"),
    "clipped": ("ratio/clipped", "ratio/kl"),
    "policy_kl": ("ratio/kl", "ratio/clipped"),
    "grad_spike": ("grad/norm", "scores/mean"),
    "flat": ("groups/flat", "pairs/used"),
    "first_ratio": ("ratio/first_error",),
    "disagreement": ("scores/disagreement", "scores/mean"),
    "shallow": (*(PAYS + name for name in NAMES), "scores/mean"),
    "critic_blind": ("values/explained_variance", "loss/value"),
    "nan": ("loss/policy", "loss/train", "grad/norm"),
    "diverged": ("loss/policy", "loss/train", "grad/norm"),
    "memorised": ("loss/train", "loss/validation"),
    "overfit": ("loss/validation", "loss/train"),
    "chosen_falls": ("logprobs/chosen_validation", "entropy/validation"),
}
"""Sign -> the curves that show it."""
OTHERS = ("scores/mean", "rewards/kl", "rollouts/length", "entropy/mean")
"""Of a sign that the table does not know."""
KINDS: dict[str, Kind] = {spec.metrics[0]: spec.kind for spec in SPECS}
Context = dict[str, Any]


def write(patient: Patient, found: Examined, folder: Path) -> Path:
    """Writes the page in both languages. Returns: the English one."""
    for language in LANGUAGES:
        write_text(folder / PAGES[language], page(patient, found, language))
    return folder / layout.PAGE


def page(patient: Patient, found: Examined, language: str) -> str:
    """The page as HTML."""
    t = partial(label, language=language)
    context: Context = {
        "t": t,
        "title": str(patient.folder),
        "verdict": summary(found, language),
        "tiles": [],
        "unfinished": [t("unfinished", stage=ran.stage, steps=len(ran.rows)) for ran in found.unfinished],
        "findings": [_finding(finding, patient, language) for finding in found.findings],
        "fine": [(stage, rule(name, stage, language)) for name, stage in found.fine],
        "unchecked": [(one.stage, rule(one.name, one.stage, language), why(one, language)) for one in found.unchecked],
    }
    return rendered(HERE, "doctor.html", context, language=language)


def _finding(finding: Finding, patient: Patient, language: str) -> Context:
    """An alarm on the page."""
    t = partial(label, language=language)
    return {
        "stage": finding.ran.stage,
        "stops": finding.stops,
        "name": finding.sign.name,
        "since": "" if finding.since is None else t("since", step=finding.since),
        "says": says(finding, patient, language),
        "exploits": exploits(finding, language),
        "looked": t("values", values=values(finding.sign, language)),
        "remedies": [
            {
                "first": remedy.first and finding.treated,
                "when": when(remedy, finding, language),
                "says": cure(remedy, language),
                "changes": [setting(change) for change in remedy.changes],
                "command": " ".join(remedy.command),
            }
            for remedy in finding.remedies
        ],
        "advice": t("advice", says=text) if (text := advice(finding.sign, language)) else "",
        "plots": _plots(finding, language),
        "shown": [
            {"title": t(end), "rows": [_sample(one, language) for one in some]}
            for end, some in finding.shown.items()
            if some
        ],
    }


def _sample(shown: Shown, language: str) -> Context:
    score = written(shown.score)
    by = {"by": shown.by, "step": shown.step}
    key = "sample.model" if shown.step is None else "sample"
    return {"about": label(key, language, score=score, **by), "prompt": shown.prompt, "response": shown.response}


def _plots(finding: Finding, language: str) -> list[Context]:
    """The curves that show it, with the step at which it began."""
    plots: list[Context] = []
    for metric in CURVES.get(finding.sign.name, OTHERS):
        points = [
            (step, value)
            for row in finding.ran.rows
            if (step := row.get("step")) is not None and (value := row.get(metric)) is not None
        ]
        if not points:
            continue
        key = f"curve.{metric}"
        title = OF_REPORT[key][LANGUAGES.index(language)] if key in OF_REPORT else metric
        began = None if finding.since is None else (float(finding.since), label("since", language, step=finding.since))
        kind = KINDS.get(metric, "plain")
        plot = charts.curve(
            [Series("", points)], label=title, x_name=label("step", language), kind=kind, selected=began
        )
        plots.append({"title": title, "last": written(points[-1][1], kind), "plot": plot})
    return plots


def write_rollout(rollout: Rollout, folder: Path) -> Path:
    """Writes the page of one rollout in both languages. Returns: the English one."""
    for language in LANGUAGES:
        write_text(folder / PAGES[language], rollout_page(rollout, language))
    return folder / layout.PAGE


def rollout_page(rollout: Rollout, language: str) -> str:
    """The page of one rollout as HTML: its tokens as boxes, coloured by advantage, and the table below."""
    t, column = partial(label, language=language), LANGUAGES.index(language)
    known = [abs(token["advantage"]) for token in rollout.tokens if token["advantage"] is not None]
    largest = max(known, default=0.0) or 1.0
    told = {"step": rollout.step, "index": rollout.index, "id": rollout.prompt_id}
    context: Context = {
        "t": t,
        "title": t("rollout.title", **told),
        "verdict": [t("rollout.says", score=written(rollout.score), num=len(rollout.tokens))],
        "tiles": _tiles(rollout, language),
        "prompt": rollout.prompt,
        "boxes": [_box(token, largest) for token in rollout.tokens],
        "names": rollout.columns,
        "rows": [[cell(token, name) for name in rollout.columns] for token in rollout.tokens],
        "means": [(name, COLUMNS[name][column]) for name in rollout.columns],
        "missing": t("rollout.missing", names=", ".join(rollout.missing)) if rollout.missing else "",
    }
    return rendered(HERE, "rollout.html", context, language=language)


def _tiles(rollout: Rollout, language: str) -> list[Context]:
    rewards = [token["reward"] for token in rollout.tokens if token["reward"] is not None]
    shown: list[tuple[str, float | None, Kind]] = [
        ("score", rollout.score, "plain"),
        ("drift", rollout.charged, "nats"),
        ("rewards", sum(rewards) if rewards else None, "plain"),
    ]
    return [
        {"name": label(f"tile.{name}", language), "value": figure(value, kind), "interval": "", "was": ""}
        for name, value, kind in shown
        if value is not None
    ]


def _box(token: dict[str, Any], largest: float) -> Context:
    """A token's box: green where it is made likelier, red where it is made less likely, stronger where more."""
    value = token["advantage"]
    strength = 0 if value is None else round(100 * min(1.0, abs(value) / largest))
    kind = "" if value is None or not strength else "up" if value > 0 else "down"
    style = Markup(' style="--much: {}%"').format(strength) if strength else Markup("")
    tells = "" if value is None else f"{value:+.3f}"
    return {"text": token["text"], "kind": kind, "style": style, "tells": tells, "clipped": bool(token["clipped"])}
