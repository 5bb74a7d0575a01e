"""Leases: nothing is over-collected, nothing is lost, everybody gets what is theirs, whoever races."""

import threading
from collections.abc import Callable

import pytest

from prefloop.web.store.site import Site
from prefloop.web.store.tables import items, judgements, presentations
from prefloop.web.work import queue
from prefloop.web.work.queue import due, lease
from web.acts import Clock, ask, check_counts, fill, judged, mark, rows, side, submit, user, work


def test_one_judgement_of_each_and_then_nothing(site: Site):
    fill(site, 5)
    assert work(site, user(site, "a")) == 5
    assert lease(site, user(site, "b"), 3).empty == "done"
    assert [row.done for row in rows(site, items)] == [1] * 5


@pytest.mark.parametrize("overlap", [2, 3])
def test_overlap_is_of_different_people(site: Site, overlap: int):
    ask(site, overlap={"judgements": overlap})
    fill(site, 4)
    people = [user(site, f"u{i}") for i in range(overlap + 1)]
    assert [work(site, who) for who in people] == [4] * overlap + [0]
    seen = [(row.item, row.user) for row in rows(site, judgements)]
    assert len(set(seen)) == len(seen) == 4 * overlap


def test_two_that_differ_want_a_third_and_two_that_agree_do_not(site: Site):
    ask(site, overlap={"judgements": 2, "adaptive": True})
    fill(site, 2)
    a, b, c = (user(site, name) for name in "abc")
    work(site, a, choice="tie")
    first = lease(site, b, 1).presentations[0]
    submit(site, b, judged(first, choice="tie"))
    submit(site, b, judged(lease(site, b, 1).presentations[0], choice="both_bad"))
    assert sorted(row.wanted for row in rows(site, items)) == [2, 3]
    assert work(site, c) == 1
    assert work(site, user(site, "d")) == 0
    check_counts(site)


def test_sides_agree_whatever_the_order(site: Site):
    """The same response preferred, once on the left and once on the right, is agreement."""
    ask(site, overlap={"judgements": 2, "adaptive": True})
    fill(site, 20)
    for who in (user(site, "a"), user(site, "b")):
        for _ in range(20):
            (shown,) = lease(site, who, 1).presentations
            submit(site, who, judged(shown, choice=side(site, shown, 0)))
    assert {row.wanted for row in rows(site, items)} == {2}
    assert {tuple(row.order) for row in rows(site, presentations)} == {(0, 1), (1, 0)}


def test_a_lease_that_runs_out_comes_back_to_others_and_its_late_answer_is_kept(site: Site, clock: Clock):
    fill(site, 1)
    a, b = user(site, "a"), user(site, "b")
    late = lease(site, a, 1).presentations[0]
    assert lease(site, b, 1).empty == "waiting"
    clock.now += 31 * 60
    fresh = lease(site, b, 1).presentations[0]
    assert submit(site, b, judged(fresh))["counted"]
    assert not submit(site, a, judged(late))["counted"]
    assert sorted(row.counted for row in rows(site, judgements)) == [False, True]
    assert rows(site, items)[0].done == 1
    check_counts(site)


def test_a_late_answer_that_does_not_count_asks_for_no_third(site: Site, clock: Clock):
    ask(site, overlap={"judgements": 2, "adaptive": True})
    fill(site, 1)
    late, b, c = (user(site, name) for name in ("late", "b", "c"))
    first = lease(site, late, 1).presentations[0]
    clock.now += 31 * 60
    held = [lease(site, who, 1).presentations[0] for who in (b, c)]
    assert not submit(site, late, judged(first, choice="both_bad"))["counted"]
    for who, shown in zip((b, c), held, strict=True):
        clock.now += 1
        submit(site, who, judged(shown, choice="tie"))
    assert rows(site, items)[0].wanted == 2


def test_a_late_answer_counts_if_nobody_took_the_place(site: Site, clock: Clock):
    fill(site, 1)
    a = user(site, "a")
    late = lease(site, a, 1).presentations[0]
    clock.now += 31 * 60
    assert queue.expire(site) == 1
    assert submit(site, a, judged(late))["counted"]
    assert work(site, user(site, "b")) == 0


def test_what_ran_out_comes_back_to_the_same_annotator_as_it_was(site: Site, clock: Clock):
    fill(site, 3)
    a = user(site, "a")
    before = lease(site, a, 3).presentations
    orders = {row.id: row.order for row in rows(site, presentations)}
    clock.now += 31 * 60
    assert sorted(lease(site, a, 3).presentations) == sorted(before)
    assert {row.id: row.order for row in rows(site, presentations)} == orders


def test_a_clock_that_jumps_back_prolongs_no_lease_by_more_than_its_length(site: Site, clock: Clock):
    fill(site, 1)
    lease(site, user(site, "a"), 1)
    clock.now -= 10 * 86400
    b = user(site, "b")
    assert lease(site, b, 1).empty == "waiting"
    clock.now += 30 * 60
    assert len(lease(site, b, 1).presentations) == 1


def test_open_presentations_come_first_and_are_not_leased_again(site: Site):
    fill(site, 4)
    a = user(site, "a")
    first = lease(site, a, 2).presentations
    assert lease(site, a, 3).presentations[:2] == first
    assert sum(row.leased for row in rows(site, items)) == 3


@pytest.mark.parametrize(("number", "held"), [(200, 10), (70, 7), (20, 3), (2, 2)])
def test_ten_are_held_ahead_only_while_much_is_left(site: Site, number: int, held: int):
    """Else whoever walks away keeps the last items from everybody for the length of a lease."""
    fill(site, number)
    bob = user(site, "bob")
    first = queue.lease(site, bob, 10).presentations
    assert len(first) == held
    assert queue.lease(site, bob, 10).presentations == first
    assert len(queue.lease(site, user(site, "carol"), 3).presentations) == min(3, number - held)
    check_counts(site)


def test_what_is_held_is_given_again_when_little_is_left(site: Site):
    fill(site, 120)
    ann, bob = user(site, "ann"), user(site, "bob")
    mine = queue.lease(site, bob, 10).presentations
    assert work(site, ann) >= 110  # silent repeats too
    assert queue.lease(site, bob, 10).presentations == mine
    assert submit(site, bob, judged(mine[0]))["counted"]
    assert queue.lease(site, bob, 10).presentations == mine[1:]


def test_gold_keeps_its_pace_when_ten_are_held(site: Site):
    """As many of the first hundred as one by one, and repeats are of what was answered some time ago."""
    ask(site, checks={"gold_first": 20, "gold_every": 10, "repeat_every": 10})
    fill(site, 400)
    for name in [f"c-{number:04d}" for number in range(30)]:
        mark(site, name)
    bob = user(site, "bob")
    for _ in range(15):
        for shown in queue.lease(site, bob, 10).presentations:
            submit(site, bob, judged(shown))
    purposes = {row.id: row.purpose for row in rows(site, items)}
    shown = rows(site, presentations)
    assert sum(purposes[row.item] == "gold" for row in shown if row.number <= 100) == 20
    again = [row for row in shown if row.repeat]
    assert len(again) >= 8
    first = {row.item: row.number for row in shown if not row.repeat}
    assert all(row.number > first[row.item] + 10 for row in again)
    check_counts(site)


def test_tags_say_who_may_judge_what(site: Site):
    fill(site, 3, tags=("zh",))
    reader, other = user(site, "zh", tags=("zh", "ja")), user(site, "en", tags=("en",))
    assert work(site, other) == 0
    assert work(site, reader) == 3
    check_counts(site)


def test_gold_is_frequent_first_and_then_rare(new_site: Callable[..., Site]):
    assert sum(due(7, "gold", n, 5) for n in range(100)) == 20
    assert [sum(due(7, "gold", 100 + 20 * block + n, 20) for n in range(20)) for block in range(5)] == [1] * 5
    assert {n % 5 for n in range(100) if due(7, "gold", n, 5)} == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("overlap", [1, 3])
def test_many_threads_collect_each_judgement_once(site: Site, overlap: int):
    ask(site, overlap={"judgements": overlap})
    fill(site, 24)
    people = [user(site, f"u{i}") for i in range(6)]
    problems: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(site, people[number])
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for who in people:  # what another held just then
        work(site, who)
    assert problems == []
    assert [row.done for row in rows(site, items)] == [overlap] * 24
    assert all(row.counted for row in rows(site, judgements))
    check_counts(site)
