"""What a recipe says under `rounds:`: stages that are repeated, each turn beginning from what the last one selected.

    rounds:
      num: 3                              turns at most
      begin: sft/model                    the policy that the first one samples, and must beat
      collect: {model: $incumbent, ...}   a stage of the round, in the order in which it runs
      gate: {evaluation: evaluate, ...}   decides; stages after it run where it ships

A path that begins with a stage of the round is in this round's folder. Words stand for what came before:

    $incumbent    the policy that was selected last      $older        those that it took the place of
    $reward       the reward model of the last round     $asked        comparisons of earlier rounds
    $preferences  what was learned from before this round
    $collected    folders of `collect` of earlier rounds
    $candidate    the policy that `evaluate` has selected in this round, for stages after it

`$reward or sft/model` is the second where there is no first one yet; a word alone leaves its setting out then, and so
does `0.6 if $preferences`.
"""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from prefloop import layout
from prefloop.config import Config
from prefloop.errors import UserError
from prefloop.files.documents import read_document
from prefloop.records.evaluations import Evaluation
from prefloop.records.lineages import Lineage, Round
from prefloop.rounds.gate_config import PEOPLE
from prefloop.rounds.lineage import selected
from prefloop.rounds.recipe import STAGES, Recipe, Turn

WORDS = ("incumbent", "older", "reward", "asked", "preferences", "collected", "candidate")


class RoundsConfig(Config):
    """How often, from where, and when it is over."""

    num: int = Field(ge=1)
    """Rounds at most."""

    begin: str
    """Model folder that the first round samples from, and must beat."""

    holds: int = Field(default=0, ge=0)
    """Rounds in a row that ended without a new policy after which no further one begins; 0 goes on."""

    least_gain: float = Field(default=0.0, ge=0, lt=0.5)
    """Win rate over the incumbent beyond one half that another round must be able to bring: none begins where even the
    upper end of what is expected is less; 0 goes on."""


def section(recipe: Recipe) -> dict[str, Any]:
    """What stands under `rounds:`. Raises: UserError if there is nothing, or something that cannot be there."""
    given = recipe.values.get(layout.ROUNDS)
    if not isinstance(given, dict):
        raise UserError(
            f"{recipe.path}: this recipe has no `rounds:`. Add it, with num, begin, and the stages of a round, of "
            "which one is `gate:`."
        )
    once = [name for name, stage in STAGES.items() if "pipeline" in stage.reads]
    known = [*RoundsConfig.model_fields, *(name for name in STAGES if name not in once)]
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean `{near[0]}`? " if near else ""
            hint = f"`{key}` tells of all that ran: move it out of `rounds:`, to the end. " if key in once else hint
            where = recipe.place(f"{layout.ROUNDS}.{key}")
            raise UserError(f"{where}: a round has no `{key}`. {hint}There are: {', '.join(known)}.")
    stages = [name for name in given if name in STAGES]
    for needed in (layout.EVALUATE, layout.GATE):
        if needed not in stages:
            raise UserError(
                f"{recipe.place(layout.ROUNDS)}: `rounds:` has no `{needed}:`, so that nobody says whether a round's "
                f"policy is better. Add it."
            )
    judged = given[layout.GATE] if isinstance(given[layout.GATE], dict) else {}
    if judged.get("by", PEOPLE) == PEOPLE and layout.COLLECT not in stages:
        raise UserError(
            f"{recipe.place(f'{layout.ROUNDS}.{layout.GATE}')}: people judge at the page of what a round collects, and "
            "these rounds have no `collect:`. Add it, or let somebody else judge: by: model, say."
        )
    return given


def head(recipe: Recipe) -> RoundsConfig:
    """How often, from where, and when it is over. Raises: UserError."""
    given = section(recipe)
    own = {key: value for key, value in given.items() if key in RoundsConfig.model_fields}
    if isinstance(own.get("begin"), str):
        own["begin"] = recipe.resolved(STAGES[layout.COLLECT], "model", own["begin"])
    return RoundsConfig.parse(own, where=recipe.path, places=recipe.places, prefix=f"{layout.ROUNDS}.")


def folder(recipe: Recipe, name: str) -> Path:
    """Where a round's stages write."""
    return recipe.out / layout.ROUNDS / name


def turn(recipe: Recipe, lineage: Lineage, this: Round) -> Turn:
    """What the settings of one round are resolved for."""
    before = lineage.line(this.parent)
    policies = [before[0].incumbent] if before else []
    policies += [each.selected for each in before if each.selected]
    older = dict.fromkeys(str(recipe.out / each.path) for each in policies if each != this.incumbent)
    collects = layout.COLLECT in section(recipe)
    collected = tuple(str(folder(recipe, each.name) / layout.COLLECT) for each in before if collects)
    earlier = str(folder(recipe, this.name) / layout.EARLIER)
    words: dict[str, str | tuple[str, ...] | None] = {
        "incumbent": str(recipe.out / this.incumbent.path),
        "older": tuple(older),
        "reward": str(recipe.out / this.reward.path) if this.reward else None,
        "asked": tuple(f"{place}/{layout.COMPARISONS}" for place in collected),
        "preferences": earlier if collected else None,
        "collected": collected,
        "candidate": _candidate(folder(recipe, this.name)),
    }
    return Turn(folder(recipe, this.name), section(recipe), words)


def _candidate(folder: Path) -> str | None:
    """The policy that was selected in a round; None before that."""
    evaluation = folder / layout.EVALUATE / layout.EVALUATION
    if not evaluation.is_file():
        return None
    found = read_document(evaluation, Evaluation).compared[1]
    return selected(folder, found.path, found.fingerprint)


def first_and_later(recipe: Recipe) -> Iterator[tuple[str, Config]]:
    """Settings of the stages of a first round and of a later one, so that what is wrong is known before any runs."""
    if layout.ROUNDS not in recipe.values:
        return
    begin, made = head(recipe).begin, folder(recipe, "1")
    later = {"older": (begin,), "reward": str(made / layout.REWARD / layout.MODEL), "asked": (str(made),)}
    later["collected"] = (str(made),)
    policy = {"candidate": str(made / layout.MODEL)}
    for found in (policy, {**policy, **later, "preferences": str(made / layout.EARLIER)}):
        words: dict[str, Any] = {**dict.fromkeys(WORDS), "incumbent": begin, **found}
        yield from recipe.turned(Turn(made, section(recipe), words)).items()


def after_gate(names: Sequence[str]) -> list[str]:
    """Of the stages of a round those that run where it ships."""
    return list(names)[list(names).index(layout.GATE) + 1 :]
