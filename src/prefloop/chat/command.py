"""`prefloop chat DIR [DIR2] [key=value ...]`: talk to one model, or to two side by side.

Reads: model folders, or a pipeline's folder (then SFT beside the policy that `evaluate` selected). Writes nothing. At a
terminal answers stream; otherwise each line of standard input is a turn, and answers are plain lines. A reward model is
refused: it only scores (PIPE-9). Leaves out: system turns, tools, saving the conversation.
"""

from collections.abc import Sequence

from prefloop.chat.config import ChatConfig
from prefloop.config import settings_help
from prefloop.errors import UserError

USAGE = """prefloop chat DIR [DIR2] [key=value ...]: talk to one model, or to two side by side.

  DIR is a model folder or a hub id, or a pipeline's folder: then you talk to SFT and to the selected policy.
  In the conversation: /reset forgets it, /quit or Ctrl-D ends it, Ctrl-C stops an answer."""


def main(arguments: Sequence[str]) -> int:
    """Runs the conversation. Returns: the exit code."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(settings_help(USAGE, ChatConfig))
        return 0
    paths = [argument for argument in arguments if "=" not in argument]
    config = ChatConfig.load(None, [argument for argument in arguments if "=" in argument])
    if not 1 <= len(paths) <= 2:
        raise UserError("`prefloop chat` needs one or two model folders, for instance: prefloop chat demo")
    from prefloop.chat.conversation import converse, talkers

    converse(talkers(paths, config))
    return 0
