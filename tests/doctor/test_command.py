"""What is said of a folder: exit codes, since when, what shows it, and that nothing in it changes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefloop import cli
from prefloop.align.config import PPOConfig
from prefloop.direct.config import DPOConfig
from prefloop.doctor.examined import examined
from prefloop.doctor.reading import read
from prefloop.pretrain.config import PretrainConfig
from prefloop.reward.config import RewardConfig
from prefloop.sft.config import SFTConfig

from .conftest import everything, jsonl, keep_policies, rows, said, write_run

Make = Callable[..., PPOConfig]


def doctor(*words: object) -> int:
    return cli.main(["doctor", *map(str, words)])


def test_the_exit_code_says_whether_there_are_alarms(ppo: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    calm = write_run(ppo(out=str(tmp_path / "calm")), rows(20))
    torn = write_run(ppo(out=str(tmp_path / "torn")), rows(20, ratio_clipped=lambda step: 0.5))
    assert doctor(calm) == 0
    assert capsys.readouterr().out.startswith("Nothing was found. ")
    assert doctor(torn) == 1
    said = capsys.readouterr().out
    assert said.startswith("One sign raises an alarm. ")
    assert "50% of the tokens" in said
    assert "ppo.lr 0.0003 -> 0.0001" in said


def test_an_alarm_has_the_step_since_which_it_stands_and_the_policy_from_before(ppo: Make):
    """Clipped is 1 from step 13 on. After 15 steps the last fifth is 13 to 15 with mean 1; after 13 steps it is 11 to
    13 with 1/3, above the limit of 0.3; after 12 there is none. So it stands since 13, and what was looked at then
    began at 11: the last policy from before is that of 10."""
    folder = write_run(ppo(), rows(20, ratio_clipped=lambda step: float(step >= 13)))
    keep_policies(folder, 5, 10, 11, 15, 20)
    (finding,) = examined(read(str(folder))).findings
    assert (finding.sign.name, finding.since) == ("clipped", 13)
    assert finding.before == folder / "models" / "step-000010"


def test_a_rule_that_needs_two_steps_is_dated_from_the_second(ppo: Make):
    folder = write_run(ppo(), rows(20, pays_length=lambda step: 0.95))
    keep_policies(folder, 1, 4, 20)
    (finding,) = examined(read(str(folder))).findings
    assert (finding.sign.name, finding.since, finding.before) == ("shallow", 2, None)
    folder = write_run(ppo(out=f"{folder}-late"), rows(20, pays_length=lambda step: 0.95 * (step > 9)))
    keep_policies(folder, 1, 4, 20)
    (finding,) = examined(read(str(folder))).findings
    assert finding.before == folder / "models" / "step-000004"


def test_a_reward_model_that_is_stale_after_a_round_is_named(tmp_path: Path):
    """The last round's stale accuracy beside what the same model was worth a round before; it stops nothing."""
    share = {"low": 0.5, "high": 0.55, "num": 700}
    policy = {"path": "sft/model", "fingerprint": "f"}
    made = [
        {"name": "1", "number": 1, "parent": "", "incumbent": policy, "fresh": {**share, "mean": 0.7}},
        {"name": "2", "number": 2, "parent": "1", "incumbent": policy}
        | {"stale": {**share, "mean": 0.52}, "fresh": {**share, "mean": 0.6}},
    ]
    (tmp_path / "rounds" / "2").mkdir(parents=True)
    lineage = {"recipe": "r.yaml", "head": "2", "rounds": made}
    (tmp_path / "rounds" / "lineage.json").write_text(json.dumps(lineage), encoding="utf-8")
    out = str(tmp_path / "rounds" / "2" / "reward")
    write_run(RewardConfig(model="m", preferences="p.jsonl", out=out), rows(9), result={})
    found = examined(read(str(tmp_path)))
    assert [each.sign.name for each in found.findings] == ["stale"]
    assert not found.alarms


def test_an_alarm_that_passed_is_none(ppo: Make):
    folder = write_run(ppo(), rows(30, ratio_clipped=lambda step: float(10 <= step < 15)))
    assert examined(read(str(folder))).findings == ()


def test_the_most_telling_comes_first_whatever_the_order_of_the_rules(ppo: Make):
    """A cut-off response tells more than many clipped tokens, and a calm metric nothing."""
    metrics = rows(
        20, ratio_clipped=lambda step: 0.5, rollouts_finished=lambda step: 1 - step / 25, scores_mean=lambda step: step
    )
    names = [one.sign.name for one in examined(read(str(write_run(ppo(), metrics)))).findings]
    assert names[0] == "cut_off"
    assert names.index("cut_off") < names.index("endless") < names.index("clipped")


def test_samples_show_how_it_was_and_how_it_is_each_once(ppo: Make, capsys: pytest.CaptureFixture[str]):
    samples = [said(1, "early and short"), *(said(20, f"late {'x' * n}", n) for n in (5, 9, 7)), said(10, "between")]
    metrics = rows(20, rollouts_length=lambda step: 20.0 + 3 * step, ratio_clipped=lambda step: 0.5)
    folder = write_run(ppo(), metrics, samples=samples)
    first, second = examined(read(str(folder))).findings
    assert (first.sign.name, second.sign.name) == ("clipped", "length_drift")
    assert [shown.response for shown in first.early] == ["early and short"]
    assert [shown.response for shown in first.late] == ["late xxxxxxxxx", "late xxxxxxx"]  # what scores highest
    assert (second.early, second.late) == ((), ())  # they were shown already
    doctor(folder)
    out = capsys.readouterr().out
    assert out.count("late xxxxxxxxx") == 1
    assert "between" not in out


def test_nothing_in_the_folder_changes(ppo: Make, tmp_path: Path):
    folder = write_run(ppo(), rows(20, ratio_clipped=lambda step: 0.5), samples=[said(1, "a"), said(20, "b")])
    before = everything(folder)
    for words in ([], ["json=true"], [f"page={tmp_path / 'page'}"], [f"apply={tmp_path / 'again.yaml'}"]):
        assert doctor(folder, *words) == 1
    assert everything(folder) == before
    assert {path.name for path in (tmp_path / "page").iterdir()} == {"index.html", "index.zh.html"}


@pytest.mark.parametrize("word", ["apply=run/again.yaml", "page=run/page", "page=run"])
def test_nothing_is_written_into_the_folder(
    word: str, ppo: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    folder = write_run(ppo(), rows(20, ratio_clipped=lambda step: 0.5))
    before = everything(folder)
    monkeypatch.chdir(tmp_path)
    assert doctor("run", word) == 2
    assert "is inside run, which" in capsys.readouterr().err
    assert everything(folder) == before


def test_programs_read_the_same(ppo: Make, capsys: pytest.CaptureFixture[str]):
    folder = write_run(ppo(), rows(20, ratio_clipped=lambda step: 0.5))
    assert doctor(folder, "json=true") == 1
    told = json.loads(capsys.readouterr().out)
    (found,) = told["found"]
    assert (found["sign"], found["stage"], found["alarm"]) == ("clipped", "ppo", True)
    assert found["values"] == {"value": 0.5, "limit": 0.3}
    assert found["remedies"][0]["changes"] == [{"stage": "ppo", "key": "lr", "old": 3e-4, "new": 1e-4}]
    assert {"sign": "entropy", "stage": "ppo"} in told["fine"]
    assert doctor(folder, "json=maybe") == 2


def test_a_run_of_an_older_version_is_looked_at_as_far_as_it_goes(ppo: Make, capsys: pytest.CaptureFixture[str]):
    """Without metrics of today, a setting of today, or with one that is no more."""
    metrics = [{"step": row["step"], "scores/mean": 1.0, "ratio/clipped": 0.5} for row in rows(20)]
    folder = write_run(ppo(), metrics, without=["ptx", "kl_target_per_token", "lr"])
    assert doctor(folder) == 1
    out = capsys.readouterr().out
    assert "ppo: Entropy keeps at least 20% of what it was: the run logged nothing of it" in out
    assert "ppo.lr" not in out  # nobody knows what it was
    card = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**card, "config": {**card["config"], "gone": 1, "lr": 1e-3}}))
    assert doctor(folder, f"apply={folder.parent / 'again.yaml'}") == 1
    assert "gone" not in (folder.parent / "again.yaml").read_text()


def test_what_was_left_open_is_what_was_chosen(ppo: Make, capsys: pytest.CaptureFixture[str]):
    config = PPOConfig(out=ppo().out, policy="a", reward="b", prompts="c")
    doctor(write_run(config, rows(20, ratio_clipped=lambda step: 0.5), chosen={"lr": 6e-4}))
    assert "ppo.lr 0.0006 -> 0.0002" in capsys.readouterr().out


def test_a_run_that_goes_on_is_looked_at_as_it_is(ppo: Make, capsys: pytest.CaptureFixture[str]):
    folder = write_run(ppo(), rows(3), finished=False)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "scores/me')
    assert doctor(folder) == 0
    out = capsys.readouterr().out
    assert "ppo has not finished (3 rows so far)" in out
    assert "only 3 rows were logged, 5 are needed" in out


def test_a_damaged_file_of_a_finished_run_is_named(ppo: Make, capsys: pytest.CaptureFixture[str]):
    folder = write_run(ppo(), rows(3))
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "scores/me')
    assert doctor(folder) == 2
    assert "metrics.jsonl:4: this line is not JSON" in capsys.readouterr().err


def test_a_run_that_diverged_says_what_went_first(ppo: Make, capsys: pytest.CaptureFixture[str]):
    folder = write_run(ppo(), rows(6), finished=False, diverged="step 7: loss/policy became nan")
    assert doctor(folder) == 1
    out = capsys.readouterr().out
    assert "diverged and stopped: step 7: loss/policy became nan" in out
    assert "ppo.lr 0.0003 -> 0.0001" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "there is no such folder"),
        (["empty"], "this is no run"),
        (["empty/file"], "there is no such folder"),
        (["json=true"], "needs a folder first"),
        (["empty", "aply=x"], "Did you mean `apply`?"),
        (["empty", "rollout=3"], "rollout=STEP:INDEX"),
        (["empty", "rollout=3:1", "apply=x"], "Leave apply and judge out"),
    ],
)
def test_wrong_words_are_a_sentence(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("empty/file").touch()
    assert doctor(*words) == 2
    assert says in capsys.readouterr().err


def test_stages_that_imitate_or_learn_from_preferences_are_looked_at_too(tmp_path: Path):
    loss = [{"step": step, "loss/train": 1 / step, "loss/validation": 1.0 + step / 10} for step in range(1, 11)]
    sft = write_run(
        SFTConfig(out=str(tmp_path / "sft"), model="base", demonstrations="d.jsonl", lr=1e-3, epochs=3),
        loss,
        result={"finished_share": 0.5},
    )
    assert [one.sign.name for one in examined(read(str(sft))).findings] == ["never_stops", "memorised", "overfit"]
    trained = write_run(
        DPOConfig(out=str(tmp_path / "dpo"), policy="sft", preferences="p.jsonl", lr=1e-4, beta=0.1),
        [
            {"step": step, "logprobs/chosen_validation": -20.0 - step, "entropy/validation": 1 / step}
            for step in range(1, 11)
        ],
    )
    (finding,) = examined(read(str(trained))).findings
    changes = [change for remedy in finding.remedies if remedy.first for change in remedy.changes]
    assert finding.sign.name == "chosen_falls"
    assert [(change.key, change.new) for change in changes] == [("beta", 0.2), ("lr", 3.3e-05)]
    corpus = write_run(PretrainConfig(out=str(tmp_path / "pretrain"), corpus="c.jsonl"), loss)
    assert "never_stops" not in {one.name for one in examined(read(str(corpus))).unchecked}


def judged(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (tmp_path / "judge.py").write_text("def worth(prompts, responses):\n    return [float(r) for r in responses]\n")
    doctor(folder, "json=true", f"judge=python:{tmp_path / 'judge.py'}:worth")
    return json.loads(capsys.readouterr().out)


def test_a_second_judge_sees_hacking_where_its_fall_is_clear(
    ppo: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Of 10 steps the first two and the last two count, 8 samples each. They fall from 1.0 to 0.5, with a deviation of
    0.1 (an error of 0.05), then of 2 (an error of 1.0)."""

    def run(name: str, spread: float) -> Path:
        samples = [
            said(step, str(worth + spread * (-1) ** i))
            for step, worth in ((1, 1.0), (2, 1.0), *((s, 9.0) for s in range(3, 9)), (9, 0.5), (10, 0.5))
            for i in range(4)
        ]
        return write_run(ppo(out=str(tmp_path / name)), rows(10, scores_mean=float), samples=samples)

    (found,) = judged(run("clear", 0.1), tmp_path, capsys)["found"]
    assert found["sign"] == "hacking"
    assert found["values"] == {"by": "the judge", "s0": 1.5, "s1": 9.5, "o0": 1.0, "o1": 0.5}
    assert found["remedies"][0]["changes"] == [{"stage": "ppo", "key": "kl_coef", "old": 0.05, "new": 0.1}]
    told = judged(run("unclear", 2.0), tmp_path, capsys)
    assert told["found"] == []
    assert {"sign": "hacking", "stage": "ppo"} in told["fine"]


def test_a_second_judge_sees_what_a_reward_pays_for_before_it_is_taken(
    ppo: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Scores are 3 times the judge's number, and one for each word; neither changes while the run goes on. Where the
    words are worth a tenth, they are no tenth of the scores' variance."""
    for price, level in ((1.0, "found"), (0.1, "fine")):
        samples = [
            {**said(s, f"{i * 7 % 5}{' so' * (i * s % 6)}"), "score": 3 * (i * 7 % 5) + price * (i * s % 6)}
            for s in range(1, 11)
            for i in range(8)
        ]
        judge = "def worth(prompts, responses):\n    return [float(r.split()[0]) for r in responses]\n"
        (tmp_path / "judge.py").write_text(judge)
        folder = write_run(ppo(out=str(tmp_path / level)), rows(10, scores_mean=float), samples=samples)
        doctor(folder, "json=true", f"judge=python:{tmp_path / 'judge.py'}:worth")
        told = json.loads(capsys.readouterr().out)[level]
        assert "biased" in [one["sign"] for one in told]
        if level == "found":
            (found,) = told
            assert found["values"]["paid"] == "length"
            assert found["values"]["value"] > 0.95
            change = found["remedies"][0]["changes"][0]
            assert (change["key"], change["new"]["charged"]["weight"]) == ("reward", -1.0)


def test_beside_a_judge_a_word_has_a_price_before_anybody_has_learned_to_say_it(
    ppo: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """As often at the end as at first, so that it is no word that was learned; 2 are paid for each."""
    samples = [
        {
            **said(s, f"{i * 7 % 5}{' thanks' * (i * 3 % 4)}{' so' * (i * s % 6)}"),
            "score": i * 7 % 5 + 2.0 * (i * 3 % 4),
        }
        for s in range(1, 11)
        for i in range(8)
    ]
    judge = "def worth(prompts, responses):\n    return [float(r.split()[0]) for r in responses]\n"
    (tmp_path / "judge.py").write_text(judge)
    doctor(write_run(ppo(), rows(10), samples=samples), "json=true", f"judge=python:{tmp_path / 'judge.py'}:worth")
    (found,) = json.loads(capsys.readouterr().out)["found"]
    assert (found["sign"], found["values"]["paid"]) == ("biased", "word")
    assert "thanks 2." in found["remedies"][0]["says"]


def test_a_judge_of_few_samples_says_nothing(ppo: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    samples = [said(step, "1.0" if step < 5 else "0.0") for step in range(1, 11)]
    folder = write_run(ppo(), rows(10, scores_mean=float), samples=samples)
    assert "hacking" in {one["sign"] for one in judged(folder, tmp_path, capsys)["unchecked"]}
    jsonl(folder / "samples.jsonl", [])
    assert "hacking" in {one["sign"] for one in judged(folder, tmp_path, capsys)["unchecked"]}
