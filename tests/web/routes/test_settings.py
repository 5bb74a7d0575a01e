"""Pages that run a project: their words, who may see them, and that a new overlap lets what is held back be."""

from pathlib import Path

import pytest

from prefloop.web.config import ProjectConfig
from prefloop.web.pages.lead_words import IN_SCRIPTS, PAGES, SCRIPTS
from prefloop.web.pages.project_words import HELP_ZH, PROJECT, PROJECT_SCRIPTS
from prefloop.web.routes.settings import GROUPS, help_of
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items as item_table
from prefloop.web.work import items
from web.acts import ask, fill, rows, signed_in, user, work
from web.pages.test_html import fields

WEB = Path(items.__file__).parents[1]
HTML = {"accept": "text/html"}


def test_every_word_is_in_both_languages():
    assert set(PROJECT) & set(PAGES) == set()
    assert set(PROJECT_SCRIPTS) & set(SCRIPTS) == set()
    for english, chinese in [*PROJECT.values(), *PROJECT_SCRIPTS.values()]:
        assert fields(english) == fields(chinese)
        assert english
        assert chinese
    assert "desk.done" in IN_SCRIPTS


def test_every_setting_of_the_project_is_on_the_page_with_its_help():
    nested = {"overlap", "checks"}
    flat = {name for name in ProjectConfig.model_fields if name not in nested}
    flat |= {f"{name}.{inner}" for name in nested for inner in ProjectConfig().model_dump()[name]}
    shown = {path for _, paths in GROUPS for path in paths}
    assert shown == flat == set(HELP_ZH)
    assert help_of("overlap.judgements", "en") == "Judgements that every item gets."
    assert all(help_of(path, language) for path in shown for language in ("en", "zh"))


def test_a_new_overlap_leaves_held_items_alone(site: Site):
    fill(site, 2)
    held, free = rows(site, item_table)
    values = {"strategy": items.HELD, "wanted": 0, "needed": 0}
    site.database.write(lambda c: c.execute(item_table.update().where(item_table.c.id == held.id).values(values)))
    lead = signed_in(site, "lea", "lead")
    assert lead.put("/api/v1/settings", json={"overlap": {"judgements": 3}}).status_code == 200
    after = {row.id: (row.wanted, row.needed) for row in rows(site, item_table)}
    assert after == {held.id: (0, 0), free.id: (3, 3)}


@pytest.mark.parametrize("path", ["people", "guideline", "settings", "items", "items/gold?comparison=c-0000"])
def test_leads_only(site: Site, path):
    fill(site, 1)
    assert signed_in(site, "lea", "lead").get(f"/lead/{path}", headers=HTML).status_code == 200
    assert signed_in(site, "ann", "annotator").get(f"/lead/{path}", headers=HTML).status_code == 403


def test_access_is_for_admins(site: Site):
    assert "/webhooks" not in signed_in(site, "lea", "lead").get("/lead/advanced", headers=HTML).text
    assert "/webhooks" in signed_in(site, "ada", "admin").get("/lead/advanced", headers=HTML).text


def test_people_and_when_they_were_seen(site: Site):
    fill(site, 1)
    work(site, user(site, "bob"))
    people = {row["name"]: row for row in signed_in(site, "lea", "lead").get("/api/v1/lead/people").json()["people"]}
    assert people["bob"]["seen"] == people["bob"]["last"] == site.clock()
    assert people["lea"]["last"] is None


def test_a_preview_keeps_nothing_and_a_note_is_shown(site: Site):
    lead = signed_in(site, "lea", "lead")
    assert lead.post("/api/v1/guidelines/preview", json={"text": "**b**"}).json()["tree"] == [
        ["p", {}, [["strong", {}, ["b"]]]]
    ]
    assert lead.get("/api/v1/guidelines").json()["guidelines"] == []
    assert lead.post("/api/v1/guidelines", json={"text": "x", "note": "a <b>note"}).status_code == 200
    assert "a &lt;b&gt;note" in lead.get("/lead/guideline", headers=HTML).text
    assert lead.get("/api/v1/log/verify").json()["whole"] is True


def test_no_lead_page_is_inline(site: Site):
    for path in (WEB / "pages" / "templates" / "lead").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "style=" not in text.replace('rel="style', ""), path.name
        assert " on" + "click=" not in text, path.name
        assert "| safe" not in text, path.name


def test_a_comparison_that_is_not_there_goes_back(site: Site):
    ask(site, name="x")
    answer = signed_in(site, "lea", "lead").get("/lead/items/gold?comparison=no", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/lead/items?missing=no")


def test_a_guideline_begun_from_an_older_version_drops_nothing(site: Site):
    """Two leads begin from version 1; the second to save is told, and what the first wrote stays in force."""
    lea, max_ = signed_in(site, "lea", "lead"), signed_in(site, "max", "lead")
    assert lea.post("/api/v1/guidelines", json={"text": "one", "base": 0}).json()["version"] == 1
    assert lea.post("/api/v1/guidelines", json={"text": "two, by lea", "base": 1}).json()["version"] == 2
    answer = max_.post("/api/v1/guidelines", json={"text": "two, by max", "base": 1})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "guideline_moved")
    assert "Version 2 was saved by lea" in answer.json()["error"]["message"]
    assert "base 2" in answer.json()["error"]["message"]
    for base in (0, 3):
        assert max_.post("/api/v1/guidelines", json={"text": "x", "base": base}).status_code == 409
    assert [row["text"] for row in lea.get("/api/v1/guidelines").json()["guidelines"]] == ["two, by lea", "one"]
    assert max_.post("/api/v1/guidelines", json={"text": "both", "base": 2}).json()["version"] == 3
    assert max_.post("/api/v1/guidelines", json={"text": "a program"}).json()["version"] == 4


def test_the_page_says_what_becomes_of_what_is_there_when_kinds_change(site: Site):
    fill(site, 3)
    lead = signed_in(site, "lea", "lead")
    text = lead.get("/lead/settings", headers=HTML).text
    assert "They hold at once for what nobody has begun; what was answered stays. Asked now: Pair 3." in text
    assert lead.put("/api/v1/settings", json={"kinds": ["ranking"]}).status_code == 200
    assert "Asked now: Ranking 3." in lead.get("/lead/settings", headers=HTML).text
