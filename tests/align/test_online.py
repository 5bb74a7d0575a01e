"""Rollouts: whose probabilities, at which temperature, of which prompts; worked out again by transformers."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from prefloop.align import online
from prefloop.align.config import PPOConfig
from prefloop.align.online import Before, Setup
from prefloop.models.network import Network
from prefloop.sampling.in_process import InProcess
from prefloop.sampling.protocol import Sampled
from prefloop.sampling.rollouts import Rollouts
from prefloop.scoring.named import scorer
from prefloop.text.examples import Pool

from .conftest import expected_score, often_ending

Make = Callable[..., PPOConfig]


@pytest.fixture
def setup(network: Network, other: Network, make_config: Make, write_rows: Callable[..., str]) -> Setup:
    """A policy with a critic that has an opinion, and a reference that is another model."""
    policy = often_ending(network).with_critic()
    assert policy.critic is not None
    torch.nn.init.normal_(policy.critic.head.weight, generator=torch.Generator().manual_seed(4))
    rows = [
        {"id": f"{i}", "messages": [{"role": "user", "content": f"where is {i * 7}?"}], "tags": [f"topic:{i * 7}"]}
        for i in range(12)
    ]
    prompts = Pool(network.codec, write_rows("asked.jsonl", rows), room=8, say=print)
    return Setup(policy, other, InProcess(policy), scorer(make_config().reward, network.placement), prompts)


def rollouts_of(setup: Setup, config: PPOConfig, step: int = 0) -> Rollouts:
    return online.sample(setup, online.step_prompts(setup.prompts, config, step), config, step)


def read(setup: Setup, rollouts: Rollouts, temperature: float = 1.0) -> Before:
    return online.read(setup, rollouts, [[3, 0, 1], [2], [4, 5, 6, 7]], temperature=temperature)


def explicit(model: PreTrainedModel, rollouts: Rollouts, row: int, temperature: float) -> list[float]:
    """log softmax(logits / temperature) of each response token, by transformers, in float64."""
    prompt, response = rollouts.prompts[row], rollouts.responses[row]
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1].double()
    return [float((logits[t] / temperature).log_softmax(-1)[token]) for t, token in enumerate(response)]


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_logprobs_are_at_the_sampling_temperature(
    make_config: Make,
    setup: Setup,
    plain: PreTrainedModel,
    new_llama: Callable[..., PreTrainedModel],
    temperature: float,
):
    rollouts = rollouts_of(setup, make_config(temperature=temperature))
    before, reference = read(setup, rollouts, temperature), new_llama(2).eval()
    for row, response in enumerate(rollouts.responses):
        n = len(response)
        assert rollouts.mask[row].tolist() == [t < n for t in range(rollouts.mask.shape[1])]
        for grid, model in ((before.logprobs, plain), (before.ref_logprobs, reference)):
            assert grid[row, :n].tolist() == pytest.approx(explicit(model, rollouts, row, temperature), abs=1e-4)
            assert grid[row, n:].abs().sum() == 0
    assert len({len(r) for r in rollouts.responses}) > 2


def test_responses_are_drawn_at_the_temperature(make_config: Make, setup: Setup, plain: PreTrainedModel):
    """At 0.001 every token is the likeliest by far; at 1 hardly any response is."""
    shares = {}
    for temperature in (0.001, 1.0):
        rollouts = rollouts_of(setup, make_config(temperature=temperature))
        likeliest = []
        for prompt, response in zip(rollouts.prompts, rollouts.responses, strict=True):
            with torch.no_grad():
                logits = plain(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
            likeliest += (logits.argmax(-1) == torch.tensor(response)).tolist()
        shares[temperature] = sum(likeliest) / len(likeliest)
    assert shares[0.001] == 1
    assert shares[1.0] < 0.5


def test_values_are_those_before_each_token(make_config: Make, setup: Setup, plain: PreTrainedModel):
    """The critic sees the prompt and the tokens before, never the token itself."""
    rollouts = rollouts_of(setup, make_config())
    values, critic = read(setup, rollouts).values, setup.policy.critic
    assert values is not None
    assert critic is not None
    for row, (prompt, response) in enumerate(zip(rollouts.prompts, rollouts.responses, strict=True)):
        for t in range(len(response)):
            with torch.no_grad():
                states = plain.base_model(torch.tensor([[*prompt, *response[:t]]])).last_hidden_state[0, -1]
                expected = critic.head(states)
            assert float(values[row, t]) == pytest.approx(float(expected), abs=1e-4)


def test_responses_of_one_prompt_stay_together(make_config: Make, setup: Setup):
    rollouts = rollouts_of(setup, make_config(responses_per_prompt=4))
    assert len(set(rollouts.prompts)) == 2
    assert all(rollouts.prompts[i] == rollouts.prompts[i // 4 * 4] for i in range(8))
    assert len(set(rollouts.responses[:4])) > 1


def test_scores_are_the_scorers_and_the_penalty_is_charged_on_top(make_config: Make, setup: Setup):
    config = make_config(rollouts_per_step=24, minibatch_size=24)
    prompts = online.step_prompts(setup.prompts, config, 0)
    rollouts = online.sample(setup, prompts, config, 0)
    scores, scored, _ = online.score(setup, config, prompts, rollouts, {})
    codec = setup.policy.codec
    assert scores.tolist() == pytest.approx([expected_score(codec.decode(r)) for r in rollouts.responses])
    assert {name: value for name, value in scored.items() if name.startswith("scores/")} == {
        "scores/mean": pytest.approx(float(scores.mean())),
        "scores/std": pytest.approx(float(scores.std(correction=0))),
    }
    ended = [r[-1] in codec.stop_ids for r in rollouts.responses]
    assert rollouts.finished.tolist() == ended
    assert set(ended) == {True, False}
    charge = (scores - online.earned(scores, rollouts, unfinished_penalty=5.0)).tolist()
    assert charge == pytest.approx([0.0 if end else 5.0 for end in ended])


def test_the_scorer_is_told_the_tags_of_each_prompt(make_config: Make, setup: Setup, monkeypatch: pytest.MonkeyPatch):
    config = make_config()
    prompts, detailed = online.step_prompts(setup.prompts, config, 0), setup.scorer.detailed

    def asked(conversations: Any, responses: Any, tags: Any) -> Any:
        assert [f"where is {one[0].removeprefix('topic:')}?" for one in tags] == [c[0].content for c in conversations]
        return detailed(conversations, responses, tags)

    monkeypatch.setattr(setup.scorer, "detailed", asked)
    scores, _, _ = online.score(setup, config, prompts, online.sample(setup, prompts, config, 0), {})
    assert len(scores) == config.rollouts_per_step


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_drift_ignores_padding(make_config: Make, setup: Setup, estimator: Any):
    rollouts = rollouts_of(setup, make_config())
    clean = read(setup, rollouts)
    dirty = Before(torch.where(rollouts.mask, clean.logprobs, torch.nan), clean.ref_logprobs, None)
    assert torch.equal(clean.kl(rollouts.mask, estimator), dirty.kl(rollouts.mask, estimator))


def test_every_epoch_sees_every_rollout_once_in_another_order():
    orders = [online.minibatches(12, size=4, epochs=3, seed=0, step=step) for step in (5, 5, 6)]
    epochs = [orders[0][i : i + 3] for i in (0, 3, 6)]
    assert len(orders[0]) == 9
    assert all(sorted(i for part in epoch for i in part) == list(range(12)) for epoch in epochs)
    assert len({str(epoch) for epoch in epochs}) == 3
    assert orders[0] == orders[1] != orders[2]


def test_responses_to_a_prompt_stay_side_by_side():
    parts = online.minibatches(12, size=4, epochs=2, seed=0, step=5, together=3)
    epochs = [[*chain.from_iterable(parts[i : i + 3])] for i in (0, 3)]
    groups = [[epoch[i : i + 3] for i in range(0, 12, 3)] for epoch in epochs]
    assert all(sorted(each) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]] for each in groups)
    assert groups[0] != groups[1]


def test_an_algorithm_keeps_the_responses_to_its_prompts_together(make_config: Make):
    config = make_config(rollouts_per_step=12, minibatch_size=4, epochs=2, responses_per_prompt=3)
    same = {"size": 4, "epochs": 2, "seed": config.seed, "step": 5}
    assert online.order(config, 5) == online.minibatches(12, **same, together=3) != online.minibatches(12, **same)


def test_a_prompt_of_several_responses_counts_once():
    responses = [Sampled((4, 5), True)] * 6
    rollouts = Rollouts.of([(1, 2, 3, 4, 5)] * 3 + [(6, 7, 8, 9)] * 3, responses, torch.device("cpu"))
    assert online.micro_batches(rollouts, range(6), limit=11) == [[0, 1, 2], [3, 4, 5]]
    assert online.micro_batches(rollouts, range(6), limit=10) == [[0, 1], [2], [3, 4, 5]]
    assert online.micro_batches(rollouts, [0, 3, 1, 4], limit=17) == [[0, 3, 1, 4]]
    assert online.micro_batches(rollouts, range(2), limit=1) == [[0], [1]]
    assert online.micro_batches(rollouts, [0, 3, 1, 4, 2], limit=13) == [[0, 3], [1, 4], [2]]  # once in each part


def test_micro_batches_keep_every_row(make_config: Make, setup: Setup):
    rollouts = rollouts_of(setup, make_config())
    parts = online.micro_batches(rollouts, [5, 2, 7, 0], limit=40)
    assert [i for part in parts for i in part] == [5, 2, 7, 0]
    assert len(parts) > 1
    assert all(len(part) == 1 or sum(rollouts.lengths[i] for i in part) <= 40 for part in parts)


def test_prompts_are_passed_over_again_and_again(make_config: Make, setup: Setup):
    """10 prompts, 4 a step: after 5 steps each was used twice, once in each pass."""
    config = make_config(responses_per_prompt=2)
    used = [p.messages for step in range(5) for p in online.step_prompts(setup.prompts[:10], config, step)[::2]]
    passes = used[:10], used[10:]
    assert all(sorted(map(str, once)) == sorted(str(p.messages) for p in setup.prompts[:10]) for once in passes)
    assert passes[0] != passes[1]
