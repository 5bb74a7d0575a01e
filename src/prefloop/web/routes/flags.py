"""What annotators say is wrong with an item."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from prefloop.web.body import Body
from prefloop.web.review import comments
from prefloop.web.routes.parameters import Here, Judge, Key, Reader, read
from prefloop.web.work import judging

router = APIRouter(prefix="/api/v1")


class Flag(Body):
    """Something that is wrong with an item."""

    presentation: judging.Identity
    """In which the item was shown."""
    comment: Annotated[str, Field(min_length=1, max_length=judging.LONGEST_COMMENT)]
    """What is wrong."""


@router.post("/flags", tags=["annotator"])
def flag(user: Judge, site: Here, body: Flag, key: Key = None) -> dict[str, Any]:
    """Tells the lead that something is wrong with an item."""
    return site.database.write(lambda c: judging.flag(c, site, user, body.presentation, body.comment, key=key))


@router.get("/flags", tags=["lead"])
def list_flags(user: Reader, site: Here, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> dict[str, Any]:
    """What annotators say is wrong, newest first; skips too."""
    return {"flags": read(site, lambda c: comments.as_logged(c, limit))}
