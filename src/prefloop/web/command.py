"""`prefloop web DIR`: the page where people judge what a model wrote.

Reads: comparisons.jsonl of DIR (a folder of `prefloop run`, or of `collect`). Writes: DIR/web/ (database, log) and, when
enough is judged, judged/judgements.jsonl beside the comparisons.
"""

import importlib.resources
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from prefloop import layout
from prefloop.config import settings_help
from prefloop.errors import UserError
from prefloop.files.atomic import make_folder, writing
from prefloop.web.config import WebConfig

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
EVERYWHERE = ("0.0.0.0", "::")
"""Hosts that stand for every address of this machine."""
ELSEWHERE = "The page keeps what is judged here: give another DIR to `prefloop web`, for instance a copy of this one that is yours."


def main(arguments: Sequence[str]) -> int:
    """Runs the server until it is stopped. Returns: the exit code."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(help_text())
        return 0
    folders, flags, settings = _parsed(list(arguments))
    config = WebConfig.load(None, settings)
    if not folders and "--demo" in flags:
        folders = [DEMO]
    if len(folders) != 1:
        raise UserError("`prefloop web` needs one folder, for instance: prefloop web demo (or prefloop web --demo)")
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
                raise UserError(
                    f"{name} needs a value, for instance {name} {'0.0.0.0' if name == '--host' else '8080'}."
                )
            settings.append(f"{VALUES[name]}={value if equals else arguments.pop(0)}")
        elif argument.startswith("-"):
            raise UserError(f"`prefloop web` knows no {argument}; it knows {', '.join([*FLAGS, *VALUES])}.")
        elif equals:
            settings.append(argument)
        else:
            folders.append(argument)
    return folders, flags, settings


def help_text() -> str:
    """What `prefloop web --help` prints."""
    return settings_help(USAGE, WebConfig)


def make_demo(folder: Path) -> None:
    """Puts the ready-made comparisons into a folder, unless it has some."""
    make_folder(folder, otherwise=ELSEWHERE)
    target = folder / layout.COMPARISONS
    if not target.exists():
        source = importlib.resources.files("prefloop.web") / "demo.jsonl"
        with writing(target, otherwise=ELSEWHERE), importlib.resources.as_file(source) as path:
            shutil.copyfile(path, target)


def comparisons_of(folder: Path) -> Path:
    """The file of comparisons in a run's folder. Raises: UserError if there is none."""
    for path in (folder / layout.COLLECT / layout.COMPARISONS, folder / layout.COMPARISONS):
        if path.is_file():
            return path
    raise UserError(
        f"{folder}: there is no comparisons.jsonl here, and none in {folder / layout.COLLECT}. "
        "Give a folder of `prefloop run`, or try the page with: prefloop web --demo"
    )


def arena_of(folder: Path) -> Path | None:
    """What `prefloop evaluate` wrote for people to compare blind, if it is there."""
    folders = (folder, folder.resolve().parent) if folder.resolve().name == layout.COLLECT else (folder,)
    found = [
        path for one in folders for path in (one / layout.EVALUATE / layout.ARENA, one / layout.ARENA) if path.is_file()
    ]
    return found[0] if found else None


def free_port(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises: UserError if the address or the port is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as problem:
        listener.close()
        raise UserError(
            f"cannot listen on {host}:{port} ({problem.strerror or problem}). Choose another: --port 0 takes a free one."
        ) from None
    listener.listen(2048)
    listener.set_inheritable(True)
    return listener


def own_address(host: str) -> str:
    """This machine's address in its network, of the kind of `host`; without a network, that of the machine itself."""
    family, anywhere, alone = (
        (socket.AF_INET6, "2001:db8::1", "::1") if ":" in host else (socket.AF_INET, "192.0.2.1", "127.0.0.1")
    )
    with socket.socket(family, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect((anywhere, 9))  # sends nothing: it only chooses the way to a place that does not exist
            return str(asked.getsockname()[0])
        except OSError:
            return alone


def say(line: str) -> None:
    """A line for whoever started the server, at once."""
    print(line, flush=True)
    sys.stdout.flush()
