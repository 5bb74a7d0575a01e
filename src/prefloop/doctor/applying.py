"""Carries remedies out: writes the settings with what is changed, and why, and says what to type. Nothing is run.

Of a pipeline it writes the whole recipe, of a run its config.yaml; both have another `out`, so that what was looked at
stays as it is.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from prefloop import layout
from prefloop.doctor.examined import Examined
from prefloop.doctor.reading import Patient, Ran
from prefloop.doctor.remedies import CHARGES, Change, changed
from prefloop.doctor.words import cure, setting
from prefloop.errors import UserError
from prefloop.files.atomic import write_text
from prefloop.files.outputs import check_output, output
from prefloop.notation import described
from prefloop.rounds import recipe
from prefloop.stages import STAGES

INSTEAD = "Choose another apply=FILE.yaml."
Reasons = Mapping[tuple[str, str], str]
"""(stage, setting) -> why it has another value, in one line."""


@dataclass(frozen=True)
class Applied:
    """What was written."""

    file: Path
    changes: tuple[Change, ...]
    command: str
    """what to type now"""
    copy: tuple[str, str]
    """the first stage that is another, and what to type to save the time of those before; empty for none"""


def apply(patient: Patient, found: Examined, file: str) -> Applied | None:
    """Writes the settings with every change that comes first against an alarm. Returns: None if there is none.

    Raises: UserError if something has that name already, if it is inside what is looked at, or if the settings do not
    go together.
    """
    path = Path(file)
    check_output(path, inputs=[patient.folder], otherwise=INSTEAD)
    out = path.with_suffix("") if path.suffix else path.with_name(f"{path.name}-run")
    if path.suffix not in (".yaml", ".yml"):
        raise UserError(f"{file}: settings are a YAML file; give apply= a name that ends in .yaml.")
    for taken in (path, out):
        if os.path.lexists(taken):
            raise UserError(f"{taken}: this is there already, and stays as it is. {INSTEAD}")
    whys, charges = _changes(found), path.with_name(f"{path.stem}-charges.py")
    if not whys:
        return None
    counted = next((one.file for finding in found.findings for one in finding.remedies if one.first and one.file), "")
    if counted and os.path.lexists(charges):
        raise UserError(f"{charges}: this is there already, and stays as it is. {INSTEAD}")
    whys = [(replace(change, new=_beside(change.new, charges)), why) for change, why in whys]
    changes = tuple(change for change, _ in whys)
    reasons = {(change.stage, change.key): f"doctor: {why} It was {described(change.old)}." for change, why in whys}
    typed = ("run", str(path))
    copy = ("", "")
    if patient.is_pipeline:
        text, copy = _recipe(patient, changes, reasons, out)
    else:
        (ran,) = patient.ran
        text, typed = _settings(ran, changes, reasons, out), (STAGES[ran.stage].command, str(path))
    with output(path, inputs=[patient.folder], otherwise=INSTEAD) as new:
        write_text(new, text)
        if patient.is_pipeline:
            recipe.load(str(new), [])  # or it is not written
        if counted:
            write_text(charges, counted)
    return Applied(path, changes, shlex.join(["prefloop", *typed]), copy)


def _beside(value: Any, charges: Path) -> Any:
    """A new value, in which `CHARGES` is the function in its file."""
    if isinstance(value, dict):
        return {key: _beside(inner, charges) for key, inner in value.items()}
    return f"python:{charges}:charged" if value == CHARGES else value


def _changes(found: Examined) -> list[tuple[Change, str]]:
    """Each setting's change, with its reason."""
    kept: dict[tuple[str, str], tuple[Change, str]] = {}
    for finding in found.findings:
        for remedy in finding.remedies:
            for change in remedy.changes if remedy.first and finding.treated else ():
                kept.setdefault((change.stage, change.key), (change, f"{finding.sign.name}: {cure(remedy, 'en')}"))
    return list(kept.values())


def _settings(ran: Ran, changes: Sequence[Change], reasons: Reasons, out: Path) -> str:
    """The text of a run's config.yaml with what is changed."""
    values = changed(ran, {change.key: change.new for change in changes}, out=str(out))
    own = {key: reason for (stage, key), reason in reasons.items() if stage == ran.stage}
    return _section(values, {**own, "out": f"doctor: another folder than {ran.folder}, which stays as it is."}, "")


def _recipe(patient: Patient, changes: Sequence[Change], reasons: Reasons, out: Path) -> tuple[str, tuple[str, str]]:
    """The text of a pipeline's recipe with what is changed, and what to type to save what stays the same."""
    values = dict(patient.recipe or {})
    if not values:
        raise UserError(
            f"{patient.folder}: there is no {layout.RECIPE} here, so nobody knows which recipe it was. Give the folder "
            "of one of its runs."
        )
    lines: list[str] = []
    stages = [name for name in values if name in recipe.STAGES]
    for name, given in values.items():
        if name == "out" or name in stages:
            continue
        lines.append(_dumped({name: given}))
    lines.append(_section({"out": str(out)}, {"out": f"doctor: another folder than {patient.folder}."}, ""))
    for name in stages:
        section = _inputs(patient, name, values[name] or {})
        section |= {change.key: _inside(patient, change.new, stages) for change in changes if change.stage == name}
        own = {key: reason for (stage, key), reason in reasons.items() if stage == name}
        lines.append(f"{name}:\n{_section(section, own, '  ')}" if section else _dumped({name: {}}))
    first = min(stages.index(change.stage) for change in changes if change.stage in stages)
    same = [str(patient.folder / name) for name in stages[:first] if (patient.folder / name).is_dir()]
    copy = f"mkdir -p {shlex.quote(str(out))} && {shlex.join(['cp', '-r', *same, str(out)])}" if same else ""
    return "".join(lines), (stages[first], copy)


def _inputs(patient: Patient, stage: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """A stage's section; what it reads that no stage of the recipe writes, by the path that was found when it ran: the
    new file lies elsewhere."""
    ran, taken = patient.run(stage), STAGES[stage].takes
    made = dict(section)
    for key, value in section.items():
        if ran is None or key not in taken or not isinstance(value, str) or value.startswith("$"):
            continue
        if value.partition("/")[0] not in (patient.recipe or {}):
            made[key] = ran.card.config.get(key, value)
    return made


def _inside(patient: Patient, value: Any, stages: Sequence[str]) -> Any:
    """A path in the pipeline as a recipe names it: by its stage."""
    if not isinstance(value, str) or not Path(value).is_relative_to(patient.folder):
        return value
    inside = Path(value).relative_to(patient.folder)
    return inside.as_posix() if inside.parts and inside.parts[0] in stages else value


def _section(values: Mapping[str, Any], reasons: Mapping[str, str], indent: str) -> str:
    """Settings as YAML, over each that has a reason a comment with it."""
    lines: list[str] = []
    for key, value in values.items():
        comment = f"# {' '.join(reasons[key].split())}\n" if key in reasons else ""
        lines += (comment + _dumped({key: value})).splitlines(keepends=True)
    return "".join(f"{indent}{line}" for line in lines)


def _dumped(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(_plain(values), sort_keys=False, allow_unicode=True)


def _plain(value: Any) -> Any:
    """The same of lists and dicts alone, as YAML writes them."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def listed(applied: Applied) -> list[str]:
    """What was changed, a line each."""
    return [f"  {setting(change)}" for change in applied.changes]
