"""`prefloop compare RECIPE [key=value ...]`: several methods on a recipe's preferences, and one page about them.

Reads: a recipe, as `prefloop run` does. Writes: the recipe's stages before its first policy, and in `compare/` each
method's runs, `compare.json`, `index.html` and `index.zh.html`, and `arena.jsonl` for people. Every stage runs in a
process of its own, so that its time and memory are its own; what is finished is recognised and skipped.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.compare import measured, page
from prefloop.compare.config import CompareConfig
from prefloop.compare.methods import METHODS
from prefloop.compare.plans import Plan, plans
from prefloop.config import settings_help
from prefloop.errors import UserError
from prefloop.files.documents import write_document
from prefloop.printing import say
from prefloop.rounds import beforehand
from prefloop.rounds.command import claim, write
from prefloop.rounds.recipe import Recipe, load, typed_keys
from prefloop.running import cores, head, run_head, run_lines, workers

USAGE = f"""prefloop compare RECIPE [out=DIR] [methods=[dpo, ppo, ...]] [NAME.SETTING=VALUE ...]: what several methods
  gain and cost on the same preferences, on one page.

  RECIPE is a recipe as `prefloop run` takes it, with an `evaluate:`; its stages before the first policy are run once,
  or taken as they are if they are finished. What may stand on the command line may stand under `compare:` in it.
  Methods: {", ".join(METHODS)}.
  NAME.SETTING=VALUE is a setting of a method's stage (dpo.beta=0.3), NAME.STAGE.SETTING=VALUE where it has several
  (rft.sft.epochs=2); methods=[dpo, mine] mine.method=dpo mine.beta=0.3 adds a variant by a name of your own.
  RECIPE's own settings are typed as for `prefloop run`: seed=1, collect.num_prompts=100.
"""


def main(arguments: Sequence[str]) -> int:
    """Runs the command. Returns: the exit code, 1 if a method failed."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(settings_help(USAGE, CompareConfig))
        return 0
    name, *overrides = arguments
    if "=" in name:
        raise UserError("`prefloop compare` needs a recipe first, for instance: prefloop compare helpdesk out=demo")
    own = typed_keys(name)  # and what the file says under `compare:` is changed there
    recipe = load(name, [_meant(text, own) for text in overrides])
    given = recipe.values.get(layout.COMPARE) or {}
    if not isinstance(given, dict):
        raise UserError(f"{recipe.place(layout.COMPARE)}: `compare` needs settings under it, for instance methods.")
    section: dict[str, Any] = dict(given)
    known = {key: section.pop(key) for key in CompareConfig.model_fields if key in section}
    config = CompareConfig.parse(known, where=recipe.path, places=recipe.places, prefix=f"{layout.COMPARE}.")
    at_once = config.at_once or (cores() if "pretrain" in recipe.settings else 1)
    at_once = min(at_once, len(config.methods))
    made = plans(recipe, config, section, threads=1 if at_once > 1 else None)
    return compare(recipe, made, at_once=at_once)


def _meant(text: str, own: Sequence[str]) -> str:
    """An override as the recipe has it: what is none of its own keys stands under `compare:`."""
    key = text.partition("=")[0].split(".")[0].strip()
    return text if key in own else f"{layout.COMPARE}.{text}"


def compare(recipe: Recipe, made: Sequence[Plan], *, at_once: int) -> int:
    """Runs what is not there yet, and writes the page. Returns: the exit code."""
    out = recipe.out / layout.COMPARE
    claim(recipe.out)
    beforehand.check(recipe)
    for plan in made:
        for step in plan.steps:
            beforehand.check_stage(recipe, step.stage.name, step.config, f"{layout.COMPARE}.{plan.name}")
    if not (recipe.out / layout.RECIPE).is_file():
        write(recipe)
    with workers() as some:
        run_head(some, head(recipe), out / layout.LOG)
        lines = {plan.name: (*plan.steps, *([plan.evaluation] if plan.evaluation else [])) for plan in made}
        by_name = {plan.name: plan for plan in made}
        failed = run_lines(some, lines, out, at_once=at_once, before=lambda name: _prepared(by_name[name]))
    found = measured.compared(recipe, made, failed)
    write_document(out / layout.COMPARED, found)
    measured.write_arena(made, failed, out / layout.ARENA)
    shown = page.write(found, out)
    for line in ("", *page.lines(found), "", *page.verdict(found, "en"), *page.alarms(found, "en"), f"\nPage: {shown}"):
        say(line)
    return 1 if any(failed.values()) else 0


def _prepared(plan: Plan) -> None:
    """Writes the thumbs of a method that learns from thumbs."""
    for step in plan.steps:
        file = Path(str(step.given.get("preferences", "")))
        if file.name == layout.THUMBS and file.parent == step.out.parent:
            measured.write_thumbs(plan.learned[0], file)
