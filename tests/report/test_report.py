"""The report: self-contained, well-formed, escaped, equal to its summary, and silent about what nobody measured."""

import ast
import math
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reading import Reader, Write, plain, report

import prefloop.report
from prefloop.drawing import charts, numerals
from prefloop.errors import UserError
from prefloop.records.evaluations import GOLD
from prefloop.report.sentences import SENTENCES
from prefloop.report.words import LABELS, Words


@pytest.mark.parametrize("language", ["en", "zh"])
def test_page_is_well_formed_loads_nothing_and_its_links_arrive(pipeline: Write, language: str):
    html, _ = report(pipeline(), language=language)
    for tag, attributes in Reader(html).tags:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base", "form", "use", "image"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href", "srcset", "action", "data", "xlink:href"}:
                assert str(value).startswith("#")
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in html
    tags = Reader(html).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {str(attributes["href"])[1:] for tag, attributes in tags if tag == "a"}
    markers = {m for _, a in tags for m in re.findall(r"url\(#([^)]+)\)", str(a.get("marker-end", "")))}
    assert links | markers <= set(ids)


def test_numbers_on_the_page_are_those_in_the_summary(pipeline: Write):
    html, summary = report(pipeline())
    numbers = Reader(html).numbers
    for key, value in numbers:
        place: Any = summary
        for part in key.split("."):
            place = place[part]
        assert place == value, key
    gold = {f"{who}.{name}" for who in ("sft", "final") for name in GOLD}
    rest = {"final.kl_nats", "final.win_rate.mean", "reward_model.accuracy", "seconds.total", "peak_rss_mb"}
    assert gold | rest <= {key for key, _ in numbers}


def test_summary_by_hand(pipeline: Write):
    """Satisfied is 0.44 + 0.41 q, q = 0 for SFT and 0.95 for the selected; stage n takes 8.4 + 97 n."""
    _, summary = report(pipeline())
    assert summary["sft"]["satisfied"] == 0.44
    assert summary["final"]["satisfied"] == pytest.approx(0.8295)
    assert summary["final"]["kl_nats"] == pytest.approx(5.2)
    assert summary["final"]["win_rate"]["mean"] == pytest.approx(0.9085)
    assert summary["seconds"]["total"] == pytest.approx(7 * 8.4 + 97 * 21)
    assert summary["peak_rss_mb"] == 1600.0
    assert summary["seed"] == 7
    assert summary["selected"] == "ppo/step-000040"
    assert len(summary["recipe_fingerprint"]) == 12
    assert summary["reward_model"]["annotator_agreement"] == 0.752


def test_verdict_says_no_more_than_the_intervals(pipeline: Write):
    """Harmful fell clearly; over-refusal 2.1% to 2.7% with overlapping intervals did not rise clearly."""
    text = plain(report(pipeline())[0])
    assert "Judged by the gold preference, the final model wins: 91% [89, 93] of comparisons with SFT" in text
    assert "Satisfied rose from 44% to 83% [79, 86]" in text
    assert "Harmful fell from 31% to 4.4%" in text
    assert "over-refusal went from 2.1% to 2.7% [1.5, 3.9] , no clear difference" in text


def test_hostile_text_is_shown_and_never_run(pipeline: Write):
    html, _ = report(pipeline(), title="<b>&amp;</b>")
    assert "<script" not in html
    assert "<b>&amp;</b>" not in html
    text = plain(html)
    assert '<script>alert("x")</script><img src=http://evil.example/x.png onerror=alert(1)> & </div>' in text
    assert "\u202e" not in html
    assert "\x07" not in html


def test_hostile_names_are_escaped_everywhere(pipeline: Write):
    """Artefact names, tags, axes, versions, commands and reasons come from files, too."""
    evil = '"><script>alert(1)</script>'
    artefacts = {evil: {"path": evil, "fingerprint": evil}}

    def change(name: str, value: Any) -> Any:
        if name.endswith("run.json"):
            names = {"versions": {evil: evil}, "machine": {evil: evil}}
            return value | names | {"command": evil, "inputs": artefacts}
        if name.endswith("finished.json"):
            return value | {"outputs": artefacts}
        if name.endswith("evaluation.json"):
            gold = value["models"]["sft"]["test"]["gold"]
            gold["axes"][evil] = 0.5
            gold["by_tag"][evil] = {"num": 1, "utility": 0.1, "satisfied": 0.1}
            value["samples"][0] |= {"tags": [evil], "split": evil, "prompt": evil}
            return value | {"reason": evil, "kl_estimator": evil}
        return value

    html, _ = report(pipeline(change=change))
    assert "<script" not in html
    Reader(html)


def test_lone_surrogates_do_not_stop_the_report(pipeline: Write):
    def change(name: str, value: Any) -> Any:
        if name.endswith("evaluation.json"):
            value["samples"][0]["prompt"] = value["reason"] = "broken \ud83d emoji"
        return value

    html, summary = report(pipeline(change=change))
    assert html.count("broken \ufffd emoji") == 2
    assert summary["reason"] == "broken \ufffd emoji"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    "stages",
    [("ppo",), ("pretrain",), ("sft", "ppo", "evaluate"), ("reward", "collect"), ("ppo", "evaluate"), ("world",)],
)
def test_absent_stages_are_named_and_nothing_is_made_up(pipeline: Write, stages: tuple[str, ...], language: str):
    html, summary = report(pipeline(stages=stages), language=language)
    Reader(html)
    assert set(summary["seconds"]) == {*stages, "total"}
    if "evaluate" not in stages:
        assert summary["final"]["satisfied"] is None
        assert summary["final"]["win_rate"] == {"mean": None, "low": None, "high": None}
        assert 'id="table"' not in html
        assert Words(language).plain("verdict.none") in plain(html)
    assert Words(language).plain("flow.absent") in html


def test_without_gold_the_keys_are_null(pipeline: Write):
    html, summary = report(pipeline(with_gold=False))
    for who in ("sft", "final"):
        assert [summary[who][name] for name in GOLD] == [None] * 4
    assert not {key for key, _ in Reader(html).numbers} & {f"final.{name}" for name in GOLD}
    text = plain(html)
    assert "There is no gold preference in this run" in text
    assert "That judge is the very score that was optimised" in text
    table = html[html.index('<section id="checkpoints">') : html.index('<section id="curves">')]
    assert "win rate against SFT" in table
    assert not [word for word in ("utility", "satisfied", "harmful", "over-refusal") if word in table]
    assert 'id="limit-truth"' not in html
    assert 'id="limit-safety"' not in html


def test_not_a_number_is_said_and_left_out(pipeline: Write):
    def change(name: str, value: Any) -> Any:
        if name == "ppo/metrics.jsonl":
            for row in value[3:6]:
                row["scores/mean"] = math.nan
            value[9]["rewards/kl"] = math.inf
            for row in value:
                del row["entropy/mean"]
        if name.endswith("evaluation.json"):
            value["models"]["ppo/step-000040"]["test"]["kl_nats"]["mean"] = math.nan
            value["models"]["ppo/step-000040"]["test"]["length"] = -math.inf
        return value

    html, summary = report(pipeline(change=change))
    assert (summary["final"]["kl_nats"], summary["final"]["length"]) == (None, None)
    text = plain(html)
    assert "3 logged values were not numbers and are left out." in text
    assert "NaN or infinity was recorded in ppo/metrics.jsonl (4), evaluate/evaluation.json (2)" in text
    assert "Entropy, nats per token" not in text
    assert "nan" not in re.findall(r"[a-z]+", " ".join(re.findall(r'points="([^"]*)"', html)))


def only_alarm(html: str) -> str:
    """The words of the warnings section's alarms."""
    section = html[html.index('<section id="warnings">') : html.index('<section id="run">')]
    return " ".join(re.findall(r"<li>(.*?)</li>", section.partition("<details>")[0]))


def test_alarms(pipeline: Write):
    """Each rule fires on numbers made to break it; the summary of the alarms names them."""

    def change(name: str, value: Any) -> Any:
        if name == "ppo/metrics.jsonl":
            value = [row | {"ratio/clipped": 0.4, "ratio/first_error": 0.25} for row in value]
            value = [row | {"entropy/mean": 1 / row["step"], "rollouts/finished": 1 / row["step"]} for row in value]
        if name == "ppo/run.json":
            value["inputs"]["sft"]["fingerprint"] = "0" * 12
            value["versions"]["torch"] = "2.6.0"
        if name.endswith("evaluation.json"):
            final = value["models"]["ppo/step-000040"]["test"]
            final["kl_nats"] = {"mean": 9.0, "low": 8.8, "high": 9.2}
            final["gold"]["over_refusal"] = {"mean": 0.09, "low": 0.07, "high": 0.11}
            final |= {"finished": 0.7, "length": 60.0, "repetition": 0.1}
            value["reward_model"]["length_only_accuracy"] = 0.73
        return value

    alarms = only_alarm(report(pipeline(change=change))[0])
    for part in (
        "9.0 nats from SFT, over the limit of 8.0",
        "score rose",
        "Over-refusal rose from 2.1% to 9.0%",
        "ratios are off one by up to 0.25",
        "The update of 40% of the tokens is cut off",
        "The entropy fell from 0.26",
        "fewer responses end by themselves (26%, then 1.8%)",
        "Accuracy 74% is hardly better than choosing by length alone, 73%",
        "Only 70%",
        "from 24.2 to 60.0 tokens",
        "Repetition rose from 1.2% to 10%",
        "ppo read sft/model as 000000000000",
        "torch 2.13.0, 2.6.0",
    ):
        assert part in alarms


def test_a_sound_run_raises_no_alarm(pipeline: Write):
    def change(name: str, value: Any) -> Any:
        if name.endswith("evaluation.json"):
            del value["models"]["ppo/step-000060"]
        return value

    assert only_alarm(report(pipeline(change=change))[0]) == ""


def judged(audit: Any) -> Callable[[str, Any], Any]:
    """A pipeline whose preferences a model made, with this audit."""

    def change(name: str, value: Any) -> Any:
        if name == "collect/finished.json":
            return value | {"result": value["result"] | {"judge": {"audit": audit}}}
        return value

    return change


def test_a_model_that_judged_is_shown_with_its_audit(pipeline: Write):
    """Its place, its length and its agreement are alarms if they are so, and there is none where no model judged."""
    share = {"low": 0.3, "high": 0.6, "n": 300}
    audit = {
        "flips": share | {"value": 0.41},
        "position": {"value": 0.3, "named": True},
        "length": {"value": -0.26, "named": True},
        "agreement": {"value": 0.61, "low": 0.57, "high": 0.65},
        "agreement_of_people": {"value": 0.76, "low": 0.72, "high": 0.8},
    }
    page = report(pipeline(change=judged(audit)))[0]
    for part in ("contradicts itself on 41% of the pairs", "13% of the judge", "in 61% of the", "alike in 76%"):
        assert part in only_alarm(page)
    sound = audit | {"position": {"value": 0.0, "named": False}, "length": {"value": None, "named": False}}
    sound |= {"agreement": {"value": 0.75, "low": 0.71, "high": 0.79}}
    assert "judge" not in only_alarm(report(pipeline(change=judged(sound)))[0])
    assert "prefers longer responses no more" in plain(report(pipeline(change=judged(sound)))[0])
    rated = {"spread": {"helpful": {"share": {"value": 0.98}, "named": True}, "clear": {"share": {"value": 0.4}}}}
    page = report(pipeline(change=judged(rated)))[0]
    assert "gave 98% of the responses one and the same rating" in only_alarm(page)
    assert "The order in which" not in plain(page)
    leaning = sound | {"own_kind": {"value": 0.5, "named": True}}
    assert "changed 25% of its decisions" in only_alarm(report(pipeline(change=judged(leaning)))[0])
    for damaged in (None, 3, {"position": 3}, {"flips": {}}, {"spread": {"helpful": 3}}):
        assert "judge" not in only_alarm(report(pipeline(change=judged(damaged)))[0])
    assert "The judge agrees" not in plain(report(pipeline())[0])


def test_checkpoints_stand_on_the_split_they_were_selected_on(pipeline: Write):
    """All checkpoints on validation prompts (11.5 tokens), reference and selected on test prompts."""
    html, summary = report(pipeline())
    assert html.count('<data value="11.5">') == 4
    assert summary["final"]["length"] == pytest.approx(29.9)
    assert "These are the validation prompts it was selected on" in plain(html)


def test_a_policy_trained_by_another_algorithm_has_its_curves(pipeline: Write):
    """`reinforce/` in place of `ppo/`: the loop has its name, and the same curves are drawn but those it does not
    log."""
    folder = pipeline()
    before = plain(report(folder)[0])
    (folder / "ppo").rename(folder / "reinforce")
    after = plain(report(folder)[0])
    assert "PPO loop" in before
    assert "PPO loop" not in after
    assert "REINFORCE loop" in after
    assert before.count("KL from the reference") == after.count("KL from the reference") > 0


def test_an_unfinished_stage_is_shown_as_such(pipeline: Write):
    folder = pipeline()
    (folder / "evaluate" / "finished.json").unlink()
    (folder / "ppo" / "timing.json").unlink()
    html, summary = report(folder)
    assert "Not finished: evaluate." in plain(html)
    assert summary["seconds"]["ppo"] is None


@pytest.mark.parametrize("text", ["{", "[]", '{"models": {"sft": {"test": {"length": "long"}}}}'])
def test_a_damaged_file_is_a_sentence(pipeline: Write, text: str):
    folder = pipeline()
    (folder / "evaluate" / "evaluation.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"evaluation\.json: .*[Rr]un that stage again"):
        report(folder)


@pytest.mark.parametrize(
    ("place", "value", "wrong"),
    [
        (("models", "sft", "test", "length"), "long", r"`models\.sft\.test\.length` should be a number"),
        (("samples", 0, "selected", "scor"), 1.0, r"`samples\.0\.selected\.scor` is not known here"),
        (("selected",), "ppo/step-000060", "`ppo/step-000060` is not among the models that were measured on test"),
    ],
)
def test_an_evaluation_as_no_stage_writes_it_is_a_sentence(pipeline: Write, place: tuple, value: Any, wrong: str):
    def change(name: str, written: Any) -> Any:
        if name.endswith("evaluation.json"):
            inner = written
            for part in place[:-1]:
                inner = inner[part]
            inner[place[-1]] = value
        return written

    with pytest.raises(UserError, match=rf"evaluation\.json: .*{wrong}"):
        report(pipeline(change=change))


def test_no_pipeline_is_a_sentence(tmp_path: Path):
    with pytest.raises(UserError, match="no such folder"):
        report(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no stage ran here"):
        report(tmp_path)


def test_both_languages_are_complete_and_fill_in_the_same_values():
    for key, (english, chinese) in (LABELS | SENTENCES).items():
        fields = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (english, chinese)]
        assert fields[0] == fields[1], key
        assert key == "space" or (english.strip() and chinese.strip()), key
    assert not LABELS.keys() & SENTENCES.keys()


def test_no_threshold_stands_in_a_sentence():
    """A rule's number comes from signs.py."""
    for key, texts in SENTENCES.items():
        if key.startswith("rule."):
            assert not re.search(r"\d", re.sub(r"\{.*?\}", "", " ".join(texts))), key


def test_every_key_that_code_and_templates_use_is_in_the_table():
    folder = Path(prefloop.report.__file__).parent
    used: set[str] = set()
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in ("plain", "words"):
                    used.add(str(node.args[0].value))
    for file in folder.glob("*.html"):
        used |= set(re.findall(r'\bt\("([^"]+)"[,)]', file.read_text(encoding="utf-8")))
    assert len(used) > 80
    assert used <= LABELS.keys() | SENTENCES.keys()


def test_a_chinese_page_has_no_english_sentences(pipeline: Write):
    text = plain(report(pipeline(stages=("sft", "ppo")), language="zh")[0])
    for key, (english, chinese) in SENTENCES.items():
        if english != chinese:
            assert english not in text, key


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, "share", "–"),
        (0.834, "share", "83%"),
        (0.0042, "share", "0.4%"),
        (0.996, "share", "99.6%"),
        (1.0, "share", "100%"),
        (0.0, "share", "0%"),
        (-0.0001, "nats", "0.00"),
        (0.012, "nats", "0.01"),
        (0.0, "nats", "0.0"),
        (5.24, "nats", "5.2"),
        (-1.5, "plain", "−1.50"),
        (0.00004, "plain", "4.0e-05"),
        (1234567.0, "count", "1,234,567"),
        (8.4, "seconds", "8.4 s"),
        (200.0, "seconds", "3 m 20 s"),
        (3900.0, "seconds", "1 h 05 m"),
        (2100.0, "minutes", "35 m"),
        (2048.0, "megabytes", "2.0 GiB"),
    ],
)
def test_numbers_as_written(value: float | None, kind: numerals.Kind, text: str):
    assert numerals.written(value, kind) == text


def test_moving_average_by_hand():
    """window 1: the ends are alone, each other is the mean of three."""
    points = [(0.0, 0.0), (1.0, 3.0), (2.0, 0.0), (3.0, 6.0)]
    assert charts.averaged(points, 1) == [(0.0, 0.0), (1.0, 1.0), (2.0, 3.0), (3.0, 6.0)]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.0, 7.5), (0.0, 1e-6), (99.0, 100.0), (0.0, 123456.0)])
def test_ticks_are_few_and_inside(low: float, high: float):
    ticks = charts.ticks(low, high)
    assert 2 <= len(ticks) <= 7
    assert low - 1e-9 <= ticks[0] < ticks[-1] <= high + 1e-9


@pytest.mark.parametrize("values", [[0.0], [1.0, 1.0], [0.0, 0.0, 0.0], [1e-9, 2e-9], [-5.0, 1e6], [0.5] * 1000])
def test_a_curve_of_any_values_is_drawn_with_finite_places(values: list[float]):
    points = [(float(step), value) for step, value in enumerate(values)]
    plot = charts.curve([charts.Series("", points)], label="", x_name="step", limit=(8.0, "limit"))
    Reader(plot)
    places = [float(n) for n in re.findall(r'(?:points|x1|y1|cx|cy)="([-\d.]+)', plot)]
    assert all(-1 <= place <= charts.WIDTH + 1 for place in places)
