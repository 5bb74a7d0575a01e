"""A conversation at a terminal or in a pipe: who talks, and whose turn it is."""

import contextlib
import sys
from collections.abc import Iterator, Sequence

from rich.console import Console

from prefloop.chat.config import ChatConfig
from prefloop.chat.screen import note, plain, remarks, side_by_side, streamed
from prefloop.chat.talk import Talker
from prefloop.chat.words import WORDS
from prefloop.errors import UserError
from prefloop.models.device import placement
from prefloop.models.folders import speakers
from prefloop.models.load import causal
from prefloop.stopping import Stopped


def talkers(paths: Sequence[str], config: ChatConfig) -> list[Talker]:
    """The models of one folder, or of each of two folders the last: of a pipeline that is its policy."""
    groups = [speakers(path) for path in paths]
    chosen = groups[0] if len(groups) == 1 else [group[-1] for group in groups]
    place = placement(config.device, "float32")
    made = []
    for speaker in chosen:
        memory = config.memory == "on" or (config.memory == "auto" and not speaker.single_turn)
        template = config.template or speaker.template
        network = causal(speaker.path, place, template=template, weights=config.weights)
        for sentence in network.hold(config.weights):
            note(f"{speaker.name}: {sentence}")
        made.append(Talker(network, config, name=speaker.name, memory=memory))
    return made


def converse(talkers: list[Talker]) -> None:
    """Turn after turn until the user ends it."""
    watched, said = sys.stdin.isatty() and sys.stdout.isatty(), WORDS[talkers[0].config.language]
    if watched:
        names = said["and"].join(talker.name for talker in talkers)
        forgetful = "" if all(talker.memory for talker in talkers) else said["alone"]
        note(said["begin"].format(names=names) + forgetful)
    console = Console()
    for turn, text in enumerate(_turns(watched, said["end"])):
        if text in ("/quit", "/exit"):
            return
        if text == "/reset":
            for talker in talkers:
                talker.reset()
            note(said["forgotten"])
            continue
        if text.startswith("/"):
            note(said["unknown"].format(command=text.split()[0]))
            continue
        try:
            if not watched:
                answers = plain(talkers, text, turn=turn)
            elif len(talkers) == 1:
                answers = [streamed(talkers[0], text, turn=turn)]
            else:
                answers = side_by_side(talkers, text, turn=turn, console=console)
        except UserError as problem:
            note(str(problem))
            continue
        for talker, answer in zip(talkers, answers, strict=True):
            for remark in remarks(talker, answer):
                note(remark)


def _turns(watched: bool, how_to_end: str) -> Iterator[str]:
    """What the user says, turn by turn, until the end of input."""
    if watched:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  (line editing, where Python has it)
    while True:
        try:
            line = input("\n> ") if watched else sys.stdin.readline()
        except EOFError:
            print()
            return
        except Stopped:
            raise
        except KeyboardInterrupt:  # at the prompt there is no answer to stop
            print()
            note(how_to_end)
            continue
        if not watched and not line:
            return
        text = line.strip()
        if text:
            yield text.encode("utf-8", "replace").decode("utf-8")  # half a character from a broken terminal
