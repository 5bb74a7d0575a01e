"""SFT against RLHF, measured: the limits of imitation, one group of rows for each."""

from dataclasses import dataclass

from markupsafe import Markup

from prefloop.drawing.charts import range_bar
from prefloop.drawing.numerals import Kind, estimate, in_words, written
from prefloop.records.evaluations import Evaluation, Measured, Split, bounds, mean
from prefloop.report.words import Words

TRUTH = ("accurate", "honest")
STYLE = ("concise",)


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
    before, after = bounds(sft), bounds(final)
    if before is None or after is None:
        return ""
    if after[0] > before[1]:
        return "good" if up else "bad"
    if after[1] < before[0]:
        return "bad" if up else "good"
    return "unclear"


def change(sft: float | None, final: float | None, kind: Kind, words: Words) -> str:
    """final - sft as written: points for shares, percent for lengths, units otherwise."""
    if sft is None or final is None:
        return ""
    size = final - sft
    if kind == "tokens" and sft:
        text = f"{100 * (final / sft - 1):+.0f}%"
    elif kind == "share":
        text = words.plain("points", value=f"{100 * size:+.1f}")
    else:
        text = ("+" if size > 0 else "") + written(size, kind)
    return text.replace("-", "−") if size else "±0"


def groups(evaluation: Evaluation, words: Words) -> list[Group]:
    """The table: the groups of which anything was measured."""
    table = _Table(words, *evaluation.tested)
    made = {
        "imitation": _imitation(table, evaluation),
        "preference": _preference(table),
        "ood": _ood(words, evaluation),
        "truth": table.axes(TRUTH),
        "safety": table.row("harmful", "share", up=False) + table.row("over_refusal", "share", up=False),
        "form": _form(table),
        "axes": table.axes(()),
    }
    return [
        Group(
            key,
            words.plain(f"limit.{key}" if words.is_sft else f"group.{key}"),
            words.plain(f"limit.{key}.says") if words.is_sft or key in ("safety", "form", "axes") else "",
            tuple(rows),
        )
        for key, rows in made.items()
        if rows
    ]


@dataclass(frozen=True)
class _Table:
    """Makes rows about two models on one split, in one language; `where` begins their keys in summary.json."""

    words: Words
    sft: Split
    final: Split
    where: str = ""

    def row(self, name: str, kind: Kind, *, up: bool | None = True, note: str = "") -> list[Row]:
        """The row of one measure, or none if neither model was measured."""
        sft, final = self.sft.measured(name), self.final.measured(name)
        return self.made(self.words.plain(f"measure.{name}"), sft, final, kind, key=name, up=up, note=note)

    def made(
        self, name: str, sft: Measured, final: Measured, kind: Kind, *, key: str = "", up: bool | None, note: str = ""
    ) -> list[Row]:
        """The row of two numbers; `up`: more of it is better, None if neither more nor less is."""
        if sft is None and final is None:
            return []
        bar = Markup("")
        if kind == "share" and sft is not None and final is not None:
            label = f"{name}: {self.words.before} {in_words(sft, kind)}, RLHF {in_words(final, kind)}"
            bar = range_bar([(sft, "sft"), (final, "final")], label=label)
        return [
            Row(
                name=name,
                better="" if up is None else "up" if up else "down",
                sft=estimate(sft, kind, key and f"{self.where}sft.{key}"),
                final=estimate(final, kind, key and f"{self.where}final.{key}"),
                change=change(mean(sft), mean(final), kind, self.words),
                verdict="" if up is None else apart(sft, final, up=up),
                bar=bar,
                note=note,
            )
        ]

    def axes(self, names: tuple[str, ...]) -> list[Row]:
        """The gold axes of these names; with none given, those that no other group took."""
        sft, final = (split.gold.axes if split.gold else {} for split in (self.sft, self.final))
        rows: list[Row] = []
        for name in sft | final:
            if name in names or (not names and name not in TRUTH + STYLE):
                rows += self.made(self.words.axis(name), sft.get(name), final.get(name), "plain", up=True)
        return rows


def _imitation(table: _Table, evaluation: Evaluation) -> list[Row]:
    shown = evaluation.demonstrations.gold if evaluation.demonstrations else None
    rows: list[Row] = []
    kinds: dict[str, Kind] = {"utility": "plain", "satisfied": "share"}
    for name, kind in kinds.items():
        ceiling = dict(shown)[name] if shown else None
        note = table.words.plain("limit.ceiling", value=in_words(ceiling, kind)) if ceiling else ""
        rows += table.row(name, kind, note=note)
    return rows


def _preference(table: _Table) -> list[Row]:
    words, won = table.words, table.final.win_rate
    absent = Markup('<span class="none">{}</span>').format
    rows: list[Row] = []
    if won is not None:
        ends = bounds(won)
        clear = ends is not None and (ends[0] > 0.5 or ends[1] < 0.5)
        rows.append(
            Row(
                name=words.plain(f"measure.win_rate.{won.judge}"),
                better="up",
                sft=absent(words.plain("opponent")),
                final=estimate(won, "share", "final.win_rate.mean"),
                change="",
                verdict=("good" if won.mean > 0.5 else "bad") if clear else "unclear",
                bar=range_bar([(won, "final")], label=words.plain(f"measure.win_rate.{won.judge}")),
                note=words.plain("wins", wins=won.wins, ties=won.ties, losses=won.losses),
            )
        )
    rows += table.row("score", "plain", note=words.plain("measure.score.note"))
    return rows


def _ood(words: Words, evaluation: Evaluation) -> list[Row]:
    sft, final = (model.ood for model in evaluation.compared)
    if sft is None or final is None:
        return []
    table = _Table(words, sft, final, "ood.")
    return table.row("utility", "plain") + table.row("satisfied", "share") or table.row("score", "plain")


def _form(table: _Table) -> list[Row]:
    return [
        *table.row("length", "tokens", up=None),
        *table.row("finished", "share"),
        *table.row("distinct_2", "share", up=None),
        *table.row("repetition", "share", up=False),
        *table.axes(STYLE),
    ]
