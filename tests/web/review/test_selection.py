"""Choosing what to ask, adjudication, and scores: exact probabilities, floors that hold, nothing lost."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefloop.errors import UserError
from prefloop.web.exchange import score_files
from prefloop.web.review import adjudication, dashboard, diversity, reward_scores, selection
from prefloop.web.review.adjudication import Wanted
from prefloop.web.review.dashboard import Targets, change_targets
from prefloop.web.review.selection import Candidates, Choice
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items, judgements
from prefloop.web.work import queue
from web.acts import (
    ask,
    check_counts,
    check_log,
    comparison,
    fill,
    item_of,
    judged,
    rows,
    side,
    signed_in,
    submit,
    user,
    work,
)
from web.crowd import honest, let_work, on_sqlite


def some(number: int, tag_every: int = 0, thinned: int = 1) -> Candidates:
    """Candidates without a database."""
    tags = tuple(("red",) if tag_every and n % tag_every == 0 else () for n in range(number))
    return Candidates(tuple(range(number)), tuple(f"c-{n}" for n in range(number)), ((0, 1),) * number, tags, thinned)


def test_probabilities_are_the_frequencies():
    """Over 4,000 draws each item comes as often as the probability that is kept with it says."""
    result, scores = some(20), {"longest": np.arange(20.0) ** 2}
    times, answer = np.zeros(20), np.zeros(20)
    for seed in range(4000):
        chosen = selection.sampled(result, scores, Choice(num=5, shares={"random": 0.4, "longest": 0.6}, seed=seed), {})
        assert len(chosen) == 5
        for place, (_, probability) in chosen.items():
            times[place] += 1
            answer[place] = probability
    spread = np.sqrt(answer * (1 - answer) / 4000)
    assert np.all(np.abs(times / 4000 - answer) <= 4.5 * spread + 1e-9)
    assert answer.min() >= 0.4 * 5 / 20 - 1e-9


def test_a_tag_short_of_its_floor_gets_it_with_a_known_probability():
    chosen = selection.sampled(some(100, tag_every=10), {}, Choice(num=20, shares={"random": 1.0}), {"red": 6})
    red = {place: answer for place, answer in chosen.items() if place % 10 == 0}
    assert len(red) == 6
    assert all(answer == ("floor:red", pytest.approx(0.6)) for answer in red.values())
    assert all(answer == ("random", pytest.approx(14 / 90)) for place, answer in chosen.items() if place % 10)


def test_a_thinned_pool_tells_its_probability_too():
    chosen = selection.sampled(some(10, thinned=4), {}, Choice(num=5, shares={"random": 1.0}), {})
    assert set(chosen.values()) == {("random", 0.125)}


def test_alike_texts_have_like_vectors():
    near = diversity.vectors(["where is my parcel", "where is my parcel now", "写一首关于秋天的诗"])
    assert np.allclose(np.linalg.norm(near, axis=1), 1)
    assert near[0] @ near[1] > 0.5 > near[0] @ near[2]


def test_chosen_items_come_first_and_the_rest_waits_until_it_is_released(site: Site):
    fill(site, 30, tags=("t",))
    who = user(site, "a")
    assert work(site, who, 4) == 4
    answer = selection.choose(site, Choice(num=6, shares={"random": 1.0}), actor="lead")
    assert (answer["chosen"], answer["of"]) == (6, 26)
    waiting = rows(site, items, items.c.needed > 0)
    assert {(row.strategy, round(row.probability, 6)) for row in waiting} == {("random", round(6 / 26, 6))}
    assert work(site, user(site, "b", tags=("t",)), 2) == 2
    assert work(site, who) == 4
    assert queue.lease(site, who, 1).empty == "done"
    with site.database.reading() as connection:
        assert dashboard.progress(connection)["held"] == 20
    assert site.database.write(lambda c: selection.release(c, site, actor="lead")) == 20
    with site.database.reading() as connection:
        assert dashboard.progress(connection)["held"] == 0
    assert work(site, who) == 20
    assert {row.done for row in rows(site, items)} == {1}
    check_counts(site)


def scored(tmp_path: Path, site: Site, model: str, margins: dict[str, float]) -> dict[str, object]:
    """Brings in margins of a model."""
    path = tmp_path / f"{model}.jsonl"
    path.write_text("".join(json.dumps({"comparison": name, "margin": gap}) + "\n" for name, gap in margins.items()))
    return score_files.from_file(site, path, model=model, actor="lead", skip=False)


@on_sqlite
def test_strategies_favour_what_they_should(site: Site, tmp_path: Path):
    fill(site, 40)
    names = [comparison(n).id for n in range(40)]
    scored(tmp_path, site, "one", {name: 5.0 * (n == 7) for n, name in enumerate(names)})
    scored(tmp_path, site, "two", {name: -5.0 * (n == 7) + 9.0 * (n == 9) for n, name in enumerate(names)})
    with site.database.reading() as connection:
        result = selection.candidates(connection, 0)
        shares = {
            "random": 0.2, "disagreement": 0.2, "rise": 0.2, "longest": 0.2, "diversity": 0.1,
            "out_of_distribution": 0.1,
        }  # fmt: skip
        answer, by = selection.opinions(connection, result, Choice(num=10, shares=shares, rise=["one", "two"]))
    assert result.names[int(answer["disagreement"].argmax())] == names[7]
    assert result.names[int(answer["rise"].argmax())] in (names[9], names[7])
    assert answer["diversity"].sum() == 1
    assert by is None
    assert answer["longest"].min() > 0


def embedded(tmp_path: Path, site: Site, model: str, places: dict[str, list[float]], **more: Any) -> dict[str, Any]:
    """Brings in scores with embeddings; both responses of a comparison lie at the same distance from its place."""
    path = tmp_path / f"{model}.jsonl"
    moved = [(f"{name}:{i}", [x + (1 - 2 * i) * 0.25 for x in place]) for name, place in places.items() for i in (0, 1)]
    path.write_text(
        "".join(json.dumps({"id": name, "score": 0.5, "embedding": place, **more}) + "\n" for name, place in moved)
    )
    return score_files.from_file(site, path, model=model, actor="lead", skip=False)


def test_diversity_goes_by_embeddings_where_all_have_one(site: Site, tmp_path: Path):
    """Two far apart from the rest are chosen; the same comparisons look alike by their words."""
    fill(site, 12)
    names = [comparison(n).id for n in range(12)]
    places = {name: [float(n == 4) * 100, float(n == 8) * 90, n * 0.01] for n, name in enumerate(names)}

    def chosen() -> tuple[set[str], str]:
        with site.database.reading() as connection:
            marks, by = diversity.spread(connection, names, 3)
        return {name for name, mark in zip(names, marks, strict=True) if mark}, by

    assert embedded(tmp_path, site, "some", dict(list(places.items())[:-1]))["added"] == 22
    assert chosen()[1] is None  # of one comparison it is not known where it is
    embedded(tmp_path, site, "seen", places)
    assert {names[4], names[8]} < chosen()[0]
    assert chosen()[1] == "seen"
    answer = selection.choose(site, Choice(num=5, shares={"random": 0.2, "diversity": 0.8}), actor="lead")
    assert answer["diversity_by"] == "seen"
    with site.database.reading() as connection:
        assert reward_scores.models(connection)[0] == {"model": "seen", "scores": 24, "embeddings": 24}
        assert reward_scores.margin(reward_scores.scores_of(connection, names)["seen"], names[0], (0, 1)) == 0
    scored(tmp_path, site, "seen", dict.fromkeys(names, 1.0))  # newer scores without embeddings
    assert chosen()[1] is None


@on_sqlite
@pytest.mark.parametrize("wrong", [[], [1.0, "x"], [True], [float("nan")], [1e300], [0.0] * 1025, "x", {}, [[1.0]]])
def test_an_embedding_that_is_none_is_refused_with_its_place(site: Site, tmp_path: Path, wrong: Any):
    fill(site, 2)
    with pytest.raises(UserError, match=r"bad\.jsonl:1: `embedding` should be a list of 1 to 1024 finite numbers"):
        embedded(tmp_path, site, "bad", {comparison(0).id: [0.0]}, embedding=wrong)


@on_sqlite
def test_embeddings_of_two_lengths_are_refused(site: Site, tmp_path: Path):
    fill(site, 2)
    with pytest.raises(UserError, match=r"two\.jsonl:3: `embedding` has 1 numbers, but those before have 2"):
        embedded(tmp_path, site, "two", {comparison(0).id: [0.0, 1.0], comparison(1).id: [0.0]})


@on_sqlite
def test_what_people_differ_about_goes_to_the_lead_and_what_a_model_doubts(site: Site, tmp_path: Path):
    ask(site, overlap={"judgements": 2})
    fill(site, 4)
    for name, wanted in (("a", (0, 0, 0, 0)), ("b", (0, 0, 0, 1))):
        who = user(site, name)
        while served := queue.lease(site, who, 1).presentations:
            best = wanted[int(item_of(site, served[0]).comparison[-1])]
            submit(site, who, judged(served[0], choice=side(site, served[0], best)))
    scored(tmp_path, site, "rm", {"c-0000": 4.0, "c-0001": -4.0, "c-0002": -0.5})
    for number in (1, 0):
        made = site.database.write(lambda c: adjudication.send(c, site, Wanted(), actor="lead"))
        assert made == {"disagreement": number, "reward_model": number}
    lead = signed_in(site, "lead", "lead")
    listed = lead.get("/api/v1/lead/adjudication").json()["items"]
    assert {row["comparison"]: row["why"] for row in listed} == {"c-0003": "disagreement", "c-0001": "reward_model"}
    assert all(row["margins"] == {} for row in listed)  # nothing of a model before the lead has decided
    assert queue.lease(site, user(site, "c"), 1).presentations == ()
    given = lead.post("/api/v1/leases", json={"count": 3, "purpose": "adjudication"}).json()["presentations"]
    assert len(given) == 2
    assert lead.get("/api/v1/lead/models").json()["accuracy"][0]["accuracy"] == pytest.approx(1 / 3, abs=1e-4)
    for language in ("en", "zh"):
        for path in ("/lead/adjudication", "/lead/advanced"):
            assert lead.get(path, headers={"Accept-Language": language}).status_code == 200


@on_sqlite
def test_bad_choices_and_bad_scores_are_refused_with_a_sentence(site: Site, tmp_path: Path):
    fill(site, 4)
    lead = signed_in(site, "lead", "lead")
    odd = ({"random": 0.1, "longest": 0.9}, {"random": 1.0, "magic": 0.0}, {"random": 2.0, "longest": -1.0})
    for shares in (*odd, {"longest": 1.0}, {}):
        answer = lead.post("/api/v1/lead/selection", json={"num": 2, "shares": shares})
        assert answer.status_code == 422, shares
    assert lead.post("/api/v1/lead/selection", json={"num": 0}).status_code == 422
    assert lead.post("/api/v1/lead/selection", json={"num": 3}).json()["chosen"] == 3
    assert lead.delete("/api/v1/lead/selection").json() == {"released": 1}
    path, bad = tmp_path / "s.jsonl", {"[1]": "expected an object", '{"id": "c-0000", "score": 1}': "COMPARISON:INDEX"}
    for line, says in {**bad, '{"id": "c-0000:1", "score": "x"}': "finite number"}.items():
        path.write_text(line)
        with pytest.raises(UserError, match=says):
            score_files.from_file(site, path, model="m", actor="lead", skip=False)
        assert score_files.from_file(site, path, model="m", actor="lead", skip=True)["left_out"] == 1


def test_scores_come_in_parts_and_the_older_ones_stay_until_each_has_a_newer(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(score_files, "TOGETHER", 3)
    fill(site, 5)
    names = [comparison(n).id for n in range(5)]
    scored(tmp_path, site, "m", dict.fromkeys(names, 2.0))
    scored(tmp_path, site, "other", dict.fromkeys(names, 8.0))
    write, left = site.database.write, [2]

    def stopped(work: Callable[[Any], Any]) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return write(work)

    def kept() -> list[float]:
        with site.database.reading() as connection:
            scores = reward_scores.scores_of(connection, names)
        assert len(scores["other"]) == 10
        return [abs(scores["m"][key]) for key in sorted(scores["m"])]

    with monkeypatch.context() as only:
        only.setattr(site.database, "write", stopped)
        with pytest.raises(KeyboardInterrupt):
            scored(tmp_path, site, "m", dict.fromkeys(names[:4], 4.0))
    assert kept() == [2.0] * 6 + [1.0] * 4
    assert scored(tmp_path, site, "m", dict.fromkeys(names[:4], 4.0))["added"] == 8
    assert kept() == [2.0] * 8  # the fifth comparison has no newer score
    (tmp_path / "none.jsonl").write_text("")
    with pytest.raises(UserError, match="the file has no rows"):
        score_files.from_file(site, tmp_path / "none.jsonl", model="m", actor="lead", skip=True)
    assert kept() == [2.0] * 8
    check_log(site)


def test_what_the_members_of_an_ensemble_quarrel_about_is_asked(site: Site, tmp_path: Path):
    """The file of `prefloop score`: of one comparison its members say opposite things; the score tells nothing."""
    fill(site, 12)
    names, path = [comparison(n).id for n in range(12)], tmp_path / "ensemble.jsonl"
    apart = {name: 3.0 if n == 7 else 0.0 for n, name in enumerate(names)}
    said = [(f"{name}:{i}", [(1 - 2 * i) * by, (2 * i - 1) * by]) for name, by in apart.items() for i in (0, 1)]
    lines = [json.dumps({"id": name, "score": 0.0, "members": each, "disagreement": each[0]}) for name, each in said]
    path.write_text("\n".join(lines))
    assert score_files.from_file(site, path, model="both", actor="lead", skip=False)["added"] == 24
    with site.database.reading() as connection:
        assert [model["model"] for model in reward_scores.models(connection)] == ["both", "both 0", "both 1"]
        pool = selection.candidates(connection, 0)
        by_name, _ = selection.opinions(connection, pool, Choice(num=1, shares={"random": 0.2, "disagreement": 0.8}))
    assert pool.names[int(by_name["disagreement"].argmax())] == names[7]
    assert sorted(by_name["disagreement"])[-2] == 0
    path.write_text(json.dumps({"id": f"{names[0]}:0", "score": 0.0, "members": [1, None]}))
    with pytest.raises(UserError, match=r"`members` should be a list of 1 to 64 finite numbers"):
        score_files.from_file(site, path, model="both", actor="lead", skip=False)


@on_sqlite
def test_floors_reach_the_queue(site: Site):
    fill(site, 20, tags=("red-team",))
    site.database.write(lambda c: change_targets(c, Targets(floors={"red-team": 8, "absent": 3}), actor="lead", at=0.0))
    answer = selection.choose(site, Choice(num=10, shares={"random": 1.0}), actor="lead")
    assert answer["reasons"] == {"floor:red-team": 10}
    assert any("absent" in problem for problem in answer["problems"])
    let_work(site, {"a": honest(random.Random(0))}, 12)
    assert len(rows(site, judgements)) == 10
