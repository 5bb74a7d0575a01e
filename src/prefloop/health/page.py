"""Shows the card: one page for each language, which stands by itself."""

import math
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from markupsafe import Markup

from prefloop import layout
from prefloop.drawing import charts
from prefloop.drawing.numerals import Kind, bracket, estimate, figure, written
from prefloop.drawing.pages import rendered
from prefloop.files.atomic import write_text
from prefloop.health.words import LABELS, LANGUAGES, RULES, label, says, verdict
from prefloop.records.cards import Card, Share, Slice
from prefloop.records.evaluations import Interval, Measured
from prefloop.records.probes import Probe

HERE = Path(__file__).parent
Context = dict[str, Any]
PAGES = {"en": layout.CARD_PAGE, "zh": layout.CARD_PAGE_ZH}
"""Language -> the file of its page."""


def write(card: Card, folder: Path, *, title: str) -> tuple[Path, ...]:
    """Writes `card.html` and `card.zh.html`. Args: title: the reward model, as it is named. Returns: their paths."""
    paths = tuple(folder / PAGES[language] for language in LANGUAGES)
    for path, language in zip(paths, LANGUAGES, strict=True):
        write_text(path, page(card, language, title=title))
    return paths


def page(card: Card, language: str, *, title: str) -> str:
    """The whole HTML page."""
    said = _Said(language)
    stops = [says(reason, language) for reason in card.reasons if reason.stops]
    context: Context = {
        "t": partial(label, language=language),
        "title": "/".join(PurePath(title).parts[-3:]),
        "verdict": verdict(card, language),
        "stops": stops,
        "cautions": [says(reason, language) for reason in card.reasons if not reason.stops],
        "tiles": said.tiles(card),
        "good": said.good(card),
        "slices": said.slices(card),
        "sure": said.sure(card),
        "probes": [said.probe(each) for each in card.probes if each.num],
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
        """The big numbers."""
        words = next((each for each in card.baselines if each.name == "words"), None)
        shown: list[tuple[str, Measured, Kind]] = [("accuracy", _interval(card.accuracy), "share")]
        if card.agreement and card.accuracy_votes:
            shown += [("votes", _interval(card.accuracy_votes), "share"), ("ceiling", card.agreement.ceiling, "share")]
        if words:
            ahead = Interval(mean=words.ahead, low=words.ahead_low, high=words.ahead_high)
            shown.append(("ahead", ahead, "share"))
        if card.calibration:
            shown.append(("ece", card.calibration.ece_after or card.calibration.ece, "share"))
        if card.leaks:
            shown.append(("leaks", card.leaks.pairs.mean, "share"))
        return [
            {"name": self.t(f"tile.{name}"), "value": estimate_alone(value, kind), "interval": bracket(value, kind)}
            for name, value, kind in shown
        ]

    def good(self, card: Card) -> list[Context]:
        """The accuracy beside its yardsticks."""
        rows = [self._share("accuracy", card.accuracy, kind="main")]
        agreement = card.agreement
        if card.accuracy_votes and agreement:
            rows.append(self._share("votes", card.accuracy_votes, kind="main"))
        if agreement:
            cycles = self.t("row.equal.cycles") if agreement.source == "cycles" else None
            rows.append(self._share("equal", agreement.equal, says=cycles))
            most = self.t("row.ceiling.says", most=written(agreement.ceiling_most, "share"))
            rows.append(self._row(self.t("row.ceiling"), agreement.ceiling, most))
        for each in card.baselines:
            ahead = Interval(mean=each.ahead, low=each.ahead_low, high=each.ahead_high)
            points = written(100 * each.ahead, "nats")
            said = self.t("row.ahead", ahead=points, interval=bracket(ahead, "share"))
            said += f"; {self.t('row.in_turns')}" if each.in_turns else ""
            rows.append(self._row(self.t(f"row.{each.name}"), each.accuracy, said))
        if card.accuracy_train is not None:
            rows.append(self._row(self.t("row.train"), card.accuracy_train, self.t("row.train.says")))
        return rows

    def slices(self, card: Card) -> list[Context]:
        """The accuracy on parts of the pairs."""
        kinds = (("by_strength", "strength", "pairs"), ("by_length", "length", "pairs"), ("by_domain", "", "pairs"))
        parts: dict[str, tuple[Slice, ...]] = {
            name: dict(card)[name] for name in ("by_strength", "by_length", "by_domain", "by_annotator")
        }
        return [
            {"title": self.t(name), "counted": self.t(counted), "rows": [self._slice(each, of) for each in parts[name]]}
            for name, of, counted in (*kinds, ("by_annotator", "", "votes"))
            if parts[name]
        ]

    def _slice(self, each: Slice, of: str) -> Context:
        key = f"{of}.{each.name}"
        name = self.t(key) if key in LABELS else each.name
        return {**self._row(name, _interval(each.accuracy), kind="main"), "num": written(each.accuracy.num, "count")}

    def sure(self, card: Card) -> Context | None:
        """Calibration."""
        known = card.calibration
        if known is None:
            return None
        bins = [
            (b.confidence, b.accuracy, b.num) for b in known.bins if b.confidence is not None and b.accuracy is not None
        ]
        plot = charts.reliability(bins, label=self.t("sure.plot"), x_name=self.t("sure.x"), ideal=self.t("sure.ideal"))
        rows: list[tuple[str, float | None, float | None]]
        rows = [("ece", known.ece, known.ece_after), ("nll", known.nll, known.nll_after)]
        if known.nll_bayes is not None:
            rows.append(("bayes", None, known.nll_bayes))
        elif card.agreement:
            rows.append(("best", None, card.agreement.nll_best))
        rows.append(("coin", math.log(2), None))
        temperature = None
        if known.temperature is not None:
            temperature = self.t("sure.temperature", value=written(known.temperature), num=written(known.num, "count"))
        cells = [{"name": self.t(f"sure.{name}"), "cells": [_plain(x) for x in both]} for name, *both in rows]
        return {"plot": plot, "rows": cells, "temperature": temperature}

    def probe(self, each: Probe) -> Context:
        """What one edit does."""
        shift = None if each.shift is None else Interval(mean=each.shift, low=each.low, high=each.high)
        return {
            "name": each.name,
            "should": self.t(f"expected.{each.expected}"),
            "num": written(each.num, "count"),
            "shift": estimate(shift, "plain"),
            "token": each.token or "",
            "finding": self.t(f"finding.{each.finding}"),
            "mark": {"shortcut": "bad", "blind": "warn", "fine": "good"}.get(each.finding, "plain"),
        }

    def labels(self, card: Card) -> list[Context]:
        """Noise, and what goes round."""
        rows = []
        if card.agreement:
            rows.append(self._row(self.t("labels.noise"), card.agreement.noise))
        if card.cycles:
            triads = self.t("labels.cyclic.says", num=written(card.cycles.triads, "count"))
            rows.append(self._row(self.t("labels.cyclic"), _interval(card.cycles.cyclic), triads))
            prompts = self.t("labels.prompts.says", num=written(card.cycles.num_prompts, "count"))
            rows.append(self._row(self.t("labels.prompts"), card.cycles.prompts, prompts))
        return rows

    def leaks(self, card: Card) -> Context | None:
        """Near-duplicates."""
        if card.leaks is None:
            return None
        rows = [self._row(self.t("leaks.pairs"), _interval(card.leaks.pairs))]
        rows.append(self._row(self.t("leaks.prompts"), card.leaks.prompts))
        if card.leaks.accuracy_without:
            rows.append(self._row(self.t("leaks.without"), _interval(card.leaks.accuracy_without), kind="main"))
        return {"num": written(card.leaks.num_training, "count"), "rows": rows}

    def checks(self, card: Card) -> list[tuple[str, list[str]]]:
        """Every rule once: what was found, what is fine, and what could not be looked at."""
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
        return self._row(self.t(f"row.{name}"), _interval(share), told, kind)

    def _row(self, name: str, value: Measured, says: str = "", kind: str = "") -> Context:
        bar = charts.share_bar(value, label=name, kind=kind)
        return {"name": name, "says": says, "value": estimate(value, "share"), "bar": bar}


def estimate_alone(value: Measured, kind: Kind) -> Markup:
    """A number without its interval."""
    return figure(value.mean if isinstance(value, Interval) else value, kind)


def _interval(share: Share) -> Interval:
    return Interval(mean=share.mean, low=share.low, high=share.high)


def _plain(value: float | None) -> Markup:
    return figure(value, "plain") if value is None or value >= 0.1 else figure(value, "plain", size=0.01)
