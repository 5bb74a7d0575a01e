"""How SQLite looks things up: nothing that annotators do looks through a whole table, however many items there are."""

import contextlib
import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import event

from prefloop.web.errors import Refusal
from prefloop.web.store.site import Site
from prefloop.web.work import queue
from web.acts import Clock, ask, fill, judged, mark, signed_in, user, work
from web.crowd import on_sqlite

LARGE = "items|item_tags|comparisons|responses|presentations|judgements|events|turns|conversations|scores"
"""Tables that grow with the work."""
SMALL = "ix_items_leased|ix_presentations_lease"
"""Indexes of what is with somebody just now."""
WALKS = re.compile(rf"SCAN ({LARGE}|other|again|later)\b(?! USING (COVERING )?INDEX ({SMALL})\b)")


def asked(site: Site, act: Callable[[], Any]) -> dict[str, Any]:
    """Statement -> its values, of all that the database was asked meanwhile."""
    result: dict[str, Any] = {}

    def note(connection: Any, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        result[statement] = values[0] if many else values

    event.listen(site.engine, "before_cursor_execute", note)
    try:
        act()
    finally:
        event.remove(site.engine, "before_cursor_execute", note)
    return result


def walks(site: Site, statements: dict[str, Any]) -> list[str]:
    """Those that look through a whole table, with how."""
    result = []
    with site.database.reading() as connection:
        for statement, values in statements.items():
            if statement.split()[0] in ("SELECT", "UPDATE", "DELETE", "INSERT", "WITH"):
                plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
                result += [f"{line}: {statement}" for line in plan if WALKS.search(line)]
    return result


@on_sqlite
def test_nothing_that_an_annotator_does_walks_over_a_table(site: Site, clock: Clock):
    ask(
        site, overlap={"judgements": 2, "adaptive": True}, checks={"gold_first": 50, "gold_every": 2, "repeat_every": 2}
    )
    fill(site, 60, tags=("t", "s"))
    for name in [f"c-{n:04d}" for n in range(50, 56)]:
        mark(site, name)
    work(site, user(site, "before"), 40)
    ann = signed_in(site, "ann", "annotator")
    bob = signed_in(site, "bob", "annotator")
    site.database.write(lambda c: c.exec_driver_sql("UPDATE users SET tags = '[\"t\", \"s\"]' WHERE name = 'bob'"))

    def day() -> None:
        for who in (ann, bob):
            assert who.get("/api/v1/me").status_code == 200
            for number in range(35):
                first, *_ = who.post("/api/v1/leases", json={"count": 2}).json()["presentations"] or [None]
                if first is None:
                    break
                path = f"/api/v1/presentations/{first['id']}"
                assert who.put(f"{path}/draft", json={"draft": {"a": 1}}).status_code == 200
                if number == 3:
                    who.post("/api/v1/flags", json={"presentation": first["id"], "comment": "odd"})
                if number % 9 == 8:
                    assert who.post(f"{path}/skip", json={"reason": "unclear"}).status_code == 200
                    continue
                what = judged(first["id"]).model_dump(mode="json")
                assert who.post("/api/v1/judgements", json=what).status_code == 200
                assert who.post("/api/v1/judgements", json=what).status_code == 200
                again = judged(first["id"], choice="tie").model_dump(mode="json")
                assert who.post(f"/api/v1/judgements/{what['id']}/revise", json=again).status_code == 200
            assert who.get("/api/v1/history").status_code == 200
            assert who.get("/api/v1/guideline").status_code == 200

    lead = user(site, "lead", "lead")

    def other_queues() -> None:
        for purpose in ("arena", "adjudication", "chat", "work"):
            queue.lease(site, lead, 3, purpose=purpose)
        clock.now += 86400
        queue.expire(site)
        with contextlib.suppress(Refusal):
            site.database.write(lambda c: queue.take(c, site, lead, 1, purpose="adjudication"))

    statements = asked(site, day) | asked(site, other_queues)
    assert len(statements) > 40
    assert walks(site, statements) == []


@on_sqlite
def test_calibration_does_not_either(site: Site):
    fill(site, 30)
    for n in range(3):
        mark(site, f"c-{n:04d}", "calibration")
    ann = signed_in(site, "ann", "annotator")

    def practise() -> None:
        for _ in range(3):
            shown = ann.post("/api/v1/leases", json={"count": 1}).json()["presentations"][0]
            assert ann.post("/api/v1/judgements", json=judged(shown["id"]).model_dump(mode="json")).status_code == 200
        assert ann.get("/api/v1/me").status_code == 200
        ann.post("/api/v1/calibration/retake")

    assert walks(site, asked(site, practise)) == []


@on_sqlite
def test_a_walk_would_be_found(site: Site):
    fill(site, 3)
    for statement in (
        "SELECT id FROM items WHERE purpose = 'calibration'",
        "SELECT count(*) FROM judgements WHERE active_seconds > 5",
    ):
        assert (
            len(walks(site, asked(site, lambda s=statement: site.database.write(lambda c: c.exec_driver_sql(s).all()))))
            == 1
        )
