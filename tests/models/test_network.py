"""The door to models: probabilities against an explicit softmax, three layouts of the critic, the frozen reference.

And what must not matter: train mode, what is wrapped around the model, the precision of weights.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, GPT2Config, OPTConfig, PretrainedConfig, PreTrainedModel

from prefloop.models.cache import Cache, Prompts
from prefloop.models.device import Placement
from prefloop.models.load import scalar
from prefloop.models.network import Network
from prefloop.models.stream import ResponseStream, Stream

CPU = Placement(torch.device("cpu"))
PROMPTS, RESPONSES = [[5, 9, 7], [8]], [[30, 2, 11, 1], [12, 1]]
Door = Callable[[nn.Module], Network]


@pytest.fixture
def packed() -> ResponseStream:
    return ResponseStream.of(PROMPTS, RESPONSES, CPU.device)


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_logprobs_and_entropy_by_explicit_softmax(
    network: Network, plain: PreTrainedModel, packed: ResponseStream, temperature: float
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
        reading = network.read(packed, temperature=temperature)
        assert torch.equal(network.logprobs(packed, temperature=temperature), reading.logprobs)
    assert reading.logprobs.tolist() == pytest.approx(logprobs, abs=1e-4)
    assert reading.entropy.tolist() == pytest.approx(entropies, abs=1e-4)
    assert reading.values is None


@pytest.mark.parametrize("critic", ["shared", "separate", "folder"])
def test_a_new_critic_expects_nothing_and_learns(
    network: Network, packed: ResponseStream, critic: str, new_llama: Callable[..., PreTrainedModel], door: Door
):
    """Values start at 0; with the head set by hand they are the trunk's states times it; where the gradient goes."""
    other = door(new_llama(7))
    source = other if critic == "folder" else network
    network.with_critic(other if critic == "folder" else None, separate=critic == "separate")
    assert network.critic is not None
    values = network.read(packed, temperature=1.0).values
    assert values is not None
    assert values.abs().max() == 0
    torch.nn.init.ones_(network.critic.head.weight)
    values = network.read(packed, temperature=1.0).values
    assert values is not None
    with torch.no_grad():
        expected = source.hidden_states(packed.stream)[packed.index].sum(-1)
    torch.testing.assert_close(values, expected)
    values.sum().backward()
    touched = any(p.grad is not None for p in network.pretrained.parameters())
    assert touched == (critic == "shared")
    assert network.critic.head.weight.grad is not None


def test_a_separate_critic_is_a_copy(network: Network):
    assert network.with_critic(separate=True).critic is not None
    trunk = network.critic.trunk if network.critic else None
    assert trunk is not None
    with torch.no_grad():
        next(trunk.parameters()).add_(1)
    assert not torch.equal(next(trunk.parameters()), next(network.pretrained.base_model.parameters()))


def test_the_reference_is_frozen_and_its_own(network: Network):
    reference = network.with_critic().frozen_copy()
    assert reference.critic is None
    assert not any(p.requires_grad for p in reference.parameters())
    assert all(p.requires_grad for p in network.parameters())
    before = [p.clone() for p in reference.parameters()]
    with torch.no_grad():
        for p in network.parameters():
            p.add_(1)
    assert all(torch.equal(a, b) for a, b in zip(before, reference.parameters(), strict=True))


@pytest.mark.parametrize(
    "config",
    [
        GPT2Config(vocab_size=300, n_embd=16, n_layer=2, n_head=4, resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5),
        OPTConfig(
            vocab_size=300,
            hidden_size=16,
            ffn_dim=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            dropout=0.5,
            word_embed_proj_dim=16,
            max_position_embeddings=64,
            attention_dropout=0.5,
        ),
    ],
    ids=["gpt2: a module", "opt: a function"],
)
def test_train_mode_drops_nothing_out(config: PretrainedConfig, packed: ResponseStream, door: Door):
    """Dropout is a module in GPT-2 and a function in OPT; with either on, two readings would differ."""
    network = door(AutoModelForCausalLM.from_config(config)).train()
    readings = [network.read(packed, temperature=1.0).logprobs for _ in range(2)]
    assert torch.equal(*readings)
    readings[0].sum().backward()
    assert any(p.grad is not None for p in network.parameters())


class Wrapped(nn.Module):
    """Stands around a model as an adapter library does: its own `base_model` is not the trunk."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.base_model = nn.ModuleDict({"model": model})


def test_what_is_wrapped_around_a_model_is_looked_through(
    new_llama: Callable[..., PreTrainedModel], packed: ResponseStream, door: Door
):
    bare, wrapped = door(new_llama(5)), door(Wrapped(new_llama(5)))
    assert torch.equal(bare.logprobs(packed, temperature=1.0), wrapped.logprobs(packed, temperature=1.0))
    assert wrapped.pretrained.base_model is wrapped.pretrained.model


def test_weights_of_half_precision_give_logits_in_float32(new_llama: Callable[..., PreTrainedModel], door: Door):
    """The head multiplies in float32: what the very same weights say when they are stored in float32."""
    half, full = new_llama(5).bfloat16(), new_llama(5).bfloat16().float()
    states = torch.randn(7, 16, generator=torch.Generator().manual_seed(1)).bfloat16()
    logits = door(half).logits(states)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, door(full).logits(states.float()))


def test_every_verb_passes_through_the_network_as_a_whole(network: Network, packed: ResponseStream):
    """A hook on the network, as a sharded root has one, is around each verb, once."""
    calls: list[Any] = []
    network.with_critic().register_forward_pre_hook(lambda module, args: calls.append(args[0].__name__))
    hidden = network.hidden_states(packed.stream)
    verbs = [
        lambda: network.logits(hidden),
        lambda: network.total_surprise(packed.stream, packed.index, packed.tokens),
        lambda: network.logprobs(packed, temperature=1.0),
        lambda: network.read(packed, temperature=1.0),
    ]
    for number, verb in enumerate(verbs, start=2):
        verb()
        assert len(calls) == number
    cache = Cache()
    before = Prompts.of([[5, 6, 7], [8, 9]], CPU.device)
    network.hidden_states(before, before)
    cache.admit(before, [1, 1], columns=4)
    network.next_hidden_states(torch.tensor([3, 4]), torch.tensor(before.lengths), cache)
    assert len(calls) == number + 2


def test_scores_pass_through_it_too_and_are_read_in_float32(folder: str):
    """In bfloat16 the head still multiplies in float32: the score is that of the states it was read from."""
    half = scalar(folder, Placement(CPU.device, torch.bfloat16), fresh_head=True)
    head = half.pretrained.get_submodule("score")
    torch.nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(5))
    calls: list[Any] = []
    half.register_forward_pre_hook(lambda module, args: calls.append(args))
    stream = Stream.of([[5, 9, 7, 30], [8, 2]], CPU.device)
    scores, states = half.table_and_states(stream)
    assert len(calls) == 1
    with half.placement.precision():  # whoever has a precision around it gets the same
        assert torch.equal(half.table_and_states(stream)[0], scores)
    assert torch.equal(scores[:, 0], states[[3, 5]].float() @ head.weight[0].float())


def test_precision_is_the_placements(network: Network, new_llama: Callable[..., PreTrainedModel]):
    """bfloat16 only where the placement says so; whoever calls has nothing to wrap around."""
    stream = Stream.of([[5, 9, 7, 30], [8, 2]], CPU.device)
    half = Network(new_llama(1), network.codec, path="", placement=Placement(CPU.device, torch.bfloat16)).hidden_states(
        stream
    )
    exact = network.hidden_states(stream)
    assert not torch.equal(half.float(), exact)
    torch.testing.assert_close(half.float(), exact, rtol=0.1, atol=0.2)
