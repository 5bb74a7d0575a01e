"""What a judge that is a model is worth: the order, the length, and people beside it, in numbers and in sentences.

Whom it is compared with: preferences by people, whose pairs it is asked too, or the helpdesk's annotators, who are
asked some of its own pairs. What is true in the helpdesk is known to annotators alone, so here too.
"""

import itertools
import random
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from prefloop.collect.config import CollectConfig
from prefloop.collect.judge_config import SIMULATED
from prefloop.collect.wording import Pair
from prefloop.errors import UserError
from prefloop.files.foreign import read_preferences
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


Choices = tuple[PairChoice | None, PairChoice | None]
"""What a judge says of a pair with the one response as A, and with the other; None where it says nothing."""


def compared_with(config: CollectConfig) -> list[Compared]:
    """The pairs by people that `judge.audit` names; none where it names no file. Raises: see `of_file`."""
    assert config.judge is not None  # by=model has it
    if config.judge.audit in (None, SIMULATED):
        return []
    return of_file(str(config.judge.audit), most=config.judge.audit_pairs, seed=config.seed)


def of_file(file: str, *, most: int, seed: int) -> list[Compared]:
    """Preferences by people, some of them at random. Raises: UserError if it holds none."""
    rows = read_preferences(file).records
    if not rows:
        raise UserError(f"{file}: this holds no preference to compare the judge with. Check judge.audit.")
    rng = random.Random(seed_of(seed, "collect.audit"))
    kept = sorted(rng.sample(range(len(rows)), min(most, len(rows))))
    return [_compared(rows[place]) for place in kept]


def _compared(row: Preference) -> Compared:
    sides = {"chosen": 1.0, "rejected": -1.0, "tie": 0.0}
    votes = tuple(sides[vote.side] for vote in row.votes) or (1.0,)
    one, other = row.chosen, row.rejected
    return Compared((Pair(row.messages, one, other), Pair(row.messages, other, one)), votes, row.tags)


def simulated(pairs: Sequence[tuple[Comparison, int, int]], config: CollectConfig, *, most: int) -> list[Compared]:
    """Some of the pairs (i, j) of comparisons, each judged by several of the helpdesk's annotators."""
    rng = random.Random(seed_of(config.seed, "collect.audit"))
    annotators = config.annotators.annotators(config.seed)
    found = []
    for place in sorted(rng.sample(range(len(pairs)), min(most, len(pairs)))):
        c, i, j = pairs[place]
        votes = []
        for a in rng.sample(annotators, min(len(annotators), max(2, config.overlap))):
            judgement = a.judge_pair(c, i, j, rng=rng, judgement_id="audit", judged=judged_before(c.id))
            sign = SIGN[judgement.choice or "tie"]
            votes.append(sign if judgement.order[0] == i else -sign)
        one, other = c.responses[i].text, c.responses[j].text
        asked = (Pair(c.messages, one, other), Pair(c.messages, other, one))
        found.append(Compared(asked, tuple(votes), c.tags))
    return found


def audited(
    shown: Sequence[tuple[Pair, PairChoice, PairChoice]],
    compared: Sequence[Compared],
    choices: Sequence[Choices],
    *,
    soft: bool,
    orders: bool = True,
) -> tuple[dict[str, Any], list[str]]:
    """Everything that can be said of the judge. Returns: numbers for the stage's result, and sentences.

    Args:
        shown: its own pairs with one response as A, and its answers in this order and in the other.
        compared: the pairs that people judged too, which may be others.
        choices: its answers to each of those, in both orders; None where it gave none.
        soft: whether its decisions are taken by how sure it is.
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
    return result, [*sentences, _of_length(length, raw), _of_agreement(with_people, among)]


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


def _of_agreement(with_people: Share, among: Share) -> str:
    if with_people.value is None:
        return "audit: the judge decided no pair in both orders that people decided too."
    beside = f"; two of them agree in {_of(among)}" if among.value is not None else "; how far they agree is not known"
    return f"audit: where both chose a side, the judge agrees with one of the people in {_of(with_people)}{beside}."
