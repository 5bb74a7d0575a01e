"""Quality for leads: annotators one by one and together, and how far they agree."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from prefloop.web.errors import Refusal
from prefloop.web.pages import lead_pages
from prefloop.web.pages.lead_words import LeadWords, percent
from prefloop.web.review import agreement, annotators, comments
from prefloop.web.routes.parameters import Here, Number, Reader, read
from prefloop.web.security.accounts import User
from prefloop.web.store.site import Site
from prefloop.web.store.tables import judgements
from prefloop.web.work.answers import MARKED

router = APIRouter(tags=["lead"])


@router.get("/api/v1/lead/quality")
def project_quality(user: Reader, site: Here) -> dict[str, Any]:
    """Agreement of the project, and a report of each annotator."""
    return {"agreement": agreement.project.of(site), "annotators": annotators.everybody.of(site)}


@router.get("/api/v1/lead/annotators/{number}")
def annotator_quality(user: Reader, site: Here, number: Number) -> dict[str, Any]:
    """The report of one annotator."""
    return _report(site, number)


def _report(site: Site, number: int) -> dict[str, Any]:
    report = annotators.of_annotator(site, number)
    if report is None:
        raise Refusal(404, "not_found", "There is no such annotator.")
    return report


@router.get("/lead/annotators", include_in_schema=False)
def annotators_page(request: Request, site: Here) -> Response:
    """Everybody in a table, whoever is worth a look first."""

    def gather(words: LeadWords, user: User) -> dict[str, Any]:
        everybody = annotators.everybody.of(site)
        reports = sorted(everybody, key=lambda report: (not report["flagged"], report["name"]))
        floor = annotators.NORMS.gold_floor
        concerns = {report["id"]: lead_pages.concerns(report, words, floor) for report in reports}
        says = words("annotators.says", alpha=percent(annotators.NORMS.alpha))
        shown = {"reports": reports, "concerns": concerns, "first_look": annotators.FIRST_LOOK}
        return {"lead": says, "agreement": agreement.project.of(site), **shown}

    return lead_pages.page(request, "annotators.html", "desk.annotators", gather)


@router.get("/lead/annotators/{number}", include_in_schema=False)
def annotator_page(request: Request, site: Here, number: Number) -> Response:
    """One annotator."""

    def gather(words: LeadWords, user: User) -> dict[str, Any]:
        report = _report(site, number)
        remarks = read(site, lambda c: comments.comments(c, judgements.c.user == number))
        return {
            "heading": report["name"], "report": report, "first_look": annotators.FIRST_LOOK,
            "concerns": lead_pages.concerns(report, words, annotators.NORMS.gold_floor), "markable": MARKED,
            "comments": [words.remark(remark) for remark in remarks],
        }  # fmt: skip

    return lead_pages.page(request, "annotator.html", "desk.annotators", gather)
