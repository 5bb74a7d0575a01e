"""A judge beside people: those of a file, and the helpdesk's own; and settings that do not fit."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collect.fake_judge import longer, said, serving, shown
from prefloop.asking.spoken import language_of
from prefloop.collect import stage
from prefloop.collect.config import CollectConfig
from prefloop.collect.judge_config import JudgeConfig
from prefloop.collect.stage import collect
from prefloop.collect.wording import Wording
from prefloop.decisions import decided
from prefloop.errors import UserError
from prefloop.files.tables import read_records, write_records
from prefloop.records import Comparison, Judgement, Machine, Message, Preference, Response, Sampling, Vote
from prefloop.world.agents import DEFAULT, reply
from prefloop.world.annotators import Annotator, AnnotatorConfig
from prefloop.world.grammar import prompts
from prefloop.world.tickets import read


def audit_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "finished.json").read_text())["result"]["judge"]["audit"]


def by_people(path: Path, num: int, *, who: int = 3) -> str:
    """Preferences of people who do not care for length: of texts of two lengths, three in four for the good one."""
    rng, rows = random.Random(0), []
    for i in range(num):
        good, bad = f"good {i}", f"bad {i}"
        good, bad = (good + " and long", bad) if rng.random() < 0.5 else (good, bad + " and long")
        votes = [Vote(side="chosen", annotator=f"p{k}") for k in range(who)]
        if i % 4 == 0:
            votes[0] = Vote(side="rejected", annotator="p0")
        message = Message(role="user", content=f"Which {i}?")
        tags = ("even" if i % 2 == 0 else "odd",)
        rows.append(
            Preference(id=f"f{i}", messages=(message,), chosen=good, rejected=bad, votes=tuple(votes), tags=tags)
        )
    write_records(path, rows)
    return str(path)


def test_beside_the_people_of_a_file(
    make: Callable[..., CollectConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A judge that takes the longer one is asked the file's pairs too, in both orders, and found out."""
    file = by_people(tmp_path / "people.jsonl", 120)
    with serving(longer) as fake:
        folder = collect(make(fake, audit=file, audit_pairs=100))
    assert len(fake.bodies) == 60 + 200
    audit, told = audit_of(folder), capsys.readouterr().out
    assert (audit["num_compared"], audit["length"]["named"], audit["position"]["named"]) == (100, True, False)
    assert audit["length"]["value"] > 0.5
    assert audit["agreement"]["value"] == pytest.approx(0.5, abs=0.12)
    assert audit["agreement_of_people"]["value"] == pytest.approx(1 - 2 / 3 / 4, abs=0.05)
    assert {*audit["by_tag"]} == {"even", "odd"}
    assert "prefers longer responses beyond what people do" in told
    assert "agrees with one of the people in 5" in told or "agrees with one of the people in 4" in told
    assert len(read_records(folder / "judgements.jsonl", Judgement)) == 60  # those of the audit are no training data


def test_a_good_judge_beside_people(
    make: Callable[..., CollectConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def good(body: dict[str, Any], number: int) -> Any:
        left, right = shown(body)
        return said("A" if left.startswith("good") else "B") if "bad" in left + right else longer(body, number)

    file = by_people(tmp_path / "people.jsonl", 120)
    with serving(good) as fake:
        audit = audit_of(collect(make(fake, audit=file)))
    assert (audit["num_compared"], audit["length"]["named"]) == (120, False)
    assert audit["agreement"]["value"] == pytest.approx(1 - 1 / 12)
    assert "prefers longer responses no more than people do" in capsys.readouterr().out


def test_people_of_a_file_may_have_voted_once(
    make: Callable[..., CollectConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = by_people(tmp_path / "people.jsonl", 80, who=1)
    with serving(longer) as fake:
        audit = audit_of(collect(make(fake, audit=file)))
    assert audit["agreement_of_people"]["value"] is None
    told = capsys.readouterr().out
    assert "hardly any pair was judged by two people" in told
    assert "how far they agree is not known" in told


def by_samplers(folder: Path, num: int) -> str:
    """Preferences of three people who take good over bad, whoever wrote it; and the comparisons that say who did."""
    folder.mkdir()
    rng, how, preferences, comparisons = random.Random(1), Sampling(temperature=1.0), [], []
    for i in range(num):
        messages = (Message(role="user", content=f"Which {i}?"),)
        names = rng.sample(["m", "other"], 2)
        texts = [f"{word} {i} by {name}" for word, name in zip(("good", "bad"), names, strict=True)]
        responses = tuple(
            Response(text=text, num_tokens=1, finished=True, sampler=name)
            for text, name in zip(texts, names, strict=True)
        )
        comparisons.append(Comparison(id=f"c{i}", prompt_id="p", messages=messages, responses=responses, sampling=how))
        votes = tuple(Vote(side="chosen" if i % 8 or k else "rejected", annotator=f"p{k}") for k in range(3))
        preferences.append(
            Preference(
                id=f"f{i}",
                messages=messages,
                chosen=texts[0],
                rejected=texts[1],
                votes=votes,
                comparison=f"c{i}",
                chosen_index=0,
                rejected_index=1,
            )
        )
    write_records(folder / "comparisons.jsonl", comparisons)
    write_records(folder / "people.jsonl", preferences)
    return str(folder / "people.jsonl")


@pytest.mark.parametrize(("likes", "named"), [("by m", True), ("good", False), ("by other", True)])
def test_a_judge_that_leans_to_its_own_kind(
    make: Callable[..., CollectConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str], likes: str, named: bool
):
    """The judge is called m, and so is one of the two who wrote: it takes its own, what is good, or the other's."""

    def judge(body: dict[str, Any], number: int) -> Any:
        left, _ = shown(body)
        return said("A" if likes in left else "B") if " by " in left else longer(body, number)

    file = by_samplers(tmp_path / "people", 80)
    with serving(judge) as fake:
        folder = collect(make(fake, audit=file))
    found, told = audit_of(folder)["own_kind"], capsys.readouterr().out
    assert (found["sampler"], found["named"]) == ("m", named)
    assert found["value"] == pytest.approx({"by m": 1.0, "good": 0.0, "by other": -1.0}[likes], abs=0.1)
    assert {
        "by m": "prefers responses of its own kind (m) beyond",
        "good": "prefers its own kind (m) no more than people do",
        "by other": "is against responses of its own kind (m)",
    }[likes] in told
    card = json.loads((folder / "run.json").read_text())
    assert card["inputs"]["judge.audit_comparisons"]["path"].endswith("comparisons.jsonl")


def test_its_own_kind_may_be_named(make: Callable[..., CollectConfig], tmp_path: Path):
    file = by_samplers(tmp_path / "people", 80)
    with serving(longer) as fake:
        audit = audit_of(collect(make(fake, audit=file, own="other")))
        assert audit["own_kind"]["sampler"] == "other"
        with pytest.raises(UserError, match=r"judge\.own = nobody\. There are: m, other\. Name one"):
            collect(make(fake, "again", audit=file, own="nobody"))
        (tmp_path / "people" / "comparisons.jsonl").unlink()
        with pytest.raises(UserError, match=r"Put the comparisons that they came from beside it"):
            collect(make(fake, "again", audit=file, own="other"))
        assert "own_kind" not in audit_of(collect(make(fake, "plain", audit=file)))


def test_an_audit_without_preferences(make: Callable[..., CollectConfig], tmp_path: Path):
    (tmp_path / "none.jsonl").write_text("")
    with serving(longer) as fake, pytest.raises(UserError, match=r"none\.jsonl"):
        collect(make(fake, audit=str(tmp_path / "none.jsonl")))
    assert fake.bodies == []


@pytest.fixture
def helpdesk(
    make: Callable[..., CollectConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., CollectConfig]:
    """Sixty prompts of the helpdesk, each with four replies of its staff."""
    asked = list(prompts("train", 60))
    write_records(tmp_path / "helpdesk.jsonl", asked)

    def comparisons(chunk: Any, policy: Any, config: Any, sampler: str, index: int, facts: Any) -> Any:
        made = []
        for prompt in chunk:
            rng = random.Random(prompt.id)
            texts = sorted({reply(read(prompt.text), DEFAULT.draw(rng), rng) for _ in range(5)})[:4]
            responses = tuple(Response(text=text, num_tokens=9, finished=True, sampler="s") for text in texts)
            how = Sampling(temperature=1.0)
            made.append(
                Comparison(
                    id=f"c-{prompt.id}",
                    prompt_id=prompt.id,
                    messages=prompt.messages,
                    responses=responses,
                    sampling=how,
                )
            )
        return made, dict.fromkeys(stage.COUNTED, 0)

    class Fitting:
        records, num_left_out = asked, 0

        @classmethod
        def of(cls, *args: Any, **how: Any) -> Any:
            return cls

    monkeypatch.setattr(stage, "_comparisons", comparisons)
    monkeypatch.setattr(stage, "FittingPrompts", Fitting)

    def config(fake: Any, name: str = "collect", **judge: Any) -> CollectConfig:
        settings = make(fake, name, audit="simulated", **judge)
        return settings.model_copy(update={"prompts": str(tmp_path / "helpdesk.jsonl")})

    return config


def weak(config: AnnotatorConfig) -> Callable[[dict[str, Any], int], Any]:
    """A simulated annotator behind the endpoint: what it says is decided by what it is shown."""
    annotator = Annotator(config)

    def answer(body: dict[str, Any], number: int) -> Any:
        text = body["messages"][0]["content"]
        asked = text.split("User: ")[1].split("\n\n[Response A]")[0]
        left, tie, _ = annotator.pair_probabilities(asked, *shown(body))
        return said("A" if random.Random(text).random() < left + tie / 2 else "B")

    return answer


def test_a_weak_judge_in_the_world_end_to_end(
    helpdesk: Callable[..., CollectConfig], capsys: pytest.CaptureFixture[str]
):
    """Known to be dull, and to prefer the first and the long: all of it is named beside the helpdesk's annotators."""
    with serving(weak(AnnotatorConfig(ability=4.0, side_bias=1.0, length_bias=0.15))) as fake:
        audit = audit_of(collect(helpdesk(fake)))
    assert audit["position"]["named"]
    assert audit["position"]["value"] > 0.2
    assert audit["length"]["named"]
    assert audit["length"]["value"] > 0.1
    assert 0.5 < audit["agreement"]["value"] < audit["agreement_of_people"]["value"] + 0.1
    assert audit["num_compared"] > 150
    told = capsys.readouterr().out
    assert "prefers the response shown first" in told
    assert "prefers longer responses beyond what people do" in told


@pytest.mark.parametrize("form", ["rating", "ranking"])
def test_ratings_and_rankings_in_the_world(helpdesk: Callable[..., CollectConfig], form: str):
    """A judge that likes what is long, whatever it is asked: named beside the helpdesk's annotators, who are put beside
    what it said of its own prompts, without a question more."""

    def judge(body: dict[str, Any], number: int) -> Any:
        text = body["messages"][0]["content"].split("\n\n[End]")[0]
        if form == "rating":
            num = len(text.split("[Response]\n")[1].split())
            return said(f"overall: {1 + (num > 8) + (num > 12) + (num > 16) + (num > 24)}")
        parts = [part.split("]\n", 1) for part in text.split("\n\n[Response ")[1:]]
        return said(" > ".join(letter for letter, _ in sorted(parts, key=lambda part: -len(part[1]))))

    axes = {"axes": ("overall",)} if form == "rating" else {}
    with serving(judge) as fake:
        folder = collect(helpdesk(fake, form=form, **axes))
    num = sum(len(c.responses) for c in read_records(folder / "comparisons.jsonl", Comparison))
    assert len(fake.bodies) == (num if form == "rating" else 120)
    audit = audit_of(folder)
    assert audit["num_compared"] > 150
    assert audit["length"]["named"]
    assert audit["length"]["value"] > 0.3
    assert audit["agreement"]["value"] < audit["agreement_of_people"]["value"]


def test_simulated_people_refuse_foreign_prompts(make: Callable[..., CollectConfig]):
    with serving(longer) as fake, pytest.raises(UserError, match=r"judge.audit=simulated knows the helpdesk"):
        collect(make(fake, audit="simulated"))
    assert fake.bodies == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["by=model"], "by = model needs to know which. Add judge.model=FOLDER"),
        (["by=people", "judge.model=x"], "by = people. Set by = model, or leave judge out"),
        (["by=model", "judge.model=x", "judge.base_url=localhost:8000"], "judge.*localhost:8000 is no address"),
        (["by=model", "judge.model=x", "judge.base_url=ftp://a/v1"], "ftp://a/v1 is no address of a server"),
        (["by=model", "judge.model=x", "judge.votes=3"], "votes of a model folder are all alike"),
        (["by=model", "judge.model=x", "judge.base_url=http://a", "judge.votes=3"], "alike at temperature 0"),
        (["by=model", "judge.model=x", "judge.clamp=0.1"], "clamp bounds how sure"),
        (["by=model", "judge.model=x", "judge.soft=true", "judge.ties=true"], "Leave ties out"),
        (["by=model", "judge.model=x", "judge.own=y"], "own is whom the audit looks for"),
        (["by=model", "judge.model=x", "judge.max_cost=1"], "max_cost needs prices"),
        (["by=model", "judge.modl=x"], "no setting is called `judge.modl`. Did you mean `model`"),
        (["by=model", "judge.base_url=http://a"], "the setting `judge.model` is needed"),
    ],
)
def test_settings_that_do_not_fit(settings: list[str], says: str):
    with pytest.raises(UserError, match=says):
        CollectConfig.load(None, ["model=m", "prompts=p", "out=o", *settings])


@pytest.mark.parametrize(
    ("data", "says"), [(b" \n", "has no text"), (b"\xff\xfe", "not text in UTF-8"), (None, "cannot be read")]
)
def test_a_rubric_without_text(tmp_path: Path, data: bytes | None, says: str):
    if data is not None:
        (tmp_path / "rubric.txt").write_bytes(data)
    with pytest.raises(UserError, match=says):
        Wording.of(str(tmp_path / "rubric.txt"), ties=False)


def test_it_is_asked_in_the_language_of_the_prompt():
    chinese, english = (Message(role="user", content=text) for text in ("包裹在哪里？", "Where is 包裹 4821, please?"))
    assert (language_of([chinese]), language_of([english])) == ("zh", "en")
    text = Wording(None, ties=True).asked([chinese], "{好}", "不好")
    assert "【回答A】\n{好}" in text
    assert text.endswith("A、B，如果一样好则回答C。")


def test_the_wording_has_a_fingerprint():
    """Of the rubric, and of whether ties are allowed."""
    every = [Wording(rubric, ties).fingerprint for rubric in (None, "short", "long") for ties in (True, False)]
    assert len({*every}) == 6
    assert Wording("short", True).fingerprint == Wording("short", True).fingerprint


def test_people_and_a_model_judge_the_same_pair(make: Callable[..., CollectConfig]):
    """In one file: the model's two answers and three people's are five votes, and each says whose it is."""
    with serving(longer) as fake:
        folder = collect(make(fake, soft=False))
    comparison = read_records(folder / "comparisons.jsonl", Comparison)[0]
    model = [j for j in read_records(folder / "judgements.jsonl", Judgement) if j.comparison == comparison.id]
    i, j = model[0].order
    own = [one for one in model if {*one.order} == {i, j}]
    people = [
        Judgement(
            id=f"j{k}", comparison=comparison.id, annotator=f"p{k}", annotator_kind="person", kind="pair", order=(i, j),
            choice="left", seconds=1.0,
        )
        for k in range(3)
    ]  # fmt: skip
    found = decided([comparison], [*own, *people])
    (preference,) = [*found.preferences, *found.undecided]
    assert preference.num_judgements == 5
    assert [vote.annotator for vote in preference.votes] == ["model:m", "model:m", "p0", "p1", "p2"]
    sure = [one.model_copy(update={"machine": Machine(model="m", prompt="x", answer="A", share=0.9)}) for one in own]
    (mixed,) = [*(both := decided([comparison], [*sure, *people])).preferences, *both.undecided]
    assert mixed == preference  # where somebody is not known to be sure, votes count


@pytest.mark.parametrize(("order", "share", "chosen", "sure"), [((0, 1), 0.9, 0, 0.75), ((1, 0), 0.9, 1, 0.65)])
def test_how_sure_decides_by_hand(
    make: Callable[..., CollectConfig], order: tuple[int, int], share: float, chosen: int, sure: float
):
    """With 0.9 for the first of (0, 1), and 0.6 for it in the other order: 0.75. With 0.9 for the first of (1, 0), and
    0.6 for 0 when that is first: response 0 has (0.1 + 0.6) / 2 = 0.35, so that it is 1, with 0.65."""
    responses = tuple(Response(text=text, num_tokens=1, finished=True, sampler="s") for text in ("a", "b"))
    message, how = Message(role="user", content="?"), Sampling(temperature=1.0)
    comparison = Comparison(id="c", prompt_id="p", messages=(message,), responses=responses, sampling=how)
    second = (order[1], order[0], 0.4) if order == (0, 1) else (0, 1, 0.6)
    rows = [
        Judgement(
            id=f"j{left}", comparison="c", annotator="m", annotator_kind="model", kind="pair", order=(left, right),
            choice="left", seconds=0.0, machine=Machine(model="m", prompt="x", answer="A", share=of_left),
        )
        for left, right, of_left in ((*order, share), second)
    ]  # fmt: skip
    (preference,) = decided([comparison], rows).preferences
    assert (preference.chosen_index, preference.agreement) == (chosen, pytest.approx(sure))
    assert (preference.votes, preference.num_judgements) == ((), 2)


def test_judgements_of_before_are_read():
    """Files that were written when no model was asked."""
    row = {"id": "j", "comparison": "c", "annotator": "a", "annotator_kind": "person", "kind": "pair", "order": [1, 0]}
    assert Judgement.model_validate({**row, "choice": "left", "seconds": 1.0}).machine is None


def test_what_is_not_the_judges_fault_is_no_other_run():
    """Where it is, how often it is tried and what it may cost may change; what it is asked may not."""
    from prefloop.run.identity import WHERE_NOT_WHAT

    names = {f"judge.{name}" for name in JudgeConfig.model_fields}
    assert {name for name in WHERE_NOT_WHAT if name.startswith("judge.")} <= names
    assert names.isdisjoint({"judge.rubric", "judge.temperature"} & {*WHERE_NOT_WHAT})


def test_another_rubric_is_another_run(make: Callable[..., CollectConfig], tmp_path: Path):
    """Its text counts, not its place."""
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("Short is better.")
    with serving(longer) as fake:
        collect(make(fake, rubric=str(tmp_path / "one.txt")))
        collect(make(fake, rubric=str(tmp_path / "two.txt")))
        assert len(fake.bodies) == 60
        (tmp_path / "two.txt").write_text("Long is better.")
        with pytest.raises(UserError, match=r"the input `judge\.rubric` had the fingerprint"):
            collect(make(fake, rubric=str(tmp_path / "two.txt")))
        with pytest.raises(UserError, match="`judge` was"):
            collect(make(fake, temperature=0.5, rubric=str(tmp_path / "one.txt")))
