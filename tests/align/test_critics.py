"""What PPO's values are to be, where they begin, and when the critic learns alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from prefloop.align import critics
from prefloop.align.config import PPOConfig
from prefloop.align.ppo import train
from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.models.load import causal, save_model, scalar
from prefloop.scoring.reward_model import NORMALISATION

from .conftest import Seen

CPU = Placement(torch.device("cpu"))
Make = Callable[..., PPOConfig]
Watch = Callable[..., Seen]
Read = Callable[[Path], list[dict[str, Any]]]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # rewards 1, -2, 4 and values 3, 5, 2 of a response of three tokens; decay 1/2, discount 1
        # surprise 1+5-3 = 3, -2+2-5 = -5, 4-2 = 2;  advantages 3-4/2 = 1, -5+2/2 = -4, 2
        ({}, [[1 + 3, -4 + 5, 2 + 2], [5, 0, 0]]),
        ({"value_target": "td"}, [[1 + 5, -2 + 2, 4], [5, 0, 0]]),
        ({"value_target": "td", "discount": 0.5}, [[1 + 5 / 2, -2 + 2 / 2, 4], [5, 0, 0]]),
        ({"value_target": "scores"}, [[3, 3, 3], [5, 0, 0]]),
    ],
)
def test_targets_by_hand(make_config: Make, settings: dict[str, Any], expected: list[list[float]]):
    config = make_config(decay=0.5, **settings)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    rewards = torch.tensor([[1.0, -2.0, 4.0], [5.0, 0.0, 0.0]])
    values = torch.tensor([[3.0, 5.0, 2.0], [7.0, 0.0, 0.0]])
    _, returns = critics.gae(rewards, values, mask, discount=config.discount, decay=0.5)
    assert critics.targets(config, rewards, values, returns, mask).tolist() == expected


@pytest.mark.parametrize("target", ["returns", "td", "scores"])
def test_the_critic_learns_its_target_and_advantages_do_not_change(
    make_config: Make, watch: Watch, read_lines: Read, target: str
):
    """The loss is half the mean squared distance of a fresh head's 0 to the targets."""
    seen = watch()
    config = make_config(value_target=target, value_clip=None, critic_head="zero")
    train(config)
    batch = seen.batches[0]
    row = read_lines(Path(config.out) / "metrics.jsonl")[0]
    assert row["loss/value"] == pytest.approx(float(batch.returns[batch.rollouts.mask].square().mean()) / 2, rel=1e-4)
    assert row["values/clipped"] == 0
    whole = batch.rewards.sum(1)
    for i, response in enumerate(batch.rollouts.responses):
        of_it = batch.returns[i, : len(response)]
        if target == "td":  # values are 0 still
            assert torch.allclose(of_it, batch.rewards[i, : len(response)])
        if target == "scores":
            assert torch.allclose(of_it, whole[i].expand(len(response)))


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
    return any(not torch.equal(weight, after[name]) for name, weight in before.items())


@pytest.mark.parametrize("critic", ["shared", "separate"])
def test_while_it_warms_up_only_the_critic_learns(
    make_config: Make, watch: Watch, read_lines: Read, folder: str, critic: str
):
    """Two steps of three: of a shared trunk the head alone moves, a separate critic moves as a whole; the policy is as
    it was to the bit, and the coefficient that drift would steer waits for it."""
    seen = watch()
    config = make_config(
        critic=critic,
        critic_warmup=2,
        steps=3,
        save_every=1,
        kl_target=1.0,
        kl_coef=0.3,
        epochs=2,
        value_clip=None,
        critic_head="zero",
    )
    last = train(config)
    original = dict(causal(folder, CPU).pretrained.state_dict())
    kept = [dict(causal(str(last.parent / f"step-00000{n}"), CPU).pretrained.state_dict()) for n in (1, 2, 3)]
    assert not moved(original, kept[0])
    assert not moved(original, kept[1])
    assert moved(original, kept[2])
    network = seen.setups[0].policy
    assert network.critic is not None
    assert float(network.critic.head.weight.detach().abs().max()) > 0
    if network.critic.trunk is not None:
        trunk = network.critic.trunk.state_dict()
        assert moved({name: original[f"model.{name}"] for name in trunk}, trunk)
    rows = read_lines(Path(config.out) / "metrics.jsonl")
    assert [row["kl/coef"] for row in rows] == [0.3, 0.3, 0.3]
    assert rows[0]["rewards/kl"] == rows[1]["rewards/kl"] == rows[2]["rewards/kl"] == 0
    assert rows[1]["loss/value"] < rows[0]["loss/value"]
    assert rows[0]["ratio/kl"] == 0
    assert rows[2]["ratio/kl"] > 0


@pytest.fixture
def reward_folder(folder: str, tmp_path: Path) -> str:
    """A reward model on the policy's weights, whose scores are shifted and scaled."""
    reward = scalar(folder, CPU, fresh_head=True)
    torch.nn.init.normal_(reward.pretrained.get_submodule("score").weight, generator=torch.Generator().manual_seed(5))
    save_model(tmp_path / "reward", reward.pretrained, reward.codec, beside={NORMALISATION: {"mean": 0.4, "std": 2.0}})
    return str(tmp_path / "reward")


def test_a_critic_begins_as_the_reward_model_and_with_its_score(make_config: Make, watch: Watch, reward_folder: str):
    """The first value after a whole text would be that text's score: head, bias, shift and scale are the model's."""
    seen = watch()
    made = train(make_config(reward=reward_folder, critic="reward-model", critic_head="score", lr=1e-9))
    critic, judge = seen.setups[0].policy.critic, scalar(reward_folder, CPU)
    assert critic is not None
    assert critic.trunk is not None
    trunk = judge.pretrained.base_model.state_dict()
    assert all(torch.allclose(weight, trunk[name], atol=1e-6) for name, weight in critic.trunk.state_dict().items())
    with torch.no_grad():
        raw, states = judge.table_and_last_states([[5, 6, 7, 8], [9, 10]])
        torch.testing.assert_close(critic.head(states), (raw - 0.4) / 2.0, rtol=1e-4, atol=1e-5)
    batch = seen.batches[0]
    assert batch.values[batch.rollouts.mask].std() > 0.01
    assert json.loads((made.parents[1] / "run.json").read_text(encoding="utf-8"))["inputs"]["critic"]
    train(make_config(reward=reward_folder, critic="reward-model", critic_head="zero"))
    assert seen.batches[1].values.abs().max() == 0


@pytest.mark.parametrize("settings", [{}, {"critic": "separate"}, {"rollouts_per_step": 16}])
def test_a_score_that_all_earn_the_same_more_changes_no_first_advantage(
    make_config: Make, watch: Watch, tmp_path: Path, settings: dict[str, Any]
):
    """A fresh head expects the mean of what the first responses earn, before they are looked at; one that begins at
    zero is surprised by the mean, and the more the later the token."""
    seen = watch()
    train(make_config(**settings))
    (tmp_path / "more.py").write_text((tmp_path / "reward.py").read_text(encoding="utf-8").replace("- 1", "+ 6"))
    more = f"python:{tmp_path / 'more.py'}:score"
    train(make_config(reward=more, **settings))
    train(make_config(reward=more, critic_head="zero", **settings))
    plain, raised, zero = seen.batches
    assert (raised.scores - plain.scores).tolist() == pytest.approx([7.0] * len(plain.scores))
    torch.testing.assert_close(raised.advantages, plain.advantages, rtol=1e-3, atol=1e-4)
    assert (zero.advantages - plain.advantages).abs().max() > 0.1
    mask = raised.rollouts.mask
    assert raised.values[mask].std() == 0
    assert float(raised.values[mask][0] - plain.values[mask][0]) == pytest.approx(7.0)
    assert raised.values[~mask].abs().max() == 0


def test_a_critic_without_a_score_cannot_begin_with_it(make_config: Make, folder: str):
    with pytest.raises(UserError, match=r"critic_head=score: .* gives no single score"):
        train(make_config(critic=folder, critic_head="score"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"critic_head": "score"}, "critic = shared has none. Set critic = reward-model"),
        ({"critic": "reward-model"}, "needs a reward that is one reward model's folder"),
        ({"critic_warmup": 1}, "critic_warmup = 1 leaves no step of 1"),
        ({"clip_high": 0.1}, "clip_high = 0.1 is below clip = 0.2"),
        ({"dual_clip": 1.0}, "greater than 1"),
        ({"value_clip": 0.0}, "greater than 0"),
    ],
)
def test_contradictions(make_config: Make, settings: dict[str, Any], message: str):
    with pytest.raises(ValidationError, match=message):
        make_config(**settings)


def test_a_killed_run_goes_on_where_only_the_critic_learned(
    make_config: Make, watch: Watch, read_lines: Read, monkeypatch: pytest.MonkeyPatch
):
    watch()
    settings = {"critic_warmup": 2, "steps": 3, "epochs": 2, "minibatch_size": 4, "checkpoint_every": 1}
    whole, broken = make_config(**settings), make_config(**settings)
    last, real, calls = train(whole), critics.learning, list[int]()

    def dies(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(critics, "learning", dies)
    with pytest.raises(KeyboardInterrupt):
        train(broken)
    found = train(broken)
    assert (found / "model.safetensors").read_bytes() == (last / "model.safetensors").read_bytes()
    names = [read_lines(Path(config.out) / "metrics.jsonl") for config in (whole, broken)]
    assert names[0] == names[1]
