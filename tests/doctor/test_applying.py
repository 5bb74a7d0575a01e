"""What `apply=` writes: settings that load, that differ by what is said and by nothing else; no file is overwritten."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefloop import cli
from prefloop.align.config import PPOConfig
from prefloop.notation import read_yaml
from prefloop.reward.config import RewardConfig
from prefloop.rounds import recipe
from prefloop.sft.config import SFTConfig

from .conftest import everything, rows, write_run

Make = Callable[..., PPOConfig]
RECIPE = """\
name: mine
seed: 3
sft:
  model: base
  demonstrations: {beside}/demonstrations.jsonl
reward:
  model: sft/model
  preferences: preferences.jsonl
ppo:
  policy: sft/model
  reward: reward/model
  prompts: prompts.jsonl
  kl_coef: 0.05
out: {out}
"""


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline of three runs, of which PPO ends with responses that do not end."""
    monkeypatch.chdir(tmp_path)
    out = Path("mine")
    write_run(SFTConfig(out="mine/sft", model="base", demonstrations="d.jsonl", lr=1e-3), [])
    write_run(RewardConfig(out="mine/reward", model="mine/sft/model", preferences="preferences.jsonl", lr=1e-3), [])
    config = PPOConfig(
        out="mine/ppo", policy="mine/sft/model", reward="mine/reward/model", prompts="prompts.jsonl", kl_coef=0.05
    )
    falling = rows(20, scores_mean=float, rollouts_finished=lambda step: 1 - step / 25)
    write_run(config, falling, chosen={"lr": 3e-4})
    (out / "recipe.yaml").write_text(RECIPE.format(out=out, beside=tmp_path / "elsewhere"))
    return out


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def test_of_a_run_it_is_its_settings_with_what_is_said_and_another_out(
    ppo: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    config = ppo(adapter="none", value_clip=None, dump_rollouts=(1, 4))
    folder, file = write_run(config, rows(20, ratio_clipped=lambda step: 0.5)), tmp_path / "again.yaml"
    assert cli.main(["doctor", str(folder), f"apply={file}"]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == f"Type: prefloop ppo {file}"
    assert "  ppo.lr 0.0003 -> 0.0001\n" in out
    again = PPOConfig.load(str(file))
    assert again.model_dump() == {**config.model_dump(), "lr": 1e-4, "out": str(tmp_path / "again")}
    lines = file.read_text().splitlines()
    assert lines[lines.index("lr: 0.0001") - 1] == "# doctor: clipped: Take smaller steps. It was 0.0003."
    assert sum(line.startswith("#") for line in lines) == 2  # and of out


def test_of_a_pipeline_it_is_its_recipe_with_what_is_said_and_another_out(
    pipeline: Path, capsys: pytest.CaptureFixture[str]
):
    """What is cut off is charged twice as much, and so is drift; `endless` says it again, and it is changed once."""
    before = everything(pipeline)
    assert cli.main(["doctor", "mine", "apply=better.yaml"]) == 1
    out = capsys.readouterr().out
    assert "Type: prefloop run better.yaml" in out
    old, new = (flat(read_yaml(file)[0]) for file in ("mine/recipe.yaml", "better.yaml"))
    # as it was found then, for it was beside a recipe that lies elsewhere
    assert new.pop("sft.demonstrations") == "d.jsonl"
    del old["sft.demonstrations"]
    assert {key: (old.get(key), value) for key, value in new.items() if old.get(key) != value} == {
        "ppo.unfinished_penalty": (None, 2.0),
        "ppo.kl_coef": (0.05, 0.1),
        "out": ("mine", "better"),
    }
    assert old.keys() <= new.keys()
    assert re.findall(r"\n( *)# doctor: (\w+).*\n +(\w+):", Path("better.yaml").read_text()) == [
        ("  ", "cut_off", "kl_coef"),
        ("  ", "cut_off", "unfinished_penalty"),
    ]
    assert recipe.load("better.yaml", []).settings["ppo"] == PPOConfig.parse(
        {
            **{"policy": "better/sft/model", "reward": "better/reward/model", "prompts": "prompts.jsonl", "seed": 3},
            **{"out": "better/ppo", "unfinished_penalty": 2.0, "kl_coef": 0.1},
        },
        where="",
    )
    assert "mkdir -p better && cp -r mine/sft mine/reward better" in out
    assert everything(pipeline) == before


def test_a_file_that_is_there_stays(ppo: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder, file = write_run(ppo(), rows(20, ratio_clipped=lambda step: 0.5)), tmp_path / "again.yaml"
    assert cli.main(["doctor", str(folder), f"apply={file}"]) == 1
    text = file.read_text()
    assert cli.main(["doctor", str(folder), f"apply={file}"]) == 2  # although prefloop wrote it
    assert "this is there already" in capsys.readouterr().err
    assert file.read_text() == text
    (tmp_path / "other").mkdir()
    assert cli.main(["doctor", str(folder), f"apply={tmp_path / 'other.yaml'}"]) == 2  # the run would go in there
    assert not (tmp_path / "other.yaml").exists()
    assert cli.main(["doctor", str(folder), f"apply={tmp_path / 'again.txt'}"]) == 2
    assert "ends in .yaml" in capsys.readouterr().err


def test_nothing_is_written_where_nothing_can_be_changed(ppo: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    calm, torn = (
        write_run(ppo(out=str(tmp_path / name), kl_coef=0.0, lr=1e-3), metrics)
        for name, metrics in (("calm", rows(20)), ("odd", rows(20, rewards_kl=lambda step: -1.0)))
    )
    assert cli.main(["doctor", str(calm), f"apply={tmp_path / 'a.yaml'}"]) == 0
    assert "Nothing is wrong, so no file was written." in capsys.readouterr().out
    assert cli.main(["doctor", str(torn), f"apply={tmp_path / 'b.yaml'}"]) == 1
    assert "No setting can be changed against this" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == []


def test_a_pipeline_without_its_recipe_cannot_be_changed(pipeline: Path, capsys: pytest.CaptureFixture[str]):
    (pipeline / "recipe.yaml").unlink()
    assert cli.main(["doctor", "mine", "apply=better.yaml"]) == 2
    assert "there is no recipe.yaml here" in capsys.readouterr().err
    assert cli.main(["doctor", "mine/ppo", "apply=better.yaml"]) == 1
