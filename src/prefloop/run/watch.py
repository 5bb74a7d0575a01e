"""What a run that trains a policy says while it goes on: each alarm of `signs.of_training` once, when it is first
raised."""

from collections.abc import Mapping
from typing import Any

from prefloop.signs import Sign, of_training

Row = Mapping[str, float | None]
OF_A_POLICY = "scores/mean"
"""What every row of a stage that trains a policy has, and no other."""
SENTENCES = {
    "first_ratio": "a step's first probability ratios are off 1 by up to {value:.2g}, though nothing had been learned "
    "yet: policy and sampler disagree, so what is learned from these rollouts cannot be trusted.",
    "clipped": "the update of {value:.0%} of the tokens is cut off at the trust region, more than {limit:.0%}: lower "
    "lr, or take fewer epochs.",
    "entropy": "the entropy fell from {before:.3g} to {after:.3g} nats per token, to less than {limit:.0%}: the policy "
    "is collapsing onto few responses. Raise what holds it to the reference (kl_coef, or beta "
    "in online-dpo) or entropy_coef, or lower lr.",
    "flat": "of {value:.0%} of the prompts every response earns the same, and so teaches nothing: ask for more "
    "responses to a prompt, a higher temperature, prompts that are neither too easy nor too hard, or in grpo more "
    "tries.",
    "cut_off": "the score rose from {s0:.3g} to {s1:.3g} while fewer responses end by themselves ({before:.0%}, now "
    "{after:.0%}): the reward is probably being gamed. Read samples.jsonl, or raise unfinished_penalty.",
}
"""Sign -> what its alarm says. Drift has no limit here: `evaluate` has one."""


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
        return [_sentence(sign) for sign in new]

    def warnings(self) -> list[str]:
        """A sentence for each alarm that stands over all rows."""
        return [_sentence(sign) for sign in self._alarms()]

    def _alarms(self) -> list[Sign]:
        return [sign for sign in of_training(self._rows, kl_limit=None) if sign.level == "alarm"]


def _sentence(sign: Sign) -> str:
    return SENTENCES[sign.name].format(**sign.values)
