"""The rules, each said once: when it raises an alarm, its threshold, and whether a run may be stopped by it.

A rule looks at a few numbers and raises an alarm or finds them fine; without one of its numbers it is unchecked. Where
a threshold comes from, and how often it is wrong, is in docs/signs.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Level = Literal["alarm", "unchecked", "fine"]
Value = float | str | None
POINTS = 0.02
LEFT = 0.1
"""Share of the scores' variance that another judge leaves unexplained, below which what it leaves is small."""
FINISHED = 0.9
FORGOTTEN: Mapping[str, float] = {"token_loss": 0.1, "byte_loss": 0.025}
"""Most that a skill may get worse by, beside that of every other: nats per token, and per byte."""
SKILL = 0.05
"""That of every other: five of a hundred tasks."""


@dataclass(frozen=True)
class Sign:
    """What a rule says, with the values that it looked at; its threshold, if it has one, is `limit`."""

    name: str
    level: Level
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Rule:
    """When it raises an alarm, the threshold that it is given as `limit`, and whether it ends a run of `watch=stop`."""

    alarms: Callable[..., bool]
    limit: float | None = None
    stops: bool = False


def _above(value: float, limit: float) -> bool:
    return value > limit


def _rises(sft: float, final: float, limit: float) -> bool:
    return final - sft > limit


def _more(before: float, after: float, limit: float) -> bool:
    return after - before > limit


def _shrinks(before: float, after: float, limit: float) -> bool:
    return after < limit * before


def _grows(before: float, after: float, limit: float) -> bool:
    return after > limit * before


def _moves(before: float, after: float, limit: float) -> bool:
    return abs(after - before) > limit * before


RULES = {
    # what came of it: the selected model beside the reference
    "kl": Rule(_above),
    "over_optimised": Rule(lambda before, after, s0, s1, u0, u1: s1 > s0 and u1 < u0),
    "harmful": Rule(_rises, POINTS),
    "over_refusal": Rule(_rises, POINTS),
    # the reward model on what a collect folder held out
    "above_bayes": Rule(lambda value, low, best: low > best),
    "length_only": Rule(lambda value, low, length: low < length),
    # its health card, which may stop RL: see STOPS
    "too_few": Rule(lambda value, low, high, num, limit: high - low > limit, 0.2),
    "coin": Rule(lambda value, low, limit: low <= limit, 0.5),
    "beside_length": Rule(lambda value, low, other: low <= 0),
    "below_words": Rule(lambda value, high, other: high < 0),
    "beside_words": Rule(lambda value, low, high, other: low <= 0 <= high),  # below 0 is `below_words`' to say
    "suspicious": Rule(_above, 0.95),
    "easy": Rule(_above, 0.95),
    "memorises": Rule(lambda value, high, training, limit: training > max(value + limit, high), 0.1),
    "above_ceiling": Rule(lambda value, low, ceiling: low > ceiling),
    "leak": Rule(_above, 0.05),
    "miscalibrated": Rule(lambda value, chance, limit: value > chance + limit, 0.05),
    "shortcut": Rule(lambda kind, value, token: bool(kind)),
    "blind": Rule(lambda kind, value: bool(kind)),
    "noisy": Rule(_above, 1 / 3),
    "weak_domain": Rule(lambda domain, value, high, accuracy, limit: high < accuracy - limit, 0.05),
    # the selected model's responses
    "finished": Rule(lambda value, limit: value < limit, FINISHED),
    "length": Rule(lambda sft, final, limit: abs(final - sft) > limit * sft, 0.5),
    "repetition": Rule(_rises, POINTS),
    # a policy in training: how it learns
    "nan": Rule(lambda what: bool(what), stops=True),
    "first_ratio": Rule(_above, 1e-5, stops=True),
    "other_sampling": Rule(lambda value, said, limit: abs(value) > limit, 5.0, stops=True),
    "clipped": Rule(_above, 0.3),
    "policy_kl": Rule(_above, 0.05),
    "entropy": Rule(_shrinks, 0.2, stops=True),
    "grad_spike": Rule(lambda value, usual, limit: value > limit * usual, 10.0),
    "advantage_scale": Rule(_grows, 10.0),
    "critic_blind": Rule(lambda value, limit: value <= limit, 0.0),
    "value_loss": Rule(_grows, 4.0),
    "negative_kl": Rule(lambda value, limit: value < limit, -0.1),
    "wandering_kl": Rule(_above, 0.5),
    "flat": Rule(_above, 0.9),
    # what it writes
    "cut_off": Rule(lambda s0, s1, before, after, limit: s1 > s0 and after < min(before, limit), FINISHED),
    "endless": Rule(_more, 0.15, stops=True),
    "repeats": Rule(_more, 0.05, stops=True),
    "stuffing": Rule(_more, 0.04, stops=True),
    "empty": Rule(_more, 0.05, stops=True),
    "at_once": Rule(_more, 0.1, stops=True),
    "copies_prompt": Rule(_more, 0.05, stops=True),
    "language": Rule(_more, 0.03, stops=True),
    "gibberish": Rule(_more, 0.5, stops=True),
    "mode_collapse": Rule(_shrinks, 0.6),  # pairs are counted over a step, of which longer responses repeat more
    "same_start": Rule(_more, 0.4),
    "length_drift": Rule(_moves, 0.5),
    # what the reward thinks of it
    "shallow": Rule(lambda paid, value, limit: abs(value) > limit, 0.8),
    "disagreement": Rule(lambda s0, s1, before, after, limit: s1 > s0 and after > limit * before, 2.0),
    "unusual": Rule(_more, 0.2),
    "hacking": Rule(lambda by, s0, s1, o0, o1: s1 > s0 and o1 < o0, stops=True),
    "biased": Rule(lambda by, paid, share, value, limit: share >= LEFT and abs(value) > limit, 0.8),
    "past_peak": Rule(lambda value, peak: value > peak),
    "stale": Rule(lambda value, high, then, limit: high < then - limit, 0.05),
    # a model that imitates, or learns from preferences without sampling
    "never_stops": Rule(lambda value, limit: value < limit, FINISHED),
    "memorised": Rule(lambda training, value, limit: training < limit * value, 0.5),
    "overfit": Rule(lambda best, value, limit: value > limit * best, 1.05),
    "chosen_falls": Rule(lambda c0, c1, before, after, limit: c1 < c0 and after < limit * before, 0.5, stops=True),
    # what it knew before, and what nobody can know
    "forgetting": Rule(lambda skill, value, low, most: low > most),
    "false_confidence": Rule(_above, 0.5),
}

STOPS = (
    "too_few", "coin", "beside_length", "below_words", "suspicious", "above_ceiling", "leak", "memorises",
    "miscalibrated", "shortcut",
)  # fmt: skip
"""Rules of a health card for which RL should wait; what the others say is worth knowing."""


def sign(name: str, **values: Value) -> Sign:
    """What the rule of that name says of its values."""
    rule = RULES[name]
    if rule.limit is not None:
        values["limit"] = rule.limit
    if None in values.values():
        return Sign(name, "unchecked", values)
    return Sign(name, "alarm" if rule.alarms(**values) else "fine", values)
