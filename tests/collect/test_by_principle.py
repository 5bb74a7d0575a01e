"""collect by=model judge.principles: each pair is compared by a principle that is drawn, recorded and counted."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collect.fake_judge import Reply, said, serving, shown
from prefloop.collect.config import CollectConfig
from prefloop.collect.judge_config import JudgeConfig
from prefloop.collect.stage import collect
from prefloop.errors import UserError
from prefloop.files.tables import read_records
from prefloop.records import Judgement

MINE = """\
principles:
  - {name: long, critique: c, revision: r, comparison: "Which is longer?"}
  - {name: early, critique: c, revision: r, comparison: "Which comes first in the alphabet?"}
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE, encoding="utf-8")
    return str(path)


def principle_of(body: dict[str, Any]) -> str:
    ask = body["messages"][0]["content"].rsplit("[End]\n\n")[1]
    return {"Which is longer?": "long", "Which comes first in the alphabet?": "early"}[ask.split("\n")[0]]


def follows(body: dict[str, Any], number: int) -> Reply:
    """A judge that does as the principle asks; but of `early` it always takes A."""
    left, right = shown(body)
    return said("A" if principle_of(body) == "early" or len(left) > len(right) else "B")


def result_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "finished.json").read_text())["result"]["judge"]


def test_both_orders_of_a_pair_are_asked_by_one_principle(make: Callable[..., CollectConfig], mine: str):
    with serving(follows) as fake:
        folder = collect(make(fake, principles=mine))
    judgements = read_records(folder / "judgements.jsonl", Judgement)
    pairs: dict[tuple[str, ...], set[str | None]] = {}
    for j in judgements:
        assert j.machine is not None
        pairs.setdefault((j.comparison, *map(str, sorted(j.order))), set()).add(j.machine.principle)
    assert {len(principles) for principles in pairs.values()} == {1}
    drawn = Counter(next(iter(principles)) for principles in pairs.values())
    assert {*drawn} == {"long", "early"}
    told = result_of(folder)["principles"]
    assert {name: numbers["pairs"] for name, numbers in told.items()} == drawn
    assert (told["long"]["consistent"], told["early"]["consistent"]) == (1.0, 0.0)
    assert told["long"]["agreement"] is None
    assert Counter(principle_of(body) for body in fake.bodies) == {name: 2 * n for name, n in drawn.items()}


def test_what_is_asked_is_the_principles_question(make: Callable[..., CollectConfig], mine: str, tmp_path: Path):
    """A rubric of one's own stands before it; without one a sentence that says to judge by nothing else."""
    (tmp_path / "rubric.txt").write_text("For children.", encoding="utf-8")
    with serving(follows) as fake:
        collect(make(fake, "one", principles=mine))
        plain = fake.bodies[0]["messages"][0]["content"]
        collect(make(fake, "two", principles=mine, rubric=str(tmp_path / "rubric.txt"), ties=True))
        ruled = fake.bodies[-1]["messages"][0]["content"]
    assert plain.startswith("You compare two responses to the same conversation by one principle")
    assert plain.endswith("?\nAnswer with one letter, A or B, and nothing else.")
    assert ruled.startswith("For children.\n\n[Conversation]")
    assert ruled.endswith("A, B, or C if neither does more.")


def test_without_principles_nothing_is_as_it_would_be_with_them(make: Callable[..., CollectConfig], mine: str):
    """The fingerprint of the wording differs, and no judgement names a principle."""

    def longer(body: dict[str, Any], number: int) -> Reply:
        left, right = shown(body)
        return said("A" if len(left) > len(right) else "B")

    with serving(longer) as fake:
        both = [collect(make(fake, "with", principles=mine)), collect(make(fake, "without"))]
    machines = [read_records(folder / "judgements.jsonl", Judgement)[0].machine for folder in both]
    assert machines[0] is not None
    assert machines[1] is not None
    assert machines[0].prompt != machines[1].prompt
    assert machines[1].principle is None
    assert "principles" not in result_of(both[1])


def test_each_vote_draws_for_itself(make: Callable[..., CollectConfig], mine: str):
    with serving(follows) as fake:
        folder = collect(make(fake, principles=mine, votes=4, temperature=1.0))
    drawn: dict[tuple[str, ...], set[str]] = {}
    for j in read_records(folder / "judgements.jsonl", Judgement):
        assert j.machine is not None
        drawn.setdefault((j.comparison, *map(str, sorted(j.order))), set()).add(j.machine.principle or "")
    assert max(map(len, drawn.values())) == 2
    assert sum(n["pairs"] for n in result_of(folder)["principles"].values()) == 120


def test_agreement_with_people_is_told_for_each_principle(
    make: Callable[..., CollectConfig], mine: str, write_rows: Callable[..., str], capsys: pytest.CaptureFixture[str]
):
    """160 pairs by people who like the longer one: `long` agrees with all of them, `early` decides none of its."""
    rows = [
        {
            "id": f"a{i}",
            "messages": [{"role": "user", "content": f"when {i}?"}],
            "chosen": "in a week",
            "rejected": "no",
        }
        for i in range(160)
    ]
    audit = write_rows("people.jsonl", rows)
    with serving(follows) as fake:
        folder = collect(make(fake, principles=mine, audit=audit))
    told = result_of(folder)["principles"]
    assert told["long"]["agreement"]["value"] == 1.0
    assert 50 <= told["long"]["agreement"]["n"] <= 110
    assert told["early"]["agreement"]["n"] == 0
    assert "by long: " in (out := capsys.readouterr().out)
    assert "it agrees with one of the people in 100%" in out


def test_a_folder_is_asked_by_principles_too(make: Callable[..., CollectConfig], judges: dict[str, str], mine: str):
    """A model that always says A contradicts itself by every principle."""
    with pytest.raises(UserError, match="Use another judge"):
        collect(make(None, principles=(mine, "honest"), model=judges["always_a"]))


@pytest.mark.parametrize(("named", "says"), [("harmles", "Did you mean harmless?"), ((), "principles names none")])
def test_wrong_principles_are_a_sentence(make: Callable[..., CollectConfig], named: Any, says: str):
    with pytest.raises((UserError, ValueError)) as refused:
        collect(make("http://127.0.0.1:1/v1", principles=named))
    assert says in str(refused.value)


@pytest.mark.parametrize("typed", ["harmless", "[harmless, honest]"])
def test_they_are_typed_as_one_or_a_list(typed: str):
    config = JudgeConfig.load(None, ["model=m", f"principles={typed}"])
    assert config.named_principles == tuple(typed.strip("[]").split(", "))
