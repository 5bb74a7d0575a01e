"""Quality of annotators: what the numbers of `stats.annotators` say of each of them, from the judgements here.

A finding is looked for only after 30, 60, 120, 240 ... judgements, and the looks share the chance of a false alarm: so
that a lead who looks at the page every minute accuses an honest annotator no more often than `alpha` in all.
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
from prefloop.web.body import finite
from prefloop.web.review import self_preference
from prefloop.web.review.cached import Cached
from prefloop.web.store.comparisons import Reading, parts, readings
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items, judgements, users
from prefloop.web.work import answers
from prefloop.web.work.votes import Unit, Vote, Votes, grouped, units_of, votes_where

NORMS = Norms()
FIRST_LOOK = 30
"""Judgements before anybody is suspected of anything."""
SPENT = (0.1, 0.6)
"""Shares of the chance of a false alarm that the looks after 30 and 60 take; each later one takes half of the rest."""
WALD = {"good": 0.85, "bad": 0.65, "alpha": 0.05, "beta": 0.10}
"""Wald's test on gold items."""
PASSES = 4
"""Times that everybody is looked at anew without the votes of those who were named."""
EACH = 5_000
"""Judgements of one annotator that their own page is reckoned from, the newest ones."""


def votes_of(judged: Sequence[Vote]) -> dict[Unit, list[Vote]]:
    """What was said of each unit of work by anybody; repeats and gold say nothing here."""
    return units_of([vote for vote in judged if vote.purpose == "work" and not vote.repeat])


def _others(vote: Vote, votes: Votes) -> list[Vote]:
    """What others said of the same unit."""
    return [other for other in votes.get(vote.unit, ()) if other.user != vote.user]


def columns(mine: Sequence[Vote], votes: Votes, read: Mapping[str, Reading]) -> Judged:
    """One annotator's pair judgements of work and gold, as `stats.annotators` wants them, in their order."""
    pairs = [vote for vote in mine if vote.kind == "pair" and vote.purpose in ("work", "gold") and not vote.repeat]
    rows = [_row(vote, _others(vote, votes), read.get(vote.comparison)) for vote in pairs]
    table = np.array(rows, dtype=float).reshape(len(rows), 8)
    return Judged(*(table[:, column] for column in range(8)))


def _row(vote: Vote, others: Sequence[Vote], reading: Reading | None) -> tuple[float, ...]:
    left, right = vote.order[0], vote.order[1]
    chose = {left: 1.0, right: 0.0}.get(vote.best, math.nan) if vote.best is not None else math.nan
    gold = math.nan
    if vote.purpose == "gold" and vote.expected and "best" in vote.expected:
        gold = float(vote.expected["best"] == left)
    said = [other.best for other in others]
    letters = reading.letters if reading else {}
    gap = letters.get(left, 0) - letters.get(right, 0)
    longer = math.nan if not gap or math.isnan(chose) else float((gap > 0) == (chose == 1.0))
    for_left, for_right = float(said.count(left)), float(said.count(right))
    return chose, gold, for_left, for_right, longer, vote.seconds, _words(vote, reading), float(vote.was_shown)


def _words(vote: Vote, reading: Reading | None) -> float:
    """Words there were to read; 0 if nobody knows how long it took."""
    return reading.of(vote.order) if reading and (vote.was_shown or vote.seconds) else 0.0


def looked_at(number: int) -> tuple[int, float]:
    """(judgements at the last look, the chance of a false alarm it may take) of an annotator with so many."""
    if number < FIRST_LOOK:
        return 0, 0.0
    look = int(math.log2(number / FIRST_LOOK) + 1e-9)
    spends = SPENT[look] if look < len(SPENT) else (1 - sum(SPENT)) / 2 ** (look - len(SPENT) + 1)
    return FIRST_LOOK * 2**look, NORMS.alpha * spends


def report(mine: Sequence[Vote], votes: Votes, read: Mapping[str, Reading]) -> dict[str, Any]:
    """All that is said of one annotator, ready for JSON.

    Args:
        mine: their judgements, in order.
        votes: of everybody, from `votes_of`.
        read: how much there is to read of each comparison.
    """
    judged = columns(mine, votes, read)
    whole = annotators.annotator_report(judged, norms=NORMS)
    look, alpha = looked_at(len(mine))  # repeats are judgements too, and take their time
    early = columns(mine[:look], votes, read)
    findings = annotators.annotator_report(early, norms=replace(NORMS, alpha=alpha)).findings if look else ()
    checked = [vote.right for vote in mine if vote.purpose == "gold" and vote.right is not None]
    gold = annotators.gold_accuracy(sum(checked), len(checked), norms=NORMS)
    kept = [vote for vote in mine if not vote.repeat and vote.purpose in ("work", "gold")]
    words = [_words(vote, read.get(vote.comparison)) for vote in kept]
    speed = annotators.reading_speed([vote.seconds for vote in kept], words, norms=NORMS)
    timed = [vote.seconds for vote in kept if vote.was_shown or vote.seconds]
    consensus, drift = whole.consensus, whole.drift
    hurried = speed.hurried and len(timed) >= FIRST_LOOK
    median = finite(float(np.median(timed)), 2) if timed else None
    return {
        "num_judgements": len(mine),
        "num_pairs": whole.num_judgements,
        "agreement": share(_agreed_with_others(mine, votes)),
        "consensus": {
            "agreed": consensus.agreed, "n": consensus.n, "expected": finite(consensus.expected),
            "p_value": finite(consensus.p_value),
        },
        "gold": {
            **share(gold.accuracy), "probability_below": finite(gold.probability_below), "alert": gold.alert,
            "verdict": sequential.annotator_test(sum(checked), len(checked) - sum(checked), **WALD),
        },
        "side": {**share(whole.side), "p_value": finite(whole.side.p_value)},
        "length": {**share(whole.length), "p_value": finite(whole.length.p_value)},
        "speed": {"share_of_reading": finite(speed.share), "hurried": hurried, "median_seconds": median},
        "drift": {"early": finite(drift.early), "late": finite(drift.late), "p_value": finite(drift.p_value)},
        "consistency": share(_with_themselves(mine)),
        "curve": _curve(judged),
        "looked_at": look,
        "findings": [{**asdict(finding), "p_value": finite(finding.p_value)} for finding in findings],
        "flagged": bool(findings) or gold.alert or hurried,
    }  # fmt: skip


def share(of: Proportion) -> dict[str, Any]:
    """A share with its interval, for JSON."""
    bounds = {"rate": finite(of.rate), "low": finite(of.low), "high": finite(of.high)}
    return {"successes": of.successes, "n": of.n, **bounds}


def _agreed_with_others(mine: Sequence[Vote], votes: Votes) -> Proportion:
    """Of the units that the others' majority decides, or on which they agree: where the annotator said the same."""
    agreed = number = 0
    for vote in mine:
        if vote.purpose != "work" or vote.repeat or vote.kind in ("edit", "demonstration"):
            continue
        others = _others(vote, votes)
        same = sum(answers.agrees(vote.kind, vote.meaning, other.meaning) for other in others)
        if others and 2 * same != len(others):
            number, agreed = number + 1, agreed + (2 * same > len(others))
    return proportion(agreed, number, confidence=NORMS.confidence)


def _with_themselves(mine: Sequence[Vote]) -> Proportion:
    """Silent repeats, sides swapped, that were answered as the first time."""
    first = {vote.item: vote for vote in mine if not vote.repeat}
    again = [vote for vote in mine if vote.repeat and vote.item in first]
    same = sum(answers.agrees(vote.kind, vote.meaning, first[vote.item].meaning) for vote in again)
    return proportion(same, len(again), confidence=NORMS.confidence)


def _curve(judged: Judged) -> list[list[float]]:
    """(judgements so far, share of agreement with what is favoured) in up to 24 windows, for a small chart."""
    left = annotators.favoured_left(judged, norms=NORMS)
    decided = ~np.isnan(judged.chose_left) & (np.abs(left - 0.5) > 1e-9)
    agreed = ((judged.chose_left == 1) == (left > 0.5))[decided]
    places = np.flatnonzero(decided)
    if len(agreed) < 8:
        return []
    windows = np.array_split(np.arange(len(agreed)), min(24, len(agreed) // 4))
    return [[int(places[window[-1]]) + 1, round(float(agreed[window].mean()), 3)] for window in windows]


# -- everybody, or one ------------------------------------------------------------------------------------------------


WHO = ("id", "name", "role", "kind", "active", "calibrated")


def _everybody(site: Site, connection: Connection) -> list[dict[str, Any]]:
    judged = votes_where(connection, items.c.purpose.in_(("work", "gold")))
    reports = together(judged, readings(connection, {vote.comparison for vote in judged}))
    people = connection.execute(select(*[users.c[name] for name in WHO]).order_by(users.c.name)).mappings()
    return [{**row, **reports[row["id"]]} for row in people if row["id"] in reports]


def together(judged: Sequence[Vote], read: Mapping[str, Reading]) -> dict[int, dict[str, Any]]:
    """A report of each annotator. Whoever is named is not believed about the others: one clicker among two peers would
    make an honest annotator look like one. First go those whom sides or gold betray, then the worst of the rest."""
    votes, mine = votes_of(judged), grouped(judged, lambda vote: vote.user)
    distrusted: set[int] = set()
    reports: dict[int, dict[str, Any]] = {}
    for _ in range(PASSES):
        believed = {unit: [vote for vote in said if vote.user not in distrusted] for unit, said in votes.items()}
        reports = {user: report(theirs, believed, read) for user, theirs in mine.items()}
        against = {user: _against(reports[user]) for user in reports if user not in distrusted}
        named = {user: p_values for user, p_values in against.items() if p_values}
        if not named:
            break
        alone = {user for user, p_values in named.items() if p_values.keys() & {"one side", "gold"}}
        distrusted |= alone or {min(named, key=lambda user: min(named[user].values()))}
    return reports


def _against(report: dict[str, Any]) -> dict[str, float]:
    """Findings that say somebody is not to be believed, with their p-values; drift does not."""
    return {finding["name"]: finding["p_value"] for finding in report["findings"] if finding["name"] != "drift"}


everybody = Cached(_everybody, seconds=20.0)
"""`everybody.of(site)`: a report of each annotator who judged anything."""


def of_annotator(site: Site, user: int) -> dict[str, Any] | None:
    """The report of one annotator, with their name, among those who are believed; None if there is no such user."""
    distrusted = {report["id"] for report in everybody.of(site) if _against(report)}
    with site.database.reading() as connection:
        who = connection.execute(select(*[users.c[name] for name in WHO]).where(users.c.id == user)).mappings().first()
        return None if who is None else {**who, **_of_one(connection, user, distrusted)}


def _of_one(connection: Connection, user: int, distrusted: Collection[int]) -> dict[str, Any]:
    """The report of a user, without the votes of those who are not believed."""
    mine = votes_where(connection, judgements.c.user == user, items.c.purpose.in_(("work", "gold")), limit=EACH)
    counts = or_(judgements.c.counted, judgements.c.late)
    others = [
        other
        for part in parts(vote.item for vote in mine if vote.purpose == "work")
        for other in votes_where(connection, judgements.c.item.in_(part), counts)
        if other.user not in distrusted
    ]
    votes, read = votes_of(others), readings(connection, {vote.comparison for vote in mine})
    samplers = self_preference.by_sampler(connection, mine, votes, look=looked_at(len(mine)))
    times = [{"at": vote.at, "seconds": round(vote.seconds, 2)} for vote in mine[-400:]]
    return {**report(mine, votes, read), "samplers": samplers, "times": times}
