"""Which model folder a path stands for: itself, a stage's model, or what a whole pipeline selected."""

from dataclasses import dataclass
from pathlib import Path

from prefloop import layout
from prefloop.errors import UserError
from prefloop.files.documents import read_document
from prefloop.models.checkpoint import SCORES, read_object
from prefloop.notation import read_yaml
from prefloop.records import EnsembleCard, RunCard
from prefloop.records.evaluations import Evaluation
from prefloop.stages import ALIGNING


@dataclass(frozen=True)
class Speaker:
    """A model to talk to."""

    name: str
    """What the column is called."""
    path: str
    """Model folder, or hub id."""
    single_turn: bool = False
    """True if it comes from a helpdesk pipeline, whose prompts all have one turn."""
    template: str | None = None
    """The chat template that the pipeline gave it, if its folder records none."""


def model_in(path: str, *, scores: bool = False) -> str:
    """The model folder that a path on this machine stands for: itself, or the only one that a stage or pipeline holds.

    Args:
        path: a model folder, a stage's folder, its `models`, or a pipeline's folder.
        scores: True where a reward model is wanted, False for one that writes; it decides inside a pipeline only.

    Returns: `path` itself where there is no model inside, for whoever loads it to say so.
    Raises: UserError if there are several, naming them.
    """
    folder = Path(path)
    if not folder.is_dir() or layout.is_model(folder) or layout.is_ensemble(folder):
        return path
    found = _kept(folder)
    if not found:
        inside = [model for stage in sorted(folder.iterdir()) if stage.is_dir() for model in _kept(stage)]
        found = [model for model in inside if _only_scores(model) == scores] or inside
    if len(found) > 1:
        names = ", ".join(str(model) for model in (found if len(found) < 4 else [*found[:2], found[-1]]))
        raise UserError(f"{path}: {len(found)} models are in this folder; give one of them: {names}.")
    return str(found[0]) if found else path


def members_in(folder: Path) -> list[Path]:
    """The models of an ensemble. Raises: UserError if one is missing, or its card is damaged."""
    num = read_document(layout.ensemble_card(folder), EnsembleCard).num
    members = [layout.member(folder, index) for index in range(num)]
    for member in members:
        if not layout.is_model(member):
            raise UserError(
                f"{folder}: this is an ensemble of {num} reward models, but {member} is missing or holds no model. "
                "Put it back, or train the ensemble again."
            )
    return members


def _kept(stage: Path) -> list[Path]:
    """The models that a stage's folder, or its `models`, holds."""
    single = stage / layout.MODEL
    if layout.is_model(single) or layout.is_ensemble(single):
        return [single]
    return layout.policies(stage) or layout.steps(stage)


def _only_scores(model: Path) -> bool:
    """True if a model folder's card names a scalar head."""
    if layout.is_ensemble(model):
        return True
    if layout.is_adapter(model):
        return read_object(layout.adapter_card(model)).get("task_type") == "SEQ_CLS"
    card = layout.model_card(model)
    named = read_object(card).get("architectures") if card.is_file() else None
    return isinstance(named, list) and any(str(name).endswith(SCORES) for name in named)


def speakers(path: str) -> list[Speaker]:
    """The models that a path stands for: one, or for a pipeline the reference and the selected one.

    Args:
        path: a model folder, a stage's folder, a pipeline's folder, or a hub id.

    Raises: UserError if it holds no model to talk to.
    """
    folder = Path(path)
    if not folder.is_dir() or layout.is_model(folder):
        return [_speaker(path.rstrip("/"), path)]
    for inner in (folder / layout.MODEL, *reversed(layout.policies(folder))):
        if layout.is_model(inner):
            return [_speaker(str(inner), str(inner))]
    return _of_pipeline(folder)


def _speaker(name: str, path: str) -> Speaker:
    """One model. Raises: UserError if it only scores (PIPE-9)."""
    if _only_scores(Path(path)):
        raise UserError(
            f"{path}: a reward model only scores; it has nothing to say. "
            f"Type: prefloop score model={path} data=FILE out=scores.jsonl, or prefloop serve {path} scores=true"
        )
    return Speaker(name, path)


def _of_pipeline(folder: Path) -> list[Speaker]:
    """SFT beside the policy, as far as they are there; once they are evaluated, the reference beside the selected."""
    recipe = folder / layout.RECIPE
    single = recipe.is_file() and "world" in read_yaml(str(recipe))[0]
    evaluation = folder / layout.EVALUATE / layout.EVALUATION
    if evaluation.is_file():
        evaluated = read_document(evaluation, Evaluation)
        reference, selected = (_moved(model.path, folder) for model in evaluated.compared)
        card = folder / layout.EVALUATE / layout.CARD
        template = read_document(card, RunCard).config.get("template") if card.is_file() else None
        return [
            Speaker(f"reference ({_short(reference)})", reference, single, template),
            Speaker(f"selected ({evaluated.selected})", selected, single, template),
        ]
    sft = layout.sft_model(folder)
    before = [Speaker(layout.SFT, str(sft), single)] if layout.is_model(sft) else []
    policies = [policy for name in ALIGNING for policy in layout.policies(folder / name)]
    after = [Speaker(policy.name, str(policy), single) for policy in policies[-1:]]
    if not before and not after:
        raise UserError(
            f"{folder}: no model to talk to is here. "
            "Give a model folder, or the folder of a pipeline whose sft stage has finished."
        )
    return before + after


def _moved(path: str, pipeline: Path) -> str:
    """A path recorded in a pipeline, looked up inside the pipeline's folder in case that was moved since."""
    parts = Path(path).parts
    inside = (pipeline.joinpath(*parts[start:]) for start in range(1, len(parts)))
    return next((str(folder) for folder in inside if layout.is_model(folder)), path)


def _short(path: str) -> str:
    """The last part of a path that is not `model`."""
    return next((part for part in reversed(Path(path).parts) if part != layout.MODEL), path)
