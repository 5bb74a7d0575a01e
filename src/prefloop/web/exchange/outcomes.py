"""From judgements to what training reads: preferences, rankings, ratings, thumbs, demonstrations and edits, weighted.

Preferences are aggregated in one of four ways. Every way first gives p, the probability that one response is the
better; the weight of a preference is 2 p - 1: a pair of which nothing is known teaches nothing. majority: p is 1, under
the rule of `prefloop.decisions`. weighted: each vote weighs the log odds of its annotator's accuracy on gold.
dawid_skene: accuracies and truth by EM, from the votes alone. crowd_bt: Bradley-Terry with an ability and a side bias
for each annotator. Where leads adjudicated, their ruling alone speaks, in every way and of every kind, a tie too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import special
from sqlalchemy import Connection

from prefloop import decisions
from prefloop.records import Comparison, Demonstration, Judgement, Preference, Ranking, Rated
from prefloop.stats import aggregate, crowd
from prefloop.web.body import finite
from prefloop.web.store.comparisons import as_brought, parts
from prefloop.web.store.tables import items, judgements
from prefloop.web.work.votes import Vote, heard, units_of, votes_where

Way = Literal["majority", "weighted", "dawid_skene", "crowd_bt"]
Pair = tuple[str, int, int]
PRIOR = (4.0, 1.0)
"""Right and wrong gold judgements that everybody is taken to have made before, see `stats.annotators.Norms`."""
SMOOTHING, TRUST = 0.5, 2.0
"""Pseudo-counts of Dawid-Skene."""
FIT: dict[str, Any] = {
    "smoothing": SMOOTHING, "trust": TRUST, "tolerance": 1e-6, "max_iterations": 500, "prior": (0.5, 0.5)
}  # fmt: skip
"""How Dawid and Skene's model is fitted."""
PENALTIES = crowd.CrowdPenalties(strength=0.3, bias=1.0, ability=1.0, usual_ability=0.9)
MARGIN = 1e-6
"""Distance of p from 1/2 below which a pair is undecided."""


@dataclass(frozen=True)
class Snapshot:
    """Everything that counts, at one moment."""

    votes: tuple[Vote, ...]
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
    ratings: tuple[Rated, ...]
    """what each annotator rated"""
    thumbs: tuple[Rated, ...]
    mean_ratings: tuple[dict[str, Any], ...]
    """each response with what all said of it"""
    mean_thumbs: tuple[dict[str, Any], ...]
    demonstrations: tuple[Demonstration, ...]
    edits: tuple[Preference, ...]
    undecided: int
    annotators: tuple[dict[str, Any], ...]
    """what the aggregation believes of each of them"""


def gathered(connection: Connection) -> Snapshot:
    """All that counts."""
    purposes = items.c.purpose.in_(("work", "adjudication", "chat"))
    counted = votes_where(connection, judgements.c.counted, purposes, limit=10**9)
    gold: dict[str, tuple[int, int]] = {}
    for vote in votes_where(connection, items.c.purpose == "gold", judgements.c.right.is_not(None), limit=10**9):
        right, number = gold.get(vote.name, (0, 0))
        gold[vote.name] = right + bool(vote.right), number + 1
    names = {vote.comparison for vote in counted}
    records = [record for some in parts(names) for record in as_brought(connection, some).values()]
    compared = {row["id"]: Comparison.model_validate(row) for row in records if len(row["responses"]) >= 2}
    return Snapshot(tuple(counted), compared, gold)


def as_judgement(vote: Vote) -> Judgement:
    """A vote in the language on disk."""
    return Judgement.model_validate({
        "id": vote.id, "comparison": vote.comparison, "annotator": vote.name, "annotator_kind": vote.by,
        "kind": vote.kind, "comment": vote.comment, "ruling": vote.purpose == "adjudication",
        "order": vote.order, "sides_known": vote.was_shown,
        **{name: value for name, value in vote.answer.items() if value is not None}, "seconds": vote.seconds,
    })  # fmt: skip


def aggregated(judged: Snapshot, way: Way) -> Outcomes:
    """Everything, aggregated in one way."""
    cast = [vote for vote in judged.votes if vote.kind in ("pair", "ranking") and vote.comparison in judged.comparisons]
    p, people = _probabilities(_ballots(cast), way, judged.gold)  # who was overruled still shows how well they judge
    kept, spoken = heard(cast), heard(judged.votes)
    decided = decisions.decided(list(judged.comparisons.values()), [as_judgement(vote) for vote in kept])
    ruled, preferences, probabilities = _ruled(kept), [], {}
    for number, preference in enumerate((*decided.preferences, *decided.undecided)):
        chosen, rejected = preference.chosen_index or 0, preference.rejected_index or 0
        pair, first = (preference.comparison, min(chosen, rejected), max(chosen, rejected)), chosen < rejected
        if way == "majority" or pair in ruled:
            sure = float(first) if number < len(decided.preferences) else 0.5
        else:
            sure = p[pair]
        if abs(sure - 0.5) <= MARGIN:
            continue
        turned = preference if first == (sure > 0.5) else _turned(preference)
        probability = max(sure, 1.0 - sure)
        preferences.append(turned.model_copy(update={"weight": round(2 * probability - 1, 6)}))
        probabilities[turned.id] = round(probability, 6)
    return Outcomes(
        preferences=tuple(preferences),
        probabilities=probabilities,
        rankings=tuple(_rankings(kept, judged.comparisons)),
        ratings=tuple(_rated(spoken, "rating", judged.comparisons)),
        thumbs=tuple(_rated(spoken, "thumb", judged.comparisons)),
        mean_ratings=tuple(_ratings(spoken, judged.comparisons)),
        mean_thumbs=tuple(_thumbs(spoken, judged.comparisons)),
        demonstrations=tuple(_demonstrations(judged)),
        edits=tuple(_edits(judged)),
        undecided=decided.num_pairs - len(preferences),
        annotators=tuple(people),
    )


def _turned(preference: Preference) -> Preference:
    """The same pair, decided the other way, with its votes told again."""
    side = {"chosen": "rejected", "rejected": "chosen", "tie": "tie"}
    first = {True: False, False: True, None: None}
    votes = tuple(
        vote.model_copy(update={"side": side[vote.side], "first": first[vote.first]}) for vote in preference.votes
    )
    strengths = [vote.strength for vote in votes if vote.side == "chosen" and vote.strength is not None]
    return preference.model_copy(
        update={
            "chosen": preference.rejected,
            "rejected": preference.chosen,
            "votes": votes,
            "chosen_index": preference.rejected_index,
            "rejected_index": preference.chosen_index,
            "strength": sum(strengths) / len(strengths) if strengths else None,
            "agreement": sum(vote.side == "chosen" for vote in votes) / len(votes) if votes else None,
        }
    )


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


def _ballots(cast: Sequence[Vote]) -> list[_Ballot]:
    ballots = []
    for vote in cast:
        places = {index: place for place, index in enumerate(vote.order)}
        for i, j, ballot in decisions.votes_of(as_judgement(vote)):
            first = 0.5 if ballot.winner is None else float(ballot.winner == i)
            pair = (vote.comparison, i, j)
            ballots.append(_Ballot(pair, vote.name, first, places[i] < places[j], vote.was_shown))
    return ballots


def _ruled(kept: Sequence[Vote]) -> set[Pair]:
    """Pairs that leads ruled upon, by themselves or in a ranking: `decisions.decided` hears the ruling alone."""
    rulings = [as_judgement(vote) for vote in kept if vote.purpose == "adjudication"]
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
        sided = first != 0.5
        sizes = {"num_items": len(pairs), "num_annotators": len(names), "num_classes": 2}
        said = (first[sided] == 0).astype(int)
        learnt = aggregate.dawid_skene(where[sided], who[sided], said, one_coin=True, **sizes, **FIT)
        p, accuracy = learnt.posteriors[:, 0], learnt.accuracies
    else:
        p, ability, bias = _crowd(ballots, pairs, who, first, len(names))
        accuracy = (1 + ability) / 2
    columns = {"accuracy": accuracy, "ability": ability, "bias_to_left": bias}
    people = [
        {"name": name, **{label: finite(column[n]) for label, column in columns.items()}} for name, n in names.items()
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
    left, right, won = (np.where(on_left, *sides) for sides in ((low, high), (high, low), (first, 1 - first)))
    sizes = {"num_players": len(players), "num_annotators": num_annotators}
    fitted = crowd.crowd_bradley_terry(left, right, who, won, **sizes, penalties=PENALTIES, sided=sided)
    gaps = [fitted.strengths[players[c, i]] - fitted.strengths[players[c, j]] for c, i, j in pairs]
    biases = np.where(np.bincount(who, sided, num_annotators) > 0, fitted.biases, np.nan)
    return special.expit(np.array(gaps)), fitted.abilities, biases


# -- the other kinds --------------------------------------------------------------------------------------------------


def _rankings(kept: Sequence[Vote], compared: Mapping[str, Comparison]) -> Iterator[Ranking]:
    """One ranking of each comparison: as it is if one person ranked it, else the order that contradicts them least."""
    for unit in units_of(kept, "ranking").values():
        comparison, indices = compared[unit[0].comparison], sorted(unit[0].order)
        ranks = [vote.meaning["ranks"] for vote in unit]
        ordered = zip(indices, ranks[0] if len(unit) == 1 else _consensus(ranks), strict=True)
        named: dict[str, int] = {}
        for index, rank in ordered:
            named.setdefault(comparison.responses[index].text, rank)  # a ranking names each text once
        if len(named) < 2 or "" in named:
            continue
        order = {"responses": tuple(named), "ranks": tuple(named.values())}
        about = {"messages": comparison.messages, "comparison": comparison.id, "num_judgements": len(unit)}
        yield Ranking(id=f"{comparison.id}:ranking", **about, **order)


def _consensus(ballots: Sequence[Sequence[int]]) -> list[int]:
    """Kemeny's order, or ranked pairs where there are too many candidates."""
    ranks = np.array(ballots)
    preferred = (ranks[:, :, None] < ranks[:, None, :]).sum(0)
    order = aggregate.kemeny(preferred) if len(preferred) <= aggregate.MAX_KEMENY else aggregate.ranked_pairs(preferred)
    return [order.index(index) + 1 for index in range(len(order))]


def _rated(spoken: Sequence[Vote], kind: str, compared: Mapping[str, Comparison]) -> Iterator[Rated]:
    """What each annotator said, with the texts: a file that the reward stage learns from."""
    for vote in spoken:
        if vote.kind == kind and vote.comparison in compared:
            rated = decisions.rated_of(compared[vote.comparison], as_judgement(vote))
            yield from [rated] if rated else []


def _each_response(
    spoken: Sequence[Vote], kind: str, compared: Mapping[str, Comparison]
) -> Iterator[tuple[list[Vote], int, dict[str, Any]]]:
    """(what was said of a unit, the place of a response in the votes' meaning, the row that the response begins)."""
    for unit in units_of(spoken, kind).values():
        comparison = compared.get(unit[0].comparison)
        for place, index in enumerate(sorted(unit[0].order) if comparison else ()):
            assert comparison is not None
            messages = [message.model_dump(mode="json") for message in comparison.messages]
            row = {"id": f"{comparison.id}:{index}", "messages": messages, "response": comparison.responses[index].text}
            about = {"comparison": comparison.id, "index": index, "tags": list(comparison.tags)}
            yield unit, place, {**row, **about}


def _ratings(spoken: Sequence[Vote], compared: Mapping[str, Comparison]) -> Iterator[dict[str, Any]]:
    """Mean marks of each response: attributes for a reward model with several heads."""
    for unit, place, row in _each_response(spoken, "rating", compared):
        said = [vote.meaning["ratings"] for vote in unit]
        marks = {axis: [ratings[axis][place] for ratings in said if axis in ratings] for axis in said[0]}
        means = {axis: float(np.mean(values)) for axis, values in marks.items()}
        spread = {axis: float(np.std(values)) for axis, values in marks.items()}
        yield {**row, "attributes": means, "spread": spread, "num_judgements": len(unit)}


def _thumbs(spoken: Sequence[Vote], compared: Mapping[str, Comparison]) -> Iterator[dict[str, Any]]:
    """Good or bad, by majority, for KTO; equal votes give no row."""
    for unit, place, row in _each_response(spoken, "thumb", compared):
        good, number = sum(vote.meaning["thumbs"][place] for vote in unit), len(unit)
        share = max(good, number - good) / number
        if 2 * good != number:
            label = {"label": 2 * good > number, "agreement": share, "weight": 2 * share - 1}
            yield {**row, **label, "num_judgements": number}


def _written(judged: Snapshot, *kinds: str) -> Iterator[tuple[Vote, Comparison]]:
    votes = (vote for vote in judged.votes if vote.kind in kinds and vote.comparison in judged.comparisons)
    return ((vote, judged.comparisons[vote.comparison]) for vote in votes)


def _demonstrations(judged: Snapshot) -> Iterator[Demonstration]:
    """What people wrote, and what they made of a response."""
    for vote, comparison in _written(judged, "demonstration", "edit"):
        about = {"messages": comparison.messages, "tags": comparison.tags, "source": vote.name}
        yield Demonstration(id=f"{vote.comparison}:{vote.kind}:{vote.id}", response=vote.answer["text"], **about)


def _edits(judged: Snapshot) -> Iterator[Preference]:
    """An edited response is better than it was before; one that was left as it is says nothing."""
    for vote, comparison in _written(judged, "edit"):
        before, after = comparison.responses[vote.meaning["index"]].text, vote.answer["text"]
        if before.strip() and before != after:
            pair = {"chosen": after, "rejected": before, "rejected_index": vote.meaning["index"], "agreement": 1.0}
            about = {"messages": comparison.messages, "comparison": vote.comparison, "tags": comparison.tags}
            yield Preference(id=f"{vote.comparison}:edit:{vote.id}", **about, **pair)
