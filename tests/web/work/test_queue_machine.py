"""Whatever people do, in any order, while the clock jumps: nothing over-collected, no answer lost, nothing stuck."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from prefloop.web.config import WebConfig
from prefloop.web.errors import Refusal
from prefloop.web.store import chain
from prefloop.web.store.database import Database
from prefloop.web.store.site import Site
from prefloop.web.store.tables import cursors, items, judgements, presentations
from prefloop.web.work import judging, queue
from prefloop.web.work.judging import Judged
from web.acts import Clock, ask, check_counts, fill, judged, rows, submit, user, work

SOURCE: list[Path] = []
PEOPLE = st.integers(0, 3)
CHOICES = st.sampled_from(["left", "right", "tie"])


def only(problem: Refusal, code: str) -> None:
    """Fails if it was refused for another reason."""
    assert problem.code == code


class Annotators(RuleBasedStateMachine):
    """Four annotators, five items."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copyfile(SOURCE[0], self.folder / "x.sqlite")
        self.clock = Clock()
        database = Database(f"sqlite:///{self.folder}/x.sqlite")
        self.site = Site(
            database=database, config=WebConfig(password_memory_kb=64), folder=self.folder, clock=self.clock
        )
        self.sent: list[Judged] = []
        self.shown: list[tuple[int, str]] = []

    def teardown(self) -> None:
        self.site.database.close()
        shutil.rmtree(self.folder)

    @initialize(overlap=st.integers(1, 3), adaptive=st.booleans())
    def begin(self, overlap: int, adaptive: bool) -> None:
        ask(self.site, overlap={"judgements": overlap, "adaptive": adaptive})
        self.overlap = overlap
        fill(self.site, 5, tags=("t",))
        self.people = [user(self.site, f"u{i}", tags=("t",) if i == 3 else ()) for i in range(4)]

    @rule(who=PEOPLE, count=st.integers(1, 3))
    def lease(self, who: int, count: int) -> None:
        served = queue.lease(self.site, self.people[who], count)
        assert len(served.presentations) <= count
        assert (served.empty is None) == bool(served.presentations)
        self.shown += [(who, entry) for entry in served.presentations if (who, entry) not in self.shown]

    @precondition(lambda self: self.shown)
    @rule(data=st.data(), choice=CHOICES)
    def answer(self, data: st.DataObject, choice: str) -> None:
        who, shown = data.draw(st.sampled_from(self.shown))
        what = judged(shown, choice=choice)
        try:
            submit(self.site, self.people[who], what)
            self.sent.append(what)
        except Refusal as problem:
            only(problem, "answered")

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        what = data.draw(st.sampled_from(self.sent))
        who = next(who for who, shown in self.shown if shown == what.presentation)
        assert submit(self.site, self.people[who], what)["judgement"] == what.id

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), choice=CHOICES)
    def revise(self, data: st.DataObject, choice: str) -> None:
        what = data.draw(st.sampled_from(self.sent))
        who = next(who for who, shown in self.shown if shown == what.presentation)
        new = judged(what.presentation, choice=choice)
        try:
            self.site.database.write(lambda c: judging.revise(c, self.site, self.people[who], what.id, new))
            self.sent.append(new)
        except Refusal as problem:
            only(problem, "revised")

    @precondition(lambda self: self.shown)
    @rule(data=st.data())
    def skip(self, data: st.DataObject) -> None:
        who, shown = data.draw(st.sampled_from(self.shown))
        try:
            self.site.database.write(lambda c: judging.skip(c, self.site, self.people[who], shown, "unclear", ""))
        except Refusal as problem:
            only(problem, "answered")

    @rule(minutes=st.sampled_from([1, 20, 31, -60]))
    def wait(self, minutes: int) -> None:
        self.clock.now += minutes * 60

    @invariant()
    def counts_are_true(self) -> None:
        check_counts(self.site)
        kept = {row.id: row for row in rows(self.site, judgements)}
        assert set(kept) == {what.id for what in self.sent}
        for item in rows(self.site, items):
            first = {row.presentation for row in kept.values() if row.item == item.id and row.counted}
            assert item.done == len(first) <= self.overlap + item.extended

    @invariant()
    def nothing_is_stuck(self) -> None:
        """An annotator who has not had an item that needs somebody gets one."""
        had = {(row.item, row.user) for row in rows(self.site, presentations) if row.state != "expired"}
        for item in rows(self.site, items):
            assert item.needed == 0 or all(
                self._can_reach(item, who.id) for who in self.people if (item.id, who.id) not in had
            )

    def _can_reach(self, item: Any, who: int) -> bool:
        mine = rows(self.site, cursors, cursors.c.user == who, cursors.c.purpose == "work")
        return not mine or item.place > mine[0].place


@pytest.fixture
def source(empty_sqlite: Path) -> Iterator[None]:
    """Where the machine copies its databases from."""
    SOURCE[:] = [empty_sqlite]
    yield
    SOURCE.clear()


def test_annotators_in_any_order(source: None):
    phases = (Phase.explicit, Phase.generate)  # shrinking takes minutes
    many = settings(max_examples=15, stateful_step_count=25, deadline=None, database=None, phases=phases)
    run_state_machine_as_test(Annotators, settings=settings(many, suppress_health_check=list(HealthCheck)))


def test_after_any_mess_everything_is_collected(site: Site, clock: Clock):
    ask(site, overlap={"judgements": 2})
    fill(site, 12)
    people = [user(site, f"u{i}") for i in range(4)]
    for turn in range(30):
        who = people[turn % 4]
        served = queue.lease(site, who, 1 + turn % 3)
        if turn % 3 == 0 and served.presentations:
            submit(site, who, judged(served.presentations[0]))
        clock.now += (0, 40 * 60, -5 * 60)[turn % 3]
    clock.now += 40 * 60
    for who in people:
        work(site, who)
    assert [row.done for row in rows(site, items)] == [2] * 12
    with site.database.reading() as connection:
        assert chain.verify(connection) > 24
