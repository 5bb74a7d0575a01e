"""What the signs say of a patient: alarms with where they began and what shows them, and what else was looked at."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.doctor.charging import Charge, charge
from prefloop.doctor.judging import ASKING, Judge, Opinion, ends, liked, logged, of_judge, opinions, scored
from prefloop.doctor.reading import Numbers, Patient, Ran, Row
from prefloop.doctor.remedies import TELLING, Remedy, remedies
from prefloop.records.cards import Card
from prefloop.records.evaluations import Evaluation
from prefloop.report.pipeline import as_number
from prefloop.signs import (
    RULES,
    SOON,
    STOPS,
    Sign,
    least_rows,
    of_card,
    of_direct,
    of_evaluation,
    of_imitation,
    of_lineage,
    of_training,
)
from prefloop.stages import ALIGNING, OPTIMISING
from prefloop.stats.exploited import Exploited, exploited
from prefloop.stats.text import tokens

MOST_LOOKS = 64
"""How often a run is looked at again, as it was after fewer steps, to see since when an alarm stands."""
SHOWN = 2
"""Samples of either kind that show a sign."""
PAYING = (
    "hacking", "biased", "over_optimised", "shallow", "disagreement", "unusual", "stuffing", "repeats", "repetition",
    "length", "length_drift", "cut_off", "gibberish", "same_start", "mode_collapse",
)  # fmt: skip
"""Signs of a reward that is gamed: what it may be that pays is named."""
WORST = ("alarm", "fine", "unchecked")
IMITATING = ("pretrain", layout.SFT)
"""Stages that imitate text."""
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
    exploits: tuple[Exploited, ...] = ()
    """what the late responses say far more often, where that may be what pays"""
    treated: bool = True
    """whether `apply=` carries its first remedies out: of each stage those of the most telling alarm, for the others
    may be what comes of it"""

    @property
    def shown(self) -> dict[str, tuple[Shown, ...]]:
        """Its samples, by when they were written."""
        return {"early": self.early, "late": self.late}

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
    least: int = 0
    """rows, or samples, that it needs"""


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


def examined(patient: Patient, judge: Judge | None = None) -> Examined:
    """Looks at everything once. Args: judge: scores the samples of runs that optimised a reward."""
    optimised = [ran for ran in patient.ran if judge is not None and ran.stage in OPTIMISING]
    said = {ran.stage: opinions(ran, judge) for ran in optimised if judge is not None}
    signs = [(ran, each) for ran in patient.ran for each in _signs(patient, ran)]
    signs += [(ran, each) for ran in optimised for each in of_judge(ran, said[ran.stage])]
    signs = _worst(sorted(signs, key=lambda one: WORST.index(one[1].level)))
    alarms = [_finding(patient, ran, each, said.get(ran.stage)) for ran, each in signs if each.level == "alarm"]
    return Examined(
        findings=_in_turn(sorted(alarms, key=lambda one: (not one.stops, telling(one.sign.name)))),
        fine=tuple((each.name, ran.stage) for ran, each in signs if each.level == "fine"),
        unchecked=tuple(_missing(ran, each) for ran, each in signs if each.level == "unchecked"),
        unfinished=tuple(ran for ran in patient.ran if ran.finished is None),
    )


def _in_turn(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The same, each thing once: samples and what is exploited with the first alarm that they show, and a stage's
    settings changed against its most telling one."""
    seen, found, said, treated = set[Shown](), list[Finding](), tuple[Exploited, ...](), set[str]()
    for each in findings:
        changed = {change.stage for remedy in each.remedies if remedy.first for change in remedy.changes}
        now = {"exploits": () if each.exploits == said else each.exploits, "treated": not changed & treated}
        treated |= changed
        said = each.exploits or said
        fresh = {when: tuple(one for one in some if one not in seen) for when, some in each.shown.items()}
        seen.update(*fresh.values())
        found.append(replace(each, **fresh, **now))
    return tuple(found)


def telling(name: str) -> int:
    """The place of a rule among all, the most telling first; one that the table does not know comes last."""
    return TELLING.index(name) if name in TELLING else len(TELLING)


def _worst(signs: Iterable[tuple[Ran, Sign]]) -> list[tuple[Ran, Sign]]:
    """Of each rule what was said first of each stage."""
    kept: dict[tuple[str, str], tuple[Ran, Sign]] = {}
    for ran, each in signs:
        key = (ran.stage, each.name)
        if each.level == "alarm" and ran.stage == layout.REWARD:
            key = (ran.stage, f"{each.name}:{each.values.get('kind', '')}")  # one for each kind of shortcut
        kept.setdefault(key, (ran, each))
    return list(kept.values())


def _signs(patient: Patient, ran: Ran) -> list[Sign]:
    """What the rules say of one run."""
    why = ran.card.diverged.partition(": ")[2].partition(":")[0]  # of a run that watch=stop has ended: the sign
    stopped = ran.card.diverged and why not in RULES
    diverged = [Sign(DIVERGED, "alarm", {"what": ran.card.diverged})] if stopped else []
    if ran.stage == layout.EVALUATE:
        return diverged + (of_evaluation(patient.evaluation) if patient.evaluation else [])
    of_model = _of_card(patient.health) if ran.stage == layout.REWARD and patient.health else []
    if ran.stage == layout.REWARD and patient.lineage is not None:
        of_model = [*of_model, of_lineage(patient.lineage)]
    return diverged + of_rows(ran, ran.rows) + of_model


def of_rows(ran: Ran, rows: Sequence[Numbers]) -> list[Sign]:
    """What the rules say of some rows of a run. Drift has no limit there: `evaluate` has one."""
    if ran.stage in OPTIMISING:
        return [each for each in of_training(rows, kl_limit=None) if each.name != "kl"]
    if ran.stage in ALIGNING:
        return of_direct(rows)
    if ran.stage in IMITATING:
        share = ran.finished.result.get("finished_share") if ran.finished else None
        every = of_imitation(rows, finished=as_number(share))
        return [each for each in every if each.name != "never_stops" or ran.stage == layout.SFT]
    return []


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
    of_its_rows = ran.stage in (*ALIGNING, *IMITATING)
    if sign.name in ASKING:
        return Missing(sign.name, ran.stage, "few_samples", least=ASKING[sign.name])
    least = least_rows(sign.name)
    if of_its_rows and len(ran.rows) < least:
        return Missing(sign.name, ran.stage, "few", len(ran.rows), least)
    return Missing(sign.name, ran.stage, "unmeasured" if of_its_rows else "unknown")


def _finding(patient: Patient, ran: Ran, sign: Sign, said: Sequence[Opinion] | None) -> Finding:
    since, window = _since(ran, sign) if ran.stage in (*ALIGNING, *IMITATING) else (None, None)
    kept = [path for step, path in ran.policies() if window is not None and step < window]
    before = kept[-1] if kept else None
    early, late = _shown(patient, ran, sign)
    exploits = _exploits(patient, ran) if sign.name in PAYING else ()
    found = remedies(patient, ran, sign, before, _charge(ran, exploits, said) if sign.name in PAYING else None)
    return Finding(sign, ran, since, before, found, early, late, exploits)


def _charge(ran: Ran, exploits: Sequence[Exploited], said: Sequence[Opinion] | None) -> Charge | None:
    """What the reward pays for by itself, of the words that are exploited, and the length; beside what a judge says."""
    words = [*dict.fromkeys(word for one in exploits for word in tokens(one.text))]
    if said is not None:
        words = [*dict.fromkeys([*liked(said), *words])]
        known, scores, worths = scored(said)
        return charge([row["response"] for row in known], scores.tolist(), words, beside=worths)
    rows = [(row["response"], score) for row in logged(ran) if (score := as_number(row.get("score"))) is not None]
    return charge([text for text, _ in rows], [score for _, score in rows], words)


def _exploits(patient: Patient, ran: Ran) -> tuple[Exploited, ...]:
    """What the best scored of the last responses say that the first did not."""
    if ran.stage == layout.EVALUATE and patient.evaluation is not None:
        pairs = patient.evaluation.samples
        return tuple(exploited([one.reference.text for one in pairs], [one.selected.text for one in pairs]))
    first, last = ends(logged(ran))
    best = sorted(last, key=lambda row: -(as_number(row.get("score")) or 0.0))[: -(-len(last) // 2)]
    return tuple(exploited([row["response"] for row in first], [row["response"] for row in best]))


def _since(ran: Ran, sign: Sign) -> tuple[int | None, int | None]:
    """The step after which an alarm stands to the end, and the first step of what was looked at then."""
    num, found = len(ran.rows), None
    every = max(1, -(-num // MOST_LOOKS))
    for seen in range(num, least_rows(sign.name) - 1, -every):
        then = of_rows(ran, ran.rows[:seen])
        if not any(each.name == sign.name and each.level == "alarm" for each in then):
            break
        found = seen
    if found is None:
        return None, None
    window = max(-(-found // 5), least_rows(sign.name) if sign.name in SOON else 1)
    return _step(ran.rows[found - 1]), _step(ran.rows[found - window])


def _step(row: Numbers) -> int | None:
    step = row.get("step")
    return None if step is None else int(step)


def _shown(patient: Patient, ran: Ran, sign: Sign) -> tuple[tuple[Shown, ...], tuple[Shown, ...]]:
    """Samples from before and from the end: what the evaluation compared, or what the run logged of itself, those
    first that show the sign most."""
    evaluation = patient.evaluation
    if ran.stage == layout.EVALUATE and evaluation is not None:
        return _of_evaluation(evaluation, sign)
    rows = logged(ran)
    steps = sorted({row["step"] for row in rows})
    if not steps:
        return (), ()
    ends = ([row for row in rows if row["step"] == step] for step in (steps[0], steps[-1]))
    early, late = (tuple(_sample(row, ran) for row in _picked(some, sign)) for some in ends)
    return (early if len(steps) > 1 else ()), late


def _sample(row: Row, ran: Ran) -> Shown:
    return Shown(str(row.get("prompt", "")), row["response"], as_number(row.get("score")), row["step"], ran.stage)


LENGTHS = ("length", "length_drift", "cut_off", "finished", "endless", "never_stops")
"""Rules that the longest responses show best; others are shown by those that score highest."""


def _picked(rows: Sequence[Row], sign: Sign) -> Sequence[Row]:
    if sign.name in LENGTHS:
        return sorted(rows, key=lambda row: -len(row["response"]))[:SHOWN]
    return sorted(rows, key=lambda row: -(as_number(row.get("score")) or 0.0))[:SHOWN]


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
