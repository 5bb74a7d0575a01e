"""`lineage.json`: what came of what over the rounds of a pipeline.

Paths are from the pipeline's folder on, so that it can be moved; what lies elsewhere has its whole path.
"""

from typing import Literal

from pydantic import Field

from prefloop.records.cards import Share
from prefloop.records.evaluations import WinRate
from prefloop.records.record import Record
from prefloop.records.runs import Artefact


class Round(Record):
    """One turn: from what it began, and what was decided."""

    name: str
    """Its folder's: its number, with a letter if it is a branch."""
    number: int
    parent: str
    """The round that it came after; empty for the first."""
    incumbent: Artefact
    """The policy that was sampled, and had to be beaten."""
    reward: Artefact | None = None
    """The reward model that the round before had left; null if there was none."""
    outputs: dict[str, Artefact] = Field(default_factory=dict)
    """Once it is decided: stage/NAME -> what the stages wrote."""
    judgements: int = 0
    """Judgements that it took."""
    stale: Share | None = None
    """The last round's reward model on this round's held-out pairs."""
    fresh: Share | None = None
    """The refreshed one on the same."""
    decision: Literal["ship", "hold"] | None = None
    """The gate's; null while it goes on."""
    sentence: str = ""
    """The gate's."""
    signature: str = ""
    """The gate's."""
    selected: Artefact | None = None
    """The policy that is the incumbent after it: the new one if it was shipped, else the old one."""
    refreshed: Artefact | None = None
    """The reward model that it left, or that of before."""
    gain: float | None = None
    """Win rate of the new policy over the incumbent on test prompts, beyond one half."""
    gain_error: float | None = None
    """Its standard error."""
    over_base: WinRate | None = None
    """Win rate of the new policy over the evaluation's base, on test prompts."""
    seal: str = ""
    """Fingerprint of all this and of its parent's seal: who changes a number breaks every seal after it."""


class Lineage(Record):
    """All rounds, and after which the next one comes."""

    recipe: str
    """The recipe's file."""
    typed: tuple[str, ...] = ()
    """What was typed beside it."""
    head: str = ""
    """The round after which the next one comes; empty before the first."""
    rounds: tuple[Round, ...] = ()
    ended: Literal["", "num", "holds", "gain"] = ""
    """Why no further round began: as many as asked for, too many holds in a row, or too little to be gained."""

    def named(self, name: str) -> Round | None:
        """The round of that name."""
        return next((each for each in self.rounds if each.name == name), None)

    def line(self, name: str) -> tuple[Round, ...]:
        """The rounds that led to one, itself the last."""
        found: list[Round] = []
        at = self.named(name)
        while at is not None:
            found.insert(0, at)
            at = self.named(at.parent)
        return tuple(found)
