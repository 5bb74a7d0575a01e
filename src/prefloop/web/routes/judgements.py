"""Judgements: sent, revised, looked at again. docs/decisions/004-web.md tells the shapes."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from prefloop.web.routes.parameters import Annotator, Here, Id, Judge
from prefloop.web.work import judging, presenting
from prefloop.web.work.judging import Judged

router = APIRouter(prefix="/api/v1", tags=["annotator"])


@router.post("/judgements")
def judge(user: Judge, site: Here, body: Judged) -> dict[str, Any]:
    """Keeps a judgement; the same id twice is one."""
    return site.database.write(lambda c: judging.submit(c, site, user, body))


@router.post("/judgements/{judgement}/revise")
def revise(user: Judge, site: Here, judgement: Id, body: Judged) -> dict[str, Any]:
    """Keeps a change of mind."""
    return site.database.write(lambda c: judging.revise(c, site, user, judgement, body))


@router.get("/history")
def history(user: Annotator, site: Here, limit: Annotated[int, Query(ge=1, le=200)] = 20) -> dict[str, Any]:
    """Own judgements, newest first."""
    with site.database.glancing() as connection:
        return {"judgements": presenting.history(connection, user, limit, site.clock())}
