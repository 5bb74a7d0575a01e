"""The arena: blind, certain before it says so, and not fooled by length or by many judgements of one prompt."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from prefloop.errors import UserError
from prefloop.stats.sequential import log_e_value
from prefloop.web.config import WebConfig
from prefloop.web.exchange import arena_files
from prefloop.web.review import arena
from prefloop.web.review.arena import Game
from prefloop.web.serving import open_site
from prefloop.web.store.site import Site
from prefloop.web.store.tables import items, responses
from prefloop.web.work import queue
from web.acts import LINES, comparison, fill, item_of, judged, post, presented, rows, signed_in, submit, to_judge, user
from web.crowd import on_sqlite


def played(number: int, rate: float, seed: int = 0, per_prompt: int = 1) -> list[Game]:
    """Games that `new` wins as often as this."""
    rng = random.Random(seed)
    games = []
    for n in range(number * per_prompt):
        flip = rng.random() < 0.5
        names, won = ("new", "old") if flip else ("old", "new"), float((rng.random() < rate) == flip)
        games.append(Game(f"p-{n // per_prompt}", *names, won, (10, 10), ("t",)))
    return games


def duel(games: list[Game], worthwhile: float = 0.5) -> dict[str, Any]:
    """`new` against `old`."""
    return arena.duel(games, "new", "old", alpha=0.05, worthwhile=worthwhile)


def verdict(games: list[Game], worthwhile: float = 0.5) -> str:
    """What is said of it."""
    return duel(games, worthwhile)["verdict"]


def test_a_clear_winner_ships_a_clear_loser_holds_and_an_even_one_goes_on():
    assert [verdict(played(200, rate)) for rate in (0.8, 0.2)] == ["ship", "hold"]
    even = duel(played(60, 0.55, seed=3))
    assert even["verdict"] == "continue"
    assert even["low"] < 0.5 < even["high"]
    assert verdict(played(2000, 0.5, seed=1), 0.6) == "hold"


def test_nine_of_ten_are_evidence_of_so_much():
    games = [Game(f"p-{n}", "new", "old", float(n > 0), (1, 1), ()) for n in range(10)]
    answer = duel(games)
    assert (answer["wins"], answer["losses"], answer["prompts"]) == (9, 1, 10)
    assert answer["e_value"] == pytest.approx(math.exp(log_e_value(9, 1, null=0.5)), abs=1e-3)


def test_equals_are_seldom_shipped_although_one_looks_after_every_judgement():
    shipped = 0
    for seed in range(100):
        games = played(150, 0.5, seed=seed)
        shipped += any(verdict(games[:n]) == "ship" for n in range(5, 150, 8))
    assert shipped <= 9  # 5 expected at most; 9 is beyond two standard errors


def test_twenty_judgements_of_one_prompt_are_one_observation():
    answer = duel(played(3, 0.95, per_prompt=60))
    assert answer["verdict"] == "continue"
    assert answer["prompts"] == 3


def test_length_is_taken_out():
    """Equal models, one of which writes long; voters who like length: raw strengths part, controlled ones do not."""
    rng = random.Random(5)
    games = []
    for n in range(600):
        is_longer = rng.random() < 0.8  # the wordy model usually writes the longer response
        won = float(rng.random() < (0.75 if is_longer else 0.25))
        games.append(Game(f"p-{n}", "wordy", "terse", won, (200, 100) if is_longer else (100, 200), ()))
    board = arena.board(games)
    wordy = next(row for row in board["rows"] if row["sampler"] == "wordy")
    assert wordy["low"] > 0
    assert wordy["controlled_low"] < 0 < wordy["controlled_high"]
    assert board["length_effect"]["nats"] > 1


def test_clusters_widen_the_interval():
    many, clustered = played(300, 0.6, seed=2), played(10, 0.6, seed=2, per_prompt=1)
    same = [game for game in clustered for _ in range(30)]
    width = [next(r["high"] - r["low"] for r in arena.board(games)["rows"]) for games in (many, same)]
    assert width[1] > 2 * width[0]


def test_a_board_of_nothing_or_of_one_says_nothing():
    assert arena.board([])["rows"] == []
    sole = arena.board([Game("p", "a", "b", 1.0, (1, 1), ())])
    assert len(sole["rows"]) == 2


@on_sqlite
def test_samplers_must_answer_the_same_prompts(site: Site, tmp_path: Path):
    path = tmp_path / "f.jsonl"

    def bring(*rows: str) -> dict[str, Any]:
        made = [dict(zip(("prompt", "response", "sampler"), letters, strict=True)) for letters in rows]
        path.write_text("".join(json.dumps(row) + "\n" for row in made))
        return arena_files.from_file(site, path, wanted=1, on_bad="stop", actor="lead")

    for given, says in (
        (("x1a", "y2b"), "f.jsonl:1: the prompt 'x' has no response of b"),
        (("x1a",), "at least two samplers"),
        (("x1a", "x1b", "x2a"), "f.jsonl:3: the prompt 'x' was already answered in f.jsonl:1; give each"),
    ):
        with pytest.raises(UserError, match=says):
            bring(*given)
        assert rows(site, items) == []
    assert bring("x1a", "y2b", "x2b", "y1a")["prompts"] == 2
    assert [row.sampler for row in rows(site, responses)] == ["a", "b", "a", "b"]
    assert [(row.purpose, row.needed) for row in rows(site, items)] == [("arena", 1)] * 2


@on_sqlite
def test_it_is_blind_and_apart_from_the_work(site: Site):
    fill(site, 2)
    lead = signed_in(site, "lead", "lead")
    names = [(f"Question {n}?", name) for n in range(40) for name in ("old", "new")]
    lines = [
        json.dumps({"prompt": prompt, "response": f"{name}: {prompt}", "sampler": f"ckpt-{name}", "tags": ["easy"]})
        for prompt, name in names
    ]
    for number in (40, 0):  # the same again is nothing new
        answer = lead.post("/api/v1/import/arena?wanted=1", content="\n".join(lines), headers=LINES).json()
        assert (answer["prompts"], answer["items"], answer["samplers"]) == (40, number, 2)
    assert {row.purpose for row in rows(site, items)} == {"work", "arena"}
    assert len(rows(site, items, items.c.purpose == "work")) == 2
    judge = signed_in(site, "judge", "annotator")
    assert len(to_judge(judge, 3)) == 2  # work is work
    about = {(row.comparison, row.index): row.sampler for row in rows(site, responses)}
    while given := judge.post("/api/v1/leases", json={"count": 1, "purpose": "arena"}).json()["presentations"]:
        assert "ckpt" not in json.dumps(given)
        shown, comparison = presented(site, given[0]["id"]), item_of(site, given[0]["id"]).comparison
        choice = "left" if about[comparison, shown.order[0]] == "ckpt-new" else "right"
        assert post(judge, shown.id, choice=choice).status_code == 200
    answer = lead.get("/api/v1/lead/arena").json()
    pair = answer["duels"][0]
    wins = pair["wins"] if pair["new"] == "ckpt-new" else pair["losses"]
    assert (wins, pair["prompts"], answer["judgements_left"]) == (40, 40, 0)
    assert pair["verdict"] in ("ship", "hold")
    assert answer["board"]["rows"][0]["sampler"] == "ckpt-new"
    assert set(answer["slices"]) == {"easy"}
    for language in ("en", "zh"):
        page = lead.get("/lead/arena", headers={"Accept-Language": language})
        assert page.status_code == 200, page.text
        assert "ckpt-new" in page.text
    assert judge.get("/lead/arena").status_code == 403
    assert queue.lease(site, user(site, "another"), 1, purpose="arena").empty == "done"
    bad = '{"prompt": "x", "response": "y"}'
    refused = lead.post("/api/v1/import/arena?file=a.jsonl", content=bad, headers=LINES)
    assert refused.status_code == 422
    assert refused.json()["error"]["message"].startswith("a.jsonl:1: a row needs `sampler`")


def test_an_audit_is_no_part_of_the_verdict(site: Site, tmp_path: Path):
    tags = [("both", "audit:top_reward") if i < 6 else ("both", "fair") for i in range(12)]
    given = [row(f"p{i}", sampler, *tags[i]) for i in range(12) for sampler in ("new", "old")]
    standings = judged_left(site, arena_file(tmp_path, *given))
    assert standings["board"]["games"] == standings["duels"][0]["prompts"] == 6
    games = {tag: board["games"] for tag, board in standings["slices"].items()}
    assert games == {"audit:top_reward": 6, "fair": 6, "both": 6}
    assert sum(line["elo"] for line in standings["board"]["rows"]) == pytest.approx(2000)


def test_what_evaluate_wrote_is_taken_in_once_when_the_page_starts(tmp_path: Path):
    arena_file(tmp_path, row("p", "a"), row("p", "b"))
    for _ in range(2):
        site = open_site(tmp_path, WebConfig())
        assert sorted(row.purpose for row in rows(site, items)) == ["arena", "work"]
        site.database.close()


def arena_file(folder: Path, *given: dict[str, Any]) -> Path:
    """A run's folder with an arena."""
    (folder / "evaluate").mkdir(exist_ok=True)
    (folder / "comparisons.jsonl").write_text(comparison(1).model_dump_json() + "\n")
    path = folder / "evaluate" / "arena.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in given))
    return path


def row(prompt: str, sampler: str, *tags: str, text: str = "") -> dict[str, Any]:
    """A row of an arena."""
    said = {"messages": [{"role": "user", "content": "hi"}], "response": text or sampler}
    return {"id": prompt, "sampler": sampler, "tags": tags, **said}


def judged_left(site: Site, path: Path) -> dict[str, Any]:
    """How an arena stands when somebody has judged all of it, always for the left side."""
    arena_files.from_file(site, path, wanted=1, on_bad="stop", actor="server")
    who = user(site, "ann", "lead")
    while served := queue.lease(site, who, 1, purpose="arena").presentations:
        submit(site, who, judged(served[0], choice="left", strength=1))
    with site.database.reading() as connection:
        return arena.standings(connection)


def test_evaluated_again_with_other_tags_is_nothing_new(tmp_path: Path):
    for tags in ((), ("audit:top_reward",)):
        arena_file(tmp_path, row("p", "a", *tags), row("p", "b", *tags))
        site = open_site(tmp_path, WebConfig())
        assert [row.purpose for row in rows(site, items)].count("arena") == 1
        site.database.close()


def test_two_prompts_of_the_same_words_are_two(tmp_path: Path):
    arena_file(tmp_path, *[row(prompt, sampler) for prompt in ("p", "q") for sampler in ("a", "b")])
    site = open_site(tmp_path, WebConfig())
    assert [row.purpose for row in rows(site, items)].count("arena") == 2
    site.database.close()


@pytest.mark.parametrize(("bad", "says"), [
    ({"id": "q", "messages": [], "response": "x", "sampler": "a"}, "arena.jsonl:3"),
    (row("q", "a", text="NUL \0"), "NUL"), (row("q", "a"), "no response of b"),
])  # fmt: skip
def test_the_page_serves_without_what_is_wrong_in_the_arena(
    bad: dict[str, Any], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arena_file(tmp_path, row("p", "a"), row("p", "b"), bad)
    site = open_site(tmp_path, WebConfig())
    assert [row.purpose for row in rows(site, items)].count("arena") == 1
    assert says in capsys.readouterr().out
    assert "pydantic" not in capsys.readouterr().out
    site.database.close()


def test_a_lonely_sampler_is_no_reason_not_to_serve(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arena_file(tmp_path, row("p", "a"))
    open_site(tmp_path, WebConfig()).database.close()
    assert "the arena is left out" in capsys.readouterr().out


def test_new_is_who_came_later_whatever_its_name(site: Site, tmp_path: Path):
    path = arena_file(tmp_path, *[row(f"p{i}", sampler) for i in range(3) for sampler in ("reference", "best")])
    (pair,) = judged_left(site, path)["duels"]
    assert (pair["new"], pair["old"]) == ("best", "reference")
