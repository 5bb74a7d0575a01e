"""Shows the card: one page for each language, which stands by itself."""

import math
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from markupsafe import Markup
from scipy.special import expit

from prefloop import layout
from prefloop.drawing import charts
from prefloop.drawing.numerals import Kind, bracket, estimate, figure, in_words, written
from prefloop.drawing.pages import rendered
from prefloop.files.atomic import write_text
from prefloop.health.words import HUNDREDTHS, LABELS, LANGUAGES, RULES, label, says, verdict
from prefloop.records.cards import Card, Share, Slice
from prefloop.records.evaluations import Interval, Measured, bounds, mean
from prefloop.records.probes import CurvePoint, LearningCurve, Probe

HERE = Path(__file__).parent
Context = dict[str, Any]
PAGES = {"en": layout.CARD_PAGE, "zh": layout.CARD_PAGE_ZH}
"""Language -> the file of its page."""
ALONE = ("quality", "word", "position")
"""Kinds of probe that do not stand among the edits: the yardstick, words, and what tells of the labels."""


def write(card: Card, folder: Path, *, title: str, data: str) -> tuple[Path, ...]:
    """Writes `card.html` and `card.zh.html`. Args: see `page`. Returns: their paths."""
    paths = tuple(folder / PAGES[language] for language in LANGUAGES)
    for path, language in zip(paths, LANGUAGES, strict=True):
        write_text(path, page(card, language, title=title, data=data))
    return paths


def page(card: Card, language: str, *, title: str, data: str) -> str:
    """The whole HTML page. Args: title: the reward model, as it is named; data: the held-out pairs, as they are."""
    said = _Said(language)
    context: Context = {
        "t": said.t,
        "title": "/".join(PurePath(title).parts[-3:]),
        "on": said.t("on", data="/".join(PurePath(data).parts[-2:])),
        "verdict": verdict(card, language)[:2],
        "stops": [says(reason, language) for reason in card.reasons if reason.stops],
        "cautions": [says(reason, language) for reason in card.reasons if not reason.stops],
        "tiles": said.tiles(card),
        "good": said.good(card),
        "parts": said.parts(card),
        "slices": said.slices(card),
        "sure": said.sure(card),
        "curve": said.curve(card),
        "probes": said.probes(card),
        "labels": said.labels(card),
        "leaks": said.leaks(card),
        "checks": said.checks(card),
    }
    return rendered(HERE, "page.html", context, language=language)


class _Said:
    """Rows and tiles in one language."""

    def __init__(self, language: str) -> None:
        self.language, self.t = language, partial(label, language=language)

    def tiles(self, card: Card) -> list[Context]:
        """The big numbers, each with what it stands beside."""
        words = next((each for each in card.baselines if each.name == "words"), None)
        curve, known = card.learning_curve, card.calibration
        shown: list[tuple[str, Measured, Kind, str]] = [("accuracy", card.accuracy.interval, "share", "")]
        if card.agreement and card.accuracy_votes:
            most = in_words(card.agreement.ceiling.interval, "share")
            shown.append(("votes", card.accuracy_votes.interval, "share", most))
        if words:
            shown.append(("ahead", _points(words.ahead), "nats", in_words(words.accuracy.interval, "share")))
        if known:
            after = known.ece if known.ece_after is None else known.ece_after
            shown.append(("ece", after, "share", written(known.ece_chance, "share")))
        if curve and curve.gain is not None:
            gain = _points(Interval(mean=curve.gain, low=curve.gain_low, high=curve.gain_high))
            shown.append(("gain", gain, "nats", written(curve.num_pairs, "count")))
        if card.leaks:
            shown.append(("leaks", card.leaks.pairs.interval, "share", written(card.leaks.num_training, "count")))
        return [
            {
                "name": self.t(f"tile.{name}"),
                "value": figure(mean(value), kind, size=max(map(abs, bounds(value) or (mean(value) or 0.0,)))),
                "interval": bracket(value, kind),
                "was": self.t(f"tile.{name}.beside", value=beside),
            }
            for name, value, kind, beside in shown
        ]

    def good(self, card: Card) -> list[Context]:
        """The accuracy beside its yardsticks."""
        rows = [self._share("accuracy", card.accuracy, kind="main")]
        agreement = card.agreement
        if card.accuracy_votes:
            rows.append(self._share("votes", card.accuracy_votes, kind="main"))
        if agreement:
            cycles = self.t("row.equal.cycles") if agreement.source == "cycles" else None
            rows.append(self._share("equal", agreement.equal, says=cycles))
            most = self.t("row.ceiling.says", most=written(agreement.ceiling_most, "share"))
            rows.append(self._share("ceiling", agreement.ceiling, says=most))
        for each in card.baselines:
            told = self.t("row.ahead", ahead=in_words(_points(each.ahead), "nats"))
            learned = self.t("row.in_turns" if each.in_turns else "row.learned", num=f"{each.num_learned_from:,}")
            rows.append(self._share(each.name, each.accuracy, says=f"{told}; {learned}"))
        if card.accuracy_train is not None:
            rows.append(self._share("train", card.accuracy_train))
        return rows

    def parts(self, card: Card) -> Context | None:
        """Columns or members."""
        if card.parts is None:
            return None
        rows = []
        for part in card.parts.of:
            interval, num = part.accuracy and part.accuracy.interval, part.accuracy and part.accuracy.num
            held_out = self.t("parts.held_out", num=written(num, "count")) if num else self.t("parts.unmeasured")
            row = self._row(part.name, interval, held_out, kind="main")
            rows.append(row | {"num": written(part.num_training, "count")})
        kind, score = card.parts.kind, card.parts.score
        used = self.t(f"parts.{score}") if f"parts.{score}" in LABELS else self.t("parts.alone", name=score)
        return {"says": self.t(f"parts.{kind}", num=len(rows)) + self.t("space") + used, "rows": rows}

    def slices(self, card: Card) -> list[Context]:
        """The accuracy on parts of the pairs."""
        kinds: tuple[tuple[str, tuple[Slice, ...], str], ...] = (
            ("strength", card.by_strength, "pairs"),
            ("length", card.by_length, "pairs"),
            ("domain", card.by_domain, "pairs"),
            ("annotator", card.by_annotator, "votes"),
        )
        return [
            {"title": self.t(f"by_{of}"), "counted": self.t(counted), "rows": [self._slice(each, of) for each in some]}
            for of, some, counted in kinds
            if some
        ]

    def _slice(self, each: Slice, of: str) -> Context:
        key = f"{of}.{each.name}"
        name = self.t(key) if key in LABELS else each.name
        return {**self._row(name, each.accuracy.interval, kind="main"), "num": written(each.accuracy.num, "count")}

    def sure(self, card: Card) -> Context | None:
        """Calibration."""
        known = card.calibration
        if known is None:
            return None
        bins = [
            (b.confidence, b.accuracy, b.num) for b in known.bins if b.confidence is not None and b.accuracy is not None
        ]
        plot = charts.reliability(bins, label=self.t("sure.plot"), x_name=self.t("sure.x"), ideal=self.t("sure.ideal"))
        rows: list[tuple[str, Kind, Measured, Measured]] = [
            ("ece", "share", known.ece, known.ece_after),
            ("chance", "share", known.ece_chance, known.ece_chance),
            ("nll", "plain", known.nll, known.nll_after),
        ]
        if card.agreement:
            rows.append(("best", "plain", card.agreement.nll_best, card.agreement.nll_best))
        rows.append(("coin", "plain", math.log(2), math.log(2)))
        told = self.t("sure.few")
        if known.temperature is not None:
            told = self.t("sure.temperature", value=written(known.temperature), num=written(known.num, "count"))
        cells = [
            {"name": self.t(f"sure.{name}"), "cells": [estimate(x, kind) for x in both]} for name, kind, *both in rows
        ]
        return {"plot": plot, "rows": cells, "temperature": told}

    def curve(self, card: Card) -> Context:
        """The learning curve, or why there is none."""
        known = card.learning_curve
        if known is None:
            of = "ensemble" if card.parts and card.parts.kind == "ensemble" else "unknown"
            return {"plot": None, "says": self.t(f"curve.{of}")}
        if known.refusal or known.gain is None:
            told = self.t(f"curve.{known.refusal}")
        else:
            gain = _points(Interval(mean=known.gain, low=known.gain_low, high=known.gain_high))
            there = Interval(mean=known.forecast or 0.0, low=known.low, high=known.high)
            values = {"num": written(known.num_pairs, "count"), "there": in_words(there, "share")}
            told = self.t("curve.forecast", gain=in_words(gain, "nats"), **values)
        plot = self._curve(known) if known.points else None
        return {"plot": plot, "says": told, "how": self.t("curve.exact" if known.exact else "curve.looks")}

    def _curve(self, known: LearningCurve) -> Markup:
        dots = [_dot(point) for point in known.points]
        if known.num_pairs is not None and known.forecast is not None:
            ends = (known.low, known.high) if known.low is not None and known.high is not None else None
            dots.append(charts.Dot(known.num_pairs, known.forecast, ends, self.t("curve.twice"), marked=True))
        return charts.dots(dots, label=self.t("curve.plot"), x_name=self.t("curve.x"), kind="share")

    def probes(self, card: Card) -> Context:
        """What edits do, and single words."""
        tried = [each for each in card.probes if each.num]
        margin = next((each for each in tried if each.kind == "quality"), None)
        if margin is None:
            return {"says": self.t("probes.none"), "rows": []}
        worth, num = in_words(_shift(margin), "plain"), written(margin.num, "count")
        return {
            "says": self.t("probes.says", margin=worth, num=num),
            "rows": [self._probe(each) for each in tried if each.kind not in ALONE],
            "words": [
                {"token": each.token, "shift": estimate(_shift(each), size=HUNDREDTHS)}
                for each in tried
                if each.kind == "word"
            ],
        }

    def _probe(self, each: Probe) -> Context:
        found = "measured" if each.expected == "none" else each.finding
        return {
            "name": self.t(f"probe.{each.name}"),
            "should": self.t(f"expected.{each.expected}"),
            "shift": estimate(_shift(each), size=HUNDREDTHS),
            "margins": figure(each.margins, size=HUNDREDTHS),
            "token": self.t("probes.token", token=each.token) if each.token else "",
            "finding": self.t(f"finding.{found}"),
            "mark": {"shortcut": "bad", "blind": "warn", "fine": "good"}.get(found, "plain"),
        }

    def labels(self, card: Card) -> list[Context]:
        """Noise, what goes round, and whether the place decided."""
        rows = []
        if card.agreement:
            told = self.t(f"labels.{card.agreement.source}", num=written(card.agreement.noise.num, "count"))
            rows.append(self._row(self.t("labels.noise"), card.agreement.noise.interval, told))
        if card.cycles:
            triads = self.t("labels.cyclic.says", num=written(card.cycles.triads, "count"))
            rows.append(self._row(self.t("labels.cyclic"), card.cycles.cyclic.interval, triads))
            prompts = self.t("labels.prompts.says", num=written(card.cycles.prompts.num, "count"))
            rows.append(self._row(self.t("labels.prompts"), card.cycles.prompts.interval, prompts))
        for each in card.probes:
            if each.kind == "position" and each.num and each.shift is not None:
                ends = {
                    end: None if at is None else float(expit(at))
                    for end, at in (("low", each.low), ("high", each.high))
                }
                told = self.t("labels.position.says", num=written(each.num, "count"))
                rows.append(self._row(self.t("labels.position"), Interval(mean=float(expit(each.shift)), **ends), told))
        return rows

    def leaks(self, card: Card) -> Context | None:
        """Near-duplicates."""
        if card.leaks is None:
            return None
        rows = [self._share("leaks.pairs", card.leaks.pairs), self._share("leaks.prompts", card.leaks.prompts)]
        if card.leaks.accuracy_without:
            rows.append(self._share("leaks.without", card.leaks.accuracy_without, kind="main"))
        return {"num": written(card.leaks.num_training, "count"), "rows": rows}

    def checks(self, card: Card) -> list[tuple[str, list[str]]]:
        """Every rule once: what is fine, and what could not be looked at."""
        found = [reason.name for reason in card.reasons]
        other = "easy" if "easy" not in found else "suspicious"
        fine = [name for name in RULES if name not in (*found, *card.unchecked, other)]
        parts = [
            (self.t("checks.fine", num=len(fine)), fine),
            (self.t("checks.unchecked", num=len(card.unchecked)), card.unchecked),
        ]
        column = LANGUAGES.index(self.language)
        return [(name, [RULES[rule][column] for rule in rules]) for name, rules in parts if rules]

    def _share(self, name: str, share: Share, *, says: str | None = None, kind: str = "") -> Context:
        told = says or self.t(f"row.{name}.says", num=written(share.num, "count"))
        return self._row(self.t(f"row.{name}"), share.interval, told, kind)

    def _row(self, name: str, value: Measured, says: str = "", kind: str = "") -> Context:
        bar = "" if value is None else charts.share_bar(value, label=name, kind=kind)
        return {"name": name, "says": says, "value": estimate(value, "share"), "bar": bar}


def _points(difference: Interval) -> Interval:
    """A difference of shares in percentage points."""
    low, high = (None if end is None else 100 * end for end in (difference.low, difference.high))
    return Interval(mean=100 * difference.mean, low=low, high=high)


def _shift(probe: Probe) -> Measured:
    return None if probe.shift is None else Interval(mean=probe.shift, low=probe.low, high=probe.high)


def _dot(point: CurvePoint) -> charts.Dot:
    half = 1.96 * point.error
    name = written(point.accuracy, "share")
    return charts.Dot(point.num_pairs, point.accuracy, (point.accuracy - half, point.accuracy + half), name)
