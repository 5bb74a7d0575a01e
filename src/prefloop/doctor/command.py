"""`prefloop doctor RUN [key=value ...]`: what is wrong with a run or a pipeline, what shows it, what to change.

Reads: a run's folder, or a pipeline's. Writes nothing there; with apply= the changed settings, with page= a page.
Follows DIA-3 to DIA-15 of the requirements: every sign is a rule of `signs.py`, every remedy stands in `remedies.py`.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefloop.config import settings_help
from prefloop.doctor import microscope, page
from prefloop.doctor.applying import Applied, apply, listed
from prefloop.doctor.config import DoctorConfig
from prefloop.doctor.examined import Examined, Finding, Judge, Shown, examined
from prefloop.doctor.reading import Patient, read
from prefloop.doctor.words import advice, cure, exploits, label, rule, says, setting, summary, values, when, why
from prefloop.drawing.numerals import written
from prefloop.errors import UserError
from prefloop.files.outputs import is_inside, is_same
from prefloop.printing import say

USAGE = """prefloop doctor RUN [apply=FILE.yaml] [page=DIR] [json=true] [rollout=STEP:INDEX]: what is wrong with a run
  or a pipeline, what shows it, and what to change.

  RUN is the folder that a stage or `prefloop run` wrote; nothing in it is changed.
  json=true prints the same for programs.
  The exit code is 0 if nothing was found, 1 if there are alarms.
"""


def main(arguments: Sequence[str]) -> int:
    """Runs the command. Returns: the exit code, 1 if there are alarms."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(settings_help(USAGE, DoctorConfig))
        return 0
    folder, *rest = arguments
    if "=" in folder and not Path(folder).is_dir():
        raise UserError("`prefloop doctor` needs a folder first, for instance: prefloop doctor demo")
    as_json = _as_json(rest)
    config = DoctorConfig.load(None, [text for text in rest if not text.startswith("json=")])
    if config.page is not None and (is_inside(config.page, folder) or is_same(config.page, folder)):
        raise UserError(f"{config.page}: this is inside {folder}, which stays as it is. Choose another page=DIR.")
    patient = read(folder)
    if config.rollout is not None:
        return _rollout(patient, config, as_json=as_json)
    found = examined(patient, None if config.judge is None else _judge(config.judge))
    applied = None if config.apply is None or not found.findings else apply(patient, found, config.apply)
    if as_json:
        say(json.dumps(for_programs(patient, found, applied), ensure_ascii=False, indent=2))
    else:
        for line in lines(patient, found):
            say(line)
        for line in _written(config, found, applied):
            say(line)
    if config.page is not None:
        shown = page.write(patient, found, Path(config.page))
        if not as_json:
            say(f"\nPage: {shown}")
    return 1 if found.alarms else 0


def _rollout(patient: Patient, config: DoctorConfig, *, as_json: bool) -> int:
    """Prints a rollout, and writes its page. Returns: the exit code, always 0."""
    rollout = microscope.found(patient, *config.place)
    if as_json:
        say(json.dumps({**vars(rollout), "columns": rollout.columns}, ensure_ascii=False, indent=2))
    for line in () if as_json else microscope.lines(rollout):
        say(line)
    if config.page is not None:
        shown = page.write_rollout(rollout, Path(config.page))
        say("" if as_json else f"\nPage: {shown}")
    return 0


def _judge(spec: str) -> Judge:
    """A second judge. Raises: UserError if there is none of that name."""
    from prefloop.scoring.function import PythonReward

    if not spec.startswith("python:"):
        raise UserError(f"judge={spec}: here a judge is a function, judge=python:FILE.py:FUNCTION.")
    function = PythonReward(spec.removeprefix("python:"))

    def judge(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
        said = [float(x) for x in function.listed(prompts, responses)]
        if len(said) != len(responses) or not all(math.isfinite(x) for x in said):
            raise UserError(
                f"judge={spec}: {len(said)} numbers came back for {len(responses)} responses, or one that is none. "
                "Return one finite number for each response."
            )
        return said

    return judge


def _as_json(rest: Sequence[str]) -> bool:
    """Whether `json=true` was typed. Raises: UserError if it says something else than true or false."""
    typed = [text.partition("=")[2] for text in rest if text.startswith("json=")]
    if any(value not in ("true", "false") for value in typed) or len(typed) > 1:
        raise UserError("the command line: `json` should be true or false, once: json=true.")
    return typed == ["true"]


def lines(patient: Patient, found: Examined) -> list[str]:
    """All that was found, for a terminal."""
    told = [" ".join(summary(found, "en"))]
    told += [label("unfinished", "en", stage=ran.stage, steps=len(ran.rows)) for ran in found.unfinished]
    for number, finding in enumerate(found.findings, start=1):
        told += ["", *_finding(number, finding, patient)]
    told += [""] if found.unchecked else []
    for missing in found.unchecked:
        asked = rule(missing.name, missing.stage, "en")
        told.append(f"  {missing.stage}: {asked}: {why(missing, 'en')}")
    return told


def _finding(number: int, finding: Finding, patient: Patient) -> list[str]:
    """An alarm: its sentence, what was looked at, what to do, what shows it."""
    since = "" if finding.since is None else f", {label('since', 'en', step=finding.since)}"
    since += "" if finding.stops else f", {label('note', 'en')}"
    told = [f"{number}. {finding.ran.stage}{since}: {says(finding, patient, 'en')}"]
    told.append(f"   ({finding.sign.name}) {label('values', 'en', values=values(finding.sign, 'en'))}")
    told += [f"   {text}"] if (text := exploits(finding, "en")) else []
    for remedy in finding.remedies:
        told.append(f"   {when(remedy, finding, 'en')}: {cure(remedy, 'en')}")
        told += [f"       {setting(change)}" for change in remedy.changes]
        told += [f"       {' '.join(remedy.command)}"] if remedy.command else []
    told += [f"   {label('advice', 'en', says=text)}"] if (text := advice(finding.sign, "en")) else []
    for end, some in finding.shown.items():
        for shown in some:
            told += [f"   {label(end, 'en')}, {_by(shown)}:", f"     {_short(shown.prompt)}"]
            told.append(f"     > {_short(shown.response)}")
    return told


def _by(shown: Shown) -> str:
    score = written(shown.score)
    if shown.step is None:
        return label("sample.model", "en", by=shown.by, score=score)
    return label("sample", "en", step=shown.step, score=score)


def _short(text: str) -> str:
    """A text in one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= 240 else f"{line[:237]}..."


def _written(config: DoctorConfig, found: Examined, applied: Applied | None) -> list[str]:
    """What apply= did."""
    if config.apply is None:
        return []
    if applied is None:
        return ["", label("nothing" if found.findings else "healthy", "en")]
    told = ["", label("applied", "en", file=applied.file), *listed(applied)]
    stage, copy = applied.copy
    told += [label("copy", "en", stage=stage, command=copy)] if copy else []
    return [*told, label("type", "en", command=applied.command)]


def for_programs(patient: Patient, found: Examined, applied: Applied | None) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "folder": str(patient.folder),
        "found": [_as_object(finding, patient) for finding in found.findings],
        "fine": [{"sign": name, "stage": stage} for name, stage in found.fine],
        "unchecked": [{"sign": one.name, "stage": one.stage, "why": why(one, "en")} for one in found.unchecked],
        "unfinished": [ran.stage for ran in found.unfinished],
        "applied": None
        if applied is None
        else {"file": str(applied.file), "changes": [vars(one) for one in applied.changes], "command": applied.command},
    }


def _as_object(finding: Finding, patient: Patient) -> dict[str, Any]:
    return {
        "sign": finding.sign.name,
        "alarm": finding.stops,
        "stage": finding.ran.stage,
        "since": finding.since,
        "says": says(finding, patient, "en"),
        "advice": advice(finding.sign, "en"),
        "values": dict(finding.sign.values),
        "policy_before": None if finding.before is None else str(finding.before),
        "remedies": [
            {
                "name": remedy.name,
                "first": remedy.first,
                "says": cure(remedy, "en"),
                "changes": [vars(change) for change in remedy.changes],
                "command": list(remedy.command),
            }
            for remedy in finding.remedies
        ],
        "treated": finding.treated,
        "exploits": [vars(one) for one in finding.exploits],
        "early": [vars(shown) for shown in finding.early],
        "late": [vars(shown) for shown in finding.late],
    }
