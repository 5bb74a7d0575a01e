"""What lies in a model folder, looked at before and after transformers reads it: every fault is one sentence.

transformers fills what a file lacks with random numbers, leaves out what it has no place for, and asks on the terminal
whether to run foreign code. Here nothing is filled, left out or run.
"""

import contextlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    PretrainedConfig,
    PreTrainedModel,
)

from prefloop import layout
from prefloop.errors import UserError
from prefloop.models import gguf
from prefloop.models.machine import give_back, is_mapped
from prefloop.models.quantised import Form, hold, linears

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
JSON = ("generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", INDEX)
"""Files of a model folder beside its card that hold a JSON object, where they are there at all."""
AGAIN = "Download the model again, or run the stage that wrote it again."
OTHERS = "Use a model of another family; docs/models.md lists them."
WHOLE = "prefloop reads and trains whole weights only: give the model that this one was made from."
FAULTS = (*gguf.FAULTS, MemoryError, StrictDataclassError, SafetensorError)
"""What transformers raises for a folder that is wrong."""
_RUNNING = {"linear_attention", "conv", "mamba", "recurrent"}
"""Kinds of layers that carry a state along the text."""
MOST_LAYERS = 10_000
SCORES = "ForSequenceClassification"
"""How transformers' classes with a scalar head end."""
HEAD = "score"
"""The name of a reward model's head."""
_RECOMPUTED = re.compile(r"rotary_emb\.inv_freq$|(attn|attention)\.(masked_)?bias$")
"""Tables that old files hold beside the weights, and that a model computes anew."""
_OUTPUT = re.compile(r"^(lm_head|embed_out|output)\.")
"""The output matrix of a causal model, which a reward model has no use for."""
_HALVES = {"BF16": torch.bfloat16, "F16": torch.float16}
_QUANTISED = ("I8", "U8", "I4", "U4", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4")
"""Number formats of weights that mean nothing without scales beside them."""


@contextlib.contextmanager
def loading(path: str) -> Iterator[None]:
    """Turns transformers' complaints while loading `path` into sentences."""
    folder = Path(path)
    if folder.exists() and not folder.is_dir() and not gguf.is_gguf(path):
        raise UserError(f"{path}: this is a file, and no GGUF file; give the model's folder.")
    if folder.is_dir() and not layout.is_model(folder):
        raise UserError(
            f"{path}: this folder has no config.json, so it holds no model. Give a folder written by a stage, or a hub "
            "id."
        )
    try:
        yield
    except FAULTS as problem:
        if not folder.exists():
            raise UserError(
                f"{path}: there is no such folder, and it cannot be fetched from the model hub as an id (no network, "
                "or no such model). "
                "Check the path, or download the model elsewhere and give its folder."
            ) from problem
        raise UserError(f"{path}: the model cannot be loaded: {in_words(problem)}. {AGAIN}") from problem


def in_words(problem: BaseException) -> str:
    """The line of a library's message that says what is wrong."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()] or [type(problem).__name__]
    if isinstance(problem, json.JSONDecodeError):
        return f"one of its files is not JSON ({lines[0]})"
    if isinstance(problem, KeyError):
        return f"there is no {lines[0]} in transformers"
    if isinstance(problem, StrictDataclassError):
        return lines[-1].partition("Error: ")[2].rstrip(".")[:300] or lines[-1]
    return lines[0].rstrip(".")[:300]


def check_files(path: str) -> None:
    """Looks at the JSON of a model folder, or at the header of a GGUF file.

    Raises: UserError if a file is damaged, or if it is no plain model.
    """
    if gguf.is_gguf(path):
        gguf.header(path)
        return
    folder = Path(path)
    with loading(path):
        config = read_object(layout.model_card(folder))
        others = {name: read_object(folder / name) for name in JSON if (folder / name).is_file()}
    wrong = _wrong_values(config) or {
        f"{name}: eos_token_id": ends
        for name, ends in ((name, read.get("eos_token_id")) for name, read in others.items() if name in JSON[:1])
        if ends is not None and not all(type(end) is int for end in (ends if isinstance(ends, list) else [ends]))
    }
    for name, value in wrong.items():
        raise UserError(f"{path}: {name} = {json.dumps(value)[:80]} cannot be. {AGAIN}")
    quantised = config.get("quantization_config")
    if quantised is not None:
        how = quantised.get("quant_method") if isinstance(quantised, dict) else None
        raise UserError(f"{path}: the weights are quantised ({how or 'quantization_config in config.json'}). {WHOLE}")
    kind = config.get("model_type")
    if isinstance(kind, str) and kind in CONFIG_MAPPING:
        return
    if config.get("auto_map") is not None:
        raise UserError(
            f"{path}: config.json asks to run Python code that came with the model (auto_map), which prefloop never "
            "does. Use a model of a family that transformers has built in; docs/models.md lists them."
        )
    said = f"says model_type = {json.dumps(kind)[:80]}" if kind is not None else "does not say which (model_type)"
    raise UserError(
        f"{path}: transformers knows no such family of models: config.json {said}. Check config.json, or use a model "
        "of a family in docs/models.md."
    )


def _wrong_values(config: dict[str, Any]) -> dict[str, Any]:
    """What config.json says that no model can be, by name; looked at before lists as long as that are made."""
    named = config.get("architectures")
    listed = named is None or (isinstance(named, list) and all(isinstance(name, str) for name in named))
    wrong: dict[str, Any] = {} if listed else {"architectures": named}
    layers = {name: config.get(name) for name in ("num_hidden_layers", "num_layers", "n_layers", "n_layer")}
    wrong |= {name: count for name, count in layers.items() if isinstance(count, int) and not 0 < count <= MOST_LAYERS}
    return {f"config.json: {name}": value for name, value in wrong.items()}


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises: UserError naming file and line if there is none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as problem:
        raise UserError(f"{file}:{problem.lineno}: this is not JSON ({problem.msg}). {AGAIN}") from None
    except (UnicodeDecodeError, RecursionError):
        raise UserError(f"{file}: this is not JSON. {AGAIN}") from None
    if not isinstance(found, dict):
        raise UserError(f"{file}: this should hold names and values, but holds a {type(found).__name__}. {AGAIN}")
    return found


def config_of(path: str) -> PretrainedConfig:
    """The configuration in a folder or file that `check_files` has looked at. Raises: UserError if transformers cannot
    read it, or if it names no causal structure."""
    packed = gguf.config(path) if gguf.is_gguf(path) else None
    with loading(path) if packed is None else contextlib.nullcontext():
        config = packed or AutoConfig.from_pretrained(path, trust_remote_code=False)
        kind = type(config)
        encoder = kind in MODEL_FOR_MASKED_LM_MAPPING and not number(config, "is_decoder")
        writes = kind in MODEL_FOR_CAUSAL_LM_MAPPING or kind in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
        sees = kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
        both = bool(number(config, "is_encoder_decoder"))
    what = ""
    if both:
        what = "an encoder-decoder, which reads the prompt with one half and writes with another"
    elif encoder:
        what = "an encoder, which reads both ways and cannot write responses"
    elif sees and not writes:
        what = "a model of pictures and text"
    elif not writes:
        what = "no language model that writes one token after another"
    if what:
        raise UserError(
            f"{path}: {_named(config)} is {what}; prefloop needs a causal (decoder-only) language model, such as Llama "
            "or Qwen, also for rewards. docs/models.md lists the families."
        )
    return config


def structure(path: str, config: PretrainedConfig, *, scores: bool) -> type[PreTrainedModel]:
    """transformers' class for a model. Raises: UserError if it has none, or one whose tokens cannot be packed.

    Args:
        path: where it is, for the message.
        config: its configuration.
        scores: True for one with a scalar head, False for one that writes.
    """
    mapping = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING if scores else MODEL_FOR_CAUSAL_LM_MAPPING
    if type(config) not in mapping:
        what = "as a reward model" if scores else "as a model that writes"
        raise UserError(f"{path}: transformers does not have {config.model_type} {what}. {OTHERS}")
    made: Any = mapping[type(config)]
    if made._is_stateful or _RUNNING & set(number(config.get_text_config(), "layer_types") or ()):
        raise UserError(
            f"{path}: {made.__name__} keeps a running state from token to token (as Mamba does), instead of attention "
            f"or beside it, and prefloop reads attention only. {OTHERS}"
        )
    if not made._supports_attention_backend:
        raise UserError(
            f"{path}: transformers computes the attention of {made.__name__} only in its own way, and prefloop must "
            f"compute it itself, to read without padding. {OTHERS}"
        )
    return made


def _named(config: PretrainedConfig) -> str:
    return ", ".join(config.architectures or []) or str(config.model_type)


def is_reward_model(config: PretrainedConfig) -> bool:
    """True if a configuration names a scalar head."""
    return any(name.endswith(SCORES) for name in config.architectures or [])


def number(config: PretrainedConfig, name: str) -> Any:
    """A value of a configuration under its usual name, whatever the family calls it; None if it has none."""
    try:
        return attrgetter(name)(config)
    except AttributeError:
        return None


def context_of(path: str, config: PretrainedConfig) -> int:
    """Most tokens that a model reads; of one that turns all positions in another way once a text is long (longrope),
    the tokens up to there, or a long text would change a short one that is read beside it.

    Raises: UserError if its configuration does not say.
    """
    text = config.get_text_config()
    context = number(text, "max_position_embeddings")
    if not isinstance(context, int) or context < 2:
        raise UserError(
            f"{path}: config.json does not say how many tokens {_named(config)} can read (max_position_embeddings = "
            f"{json.dumps(context, default=str)}). Add it there."
        )
    turned = number(text, "rope_parameters") or {}
    kinds = [turned, *(kind for kind in turned.values() if isinstance(kind, dict))]  # one for all layers, or for kinds
    limits = [k.get("original_max_position_embeddings") for k in kinds if k.get("rope_type") == "longrope"]
    return min([context, *(limit for limit in limits if isinstance(limit, int))])


def tensors(path: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors in a folder's safetensors files, or in a GGUF file.

    Raises: UserError if a file is damaged.
    """
    return gguf.shapes(path) if gguf.is_gguf(path) else {name: shape for name, (shape, _) in _tensors(path).items()}


def _tensors(path: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """Name -> shape and number format of all tensors in a folder's safetensors files. Raises: UserError."""
    folder = Path(path)
    if (folder / WEIGHTS).is_file():
        files = [WEIGHTS]
    elif (folder / INDEX).is_file():
        where = read_object(folder / INDEX).get("weight_map")
        if not isinstance(where, dict) or not all(isinstance(name, str) for name in where.values()):
            raise UserError(f"{folder / INDEX}: it does not say in which file each weight is (weight_map). {AGAIN}")
        files = sorted(set(where.values()))
        lost = [name for name in files if not (folder / name).is_file()]
        if lost:
            raise UserError(f"{path}: {_counted(lost, 'file')} missing, which {INDEX} names. {AGAIN}")
    elif any(folder.glob("*.bin")):
        raise UserError(
            f"{path}: the weights are there only as .bin files, which can hold programs; prefloop reads safetensors. "
            "Convert them: AutoModelForCausalLM.from_pretrained(...).save_pretrained(...) in transformers."
        )
    else:
        raise UserError(f"{path}: the folder has no weights ({WEIGHTS}). {AGAIN}")
    found: dict[str, tuple[tuple[int, ...], str]] = {}
    for name in files:
        try:
            with safe_open(folder / name, framework="pt") as opened:
                parts = {key: opened.get_slice(key) for key in opened.keys()}  # noqa: SIM118
                found |= {key: (tuple(part.get_shape()), part.get_dtype()) for key, part in parts.items()}
                small = [
                    key
                    for key, part in parts.items()
                    if part.get_dtype() in _QUANTISED and not _RECOMPUTED.search(key)  # old masks are bytes
                ]
        except (SafetensorError, OSError) as problem:
            raise UserError(f"{folder / name}: the weights are damaged or incomplete ({problem}). {AGAIN}") from None
        if small:
            raise UserError(f"{folder / name}: {_counted(small, 'weight')} quantised. {WHOLE}")
    return found


def is_described_only(path: str) -> bool:
    """True for a folder in which no file of weights is, whether or not an index names some."""
    folder = Path(path)
    return folder.is_dir() and not any(any(folder.glob(f"*{ending}")) for ending in (".safetensors", ".bin"))


def loaded(
    path: str, config: PretrainedConfig, *, scores: bool, fresh_head: bool = False, form: Form = "float32"
) -> PreTrainedModel:
    """A model in float32 with every weight from the file, computing attention as transformers writes it out.

    In another form the matrices of its trunk are brought to it one by one, and are never all there as they were; only
    those of a family that transformers puts together from parts stay in float32.

    Args:
        path: a model folder, or a GGUF file.
        config: its configuration.
        scores: True for one with a scalar head, False for one that writes.
        fresh_head: True if that head need not be in the file.
        form: how matrices that are not trained are held.

    Raises: UserError if the folder lacks a weight, has one too many, or has one of another shape.
    """
    made = structure(path, config, scores=scores)
    held = sum(map(math.prod, tensors(path).values()))
    _check_sizes(path, config, held)
    state, reads = _unpacked(path, config, later=form != "float32") if gguf.is_gguf(path) else (None, {})
    mapped = state is None and form != "float32"
    with loading(path):
        model, report = (_as_in_file(made, path) if mapped else made).from_pretrained(  # pyright: ignore[reportGeneralTypeIssues]  # two, as asked for
            path if state is None else None,
            config=config,
            state_dict=state,
            dtype=torch.float32,
            attn_implementation="eager",
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # reported instead of raised
            output_loading_info=True,
        )
    if scores and HEAD not in dict(model.named_children()):
        raise UserError(f"{path}: the head of {made.__name__} is not called `{HEAD}`. {OTHERS}")
    _check_report(path, report, fresh_head=fresh_head)
    model.__class__ = made
    trunk = model.base_model
    if mapped:
        reads = {name: partial(Tensor.detach, layer.weight) for name, layer in linears(trunk).items()}
        if not all(is_mapped(read()) for read in reads.values()):
            trunk.float()
            return model
    hold(trunk, form, reads)
    give_back()
    return model


def _as_in_file(made: type[PreTrainedModel], path: str) -> type[PreTrainedModel]:
    """The same class, with the matrices of its trunk in the number format of the file, if all there have one of 16
    bits: transformers leaves such matrices in the file, and makes all others anew."""
    kinds = {kind for name, (shape, kind) in _tensors(path).items() if len(shape) > 1 and not _RECOMPUTED.search(name)}
    dtype = _HALVES.get(kinds.pop()) if len(kinds) == 1 else None

    def init(self: PreTrainedModel, *args: Any, **kwargs: Any) -> None:
        made.__init__(self, *args, **kwargs)
        for layer in linears(self.base_model).values():
            layer.weight = torch.nn.Parameter(layer.weight.to(dtype))

    named = {"__module__": made.__module__, "__qualname__": made.__qualname__}
    return made if dtype is None else type(made.__name__, (made,), {"__init__": init, **named})


def _unpacked(
    path: str, config: PretrainedConfig, *, later: bool
) -> tuple[dict[str, Tensor], dict[str, Callable[[], Tensor]]]:
    """The weights of a GGUF file, which always holds a model that writes. Args: later: True for the matrices of its
    trunk in shape only, and what reads them, by the names of their layers in the trunk."""
    with torch.device("meta"):
        skeleton = structure(path, config, scores=False)(config)
    prefix = f"{skeleton.base_model_prefix}."
    state, reads = gguf.weights(path, skeleton, [prefix + n for n in linears(skeleton.base_model)] if later else ())
    return state, {name.removeprefix(prefix): read for name, read in reads.items()}


def _check_sizes(path: str, config: PretrainedConfig, held: int) -> None:
    """Refuses sizes far beyond what is in the file before memory is asked for them. held: numbers in the file."""
    text = config.get_text_config()
    sizes = {
        name: number(text, name) for name in ("hidden_size", "vocab_size", "num_hidden_layers", "intermediate_size")
    }
    width = sizes["hidden_size"]
    for name, size in sizes.items():
        if isinstance(size, int) and size < 1:
            raise UserError(f"{path}: config.json says {name} = {size}, which is no size. {AGAIN}")
        if isinstance(size, int) and isinstance(width, int) and size * width > 8 * held:
            raise UserError(
                f"{path}: config.json says {name} = {size} (and hidden_size = {width}), far more than the {held} "
                f"numbers in the weights' files. {AGAIN}"
            )


def _check_report(path: str, report: Mapping[str, Any], *, fresh_head: bool) -> None:
    """Raises: UserError if transformers' loading report says that not every weight is from the file."""
    shapes = {name: (file, model) for name, file, model in report["mismatched_keys"]}
    lacks = {name for name in report["missing_keys"] if name not in shapes}
    extra = {name for name in report["unexpected_keys"] if not _RECOMPUTED.search(name)}
    if fresh_head:
        lacks = {name for name in lacks if not name.startswith(f"{HEAD}.")}
        extra = {name for name in extra if not _OUTPUT.search(name)}
        shapes = {name: both for name, both in shapes.items() if not name.startswith(f"{HEAD}.")}
    if extra and all(name.startswith("base_model.model.") for name in extra):
        raise UserError(
            f"{path}: these are weights as PEFT saves them (every name begins with `base_model.model.`), so the model "
            "finds none of its own. Merge the adapter into its base (merge_and_unload in PEFT) and save that."
        )
    faults = [f"{_counted(lacks, 'weight')} missing"] if lacks else []
    if extra:
        faults.append(f"{_counted(extra, 'weight')} not part of such a model")
    if shapes:
        name, (file, model) = min(shapes.items())
        faults.append(
            f"{_counted(shapes, 'weight')} of another size ({name}: {_by(file)} in the file, {_by(model)} by "
            "config.json)"
        )
    if faults:
        raise UserError(f"{path}: the weights do not fit config.json: {'; '.join(faults)}. {AGAIN}")


def _counted(names: Iterable[str], what: str) -> str:
    """`2 weights (a, b) are`, the first three by name."""
    ordered = sorted(names)
    more = ", ..." if len(ordered) > 3 else ""
    plural, verb = ("s", "are") if len(ordered) > 1 else ("", "is")
    return f"{len(ordered)} {what}{plural} ({', '.join(ordered[:3])}{more}) {verb}"


def _by(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape)) or "one number"
