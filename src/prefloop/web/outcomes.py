"""From judgements to what training reads: preferences, rankings, ratings, thumbs, demonstrations and edits, with weights.

Preferences are aggregated in one of four ways. Every way first gives p, the probability that one response is the better
one; the weight of a preference is 2 p - 1: a pair of which nothing is known teaches nothing.
majority: p is 1, under the rule of `prefloop.decisions`. weighted: each vote weighs the log odds of its annotator's accuracy
on gold. dawid_skene: accuracies and truth by EM, from the votes alone. crowd_bt: Bradley-Terry with an ability and a side bias
for each annotator. Where leads adjudicated, their ruling alone speaks, in every way and of every kind; a tie is a ruling too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import special
from sqlalchemy import Connection

from prefloop import decisions
from prefloop.records import Comparison, Demonstration, Judgement, Preference, Ranking
from prefloop.stats import aggregate, crowd
from prefloop.web import facts, stored
from prefloop.web.facts import Fact
from prefloop.web.tables import items, judgements

Way = Literal["majority", "weighted", "dawid_skene", "crowd_bt"]
Pair = tuple[str, int, int]
PRIOR = (4.0, 1.0)
"""Right and wrong gold judgements that everybody is taken to have made before, see `people.annotators.Norms`."""
SMOOTHING, TRUST = 0.5, 2.0
"""Pseudo-counts of Dawid-Skene."""
PENALTIES = crowd.CrowdPenalties(strength=0.3, bias=1.0, ability=1.0, usual_ability=0.9)
MARGIN = 1e-6
"""Distance of p from 1/2 below which a pair is undecided."""


@dataclass(frozen=True)
class Judged:
    """Everything that counts, at one moment."""

    facts: tuple[Fact, ...]
    comparisons: Mapping[str, Comparison]
    gold: Mapping[str, tuple[int, int]]
    """annotator -> (right, judged) of gold"""


@dataclass(frozen=True)
class Outcomes:
    """What training reads."""

    preferences: tuple[Preference, ...]
    probabilities: Mapping[str, float]
    """preference -> p that its chosen response is the better one"""
    rankings: tuple[Ranking, ...]
    ratings: tuple[dict[str, Any], ...]
    thumbs: tuple[dict[str, Any], ...]
    demonstrations: tuple[Demonstration, ...]
    edits: tuple[Preference, ...]
    undecided: int
    annotators: tuple[dict[str, Any], ...]
    """what the aggregation believes of each of them"""


def gathered(connection: Connection) -> Judged:
    """All that counts."""
    counted = facts.load(
        connection, judgements.c.counted, items.c.purpose.in_(("work", "adjudication", "chat")), limit=10**9
    )
    gold: dict[str, tuple[int, int]] = {}
    for one in facts.load(connection, items.c.purpose == "gold", judgements.c.right.is_not(None), limit=10**9):
        right, number = gold.get(one.name, (0, 0))
        gold[one.name] = right + bool(one.right), number + 1
    return Judged(tuple(counted), compared(connection, {one.comparison for one in counted}), gold)


def compared(connection: Connection, names: set[str]) -> dict[str, Comparison]:
    """These comparisons, as records."""
    found = [one for some in facts.parts(names) for one in stored.told(connection, some).values()]
    return {one["id"]: Comparison.model_validate(one) for one in found if len(one["responses"]) >= 2}


def as_judgement(one: Fact) -> Judgement:
    """A fact in the language on disk."""
    answer = {name: value for name, value in one.answer.items() if value is not None}
    known = {
        "id": one.id,
        "comparison": one.comparison,
        "annotator": one.name,
        "annotator_kind": "person",
        "kind": one.kind,
    }
    known |= {"comment": one.comment, "ruling": one.purpose == "adjudication"}
    return Judgement.model_validate({**known, "order": one.order, **answer, "seconds": one.seconds})


def outcomes(judged: Judged, way: Way) -> Outcomes:
    """Everything, aggregated in one way."""
    cast = [one for one in judged.facts if one.kind in ("pair", "ranking") and one.comparison in judged.comparisons]
    p, people = _probabilities(_ballots(cast), way, judged.gold)  # who was overruled still shows how well they judge
    spoken = replace(judged, facts=tuple(facts.heard(judged.facts)))
    kept = facts.heard(cast)
    found = decisions.decided(list(judged.comparisons.values()), [as_judgement(one) for one in kept])
    ruled = _ruled(kept)
    preferences, probabilities = [], {}
    for preference, is_decided in [
        *((one, True) for one in found.preferences),
        *((one, False) for one in found.undecided),
    ]:
        first = (preference.chosen_index or 0) < (preference.rejected_index or 0)
        low, high = sorted((preference.chosen_index or 0, preference.rejected_index or 0))
        pair = (preference.comparison, low, high)
        if way == "majority" or pair in ruled:
            sure = float(first) if is_decided else 0.5
        else:
            sure = p[pair]
        if abs(sure - 0.5) <= MARGIN:
            continue
        turned = preference if first == (sure > 0.5) else _turned(preference)
        probability = max(sure, 1.0 - sure)
        preferences.append(turned.model_copy(update={"weight": round(2 * probability - 1, 6)}))
        probabilities[turned.id] = round(probability, 6)
    return Outcomes(
        preferences=tuple(preferences), probabilities=probabilities, rankings=tuple(_rankings(kept, judged.comparisons)),
        ratings=tuple(_ratings(spoken)), thumbs=tuple(_thumbs(spoken)), demonstrations=tuple(_demonstrations(judged)), edits=tuple(_edits(judged)),
        undecided=found.num_pairs - len(preferences), annotators=tuple(people),
    )  # fmt: skip


def _turned(preference: Preference) -> Preference:
    """The same pair, decided the other way, with its votes told again."""
    side = {"chosen": "rejected", "rejected": "chosen", "tie": "tie"}
    votes = tuple(vote.model_copy(update={"side": side[vote.side]}) for vote in preference.votes)
    strengths = [vote.strength for vote in votes if vote.side == "chosen" and vote.strength is not None]
    return preference.model_copy(
        update={
            "chosen": preference.rejected, "rejected": preference.chosen, "votes": votes, "chosen_index": preference.rejected_index,
            "rejected_index": preference.chosen_index, "strength": sum(strengths) / len(strengths) if strengths else None,
            "agreement": sum(vote.side == "chosen" for vote in votes) / len(votes) if votes else None,
        }
    )  # fmt: skip


@dataclass(frozen=True)
class _Ballot:
    pair: Pair
    annotator: str
    first: float
    """1 if the response with the lower index is better, 0 if the other, 1/2 for a tie"""
    left_first: bool
    """the lower index stood on the left"""
    sided: bool
    """it is known which stood on the left"""


def _ballots(kept: Sequence[Fact]) -> list[_Ballot]:
    found = []
    for one in kept:
        places = {index: place for place, index in enumerate(one.order)}
        for i, j, ballot in decisions.votes_of(as_judgement(one)):
            first = 0.5 if ballot.winner is None else float(ballot.winner == i)
            found.append(_Ballot((one.comparison, i, j), one.name, first, places[i] < places[j], one.was_shown))
    return found


def _ruled(kept: Sequence[Fact]) -> set[Pair]:
    """Pairs that leads ruled upon, by themselves or in a ranking: `decisions.decided` hears the ruling alone."""
    rulings = [as_judgement(one) for one in kept if one.purpose == "adjudication"]
    return {(ruling.comparison, i, j) for ruling in rulings for i, j, _ in decisions.votes_of(ruling)}


def _probabilities(
    ballots: Sequence[_Ballot], way: Way, gold: Mapping[str, tuple[int, int]]
) -> tuple[dict[Pair, float], list[dict[str, Any]]]:
    """(pair -> p that the lower index is better, what is believed of each annotator)."""
    if way == "majority" or not ballots:
        return {}, []
    pairs = {pair: number for number, pair in enumerate(dict.fromkeys(ballot.pair for ballot in ballots))}
    names = {name: number for number, name in enumerate(dict.fromkeys(ballot.annotator for ballot in ballots))}
    where, who = np.array([pairs[b.pair] for b in ballots]), np.array([names[b.annotator] for b in ballots])
    first = np.array([b.first for b in ballots])
    ability = bias = np.full(len(names), np.nan)
    if way == "weighted":
        accuracy = np.array([_smoothed(*gold.get(name, (0, 0))) for name in names])
        weights = aggregate.log_odds_weights(accuracy, num_classes=2)
        p = special.expit(np.bincount(where, weights[who] * (2 * first - 1), len(pairs)))
    elif way == "dawid_skene":
        told = first != 0.5
        learnt = aggregate.dawid_skene(
            where[told], who[told], (first[told] == 0).astype(int), num_items=len(pairs), num_annotators=len(names), num_classes=2, one_coin=True,
            smoothing=SMOOTHING, trust=TRUST, tolerance=1e-6, max_iterations=500, prior=(0.5, 0.5),
        )  # fmt: skip
        p, accuracy = learnt.posteriors[:, 0], learnt.accuracies
    else:
        p, ability, bias = _crowd(ballots, pairs, who, first, len(names))
        accuracy = (1 + ability) / 2
    people = [
        {
            "name": name,
            "accuracy": facts.finite(accuracy[n]),
            "ability": facts.finite(ability[n]),
            "bias_to_left": facts.finite(bias[n]),
        }
        for name, n in names.items()
    ]
    return {pair: float(p[number]) for pair, number in pairs.items()}, people


def _smoothed(right: int, number: int) -> float:
    """Accuracy on gold, a little short of certain."""
    return min(max((right + PRIOR[0]) / (number + sum(PRIOR)), 0.5), 0.99)


def _crowd(
    ballots: Sequence[_Ballot], pairs: Mapping[Pair, int], who: Any, first: Any, num_annotators: int
) -> tuple[Any, Any, Any]:
    """Bradley-Terry with annotators: each response of a comparison is a player."""
    players = {key: n for n, key in enumerate(dict.fromkeys(key for c, i, j in pairs for key in ((c, i), (c, j))))}
    low = np.array([players[b.pair[0], b.pair[1]] for b in ballots])
    high = np.array([players[b.pair[0], b.pair[2]] for b in ballots])
    on_left = np.array([b.left_first for b in ballots])
    sided = np.array([b.sided for b in ballots])
    found = crowd.crowd_bradley_terry(
        np.where(on_left, low, high), np.where(on_left, high, low), who, np.where(on_left, first, 1 - first), num_players=len(players),
        num_annotators=num_annotators, penalties=PENALTIES, sided=sided,
    )  # fmt: skip
    gaps = [found.strengths[players[c, i]] - found.strengths[players[c, j]] for c, i, j in pairs]
    return (
        special.expit(np.array(gaps)),
        found.abilities,
        np.where(np.bincount(who, sided, num_annotators) > 0, found.biases, np.nan),
    )


# -- the other kinds ------------------------------------------------------------------------------------------------------


def _rankings(kept: Sequence[Fact], known: Mapping[str, Comparison]) -> Iterator[Ranking]:
    """One ranking of each comparison: as it is if one person ranked it, else the order that contradicts them least."""
    for unit in facts.by([one for one in kept if one.kind == "ranking"], lambda one: one.unit).values():
        comparison, indices = known[unit[0].comparison], sorted(unit[0].order)
        ranks = unit[0].meaning["ranks"] if len(unit) == 1 else _consensus([one.meaning["ranks"] for one in unit])
        yield Ranking(
            id=f"{comparison.id}:ranking", messages=comparison.messages, responses=tuple(comparison.responses[index].text for index in indices),
            ranks=tuple(ranks), num_judgements=len(unit), comparison=comparison.id,
        )  # fmt: skip


def _consensus(ballots: Sequence[Sequence[int]]) -> list[int]:
    """Kemeny's order, or ranked pairs where there are too many candidates."""
    ranks = np.array(ballots)
    preferred = (ranks[:, :, None] < ranks[:, None, :]).sum(0)
    order = aggregate.kemeny(preferred) if len(preferred) <= aggregate.MAX_KEMENY else aggregate.ranked_pairs(preferred)
    return [order.index(index) + 1 for index in range(len(order))]


def _ratings(judged: Judged) -> Iterator[dict[str, Any]]:
    """Mean marks of each response: attributes for a reward model with several heads."""
    for unit in facts.by([one for one in judged.facts if one.kind == "rating"], lambda one: one.unit).values():
        comparison = judged.comparisons.get(unit[0].comparison)
        for place, index in enumerate(sorted(unit[0].order) if comparison else ()):
            marks = {
                axis: [one.meaning["ratings"][axis][place] for one in unit if axis in one.meaning["ratings"]]
                for axis in unit[0].meaning["ratings"]
            }
            yield _row(comparison, index) | {
                "attributes": {axis: float(np.mean(values)) for axis, values in marks.items()},
                "spread": {axis: float(np.std(values)) for axis, values in marks.items()}, "num_judgements": len(unit),
            }  # fmt: skip


def _thumbs(judged: Judged) -> Iterator[dict[str, Any]]:
    """Good or bad, by majority, for KTO; equal votes give no row."""
    for unit in facts.by([one for one in judged.facts if one.kind == "thumb"], lambda one: one.unit).values():
        comparison = judged.comparisons.get(unit[0].comparison)
        for place, index in enumerate(sorted(unit[0].order) if comparison else ()):
            good = [one.meaning["thumbs"][place] for one in unit]
            if 2 * sum(good) != len(good):
                share = max(sum(good), len(good) - sum(good)) / len(good)
                told = {
                    "label": 2 * sum(good) > len(good),
                    "agreement": share,
                    "weight": 2 * share - 1,
                    "num_judgements": len(good),
                }
                yield _row(comparison, index) | told


def _row(comparison: Comparison | None, index: int) -> dict[str, Any]:
    assert comparison is not None  # both callers look first
    messages = [message.model_dump(mode="json") for message in comparison.messages]
    known = {"id": f"{comparison.id}:{index}", "messages": messages, "response": comparison.responses[index].text}
    return {**known, "comparison": comparison.id, "index": index, "tags": list(comparison.tags)}


def _demonstrations(judged: Judged) -> Iterator[Demonstration]:
    """What people wrote, and what they made of a response."""
    for one in judged.facts:
        comparison = judged.comparisons.get(one.comparison)
        if one.kind in ("demonstration", "edit") and comparison is not None:
            name = f"{one.comparison}:{one.kind}:{one.id}"
            yield Demonstration(
                id=name,
                messages=comparison.messages,
                tags=comparison.tags,
                response=one.answer["text"],
                source=one.name,
            )


def _edits(judged: Judged) -> Iterator[Preference]:
    """An edited response is better than it was before; one that was left as it is says nothing."""
    for one in judged.facts:
        comparison = judged.comparisons.get(one.comparison)
        if one.kind != "edit" or comparison is None:
            continue
        before, after = comparison.responses[one.meaning["index"]].text, one.answer["text"]
        if before.strip() and before != after:
            yield Preference(
                id=f"{one.comparison}:edit:{one.id}", messages=comparison.messages, chosen=after, rejected=before, agreement=1.0,
                comparison=one.comparison, rejected_index=one.meaning["index"], tags=comparison.tags,
            )  # fmt: skip
