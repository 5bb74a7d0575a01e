"""`prefloop rounds RECIPE|DIR [key=value ...]`: go round and round; `lineage` and `back NAME` of a folder of rounds."""

from collections.abc import Sequence
from pathlib import Path

from prefloop import layout
from prefloop.errors import UserError
from prefloop.printing import say
from prefloop.rounds import command, lineage
from prefloop.rounds.recipe import load

USAGE = """prefloop rounds RECIPE [out=DIR] [key=value ...]: collect, learn, optimise, evaluate, decide, and again.
prefloop rounds DIR [key=value ...]: go on with the rounds in DIR.
prefloop rounds DIR lineage: what came of what: every round, its models, judgements and decision.
prefloop rounds DIR back NAME: let the next round come after round NAME (0: after the beginning). Nothing is deleted;
  what came after it stays, and the next round is a branch.

  RECIPE is a YAML file with `rounds:`, or the name of one that comes with prefloop: rounds.
  The exit code is 0 once all is decided, and 4 while a round waits for judgements."""


def main(arguments: Sequence[str]) -> int:
    """Runs the command. Returns: the exit code."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(USAGE)
        return 0
    name, *rest = arguments
    if "=" in name:
        raise UserError(
            "`prefloop rounds` needs a recipe or a folder first, for instance: prefloop rounds rounds out=mine"
        )
    out = Path(name)
    words = [word for word in rest if "=" not in word]
    if words:
        return _of_folder(out, words, rest)
    if lineage.file_of(out).is_file():
        begun = lineage.read(out)
        if not Path(begun.recipe).is_file():
            raise UserError(
                f"{out}: the recipe that its rounds began from, {begun.recipe}, is not there any more. Put it back, or "
                f"say which it is now: prefloop run RECIPE out={out}"
            )
        return command.go_on(load(begun.recipe, [*_without(begun.typed, [*rest, "out="]), *rest, f"out={out}"]))
    if out.is_dir() and not out.suffix:
        raise UserError(f"{out}: no round has begun here yet. Type the recipe: prefloop rounds RECIPE out={out}")
    recipe = load(name, rest)
    if layout.ROUNDS not in recipe.values:
        raise UserError(f"{recipe.path}: this recipe has no `rounds:`. Run it with: prefloop run {name}")
    return command.go_on(recipe)


def _of_folder(out: Path, words: Sequence[str], rest: Sequence[str]) -> int:
    """`lineage`, or `back NAME`. Raises: UserError for any other word."""
    if len(words) != len(rest) or words[0] not in ("lineage", "back") or len(words) != 1 + (words[0] == "back"):
        raise UserError(
            f"prefloop rounds: `{' '.join(rest)}` is not understood. There are: prefloop rounds DIR lineage, and "
            "prefloop rounds DIR back NAME."
        )
    if words[0] == "lineage":
        print(lineage.told(lineage.read(out)))
        return 0
    now = lineage.back(out, words[1])
    say(
        f"{out}: the next round comes after {f'round {now.head}' if now.head else 'the beginning'}; nothing is deleted."
    )
    return 0


def _without(typed: Sequence[str], new: Sequence[str]) -> list[str]:
    """What was typed when it began but for what is typed anew."""
    again = {word.partition("=")[0] for word in new}
    return [word for word in typed if word.partition("=")[0] not in again]
