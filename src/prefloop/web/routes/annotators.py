"""Quality for leads: annotators one by one and together, and how far they agree."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from prefloop.web.errors import Refusal
from prefloop.web.pages import lead_pages as desk
from prefloop.web.pages.lead_pages import Reader, site_of
from prefloop.web.pages.lead_words import LeadWords, percent
from prefloop.web.review import agreement
from prefloop.web.review import annotators as quality
from prefloop.web.review import comments as remarks
from prefloop.web.routes.gold import MARKED, said_of
from prefloop.web.store.tables import judgements

router = APIRouter(tags=["lead"])
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("/api/v1/lead/quality")
def project_quality(request: Request, user: Reader) -> dict[str, Any]:
    """Agreement of the project, and a report of each annotator."""
    site = site_of(request)
    return {"agreement": agreement.project.of(site), "annotators": quality.everybody.of(site)}


@router.get("/api/v1/lead/annotators/{number}")
def annotator_quality(request: Request, user: Reader, number: Number) -> dict[str, Any]:
    """The report of one annotator."""
    return _one(request, number)


def _one(request: Request, number: int) -> dict[str, Any]:
    site = site_of(request)
    distrusted = quality.distrusted_of(quality.everybody.of(site))
    with site.database.reading() as connection:
        found = quality.one(connection, number, distrusted=distrusted)
    if found is None:
        raise Refusal(404, "not_found", "There is no such annotator.")
    return found


@router.get("/lead/annotators", include_in_schema=False)
def annotators_page(request: Request) -> Response:
    """Everybody in a table, whoever is worth a look first."""

    def gather(words: LeadWords) -> dict[str, Any]:
        reports = sorted(quality.everybody.of(site_of(request)), key=lambda one: (not one["flagged"], one["name"]))
        concerns = {one["id"]: desk.concerns(one, words, quality.NORMS.gold_floor) for one in reports}
        says = words("annotators.says", alpha=percent(quality.NORMS.alpha))
        return {"lead": says, "reports": reports, "concerns": concerns, "first_look": quality.FIRST_LOOK}

    return desk.page(request, "annotators.html", "desk.annotators", gather)


@router.get("/lead/annotators/{number}", include_in_schema=False)
def annotator_page(request: Request, number: Number) -> Response:
    """One annotator."""

    def gather(words: LeadWords) -> dict[str, Any]:
        report = _one(request, number)
        concerns = desk.concerns(report, words, quality.NORMS.gold_floor)
        with site_of(request).database.reading() as connection:
            comments = [said_of(one, words) for one in remarks.comments(connection, judgements.c.user == number)]
        return {
            "heading": report["name"], "report": report, "concerns": concerns, "first_look": quality.FIRST_LOOK,
            "comments": comments, "markable": MARKED,
        }  # fmt: skip

    return desk.page(request, "annotator.html", "desk.annotators", gather)


@router.get("/lead/agreement", include_in_schema=False)
def agreement_page(request: Request) -> Response:
    """How far people agree."""

    def gather(words: LeadWords) -> dict[str, Any]:
        return {"lead": words("agreement.says"), "found": agreement.project.of(site_of(request))}

    return desk.page(request, "agreement.html", "desk.agreement", gather)
