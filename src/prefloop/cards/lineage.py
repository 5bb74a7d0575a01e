"""What came of what: from a model back to the raw files, by the run.json of every stage on the way."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.files.documents import read_document
from prefloop.named import named
from prefloop.records import RunCard
from prefloop.stages import STAGES

UP = 6
"""Folders above a file in which a run is looked for."""


@dataclass(frozen=True)
class Made:
    """A stage's run, and what it read."""

    stage: str
    seed: int
    versions: str
    settings: dict[str, Any]
    """those that are not as they are by default, and what was chosen for those left open"""
    inputs: tuple[tuple[str, str, str], ...]
    """name, the last parts of its path, fingerprint"""


def line(path: str) -> list[Made]:
    """The runs behind a file or folder, its own first; each once. A path that no run made has none."""
    found, seen, waiting = list[Made](), set[Path](), [Path(path)]
    while waiting:
        run = made_by(waiting.pop(0))
        if run is None or run in seen:
            continue
        seen.add(run)
        card = read_document(run / layout.CARD, RunCard)
        found.append(_made(card))
        waiting += [Path(artefact.path) for artefact in card.inputs.values()]
    return found


def made_by(path: Path) -> Path | None:
    """The folder of the run that made a file or folder; None if there is none above it."""
    for folder in [path, *path.parents][: UP + 1]:
        if (folder / layout.CARD).is_file() and (folder / layout.FINISHED).is_file():
            return folder.resolve()
    return None


def short(path: str | Path, parts: int = 3) -> str:
    """The last parts of a path: enough to know it by, and nothing of whose machine it lies on."""
    return "/".join(part for part in Path(path).parts[-parts:] if part != "/")


def _made(card: RunCard) -> Made:
    stage = STAGES.get(card.stage)
    defaults: dict[str, Any] = {}
    if stage is not None and stage.settings is not None:
        defaults = named(stage.settings).model_construct().model_dump(mode="json")
    settings = dict(_changed(card.identity.settings, defaults)) if defaults else {}
    settings |= {name: value for name, value in card.chosen.get("settings", {}).items() if value is not None}
    versions = ", ".join(f"{name} {card.versions[name]}" for name in ("prefloop", "torch") if name in card.versions)
    inputs = tuple((name, short(made.path), made.fingerprint) for name, made in card.inputs.items())
    return Made(card.stage, card.seed, versions, settings, inputs)


def _changed(settings: dict[str, Any], defaults: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in sorted(settings.items()):
        plain = value is not None and not isinstance(value, dict | list | tuple)
        if plain and name in defaults and str(defaults[name]) != str(value):
            yield name, value
