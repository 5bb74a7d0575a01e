"""Several responses behind one prompt that is read once: everything as if each had been read by itself."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from prefloop.models.grids import ROWS, grids_of
from prefloop.models.network import Network
from prefloop.models.stream import ResponseStream, Shared, Stream, _families

from .test_stream import CPU, FAMILIES, made

Door = Callable[[PreTrainedModel], Network]
PROMPTS = [[5, 9, 7, 30, 2], [3, 12], [5, 9, 7, 30, 2], [8, 22, 14], [3, 12], [5, 9, 7, 30, 2]]
RESPONSES = [[11, 4], [8, 9, 9, 21, 6, 17, 28], [11, 33, 2, 7], [19], [26, 35, 14], [31]]


def apart(network: Network, prompt: list[int], response: list[int]) -> Tensor:
    """Hidden states that predict a response, of its own sequence read alone."""
    return network.hidden_states(Stream.of([[*prompt, *response]], CPU.device))[len(prompt) - 1 : -1]


@pytest.mark.parametrize("family", ["llama", "qwen3", "mistral", "gemma2", "gpt2"])
def test_a_prompt_read_once_is_a_prompt_read_for_each_response(family: str, door: Door):
    """States and gradients; windows reach from a response into its prompt, and positions count on."""
    network = door(made(FAMILIES[family]()))
    packed = ResponseStream.of(PROMPTS, RESPONSES, CPU.device)
    assert len(packed.stream.tokens) == 5 + 2 + 3 + sum(map(len, RESPONSES))
    assert packed.tokens.tolist() == [token for response in RESPONSES for token in response]
    weights = torch.randn(len(packed.tokens), generator=torch.Generator().manual_seed(1))[:, None]
    shared = network.hidden_states(packed.stream)[packed.index]
    single = torch.cat([apart(network, p, r) for p, r in zip(PROMPTS, RESPONSES, strict=True)])
    torch.testing.assert_close(shared, single, rtol=1e-5, atol=1e-5)
    trunk = list(network.pretrained.base_model.parameters())
    both = [torch.autograd.grad((states.tanh() * weights).sum(), trunk) for states in (shared, single)]
    for a, b in zip(*both, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max() + 1))


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_a_response_sees_no_other(family: str, door: Door):
    """Other words in one response of a prompt leave the rest the same to the last bit."""
    network = door(made(FAMILIES[family]()))
    other = [*RESPONSES[:2], [37, 36, 35, 34], *RESPONSES[3:]]
    with torch.no_grad():
        states = []
        for responses in (RESPONSES, other):
            packed = ResponseStream.of(PROMPTS, responses, CPU.device)
            states.append(network.hidden_states(packed.stream)[packed.index].split([len(r) for r in responses]))
    assert all(torch.equal(states[0][i], states[1][i]) for i in (0, 1, 3, 4, 5))
    assert torch.equal(states[0][2][0], states[1][2][0])  # the prompt's last state predicts the first word
    assert not torch.equal(states[0][2][1], states[1][2][1])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("window", [None, 4])
def test_attention_of_branches_is_that_of_whole_sequences(dtype: str, window: int | None):
    """On random queries and keys, of stems and branches of all lengths, with fewer heads of keys than of queries."""
    exact = torch.float32 if dtype == "float32" else torch.bfloat16
    parts = [[1] * 5, [2] * 3, [3] * 140, [4], [5] * 9, [6] * 20, [7] * 2]
    stems = [-1, 0, 0, -1, -1, 4, 4]
    stream, generator = Stream.of(parts, CPU.device, stems=stems), torch.Generator().manual_seed(1)
    q, k, v = (
        torch.randn(1, heads, len(stream.tokens), 8, generator=generator).to(exact).requires_grad_()
        for heads in (6, 2, 2)
    )
    out = stream.attend(q, k, v, scale=0.3, window=window)
    whole = torch.zeros_like(out, dtype=torch.float32)
    places = torch.arange(len(stream.tokens)).split(list(stream.lengths))
    for own, stem in zip(places, stems, strict=True):
        seen = own if stem < 0 else torch.cat([places[stem], own])
        met = torch.einsum("hqd,hkd->hqk", q[0, :, own].float(), k[0, :, seen].float().repeat_interleave(3, 0)) * 0.3
        ago = torch.arange(len(seen))[-len(own) :, None] - torch.arange(len(seen))
        hidden = (ago < 0) | (ago >= (window or 10**6))
        mixed = met.masked_fill(hidden, -torch.inf).softmax(-1) @ v[0, :, seen].float().repeat_interleave(3, 0)
        whole[0, own] = mixed.transpose(0, 1)
    rtol, atol = (1e-5, 1e-5) if dtype == "float32" else (0.02, 0.03)
    torch.testing.assert_close(out.float(), whole, rtol=rtol, atol=atol)
    ours, theirs = (torch.autograd.grad(x.float().square().sum(), (q, k, v)) for x in (out, whole))
    for a, b in zip(ours, theirs, strict=True):
        assert float((a.float() - b.float()).norm()) <= (1e-5 if dtype == "float32" else 0.02) * float(b.float().norm())


def test_scores_are_those_of_sequences_by_themselves(door: Door):
    """With a scalar head; in any order, with and without anything in common, one being the beginning of another."""
    network = door(made(FAMILIES["llama"]()))
    network.pretrained.add_module("score", torch.nn.Linear(16, 1, bias=False))
    prompt = list(range(2, 14))
    sequences = [[*prompt, 20, 21], [30, 31, 32], [*prompt, 20], [*prompt, 25, 26, 27, 28], [*prompt[:9], 7, 7], [4]]
    assert len(Shared.of(sequences, CPU.device).stream.tokens) < sum(map(len, sequences)) - 20
    together = network.scores(sequences)
    alone = torch.cat([network.scores([sequence]) for sequence in sequences])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("sequences", "families"),
    [
        ([[1]], [([0], 0)]),
        ([[9] * 12 + [1], [8] * 12, [9] * 12 + [2, 3]], [([1], 0), ([0, 2], 12)]),
        ([[9] * 7 + [1], [9] * 7 + [2]], [([0], 0), ([1], 0)]),  # too little to be worth it
        ([[9] * 20, [9] * 12], [([1, 0], 11)]),  # each keeps a token of its own
        (  # all begin with the same ten, and two pairs share twenty more: 2 x 30 are more than 3 x 10
            [[9] * 10 + [a] * 20 + [b] for a in (1, 2) for b in (3, 4)],
            [([0, 1], 30), ([2, 3], 30)],
        ),
    ],
)
def test_what_is_shared_by_hand(sequences: list[list[int]], families: list[tuple[list[int], int]]):
    assert _families(sequences) == families


def test_sequences_as_long_as_each_other_share_a_grid():
    """Every token is a query once, at its own place; rows of a grid differ little in length."""
    lengths = [3 * i + 1 for i in range(40)]
    starts = [sum(lengths[:i]) for i in range(40)]
    grids = grids_of(starts, lengths, [-1] * 40, CPU.device)
    assert grids.back is not None
    queries = torch.cat([grid.queries for grid in grids.parts if grid.queries is not None])
    assert queries[grids.back].tolist() == list(range(sum(lengths)))
    assert 2 <= len(grids.parts) <= 8
    assert all(grid.shape[0] % ROWS == 0 for grid in grids.parts)
    assert sum(grid.shape[0] * grid.shape[1] for grid in grids.parts) < 1.35 * sum(lengths)
    assert 40 * max(lengths) > 1.9 * sum(lengths)
