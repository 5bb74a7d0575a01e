"""Conditions of a gate: each a number, a limit, and whether it is kept, in words."""

import math
from collections.abc import Mapping, Sequence

from prefloop.records.evaluations import Evaluation, Model, Split, mean
from prefloop.records.gates import Condition, Kept, State
from prefloop.rounds.gate_config import GateConfig
from prefloop.stats import sequential

LESS_IS_BETTER = ("kl_nats", "harmful", "over_refusal")
"""Measures of a checkpoint of which less is better."""


def drift(evaluation: Evaluation, config: GateConfig) -> Condition:
    """How far the candidate has drifted: from the base where a limit is given and a base was measured."""
    final = evaluation.tested[1]
    from_base = config.kl_limit is not None and final.base_kl is not None
    value = mean(final.base_kl if from_base else final.kl_nats)
    limit = evaluation.kl_limit if config.kl_limit is None else config.kl_limit
    whom = "base" if from_base else "incumbent"
    if value is None:
        return _unmeasured("kl", limit, "the evaluation did not measure KL")
    says = f"{value:.2f} nats a response from the {whom}, of {limit:g}"
    return Condition(name="kl", state=_kept(value <= limit), value=value, limit=limit, sentence=says)


def share_rises(name: str, evaluation: Evaluation, *, limit: float, what: str) -> Condition:
    """Whether a share of bad responses has risen by more than it may."""
    before, after = (mean(split.measured(name)) for split in evaluation.tested)
    if before is None or after is None:
        return _unmeasured(name, limit, f"nobody measured {what}")
    says = f"{what}: {before:.1%}, now {after:.1%}; a rise of {100 * limit:g} points is allowed"
    return Condition(name=name, state=_kept(after - before <= limit), value=after - before, limit=limit, sentence=says)


def slices(shares: Mapping[str, Sequence[float]], config: GateConfig) -> Condition:
    """Whether the candidate surely loses too often on some slice.

    Args:
        shares: tag -> its share of wins on each judged prompt of the tag.
    """
    known = {tag: some for tag, some in shares.items() if len(some) >= config.slice_least}
    if not config.slice_floor or not known:
        why = "no floor is asked for" if not config.slice_floor else f"no tag has {config.slice_least} judged prompts"
        return _unmeasured("slices", config.slice_floor or None, why)
    most = {
        tag: sequential.bounds(sum(some), len(some) - sum(some), alpha=config.alpha)[1] for tag, some in known.items()
    }
    worst = min(most, key=lambda tag: (most[tag], tag))
    rate = sum(known[worst]) / len(known[worst])
    says = (
        f"the weakest slice is {worst}: it wins {rate:.0%} of {len(known[worst])} prompts, at most {most[worst]:.0%}, "
        f"and {config.slice_floor:.0%} is the floor"
    )
    state = _kept(most[worst] >= config.slice_floor)
    return Condition(name="slices", state=state, value=most[worst], limit=config.slice_floor, sentence=says)


def spot_check(num: int, config: GateConfig) -> Condition:
    """Whether people have looked, whoever judges. Args: num: judgements by people, of the audit too."""
    if not config.spot_check:
        return _unmeasured("spot_check", None, "no look by people is asked for")
    state: State = "kept" if num >= config.spot_check else "waiting"
    says = f"people have judged {num} pairs of {config.spot_check} asked for"
    return Condition(name="spot_check", state=state, value=float(num), limit=float(config.spot_check), sentence=says)


def skills(lost: Sequence[str] | None, num: int) -> Condition:
    """Whether a skill was lost. Args: lost: names of those; None if nobody measured. num: skills that were measured."""
    if lost is None:
        return _unmeasured("skills", 0.0, "nobody measured skills")
    says = f"of {num} skills none is lost" if not lost else f"of {num} skills {len(lost)} lost: {', '.join(lost)}"
    return Condition(name="skills", state=_kept(not lost), value=float(len(lost)), limit=0.0, sentence=says)


def front(evaluation: Evaluation) -> tuple[Kept, ...]:
    """The checkpoints of which no other is as good in every measure and better in one, on validation prompts.

    Measures are the win rate, each reward's part, KL, and harmful and refused shares, those that all have.
    """
    models = {
        name: _measures(model)
        for name, model in evaluation.models.items()
        if name not in (evaluation.reference, evaluation.base)
    }
    shared = set.intersection(*(set(own) for own in models.values())) if models else set[str]()
    points = {name: {key: own[key] for key in own if key in shared} for name, own in models.items()}
    return tuple(
        Kept(name=name, measures=own)
        for name, own in points.items()
        if not any(_dominates(other, own) for key, other in points.items() if key != name)
    )


def _measures(model: Model) -> dict[str, float]:
    split: Split = model.validation
    found = {name: mean(split.measured(name)) for name in LESS_IS_BETTER}
    found |= {f"parts.{name}": mean(part) for name, part in split.parts.items()}
    found["win_rate"] = mean(split.win_rate)
    return {name: value for name, value in found.items() if value is not None and math.isfinite(value)}


def _dominates(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    ahead = [(other[key] - one[key]) if key in LESS_IS_BETTER else (one[key] - other[key]) for key in one]
    return all(gain >= 0 for gain in ahead) and any(gain > 0 for gain in ahead)


def _kept(is_kept: bool) -> State:
    return "kept" if is_kept else "broken"


def _unmeasured(name: str, limit: float | None, why: str) -> Condition:
    return Condition(name=name, state="unmeasured", value=None, limit=limit, sentence=why)
