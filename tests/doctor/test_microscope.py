"""One rollout token by token: the columns of a real run's file add up, and what is not there is said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefloop import cli
from prefloop.align import grpo, ppo, reinforce
from prefloop.align.config import GRPOConfig, PPOConfig, REINFORCEConfig, RFTConfig
from prefloop.doctor.microscope import COLUMNS, Rollout, found, lines
from prefloop.doctor.reading import read

from .conftest import everything, rows, write_run

REWARD = "def score(prompts, responses):\n    return [len(r) / 10 for r in responses]\n"


@pytest.fixture(scope="module")
def made(folder: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of two steps that kept the second step's tokens, by their algorithms."""
    place = tmp_path_factory.mktemp("dumped")
    (place / "reward.py").write_text(REWARD)
    asked = [{"messages": [{"role": "user", "content": f"where is {i}?"}]} for i in range(4)]
    (place / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    values: dict[str, Any] = {
        **{"policy": folder, "reward": f"python:{place / 'reward.py'}:score", "prompts": str(place / "prompts.jsonl")},
        **{"steps": 2, "rollouts_per_step": 8, "max_new_tokens": 8, "lr": 0.01, "kl_coef": 0.3, "warmup": 0.0},
        **{"dtype": "float32", "threads": 1, "dump_rollouts": (2,)},
    }
    several = {"minibatch_size": 4, "epochs": 2}
    for algorithm, config in (
        (ppo, PPOConfig(out=str(place / "ppo"), **values, **several, whiten_advantages=False)),
        (reinforce, REINFORCEConfig(out=str(place / "reinforce"), **values)),
        (grpo, GRPOConfig(out=str(place / "grpo"), **{**values, **several, "responses_per_prompt": 4})),
    ):
        algorithm.train(config)  # pyright: ignore[reportArgumentType]  # each has its own
    return {name: place / name for name in ("ppo", "reinforce", "grpo")}


def rollout(run: Path, index: int) -> Rollout:
    return found(read(str(run)), 2, index)


def test_the_columns_add_up(made: dict[str, Path]):
    """kl = logprob - ref_logprob; rewards add up to the score less the charge for drift and for not ending; a return
    is advantage and value; by GAE's lambda of 0.95 from what follows."""
    for index in range(8):
        one = rollout(made["ppo"], index)
        assert one.columns == [*COLUMNS]
        tokens = one.tokens
        for token in tokens:
            assert token["kl"] == token["logprob"] - token["ref_logprob"]
            assert token["return"] == pytest.approx(token["advantage"] + token["value"], abs=1e-5)
        drift = sum(token["kl"] for token in tokens)
        assert one.charged == drift
        penalty = 0.0 if tokens[-1]["text"] == "<|end|>" else 1.0
        assert sum(token["reward"] for token in tokens) == pytest.approx(one.score - 0.3 * drift - penalty, abs=1e-5)
        after = advantage = 0.0
        for token in reversed(tokens):
            advantage = token["reward"] + after - token["value"] + 0.95 * advantage
            after = token["value"]
            assert token["advantage"] == pytest.approx(advantage, abs=1e-5)


def test_a_token_is_clipped_where_the_updates_have_gone_far_enough(made: dict[str, Path]):
    tokens = [token for index in range(8) for token in rollout(made["ppo"], index).tokens]
    far = [
        (token["advantage"] > 0 and token["ratio"] > 1.2) or (token["advantage"] < 0 and token["ratio"] < 0.8)
        for token in tokens
    ]
    assert [token["clipped"] for token in tokens] == far
    assert {True, False} == {*far}


def test_an_algorithm_has_the_columns_that_it_has(made: dict[str, Path]):
    assert rollout(made["reinforce"], 0).missing == ["value", "return", "clipped"]
    assert rollout(made["grpo"], 0).missing == ["value", "return"]
    told = "\n".join(lines(rollout(made["reinforce"], 0)))
    assert "not here     value, return, clipped" in told


def test_every_column_is_told_what_it_means(made: dict[str, Path], capsys: pytest.CaptureFixture[str]):
    before = everything(made["ppo"])
    assert cli.main(["doctor", str(made["ppo"]), "rollout=2:1"]) == 0
    out = capsys.readouterr().out.splitlines()
    (head,) = (i for i, line in enumerate(out) if line.startswith("text "))
    assert out[head].split() == [*COLUMNS]
    one = rollout(made["ppo"], 1)
    assert [line.split()[-2] for line in out[head + 1 : head + 1 + len(one.tokens)]] == [
        f"{token['ratio']:.3f}" for token in one.tokens
    ]
    for name, (english, _) in COLUMNS.items():
        assert f"  {name:<12} {english}" in out
    assert everything(made["ppo"]) == before


def test_the_page_has_a_box_for_each_token(made: dict[str, Path], tmp_path: Path):
    assert cli.main(["doctor", str(made["ppo"]), "rollout=2:1", f"page={tmp_path}", "json=true"]) == 0
    one = rollout(made["ppo"], 1)
    for name in ("index.html", "index.zh.html"):
        html = (tmp_path / name).read_text(encoding="utf-8")
        assert html.count('<span class="box') == len(one.tokens)
        assert html.count("--much: 100%") == 1  # the largest advantage
        assert "<script" not in html


def test_a_step_that_was_not_kept_is_said_with_what_to_type(
    made: dict[str, Path], ppo: Callable[..., PPOConfig], capsys: pytest.CaptureFixture[str]
):
    def said(folder: Path, place: str) -> str:
        assert cli.main(["doctor", str(folder), f"rollout={place}"]) == 2
        return capsys.readouterr().err

    assert "It kept those of: 2." in said(made["ppo"], "1:0")
    assert "has 8 responses, counted from 0; there is none with index 8" in said(made["ppo"], "2:8")
    folder = write_run(ppo(), rows(20))
    assert f"prefloop ppo {folder / 'config.yaml'} 'dump_rollouts=[7]' out=run-again" in said(folder, "7:0")
    assert "this run has 40" in said(folder, "41:0")
    other = RFTConfig(out=str(folder.parent / "rft"), policy="a", reward="b", prompts="c")
    assert "rft writes no tokens of its steps" in said(write_run(other, rows(20)), "1:0")
