"""Where a conversation stands: the line of a file, for a refusal that was met long after the file was read."""

from collections.abc import Iterable

from prefloop.errors import RowRefused, UserError
from prefloop.files.atomic import Name
from prefloop.files.foreign import Reading
from prefloop.records import Comparison, Prompt


def located(problem: RowRefused, files: Iterable[Name]) -> UserError:
    """The same sentence behind `file:line` of the first row with that conversation; as it is if none has it."""
    for file in files:
        line = _line(file, problem.messages)
        if line is not None:
            return UserError(f"{file}:{line}: {problem}")
    return problem


def _line(file: Name, messages: tuple[object, ...]) -> int | None:
    for record in (Prompt, Comparison):  # files of demonstrations and preferences have prompts too
        try:
            for line, row in Reading(file, record):
                if isinstance(row, record) and row.messages == messages:
                    return line
        except UserError:  # a model folder, or a file of another kind
            continue
    return None
