"""Which checkpoint to keep: the best judged quality within the KL limit, with the reason in words (EVAL-4)."""

from dataclasses import dataclass
from typing import Any

from prefloop.errors import UserError


@dataclass(frozen=True)
class Selection:
    """The checkpoint selected and why."""

    name: str
    reason: str


def selected(candidates: dict[str, dict[str, Any]], *, kl_limit: float) -> Selection:
    """Selects by win rate on validation prompts.

    Args:
        candidates: name -> numbers on validation prompts, with `win_rate` and `kl_nats`.
        kl_limit: nats per response.

    Raises: UserError if there is no candidate. If all have drifted too far the nearest is taken, and the reason says so.
    """
    if not candidates:
        raise UserError("evaluate: there is no candidate to select from.")
    within = {n: s for n, s in candidates.items() if s["kl_nats"]["mean"] <= kl_limit}
    if not within:
        name = min(candidates, key=lambda n: candidates[n]["kl_nats"]["mean"])
        kl = candidates[name]["kl_nats"]["mean"]
        return Selection(
            name,
            f"all {len(candidates)} checkpoints drifted further than {kl_limit:g} nats; {name} drifted least ({kl:.1f} nats). Raise kl_coef and train again.",
        )
    name = max(within, key=lambda n: (within[n]["win_rate"]["mean"], -within[n]["kl_nats"]["mean"]))
    best = within[name]
    reason = (
        f"of {len(candidates)} checkpoints, {name} is preferred to the reference most often on validation prompts "
        f"({best['win_rate']['mean']:.0%}, judged by {best['win_rate']['judge']}) "
        f"within the KL limit of {kl_limit:g} nats ({best['kl_nats']['mean']:.1f} nats)."
    )
    far = [n for n, s in candidates.items() if n not in within and s["win_rate"]["mean"] > best["win_rate"]["mean"]]
    if far:
        reason += f" Preferred more often, but over the limit: {', '.join(far)}."
    return Selection(name, reason)
