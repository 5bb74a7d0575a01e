"""The page of alarms: both languages, standing by itself, and nothing of what models wrote is markup."""

from collections.abc import Callable
from pathlib import Path

import pytest

from prefloop import cli
from prefloop.align.config import PPOConfig
from prefloop.doctor import page
from prefloop.doctor.examined import examined
from prefloop.doctor.page import CURVES
from prefloop.doctor.reading import read
from prefloop.signs import RULES, SENTENCES, says

from .conftest import rows, said, write_run

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture
def folder(ppo: Callable[..., PPOConfig]) -> Path:
    samples = [said(1, "calm"), said(20, HOSTILE, 3.0)]
    return write_run(ppo(), rows(20, ratio_clipped=lambda step: float(step > 9)), samples=samples)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_alarm_has_its_sentence_its_curve_and_its_remedy(language: str, folder: Path):
    patient = read(str(folder))
    found = examined(patient)
    html = page.page(patient, found, language)
    (finding,) = found.findings
    assert says(finding.sign, language, change=False) in html
    assert "ppo.lr 0.0003 -&gt; 0.0001" in html
    assert html.count("<figure>") == len(CURVES["clipped"])
    assert {"en": "since step 10", "zh": "从第 10 步起"}[language] in html
    assert "looked at: value 1, limit 0.3" in html or language == "zh"
    for name in ("entropy", "grad_spike"):
        assert SENTENCES[name].rule[language == "zh"].split("{")[0] in html
    other = {"en": "怎么办", "zh": "What to do"}[language]
    assert other not in html


def test_what_a_model_wrote_is_text(folder: Path, tmp_path: Path):
    assert cli.main(["doctor", str(folder), f"page={tmp_path / 'page'}"]) == 1
    for name in ("index.html", "index.zh.html"):
        html = (tmp_path / "page" / name).read_text(encoding="utf-8")
        assert "&lt;script&gt;" in html
        assert "<script" not in html
        assert "http" not in html.replace("http-equiv", "")


def test_a_curve_is_that_of_a_rule():
    assert CURVES.keys() - {"diverged"} <= RULES.keys()
