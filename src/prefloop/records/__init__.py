# ruff: noqa: F401  the names below are for others
"""The language on disk: what stages hand to each other, and what they leave beside it.

Every record is frozen and strict: a field with the wrong name or type is an error with a sentence, never a guess.
A prompt is a conversation that ends with the user's turn; a response is plain text that continues it.
"""

from prefloop.records.chosen import Chosen
from prefloop.records.conversations import Demonstration, Message, Prompt, Response, Sampling, opening, spoken
from prefloop.records.judgements import (
    AnnotatorKind,
    Comparison,
    Judgement,
    Machine,
    PairChoice,
    Preference,
    Ranking,
    Rated,
    Side,
    Vote,
)
from prefloop.records.probes import Probe
from prefloop.records.record import Record
from prefloop.records.revisions import Revised, Step
from prefloop.records.runs import Artefact, Finished, Identity, RunCard, Timing
from prefloop.records.scores import EmbeddedScore, EnsembleCard, Score
from prefloop.records.skills import Task
