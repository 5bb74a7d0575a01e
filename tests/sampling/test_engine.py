"""The engine's laws: transformers' tokens and logprobs whatever the family, bounded memory, and nothing that depends on
who else is in the batch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from transformers import MistralConfig, PreTrainedModel, Qwen2Config
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from models.test_stream import FAMILIES, SIZES, made
from prefloop.errors import UserError
from prefloop.models.decoding import Quick
from prefloop.models.network import Network
from prefloop.models.stream import ResponseStream
from prefloop.sampling import batch as engine
from prefloop.sampling.batch import Batch, Request
from prefloop.sampling.choosing import next_tokens
from prefloop.sampling.in_process import InProcess
from prefloop.sampling.protocol import Sampled
from prefloop.sampling.room import Room, token_bytes
from prefloop.settings import SamplingConfig

Door = Callable[[PreTrainedModel], Network]
MANY: dict[str, Callable[[], Any]] = {
    **FAMILIES,
    "qwen2, one layer of two with a window": lambda: Qwen2Config(
        **SIZES, num_key_value_heads=2, use_sliding_window=True, sliding_window=4, max_window_layers=1
    ),
    "mistral without a window": lambda: MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=None),
}
PROMPTS = [[5, 9, 7, 30, 2, 11, 4], [8], [3, 12, 33, 9, 9, 21, 6, 17, 28, 2, 14, 35], [19, 4, 26]]


def sampled(network: Network, prompts: Sequence[Sequence[int]], *, copies: int = 1, **settings: Any) -> list[Sampled]:
    return InProcess(network).sample(prompts, SamplingConfig(**{"max_new_tokens": 14, **settings}), 5, copies=copies)


def alone(model: PreTrainedModel, prompt: list[int], **settings: Any) -> list[int]:
    """What transformers writes, greedily."""
    model.generation_config.eos_token_id = None
    ids = torch.tensor([prompt])
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=14, do_sample=False, pad_token_id=0, **settings
    )
    return out[0, len(prompt) :].tolist()


@pytest.mark.parametrize("family", MANY)
@pytest.mark.parametrize("copies", [1, 3])
def test_greedy_is_transformers_generate_for_every_family(family: str, copies: int, door: Door):
    """Windows of 3 and 4 tokens, caps, learned places, tied heads; with a penalty for what was said, too."""
    model = made(MANY[family]())
    penalised = [alone(model, prompt, repetition_penalty=1.7) for prompt in PROMPTS]
    expected = [alone(model, prompt) for prompt in PROMPTS]
    assert penalised != expected
    network = door(model)
    network.codec = replace(network.codec, stop_ids=())
    for penalty, tokens in ((1.0, expected), (1.7, penalised)):
        actual = sampled(network, PROMPTS, copies=copies, temperature=0, repetition_penalty=penalty)
        assert [list(a.tokens) for a in actual] == [t for t in tokens for _ in range(copies)]


@pytest.mark.parametrize("family", ["llama", "qwen3", "mistral", "gpt2", "gemma2"])
@pytest.mark.parametrize(
    "settings", [{}, {"temperature": 0.7, "top_p": 0.8}, {"temperature": 0.0}, {"repetition_penalty": 1.5, "top_k": 9}]
)
def test_logprobs_are_those_that_training_reads(family: str, settings: dict[str, Any], door: Door):
    """Teacher forcing gives the same to 1e-4, uncut and without penalty, at the sampling temperature."""
    network = door(made(MANY[family]()))
    network.codec = replace(network.codec, stop_ids=(36, 37))
    responses = sampled(network, PROMPTS, copies=2, **settings)
    assert all(len(r.logprobs) == len(r.tokens) for r in responses)
    packed = ResponseStream.of([p for p in PROMPTS for _ in range(2)], [r.tokens for r in responses], network.device)
    with torch.no_grad():
        expected = network.logprobs(packed, temperature=settings.get("temperature", 1.0) or 1.0)
    actual = torch.tensor([logprob for r in responses for logprob in r.logprobs])
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-4)


CUTS: list[dict[str, Any]] = [
    {"top_k": 5},
    {"top_p": 0.7},
    {"top_p": 0.999},
    {"min_p": 0.1},
    {"temperature": 0.6, "top_k": 40, "top_p": 0.8, "min_p": 0.02},
    {"temperature": 1.4, "repetition_penalty": 1.3, "top_p": 0.5},
    {"repetition_penalty": 0.8, "min_p": 0.3, "top_k": 200},
]


@pytest.mark.parametrize("settings", CUTS)
def test_cuts_are_those_of_transformers(settings: dict[str, Any]):
    """A fine grid of uniforms gives every token the share that transformers' processors leave it."""
    logits = 3 * torch.randn(4, 300, generator=torch.Generator().manual_seed(1))
    logits[2] /= 30  # so flat that no few tokens hold the nucleus
    ids = torch.randint(0, 300, (4, 20), generator=torch.Generator().manual_seed(2))
    sampling = SamplingConfig(**settings)
    processors = LogitsProcessorList()
    if sampling.repetition_penalty != 1:
        processors.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    processors.append(TemperatureLogitsWarper(float(sampling.temperature)))
    if sampling.top_k:
        processors.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        processors.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        processors.append(MinPLogitsWarper(sampling.min_p))
    expected = processors(ids, logits.clone()).softmax(-1)
    said = torch.zeros(4, 300, dtype=torch.bool).scatter_(1, ids, True)
    draws = (torch.arange(5_000) + 0.5) / 5_000
    for row in range(4):
        one = slice(row, row + 1)
        tokens, _ = next_tokens(logits[one].expand(5_000, -1), draws, sampling, said=said[one])
        shares = torch.bincount(tokens, minlength=300) / 5_000
        torch.testing.assert_close(shares, expected[row], rtol=0, atol=2 / 5_000)


@pytest.mark.parametrize("copies", [1, 3])
def test_many_prompts_run_in_the_memory_of_a_few(copies: int, network: Network, monkeypatch: pytest.MonkeyPatch):
    """The cache never holds more than the tokens it may, and every response is what it is alone."""
    largest = 0
    admit = Batch.admit

    def watched(self: Batch, requests: Sequence[Request]) -> None:
        nonlocal largest
        admit(self, requests)
        largest = max(largest, self._cache.num_bytes)

    monkeypatch.setattr(Batch, "admit", watched)
    network.codec = replace(network.codec, stop_ids=tuple(range(100, 140)))
    long = [5, 9, 7] * 15  # a batch that had one must not stay as wide and then become as tall as short ones allow
    prompts = [long if i % 7 == 0 else PROMPTS[i % 4] for i in range(300)]
    bounded = sampled(network, prompts, copies=copies, cache_tokens=260)
    assert largest <= 260 * token_bytes(network)
    monkeypatch.setattr("prefloop.sampling.room.ROWS", {"cpu": 300})
    assert sampled(network, prompts, copies=copies) == bounded
    assert len({len(r.tokens) for r in bounded}) > 10


@pytest.mark.parametrize("copies", [1, 5])
def test_places_are_taken_by_whoever_waits(copies: int, network: Network, monkeypatch: pytest.MonkeyPatch):
    """Twelve places for forty prompts: no response is lost or swapped, and as many steps as the fullest use needs."""
    steps = []
    step = Batch.step
    monkeypatch.setattr(Batch, "step", lambda self, *args: (steps.append(len(self)), step(self, *args))[1])
    network.codec = replace(network.codec, stop_ids=tuple(range(100, 140)))
    prompts = [PROMPTS[i % 4] for i in range(40)]
    whole = sampled(network, prompts, copies=copies)
    steps.clear()
    monkeypatch.setattr("prefloop.sampling.room.ROWS", {"cpu": 12})
    assert sampled(network, prompts, copies=copies) == whole
    assert max(steps) <= 12
    useful = sum(len(r.tokens) for r in whole)
    assert sum(steps) == useful
    assert len(steps) < 1.5 * useful / 12 + 14


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_what_is_said_past_an_end_unseen_is_thrown_away(family: str, door: Door, monkeypatch: pytest.MonkeyPatch):
    """An accelerator writes several tokens before the host looks: the same responses."""
    network = door(made(FAMILIES[family]()))
    network.codec = replace(network.codec, stop_ids=(30, 31, 32, 33), context=20)
    expected = sampled(network, PROMPTS * 5)
    assert {len(r.tokens) for r in expected} >= {2, 3, 8}  # the third prompt has room for eight
    start = Batch._start

    def unseen(self: Batch) -> None:
        self._unseen = engine.UNSEEN
        start(self)

    monkeypatch.setattr(Batch, "_start", unseen)
    assert sampled(network, PROMPTS * 5) == expected


def test_a_prompt_that_fills_the_context_is_told(network: Network):
    with pytest.raises(UserError, match="64 tokens, but the model's context is 64, response included"):
        sampled(network, [[5] * 64])
    assert len(sampled(network, [[5] * 63], temperature=0)[0].tokens) == 1  # and no response goes past it


def test_a_stop_text_ends_a_response(network: Network):
    """At the token that completes it, and only there; tokens of half a character do not disturb it."""
    network.codec = replace(network.codec, stop_ids=())
    (free,) = sampled(network, [PROMPTS[0]], max_new_tokens=40)
    whole = network.codec.decode(free.tokens)
    text = next(
        whole[i : i + 2] for i in range(8, 99) if whole[i : i + 2].isascii() and whole[i : i + 2] not in whole[:i]
    )
    (cut,) = sampled(network, [PROMPTS[0]], max_new_tokens=40, stop=("never said", text))
    assert cut.finished
    assert cut.tokens == free.tokens[: len(cut.tokens)]
    assert text in network.codec.decode(cut.tokens)
    assert text not in network.codec.decode(cut.tokens[:-1])


def lively(model: nn.Module, *, dora: bool) -> None:
    """Adapters that matter."""
    inject_adapter_in_model(LoraConfig(r=3, lora_alpha=6, target_modules="all-linear", use_dora=dora), model)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.normal_(generator=torch.Generator().manual_seed(len(name))).mul_(0.2)


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_adapters_are_sampled_with(family: str, dora: bool, door: Door):
    """The quick way takes them into its weights: the tokens that the model itself writes, and not the base's."""
    model = made(FAMILIES[family]())
    base = alone(model, PROMPTS[0])
    lively(model, dora=dora)
    expected = alone(model, PROMPTS[0])
    network = door(model)
    network.codec = replace(network.codec, stop_ids=())
    assert Quick.of(network) is not None
    assert list(sampled(network, PROMPTS[:1], temperature=0)[0].tokens) == expected != base


@pytest.mark.parametrize("family", ["llama", "qwen3", "mistral"])
def test_in_bfloat16_the_quick_way_is_as_near_as_the_door(family: str, door: Door):
    """Both differ from float32 by what bfloat16 rounds; the quick way by no more."""
    network = door(made(FAMILIES[family]()))
    exact = _logits(network, Quick.of(network))
    network.placement = replace(network.placement, autocast=torch.bfloat16)
    quick, through = _logits(network, Quick.of(network)), _logits(network, None)
    assert float((quick - exact).abs().mean()) < 1.2 * float((through - exact).abs().mean())
    assert float((quick - exact).abs().mean()) > 1e-4  # it is bfloat16


def _logits(network: Network, quick: Quick | None) -> Tensor:
    """The logits behind every prompt and each of five more tokens."""
    batch = Batch(network, Room(rows=64, tokens=10_000))
    batch._quick = quick
    sampling = SamplingConfig(max_new_tokens=9)
    batch.admit([Request(prompt, sampling, torch.zeros(1, 9)) for prompt in PROMPTS])
    seen = [batch._logits]
    for token in (7, 15, 22, 9, 31):
        with torch.inference_mode():
            batch._new = torch.full((4,), token)
            batch._forward()
        seen.append(batch._logits)
    return torch.stack(seen)
