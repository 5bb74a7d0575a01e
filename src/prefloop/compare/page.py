"""The page of `prefloop compare`: a table, gained against drifted as one picture, and words on each method."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from markupsafe import Markup

from prefloop import layout
from prefloop.compare.words import LANGUAGES, label, needs_and_risks
from prefloop.drawing import charts
from prefloop.drawing.charts import Dot
from prefloop.drawing.numerals import estimate, figure, in_words, written
from prefloop.drawing.pages import rendered
from prefloop.files.atomic import write_text
from prefloop.records.compared import Compared, Tried
from prefloop.records.evaluations import Measured, Split, bounds, mean

HERE = Path(__file__).parent
PAGES = {"en": layout.PAGE, "zh": layout.PAGE_ZH}


@dataclass(frozen=True)
class Row:
    """A method in the table: its cells in the order of the columns."""

    name: str
    cells: tuple[Markup, ...]
    needs: str
    risks: str
    commands: tuple[str, ...]


def write(found: Compared, folder: Path) -> Path:
    """Writes the page in both languages. Returns: the English one."""
    for language in LANGUAGES:
        write_text(folder / PAGES[language], page(found, language))
    return folder / layout.PAGE


def page(found: Compared, language: str) -> str:
    """The page as HTML."""
    t = partial(label, language=language)
    context = {
        "t": t,
        "title": found.title,
        "on": t("on", seed=found.seed),
        "verdict": verdict(found, language),
        "alarms": alarms(found, language),
        "tiles": [],
        "columns": [t(f"col.{name}") for name in ("win", "score", "kl", "length", "harmful", "over_refusal")],
        "costs": [t(f"col.{name}") for name in ("judgements", "cpu", "reward_cpu", "memory", "sampled")],
        "rows": [_row(one, found.reference, language) for one in found.tried if one.test is not None],
        "plot": _picture(found, language),
        "human": t("human", file=f"{layout.COMPARE}/{layout.ARENA}"),
    }
    return rendered(HERE, "compare.html", context, language=language)


def won(split: Split | None) -> Measured:
    """A win rate, or none."""
    return None if split is None else split.win_rate


def best(found: Compared) -> Tried | None:
    """The method that won most often on validation prompts within the KL limit; None if none wins clearly at all."""
    able = [one for one in found.tried if one.validation and one.validation.win_rate and one.test]
    within = [one for one in able if (mean(one.validation and one.validation.kl_nats) or 0) <= found.kl_limit]
    top = max(within or able, key=lambda one: mean(won(one.validation)) or 0, default=None)
    ends = None if top is None else bounds(won(top.test))
    return top if ends is not None and ends[0] > 0.5 else None


def near(found: Compared, top: Tried) -> list[Tried]:
    """Methods whose interval on new prompts reaches into the best one's."""
    ends = bounds(won(top.test))
    others = [(one, bounds(won(one.test))) for one in found.tried if one is not top]
    return [one for one, own in others if ends and own and own[1] >= ends[0]]


def cpu(one: Tried) -> float:
    """CPU seconds of a method, what it shares with others counted whole."""
    return sum(cost.cpu_seconds for cost in (one.own, one.shared) if cost)


def verdict(found: Compared, language: str) -> list[str]:
    """What the table says, in a few sentences."""
    t = partial(label, language=language)
    top = best(found)
    if top is None:
        return [t("nobody")]
    judge = t(f"judge.{found.judge}")
    others = near(found, top)
    told = [t("best", name=top.name, win=in_words(won(top.test), "share"), judge=judge)]
    told.append(t("near", names=t("comma").join(one.name for one in others)) if others else t("alone"))
    trained = [one for one in (top, *others) if one.own is not None]
    if others and trained:
        cheapest = min(trained, key=cpu)
        told.append(t("cheapest", name=cheapest.name, cpu=written(cpu(cheapest), "seconds")))
    return told


def alarms(found: Compared, language: str) -> list[str]:
    """What speaks against some methods, each a sentence."""
    t = partial(label, language=language)
    told: list[str] = []
    for one in found.tried:
        if one.failed is not None:
            told.append(t("warn.failed", name=one.name, why=one.failed))
        if one.test is None or one.test.win_rate is None:
            continue
        ends, kl = bounds(one.test.win_rate), mean(one.test.kl_nats) or 0
        if ends is not None and ends[1] < 0.5:
            told.append(t("warn.worse", name=one.name))
        for name in ("harmful", "over_refusal"):
            if _side(one.test.measured(name), found.reference.measured(name)) == "worse":
                told.append(t(f"warn.{name}", name=one.name))
        if kl > found.kl_limit:
            told.append(t("warn.far", name=one.name, kl=written(kl, "nats"), limit=f"{found.kl_limit:g}"))
    return told


def _side(ours: Measured, theirs: Measured) -> str:
    """better, worse or nothing, of what should be low: by whether the intervals stand apart."""
    mine, other = bounds(ours), bounds(theirs)
    if mine is None or other is None:
        return ""
    return "worse" if mine[0] > other[1] else "better" if mine[1] < other[0] else ""


def _row(one: Tried, reference: Split, language: str) -> Row:
    split, t = one.test, partial(label, language=language)
    assert split is not None  # only such rows are shown

    def marked(name: str) -> Markup:
        side = _side(split.measured(name), reference.measured(name))
        told = estimate(split.measured(name), "share")
        if not side:
            return told
        return told + Markup(' <span class="mark {}">{}</span>').format("good" if side == "better" else "bad", t(side))

    own = one.own
    cells = (
        estimate(won(split), "share"),
        estimate(split.score),
        figure(mean(split.kl_nats), "nats"),
        figure(split.length, "tokens"),
        marked("harmful"),
        marked("over_refusal"),
        figure(one.judgements, "count"),
        figure(own.cpu_seconds if own else None, "seconds"),
        figure(one.shared.cpu_seconds if one.shared and one.shared.cpu_seconds else None, "seconds"),
        figure(own.peak_mb if own and own.peak_mb else None, "megabytes"),
        figure(own.sampled_tokens if own and own.sampled_tokens else None, "count"),
    )
    needs, risks = needs_and_risks(one.method, language)
    return Row(one.name, cells, needs, risks, one.commands)


def _picture(found: Compared, language: str) -> Markup:
    points = [
        Dot(mean(one.test.kl_nats) or 0.0, one.test.win_rate.mean, bounds(one.test.win_rate), one.name)
        for one in found.tried
        if one.test is not None and one.test.win_rate is not None
    ]
    top = best(found)
    points.insert(0, Dot(0.0, 0.5, None, "sft"))  # against itself, by definition
    return charts.scatter(
        [Dot(p.x, p.y, p.bounds, p.name, top is not None and p.name == top.name) for p in points],
        label=label("picture", language),
        x_name=label("picture.x", language),
        kind="share",
    )


def lines(found: Compared) -> Sequence[str]:
    """The table for a terminal."""
    told = [f"  {'method':<15} {'wins over SFT':>18} {'KL':>6} {'harmful':>8} {'CPU':>9}"]
    for one in found.tried:
        if one.test is None:
            told.append(f"  {one.name:<15} failed")
            continue
        harmful = written(mean(one.test.measured("harmful")), "share")
        told.append(
            f"  {one.name:<15} {in_words(won(one.test), 'share'):>18} {written(mean(one.test.kl_nats), 'nats'):>6} "
            f"{harmful:>8} {written(cpu(one), 'seconds'):>9}"
        )
    return told
