"""The objectives by name, and which of them suits what a file holds."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from prefloop.feedback.objectives import (
    AllPairs,
    BradleyTerry,
    Davidson,
    Hinge,
    Objective,
    Ordinal,
    PairClassifier,
    PlackettLuce,
    RaoKupper,
    Regression,
    Robust,
    Thumbs,
    Votes,
)


class Kinds(NamedTuple):
    """Which objectives a stage has."""

    objectives: Mapping[str, type[Objective]]
    """name -> what it is"""
    auto: Mapping[str, str]
    """what a file holds -> the objective that suits it"""

    elsewhere: Mapping[str, str] = MappingProxyType({})
    """what a file holds from which it does not learn -> the stage that does"""

    def refusal(self, held: str) -> str:
        """What to do with a file that holds something from which it does not learn."""
        if held in self.elsewhere:
            return f"From {held} learns `prefloop {self.elsewhere[held]}`."
        return "What is learned from here is " + ", ".join(self.auto) + "."


OBJECTIVES: Mapping[str, type[Objective]] = {
    "votes": Votes,
    "bradley_terry": BradleyTerry,
    "robust": Robust,
    "hinge": Hinge,
    "rao_kupper": RaoKupper,
    "davidson": Davidson,
    "plackett_luce": PlackettLuce,
    "all_pairs": AllPairs,
    "pair_classifier": PairClassifier,
    "regression": Regression,
    "ordinal": Ordinal,
    "thumbs": Thumbs,
}
"""Its name -> what it is."""
SCORED = Kinds(
    OBJECTIVES, {"preferences": "votes", "rankings": "plackett_luce", "ratings": "ordinal", "thumbs": "thumbs"}
)
"""Those of a model with a head for scores: all."""
