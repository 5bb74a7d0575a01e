"""`prefloop chat DIR [DIR2] [key=value ...]`: talk to one model, or to two side by side.

Reads: model folders, or a pipeline's folder (then SFT beside the policy that `evaluate` selected). Writes nothing. At a
terminal answers stream; otherwise each line of standard input is a turn, and answers are plain lines. A reward model is
refused: it only scores (PIPE-9). Leaves out: system turns, tools, saving the conversation.
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence

from prefloop.chat.config import ChatConfig
from prefloop.errors import UserError

USAGE = """prefloop chat DIR [DIR2] [key=value ...]: talk to one model, or to two side by side.

  DIR is a model folder or a hub id, or a pipeline's folder: then you talk to SFT and to the selected policy.
  In the conversation: /reset forgets it, /quit or Ctrl-D ends it, Ctrl-C stops an answer.
"""


def main(arguments: Sequence[str]) -> int:
    """Runs the conversation. Returns: the exit code."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(help_text())
        return 0
    paths = [argument for argument in arguments if "=" not in argument]
    config = ChatConfig.load(None, [argument for argument in arguments if "=" in argument])
    if not 1 <= len(paths) <= 2:
        raise UserError("`prefloop chat` needs one or two model folders, for instance: prefloop chat demo")
    from prefloop.models.folders import speakers

    found = [speakers(path) for path in paths]
    chosen = found[0] if len(found) == 1 else [several[-1] for several in found]  # of a pipeline, the aligned policy

    from prefloop.chat.talk import Talker
    from prefloop.models.device import placement
    from prefloop.models.load import causal

    place = placement(config.device, "float32")
    talkers = []
    for speaker in chosen:
        memory = config.memory == "on" or (config.memory == "auto" and not speaker.single_turn)
        network = causal(speaker.path, place, template=config.template or speaker.template)
        talkers.append(Talker(network, config, name=speaker.name, memory=memory))
    _converse(talkers)
    return 0


def help_text() -> str:
    """What `prefloop chat --help` prints."""
    lines = [USAGE]
    for name, field in ChatConfig.model_fields.items():
        default = "none" if field.default is None else field.default
        lines += [f"  {name}  (default {default})", f"      {field.description}"]
    return "\n".join(lines)


def _converse(talkers: list) -> None:  # of Talker, which is imported late
    from rich.console import Console

    from prefloop.chat.screen import note, plain, remarks, side_by_side, streamed

    watched = sys.stdin.isatty() and sys.stdout.isatty()
    if watched:
        names = " and ".join(talker.name for talker in talkers)
        forgetful = "" if all(talker.memory for talker in talkers) else " Each turn stands alone (memory=off)."
        note(f"talking to {names}; /reset forgets, /quit or Ctrl-D ends, Ctrl-C stops an answer.{forgetful}")
    console = Console()
    for turn, text in enumerate(_turns(watched)):
        if text in ("/quit", "/exit"):
            return
        if text == "/reset":
            for talker in talkers:
                talker.reset()
            note("forgotten")
            continue
        if text.startswith("/"):
            note(f"there is no command {text.split()[0]}; there are /reset and /quit")
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


def _turns(watched: bool) -> Iterator[str]:
    """What the user says, turn by turn, until the end of input."""
    from prefloop.chat.screen import note

    if watched:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  (line editing, where Python has it)
    while True:
        try:
            line = input("\n> ") if watched else sys.stdin.readline()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:  # at the prompt there is no answer to stop
            print()
            note("/quit or Ctrl-D ends")
            continue
        if not watched and not line:
            return
        text = line.strip()
        if text:
            yield text.encode("utf-8", "replace").decode("utf-8")  # half a character from a broken terminal
