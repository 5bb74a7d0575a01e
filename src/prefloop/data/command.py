"""`prefloop data check FILE`, `prefloop data preview MODEL FILE`, `prefloop data world [key=value ...]`."""

from collections.abc import Sequence

from prefloop.errors import UserError

USAGE = """prefloop data: look at data, or make some.

  prefloop data check FILE               name the form, count rows, report every bad row as file:line: sentence
  prefloop data preview MODEL FILE       show how demonstrations become tokens, and which of them are learned
                                         (settings: template=NAME rows=N)
  prefloop data world out=DIR [...]      write the helpdesk's files (settings: prefloop data world --help)"""


def main(arguments: Sequence[str]) -> int:
    """Runs one of the three. Returns: the exit code; `check` gives 1 if a row is bad."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    command, *rest = arguments
    if command == "check" and len(rest) == 1:
        from prefloop.data.check import print_check

        return print_check(rest[0])
    if command == "preview" and len(rest) >= 2:
        from prefloop.data.preview import print_preview

        settings = dict(pair.split("=", 1) for pair in rest[2:] if "=" in pair)
        unknown = [pair for pair in rest[2:] if pair.partition("=")[0] not in ("template", "rows")]
        if unknown:
            raise UserError(f"`{unknown[0]}` is not a setting of the preview; there are template=NAME and rows=N.")
        if not settings.get("rows", "3").isdigit():
            raise UserError(f"rows={settings['rows']}: give a whole number, for instance rows=3.")
        print_preview(rest[0], rest[1], template=settings.get("template"), rows=int(settings.get("rows", "3")))
        return 0
    if command == "world":
        from prefloop.data.config import WorldConfig

        if "--help" in rest or "-h" in rest:
            from prefloop.config import settings_help

            print(settings_help("data world", "write the helpdesk's files", WorldConfig))
            return 0
        from prefloop.data.stage import write

        path = rest.pop(0) if rest and "=" not in rest[0] else None
        print(write(WorldConfig.load(path, rest)))
        return 0
    raise UserError(f"`prefloop data {' '.join(arguments)}` is not a command.\n{USAGE}")
