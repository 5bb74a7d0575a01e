"""`prefloop data check FILE`, `preview MODEL FILE` and `augment FILE`; `data hacks` and `data world` are stages."""

from collections.abc import Sequence

from prefloop.data.config import AugmentConfig, PreviewConfig
from prefloop.errors import UserError

USAGE = """prefloop data: look at data, or make some.

  prefloop data check FILE               name the form, count rows, report every bad row as file:line: sentence
  prefloop data preview MODEL FILE       show how demonstrations become tokens, and which of them are learned
                                         (settings: template=NAME rows=N)
  prefloop data augment FILE out=FILE    add synthetic pairs, tagged as such: worse copies of chosen responses, other
                                         words for prompts (settings: kinds share paraphrase held_out seed)
  prefloop data hacks run=DIR [...]      find what cheats a reward model (settings: prefloop data hacks --help)
  prefloop data world out=DIR [...]      write the helpdesk's files (settings: prefloop data world --help)"""


def main(arguments: Sequence[str]) -> int:
    """Runs either. Returns: the exit code; `check` gives 1 if a row is bad."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    command, *rest = arguments
    if command == "check" and len(rest) == 1:
        from prefloop.data.check import print_check

        return print_check(rest[0])
    if command == "preview" and len(rest) >= 2:
        config = PreviewConfig.load(None, rest[2:])
        from prefloop.data.preview import print_preview

        print_preview(rest[0], rest[1], template=config.template, rows=config.rows)
        return 0
    if command == "augment" and rest:
        asked = AugmentConfig.load(None, rest[1:])
        from prefloop.data.augment import augment

        augment(rest[0], asked)
        return 0
    raise UserError(f"`prefloop data {' '.join(arguments)}` is not a command.\n{USAGE}")
