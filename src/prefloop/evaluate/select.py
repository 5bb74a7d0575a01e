"""Which checkpoint to keep: the best judged quality within the KL limit, with the reason in words (EVAL-4)."""

from dataclasses import dataclass

from prefloop.errors import UserError
from prefloop.records.evaluations import Choice, Split, WinRate


@dataclass(frozen=True)
class Selection:
    """The checkpoint selected and why."""

    name: str
    reason: str
    choice: Choice
    """the reason, for programs"""


def selected(candidates: dict[str, Split], *, kl_limit: float) -> Selection:
    """Selects by win rate on validation prompts.

    Args:
        candidates: name -> numbers on validation prompts.
        kl_limit: nats per response.

    Returns: the best within the limit; if all have drifted too far the nearest, and the reason says so.
    Raises: UserError if there is no candidate.
    """
    if not candidates:
        raise UserError("evaluate: there is no candidate to select from.")
    rates = {name: _win_rate(split) for name, split in candidates.items()}
    kls = {name: _kl(split) for name, split in candidates.items()}
    within = [name for name in candidates if kls[name] <= kl_limit]
    rule = "preferred" if within else "nearest"
    name = max(within, key=lambda n: (rates[n].mean, -kls[n])) if within else min(candidates, key=lambda n: kls[n])
    best = rates[name]
    far = [n for n in candidates if n not in within and rates[n].mean > best.mean] if within else []
    clear = best.low is not None and best.low > 0.5
    choice = Choice(rule=rule, candidates=len(candidates), clear=clear, over_limit=tuple(far))
    if rule == "nearest":
        return Selection(
            name,
            f"all {len(candidates)} checkpoints drifted further than {kl_limit:g} nats; {name} drifted least "
            f"({kls[name]:.1f} nats). Raise kl_coef (beta in dpo, kto and online-dpo) and train again.",
            choice,
        )
    reason = (
        f"of {len(candidates)} checkpoints, {name} wins against the reference most often on validation prompts "
        f"({best.mean:.0%} with ties as half, judged by {best.judge}) within the KL limit of {kl_limit:g} nats "
        f"({kls[name]:.1f} nats)."
    )
    if not clear:
        reason += " That is not clearly more often than not: by this judge none is clearly better than the reference."
    if far:
        reason += f" Preferred more often, but over the limit: {', '.join(far)}."
    return Selection(name, reason, choice)


def _win_rate(split: Split) -> WinRate:
    assert split.win_rate is not None  # a candidate is compared with the reference
    return split.win_rate


def _kl(split: Split) -> float:
    assert split.kl_nats is not None  # nothing is null that has just been measured
    return split.kl_nats.mean
