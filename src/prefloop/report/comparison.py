"""SFT against RLHF, measured: the limits of imitation, one group of rows for each."""

from dataclasses import dataclass

from markupsafe import Markup

from prefloop.report.charts import range_bar
from prefloop.report.evaluation import NONE, Evaluation, Gold, Split
from prefloop.report.numerals import Kind, Measured, estimate, figure, in_words, written
from prefloop.report.words import Words

TRUTH = ("tru", "honest", "fact", "correct", "ground", "accura", "invent", "wrong", "halluc", "right")
STYLE = ("conc", "brev", "short", "length", "filler", "verb", "polite", "style", "fluen")
WORSE_HIGH = ("invent", "wrong", "halluc", "filler", "verb")


@dataclass(frozen=True)
class Row:
    """One measure: SFT, RLHF, the change, and whether the change is clearly good."""

    name: str
    better: str
    """Arrow that says which way is good: up, down or empty."""
    sft: Markup
    final: Markup
    change: str
    verdict: str
    """good, bad, unclear or empty: by whether the intervals stand apart."""
    bar: Markup
    note: str = ""


@dataclass(frozen=True)
class Group:
    """One limit of SFT: what it is, and the rows that measure it."""

    key: str
    title: str
    says: str
    rows: tuple[Row, ...]


def apart(sft: Measured, final: Measured, *, up: bool) -> str:
    """good or bad if the two intervals do not touch, unclear if they do, empty if there are none.

    `up`: more of it is better.
    """
    if sft.bounds is None or final.bounds is None:
        return ""
    if final.bounds[0] > sft.bounds[1]:
        return "good" if up else "bad"
    if final.bounds[1] < sft.bounds[0]:
        return "bad" if up else "good"
    return "unclear"


def change(sft: float | None, final: float | None, kind: Kind, words: Words) -> str:
    """final - sft as written: points for shares, percent for lengths, units otherwise."""
    if sft is None or final is None:
        return ""
    if kind == "tokens" and sft:
        text, size = f"{100 * (final / sft - 1):+.0f}%", final - sft
    elif kind == "share":
        size = 100 * (final - sft)
        text = words.plain("points", value=f"{size:+.1f}")
    else:
        size = final - sft
        text = ("+" if size > 0 else "") + written(size, kind)
    return text.replace("-", "−") if size else "±0"


def groups(evaluation: Evaluation, words: Words) -> list[Group]:
    """The table; a group whose rows were not measured stays, and says so."""
    sft, final = (evaluation.split(name) for name in (evaluation.reference, evaluation.selected))
    far = [evaluation.split(name, "ood") for name in (evaluation.reference, evaluation.selected)]
    table = _Table(words)
    made = {
        "imitation": _imitation(table, evaluation, sft, final),
        "preference": _preference(table, sft, final, evaluation),
        "ood": _gold_rows(table, "ood", far[0], far[1], ("utility", "satisfied")),
        "truth": _axes(table, sft, final, TRUTH),
        "safety": _gold_rows(table, "", sft, final, ("harmful", "over_refusal")),
        "form": _form(table, sft, final),
    }
    rest = _axes(table, sft, final, ())
    result = [
        Group(key, words.plain(f"limit.{key}"), words.plain(f"limit.{key}.says"), tuple(rows))
        for key, rows in made.items()
    ]
    if rest:
        result.append(Group("axes", words.plain("limit.axes"), words.plain("limit.axes.says"), tuple(rest)))
    return result


class _Table:
    """Makes rows in one language."""

    def __init__(self, words: Words) -> None:
        self.words = words

    def row(
        self,
        name: str,
        sft: Measured,
        final: Measured,
        kind: Kind,
        *,
        key: str = "",
        up: bool | None = True,
        note: str = "",
    ) -> list[Row]:
        """The row of one measure, or none if neither model was measured."""
        if sft.mean is None and final.mean is None:
            return []
        bar = Markup("")
        if kind == "share" and sft.mean is not None and final.mean is not None:
            label = f"{name}: SFT {in_words(sft, kind)}, RLHF {in_words(final, kind)}"
            bar = range_bar([(sft, "sft"), (final, "final")], label=label)
        where, _, measure = key.rpartition("/")
        keys = [f"{where + '.' if where else ''}{who}.{measure}" if key else "" for who in ("sft", "final")]
        return [
            Row(
                name=name,
                better="" if up is None else "up" if up else "down",
                sft=estimate(sft, kind, keys[0]),
                final=estimate(final, kind, keys[1]),
                change=change(sft.mean, final.mean, kind, self.words),
                verdict="" if up is None else apart(sft, final, up=up),
                bar=bar,
                note=note,
            )
        ]


def _imitation(table: _Table, evaluation: Evaluation, sft: Split | None, final: Split | None) -> list[Row]:
    shown = evaluation.demonstrations.gold if evaluation.demonstrations else None
    rows: list[Row] = []
    kinds: dict[str, Kind] = {"utility": "plain", "satisfied": "share"}
    for name, kind in kinds.items():
        ceiling = vars(shown)[name] if shown else NONE
        note = table.words.plain("limit.ceiling", value=in_words(ceiling, kind)) if ceiling.mean is not None else ""
        parts = [vars(split.gold)[name] if split and split.gold else NONE for split in (sft, final)]
        rows += table.row(table.words.plain(f"measure.{name}"), parts[0], parts[1], kind, key=name, note=note)
    return rows


def _preference(table: _Table, sft: Split | None, final: Split | None, evaluation: Evaluation) -> list[Row]:
    rows: list[Row] = []
    won = final.win_rate if final else None
    if won is not None and won.mean is not None:
        words = table.words
        counts = ""
        if won.wins is not None and won.losses is not None:
            counts = words.plain("wins", wins=won.wins, ties=won.ties or 0, losses=won.losses)
        clear = won.bounds is not None and (won.bounds[0] > 0.5 or won.bounds[1] < 0.5)
        rows.append(
            Row(
                name=words.plain(f"measure.win_rate.{won.judge}")
                if won.judge in ("gold", "score")
                else words.plain("measure.win_rate"),
                better="up",
                sft=Markup('<span class="none">{}</span>').format(words.plain("opponent")),
                final=estimate(won, "share", "final.win_rate.mean"),
                change="",
                verdict=("good" if won.mean > 0.5 else "bad") if clear else "unclear",
                bar=range_bar([(won, "final")], label=words.plain("measure.win_rate")),
                note=counts,
            )
        )
    rows += table.row(
        table.words.plain("measure.score"),
        sft.score if sft else NONE,
        final.score if final else NONE,
        "plain",
        key="score",
        note=table.words.plain("measure.score.note"),
    )
    proxy = evaluation.reward_model
    if proxy and proxy.accuracy is not None:
        name = table.words.plain("measure.accuracy")
        final_cell = figure(proxy.accuracy, "share", "reward_model.accuracy")
        none = Markup('<span class="none">{}</span>').format(table.words.plain("no_reward_model"))
        rows.append(Row(name, "up", none, final_cell, "", "", Markup("")))
    return rows


def _gold_rows(table: _Table, where: str, sft: Split | None, final: Split | None, names: tuple[str, ...]) -> list[Row]:
    rows: list[Row] = []
    for name in names:
        parts = [vars(split.gold)[name] if split and split.gold else NONE for split in (sft, final)]
        kind: Kind = "plain" if name == "utility" else "share"
        key = f"{where}/{name}" if where else name
        up = name in ("utility", "satisfied")
        rows += table.row(table.words.plain(f"measure.{name}"), parts[0], parts[1], kind, key=key, up=up)
    if where == "ood" and not rows:
        pairs = [split.score if split else NONE for split in (sft, final)]
        rows += table.row(table.words.plain("measure.score"), pairs[0], pairs[1], "plain", key="ood/score")
    return rows


def _axes(table: _Table, sft: Split | None, final: Split | None, starts: tuple[str, ...]) -> list[Row]:
    """Gold axes whose name begins in one of these ways; with none given, the axes no other group took."""
    golds: list[Gold | None] = [split.gold if split else None for split in (sft, final)]
    names = list(dict.fromkeys(name for gold in golds if gold for name in gold.axes))
    rows: list[Row] = []
    for name in names:
        taken = name.lower().startswith(starts) if starts else not name.lower().startswith(TRUTH + STYLE)
        if taken:
            parts = [gold.axes.get(name, NONE) if gold else NONE for gold in golds]
            up = not name.lower().startswith(WORSE_HIGH)
            rows += table.row(table.words.axis(name), parts[0], parts[1], "plain", up=up)
    return rows


def _form(table: _Table, sft: Split | None, final: Split | None) -> list[Row]:
    rows: list[Row] = []
    plan: tuple[tuple[str, Kind, bool | None], ...] = (
        ("length", "tokens", None),
        ("finished", "share", True),
        ("distinct_2", "share", None),
        ("repetition", "share", False),
    )
    for name, kind, up in plan:
        parts = [vars(split)[name] if split else NONE for split in (sft, final)]
        rows += table.row(table.words.plain(f"measure.{name}"), parts[0], parts[1], kind, key=name, up=up)
    return rows + _axes(table, sft, final, STYLE)
