"""What a judge that is a model is worth: the order, the length, and people beside it, in numbers and in sentences.

Whom it is compared with: preferences by people, whose pairs it is asked too, or the helpdesk's annotators, who are
asked some of its own pairs. What is true in the helpdesk is known to annotators alone, so here too.
"""

import itertools
import random
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prefloop import layout
from prefloop.collect.altered import ALTERED
from prefloop.collect.config import CollectConfig
from prefloop.collect.judge_config import SIMULATED
from prefloop.collect.wording import Pair
from prefloop.errors import UserError
from prefloop.files.foreign import read_preferences
from prefloop.files.tables import read_records
from prefloop.records import Comparison, PairChoice, Preference, spoken
from prefloop.seeds import seed_of
from prefloop.stats import judges
from prefloop.stats.judges import Bias, Share
from prefloop.world.annotators import judged_before

CONFIDENCE = 0.95
LEAST_TAGGED = 30
"""Couples of votes of pairs with a tag from which its agreement is told."""
SIGN: dict[PairChoice, float] = {"left": 1.0, "right": -1.0, "tie": 0.0, "both_bad": 0.0}


@dataclass(frozen=True)
class Compared:
    """A pair that people judged too."""

    asked: tuple[Pair, Pair]
    """one response as A, then the other"""
    votes: tuple[float, ...]
    """of different people: 1 for the response shown first in the first of these, -1 for the other, 0 for a tie"""
    tags: tuple[str, ...]
    samplers: tuple[str, str] | None = None
    """who wrote each of the two; None if it is not known"""


Choices = tuple[PairChoice | None, PairChoice | None]
"""What a judge says of a pair with the one response as A, and with the other; None where it says nothing."""


def compared_with(config: CollectConfig) -> list[Compared]:
    """The pairs by people that `judge.audit` names; none where it names no file. Raises: see `of_file`."""
    judge = config.judge
    assert judge is not None  # by=model has it
    if judge.audit in (None, SIMULATED):
        return []
    found = of_file(str(judge.audit), most=judge.audit_pairs, seed=config.seed)
    samplers = {name for each in found for name in each.samplers or ()}
    if judge.own is not None and judge.own not in samplers:
        there = f"There are: {', '.join(sorted(samplers))}" if samplers else "Put the comparisons that they came from"
        raise UserError(
            f"{judge.audit}: no response of these pairs is known to be by judge.own = {judge.own}. {there}"
            + (". Name one of them." if samplers else f" beside it, as {layout.COMPARISONS}.")
        )
    return found


def of_file(file: str, *, most: int, seed: int) -> list[Compared]:
    """Preferences by people, some of them at random. Raises: UserError if it holds none."""
    rows = read_preferences(file).records
    if not rows:
        raise UserError(f"{file}: this holds no preference to compare the judge with. Check judge.audit.")
    rng = random.Random(seed_of(seed, "collect.audit"))
    kept = sorted(rng.sample(range(len(rows)), min(most, len(rows))))
    known = comparisons_beside(file)
    by_id = {c.id: c for c in read_records(known, Comparison)} if known else {}
    return [_compared(rows[place], by_id) for place in kept]


def comparisons_beside(file: str) -> str | None:
    """The file of comparisons beside one of preferences, as collect and the page leave it: it says who wrote what."""
    beside = Path(file).parent / layout.COMPARISONS
    return str(beside) if beside.is_file() else None


def _compared(row: Preference, by_id: Mapping[str, Comparison]) -> Compared:
    sides = {"chosen": 1.0, "rejected": -1.0, "tie": 0.0}
    votes = tuple(sides[vote.side] for vote in row.votes) or (1.0,)
    one, other = row.chosen, row.rejected
    found, samplers = by_id.get(row.comparison), None
    if found is not None and row.chosen_index is not None and row.rejected_index is not None:
        places = (row.chosen_index, row.rejected_index)
        written = [found.responses[place] for place in places if place < len(found.responses)]
        if [response.text for response in written] == [one, other]:
            samplers = written[0].sampler, written[1].sampler
    return Compared((Pair(row.messages, one, other), Pair(row.messages, other, one)), votes, row.tags, samplers)


def simulated(pairs: Sequence[tuple[Comparison, int, int, str]], config: CollectConfig, *, most: int) -> list[Compared]:
    """Some pairs (i, j, by which principle) of comparisons, each judged by several of the helpdesk's annotators."""
    rng = random.Random(seed_of(config.seed, "collect.audit"))
    annotators = config.annotators.annotators(config.seed)
    found = []
    for place in sorted(rng.sample(range(len(pairs)), min(most, len(pairs)))):
        c, i, j, principle = pairs[place]
        votes = []
        for a in rng.sample(annotators, min(len(annotators), max(2, config.overlap))):
            judgement = a.judge_pair(c, i, j, rng=rng, judgement_id="audit", judged=judged_before(c.id))
            sign = SIGN[judgement.choice or "tie"]
            votes.append(sign if judgement.order[0] == i else -sign)
        one, other = c.responses[i].text, c.responses[j].text
        asked = (Pair(c.messages, one, other, principle=principle), Pair(c.messages, other, one, principle=principle))
        written = c.responses[i].sampler, c.responses[j].sampler
        found.append(Compared(asked, tuple(votes), c.tags, None if ALTERED in written else written))
    return found


def audited(
    shown: Sequence[tuple[Pair, PairChoice, PairChoice]],
    compared: Sequence[Compared],
    choices: Sequence[Choices],
    *,
    soft: bool,
    own: str,
    orders: bool = True,
) -> tuple[dict[str, Any], list[str]]:
    """Everything that can be said of the judge. Returns: numbers for the stage's result, and sentences.

    Args:
        shown: its own pairs with one response as A, and its answers in this order and in the other.
        compared: the pairs that people judged too, which may be others.
        choices: its answers to each of those, in both orders; None where it gave none.
        soft: whether its decisions are taken by how sure it is.
        own: the sampler of its own kind.
        orders: False for a judge to which each response is shown alone, so that there is no order.
    """
    prompts = [spoken(pair.messages) for pair, *_ in shown]
    first, second = [SIGN[a] for _, a, _ in shown], [-SIGN[b] for _, _, b in shown]
    sides = [(f + s) / 2 * _longer(pair) for (pair, *_), f, s in zip(shown, first, second, strict=True)]
    longer = [((1 + side) / 2, p) for side, p, (pair, *_) in zip(sides, prompts, shown, strict=True) if _longer(pair)]
    raw = judges.share([value for value, _ in longer], [p for _, p in longer], confidence=CONFIDENCE)
    result: dict[str, Any] = {"longer": _share(raw), "soft": soft}
    sentences = list[str]()
    if orders:
        flips = judges.flipped(first, second, prompts, confidence=CONFIDENCE)
        position = judges.position_bias(first, second, prompts, confidence=CONFIDENCE)
        result = {"flips": _share(flips), "position": _bias(position)} | result
        sentences.append(_of_position(flips, position))
    both = list(zip(compared, choices, strict=True))
    usable = [(each, SIGN[a], -SIGN[b]) for each, (a, b) in both if a and b]
    if not usable:
        sentences.append(
            f"it chose the longer response in {_of(raw)} of the pairs. Whether that is too often, and how far it "
            "agrees with people, nobody knows: give judge.audit=FILE, preferences by people."
        )
        return result, sentences
    decided, votes = [(f + s) / 2 for _, f, s in usable], [each.votes for each, *_ in usable]
    clusters = [spoken(each.asked[0].messages) for each, *_ in usable]
    with_people, among = judges.agreement_with(decided, votes, clusters, confidence=CONFIDENCE)
    length = judges.leaning(
        decided, votes, [_longer(each.asked[0]) for each, *_ in usable], clusters, confidence=CONFIDENCE
    )
    result |= {
        "num_compared": len(usable), "agreement": _share(with_people), "agreement_of_people": _share(among),
        "length": _bias(length), "by_tag": _by_tag([each.tags for each, *_ in usable], decided, votes, clusters),
    }  # fmt: skip
    kind = [_whose(each.samplers, own) for each, *_ in usable]
    if any(kind):
        leaning = judges.leaning(decided, votes, kind, clusters, confidence=CONFIDENCE)
        result["own_kind"] = _bias(leaning) | {"sampler": own}
        sentences.append(_of_kind(leaning, own))
    return result, [*sentences, _of_length(length, raw), _of_agreement(with_people, among)]


def _whose(samplers: tuple[str, str] | None, own: str) -> float:
    """1 if the first of two responses alone is of the judge's own kind, -1 if the second alone is, else 0."""
    one, other = samplers or ("", "")
    return float(one == own) - float(other == own)


def _longer(pair: Pair) -> float:
    return float(np.sign(len(pair.left) - len(pair.right)))


def _by_tag(
    tags: Sequence[tuple[str, ...]],
    decided: Sequence[float],
    votes: Sequence[tuple[float, ...]],
    clusters: Sequence[Hashable],
) -> dict[str, Any]:
    """The agreement with people on the pairs of each tag that has enough."""
    found = {}
    for tag in sorted(Counter(itertools.chain(*tags))):
        rows = [k for k, of_one in enumerate(tags) if tag in of_one]
        share, _ = judges.agreement_with(
            [decided[k] for k in rows], [votes[k] for k in rows], [clusters[k] for k in rows], confidence=CONFIDENCE
        )
        if share.n >= LEAST_TAGGED:
            found[tag] = _share(share)
    return found


def _share(share: Share) -> dict[str, Any]:
    return asdict(share)


def _bias(bias: Bias) -> dict[str, Any]:
    return asdict(bias) | {"named": bias.named}


def _of(share: Share) -> str:
    return f"{share.value or 0:.0%} ({share.low:.0%} to {share.high:.0%})"


def _of_position(flips: Share, position: Bias) -> str:
    if position.value is None:
        return f"audit: {position.reason}, so that nothing is known of how far the order decides."
    told = f"audit: the judge contradicts itself when the order is turned in {_of(flips)} of {flips.n} pairs"
    if not position.named:
        return f"{told}; neither place is preferred beyond chance."
    place = "first" if position.value > 0 else "second"
    if abs(position.value) > 0.95:
        return f"{told}: it nearly always takes the response shown {place}, and its judgements say nothing else."
    return (
        f"{told}: it prefers the response shown {place}, which decides {abs(position.value):.0%} of the pairs. They "
        "give no preference, since both orders are asked; ask a better judge for more."
    )


def _of_length(length: Bias, raw: Share) -> str:
    if length.value is None:
        return f"audit: whether the judge prefers longer responses cannot be told: {length.reason}."
    which = "longer" if length.value > 0 else "shorter"
    by = f"{length.value / 2:+.0%} ({length.low / 2:+.0%} to {length.high / 2:+.0%}) of the decisions"
    rests = f"; {length.reason}, so that this holds for a judge as sure as people are" if length.reason else ""
    if length.named:
        return (
            f"audit: the judge prefers {which} responses beyond what people do, by {by}{rests}. Whatever learns from "
            "it will learn that."
        )
    return (
        f"audit: it prefers longer responses no more than people do, within {by}{rests}; it chose them in {_of(raw)}."
    )


def _of_kind(leaning: Bias, own: str) -> str:
    if leaning.value is None:
        return f"audit: whether the judge leans to its own kind ({own}) cannot be told: {leaning.reason}."
    by = f"{leaning.value / 2:+.0%} ({leaning.low / 2:+.0%} to {leaning.high / 2:+.0%}) of the decisions"
    rests = f"; {leaning.reason}, so that this holds for a judge as sure as people are" if leaning.reason else ""
    if leaning.named:
        which = "prefers" if leaning.value > 0 else "is against"
        return (
            f"audit: the judge {which} responses of its own kind ({own}) beyond what people do, by {by}{rests}. Do not "
            "let it compare its kind with another."
        )
    return f"audit: it prefers its own kind ({own}) no more than people do, within {by}{rests}."


def _of_agreement(with_people: Share, among: Share) -> str:
    if with_people.value is None:
        return "audit: the judge decided no pair in both orders that people decided too."
    beside = f"; two of them agree in {_of(among)}" if among.value is not None else "; how far they agree is not known"
    return f"audit: where both chose a side, the judge agrees with one of the people in {_of(with_people)}{beside}."
