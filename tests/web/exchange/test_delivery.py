"""The file that the collect stage waits for: what is enough, what is in it, and how often it is written."""

import contextlib
from pathlib import Path

import pytest

from prefloop.errors import UserError
from prefloop.files.atomic import write_bytes
from prefloop.files.tables import read_records, write_records
from prefloop.records import Judgement
from prefloop.web.exchange import export
from prefloop.web.exchange.export import AGAIN, Delivery
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items as item_table
from prefloop.web.work import gold, intake, items, queue
from prefloop.web.work.gold import Mark
from web.acts import Clock, ask, client, comparison, fill, judged, rows, signed_in, submit, user, work
from web.crowd import on_sqlite


def delivered(site: Site) -> list[str]:
    """Comparisons in the file, in alphabetical order."""
    return sorted(row.comparison for row in read_records(export.target(site), Judgement))


def bring_others(site: Site, number: int) -> None:
    """Brings in comparisons that are not in the folder's file; they come first in the queue."""
    batch = [comparison(n).model_copy(update={"id": f"a-{n}"}) for n in range(number)]
    site.database.write(lambda c: intake.take_in(c, site, batch, actor="lead"))


def test_only_the_folders_own_comparisons_count_and_are_told(site: Site):
    ask(site, enough=2)
    write_records(site.folder / "comparisons.jsonl", [comparison(n) for n in range(3)])
    bring_others(site, 4)
    fill(site, 3)
    delivery, ann = Delivery(site), user(site, "ann")
    work(site, ann, 5)
    with site.database.reading() as connection:
        assert export.is_over(connection)  # of everything, two are enough
    assert not delivery.look()
    assert signed_in(site, "lead", "lead").get("/api/v1/progress").json()["over"] is False
    work(site, ann, 1)
    assert delivery.look()
    assert delivered(site) == ["c-0000", "c-0001"]
    assert len(client_lines(site)) == 6


def client_lines(site: Site) -> list[str]:
    """What a lead downloads: everything."""
    return signed_in(site, "reader", "lead").get("/api/v1/export/judgements.jsonl").text.splitlines()


def test_it_is_written_again_only_when_judgements_changed_and_not_all_the_time(
    site: Site, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    written: list[bytes] = []
    monkeypatch.setattr(export, "write_bytes", lambda path, data: (written.append(data), write_bytes(path, data)))
    ask(site, enough=1)
    fill(site, 5)
    delivery, ann = Delivery(site), user(site, "ann")
    work(site, ann, 1)
    assert delivery.look()
    for name in ("bob", "cat"):
        user(site, name)  # something is in the log, but nothing was judged
        clock.now += 10 * AGAIN
        assert not delivery.look()
    for first in (True, False, False):  # the first is written at once, the others wait
        work(site, ann, 1)
        clock.now += AGAIN / 4
        assert delivery.look() is first
    clock.now += AGAIN
    assert delivery.look()
    assert not delivery.look()
    assert len(delivered(site)) == 4
    work(site, ann, 1)
    assert not delivery.look()
    assert delivery.look(last=True)
    before = len(written)
    assert not Delivery(site).look()  # the server starts anew: the file is as it should be
    assert len(written) == before
    fill(site, 6)
    clock.now -= 10 * AGAIN  # a clock that was set back keeps nothing back
    work(site, ann, 1)
    assert delivery.look()


@on_sqlite
def test_when_nothing_is_left_to_judge_enough_is_waited_for_no_longer(site: Site):
    ask(site, enough=100)
    fill(site, 3)
    delivery, ann = Delivery(site), user(site, "ann")
    held = {"strategy": items.HELD, "wanted": 0, "needed": 0}
    site.database.write(
        lambda c: c.execute(item_table.update().where(item_table.c.comparison == "c-0002").values(held))
    )
    work(site, ann)
    assert not delivery.look()  # one is held back, and may be let go
    body = Mark(comparison="c-0002", kind="pair", responses=[0, 1], purpose="gold", expected={"best": 0})
    site.database.write(lambda c: gold.mark(c, site, body, [], actor="lead"))
    assert delivery.look()
    assert delivered(site) == ["c-0000", "c-0001"]


def test_a_file_that_somebody_else_wrote_stays(site: Site, clock: Clock):
    ask(site, enough=1)
    fill(site, 3)
    delivery, ann, path = Delivery(site), user(site, "ann"), export.target(site)
    export.refuse_foreign(site)  # nothing is there
    path.parent.mkdir()
    path.write_text("mine\n")
    work(site, ann, 1)
    for _ in range(2):  # at once, and again after a while; in between it is quiet
        with pytest.raises(UserError, match=r"prefloop did not write it as it is now. Give another DIR .*, or move it"):
            delivery.look()
        assert not delivery.look()
        clock.now += AGAIN
    with pytest.raises(UserError, match="prefloop did not write it"):
        export.refuse_foreign(site)
    assert path.read_text() == "mine\n"
    path.unlink()
    clock.now += AGAIN
    assert delivery.look()
    export.refuse_foreign(site)
    for note in path.parent.glob(".*.written"):
        note.unlink()  # as older versions left it, or as a kill between the two left it
    export.refuse_foreign(site)
    work(site, ann, 1)
    assert Delivery(site).look()
    assert delivered(site) == ["c-0000", "c-0001"]
    path.write_text(path.read_text() + "\n")
    with pytest.raises(UserError, match="prefloop did not write it"):
        Delivery(site).look()


@on_sqlite
def test_edits_and_demonstrations_are_not_judgements_that_are_enough(site: Site):
    ask(site, enough=2, kinds=["demonstration", "pair"])
    fill(site, 3)
    delivery, ann = Delivery(site), user(site, "ann")
    for number in range(5):
        shown = queue.lease(site, ann, 1).presentations[0]
        kind = rows(site, item_table)[number].kind
        submit(site, ann, judged(shown, **({"text": "Mine."} if kind == "demonstration" else {"choice": "left"})))
        assert delivery.look() is (number == 3)  # demonstration, pair, demonstration, pair
    assert len(delivered(site)) == 2


@on_sqlite
def test_the_server_that_ends_writes_what_it_kept_back(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("prefloop.web.app.EVERY", 0.01)
    ask(site, enough=1)
    fill(site, 2)
    ann = user(site, "ann")
    work(site, ann, 1)
    with client(site) as speaker:
        for _ in range(500):
            with contextlib.suppress(FileNotFoundError):
                export.target(site).stat()
                break
            assert speaker.get("/login").status_code == 200
        work(site, ann, 1)
    assert len(delivered(site)) == 2


def test_a_line_of_the_folders_file_that_is_no_comparison_is_passed_over(tmp_path: Path):
    path = tmp_path / "comparisons.jsonl"
    path.write_text('{"id": "a"}\n[]\nno\n{"id": 3}\n')
    assert export._named_in(path, 0, 0) == {"a"}
