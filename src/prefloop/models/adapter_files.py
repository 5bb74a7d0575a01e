"""A PEFT folder on disk: what it says, whether prefloop can read it exactly, and how one is written.

    adapter_config.json          the kind of adapter, which layers it is on, and where its base is
    adapter_model.safetensors    its weights; of a reward model also the head, as PEFT's `modules_to_save` writes it
    prefloop_adapter.json        a fingerprint of the base, so that another one is refused

Nothing here needs peft.
"""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.atomic import write_json
from prefloop.models.checkpoint import AGAIN, HEAD, INDEX, WEIGHTS, read_object

TENSORS = "adapter_model.safetensors"
FINGERPRINT = "prefloop_adapter.json"
PREFIX = "base_model.model."
"""What PEFT puts before the name of every weight."""
LORA = re.compile(r"(?P<module>.+)\.(lora_A\.weight|lora_B\.weight|lora_magnitude_vector(\.weight)?)")
MERGE = "Merge it into its base with peft (merge_and_unload), and give that folder."
BEGINNINGS = (True, False, "true", "false", "gaussian", "eva", "orthogonal")
"""Ways to begin an adapter that leave its base as it was."""
READ = {
    "alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias", "corda_config", "ensure_weight_tying",
    "eva_config", "exclude_modules", "fan_in_fan_out", "inference_mode", "init_lora_weights", "layers_pattern",
    "layers_to_transform", "loftq_config", "lora_alpha", "lora_dropout", "lora_ga_config", "megatron_core",
    "modules_to_save", "peft_type", "peft_version", "qalora_group_size", "r", "rank_pattern", "revision",
    "runtime_config", "target_modules", "task_type", "use_dora", "use_rslora",
}  # fmt: skip
"""Entries of adapter_config.json that prefloop follows, or that change nothing once the weights are there."""


@dataclass(frozen=True)
class AdapterFolder:
    """A folder of PEFT that prefloop can read."""

    path: str
    base: str
    """the folder, hub id or file of the model that it is an adapter of"""
    settings: dict[str, Any]
    """adapter_config.json"""
    shapes: dict[str, tuple[int, ...]]
    """name of each weight, without PEFT's prefix -> its shape"""
    fingerprint: str | None
    """of the base, if prefloop wrote the folder"""

    @property
    def scores(self) -> bool:
        """True if it holds the head of a reward model."""
        return f"{HEAD}.weight" in self.shapes

    @property
    def of_scores(self) -> bool:
        """True if it says that it is a reward model's, whether or not the head is there."""
        return self.settings.get("task_type") == "SEQ_CLS"

    def without_head(self) -> Self:
        """The same, as if it were of a model that writes."""
        return replace(self, shapes={name: shape for name, shape in self.shapes.items() if name != f"{HEAD}.weight"})

    @property
    def modules(self) -> list[str]:
        """The layers that it is on."""
        found = (LORA.fullmatch(name) for name in self.shapes)
        return sorted({match["module"] for match in found if match})

    def tensors(self) -> dict[str, Tensor]:
        """Its weights by name, without PEFT's prefix."""
        return {name.removeprefix(PREFIX): weight for name, weight in load_file(Path(self.path) / TENSORS).items()}


def adapter_folder(path: str) -> AdapterFolder | None:
    """What lies in a PEFT folder; None for any other path.

    Raises: UserError if it is damaged, of a kind that prefloop does not compute, or without its base.
    """
    folder = Path(path)
    if not layout.is_adapter(folder):
        return None
    settings = read_object(layout.adapter_card(folder))
    _check_kind(path, settings)
    known = folder / FINGERPRINT
    mark = read_object(known).get("base") if known.is_file() else None
    found = AdapterFolder(path, _base(path, settings), settings, _shapes(folder), mark if mark is None else str(mark))
    _check_weights(found)
    return found


def _check_kind(path: str, settings: dict[str, Any]) -> None:
    """Raises: UserError for an adapter that is no plain LoRA."""
    kind = settings.get("peft_type")
    if kind != "LORA":
        raise UserError(
            f"{path}: this is a PEFT folder of the kind {json.dumps(kind)}; prefloop reads LoRA (with rsLoRA and DoRA) "
            f"and no other kind. {MERGE} Or train one with adapter=lora."
        )
    named = settings.get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        raise UserError(
            f"{path}: adapter_config.json does not say which model this is an adapter of (base_model_name_or_path). "
            "Write its folder there."
        )
    if settings.get("bias", "none") != "none":
        raise UserError(
            f"{path}: this adapter trained the biases of its base too (bias = {json.dumps(settings['bias'])}), which "
            f"prefloop keeps as they are. {MERGE}"
        )
    begun = settings.get("init_lora_weights", True)
    if begun not in BEGINNINGS:
        raise UserError(
            f"{path}: this adapter began by changing its base (init_lora_weights = {json.dumps(begun)}), so on the "
            "base itself it says something else. Convert it with peft (path_initial_model_for_weight_conversion)."
        )
    other = sorted(name for name in settings.keys() - READ if settings[name])
    if other:
        raise UserError(
            f"{path}: adapter_config.json asks for {other[0]} = {json.dumps(settings[other[0]])[:80]}, which prefloop "
            f"does not compute. {MERGE}"
        )
    if settings.get("revision") not in (None, "main"):
        raise UserError(
            f"{path}: its base is the revision {settings['revision']} of {named}, and prefloop takes the newest. "
            "Download that revision, and write its folder into adapter_config.json (base_model_name_or_path)."
        )


def _base(path: str, settings: dict[str, Any]) -> str:
    """Where its base is: where it says, or there beside a folder that was moved. What is nowhere may be a hub id."""
    named = str(settings["base_model_name_or_path"])
    if Path(named).exists():
        return named
    parts, here = Path(named).parts, Path(path).resolve()
    around = [Path(*parts[start:]) for start in range(1, len(parts))]  # the longest that is found: names are alike
    found = (parent / inside for inside in around for parent in here.parents if parent / inside != here)
    moved = next((place for place in found if layout.is_model(place) or place.is_file()), None)
    if moved is not None:
        return str(moved)
    if len(parts) > 2 or Path(named).is_absolute():
        raise UserError(
            f"{path}: this is an adapter of {named}, and nothing is there. Put the model back, or write its new place "
            "into adapter_config.json (base_model_name_or_path)."
        )
    return named


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    file = folder / TENSORS
    if not file.is_file():
        other = "They are there as adapter_model.bin, which can hold programs; save them as safetensors."
        again = other if (folder / "adapter_model.bin").is_file() else AGAIN
        raise UserError(f"{folder}: the folder has no weights of the adapter ({TENSORS}). {again}")
    try:
        with safe_open(file, framework="pt") as opened:
            named = {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as problem:
        raise UserError(f"{file}: the weights are damaged or incomplete ({problem}). {AGAIN}") from None
    return {name.removeprefix(PREFIX): shape for name, shape in named.items()}


def _check_weights(adapter: AdapterFolder) -> None:
    """Raises: UserError if the file holds more than an adapter of layers and a reward model's head, or less."""
    if not adapter.modules:
        raise UserError(f"{adapter.path}/{TENSORS}: no weight in it is of a LoRA adapter. {AGAIN}")
    more = sorted(name for name in adapter.shapes if not LORA.fullmatch(name) and name != f"{HEAD}.weight")
    if more:
        raise UserError(
            f"{adapter.path}: beside the adapter, {len(more)} other weights were trained ({', '.join(more[:3])}), "
            f"which prefloop keeps as they are. {MERGE}"
        )
    for module in adapter.modules:
        first, second = (adapter.shapes.get(f"{module}.lora_{letter}.weight") for letter in "AB")
        if first is None or second is None or len(first) != 2 or len(second) != 2 or first[0] != second[1]:
            raise UserError(f"{adapter.path}/{TENSORS}: the two matrices of {module} do not fit together. {AGAIN}")
    dropout = adapter.settings.get("lora_dropout")
    if not isinstance(adapter.settings.get("r"), int) or isinstance(dropout, str):
        raise UserError(f"{adapter.path}: adapter_config.json: r and lora_dropout should be numbers. {AGAIN}")


def write_adapter(folder: Path, settings: dict[str, Any], tensors: dict[str, Tensor], *, fingerprint: str) -> None:
    """Writes an adapter into a folder that is there, as PEFT does, the same bytes for the same adapter.

    Args:
        tensors: name without PEFT's prefix -> weight.
        fingerprint: of its base.
    """
    write_json(layout.adapter_card(folder), dict(sorted(settings.items())))
    named = {f"{PREFIX}{name}": weight.detach().cpu().contiguous() for name, weight in sorted(tensors.items())}
    save_file(named, folder / TENSORS, metadata={"format": "pt"})
    write_json(folder / FINGERPRINT, {"base": fingerprint})


def base_name(path: str) -> str:
    """How a folder names its base: by hub id if it was fetched from there, else by its whole path."""
    whole = Path(path).resolve()
    fetched = re.search(r"/models--(?P<owner>.+?)--(?P<name>.+?)/snapshots/", f"{Path(path).absolute()}/")
    return f"{fetched['owner']}/{fetched['name']}" if fetched else str(whole)


def fingerprint_of(path: str) -> str:
    """What a base is, in twelve letters, whatever its place, its shards and the precision of its file.

    Made of names, shapes and some values of all weights, rounded to bfloat16: a model trained further has other ones.
    """
    digest = hashlib.sha256()
    if Path(path).is_file():
        return _of_file(Path(path))
    for file, name in sorted(_places(path), key=lambda place: place[1]):
        with safe_open(file, framework="pt") as opened:
            part = opened.get_slice(name)
            shape = tuple(part.get_shape())
            row = part[0] if len(shape) > 1 else part[:]
        values = row.reshape(-1)[:16].to(torch.bfloat16).float()
        digest.update(f"{name}{shape}{values.tolist()}".encode())
    return digest.hexdigest()[:12]


def _places(path: str) -> list[tuple[Path, str]]:
    """The file and the name of every weight in a model folder."""
    folder = Path(path)
    if (folder / WEIGHTS).is_file():
        with safe_open(folder / WEIGHTS, framework="pt") as opened:
            return [(folder / WEIGHTS, name) for name in opened.keys()]  # noqa: SIM118
    where: dict[str, str] = read_object(folder / INDEX)["weight_map"]
    return [(folder / file, name) for name, file in where.items()]


def _of_file(file: Path) -> str:
    """Of a file that holds a whole model: its size, and 64 pieces of it."""
    size = file.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with file.open("rb") as opened:
        for place in range(64):
            opened.seek(size * place // 64)
            digest.update(opened.read(4096))
    return digest.hexdigest()[:12]
