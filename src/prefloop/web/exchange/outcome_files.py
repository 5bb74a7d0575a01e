"""Outcomes as files: our own records or TRL's forms, JSONL or Parquet, with a manifest that tells what they are made of."""

import hashlib
import io
import itertools
import json
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, func, select

import prefloop
from prefloop.files.tables import jsonl
from prefloop.records import Demonstration, Preference, Ranking, Record
from prefloop.web.exchange import outcomes
from prefloop.web.exchange.outcomes import Judged, Outcomes, Way
from prefloop.web.store.settings import project
from prefloop.web.store.site import Site
from prefloop.web.store.tables import chain, judgements

What = Literal["preferences", "rankings", "ratings", "thumbs", "demonstrations", "edits"]
Form = Literal["prefloop", "trl"]
Format = Literal["jsonl", "parquet"]
WHATS: tuple[What, ...] = ("preferences", "rankings", "ratings", "thumbs", "demonstrations", "edits")
STRENGTHS = 3
"""The largest strength that is asked."""


def rows(found: Outcomes, what: What, form: Form) -> list[dict[str, Any]]:
    """Rows of one kind, in a form."""
    records: dict[str, Sequence[Record | dict[str, Any]]] = {
        "preferences": found.preferences, "rankings": found.rankings, "ratings": found.ratings, "thumbs": found.thumbs,
        "demonstrations": found.demonstrations, "edits": found.edits,
    }  # fmt: skip
    if form == "prefloop":
        return [record.model_dump(mode="json") if isinstance(record, Record) else record for record in records[what]]
    return [row for record in records[what] for row in _trl(record, found)]


def _trl(record: Record | dict[str, Any], found: Outcomes) -> Iterator[dict[str, Any]]:
    if isinstance(record, Preference):
        yield {
            "id": record.id, "prompt": _messages(record), **_answered(chosen=record.chosen, rejected=record.rejected),
            "margin": round((record.strength or 0.0) / STRENGTHS, 4), "weight": record.weight, "soft_label": found.probabilities.get(record.id, 1.0),
            "agreement": record.agreement, "num_judgements": record.num_judgements,
        }  # fmt: skip
    elif isinstance(record, Ranking):
        yield from _pairs(record)
    elif isinstance(record, Demonstration):
        yield {"id": record.id, "prompt": _messages(record), **_answered(completion=record.response)}
    elif isinstance(record, dict):
        told = {
            name: value
            for name, value in record.items()
            if name not in ("messages", "response", "comparison", "index", "tags")
        }
        yield {**told, "prompt": record["messages"], **_answered(completion=record["response"])}


def _pairs(ranking: Ranking) -> Iterator[dict[str, Any]]:
    """TRL has no lists: all pairs that differ, which share one weight."""
    places = range(len(ranking.responses))
    better = [
        (i, j)
        for i, j in itertools.permutations(places, 2)
        if ranking.ranks[i] < ranking.ranks[j] and ranking.responses[i] != ranking.responses[j]
    ]
    for i, j in better:
        texts = _answered(chosen=ranking.responses[i], rejected=ranking.responses[j])
        yield {
            "id": f"{ranking.id}:{i}-{j}",
            "prompt": _messages(ranking),
            **texts,
            "weight": round(1 / len(better), 6),
        }


def _messages(record: Preference | Ranking | Demonstration) -> list[dict[str, Any]]:
    return [message.model_dump(mode="json") for message in record.messages]


def _answered(**texts: str) -> dict[str, Any]:
    return {name: [{"role": "assistant", "content": text}] for name, text in texts.items()}


def encoded(table: list[dict[str, Any]], format: Format) -> bytes:
    """Rows as a file's bytes; the same rows give the same bytes."""
    if format == "jsonl":
        return jsonl(table).encode("utf-8")
    import pyarrow  # a third of a second, and only for Parquet
    import pyarrow.parquet

    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table), sink)
    return sink.getvalue()


def judged_at(site: Site) -> tuple[Judged, dict[str, Any]]:
    """What was judged, and the moment of the log that it is."""
    with site.database.snapshot() as connection:
        return outcomes.gathered(connection), _moment(connection, site)


def _moment(connection: Connection, site: Site) -> dict[str, Any]:
    head = connection.execute(select(chain.c.seq, chain.c.hash)).one()
    versions = connection.execute(select(judgements.c.guideline, func.count()).group_by(judgements.c.guideline)).all()
    config = project(connection)
    return {
        "prefloop": prefloop.__version__, "project": site.called(config.name), "log": {"events": head.seq, "hash": head.hash},
        "guidelines": {str(row[0]): row[1] for row in versions}, "overlap": config.overlap.model_dump(mode="json"), "axes": list(config.axes),
    }  # fmt: skip


def manifest(
    found: Outcomes, moment: dict[str, Any], files: dict[str, tuple[int, bytes]], *, way: Way, form: Form, at: float
) -> dict[str, Any]:
    """What the files are made of, with a hash of each and one of all."""
    told = {
        name: {"rows": number, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, (number, data) in files.items()
    }
    whole = hashlib.sha256(
        json.dumps({name: one["sha256"] for name, one in told.items()}, sort_keys=True).encode()
    ).hexdigest()
    return {
        **moment, "aggregate": way, "form": form, "made_at": at, "files": told, "content_hash": whole, "undecided_pairs": found.undecided,
        "annotators": list(found.annotators),
    }  # fmt: skip


def bundle(site: Site, *, way: Way, form: Form, format: Format) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Everything: the manifest, and the bytes of each file that has rows."""
    judged, moment = judged_at(site)
    found = outcomes.outcomes(judged, way)
    tables = {what: rows(found, what, form) for what in WHATS}
    files = {f"{what}.{format}": (len(table), encoded(table, format)) for what, table in tables.items() if table}
    return manifest(found, moment, files, way=way, form=form, at=site.clock()), {
        name: data for name, (_, data) in files.items()
    }


def zipped(told: dict[str, Any], files: dict[str, bytes]) -> bytes:
    """A ZIP of the files and their manifest."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(told, ensure_ascii=False, indent=2))
        for name, data in files.items():
            archive.writestr(name, data)
    return sink.getvalue()
