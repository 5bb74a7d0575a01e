"""Other kinds: what nobody has begun is asked so, what was answered stays, and a restart doubles nothing."""

import json
from pathlib import Path

import pytest

from prefloop.web import serving
from prefloop.web.config import WebConfig
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items, judgements
from prefloop.web.work import intake, queue
from web.acts import ask, check_counts, check_log, comparison, fill, mark, rows, signed_in, user, work
from web.crowd import on_sqlite


def open_work(site: Site) -> dict[str, list[str]]:
    """Kind -> comparisons that are still to be judged so."""
    waiting = rows(site, items, items.c.needed > 0)
    return {kind: [row.comparison for row in waiting if row.kind == kind] for kind in {row.kind for row in waiting}}


def test_what_nobody_has_begun_changes_its_kind_and_the_lead_is_told(site: Site, monkeypatch: pytest.MonkeyPatch):
    """Of seven comparisons one is answered, one is with somebody, one is gold: four change."""
    monkeypatch.setattr(intake, "BATCH", 3)
    ask(site, checks={"gold_first": 0, "gold_every": 0})
    fill(site, 7, tags=("t",))
    lead, ann = signed_in(site, "lead", "lead"), user(site, "ann", tags=("t",))
    assert work(site, ann, 1) == 1
    queue.lease(site, ann, 1)
    mark(site, "c-0006")
    answer = lead.put("/api/v1/settings", json={"kinds": ["ranking"]}).json()
    assert (answer["kinds"], answer["work"]) == (["ranking"], {"withdrawn": 4, "made": 5, "kept": 2})
    assert open_work(site) == {"ranking": [f"c-{n:04d}" for n in (2, 3, 4, 5, 6)]}
    assert "work" not in lead.put("/api/v1/settings", json={"name": "x"}).json()
    assert lead.put("/api/v1/settings", json={"kinds": ["ranking"]}).json().get("work") is None
    back = lead.put("/api/v1/settings", json={"kinds": ["pair"]}).json()["work"]
    assert back == {"withdrawn": 5, "made": 4, "kept": 0}  # the gold one is asked as a pair no more
    assert open_work(site) == {"pair": [f"c-{n:04d}" for n in (2, 3, 4, 5)]}
    more = lead.put("/api/v1/settings", json={"kinds": ["pair", "thumb"]}).json()["work"]
    assert more == {"withdrawn": 0, "made": 7, "kept": 0}
    assert work(site, user(site, "bob", tags=("t",)), 3) == 3
    assert len(rows(site, judgements)) == 4
    check_counts(site)
    check_log(site)


@on_sqlite
def test_a_prompt_alone_is_asked_for_a_demonstration_whatever_the_kinds(site: Site):
    lead = signed_in(site, "lead", "lead")
    body = '{"prompt": "Write a poem."}\n'
    lead.post("/api/v1/import/rows", content=body, headers={"content-type": "application/x-ndjson"})
    assert lead.put("/api/v1/settings", json={"kinds": ["ranking"]}).json()["work"]["made"] == 0
    assert open_work(site) == {"demonstration": [row.comparison for row in rows(site, items)]}


def test_a_restart_doubles_nothing(tmp_path: Path):
    (tmp_path / "comparisons.jsonl").write_text(
        "".join(json.dumps(comparison(n, responses=3).model_dump(mode="json")) + "\n" for n in range(5))
    )

    def opened(**typed: object) -> Site:
        return serving.open_site(tmp_path, WebConfig.model_validate({"password_memory_kb": 64, **typed}))

    site = opened()
    assert work(site, user(site, "ann"), 2) == 2
    signed_in(site, "lead", "lead").put("/api/v1/settings", json={"kinds": ["rating"], "pairs_per_prompt": 3})
    before = [(row.key, row.needed, row.done, row.retired) for row in rows(site, items)]
    assert len(open_work(site)["rating"]) == 3
    site.database.close()
    for typed in ({}, {}, {"kinds": ("rating",)}):
        site = opened(**typed)
        assert [(row.key, row.needed, row.done, row.retired) for row in rows(site, items)] == before
        site.database.close()
    site = opened(kinds=("thumb",))
    assert {kind: len(names) for kind, names in open_work(site).items()} == {"thumb": 3}
    site.database.close()
