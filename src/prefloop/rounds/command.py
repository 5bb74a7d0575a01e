"""`prefloop run RECIPE [key=value ...]`: a recipe from its first stage to its report; run it again to go on."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.atomic import write_text
from prefloop.files.outputs import output, was_written
from prefloop.named import named
from prefloop.outcome import MORE
from prefloop.printing import say
from prefloop.rounds import beforehand
from prefloop.rounds.recipe import STAGES, Recipe, load
from prefloop.rounds.told import told

USAGE = """prefloop run RECIPE [out=DIR] [seed=N] [STAGE.SETTING=VALUE ...]: run a whole recipe, or go on with it.

  RECIPE is a YAML file, or the name of one that comes with prefloop: helpdesk, rounds, assistant,
  stories, seed003, constitution, rlaif.
  A finished stage is recognised and skipped; a broken one goes on from its last checkpoint.
  The settings of a stage: prefloop STAGE --help"""


def main(arguments: Sequence[str]) -> int:
    """Runs the command. Returns: the exit code."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(USAGE)
        return 0
    name, *overrides = arguments
    if "=" in name:
        raise UserError("`prefloop run` needs a recipe first, for instance: prefloop run helpdesk out=demo")
    return go_on(load(name, overrides))


def go_on(recipe: Recipe) -> int:
    """Runs (or continues) a recipe, and says where it is to be seen. Returns: the exit code."""
    results = run(recipe)
    if layout.ROUNDS in results and results[layout.ROUNDS] is None:
        return MORE
    if "report" in results:
        say(f"\nReport: {results['report']}")
    say(f"Talk to it: prefloop chat {recipe.out}")
    if "collect" in results and "evaluate" in results:
        say(f"Let people say which they like better, blind: prefloop web {recipe.out}")
    return 0


def run(recipe: Recipe) -> dict[str, Path | None]:
    """Runs (or continues) every stage of a recipe, its rounds before what tells of them.

    Returns: what each stage returned, by the stage's name; None for rounds that wait for judgements, which end it.
    """
    results: dict[str, Path | None] = {}
    rounds = layout.ROUNDS in recipe.values
    card = recipe.out / layout.RECIPE
    claim(recipe.out)
    beforehand.check(recipe)
    if not card.is_file():
        write(recipe)
    for number, (name, config) in enumerate(recipe.settings.items(), start=1):
        if rounds and "pipeline" in STAGES[name].reads and not _rounds(recipe, results):
            return results
        if "pipeline" in STAGES[name].reads and was_written(card):
            write(recipe)  # every stage has accepted its settings: the recipe is what really ran
        with told(f"{number}/{len(recipe.settings)}", name, Path(config.model_dump()["out"])):
            results[name] = named(STAGES[name].function)(config)
    if rounds and layout.ROUNDS not in results:
        _rounds(recipe, results)
    return results


def _rounds(recipe: Recipe, results: dict[str, Path | None]) -> bool:
    """Runs the rounds. Returns: whether they are over, and do not wait for judgements."""
    over = named("prefloop.rounds.advance:go")(recipe) != MORE
    results[layout.ROUNDS] = recipe.out / layout.ROUNDS if over else None
    return over


def write(recipe: Recipe) -> None:
    """Writes the recipe as it stands into its folder. Raises: UserError if somebody's file is there."""
    with output(recipe.out / layout.RECIPE) as new:
        write_text(new, yaml.safe_dump(recipe.values, sort_keys=False, allow_unicode=True))


def claim(out: Path) -> None:
    """Raises: UserError if the folder holds something else than a recipe's stages."""
    names = sorted(p.name for p in out.iterdir() if not p.name.startswith(".")) if out.is_dir() else []
    foreign = [name for name in names if name not in (*STAGES, layout.ROUNDS)]
    if foreign and layout.RECIPE not in foreign:
        raise UserError(
            f"{out}: this folder holds other things ({', '.join(foreign[:3])}), and no recipe's run. "
            "Choose another out=DIR."
        )
