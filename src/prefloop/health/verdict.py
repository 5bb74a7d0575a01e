"""The verdict: ready for RL, or what to do first."""

from collections.abc import Sequence

from prefloop.records.cards import Reason
from prefloop.signs import STOPS, Sign


def judged(signs: Sequence[Sign]) -> tuple[tuple[Reason, ...], tuple[str, ...]]:
    """The alarms, those that stop first, and the names of the rules that lacked a number."""
    alarms = [
        Reason(
            name=each.name,
            stops=each.name in STOPS,
            values={name: value for name, value in each.values.items() if value is not None},
        )
        for each in signs
        if each.level == "alarm"
    ]
    unchecked = tuple(dict.fromkeys(each.name for each in signs if each.level == "unchecked"))
    return tuple(sorted(alarms, key=lambda reason: not reason.stops)), unchecked
