"""From judgements to decisions: a majority with an explicit rule for ties; nothing is lost, ties are counted."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prefloop.records import Comparison, Judgement, Preference, Ranking, Rated, Side, Vote
from prefloop.records.judgements import AnnotatorKind
from prefloop.stats.agreement import equal_couples

PairKey = tuple[str, int, int]


@dataclass(frozen=True)
class Ballot:
    """What one judgement says about responses i < j of a comparison."""

    annotator: str
    annotator_kind: AnnotatorKind
    winner: int | None
    """i, j, or None for a tie"""
    strength: int | None
    left: int | None = None
    """the response shown on the left; None where no pair was shown"""
    share: float | None = None
    """how sure a model was of response i, 0 to 1; None where nobody asked"""
    authority: int = 0
    """2 a lead's ruling on the pair, 1 on a ranking that holds it, 0 any other judgement: the highest alone is heard"""


@dataclass(frozen=True)
class Decisions:
    """What training and validation read, and what did not become a preference."""

    preferences: tuple[Preference, ...]
    undecided: tuple[Preference, ...]
    """pairs without a majority, for their votes: which of the two is called chosen means nothing"""
    rankings: tuple[Ranking, ...]
    rated: tuple[Rated, ...]
    """what each annotator rated, or called good or bad"""
    num_pairs: int
    """pairs that were judged"""
    num_tied: int
    """pairs without a majority: equal votes, ties ahead, or equal texts; they give no preference"""
    agreement: float | None
    """share of equal decisions among two annotators of one pair who both chose a side; None if nobody else chose one"""
    num_agreement: int
    """couples of decisions behind `agreement`"""


def votes_of(judgement: Judgement) -> Iterator[tuple[int, int, Ballot]]:
    """(i, j, vote) for each pair i < j that a pair or ranking judgement decides. `both_bad` decides nothing: a tie."""
    if judgement.kind == "pair":
        left, right = judgement.order
        winner = {"left": left, "right": right}.get(judgement.choice or "")
        shown = left if judgement.sides_known else None
        share = judgement.machine.share if judgement.machine else None
        share = share if share is None or left < right else 1 - share
        ballot = Ballot(
            judgement.annotator,
            judgement.annotator_kind,
            winner,
            judgement.strength,
            shown,
            share,
            2 * judgement.ruling,
        )
        yield min(left, right), max(left, right), ballot
    elif judgement.kind == "ranking" and judgement.ranks is not None:
        ranked = zip(judgement.order, judgement.ranks, strict=True)
        for (a, rank_a), (b, rank_b) in itertools.combinations(ranked, 2):
            winner = None if rank_a == rank_b else a if rank_a < rank_b else b
            ballot = Ballot(
                judgement.annotator, judgement.annotator_kind, winner, None, authority=int(judgement.ruling)
            )
            yield min(a, b), max(a, b), ballot


def decided(comparisons: Sequence[Comparison], judgements: Sequence[Judgement]) -> Decisions:
    """Aggregates all judgements.

    The rule: a pair's preference is the response with more votes than the other and more than there are ties; a pair
    where that is not so is tied, gives no preference and is counted. Two responses with the same text are never a pair.
    Where a lead has ruled, the ruling alone is heard: one on the pair before one on a ranking that holds it.
    Where every vote on a pair says how sure a model was, the mean of that decides, and is the preference's `agreement`,
    which then has no votes. What a model said of one comparison in several orders is one ranking, by its mean ranks.
    """
    by_id = {comparison.id: comparison for comparison in comparisons}
    cast_on: dict[PairKey, list[Ballot]] = defaultdict(list)
    for judgement in judgements:
        for i, j, vote in votes_of(judgement):
            cast_on[judgement.comparison, i, j].append(vote)
    votes = {key: _heard(cast) for key, cast in cast_on.items()}
    preferences, undecided, tied = [], [], 0
    for (identity, i, j), cast in votes.items():
        preference, is_decided = _majority(by_id[identity], i, j, cast)
        tied += not is_decided
        if preference is not None:
            (preferences if is_decided else undecided).append(preference)
    sided = ([(v.annotator, v.winner) for v in cast if v.winner is not None] for cast in votes.values())
    equal, couples = equal_couples(sided)
    rankings = tuple(_ranking(by_id[of_one[0].comparison], of_one) for of_one in _rankings(judgements))
    rated = tuple(found for j in judgements if (found := rated_of(by_id[j.comparison], j)) is not None)
    agreement = equal / couples if couples else None
    return Decisions(tuple(preferences), tuple(undecided), rankings, rated, len(votes), tied, agreement, couples)


def rated_of(comparison: Comparison, judgement: Judgement) -> Rated | None:
    """The responses of a comparison with an annotator's ratings or thumbs, in its order.

    None if neither was asked, or all the responses are blank; blank ones among others are left out.
    """
    places = sorted(range(len(judgement.order)), key=judgement.order.__getitem__)
    places = [place for place in places if comparison.responses[judgement.order[place]].text.strip()]
    if judgement.kind not in ("rating", "thumb") or not places:
        return None
    sure = judgement.machine.ratings if judgement.machine else None
    ratings, thumbs = judgement.ratings if sure is None else sure, judgement.thumbs
    return Rated(
        id=judgement.id,
        messages=comparison.messages,
        responses=tuple(comparison.responses[judgement.order[place]].text for place in places),
        ratings=None
        if ratings is None
        else {axis: tuple(map(marks.__getitem__, places)) for axis, marks in ratings.items()},
        thumbs=thumbs and tuple(thumbs[place] for place in places),
        annotator=judgement.annotator,
        annotator_kind=judgement.annotator_kind,
        comparison=comparison.id,
        tags=comparison.tags,
    )


def _heard(cast: Sequence[Ballot]) -> list[Ballot]:
    """Those with the highest authority."""
    highest = max(vote.authority for vote in cast)
    return [vote for vote in cast if vote.authority == highest]


def _majority(comparison: Comparison, i: int, j: int, cast: Sequence[Ballot]) -> tuple[Preference | None, bool]:
    """The pair with its votes, if its texts differ, and whether it has a majority; where a model said how sure it is,
    without votes, and whether it is surer of either."""
    shares = [v.share for v in cast if v.share is not None]
    if len(shares) == len(cast):
        share = sum(shares) / len(shares)
        winner, agreement = (i if share >= 0.5 else j), max(share, 1 - share)
        preference = _preference(comparison, i, j, winner, agreement=agreement, num=len(shares))
        return preference, preference is not None and share != 0.5
    for_i, for_j = (sum(v.winner == k for v in cast) for k in (i, j))
    winner, most, least = (i, for_i, for_j) if for_i > for_j else (j, for_j, for_i)
    ties = len(cast) - for_i - for_j
    side: dict[int | None, Side] = {winner: "chosen", j if winner == i else i: "rejected", None: "tie"}
    votes = tuple(
        Vote(
            side=side[v.winner],
            strength=v.strength,
            annotator=v.annotator,
            annotator_kind=v.annotator_kind,
            first=None if v.left is None else v.left == winner,
        )
        for v in cast
    )
    strengths = [v.strength for v in cast if v.winner == winner and v.strength is not None]
    preference = _preference(
        comparison,
        i,
        j,
        winner,
        agreement=most / len(cast),
        num=len(cast),
        votes=votes,
        strength=sum(strengths) / len(strengths) if strengths else None,
    )
    return preference, preference is not None and most > max(least, ties)


def _preference(
    comparison: Comparison,
    i: int,
    j: int,
    winner: int,
    *,
    agreement: float,
    num: int,
    votes: tuple[Vote, ...] = (),
    strength: float | None = None,
) -> Preference | None:
    """The pair with one of the two chosen; None if their texts are the same. Args: num: judgements of it."""
    loser = j if winner == i else i
    chosen, rejected = comparison.responses[winner].text, comparison.responses[loser].text
    if chosen == rejected:
        return None
    return Preference(
        id=f"{comparison.id}:{i}-{j}",
        messages=comparison.messages,
        chosen=chosen,
        rejected=rejected,
        strength=strength,
        agreement=agreement,
        num_judgements=num,
        votes=votes,
        annotator_kind=None if votes else "model",  # nobody else says how sure they are
        comparison=comparison.id,
        chosen_index=winner,
        rejected_index=loser,
        tags=comparison.tags,
    )


def _rankings(judgements: Sequence[Judgement]) -> list[list[Judgement]]:
    """Those that make a ranking: each by itself, but all of a model on one comparison together."""
    found: dict[tuple[str, ...], list[Judgement]] = {}
    for j in judgements:
        if j.kind == "ranking":
            key = (j.comparison, j.annotator, j.machine.prompt) if j.machine else (j.id,)
            found.setdefault(key, []).append(j)
    return list(found.values())


def _ranking(comparison: Comparison, judgements: Sequence[Judgement]) -> Ranking:
    """The ranking that judgements of the same responses make: the order of their mean ranks, equal ones are ties."""
    order = judgements[0].order
    by_response = [dict(zip(j.order, j.ranks or (), strict=True)) for j in judgements]
    sums = [sum(ranks[i] for ranks in by_response) for i in order]
    ranks = judgements[0].ranks if len(judgements) == 1 else tuple(1 + sorted({*sums}).index(one) for one in sums)
    assert ranks is not None  # a ranking judgement always has ranks
    return Ranking(
        id=judgements[0].id,
        messages=comparison.messages,
        responses=tuple(comparison.responses[i].text for i in order),
        ranks=ranks,
        num_judgements=len(judgements),
        annotator_kind=judgements[0].annotator_kind,
        comparison=comparison.id,
    )
