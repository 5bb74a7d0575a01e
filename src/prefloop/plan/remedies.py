"""What to change where memory is short, cheapest first, with the peak that each leaves."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from prefloop.costs.estimate import Estimate, Needs
from prefloop.errors import UserError
from prefloop.models.batching import FEWEST, MOST
from prefloop.settings import Placed
from prefloop.stages import STAGES

Plan = Callable[[Placed], Needs]
"""What settings need."""
REWARD_MODEL = "reward model"


@dataclass(frozen=True)
class Remedy:
    """A change, with those before it, and the peak then."""

    what: str
    peak: float


def remedies(settings: Placed, plan: Plan, around: float, there: float, *, device: str) -> Iterator[Remedy]:
    """Changes on top of each other, cheapest first, until it fits; at last those that are another job.

    Args:
        settings: of the stage.
        plan: what such settings need.
        around: bytes of interpreter and libraries.
        there: bytes that there are.
        device: where it is to run.
    """

    def peak_of(changed: Placed | None) -> float:
        """Infinite for settings that do not go together."""
        if changed is None:
            return math.inf
        try:
            return Estimate(replace(plan(changed), device=device), around).peak
        except UserError:
            return math.inf

    best = peak_of(settings)
    for what, changes in _changes(settings):
        changed = _with(settings, changes)
        peak = peak_of(changed)
        if changed is None or peak - around >= 0.99 * (best - around):
            continue
        settings, best = changed, peak
        yield Remedy(what, peak)
        if peak <= there:
            return
    needs = replace(plan(settings), device=device)
    for what, changed in _others(needs):
        peak = Estimate(changed, around).peak
        if peak - around < 0.99 * (best - around):
            yield Remedy(what, peak)


def _changes(settings: Placed) -> Iterator[tuple[str, dict[str, Any]]]:
    """Settings to change, those first that cost least in quality and time."""
    known = type(settings).model_fields
    values = settings.model_dump()
    if values.get("adapter", "lora") != "lora":
        yield "adapter=lora (adapters on one base that all roles share)", {"adapter": "lora"}
    if "recompute" in known:
        yield "recompute=true (layers are computed again: a third more time)", {"recompute": True}
    if values.get("critic") not in (None, "shared"):
        yield "critic=shared (a head on the policy's trunk)", {"critic": "shared"}
    yield "weights=int8 (what stays as it is, in 8 bits)", {"weights": "int8"}
    for name in ("micro_tokens", "batch_tokens"):
        tokens = values.get(name) or MOST
        while name in known and tokens > FEWEST:
            tokens = max(FEWEST, tokens // 2)
            yield f"{name}={tokens} (less at once)", {name: tokens}


def _with(settings: Placed, changes: Mapping[str, Any]) -> Placed | None:
    """The settings with some changed; None if they do not go together."""
    try:
        return type(settings).parse({**settings.model_dump(exclude_unset=True), **changes}, where="the plan")
    except UserError:
        return None


def _others(needs: Needs) -> Iterator[tuple[str, Needs]]:
    """Other jobs that do the same: another reward model, another algorithm."""
    alone = (role for role in needs.roles if role.name == REWARD_MODEL and not role.shares and not role.trained)
    scorer = next(alone, None)
    if scorer is not None and needs.stage not in ("reward", "score") and not scorer.rank:
        for share, words in ((0.25, "a quarter"), (0.0, "none: a function, reward=python:FILE.py:FUNCTION")):
            smaller = replace(scorer, anatomy=scorer.anatomy.scaled(share))
            yield (
                f"a smaller reward model: {words} of its size" if share else f"a reward model of {words}",
                _without(needs, scorer.name, smaller if share else None),
            )
    if needs.stage == "ppo":
        yield "no critic: prefloop reinforce", replace(_without(needs, "critic", None), stage="reinforce")
    if "dpo" in STAGES and needs.stage in ("ppo", "reinforce"):
        left = _without(_without(needs, REWARD_MODEL, None), "critic", None)
        moments = tuple(moment for moment in left.moments if moment.name != "sampling")
        yield "preferences alone, without sampling: prefloop dpo", replace(left, moments=moments, stage="dpo")


def _without(needs: Needs, name: str, instead: Any) -> Needs:
    """The needs with another model in a role, or without that role."""
    roles = tuple(instead if role.name == name else role for role in needs.roles if role.name != name or instead)
    moments = tuple(
        replace(moment, beside=0.0 if moment.beside_role == name else moment.beside)
        for moment in needs.moments
        if moment.role != name or instead
    )
    return replace(needs, roles=roles, moments=moments)


def sizes_of_reward_model(needs: Needs, around: float) -> list[tuple[str, float]]:
    """The peak with a reward model a quarter of the policy's size, as large, and four times as large; none if there
    is no reward model beside a policy."""
    policy = next((role for role in needs.roles if role.name == "policy"), None)
    scorer = next((role for role in needs.roles if role.name == REWARD_MODEL), None)
    if policy is None or scorer is None:
        return []
    found = []
    for words, factor in (("a quarter", 0.25), ("the same", 1.0), ("four times", 4.0)):
        anatomy = policy.anatomy.trunk().scaled(factor)
        other = replace(scorer, anatomy=anatomy, shares="", worn=0)
        found.append((words, Estimate(_without(needs, scorer.name, other), around).peak))
    return found
