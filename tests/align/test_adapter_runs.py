"""Runs with adapters: stopped and started again they end with the same bytes; every stage takes what they write."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefloop.align import ppo, reinforce
from prefloop.align.config import PPOConfig, REINFORCEConfig
from prefloop.chat.config import ChatConfig
from prefloop.chat.conversation import talkers
from prefloop.collect import stage as collect
from prefloop.collect.config import CollectConfig
from prefloop.errors import UserError
from prefloop.evaluate import stage as evaluate
from prefloop.evaluate.config import EvaluateConfig
from prefloop.files.documents import read_document
from prefloop.models import load
from prefloop.records.evaluations import Evaluation, mean
from prefloop.reward import stage as reward
from prefloop.reward.config import RewardConfig
from prefloop.run import Run
from prefloop.score import stage as score
from prefloop.score.config import ScoreConfig
from prefloop.sft import stage as sft
from prefloop.sft.config import SFTConfig

PLACE: dict[str, Any] = {"threads": 1, "dtype": "float32"}
LORA: dict[str, Any] = {"adapter": "lora", "checkpoint_every": 1, **PLACE}
ASKED = [f"where is {i}?" for i in range(16)]
Work = Callable[[str], Path]
HEADS = {"reward": {"model.score.weight"}, "ppo": {"critic.head.weight", "critic.head.bias"}}


@pytest.fixture
def works(folder: str, prompts_file: str, write_rows: Callable[..., str], tmp_path: Path) -> dict[str, Work]:
    """Each training stage with an adapter, on what the stage before it wrote; from a name to its output."""
    rows = [
        {"messages": [{"role": "user", "content": text}], "response": "ok." if i % 2 else "no."}
        for i, text in enumerate(ASKED)
    ]
    once: dict[str, Any] = {"model": folder, "demonstrations": write_rows("demonstrations.jsonl", rows)}
    once |= {"epochs": 2, "batch_tokens": 64, "gate": "warn", **LORA}
    pairs = [{"prompt": text, "chosen": "ok.", "rejected": "no."} for text in ASKED]
    judged: dict[str, Any] = {"model": str(tmp_path / "sft"), "preferences": write_rows("preferences.jsonl", pairs)}
    judged |= {"batch_pairs": 4, "lr": 0.01, **LORA}
    online: dict[str, Any] = {
        "policy": str(tmp_path / "sft"),
        "reward": str(tmp_path / "reward"),
        "prompts": prompts_file,
    }
    online |= {"steps": 2, "rollouts_per_step": 8, "max_new_tokens": 6, "lr": 0.01, "anyway": True, **LORA}
    more: dict[str, Any] = {"critic": "separate", "minibatch_size": 4, "epochs": 1, "save_every": 1, **online}
    return {
        "sft": lambda name: sft.train(SFTConfig(out=str(tmp_path / name), **once)),
        "reward": lambda name: reward.train(RewardConfig(out=str(tmp_path / name), **judged)),
        "ppo": lambda name: ppo.train(PPOConfig(out=str(tmp_path / name), **more)),
        "reinforce": lambda name: reinforce.train(REINFORCEConfig(out=str(tmp_path / name), **online)),
    }


def bytes_of(folder: Path) -> dict[str, bytes]:
    """What a run's folder holds, but for where and when it ran."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    aside = ("run.json", "timing.json", "config.yaml", ".lock", "finished.json", "card.html", "card.zh.html")
    return {name: path.read_bytes() for name, path in files.items() if name not in aside}


def test_runs_stopped_and_started_again_end_alike_and_keep_only_what_is_trained(
    works: dict[str, Work], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = Run.save
    kept: list[set[str]] = []

    def stopping(self: Run, position: int, state: Any) -> None:
        real(self, position, state)
        kept.append({*(state.get("network") or state["policy"])})
        if position == 2:
            raise KeyboardInterrupt

    for stage, work in works.items():
        whole = work(stage)
        with monkeypatch.context() as patched:
            patched.setattr(Run, "save", stopping)
            with pytest.raises(KeyboardInterrupt):
                work(f"{stage} again")
        assert not (tmp_path / f"{stage} again" / "finished.json").exists()
        work(f"{stage} again")
        first, second = (bytes_of(tmp_path / name) for name in (stage, f"{stage} again"))
        assert first == second
        saved = {"adapter_model.safetensors", *(["prefloop_outliers.safetensors"] if stage == "reward" else [])}
        assert {Path(name).name for name in first if name.endswith("safetensors")} == saved
        assert (whole / "adapter_config.json").is_file()
        assert {name for name in kept[-1] if ".lora_" not in name} == HEADS.get(stage, set())


def test_every_stage_takes_an_adapter(
    works: dict[str, Work],
    folder: str,
    prompts_file: str,
    write_rows: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    for stage in ("sft", "reward", "ppo"):
        works[stage](stage)
    sft_folder, rewards, judge = str(tmp_path / "sft"), str(tmp_path / "reward"), tmp_path / "judge.py"
    judge.write_text("def longer(prompts, responses):\n    return [float(len(r)) for r in responses]\n")
    asked: dict[str, Any] = {"max_new_tokens": 6, **PLACE}
    by = f"python:{judge}:longer"
    collect.collect(
        CollectConfig(out=str(tmp_path / "collect"), model=sft_folder, prompts=prompts_file, by=by, **asked)
    )
    compared = str(tmp_path / "collect" / "comparisons.jsonl")
    said = score.score(ScoreConfig(model=rewards, data=compared, out=str(tmp_path / "scores.jsonl")))
    assert "scores.jsonl" in said
    test = write_rows("test.jsonl", [{"messages": [{"role": "user", "content": f"test {i}?"}]} for i in range(4)])
    files = {"validation_prompts": prompts_file, "test_prompts": test}
    compare: dict[str, Any] = {"reference": sft_folder, "candidates": str(tmp_path / "ppo"), "reward": rewards}
    compare |= {"base": folder, **files, **asked}
    one = evaluate.evaluate(EvaluateConfig(out=str(tmp_path / "evaluate"), **compare))
    monkeypatch.setattr(load._Source, "in_memory", lambda *_: None)  # five models, and not adapters on one base
    many = evaluate.evaluate(EvaluateConfig(out=str(tmp_path / "apart"), **compare))
    first, second = (read_document(path, Evaluation).models for path in (one, many))
    for name, model in first.items():
        split, other = model.validation, second[name].validation
        assert mean(split.base_nats) == pytest.approx(mean(other.base_nats), abs=1e-5)
        for kl, apart in ((split.kl_nats, other.kl_nats), (split.base_kl, other.base_kl), (split.score, other.score)):
            assert mean(kl) == pytest.approx(mean(apart), abs=1e-4)
    assert mean(first["base"].validation.base_kl) == 0
    assert (mean(first["base"].validation.kl_nats) or 0) > 0
    assert (mean(first["step-000002"].validation.kl_nats) or 0) > 0
    both = talkers([sft_folder, str(tmp_path / "ppo" / "models" / "step-000002")], ChatConfig(max_new_tokens=4))
    assert len(both) == 2
    with pytest.raises(UserError, match="a reward model only scores; it has nothing to say"):
        talkers([str(tmp_path / "reward" / "model")], ChatConfig())
