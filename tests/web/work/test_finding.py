"""Items are found by what they say, a page at a time, and made gold with the answer that people gave."""

import pytest

from prefloop.records import Message
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items as item_table
from prefloop.web.store.tables import judgements
from prefloop.web.work import finding, intake
from prefloop.web.work.finding import Found, Sought, found
from web.acts import ask, check_counts, check_log, comparison, fill, mark, rows, signed_in, user, work


def find(site: Site, *, after: int = 0, limit: int = 50, **sought: object) -> Found:
    """A page of items."""
    with site.database.reading() as connection:
        return found(connection, Sought(**sought), after=after, limit=limit)  # type: ignore[arg-type]


def of(page: Found) -> list[str]:
    """Their comparisons."""
    return [row["comparison"] for row in page.items]


CASES = [
    ({"words": "PARCEL **7**"}, ["c-0007"]), ({"words": "answer 1 to 3."}, ["c-0003"]), ({"words": "c-000"}, 10),
    ({"words": "user"}, []), ({"words": "role"}, []), ({"words": "100%"}, ["odd"]), ({"words": "_"}, ["odd"]),
    ({"words": '"日本" \\'}, ["odd"]), ({"words": "nothing"}, []), ({"comparison": "c-0004"}, ["c-0004"]),
    ({"number": 2}, ["c-0001"]), ({"comparison": "c-00"}, []), ({"kind": "ranking"}, []), ({"state": "judged"}, 3),
    ({"state": "unjudged", "words": "c-00"}, 9), ({"state": "waiting"}, 9), ({"state": "held"}, []),
    ({"purpose": "gold"}, ["c-0011"]), ({"state": "retired"}, ["c-0011"]),
]  # fmt: skip


def test_items_are_found_by_words_number_comparison_and_state(site: Site):
    ask(site, checks={"gold_first": 0, "gold_every": 0})
    fill(site, 12)
    asked = Message(role="user", content='A "日本" \\ way_of 100% ...')
    odd = comparison(99).model_copy(update={"id": "odd", "messages": (asked,)})
    site.database.write(lambda c: intake.take_in(c, site, [odd], actor="test"))
    mark(site, "c-0011")
    assert work(site, user(site, "ann"), 3) == 3
    for sought, expected in CASES:
        names = of(find(site, **sought))
        assert (len(names) if isinstance(expected, int) else names) == expected, sought
    (seen,) = find(site, words="answer 1 to 3.").items
    assert seen["texts"] == ["Answer 0 to 3.", "Answer 1 to 3."]
    assert seen["prompt"] == "Where is parcel **3**?"


def test_pages_hold_everything_once_and_a_search_looks_at_a_bounded_number(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(finding, "LOOKED", 6)
    monkeypatch.setattr(finding, "TOGETHER", 3)
    fill(site, 20)
    for sought, limit, calls in (({}, 4, 5), ({"words": "parcel"}, 7, 4), ({"words": "parcel **19**"}, 4, 4)):
        names, after, number = [], 0, 0
        while after is not None:
            page = find(site, after=after, limit=limit, **sought)
            assert page.looked <= 9
            assert len(page.items) <= limit
            names, after, number = names + of(page), page.next, number + 1
        assert names == (["c-0019"] if "words" in sought and "19" in str(sought) else sorted(set(names)))
        assert len(names) in (1, 20)
        assert number == calls, sought


def test_an_item_becomes_gold_with_the_answer_it_was_given_and_keeps_its_judgements(site: Site):
    ask(site, overlap={"judgements": 3}, checks={"gold_first": 0, "gold_every": 0})
    fill(site, 2)
    lead = signed_in(site, "lead", "lead")
    path = "/api/v1/items/1/gold"
    assert "Nobody has judged item 1" in lead.post(path, json={}).json()["error"]["message"]
    for name, answer in (("a", "tie"), ("b", "both_bad"), ("c", "tie")):
        work(site, user(site, name), choice=answer)
        if name == "b":
            says = lead.post(path, json={}).json()["error"]["message"]
            assert says.startswith("People differ about item 1")
            assert '{"choice":"tie"} (1)' in says
    (shown,) = lead.get("/api/v1/items", params={"number": 1}).json()["items"]
    assert sorted(said["choice"] for said in shown["said"]) == ["both_bad", "tie", "tie"]
    answer = lead.post(path, json={"explanation": "because"}).json()
    assert (answer["new"], answer["expected"]) == (True, {"choice": "tie"})
    (gold,) = lead.get("/api/v1/items", params={"purpose": "gold"}).json()["items"]
    assert (gold["id"], gold["expected"]["answer"]) == (answer["item"], {"choice": "tie"})
    assert [row.retired for row in rows(site, item_table, item_table.c.purpose == "work")] == [True, False]
    assert all(row.counted for row in rows(site, judgements))
    again = lead.post(path, json={"expected": {"best": 1}, "purpose": "gold"}).json()
    assert (again["item"], again["new"], again["expected"]) == (gold["id"], False, {"best": 1})
    assert lead.post(f"/api/v1/items/{gold['id']}/gold", json={}).json()["expected"] == {"best": 1}
    assert lead.post("/api/v1/items/77/gold", json={}).status_code == 404
    assert lead.post(path, json={"expected": {"best": 7}}).status_code == 422
    check_counts(site)
    check_log(site)
