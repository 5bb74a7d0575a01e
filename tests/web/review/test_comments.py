"""What annotators wrote reaches the leads: beside flags, at adjudication, on their page, and in the exports."""

import json
from pathlib import Path

import pytest

from prefloop.files.tables import read_records
from prefloop.records import Judgement
from prefloop.web.exchange import export
from prefloop.web.review import comments
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items
from prefloop.web.work import judging, queue
from web.acts import Clock, fill, judged, rows, signed_in, submit, user
from web.crowd import on_sqlite
from web.review.test_adjudication import differ_and_ask_the_lead

HTML = {"accept": "text/html"}


def commented(site: Site, name: str, comment: str) -> str:
    """Somebody new judges an item with a comment. Returns: the judgement."""
    who = user(site, name)
    what = judged(queue.lease(site, who, 1).presentations[0]).model_copy(update={"comment": comment})
    submit(site, who, what)
    return what.id


def test_comments_stand_among_flags_newest_first_as_they_now_are(site: Site, clock: Clock):
    fill(site, 3)
    ann = user(site, "ann")
    shown = queue.lease(site, ann, 3).presentations
    first = judged(shown[0]).model_copy(update={"comment": "too curt"})
    submit(site, ann, first)
    clock.now += 1
    site.database.write(lambda c: judging.flag(c, site, ann, shown[1], "broken", key=None))
    clock.now += 1
    site.database.write(lambda c: judging.skip(c, site, ann, shown[2], "unclear", ""))
    clock.now += 1
    changed = judged(shown[0]).model_copy(update={"comment": "too curt, but right"})
    site.database.write(lambda c: judging.revise(c, site, ann, first.id, changed))
    with site.database.reading() as connection:
        said = list(comments.everything(connection))
    assert [(row["kind"], row["comment"]) for row in said] == [
        ("comment", "too curt, but right"), ("skip", ""), ("flag", "broken"),
    ]  # fmt: skip
    assert all(row["by"] == "ann" and row["prompt"] for row in said)


@on_sqlite
def test_leads_read_comments_where_they_look(site: Site):
    fill(site, 2)
    commented(site, "ann", "<b>sneaky</b> wording")
    lead = signed_in(site, "lea", "lead")
    (ann,) = (row for row in lead.get("/api/v1/lead/people").json()["people"] if row["name"] == "ann")
    for path in ("/lead/items", f"/lead/annotators/{ann['id']}"):
        page = lead.get(path, headers=HTML).text
        assert "&lt;b&gt;sneaky&lt;/b&gt; wording" in page, path
        assert f'/lead/items/gold?item={rows(site, items)[0].id}"' in page


@on_sqlite
def test_adjudication_tells_what_annotators_wrote(site: Site, monkeypatch: pytest.MonkeyPatch):
    whole = judging.submit
    monkeypatch.setattr(
        judging,
        "submit",
        lambda c, s, who, what: whole(c, s, who, what.model_copy(update={"comment": f"says {who.name}"})),
    )
    differ_and_ask_the_lead(site, "pair")
    speaker = signed_in(site, "lea", "lead")
    (item,) = speaker.get("/api/v1/lead/adjudication").json()["items"]
    assert sorted(row["comment"] for row in item["said"]) == ["says ann", "says bob"]
    assert "says bob" in speaker.get("/lead/adjudication", headers=HTML).text


@on_sqlite
def test_comments_are_exported_and_files_without_them_still_read(site: Site, tmp_path: Path):
    fill(site, 1)
    name = commented(site, "ann", "两个都差不多")
    exported = signed_in(site, "lea", "lead").get("/api/v1/export/judgements.jsonl").text
    assert [(entry["id"], entry["comment"]) for entry in map(json.loads, exported.splitlines())] == [
        (name, "两个都差不多")
    ]
    path = tmp_path / "judgements.jsonl"
    export.write_judgements(site, path)
    (row,) = read_records(path, Judgement)
    assert row.comment == "两个都差不多"
    older = {key: value for key, value in json.loads(path.read_text(encoding="utf-8")).items() if key != "comment"}
    path.write_text(json.dumps(older), encoding="utf-8")
    assert read_records(path, Judgement) == [row.model_copy(update={"comment": ""})]
