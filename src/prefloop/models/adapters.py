"""Adapters (LoRA, rsLoRA, DoRA): a few small matrices beside the layers of a base that stays as it is.

One base in memory, several adapters on it, and at most one worn at a time:

    policy      base + its adapter                 reference      base + the adapter that the policy began from, or none
    critic      base + its adapter + a value head  reward model   base + its adapter + a scalar head

All layers read which adapter is worn from one list, so that to change it costs nothing. This is the only file that
imports peft, once there is an adapter. Hu et al. 2022 (arXiv:2106.09685), Kalajdzievski 2023 (rsLoRA,
arXiv:2312.03732), Liu et al. 2024 (DoRA, arXiv:2402.09353).
"""

import contextlib
import difflib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import PretrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from prefloop.defaults import SMALL
from prefloop.errors import UserError
from prefloop.models.adapter_files import AdapterFolder, base_name, fingerprint_of
from prefloop.models.checkpoint import HEAD
from prefloop.ops.draws import seeded
from prefloop.settings import Lora

Settings = dict[str, Any]
"""What adapter_config.json says."""
PARTS = {"lora_A.weight": "lora_A", "lora_B.weight": "lora_B", "lora_magnitude_vector": "lora_magnitude_vector"}
"""What a weight is called in a file of PEFT -> a layer's table of it for each adapter."""
LAYERS = ("r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora", "fan_in_fan_out")
"""Settings that decide what is put on a layer."""


def adapter_kind(asked: str, num_parameters: int, *, begun: bool) -> str:
    """What is trained: an adapter (`lora`) or all weights (`none`).

    Args:
        asked: the setting `adapter`.
        num_parameters: of the model.
        begun: True if the model that training begins from is an adapter on its base.
    """
    if asked != "auto":
        return asked
    return "lora" if begun or num_parameters > SMALL else "none"


class Base:
    """A model in memory whose weights stay, and the adapters on its layers."""

    def __init__(self, model: PreTrainedModel, path: str) -> None:
        """Args: model: whose weights are frozen now. path: its folder or file, by whose contents it is known."""
        model.requires_grad_(False)
        self.path, self.fingerprint = path, fingerprint_of(path)
        self.settings: dict[str, Settings] = {}
        self._trained: set[str] = set()
        self._worn: list[str] = []
        self._by_peft = False
        self._layers: dict[str, Any] = {}  # peft's, by name

    @property
    def worn(self) -> str | None:
        """The adapter that is worn now."""
        return self._worn[0] if self._worn else None

    @contextlib.contextmanager
    def wearing(self, adapter: str | None) -> Iterator[None]:
        """Context in which this adapter is worn, or none."""
        before = self._worn.copy()
        self._worn[:] = [] if adapter is None else [adapter]
        try:
            yield
        finally:
            self._worn[:] = before

    @contextlib.contextmanager
    def by_peft(self) -> Iterator[None]:
        """Context in which peft computes what it would compute elsewhere."""
        self._by_peft = True
        try:
            yield
        finally:
            self._by_peft = False

    def _forward(self, layer: Any, peft: Callable[..., Tensor], x: Tensor) -> Tensor:
        """What peft computes in a layer: W x + scaling * B A x, with the last product added where W x lies."""
        worn = self._worn[0] if self._worn and self._worn[0] in layer.scaling else None
        if worn is None:
            return layer.base_layer(x)
        mixed = x.dtype != torch.float32 and not torch.is_autocast_enabled(x.device.type)
        if self._by_peft or mixed or worn in layer.lora_variant:  # DoRA
            return peft(x)
        out = layer.base_layer(x)
        narrow, wide = layer.lora_A[worn].weight, layer.lora_B[worn].weight
        within = linear(x.reshape(-1, x.shape[-1]), narrow)
        flat = out.reshape(-1, out.shape[-1])
        return torch.addmm(flat, within, wide.t(), alpha=layer.scaling[worn]).view(out.shape)

    def tensors(self, adapter: str) -> dict[str, nn.Parameter]:
        """The weights of an adapter, under the names of a PEFT file (without its prefix)."""
        found: dict[str, nn.Parameter] = {}
        for module, layer in self._layers.items():
            tables = {name: dict(child.named_children()) for name, child in layer.named_children()}
            for part, table in PARTS.items():
                if adapter in tables.get(table, {}):
                    found[f"{module}.{part}"] = tables[table][adapter].get_parameter("weight")
        return found

    def layers(self, model: PreTrainedModel) -> dict[str, nn.Module]:
        """Name -> layer, of all that an adapter can be put on: the linear ones of the trunk."""
        within = f"{model.base_model_prefix}."
        return {
            name: self._layers[name].get_base_layer() if name in self._layers else module
            for name, module in model.named_modules()
            if name.startswith(within)
            and (isinstance(module, nn.Linear | Conv1D) or name in self._layers)
            and not any(name.startswith(f"{known}.") for known in self._layers)
        }

    def add(self, model: PreTrainedModel, name: str, settings: Settings, modules: Sequence[str]) -> str:
        """Puts an adapter on layers of a model around this base. It changes nothing yet, and is frozen.

        Args:
            name: what for; a number is added where there is one of that name.
            settings: as adapter_config.json has them.
            modules: names of the layers.

        Returns: its name.
        """
        from peft import LoraConfig, inject_adapter_in_model

        name = next(new for n in range(1000) if (new := f"{name}{n or ''}") not in self.settings)
        chosen = {key: settings[key] for key in LAYERS if key in settings}
        with torch.random.fork_rng(devices=[]):  # what is drawn here is replaced
            inject_adapter_in_model(LoraConfig(**chosen, target_modules=list(modules)), model, name)
        del model.peft_config  # or peft warns of the next adapter
        for module in (module for module in modules if module not in self._layers):
            self._layers[module] = layer = model.get_submodule(module)
            layer.forward = partial(self._forward, layer, layer.forward)
        self.settings[name] = settings
        for layer in self._layers.values():
            layer._active_adapter = self._worn
        for tensor in self.tensors(name).values():
            tensor.data = tensor.data.float()
        self.train(None)
        return name

    def train(self, adapter: str | None) -> None:
        """Gives an adapter gradients, beside those that have them. (Peft gives them to whatever it added last.)"""
        self._trained |= set() if adapter is None else {adapter}
        for name in self.settings:
            for tensor in self.tensors(name).values():
                tensor.requires_grad_(name in self._trained)

    def drop(self, adapter: str) -> None:
        """Forgets an adapter that nobody wears any more."""
        for layer in self._layers.values():
            layer.delete_adapter(adapter)
        del self.settings[adapter]
        self._trained.discard(adapter)

    def merge(self, model: PreTrainedModel, adapter: str) -> None:
        """Adds an adapter to the weights of its layers, which are plain layers then, trained like all others."""
        for name, layer in self._layers.items():
            layer.merge(adapter_names=[adapter])
            model.set_submodule(name, layer.get_base_layer())
        model.requires_grad_(True)


@dataclass(frozen=True)
class Role:
    """A base, and which of its adapters is worn when this role is asked."""

    base: Base
    adapter: str | None = None

    def wearing(self) -> contextlib.AbstractContextManager[None]:
        """Context in which the base answers for this role. What is read again in the backward pass needs it too."""
        return self.base.wearing(self.adapter)

    @contextlib.contextmanager
    def by_peft(self) -> Iterator[None]:
        """The same, with peft computing."""
        with self.base.by_peft(), self.wearing():
            yield

    @property
    def settings(self) -> Settings:
        """What adapter_config.json says of the adapter."""
        return self.base.settings[self.adapter or ""]

    @property
    def tensors(self) -> dict[str, nn.Parameter]:
        """The adapter's weights, under the names of a PEFT file; none without one."""
        return {} if self.adapter is None else self.base.tensors(self.adapter)

    @property
    def num_parameters(self) -> int:
        """Numbers in the adapter."""
        return sum(weight.numel() for weight in self.tensors.values())

    @property
    def empty(self) -> bool:
        """True if what it says is what its base says; DoRA's lengths of outputs say something of their own."""
        return not (self.adapter and self.settings.get("use_dora")) and not any(
            bool(weight.any()) for name, weight in self.tensors.items() if name.endswith("lora_B.weight")
        )

    def train(self) -> None:
        """Gives the adapter gradients."""
        self.base.train(self.adapter)

    def check(self, lora: Lora, path: str) -> None:
        """Raises: UserError if the adapter that training goes on with is made in another way than is asked for."""
        asked = {
            "rank": (lora.rank, self.settings.get("r")),
            "alpha": (lora.alpha, self.settings.get("lora_alpha")),
            "scaling": (lora.scaling, "rslora" if self.settings.get("use_rslora") else "standard"),
            "dora": (lora.dora, bool(self.settings.get("use_dora"))),
            "targets": (lora.targets, "all-linear"),
        }
        wrong = [name for name in lora.model_fields_set if name == "targets" or asked[name][0] != asked[name][1]]
        if wrong:
            name = wrong[0]
            raise UserError(
                f"lora.{name}: training goes on with the adapter in {path}, which is made already "
                f"(r = {self.settings.get('r')}, lora_alpha = {self.settings.get('lora_alpha')}). Leave lora.{name} "
                f"out, or merge it first and put a new one on that: prefloop export merge model={path} out=DIR"
            )

    def copied(self, model: PreTrainedModel, name: str) -> "Role":
        """A copy of the adapter on the same base, frozen; the base alone if there is nothing in it to copy.

        Args:
            model: one around the base.
            name: what for.
        """
        if self.adapter is None:
            return self
        copy = self._beside(model, name)
        with torch.no_grad():
            for part, weight in copy.tensors.items():
                weight.copy_(self.tensors[part])
        return copy

    def _beside(self, model: PreTrainedModel, name: str) -> "Role":
        modules = [part.removesuffix(".lora_A.weight") for part in self.tensors if part.endswith(".lora_A.weight")]
        return Role(self.base, self.base.add(model, name, self.settings, modules))

    def saved(self, *, scores: bool) -> Settings:
        """What adapter_config.json is to say, for peft to read the folder as the model that it is."""
        return {
            **self.settings,
            "base_model_name_or_path": base_name(self.base.path),
            "inference_mode": True,
            "lora_dropout": 0.0,
            "modules_to_save": [HEAD] if scores else None,
            "peft_type": "LORA",
            "task_type": "SEQ_CLS" if scores else "CAUSAL_LM",
        }


def fresh(model: PreTrainedModel, base: Base, name: str, lora: Lora, *, seed: int) -> Role:
    """A new adapter: its first matrix at random as in LoRA's paper, its second zero, so that it changes nothing yet.

    Raises: UserError if a layer that is asked for is not there.
    """
    layers = base.layers(model)
    modules = targeted(base.path, model, layers, lora.targets)
    settings = {
        "bias": "none",
        "fan_in_fan_out": isinstance(layers[modules[0]], Conv1D),
        "init_lora_weights": True,
        "lora_alpha": lora.alpha,
        "r": lora.rank,
        "target_modules": _written(model, modules),
        "use_dora": lora.dora,
        "use_rslora": lora.scaling == "rslora",
    }
    role = Role(base, base.add(model, name, settings, modules))
    for place, module in enumerate(modules):
        weight = role.tensors[f"{module}.lora_A.weight"]
        bound = 1 / math.sqrt(weight.shape[1])
        drawn = torch.rand(weight.shape, generator=seeded(seed, "adapter.weights", place))
        weight.data.copy_(bound * (2 * drawn - 1))
    return role


def read(model: PreTrainedModel, base: Base, name: str, folder: AdapterFolder) -> Role:
    """The adapter in a PEFT folder, with a reward model's head if it has one.

    Raises: UserError if it is not one of this base.
    """
    if folder.fingerprint not in (None, base.fingerprint):
        raise UserError(
            f"{folder.path}: this adapter was trained on another base than {base.path} is now (fingerprint "
            f"{folder.fingerprint}, found {base.fingerprint}). Give it the model that it was trained on, in "
            "adapter_config.json (base_model_name_or_path)."
        )
    layers = base.layers(model)
    for module in folder.modules:
        _check_fits(folder, base.path, module, layers.get(module))
    role = Role(base, base.add(model, name, folder.settings, folder.modules))
    given = {part.removesuffix(".weight") if "magnitude" in part else part: w for part, w in folder.tensors().items()}
    for part, weight in role.tensors.items():
        if part not in given or given[part].shape != weight.shape:
            raise UserError(
                f"{folder.path}: {part} in adapter_model.safetensors is not what adapter_config.json says of it (its "
                "rank r, rank_pattern or use_dora). Copy the folder again from where it was made."
            )
        weight.data.copy_(given[part])
    if folder.scores:
        head = model.get_submodule(HEAD).get_parameter("weight")
        if given[f"{HEAD}.weight"].shape != head.shape:
            wanted = "one" if len(head) == 1 else str(len(head))
            raise UserError(f"{folder.path}: its head gives {len(given[f'{HEAD}.weight'])} numbers, and not {wanted}.")
        head.data.copy_(given[f"{HEAD}.weight"])
    return role


def _check_fits(folder: AdapterFolder, base: str, module: str, layer: nn.Module | None) -> None:
    """Raises: UserError if there is no such layer, or one of another size."""
    rule = f"Its base is named in adapter_config.json (base_model_name_or_path = {folder.base})."
    if layer is None:
        raise UserError(
            f"{folder.path}: this adapter is of another base: {base} has no linear layer {module} in its trunk. {rule}"
        )
    if folder.settings.get("use_dora") and not layer.get_parameter("weight").is_floating_point():
        raise UserError(
            f"{folder.path}: this adapter (DoRA) measures its base's matrices in every pass, and they are quantised "
            "here. Set weights=float32 or weights=bfloat16."
        )
    if isinstance(layer, nn.Linear):  # whose matrix may be packed
        out, width = layer.out_features, layer.in_features
    else:
        width, out = layer.get_parameter("weight").shape
    first, second = folder.shapes[f"{module}.lora_A.weight"], folder.shapes[f"{module}.lora_B.weight"]
    if (second[0], first[1]) != (out, width):
        raise UserError(
            f"{folder.path}: this adapter is of another base: {module} is {second[0]} x {first[1]} for it, and "
            f"{out} x {width} in {base}. {rule}"
        )


def targeted(
    path: str, model: PreTrainedModel, layers: dict[str, nn.Module], targets: str | tuple[str, ...]
) -> list[str]:
    """Names of the layers that a setting asks for.

    Args:
        path: of the model, for the message.
        layers: all that there are.
        targets: `all-linear`, or ends of names.

    Raises: UserError for one that is not there, naming those like it.
    """
    if targets == "all-linear":
        return list(layers)
    asked = (targets,) if isinstance(targets, str) else targets
    chosen = {target: [name for name in layers if f".{name}".endswith(f".{target}")] for target in asked}
    for target, names in chosen.items():
        if names:
            continue
        if any(f".{name}".endswith(f".{target}") for name, _ in model.named_modules()):
            raise UserError(
                f"lora.targets: {target} is there in {path}, but it is no linear layer of its trunk, and an adapter is "
                f"put on those only: {', '.join(_ends(layers))}."
            )
        near = difflib.get_close_matches(target, _ends(layers), n=3, cutoff=0.5)
        raise UserError(
            f"lora.targets: {path} has no layer called {target}. "
            + (f"Did you mean {' or '.join(near)}? " if near else "")
            + f"There are: {', '.join(_ends(layers))}. all-linear takes all of them."
        )
    wanted = {name for names in chosen.values() for name in names}
    return [name for name in layers if name in wanted]


def _ends(layers: dict[str, nn.Module]) -> list[str]:
    """The last parts of names, each once."""
    return list(dict.fromkeys(name.rpartition(".")[2] for name in layers))


def _written(model: PreTrainedModel, modules: Sequence[str]) -> list[str]:
    """How a PEFT folder says which layers: by the last parts of their names, if those mean these and no other."""
    ends = {name.rpartition(".")[2] for name in modules}
    meant = {name for name, _ in model.named_modules() if name.rpartition(".")[2] in ends}
    return sorted(ends) if meant == {*modules} else sorted(modules)


def around(trunk: nn.Module, made: type[PreTrainedModel], config: PretrainedConfig) -> PreTrainedModel | None:
    """A model with a head of zeros, a row a column, around a trunk that is in memory; None if it would have other
    weights too."""
    with torch.device("meta"):
        model = made(config)
    model.set_submodule(model.base_model_prefix, trunk)
    weight = next(trunk.parameters())
    head = nn.Linear(
        int(config.get_text_config().hidden_size), int(config.num_labels or 1), bias=False, device=weight.device
    )
    nn.init.zeros_(head.weight.requires_grad_(False))
    model.set_submodule(HEAD, head)
    return None if any(parameter.is_meta for parameter in model.parameters()) else model.eval()
