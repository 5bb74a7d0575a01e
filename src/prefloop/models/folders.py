"""Which model folder a path stands for: itself, a stage's model, or what a whole pipeline selected."""

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from prefloop.errors import UserError
from prefloop.files.documents import read_document
from prefloop.records.evaluations import Evaluation


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


def speakers(path: str) -> list[Speaker]:
    """The models that a path stands for: one, or for a pipeline the reference and the selected one.

    Args:
        path: a model folder, a stage's folder, a pipeline's folder, or a hub id.

    Raises: UserError if it holds no model to talk to.
    """
    folder = Path(path)
    if not folder.is_dir() or (folder / "config.json").is_file():
        _refuse_reward_model(folder)
        return [Speaker(path.rstrip("/"), path)]
    for inner in (folder / "model", last_policy(folder / "models")):
        if inner is not None and (inner / "config.json").is_file():
            _refuse_reward_model(inner)
            return [Speaker(str(inner), str(inner))]
    return _of_pipeline(folder)


def _of_pipeline(folder: Path) -> list[Speaker]:
    """SFT beside the policy, as far as they are there."""
    single = _is_helpdesk(folder)
    evaluation = folder / "evaluate" / "evaluation.json"
    if evaluation.is_file():
        evaluated = read_document(evaluation, Evaluation)
        paths = [_moved(model.path, folder) for model in evaluated.compared]
        template = _template(folder)
        return [
            Speaker(f"reference ({_short(paths[0])})", paths[0], single, template),
            Speaker(f"selected ({evaluated.selected})", paths[1], single, template),
        ]
    sft = folder / "sft" / "model"
    before = [Speaker("sft", str(sft), single)] if (sft / "config.json").is_file() else []
    policy = last_policy(folder / "ppo" / "models")
    after = [Speaker(policy.name, str(policy), single)] if policy is not None else []
    if not before and not after:
        raise UserError(
            f"{folder}: no model to talk to is here. Give a model folder, or the folder of a pipeline whose sft stage has finished."
        )
    return before + after


def last_policy(folder: Path) -> Path | None:
    """The policy of the last step that a ppo run kept, if there is one."""
    found = [p for p in sorted(folder.glob("step-*")) if (p / "config.json").is_file()]
    return found[-1] if found else None


def _moved(path: str, pipeline: Path) -> str:
    """A path recorded in a pipeline, found again inside the pipeline's folder even if that was moved since."""
    parts = Path(path).parts
    for start in range(1, len(parts)):
        inside = pipeline.joinpath(*parts[start:])
        if (inside / "config.json").is_file():
            return str(inside)
    return path


def _short(path: str) -> str:
    parts = [part for part in Path(path).parts if part != "model"]
    return parts[-1] if parts else path


def _template(folder: Path) -> str | None:
    """The template that evaluate was told, which a base model's folder does not record."""
    card = folder / "evaluate" / "run.json"
    return json.loads(card.read_text(encoding="utf-8"))["config"].get("template") if card.is_file() else None


def _is_helpdesk(folder: Path) -> bool:
    recipe = folder / "recipe.yaml"
    values = yaml.safe_load(recipe.read_text(encoding="utf-8")) if recipe.is_file() else None
    return isinstance(values, dict) and "world" in values


def _refuse_reward_model(folder: Path) -> None:
    """A reward model only scores (PIPE-9)."""
    card = folder / "config.json"
    if not card.is_file():
        return
    architectures = json.loads(card.read_text(encoding="utf-8")).get("architectures") or []
    if any(name.endswith("ForSequenceClassification") for name in architectures):
        raise UserError(
            f"{folder}: a reward model only scores; it has nothing to say. "
            f"Type: prefloop score model={folder} data=FILE out=scores.jsonl"
        )
