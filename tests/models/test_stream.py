"""The stream against transformers' own forward, and the laws of packing: no leaks, no order, no difference in
gradients."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    CohereConfig,
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen3Config,
)

from prefloop.errors import UserError
from prefloop.models import attention
from prefloop.models.cache import Cache, Prompts
from prefloop.models.device import Placement
from prefloop.models.grids import grids_of
from prefloop.models.network import Network
from prefloop.models.stream import ResponseStream, Stream

CPU = Placement(torch.device("cpu"))
Door = Callable[[PreTrainedModel], Network]
SEQUENCES = [[5, 9, 7, 30, 2, 11, 4], [8], [3, 12, 33, 9, 9, 21, 6, 17, 28, 2, 14, 35], [19, 4, 26]]
SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 1,
    "initializer_range": 0.5,
}
FAMILIES: dict[str, Callable[[], PretrainedConfig]] = {
    "llama": lambda: LlamaConfig(**SIZES, num_key_value_heads=2),
    "qwen3": lambda: Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=8),
    "mistral": lambda: MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=3),
    "gpt-neox": lambda: GPTNeoXConfig(**SIZES),
    "cohere": lambda: CohereConfig(**SIZES, num_key_value_heads=2, logit_scale=0.5),
    "granite": lambda: GraniteConfig(**SIZES, num_key_value_heads=2, logits_scaling=4.0),
    "gemma2": lambda: Gemma2Config(
        **SIZES,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=3,
        attn_logit_softcapping=1.5,
        final_logit_softcapping=4.0,
        attn_implementation="eager",  # torch's kernel leaves the cap out
    ),
    "gpt2": lambda: GPT2Config(
        vocab_size=40,
        n_embd=16,
        n_layer=2,
        n_head=4,
        n_positions=64,
        initializer_range=0.5,
        bos_token_id=1,
        eos_token_id=1,
    ),
}


def made(config: PretrainedConfig) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return AutoModelForCausalLM.from_config(config).eval()


def stream_logits(network: Network, sequences: Sequence[Sequence[int]]) -> Tensor:
    return network.logits(network.hidden_states(Stream.of(sequences, CPU.device)))


def cut(flat: Tensor, sequences: Sequence[Sequence[int]]) -> list[Tensor]:
    return list(flat.split([len(s) for s in sequences]))


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_transformers(family: str, door: Door):
    """One packed row gives what each sequence gives by itself."""
    model = made(FAMILIES[family]())
    with torch.no_grad():
        expected = torch.cat([model(torch.tensor([s])).logits[0] for s in SEQUENCES])
        actual = stream_logits(door(model), SEQUENCES)
    assert expected.std() > 0.5  # far from a model that says nothing
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_cached_logits_are_those_of_transformers(family: str, door: Door):
    """A prompt read once, then a token at a time for two copies: as if each had been read from the start."""
    model = made(FAMILIES[family]())
    more = [[7, 15, 22, 9, 31], [13, 2, 2, 18, 5]]
    with torch.no_grad():
        texts = [[*s, *m] for s in SEQUENCES for m in more]
        expected = [model(torch.tensor([t])).logits[0, -6:-1] for t in texts]  # the states that predict each of `more`
        network, stream, cache = door(model), Prompts.of(SEQUENCES, CPU.device), Cache()
        lengths = torch.tensor(stream.lengths)
        actual = [
            network.logits(network.hidden_states(stream, stream)[stream.starts + lengths - 1]).repeat_interleave(2, 0)
        ]
        cache.admit(stream, [2] * len(SEQUENCES), columns=max(stream.lengths) + 4)
        for t in range(4):
            new = torch.tensor([m[t] for _ in SEQUENCES for m in more])
            actual.append(network.logits(network.next_hidden_states(new, lengths.repeat_interleave(2) + t, cache)))
            cache.advance()
    torch.testing.assert_close(torch.stack(actual, 1), torch.stack(expected), rtol=1e-4, atol=2e-5)


def test_what_cannot_be_streamed_is_refused(door: Door):
    """ALiBi has no attention to replace."""
    with pytest.raises(UserError, match="attention"):
        door(made(BloomConfig(vocab_size=40, hidden_size=16, n_layer=1, n_head=4)))


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_no_leak_between_sequences(family: str, door: Door):
    """Another third sequence of the same length leaves the others the same to the last bit."""
    network = door(made(FAMILIES[family]()))
    other = [SEQUENCES[0], SEQUENCES[1], [37] * 12, SEQUENCES[3]]
    with torch.no_grad():
        before, after = (cut(stream_logits(network, s), SEQUENCES) for s in (SEQUENCES, other))
    assert all(torch.equal(before[i], after[i]) for i in (0, 1, 3))
    assert not torch.equal(before[2], after[2])


def test_the_future_is_not_seen(network: Network):
    """Changing token t changes no logits before t, and does change those at t."""
    first = [5, 9, 7, 30, 2, 11, 4, 8]
    with torch.no_grad():
        before = stream_logits(network, [first, SEQUENCES[2]])
        for t in range(1, len(first)):
            changed = [*first]
            changed[t] = 37
            after = stream_logits(network, [changed, SEQUENCES[2]])
            assert torch.equal(before[:t], after[:t])
            assert not torch.equal(before[t], after[t])


def test_order_does_not_matter(network: Network):
    turned = SEQUENCES[::-1]
    with torch.no_grad():
        straight = cut(stream_logits(network, SEQUENCES), SEQUENCES)
        reverse = cut(stream_logits(network, turned), turned)[::-1]
    for a, b in zip(straight, reverse, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-6)


def gradients(model: torch.nn.Module, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters())))


def test_gradient_is_that_of_transformers(network: Network, plain: PreTrainedModel):
    """The packed loss has the gradient of the same loss summed sequence by sequence, with transformers' attention."""
    loss = torch.tensor(0.0)
    for s in SEQUENCES:
        if len(s) > 1:
            loss = loss + cross_entropy(plain(torch.tensor([s])).logits[0, :-1], torch.tensor(s[1:]), reduction="sum")
    expected = gradients(plain, loss)
    stream = Stream.of(SEQUENCES, CPU.device)
    after = stream.positions.nonzero()[:, 0]
    packed = cross_entropy(stream_logits(network, SEQUENCES)[after - 1], stream.tokens[after], reduction="sum")
    for a, b in zip(gradients(network.pretrained, packed), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_gradient_of_parts_adds_up(network: Network):
    """Two micro-batches, each divided by the tokens of both, have the gradient of the whole."""

    def loss(sequences: Sequence[Sequence[int]]) -> Tensor:
        targets = torch.tensor([t for s in sequences for t in s])
        return cross_entropy(stream_logits(network, sequences), targets, reduction="sum") / sum(map(len, SEQUENCES))

    whole = gradients(network.pretrained, loss(SEQUENCES))
    parts = [gradients(network.pretrained, loss(s)) for s in (SEQUENCES[:2], SEQUENCES[2:])]
    for a, b, c in zip(whole, *parts, strict=True):
        torch.testing.assert_close(a, b + c, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("branches", [False, True])
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("kept", [512, 0])
def test_attention_written_out_is_sdpa(kept: int, window: int | None, branches: bool, monkeypatch: pytest.MonkeyPatch):
    """In bfloat16 on a CPU attention is written out, in blocks; what it computes and its gradients are float32 SDPA's,
    within bfloat16, whether its shares are kept for the backward pass or computed again."""
    monkeypatch.setattr(attention, "SHORT", kept)
    monkeypatch.setattr(attention, "BLOCK", 3)
    stems = [-1, 0, 0, -1] if branches else []
    stream, generator = Stream.of(SEQUENCES, CPU.device, stems=stems), torch.Generator().manual_seed(1)
    total = sum(stream.lengths)
    given = [torch.randn(1, heads, total, 8, generator=generator) for heads in (4, 2, 2)]
    by = torch.randn(1, total, 4, 8, generator=generator)

    def computed(dtype: torch.dtype) -> list[Tensor]:
        parts = [x.to(dtype).requires_grad_() for x in given]
        out = stream.attend(*parts, scale=0.3, window=window)
        assert out.dtype == dtype
        return [out, *torch.autograd.grad(out, parts, by.to(dtype))]

    for actual, exact in zip(computed(torch.bfloat16), computed(torch.float32), strict=True):
        torch.testing.assert_close(actual.float(), exact, rtol=0.03, atol=0.03)


def test_a_few_rows_are_not_filled_up():
    """Long sequences come two or three at once: six empty rows beside them would be most of the attention."""
    parts = grids_of([0, 17, 57], [17, 40, 9], [-1, -1, -1], CPU.device).parts
    assert [grid.shape for grid in parts] == [(3, 48, 48)]


def test_places_by_hand():
    """lengths 3 and 2: a b c d e."""
    stream = Stream.of([[1, 2, 3], [4, 5]], CPU.device)
    assert stream.positions.tolist() == [0, 1, 2, 0, 1]
    assert stream.starts.tolist() == [0, 3]
    assert stream.ends.tolist() == [2, 4]


def test_response_stream_by_hand():
    """[p q | a b END] and [r | c END]: the state at q predicts a, at a predicts b, at b predicts END; at r c, at c
    END."""
    packed = ResponseStream.of([[1, 2], [3]], [[4, 5, 9], [6, 9]], CPU.device)
    assert packed.stream.tokens.tolist() == [1, 2, 4, 5, 9, 3, 6, 9]
    assert packed.index.tolist() == [1, 2, 3, 5, 6]
    assert packed.tokens.tolist() == [4, 5, 9, 6, 9]
    assert packed.stream.tokens[packed.index + 1].tolist() == packed.tokens.tolist()
    assert packed.mask.tolist() == [[True, True, True], [True, True, False]]
    assert packed.grid(torch.arange(5.0) + 1).tolist() == [[1, 2, 3], [4, 5, 0]]


@pytest.mark.parametrize("sequences", [[], [[1], []]])
def test_nothing_is_not_a_sequence(sequences: list[list[int]]):
    with pytest.raises(ValueError, match="at least one"):
        Stream.of(sequences, CPU.device)
