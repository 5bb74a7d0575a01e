"""recipes/seed003.yaml says what the seed document says."""

from prefloop.align.config import PPOConfig
from prefloop.reward.config import RewardConfig
from prefloop.rounds.recipe import load
from prefloop.sft.config import SFTConfig


def test_the_settings_are_the_documents():
    """Retyped from the document's code: SFTTrainer, RewardModelTrainer, RLHF_PPO."""
    settings = load("seed003", ["base=somebody/model", "out=mine"]).settings
    assert list(settings) == ["sft", "reward", "ppo", "evaluate", "report"]
    sft, reward, ppo = settings["sft"], settings["reward"], settings["ppo"]
    assert isinstance(sft, SFTConfig)
    assert isinstance(reward, RewardConfig)
    assert isinstance(ppo, PPOConfig)
    assert (sft.model, sft.lr, sft.max_grad_norm, sft.template) == ("somebody/model", 5e-6, 1.0, "human-assistant")
    assert (reward.model, reward.lr) == ("mine/sft/model", 1e-5)
    assert (ppo.temperature, ppo.max_new_tokens, ppo.kl_coef, ppo.kl_unit, ppo.kl_where) == (
        0.7,
        512,
        0.2,
        "batch",
        "reward",
    )
    assert (ppo.discount, ppo.decay, ppo.clip, ppo.entropy_coef) == (1.0, 0.95, 0.2, 0.01)
    assert ppo.value_coef / 2 == 0.1  # of the whole squared error, where ours is halved
    assert (ppo.epochs, ppo.max_grad_norm, ppo.whiten_advantages, ppo.critic) == (4, 0.5, True, "separate")
    assert ppo.minibatch_size == ppo.rollouts_per_step


def test_files_of_the_user_can_be_named_on_the_command_line():
    settings = load("seed003", ["base=b", "out=o", "sft.demonstrations=mine/d.jsonl", "ppo.steps=3"]).settings
    assert settings["sft"].model_dump()["demonstrations"] == "mine/d.jsonl"
    assert settings["ppo"].model_dump()["steps"] == 3
