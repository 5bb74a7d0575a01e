"""collect by=model judge.form=ranking: all responses in one question, in two opposite orders."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collect.fake_judge import WORDS, said, serving
from collect.test_rating_judge import people
from prefloop.collect.config import CollectConfig
from prefloop.collect.ranking_wording import RankingWording, Several
from prefloop.collect.stage import collect
from prefloop.decisions import decided
from prefloop.errors import UserError
from prefloop.files.tables import read_records
from prefloop.records import Comparison, Judgement, Message, Preference, Ranking

ASKED = Several((Message(role="user", content="why?"),), ("a", "b", "c"))


def told(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "finished.json").read_text())["result"]["judge"]


def shown(body: dict[str, Any]) -> list[str]:
    """The responses in a request, in their order."""
    text = body["messages"][-1]["content"].split("\n\n[End]")[0].split("\n\n[Response ")[1:]
    return [part.split("]\n", 1)[1] for part in text]


def longest_first(body: dict[str, Any], number: int) -> Any:
    letters = "ABCDEFGH"[: len(shown(body))]
    order = sorted(zip(shown(body), letters, strict=True), key=lambda each: (-len(each[0]), each[0]))
    return said(" > ".join(letter for _, letter in order))


def test_both_orders_are_asked_and_are_one_ranking(make: Callable[..., CollectConfig]):
    """Ten prompts: 20 questions, 20 judgements, each with its answer; 6 preferences and one ranking of each prompt."""
    with serving(longest_first) as fake:
        folder = collect(make(fake, form="ranking"))
    assert len(fake.bodies) == 20
    judgements = read_records(folder / "judgements.jsonl", Judgement)
    orders = {(j.comparison, j.order) for j in judgements}
    assert {(c, order[::-1]) for c, order in orders} == orders
    assert (len(judgements), len({j.id for j in judgements}), len({order for _, order in orders}) > 4) == (20, 20, True)
    for j in judgements:
        assert (j.kind, j.annotator_kind) == ("ranking", "model")
        assert j.machine is not None
        assert j.ranks is not None
        assert j.ranks == tuple(4 - place for place in j.order)  # WORDS get longer
        letters = [letter for _, letter in sorted(zip(j.ranks, "ABCD", strict=True))]
        assert j.machine.answer == " > ".join(letters)
    preferences = [p for n in ("preferences", "held_out") for p in read_records(folder / f"{n}.jsonl", Preference)]
    assert len(preferences) == 60
    for p in preferences:
        assert len(p.chosen) > len(p.rejected)
        assert (p.num_judgements, p.agreement, [v.annotator for v in p.votes]) == (2, 1.0, ["model:m"] * 2)
    rankings = read_records(folder / "rankings.jsonl", Ranking)
    assert len({r.comparison for r in rankings}) == len(rankings) > 5
    for r in rankings:
        assert r.num_judgements == 2
        assert sorted(zip(r.ranks, r.responses, strict=True)) == [(4 - i, WORDS[i]) for i in (3, 2, 1, 0)]
    audit = told(folder)["audit"]
    assert (audit["flips"]["value"], audit["flips"]["n"], audit["position"]["named"]) == (0.0, 60, False)


def test_contradictions_are_no_preference(make: Callable[..., CollectConfig], capsys: pytest.CaptureFixture[str]):
    """A judge that always says A > B > C > D contradicts itself on all pairs: said, and nothing to learn from."""
    with serving(lambda body, number: said("A > B > C > D")) as fake, pytest.raises(UserError, match="another judge"):
        collect(make(fake, form="ranking"))
    assert "contradicts itself when the order is turned in 100%" in (out := capsys.readouterr().out)
    assert "it nearly always takes the response shown first" in out


def test_a_judge_that_likes_the_first_place(make: Callable[..., CollectConfig]):
    """The response shown first is always ranked first, the others by length: of 6 pairs of 4 responses the 3 with the
    first shown in one order, and the 3 with the last, flip where length says otherwise."""

    def judge(body: dict[str, Any], number: int) -> Any:
        rest = sorted(zip(shown(body)[1:], "BCD", strict=True), key=lambda each: -len(each[0]))
        return said("Ranking: " + " > ".join(["A", *(letter for _, letter in rest)]))

    with serving(judge) as fake:
        folder = collect(make(fake, form="ranking"))
    audit = told(folder)["audit"]
    assert audit["position"]["value"] > 0.3
    assert audit["position"]["named"]
    assert 0 < audit["flips"]["value"] < 1
    by_comparison = itertools.groupby(read_records(folder / "judgements.jsonl", Judgement), lambda j: j.comparison)
    flips = 0
    for _, pair in by_comparison:
        one, other = (dict(zip(j.order, j.ranks or (), strict=True)) for j in pair)
        flips += sum((one[i] < one[j]) != (other[i] < other[j]) for i, j in itertools.combinations(range(4), 2))
    assert audit["flips"]["value"] == pytest.approx(flips / 60)


@pytest.mark.parametrize(
    ("answer", "ranks"),
    [
        ("B > A = C", (2, 1, 2)),
        ("b>c>a", (3, 1, 2)),
        ("**C = B > A**", (2, 1, 1)),
        ("Answer: A > B > C.", (1, 2, 3)),
        ("<think>B > A</think>\nA = B = C", (1, 1, 1)),
        ("排序：C＞A＝B", (2, 2, 1)),
        ("A > B", "malformed"),
        ("A > B > B", "malformed"),
        ("A > B > C > D", "malformed"),
        ("A > B > D", "malformed"),
        ("A, B, C", "malformed"),
        ("A < B < C", "malformed"),
        ("A > B > C because", "malformed"),
        ("", "malformed"),
        ("I cannot rank these.", "refused"),
    ],
)
def test_what_an_answer_means(answer: str, ranks: tuple[int, ...] | str):
    assert RankingWording(None).meaning(ASKED, answer) == ranks


def test_what_is_asked():
    text = RankingWording("Short.").prompt(ASKED, again=False)
    assert text.startswith("Short.\n\n[Conversation]\nUser: why?\n\n[Response A]\na\n\n[Response B]\nb\n\n[Response C]")
    assert text.endswith("for instance: B > A = C")
    chinese = Several((Message(role="user", content="包裹在哪里？"),), ("好", "不好"))
    assert (
        RankingWording(None)
        .prompt(chinese, again=True)
        .endswith("例如：B > A\n\n你的回答必须正好是这样一行，不要解释。")
    )
    assert "几个回答" in RankingWording(None).prompt(chinese, again=False)


def test_what_is_not_ranked_is_left_out(make: Callable[..., CollectConfig]):
    """Whenever the shortest is shown last the judge leaves it out: that prompt is left out in both orders."""

    def judge(body: dict[str, Any], number: int) -> Any:
        return said("A > B > C") if shown(body)[-1] == WORDS[0] else longest_first(body, number)

    with serving(judge) as fake:
        folder = collect(make(fake, form="ranking"))
    result = told(folder)
    out = result["num_unjudged"]
    assert (result["num_malformed"], result["num_requests"]) == (3 * out, 20 + 2 * out)
    assert 0 < out < 10
    assert len(read_records(folder / "judgements.jsonl", Judgement)) == 20 - 2 * out


def test_mean_ranks_by_hand(make: Callable[..., CollectConfig]):
    """(1, 2, 3, 4) and, for the same responses, (2, 1, 4, 3): 1.5, 1.5, 3.5, 3.5, so that both couples are ties. Pairs
    within a couple have a vote each way, the four others two for the better one."""
    with serving(longest_first) as fake:
        folder = collect(make(fake, form="ranking"))
    comparison = read_records(folder / "comparisons.jsonl", Comparison)[0]
    rows = [j for j in read_records(folder / "judgements.jsonl", Judgement) if j.comparison == comparison.id]
    one = rows[0].model_copy(update={"order": (0, 1, 2, 3), "ranks": (1, 2, 3, 4)})
    other = rows[1].model_copy(update={"order": (3, 2, 1, 0), "ranks": (3, 4, 1, 2)})
    found = decided([comparison], [one, other])
    (ranking,) = found.rankings
    assert (ranking.responses, ranking.ranks, ranking.num_judgements) == (WORDS, (1, 1, 2, 2), 2)
    assert {(p.chosen_index, p.rejected_index) for p in found.preferences} == {(0, 2), (0, 3), (1, 2), (1, 3)}
    assert (len(found.undecided), found.num_tied) == (2, 2)
    person = one.model_copy(update={"id": "p", "annotator": "ann", "annotator_kind": "person", "machine": None})
    assert len(decided([comparison], [one, other, person]).rankings) == 2  # a person's is their own


def test_beside_people(make: Callable[..., CollectConfig], tmp_path: Path):
    """Pairs that people judged are ranked as pairs, in both orders."""
    with serving(longest_first) as fake:
        folder = collect(make(fake, form="ranking", audit=people(tmp_path / "people.jsonl", 80)))
    audit = told(folder)["audit"]
    assert (len(fake.bodies), audit["num_compared"], audit["agreement"]["value"]) == (20 + 160, 80, 0.5)
    assert audit["length"]["named"]
