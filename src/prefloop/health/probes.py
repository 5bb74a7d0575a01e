"""Shortcuts of a scorer: responses are edited in ways that must not help (or must hurt), and scored again.

A shift is the mean change of the score over responses, each to another prompt, in standard deviations of the scores of
the responses as they are. What a shift is worth is told by the margin: the mean difference of chosen and rejected, in
the same unit. With low and high the 95 % interval over prompts:

    rises       low > 0  and  shift >= LARGE * margin
    shortcut    it rises, and so does what is left of it once what as much neutral text does is taken off
    by_length   it rises (or falls, as it should), and nothing is left of it
    blind       it should fall, but low > -SEEN * margin: we are sure that it hardly does
    unclear     the interval is too wide to tell, or there are fewer than LEAST responses

An edit that adds words makes a response longer too: so each is held against neutral sentences of as many characters.
Length itself is named if padding rises whatever it is made of (see `PADDINGS`). Follows Ribeiro et al. 2020
(arXiv:2005.04118): invariance and directional expectation tests.
"""

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from prefloop.health.edits import EDITS, Answer, without
from prefloop.health.position import of_labels
from prefloop.records import Preference, opening, spoken
from prefloop.records.probes import Expected, Finding, Probe
from prefloop.scoring.protocol import Conversation, Scorer
from prefloop.seeds import seed_of
from prefloop.stats.intervals import mean_interval
from prefloop.stats.text import words

CONFIDENCE = 0.95
NUM_ROWS = 40
"""Prompts whose responses are edited, if there are as many."""
NUM_WORDS = 16
"""Responses whose words are taken out one by one."""
LARGE = 1 / 3
"""Share of a mean margin that a rise for nothing must be worth to be called a shortcut."""
SEEN = 0.15
"""Share of a mean margin that damage must cost to be called seen."""
SMALLEST_MARGIN = 0.25
"""The margin, in deviations, that is reckoned with at least: who tells nothing apart is not excused by that."""
LEAST = 8
"""Responses below which nothing is judged."""
AT_ONCE = 256
"""Responses in one call of the scorer."""
MOST_WORDS = 40
"""Words of one response that are taken out at most."""
TOP_WORDS, LEAST_WORDS = 5, 3
"""Words that are told at most, and responses of those taken out that must have one."""
PADDINGS = ("length.repeated", "length.stray")
"""The data's own words. Length is a shortcut if both of these rise by a `LARGE` share of a margin, and by `PADDED` on
the mean with `FOREIGN`, unless that surely does nothing: sentences that a model of a small world has never read, which
it may dislike for that."""
FOREIGN = "length.neutral.4"
PADDED = 0.45
"""Share of a mean margin. On the helpdesk planted biases for length gave 0.59 and more, other biases 0.54 and less, and
none 0.20 and less (ten runs of each)."""
FALLING = ("truncation", "shuffled", "prompt", "digit")
MARKS = {"format.bold": "**", "format.bullets": "- ", "format.heading": "# ", "format.breaks": r"\n\n"}
"""What a format is made of."""


def probe(
    judge: Scorer, rows: Sequence[Preference], *, seed: int, num_rows: int = NUM_ROWS, num_words: int = NUM_WORDS
) -> tuple[Probe, ...]:
    """How much each edit moves the scores of a scorer, and what that says of it.

    About 18 responses are scored for each of `num_rows` prompts, and about 20 for each of `num_words`: a thousand in
    all by default. The order of rows does not matter; which of them are taken, and what is drawn, is the seed's.

    Args:
        judge: any scorer.
        rows: preferences that it was not trained on.
        seed: decides what is drawn.
        num_rows: prompts at most; of each one response is edited.
        num_words: responses whose words are taken out one by one.

    Returns: the margin, then every edit, then the words that do most.
    """
    reader, cases = _Reader(judge), _cases(rows, seed)
    some = cases[:num_rows]
    both = reader.scores([(case.row.messages, text) for case in some for text in (case.row.chosen, case.row.rejected)])
    num_read = reader.num
    with_number = [case for case in cases if EDITS["digit"](case.answer, random.Random(0)) is not None][:num_rows]
    tried = {name: _tried(reader, with_number if name == "digit" else some, name, seed) for name in (*EDITS, "prompt")}
    unit = _deviation(both) or _deviation(reader.all()) or 1.0
    quality = _quality(both / unit, num_read)
    margin = max(SMALLEST_MARGIN, quality.shift or 0.0)
    tried = {name: replace(one, shifts=one.shifts / unit) for name, one in tried.items()}
    found = _length_named([_edited(name, tried[name], tried, margin) for name in tried], tried, margin)
    found = [_with_token(reader, one, tried[one.name].cases[:num_words], seed, unit) for one in found]
    slope, by_word = _slope(some, both / unit), _words(reader, some[:num_words], unit)
    return (quality, *found, slope, of_labels(rows), *by_word)


@dataclass(frozen=True)
class _Case:
    """A row, and of its two responses the one that is edited."""

    row: Preference
    other: Preference
    answer: Answer

    @property
    def read(self) -> tuple[Conversation, str]:
        """What the scorer reads."""
        return self.row.messages, self.answer.response


class _Reader:
    """A scorer that reads nothing twice."""

    def __init__(self, judge: Scorer) -> None:
        self.judge, self.num = judge, 0
        self._known: dict[tuple[Conversation, str], float] = {}

    def scores(self, texts: Sequence[tuple[Conversation, str]]) -> np.ndarray:
        """(n,) raw scores of responses, each with its prompt."""
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        for start in range(0, len(new), AT_ONCE):
            few = new[start : start + AT_ONCE]
            values = self.judge.score([prompt for prompt, _ in few], [response for _, response in few]).tolist()
            self._known.update(zip(few, values, strict=True))
        self.num += len(new)
        return np.array([self._known[text] for text in texts])

    def all(self) -> np.ndarray:
        """(num,) everything that was scored."""
        return np.array([*self._known.values()])


@dataclass(frozen=True)
class _Tried:
    """One edit, over the n responses to which it could be made."""

    shifts: np.ndarray
    """(n,) deviations"""
    before: np.ndarray
    """(n, 2) characters and words of the response as it was"""
    after: np.ndarray
    """(n, 2) the same once edited"""
    cases: list[_Case]
    num_scored: int


@dataclass(frozen=True)
class _Mean:
    """A mean of so many values with its interval, which is not known of fewer than two."""

    num: int
    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray, confidence: float = CONFIDENCE) -> "_Mean":
        """Args: values: (n,)."""
        if len(values) < 2:
            return cls(len(values), float(values.sum()), -math.inf, math.inf)
        return cls(len(values), float(values.mean()), *mean_interval(values, confidence=confidence))

    def away(self) -> float:
        """How far from 0 its interval is; 0 if it holds 0."""
        return max(self.low, -self.high, 0.0)

    def rises(self, margin: float) -> bool:
        """Whether it is clearly above 0, and large beside a margin."""
        return self.low > 0 and self.mean >= LARGE * margin


def _drawn(seed: int, *what: str) -> random.Random:
    """A generator for a text: what is drawn for it depends on no other."""
    digest = hashlib.sha256("\0".join([str(seed_of(seed, "health.probes")), *what]).encode("utf-8", "replace")).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


def _cases(rows: Sequence[Preference], seed: int) -> list[_Case]:
    """A case of each prompt with a decision, in an order that the seed decides and the rows' own order does not.

    Of two responses without a decision none is the better one, so that they would make every margin look smaller.
    """
    first: dict[str, Preference] = {}
    decided = [row for row in rows if row.decided]
    for row in sorted(decided, key=lambda row: _drawn(seed, spoken(row.messages), row.chosen, row.rejected).random()):
        first.setdefault(opening(row.messages), row)
    kept, cases = list(first.values()), []
    for place, row in enumerate(kept):
        other, prompt = kept[(place + 1) % len(kept)], spoken(row.messages)
        heads = _drawn(seed, "side", prompt, row.chosen, row.rejected).random() < 0.5
        stray = other.chosen if len(kept) > 1 else ""
        cases.append(_Case(row, other, Answer(prompt, row.chosen if heads else row.rejected, stray)))
    return cases


def _tried(reader: _Reader, cases: list[_Case], name: str, seed: int) -> _Tried:
    """One edit made to each response that takes it, and scored; shifts are raw."""
    before = reader.num
    able: list[_Case] = []
    edited: list[tuple[Conversation, str]] = []
    for case in cases:
        prompt, text = case.row.messages, case.answer.response
        if name == "prompt":
            changed = (case.other.messages, text) if case.other is not case.row else None
        else:
            made = EDITS[name](case.answer, _drawn(seed, name, case.answer.prompt, text))
            changed = (prompt, made) if made is not None and made != text else None
        if changed is not None:
            able.append(case)
            edited.append(changed)
    shifts = reader.scores(edited) - reader.scores([case.read for case in able])
    was, now = (
        np.array([[len(text), len(words(text))] for text in texts]).reshape(-1, 2)
        for texts in ([case.answer.response for case in able], [text for _, text in edited])
    )
    return _Tried(shifts, was, now, able, reader.num - before)


def _deviation(raw: np.ndarray) -> float:
    """Standard deviation; 0 if all numbers are the same but for rounding."""
    deviation = float(raw.std()) if len(raw) else 0.0
    return deviation if deviation > 1e-7 * float(np.abs(raw).max(initial=0.0)) else 0.0


def _quality(both: np.ndarray, num_scored: int) -> Probe:
    """The margin between chosen and rejected. Args: both: (2n,) scores in deviations, chosen and rejected in turn."""
    margins = _Mean.of(both[::2] - both[1::2])
    finding: Finding = "unclear" if margins.num < LEAST else "fine" if margins.low > 0 else "blind"
    return _probe("quality", "rise", finding, margins, num_scored)


def _probe(
    name: str,
    expected: Expected,
    finding: Finding,
    shift: _Mean,
    num_scored: int,
    *,
    beyond: _Mean | None = None,
    margin: float | None = None,
    token: str | None = None,
) -> Probe:
    """A probe as a record: no number where nothing was tried."""
    kind: Any = name.split(".")[0]
    left = beyond or _Mean(0, 0.0, -math.inf, math.inf)
    return Probe(
        name=name,
        kind=kind,
        expected=expected,
        finding=finding if shift.num else "not_applicable",
        num=shift.num,
        num_scored=num_scored,
        shift=shift.mean if shift.num else None,
        low=_finite(shift.low),
        high=_finite(shift.high),
        margins=shift.mean / margin if margin and shift.num else None,
        beyond=left.mean if beyond and shift.num else None,
        beyond_low=_finite(left.low),
        beyond_high=_finite(left.high),
        token=token,
    )


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _by_length(name: str, one: _Tried, tried: dict[str, _Tried]) -> np.ndarray:
    """(n,) deviations that as much neutral text does to the score, where it raises it on the whole.

    As much is as many characters or as many words, whichever does more, read off each response's own line through the
    numbers of sentences that were tried. What is cut off is reckoned by the mean slope on log length: the steeper one.
    """
    padded = [tried[f"length.neutral.{count}"] for count in (1, 2, 4)]
    most = padded[-1]
    if not len(one.shifts) or not len(most.shifts) or most.shifts.mean() <= 0:
        return np.zeros(len(one.shifts))
    if name == "truncation":
        slope = most.shifts.mean() / np.log(most.after / most.before)[:, 0].mean()
        return slope * np.log(np.maximum(one.after, 1) / np.maximum(one.before, 1))[:, 0]
    lines = {id(case): i for i, case in enumerate(most.cases)}
    expected = []
    for case, added in zip(one.cases, one.after - one.before, strict=True):
        if id(case) not in lines:  # a row that only its number is looked at of
            expected.append(0.0)
            continue
        i = lines[id(case)]
        doses = np.array([[0, 0], *(part.after[i] - part.before[i] for part in padded)], dtype=float)
        shifts = [0.0, *(part.shifts[i] for part in padded)]
        more = np.maximum(1.0, added / doses[-1])  # beyond what was tried: in proportion
        expected.append(max(more[j] * np.interp(added[j], doses[:, j], shifts) for j in range(2)))
    return np.array(expected)


def _edited(name: str, one: _Tried, tried: dict[str, _Tried], margin: float) -> Probe:
    """What was found of one edit, by the rules above; length is looked at once more when all paddings are known."""
    shift = _Mean.of(one.shifts)
    if name.startswith("length"):
        return _probe(name, "not_rise", _rise(shift, None, margin), shift, one.num_scored, margin=margin)
    beyond = _Mean.of(one.shifts - _by_length(name, one, tried))
    falling = name in FALLING
    finding = _fall(shift, beyond, margin) if falling else _rise(shift, beyond, margin)
    expected: Expected = "fall" if falling else "not_rise"
    return _probe(name, expected, finding, shift, one.num_scored, beyond=beyond, margin=margin)


def _rise(shift: _Mean, beyond: _Mean | None, margin: float) -> Finding:
    if shift.num < LEAST:
        return "unclear"
    if not shift.rises(margin):
        return "fine" if shift.high < LARGE * margin or shift.mean <= 0 else "unclear"
    return "shortcut" if beyond is None or beyond.rises(margin) else "by_length"


def _fall(shift: _Mean, beyond: _Mean, margin: float) -> Finding:
    if shift.num < LEAST:
        return "unclear"
    if shift.low > -SEEN * margin:
        return "blind"
    if shift.high >= 0:
        return "unclear"
    return "fine" if beyond.high < 0 else "by_length"


def _length_named(found: list[Probe], tried: dict[str, _Tried], margin: float) -> list[Probe]:
    """The same, where no padding is a shortcut unless all of them say so."""
    by_name = {probe.name: probe for probe in found}
    shifts = [dict(zip(map(id, tried[name].cases), tried[name].shifts, strict=True)) for name in (*PADDINGS, FOREIGN)]
    cases = [case for case in shifts[0] if all(case in each for each in shifts)]
    together = _Mean.of(np.array([np.mean([each[case] for each in shifts]) for case in cases]))
    foreign = _Mean.of(tried[FOREIGN].shifts)
    if (
        all(by_name[name].finding == "shortcut" for name in PADDINGS)
        and together.low > 0
        and together.mean >= PADDED * margin
        and foreign.high > 0
    ):
        return found
    return [
        probe.model_copy(update={"finding": "unclear"})
        if probe.kind == "length" and probe.finding == "shortcut"
        else probe
        for probe in found
    ]


def _slope(cases: list[_Case], both: np.ndarray) -> Probe:
    """Deviations by which a doubling of the length goes with the score, within prompts, quality held fixed.

        score of chosen - of rejected = quality + slope * (log2 length of chosen - of rejected)

    Measured and not judged: the longer of two responses may well be the better one.
    """
    longer = np.array([math.log2(max(1, len(c.row.chosen)) / max(1, len(c.row.rejected))) for c in cases])
    spread = longer - longer.mean() if len(longer) else longer
    total = float(spread @ spread)
    if len(cases) < LEAST or not total:
        return _probe("length.slope", "none", "not_applicable", _Mean.of(np.zeros(0)), 0)
    gaps = both[::2] - both[1::2]
    slope = float(spread @ gaps / total)
    rest = gaps - gaps.mean() - slope * spread
    half = float(special.stdtrit(len(cases) - 2, (1 + CONFIDENCE) / 2)) * math.sqrt(
        float(rest @ rest) / (len(cases) - 2) / total
    )
    return _probe("length.slope", "none", "fine", _Mean(len(cases), slope, slope - half, slope + half), 0)


def _with_token(reader: _Reader, probe: Probe, cases: list[_Case], seed: int, unit: float) -> Probe:
    """The same probe, and if it is a shortcut made of words, the added word whose removal costs most."""
    if probe.finding != "shortcut" or probe.kind == "length":
        return probe
    if probe.kind == "format":
        return probe.model_copy(update={"token": MARKS[probe.name]})
    before, effects = reader.num, dict[str, list[float]]()
    for case in cases:
        answer = case.answer
        text = EDITS[probe.name](answer, _drawn(seed, probe.name, answer.prompt, answer.response))
        kept = len(without(answer.response, answer.language))
        _take_out(reader, case, text or "", effects, unit, skip=kept)
    word = max(effects, key=lambda word: (np.mean(effects[word]), word), default=None)
    return probe.model_copy(update={"token": word, "num_scored": probe.num_scored + reader.num - before})


def _take_out(
    reader: _Reader, case: _Case, text: str, effects: dict[str, list[float]], unit: float, *, skip: int = 0
) -> None:
    """Notes what each word of a text is worth: the score with it less the score without it, in deviations; of a word
    that comes again the mean."""
    left = without(text, case.answer.language)[skip : skip + MOST_WORDS]
    whole, *rest = reader.scores([(case.row.messages, text), *((case.row.messages, short) for _, short in left)])
    own: dict[str, list[float]] = {}
    for (word, _), score in zip(left, rest, strict=True):
        own.setdefault(word, []).append(float(whole - score) / unit)
    for word, values in own.items():
        effects.setdefault(word, []).append(float(np.mean(values)))


def _words(reader: _Reader, cases: list[_Case], unit: float) -> list[Probe]:
    """The words that surely do most where they stand, for better or worse, of those that several responses have.

    Many are looked at, and each is a chance to err: the intervals that must leave 0 out are so wide that all of them
    together do so by chance in one model of 20 (Bonferroni).
    """
    before, effects = reader.num, dict[str, list[float]]()
    for case in cases:
        _take_out(reader, case, case.answer.response, effects, unit)
    several = {word: np.array(values) for word, values in effects.items() if len(values) >= LEAST_WORDS}
    together = 1 - (1 - CONFIDENCE) / max(1, len(several))
    away = {word: _Mean.of(values, together).away() for word, values in several.items()}
    most = [word for word in sorted(away, key=lambda word: (-away[word], word))[:TOP_WORDS] if away[word] > 0]
    worth = {word: _Mean.of(several[word]) for word in most}
    scored = [reader.num - before] + [0] * len(most)
    return [
        _probe(f"word.{i}", "none", "fine", worth[word], num, token=word)
        for i, (word, num) in enumerate(zip(most, scored, strict=False), 1)
    ]
