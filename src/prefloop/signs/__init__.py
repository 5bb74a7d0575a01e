"""Signs: what is wrong with a reward model, with a run that goes on, or with what came of it. Each rule is said once.

A rule and its threshold stand in `RULES` and nowhere else (`rules`), who looks at which numbers in `training` and
`results`, what is said of it to people in `sentences` and `saying`; docs/signs.md has them all in a table.
"""

from prefloop.signs.results import of_card, of_evaluation, of_knowing, of_lineage, of_skill
from prefloop.signs.rules import FORGOTTEN, POINTS, RULES, SKILL, STOPS, Level, Rule, Sign, Value, sign
from prefloop.signs.saying import KINDS, rule_of, says
from prefloop.signs.sentences import SENTENCES, Said
from prefloop.signs.training import MIN_STEPS, SOON, fifths, least_rows, most_paid, of_direct, of_imitation, of_training

__all__ = [
    "FORGOTTEN",
    "KINDS",
    "MIN_STEPS",
    "POINTS",
    "RULES",
    "SENTENCES",
    "SKILL",
    "SOON",
    "STOPS",
    "Level",
    "Rule",
    "Said",
    "Sign",
    "Value",
    "fifths",
    "least_rows",
    "most_paid",
    "of_card",
    "of_direct",
    "of_evaluation",
    "of_imitation",
    "of_knowing",
    "of_lineage",
    "of_skill",
    "of_training",
    "rule_of",
    "says",
    "sign",
]  # fmt: skip
