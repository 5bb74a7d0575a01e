"""Each section says what the run did, and nothing where nothing was measured."""

import copy
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reading import Write, plain, report, section

from health.simulated import Judge, pairs
from prefloop.errors import UserError
from prefloop.health import page as health
from prefloop.health.card import make_card
from prefloop.health.words import says, verdict
from prefloop.records.evaluations import EXACT_KL
from prefloop.report.config import ReportConfig
from prefloop.report.stage import write
from prefloop.report.words import LABELS, Words
from prefloop.world.agents import demonstrations
from prefloop.world.gold import judge
from prefloop.world.grammar import prompts


def changed(name: str, **fields: Any) -> Callable[[str, Any], Any]:
    """Sets fields of one file; dotted names with `__`."""

    def change(file: str, value: Any) -> Any:
        for path, new in fields.items() if file == name else ():
            inner = value
            *places, last = path.split("__")
            for place in places:
                inner = inner[place]
            inner[last] = new
        return value

    return change


def test_the_reward_model_has_two_ceilings(pipeline: Write):
    """81 % of all 646 pairs, 85 % of the 590 with a majority; single decisions beside their own limit and length."""
    text = section(report(pipeline())[0], "proxy")
    truth, _, labels = text.partition("Which side will an annotator choose?")
    assert "81% [79, 84]" in truth
    assert "646 held-out pairs, with or without a majority; whoever knows gets 100%" in truth
    assert "590 pairs, the easier ones 85%" in truth
    for part in ("1,938 decisions for a side", "74% [72, 76]", "86%", "56%", "75%", "1,212 couples"):
        assert part in labels
    assert "86%" not in truth


@pytest.mark.parametrize("why", [None, "no_reward", "no_collected", "nothing_held_out", "not_judged"])
def test_a_reward_model_that_was_not_checked_says_why(pipeline: Write, why: str | None):
    """What the reward stage measured by itself stands there, and why there is no more."""
    result = {"accuracy": 0.741, "accuracy_low": 0.7, "accuracy_high": 0.78, "length_only_accuracy": 0.6}
    result |= {"num_held_out": 300, "ece": None, "temperature": None, "ece_after_temperature": None, "by_strength": []}
    change = changed("reward/finished.json", result=result)
    more = changed("evaluate/evaluation.json", reward_model=None, reward_unchecked=why)
    stages = ("sft", "reward", "ppo", *(("evaluate",) if why else ()))
    html, _ = report(pipeline(stages=stages, change=lambda name, value: more(name, change(name, value))))
    text = section(html, "proxy")
    assert "74% [70, 78]" in text
    assert "300 held-out preferences, against the decision of the majority" in text
    assert Words("en").plain(f"unchecked.{why or 'no_evaluation'}") in text
    assert "ECE" not in text


@pytest.mark.parametrize(("language", "file"), [("en", "card.html"), ("zh", "card.zh.html")])
@pytest.mark.parametrize("ready", [True, False])
def test_the_health_card_is_told_and_found_again(
    pipeline: Write, tmp_path: Path, language: Any, file: str, ready: bool
):
    """Its verdict and reasons; the link holds after run and report were moved together. A card that says no is an
    alarm."""
    folder = pipeline()
    judge = Judge(lambda text: float(text.endswith("good")) if ready else len(text) % 7)
    card = make_card(judge, pairs(150, right=0.7), seed=0, num_probed=0)
    (folder / "reward/model").mkdir()
    (folder / "reward/model/prefloop_card.json").write_text(card.model_dump_json(), encoding="utf-8")
    health.write(card, folder / "reward", title="m", data="d")
    made = write(ReportConfig(pipeline=str(folder), out=str(folder / "report"), language=language))
    html = made.read_text(encoding="utf-8")
    text = section(html, "proxy")
    assert all(sentence in text for sentence in verdict(card, language))
    stops = [says(reason, language) for reason in card.reasons if reason.stops]
    assert bool(stops) != ready
    assert all(reason in section(html, "warnings") for reason in stops)
    (link,) = re.findall(rf'href="([^"#]*{file})"', html)
    moved = folder.rename(tmp_path / "a run that was moved")
    assert (moved / "report" / link).resolve() == moved / "reward" / file


def test_without_numbers_there_is_no_section(pipeline: Write):
    def change(name: str, value: Any) -> Any:
        if name.endswith("evaluation.json"):
            value |= {"reward_model": None, "reward_unchecked": "no_reward", "samples": [], "demonstrations": None}
            for model in value["models"].values():
                model["ood"] = None
        return value

    html, _ = report(pipeline(stages=("sft", "ppo", "evaluate"), with_gold=False, change=change))
    names = re.findall(r'<section id="([^"]+)">', html)
    assert names == ["result", "flow", "table", "checkpoints", "curves", "samples", "warnings", "run"]
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(names)


def test_the_untouched_model_stands_beside_both(pipeline: Write):
    """Its perplexity is the exponential of the nats, ends of the interval too, and its responses are shown."""

    def change(name: str, value: Any) -> Any:
        if name.endswith("evaluation.json"):
            models, nats = value["models"], {"mean": math.log(5), "low": math.log(4), "high": math.log(8)}
            models["base"] = {**copy.deepcopy(models["sft"]), "step": None}
            for model in (models["base"], models["sft"], models[value["selected"]]):
                model["test"] |= {"base_kl": {"mean": 2.5}, "base_nats": nats}
            value["base"] = "base"
            value["samples"] = [{**s, "base": {**s["reference"], "text": "Salute."}} for s in value["samples"]]
        return value

    html, _ = report(pipeline(change=change))
    text = section(html, "untouched")
    assert "perplexity under the untouched model" in text
    assert text.count("5.00 [4.00, 8.00]") == 3
    assert "Salute." in section(html, "samples")


def test_captions_say_what_the_run_did(pipeline: Write):
    """The loss begins where this one begins; whitened advantages are 1; a steered coefficient has its target."""
    begun = {"accuracy": 0.7, "loss_at_start": 1.83, "loss_no_opinion": 1.52}
    change = changed("reward/finished.json", result=begun)
    more = changed("ppo/run.json", config={"whiten_advantages": True, "clip": 0.2, "kl_target": 6.0})
    curves = section(report(pipeline(change=lambda name, value: more(name, change(name, value))))[0], "curves")
    assert "begins at 1.83; below 1.52" in curves
    assert "1 by construction" in curves
    assert "Hovers near zero" in curves
    assert "target of 6.0 nats" in curves
    assert "0.69" not in curves
    plainly = section(report(pipeline())[0], "curves")
    for said in ("begins at", "by construction", "target of"):
        assert said not in plainly


def test_what_is_not_sft_is_not_called_so(pipeline: Write):
    """Compared with a model that no SFT stage wrote, neither the verdict nor the tables speak of SFT."""
    change = changed("evaluate/evaluation.json", models__sft__path="hub/some-model")
    html, _ = report(pipeline(stages=("reward", "ppo", "evaluate"), change=change))
    for name in ("result", "table", "checkpoints"):
        text = section(html, name)
        assert "reference" in text
        assert "SFT" not in text


def test_only_the_score_that_was_optimised_is_called_so(pipeline: Write):
    """Another reward as the judge is a score, and no more is said of it."""
    change = changed("evaluate/run.json", inputs__reward__fingerprint="0" * 12)
    assert "the very score that was optimised" in section(report(pipeline(with_gold=False))[0], "result")
    text = section(report(pipeline(with_gold=False, change=change))[0], "result")
    assert "the very score that was optimised" not in text
    assert "That judge is a score, a proxy" in text


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"rule": "preferred", "clear": True, "over_limit": []}, "step-000040 在验证提示上对 SFT 的胜率最高"),
        ({"rule": "preferred", "clear": False, "over_limit": []}, "没有哪个明显好过 SFT"),
        ({"rule": "preferred", "clear": True, "over_limit": ["a", "b"]}, "胜率更高但超过上限：a, b"),
        ({"rule": "nearest", "clear": True, "over_limit": []}, "3 个模型的偏离都超过 8.0 奈特"),
    ],
)
def test_the_reason_is_in_the_language_of_the_page(pipeline: Write, choice: dict[str, Any], says: str):
    change = changed("evaluate/evaluation.json", choice={"candidates": 3, **choice}, kl_estimator=EXACT_KL)
    text = section(report(pipeline(change=change), language="zh")[0], "checkpoints")
    assert says in text
    assert "The highest win rate" not in text
    assert EXACT_KL not in text


def test_golds_remarks_and_tags_are_in_the_language_of_the_page(pipeline: Write):
    """Everything that gold can say has its word, and so has every tag of the helpdesk."""
    asked = [*prompts("train", 300), *prompts("ood", 50)]
    replies = [d.response for d in demonstrations(asked, language="en", seed=0)]
    pairs = [*zip(asked, replies, strict=True), *zip(asked[1:], replies, strict=False), (asked[0], "")]
    said = {reason for prompt, reply in pairs for reason in judge(prompt.text, reply).reasons}
    assert len(said) > 18
    assert {f"remark.{each}" for each in said} | {f"tag.{tag}" for p in asked for tag in p.tags} <= LABELS.keys()

    def change(name: str, value: Any) -> Any:
        if name.endswith("evaluation.json"):
            for each in value["samples"]:
                each["tags"] = ["topic:refund", "unsafe", "mine"]
                each["selected"]["gold"]["reasons"] = ["right action", "no order"]
        return value

    text = section(report(pipeline(change=change), language="zh")[0], "samples")
    assert "做法正确; 缺订单号" in text
    assert "主题：退款 不安全 mine" in text
    assert "right action" not in text


def test_a_candidate_equal_to_the_reference(pipeline: Write):
    """Ties everywhere: half, no clear difference, and no change anywhere."""
    same = {"mean": 0.5, "low": 0.4, "high": 0.6, "judge": "gold", "num": 16, "wins": 0, "ties": 16, "losses": 0}

    def change(name: str, value: Any) -> Any:
        if name.endswith("evaluation.json"):
            for split in ("test", "ood", "validation"):
                value["models"]["ppo/step-000040"][split] = value["models"]["sft"][split] | {"win_rate": same}
        return value

    html, _ = report(pipeline(change=change))
    assert "wins 50% [40, 60] of comparisons with SFT" in section(html, "result")
    assert "no clear difference" in section(html, "result")
    table = section(html, "table")
    assert "0 wins, 16 ties, 0 losses" in table
    assert "±0" in table
    assert not re.search(r" (better|worse) ", table)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("evaluate/evaluation.json", '{"models": {', "not JSON"),
        ("evaluate/evaluation.json", "[" * 100_000, "not JSON"),
        ("evaluate/evaluation.json", '{"selected": "\\ud800"}', "not (text|as prefloop writes it)"),
        ("ppo/metrics.jsonl", '{"step": 1}\n{"step": 2, "sco', "metrics.jsonl:2"),
        ("ppo/samples.jsonl", '{"step": 1}\n\0\0\0\0', "samples.jsonl"),
        ("reward/finished.json", "null", "expected an object"),
    ],
)
def test_a_damaged_file_is_a_sentence(pipeline: Write, file: str, text: str, says: str):
    folder = pipeline()
    (folder / file).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=says):
        report(folder)


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("ppo/metrics.jsonl", "ratio/clipped", 1e308),
        ("ppo/metrics.jsonl", "scores/mean", 10**400),
        ("reward/finished.json", "result", {"accuracy": "high", "by_strength": [{"strength": "x"}, 3], "ece": []}),
        ("reward/finished.json", "result", {"accuracy": 0.7, "by_strength": 5}),
    ],
)
def test_numbers_that_cannot_be_drawn_are_left_out(pipeline: Write, file: str, key: str, value: Any):
    """Results hold anything; what is no number is not one on the page either."""

    def change(name: str, written: Any) -> Any:
        if name == file and key == "result":
            return written | {key: value}
        return [row | {key: value} for row in written] if name == file else written

    stages = ("sft", "reward", "ppo")
    html, _ = report(pipeline(stages=stages, change=change))
    assert "308" not in plain(html)
    assert "inf" not in re.findall(r"[a-z]+", " ".join(re.findall(r'points="([^"]*)"', html)))


def test_an_unfinished_run_is_a_page(pipeline: Write):
    """Stopped in the middle of PPO: what there is of it is drawn, and the page says that it did not finish."""
    folder = pipeline(stages=("sft", "reward", "ppo"))
    for name in ("finished.json", "timing.json", "samples.jsonl"):
        (folder / "ppo" / name).unlink()
    rows = (folder / "ppo" / "metrics.jsonl").read_text().splitlines()[:3]
    (folder / "ppo" / "metrics.jsonl").write_text("\n".join(rows) + "\n")
    html, summary = report(folder)
    assert "Not finished: ppo." in plain(html)
    assert "did not finish" in section(html, "run")
    assert summary["seconds"]["ppo"] is None
    assert "Score" in section(html, "curves")
