"""The command line: `prefloop STAGE [file.yaml] [key=value ...]`. A stage is imported only when it is chosen."""

import difflib
import errno
import io
import os
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from prefloop import __version__, stopping
from prefloop.errors import Diverged, UserError
from prefloop.named import named
from prefloop.outcome import Outcome
from prefloop.printing import printable, say
from prefloop.stages import STAGES, Stage

COMMANDS = {stage.command: stage for stage in STAGES.values()}
OURS_TO_MEND = 70
"""Exit code for a fault of prefloop itself (EX_SOFTWARE)."""
DIVERGED = 3
"""Exit code if numbers went wrong in training: what to lower is said, and the same command would do the same."""
READER_GONE = 141
"""Exit code if nobody reads the output any more, as `prefloop --help | head -1`: 128 + SIGPIPE, as of any program."""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point.

    Returns: the exit code: 0 well, 1 and 4 what a command says that decides (gate), 2 the user can mend it, 3 training
    has diverged, 70 prefloop's own fault, 130 stopped by Ctrl-C (143 by SIGTERM, 129 by the end of the terminal), 141
    nobody reads the output any more.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # threads that wait by spinning for long make two threads slower than one as soon as anything else runs on the
    # machine; threads that never spin lose a third when nothing does
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    _open_outputs()
    try:
        with stopping.heard(stopping.at_once):
            code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except Diverged as problem:
        _refuse(str(problem))
        return DIVERGED
    except UserError as problem:
        return _refuse(str(problem))
    except KeyboardInterrupt as stop:
        say(f"\nprefloop: stopped{_go_on(arguments)}", to=sys.stderr)
        return stopping.exit_code(stop)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
        return READER_GONE
    except MemoryError:
        return _refuse(NO_MEMORY)
    except OSError as problem:
        return _refuse(_of_system(problem))
    except Exception as problem:
        return _refuse(NO_MEMORY) if _is_memory(problem) else _confess(problem, arguments)


NO_MEMORY = (
    "there is not enough memory. Take less at once (micro_tokens, batch_tokens, rollouts_per_step, batch_prompts, "
    "whichever the stage has) or a smaller model; what was saved is intact."
)


def _open_outputs() -> None:
    """Makes sure that printing fails for no encoding and no closed stream."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # until the process ends
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _refuse(sentence: str) -> int:
    say(f"prefloop: {sentence}", to=sys.stderr)
    return 2


def _go_on(arguments: list[str]) -> str:
    """What a stopped command has left: only stages that write a run's folder can go on."""
    name = arguments[0] if arguments else ""
    if name not in ("run", "rounds", "compare") and not any(
        stage.in_recipe and stage.command == name for stage in STAGES.values()
    ):
        return "."
    return f"; what a stage had begun is saved. Go on with the same command: {shlex.join(['prefloop', *arguments])}"


def _of_system(problem: OSError) -> str:
    """What the operating system refused, and what to do."""
    where = f"{str(problem.filename)[:200]}: " if problem.filename else ""
    advice = {
        errno.EMFILE: "This process may open no more files: raise the limit (ulimit -n 4096).",
        errno.ENFILE: "The machine may open no more files: close some programs.",
        errno.ENAMETOOLONG: "Give a shorter path.",
        errno.EACCES: "Ask for permission (ls -l shows who has it), or give another path.",
        errno.EPERM: "Ask for permission (ls -l shows who has it), or give another path.",
        errno.ENOSPC: "Free some space and run the same command again; what was written is intact.",
        errno.EAGAIN: "This user may start no more processes or threads: raise the limit (ulimit -u).",
        errno.EFBIG: "Files may not grow so large here (ulimit -f).",
    }.get(problem.errno or 0, "Check the path and the disk, and run the same command again.")
    return f"{where}{problem.strerror or problem}. {advice}"


def _is_memory(problem: BaseException) -> bool:
    """True for torch's ways of saying that memory is full, of which only one is an own class."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(problem, RuntimeError) and any(word in str(problem).lower() for word in words)


def _confess(problem: Exception, arguments: list[str]) -> int:
    """Says that the fault is ours, and where everything about it is written. Returns: the exit code."""
    about = "".join([shlex.join(["prefloop", *arguments]), f"\nprefloop {__version__}, Python {sys.version}\n\n"])
    about += "".join(traceback.format_exception(problem))
    said = (str(problem).splitlines() or [""])[0][:200]
    what = f"{type(problem).__name__}{f': {said}' if said else ''}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="prefloop-fault-", suffix=".txt", delete=False, encoding="utf-8"
        ) as f:
            f.write(about.encode("utf-8", "backslashreplace").decode())
        where = f"Please report it with the file {Path(f.name)}, which says where it happened"
    except OSError:
        where = f"Please report it. It happened here:\n{about}"
    print(
        f"prefloop: this is a fault of prefloop, not yours ({printable(what)}). {where}; what was saved is intact.",
        file=sys.stderr,
    )
    return OURS_TO_MEND


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] == ["help"] and arguments[1:]:
        arguments = [*arguments[1:], "--help"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"prefloop {__version__}")
        return 0
    stage, rest = chosen(arguments)
    if any(argument in ("-h", "--help") for argument in rest):
        planned = [word for word in rest[:1] if stage.name == "plan" and word in COMMANDS]
        rest = [*planned, "--help"]
    elif stage.name != "web":  # the page has flags of its own
        _refuse_dashes(stage, rest)
    if stage.settings is None:
        return int(named(stage.function)(rest))
    settings = named(stage.settings)
    if rest == ["--help"]:
        from prefloop.config import settings_help

        heading = f"prefloop {stage.command} [file.yaml] [key=value ...]"
        print(settings_help(f"{heading}: {stage.sentence}.", settings))
        if stage.variant is not None:
            other = stage.meant([stage.variant.given])
            heading = f"\n{heading}, with {stage.variant.given}=: {other.sentence}."
            print(settings_help(heading, named(other.settings or "")))
        return 0
    path = rest.pop(0) if rest and ("=" not in rest[0] or Path(rest[0]).is_file()) else None
    second = next((argument for argument in rest if "=" not in argument), None)
    if second is not None and path is None and second.endswith((".yaml", ".yml")):
        raise UserError(f"`{second}`: the YAML file comes first: prefloop {stage.command} {second} key=value ...")
    config = settings.load(path, rest)
    made = named(stage.function)(config)
    print(printable(str(made)))
    return made.code if isinstance(made, Outcome) else 0


def _refuse_dashes(stage: Stage, rest: list[str]) -> None:
    """Raises: UserError for settings typed as other programs have them, with what to type."""
    for place, argument in enumerate(rest):
        if not argument.startswith("-") or argument == "-" or "=" in argument.partition("-")[0]:
            continue
        name, equals, value = argument.lstrip("-").partition("=")
        name = name.replace("-", "_")
        if not equals:
            follows = rest[place + 1] if place + 1 < len(rest) else "..."
            value = "..." if follows.startswith("-") or "=" in follows else follows
        raise UserError(
            f"the command line: `{argument[:80]}`: settings are typed without dashes: {name[:80]}={value[:80]}. "
            f"What there is: prefloop {stage.command} --help"
        )


def chosen(arguments: list[str]) -> tuple[Stage, list[str]]:
    """The stage that was typed, and its arguments. Raises: UserError if there is none of that name."""
    for words in (2, 1):
        stage = COMMANDS.get(" ".join(arguments[:words]))
        if stage is not None:
            return stage.meant(_given(arguments[words:]) if stage.variant else ()), arguments[words:]
    begun = [name for name in COMMANDS if name.startswith(f"{arguments[0]} ")]
    near = begun or difflib.get_close_matches(arguments[0], COMMANDS, n=1)
    hint = f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(COMMANDS)}."
    raise UserError(f"there is no stage called `{arguments[0][:80]}`. {hint}")


def _given(arguments: list[str]) -> set[str]:
    """The settings that are typed, or stand in a YAML file that is."""
    from prefloop.notation import read_yaml

    typed = {argument.partition("=")[0] for argument in arguments if "=" in argument}
    first = next(iter(arguments), "")
    return typed | (read_yaml(first)[0].keys() if Path(first).is_file() else set())


def overview() -> str:
    """What `prefloop --help` prints."""
    alone = {name: stage for name, stage in COMMANDS.items() if " " not in name or name.split()[0] not in COMMANDS}
    rows = "\n".join(f"  {name:<13} {stage.sentence}" for name, stage in alone.items())
    return (
        f"prefloop {__version__} closes the preference loop for language models.\n\n"
        f"  prefloop STAGE [file.yaml] [key=value ...]\n\n{rows}\n\n"
        "Start with:  prefloop run helpdesk out=demo    (the whole loop in minutes, on a laptop)\n"
        "Own data:    prefloop init mine                (a recipe with comments, and a sample of each file)\n"
        "Settings:    prefloop STAGE --help\n"
        "TAB key:     prefloop completion --help"
    )


if __name__ == "__main__":
    sys.exit(main())
