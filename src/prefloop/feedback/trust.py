"""What a row counts: by who judged it, a person, a simulation or a model, and by its tags.

    weight = mean over its votes of trust[kind of who cast it] * product over its tags of trust[tag]       else 1 each

Only how rows stand to each other matters, for an update is divided by its weights: where all rows count the same, it is
as if nothing had been said. What is held out counts as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import get_args

import numpy as np

from prefloop.errors import UserError
from prefloop.records import Preference, Ranking, Rated
from prefloop.records.judgements import SYNTHETIC, AnnotatorKind

KINDS: tuple[AnnotatorKind, ...] = get_args(AnnotatorKind)
MACHINES = ("model:", "python:")
"""How the names of models and functions begin, in files that do not say of what kind who judged is."""
FOUND = "trusted"
"""The column of how many rows each entry is about."""
Trusted = Preference | Ranking | Rated


def kinds_of(row: Trusted) -> list[AnnotatorKind | None]:
    """Of what kind whoever judged it is, vote by vote; None where it is not known."""
    if isinstance(row, Preference) and row.votes:
        return [_kind(vote.annotator_kind, vote.annotator) for vote in row.votes]
    return [_kind(row.annotator_kind, row.annotator if isinstance(row, Rated) else None)]


def _kind(kind: AnnotatorKind | None, name: str | None) -> AnnotatorKind | None:
    return "model" if kind is None and name is not None and name.startswith(MACHINES) else kind


def weight_of(row: Trusted, trust: Mapping[str, float]) -> float:
    """What it counts beside one of which nothing was said."""
    if not trust:
        return 1.0
    kinds = kinds_of(row)
    weight = sum(trust.get(kind or "", 1.0) for kind in kinds) / len(kinds)
    for tag in {*row.tags} & {*trust} - {*KINDS}:
        weight *= trust[tag]
    return weight


def about(rows: Sequence[Trusted], trust: Mapping[str, float]) -> dict[str, np.ndarray]:
    """How many of some rows each entry is about, in the order of their names."""
    said = [{*kinds_of(row)} | {*row.tags} - {*KINDS} for row in rows]
    return {FOUND: np.array([sum(name in one for one in said) for name in sorted(trust)], dtype=np.int64)}


def refuse_synthetic(path: str, num: int, *, held_out: bool) -> None:
    """Raises: UserError if there are synthetic rows among those that are validated with, or may be.

    Args:
        num: the synthetic rows of a file.
        held_out: whether it is validated with; else some of its rows would be.
    """
    if num and held_out:
        raise UserError(
            f"{path}: {num} of its rows are synthetic (tag {SYNTHETIC}), and accuracy on what nobody judged means "
            "nothing. Give the file that people or a judge made."
        )
    if num:
        raise UserError(
            f"{path}: {num} of its rows are synthetic (tag {SYNTHETIC}), so that no share of it can be held out. Give "
            "held_out=FILE, preferences that somebody judged."
        )


def tell(counts: Mapping[str, np.ndarray], trust: Mapping[str, float], say: Callable[[str], None]) -> None:
    """Says how many rows each entry is about. Raises: UserError for one that is about none.

    Args: counts: file -> what `about` found in all its rows.
    """
    names = sorted(trust)
    found = {path: each.reshape(-1, len(names)).sum(0).tolist() for path, each in counts.items()}
    for place, name in enumerate(names):
        if not any(each[place] for each in found.values()):
            what = f"was judged by a {name}" if name in KINDS else f"has the tag {name}"
            kinds = "" if name in KINDS else f" Kinds of who judges are {', '.join(KINDS)}; any other name is a tag."
            raise UserError(
                f"{' and '.join(found)}: no row {what}, so that trust.{name} = {trust[name]:g} says nothing.{kinds} "
                "Leave it out, or check the file."
            )
    for path, each in found.items():
        words = [
            f"{num} {'judged by a' if name in KINDS else 'tagged'} {name} count {trust[name]:g}"
            for name, num in zip(names, each, strict=True)
        ]
        say(f"{path}: of its rows {', '.join(words)}; others count 1.")
