"""Each thing that is assumed of a model, broken on purpose: the sentence says which. And the check itself is silent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    Gemma2Config,
    Gemma3TextConfig,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
)

from prefloop.errors import UserError
from prefloop.models import attention, stream
from prefloop.models.cache import Cache
from prefloop.models.device import Placement
from prefloop.models.grids import Grid
from prefloop.models.heads import LogitRule
from prefloop.models.load import causal
from prefloop.models.network import Network
from prefloop.models.stream import Stream
from prefloop.models.verify import _sequences, verified
from prefloop.text.codec import Codec

CPU = Placement(torch.device("cpu"))
SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
    "bos_token_id": None,
}
Break = Callable[[pytest.MonkeyPatch, PreTrainedModel], object]


def built(config: PretrainedConfig) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


def no_scale(patch: pytest.MonkeyPatch, model: PreTrainedModel) -> None:
    patch.setattr(LogitRule, "of", lambda config: LogitRule())


def without(name: str) -> Break:
    """Attention that leaves one of its settings out, everywhere."""

    def broken(patch: pytest.MonkeyPatch, model: PreTrainedModel) -> None:
        for owner, function in ((stream, "causal_attention"), (Cache, "attend")):
            whole = vars(owner)[function]
            patch.setattr(owner, function, lambda *args, whole=whole, **given: whole(*args, **{**given, name: None}))

    return broken


def leak(patch: pytest.MonkeyPatch, model: PreTrainedModel) -> None:
    """All tokens of a stream attend to all before them, of whatever sequence."""

    def attend(self: Stream, q: Tensor, k: Tensor, v: Tensor, *, scale: float, **_: Any) -> Tensor:
        whole = Grid(None, None, (1, q.shape[2], q.shape[2]), None)
        return attention.causal_attention(whole, q, k, v, scale=scale, window=None).transpose(1, 2)

    patch.setattr(Stream, "attend", attend)


def late(patch: pytest.MonkeyPatch, model: PreTrainedModel) -> None:
    """A new token is read one place too late."""
    whole = Network._next_states
    patch.setattr(
        Network, "_next_states", lambda self, tokens, positions, cache: whole(self, tokens, positions + 1, cache)
    )


def another_scale(patch: pytest.MonkeyPatch, model: PreTrainedModel) -> None:
    """transformers comes to scale attention otherwise than by what the quick way reads."""
    whole = Cache.meet
    patch.setattr(Cache, "meet", lambda self, q, *, scale: whole(self, q, scale=1.1 * scale))


def window_in_the_mask_only(patch: pytest.MonkeyPatch, model: PreTrainedModel) -> None:
    model.model.layers[1].self_attn.sliding_window = None


def not_a_number(patch: pytest.MonkeyPatch, model: PreTrainedModel) -> None:
    model.model.layers[0].mlp.up_proj.weight.data[3, 5] = torch.nan


def infinite(patch: pytest.MonkeyPatch, model: PreTrainedModel) -> None:
    model.lm_head.weight.data[299] = torch.inf


def overflow(patch: pytest.MonkeyPatch, model: PreTrainedModel) -> None:
    model.lm_head.weight.data *= 1e38


def another_layout(patch: pytest.MonkeyPatch, model: PreTrainedModel) -> None:
    """A trunk whose output is no structure that we know."""
    model.model.norm.register_forward_hook(lambda *_: None)
    whole = model.model.forward
    patch.setattr(model.model, "forward", lambda **given: (whole(**given).last_hidden_state,))


def nothing(patch: pytest.MonkeyPatch, model: PreTrainedModel) -> None: ...


GRANITE = GraniteConfig(**SIZES, logits_scaling=4.0)
GEMMA2 = Gemma2Config(**SIZES, attn_logit_softcapping=1.5, sliding_window=4)
MISTRAL = MistralConfig(**SIZES, sliding_window=4)
WIDE = Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=50, max_window_layers=1)
BOTH_WAYS = Gemma3TextConfig(**SIZES, use_bidirectional_attention=True)
LLAMA = LlamaConfig(**SIZES)


@pytest.mark.parametrize(
    ("config", "broken", "message"),
    [
        (GRANITE, no_scale, "after the last matrix"),
        (GEMMA2, without("cap"), "transformers alone gives other numbers for the same tokens"),
        (MISTRAL, without("window"), "transformers alone gives other numbers for the same tokens"),
        (LLAMA, leak, "two sequences read together are not what each is by itself"),
        (LLAMA, late, "a token read after others that are remembered is not what it is"),
        (LLAMA, another_scale, "computes it in a way that prefloop's decoding does not"),
        (WIDE, window_in_the_mask_only, "a sliding window of 50 tokens that its attention does not pass on"),
        (BOTH_WAYS, nothing, "reads both ways"),
        (LLAMA, not_a_number, r"NaN weights in model\.layers\.0\.mlp\.up_proj\.weight, so nothing comes out of it"),
        (LLAMA, infinite, r"infinite weights in lm_head\.weight"),
        (LLAMA, overflow, "numbers overflow: its weights are finite"),
        (LLAMA, another_layout, "built in a way that prefloop cannot read"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_what_does_not_hold_is_named(
    config: PretrainedConfig, broken: Break, message: str, codec: Codec, monkeypatch: pytest.MonkeyPatch
):
    if broken is not nothing:
        assert verified(built(config), codec, path="m", placement=CPU)
    model = built(config)
    broken(monkeypatch, model)
    with pytest.raises(UserError, match=rf"^m: .*{message}"):
        verified(model, codec, path="m", placement=CPU)


def test_nothing_random_is_drawn_and_the_precision_is_the_one_asked_for(folder: str):
    before = torch.get_rng_state()
    network = causal(folder, Placement(CPU.device, torch.bfloat16))
    assert torch.equal(torch.get_rng_state(), before)
    assert network.placement.autocast is torch.bfloat16
    assert not any(isinstance(module, nn.Module) and module.training for module in network.modules())


@pytest.mark.parametrize("context", [2, 3, 5])
def test_a_model_that_reads_only_a_few_tokens_is_checked_on_so_many(context: int, codec: Codec):
    short = Codec(codec.tokenizer, codec.stop_ids, context)
    with_positions = LlamaConfig(**{**SIZES, "max_position_embeddings": context})
    assert verified(built(with_positions), short, path="m", placement=CPU)


def test_scores_may_be_near_zero(codec: Codec):
    """Rounding is a share of what is added up, not of a sum that comes to nothing by chance."""
    config = LlamaConfig(**{**SIZES, "num_hidden_layers": 6, "pad_token_id": 0, "num_labels": 1})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        states = [model.model(torch.tensor([s])).last_hidden_state[0, -1] for s in _sequences(model, codec)]
        across = torch.linalg.svd(torch.stack(states).double()).Vh[-1:]
        model.score.weight.copy_(across)
    assert verified(model, codec, path="m", placement=CPU)


def test_two_loads_are_the_same_to_the_last_bit(folder: str, tmp_path: Path):
    sequences = Stream.of([[5, 9, 7], [8]], CPU.device)
    first, second = (causal(folder, CPU).hidden_states(sequences) for _ in range(2))
    assert torch.equal(first, second)
