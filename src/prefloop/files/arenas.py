"""Arenas on disk: responses of two models to the same prompts, as `evaluate` writes them and people judge them blind.

A comparison of an arena is known by what stands in it, so that the page and the gate mean the same one.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.tables import each_row
from prefloop.records import Comparison, Message, Response, Sampling

ARENA = "arena"
"""The tag of its comparisons, and how their ids begin."""
AUDIT = "audit:"
"""Beginning of the tags that say why a response was chosen to be looked at: such a prompt is in no verdict."""


def arena_comparison(
    name: str, messages: Sequence[Message], texts: Mapping[str, str], *, tags: Sequence[str] = ()
) -> Comparison:
    """The comparison of several samplers' responses to one prompt, known by its content.

    Args:
        name: the prompt's id, or its words.
        texts: sampler -> response.

    Raises: ValidationError if a text cannot be one.
    """
    key = fingerprints.of_value([short(name), [m.model_dump() for m in messages], dict(texts)])
    return Comparison(
        id=f"{ARENA}-{key}",
        prompt_id=short(name),
        messages=tuple(messages),
        responses=tuple(
            Response(text=text, num_tokens=0, finished=True, sampler=sampler) for sampler, text in texts.items()
        ),
        tags=(*tags, ARENA),
        sampling=Sampling(temperature=0.0),
    )


def short(name: str) -> str:
    """A prompt's name in 200 letters; two that begin alike stay two."""
    return name if len(name) <= 200 else f"{name[:150]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def read_arena(path: Path) -> list[Comparison]:
    """The comparisons of an `arena.jsonl` of `evaluate`, in its order. Raises: UserError with file and line."""
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for number, row in each_row(path):
        if isinstance(row, UserError):
            raise row
        try:
            twice = row["sampler"] in rows.setdefault(row["id"], {})
            rows[row["id"]][row["sampler"]] = row
        except (KeyError, TypeError):
            raise UserError(
                f"{path}:{number}: a row of an arena has id, messages, response, sampler and tags. Put back the file "
                "as `prefloop evaluate` wrote it."
            ) from None
        if twice:
            raise UserError(
                f"{path}:{number}: {row['sampler']} has answered {row['id']!r} before. Give prompts ids of their own."
            )
    found = []
    for name, by_sampler in rows.items():
        first = next(iter(by_sampler.values()))
        try:
            messages = [Message.model_validate(message) for message in first["messages"]]
            texts = {sampler: row["response"] for sampler, row in by_sampler.items()}
            found.append(arena_comparison(name, messages, texts, tags=first["tags"]))
        except (ValidationError, KeyError, TypeError):
            raise UserError(
                f"{path}: the rows of {name!r} are not a comparison. Put back the file as `prefloop evaluate` wrote it."
            ) from None
    return found
