"""What a run that trains a policy says while it goes on: each alarm of its rules once, when it is first raised."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefloop.settings import RunConfig, Watched
from prefloop.signs import RULES, Sign, of_direct, of_training, says

Row = Mapping[str, float | None]
OF_A_POLICY = "scores/mean"
"""What every row of a stage has whose policy learns from what it writes, and no other."""
LOOKED = "logprobs/chosen_validation"
"""What a row of a stage has that learns from preferences, where held-out ones were looked at."""
OFTEN = 100
"""Rows up to which the rules look at each; of more they look when there is one more in so many."""


class Watch:
    """The rows of a policy's metrics.jsonl so far, and which alarms have been said of them.

    Rows that no rule looks at are passed over: they can be many.
    """

    def __init__(self, config: RunConfig) -> None:
        """Args: config: may say that nothing is said, or that alarms end the run."""
        self._how = config.watch if isinstance(config, Watched) else "warn"
        self._rows: list[Row] = []
        self._said: set[str] = set()
        self._due = 0

    def go_on(self, rows: list[dict[str, Any]]) -> None:
        """Takes over the rows that an earlier session logged."""
        self._rows = [row for row in rows if self._is_seen(row)]
        self._said = {sign.name for sign in self._alarms()}

    def see(self, row: Row) -> list[Sign]:
        """Takes a new row. Returns: the alarms that have not been raised before."""
        if not self._is_seen(row):
            return []
        self._rows.append(row)
        if len(self._rows) < self._due:
            return []
        self._due = len(self._rows) + 1 + len(self._rows) // OFTEN
        new = [sign for sign in self._alarms() if sign.name not in self._said]
        self._said |= {sign.name for sign in new}
        return new

    def warnings(self) -> list[str]:
        """A sentence for each alarm that stands over all rows."""
        return [says(sign) for sign in self._alarms()]

    def ends(self, signs: Sequence[Sign]) -> Sign | None:
        """The first of them that ends the run; None if none does."""
        ending = (sign for sign in signs if self._how == "stop" and RULES[sign.name].stops)
        return next(ending, None)

    def standing(self) -> Sign | None:
        """The alarm over all rows that ends the run; None if none does."""
        return self.ends(self._alarms())

    def _is_seen(self, row: Row) -> bool:
        return self._how != "off" and (OF_A_POLICY in row or LOOKED in row)

    def _alarms(self) -> list[Sign]:
        rules: Callable[[Sequence[Row]], list[Sign]] = of_direct
        if self._rows and OF_A_POLICY in self._rows[0]:
            rules = of_policy
        return [sign for sign in rules(self._rows) if sign.level == "alarm"]


def of_policy(rows: Sequence[Row]) -> list[Sign]:
    """The rules of a policy in training. Drift has no limit here: `evaluate` has one, and `max_kl` another."""
    return of_training(rows, kl_limit=None)
