"""Models in and out, as plain Hugging Face folders, with sentences where transformers has tracebacks."""

import contextlib
import functools
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers import logging as hf_logging

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.atomic import new_folder, write_json
from prefloop.models import folders, gguf
from prefloop.models.adapter_files import AdapterFolder, adapter_folder, fingerprint_of, write_adapter
from prefloop.models.adapters import Base, Role, around, read
from prefloop.models.checkpoint import (
    AGAIN,
    HEAD,
    check_files,
    config_of,
    context_of,
    is_reward_model,
    loaded,
    loading,
    structure,
)
from prefloop.models.columns import NORMALISATION, columns_of, parted
from prefloop.models.device import Placement
from prefloop.models.network import Network
from prefloop.models.padding import give_padding, padding_id
from prefloop.models.quantised import Form, frozen_form
from prefloop.models.tokenizers import has_tokenizer, tokenizer_of
from prefloop.models.verify import verified
from prefloop.printing import say
from prefloop.text.codec import Codec
from prefloop.text.templates import Refused, with_template
from prefloop.text.turns import ASKED, TALK

hf_logging.disable_progress_bar()
hf_logging.set_verbosity_error()

FILES = ("*.json", "*.jinja", "*.model", "*.safetensors", "*.txt")
"""What is fetched of a model on the hub."""


def model_folder(path: str, *, scores: bool = False) -> str:
    """A model's folder or GGUF file on this machine: the path itself, what a stage or pipeline holds, the file of a
    package (`smollm2`), or a hub id's download.

    Args:
        path: as a user gives it; of a reward model perhaps with a column, FOLDER:COLUMN.
        scores: True where a reward model is wanted, which tells one in a pipeline's folder from the others.

    Raises: UserError if there is none, several, or a damaged one.
    """
    path = parted(path)[0] if scores else path
    path = path if Path(path).exists() else gguf.packaged(path) or path
    if Path(path).exists():
        path = folders.model_in(path, scores=scores)
        if layout.is_ensemble(Path(path)):
            return _ensemble(path, scores=scores)
    else:
        with loading(path):
            path = snapshot_download(path, allow_patterns=list(FILES))
    if layout.is_adapter(Path(path)):
        adapter_folder(path)
    else:
        check_files(path)
    return path


def _ensemble(path: str, *, scores: bool) -> str:
    """The folder of an ensemble, once its members were looked at. Raises: UserError where one model is wanted."""
    members = folders.members_in(Path(path))
    if not scores:
        raise UserError(
            f"{path}: this is an ensemble of {len(members)} reward models, and one model is needed here. Give one of "
            f"them: {members[0]}"
        )
    for member in members:
        model_folder(str(member), scores=True)
    return path


def members_of(path: str) -> list[str]:
    """The folders of a reward model: its own, or of each member of an ensemble. Raises: UserError."""
    path = model_folder(path, scores=True)
    return [str(member) for member in folders.members_in(Path(path))] if layout.is_ensemble(Path(path)) else [path]


@dataclass(frozen=True)
class _Source:
    """Where a model is read from."""

    path: str
    """its folder, a whole model's or an adapter's"""
    base: str
    """the folder of its whole weights, the same if it is no adapter"""
    adapter: AdapterFolder | None
    config: PretrainedConfig

    @classmethod
    def of(cls, path: str) -> "_Source":
        """Of a folder that `model_folder` gave. Raises: UserError if its base is not there, or an adapter too."""
        adapter = adapter_folder(path)
        if adapter is None:
            return cls(path, path, None, config_of(path))
        base = model_folder(adapter.base)
        if layout.is_adapter(Path(base)):
            raise UserError(
                f"{path}: this is an adapter of an adapter ({base}), and prefloop reads one on its base. Merge the "
                f"lower one first: prefloop export merge model={base} out=DIR, and name DIR in adapter_config.json "
                "(base_model_name_or_path)."
            )
        return cls(path, base, adapter, config_of(base))

    @property
    def scores(self) -> bool:
        """True if it has a scalar head."""
        return is_reward_model(self.config) if self.adapter is None else self.adapter.scores

    @property
    def words(self) -> str:
        """The folder of its tokenizer and of where it ends: an adapter may leave that to its base."""
        return self.path if has_tokenizer(self.path) else self.base

    def form(self, weights: str, placement: Placement) -> Form:
        """What `weights` says of its matrices if they are not trained. Raises: UserError for what its adapter needs."""
        dora = self.adapter is not None and bool(self.adapter.settings.get("use_dora"))
        return frozen_form(weights, placement, dora=dora)

    def in_memory(self, beside: Network | None) -> Base | None:
        """The base that another model has in memory, if this is it, or an adapter of the same."""
        if beside is None or beside.role is None:
            return None
        base = beside.role.base
        if self.adapter is None:
            return base if Path(base.path).resolve() == Path(self.base).resolve() else None
        return base if base.fingerprint == fingerprint_of(self.base) else None


def codec_of(path: str, *, template: str | None = None) -> Codec:
    """The tokenizer, template and end-of-text tokens that a model folder records.

    Raises: UserError if one of them is missing or contradicts `template`.
    """
    source = _Source.of(model_folder(path))
    return _codec(source.words, source.config, template=template)


def context_without_tokenizer(path: str) -> int | None:
    """Most tokens that a model reads whose folder holds no tokenizer; None if it has one. Raises: UserError."""
    source = _Source.of(model_folder(path))
    wordless = Path(source.words).is_dir() and not has_tokenizer(source.words)
    return context_of(source.words, source.config) if wordless else None


def _codec(path: str, config: PretrainedConfig, *, template: str | None) -> Codec:
    """The same of a folder whose files and configuration were looked at."""
    tokenizer = tokenizer_of(path)
    with_template(tokenizer, template, path, needs_bos=_needs_bos(tokenizer, config.model_type))
    codec = Codec(tokenizer, _stop_ids(path, tokenizer), context_of(path, config))
    _check_template(path, codec)
    end = codec.turn.end
    if end is not None:
        first = int(tokenizer.convert_tokens_to_ids(end))  # pyright: ignore[reportArgumentType]  # one token, one id
        codec = replace(codec, stop_ids=tuple(dict.fromkeys([first, *codec.stop_ids])))
    if not codec.stop_ids:
        raise UserError(
            f"{path}: the tokenizer names no end-of-text token (eos_token), and the chat template ends no turn with "
            "one, so no response could ever end. Add it to tokenizer_config.json."
        )
    if codec.context < config.get_text_config().max_position_embeddings:
        _remark(
            f"{path}: this model reads every position in another way once a text has more than {codec.context} tokens "
            f"(longrope); prefloop uses its first {codec.context} tokens only."
        )
    if end is None:
        eos = tokenizer.convert_ids_to_tokens(codec.stop_ids[0])
        _remark(
            f"{path}: its chat template ({codec.template_name}) ends the assistant's turn with no token of its own; "
            f"responses end with {eos}."
        )
    if codec.turn.opened:
        _remark(
            f"{path}: its chat template begins the response itself, with {codec.turn.opened.strip()!r}: responses are "
            "read as going on from there."
        )
    if config.to_dict().get("auto_map") is not None:
        _remark(f"{path}: the Python code that came with the model (auto_map) is not run; transformers' own is.")
    if TODAY in codec.template:
        _remark(
            f"{path}: its chat template writes today's date, so the same prompt reads differently on another day, and "
            "a run that goes on tomorrow reads other prompts. Write a date into the template to have it exact."
        )
    return codec


TODAY = "strftime_now"
"""What chat templates ask for the date with."""


@functools.cache
def _remark(sentence: str) -> None:
    """Says something once."""
    say(sentence, to=sys.stderr)


def _needs_bos(tokenizer: PreTrainedTokenizerBase, family: str) -> bool:
    """Whether the model reads every text behind a token for its beginning: its tokenizer adds one, or it is a Gemma."""
    bos = tokenizer.bos_token_id
    return bos is not None and (family.startswith("gemma") or tokenizer.encode("a")[:1] == [bos])


def _check_template(path: str, codec: Codec) -> None:
    """Raises: UserError if the template cannot be read or leaves out what is asked."""
    try:
        text = codec.prompt_text(TALK[:1])
    except Refused as problem:
        if problem.unreadable:
            raise
        return  # it may take the conversations that there are
    if ASKED not in text:
        raise UserError(
            f"{path}: its chat template leaves out what the user says (it writes {text[:60]!r}). Mend it in the model "
            "folder, or take it out and say which built-in one to use, for instance template=plain."
        )


def _stop_ids(path: str, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The tokenizer's end-of-text token, then whatever else generation_config.json or a GGUF file stops at."""
    first = [tokenizer.eos_token_id] if isinstance(tokenizer.eos_token_id, int) else []
    if gguf.is_gguf(path):
        return tuple(dict.fromkeys([*first, *gguf.header(path).ends()]))
    file = Path(path) / "generation_config.json"
    more: Any = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id") if file.is_file() else None
    listed = [] if more is None else [more] if isinstance(more, int) else list(more)
    return tuple(dict.fromkeys([*first, *listed]))


def writer(path: str, *, template: str | None = None) -> Codec:
    """The codec of a folder whose model writes, so far as this shows without its weights. Raises: UserError."""
    source = _writing(model_folder(path))
    return _codec(source.words, source.config, template=template)


def _writing(path: str) -> _Source:
    """Where a model that writes is. Raises: UserError if it only scores, or cannot be read."""
    source = _Source.of(path)
    if source.scores or is_reward_model(source.config):
        raise UserError(
            f"{path}: this is a reward model: it gives a response a number and cannot write one. Give it as reward=, "
            f"or type: prefloop score model={path} data=FILE out=scores.jsonl"
        )
    structure(path, source.config, scores=False)
    return source


def causal(
    path: str,
    placement: Placement,
    *,
    template: str | None = None,
    beside: Network | None = None,
    weights: str = "float32",
) -> Network:
    """A causal language model.

    Args:
        path: its folder, an adapter's folder, a GGUF file, or a hub id.
        placement: where the weights go, and how precisely it computes.
        template: a built-in template's name, if the folder records none.
        beside: a model in memory, whose base it shares if it is that, or an adapter of the same.
        weights: how its matrices are held if they are not trained, so that they need not be in memory otherwise.

    Raises: UserError if the folder does not hold one that can be read exactly.
    """
    source = _writing(model_folder(path))
    codec = _codec(source.words, source.config, template=template)
    base = source.in_memory(beside)
    if base is not None and beside is not None and not beside.scores_only:
        return _worn(source, beside.pretrained, base, codec, placement)
    model = loaded(source.base, source.config, scores=False, form=source.form(weights, placement))
    _check_vocabulary(source.path, model, codec)
    return _worn(source, _moved(model, placement), None, codec, placement)


def _worn(
    source: _Source, model: PreTrainedModel, base: Base | None, codec: Codec, placement: Placement, name: str = "read"
) -> Network:
    """A model in memory, wearing what its folder holds, once it is verified.

    Args:
        base: what is in memory already of an adapter's base; None if the model was just loaded.
        name: what its adapter is called among others.
    """
    role = None if base is None else Role(base)
    if source.adapter is not None:
        role = read(model, base or Base(model, source.base), name, source.adapter)
    network = verified(model, codec, path=source.path, placement=placement, role=role)
    network.told = base is not None
    return network


def scalar(
    path: str,
    placement: Placement,
    *,
    fresh_head: bool = False,
    columns: Sequence[str] = (),
    template: str | None = None,
    beside: Network | None = None,
    weights: str = "float32",
) -> Network:
    """A model with a scalar head, or with several on one trunk.

    Args:
        path: a reward model folder, or with `fresh_head` a causal model's folder to start one from.
        placement: where the weights go, and how precisely it computes.
        fresh_head: True to put a new head (weights zero: every score starts at 0) on a causal model. It also gets a
            padding token, if it has none that could not end a response.
        columns: names of the numbers that a new head is to give, where it is to give several.
        template: a built-in template's name, if the folder records none.
        beside: a model in memory, whose base it shares if it is an adapter of the same.
        weights: how its matrices are held if they are not trained, so that they need not be in memory otherwise.

    Raises: UserError if the folder is not a reward model and no fresh head was asked for.
    """
    source = _Source.of(model_folder(path, scores=not fresh_head))
    path, config = source.path, source.config
    if not fresh_head and source.adapter is not None and not source.scores and source.adapter.of_scores:
        raise UserError(f"{path}: this adapter is a reward model's, but its head is not in the folder. {AGAIN}")
    if not fresh_head and not source.scores:
        named = ", ".join(config.architectures or []) or "no architecture named"
        raise UserError(f"{path}: this is not a reward model ({named}). Train one with `prefloop reward`.")
    names = columns if fresh_head else columns_of(path).names
    num = max(1, len(names))
    if not fresh_head and source.adapter is None and config.num_labels != num:
        wanted = "a reward model gives one" if num == 1 else f"{NORMALISATION} names {num} columns. {AGAIN}"
        raise UserError(f"{path}: this model gives {config.num_labels} numbers, and {wanted.rstrip('.')}.")
    if fresh_head and source.scores:
        _remark(
            f"{path}: this is a reward model already; its head is left away (its own head is not used, a new one "
            "starts at 0)."
        )
    made = structure(path, config, scores=True)
    codec = _codec(source.words, config, template=template)
    pad, size = padding_id(codec), int(config.get_text_config().vocab_size)
    config.num_labels, config.pad_token_id = num, pad if pad is None or pad < size else None  # no row; nothing reads it
    if num > 1:
        config.id2label, config.label2id = dict(enumerate(names)), {name: i for i, name in enumerate(names)}
    if fresh_head and source.adapter is not None:
        source = replace(source, adapter=source.adapter.without_head())
    base = source.in_memory(beside)
    if base is not None and beside is not None and source.adapter is not None and not fresh_head:
        shared = around(beside.pretrained.base_model, made, config)
        if shared is not None:
            return _worn(source, shared, base, codec, placement, "reward")
    begun = fresh_head or source.adapter is not None
    form = source.form(weights, placement)
    model = loaded(source.base, config, scores=True, fresh_head=begun, form=form)
    _check_vocabulary(path, model, codec)
    if fresh_head:
        give_padding(model, codec)
        torch.nn.init.zeros_(model.get_submodule(HEAD).get_parameter("weight"))
    return _worn(source, _moved(model, placement), None, codec, placement)


def sharing(path: str, networks: Sequence[Network]) -> Network | None:
    """The first of some models in memory whose base a reward model can share, because it is an adapter of the same."""
    source = _Source.of(model_folder(path, scores=True))
    return next((network for network in networks if source.adapter and source.in_memory(network)), None)


def reader(path: str, placement: Placement, *, beside: Network | None = None, weights: str = "float32") -> Network:
    """A model that writes or a reward model, whichever it is; see `causal`. Raises: UserError."""
    read = scalar if _Source.of(model_folder(path)).scores else causal
    return read(path, placement, beside=beside, weights=weights)


def _moved(model: PreTrainedModel, placement: Placement) -> PreTrainedModel:
    model.to(placement.device)  # pyright: ignore[reportArgumentType]  # transformers wraps `to` untyped
    return model


def _check_vocabulary(path: str, model: PreTrainedModel, codec: Codec) -> None:
    size, known = int(model.config.get_text_config().vocab_size), len(codec.tokenizer)
    if known - int(codec.tokenizer.pad_token_id == size) > size:  # nothing reads a padding token
        raise UserError(
            f"{path}: the tokenizer knows {known} tokens but the model only {size}; they do not belong together."
        )


Beside = Mapping[str, Mapping[str, Any]]
"""File name -> what else belongs to a model: the value of a JSON file, or the tensors of a .safetensors file."""


def save(folder: Path, network: Network, *, beside: Beside | None = None) -> None:
    """Writes what a network is: a plain folder of PEFT where it is an adapter on a base, else see `save_model`."""
    role = network.role
    if role is None:
        save_model(folder, network.pretrained, network.codec, beside=beside)
        return
    tensors: dict[str, torch.Tensor] = {**role.tensors}
    if network.scores_only:
        tensors[f"{HEAD}.weight"] = network.pretrained.get_submodule(HEAD).get_parameter("weight")
    with new_folder(folder) as temporary:
        with _refusals_of_the_system(temporary):
            settings = role.saved(scores=network.scores_only)
            write_adapter(temporary, settings, tensors, fingerprint=role.base.fingerprint)
        GenerationConfig(eos_token_id=list(network.codec.stop_ids)).save_pretrained(temporary)
        network.codec.tokenizer.save_pretrained(temporary)
        _write_beside(temporary, beside or {})


def _write_beside(folder: Path, beside: Beside) -> None:
    for name, value in beside.items():
        if name.endswith(".safetensors"):
            with _refusals_of_the_system(folder):
                save_file(dict(value), folder / name)
        else:
            write_json(folder / name, value)


def save_model(folder: Path, model: PreTrainedModel, codec: Codec, *, beside: Beside | None = None) -> None:
    """Writes a plain Hugging Face folder, whole or not at all: weights, configs, tokenizer and template."""
    implementation = model.config._attn_implementation
    model.config._attn_implementation = "sdpa"
    if isinstance(model, GenerationMixin):
        model.generation_config.eos_token_id = list(codec.stop_ids)
    try:
        with new_folder(folder) as temporary:
            with _refusals_of_the_system(temporary):
                model.save_pretrained(temporary)
            if not isinstance(model, GenerationMixin):  # a reward model ends responses with the same token
                GenerationConfig(eos_token_id=list(codec.stop_ids)).save_pretrained(temporary)
            codec.tokenizer.save_pretrained(temporary)
            _write_beside(temporary, beside or {})
    finally:
        model.config._attn_implementation = implementation


@contextlib.contextmanager
def _refusals_of_the_system(folder: Path) -> Iterator[None]:
    """Turns what safetensors says of a full disk into the OSError that it was."""
    try:
        yield
    except SafetensorError as problem:
        number = re.search(r"\(os error (\d+)\)", str(problem))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(folder / "model.safetensors")) from problem
