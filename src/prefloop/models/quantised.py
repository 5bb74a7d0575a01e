"""Frozen weights held small: matrices in bfloat16, in 8 bits with a scale for each output, or in 4 bits (NF4).

Shapes: O outputs and I inputs of a matrix, N tokens.

Only the matrices of the trunk are held so. Embeddings, heads, norms and biases stay as they are, and so does what goes
from layer to layer. Where products are computed in bfloat16 anyway, matrices in bfloat16 change no number; everywhere a
product is that of float32 or bfloat16 numbers, never of rounded inputs. Gradients flow through to the input.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.models.machine import drop_pages, is_mapped
from prefloop.records import Message
from prefloop.text.codec import Codec
from prefloop.text.templates import Refused

Form = Literal["float32", "bfloat16", "int8", "nf4"]
QUANTISED = ("int8", "nf4")
BLOCK = 64
"""Numbers of a matrix that share a scale in NF4."""
AT_ONCE = 2**20
"""Numbers of a matrix that are quantised at once, or a few whole rows of it."""
Read = Callable[[], Tensor]
"""Reads a matrix from its file."""
LEVELS = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
"""NF4: quantiles of a normal distribution, scaled to [-1, 1] (Dettmers et al. 2023, arXiv:2305.14314, appendix E)."""


def frozen_form(weights: str, placement: Placement, *, dora: bool = False) -> Form:
    """What `weights` says of matrices that are not trained; auto is bfloat16 where products are anyway.

    Args:
        dora: True if a DoRA adapter lies on them, which reads the matrices themselves: they stay float32.

    Raises: UserError for DoRA on quantised matrices.
    """
    if dora and weights in QUANTISED:
        raise UserError(
            f"weights={weights}: DoRA measures the base's matrices in every pass, and these would be quantised. Set "
            "lora.dora=false, or weights=float32."
        )
    halves = weights == "bfloat16" or (weights == "auto" and placement.autocast == torch.bfloat16)
    if dora or not (halves or weights in QUANTISED):
        return "float32"
    return "bfloat16" if halves else "int8" if weights == "int8" else "nf4"


def trained_form(weights: str, placement: Placement) -> Form:
    """What `weights` says of matrices that are trained themselves; auto is float32.

    Raises: UserError for what cannot be trained.
    """
    if weights in QUANTISED:
        raise UserError(
            f"weights={weights}: all weights are trained here (adapter=none), and steps of learning are far smaller "
            "than what such weights can hold. Take weights=float32 or weights=bfloat16, or adapter=lora."
        )
    if weights == "bfloat16" and placement.autocast != torch.bfloat16:
        raise UserError(
            "weights=bfloat16: all weights are trained here (adapter=none), and that needs products in bfloat16 too. "
            "Set dtype=bfloat16, or weights=float32."
        )
    return "bfloat16" if weights == "bfloat16" else "float32"


def halve(trunk: nn.Module) -> None:
    """Holds the matrices of a trunk that is trained in bfloat16; the optimiser keeps what is beyond it (optim.py)."""
    for layer in trunk.modules():
        if type(layer) is nn.Linear:
            layer.weight.data = layer.weight.data.to(torch.bfloat16)


class _Product(torch.autograd.Function):
    """x W^T of a matrix that is made whole twice, in the forward and in the backward pass, and kept by neither."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: "Held") -> Tensor:
        ctx.layer = layer
        with torch.autocast(x.device.type, enabled=False):
            return layer.scaled(linear(x, layer.whole(x.dtype)))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,) = grads
        with torch.autocast(grad.device.type, enabled=False):
            return ctx.layer.scaled(grad) @ ctx.layer.whole(grad.dtype), None


class Held(nn.Linear):
    """A frozen linear layer whose matrix is stored in another way. In bfloat16."""

    def __init__(self, layer: nn.Linear, read: Read | None = None) -> None:
        """Takes the place of `layer`. Args: read: gives its matrix, if that is still in a file."""
        super().__init__(layer.in_features, layer.out_features, bias=False, device="meta")
        self.bias = layer.bias
        self.read, self.as_read = read if type(self) is not Held else None, False  # bfloat16 is not measured
        weight = layer.weight.detach() if read is None else read()
        self._store(weight)
        if read is not None:
            drop_pages(weight.data_ptr(), weight.nbytes)
        self.weight.requires_grad_(False)

    def _store(self, weight: Tensor) -> None:
        self.weight = nn.Parameter(weight.to(torch.bfloat16, copy=True), requires_grad=False)

    def whole(self, dtype: torch.dtype) -> Tensor:
        """(O, I) the matrix in this precision, but for what `scaled` adds."""
        return self.weight.to(dtype)

    def scaled(self, outputs: Tensor) -> Tensor:
        """(N, O) outputs of `whole`, with the scale of each."""
        return outputs

    def forward(self, input: Tensor) -> Tensor:
        """(N, I) -> (N, O)"""
        kind = input.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else input.dtype
        if self.as_read and self.read is not None:
            weight = self.read()
            bias = None if self.bias is None else self.bias.to(dtype)
            out = linear(input.to(dtype), weight.to(input.device, dtype), bias)
            drop_pages(weight.data_ptr(), weight.nbytes)
            return out
        if dtype == self.weight.dtype:
            return linear(input, self.weight, self.bias)
        out = _Product.apply(input.to(dtype), self)
        assert isinstance(out, Tensor)
        return out if self.bias is None else out + self.bias.to(out.dtype)


class Int8(Held):
    """In 8 bits: whole numbers to 127, times a scale for each output. Whole numbers that small are exact in
    bfloat16."""

    scale: Tensor

    def _store(self, weight: Tensor) -> None:
        whole, scale = torch.empty_like(weight, dtype=torch.int8), weight.new_empty(len(weight), dtype=torch.float32)
        few = max(1, AT_ONCE // weight.shape[1])
        for start in range(0, len(weight), few):
            rows = weight[start : start + few].float()
            largest = rows.abs().amax(1)
            scale[start : start + few] = each = torch.where(largest == 0, 1.0, largest / 127)  # what is none stays none
            whole[start : start + few] = (rows / each[:, None]).round_().clamp_(-127, 127)
        self.weight = nn.Parameter(whole, requires_grad=False)
        self.register_buffer("scale", scale)  # (O,)

    def scaled(self, outputs: Tensor) -> Tensor:
        """(N, O) -> (N, O)"""
        return (outputs * self.scale).to(outputs.dtype)


class NF4(Held):
    """In 4 bits: one of 16 levels, times a scale for each block of 64 numbers along the rows."""

    scale: Tensor

    def _store(self, weight: Tensor) -> None:
        levels = torch.tensor(LEVELS, device=weight.device)
        between = (levels[1:] + levels[:-1]) / 2
        packed, scales = list[Tensor](), list[Tensor]()
        for numbers in weight.flatten().split(AT_ONCE):
            blocks = pad(numbers.float(), (0, -len(numbers) % BLOCK)).view(-1, BLOCK)
            scale = blocks.abs().amax(1, keepdim=True)
            shares = blocks / scale.clamp(min=torch.finfo(torch.float32).tiny)
            pairs = torch.bucketize(shares, between, out_int32=True).to(torch.uint8).view(-1, 2)
            packed.append(pairs[:, 0] << 4 | pairs[:, 1])
            scales.append(scale)
        self.weight = nn.Parameter(torch.cat(packed), requires_grad=False)
        self.register_buffer("scale", torch.cat(scales))  # (blocks, 1)

    def whole(self, dtype: torch.dtype) -> Tensor:
        """(O, I)"""
        nearest = torch.stack([self.weight >> 4, self.weight & 15], 1).view(-1, BLOCK)
        levels = torch.tensor(LEVELS, device=self.weight.device)
        whole = levels[nearest.long()] * self.scale
        return whole.flatten()[: self.out_features * self.in_features].view(self.out_features, -1).to(dtype)


def is_held(trunk: nn.Module) -> bool:
    """True if some of its matrices are stored in another way."""
    return any(isinstance(layer, Held) for layer in trunk.modules())


def packed(model: nn.Module) -> int:
    """How many weights there are beside the numbers that are stored, which in 4 bits hold two each."""
    held = [layer for layer in model.modules() if isinstance(layer, Held)]
    return sum(layer.in_features * layer.out_features - layer.weight.numel() for layer in held)


KINDS: dict[str, type[Held]] = {"bfloat16": Held, "int8": Int8, "nf4": NF4}


def linears(trunk: nn.Module) -> dict[str, nn.Linear]:
    """Name -> layer, of the plain linear ones that are no adapter's."""
    return {name: layer for name, layer in trunk.named_modules() if type(layer) is nn.Linear and ".lora_" not in name}


def hold(trunk: nn.Module, form: Form, files: Mapping[str, Read] | None = None) -> None:
    """Replaces the linear layers of a trunk that is not trained; adapters stay, and a matrix that is used elsewhere.

    Args:
        files: reads the matrices that are still in a file, by the names of their layers: one at a time is here.
    """
    if form == "float32":
        return
    layers, reads = linears(trunk), files or {}
    assert reads.keys() <= layers.keys()
    uses = [id(p) for module in trunk.modules() for p in module.parameters(recurse=False)]
    for name, layer in layers.items():
        if uses.count(id(layer.weight)) == 1:
            trunk.set_submodule(name, KINDS[form](layer, reads.get(name)))
        elif name in reads:
            layer.weight.data = reads[name]().float()
    held = {id(layer.weight) for layer in trunk.modules() if isinstance(layer, Held)}
    for weight in trunk.parameters():  # or the whole file stays in memory, for these are still mapped from it
        if id(weight) not in held and is_mapped(weight):
            weight.data = weight.data.clone()


def known_as_read(trunk: nn.Module) -> bool:
    """True if all matrices that are held can still be read from their file."""
    return all(layer.read is not None for layer in trunk.modules() if isinstance(layer, Held))


@contextlib.contextmanager
def as_read(trunk: nn.Module) -> Iterator[None]:
    """Context in which products are those of the matrices in the file, each read anew and forgotten."""
    held = [layer for layer in trunk.modules() if isinstance(layer, Held)]
    try:
        for layer in held:
            layer.as_read = True
        yield
    finally:
        for layer in held:
            layer.as_read = False


ANSWERS = (
    (
        "Where is my parcel?",
        "I am sorry that it is late. It left our depot this morning and should reach you tomorrow.",
    ),
    ("What is the capital of France?", "The capital of France is Paris."),
    ("Add 17 and 25.", "17 + 25 = 42"),
    ("Write a function that doubles a number.", "def double(x):\n    return 2 * x"),
    ("包裹在哪里？", "很抱歉，您的包裹还在路上，预计明天送达。"),
    ("Tell me about the sea.", "The sea is wide and deep, and it is home to more animals than the land is."),
    ("Is it safe to mix bleach and vinegar?", "No. Together they give off chlorine, which harms the lungs."),
    ("Cancel my order!", "no idea lol"),
)
"""Short conversations that tell what less precise weights change."""


def answers(codec: Codec) -> tuple[list[list[int]], list[list[int]]]:
    """Tokens of the prompts and of the answers, without those that the template refuses or the context cuts."""
    prompts, responses = [], []
    for asked, answer in ANSWERS:
        with contextlib.suppress(Refused):
            prompt, response = codec.prompt_ids([Message(role="user", content=asked)]), codec.response_ids(answer)
            if len(prompt) + len(response) <= codec.context:
                prompts.append(prompt)
                responses.append(response)
    return prompts, responses


def change(before: Tensor, after: Tensor, *, scores: bool) -> str:
    """What is different afterwards, in words.

    Args:
        before: (M,) logprobs of the answers' tokens, in nats; or (B,) scores of the answers.
        after: the same.
        scores: which of the two.
    """
    moved = (after - before).abs()
    if not scores:
        return (
            f"change the logprobs of {len(moved)} tokens of short answers by {moved.mean():.2g} nats on average and by "
            f"{moved.max():.2g} at most"
        )
    std = before.std()
    if not std > 0:
        return f"leave the scores of {len(moved)} short answers all alike, as they were"
    return (
        f"change the scores of {len(moved)} short answers by {moved.mean() / std:.2g} of their standard deviation on "
        f"average, with a rank correlation of {spearmanr(before, after)[0]:.3f}"
    )
