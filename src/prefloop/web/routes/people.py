"""The API of leads and admins: people, invitations, tokens, guidelines, settings, items, import, export, the log."""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path as File
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import Field
from sqlalchemy import Connection, delete, func, insert, literal_column, select, update
from starlette.responses import StreamingResponse

from prefloop.web.errors import Refusal
from prefloop.web.exchange import export
from prefloop.web.pages import rendering
from prefloop.web.routes.presentations import site_of
from prefloop.web.security import accounts
from prefloop.web.security.accounts import User, needs
from prefloop.web.security.guard import FILE_BODY
from prefloop.web.store import chain, settings
from prefloop.web.store.site import Site
from prefloop.web.store.tables import chain as chain_table
from prefloop.web.store.tables import comparisons, events, guidelines, invitations, sessions, tokens, users
from prefloop.web.store.tables import items as item_table
from prefloop.web.work import gold as known
from prefloop.web.work import intake as ingest
from prefloop.web.work import items
from prefloop.web.work.answers import Body

router = APIRouter(prefix="/api/v1", tags=["lead"])
Reader = Annotated[User, Depends(needs("lead", "read", "admin"))]
Lead = Annotated[User, Depends(needs("lead", "write", "admin"))]
Admin = Annotated[User, Depends(needs("admin", "admin"))]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Tag = Annotated[str, Field(min_length=1, max_length=200)]
Tags = Annotated[list[Tag], Field(max_length=50)]


class Invitation(Body):
    """Who may join."""

    role: Literal["annotator", "lead", "admin"] = "annotator"
    """As what."""
    tags: Tags = Field(default_factory=list)
    """What they may judge; empty for all."""
    uses: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many people."""
    days: Annotated[float, Field(gt=0, le=365)] = 7
    """Days until it ends."""


class UserChange(Body):
    """What changes about a user; what is left out stays."""

    role: Literal["annotator", "lead", "admin"] | None = None
    """What they may do."""
    tags: Tags | None = None
    """What they may judge; empty for all."""
    active: bool | None = None
    """False shuts them out."""
    calibrated: bool | None = None
    """True lets them work without calibration."""


class NewToken(Body):
    """A token for a program."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    """What it is for."""
    scopes: Annotated[list[Literal["read", "write", "judge", "admin"]], Field(min_length=1, max_length=4)]
    """What it may."""
    user: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    """Whose it is: a program, such as a model that judges, becomes an annotator of this name, who can never sign in; else your own."""


class Guideline(Body):
    """A new version."""

    text: Annotated[str, Field(min_length=1, max_length=100_000)]
    """Markdown."""
    note: Annotated[str, Field(max_length=500)] = ""
    """What is new, for the list of versions; kept in the log."""
    base: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """The version that it was begun from, 0 for none; it is refused if that is no longer the newest. Left out, it replaces whatever there is."""


def write(request: Request, work: Callable[[Connection, Site], Any]) -> Any:
    """What `work(connection, site)` returns, written."""
    site = site_of(request)
    return site.database.write(lambda connection: work(connection, site))


# -- people -----------------------------------------------------------------------------------------------------------


@router.get("/users")
def list_users(request: Request, user: Reader) -> dict[str, Any]:
    """Everybody, with what they may do."""
    names = ("id", "name", "role", "tags", "active", "calibrated", "served", "created")
    with site_of(request).database.reading() as connection:
        rows = connection.execute(select(*[users.c[name] for name in names]).order_by(users.c.id)).mappings().all()
    return {"users": [dict(row) for row in rows]}


@router.put("/users/{number}")
def change_user(request: Request, user: Lead, number: Number, body: UserChange) -> dict[str, Any]:
    """Changes a user; leads change annotators, admins everybody."""
    changes = body.model_dump(exclude_none=True)
    write(request, lambda c, site: accounts.change_user(c, site, number, changes, by=user) if changes else None)
    return {"id": number, **changes}


@router.get("/invitations")
def list_invitations(request: Request, user: Reader) -> dict[str, Any]:
    """Invitations that are still good; their links are never told again."""
    site = site_of(request)
    names = ("id", "role", "tags", "uses", "expires", "created")
    with site.database.reading() as connection:
        good = (invitations.c.uses > 0) & (invitations.c.expires > site.clock())
        rows = (
            connection.execute(select(*[invitations.c[name] for name in names]).where(good).order_by(invitations.c.id))
            .mappings()
            .all()
        )
    return {"invitations": [dict(row) for row in rows]}


@router.post("/invitations")
def invite(request: Request, user: Lead, body: Invitation) -> dict[str, Any]:
    """A link by which somebody joins; told once."""
    if body.role != "annotator" and not user.may_administer:
        raise Refusal(403, "wrong_role", "Only an admin invites leads and admins.")
    token = write(
        request,
        lambda c, site: accounts.invite(
            c, site, role=body.role, by=user, tags=body.tags, uses=body.uses, days=body.days
        ),
    )
    return {"link": f"{str(request.base_url).rstrip('/')}/join/{token}"}


@router.delete("/invitations/{number}")
def end_invitation(request: Request, user: Lead, number: Number) -> dict[str, Any]:
    """An invitation is not good any more."""

    def end(connection: Connection, site: Site) -> None:
        if connection.execute(update(invitations).where(invitations.c.id == number).values(uses=0)).rowcount:
            chain.record(connection, "invitation_ended", user.name, site.clock(), {"invitation": number})

    write(request, end)
    return {"id": number, "uses": 0}


@router.get("/tokens")
def list_tokens(request: Request, user: Admin) -> dict[str, Any]:
    """Tokens of programs, without their secrets."""
    names = ("id", "name", "scopes", "user", "created", "revoked")
    with site_of(request).database.reading() as connection:
        rows = connection.execute(select(*[tokens.c[name] for name in names]).order_by(tokens.c.id)).mappings().all()
    return {"tokens": [dict(row) for row in rows]}


@router.post("/tokens")
def new_token(request: Request, user: Admin, body: NewToken) -> dict[str, Any]:
    """A token; told once."""
    return {
        "token": write(
            request, lambda c, site: accounts.new_token(c, site, body.name, body.scopes, by=user, user=body.user)
        )
    }


@router.delete("/tokens/{number}")
def revoke_token(request: Request, user: Admin, number: Number) -> dict[str, Any]:
    """A token is not good any more."""

    def revoke(connection: Connection, site: Site) -> None:
        still = (tokens.c.id == number) & tokens.c.revoked.is_(None)
        if connection.execute(update(tokens).where(still).values(revoked=site.clock())).rowcount:
            chain.record(connection, "token_revoked", user.name, site.clock(), {"token": number})

    write(request, revoke)
    return {"id": number, "revoked": True}


# -- the project --------------------------------------------------------------------------------------------------------


@router.get("/settings")
def read_settings(request: Request, user: Reader) -> dict[str, Any]:
    """The project's settings."""
    with site_of(request).database.reading() as connection:
        return settings.project(connection).model_dump(mode="json")


@router.put("/settings")
def change_settings(request: Request, user: Lead, body: dict[str, Any]) -> dict[str, Any]:
    """Changes settings; what is left out stays. A new overlap holds for the items that are there, too."""

    def change(connection: Connection, site: Site) -> dict[str, Any]:
        before = settings.project(connection)
        after = settings.change(connection, settings.checked_keys(body), actor=user.name, at=site.clock())
        if after.overlap != before.overlap:
            items.want(connection, after.overlap.judgements)
        return after.model_dump(mode="json")

    return write(request, change)


@router.get("/guidelines")
def list_guidelines(request: Request, user: Reader, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> dict[str, Any]:
    """The guideline's versions, newest first."""
    with site_of(request).database.reading() as connection:
        query = select(guidelines, users.c.name).outerjoin(users, users.c.id == guidelines.c.by)
        rows = connection.execute(query.order_by(guidelines.c.version.desc()).limit(limit)).all()
    return {
        "guidelines": [
            {"version": r.version, "text": r.text, "tree": r.tree, "by": r.name or "", "at": r.at} for r in rows
        ]
    }


@router.post("/guidelines")
def add_guideline(request: Request, user: Lead, body: Guideline) -> dict[str, Any]:
    """A new version of the guideline."""
    tree = rendering.tree(body.text)

    def add(connection: Connection, site: Site) -> int:
        now = site.clock()
        connection.execute(select(chain_table.c.seq).with_for_update())  # one version at a time
        version = connection.execute(select(func.max(guidelines.c.version))).scalar() or 0
        if body.base not in (None, version):
            by = connection.execute(
                select(users.c.name)
                .join(guidelines, guidelines.c.by == users.c.id)
                .where(guidelines.c.version == version)
            ).scalar()
            raise Refusal(
                409, "guideline_moved",
                f"Version {version} was saved by {by or 'somebody'} after you began from version {body.base}. "
                f"Nothing was saved: bring what is new there into your text, and save it with base {version}.",
            )  # fmt: skip
        connection.execute(
            insert(guidelines).values(version=version + 1, text=body.text, tree=tree, by=user.id, at=now)
        )
        chain.record(
            connection, "guideline", user.name, now, {"version": version + 1, "text": body.text, "note": body.note}
        )
        return version + 1

    return {"version": write(request, add), "tree": tree}


# -- items ----------------------------------------------------------------------------------------------------------------


@router.get("/items")
def list_items(
    request: Request,
    user: Reader,
    purpose: Literal["work", "gold", "calibration", "adjudication", "arena", "chat"] = "work",
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """Items by number, a page at a time: the next one begins `after` the last number of this one."""
    query = (
        select(item_table, comparisons.c.messages, comparisons.c.tags)
        .join(comparisons, comparisons.c.id == item_table.c.comparison)
        .where(item_table.c.purpose == purpose, item_table.c.id > after)
        .order_by(item_table.c.id)
        .limit(limit)
    )
    names = (
        "id",
        "comparison",
        "kind",
        "responses",
        "purpose",
        "wanted",
        "done",
        "leased",
        "needed",
        "strategy",
        "probability",
        "expected",
        "retired",
    )
    with site_of(request).database.reading() as connection:
        rows = connection.execute(query).mappings().all()
    return {
        "items": [
            {**{name: row[name] for name in names}, "prompt": row["messages"][-1]["content"], "tags": row["tags"]}
            for row in rows
        ]
    }


@router.post("/items")
def mark(request: Request, user: Lead, body: known.Mark) -> dict[str, Any]:
    """Makes a gold or calibration item of a comparison; it is work no longer."""
    tree = rendering.tree(body.explanation)
    return write(request, lambda c, site: known.mark(c, site, body, tree, actor=user.name))


@router.put("/items/{number}")
def change_item(
    request: Request, user: Lead, number: Annotated[int, Path(ge=1, le=2**62)], body: known.Change
) -> dict[str, Any]:
    """Retires a gold or calibration item, asks it again, or turns one into the other."""
    return write(request, lambda c, site: known.change(c, site, number, body, actor=user.name))


@router.get("/flags")
def list_flags(request: Request, user: Reader, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> dict[str, Any]:
    """What annotators say is wrong, newest first; skips too."""
    with site_of(request).database.reading() as connection:
        query = select(events).where(events.c.kind.in_(("flag", "skip"))).order_by(events.c.seq.desc()).limit(limit)
        rows = connection.execute(query).all()
    return {
        "flags": [
            {"seq": row.seq, "at": row.at, "by": row.actor, "kind": row.kind, **json.loads(row.payload)} for row in rows
        ]
    }


@router.get("/progress")
def progress(request: Request, user: Reader) -> dict[str, Any]:
    """How far the work is."""
    with site_of(request).database.reading() as connection:
        sums = select(
            func.count(), func.sum(item_table.c.wanted), func.sum(item_table.c.done), func.sum(item_table.c.leased)
        )
        count, wanted, done, leased = connection.execute(sums.where(item_table.c.purpose == "work")).one()
        open_items = connection.execute(
            select(func.count())
            .select_from(item_table)
            .where(item_table.c.purpose == "work", literal_column("items.needed > 0"))
        ).scalar_one()
        over = export.is_over(connection, export.of_run(site_of(request)))
    return {
        "items": count,
        "wanted": wanted or 0,
        "done": done or 0,
        "leased": leased or 0,
        "open": open_items,
        "over": over,
    }


# -- in and out -----------------------------------------------------------------------------------------------------------


@router.post("/import/comparisons", openapi_extra=FILE_BODY)
async def import_comparisons(request: Request, lenient: bool = False) -> dict[str, Any]:
    """Takes in comparisons, one per line; with `lenient` wrong rows are left out and told."""
    user = await run_in_threadpool(needs("lead", "write", "admin"), request)
    site = site_of(request)
    with tempfile.TemporaryDirectory() as folder:
        path = File(folder) / "import.jsonl"
        with path.open("wb") as file:
            async for part in request.stream():
                file.write(part)
        added, problems = await run_in_threadpool(ingest.from_file, site, path, actor=user.name, lenient=lenient)
    return {"added": added, "left_out": len(problems), "problems": problems[:100]}


@router.get("/export/{what}.jsonl")
def export_lines(
    request: Request, user: Reader, what: Literal["judgements", "comparisons", "events"]
) -> StreamingResponse:
    """Everything of a kind, one record per line, streamed."""
    headers = {"Content-Disposition": f'attachment; filename="{what}.jsonl"'}
    return StreamingResponse(_lines(site_of(request), what), media_type="application/x-ndjson", headers=headers)


def _lines(site: Site, what: str) -> Iterator[bytes]:
    with site.database.snapshot() as connection:
        if what == "events":
            for event in export.raw(connection):
                yield json.dumps(event, ensure_ascii=False).encode("utf-8") + b"\n"
        else:
            for record in (
                export.judged(connection, export.EVERYTHING) if what == "judgements" else export.compared(connection)
            ):
                yield record.model_dump_json().encode("utf-8") + b"\n"


@router.get("/log/verify")
def verify_log(request: Request, user: Reader) -> dict[str, Any]:
    """Walks the log. The answer's `whole` tells whether nothing was changed or removed."""
    site = site_of(request)
    with site.database.snapshot() as connection:
        try:
            return {"whole": True, "events": chain.verify(connection), "problem": None}
        except chain.Broken as problem:
            return {"whole": False, "events": None, "problem": str(problem)}


@router.delete("/sessions")
def end_all_sessions(request: Request, user: Admin) -> dict[str, Any]:
    """Signs everybody out."""

    def end(connection: Connection, site: Site) -> int:
        chain.record(connection, "sessions_ended", user.name, site.clock(), {})
        return connection.execute(delete(sessions)).rowcount

    return {"ended": write(request, end)}
