"""What may be changed against each sign: one table, and how each remedy finds a value that is valid where it is set.

Of each sign's remedies the first are those that `apply=` carries out; the others are said. A remedy proposes nothing to
a stage that has no such setting, or where it is set so already.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.defaults import TABLES
from prefloop.doctor.charging import Charge
from prefloop.doctor.reading import Patient, Ran
from prefloop.errors import UserError
from prefloop.signs import Sign, fifths
from prefloop.stages import OPTIMISING


@dataclass(frozen=True)
class Change:
    """A setting that is to have another value."""

    stage: str
    key: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Remedy:
    """Something to do."""

    name: str
    """a key of words.py"""
    first: bool
    """whether `apply=` does it"""
    changes: tuple[Change, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    """what its sentence names"""
    command: tuple[str, ...] = ()
    """what to type, where settings alone do not do it"""
    file: str = ""
    """the text of a Python file that the changes name as `CHARGES`, to be written beside the settings"""


@dataclass(frozen=True)
class Case:
    """A sign in its place."""

    patient: Patient
    ran: Ran
    """whose settings are changed"""
    sign: Sign
    before: Path | None
    """the last policy that was kept before the alarm began"""
    charge: Charge | None = None
    """what the reward pays for by itself, where it may be gamed"""


Proposal = tuple[tuple[Change, ...], Mapping[str, Any], tuple[str, ...]]
"""Changes, values of the sentence, a command."""
GENTLER, FEWER, FIRMER = 3.0, 2, 2.0
"""What lr is divided by, epochs are divided by, and a charge is multiplied with."""
BROKEN = 10.0
"""What lr is divided by where the score fell: then the policy was not led astray, but broken by its updates. What suits
a model of its size is the most that it becomes."""
CHARGES = "python:CHARGES.py:charged"
"""Stands for the function that counts what is charged, until it is known where its file lies."""
ROOM = 1.5
"""With `shorten`: how many times the mean length of the first steps a response may be long."""


def _set(case: Case, key: str, new: Any) -> tuple[Change, ...]:
    """The change, if the stage has the setting, has another value, and takes this one."""
    if not case.ran.has(key) or case.ran.value(key) == new:
        return ()
    return (Change(case.ran.stage, key, case.ran.value(key), new),)


def hold(case: Case) -> Proposal:
    """Drift from the reference costs more."""
    if not case.ran.has("kl_coef"):
        beta = case.ran.value("beta") if case.ran.has("beta") else None
        return (_set(case, "beta", neat(FIRMER * beta)) if beta else (), {}, ())
    changes = _set(case, "kl_where", "reward") if case.ran.value("kl_where") == "off" else ()
    for key in ("kl_target", "kl_target_per_token"):
        if case.ran.has(key) and case.ran.value(key) is not None:
            changes += _set(case, key, neat(case.ran.value(key) / FIRMER))
    coef = case.ran.value("kl_coef") or TABLES[case.ran.stage]["kl_coef"][0] or 0.0
    return changes + _set(case, "kl_coef", neat(FIRMER * coef)), {}, ()


def slower(case: Case) -> Proposal:
    """Smaller steps."""
    lr = case.ran.value("lr") if case.ran.has("lr") else None
    if not lr:
        return (), {}, ()
    if not fell(case.ran):
        return _set(case, "lr", neat(lr / GENTLER)), {}, ()
    return _set(case, "lr", min(neat(lr / BROKEN), case.ran.usual_lr or lr)), {}, ()


def fell(ran: Ran) -> bool:
    """Whether the score is lower in the last fifth of the steps than in the first: no reward leads there."""
    first, last = ([x for row in some if (x := row.get("scores/mean")) is not None] for some in fifths(ran.rows))
    return bool(first and last) and statistics.fmean(last) < statistics.fmean(first)


def fewer_epochs(case: Case) -> Proposal:
    """The same rows or rollouts are learned from less often."""
    epochs = case.ran.value("epochs") if case.ran.has("epochs") else 1
    return (_set(case, "epochs", max(1, epochs // FEWER)), {}, ())


def ends(case: Case) -> Proposal:
    """A response that does not end by itself is charged more."""
    if not case.ran.has("unfinished_penalty") or case.ran.stage == "rft":
        return (), {}, ()
    if case.ran.card.config.get("unfinished_score") is not None:
        return (), {}, ()
    penalty = case.ran.value("unfinished_penalty")
    return _set(case, "unfinished_penalty", neat(FIRMER * penalty) if penalty else 1.0), {}, ()


def shorten(case: Case) -> Proposal:
    """No response may be much longer than those of the first steps; what is cut off is charged."""
    fifth = case.ran.rows[: max(1, len(case.ran.rows) // 5)]
    lengths = [value for row in fifth if (value := row.get("rollouts/length")) is not None]
    if not lengths or not case.ran.has("max_new_tokens"):
        return (), {}, ()
    room = math.ceil(ROOM * sum(lengths) / len(lengths))
    if room >= case.ran.value("max_new_tokens"):
        return (), {}, ()
    return (*_set(case, "max_new_tokens", room), *ends(case)[0]), {"room": f"{ROOM:g}"}, ()


def take_off(case: Case) -> Proposal:
    """What the reward pays for by itself is taken off."""
    reward = case.ran.value("reward") if case.ran.has("reward") else None
    if case.charge is None or not isinstance(reward, str):
        return (), {}, ()
    parts = {"optimised": {"model": reward}, "charged": {"model": CHARGES, "weight": -1.0}}
    prices = ", ".join(f"{word or '(length)'} {price:.3g}" for word, price in case.charge.prices.items())
    changes = _set(case, "reward", parts)
    if case.ran.has("critic") and case.ran.value("critic") == "reward-model":
        changes += _set(case, "critic", reward)  # which was that reward's
    return changes, {"prices": prices, "explained": f"{case.charge.explained:.0%}", "beside": case.charge.beside}, ()


def minimum(case: Case) -> Proposal:
    """The lowest score of an ensemble is optimised; a pipeline trains one first."""
    if not case.ran.has("combine") or case.ran.value("combine") != "mean":
        return (), {}, ()
    reward, trained = case.ran.value("reward"), case.patient.run(layout.REWARD)
    if isinstance(reward, str) and layout.is_ensemble(Path(reward)):
        return _set(case, "combine", "min"), {}, ()
    if trained is None or not case.patient.is_pipeline or trained.value("members") != 1:
        return (), {}, ()
    return (Change(layout.REWARD, "members", 1, 3), *_set(case, "combine", "min")), {}, ()


def more_responses(case: Case) -> Proposal:
    """More responses to a prompt, so that they differ more often."""
    if not case.ran.has("responses_per_prompt"):
        return (), {}, ()
    num = 2 * case.ran.value("responses_per_prompt")
    changes = _set(case, "responses_per_prompt", num)
    rollouts = case.ran.value("rollouts_per_step")
    if isinstance(rollouts, int) and rollouts % num:
        changes += _set(case, "rollouts_per_step", -(-rollouts // num) * num)
    return changes, {}, ()


def exact(case: Case) -> Proposal:
    """Everything is computed in full precision."""
    return _set(case, "dtype", "float32"), {}, ()


def ptx(case: Case) -> Proposal:
    """Demonstrations are imitated beside."""
    shown = case.patient.run(layout.SFT)
    if not case.ran.has("ptx") or case.ran.value("ptx") is not None or shown is None or not case.patient.is_pipeline:
        return (), {}, ()
    return _set(case, "ptx", shown.card.config["demonstrations"]), {}, ()


def abstain(case: Case) -> Proposal:
    """Responses that are unusual to the reward model earn the mean of the others."""
    if not case.ran.has("outliers") or case.ran.value("outliers") != "ignore":
        return (), {}, ()
    return _set(case, "outliers", "abstain"), {}, ()


def foresee(case: Case) -> Proposal:
    """The critic's loss weighs more."""
    coef = case.ran.value("value_coef") if case.ran.has("value_coef") else 0.0
    return (_set(case, "value_coef", neat(FIRMER * coef)) if coef else (), {}, ())


def checkpoint(case: Case) -> Proposal:
    """The last policy from before is taken instead."""
    return ((), {"policy": case.before}, ()) if case.before is not None else ((), {}, ())


def hacks(case: Case) -> Proposal:
    """What cheats the reward model is found, and it learns that these are rejected."""
    if case.ran.stage not in OPTIMISING or not isinstance(case.ran.card.config.get("reward"), str):
        return (), {}, ()
    reward = Path(case.ran.card.config["reward"])
    if not layout.is_model(reward) and not layout.is_ensemble(reward):
        return (), {}, ()
    judge = "disagreement" if layout.is_ensemble(reward) else "outlier"
    return (), {}, ("prefloop", "data", "hacks", f"run={case.ran.folder}", f"judge={judge}", "out=hacks")


def judge_more(case: Case) -> Proposal:
    """More is judged: of what the policy writes now, where there is one, beside what it wrote when it began; every
    response says which of the two wrote it."""
    kept, prompts = case.ran.policies(), case.ran.card.config.get("prompts")
    if kept and isinstance(prompts, str):
        words = (f"model={kept[-1][1]}", f"prompts={prompts}", "num_prompts=200", "by=people", "out=collect-again")
        begun = case.ran.card.config.get("policy")
        older = (f"older=[{begun}]", "older_share=0.5") if isinstance(begun, str) else ()
        return (), {}, ("prefloop", "collect", *words, *older)
    collect = case.patient.run(layout.COLLECT)
    num = collect.value("num_prompts") if collect is not None else 0
    if collect is None or not num:
        return (), {}, ()
    return (Change(layout.COLLECT, "num_prompts", num, 2 * num),), {}, ()


def read(case: Case) -> Proposal:
    """People read what it writes."""
    return (), {"samples": case.ran.folder / layout.SAMPLES}, ()


Find = Callable[[Case], Proposal]
FINDS: Mapping[str, Find] = {
    "hold": hold,
    "slower": slower,
    "fewer_epochs": fewer_epochs,
    "ends": ends,
    "shorten": shorten,
    "take_off": take_off,
    "minimum": minimum,
    "more_responses": more_responses,
    "exact": exact,
    "ptx": ptx,
    "abstain": abstain,
    "foresee": foresee,
    "checkpoint": checkpoint,
    "hacks": hacks,
    "judge_more": judge_more,
    "read": read,
}
"""Remedy -> what it proposes."""
SAYS_ALONE = ("read",)
"""Remedies that are said although they change nothing and there is nothing to type."""

Names = tuple[str, ...]
REMEDIES: Mapping[str, tuple[Names, Names]] = {
    # sign -> what is done, and what else may be; the most telling sign first
    "nan": (("slower",), ("fewer_epochs", "exact")),
    "diverged": (("slower",), ("fewer_epochs", "exact")),
    "first_ratio": (("exact",), ()),
    "other_sampling": ((), ()),
    "leak": ((), ("read",)),
    "suspicious": ((), ("read",)),
    "above_bayes": ((), ("read",)),
    "above_ceiling": ((), ("read",)),
    "hacking": (("take_off", "hold"), ("checkpoint", "minimum", "hacks", "judge_more")),
    "biased": (("take_off", "hold"), ("checkpoint", "hacks", "judge_more")),
    "over_optimised": (("take_off", "hold"), ("checkpoint", "minimum", "hacks", "judge_more")),
    "past_peak": (("hold",), ("checkpoint",)),
    "shallow": (("take_off", "hold"), ("checkpoint", "hacks", "judge_more")),
    "disagreement": (("minimum", "hold"), ("checkpoint", "hacks", "judge_more")),
    "unusual": (("hold",), ("abstain", "checkpoint", "hacks", "judge_more")),
    "cut_off": (("ends", "hold"), ("take_off", "checkpoint", "hacks")),
    "gibberish": (("take_off", "hold"), ("slower", "checkpoint", "hacks")),
    "stuffing": (("take_off", "hold"), ("checkpoint", "hacks", "judge_more")),
    "repeats": (("take_off", "hold"), ("checkpoint", "hacks")),
    "copies_prompt": (("hold",), ("checkpoint", "hacks")),
    "language": (("hold",), ("checkpoint", "hacks")),
    "empty": (("hold",), ("checkpoint", "hacks")),
    "at_once": (("hold",), ("checkpoint", "hacks")),
    "endless": (("ends",), ("hold", "checkpoint")),
    "harmful": (("hold",), ("checkpoint", "judge_more")),
    "over_refusal": (("hold",), ("checkpoint", "judge_more")),
    "kl": (("hold",), ("checkpoint", "slower")),
    "entropy": (("hold", "slower"), ("checkpoint",)),
    "mode_collapse": (("hold", "slower"), ("checkpoint",)),
    "chosen_falls": (("hold", "slower"), ("fewer_epochs", "checkpoint")),
    "forgetting": (("ptx",), ("hold", "checkpoint")),
    "negative_kl": ((), ("exact",)),
    "policy_kl": (("slower",), ("fewer_epochs",)),
    "clipped": (("slower",), ("fewer_epochs",)),
    "grad_spike": (("slower",), ("checkpoint",)),
    "advantage_scale": (("slower",), ("checkpoint",)),
    "value_loss": (("slower",), ("checkpoint",)),
    "wandering_kl": (("slower",), ()),
    "shortcut": ((), ("minimum", "judge_more")),
    "coin": (("judge_more",), ()),
    "too_few": (("judge_more",), ()),
    "memorises": (("fewer_epochs",), ("slower", "judge_more")),
    "beside_length": (("judge_more",), ()),
    "length_only": (("judge_more",), ()),
    "below_words": (("judge_more",), ()),
    "miscalibrated": (("fewer_epochs",), ()),
    "stale": (("judge_more",), ("hacks",)),
    "never_stops": ((), ("read",)),
    "memorised": (("fewer_epochs",), ("slower",)),
    "overfit": (("fewer_epochs",), ("slower",)),
    "false_confidence": ((), ("read",)),
    "finished": (("ends",), ("checkpoint",)),
    "length": (("take_off", "shorten"), ("hold", "checkpoint", "hacks")),
    "length_drift": (("take_off", "shorten", "hold"), ("checkpoint", "hacks")),
    "repetition": (("hold",), ("checkpoint", "hacks")),
    "same_start": (("hold",), ("checkpoint",)),
    "critic_blind": (("foresee",), ()),
    "flat": (("more_responses",), ()),
    "blind": ((), ("judge_more",)),
    "noisy": ((), ("judge_more",)),
    "weak_domain": ((), ("judge_more",)),
    "beside_words": ((), ("judge_more",)),
    "easy": ((), ("read",)),
}
TELLING = tuple(REMEDIES)
"""Signs, the most telling first."""
LED = (
    "gibberish", "stuffing", "repeats", "copies_prompt", "language", "empty", "at_once", "endless", "length_drift",
    "same_start", "entropy", "mode_collapse", "unusual", "shallow", "biased",
)  # fmt: skip
"""Signs of what a policy writes: it is led there by a reward, unless the score fell."""
UNLED: tuple[Names, Names] = (("slower",), ("hold", "checkpoint", "fewer_epochs"))
"""What is done against them where it did."""
OTHERS: tuple[Names, Names] = ((), ("checkpoint", "read"))
"""Of a sign that the table does not know."""


def remedies(
    patient: Patient, ran: Ran, sign: Sign, before: Path | None, charge: Charge | None = None
) -> tuple[Remedy, ...]:
    """What to do against an alarm, those first that `apply=` carries out.

    Args:
        before: the last policy that was kept before it began.
        charge: what the reward pays for by itself.
    """
    whose = (patient.aligning or ran) if ran.stage == layout.EVALUATE else ran
    case, found = Case(patient, whose, sign, before, charge), list[Remedy]()
    table = UNLED if sign.name in LED and fell(ran) else REMEDIES.get(sign.name, OTHERS)
    for first, names in zip((True, False), table, strict=True):
        for name in names:
            changes, values, command = FINDS[name](case)
            if not fit(patient, changes):
                changes = ()
            if changes or values or command or name in SAYS_ALONE:
                file = charge.file(str(whose.folder)) if charge is not None and name == "take_off" else ""
                found.append(Remedy(name, first and bool(changes), changes, values, command, file))
    return tuple(found)


def fit(patient: Patient, changes: Sequence[Change]) -> bool:
    """Whether settings take some changes together, of every stage that has any."""
    for stage in {change.stage for change in changes}:
        ran = patient.run(stage)
        try:
            if ran is not None:
                changed(ran, {each.key: each.new for each in changes if each.stage == stage}, out="unused")
        except UserError:
            return False
    return True


def changed(ran: Ran, changes: Mapping[str, Any], *, out: str) -> dict[str, Any]:
    """All settings of a run with some changed. Raises: UserError if they do not go together."""
    assert ran.settings is not None  # it has settings that are changed
    values = {**ran.given, **changes, "out": out}
    ran.settings.parse(dict(values), where=f"{ran.folder}/{layout.SETTINGS} with what the doctor changes")
    return values


def neat(value: float) -> float:
    """A number in two significant digits."""
    return float(f"{value:.1e}")
