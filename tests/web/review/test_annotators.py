"""Quality: those who click are named, the honest are not, and agreement is what the books say."""

import dataclasses
import inspect
import json
import random
import re
from pathlib import Path

import pytest

from prefloop.stats import agreement as coefficients
from prefloop.web.exchange import importing, outcomes
from prefloop.web.pages.lead_words import REASONS, LeadWords
from prefloop.web.review import agreement, annotators, self_preference
from prefloop.web.security import accounts
from prefloop.web.store.site import Site
from prefloop.web.work import intake
from web.acts import ask, client, comparison, fill, mark, signed_in
from web.crowd import honest, lefts, let_work, on_sqlite, said, tosses


@on_sqlite
def test_clickers_are_named_within_60_judgements_and_honest_people_are_not(site: Site):
    """Five honest people, one who tosses coins, one who always clicks left; overlap 3; a fifth of it gold."""
    site = dataclasses.replace(site, rng=random.Random(5))
    ask(site, overlap={"judgements": 3})
    fill(site, 160)
    for name in [f"c-{i:04d}" for i in range(12)]:
        mark(site, name)
    rng = random.Random(10)
    crowd = {f"honest {i}": honest(rng) for i in range(5)} | {"tosses": tosses(rng), "lefts": lefts}
    let_work(site, crowd, 60)
    result = {row["name"]: row for row in annotators.everybody.of(site)}
    names = {name: {finding["name"] for finding in row["findings"]} for name, row in result.items()}
    assert "random" in names["tosses"] or "gold" in names["tosses"]
    assert "one side" in names["lefts"]
    assert {name: says for name, says in names.items() if name.startswith("honest") and says} == {}
    assert all(row["looked_at"] in (30, 60) for row in result.values())
    assert result["lefts"]["side"]["rate"] == 1.0
    assert result["honest 0"]["gold"]["n"] == 12


def test_honest_people_are_seldom_accused_however_often_one_looks():
    """At most `alpha` of honest people are ever named, looking after every judgement (looks are at 30, 60, 120)."""
    rng, accused, tries = random.Random(1), 0, 120
    for who in range(tries):
        truth = [rng.random() < 0.5 for _ in range(120)]
        others = [said(n, 1000 + k, int(rng.random() < 0.84) ^ int(truth[n])) for n in range(120) for k in range(2)]
        mine = [
            said(n, who, int(rng.random() < 0.84) ^ int(truth[n]), order=rng.choice([(0, 1), (1, 0)]))
            for n in range(120)
        ]
        votes = annotators.votes_of([*others, *mine])
        accused += any(annotators.report(mine[:look], votes, {})["findings"] for look in (30, 60, 120))
    assert (
        accused / tries
        <= annotators.NORMS.alpha + 2 * (annotators.NORMS.alpha * (1 - annotators.NORMS.alpha) / tries) ** 0.5
    )


def test_looks_share_alpha():
    assert [annotators.looked_at(n)[0] for n in (0, 29, 30, 59, 60, 119, 120, 1000)] == [0, 0, 30, 30, 60, 60, 120, 960]
    assert sum(annotators.looked_at(30 * 2**k)[1] for k in range(40)) == pytest.approx(annotators.NORMS.alpha)


def test_repeats_tell_whether_somebody_agrees_with_themselves():
    mine = [said(n, 1, 0) for n in range(10)] + [said(n, 1, int(n < 4), order=(1, 0), repeat=True) for n in range(10)]
    assert annotators.report(mine, {}, {})["consistency"]["rate"] == pytest.approx(0.6)


@on_sqlite
def test_a_judge_that_leans_to_its_own_kind_is_told(site: Site, tmp_path: Path):
    """Of 60 pairs a model prefers `secret-1` more often than two people do by tossing coins; a third is too rare."""
    wrote = ["secret-1"] * 60 + ["other"] * 5 + ["secret-0"] * 10
    odd = [comparison(n, sampler=sampler) for n, sampler in enumerate(wrote)]
    site.database.write(lambda c: intake.take_in(c, site, odd, actor="test"))
    rng, names = random.Random(3), [entry.id for entry in odd]
    mine = [said(n, 1, int(rng.random() < 0.85), comparison=name) for n, name in enumerate(names)]
    people = [said(n, who, int(rng.random() < 0.5), comparison=name) for n, name in enumerate(names) for who in (2, 3)]
    repeats = [said(n, 1, 0, comparison=name, repeat=True) for n, name in enumerate(names)]
    votes = annotators.votes_of([*mine, *people])
    with site.database.reading() as connection:
        result = {
            row["sampler"]: row
            for row in self_preference.by_sampler(connection, [*mine, *repeats], votes, look=(60, 0.024))
        }
        alone = self_preference.by_sampler(connection, mine, annotators.votes_of(mine), look=(60, 0.024))
        other = self_preference.by_sampler(connection, people[::2], votes, look=(60, 0.024))
        early = self_preference.by_sampler(connection, mine, votes, look=(0, 0.0))
    assert alone == []
    assert [row["leans"] for row in early] == [False, False]
    assert [row["difference"] for row in early] == [row["difference"] for row in result.values()]
    assert set(result) == {"secret-0", "secret-1"}
    gap = {
        name: sum(entry.best - sum(p.best for p in people[2 * n : 2 * n + 2]) / 2 for n, entry in enumerate(mine[:60]))
        / 60
        for name in ("secret-1",)
    }
    assert result["secret-1"]["n"] == 60
    assert result["secret-1"]["difference"] == pytest.approx(gap["secret-1"], abs=1e-4)
    assert result["secret-1"]["leans"]
    assert result["secret-1"]["low"] > 0 > result["secret-0"]["high"]
    assert not any(row["leans"] and row["difference"] > 0 and row["sampler"] == "secret-1" for row in other)


def table_of(counts: list[list[int]]) -> list[list[object]]:
    """A table of two annotators' classes as units of facts; row, what the first said."""
    units = [(i, j) for i, row in enumerate(counts) for j, times in enumerate(row) for _ in range(times)]
    return [[said(n, 1, i), said(n, 2, j)] for n, (i, j) in enumerate(units)]


@pytest.mark.parametrize(
    ("counts", "kappa"), [([[20, 5], [10, 15]], 0.4), ([[45, 15], [25, 15]], 0.1304), ([[25, 35], [5, 35]], 0.2593)]
)
def test_cohen_as_in_the_books(counts: list[list[int]], kappa: float):
    judged = [row for unit in table_of(counts) for row in unit]
    result = agreement.of_work(judged)["pairs"]
    assert result["cohen"][0]["value"] == pytest.approx(kappa, abs=1e-4)
    assert result["cohen"][0]["n"] == result["units"] == sum(map(sum, counts))
    assert result["percent"]["value"] == pytest.approx((counts[0][0] + counts[1][1]) / result["units"])


def test_both_bad_is_a_class_of_its_own_and_strength_makes_the_line():
    bad = said(1, 1, None, answer={"choice": "both_bad"}, meaning={"choice": "both_bad"})
    assert agreement.choice(bad) not in (0.0, 1.0, agreement.choice(said(1, 1, None)))
    assert [agreement.graded(said(1, 1, best, answer={"strength": 3})) for best in (0, 1, None)] == [-3.0, 3.0, 0.0]


def test_three_majorities_that_go_round():
    ring = [said(1, 1, best, responses=pair, order=pair) for best, pair in ((0, (0, 1)), (1, (1, 2)), (2, (0, 2)))]
    assert agreement.cycles(ring) == {"cycles": 1, "triads": 1, "share": 1.0}


@on_sqlite
def test_the_pages_and_the_api_are_for_leads(site: Site):
    ask(site, overlap={"judgements": 2})
    fill(site, 30)
    let_work(site, {"a": lefts, "b": honest(random.Random(2))}, 30)
    lead = signed_in(site, "lead", "lead")
    answer = lead.get("/api/v1/lead/quality").json()
    assert {row["name"] for row in answer["annotators"]} == {"a", "b"}
    number = next(row["id"] for row in answer["annotators"] if row["name"] == "a")
    assert lead.get(f"/api/v1/lead/annotators/{number}").json()["findings"][0]["name"] == "one side"
    assert lead.get("/api/v1/lead/annotators/999").status_code == 404
    for language in ("en", "zh"):
        for path in ("/lead/annotators", f"/lead/annotators/{number}"):
            page = lead.get(path, headers={"Accept": "text/html", "Accept-Language": language})
            assert page.status_code == 200, page.text
            assert "style=" not in page.text
            assert "One side" in page.text or "偏向一侧" in page.text
            assert ("Krippendorff" in page.text) == (path == "/lead/annotators")
    plain = signed_in(site, "plain", "annotator")
    assert plain.get("/api/v1/lead/quality").status_code == plain.get("/lead/annotators").status_code == 403
    assert client(site).get("/lead/annotators").status_code == 303
    assert client(site).get("/api/v1/lead/quality").status_code == 401


def test_who_was_brought_in_leans_to_no_side_and_hurries_through_nothing(site: Site, tmp_path: Path):
    """200 rows of chosen and rejected by one person: no finding, no side, and crowd_bt believes them."""
    path = tmp_path / "t.jsonl"
    tickets = [
        {"prompt": f"Q{n}", "chosen": f"good {n}", "rejected": f"bad {n}", "annotator": "zoe"} for n in range(200)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in tickets))
    importing.from_file(site, path, source="tickets", on_bad="stop", actor="lead")
    (report,) = annotators.everybody.of(site)
    assert (report["num_pairs"], report["side"]["n"], report["findings"], report["flagged"]) == (200, 0, [], False)
    assert (report["speed"]["share_of_reading"], report["speed"]["median_seconds"]) == (None, None)
    with site.database.reading() as connection:
        result = outcomes.aggregated(outcomes.gathered(connection), "crowd_bt")
    assert result.annotators[0]["bias_to_left"] is None
    assert [row.chosen_index for row in result.preferences] == [0] * 200
    assert min(row.weight for row in result.preferences) > 0.5
    lead = signed_in(site, "lead", "lead")
    assert lead.get("/lead/annotators").status_code == lead.get(f"/lead/annotators/{report['id']}").status_code == 200


@on_sqlite
def test_two_judges_of_one_family_do_not_hide_each_other(site: Site):
    """Programs are compared with people, not each other; honest people are marked no more often than findings are."""
    fill(site, 60)
    rng = random.Random(4)
    first, second = (
        site.database.write(lambda c, n=name: accounts.add_user(c, site, n, accounts.PROGRAM, role="annotator"))
        for name in ("gpt", "gpt2")
    )
    kin = [said(n, who, int(rng.random() < 0.8), comparison=f"c-{n:04d}") for who in (first, second) for n in range(60)]
    person = [said(n, 99, int(rng.random() < 0.5), comparison=f"c-{n:04d}") for n in range(60)]
    with site.database.reading() as connection:
        alone = self_preference.by_sampler(
            connection, kin[:60], annotators.votes_of([*kin[:60], *person]), look=(60, 0.024)
        )
        both = self_preference.by_sampler(connection, kin[:60], annotators.votes_of([*kin, *person]), look=(60, 0.024))
    assert both == alone != []
    assert both[0]["leans"]


def test_why_there_is_no_number_is_told_in_chinese_too():
    source = inspect.getsource(coefficients) + inspect.getsource(agreement)
    reasons = set(re.findall(r'(?:Coefficient\(\s*None, |"reason": )"([a-z][^"]+)"', source))
    assert len(reasons) == 4
    assert reasons == set(REASONS)
    assert LeadWords("zh").because("no unit was judged twice") == "没有题目被评判两次"
    assert LeadWords("en").because("no unit was judged twice") == "no unit was judged twice"
