"""Models in and out, as plain Hugging Face folders, with sentences where transformers has tracebacks."""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GenerationMixin,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers import logging as hf_logging

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.atomic import new_folder, write_json
from prefloop.models.device import Placement
from prefloop.models.network import Network
from prefloop.text.codec import Codec, with_template

hf_logging.disable_progress_bar()
hf_logging.set_verbosity_error()

FILES = ("*.json", "*.jinja", "*.model", "*.safetensors", "*.txt")
"""What is fetched of a model on the hub."""


@contextlib.contextmanager
def loading(path: str) -> Iterator[None]:
    """Turns transformers' complaints while loading `path` into sentences."""
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{path}: this is a file; give the model's folder.")
    if folder.is_dir() and not layout.is_model(folder):
        raise UserError(
            f"{path}: this folder has no config.json, so it holds no model. Give a folder written by a stage, or a hub "
            "id."
        )
    try:
        yield
    except (OSError, ValueError, SafetensorError) as problem:
        first = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        if not folder.is_dir():
            raise UserError(
                f"{path}: there is no such folder, and it cannot be fetched from the model hub as an id (no network, "
                "or no such model). "
                "Check the path, or download the model elsewhere and give its folder."
            ) from problem
        raise UserError(f"{path}: the model cannot be loaded: {first}") from problem


def model_folder(path: str) -> str:
    """A model's folder on this machine: the path itself, or where a hub id has been or is now downloaded to.

    Raises: UserError if it is neither.
    """
    if Path(path).exists():
        return path
    with loading(path):
        return snapshot_download(path, allow_patterns=list(FILES))


def tokenizer_of(path: str) -> PreTrainedTokenizerBase:
    """The tokenizer in a model folder. Raises: UserError if there is none."""
    if Path(path).is_dir() and not any(
        (Path(path) / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
    ):
        raise UserError(
            f"{path}: this model folder has no tokenizer (tokenizer.json). Copy the tokenizer's files from the model's "
            "origin."
        )
    with loading(path):
        return AutoTokenizer.from_pretrained(path)


def codec_of(path: str, *, template: str | None = None) -> Codec:
    """The tokenizer, template and end-of-text tokens that a model folder records.

    Raises: UserError if one of them is missing or contradicts `template`.
    """
    path = model_folder(path)
    tokenizer = tokenizer_of(path)
    with_template(tokenizer, template, path)
    with loading(path):
        config = AutoConfig.from_pretrained(path)
    stops = _stop_ids(path, tokenizer)
    if not stops:
        raise UserError(
            f"{path}: the tokenizer names no end-of-text token (eos_token), so no response could ever end. Add it to "
            "tokenizer_config.json."
        )
    return Codec(tokenizer, stops, int(config.get_text_config().max_position_embeddings))


def _stop_ids(path: str, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The trained end-of-text token first, then whatever else generation_config.json stops at."""
    first = [tokenizer.eos_token_id] if isinstance(tokenizer.eos_token_id, int) else []
    file = Path(path) / "generation_config.json"
    more: Any = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id") if file.is_file() else None
    listed = [] if more is None else [more] if isinstance(more, int) else list(more)
    return tuple(dict.fromkeys([*first, *listed]))


def causal(path: str, placement: Placement, *, template: str | None = None) -> Network:
    """A causal language model. Raises: UserError if the folder does not hold one that can be read exactly."""
    path = model_folder(path)
    codec = codec_of(path, template=template)
    with loading(path):
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    _check_vocabulary(path, model, codec)
    return Network(_moved(model, placement), codec, path=path, placement=placement)


def scalar(path: str, placement: Placement, *, fresh_head: bool = False, template: str | None = None) -> Network:
    """A model with a scalar head.

    Args:
        path: a reward model folder, or with `fresh_head` a causal model's folder to start one from.
        placement: where the weights go, and how precisely it computes.
        fresh_head: True to put a new head (weights zero: every score starts at 0) on a causal model.
        template: a built-in template's name, if the folder records none.

    Raises: UserError if the folder is not a reward model and no fresh head was asked for.
    """
    path = model_folder(path)
    codec = codec_of(path, template=template)
    with loading(path):
        config = AutoConfig.from_pretrained(path)
    architectures = config.architectures or []
    if not fresh_head and not any(name.endswith("ForSequenceClassification") for name in architectures):
        named = ", ".join(architectures) or "no architecture named"
        raise UserError(f"{path}: this is not a reward model ({named}). Train one with `prefloop reward`.")
    # if end-of-text doubled as padding, transformers would read the score one token early
    pad = codec.tokenizer.pad_token_id
    config.num_labels, config.pad_token_id = 1, pad if isinstance(pad, int) and pad not in codec.stop_ids else None
    with loading(path):
        model = AutoModelForSequenceClassification.from_pretrained(path, config=config, dtype=torch.float32)
    if fresh_head:
        torch.nn.init.zeros_(model.score.weight)
    return Network(_moved(model, placement), codec, path=path, placement=placement)


def _moved(model: PreTrainedModel, placement: Placement) -> PreTrainedModel:
    model.to(placement.device)  # pyright: ignore[reportArgumentType]  # transformers wraps `to` untyped
    return model


def _check_vocabulary(path: str, model: PreTrainedModel, codec: Codec) -> None:
    size, known = int(model.config.get_text_config().vocab_size), len(codec.tokenizer)
    if known > size:
        raise UserError(
            f"{path}: the tokenizer knows {known} tokens but the model only {size}; they do not belong together."
        )


def save_model(
    folder: Path, model: PreTrainedModel, codec: Codec, *, beside: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Writes a plain Hugging Face folder, whole or not at all: weights, configs, tokenizer and template.

    Args:
        beside: file name -> what else belongs to the model, as JSON.
    """
    implementation = model.config._attn_implementation
    model.config._attn_implementation = "sdpa"
    if isinstance(model, GenerationMixin):
        model.generation_config.eos_token_id = list(codec.stop_ids)
    try:
        with new_folder(folder) as temporary:
            with _refusals_of_the_system(temporary):
                model.save_pretrained(temporary)
            codec.tokenizer.save_pretrained(temporary)
            for name, value in (beside or {}).items():
                write_json(temporary / name, value)
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
