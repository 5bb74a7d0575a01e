"""The guideline: what to judge by, in versions; each judgement keeps the one that its annotator saw."""

import json
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Connection, func, insert, select

from prefloop.web.body import Body
from prefloop.web.errors import Refusal
from prefloop.web.pages.rendering import Tree
from prefloop.web.security.accounts import User
from prefloop.web.store.chain import record
from prefloop.web.store.site import Site
from prefloop.web.store.tables import chain, events, guidelines, users


class Guideline(Body):
    """A new version."""

    text: Annotated[str, Field(min_length=1, max_length=100_000)]
    """Markdown."""
    note: Annotated[str, Field(max_length=500)] = ""
    """What is new, for the list of versions; kept in the log."""
    base: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """The version that it was begun from, 0 for none; refused if that is no longer the newest. None replaces any."""


def newest(connection: Connection) -> dict[str, Any]:
    """The version in force, its tree and what its author said was new; version 0 is none."""
    row = connection.execute(select(guidelines).order_by(guidelines.c.version.desc()).limit(1)).first()
    note = next(iter(notes(connection, 1).values()), "")
    return {"version": row.version, "tree": row.tree, "note": note} if row else {"version": 0, "tree": [], "note": note}


def notes(connection: Connection, limit: int) -> dict[int, str]:
    """Version -> what its author said was new, as the log has it; the newest ones."""
    query = select(events.c.payload).where(events.c.kind == "guideline").order_by(events.c.seq.desc()).limit(limit)
    payloads = [json.loads(payload) for payload in connection.execute(query).scalars()]
    return {payload["version"]: payload.get("note", "") for payload in payloads}


def versions(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """The newest versions, newest first, each with whose it is."""
    query = select(guidelines, users.c.name).outerjoin(users, users.c.id == guidelines.c.by)
    rows = connection.execute(query.order_by(guidelines.c.version.desc()).limit(limit))
    return [{"version": r.version, "text": r.text, "tree": r.tree, "by": r.name or "", "at": r.at} for r in rows]


def add(connection: Connection, site: Site, body: Guideline, tree: Tree, *, by: User) -> int:
    """Keeps a new version. Returns: its number. Raises: Refusal (409) if it was begun from an older one."""
    now = site.clock()
    connection.execute(select(chain.c.seq).with_for_update())  # one version at a time
    version = connection.execute(select(func.max(guidelines.c.version))).scalar() or 0
    if body.base not in (None, version):
        author = versions(connection, 1)[0]["by"] if version else ""
        raise Refusal(
            409,
            "guideline_moved",
            f"Version {version} was saved by {author or 'somebody'} after you began from version {body.base}. "
            f"Nothing was saved: bring what is new there into your text, and save it with base {version}.",
        )
    new = {"version": version + 1, "text": body.text}
    connection.execute(insert(guidelines).values(**new, tree=tree, by=by.id, at=now))
    record(connection, "guideline", by.name, now, {**new, "note": body.note})
    return version + 1
