"""The table of remedies: every rule has its own, and what they propose is valid where it is set."""

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefloop.align.config import GRPOConfig, OnlineDPOConfig, PPOConfig, REINFORCEConfig, RFTConfig, RLOOConfig
from prefloop.config import Config
from prefloop.direct.config import DPOConfig
from prefloop.doctor.charging import Charge
from prefloop.doctor.examined import DIVERGED
from prefloop.doctor.reading import read
from prefloop.doctor.remedies import FINDS, REMEDIES, Case, changed, remedies
from prefloop.doctor.words import LABELS
from prefloop.reward.config import RewardConfig
from prefloop.sft.config import SFTConfig
from prefloop.signs import RULES, Sign

from .conftest import keep_policies, rows, write_run

Make = Callable[..., PPOConfig]
ONLINE = (PPOConfig, REINFORCEConfig, RLOOConfig, GRPOConfig, OnlineDPOConfig, RFTConfig)


def proposed(folder: Path, name: str) -> dict[str, Any]:
    """What a remedy would set in a run."""
    patient = read(str(folder))
    changes, _, _ = FINDS[name](Case(patient, patient.ran[0], Sign("clipped", "alarm", {}), None))
    return {change.key: change.new for change in changes}


def test_every_rule_has_its_remedies_and_every_remedy_its_words():
    assert {*RULES, DIVERGED} == REMEDIES.keys()
    named = {name for first, others in REMEDIES.values() for name in (*first, *others)}
    assert named == FINDS.keys()
    assert {f"cure.{name}" for name in named} == {key for key in LABELS if key.startswith("cure.")}
    for key, texts in LABELS.items():
        fields = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in texts]
        assert fields[0] == fields[1], key


@pytest.mark.parametrize(
    ("own", "name", "new"),
    [
        ({"kl_coef": 0.05}, "hold", {"kl_coef": 0.1}),
        ({"kl_coef": 0.0}, "hold", {"kl_coef": 0.1}),  # twice what a model has by default
        ({"kl_coef": None, "kl_where": "off"}, "hold", {"kl_where": "reward", "kl_coef": 0.1}),
        ({"kl_coef": 0.05, "kl_target": 6.0}, "hold", {"kl_target": 3.0, "kl_coef": 0.1}),
        ({"lr": 1e-3}, "slower", {"lr": 3.3e-4}),
        ({"epochs": 4}, "fewer_epochs", {"epochs": 2}),
        ({"epochs": 1}, "fewer_epochs", {}),
        ({"unfinished_penalty": 0.0}, "ends", {"unfinished_penalty": 1.0}),
        ({"unfinished_penalty": 1.5}, "ends", {"unfinished_penalty": 3.0}),
        ({"unfinished_score": -1.0}, "ends", {}),  # which is no charge that could be more
        ({"max_new_tokens": 96}, "shorten", {"max_new_tokens": 30, "unfinished_penalty": 2.0}),  # 1.5 times 20
        ({"max_new_tokens": 30}, "shorten", {}),
        ({"responses_per_prompt": 3, "rollouts_per_step": 15, "minibatch_size": 15}, "more_responses",
         {"responses_per_prompt": 6, "rollouts_per_step": 18}),
        ({"dtype": "float32"}, "exact", {}),
        ({"dtype": "auto"}, "exact", {"dtype": "float32"}),
        ({"value_coef": 0.1}, "foresee", {"value_coef": 0.2}),
        ({"value_coef": 0.0}, "foresee", {}),
        ({"outliers": "clip"}, "abstain", {}),
    ],
)  # fmt: skip
def test_what_a_remedy_sets(own: dict[str, Any], name: str, new: dict[str, Any], ppo: Make):
    assert proposed(write_run(ppo(**own), rows(20)), name) == new


def test_what_does_not_go_together_is_not_proposed(ppo: Make):
    """18 rollouts in minibatches of 15 would drop some, so more responses to a prompt are no way here."""
    sizes = {"responses_per_prompt": 3, "rollouts_per_step": 15, "minibatch_size": 15}
    patient = read(str(write_run(ppo(**sizes), rows(20))))
    assert remedies(patient, patient.ran[0], Sign("flat", "alarm", {}), None) == ()


def settings_of(config: type[Config], folder: Path) -> Config:
    needed: dict[str, Any] = {"out": str(folder / config.__name__)}
    for key, field in config.model_fields.items():
        if key not in needed and (field.is_required() or key == "reward"):
            needed[key] = "python:a.py:b" if key == "reward" else "there"
    return config(**needed)


@pytest.mark.parametrize("config", [*ONLINE, DPOConfig, SFTConfig, RewardConfig], ids=lambda one: one.__name__)
def test_every_proposal_is_valid_in_every_stage(config: type[Config], tmp_path: Path):
    """And what holds a policy, and what slows it down, is there for each that has a reference or a rate."""
    chosen = {"lr": 1e-3, "kl_coef": 0.05, "beta": 0.1, "rollouts_per_step": 64, "minibatch_size": 32}
    folder = write_run(settings_of(config, tmp_path), rows(20), chosen=chosen)
    ran = read(str(folder)).ran[0]
    for name in FINDS:
        new = proposed(folder, name)
        if new and name != "more_responses":  # which may ask for another size of minibatches, see above
            changed(ran, new, out="elsewhere")
        if name == "hold":
            assert bool(new) == (config not in (RFTConfig, SFTConfig, RewardConfig)), new
        if name == "slower":
            assert new == {"lr": 3.3e-4}


def test_the_lowest_of_an_ensemble_is_optimised_where_there_is_one(ppo: Make, tmp_path: Path):
    (tmp_path / "reward").mkdir()
    (tmp_path / "reward" / "ensemble.json").write_text("{}")
    alone, several = (
        write_run(ppo(out=str(tmp_path / name), reward=reward), rows(20))
        for name, reward in (("alone", "python:a.py:b"), ("several", str(tmp_path / "reward")))
    )
    assert proposed(alone, "minimum") == {}
    assert proposed(several, "minimum") == {"combine": "min"}


def test_the_policy_from_before_and_commands_name_what_is_there(ppo: Make, tmp_path: Path):
    folder = write_run(ppo(), rows(20, entropy_mean=lambda step: 1 if step < 15 else 0.01))
    keep_policies(folder, 5, 20)
    patient = read(str(folder))
    found = remedies(patient, patient.ran[0], Sign("entropy", "alarm", {}), folder / "models" / "step-000005")
    assert [(one.name, one.first) for one in found] == [("hold", True), ("slower", True), ("checkpoint", False)]
    assert found[-1].values == {"policy": folder / "models" / "step-000005"}
    assert found[-1].changes == ()


def test_a_rate_that_broke_a_policy_becomes_at_most_what_suits_its_size(ppo: Make, tmp_path: Path, folder: str):
    """A tenth of 0.05 is 0.005, and a small model's is 0.0003; of a policy that is not there nothing is known."""
    broken = rows(20, responses_surprise=lambda step: step / 4, scores_mean=lambda step: -float(step))
    found = {}
    for name, policy, lr, own in (
        ("there", folder, 0.05, {}),
        ("whole", folder, 0.05, {"adapter": "none"}),
        ("gone", "somebody/none", 0.05, {}),
        ("low", folder, 1e-3, {}),
    ):
        patient = read(str(write_run(ppo(out=str(tmp_path / name), policy=policy, lr=lr, **own), broken)))
        for sign in ("gibberish", "shallow", "biased"):
            (change,) = remedies(patient, patient.ran[0], Sign(sign, "alarm", {}), None)[0].changes
            assert found.setdefault(name, change.new) == change.new
    assert found == {"there": 3e-4, "whole": 3e-4, "gone": 5e-3, "low": 1e-4}


def test_a_critic_of_the_reward_stays_that_when_something_is_taken_off(ppo: Make):
    """A reward of two parts has no folder of its own for `critic=reward-model`."""
    patient = read(str(write_run(ppo(critic="reward-model", reward="reward/model"), rows(20, scores_mean=float))))
    charge = Charge({"thanks": 2.0}, 0.9)
    first = remedies(patient, patient.ran[0], Sign("stuffing", "alarm", {}), None, charge)[0]
    assert first.name == "take_off"
    assert [(each.key, each.new) for each in first.changes][1:] == [("critic", patient.ran[0].card.config["reward"])]


def test_a_policy_that_broke_while_the_score_fell_is_slowed_down_and_not_held(ppo: Make, tmp_path: Path):
    """The same responses, and a score that rises, or falls: a reward leads nobody to a lower score."""
    firsts = dict[tuple[str, str], dict[str, Any]]()
    for name, score in (("led", lambda step: float(step)), ("broken", lambda step: -float(step))):
        metrics = rows(20, responses_surprise=lambda step: step / 4, scores_mean=score)
        patient = read(str(write_run(ppo(out=str(tmp_path / name)), metrics)))
        for sign in ("gibberish", "shallow"):
            found = remedies(patient, patient.ran[0], Sign(sign, "alarm", {}), None)
            firsts[name, sign] = {change.key: change.new for one in found if one.first for change in one.changes}
    led, broken = {"kl_coef": 0.1}, {"lr": 3e-5}
    assert [*firsts.values()] == [led, led, broken, broken]
