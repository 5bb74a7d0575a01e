"""Presets: each is valid and cited, is the default below what is typed, and says so in the run's folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.nn import functional

from prefloop import cli, completion, presets
from prefloop.align import critics, drift
from prefloop.align.config import PPOConfig
from prefloop.align.online import Before
from prefloop.align.ppo import train
from prefloop.config import Config
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.named import named
from prefloop.ops.advantages import gae
from prefloop.ops.losses import ppo_policy_loss, ppo_value_loss
from prefloop.rounds import recipe
from prefloop.sampling.rollouts import Rollouts
from prefloop.stages import STAGES

NEEDED = {"policy": "sft", "reward": "rm", "prompts": "prompts.jsonl", "out": "run"}
EVERY = [(stage, name) for stage in STAGES for name in presets.names(stage)]


def made(stage: str, name: str, **settings: Any) -> Config:
    """A stage's settings with a preset, as they would be typed."""
    return named(STAGES[stage].settings or "").parse({**NEEDED, "preset": name, **settings}, where="the command line")


def test_there_are_presets():
    assert {"instructgpt", "modern", "seed001", "seed003", "tldr"} <= set(presets.names("ppo"))
    assert presets.names("sft") == []


@pytest.mark.parametrize(("stage", "name"), EVERY)
def test_a_preset_is_valid_and_every_number_in_it_is_cited(stage: str, name: str):
    preset = presets.read(stage, name)
    assert preset.heading
    assert set(preset.sources) == set(preset.values)
    settings = dict(made(stage, name))
    assert {key: settings[key] for key in preset.values} == preset.values
    assert f"`{name}`" in (Path(__file__).parents[1] / "docs" / "presets.md").read_text(encoding="utf-8")


def test_what_is_typed_stands_above_the_preset():
    config = made("ppo", "modern", clip=0.1, clip_high=None, lora={"rank": 4})
    assert (dict(config)["clip"], dict(config)["clip_high"], dict(config)["dual_clip"]) == (0.1, None, 3.0)


def test_settings_made_in_a_script_have_the_preset_too():
    config = PPOConfig(preset="modern", dual_clip=4.0, **NEEDED)  # pyright: ignore[reportArgumentType]
    assert (config.clip_high, config.dual_clip, config.preset) == (0.28, 4.0, "modern")


def test_of_ones_own_it_is_a_file_also_beside_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mine.yaml").write_text("# Mine\nclip: 0.3  # tried\nlora: {rank: 4, alpha: 8}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    config = made("ppo", "mine.yaml", lora={"rank": 2})
    assert (dict(config)["clip"], dict(config)["lora"].rank, dict(config)["lora"].alpha) == (0.3, 2, 8.0)
    (tmp_path / "else").mkdir()
    text = "ppo: {policy: $base, reward: r, prompts: p, preset: mine.yaml}"
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "else")
    settings = recipe.load(str(tmp_path / "own.yaml"), ["base=b", "ppo.clip_high=0.5"]).settings["ppo"]
    assert (dict(settings)["clip"], dict(settings)["clip_high"]) == (0.3, 0.5)


@pytest.mark.parametrize(
    ("text", "typed", "message"),
    [
        ("clip: 0.3", {"preset": "tldrr"}, r"preset=tldrr: no preset of ppo is called so.*Did you mean tldr\?"),
        ("a: b\nclop: 0.3", {}, r"mine.yaml:1: no setting is called `a`"),
        ("lr: 1e-4\nclip: -0.3", {}, r"mine.yaml:2: `clip` should be greater than 0, but is -0.3"),
        ("clip: 0.3\npolicy: x", {}, r"mine.yaml:2: a preset says how a stage trains, not on what: take `policy`"),
        ("preset: tldr", {}, r"mine.yaml:1: a preset says how"),
        ("clip: 0.3", {"clop": 1}, r"the command line: no setting is called `clop`. Did you mean `clip`"),
        ("clip: [", {}, r"mine.yaml:1: this is not YAML"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, typed: dict[str, Any], message: str):
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        made(
            "ppo",
            **{"name": str(tmp_path / "mine.yaml"), **{"name" if k == "preset" else k: v for k, v in typed.items()}},
        )


def test_the_run_says_what_the_preset_gave_and_where_it_is_from(
    folder: str, write_rows: Callable[..., str], tmp_path: Path
):
    """Name, fingerprint and the source of each number that is the preset's; the file is no part of what the run is."""
    (tmp_path / "reward.py").write_text("def score(p, r):\n    return [float(len(x)) for x in r]\n", encoding="utf-8")
    prompts = write_rows("p.jsonl", [{"id": "p", "messages": [{"role": "user", "content": "where is it?"}]}])
    given = {
        "policy": folder, "reward": f"python:{tmp_path / 'reward.py'}:score", "prompts": prompts, "threads": 1,
        "out": str(tmp_path / "run"), "preset": "modern", "steps": 3, "rollouts_per_step": 4, "minibatch_size": 4,
        "max_new_tokens": 4, "clip": 0.25, "clip_high": None,
    }  # fmt: skip
    train(PPOConfig.parse(given, where="the command line"))
    card = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    cited = card["chosen"]["preset"]
    assert (cited["name"], cited["fingerprint"]) == ("modern", fingerprints.of_path(presets.read("ppo", "modern").path))
    assert cited["sources"]["dual_clip"].endswith("(arXiv:1912.09729)")
    assert not {"clip", "clip_high"} & set(cited["sources"])
    assert card["config"]["clip_high"] is None
    assert card["config"]["dual_clip"] == 3.0
    text = (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")
    assert "dual_clip: 3.0  # a token that grew" in text
    assert yaml.safe_load(text) == card["config"]
    assert "preset" not in card["identity"]["settings"]
    again = {name: value for name, value in card["config"].items() if name not in ("preset", "lora")}
    train(PPOConfig.parse(again, where="the command line"))  # the same settings without the name: the same run


def test_a_recipe_a_plan_and_the_tab_key_know_presets(
    folder: str, write_rows: Callable[..., str], capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    assert dict(recipe.load("seed003", ["base=b"]).settings["ppo"])["kl_unit"] == "batch"
    prompts = write_rows("p.jsonl", [{"id": "p", "messages": [{"role": "user", "content": "where is it?"}]}])
    (tmp_path / "reward.py").write_text("def score(p, r):\n    return [0.0 for x in r]\n", encoding="utf-8")
    typed = [f"policy={folder}", f"reward=python:{tmp_path / 'reward.py'}:score", f"prompts={prompts}"]
    sizes = ["max_new_tokens=8", "rollouts_per_step=8", "minibatch_size=8", "steps=3"]
    assert cli.main(["plan", "ppo", "preset=seed001", *typed, *sizes]) == 0
    assert "comparing with reference" in capsys.readouterr().out  # seed001 charges exact drift in the loss
    assert cli.main(["plan", "ppo", "preset=seed001", "kl_where=off", "kl_estimator=k1", *typed, *sizes]) == 0
    assert "reference" not in capsys.readouterr().out
    assert completion.main(["bash"]) == 0
    assert '"ppo preset") words="instructgpt modern seed001 seed003 tldr" ;;' in capsys.readouterr().out


# the formulas of the seeds, by hand


MASK = torch.tensor([[True, True, True], [True, True, False]])
LOGPROBS = torch.tensor([[-1.0, -2.0, -0.5], [-0.7, -1.5, 0.0]])
REFERENCE = torch.tensor([[-1.2, -1.8, -1.5], [-0.7, -2.5, 0.0]])
SCORES = torch.tensor([2.0, -1.0])
VALUES = torch.tensor([[0.5, 1.0, 1.5], [0.2, -0.4, 0.0]])
ROLLOUTS = Rollouts(((1,), (1,)), ((2, 3, 4), (2, 3)), torch.tensor([True, False]), MASK)


def test_the_formulas_of_seed_003():
    """kl_div = (policy_logp - ref_logp).mean(); rewards = rm_scores - 0.2 * kl_div; mse(new_values, rewards) * 0.1;
    minus 0.01 of the entropy; ratio clipped at 0.2."""
    config = made("ppo", "seed003")
    assert isinstance(config, PPOConfig)
    rewards = drift.rewards(config, ROLLOUTS, SCORES, Before(LOGPROBS, REFERENCE, VALUES), kl_coef=config.kl_coef)
    kl_div = (0.2 - 0.2 + 1.0 + 0.0 + 1.0) / 5
    assert rewards.sum(1).tolist() == pytest.approx([2.0 - 0.2 * kl_div, -1.0 - 0.2 * kl_div])
    targets = critics.targets(config, rewards, VALUES, VALUES, MASK)
    assert targets[0].tolist() == pytest.approx([2.0 - 0.2 * kl_div] * 3)
    new = VALUES + 0.7
    ours = config.value_coef * ppo_value_loss(new[MASK], VALUES[MASK], targets[MASK], clip=config.value_clip or 1e9)
    torch.testing.assert_close(ours.mean(), 0.1 * functional.mse_loss(new[MASK], targets[MASK]))
    assert (config.kl_coef, config.discount, config.decay, config.clip) == (0.2, 1.0, 0.95, 0.2)
    assert (config.entropy_coef, config.epochs, config.max_grad_norm, config.temperature) == (0.01, 4, 0.5, 0.7)
    assert config.rollouts_per_step == config.minibatch_size


def test_the_formulas_of_seed_001():
    """L = -L_clip + beta KL[policy(.|s) || reference(.|s)] + c (V(s) - (r + V(s')))^2, A = G - V(s), G = R."""
    config = made("ppo", "seed001")
    assert isinstance(config, PPOConfig)
    rewards = drift.rewards(config, ROLLOUTS, SCORES, Before(LOGPROBS, REFERENCE, VALUES), kl_coef=0.3)
    assert rewards.tolist() == [[0, 0, 2], [0, -1, 0]]  # drift is in the loss, and a response that goes on pays nothing
    advantages, returns = gae(rewards, VALUES, MASK, discount=config.discount, decay=config.decay)
    torch.testing.assert_close(advantages[0], 2.0 - VALUES[0])
    targets = critics.targets(config, rewards, VALUES, returns, MASK)
    torch.testing.assert_close(targets, torch.tensor([[1.0, 1.5, 2.0], [-0.4, -1.0, 0.0]]))
    loss = ppo_policy_loss(torch.tensor([1.5]).log(), torch.zeros(1), torch.ones(1), clip=config.clip)
    assert float(loss) == pytest.approx(-1.2)
    assert (config.kl_where, config.kl_estimator, config.kl_direction) == ("loss", "full", "reverse")
    assert not config.whiten_advantages
