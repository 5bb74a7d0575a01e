"""What prefloop assumes of a model, checked on the model itself whenever one is loaded.

Two sequences of six and of four tokens are read by transformers alone, each by itself; then by prefloop, both in one
stream, and their last tokens against the cache, in training mode. All numbers must be the same, and every weight
finite. Nothing random is drawn. That is four short readings: 13 ms for a tiny model, 0.6 s for one of 163M on one core.
"""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prefloop.errors import UserError
from prefloop.models.adapters import Role
from prefloop.models.cache import Cache, Prompts
from prefloop.models.checkpoint import AGAIN, FAULTS, HEAD, OTHERS, in_words, number
from prefloop.models.decoding import Quick
from prefloop.models.device import Placement
from prefloop.models.network import Network
from prefloop.models.stream import Stream
from prefloop.text.codec import Codec

TOLERANCE = 1e-4
"""Largest difference, as a share of the largest number: two orders above what float32 rounds in a deep model, and far
below what a forgotten window, position, cap or scale changes."""
LENGTHS = (6, 4)


@dataclass(frozen=True)
class Alone:
    """What transformers says of each sequence by itself. N tokens in all."""

    sequences: list[list[int]]
    states: Tensor
    """(N, width) last hidden states"""
    outputs: Tensor
    """(N, V) logits, or (B, C) scores"""

    @property
    def scores(self) -> bool:
        """True if the model gives numbers for each sequence, and not for each token."""
        return len(self.outputs) == len(self.sequences)


def verified(
    model: PreTrainedModel, codec: Codec, *, path: str, placement: Placement, role: Role | None = None
) -> Network:
    """A model of transformers behind the door, once everything that is assumed of it has been seen to hold.

    Args:
        model: on its device.
        codec: its tokenizer.
        path: where it came from, for the message.
        placement: where it is, and how precisely it computes from now on; it is checked in float32.
        role: the base that it shares with others, and the adapter that it wears there, which peft computes.

    Raises: UserError if something does not hold, saying what.
    """
    model.eval()
    model.set_attn_implementation("eager")  # its trunk may have been read before
    _check_finite(path, model)
    _check_structure(path, model)
    with contextlib.nullcontext() if role is None else role.by_peft():
        alone = _read_alone(path, model, _sequences(model, codec))
    network = Network(model, codec, path=path, placement=Placement(placement.device), role=role)
    network.train()  # nothing may come of it
    lengths = torch.tensor([len(sequence) for sequence in alone.sequences], device=placement.device)
    ends = lengths.cumsum(0) - 1
    read = torch.ones(len(alone.states), dtype=torch.bool, device=placement.device)
    if not alone.scores:
        read[ends] = False  # the last tokens are read against the cache
    cut = None if alone.scores else -1
    stream = Prompts.of([sequence[:cut] for sequence in alone.sequences], placement.device)
    with _explained(path, model), torch.no_grad():
        states, outputs = _together(network, stream, scores=alone.scores)
    _check_windows(path, model, stream.windows)
    largest = _largest_sum(network, alone) if alone.scores else None
    expected = alone.outputs if alone.scores else alone.outputs[read]
    if not _same(states, alone.states[read]) or not _same(outputs, expected, largest):
        with torch.no_grad():
            raise UserError(f"{path}: {type(model).__name__}: {_difference(network, alone, states, read)}")
    if not alone.scores:
        with _explained(path, model), torch.no_grad():
            cached, quickly = _cached(network, alone, stream)
        if not _same(cached, alone.outputs[ends]):
            raise UserError(
                f"{path}: {type(model).__name__}: a token read after others that are remembered is not what it is when "
                f"all are read, so it would sample from another distribution. {OTHERS}"
            )
        if quickly is not None and not _same(quickly, alone.outputs[ends]):
            raise UserError(
                f"{path}: {type(model).__name__}: this version of transformers computes it in a way that prefloop's "
                f"decoding does not, so it would sample from another distribution. {OTHERS}"
            )
    network.placement = placement
    return network


def _check_finite(path: str, model: nn.Module) -> None:
    """Raises: UserError naming weights that are no numbers."""
    bad = [
        name
        for name, weight in model.state_dict().items()
        if weight.is_floating_point() and not weight.sum().isfinite() and not weight.isfinite().all()
    ]
    if bad:
        kind = "NaN" if any(bool(model.state_dict()[name].isnan().any()) for name in bad) else "infinite"
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise UserError(f"{path}: the model has {kind} weights in {bad[0]}{more}, so nothing comes out of it. {AGAIN}")


def _check_structure(path: str, model: PreTrainedModel) -> None:
    """Raises: UserError for what no six tokens can show."""
    if "chunked_attention" in (number(model.config.get_text_config(), "layer_types") or ()):
        raise UserError(
            f"{path}: {type(model).__name__} attends in chunks (as Llama 4 does), which prefloop does not. {OTHERS}"
        )
    if model.base_model is model:
        raise UserError(f"{path}: {type(model).__name__} has no trunk apart from its head. {OTHERS}")


def _check_windows(path: str, model: PreTrainedModel, windows: list[int | None]) -> None:
    """Raises: UserError if a layer's window is only in transformers' mask, which prefloop never sees."""
    config = model.config.get_text_config()
    kinds, window = number(config, "layer_types"), number(config, "sliding_window")
    if window is None or number(config, "use_sliding_window") is False:
        return
    expected = [window if kind == "sliding_attention" else None for kind in kinds or ()]
    if (expected and windows[: len(expected)] != expected) or (not expected and None in windows):
        raise UserError(
            f"{path}: {type(model).__name__} has a sliding window of {window} tokens that its attention does not pass "
            f"on, so prefloop would read too much. {OTHERS}"
        )


def _sequences(model: PreTrainedModel, codec: Codec) -> list[list[int]]:
    """Ordinary tokens, all different if there are enough; both sequences begin with the same two."""
    size = min(int(model.config.get_text_config().vocab_size), len(codec.tokenizer))
    special = {*codec.tokenizer.all_special_ids, *codec.stop_ids, model.config.get_text_config().pad_token_id}
    ordinary = [token for token in range(min(size, 4096)) if token not in special] or [0]
    stride = max(1, len(ordinary) // 11)
    chosen = iter([ordinary[(i * stride + stride // 2) % len(ordinary)] for i in range(sum(LENGTHS))])
    first, second = ([next(chosen) for _ in range(length)] for length in LENGTHS)
    return [first[: codec.context], [*first[:2], *second[2:]][: codec.context]]


@torch.no_grad()
def _read_alone(path: str, model: PreTrainedModel, sequences: list[list[int]]) -> Alone:
    """Each sequence by itself, with transformers' own attention."""
    states: list[Tensor] = []
    hook = model.base_model.register_forward_hook(lambda module, args, out: states.append(out.last_hidden_state[0]))
    try:
        with _explained(path, model):
            ids = [torch.tensor([sequence], device=model.device) for sequence in sequences]
            outputs = [model(input_ids=each, use_cache=False).logits[0].float() for each in ids]
            if not states:  # a model that passes its trunk by and calls what is inside it (OPT)
                for each in ids:
                    model.base_model(input_ids=each, use_cache=False)
    finally:
        hook.remove()
    grid = [out if out.ndim == 2 else out[None] for out in outputs]
    alone = Alone(sequences, torch.cat(states).float(), torch.cat(grid))
    if not alone.outputs.isfinite().all():
        raise UserError(
            f"{path}: the model's numbers overflow: its weights are finite, but NaN comes out of it. {AGAIN}"
        )
    first, second = alone.states.split([len(sequence) for sequence in sequences])
    if not _same(second[:2], first[:2]):
        raise UserError(
            f"{path}: {type(model).__name__} reads both ways: what comes later changes what it says of earlier tokens, "
            f"so it cannot write one token after another. {OTHERS}"
        )
    return alone


def _together(network: Network, stream: Prompts, *, scores: bool) -> tuple[Tensor, Tensor]:
    """Hidden states and outputs of all sequences in one stream, which remembers keys and values of a model that
    writes."""
    if scores:
        outputs, states = network.table_and_states(stream)
        return states, outputs
    states = network.hidden_states(stream, stream)
    return states, network.logits(states)


def _cached(network: Network, alone: Alone, before: Prompts) -> tuple[Tensor, Tensor | None]:
    """(B, V) logits of the last token of each sequence, read against a cache of those before: through the door, and by
    the quick way if there is one."""
    last = torch.tensor([sequence[-1] for sequence in alone.sequences], device=network.device)
    positions = torch.tensor(before.lengths, device=network.device)

    def remembered(prompts: Prompts) -> Cache:
        cache = Cache()
        cache.admit(prompts, [1] * len(last), columns=max(before.lengths) + 1)
        return cache

    cached = network.logits(network.next_hidden_states(last, positions, remembered(before)))
    quick = Quick.of(network, kept=False)
    if quick is None:
        return cached, None
    again = Prompts.of([sequence[:-1] for sequence in alone.sequences], network.device)
    network(quick.hidden_states, again)  # wearing its adapter
    _check_windows(network.path, network.pretrained, again.windows)
    return cached, quick.logits(network(quick.next_hidden_states, last, positions, remembered(again)))


def _difference(network: Network, alone: Alone, states: Tensor, read: Tensor) -> str:
    """Which assumption does not hold, for a model whose numbers are not those of transformers."""
    if _same(states, alone.states[read]):
        return f"it does something to its logits or scores after the last matrix that prefloop does not. {OTHERS}"
    first = alone.sequences[0]
    if _same(network.hidden_states(Stream.of([first], network.device)), alone.states[: len(first)]):
        return (
            "two sequences read together are not what each is by itself, so something runs from one into the next (a "
            f"convolution, a running state). {OTHERS}"
        )
    return (
        "transformers alone gives other numbers for the same tokens, so its attention or its positions are not what "
        f"prefloop computes. {OTHERS}"
    )


def _same(ours: Tensor, theirs: Tensor, largest: float | None = None) -> bool:
    """True if no number differs by more than TOLERANCE of the largest, or of `largest`."""
    scale = float(theirs.abs().max()) if largest is None else largest
    return float((ours.float() - theirs).abs().max()) <= TOLERANCE * scale


def _largest_sum(network: Network, alone: Alone) -> float:
    """The sizes of what a score is the sum of, added up: a score near 0 is rounded as coarsely as they are."""
    weight = network.pretrained.get_submodule(HEAD).get_parameter("weight").detach()
    return float((alone.states.abs() @ weight.abs().float().T).max())


@contextmanager
def _explained(path: str, model: PreTrainedModel) -> Iterator[None]:
    """Turns what a model of another structure raises into a sentence."""
    try:
        yield
    except UserError as problem:
        raise UserError(f"{path}: {type(model).__name__} {problem} {OTHERS}") from None
    except FAULTS as problem:
        said = in_words(problem)
        raise UserError(
            f"{path}: {type(model).__name__} is built in a way that prefloop cannot read ({said}). {OTHERS}"
        ) from problem
