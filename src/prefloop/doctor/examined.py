"""What the signs say of a patient: alarms with where they began and what shows them, and what else was looked at."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.doctor.reading import Numbers, Patient, Ran, Row
from prefloop.doctor.remedies import TELLING, Remedy, remedies
from prefloop.records.cards import Card
from prefloop.records.evaluations import Evaluation
from prefloop.signs import MIN_STEPS, STOPS, Sign, of_card, of_evaluation, of_training
from prefloop.stages import OPTIMISING

MOST_LOOKS = 64
"""How often a run is looked at again, as it was after fewer steps, to see since when an alarm stands."""
SHOWN = 2
"""Samples of either kind that show a sign."""
WORST = ("alarm", "fine", "unchecked")
DIVERGED = "diverged"
"""The alarm of a run that stopped because its numbers went wrong; it is no rule, for run.json says so itself."""


@dataclass(frozen=True)
class Shown:
    """What a model wrote, as it shows a sign."""

    prompt: str
    response: str
    score: float | None
    step: int | None
    """None where it is known by a name only"""
    by: str


@dataclass(frozen=True)
class Finding:
    """An alarm."""

    sign: Sign
    ran: Ran
    """the run whose numbers raised it"""
    since: int | None
    """the step after which it stands; None where it is not of steps"""
    before: Path | None
    """the last policy that was kept before it began; None for none"""
    remedies: tuple[Remedy, ...]
    early: tuple[Shown, ...]
    late: tuple[Shown, ...]

    @property
    def stops(self) -> bool:
        """Whether it is an alarm; of a health card some rules only say what is worth knowing."""
        return self.ran.stage != layout.REWARD or self.sign.name in (*STOPS, DIVERGED)


@dataclass(frozen=True)
class Missing:
    """A rule that could not be checked."""

    name: str
    stage: str
    why: str
    """a key of words.py"""
    steps: int = 0


@dataclass(frozen=True)
class Examined:
    """All that was found."""

    findings: tuple[Finding, ...]
    """the most telling first"""
    fine: tuple[tuple[str, str], ...]
    """(rule, stage)"""
    unchecked: tuple[Missing, ...]
    unfinished: tuple[Ran, ...]

    @property
    def alarms(self) -> bool:
        """Whether there is an alarm."""
        return any(finding.stops for finding in self.findings)


def examined(patient: Patient) -> Examined:
    """Looks at everything once."""
    signs = [(ran, each) for ran in patient.ran for each in _signs(patient, ran)]
    signs = _worst(sorted(signs, key=lambda one: WORST.index(one[1].level)))
    alarms = [_finding(patient, ran, each) for ran, each in signs if each.level == "alarm"]
    return Examined(
        findings=tuple(sorted(alarms, key=lambda one: (not one.stops, telling(one.sign.name)))),
        fine=tuple((each.name, ran.stage) for ran, each in signs if each.level == "fine"),
        unchecked=tuple(_missing(ran, each) for ran, each in signs if each.level == "unchecked"),
        unfinished=tuple(ran for ran in patient.ran if ran.finished is None),
    )


def telling(name: str) -> int:
    """The place of a rule among all, the most telling first; one that the table does not know comes last."""
    return TELLING.index(name) if name in TELLING else len(TELLING)


def _worst(signs: Iterable[tuple[Ran, Sign]]) -> list[tuple[Ran, Sign]]:
    """Of each rule what was said first; those of a reward model are told apart from those of policies."""
    kept: dict[tuple[bool, str], tuple[Ran, Sign]] = {}
    for ran, each in signs:
        key = (ran.stage == layout.REWARD, each.name)
        if each.level == "alarm" and ran.stage == layout.REWARD:
            key = (True, f"{each.name}:{each.values.get('kind', '')}")  # one for each kind of shortcut
        kept.setdefault(key, (ran, each))
    return list(kept.values())


def _signs(patient: Patient, ran: Ran) -> list[Sign]:
    """What the rules say of one run."""
    diverged = [Sign(DIVERGED, "alarm", {"what": ran.card.diverged})] if ran.card.diverged else []
    if ran.stage == layout.REWARD:
        return diverged + (_of_card(patient.health) if patient.health else [])
    if ran.stage == layout.EVALUATE:
        return diverged + (of_evaluation(patient.evaluation) if patient.evaluation else [])
    return diverged + (of_rows(ran.rows) if ran.stage in OPTIMISING else [])


def of_rows(rows: Sequence[Numbers]) -> list[Sign]:
    """What the rules say of a policy in training. Drift has no limit there: `evaluate` has one."""
    return [each for each in of_training(rows, kl_limit=None) if each.name != "kl"]


def _of_card(card: Card) -> list[Sign]:
    """What the rules of today say of what a card measured."""
    return of_card(
        accuracy=card.accuracy,
        accuracy_votes=card.accuracy_votes,
        accuracy_train=card.accuracy_train,
        by_domain=card.by_domain,
        baselines=card.baselines,
        agreement=card.agreement,
        calibration=card.calibration,
        leaks=card.leaks,
        probes=card.probes,
    )


def _missing(ran: Ran, sign: Sign) -> Missing:
    if ran.stage in OPTIMISING and len(ran.rows) < MIN_STEPS:
        return Missing(sign.name, ran.stage, "few", len(ran.rows))
    return Missing(sign.name, ran.stage, "unmeasured" if ran.stage in OPTIMISING else "unknown")


def _finding(patient: Patient, ran: Ran, sign: Sign) -> Finding:
    since, window = _since(ran, sign) if ran.stage in OPTIMISING else (None, None)
    kept = [path for step, path in ran.policies() if window is not None and step < window]
    before = kept[-1] if kept else None
    early, late = _shown(patient, ran, sign)
    return Finding(sign, ran, since, before, remedies(patient, ran, sign, before), early, late)


def _since(ran: Ran, sign: Sign) -> tuple[int | None, int | None]:
    """The step after which an alarm stands to the end, and the first step of what was looked at then."""
    num, found = len(ran.rows), None
    every = max(1, -(-num // MOST_LOOKS))
    for seen in range(num, MIN_STEPS - 1, -every):
        if not any(each.name == sign.name and each.level == "alarm" for each in of_rows(ran.rows[:seen])):
            break
        found = seen
    if found is None:
        return None, None
    return _step(ran.rows[found - 1]), _step(ran.rows[found - -(-found // 5)])


def _step(row: Numbers) -> int | None:
    step = row.get("step")
    return None if step is None else int(step)


def _shown(patient: Patient, ran: Ran, sign: Sign) -> tuple[tuple[Shown, ...], tuple[Shown, ...]]:
    """Samples from before and from the end: what the evaluation compared, or what the run logged of itself, those
    first that show the sign most."""
    evaluation = patient.evaluation
    if ran.stage == layout.EVALUATE and evaluation is not None:
        return _of_evaluation(evaluation, sign)
    rows = [row for row in ran.samples if isinstance(row.get("response"), str) and isinstance(row.get("step"), int)]
    steps = sorted({row["step"] for row in rows})
    if not steps:
        return (), ()
    ends = ([row for row in rows if row["step"] == step] for step in (steps[0], steps[-1]))
    early, late = (tuple(_sample(row, ran) for row in _picked(some, sign)) for some in ends)
    return (early if len(steps) > 1 else ()), late


def _sample(row: Row, ran: Ran) -> Shown:
    return Shown(str(row.get("prompt", "")), row["response"], _number(row.get("score")), row["step"], ran.stage)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


LENGTHS = ("length", "cut_off", "finished")
"""Rules that the longest responses show best; others are shown by those that score highest."""


def _picked(rows: Sequence[Row], sign: Sign) -> Sequence[Row]:
    if sign.name in LENGTHS:
        return sorted(rows, key=lambda row: -len(row["response"]))[:SHOWN]
    return sorted(rows, key=lambda row: -(_number(row.get("score")) or 0.0))[:SHOWN]


def _of_evaluation(evaluation: Evaluation, sign: Sign) -> tuple[tuple[Shown, ...], tuple[Shown, ...]]:
    """The same prompts, answered by reference and selected model."""

    def how_much(sample: Any) -> float:
        gold: Mapping[str, Any] = sample.selected.gold or {}
        if sign.name in gold:
            return -float(bool(gold[sign.name]))
        if sign.name in LENGTHS:
            return -float(len(sample.selected.text))
        return -(sample.selected.score or 0.0)

    chosen = sorted(evaluation.samples, key=how_much)[:SHOWN]
    old = (Shown(one.prompt, one.reference.text, one.reference.score, None, evaluation.reference) for one in chosen)
    new = (Shown(one.prompt, one.selected.text, one.selected.score, None, evaluation.selected) for one in chosen)
    return tuple(old), tuple(new)
