"""`prefloop lab overopt RECIPE [key=value ...]`: proxy against gold as policies drift, in one picture.

Reads: a recipe of the helpdesk, as `prefloop run` does. Writes: the recipe's stages before its reward model, and in
`lab/` reward models, policies and the best of n of every cell and seed, `lab.json`, `overopt.svg`, `overopt.zh.svg`,
`index.html` and `index.zh.html`. Every stage runs in a process of its own; what is finished is recognised and skipped.
Follows Gao et al. 2022 (arXiv:2210.10760) and Coste et al. 2023 (arXiv:2310.02743).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from prefloop import layout
from prefloop.config import settings_help
from prefloop.errors import UserError
from prefloop.files.documents import write_document
from prefloop.lab import measured, page
from prefloop.lab.config import CELLS, Cell, LabConfig
from prefloop.lab.plans import NUM_HELD_OUT, Plans, plans
from prefloop.lab.planted import write_planted
from prefloop.printing import say
from prefloop.rounds import beforehand
from prefloop.rounds.command import claim, write
from prefloop.rounds.recipe import load, typed_keys
from prefloop.running import Step, Workers, cores, run_head, run_lines, workers

USAGE = f"""prefloop lab overopt RECIPE [out=DIR] [cells=[one, min, ...]] [seeds=4] [NAME.SETTING=VALUE ...]: what a
  policy gains by a reward model and by the truth, as it drifts: reward models of few and many preferences, with and
  without wrong ones, one against ensembles, with and without a charge; the best of n beside RL; laws with intervals;
  one picture.

  RECIPE is a recipe as `prefloop run` takes it, with `judge: gold` under `evaluate:`; its stages before the reward
  model are run once, or taken as they are if they are finished. What may stand on the command line may stand under
  `lab:` in it.
  Cells: {", ".join(CELLS)}.
  cells=[one, mine] mine.pairs=50 adds a cell of your own; rloo.steps=60 is a setting of what optimises, best-of.SETTING
  of the best of n. RECIPE's own settings are typed as for `prefloop run`: seed=1, reward.epochs=2.
"""


def main(arguments: Sequence[str]) -> int:
    """Runs the command. Returns: the exit code, 1 if something failed."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(settings_help(USAGE, LabConfig))
        print(settings_help("\nSettings of a cell, NAME.SETTING:", Cell))
        return 0
    name, *overrides = arguments
    if "=" in name:
        raise UserError(
            "`prefloop lab overopt` needs a recipe first, for instance: prefloop lab overopt helpdesk out=demo"
        )
    own = typed_keys(name, layout.LAB)
    recipe = load(name, [text if _key(text) in own else f"{layout.LAB}.{text}" for text in overrides])
    given = recipe.values.get(layout.LAB) or {}
    if not isinstance(given, dict):
        raise UserError(f"{recipe.place(layout.LAB)}: `lab` needs settings under it, for instance cells.")
    section: dict[str, Any] = dict(given)
    known = {key: section.pop(key) for key in LabConfig.model_fields if key in section}
    config = LabConfig.parse(known, where=recipe.path, places=recipe.places, prefix=f"{layout.LAB}.")
    at_once = config.jobs or (cores() if "pretrain" in recipe.settings else 1)
    return run(plans(recipe, config, section, threads=1 if at_once > 1 else None), at_once=at_once)


def _key(text: str) -> str:
    return text.partition("=")[0].split(".")[0].strip()


def run(made: Plans, *, at_once: int) -> int:
    """Runs what is not there yet, and writes the page. Returns: the exit code."""
    recipe = made.recipe
    claim(recipe.out)
    beforehand.check(recipe)
    for name, step in made.steps:
        beforehand.check_stage(recipe, step.stage.name, step.config, f"{layout.LAB}.{name}")
    if not (recipe.out / layout.RECIPE).is_file():
        write(recipe)
    with workers() as some:
        run_head(some, made.head, made.out / layout.LOG)
        failed = _learned(some, made, at_once)
        failed |= _used(some, made, failed, at_once)
    found = measured.found(made, failed)
    write_document(made.out / layout.OVEROPT, found)
    shown = page.write(found, made.out)
    for line in ("", *page.lines(found), "", *page.verdict(found, "en"), *page.alarms(found, "en"), f"\nPage: {shown}"):
        say(line)
    return 1 if any(failed.values()) else 0


def _learned(some: Workers, made: Plans, at_once: int) -> dict[str, str | None]:
    """Makes models with other layers, then reward models. Returns: name -> None, or why it failed."""
    failed = run_lines(some, made.models, made.out, at_once=at_once) if made.models else {}
    if made.held_out is not None:
        write_planted(
            made.held_out, made.out / layout.HELD_OUT, pairs=NUM_HELD_OUT, flips=0.0, seed=made.seeds[0], most=True
        )

    def planted(name: str) -> None:
        one = made.rewards[name]
        write_planted(made.preferences, one.preferences, pairs=one.pairs, flips=one.flips, seed=one.seed)

    lines = {name: (one.step,) for name, one in made.rewards.items()}
    return failed | run_lines(some, lines, made.out, at_once=at_once, before=planted)


def _used(some: Workers, made: Plans, failed: Mapping[str, str | None], at_once: int) -> dict[str, str | None]:
    """Optimises policies against the reward models that there are, and has each choose the best of n."""
    there = {name: trial for name, trial in made.trials.items() if failed[trial.reward.name] is None}
    lines: dict[str, tuple[Step, ...]] = {}
    for seed in made.seeds:  # seed by seed: broken off, it can be told of those that are done
        own = {name: trial for name, trial in there.items() if trial.seed == seed}
        lines |= {name: (trial.policy, trial.evaluation) for name, trial in own.items()}
        step = measured.chosen_step(made, there, seed)
        if step is not None:
            lines[f"{step.stage.name}/{step.out.name}"] = (step,)
    lost = {
        name: f"its reward model: {failed[trial.reward.name]}"
        for name, trial in made.trials.items()
        if name not in there
    }
    return {**lost, **run_lines(some, lines, made.out, at_once=at_once)}
