"""Everything that both cards are made of, read once."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.cards.config import CardsConfig
from prefloop.cards.lineage import Made, line, short
from prefloop.cards.people import Collected, gathered
from prefloop.cards.scan import Scan, scanned
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.documents import read_document
from prefloop.files.foreign import read_demonstrations
from prefloop.files.gates import read_gate
from prefloop.models.load import members_of, model_folder
from prefloop.records.cards import Card
from prefloop.records.evaluations import Evaluation
from prefloop.records.gates import Gate


@dataclass(frozen=True)
class Demonstrated:
    """Demonstrations, counted."""

    num: int
    sources: dict[str, int]
    fingerprint: str


@dataclass(frozen=True)
class Facts:
    """What is known; None for what was not given."""

    name: str
    fingerprint: str
    architecture: dict[str, Any]
    """some lines of its config.json"""
    made: list[Made]
    collected: Collected | None
    demonstrations: Demonstrated | None
    evaluation: Evaluation | None
    evaluated: str | None
    """the model's name in it"""
    reward: tuple[str, Card | None] | None
    """its fingerprint, and its card"""
    gate: Gate | None
    scan: Scan


def gathered_facts(config: CardsConfig, model: str) -> Facts:
    """Reads all that the settings name. Args: model: the model's folder.

    Raises: UserError if something is missing, damaged, or about another model.
    """
    fingerprint = fingerprints.of_path(model)
    evaluation = None if config.evaluation is None else evaluation_in(config.evaluation)
    evaluated = None
    if evaluation is not None:
        evaluated = next((name for name, one in evaluation.models.items() if one.fingerprint == fingerprint), None)
        if evaluated is None:
            known = ", ".join(f"{name} ({one.fingerprint})" for name, one in evaluation.models.items())
            raise UserError(
                f"{config.evaluation}: {model} ({fingerprint}) was not measured there; that evaluation is of {known}. "
                "Give the one in which it was, or leave model out for the one that was selected."
            )
    shown = {path for path in Path(model).parts[-2:] if path not in (layout.MODEL, layout.MODELS)}
    return Facts(
        name=config.name or short(model, 3 if len(shown) < 2 else 2),
        fingerprint=fingerprint,
        architecture=_architecture(Path(model)),
        made=line(model),
        collected=gathered(config.collected, seed=config.seed) if config.collected else None,
        demonstrations=None if config.demonstrations is None else _demonstrated(config.demonstrations),
        evaluation=evaluation,
        evaluated=evaluated,
        reward=None if config.reward is None else _reward(config.reward),
        gate=None if config.gate is None else _gate(config.gate, fingerprint),
        scan=scanned(config.collected, config.demonstrations),
    )


def evaluation_in(folder: str) -> Evaluation:
    """The evaluation in a folder. Raises: UserError if there is none."""
    file = Path(folder) / layout.EVALUATION
    if not file.is_file():
        raise UserError(f"{file}: there is no evaluation. Give the folder that `prefloop evaluate` wrote.")
    return read_document(file, Evaluation)


def chosen_model(config: CardsConfig) -> str:
    """The folder of the model that the cards are of. Raises: UserError if there is none."""
    if config.model is not None:
        return model_folder(config.model)
    evaluation = evaluation_in(config.evaluation or "")
    path = evaluation.models[evaluation.selected].path
    if not Path(path).is_dir():
        raise UserError(
            f"{config.evaluation}: it selected {evaluation.selected}, but {path} is not there. Give model=FOLDER."
        )
    return model_folder(path)


def _architecture(model: Path) -> dict[str, Any]:
    file = layout.model_card(model)
    if not file.is_file():
        return {}
    read = json.loads(file.read_text(encoding="utf-8"))
    wanted = ("architectures", "hidden_size", "num_hidden_layers", "vocab_size", "max_position_embeddings")
    return {key: read[key] for key in wanted if key in read}


def _demonstrated(path: str) -> Demonstrated:
    rows = read_demonstrations(path).records
    return Demonstrated(len(rows), dict(Counter(row.source for row in rows).most_common()), fingerprints.of_path(path))


def _reward(path: str) -> tuple[str, Card | None]:
    folder = Path(model_folder(path, scores=True))
    cards = [folder, *map(Path, members_of(path))]
    file = next((one / layout.MODEL_CARD for one in cards if (one / layout.MODEL_CARD).is_file()), None)
    return fingerprints.of_path(folder), None if file is None else read_document(file, Card)


def _gate(path: str, fingerprint: str) -> Gate:
    if not Path(path).is_file():
        raise UserError(f"{path}: there is no such file. Give the gate.json of the folder that `prefloop gate` wrote.")
    gate = read_gate(Path(path))
    if gate.candidate_fingerprint != fingerprint:
        raise UserError(
            f"{path}: this decision is about another model ({gate.candidate}, {gate.candidate_fingerprint}; the card's "
            f"is {fingerprint}). Give the decision about this one, or leave gate out."
        )
    return gate
