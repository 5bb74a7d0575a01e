"""Rows that say something together, those of one conversation: they wait in a temporary file until all have come.

In memory are 16 bytes a row, and for a moment 40 while they are sorted.
"""

import pickle
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Self

import numpy as np

from prefloop.files.hashes import hash_of
from prefloop.files.said import Said, Turn


class Groups:
    """Rows of one response each, by their conversation; in the order in which the conversations came."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._hashes, self._starts = array("Q"), array("Q")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, number: int, identity: str, said: Said) -> None:
        """One more row: its line, its id and what it says."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="prefloop-")  # noqa: SIM115  # closed by whoever entered
        self._hashes.append(hash_of("\0".join(f"{turn.role} {turn.content}" for turn in said.conversation)))
        self._starts.append(self._file.tell())
        pickle.dump((number, identity, said), self._file, protocol=pickle.HIGHEST_PROTOCOL)

    def __iter__(self) -> Iterator[tuple[int, str, Said]]:
        """Line and id of the first row of each conversation, and what its rows say together."""
        if self._file is None:
            return
        _, first, group = np.unique(np.frombuffer(self._hashes, np.uint64), return_index=True, return_inverse=True)
        members = first[group]
        order = members.argsort(kind="stable")
        ends = [*(np.flatnonzero(np.diff(members[order])) + 1).tolist(), len(order)]
        begin = 0
        for end in ends:
            yield from self._wholes([self._read(self._file, place) for place in order[begin:end].tolist()])
            begin = end

    def _read(self, file: IO[bytes], place: int) -> tuple[int, str, Said]:
        file.seek(self._starts[place])
        return pickle.load(file)

    def _wholes(self, rows: list[tuple[int, str, Said]]) -> Iterator[tuple[int, str, Said]]:
        """Rows of one hash by their conversations, which are the same but once in ten million files."""
        groups: dict[tuple[Turn, ...], list[tuple[int, str, Said]]] = {}
        for row in rows:
            groups.setdefault(row[2].conversation, []).append(row)
        for (number, identity, first), *others in groups.values():
            all_said = (first, *(said for _, _, said in others))
            responses = tuple(response for said in all_said for response in said.responses)
            grades = tuple(grade for said in all_said for grade in said.grades)
            axes = dict.fromkeys(axis for said in all_said for axis in said.ratings)
            ratings = {
                axis: tuple(mark for s in all_said for mark in s.ratings.get(axis, (None,) * len(s.responses)))
                for axis in axes
            }
            yield number, identity, replace(first, responses=responses, grades=grades, ratings=ratings)
