"""Of a run that goes on: a policy that learns from what it writes, one that learns from preferences, a model that
imitates. Each reads the rows of `metrics.jsonl` so far (docs/metrics.md)."""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence

from prefloop.signs.rules import RULES, Sign, Value, sign
from prefloop.stats.shallow import PAYS

Rows = Sequence[Mapping[str, float | None]]
MIN_STEPS = 5
"""Fewer steps say nothing: what counts is the mean over the last fifth of them, beside that over the first fifth."""
SOON = ("clipped", "policy_kl", "value_loss", "shallow")
"""Rules that need no beginning to compare with, and say what is so in two steps."""
SETTLED = 25
"""Steps after which drift has had the time to come to rest."""
CRITIC_STEPS = 8
"""Steps after which a critic has learned something."""
CLEAR = 2.0
"""Standard errors that a change from the first fifth to the last must have, where steps differ much by chance."""
NATS = 0.5
"""Drift per response below which it is too small to wander."""
DISAGREE = "scores/disagreement"
OF_MANY, BEST_OF_MANY = ("word", "first_token"), 0.1
"""Of those two the best of many is logged; so much closer they must go with the scores to be named before another."""
BETWEEN = {
    "endless": ("rollouts/finished", -1.0),
    "repeats": ("responses/repetition", 1.0),
    "stuffing": ("responses/top_word", 1.0),
    "empty": ("responses/empty", 1.0),
    "at_once": ("responses/at_once", 1.0),
    "copies_prompt": ("responses/copied", 1.0),
    "language": ("responses/other_script", 1.0),
    "gibberish": ("responses/surprise", 1.0),
    "mode_collapse": ("responses/distinct_2", 1.0),
    "same_start": ("responses/first_token", 1.0),
    "length_drift": ("rollouts/length", 1.0),
    "advantage_scale": ("advantages/std", 1.0),
    "value_loss": ("loss/value", 1.0),
    "unusual": ("scores/unusual", 1.0),
}
"""Rule of what changes from the first steps to the last -> its metric, and -1 where the rule is about the rest to 1."""


def of_training(rows: Rows, *, kl_limit: float | None) -> list[Sign]:
    """Of a policy that learns from what it writes.

    Single steps are noisy, and what was so in the first steps is not the run's doing: most rules compare the mean over
    the last fifth of the steps with that over the first fifth, once there are `MIN_STEPS`. A rule whose metric the
    stage does not log is left out.

    Args:
        kl_limit: nats per response; None leaves drift unchecked.
    """
    first, last = fifths(rows)
    follows = _values(last, "rewards/kl_start") != []  # a reference that follows is never far
    drift = "rewards/kl_start" if follows else "rewards/kl"
    scores = {"s0": _average(first, "scores/mean"), "s1": _average(last, "scores/mean")}
    return [
        sign("nan", what=first_nan(rows)),
        sign("first_ratio", value=max(_values(rows, "ratio/first_error"), default=None)),
        sign("clipped", value=_average(_lately(rows), "ratio/clipped")),
        sign("kl", value=_average(last, drift), limit=kl_limit),
        sign("entropy", **_ends(first, last, "entropy/mean")),
        _clear(rows, first, sign("cut_off", **scores, **_ends(first, last, "rollouts/finished")), "rollouts/finished"),
        *_of_groups(last),
        *_of_updates(rows, last, drift),
        *_of_changes(rows, first, last),
        *_of_pay(rows),
        *([sign("disagreement", **scores, **_ends(first, last, DISAGREE))] if _known(rows, DISAGREE) else []),
    ]


def of_direct(rows: Rows) -> list[Sign]:
    """Of a policy that learns from preferences, by its held-out rows: the first look beside the last."""
    looked = [row for row in rows if row.get("logprobs/chosen_validation") is not None]
    first, last = (looked[:1], looked[-1:]) if len(looked) > 1 else ([], [])
    chosen = _ends(first, last, "logprobs/chosen_validation")
    spread = _ends(first, last, "entropy/validation")
    return [
        sign("nan", what=first_nan(rows)),
        sign("chosen_falls", c0=chosen["before"], c1=chosen["after"], **spread),
        *_grad_spike(rows, fifths(rows)[1]),
        *_of_validation(rows),
    ]


def of_imitation(rows: Rows, *, finished: float | None) -> list[Sign]:
    """Of a model that imitates demonstrations. Args: finished: share of its sampled responses that end by themselves;
    None if it was not asked."""
    _, last = fifths(rows)
    seen = [row for row in rows if row.get("loss/validation") is not None]
    return [
        sign("nan", what=first_nan(rows)),
        sign("never_stops", value=finished),
        sign("memorised", training=_average(last, "loss/train"), value=_average(seen[-1:], "loss/validation")),
        *_grad_spike(rows, last),
        *_of_validation(rows),
    ]


def fifths(rows: Rows) -> tuple[Rows, Rows]:
    """The first fifth of the rows and the last; none of fewer than `MIN_STEPS`."""
    num = -(-len(rows) // 5) if len(rows) >= MIN_STEPS else 0
    return rows[:num], rows[len(rows) - num :]


def least_rows(name: str) -> int:
    """Rows that a rule needs."""
    return 2 if name in SOON else MIN_STEPS


def _lately(rows: Rows) -> Rows:
    """The last fifth of the rows, and the last two at least, for a rule that needs no beginning to compare with; none
    of fewer than two."""
    return rows[-max(2, -(-len(rows) // 5)) :] if len(rows) > 1 else []


def first_nan(rows: Rows) -> str:
    """The first number that was none where the losses and the gradient should be, and in which step; empty if none."""
    for number, row in enumerate(rows, 1):
        wrong = [name for name, value in row.items() if value is None and name.startswith(("loss/", "grad/"))]
        if wrong:
            step = row.get("step")
            return f"{wrong[0]}, step {number if step is None else int(step)}"
    return ""


def _of_groups(rows: Rows) -> list[Sign]:
    """Of algorithms that compare the responses to a prompt with each other; others have no such rule."""
    used = _average(rows, "pairs/used")
    flat = _average(rows, "groups/flat") if used is None else 1 - used
    return [] if flat is None else [sign("flat", value=flat)]


def _of_updates(rows: Rows, last: Rows, drift: str) -> list[Sign]:
    """Of updates, of the critic and of drift, where there is such a thing."""
    found = _grad_spike(rows, last)
    if _known(rows, "ratio/kl"):
        found.append(sign("policy_kl", value=_middle(_lately(rows), "ratio/kl")))
    if _known(rows, "values/explained_variance"):
        found.append(sign("critic_blind", value=_foresight(rows)))
    if _known(rows, drift):
        found += [sign("negative_kl", value=_average(last, drift)), sign("wandering_kl", value=_wanders(rows, drift))]
    return found


def _of_changes(rows: Rows, first: Rows, last: Rows) -> list[Sign]:
    """Of what was otherwise in the first steps."""
    found = list[Sign]()
    for name, (metric, sense) in BETWEEN.items():
        if _known(rows, metric):
            before, after = (_average(some, metric) for some in (first, last))
            if sense < 0 and before is not None and after is not None:
                before, after = 1 - before, 1 - after
            said = _clear(rows, first, sign(name, before=before, after=after), metric)
            found.append(_torn(rows) or said if name == "value_loss" else said)
    return found


def _torn(rows: Rows) -> Sign | None:
    """The alarm of a critic that was torn before there was a first fifth to compare with: its error is many times what
    saying the mean would cost, of the returns it should foresee and of the first step's scores. The second alone may be
    so where more than scores is paid, the first alone where all is solved and returns hardly differ."""
    lately, limit = _lately(rows), RULES["value_loss"].limit or 0.0
    foreseen, error = (_middle(lately, name) for name in ("values/explained_variance", "loss/value"))
    name = "scores/shaped_std" if _known(rows, "scores/shaped_std") else "scores/std"
    deviation = _average(rows[:1], name)
    if foreseen is None or not deviation or foreseen > 1 - limit:
        return None
    said = sign("value_loss", before=deviation**2 / 2, after=error)
    return said if said.level == "alarm" else None


def _of_pay(rows: Rows) -> list[Sign]:
    """Of what the scores go with, which shows before anything is learned."""
    names = [name for name in ({**rows[0], **rows[-1]} if rows else {}) if name.startswith(PAYS)]
    if not names:
        return []
    found = {name.removeprefix(PAYS): _average(_lately(rows), name) for name in names}
    paid, value = most_paid(found)
    return [sign("shallow", paid=paid, value=value)]


def most_paid(found: Mapping[str, float | None]) -> tuple[str, float | None]:
    """What scores go with most, and how closely. Args: found: name of `stats.shallow` -> correlation; at least one."""
    most = max(found, key=lambda name: abs(found[name] or 0.0) - BEST_OF_MANY * (name in OF_MANY))
    return most, found[most]


def _clear(rows: Rows, first: Rows, said: Sign, metric: str) -> Sign:
    """The sign, but no alarm of what changed by no more than steps differ by chance."""
    before, after = (value for value in (said.values["before"], said.values["after"]))
    if said.level != "alarm" or not isinstance(before, float) or not isinstance(after, float):
        return said
    far = abs(after - before) > CLEAR * _noise(rows, metric, first)
    return said if far else Sign(said.name, "fine", said.values)


def _noise(rows: Rows, name: str, first: Rows) -> float:
    """The standard error of the difference of two means over a fifth of the rows each, by how far rows that follow each
    other differ: of independent normal numbers the median of that is 0.954 deviations, and jumps that are rare leave it
    as it is."""
    values = _values(rows, name)
    apart = statistics.median(abs(b - a) for a, b in itertools.pairwise(values)) if len(values) > 1 else 0.0
    return apart / 0.954 * math.sqrt(2 / len(first)) if first else 0.0


def _of_validation(rows: Rows) -> list[Sign]:
    held = _values(rows, "loss/validation")
    there = len(held) > 1
    return [sign("overfit", best=min(held) if there else None, value=held[-1] if there else None)]


def _grad_spike(rows: Rows, last: Rows) -> list[Sign]:
    """A gradient beside the usual one, by the median or in the first fifth: as a run comes to rest they shrink."""
    if not _known(rows, "grad/norm"):
        return []
    typical = statistics.median(_values(rows, "grad/norm") or [0.0])
    usual = max(typical, _average(rows[: len(last)], "grad/norm") or 0.0)
    return [sign("grad_spike", value=max(_values(last, "grad/norm"), default=None), usual=usual or None)]


def _foresight(rows: Rows) -> float | None:
    """The best that the critic has foreseen in any step: while scores rise it lags behind, and where all is solved the
    returns hardly differ, so that their explained variance may be below 0 in many a step."""
    enough = len(rows) >= CRITIC_STEPS
    return max(_values(rows, "values/explained_variance"), default=None) if enough else None


def _wanders(rows: Rows, drift: str) -> float | None:
    """How far drift jumps from step to step in the last fifth, a slope aside, as a share of its mean."""
    values = _values(rows[-(len(rows) // 5) :], drift)
    if len(rows) < SETTLED or len(values) < 3:
        return None
    jumps = [b - a for a, b in itertools.pairwise(values)]
    mean = sum(values) / len(values)
    return statistics.pstdev(jumps) / mean if mean > NATS else 0.0


def _known(rows: Rows, name: str) -> bool:
    """Whether the stage logs a metric at all."""
    return any(name in row for row in rows[:1]) or any(name in row for row in rows[-1:])


def _ends(first: Rows, last: Rows, name: str) -> dict[str, Value]:
    return {"before": _average(first, name), "after": _average(last, name)}


def _values(rows: Rows, name: str) -> list[float]:
    return [value for row in rows if (value := row.get(name)) is not None and math.isfinite(value)]


def _middle(rows: Rows, name: str) -> float | None:
    """The median, the lower of two: one token whose ratio is far off makes a step's mean many times what it is."""
    values = _values(rows, name)
    return statistics.median_low(values) if values else None


def _average(rows: Rows, name: str) -> float | None:
    values = _values(rows, name)
    return sum(values) / len(values) if values else None
