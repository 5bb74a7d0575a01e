"""Exports: what people said is what training reads, whatever side it stood on, in every form."""

import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from prefloop.files.feedback import RECORD_OF, feedback_of
from prefloop.files.foreign import Reading, read_demonstrations, read_preferences
from prefloop.files.tables import read_records
from prefloop.records import Comparison, Demonstration, Preference, Ranking, Rated
from prefloop.web.exchange import outcome_files, outcomes
from prefloop.web.exchange.outcomes import Snapshot
from prefloop.web.store.site import Site
from prefloop.web.work import queue
from prefloop.web.work.votes import Vote
from web.acts import ask, comparison, fill, item_of, judged, mark, presented, signed_in, submit, user
from web.crowd import honest, let_work, on_sqlite, said, tosses

WAYS = ("majority", "weighted", "dawid_skene", "crowd_bt")


def of(facts: list[Vote], gold: dict[str, tuple[int, int]] | None = None) -> Snapshot:
    """Facts about ready-made comparisons."""
    known: dict[str, Comparison] = {
        row.comparison: comparison(row.item).model_copy(update={"id": row.comparison}) for row in facts
    }
    return Snapshot(tuple(facts), known, gold or {})


@pytest.mark.parametrize("way", WAYS)
def test_three_who_agree_decide_in_every_way(way: Any):
    facts = [
        said(n, who, n % 2, order=random.Random(n + who).choice([(0, 1), (1, 0)]))
        for n in range(12)
        for who in (1, 2, 3)
    ]
    result = outcomes.aggregated(of(facts), way)
    assert [row.chosen_index for row in result.preferences] == [n % 2 for n in range(12)]
    assert all(row.agreement == 1.0 and row.num_judgements == 3 and 0 < row.weight <= 1 for row in result.preferences)
    assert result.undecided == 0


def test_majority_leaves_a_tie_open_and_gold_breaks_it():
    """1 against 1: the majority is silent; log odds of 19/20 against 1/2 choose, p is 19/20 of (15 + 4) / (15 + 5)."""
    pair = [said(1, 1, 0), said(1, 2, 1)]
    assert outcomes.aggregated(of(pair), "majority").preferences == ()
    assert outcomes.aggregated(of(pair), "majority").undecided == 1
    result = outcomes.aggregated(of(pair, {"u1": (15, 15), "u2": (0, 5)}), "weighted")
    assert result.preferences[0].chosen_index == 0
    assert result.preferences[0].weight == pytest.approx(2 * 0.95 - 1)
    assert result.preferences[0].agreement == 0.5


@pytest.mark.parametrize("way", ["dawid_skene", "crowd_bt"])
def test_two_who_toss_coins_do_not_outvote_three_who_know(way: Any):
    rng = random.Random(2)
    facts = [said(n, who, 0 if rng.random() < right else 1, order=rng.choice([(0, 1), (1, 0)]))
             for n in range(150) for who, right in ((1, 0.95), (2, 0.95), (3, 0.95), (4, 0.5), (5, 0.5))]  # fmt: skip
    result = outcomes.aggregated(of(facts), way)
    accuracy = {row["name"]: row["accuracy"] for row in result.annotators}
    assert min(accuracy[f"u{n}"] for n in (1, 2, 3)) > max(accuracy["u4"], accuracy["u5"]) + 0.1
    right = [row.chosen_index == 0 for row in result.preferences]
    majority = [row.chosen_index == 0 for row in outcomes.aggregated(of(facts), "majority").preferences]
    assert sum(right) >= sum(majority)
    assert sum(right) / len(right) > 0.95


def test_a_side_bias_is_told_and_taken_out():
    rng = random.Random(4)
    facts = []
    for n in range(300):
        order = rng.choice([(0, 1), (1, 0)])
        facts += [
            said(n, 1, 0 if rng.random() < 0.9 else 1, order=rng.choice([(0, 1), (1, 0)])),
            said(n, 2, order[0], order=order),
        ]
    bias = {row["name"]: row["bias_to_left"] for row in outcomes.aggregated(of(facts), "crowd_bt").annotators}
    assert bias["u2"] > 1.0 > abs(bias["u1"])


@pytest.mark.parametrize("way", WAYS)
def test_the_lead_decides_where_people_differ(way: Any):
    facts = [said(1, 1, 0), said(1, 2, 0), said(1, 3, 1), said(1, 9, 1, purpose="adjudication")]
    preference = outcomes.aggregated(of(facts), way).preferences[0]
    assert (preference.chosen_index, preference.num_judgements) == (1, 1)
    assert (preference.weight, preference.agreement) == (1.0, 1.0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("choice", ["tie", "both_bad"])
def test_a_lead_who_sees_no_better_one_leaves_nothing_to_train_on(way: Any, choice: str):
    ruling = said(1, 9, None, purpose="adjudication", answer={"choice": choice}, meaning={"choice": choice})
    result = outcomes.aggregated(of([said(1, 1, 0), said(1, 2, 0), ruling]), way)
    assert (result.preferences, result.undecided) == ((), 1)


@pytest.mark.parametrize("kind", ["ranking", "rating", "thumb"])
def test_a_ruling_of_another_kind_speaks_alone_too(kind: str):
    name, theirs, ruling = {
        "ranking": ("ranks", [1, 2], [2, 1]), "thumb": ("thumbs", [True, False], [False, True]),
        "rating": ("ratings", {"helpful": [5, 1]}, {"helpful": [2, 4]}),
    }[kind]  # fmt: skip
    facts = [said(1, who, None, kind=kind, answer={name: theirs}, meaning={name: theirs}) for who in (1, 2, 3)]
    facts += [said(1, 9, None, kind=kind, answer={name: ruling}, meaning={name: ruling}, purpose="adjudication")]
    for way in WAYS:
        result = outcomes.aggregated(of(facts), way)
        assert [row.ranks for row in result.rankings] == ([(2, 1)] if kind == "ranking" else [])
        assert [row.chosen_index for row in result.preferences] == ([1] if kind == "ranking" else [])
        assert [row["attributes"]["helpful"] for row in result.mean_ratings] == ([2.0, 4.0] if kind == "rating" else [])
        thumbs = [(row["label"], row["num_judgements"]) for row in result.mean_thumbs]
        assert [(row.annotator, row.ratings) for row in result.ratings] == [
            ("u9", {"helpful": (2, 4)}) for _ in [0] if kind == "rating"
        ]
        assert [row.thumbs for row in result.thumbs] == ([(False, True)] if kind == "thumb" else [])
        assert thumbs == ([(False, 1), (True, 1)] if kind == "thumb" else [])


def test_rankings_of_several_people_become_one():
    orders = [[1, 2, 3], [1, 3, 2], [2, 1, 3]]
    three: dict[str, Any] = {"kind": "ranking", "responses": (0, 1, 2), "order": (0, 1, 2)}
    says = [{"ranks": ranks} for ranks in orders]
    facts = [said(1, who, None, answer=ranks, meaning=ranks, **three) for who, ranks in enumerate(says)]
    compared = {"c-1": comparison(1, responses=3).model_copy(update={"id": "c-1"})}
    result = outcomes.aggregated(Snapshot(tuple(facts), compared, {}), "majority")
    assert [(row.ranks, row.num_judgements) for row in result.rankings] == [((1, 2, 3), 3)]
    assert len(outcome_files.rows(result, "rankings", "trl")) == 3


def answer_of(kind: str, order: list[int]) -> dict[str, Any]:
    """Some answer of each kind; response 0 is the better one."""
    return {
        "pair": {"choice": "right" if order and order[0] else "left", "strength": 3},
        "ranking": {"ranks": [i + 1 for i in order]}, "rating": {"ratings": {"helpful": [5, 2]}},
        "thumb": {"thumbs": [True, False]}, "edit": {"slot": 1, "text": "Better."}, "demonstration": {"text": "Mine."},
    }[kind]  # fmt: skip


@on_sqlite
def test_every_kind_comes_out_in_every_form_and_can_be_read_again(site: Site, tmp_path: Path):
    kinds = ["pair", "ranking", "rating", "thumb", "edit", "demonstration"]
    ask(site, kinds=kinds)
    fill(site, 3, tags=("t",))
    who = user(site, "a")
    while served := queue.lease(site, who, 1).presentations:
        kind, order = item_of(site, served[0]).kind, list(presented(site, served[0]).order)
        submit(site, who, judged(served[0], **answer_of(kind, order)))
    lead = signed_in(site, "lead", "lead")
    answer = lead.get("/api/v1/export/manifest").json()
    assert {name: entry["rows"] for name, entry in answer["files"].items()} == {
        "preferences.jsonl": 3, "rankings.jsonl": 3, "ratings.jsonl": 3, "thumbs.jsonl": 3, "demonstrations.jsonl": 6,
        "edits.jsonl": 3,
    }  # fmt: skip
    for form in ("prefloop", "trl"):
        for what in outcome_files.WHATS:
            data = lead.get(f"/api/v1/export/{what}", params={"form": form})
            lines = [json.loads(line) for line in data.text.splitlines()]
            table = pyarrow.parquet.read_table(
                io.BytesIO(lead.get(f"/api/v1/export/{what}", params={"form": form, "format": "parquet"}).content)
            )
            assert [row["id"] for row in table.to_pylist()] == [row["id"] for row in lines]
            (tmp_path / f"{form}-{what}.jsonl").write_bytes(data.content)
    assert len(read_records(tmp_path / "prefloop-preferences.jsonl", Preference)) == 3
    assert read_records(tmp_path / "prefloop-rankings.jsonl", Ranking)[0].num_judgements == 1
    assert read_records(tmp_path / "prefloop-demonstrations.jsonl", Demonstration)[0].source == "a"
    edit = read_records(tmp_path / "prefloop-edits.jsonl", Preference)[0]
    assert edit.chosen == "Better."
    assert edit.rejected.startswith("Answer")
    assert len(read_preferences(tmp_path / "trl-preferences.jsonl").records) == 3
    assert len(read_demonstrations(tmp_path / "trl-demonstrations.jsonl").records) == 6
    for form, what in (("prefloop", "ratings"), ("prefloop", "thumbs"), ("prefloop", "rankings"), ("trl", "thumbs")):
        file = tmp_path / f"{form}-{what}.jsonl"
        assert feedback_of(file) == what
        records = [record for _, record in Reading(file, RECORD_OF[what])]
        assert (len(records), {type(record) for record in records}) == (3, {RECORD_OF[what]})
    ratings = read_records(tmp_path / "prefloop-ratings.jsonl", Rated)
    assert {(row.annotator, row.tags, tuple((row.ratings or {})["helpful"])) for row in ratings} <= {
        ("a", ("t",), (5, 2)), ("a", ("t",), (2, 5))
    }  # fmt: skip
    assert all(row.responses == tuple(sorted(row.responses)) for row in ratings)  # Answer 0 before Answer 1
    pair = next(
        entry for entry in read_records(tmp_path / "prefloop-preferences.jsonl", Preference) if entry.strength == 3
    )
    assert (pair.chosen_index, len(pair.votes)) == (0, 2)  # the ranking says it too


@on_sqlite
def test_the_manifest_changes_with_the_data_and_only_then(site: Site):
    ask(site, overlap={"judgements": 2})
    fill(site, 12)
    for name in ["c-0000", "c-0001"]:
        mark(site, name)
    let_work(site, {"a": honest(random.Random(1)), "b": tosses(random.Random(2))}, 5)
    lead = signed_in(site, "lead", "lead")
    manifest, same = (lead.get("/api/v1/export/manifest?aggregate=dawid_skene").json() for _ in range(2))
    assert manifest["content_hash"] == same["content_hash"]
    let_work(site, {"c": honest(random.Random(1))}, 5)
    assert lead.get("/api/v1/export/manifest?aggregate=dawid_skene").json()["content_hash"] != manifest["content_hash"]
    packed = lead.get("/api/v1/export/bundle?aggregate=weighted&form=trl&format=parquet")
    names = zipfile.ZipFile(io.BytesIO(packed.content)).namelist()
    assert names == ["manifest.json", "preferences.parquet"]
    for bad in ("/api/v1/export/everything", "/api/v1/export/preferences?aggregate=guess"):
        assert lead.get(bad).status_code == 422
    assert signed_in(site, "ann", "annotator").get("/api/v1/export/preferences").status_code == 403
