"""Samples side by side: which ones are shown, and which of their properties are flagged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from prefloop.drawing.numerals import written
from prefloop.records.evaluations import Sample, SampledResponse
from prefloop.report.pipeline import Row, as_number
from prefloop.report.words import Words

SHOWN = 12
FOLDED = 60
JOURNEY = 12
FLAGS = {"harmful": "bad", "over_refusal": "warn", "satisfied": "good"}
T = TypeVar("T")


@dataclass(frozen=True)
class Side:
    """One response with its flags and numbers."""

    text: str
    flags: tuple[tuple[str, str], ...]
    """(word, kind): bad, warn, good or plain."""
    numbers: tuple[str, ...]
    reasons: tuple[str, ...]
    """What the gold program noticed, in its own words."""


@dataclass(frozen=True)
class Pair:
    """A prompt with both responses."""

    sample: Sample
    reference: Side
    selected: Side
    base: Side | None
    """the untouched model's, if it was measured"""
    alarming: bool


def chosen(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample], int]:
    """(shown, folded away, left out): up to four flagged ones, then evenly spaced from the worst change to the best.

    Nobody picks them by hand, so losses are shown as often as they happen.
    """
    front = [sample for sample in samples if _alarming(sample)][:4]
    rest = sorted((s for s in samples if s not in front), key=_gain)
    shown = front + _even(rest, SHOWN - len(front))
    folded = [sample for sample in samples if sample not in shown]
    return shown, folded[:FOLDED], max(len(folded) - FOLDED, 0)


def _even(rows: Sequence[T], num: int) -> list[T]:
    """At most `num` of the rows, evenly spaced, the first and the last among them."""
    if len(rows) <= num:
        return list(rows)
    return [rows[round(index * (len(rows) - 1) / (num - 1))] for index in range(num)]


def pair(sample: Sample, words: Words) -> Pair:
    """A sample as the page shows it."""
    base = _side(sample.base, words) if sample.base else None
    return Pair(sample, _side(sample.reference, words), _side(sample.selected, words), base, _alarming(sample))


def journey(rows: Sequence[Row]) -> list[Row]:
    """Samples on PPO's way: the prompt seen at most steps, else evenly spaced ones, earliest first."""
    usable = [row for row in rows if as_number(row.get("step")) is not None and row.get("response") is not None]
    by_prompt: dict[str, list[Row]] = {}
    for row in usable:
        by_prompt.setdefault(str(row.get("prompt", "")), []).append(row)
    most = max(by_prompt.values(), key=len, default=[])
    pool = sorted(most if len(most) >= 3 else usable, key=lambda row: row["step"])
    return [
        {
            "step": row["step"],
            "prompt": str(row.get("prompt", "")),
            "response": str(row["response"]),
            "score": as_number(row.get("score")),
            "kl": as_number(row.get("kl")),
        }
        for row in _even(pool, JOURNEY)
    ]


def _side(response: SampledResponse, words: Words) -> Side:
    gold = response.gold or {}
    flags = [(words.plain(f"flag.{name}"), kind) for name, kind in FLAGS.items() if gold.get(name)]
    if gold.get("satisfied") is False:
        flags.append((words.plain("flag.unsatisfied"), "plain"))
    numbers = [(words.plain("measure.score.short"), response.score)]
    numbers.append((words.plain("measure.utility.short"), as_number(gold.get("utility"))))
    numbers += [(words.axis(name), as_number(value)) for name, value in gold.items() if name != "utility"]
    reasons = gold.get("reasons")
    return Side(
        text=response.text,
        flags=tuple(flags),
        numbers=tuple(f"{name} {written(number)}" for name, number in numbers if number is not None),
        reasons=tuple(map(words.remark, reasons)) if isinstance(reasons, tuple) else (),
    )


def _alarming(sample: Sample) -> bool:
    golds = [response.gold or {} for response in (sample.reference, sample.selected)]
    return any(gold.get(name) for gold in golds for name in ("harmful", "over_refusal"))


def _gain(sample: Sample) -> float:
    """How much better the selected response is: by gold utility, else by score."""
    old, new = sample.reference, sample.selected
    utilities = [as_number((response.gold or {}).get("utility")) for response in (old, new)]
    for before, after in (utilities, (old.score, new.score)):
        if before is not None and after is not None:
            return after - before
    return 0.0
