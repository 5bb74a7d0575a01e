"""A quick way through the trunks of Llama's kin while a response is written: few products, and little between them.

For one token of 64 rows transformers' layers spend as long around their products as in them, and torch multiplies by
weights that it lays out anew every time. Here queries, keys and values are one product, and so are the MLP's two;
weights in bfloat16 are laid out once. The numbers are those of `Network.next_hidden_states`, which `models.verify` sees
at every load. Llama, Mistral, Qwen2 and Qwen3 go this way; every other family decodes through the door itself.

Shapes: R rows, H heads, D width of a head. In bfloat16 the weights are copied: 2 bytes for each of the trunk's, 4 for
each of the head's. In float32 they are copied only where an adapter is added to them: 4 bytes for each of the trunk's.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad, rms_norm, silu
from transformers import LlamaForCausalLM, MistralForCausalLM, PreTrainedModel, Qwen2ForCausalLM, Qwen3ForCausalLM

from prefloop.models.cache import Cache, Prompts
from prefloop.models.grids import multiple
from prefloop.models.heads import LogitRule
from prefloop.models.network import Network
from prefloop.models.quantised import Held
from prefloop.models.stream import round_size

KIN = (LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM)
PLAIN = (nn.Linear, Held)
"""Layers that adapters may be around."""
ROWS = (8, 16)
"""Rows come in these sizes and multiples of the second, so that torch keeps few kernels (see `round_size`)."""
LAID_OUT_FOR = 64
"""Rows that the layout of weights is best for; it serves any number."""
Product = Callable[[Tensor], Tensor]
Meet = Callable[[int, "_Layer", Tensor, Tensor, Tensor], Tensor]
"""Attention of queries (N, H, D) in a layer, given new keys and values (N, Hkv, D) -> (N, H D)."""


class Quick:
    """The trunk and head of one network, with its weights and its adapter as they are now."""

    def __init__(self, network: Network, *, kept: bool = True) -> None:
        """Args: see `of`."""
        model, place = network.pretrained, network.placement
        trunk, config = model.base_model, model.config
        self.dtype = place.autocast or torch.float32
        self._embedding = trunk.get_submodule("embed_tokens").get_parameter("weight")
        self._rotary = trunk.get_submodule("rotary_emb")
        self._norm = _norm(trunk, "norm")
        self._width = int(trunk.get_submodule("layers.0.self_attn").head_dim)  # pyright: ignore[reportArgumentType]
        self._heads = int(config.num_attention_heads), int(config.num_key_value_heads)
        layers = trunk.get_submodule("layers").children()
        with place.full_precision():
            self._layers = [_Layer(layer, self.dtype, model, kept=kept) for layer in layers]
            head = model.get_output_embeddings()
            self._head: Product | None = None
            if isinstance(head, nn.Linear) and self.dtype != torch.float32:
                self._head = _product([head], torch.float32, copied=True)
        self._rule, self._network = LogitRule.of(config), network
        self.windowed = any(layer.window is not None for layer in self._layers)
        """whether some layers do not meet all that was said"""

    @classmethod
    def of(cls, network: Network, *, kept: bool = True) -> "Quick | None":
        """The quick way, if there is one: for the families above, with linear layers that adapters may change, but not
        for quantised ones, which it would copy whole.

        Args:
            kept: False for a few tokens, in float32: matrices that would have to be copied are, for each token.
        """
        model = network.pretrained
        if type(model) not in KIN or model.config.hidden_act != "silu":
            return None
        layers = [m for name, m in model.base_model.named_modules() if name.endswith("_proj")]
        if not all(type(_underneath(layer)) in PLAIN for layer in layers):
            return None  # of 4 or 8 bits, which are not to be copied in more
        return network(partial(cls, kept=kept), network)

    def hidden_states(self, prompts: Prompts) -> Tensor:
        """(N, width) of a stream, whose keys and values are remembered; see `Network.hidden_states`. Float32."""

        def meet(number: int, layer: _Layer, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            q, k, v = (x[None].transpose(1, 2) for x in (q, k, v))
            prompts.update(k, v, number)
            met = prompts.attend(q.to(v.dtype), k.to(v.dtype), v, scale=layer.scale, window=layer.window)
            return met[0].flatten(1)

        return self._states(prompts.tokens, prompts.positions, round_size(len(prompts.tokens)), meet)

    def next_hidden_states(self, tokens: Tensor, positions: Tensor, cache: Cache) -> Tensor:
        """(R, width) of one new token a row; see `Network.next_hidden_states`. Float32."""

        def meet(number: int, layer: _Layer, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            cache.write(number, k, v)
            return cache.meet(q, scale=layer.scale).flatten(1)

        few = len(tokens) <= ROWS[0]
        return self._states(tokens, positions, ROWS[0] if few else multiple(len(tokens), ROWS[1]), meet)

    def _states(self, tokens: Tensor, positions: Tensor, size: int, meet: Meet) -> Tensor:
        """(N, width) of N tokens. Args: size: to which N is filled up for the products, so that they have few sizes.
        meet: attention of N queries."""
        num, half = len(tokens), self._width // 2
        heads, pairs = self._heads
        turned = heads + pairs  # queries and keys are
        if added := size - num:
            tokens, positions = pad(tokens, (0, added)), pad(positions, (0, added))
        x = self._embedding[tokens].float()
        cosine, sine = self._rotary(x[None], positions[None])
        cosine, sine = cosine[0, :, None], torch.cat([-sine[0, :, None, :half], sine[0, :, None, half:]], -1)
        for number, layer in enumerate(self._layers):
            made = layer.queries(_normal(x, layer.before).to(self.dtype)).view(size, turned + pairs, self._width)
            angled = made[:, :turned].float()
            if layer.normal is not None:
                angled = angled * (angled.square().mean(-1, keepdim=True) + layer.small).rsqrt() * layer.normal
            swapped = torch.cat([angled[..., half:], angled[..., :half]], -1)
            angled = torch.addcmul(angled * cosine, swapped, sine)
            met = meet(number, layer, angled[:num, :heads], angled[:num, heads:], made[:num, turned:]).to(self.dtype)
            x += layer.out(pad(met, (0, 0, 0, added)) if added else met)
            gate, up = layer.gates(_normal(x, layer.between).to(self.dtype)).chunk(2, -1)
            x += layer.down(silu(gate).mul_(up))
        return _normal(x[:num], self._norm)

    def logits(self, hidden: Tensor) -> Tensor:
        """See `Network.logits`."""
        return self._network.logits(hidden) if self._head is None else self._rule(self._head(hidden))


class _Layer:
    """The products of one layer."""

    def __init__(self, layer: nn.Module, dtype: torch.dtype, model: PreTrainedModel, *, kept: bool) -> None:
        attention, mlp = layer.get_submodule("self_attn"), layer.get_submodule("mlp")
        part = attention.get_submodule
        self.queries = _product([part("q_proj"), part("k_proj"), part("v_proj")], dtype, kept=kept)
        self.out = _product([part("o_proj")], dtype, kept=kept)
        self.gates = _product([mlp.get_submodule("gate_proj"), mlp.get_submodule("up_proj")], dtype, kept=kept)
        self.down = _product([mlp.get_submodule("down_proj")], dtype, kept=kept)
        self.before, self.between = _norm(layer, "input_layernorm"), _norm(layer, "post_attention_layernorm")
        self.scale = float(attention.scaling)  # pyright: ignore[reportArgumentType]
        self.normal, self.small = None, 0.0
        self.window: int | None = vars(attention).get("sliding_window")
        if isinstance(model, MistralForCausalLM):
            self.window = model.config.sliding_window
        if isinstance(model, Qwen3ForCausalLM):
            (of_queries, self.small), (of_keys, _) = _norm(attention, "q_norm"), _norm(attention, "k_norm")
            config = attention.config
            counts = torch.tensor([config.num_attention_heads, config.num_key_value_heads])  # pyright: ignore
            self.normal = torch.stack([of_queries, of_keys]).repeat_interleave(counts.to(of_keys.device), 0)


def _norm(parent: nn.Module, name: str) -> tuple[Tensor, float]:
    """A norm's weight, in float32, and what it adds to a variance."""
    module = parent.get_submodule(name)
    return module.get_parameter("weight").detach().float(), float(module.variance_epsilon)  # pyright: ignore


def _normal(x: Tensor, norm: tuple[Tensor, float]) -> Tensor:
    return rms_norm(x, x.shape[-1:], norm[0], norm[1])


def _underneath(module: nn.Module) -> Any:
    """A layer without the adapter around it."""
    return next((inner for name, inner in module.named_children() if name == "base_layer"), module)


def _effective(module: Any) -> tuple[Tensor, Tensor | None]:
    """(out, in) weight and (out,) bias of a linear layer, with its adapter in force."""
    inner = _underneath(module)
    weight, bias = inner.weight.detach(), inner.bias
    worn = [] if inner is module else [name for name in module.active_adapters if name in module.scaling]
    if any(name in module.lora_variant for name in worn):  # DoRA: what it makes of each unit vector
        dtype = weight.dtype if type(inner) is nn.Linear else torch.float32
        made = module(torch.eye(inner.in_features, dtype=dtype, device=weight.device))
        return (made if bias is None else made - bias).detach().T, bias
    for name in worn:
        weight = weight.float() + module.get_delta_weight(name).detach()
    return weight, None if bias is None else bias.detach()


def _whole(module: Any) -> tuple[Tensor, Tensor | None]:
    """The same in float32."""
    weight, bias = _effective(module)
    return weight.float(), None if bias is None else bias.float()


def _product(modules: Sequence[nn.Module], dtype: torch.dtype, *, copied: bool = False, kept: bool = True) -> Product:
    """Linear layers of the same input as one product, their outputs side by side. Args: see `Quick.of`."""
    if not kept:
        return lambda x: torch.cat([linear(x, *_whole(module)) for module in modules], -1)
    if dtype == torch.float32 and not copied:
        whole = [_whole(module) for module in modules]
        return lambda x: torch.cat([linear(x, weight, bias) for weight, bias in whole], -1)
    parts = [_effective(module) for module in modules]
    weight = torch.cat([w.to(dtype) for w, _ in parts])
    biases = [torch.zeros(len(w), dtype=dtype, device=w.device) if b is None else b.to(dtype) for w, b in parts]
    bias = None if all(b is None for _, b in parts) else torch.cat(biases)
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return lambda x: linear(x, weight, bias)
    laid_out = torch.ops.mkldnn._reorder_linear_weight(weight, LAID_OUT_FOR)
    return lambda x: torch.ops.mkldnn._linear_pointwise(x, laid_out, bias, "none", [], "")
