"""A model that a setting names, as a role that is read in a certain way, before it is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import torch
from transformers import PretrainedConfig

from prefloop import layout
from prefloop.costs.estimate import Role, size
from prefloop.costs.reading import Model
from prefloop.defaults import Learner, chosen, resolved
from prefloop.models.adapter_files import adapter_folder, fingerprint_of
from prefloop.models.adapters import adapter_kind
from prefloop.models.batching import Batching, fitting
from prefloop.models.checkpoint import config_of, is_described_only, loading, number, structure, tensors
from prefloop.models.device import Placement
from prefloop.models.load import members_of, model_folder
from prefloop.models.memory import Anatomy, Way
from prefloop.models.quantised import frozen_form, trained_form
from prefloop.printing import amount
from prefloop.scoring.named import is_model
from prefloop.settings import Adapted, Batched, Reward, Weighted, models_of

C = TypeVar("C", bound=Adapted)


@dataclass(frozen=True)
class Named:
    """What a path to a model stands for."""

    base: str
    """the folder or file of its whole weights"""
    anatomy: Anatomy
    rank: int
    """of the adapter that the path is; 0 for none"""
    unseen: str = ""
    """a sentence, if no file of its weights is there"""

    @classmethod
    def of(cls, path: str, *, scores: bool = False) -> "Named":
        """Of a path as a user gives it. Raises: UserError if nothing there can be loaded."""
        folder = model_folder(path, scores=scores)
        adapter = adapter_folder(folder) if layout.is_adapter(Path(folder)) else None
        base = folder if adapter is None else model_folder(adapter.base)
        config = config_of(base)
        made = structure(base, config, scores=scores)
        with loading(base):
            anatomy = Anatomy.of(config, made)
        rank = 0 if adapter is None else int(adapter.settings.get("r", 0))
        if is_described_only(base):
            return cls(base, anatomy, rank, _unseen(base, config, anatomy))
        tensors(base)  # refuses files that cannot be loaded
        return cls(base, anatomy, rank)


def scoring(
    settings: Weighted, place: Placement, reward: Reward | None, others: Mapping[str, Named] = MappingProxyType({})
) -> list[Model]:
    """The models behind a reward, the members of an ensemble one by one. Args: others: by role, in memory beside."""
    folders: dict[str, str] = {}
    for key, path in models_of(reward, "reward model").items():
        if is_model(path):
            each = members_of(path)
            one = len(each) == 1
            folders |= {(key if one else f"{key} {i}").replace(".", " "): folder for i, folder in enumerate(each)}
    known, models = dict(others), list[Model]()
    for name, folder in folders.items():
        named = Named.of(folder, scores=True)
        shares = next(
            (role for role, other in known.items() if named.rank and other.rank and _are_one(named, other)), ""
        )
        form = "float32" if shares else frozen_form(settings.weights, place)
        role = Role(name, named.anatomy.trunk(), worn=named.rank, form=form, shares=shares, unseen=named.unseen)
        models.append(Model(role, way(place)))
        known[name] = named
    return models


def way(place: Placement) -> Way:
    """How models are read there."""
    return Way(half=place.autocast is not None, cpu=place.device.type == "cpu")


def frozen(settings: Weighted, place: Placement, name: str, path: str) -> Model:
    """A model that only writes."""
    named = Named.of(path)
    form = frozen_form(settings.weights, place)
    return Model(Role(name, named.anatomy, worn=named.rank, form=form, unseen=named.unseen), way(place))


@dataclass(frozen=True)
class Models:
    """How the models of a stage are made from its settings."""

    settings: Adapted
    place: Placement

    @property
    def way(self) -> Way:
        """How all of them are read."""
        return way(self.place)

    def trained(self, name: str, path: str, *, scores: bool = False) -> Model:
        """The model that learns: all its weights, or an adapter, as `adapter` says."""
        named = Named.of(path)
        anatomy = named.anatomy.trunk() if scores else named.anatomy
        if not learner(self.settings, path, scores=scores).adapter:
            form = trained_form(self.settings.weights, self.place)
            return Model(Role(name, anatomy, trained=True, form=form, unseen=named.unseen), self.way)
        form = frozen_form(self.settings.weights, self.place, dora=self.settings.lora.dora)
        rank = named.rank or self.settings.lora.rank
        way = replace(self.way, adapter=True, rank=rank)
        return Model(Role(name, anatomy, rank=rank, form=form, unseen=named.unseen), way)

    def batching(
        self, model: Model, settings: Batched, *, trunks: int = 1, beside: float = 0.0
    ) -> tuple[Batching, Model]:
        """How much a stage will compute at once, and its model as it is read then.

        Args:
            trunks: that learn, and keep activations at once.
            beside: bytes of the other models.
        """
        role = model.role
        sizes = fitting(
            role.anatomy,
            settings,
            self.place,
            trained=trunks * role.numbers_trained,
            adapter=role.rank > 0,
            trunks=trunks,
            coming=role.weights + beside,
        )
        return sizes, replace(model, way=replace(model.way, recompute=sizes.recompute))

    def beside(self, name: str, model: Model, *, trained: bool, worn: int = 0) -> Model:
        """A copy of a model: of all its weights, or on its base with an adapter of its own."""
        role = model.role
        if role.rank:
            rank = role.rank if trained else 0
            return replace(model, role=replace(role, name=name, rank=rank, worn=worn, shares=role.name))
        form = role.form if trained else frozen_form(self.settings.weights, self.place)
        return replace(model, role=replace(role, name=name, trained=trained, form=form))

    def scorers(self, reward: Reward | None, policy: str) -> list[Model]:
        """The reward models, which only read: each on the base of the policy, or of one before it, if it is an adapter
        of the same. Of functions nothing is known."""
        return scoring(self.settings, self.place, reward, {"policy": Named.of(policy)})


def _unseen(path: str, config: PretrainedConfig, anatomy: Anatomy) -> str:
    dtype = number(config.get_text_config(), "dtype")
    dtype = dtype if isinstance(dtype, torch.dtype) else torch.float32
    return (
        f"{path} holds no weights: their shapes are those that config.json describes ({amount(anatomy.numbers)} "
        f"numbers, a file of {size(dtype.itemsize * anatomy.numbers)} in {str(dtype).removeprefix('torch.')})."
    )


def _are_one(one: Named, other: Named) -> bool:
    """Whether two adapters are on the same base; of one without weights its place says so."""
    if Path(one.base).resolve() == Path(other.base).resolve():
        return True
    return not (one.unseen or other.unseen) and fingerprint_of(one.base) == fingerprint_of(other.base)


def learner(settings: Adapted, path: str, *, scores: bool = False) -> Learner:
    """What is going to learn of a model, the same as `Network.learner` once it is loaded.

    Args:
        scores: True if it gets a scalar head in place of the one that writes.
    """
    named = Named.of(path)
    anatomy = named.anatomy
    numbers = anatomy.trunk().numbers + anatomy.width if scores else anatomy.numbers
    return Learner(numbers, adapter_kind(settings.adapter, numbers, begun=named.rank > 0) == "lora")


def unchanged(settings: Adapted, path: str, *, scores: bool = False) -> str:
    """How the matrices of a model that learns are held from when it is read: as `weights` says where they stay as they
    are beneath an adapter. Args: see `learner`."""
    stay = learner(settings, path, scores=scores).adapter and not settings.lora.dora
    return settings.weights if stay else "float32"


def settled(stage: str, settings: C, path: str, *, scores: bool = False) -> C:
    """A stage's settings with those that it will choose for a model (see defaults.py). Args: see `learner`."""
    return resolved(settings, chosen(stage, settings, learner(settings, path, scores=scores)))
