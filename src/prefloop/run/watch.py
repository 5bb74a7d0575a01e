"""What a run that trains a policy says while it goes on: each alarm of `signs.of_training` once, when it is first
raised."""

from collections.abc import Mapping
from typing import Any

from prefloop.signs import Sign, of_training, says

Row = Mapping[str, float | None]
OF_A_POLICY = "scores/mean"
"""What every row of a stage that trains a policy has, and no other."""


class Watch:
    """The rows of a policy's metrics.jsonl so far, and which alarms have been said of them.

    Rows of stages that train no policy are passed over: they can be many, and no rule looks at them.
    """

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._said: set[str] = set()

    def go_on(self, rows: list[dict[str, Any]]) -> None:
        """Takes over the rows that an earlier session logged."""
        self._rows = [row for row in rows if OF_A_POLICY in row]
        self._said = {sign.name for sign in self._alarms()}

    def see(self, row: Row) -> list[str]:
        """Takes a new row. Returns: a sentence for each alarm that has not been raised before."""
        if OF_A_POLICY not in row:
            return []
        self._rows.append(row)
        new = [sign for sign in self._alarms() if sign.name not in self._said]
        self._said |= {sign.name for sign in new}
        return [says(sign) for sign in new]

    def warnings(self) -> list[str]:
        """A sentence for each alarm that stands over all rows."""
        return [says(sign) for sign in self._alarms()]

    def _alarms(self) -> list[Sign]:
        return [sign for sign in of_training(self._rows, kl_limit=None) if sign.level == "alarm"]
