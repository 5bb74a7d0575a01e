"""A lead's ruling alone speaks, of every kind: in the next stage's file, in the exports, and its newest revision."""

from pathlib import Path
from typing import Any

import pytest

from prefloop.decisions import decided
from prefloop.files.tables import read_records
from prefloop.records import Comparison, Judgement
from prefloop.web.errors import Refusal
from prefloop.web.exchange import export, outcomes
from prefloop.web.review import adjudication
from prefloop.web.review.adjudication import Wanted
from prefloop.web.security.accounts import User
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items, presentations
from prefloop.web.work import judging, presenting, queue
from prefloop.web.work.answers import as_shown
from web.acts import Clock, ask, check_counts, fill, judged, presented, rows, signed_in, submit, user
from web.crowd import on_sqlite

SAYS: dict[str, list[dict[str, Any]]] = {
    "pair": [{"best": 0}, {"best": 1}, {"choice": "tie"}],
    "ranking": [{"ranks": [1, 2]}, {"ranks": [2, 1]}, {"ranks": [1, 1]}],
    "rating": [{"ratings": {"helpful": [5, 1]}}, {"ratings": {"helpful": [1, 5]}}, {"ratings": {"helpful": [3, 3]}}],
    "thumb": [{"thumbs": [True, False]}, {"thumbs": [False, True]}, {"thumbs": [True, True]}],
}
"""Kind -> what one annotator says, the other, and the lead."""


def decide(site: Site, who: User, meaning: dict[str, Any], kind: str, purpose: str = "work") -> tuple[str, str]:
    """Judges the next item, saying this of the responses. Returns: (presentation, judgement)."""
    (given,) = queue.lease(site, who, 1, purpose=purpose).presentations
    what = judged(given, **as_shown(kind, meaning, presented(site, given).order))
    submit(site, who, what)
    return given, what.id


def differ_and_ask_the_lead(site: Site, kind: str) -> User:
    """Two people contradict each other about one comparison, and it goes to adjudication. Returns: the lead."""
    ask(site, kinds=[kind], overlap={"judgements": 2})
    fill(site, 1)
    for name, meaning in zip(("ann", "bob"), SAYS[kind][:2], strict=True):
        decide(site, user(site, name), meaning, kind)
    site.database.write(lambda c: adjudication.send(c, site, Wanted(), actor="lead"))
    return user(site, "lead", "lead")


def written(site: Site, path: Path) -> list[Judgement]:
    """What the next stage reads."""
    assert export.write_judgements(site, path)
    return read_records(path, Judgement)


@pytest.mark.parametrize("kind", SAYS)
@on_sqlite
def test_a_ruling_silences_the_annotators_of_its_item(site: Site, tmp_path: Path, kind: str):
    lead = differ_and_ask_the_lead(site, kind)
    assert sorted(row.annotator for row in written(site, tmp_path / "j.jsonl")) == ["ann", "bob"]
    decide(site, lead, SAYS[kind][2], kind, "adjudication")
    assert [row.annotator for row in written(site, tmp_path / "j.jsonl")] == ["lead"]


def test_the_next_stage_decides_as_the_lead_ruled_and_as_they_changed_their_mind(site: Site, tmp_path: Path):
    lead = differ_and_ask_the_lead(site, "pair")
    shown, first = decide(site, lead, {"best": 1}, "pair", "adjudication")

    def outcome() -> list[tuple[int | None, int]]:
        with site.database.reading() as connection:
            known: list[Comparison] = list(export.compared(connection))
            exported = outcomes.aggregated(outcomes.gathered(connection), "majority")
        collected = decided(known, written(site, tmp_path / "j.jsonl"))
        mine = [
            [(row.chosen_index, row.num_judgements) for row in result.preferences] for result in (collected, exported)
        ]
        assert mine[0] == mine[1]
        return mine[0]

    assert outcome() == [(1, 1)]
    order = presented(site, shown).order
    newer = judged(shown, **as_shown("pair", {"best": 0}, order))
    site.database.write(lambda c: judging.revise(c, site, lead, first, newer))
    assert outcome() == [(0, 1)]
    site.database.write(lambda c: judging.revise(c, site, lead, newer.id, judged(shown, choice="both_bad")))
    assert outcome() == []


@pytest.mark.parametrize("ruled", ["pair", "ranking"])
@on_sqlite
def test_a_ruling_is_heard_alone_against_judgements_of_another_kind(site: Site, tmp_path: Path, ruled: str):
    """Pairs differ and rankings agree, or vice versa; the lead rules against all. File, export and collect agree."""
    ask(site, kinds=["pair", "ranking"], overlap={"judgements": 2})
    fill(site, 1)
    people = [user(site, name) for name in ("ann", "bob")]
    for turn, who in enumerate(people):
        for kind in ("pair", "ranking"):
            decide(site, who, SAYS[kind][turn if kind == ruled else 1], kind)
    site.database.write(lambda c: adjudication.send(c, site, Wanted(), actor="lead"))
    decide(site, user(site, "lead", "lead"), SAYS[ruled][0], ruled, "adjudication")
    file = written(site, tmp_path / "j.jsonl")
    assert sorted((row.annotator, row.kind == ruled, row.ruling) for row in file) == [
        ("ann", False, False), ("bob", False, False), ("lead", True, True)
    ]  # fmt: skip
    with site.database.reading() as connection:
        known = list(export.compared(connection))
        gathered = outcomes.gathered(connection)
    (collected,) = decided(known, file).preferences
    assert (collected.chosen_index, collected.agreement, collected.num_judgements) == (0, 1.0, 1)
    assert [vote.side for vote in collected.votes] == ["chosen"]
    ways: tuple[outcomes.Way, ...] = ("majority", "weighted", "dawid_skene", "crowd_bt")
    for way in ways:
        assert outcomes.aggregated(gathered, way).preferences == (collected,)


def test_one_item_is_opened_before_the_others(site: Site):
    """What the lead held goes back with its draft; what another lead holds, or is decided, is refused."""
    ask(site, kinds=["pair"], overlap={"judgements": 2})
    fill(site, 5)
    for who, best in ((user(site, "ann"), 0), (user(site, "bob"), 1)):
        for _ in range(5):
            decide(site, who, {"best": best}, "pair")
    site.database.write(lambda c: adjudication.send(c, site, Wanted(), actor="lead"))
    lea, max_ = user(site, "lea", "lead"), user(site, "max", "lead")

    def held(who: User) -> dict[int, str]:
        return {
            row.item: row.id
            for row in rows(site, presentations, presentations.c.user == who.id, presentations.c.state == "leased")
        }

    def take(who: User, number: int) -> str:
        return site.database.write(lambda c: queue.take(c, site, who, number, purpose="adjudication"))

    first = queue.lease(site, lea, 3, purpose="adjudication").presentations
    numbers = [row.id for row in rows(site, items, items.c.purpose == "adjudication")]
    draft = next(iter(held(lea).items()))
    site.database.write(lambda c: judging.keep_draft(c, site, lea, draft[1], {"note": "half"}))
    last = next(number for number in numbers if number not in held(lea))
    mine = take(lea, last)
    assert held(lea) == {last: mine}
    assert take(lea, last) == mine
    check_counts(site)
    assert queue.lease(site, lea, 3, purpose="adjudication").presentations[0] == mine
    assert take(lea, draft[0]) == draft[1] in first
    assert presented(site, draft[1]).draft == {"note": "half"}
    for who, number in ((max_, draft[0]), (max_, 10_000), (max_, 1)):  # with somebody else; nowhere; work
        with pytest.raises(Refusal) as refused:
            take(who, number)
        assert refused.value.code == ("taken" if number == draft[0] else "not_found")
    for _ in range(2):
        assert queue.lease(site, lea, 3, purpose="adjudication").presentations[0] == draft[1]
    decide(site, lea, {"best": 0}, "pair", "adjudication")
    with pytest.raises(Refusal, match="answered already"):
        take(lea, draft[0])
    check_counts(site)


def test_an_item_answered_too_late_is_not_opened_again(site: Site, clock: Clock):
    """Lea's lease runs out, Max takes the item, Lea answers late, Max skips: it is anybody's to decide but Lea's."""
    differ_and_ask_the_lead(site, "pair")
    lea, max_ = user(site, "lea", "lead"), user(site, "max", "lead")
    late = queue.lease(site, lea, 1, purpose="adjudication").presentations[0]
    clock.now += 86400
    queue.expire(site)
    other = queue.lease(site, max_, 1, purpose="adjudication").presentations[0]
    assert not submit(site, lea, judged(late))["counted"]
    site.database.write(lambda c: judging.skip(c, site, max_, other, "unsure", ""))
    number = presented(site, late).item
    with pytest.raises(Refusal, match="answered already"):
        site.database.write(lambda c: queue.take(c, site, lea, number, purpose="adjudication"))
    assert presented(site, late).state == "answered"
    assert site.database.write(lambda c: queue.take(c, site, max_, number, purpose="adjudication")) == other
    check_counts(site)


def test_opening_one_item_is_for_leads(site: Site):
    differ_and_ask_the_lead(site, "pair")
    number = rows(site, items, items.c.purpose == "adjudication")[0].id
    assert signed_in(site, "eve", "annotator").post(f"/api/v1/lead/adjudication/{number}").status_code == 403
    answer = signed_in(site, "kim", "lead").post(f"/api/v1/lead/adjudication/{number}").json()
    assert presented(site, answer["presentation"]).item == number


def test_a_vote_that_is_not_over_is_not_adjudicated(site: Site):
    """Two of three differ: the third is asked first."""
    ask(site, kinds=["pair"], overlap={"judgements": 3})
    fill(site, 1)
    people = [user(site, name) for name in ("ann", "bob", "cat")]
    decide(site, people[0], {"best": 0}, "pair")
    decide(site, people[1], {"best": 1}, "pair")
    assert site.database.write(lambda c: adjudication.send(c, site, Wanted(), actor="lead"))["disagreement"] == 0
    shown = queue.lease(site, people[2], 1).presentations[0]
    assert site.database.write(lambda c: adjudication.send(c, site, Wanted(), actor="lead"))["disagreement"] == 0
    submit(site, people[2], judged(shown, choice="tie"))
    assert site.database.write(lambda c: adjudication.send(c, site, Wanted(), actor="lead"))["disagreement"] == 1


def test_what_is_left_is_told_of_the_queue_that_one_is_in(site: Site):
    ask(site, kinds=["pair"], overlap={"judgements": 2})
    fill(site, 6)
    people = [user(site, name) for name in ("ann", "bob")]
    for who, best in zip(people, (0, 1), strict=True):
        for _ in range(3):
            decide(site, who, {"best": best}, "pair")
    site.database.write(lambda c: adjudication.send(c, site, Wanted(), actor="lead"))
    lead = user(site, "lead", "lead")

    def left(purpose: str, count: int) -> int:
        shown = queue.lease(site, lead, count, purpose=purpose).presentations
        with site.database.reading() as connection:
            return presenting.sent(connection, lead, shown, site.clock())[0]["progress"]["left"]

    assert left("adjudication", 1) == 2
    assert left("work", 1) == 10  # in tens, or it would tell which items are gold


def test_what_somebody_had_is_not_left_for_them(site: Site):
    ask(site, kinds=["pair"], overlap={"judgements": 2})
    fill(site, 3)
    ann, bob = user(site, "ann"), user(site, "bob")
    for _ in range(3):
        decide(site, ann, {"best": 0}, "pair")
    shown = queue.lease(site, bob, 1).presentations[0]
    site.database.write(lambda c: judging.skip(c, site, bob, shown, "unsure", ""))  # goes behind all cursors
    with site.database.reading() as connection:
        assert queue.num_left(connection, ann, purpose="work", most=100) == 0
        assert queue.num_left(connection, bob, purpose="work", most=100) == 2
