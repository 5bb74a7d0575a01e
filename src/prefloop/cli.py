"""The command line: `prefloop STAGE [file.yaml] [key=value ...]`. A stage is imported only when it is chosen."""

import difflib
import os
import shlex
import sys
from collections.abc import Sequence

from prefloop import __version__
from prefloop.errors import UserError
from prefloop.named import named
from prefloop.printing import printable
from prefloop.stages import STAGES, Stage

COMMANDS = {stage.command: stage for stage in STAGES.values()}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns: the exit code (0 well, 2 the user can mend it, 130 stopped by Ctrl-C)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # threads that wait by spinning for long make two threads slower than one as soon as anything else runs on the
    # machine; threads that never spin lose a third when nothing does
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except UserError as problem:
        print(printable(f"prefloop: {problem}"), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        again = shlex.join(["prefloop", *arguments])
        print(f"\nprefloop: stopped; what was done is saved. Go on with the same command: {again}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `prefloop --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
        return 0


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"prefloop {__version__}")
        return 0
    stage, rest = chosen(arguments)
    if stage.settings is None:
        return int(named(stage.function)(rest))
    settings = named(stage.settings)
    if any(argument in ("-h", "--help") for argument in rest):
        from prefloop.config import settings_help

        print(settings_help(f"prefloop {stage.command} [file.yaml] [key=value ...]: {stage.sentence}.", settings))
        return 0
    path = rest.pop(0) if rest and "=" not in rest[0] else None
    config = settings.load(path, rest)
    print(printable(str(named(stage.function)(config))))
    return 0


def chosen(arguments: list[str]) -> tuple[Stage, list[str]]:
    """The stage that was typed, and its arguments. Raises: UserError if there is none of that name."""
    for words in (2, 1):
        stage = COMMANDS.get(" ".join(arguments[:words]))
        if stage is not None:
            return stage, arguments[words:]
    near = difflib.get_close_matches(arguments[0], COMMANDS, n=1)
    hint = f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(COMMANDS)}."
    raise UserError(f"there is no stage called `{arguments[0]}`. {hint}")


def overview() -> str:
    """What `prefloop --help` prints."""
    rows = "\n".join(f"  {name:<9} {stage.sentence}" for name, stage in COMMANDS.items() if " " not in name)
    return (
        f"prefloop {__version__} closes the preference loop for language models.\n\n"
        f"  prefloop STAGE [file.yaml] [key=value ...]\n\n{rows}\n\n"
        "Start with:  prefloop run helpdesk out=demo    (the whole loop in minutes, on a laptop)\n"
        "Settings:    prefloop STAGE --help"
    )


if __name__ == "__main__":
    sys.exit(main())
