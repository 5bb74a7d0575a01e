"""Everything at once: stems, recomputation, adapters, critics, micro-batches and a family's rule for logits."""

from collections.abc import Callable

import pytest
import torch
import transformers
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from adapting import moved
from models.families import FAMILIES
from prefloop.models.device import Placement
from prefloop.models.network import Network
from prefloop.models.stream import ResponseStream, Stream
from prefloop.settings import Adapted, Lora
from prefloop.text.codec import Codec

CPU = Placement(torch.device("cpu"))
PROMPTS = [[5, 9, 7, 30, 2], [3, 12], [5, 9, 7, 30, 2], [8, 22, 14], [5, 9, 7, 30, 2], [3, 12]]
RESPONSES = [[11, 4], [8, 9, 9, 21, 6], [11, 33, 2, 7], [19], [26, 35, 14], [31, 1]]
CUTS = [[0, 2, 4], [1, 3, 5]]
"""Rows of each micro-batch; a prompt is a stem in both."""


@pytest.fixture
def make(codec: Codec, folder: str) -> Callable[..., Network]:
    def build(family: str, *, adapter: bool, critic: str) -> Network:
        name, sizes = FAMILIES[family]
        torch.manual_seed(3)
        model = AutoModelForCausalLM.from_config(getattr(transformers, name)(vocab_size=len(codec.tokenizer), **sizes))
        network = Network(model, codec, path=folder, placement=CPU)
        if adapter:
            network.train_as(Adapted(adapter="lora", lora=Lora(rank=4)), seed=1)
        network.with_critic(separate=critic == "separate")
        return moved(network, 2)

    return build


def gradients(network: Network, losses: list[Callable[[], Tensor]]) -> dict[str, Tensor]:
    """Of the sum of some losses, one after another, by name of what is trained."""
    network.zero_grad()
    for loss in losses:
        loss().backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def weighed(logprobs: Tensor, entropy: Tensor, values: Tensor) -> Tensor:
    return (0.5 * logprobs.square() + logprobs - 0.1 * entropy + values.square() + values).sum()


@pytest.mark.parametrize(
    ("family", "adapter", "critic"),
    [
        ("Llama", False, "shared"),
        ("Gemma 2", False, "separate"),
        ("Gemma 2", True, "separate"),
        ("Qwen3", True, "shared"),
        ("GPT-2", True, "separate"),
    ],
)
def test_gradients_are_those_of_each_response_alone(
    make: Callable[..., Network], family: str, adapter: bool, critic: str
):
    """In micro-batches of a stream with stems, layers computed again: the gradients of plain logits, one by one."""
    network = make(family, adapter=adapter, critic=critic)

    def stream(rows: list[int]) -> ResponseStream:
        return ResponseStream.of([PROMPTS[i] for i in rows], [RESPONSES[i] for i in rows], CPU.device)

    def together(rows: list[int]) -> Tensor:
        now = network.read(stream(rows), temperature=0.7, entropy="gradient")
        assert now.entropy is not None
        assert now.values is not None
        return weighed(now.logprobs, now.entropy, now.values)

    def states(i: int, trunk: Callable[..., Tensor]) -> Tensor:
        return trunk(Stream.of([[*PROMPTS[i], *RESPONSES[i]]], CPU.device))[len(PROMPTS[i]) - 1 : -1]

    def of_critic(one: Stream) -> Tensor:
        assert network.critic is not None
        with network.wearing(), network.critic.wearing():
            return network._states(network.critic.trunk or network.pretrained.base_model, one)

    def alone(i: int) -> Tensor:
        assert network.critic is not None
        logits = network.logits(states(i, network.hidden_states)) / 0.7
        everything = logits.log_softmax(-1)
        logprobs = everything.gather(1, torch.tensor(RESPONSES[i])[:, None])[:, 0]
        values = network.critic.head(states(i, of_critic if critic == "separate" else network.hidden_states))[:, 0]
        return weighed(logprobs, -(everything.exp() * everything).sum(-1), values)

    def surprise(rows: list[int]) -> Tensor:
        packed = stream(rows)
        return network.total_surprise(packed.stream, packed.index, packed.tokens)

    def surprise_alone(i: int) -> Tensor:
        said = torch.tensor(RESPONSES[i])
        return cross_entropy(network.logits(states(i, network.hidden_states)), said, reduction="sum")

    for whole, single in ((together, alone), (surprise, surprise_alone)):
        network.recompute = False
        expected = gradients(network, [lambda i=i, one=single: one(i) for i in range(6)])
        network.recompute = True
        actual = gradients(network, [lambda rows=rows, some=whole: some(rows) for rows in CUTS])
        assert set(actual) == set(expected)
        assert len(actual) > 10
        for name, gradient in expected.items():
            assert float((actual[name] - gradient).norm()) <= 1e-4 * float(gradient.norm()) + 1e-6, name
