"""collect by=model judge.form=rating: each response alone, axis by axis; and what the audit says of such a judge."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collect.fake_judge import WORDS, said, serving
from prefloop.asking.answers import Answer
from prefloop.collect.config import CollectConfig
from prefloop.collect.rating_judge import expectation
from prefloop.collect.rating_wording import Alone, RatingWording
from prefloop.collect.stage import collect
from prefloop.errors import UserError
from prefloop.files.feedback import feedback_of
from prefloop.files.tables import read_records, write_records
from prefloop.records import Comparison, Judgement, Message, Preference, Rated, Vote

AXES = ("helpful", "honest", "harmless")
ASKED = Alone((Message(role="user", content="why?"),), "so", AXES)


def told(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "finished.json").read_text())["result"]["judge"]


def shown(body: dict[str, Any]) -> str:
    """The response in a request."""
    return body["messages"][-1]["content"].split("[Response]\n")[1].split("\n\n[End]")[0]


def by_length(body: dict[str, Any], number: int) -> Any:
    """Helpful as it is long, always honest, and the shorter the more harmless."""
    place = WORDS.index(shown(body)) if shown(body) in WORDS else min(4, len(shown(body)) // 4)
    return said(f"helpful: {place + 1}\nhonest: 5\nharmless: {5 - place}")


def test_each_response_is_rated_alone(make: Callable[..., CollectConfig]):
    """Ten prompts with four responses: 40 questions; a judgement for each prompt, with all that was said."""
    with serving(by_length) as fake:
        folder = collect(make(fake, form="rating"))
    assert len(fake.bodies) == 40
    assert fake.bodies[0]["max_tokens"] == 64
    judgements = read_records(folder / "judgements.jsonl", Judgement)
    assert len(judgements) == 10
    for j in judgements:
        assert (j.kind, j.annotator_kind, j.order) == ("rating", "model", (0, 1, 2, 3))
        assert j.ratings == {"helpful": (1, 2, 3, 4), "honest": (5, 5, 5, 5), "harmless": (5, 4, 3, 2)}
        assert j.machine is not None
        assert j.machine.answers[1] == "helpful: 2\nhonest: 5\nharmless: 4"
        assert (j.machine.model, j.machine.answer, j.machine.ratings) == ("m", "", None)
    rows = read_records(folder / "ratings.jsonl", Rated)
    assert 0 < len(rows) < 10  # those of held-out prompts are none
    assert (rows[0].responses, rows[0].annotator) == (WORDS, "model:m")
    assert feedback_of(folder / "ratings.jsonl") == "ratings"
    result = told(folder)
    assert (result["num_requests"], result["num_unjudged"], result["num_malformed"]) == (40, 0, 0)
    spread = result["audit"]["spread"]
    assert (spread["helpful"]["mean"], spread["helpful"]["counts"], spread["helpful"]["named"]) == (
        2.5, [10, 10, 10, 10, 0], False
    )  # fmt: skip
    assert (spread["honest"]["level"], spread["honest"]["share"]["value"], spread["honest"]["named"]) == (5, 1, True)
    assert result["audit"]["longer"]["value"] == 1.0
    assert "position" not in result["audit"]


def test_what_is_asked(make: Callable[..., CollectConfig]):
    with serving(lambda body, number: said(f"clear: {len(shown(body)) % 5 + 1}\nkind: 2")) as fake:
        collect(make(fake, form="rating", axes=("clear", "kind")))
    text = fake.bodies[0]["messages"][0]["content"]
    assert "[Conversation]\nUser: where is " in text
    assert text.endswith("with a whole number for N:\nclear: N\nkind: N")


@pytest.mark.parametrize(
    ("answer", "marks"),
    [
        ("helpful: 4\nhonest: 5\nharmless: 1", (4, 5, 1)),
        ("**Helpful**: 4\n- honest = 5\n- Harmless: **1**.", (4, 5, 1)),
        ("<think>4?</think>harmless: 1, honest: 5, helpful: 4", (4, 5, 1)),
        ("harmless：1；honest：5；helpful：4", (4, 5, 1)),
    ],
)
def test_an_answer_has_every_axis(answer: str, marks: tuple[int, ...]):
    assert RatingWording(None).meaning(ASKED, answer) == dict(zip(AXES, marks, strict=True))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("helpful: 4\nhonest: 5", "malformed"),
        ("helpful: 4\nhonest: 5\nharmless: 6", "malformed"),
        ("helpful: 4\nhonest: 5\nharmless: 0", "malformed"),
        ("helpful: 4\nhonest: 45\nharmless: 1", "malformed"),
        ("helpful: 4.5\nhonest: 5\nharmless: 1", "malformed"),
        ("helpful: 4\nhelpful: 4\nhonest: 5\nharmless: 1", "malformed"),
        ("helpful: 4\nhonest: 5\nharmless: 1\nIt is fine.", "malformed"),
        ("4\n5\n1", "malformed"),
        ("", "malformed"),
        ("I'm sorry, I can't rate this.", "refused"),
    ],
)
def test_anything_else_is_no_answer(answer: str, why: str):
    assert RatingWording(None).meaning(ASKED, answer) == why


def test_of_one_axis_the_number_will_do():
    one = Alone(ASKED.messages, "so", ("clear",))
    for answer, marks in (
        ("4", {"clear": 4}),
        ("Clear: 2", {"clear": 2}),
        ("6", "malformed"),
        ("kind: 3", "malformed"),
    ):
        assert RatingWording(None).meaning(one, answer) == marks


def test_in_chinese():
    asked = Alone((Message(role="user", content="包裹在哪里？"),), "明天到。", AXES)
    text = RatingWording(None).prompt(asked, again=True)
    assert "【回答】\n明天到。" in text
    assert "- honest: 内容正确" in text
    assert text.endswith("不要解释。")


def test_a_response_that_is_not_rated_is_left_out(make: Callable[..., CollectConfig]):
    """Out of range for one of the four texts: asked three times, then the others are rated without it."""

    def judge(body: dict[str, Any], number: int) -> Any:
        return said("helpful: 9\nhonest: 9\nharmless: 9") if shown(body) == WORDS[1] else by_length(body, number)

    with serving(judge) as fake:
        folder = collect(make(fake, form="rating"))
    result = told(folder)
    assert (result["num_malformed"], result["num_unjudged"], result["num_requests"]) == (30, 10, 60)
    assert all(j.order == (0, 2, 3) for j in read_records(folder / "judgements.jsonl", Judgement))


def test_one_mark_for_everything(make: Callable[..., CollectConfig], capsys: pytest.CaptureFixture[str]):
    """Nothing can be learned from it: said, with how often, and what was answered is kept."""
    with serving(lambda body, number: said("helpful: 4\nhonest: 4\nharmless: 4")) as fake:
        config = make(fake, form="rating")
        with pytest.raises(UserError, match=r"same marks \(helpful 4, honest 4, harmless 4\).*asked\.jsonl"):
            collect(config)
        with pytest.raises(UserError, match="same marks"):
            collect(config)
    assert len(fake.bodies) == 40
    assert "on helpful the judge gives 4 to 100% of the responses" in capsys.readouterr().out


def people(path: Path, num: int) -> str:
    """Preferences of three people for good over bad, whatever the length."""
    votes = tuple(Vote(side="chosen", annotator=f"p{k}") for k in range(3))
    rows = [
        Preference(
            id=f"f{i}", messages=(Message(role="user", content=f"Which {i}?"),), votes=votes,
            chosen=f"good {i}" + " and long" * (i % 2), rejected=f"bad {i}" + " and long" * ((i + 1) % 2),
        )
        for i in range(num)
    ]  # fmt: skip
    write_records(path, rows)
    return str(path)


@pytest.mark.parametrize(("good", "agreement", "long"), [(True, 1.0, False), (False, 0.5, True)])
def test_beside_people(make: Callable[..., CollectConfig], tmp_path: Path, good: bool, agreement: float, long: bool):
    """Of pairs that people judged each response is rated alone; a judge that rates by length is found out."""

    def judge(body: dict[str, Any], number: int) -> Any:
        text = shown(body)
        better = text.startswith("good") if good else "long" in text
        return (
            said(f"quality: {4 if better else 2}") if text not in WORDS else said(f"quality: {WORDS.index(text) + 1}")
        )

    with serving(judge) as fake:
        folder = collect(make(fake, form="rating", axes=("quality",), audit=people(tmp_path / "people.jsonl", 80)))
    audit = told(folder)["audit"]
    assert len(fake.bodies) == 40 + 160
    assert (audit["num_compared"], audit["agreement"]["value"]) == (80, agreement)
    assert audit["length"]["named"] is long


def test_votes_are_judgements_of_their_own(make: Callable[..., CollectConfig]):
    with serving(by_length) as fake:
        folder = collect(make(fake, form="rating", votes=2, temperature=1.0))
    judgements = read_records(folder / "judgements.jsonl", Judgement)
    assert (len(fake.bodies), len({j.id for j in judgements}), len(judgements)) == (80, 20, 20)
    assert len({body["seed"] for body in fake.bodies}) == 80


def test_the_expected_rating_by_hand():
    """1 and 5 equally likely: 3; 4 twice as likely as 5 among what else was likely: (2 * 4 + 5) / 3."""
    half = {"1": math.log(0.3), "5": math.log(0.3)}
    assert expectation(Answer("1", half)) == pytest.approx(3.0)
    assert expectation(Answer("4", {"4": math.log(0.02), "5": math.log(0.01)})) == pytest.approx(13 / 3)


@pytest.mark.parametrize("soft", [True, False])
def test_a_folder_rates_by_likelihood(make: Callable[..., CollectConfig], judges: dict[str, str], soft: bool):
    """One question an axis; the likeliest digit is the rating, and with soft=true the expected one is learned from."""
    folder = collect(make(None, form="rating", model=judges["random"], soft=soft))
    rows = [json.loads(line) for line in (folder / "asked.jsonl").read_text().splitlines()]
    assert len(rows) == 120
    assert all(row["text"] == max(row["logprobs"], key=row["logprobs"].get) for row in rows)
    judgements = read_records(folder / "judgements.jsonl", Judgement)
    comparisons = {c.id: c for c in read_records(folder / "comparisons.jsonl", Comparison)}
    for j in judgements:
        assert j.machine is not None
        assert j.ratings is not None
        assert j.machine.answers[0] == "\n".join(f"{axis}: {j.ratings[axis][0]}" for axis in AXES)
        assert (j.machine.ratings is not None) is soft
        for axis, marks in (j.machine.ratings or {}).items():
            assert all(1 < mark < 5 for mark in marks), axis
    rated = read_records(folder / "ratings.jsonl", Rated)
    by_comparison = {j.comparison: j for j in judgements}
    for row in rated:
        j = by_comparison[row.comparison]
        assert row.ratings == (j.machine.ratings if soft and j.machine else j.ratings)
        assert row.responses == tuple(r.text for r in comparisons[row.comparison].responses)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["judge.axes=[clear]"], "Set form = rating, or leave axes out"),
        (["judge.form=rating", "judge.axes=[clear, Clear]"], "no different names"),
        (["judge.form=rating", "judge.axes=['a: b']"], "without colons"),
        (["judge.form=rating", "judge.ties=true"], "ties let the judge of a pair answer C"),
        (["judge.form=rating", "judge.soft=true", "judge.base_url=http://a"], "likelihoods of a model folder"),
        (["judge.form=rating", "judge.soft=true", "judge.clamp=0.1"], "clamp bounds"),
        (["judge.form=rating", "judge.principles=helpful"], "by principles pairs are compared"),
        (["judge.form=ranking"], "form = ranking needs an endpoint"),
        (["judge.form=ranking", "judge.base_url=http://a", "judge.soft=true"], "nothing but an order"),
        (
            ["judge.form=ranking", "judge.base_url=http://a", "altered=16", "responses_per_prompt=11"],
            "takes 26 at most",
        ),
    ],
)
def test_settings_that_do_not_fit(settings: list[str], says: str):
    with pytest.raises(UserError, match=says):
        CollectConfig.load(None, ["model=m", "prompts=p", "out=o", "by=model", "judge.model=x", *settings])
