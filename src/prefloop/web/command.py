"""`prefloop web DIR`: the page where people judge what a model wrote.

Reads: comparisons.jsonl of DIR (a folder of `prefloop run`, or of `collect`). Writes: DIR/web/ (database, log) and,
when enough is judged, judged/judgements.jsonl beside the comparisons.
"""

import importlib.resources
import shutil
from collections.abc import Sequence
from pathlib import Path

from prefloop import layout
from prefloop.config import settings_help
from prefloop.errors import UserError
from prefloop.extras import check_extra
from prefloop.files.atomic import make_folder, writing
from prefloop.web.config import WebConfig
from prefloop.web.folder import ELSEWHERE

USAGE = """prefloop web DIR [--host HOST] [--port PORT] [key=value ...]: the page where people judge what a model wrote.

  DIR is a folder of `prefloop run`, or any folder with comparisons.jsonl.
  --demo         a small project of ready-made comparisons, in DIR or in the folder prefloop-web-demo
  --host HOST    address to listen on; 0.0.0.0 lets the network in (the same as host=HOST)
  --port PORT    port to listen on (the same as port=PORT)
  --link         prints a new one-time link for an admin, and ends
  --verify       walks the log of everything that was done, says whether it is whole, and ends
"""
FLAGS = ("--demo", "--link", "--verify")
VALUES = {"--host": "host", "--port": "port"}
DEMO = "prefloop-web-demo"


def main(arguments: Sequence[str]) -> int:
    """Runs the server until it is stopped. Returns: the exit code."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(settings_help(USAGE, WebConfig))
        return 0
    folders, flags, settings = _parsed(list(arguments))
    config = WebConfig.load(None, settings)
    if not folders and "--demo" in flags:
        folders = [DEMO]
    if len(folders) != 1:
        raise UserError("`prefloop web` needs one folder, for instance: prefloop web demo (or prefloop web --demo)")
    check_extra("web", "`prefloop web`")
    folder = Path(folders[0])
    if "--demo" in flags:
        make_demo(folder)
    from prefloop.web import serving

    return serving.run(folder, config, link="--link" in flags, verify="--verify" in flags)


def _parsed(arguments: list[str]) -> tuple[list[str], set[str], list[str]]:
    """(folders, flags, settings) of a command line."""
    folders: list[str] = []
    flags: set[str] = set()
    settings: list[str] = []
    while arguments:
        argument = arguments.pop(0)
        name, equals, value = argument.partition("=")
        if argument in FLAGS:
            flags.add(argument)
        elif name in VALUES:
            if not equals and not arguments:
                example = {"--host": "0.0.0.0", "--port": "8080"}[name]
                raise UserError(f"{name} needs a value, for instance {name} {example}.")
            settings.append(f"{VALUES[name]}={value if equals else arguments.pop(0)}")
        elif argument.startswith("-"):
            raise UserError(f"`prefloop web` knows no {argument}; it knows {', '.join([*FLAGS, *VALUES])}.")
        elif equals:
            settings.append(argument)
        else:
            folders.append(argument)
    return folders, flags, settings


def make_demo(folder: Path) -> None:
    """Puts the ready-made comparisons into a folder, unless it has some."""
    make_folder(folder, otherwise=ELSEWHERE)
    target = folder / layout.COMPARISONS
    if not target.exists():
        source = importlib.resources.files("prefloop.web") / "demo.jsonl"
        with writing(target, otherwise=ELSEWHERE), importlib.resources.as_file(source) as path:
            shutil.copyfile(path, target)
