"""The policy's probabilities against an explicit softmax; the three layouts of the critic; the frozen reference."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from prefloop.models.load import Loaded, save_model
from prefloop.models.policy import Policy, frozen_copy
from prefloop.models.stream import ResponseStream

CPU = torch.device("cpu")
PROMPTS, RESPONSES = [[5, 9, 7], [8]], [[30, 2, 11, 1], [12, 1]]


@pytest.fixture
def packed() -> ResponseStream:
    return ResponseStream.of(PROMPTS, RESPONSES, CPU)


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_logprobs_and_entropy_by_explicit_softmax(
    loaded: Loaded, plain: PreTrainedModel, packed: ResponseStream, temperature: float
):
    """transformers' logits divided by the temperature, softmax in float64, one sequence at a time."""
    logprobs, entropies = [], []
    for prompt, response in zip(PROMPTS, RESPONSES, strict=True):
        with torch.no_grad():
            logits = plain(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1].double()
        p = (logits / temperature).exp() / (logits / temperature).exp().sum(-1, keepdim=True)
        logprobs += [float(p[t, token].log()) for t, token in enumerate(response)]
        entropies += (-(p * p.log()).sum(-1)).tolist()
    with torch.no_grad():
        reading = Policy(loaded.model, critic=None, device=CPU).read(packed, temperature=temperature)
    assert reading.logprobs.tolist() == pytest.approx(logprobs, abs=1e-4)
    assert reading.entropy.tolist() == pytest.approx(entropies, abs=1e-4)
    assert reading.values.tolist() == [0.0] * 6


@pytest.mark.parametrize("critic", ["shared", "separate", "folder"])
def test_a_new_critic_expects_nothing_and_learns(
    loaded: Loaded, packed: ResponseStream, critic: str, new_llama: Callable[..., PreTrainedModel], tmp_path: Path
):
    """Values start at 0; with the head set by hand they are the trunk's states times it; where the gradient goes."""
    if critic == "folder":
        save_model(tmp_path / "critic", new_llama(7), loaded.codec)
        critic = str(tmp_path / "critic")
    policy = Policy(loaded.model, critic=critic, device=CPU)
    assert policy.value is not None
    assert policy.read(packed, temperature=1.0).values.abs().max() == 0
    torch.nn.init.ones_(policy.value.weight)
    values = policy.read(packed, temperature=1.0).values
    trunk = policy.trunk or loaded.model.base_model
    with torch.no_grad():
        states = trunk(
            input_ids=packed.stream.tokens[None],
            position_ids=packed.stream.positions[None],
            use_cache=False,
            layout=packed.stream,
        )
    torch.testing.assert_close(values, states.last_hidden_state[0, packed.index].sum(-1))
    values.sum().backward()
    touched = any(p.grad is not None for p in loaded.model.parameters())
    assert touched == (critic == "shared")
    assert policy.value.weight.grad is not None


def test_no_critic_allocates_none(loaded: Loaded):
    policy = Policy(loaded.model, critic=None, device=CPU)
    assert policy.value is None
    assert policy.trunk is None
    assert sum(p.numel() for p in policy.parameters()) == sum(p.numel() for p in loaded.model.parameters())


def test_a_separate_critic_is_a_copy(loaded: Loaded):
    policy = Policy(loaded.model, critic="separate", device=CPU)
    assert policy.trunk is not None
    with torch.no_grad():
        next(policy.trunk.parameters()).add_(1)
    assert not torch.equal(next(policy.trunk.parameters()), next(loaded.model.base_model.parameters()))


def test_the_reference_is_frozen_and_its_own(loaded: Loaded):
    reference = frozen_copy(loaded)
    assert not any(p.requires_grad for p in reference.parameters())
    before = [p.clone() for p in reference.parameters()]
    with torch.no_grad():
        for p in loaded.model.parameters():
            p.add_(1)
    assert all(torch.equal(a, b) for a, b in zip(before, reference.parameters(), strict=True))
