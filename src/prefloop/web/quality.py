"""Quality of annotators: what the numbers of `people.annotators` say of each of them, from the judgements in the database.

A finding is looked for only after 30, 60, 120, 240 ... judgements, and the looks share the chance of a false alarm: so that a
lead who looks at the page every minute accuses an honest annotator no more often than `alpha` in all.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, or_, select

from prefloop.stats import annotators, sequential
from prefloop.stats.annotators import Judged, Norms
from prefloop.stats.intervals import Proportion, proportion
from prefloop.web import answers, facts, leaning
from prefloop.web.facts import Fact, Kept, Reading, Votes, finite
from prefloop.web.site import Site
from prefloop.web.tables import items, judgements, users

NORMS = Norms()
FIRST_LOOK = 30
"""Judgements before anybody is suspected of anything."""
SPENT = (0.1, 0.6)
"""Shares of the chance of a false alarm that the first looks take, after 30 and 60; each later one takes half of what is left."""
WALD = {"good": 0.85, "bad": 0.65, "alpha": 0.05, "beta": 0.10}
"""Wald's test on gold items."""
PASSES = 4
"""Times that everybody is looked at anew without the votes of those who were named."""
EACH = 5_000
"""Judgements of one annotator that their own page is reckoned from, the newest ones."""


def votes_of(judged: Sequence[Fact]) -> dict[tuple[str, str, tuple[int, ...]], list[Fact]]:
    """What was said of each unit of work by anybody; repeats and gold say nothing here."""
    return facts.by([one for one in judged if one.purpose == "work" and not one.repeat], lambda one: one.unit)


def columns(mine: Sequence[Fact], votes: Votes, readings: Mapping[str, Reading]) -> Judged:
    """One annotator's pair judgements of work and gold, as `people.annotators` wants them, in the order they were made."""
    pairs = [one for one in mine if one.kind == "pair" and one.purpose in ("work", "gold") and not one.repeat]
    rows = [_row(one, votes.get(one.unit, ()), readings.get(one.comparison)) for one in pairs]
    table = np.array(rows, dtype=float).reshape(len(rows), 8)
    return Judged(*(table[:, column] for column in range(8)))


def _row(one: Fact, same: Sequence[Fact], reading: Reading | None) -> tuple[float, ...]:
    left, right = one.order[0], one.order[1]
    chose = {left: 1.0, right: 0.0}.get(one.best, math.nan) if one.best is not None else math.nan
    gold = math.nan
    if one.purpose == "gold" and one.expected and "best" in one.expected:
        gold = float(one.expected["best"] == left)
    others = [other.best for other in same if other.user != one.user]
    letters = reading.letters if reading else {}
    gap = letters.get(left, 0) - letters.get(right, 0)
    longer = math.nan if not gap or math.isnan(chose) else float((gap > 0) == (chose == 1.0))
    words = _words(one, reading)
    return (
        chose,
        gold,
        float(others.count(left)),
        float(others.count(right)),
        longer,
        one.seconds,
        words,
        float(one.was_shown),
    )


def _words(one: Fact, reading: Reading | None) -> float:
    """Words there were to read; 0 if nobody knows how long it took."""
    return reading.of(one.order) if reading and (one.was_shown or one.seconds) else 0.0


def looked_at(number: int) -> tuple[int, float]:
    """(judgements at the last look, the chance of a false alarm it may take) of an annotator with so many."""
    if number < FIRST_LOOK:
        return 0, 0.0
    look = int(math.log2(number / FIRST_LOOK) + 1e-9)
    return FIRST_LOOK * 2**look, NORMS.alpha * (
        SPENT[look] if look < len(SPENT) else (1 - sum(SPENT)) / 2 ** (look - len(SPENT) + 1)
    )


def report(mine: Sequence[Fact], votes: Votes, readings: Mapping[str, Reading]) -> dict[str, Any]:
    """All that is said of one annotator, ready for JSON.

    Args:
        mine: their judgements, in order.
        votes: of everybody, from `votes_of`.
        readings: of the comparisons judged.
    """
    judged = columns(mine, votes, readings)
    whole = annotators.annotator_report(judged, norms=NORMS)
    look, alpha = looked_at(len(mine))  # repeats are judgements too, and take their time
    early = columns(mine[:look], votes, readings)
    found = annotators.annotator_report(early, norms=replace(NORMS, alpha=alpha)).findings if look else ()
    checked = [one.right for one in mine if one.purpose == "gold" and one.right is not None]
    gold = annotators.gold_accuracy(sum(checked), len(checked), norms=NORMS)
    kept = [one for one in mine if not one.repeat and one.purpose in ("work", "gold")]
    speed = annotators.reading_speed(
        [one.seconds for one in kept], [_words(one, readings.get(one.comparison)) for one in kept], norms=NORMS
    )
    timed = [one.seconds for one in kept if one.was_shown or one.seconds]
    consensus, drift = whole.consensus, whole.drift
    hurried = speed.hurried and len(timed) >= FIRST_LOOK
    return {
        "num_judgements": len(mine),
        "num_pairs": whole.num_judgements,
        "agreement": share(_agreed_with_others(mine, votes)),
        "consensus": {"agreed": consensus.agreed, "n": consensus.n, "expected": finite(consensus.expected), "p_value": finite(consensus.p_value)},
        "gold": {
            **share(gold.accuracy), "probability_below": finite(gold.probability_below), "alert": gold.alert,
            "verdict": sequential.annotator_test(sum(checked), len(checked) - sum(checked), **WALD),
        },
        "side": {**share(whole.side), "p_value": finite(whole.side.p_value)},
        "length": {**share(whole.length), "p_value": finite(whole.length.p_value)},
        "speed": {"share_of_reading": finite(speed.share), "hurried": hurried, "median_seconds": _median(timed)},
        "drift": {"early": finite(drift.early), "late": finite(drift.late), "p_value": finite(drift.p_value)},
        "consistency": share(_with_themselves(mine)),
        "curve": _curve(judged),
        "looked_at": look,
        "findings": [{**asdict(finding), "p_value": finite(finding.p_value)} for finding in found],
        "flagged": bool(found) or gold.alert or hurried,
    }  # fmt: skip


def share(of: Proportion) -> dict[str, Any]:
    """A share with its interval, for JSON."""
    bounds = {"rate": finite(of.rate), "low": finite(of.low), "high": finite(of.high)}
    return {"successes": of.successes, "n": of.n, **bounds}


def _agreed_with_others(mine: Sequence[Fact], votes: Votes) -> Proportion:
    """Of the units that the others' majority decides, or on which they do not differ: where the annotator said the same."""
    agreed = number = 0
    for one in mine:
        if one.purpose != "work" or one.repeat or one.kind in ("edit", "demonstration"):
            continue
        others = [other for other in votes.get(one.unit, ()) if other.user != one.user]
        same = sum(answers.agrees(one.kind, one.meaning, other.meaning) for other in others)
        if others and 2 * same != len(others):
            number, agreed = number + 1, agreed + (2 * same > len(others))
    return proportion(agreed, number, confidence=NORMS.confidence)


def _with_themselves(mine: Sequence[Fact]) -> Proportion:
    """Silent repeats, sides swapped, that were answered as the first time."""
    first = {one.item: one for one in mine if not one.repeat}
    again = [one for one in mine if one.repeat and one.item in first]
    same = sum(answers.agrees(one.kind, one.meaning, first[one.item].meaning) for one in again)
    return proportion(same, len(again), confidence=NORMS.confidence)


def _median(seconds: Sequence[float]) -> float | None:
    return finite(float(np.median(seconds)), 2) if seconds else None


def _curve(judged: Judged) -> list[list[float]]:
    """(judgements so far, share of agreement with what is favoured) in up to 24 windows, for a small chart."""
    left = annotators.favoured_left(judged, norms=NORMS)
    told = ~np.isnan(judged.chose_left) & (np.abs(left - 0.5) > 1e-9)
    agreed = ((judged.chose_left == 1) == (left > 0.5))[told]
    places = np.flatnonzero(told)
    if len(agreed) < 8:
        return []
    windows = np.array_split(np.arange(len(agreed)), min(24, len(agreed) // 4))
    return [[int(places[window[-1]]) + 1, round(float(agreed[window].mean()), 3)] for window in windows]


# -- everybody, or one -------------------------------------------------------------------------------------------------


def _everybody(site: Site, connection: Connection) -> list[dict[str, Any]]:
    judged = facts.load(connection, items.c.purpose.in_(("work", "gold")))
    people = connection.execute(
        select(users.c.id, users.c.name, users.c.role, users.c.active, users.c.calibrated).order_by(users.c.name)
    ).all()
    reports = together(judged, facts.readings(connection, {one.comparison for one in judged}))
    names = ("id", "name", "role", "active", "calibrated")
    return [{**{name: row._mapping[name] for name in names}, **reports[row.id]} for row in people if row.id in reports]


def together(judged: Sequence[Fact], readings: Mapping[str, Reading]) -> dict[int, dict[str, Any]]:
    """A report of each annotator. Whoever is named is not believed about the others: one clicker among two peers would
    make an honest annotator look like one. First those go whom their sides or gold betray, then the worst of the rest."""
    votes, mine = votes_of(judged), facts.by(judged, lambda one: one.user)
    distrusted: set[int] = set()
    reports: dict[int, dict[str, Any]] = {}
    for _ in range(PASSES):
        believed = {unit: [one for one in said if one.user not in distrusted] for unit, said in votes.items()}
        reports = {user: report(theirs, believed, readings) for user, theirs in mine.items()}
        named = {user: found for user, one in reports.items() if user not in distrusted and (found := _against(one))}
        if not named:
            break
        alone = {user for user, found in named.items() if found.keys() & {"one side", "gold"}}
        distrusted |= alone or {min(named, key=lambda user: min(named[user].values()))}
    return reports


def _against(one: dict[str, Any]) -> dict[str, float]:
    """Findings that say somebody is not to be believed, with their p-values; drift does not."""
    return {finding["name"]: finding["p_value"] for finding in one["findings"] if finding["name"] != "drift"}


everybody = Kept(_everybody, seconds=20.0)
"""`everybody.of(site)`: a report of each annotator who judged anything."""


def distrusted_of(reports: Sequence[dict[str, Any]]) -> set[int]:
    """Those of everybody who are named."""
    return {one["id"] for one in reports if _against(one)}


def one(connection: Connection, user: int, *, distrusted: Collection[int]) -> dict[str, Any] | None:
    """The report of one annotator, with their name; None if there is no such user.

    Args:
        distrusted: users whose votes do not count against others, see `distrusted_of`.
    """
    who = connection.execute(select(users).where(users.c.id == user)).first()
    if who is None:
        return None
    mine = facts.load(connection, judgements.c.user == user, items.c.purpose.in_(("work", "gold")), limit=EACH)
    others = [
        other
        for part in facts.parts(one.item for one in mine if one.purpose == "work")
        for other in facts.load(connection, judgements.c.item.in_(part), or_(judgements.c.counted, judgements.c.late))
        if other.user not in distrusted
    ]
    votes = votes_of(others)
    told = report(mine, votes, facts.readings(connection, {one.comparison for one in mine}))
    told["samplers"] = leaning.by_sampler(connection, mine, votes, look=looked_at(len(mine)))
    times = [{"at": one.at, "seconds": round(one.seconds, 2)} for one in mine[-400:]]
    return {
        "id": who.id,
        "name": who.name,
        "role": who.role,
        "active": who.active,
        "calibrated": who.calibrated,
        **told,
        "times": times,
    }
