"""Outcomes as files: our own records or TRL's forms, JSONL or Parquet, with a manifest of what they are made of."""

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
from prefloop.web.exchange.outcomes import Outcomes, Snapshot, Way, aggregated, gathered
from prefloop.web.store.settings import project
from prefloop.web.store.site import Site
from prefloop.web.store.tables import chain, judgements

What = Literal["preferences", "rankings", "ratings", "thumbs", "demonstrations", "edits"]
Form = Literal["prefloop", "trl"]
Format = Literal["jsonl", "parquet"]
WHATS: tuple[What, ...] = ("preferences", "rankings", "ratings", "thumbs", "demonstrations", "edits")
STRENGTHS = 3
"""The largest strength that is asked."""


def rows(outcomes: Outcomes, what: What, form: Form) -> list[dict[str, Any]]:
    """Rows of one kind, in a form."""
    records: dict[str, Sequence[Record | dict[str, Any]]] = {
        "preferences": outcomes.preferences, "rankings": outcomes.rankings, "ratings": outcomes.ratings,
        "thumbs": outcomes.thumbs, "demonstrations": outcomes.demonstrations, "edits": outcomes.edits,
    }  # fmt: skip
    if form == "trl":  # which has a row for each response
        records |= {"ratings": outcomes.mean_ratings, "thumbs": outcomes.mean_thumbs}
    if form == "prefloop":
        return [record.model_dump(mode="json") if isinstance(record, Record) else record for record in records[what]]
    return [row for record in records[what] for row in _trl(record, outcomes)]


def _trl(record: Record | dict[str, Any], outcomes: Outcomes) -> Iterator[dict[str, Any]]:
    if isinstance(record, Preference):
        yield {
            "id": record.id, "prompt": _messages(record),
            **_answered(chosen=record.chosen, rejected=record.rejected),
            "margin": round((record.strength or 0.0) / STRENGTHS, 4), "weight": record.weight,
            "soft_label": outcomes.probabilities.get(record.id, 1.0), "agreement": record.agreement,
            "num_judgements": record.num_judgements,
        }  # fmt: skip
    elif isinstance(record, Ranking):
        yield from _pairs(record)
    elif isinstance(record, Demonstration):
        yield {"id": record.id, "prompt": _messages(record), **_answered(completion=record.response)}
    elif isinstance(record, dict):
        ours = ("messages", "response", "comparison", "index", "tags")
        row = {name: value for name, value in record.items() if name not in ours}
        yield {**row, "prompt": record["messages"], **_answered(completion=record["response"])}


def _pairs(ranking: Ranking) -> Iterator[dict[str, Any]]:
    """TRL has no lists: all pairs that differ, which share one weight."""
    texts, ranks = ranking.responses, ranking.places
    pairs = itertools.permutations(range(len(texts)), 2)
    better = [(i, j) for i, j in pairs if ranks[i] < ranks[j] and texts[i] != texts[j]]
    for i, j in better:
        row = {"id": f"{ranking.id}:{i}-{j}", "prompt": _messages(ranking)}
        yield {**row, **_answered(chosen=texts[i], rejected=texts[j]), "weight": round(1 / len(better), 6)}


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


def judged_at(site: Site) -> tuple[Snapshot, dict[str, Any]]:
    """What was judged, and the moment of the log that it is."""
    with site.database.snapshot() as connection:
        return gathered(connection), _moment(connection, site)


def _moment(connection: Connection, site: Site) -> dict[str, Any]:
    head = connection.execute(select(chain.c.seq, chain.c.hash)).one()
    versions = connection.execute(select(judgements.c.guideline, func.count()).group_by(judgements.c.guideline)).all()
    config = project(connection)
    return {
        "prefloop": prefloop.__version__, "project": site.called(config.name),
        "log": {"events": head.seq, "hash": head.hash}, "guidelines": {str(row[0]): row[1] for row in versions},
        "overlap": config.overlap.model_dump(mode="json"), "axes": list(config.axes),
    }  # fmt: skip


def bundle(site: Site, *, way: Way, form: Form, format: Format) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Everything: the manifest, with a hash of each file that has rows and one of all, and the bytes of each."""
    judged, moment = judged_at(site)
    made = aggregated(judged, way)
    tables = {f"{what}.{format}": table for what in WHATS if (table := rows(made, what, form))}
    data = {name: encoded(table, format) for name, table in tables.items()}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in data.items()}
    files = {
        name: {"rows": len(table), "bytes": len(data[name]), "sha256": hashes[name]} for name, table in tables.items()
    }
    whole = hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
    manifest = {
        **moment, "aggregate": way, "form": form, "made_at": site.clock(), "files": files, "content_hash": whole,
        "undecided_pairs": made.undecided, "annotators": list(made.annotators),
    }  # fmt: skip
    return manifest, data


def zipped(manifest: dict[str, Any], files: dict[str, bytes]) -> bytes:
    """A ZIP of the files and their manifest."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(manifest, ensure_ascii=False, indent=2))
        for name, data in files.items():
            archive.writestr(name, data)
    return sink.getvalue()
