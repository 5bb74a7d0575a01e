"""Comparisons and their texts, read back from their rows; and the fingerprints of what is shown of them."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from prefloop.files import fingerprints
from prefloop.stats.text import words_to_read
from prefloop.web.store.tables import comparisons, responses

PART = 500
"""Names in one query."""


def parts(names: Iterable[Any]) -> Iterator[list[Any]]:
    """Names in lists that fit into one query."""
    whole = sorted(set(names))
    for start in range(0, len(whole), PART):
        yield whole[start : start + PART]


def of_comparisons(connection: Connection, names: Iterable[str], column: Any) -> dict[str, Any]:
    """Comparison -> a column of its row, for those of these comparisons that are here."""
    query = select(comparisons.c.id, column.label("value"))
    return {
        row.id: row.value
        for part in parts(names)
        for row in connection.execute(query.where(comparisons.c.id.in_(part)))
    }


def of_responses(connection: Connection, names: Iterable[str], column: Any) -> dict[tuple[str, int], Any]:
    """(comparison, index) -> a column of its response, of all responses of these comparisons."""
    query = select(responses.c.comparison, responses.c.index.label("number"), column.label("value"))
    return {
        (row.comparison, row.number): row.value
        for part in parts(names)
        for row in connection.execute(query.where(responses.c.comparison.in_(part)))
    }


def prompts_of(connection: Connection, names: Iterable[str]) -> dict[str, str]:
    """What was said before the responses of each of these comparisons, all turns joined by newlines."""
    messages = of_comparisons(connection, names, comparisons.c.messages)
    return {name: "\n".join(message["content"] for message in turns) for name, turns in messages.items()}


def tags_of(connection: Connection, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The tags of each of these comparisons."""
    return {name: tuple(tags) for name, tags in of_comparisons(connection, names, comparisons.c.tags).items()}


def as_brought(connection: Connection, names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Those of a few hundred comparisons that are here, by id, as `Comparison.model_validate` takes them."""
    records: dict[str, dict[str, Any]] = {}
    for row in connection.execute(select(comparisons).where(comparisons.c.id.in_(names)).order_by(comparisons.c.id)):
        record = {name: row._mapping[name] for name in ("id", "prompt_id", "messages", "sampling", "tags")}
        records[row.id] = {**record, "responses": []}
    mine = select(responses).where(responses.c.comparison.in_(names))
    for row in connection.execute(mine.order_by(responses.c.comparison, responses.c.index)):
        text = {"text": row.text, "num_tokens": row.num_tokens, "finished": row.finished, "sampler": row.sampler}
        records[row.comparison]["responses"].append(text)
    return records


def print_of_trees(prompt: Sequence[Any], answers: Sequence[Any]) -> str:
    """The fingerprint of the trees of the messages and of the responses."""
    return fingerprints.of_value([list(prompt), list(answers)])


def prints_of_trees(connection: Connection, names: Collection[str]) -> dict[str, str]:
    """The same of those of these comparisons that are here, as their rows have them; at most a few hundred together."""
    trees = of_responses(connection, names, responses.c.tree)
    shown: dict[str, list[Any]] = {name: [] for name in names}
    for name, index in sorted(trees):
        shown[name].append(trees[name, index])
    prompts = of_comparisons(connection, names, comparisons.c.trees)
    return {name: print_of_trees(prompt, shown[name]) for name, prompt in prompts.items()}


# -- how much there is to read ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """How much a comparison is to read."""

    prompt_words: float
    letters: dict[int, int]
    """of each response"""
    words: dict[int, float]
    """of each response"""

    def of(self, indices: Iterable[int]) -> float:
        """Words of the prompt and these responses."""
        return self.prompt_words + sum(self.words.get(index, 0.0) for index in indices)


def readings(connection: Connection, names: Collection[str]) -> dict[str, Reading]:
    """How much each of these comparisons is to read."""
    messages = of_comparisons(connection, names, comparisons.c.messages)
    read = {
        name: Reading(sum(words_to_read(message["content"]) for message in turns), {}, {})
        for name, turns in messages.items()
    }
    for (name, index), text in of_responses(connection, names, responses.c.text).items():
        read[name].letters[index], read[name].words[index] = len(text), words_to_read(text)
    return read
