"""Rounds on the page: what each began from, took and decided, whether the loop gains, and what came of what, drawn."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from prefloop.drawing import charts, svg
from prefloop.drawing.charts import Dot
from prefloop.drawing.numerals import estimate, figure, written
from prefloop.records.cards import Share
from prefloop.records.evaluations import Interval
from prefloop.records.gates import Gate
from prefloop.records.lineages import Lineage, Round
from prefloop.records.skills import Skill
from prefloop.report.pipeline import Pipeline
from prefloop.report.words import LABELS, Words

WIDE, TALL, GAP = 172.0, 76.0, 34.0
"""Of a round's box, and between two of them."""
PAGE = 1032.0
"""Least width of the drawing, so that few rounds are not blown up."""
Context = dict[str, Any]


def rounds(pipeline: Pipeline, words: Words) -> Context | None:
    """What the page shows of them; None if there are none."""
    lineage = pipeline.lineage
    if lineage is None or not lineage.rounds:
        return None
    line = lineage.line(lineage.head)
    return {
        "verdict": _verdict(line, words),
        "rows": [_row(each, pipeline.gates.get(each.name), each in line, words) for each in lineage.rounds],
        "tree": tree(lineage, words),
        "curve": _over_base(line, words),
        "pairs": _pairs(line, words),
        "matrix": matrix(pipeline, line, words),
    }


def matrix(pipeline: Pipeline, line: tuple[Round, ...], words: Words) -> Context | None:
    """Round x skill, first what all are compared with; None if nobody measured."""
    found = {each.name: pipeline.skills[each.name] for each in line if each.name in pipeline.skills}
    if not found:
        return None
    first = next(iter(found.values())).models[0]
    names = [skill.name for skill in first.skills]
    rows = [{"name": first.name, "cells": [_cell(skill) for skill in first.skills]}]
    for name, measured in found.items():
        own = {skill.name: skill for skill in measured.models[-1].skills}
        cells = [_cell(own[skill]) if skill in own else _cell(None) for skill in names]
        rows.append({"name": words.plain("rounds.name", name=name), "cells": cells})
    known = {name: words.plain(f"skill.{name}") if f"skill.{name}" in LABELS else name for name in names}
    return {"names": [known[name] for name in names], "rows": rows}


def _cell(skill: Skill | None) -> Context:
    """A number with its interval, red if it was lost."""
    if skill is None:
        return {"value": estimate(None, "plain"), "lost": False}
    kind = "plain" if skill.name.split("_ood")[0] in ("token_loss", "byte_loss") else "share"
    return {"value": estimate(Interval(mean=skill.value, low=skill.low, high=skill.high), kind), "lost": skill.lost}


def _verdict(line: tuple[Round, ...], words: Words) -> list[Markup]:
    """Sentences on the whole: how many were shipped, what that gained, and whether the reward model kept up."""
    shipped = sum(each.decision == "ship" for each in line)
    judged = sum(each.judgements for each in line)
    sentences = [words("rounds.shipped", num=len(line), shipped=shipped, judgements=written(judged, "count"))]
    last = next((each.over_base for each in reversed(line) if each.decision == "ship"), None)
    if last is not None:
        outcome = "won" if (last.low or 0) > 0.5 else "lost" if (last.high or 1) < 0.5 else "unclear"
        sentences.append(words(f"rounds.base.{outcome}", rate=estimate(last, "share")))
    both = [(each.stale, each.fresh) for each in line if each.stale and each.fresh]
    if both:
        better = sum(fresh.mean > stale.mean for stale, fresh in both)
        sentences.append(words("rounds.refreshed", num=len(both), better=better))
    return sentences


def _why(made: Gate | None, words: Words) -> list[Markup]:
    """What the gate's decision rests on, in short."""
    if made is None or made.duel.win_rate is None:
        return []
    duel = made.duel
    rate, low, high = (written(value, "share") for value in (duel.win_rate, duel.low, duel.high))
    by = words.plain(f"gate.by.{duel.by}") if f"gate.by.{duel.by}" in LABELS else duel.by
    told = [words("rounds.duel", rate=rate, num=duel.prompts, low=low, high=high, by=by)]
    broken = [words.plain(f"gate.{each.name}") for each in made.conditions if each.state == "broken"]
    return told + ([words("rounds.broken", names=", ".join(broken))] if broken else [])


def _row(each: Round, made: Gate | None, is_on_line: bool, words: Words) -> Context:
    gained = None if each.gain is None else _around(each.gain + 0.5, each.gain_error)
    return {
        "name": each.name,
        "parent": each.parent or words.plain("rounds.begin"),
        "judgements": figure(each.judgements, "count"),
        "stale": _share(each.stale),
        "fresh": _share(each.fresh),
        "gained": estimate(gained, "share"),
        "over_base": estimate(each.over_base, "share"),
        "decision": words(f"rounds.{each.decision or 'open'}"),
        "kind": each.decision or "open",
        "aside": not is_on_line,
        "why": _why(made, words),
    }


def _around(value: float, error: float | None) -> Interval:
    if error is None:
        return Interval(mean=value)
    return Interval(mean=value, low=value - 1.96 * error, high=value + 1.96 * error)


def _share(share: Share | None) -> Markup:
    return estimate(share and Interval(mean=share.mean, low=share.low, high=share.high), "share")


def _over_base(line: tuple[Round, ...], words: Words) -> Markup | None:
    """Win rate over SFT against the judgements spent, candidate by candidate; shipped ones are marked."""
    points, spent = [Dot(0.0, 0.5, None, words.plain("before.sft"))], 0
    for each in line:
        spent += each.judgements
        rate = each.over_base
        if rate is not None:
            ends = None if rate.low is None or rate.high is None else (rate.low, rate.high)
            points.append(Dot(float(spent), rate.mean, ends, each.name, each.decision == "ship"))
    if len(points) == 1:
        return None
    x_name = words.plain("rounds.spent")
    return charts.dots(points, label=words.plain("rounds.curve"), x_name=x_name, kind="share")


def _pairs(line: tuple[Round, ...], words: Words) -> Markup | None:
    """How right the last reward model and the refreshed one are, round by round."""
    stale = [(float(each.number), each.stale.mean) for each in line if each.stale]
    fresh = [(float(each.number), each.fresh.mean) for each in line if each.fresh]
    if not stale:
        return None
    series = [
        charts.Series(words.plain("rounds.stale"), stale, "one"),
        charts.Series(words.plain("rounds.fresh"), fresh, "two"),
    ]
    return charts.curve(series, label=words.plain("rounds.pairs"), x_name=words.plain("rounds.round"), kind="share")


@dataclass(frozen=True)
class _Place:
    """Where a round's box is."""

    round: Round
    column: int
    row: int


def tree(lineage: Lineage, words: Words) -> Markup:
    """Rounds as boxes, each to the right of the one that it came after, branches one under the other."""
    places: dict[str, _Place] = {}
    rows = 1
    for each in lineage.rounds:
        parent = places.get(each.parent)
        beside = any(place.round.parent == each.parent for place in places.values())
        row = rows if beside else parent.row if parent else 0
        rows = max(rows, row + 1)
        places[each.name] = _Place(each, each.number, row)
    columns = max(place.column for place in places.values()) + 1
    first = lineage.rounds[0].incumbent
    parts = [_box(0, 0, words.plain("rounds.begin"), [first.fingerprint], "absent")]
    for place in places.values():
        before = places.get(place.round.parent)
        parts.append(_edge((before.column, before.row) if before else (0, 0), (place.column, place.row)))
    on_line = {each.name for each in lineage.line(lineage.head)}
    for place in places.values():
        each = place.round
        facts = [words.plain(f"rounds.{each.decision or 'open'}")]
        facts.append(each.selected.fingerprint if each.selected else each.incumbent.fingerprint)
        kind = "spine" if each.name in on_line else "absent"
        parts.append(_box(place.column, place.row, words.plain("rounds.name", name=each.name), facts, kind))
    width, height = max(columns * (WIDE + GAP) - GAP + 4, PAGE), rows * (TALL + GAP) - GAP + 4
    return svg.drawing(width, height, words.plain("rounds.tree"), *parts, kind="flow lineage", prefix="lineage")


def _corner(column: int, row: int) -> tuple[float, float]:
    return 2 + column * (WIDE + GAP), 2 + row * (TALL + GAP)


def _box(column: int, row: int, title: str, facts: list[str], kind: str) -> Markup:
    x, y = _corner(column, row)
    lines = [svg.text(x + 12, y + 44 + 18 * n, fact, "fact") for n, fact in enumerate(facts)]
    return svg.rect(x, y, WIDE, TALL, f"box {kind}") + svg.text(x + 12, y + 24, title, "title") + Markup("").join(lines)


def _edge(before: tuple[int, int], after: tuple[int, int]) -> Markup:
    (x0, y0), (x1, y1) = _corner(*before), _corner(*after)
    begin, end = (x0 + WIDE, y0 + TALL / 2), (x1, y1 + TALL / 2)
    middle = end[0] - GAP / 2
    return svg.arrow([begin, (middle, begin[1]), (middle, end[1]), end], "lineage")
