"""Cards say what the files say, in both languages, and never show what they found."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from health.simulated import Judge, pairs
from prefloop import layout
from prefloop.cards.config import CardsConfig
from prefloop.cards.lineage import line
from prefloop.cards.people import gathered
from prefloop.cards.scan import scanned
from prefloop.cards.stage import CARDS, write
from prefloop.cards.words import LABELS
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.documents import read_document, write_document
from prefloop.files.gates import signed
from prefloop.files.tables import read_records, write_records
from prefloop.health.card import make_card
from prefloop.records import Artefact, Comparison, Finished, Identity, Judgement, Message, Response, RunCard, Sampling
from prefloop.records.gates import Condition, Duel, Gate
from prefloop.records.personal import Personal
from report.conftest import evaluation

SECRETS = ("ann.lee@mail.org", "13812345678", "4111 1111 1111 1111")
FIELD = re.compile(r"\{(\w+)\}")


def comparison(number: int, *texts: str) -> Comparison:
    """Responses to a prompt; the last by another sampler."""
    return Comparison(
        id=f"c{number}",
        prompt_id=f"p{number}",
        messages=(Message(role="user", content=f"where is {number}?"),),
        responses=tuple(
            Response(text=text, num_tokens=1, finished=True, sampler="new" if text != texts[-1] else "old")
            for text in texts
        ),
        sampling=Sampling(temperature=1.0),
        tags=("safe",),
    )


def judged(number: int, who: str, choice: Any, kind: Any = "person", **more: Any) -> Judgement:
    """A judgement of the first two responses."""
    given: dict[str, Any] = {"order": (0, 1), "seconds": 4.0, "choice": choice, **more}
    return Judgement(
        id=f"{number}{who}", comparison=f"c{number}", annotator=who, annotator_kind=kind, kind="pair", **given
    )


@pytest.fixture
def collected(tmp_path: Path) -> str:
    """Three comparisons. Two people agree on one of two pairs, and differ on the other; a model decides one."""
    folder = tmp_path / "pipe" / "collect"
    folder.mkdir(parents=True)
    write_records(
        folder / layout.COMPARISONS,
        [
            comparison(0, "a", "b"),
            comparison(1, f"write to {SECRETS[0]}", "b"),
            comparison(2, "a", f"or {SECRETS[1]}", "c"),
        ],
    )
    write_records(
        folder / layout.JUDGEMENTS,
        [
            judged(0, "Wang Li", "left", guideline="v1"),
            judged(0, "Bob Ray", "left", guideline="v2", seconds=10.0),
            judged(1, "Wang Li", "left", guideline="v2", comment=f"card {SECRETS[2]}"),
            judged(1, "Bob Ray", "right"),
            judged(2, "Wang Li", "tie"),
            judged(2, "model:m", "left", "model"),
        ],
    )
    (folder / layout.PREFERENCES).write_text("{}\n")
    return str(folder)


@pytest.fixture
def demonstrations(write_rows: Callable[..., str]) -> str:
    """Two, one of which holds an address."""
    asked = [{"role": "user", "content": "where?"}]
    rows = [
        {"id": f"d{i}", "messages": asked, "response": f"here {text}", "source": "ann"} for i, text in enumerate("ab")
    ]
    rows[1]["response"] = f"ask {SECRETS[0]}, {SECRETS[1]}"
    return write_rows("demos.jsonl", rows)


def test_what_was_collected_by_hand(collected: str):
    """Couples: c0 equal; c1 not; c2 person with model: tie and left, not. Sides chosen by both: c0, c1."""
    found = gathered([collected], seed=0)
    assert (found.num_prompts, found.num_comparisons, found.num_responses) == (3, 3, 7)
    assert found.samplers == {"new": 4, "old": 3}
    assert found.judgements == {"pair": 6}
    assert found.decisions == {layout.PREFERENCES: 1}
    assert found.guidelines == ("v1", "v2")
    assert found.without_guideline == 3
    assert found.num_units == 3
    assert [(one.name, one.kind, one.judgements, one.seconds, one.equal) for one in found.annotators] == [
        ("person-1", "person", 3, 4.0, (1, 3)),
        ("person-2", "person", 2, 7.0, (1, 2)),
        ("model:m", "model", 1, 4.0, (0, 1)),
    ]
    people, mixed = found.couples["person", "person"], found.couples["model", "person"]
    assert (people.equal, people.num, people.equal_sides, people.num_sides) == (1, 2, 1, 2)
    assert (mixed.equal, mixed.num, mixed.equal_sides, mixed.num_sides) == (0, 1, 0, 0)


def test_what_is_personal_is_told_with_its_place_and_once(collected: str, demonstrations: str):
    """What stands in the comparisons and again in the demonstrations is another text there, so both count."""
    scan = scanned([collected], demonstrations)
    assert [(Path(one.file).name, one.line, one.field, one.kind, one.masked) for one in scan.found] == [
        (layout.COMPARISONS, 2, "responses.0", "email", "an*.***@****.**g"),
        (layout.COMPARISONS, 3, "responses.1", "phone", "13********8"),
        (layout.JUDGEMENTS, 3, "comment", "card", "41** **** **** ***1"),
        ("demos.jsonl", 2, "response", "email", "an*.***@****.**g"),
        ("demos.jsonl", 2, "response", "phone", "13********8"),
    ]
    twice = scanned([collected, collected], None)
    assert len(twice.found) == 3  # the same folder again: the same texts
    assert scan.kinds == {"card": 1, "email": 2, "phone": 2}


def gate_of(fingerprint: str) -> Gate:
    """A decision with one condition that is broken."""
    duel = Duel(
        by="gold",
        annotators=1,
        judgements=9,
        prompts=9,
        alike=0,
        left=0,
        wins=5,
        ties=0,
        losses=4,
        win_rate=0.55,
        low=0.4,
        high=0.7,
        e_value=1.0,
        expected_more=None,
        verdict="hold",
    )
    broken = Condition(name="kl", state="broken", value=9.0, limit=8.0, sentence="it drifted | too far")
    values = {
        "verdict": "hold",
        "sentence": "It is not better yet.",
        "candidate": "m",
        "candidate_fingerprint": fingerprint,
        "incumbent": "i",
        "incumbent_fingerprint": "x",
        "duel": duel,
        "conditions": (broken,),
        "front": (),
        "alpha": 0.05,
        "worthwhile": 0.5,
        "evaluation": "e",
        "judgements": "j",
    }
    return signed(values)


@pytest.fixture
def make(folder: str, collected: str, demonstrations: str, tmp_path: Path) -> Callable[..., CardsConfig]:
    """Settings with everything that can be given."""
    pipe = tmp_path / "pipe"
    mark = fingerprints.of_path(folder)
    told = evaluation(with_gold=True)
    told["models"]["ppo/step-000040"] |= {"fingerprint": mark, "path": folder}
    (pipe / "evaluate").mkdir()
    (pipe / "evaluate" / layout.EVALUATION).write_text(json.dumps(told))
    write_document(pipe / layout.GATED, gate_of(mark))

    def config(name: str = "cards", **given: Any) -> CardsConfig:
        every: dict[str, Any] = {
            "evaluation": str(pipe / "evaluate"), "collected": (collected,), "demonstrations": demonstrations,
            "gate": str(pipe / layout.GATED), "licence": "mit", "base": "some/base",
        }  # fmt: skip
        return CardsConfig(**{**every, "out": str(tmp_path / name), "threads": 1, **given})

    return config


Make = Callable[..., CardsConfig]


def cards(config: CardsConfig) -> dict[str, str]:
    """File -> what it says."""
    out = write(config).parent
    return {name: (out / name).read_text(encoding="utf-8") for name in CARDS}


def test_the_cards_of_everything(make: Make):
    config = make()
    said = cards(config)
    model, data = said[layout.CARD_OF_MODEL], said[layout.DATA_CARD]
    head = yaml.safe_load(model.split("---\n")[1])
    assert (head["license"], head["base_model"], head["pipeline_tag"]) == ("mit", "some/base", "text-generation")
    assert "prefloop" in head["tags"]
    assert head["datasets"] == [f"demonstrations-{fingerprints.of_path(config.demonstrations or '')}"]
    assert yaml.safe_load(data.split("---\n")[1])["license"] == "unknown"
    assert "| preferred to the reference (ties half) | 91% [89, 93] |  |" in model
    assert "| kl | **broken** | 9.00 | 8.00 | it drifted \\| too far |" in model
    assert "**Hold.** It is not better yet." in model
    assert "17% of the judgements are no person's." in model  # 1 of 6
    assert "| person-1 | people | 3 | 4.0 | 33% (3) |" in data
    assert "people with people: 50% of 2 couples" in data
    assert "- v1\n- v2\n- 3 judgements name no version" in data
    assert "## Consent\n\nnot recorded" in data
    result = read_document(Path(config.out) / layout.FINISHED, Finished).result
    assert (result["num_personal"], result["personal"]) == (5, {"card": 1, "email": 2, "phone": 2})
    assert len(read_records(Path(config.out) / layout.PII, Personal)) == 5


def test_what_was_found_is_said_in_all_of_them_and_shown_in_none(make: Make):
    config = make()
    for name, text in cards(config).items():
        assert ("Personal data were found" if "zh" not in name else "发现个人数据") in text
        for secret in (*SECRETS, "Wang", "Bob"):
            assert secret not in text
    assert not any(secret in (Path(config.out) / layout.PII).read_text() for secret in SECRETS)


def test_both_languages_say_the_same_numbers(make: Make):
    """All numbers of a card's tables stand in the other language's, in the same places."""
    said = cards(make())
    for english, chinese in ((layout.CARD_OF_MODEL, layout.CARD_OF_MODEL_ZH), (layout.DATA_CARD, layout.DATA_CARD_ZH)):
        rows = [[re.findall(r"\d[\d.]*", row) for row in said[name].splitlines() if row.startswith("|")]
                for name in (english, chinese)]  # fmt: skip
        assert rows[0] == rows[1]
        assert len(rows[0]) > 10
        lines = [[row for row in said[name].splitlines() if row.startswith("#")] for name in (english, chinese)]
        assert len(lines[0]) == len(lines[1])


def test_what_was_not_given_is_not_recorded(folder: str, tmp_path: Path):
    said = cards(CardsConfig(model=folder, out=str(tmp_path / "bare")))
    model = said[layout.CARD_OF_MODEL]
    for sentence in (
        "It was not evaluated",
        "No decision of a gate",
        "No file was given to be searched",
        "## Licence\n\nnot",
    ):
        assert sentence in model
    assert "which run made it is not recorded" in model
    assert not re.search(r"\|.*\d", model.partition("## What it learned")[2])  # no number out of nothing
    assert yaml.safe_load(model.split("---\n")[1])["license"] == "unknown"


def test_the_reward_models_blind_spots_are_told(make: Make, folder: str, tmp_path: Path):
    shutil.copytree(folder, tmp_path / "reward")
    card = make_card(Judge(len), pairs(60), seed=0, num_probed=60)
    write_document(tmp_path / "reward" / layout.MODEL_CARD, card)
    text = cards(make(reward=str(tmp_path / "reward")))[layout.CARD_OF_MODEL]
    assert "can be pleased for nothing by:" in text  # a judge that counts letters
    assert f"It orders {round(100 * card.accuracy.mean)}%" in text
    bare = cards(make("bare", reward=folder))[layout.CARD_OF_MODEL]
    assert "has no health card" in bare


def test_the_line_goes_back_to_the_raw_files(tmp_path: Path):
    """ppo from sft from a file: each run once, with what is not as by default."""

    def run(stage: str, settings: dict[str, Any], **inputs: str) -> str:
        folder = tmp_path / stage
        folder.mkdir()
        read = {name: Artefact(path=path, fingerprint=name[:3]) for name, path in inputs.items()}
        card = RunCard(
            stage=stage,
            command="c",
            seed=3,
            threads=1,
            versions={"prefloop": "9"},
            machine={},
            config={},
            inputs=read,
            identity=Identity(stage=stage, settings=settings, inputs={}),
            chosen={"settings": {"lr": 0.5}} if stage == "ppo" else {},
        )
        write_document(folder / layout.CARD, card)
        write_document(folder / layout.FINISHED, Finished(outputs={}, result={}))
        return str(folder / layout.MODEL)

    sft = run("sft", {"epochs": 77, "warmup": 0.05}, demonstrations=str(tmp_path / "raw.jsonl"))
    reward = run("reward", {}, model=sft)
    ppo = run("ppo", {"clip": 0.2, "kl_coef": 0.9}, policy=sft, reward=reward)
    found = line(str(Path(ppo) / "step"))
    assert [made.stage for made in found] == ["ppo", "sft", "reward"]
    assert found[0].settings == {"kl_coef": 0.9, "lr": 0.5}
    assert found[1].settings == {"epochs": 77}
    assert found[1].inputs[0][0::2] == ("demonstrations", "dem")
    assert line(str(tmp_path / "nowhere" / "x")) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"evaluation": "EMPTY"}, "there is no evaluation"),
        ({"gate": "nowhere.json"}, "nothing is there|no such file"),
        ({"collected": ("EMPTY",)}, "comparisons.jsonl"),
        ({"model": "nowhere"}, "nowhere"),
    ],
)
def test_what_is_missing_is_told(change: dict[str, Any], sentence: str, make: Make, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    names = {"EMPTY": str(tmp_path / "empty"), ("EMPTY",): (str(tmp_path / "empty"),)}
    with pytest.raises(UserError, match=sentence):
        write(make(**{key: names.get(value, value) for key, value in change.items()}))


def test_an_evaluation_or_a_decision_of_another_model_is_refused(make: Make, bases: dict[str, str]):
    with pytest.raises(UserError, match="was not measured there; that evaluation is of sft"):
        write(make(model=bases["GPT-2"]))
    with pytest.raises(UserError, match="this decision is about another model"):
        write(make(model=bases["GPT-2"], evaluation=None))


def test_somebody_must_say_which_model():
    with pytest.raises(UserError, match="nothing says which model the cards are of"):
        CardsConfig.parse({"out": "o"}, where="here")


def test_both_languages_take_the_same_values():
    for key, (english, chinese) in LABELS.items():
        assert english, key
        assert chinese or key == "space", key
        assert set(FIELD.findall(chinese)) <= set(FIELD.findall(english)), key
