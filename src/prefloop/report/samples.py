"""Samples side by side: which ones are shown, and which of their properties are flagged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prefloop.report.evaluation import Answer, Sample
from prefloop.report.numerals import written
from prefloop.report.pipeline import Row, as_number
from prefloop.report.words import Words

SHOWN = 12
FOLDED = 60
JOURNEY = 12
FLAGS = {"harmful": "bad", "over_refusal": "warn", "satisfied": "good"}


@dataclass(frozen=True)
class Flag:
    """A word on a response: bad, warn, good or plain."""

    word: str
    kind: str


@dataclass(frozen=True)
class Side:
    """One response with its flags and numbers."""

    text: str
    flags: tuple[Flag, ...]
    numbers: tuple[str, ...]
    reasons: tuple[str, ...]
    """What the gold program noticed, in its own words."""


@dataclass(frozen=True)
class Pair:
    """A prompt with both responses."""

    id: str
    split: str
    tags: tuple[str, ...]
    prompt: str
    reference: Side | None
    selected: Side | None
    alarming: bool


def chosen(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample], int]:
    """(shown, folded away, left out): up to four flagged ones, then evenly spaced from the worst change to the best.

    Nobody picks them by hand, so losses are shown as often as they happen.
    """
    flagged = [sample for sample in samples if _alarming(sample)]
    front = flagged[:4]
    rest = sorted((s for s in samples if s not in front), key=_gain)
    room = max(SHOWN - len(front), 0)
    if len(rest) <= room:
        even = rest
    else:
        even = [rest[round(index * (len(rest) - 1) / (room - 1))] for index in range(room)]
    shown = front + even
    folded = [sample for sample in samples if sample not in shown]
    return shown, folded[:FOLDED], max(len(folded) - FOLDED, 0)


def pair(sample: Sample, words: Words) -> Pair:
    """A sample as the page shows it."""
    return Pair(
        id=sample.id,
        split=sample.split,
        tags=sample.tags,
        prompt=as_text(sample.prompt),
        reference=_side(sample.reference, words),
        selected=_side(sample.selected, words),
        alarming=_alarming(sample),
    )


def journey(rows: Sequence[Row]) -> list[Row]:
    """Samples on PPO's way: the prompt seen at most steps, else evenly spaced ones, earliest first."""
    usable = [row for row in rows if as_number(row.get("step")) is not None and row.get("response") is not None]
    by_prompt: dict[str, list[Row]] = {}
    for row in usable:
        by_prompt.setdefault(as_text(row.get("prompt", "")), []).append(row)
    most = max(by_prompt.values(), key=len, default=[])
    pool = sorted(most if len(most) >= 3 else usable, key=lambda row: row["step"])
    if len(pool) > JOURNEY:
        pool = [pool[round(index * (len(pool) - 1) / (JOURNEY - 1))] for index in range(JOURNEY)]
    return [
        {
            "step": row["step"],
            "prompt": as_text(row.get("prompt", "")),
            "response": as_text(row["response"]),
            "score": as_number(row.get("score")),
            "kl": as_number(row.get("kl")),
        }
        for row in pool
    ]


def as_text(prompt: Any) -> str:
    """A prompt as text: a string as it is, a conversation as role and content."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, dict) and "messages" in prompt:
        return as_text(prompt["messages"])
    if isinstance(prompt, list):
        turns = [turn if isinstance(turn, dict) else {"content": turn} for turn in prompt]
        if len(turns) == 1:
            return str(turns[0].get("content", ""))
        return "\n\n".join(f"{turn.get('role', '')}: {turn.get('content', '')}".removeprefix(": ") for turn in turns)
    return str(prompt)


def _side(answer: Answer | None, words: Words) -> Side | None:
    if answer is None:
        return None
    gold = answer.gold or {}
    flags = [Flag(words.plain(f"flag.{name}"), kind) for name, kind in FLAGS.items() if _yes(gold.get(name))]
    if gold.get("satisfied") is not None and not _yes(gold.get("satisfied")):
        flags.append(Flag(words.plain("flag.unsatisfied"), "plain"))
    numbers = []
    if answer.score is not None:
        numbers.append(f"{words.plain('measure.score.short')} {written(answer.score)}")
    utility = as_number(gold.get("utility"))
    if utility is not None:
        numbers.append(f"{words.plain('measure.utility.short')} {written(utility)}")
    nested = gold.get("axes")
    axes = nested if isinstance(nested, dict) else gold
    for name, value in axes.items():
        number = as_number(value)
        if number is not None and name not in (*FLAGS, "utility"):
            numbers.append(f"{words.axis(name)} {written(number)}")
    reasons = gold.get("reasons")
    noticed = tuple(str(reason) for reason in reasons) if isinstance(reasons, list) else ()
    return Side(answer.text, tuple(flags), tuple(numbers), noticed)


def _yes(value: Any) -> bool:
    return value is True or (not isinstance(value, bool) and isinstance(value, int | float) and value >= 0.5)


def _alarming(sample: Sample) -> bool:
    golds = [answer.gold or {} for answer in (sample.reference, sample.selected) if answer]
    return any(_yes(gold.get(name)) for gold in golds for name in ("harmful", "over_refusal"))


def _gain(sample: Sample) -> float:
    """How much better the selected response is: by gold utility, else by score."""
    if sample.reference is None or sample.selected is None:
        return 0.0
    golds = [as_number((answer.gold or {}).get("utility")) for answer in (sample.reference, sample.selected)]
    scores = [sample.reference.score, sample.selected.score]
    for old, new in (golds, scores):
        if old is not None and new is not None:
            return new - old
    return 0.0
