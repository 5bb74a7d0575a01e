"""Frozen weights held small: what must not change does not, to the bit; what changes is bounded, and told."""

import copy

import pytest
import torch
from torch import nn

from prefloop.errors import UserError
from prefloop.models.decoding import Quick
from prefloop.models.device import Placement
from prefloop.models.load import causal, scalar
from prefloop.models.network import Network
from prefloop.models.quantised import LEVELS, NF4, Held, Int8, frozen_form, hold, trained_form
from prefloop.models.stream import ResponseStream, Stream
from prefloop.sampling.in_process import InProcess
from prefloop.settings import Adapted, Lora, SamplingConfig

CPU = Placement(torch.device("cpu"))
HALF = Placement(torch.device("cpu"), torch.bfloat16)
STREAM = Stream.of([[5, 9, 7, 30], [8, 2, 41]], CPU.device)


def layer(outputs: int, inputs: int, *, bias: bool = True) -> nn.Linear:
    made = nn.Linear(inputs, outputs, bias=bias)
    with torch.no_grad():
        made.weight.copy_(torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(3)))
    return made


def test_under_bfloat16_products_no_number_changes(network: Network):
    """Hidden states, logits, scores' trunk and gradients of what stays whole: equal to the bit."""
    network.placement = HALF
    held = copy.deepcopy(network)
    hold(held.pretrained.base_model, "bfloat16")
    for one in (network, held):
        one.logits(one.hidden_states(STREAM)).square().sum().backward()
    assert torch.equal(held.hidden_states(STREAM), network.hidden_states(STREAM))
    assert held.hidden_states(STREAM).dtype == network.hidden_states(STREAM).dtype
    for name in ("model.embed_tokens.weight", "model.layers.0.input_layernorm.weight"):
        assert torch.equal(held.pretrained.get_parameter(name).grad, network.pretrained.get_parameter(name).grad)
    kinds = {type(module) for module in held.pretrained.base_model.modules() if isinstance(module, nn.Linear)}
    assert kinds == {Held}
    assert type(held.pretrained.get_output_embeddings()) is nn.Linear


@pytest.mark.parametrize("kind", [Held, Int8, NF4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_is_that_of_the_whole_matrix(kind: type[Held], dtype: torch.dtype):
    """Forward and backward, against a plain layer whose matrix is what the held one stands for."""
    plain = layer(24, 37)
    held = kind(plain)
    identity = torch.eye(37)
    stands_for = held.scaled(identity @ held.whole(torch.float32).T).T
    with torch.no_grad():
        plain.weight.copy_(stands_for)
    x = torch.randn(2, 5, 37, generator=torch.Generator().manual_seed(4))
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    for read, at in ((held, ours), (plain, theirs)):
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            read(at).float().square().sum().backward()
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        assert held(x).dtype == plain(x).dtype
        close = 1e-2 if dtype == torch.bfloat16 else 1e-5
        assert (held(x) - plain(x)).abs().max() <= close * plain(x).abs().max()
    assert (ours.grad - theirs.grad).abs().max() <= close * theirs.grad.abs().max()


@pytest.mark.parametrize(("kind", "bytes_each"), [(Held, 2), (Int8, 1 + 4 / 640), (NF4, 0.5 + 4 / 64)])
def test_bytes(kind: type[Held], bytes_each: float):
    held = kind(layer(64, 640, bias=False))
    total = sum(t.numel() * t.element_size() for t in held.state_dict().values())
    assert total == bytes_each * 64 * 640


def test_int8_is_off_by_half_a_step_at_most():
    weight = layer(8, 100).weight.detach()
    held = Int8(layer(8, 100))
    assert ((held.whole(torch.float32) * held.scale[:, None] - weight).abs() <= held.scale[:, None] * 0.5001).all()
    assert held.whole(torch.float32).abs().amax(1).tolist() == [127] * 8
    zero = nn.Linear(4, 2)
    nn.init.zeros_(zero.weight)
    assert Int8(zero)(torch.ones(1, 4)).tolist() == [zero.bias.tolist()]


def test_nf4_by_hand():
    """A block of 64 whose largest number is 2: each number is the nearest of 2 * LEVELS; 7 numbers are filled up."""
    plain = nn.Linear(7, 1, bias=False)
    with torch.no_grad():
        plain.weight.copy_(torch.tensor([[2.0, -2.0, 0.0, 0.1, -1.0, 0.9, 0.155]]))
    expected = [2 * LEVELS[i] for i in (15, 0, 7, 8, 2, 12, 8)]
    assert NF4(plain).whole(torch.float32)[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("form", ["bfloat16", "int8", "nf4"])
def test_any_form_says_what_it_changes(form: str, folder: str):
    network = causal(folder, CPU)
    said = " ".join(network.hold(form))
    packed = ResponseStream.of([[5, 9], [8]], [[7, 30], [2, 41, 6]], CPU.device)
    whole, held = (one.logprobs(packed, temperature=1.0) for one in (causal(folder, CPU), network))
    assert 0 < (whole - held).abs().mean() < {"bfloat16": 0.05, "int8": 0.1, "nf4": 1.5}[form]
    assert not any(p.requires_grad for m in network.modules() if isinstance(m, Held) for p in [m.weight])
    assert ("nats on average" in said and f"weights={form} change the logprobs of" in said) == (form != "bfloat16")


def test_in_any_form_it_has_as_many_weights(folder: str):
    """By which settings are chosen; adapters on it are not counted."""
    numbers = set[int]()
    for form in ("float32", "bfloat16", "int8", "nf4"):
        network = causal(folder, CPU)
        network.train_as(Adapted(adapter="lora", weights=form), seed=0)
        numbers.add(network.learner.num_weights)
    assert numbers == {causal(folder, CPU).pretrained.num_parameters()}


def test_where_nothing_can_be_held_it_is_said(bases: dict[str, str]):
    """GPT-2 has its matrices the other way round."""
    (said,) = causal(bases["GPT-2"], CPU).hold("int8")
    assert said == "weights=int8 holds nothing in fewer bytes here: no layer of this model is a plain matrix."


def test_scores_tell_their_change_too(folder: str):
    reward = scalar(folder, CPU, fresh_head=True)
    assert copy.deepcopy(reward).hold("int8") == [
        "weights=int8 leave the scores of 3 short answers all alike, as they were."
    ]
    with torch.no_grad():
        reward.pretrained.score.weight.fill_(0.1)
    (said,) = reward.hold("int8")
    assert said.startswith("weights=int8 change the scores of 3 short answers by 0.0")
    assert said.endswith("of their standard deviation on average, with a rank correlation of 1.000.")


def test_a_low_rank_adapter_learns_through_it():
    """The gradient that reaches what is before a held layer is that of its own matrix."""
    held, before = Int8(layer(6, 5)), nn.Linear(4, 5)
    held(before(torch.ones(3, 4))).sum().backward()
    expected = held.scaled(torch.ones(3, 6)) @ held.whole(torch.float32)
    torch.testing.assert_close(before.bias.grad, expected.sum(0))
    assert held.weight.grad is None
    assert held.bias.grad is not None


@pytest.mark.parametrize(
    ("weights", "place", "dora", "form"),
    [
        ("auto", HALF, False, "bfloat16"),
        ("auto", CPU, False, "float32"),
        ("int8", CPU, False, "int8"),
        ("auto", HALF, True, "float32"),
    ],
)
def test_what_is_frozen_is_held_as_products_are(weights: str, place: Placement, dora: bool, form: str):
    assert frozen_form(weights, place, dora=dora) == form


def test_what_cannot_be_held_so_is_a_sentence():
    assert [trained_form(w, HALF) for w in ("auto", "float32", "bfloat16")] == ["float32", "float32", "bfloat16"]
    with pytest.raises(UserError, match=r"weights=int8: all weights are trained here.*or adapter=lora\."):
        trained_form("int8", HALF)
    with pytest.raises(UserError, match=r"weights=bfloat16: .* Set dtype=bfloat16, or weights=float32\."):
        trained_form("bfloat16", CPU)
    with pytest.raises(UserError, match=r"weights=nf4: DoRA .* Set lora.dora=false"):
        frozen_form("nf4", CPU, dora=True)


@pytest.mark.parametrize(("weights", "quick"), [("bfloat16", True), ("int8", False)])
@pytest.mark.parametrize("adapter", [True, False])
def test_what_is_sampled_is_what_is_read(weights: str, quick: bool, adapter: bool, network: Network):
    """The quick way to decode knows what its matrices stand for, or is not taken; also beside an adapter that says
    something."""
    if adapter:
        network.train_as(Adapted(adapter="lora", lora=Lora(rank=2), weights=weights), seed=1)
        for weight in network.role.tensors.values():
            weight.data = torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)) / 4
    else:
        network.hold(weights)
    assert (Quick.of(network) is not None) == quick
    (drawn,) = InProcess(network).sample([[5, 9, 7]], SamplingConfig(max_new_tokens=8), 3)
    packed = ResponseStream.of([[5, 9, 7]], [list(drawn.tokens)], CPU.device)
    with torch.no_grad():
        read = network.logprobs(packed, temperature=1.0)
    torch.testing.assert_close(torch.as_tensor(drawn.logprobs), read, atol=1e-4, rtol=0)


def test_adapters_and_matrices_used_twice_stay(network: Network):
    """Held again, as a reward model that shares the base does, nothing changes."""
    network.train_as(Adapted(adapter="lora", lora=Lora(rank=2), weights="int8"), seed=1)
    before = network.logits(network.hidden_states(STREAM))
    network.hold("int8")
    assert torch.equal(network.logits(network.hidden_states(STREAM)), before)
    assert all(weight.requires_grad and weight.dtype == torch.float32 for weight in network.role.tensors.values())
    twice = nn.Sequential(layer(4, 4), layer(4, 4), layer(4, 4))
    twice[1].weight = twice[0].weight
    hold(twice, "int8")
    assert [type(module) for module in twice] == [nn.Linear, nn.Linear, Int8]


def test_whole_training_on_an_adapter_or_in_eight_bits(network: Network):
    with pytest.raises(UserError, match=r"weights=int8: all weights are trained here \(adapter=none\)"):
        network.train_as(Adapted(adapter="none", weights="int8"), seed=1)
    network.placement = HALF
    assert network.train_as(Adapted(adapter="none", weights="bfloat16"), seed=1) == []
    kinds = {m.weight.dtype for m in network.pretrained.base_model.modules() if isinstance(m, nn.Linear)}
    assert kinds == {torch.bfloat16}
    assert network.pretrained.get_input_embeddings().weight.dtype == torch.float32
