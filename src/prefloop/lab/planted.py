"""Preferences with a known share of wrong ones: some of a file's, drawn and turned round by a seed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from prefloop.errors import UserError
from prefloop.files.foreign import read_preferences
from prefloop.files.tables import write_records
from prefloop.records import Preference
from prefloop.seeds import seed_of


def planted(rows: Sequence[Preference], *, pairs: int | None, flips: float, seed: int) -> list[Preference]:
    """Some preferences, the decision alone, a share of them the wrong way round.

    Both are drawn row by row, so that fewer pairs are among more, and what is wrong at a small share at a larger too.

    Args:
        pairs: how many; None takes all.
        flips: share that is turned round.

    Raises: ValueError if there are not as many.
    """
    if pairs is not None and pairs > len(rows):
        raise ValueError(f"pairs = {pairs}, but there are only {len(rows)} preferences with a side")
    order = np.random.default_rng(seed_of(seed, "lab.pairs")).permutation(len(rows))[:pairs]
    drawn = np.random.default_rng(seed_of(seed, "lab.flips")).random(len(rows))
    made: list[Preference] = []
    for place in order:
        row = rows[place]
        sides = (row.rejected, row.chosen) if drawn[place] < flips else (row.chosen, row.rejected)
        made.append(
            Preference(
                id=row.id,
                messages=row.messages,
                chosen=sides[0],
                rejected=sides[1],
                comparison=row.comparison,
                tags=row.tags,
            )
        )
    return made


def write_planted(file: str, out: Path, *, pairs: int | None, flips: float, seed: int, most: bool = False) -> None:
    """Writes them; a file that is there stays, being the same.

    Args:
        most: `pairs` are the most that are taken, of a file that may have fewer.

    Raises: UserError if there are not as many.
    """
    if out.is_file():
        return
    rows = [row for row in read_preferences(file).records if row.decided]
    if most and pairs is not None:
        pairs = min(pairs, len(rows))
    try:
        made = planted(rows, pairs=pairs, flips=flips, seed=seed)
    except ValueError as problem:
        raise UserError(f"{file}: {problem}. Ask for fewer, or leave pairs empty for all.") from None
    out.parent.mkdir(parents=True, exist_ok=True)
    write_records(out, made)
