"""What a reward pays for by itself is found by hand-made scores, and a charge of it takes it off."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from prefloop import cli
from prefloop.align.config import PPOConfig
from prefloop.doctor.charging import LENGTH, charge
from prefloop.doctor.examined import examined
from prefloop.doctor.reading import read

from .conftest import Row, rows, said, write_run

Make = Callable[..., PPOConfig]


def test_words_have_the_prices_that_the_scores_were_made_of():
    """scores = 2 + 3 * (number of `thanks`) + 1 * (number of `again`) + noise of 0.1; `your` is said beside them."""
    many = [(i % 4, (i // 4) % 3, (i % 4 + i // 5) % 3) for i in range(48)]
    texts = [f"{'thanks ' * a}{'again ' * b}for {'your ' * c}patience." for a, b, c in many]
    scores = [2.0 + 3 * a + b + 0.1 * (-1) ** (i // 2) for i, (a, b, _) in enumerate(many)]
    found = charge(texts, scores, ["patience", "thanks", "your", ".", "again"])
    assert found is not None
    assert found.prices == {"thanks": pytest.approx(3, abs=0.1), "again": pytest.approx(1, abs=0.1)}
    assert found.explained > 0.98
    by_length = charge(texts, [float(len(text.split()) + 1) for text in texts], ["patience"])
    assert by_length is not None
    assert by_length.prices == {LENGTH: 1.0}  # a mark is a word too


def test_what_a_judge_likes_too_is_no_price():
    """scores = 4 * judge + 2 * (number of `thanks`), and the judge likes `done`: alone it seems to be paid for, beside
    him it is not, and the price of `thanks` is exact."""
    many = [(i % 4, (i // 4) % 3, (i * 5 % 7) / 7) for i in range(48)]
    texts = [f"{'thanks ' * a}{'done ' * b}{'so ' * (5 - a - b)}" for a, b, _ in many]
    worths = [b + noise for _, b, noise in many]
    scores = [4 * worth + 2 * a for (a, _, _), worth in zip(many, worths, strict=True)]
    alone, beside = (charge(texts, scores, ["thanks", "done"], worth) for worth in (None, worths))
    assert alone is not None
    assert alone.prices.keys() == {"thanks", "done"}
    assert beside is not None
    assert beside.prices == {"thanks": 2.0}
    assert beside.explained == pytest.approx(1)


def test_of_many_words_the_length_is_not_left_out():
    """Of 128 samples 32 counts may be charged; the score is a tenth for every word."""
    kinds = [f"w{k}" for k in range(40)]
    texts = [" ".join(kinds[(i * k) % 40] for k in range(1, 2 + i % 23)) for i in range(128)]
    found = charge(texts, [0.1 * len(text.split()) for text in texts], kinds)
    assert found is not None
    assert found.prices == {LENGTH: pytest.approx(0.1)}


def test_what_is_not_paid_for_or_not_known_well_is_not_charged():
    texts = [f"{'thanks ' * (i % 4)}yes" for i in range(24)]
    assert charge(texts, [-float(i % 4) for i in range(24)], ["thanks"]) is None  # it costs
    # scores that have nothing to do with it
    assert charge(texts, [float((i * 7) % 24 > 11) for i in range(24)], ["thanks"]) is None
    assert charge(texts[:15], [float(i % 4) for i in range(15)], ["thanks"]) is None  # too few
    assert charge(texts, [1.0] * 24, ["thanks"]) is None
    assert charge(["yes"] * 24, [float(i) for i in range(24)], ["thanks"]) is None


def greedy() -> list[Row]:
    """Samples of 10 steps, four of each, which from step 3 on say thank you more and more often, for 2 a time."""
    times = [(step, 2 * max(0, step - 2) + (i % 2 if step > 2 else 0)) for step in range(1, 11) for i in range(4)]
    return [said(step, f"it is {'thank you ' * num}on its way", 2.0 * num) for step, num in times]


def test_a_run_that_likes_a_word_is_told_which_and_its_price_is_taken_off(
    ppo: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """`thank` and `you` are said equally often, 2 a time for both; the settings keep the reward and take that off."""
    monkeypatch.chdir(tmp_path)
    metrics = rows(10, responses_top_word=lambda step: step / 10, scores_mean=float)
    folder = write_run(ppo(), metrics, samples=greedy())
    (finding,) = examined(read(str(folder))).findings
    assert finding.sign.name == "stuffing"
    assert "thank you" in finding.exploits[0].text
    assert (finding.exploits[0].before, finding.exploits[0].after) == (0.0, 1.0)
    assert cli.main(["doctor", str(folder), "apply=again.yaml"]) == 1
    assert "late responses say far more often" in capsys.readouterr().out
    again = PPOConfig.load("again.yaml")
    assert isinstance(again.reward, dict)
    kept, charged = again.reward["optimised"], again.reward["charged"]
    assert (kept.model, kept.weight) == ("python:reward.py:score", 1.0)
    assert (charged.model, charged.weight) == ("python:again-charges.py:charged", -1.0)
    count = runpy.run_path("again-charges.py")["charged"]
    whole, none = count(["a", "b"], ["it is thank you thank you on its way", "it is on its way"])
    assert whole - none == pytest.approx(4.0, abs=0.05)


def test_a_charge_that_is_there_is_not_written_over(ppo: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    metrics = rows(10, responses_top_word=lambda step: step / 10, scores_mean=float)
    folder = write_run(ppo(), metrics, samples=greedy())
    (tmp_path / "again-charges.py").write_text("mine")
    assert cli.main(["doctor", str(folder), f"apply={tmp_path / 'again.yaml'}"]) == 2
    assert "again-charges.py: this is there already" in capsys.readouterr().err
    assert not (tmp_path / "again.yaml").exists()
    assert (tmp_path / "again-charges.py").read_text() == "mine"


def test_of_a_stage_only_the_most_telling_alarm_is_treated_at_once(
    ppo: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    metrics = rows(20, responses_top_word=lambda step: step / 20, ratio_clipped=lambda step: 0.5)
    folder = write_run(ppo(), metrics)
    assert cli.main(["doctor", str(folder), f"apply={tmp_path / 'again.yaml'}", "json=true"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [(one["sign"], one["treated"]) for one in told["found"]] == [("stuffing", True), ("clipped", False)]
    assert [change["key"] for change in told["applied"]["changes"]] == ["kl_coef"]
    cli.main(["doctor", str(folder)])
    assert "if that does not mend it: Take smaller steps." in capsys.readouterr().out
