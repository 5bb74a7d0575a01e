"""What lies in the folder of a page: the comparisons, the arena, and where the page is kept."""

from pathlib import Path

from prefloop import layout
from prefloop.errors import UserError

ELSEWHERE = (
    "The page keeps what is judged here: "
    "give another DIR to `prefloop web`, for instance a copy of this one that is yours."
)
KEPT = "prefloop.sqlite"
"""The database's file."""


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
    whole = folder.resolve()
    folders = (folder, whole.parent) if whole.name == layout.COLLECT else (folder,)
    paths = (path for at in folders for path in (at / layout.EVALUATE / layout.ARENA, at / layout.ARENA))
    return next((path for path in paths if path.is_file()), None)


def home_of(folder: Path) -> Path:
    """The folder whose `web` holds the page: a run and its `collect` are one, and the page is where it began.

    Two databases would both write the same judgements.jsonl.
    """
    whole = comparisons_of(folder).parent.resolve()
    names = [folder, whole, *([whole.parent] if whole.name == layout.COLLECT else [])]
    return next((name for name in names if (name / "web" / KEPT).is_file()), folder)


def name_of(folder: Path) -> str:
    """What the project of a folder is called: as the folder that was typed, or as the run whose `collect` it is."""
    whole = folder.resolve()
    is_of_run = whole.name == layout.COLLECT and (whole.parent / layout.RECIPE).is_file()
    return whole.parent.name if is_of_run else whole.name
