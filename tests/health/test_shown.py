"""What the card says: every rule in both languages, on a page that stands by itself, and at the gate."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from markupsafe import escape

from health.simulated import Judge, pairs
from prefloop import layout
from prefloop.errors import UserError
from prefloop.health import gate, page
from prefloop.health.card import make_card
from prefloop.health.curve import learning_curve
from prefloop.health.words import LABELS, LANGUAGES, REASONS, RULES, says, verdict
from prefloop.records.cards import Card, Reason, Share
from prefloop.records.probes import CurvePoint, Probe, ProbeKind
from prefloop.signs import STOPS

FIELD = re.compile(r"\{(\w+)\}")


@pytest.fixture(scope="module")
def card() -> Card:
    """Of a judge that is a coin to itself, with a slice whose name is HTML."""
    rows = [row.model_copy(update={"tags": ("topic:<b>x",)}) for row in pairs(40)]
    train = Share(mean=0.99, low=0.97, high=1.0, num=200)
    return make_card(Judge(lambda text: len(text) % 7), rows, seed=0, training=pairs(30, seed=1), accuracy_train=train)


def test_every_rule_has_its_words_in_both_languages():
    assert set(REASONS) == set(RULES) >= set(STOPS)
    assert {f"kind.{kind}" for kind in get_args(ProbeKind) if kind != "quality"} <= set(LABELS)
    for key, (english, chinese) in {**REASONS, **RULES, **LABELS}.items():
        assert english, key
        assert chinese or key == "space", key
        if key in REASONS:
            assert set(FIELD.findall(chinese)) == set(FIELD.findall(english)), key


def test_a_page_stands_by_itself(card: Card, tmp_path: Path):
    paths = page.write(card, tmp_path, title="runs/a/model", data="held_out.jsonl")
    assert [path.name for path in paths] == ["card.html", "card.zh.html"]
    for path, language in zip(paths, LANGUAGES, strict=True):
        html = path.read_text(encoding="utf-8")
        assert not re.search(r"<script|src=|href=\"http|<b>x", html)
        assert "topic:&lt;b&gt;x" in html
        assert all(escape(says(reason, language)) in html for reason in card.reasons)
        assert verdict(card, language)[0] in html
    assert "Not ready for RL." in paths[0].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("accuracies", "says_so"),
    [
        ((0.60, 0.65, 0.68, 0.70), ("With twice as many labels, 4,000,", "翻倍到 4,000", "twice as many<")),
        ((0.70, 0.60, 0.50, 0.40), ("no curve that only rises passes near these points", "没有单调上升的曲线")),
        ((), ("Not known here", "此处不知道")),
    ],
)
def test_the_learning_curve_stands_on_the_page_or_why_not(accuracies: tuple[float, ...], says_so: tuple[str, ...]):
    points = [CurvePoint(num_pairs=250 * 2**i, accuracy=a, error=0.005) for i, a in enumerate(accuracies)]
    told = (lambda accuracy: learning_curve(points, exact=True, seed=0)) if points else None
    made = make_card(Judge(len), pairs(30), seed=0, num_probed=0, curve=told)
    html = page.page(made, "en", title="m", data="d") + page.page(made, "zh", title="m", data="d")
    assert all(sentence in html for sentence in says_so)
    assert ("labels learned from" in html) == bool(points)


def test_a_card_reads_back(card: Card):
    assert Card.model_validate_json(card.model_dump_json()) == card
    with pytest.raises(ValueError, match="not_ready"):
        Card.model_validate({**card.model_dump(), "verdict": "ready"})


@pytest.mark.parametrize(
    ("finding", "name", "stops", "says_so"),
    [
        (
            "shortcut",
            "shortcut",
            True,
            'courtesy raises its score by 1.50 deviations, for nothing (most of all "thanks")',
        ),
        ("blind", "blind", False, "It hardly sees courtesy"),
        ("by_length", "", False, ""),
    ],
)
def test_a_probe_speaks_through_the_card(
    finding: Any, name: str, stops: bool, says_so: str, monkeypatch: pytest.MonkeyPatch
):
    small, large = (
        Probe(
            name=f"courtesy.{n}",
            kind="courtesy",
            expected="not_rise",
            finding=finding,
            num=40,
            shift=shift,
            token=token,
        )
        for n, shift, token in ((1, 0.5, "hello"), (4, 1.5, "thanks"))
    )
    margin = Probe(name="quality", kind="quality", expected="rise", finding="fine", num=40, shift=0.9)
    monkeypatch.setattr("prefloop.health.card.probe", lambda *args, **more: (margin, small, large))
    made = make_card(Judge(lambda text: float(text.endswith("good"))), pairs(200), seed=0)
    found = [reason for reason in made.reasons if reason.name in ("shortcut", "blind")]
    assert [(reason.name, reason.stops) for reason in found] == ([(name, stops)] if name else [])
    assert (made.verdict == "not_ready") == stops
    if found:
        assert says_so in says(found[0])
        assert "4 courtesies appended" in page.page(made, "en", title="m", data="d")


def test_the_gate(card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    folder = tmp_path / "model"
    folder.mkdir()
    monkeypatch.setattr(gate, "members_of", lambda model: [model])
    monkeypatch.setattr(gate, "reward_input", lambda model: model)

    def passes(reward: Any, **more: Any) -> None:
        gate.gate(reward, anyway=False, say=said.append, **more)

    passes("python:reward.py:score")
    assert said == []
    passes(str(folder))
    assert len(said) == 1
    assert "no health card" in said.pop()
    (folder / layout.MODEL_CARD).write_text(card.model_dump_json(), encoding="utf-8")
    with pytest.raises(UserError, match=r"not ready for RL\. .*memorises.* Or type anyway=true"):
        passes(str(folder))
    gate.gate(str(folder), anyway=True, say=said.append)
    assert "it is used anyway" in said.pop()
    healthy = {**json.loads(card.model_dump_json()), "reasons": [], "verdict": "ready"}
    (folder / layout.MODEL_CARD).write_text(json.dumps(healthy), encoding="utf-8")
    passes(str(folder))
    assert said == []
    (folder / layout.MODEL_CARD).write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=layout.MODEL_CARD):
        passes(str(folder))


def test_a_reason_is_written_as_it_was_measured():
    values: dict[str, float | str] = {"value": 0.7123, "low": 0.4, "other": 0.7}
    assert "71%" not in says(Reason(name="beside_length", stops=True, values=values))
    assert "gets 70%" in says(Reason(name="beside_length", stops=True, values=values))
