"""Layers that are computed again in the backward pass: the same numbers and gradients, and less kept in between."""

from collections.abc import Callable

import pytest
import torch
import transformers
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoModelForCausalLM

from adapting import moved
from models.families import FAMILIES
from prefloop.models import machine
from prefloop.models.device import Placement
from prefloop.models.network import Network
from prefloop.models.recompute import layers_of
from prefloop.models.stream import ResponseStream
from prefloop.settings import Adapted, Lora
from prefloop.text.codec import Codec

CPU, HALF = Placement(torch.device("cpu")), Placement(torch.device("cpu"), torch.bfloat16)
PACKED = ResponseStream.of([[5, 9, 7], [8]], [[30, 2, 11, 1], [12, 1]], CPU.device)
Setting = Callable[..., Network]


@pytest.fixture
def make(codec: Codec, folder: str) -> Setting:
    """A tiny model of a family, with or without an adapter, with a critic or two of its roles on one base."""

    def build(family: str, placement: Placement, *, adapter: bool, critic: str | None) -> Network:
        name, sizes = FAMILIES[family]
        torch.manual_seed(3)
        model = AutoModelForCausalLM.from_config(getattr(transformers, name)(vocab_size=len(codec.tokenizer), **sizes))
        network = Network(model, codec, path=folder, placement=placement)
        if adapter:
            network.train_as(Adapted(adapter="lora", lora=Lora(rank=4)), seed=1)
        if critic:
            network.with_critic(separate=critic == "separate")
        return moved(network, 2)

    return build


def learned(network: Network) -> tuple[Tensor, list[Tensor | None], int]:
    """Logprobs, gradients of all that is trained, and how many numbers were kept for them."""
    network.zero_grad()
    kept = 0

    def keep(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel() if tensor.grad_fn is not None else 0
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        now = network.read(PACKED, temperature=0.7, entropy="gradient")
    assert now.entropy is not None
    loss = now.logprobs.sum() + 0.1 * now.entropy.sum()
    if now.values is not None:
        loss = loss + now.values.square().sum()
    with torch.no_grad():  # another role reads in between
        network.frozen_copy().logprobs(PACKED, temperature=0.7)
    loss.backward()
    return now.logprobs.detach(), [p.grad for p in network.parameters() if p.requires_grad], kept


@pytest.mark.parametrize(
    ("family", "placement", "adapter", "critic"),
    [
        ("Llama", CPU, False, "shared"),
        ("Llama", HALF, False, "separate"),
        ("Llama", HALF, True, "separate"),
        ("Qwen3", CPU, True, "shared"),
        ("GPT-2", CPU, False, None),
        ("GPT-2", HALF, True, None),
        ("Gemma 2", HALF, False, None),
        ("Gemma 2", CPU, True, "separate"),
        ("Mixtral", CPU, False, None),
        ("Mixtral", HALF, True, "shared"),
    ],
)
def test_the_same_to_the_bit(make: Setting, family: str, placement: Placement, adapter: bool, critic: str | None):
    network = make(family, placement, adapter=adapter, critic=critic)
    logprobs, gradients, kept = learned(network)
    network.recompute = True
    again, gradients_again, kept_again = learned(network)
    assert torch.equal(logprobs, again)
    assert kept_again < kept / 3
    for one, other in zip(gradients, gradients_again, strict=True):
        assert (one is None) == (other is None)
        assert one is None or other is None or torch.equal(one, other)
    assert any(gradient is not None and gradient.any() for gradient in gradients)


def test_layers_are_themselves_again_and_nothing_is_wrapped_in_reading(make: Setting):
    """After a reading, and without gradients at all times, a layer's forward is its class's."""
    network = make("Llama", CPU, adapter=False, critic=None)
    network.recompute = True
    layers = layers_of(network.pretrained.base_model)
    assert len(layers) == 2
    seen: list[bool] = []
    layers[0].register_forward_pre_hook(lambda layer, args: seen.append("forward" in vars(layer)))
    network.logprobs(PACKED, temperature=1.0)
    with torch.no_grad():
        network.logprobs(PACKED, temperature=1.0)
    assert seen == [True, False]
    assert not any("forward" in vars(layer) for layer in layers)


def test_holes_are_closed_before_each_layer_each_time_it_is_computed(make: Setting, monkeypatch: pytest.MonkeyPatch):
    network, closed = make("Llama", CPU, adapter=False, critic=None), list[torch.device]()
    monkeypatch.setattr(machine.Heap, "close", lambda heap, device: closed.append(device))
    network.logprobs(PACKED, temperature=1.0).sum().backward()
    assert closed == [CPU.device]  # before the reading
    network.recompute = True
    network.logprobs(PACKED, temperature=1.0).sum().backward()
    assert closed == [CPU.device] * (1 + 1 + 2 * 2)  # and two layers, forward and again
