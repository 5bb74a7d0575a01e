"""Probabilities by chunks against the plain way: all logits at once, and autograd."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from prefloop.ops import vocabulary
from prefloop.ops.logprobs import logprobs_and_entropy
from prefloop.ops.shapes import ShapeError
from prefloop.ops.vocabulary import Entropy, Head, chunks, token_readings, total_surprise

N, D, V = 77, 5, 70
CASES = list(itertools.product([None, 3.0], [False, True], [False, True]))
NAMES = [
    f"{cap and 'capped'} {'bias' if bias else ''} {'trained' if trained else 'frozen'}" for cap, bias, trained in CASES
]


@pytest.fixture(params=[1, 3], ids=["one chunk", "three chunks"])
def _parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many chunks N tokens are; the matrix is cut in two slices each time."""
    if request.param > 1:
        monkeypatch.setattr(vocabulary, "CHUNK", 32 * 4 * V)
        monkeypatch.setattr(vocabulary, "SLICE", 1)
    assert len(chunks(N, V, device=torch.device("cpu"))) == request.param


def inputs(rng: torch.Generator, *, bias: bool, trained: bool, dtype: torch.dtype = torch.float64) -> list[Any]:
    """Hidden states, matrix, bias and tokens."""
    hidden, weight = (torch.randn(shape, generator=rng, dtype=dtype) for shape in ((N, D), (V, D)))
    by = torch.randn(V, generator=rng, dtype=dtype).requires_grad_(trained) if bias else None
    return [hidden.requires_grad_(), weight.requires_grad_(trained), by, torch.randint(V, (N,), generator=rng)]


def plainly(hidden: Tensor, weight: Tensor, bias: Tensor | None, *, cap: float | None) -> Tensor:
    """(N, V) logits, all at once."""
    logits = 0.7 * linear(hidden, weight, bias)
    return cap * torch.tanh(logits / cap) if cap else logits


def asked(*tensors: Tensor | None) -> list[Tensor]:
    return [t for t in tensors if t is not None and t.requires_grad]


@pytest.mark.usefixtures("_parts")
@pytest.mark.parametrize("entropy", ["none", "value", "gradient"])
@pytest.mark.parametrize(("cap", "bias", "trained"), CASES, ids=NAMES)
def test_readings_and_gradients_are_those_of_all_logits(
    rng: torch.Generator, cap: float | None, bias: bool, trained: bool, entropy: Entropy
):
    """Every token weighs something else, in its logprob and in its entropy."""
    hidden, weight, by, tokens = inputs(rng, bias=bias, trained=trained)
    logprobs, entropies = token_readings(
        hidden, tokens, Head(weight, by, 0.7, cap, None), temperature=0.8, entropy=entropy
    )
    plain = plainly(hidden, weight, by, cap=cap)
    expected, expected_entropies = logprobs_and_entropy(plain, tokens, temperature=0.8)
    torch.testing.assert_close(logprobs, expected)
    weights = torch.randn(2, N, generator=rng, dtype=torch.float64)
    loss, plain_loss = logprobs @ weights[0], expected @ weights[0]
    if entropies is not None:
        torch.testing.assert_close(entropies, expected_entropies)
        assert entropies.requires_grad == (entropy == "gradient")
    if entropy == "gradient" and entropies is not None:
        loss, plain_loss = loss + entropies @ weights[1], plain_loss + expected_entropies @ weights[1]
    learning = asked(hidden, weight, by)
    expected_gradients = torch.autograd.grad(plain_loss, learning)
    for _ in range(2):  # a graph that is kept gives the same again
        for actual, right in zip(
            torch.autograd.grad(loss, learning, retain_graph=True), expected_gradients, strict=True
        ):
            torch.testing.assert_close(actual, right)


@pytest.mark.usefixtures("_parts")
@pytest.mark.parametrize(("cap", "bias", "trained"), CASES, ids=NAMES)
def test_the_sum_is_cross_entropy(rng: torch.Generator, cap: float | None, bias: bool, trained: bool):
    hidden, weight, by, tokens = inputs(rng, bias=bias, trained=trained)
    total = total_surprise(hidden, tokens, Head(weight, by, 0.7, cap, None))
    expected = cross_entropy(plainly(hidden, weight, by, cap=cap), tokens, reduction="sum")
    torch.testing.assert_close(total, expected)
    learning = asked(hidden, weight, by)
    actual, right = (torch.autograd.grad(loss / N, learning) for loss in (total, expected))
    for one, other in zip(actual, right, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("entropy", ["value", "gradient"])
def test_gradients_by_finite_differences(rng: torch.Generator, entropy: Entropy):
    hidden, weight, by, tokens = inputs(rng, bias=True, trained=True)
    few = hidden.detach()[:6].requires_grad_(), weight.detach()[:7].requires_grad_(), by.detach()[:7].requires_grad_()

    def read(hidden: Tensor, weight: Tensor, bias: Tensor) -> Any:
        head = Head(weight, bias, 0.7, 3.0, None)
        read = token_readings(hidden, tokens[:6] % 7, head, temperature=0.8, entropy=entropy)
        return read if entropy == "gradient" else read[0]

    torch.autograd.gradcheck(read, few)


@pytest.mark.usefixtures("_parts")
def test_a_matrix_of_half_precision_is_multiplied_in_float32(rng: torch.Generator):
    """The numbers that the same weights stored in float32 give; gradients that are multiplied low are rounded once."""
    hidden, weight, _, tokens = inputs(rng, bias=False, trained=True, dtype=torch.float32)
    half = weight.detach().bfloat16().requires_grad_()
    full = half.detach().float().requires_grad_()
    ways = [Head(full, None, 1.0, None, None), Head(half, None, 1.0, None, torch.bfloat16)]
    readings = [token_readings(hidden, tokens, head, temperature=1.0, entropy="value") for head in ways]
    for exact, other in zip(*readings, strict=True):
        assert other.dtype == torch.float32
        torch.testing.assert_close(other, exact)
    for loss in (
        lambda head: token_readings(hidden, tokens, head, temperature=1.0, entropy="none")[0].sum(),
        lambda head: total_surprise(hidden, tokens, head),
    ):
        exact, other = (torch.autograd.grad(loss(head), [hidden, head.weight]) for head in ways)
        for one, two in zip(exact, other, strict=True):
            assert float((one - two.float()).norm() / one.norm()) < 0.01
        assert other[1].dtype == torch.bfloat16


def test_nothing_of_tokens_by_vocabulary_is_made_or_kept(rng: torch.Generator, monkeypatch: pytest.MonkeyPatch):
    """No tensor, in either pass, is larger than a chunk of logits, the matrix, or the hidden states."""
    hidden, weight, _, tokens = inputs(rng, bias=False, trained=True)
    monkeypatch.setattr(vocabulary, "CHUNK", 32 * 4 * V)
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            out = function(*args, **(kwargs or {}))
            largest = max([largest, *(t.numel() for t in tree_leaves(out) if isinstance(t, Tensor))])
            return out

    with Watch():
        logprobs, entropies = token_readings(
            hidden, tokens, Head(weight, None, 1.0, None, None), temperature=1.0, entropy="gradient"
        )
        assert entropies is not None
        (logprobs + entropies).sum().backward()
        total_surprise(hidden, tokens, Head(weight, None, 1.0, None, None)).backward()
    assert largest <= 32 * V < N * V


def test_read_twice_it_is_the_same_number_with_and_without_gradient(rng: torch.Generator):
    hidden, weight, _, tokens = inputs(rng, bias=False, trained=True, dtype=torch.float32)
    head = Head(weight, None, 1.0, None, torch.bfloat16)
    now = [token_readings(hidden, tokens, head, temperature=0.7, entropy=e)[0] for e in ("value", "gradient", "none")]
    with torch.no_grad():
        before = token_readings(hidden, tokens, head, temperature=0.7, entropy="none")[0]
    frozen = Head(weight.detach(), None, 1.0, None, torch.bfloat16)
    now.append(token_readings(hidden, tokens, frozen, temperature=0.7, entropy="none")[0])
    assert all(torch.equal(before, each) for each in now)


def test_refusals(rng: torch.Generator):
    hidden, weight, _, tokens = inputs(rng, bias=False, trained=True)
    head = Head(weight, None, 1.0, None, None)
    with pytest.raises(ShapeError, match=r"expected \(77,\), got tokens \(5,\)"):
        total_surprise(hidden, tokens[:5], head)
    with pytest.raises(ValueError, match="temperature must be above 0"):
        token_readings(hidden, tokens, head, temperature=0.0, entropy="none")
    total = total_surprise(hidden, tokens, head)
    total.backward()
    with pytest.raises(RuntimeError, match="second time"):
        total.backward()
