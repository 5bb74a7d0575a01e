"""Rollouts: whose probabilities, at which temperature, and what each token earns, worked out again from the parts."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from prefloop.align.config import PPOConfig
from prefloop.align.experience import (
    Sources,
    advantages_of,
    drift,
    micro_batches,
    minibatches,
    sample_rollouts,
    step_prompts,
)
from prefloop.rollouts import Rollouts

from .conftest import expected_score

Make = Callable[..., PPOConfig]
MakeSources = Callable[[PPOConfig], Sources]


def explicit(model: PreTrainedModel, rollouts: Rollouts, row: int, temperature: float) -> list[float]:
    """log softmax(logits / temperature) of each response token, by transformers, in float64."""
    prompt, response = rollouts.prompts[row], rollouts.responses[row]
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1].double()
    return [float((logits[t] / temperature).log_softmax(-1)[token]) for t, token in enumerate(response)]


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_logprobs_are_at_the_sampling_temperature(
    make_config: Make,
    sources: MakeSources,
    plain: PreTrainedModel,
    new_llama: Callable[..., PreTrainedModel],
    temperature: float,
):
    config = make_config(temperature=temperature)
    rollouts = sample_rollouts(config, sources(config), 0, kl_coef=0.1)
    reference = new_llama(2).eval()
    for row, response in enumerate(rollouts.responses):
        n = len(response)
        assert rollouts.mask[row].tolist() == [t < n for t in range(rollouts.mask.shape[1])]
        assert rollouts.logprobs[row, :n].tolist() == pytest.approx(
            explicit(plain, rollouts, row, temperature), abs=1e-4
        )
        assert rollouts.ref_logprobs[row, :n].tolist() == pytest.approx(
            explicit(reference, rollouts, row, temperature), abs=1e-4
        )
    assert len({len(r) for r in rollouts.responses}) > 2


def test_responses_are_drawn_at_the_temperature(make_config: Make, sources: MakeSources, plain: PreTrainedModel):
    """At 0.001 every token is the likeliest by far; at 1 hardly any response is."""
    shares = {}
    for temperature in (0.001, 1.0):
        config = make_config(temperature=temperature)
        rollouts = sample_rollouts(config, sources(config), 0, kl_coef=0.0)
        likeliest = []
        for prompt, response in zip(rollouts.prompts, rollouts.responses, strict=True):
            with torch.no_grad():
                logits = plain(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
            likeliest += (logits.argmax(-1) == torch.tensor(response)).tolist()
        shares[temperature] = sum(likeliest) / len(likeliest)
    assert shares[0.001] == 1
    assert shares[1.0] < 0.5


def test_values_are_those_before_each_token(make_config: Make, sources: MakeSources, plain: PreTrainedModel):
    """The critic sees the prompt and the tokens before, never the token itself."""
    config = make_config()
    made = sources(config)
    rollouts = sample_rollouts(config, made, 0, kl_coef=0.1)
    assert made.policy.value is not None
    for row, (prompt, response) in enumerate(zip(rollouts.prompts, rollouts.responses, strict=True)):
        for t in range(len(response)):
            with torch.no_grad():
                states = plain.base_model(torch.tensor([[*prompt, *response[:t]]])).last_hidden_state[0, -1]
                expected = made.policy.value(states)
            assert float(rollouts.values[row, t]) == pytest.approx(float(expected), abs=1e-4)


def test_the_score_lands_on_the_true_last_token(make_config: Make, sources: MakeSources):
    """Each token pays for its own drift; the last real one, wherever it is, also earns the score, less the penalty if unfinished."""
    config = make_config(kl_coef=0.3, unfinished_penalty=5.0, rollouts_per_step=24, minibatch_size=24)
    made = sources(config)
    rollouts = sample_rollouts(config, made, 0, kl_coef=0.3)
    codec, penalties = made.loaded.codec, set()
    for row, response in enumerate(rollouts.responses):
        penalty = 0.0 if response[-1] in codec.stop_ids else 5.0
        penalties.add(penalty)
        score = expected_score(codec.decode(response)) - penalty
        assert float(rollouts.scores[row]) == pytest.approx(score)
        kl = (rollouts.logprobs - rollouts.ref_logprobs)[row]
        expected = [-0.3 * float(kl[t]) + (score if t == len(response) - 1 else 0.0) for t in range(len(response))]
        assert rollouts.rewards[row, : len(response)].tolist() == pytest.approx(expected, abs=1e-5)
        assert rollouts.rewards[row, len(response) :].abs().sum() == 0
    assert penalties == {0.0, 5.0}


def test_responses_of_one_prompt_stay_together(make_config: Make, sources: MakeSources):
    config = make_config(responses_per_prompt=4)
    rollouts = sample_rollouts(config, sources(config), 0, kl_coef=0.1)
    assert len(set(rollouts.prompts)) == 2
    assert all(rollouts.prompts[i] == rollouts.prompts[i // 4 * 4] for i in range(8))
    assert len(set(rollouts.responses[:4])) > 1


@pytest.mark.parametrize("unit", ["token", "response", "batch"])
def test_kl_units_by_hand(make_config: Make, sources: MakeSources, unit: Any):
    """token: its own drift. response: the sum, on the last token. batch: rewards = scores - kl_coef * kl.mean(), seed 003."""
    config = make_config(kl_unit=unit)
    rollouts = sample_rollouts(config, sources(config), 0, kl_coef=0.2)
    kl = [
        [float(x) for x in (rollouts.logprobs - rollouts.ref_logprobs)[i, : len(r)]]
        for i, r in enumerate(rollouts.responses)
    ]
    mean = sum(map(sum, kl)) / sum(map(len, kl))
    for row, own in enumerate(kl):
        n, score = len(own), float(rollouts.scores[row])
        total = {"token": score - 0.2 * sum(own), "response": score - 0.2 * sum(own), "batch": score - 0.2 * mean}[unit]
        assert float(rollouts.rewards[row].sum()) == pytest.approx(total, abs=1e-4)
        if unit != "token":
            assert float(rollouts.rewards[row, n - 1]) == pytest.approx(total, abs=1e-4)


def test_drift_in_the_loss_is_not_charged_twice(make_config: Make, sources: MakeSources):
    config = make_config(kl_where="loss", kl_estimator="k3", kl_coef=0.5)
    rollouts = sample_rollouts(config, sources(config), 0, kl_coef=0.5)
    torch.testing.assert_close(rollouts.rewards.sum(1), rollouts.scores)


def test_advantages_are_white(make_config: Make, sources: MakeSources):
    config = make_config()
    rollouts = sample_rollouts(config, sources(config), 0, kl_coef=0.1)
    real = rollouts.advantages[rollouts.mask]
    assert float(real.mean()) == pytest.approx(0, abs=1e-5)
    assert float(real.std(correction=0)) == pytest.approx(1, abs=1e-4)
    assert rollouts.advantages[~rollouts.mask].abs().sum() == 0


@pytest.fixture
def grids() -> tuple[Tensor, Tensor, Tensor]:
    """Rewards, values and mask of five ragged rows."""
    generator = torch.Generator().manual_seed(6)
    mask = torch.arange(7) < torch.tensor([7, 1, 4, 6, 2])[:, None]
    rewards, values = (torch.where(mask, torch.randn(5, 7, generator=generator), 0.0) for _ in range(2))
    return rewards, values, mask


def by(make_config: Make, grids: tuple[Tensor, Tensor, Tensor], **settings: Any) -> tuple[Tensor, Tensor]:
    return advantages_of(make_config(**settings), *grids)


def test_return_is_gae_with_decay_1_and_td_with_decay_0(make_config: Make, grids: tuple[Tensor, Tensor, Tensor]):
    for name, decay in (("return", 1.0), ("td", 0.0)):
        for found, expected in zip(
            by(make_config, grids, advantage=name, decay=0.5, discount=0.9),
            by(make_config, grids, advantage="gae", decay=decay, discount=0.9),
            strict=True,
        ):
            torch.testing.assert_close(found, expected)


def test_td_by_hand(make_config: Make):
    """rewards [1 2 3], values [4 6 8], discount 1/2: 1 + 3 - 4, 2 + 4 - 6, 3 - 8."""
    one = torch.ones(1, 3, dtype=torch.bool)
    found, returns = by(
        make_config, (torch.tensor([[1.0, 2, 3]]), torch.tensor([[4.0, 6, 8]]), one), advantage="td", discount=0.5
    )
    assert found.tolist() == [[0, 0, -5]]
    assert returns.tolist() == [[4, 6, 3]]


def test_batch_mean_by_hand(make_config: Make, grids: tuple[Tensor, Tensor, Tensor]):
    """Return to come less the mean total of the batch; the values are never looked at."""
    rewards, values, mask = grids
    found, _ = by(make_config, (rewards, values * torch.nan, mask), advantage="batch_mean")
    mean = sum(float(rewards[i].sum()) for i in range(5)) / 5
    for i in range(5):
        for t in range(7):
            expected = float(rewards[i, t:].sum()) - mean if mask[i, t] else 0.0
            assert float(found[i, t]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("advantage", ["return", "batch_mean"])
def test_three_places_for_the_reward_agree_without_drift_and_critic(
    make_config: Make, grids: tuple[Tensor, Tensor, Tensor], advantage: str
):
    """Discount 1, the score on the last token, no KL, no critic: last, every and response give equal advantages (PPO-6)."""
    _, values, mask = grids
    scores = torch.tensor([0.5, -1.0, 2.0, 0.0, 1.5])
    rewards = torch.zeros(5, 7).scatter(1, mask.sum(1, keepdim=True) - 1, scores[:, None])
    found = [
        by(make_config, (rewards, torch.zeros_like(values), mask), advantage=advantage, reward_at=at)[0]
        for at in ("last", "every", "response")
    ]
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])
    baseline = float(scores.mean()) if advantage == "batch_mean" else 0.0
    assert found[0][2].tolist() == pytest.approx([2 - baseline] * 4 + [0] * 3)


def test_response_as_one_decision_by_hand(make_config: Make):
    """Rewards [1 2], value 5 at the start: 3 - 5 for both tokens; padding 0."""
    mask = torch.tensor([[True, True, False]])
    found, returns = by(
        make_config, (torch.tensor([[1.0, 2, 0]]), torch.tensor([[5.0, 9, 0]]), mask), reward_at="response"
    )
    assert found.tolist() == [[-2, -2, 0]]
    assert returns.tolist() == [[3, 3, 0]]


@pytest.mark.parametrize("advantage", ["gae", "td", "return", "batch_mean"])
@pytest.mark.parametrize("at", ["last", "every", "response"])
def test_padding_is_never_read(make_config: Make, grids: tuple[Tensor, Tensor, Tensor], advantage: str, at: str):
    """Values and advantages do not change when the padding of the values is NaN."""
    if advantage == "td" and at != "last":
        pytest.skip("refused by the settings")
    rewards, values, mask = grids
    settings = {"advantage": advantage, "reward_at": at, **({} if at == "response" else {"discount": 0.9})}
    clean = by(make_config, (rewards, values, mask), **settings)
    dirty = by(make_config, (rewards, torch.where(mask, values, torch.nan), mask), **settings)
    for a, b in zip(clean, dirty, strict=True):
        assert torch.equal(a, b)
        assert a[~mask].abs().sum() == 0


def test_drift_ignores_padding(make_config: Make, sources: MakeSources):
    config = make_config()
    rollouts = sample_rollouts(config, sources(config), 0, kl_coef=0.1)
    dirty = Rollouts(**{**rollouts.state(), "logprobs": torch.where(rollouts.mask, rollouts.logprobs, torch.nan)})
    assert torch.equal(drift(rollouts, "k3"), drift(dirty, "k3"))


def test_every_epoch_sees_every_rollout_once_in_another_order(make_config: Make):
    config = make_config(rollouts_per_step=12, minibatch_size=4, epochs=3)
    found = list(minibatches(config, 5))
    epochs = [found[i : i + 3] for i in (0, 3, 6)]
    assert len(found) == 9
    assert all(sorted(i for part in epoch for i in part) == list(range(12)) for epoch in epochs)
    assert len({str(epoch) for epoch in epochs}) == 3
    assert found == list(minibatches(config, 5)) != list(minibatches(config, 6))


def test_micro_batches_keep_every_row(make_config: Make, sources: MakeSources):
    config = make_config()
    rollouts = sample_rollouts(config, sources(config), 0, kl_coef=0.1)
    parts = micro_batches(rollouts, [5, 2, 7, 0], limit=40)
    assert [i for part in parts for i in part] == [5, 2, 7, 0]
    assert len(parts) > 1
    for part in parts:
        assert len(part) == 1 or sum(len(rollouts.prompts[i]) + len(rollouts.responses[i]) for i in part) <= 40


def test_prompts_are_passed_over_again_and_again(make_config: Make):
    """10 prompts, 4 a step: after 5 steps each was used twice, once in each pass."""
    config = make_config(rollouts_per_step=8, responses_per_prompt=2)
    used = [i for step in range(5) for i in step_prompts(config, 10, step)]
    assert sorted(used[:10]) == sorted(used[10:]) == list(range(10))
    assert used[:10] != used[10:]
