"""REINFORCE: its advantages by hand, its one update by autograd on transformers, and a run that goes on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from prefloop.align import reinforce
from prefloop.align.config import REINFORCEConfig
from prefloop.align.reinforce import advantages_of, train
from prefloop.models.network import Network
from prefloop.sampling.rollouts import Rollouts

from .conftest import Seen, expected_score

Make = Callable[..., REINFORCEConfig]
MASK = torch.tensor([[True, True, True], [True, False, False]])
REWARDS = torch.tensor([[1.0, -2.0, 4.0], [5.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [[3 - 4, 2 - 4, 4 - 4], [5 - 4, 0, 0]]),  # still to come, less the mean of 3 and 5
        ({"baseline": "none"}, [[3, 2, 4], [5, 0, 0]]),
        ({"baseline": "group_mean", "responses_per_prompt": 2}, [[3 - 4, 2 - 4, 4 - 4], [5 - 4, 0, 0]]),
        ({"credit": "response"}, [[3 - 4, 3 - 4, 3 - 4], [5 - 4, 0, 0]]),
        ({"discount": 0.5, "baseline": "none"}, [[1 + (-2 + 4 / 2) / 2, -2 + 4 / 2, 4], [5, 0, 0]]),
    ],
)
def test_advantages_by_hand(make_config: Make, settings: dict[str, Any], expected: list[list[float]]):
    config = make_config(REINFORCEConfig, whiten_advantages=False, **settings)
    assert advantages_of(config, REWARDS, MASK).tolist() == expected


def test_each_group_has_a_mean_of_its_own(make_config: Make):
    """Of four responses the first two earned 3 and 5, the others 13 and 15."""
    config = make_config(REINFORCEConfig, whiten_advantages=False, baseline="group_mean", responses_per_prompt=2)
    later = REWARDS + torch.tensor([[0.0, 0.0, 10.0], [10.0, 0.0, 0.0]])
    advantages = advantages_of(config, torch.cat([REWARDS, later]), torch.cat([MASK, MASK]))
    assert advantages[:, 0].tolist() == [-1, 1, -1, 1]
    with pytest.raises(ValueError, match="Set responses_per_prompt = 2"):
        make_config(REINFORCEConfig, baseline="group_mean")


def test_whitened_advantages_have_mean_0_and_deviation_1_over_real_tokens(make_config: Make):
    real = advantages_of(make_config(REINFORCEConfig), REWARDS, MASK)[MASK]
    assert float(real.mean()) == pytest.approx(0, abs=1e-6)
    assert float(real.std(correction=0)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("micro_tokens", [16384, 30])
def test_an_update_is_that_of_autograd_on_transformers(
    make_config: Make,
    watch: Callable[..., Seen],
    read_lines: Callable[[Path], list[dict[str, Any]]],
    plain: PreTrainedModel,
    new_llama: Callable[..., PreTrainedModel],
    other: Network,
    monkeypatch: pytest.MonkeyPatch,
    micro_tokens: int,
):
    """One step from tokens to gradient, sequence by sequence; the reference is another model."""
    seen: list[Rollouts] = []
    real = reinforce.online.sample
    monkeypatch.setattr(reinforce.online, "sample", lambda *args: seen.append(real(*args)) or seen[-1])
    setups = watch(reference=other).setups
    config = make_config(
        REINFORCEConfig,
        temperature=0.7,
        kl_coef=0.3,
        entropy_coef=0.5,
        unfinished_penalty=2.0,
        micro_tokens=micro_tokens,
    )
    train(config)
    reference, rows = new_llama(2).eval(), []
    for prompt, response in zip(seen[0].prompts, seen[0].responses, strict=True):
        both = [m(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1] for m in (plain, reference)]
        p, q = ((logits / 0.7).log_softmax(-1) for logits in both)
        own, ref = (x[range(len(response)), response] for x in (p, q))
        rewards = -0.3 * (own - ref).detach()
        codec = setups[0].policy.codec
        rewards[-1] += expected_score(codec.decode(response)) - 2.0 * (response[-1] not in codec.stop_ids)
        rows.append((own, -(p.exp() * p).sum(-1), rewards.flip(0).cumsum(0).flip(0)))
    logprobs, entropy, returns = (torch.cat(column) for column in zip(*rows, strict=True))
    advantages = returns - torch.stack([row[2][0] for row in rows]).mean()
    advantages = (advantages - advantages.mean()) / advantages.std(correction=0)
    policy_loss = (-advantages * logprobs).mean()
    loss = policy_loss - 0.5 * entropy.mean()
    gradients = torch.autograd.grad(loss, list(plain.parameters()), allow_unused=True)
    norm = torch.stack([(g**2).sum() for g in gradients if g is not None]).sum().sqrt()
    row = read_lines(Path(config.out) / "metrics.jsonl")[0]
    assert row["grad/norm"] == pytest.approx(float(norm), rel=1e-3)
    assert row["loss/policy"] == pytest.approx(float(policy_loss.detach()), rel=1e-3, abs=1e-5)
    assert row["entropy/mean"] == pytest.approx(float(entropy.detach().mean()), rel=1e-4)


def test_a_killed_run_goes_on_bit_identically(
    make_config: Make,
    weights: Callable[[Path], dict[str, Tensor]],
    read_lines: Callable[[Path], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
):
    settings = {"steps": 4, "checkpoint_every": 1, "kl_target": 1.0}
    whole, broken = (make_config(REINFORCEConfig, **settings) for _ in range(2))
    expected, calls = weights(train(whole)), []
    real = reinforce.__dict__["reinforce_loss"]

    def dies(*args: Any) -> Tensor:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(reinforce, "reinforce_loss", dies)
    with pytest.raises(KeyboardInterrupt):
        train(broken)
    resumed = weights(train(broken))
    assert len(calls) == 5  # four updates, one of them tried twice
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    assert read_lines(Path(broken.out) / "metrics.jsonl") == read_lines(Path(whole.out) / "metrics.jsonl")
