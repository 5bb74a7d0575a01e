"""The access of programs, the log, and everybody's sessions: what admins see to."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from prefloop.records import AnnotatorKind
from prefloop.web.body import Body
from prefloop.web.errors import refuse_unless
from prefloop.web.routes.parameters import Admin, Here, Number, Reader, read
from prefloop.web.security import accounts
from prefloop.web.store import chain

router = APIRouter(tags=["lead"])


class NewToken(Body):
    """A token for a program."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    """What it is for."""
    scopes: Annotated[list[Literal["read", "write", "judge", "admin"]], Field(min_length=1, max_length=4)]
    """What the program may do."""
    user: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    """Whose it is: a program, such as a model that judges, becomes an annotator of this name, who can never sign in;
    else your own."""
    kind: AnnotatorKind | None = None
    """As what its judgements are exported: `model`, if a user is named; `simulated`; or `person`, where people judge
    through the program."""


@router.get("/api/v1/tokens")
def list_tokens(user: Admin, site: Here) -> dict[str, Any]:
    """Tokens of programs, without their secrets."""
    rows = read(site, accounts.all_tokens)
    return {"tokens": [{name: value for name, value in row.items() if name != "owner"} for row in rows]}


@router.post("/api/v1/tokens")
def new_token(user: Admin, site: Here, body: NewToken) -> dict[str, Any]:
    """A token; told once."""
    judges = "judge" in body.scopes and body.user is None
    says = (
        "A token that judges says who judges: give `user`, a name for the program, "
        "or `kind`: person, if you judge through it yourself."
    )
    refuse_unless(not judges or body.kind == "person", says)
    make: dict[str, Any] = {"by": user, "user": body.user, "kind": body.kind or "model"}
    return {"token": site.database.write(lambda c: accounts.new_token(c, site, body.name, body.scopes, **make))}


@router.delete("/api/v1/tokens/{number}")
def revoke_token(user: Admin, site: Here, number: Number) -> dict[str, Any]:
    """A token is not good any more."""
    site.database.write(lambda c: accounts.revoke_token(c, site, number, by=user))
    return {"id": number, "revoked": True}


@router.delete("/api/v1/sessions")
def end_all_sessions(user: Admin, site: Here) -> dict[str, Any]:
    """Signs everybody out."""
    return {"ended": site.database.write(lambda c: accounts.end_sessions(c, site, by=user))}


@router.get("/api/v1/log/verify")
def verify_log(user: Reader, site: Here) -> dict[str, Any]:
    """Walks the log. The answer's `whole` tells whether nothing was changed or removed."""
    with site.database.snapshot() as connection:
        try:
            return {"whole": True, "events": chain.verify(connection), "problem": None}
        except chain.Broken as problem:
            return {"whole": False, "events": None, "problem": str(problem)}
