"""`gate.json`: whether a new model takes the place of the one before it, and what that was decided on."""

from typing import Literal

from prefloop.records.record import Record

Verdict = Literal["ship", "hold", "more"]
"""It takes its place; it does not; or more judgements are needed."""
State = Literal["kept", "broken", "waiting", "unmeasured"]
"""Of a condition: kept; broken; judgements are missing; or nobody measured what it is about."""


class Duel(Record):
    """The two models' responses to the same prompts, judged blind. A prompt counts once, with its share of wins."""

    by: str
    """Who judged: people, gold, model, or a function."""
    annotators: int
    """How many different ones."""
    judgements: int
    """Judgements that count."""
    prompts: int
    """Prompts that were judged."""
    alike: int
    """Prompts to which both wrote the same, of which nobody is asked; they do not count."""
    left: int
    """Prompts that are not judged."""
    wins: int
    ties: int
    losses: int
    """Of the new model, by prompt: a share of wins above, of, and below one half."""
    win_rate: float | None
    """Ties as half; null before the first judgement."""
    low: float
    """The least that the win rate can be, at every look together with the probability 1 - alpha."""
    high: float
    """The most that it can be, likewise."""
    e_value: float | None
    """Evidence for a win rate above one half; null if it is beyond what a number holds."""
    expected_more: int | None
    """Judgements until a verdict if the win rate stays; 0 after it, null if none is in sight."""
    verdict: Verdict
    """By the win rate alone."""


class Condition(Record):
    """Something that must hold beside the win rate."""

    name: str
    state: State
    value: float | None
    """The number that it looked at; null if it was not measured."""
    limit: float | None
    """The number that it was held against."""
    sentence: str
    """The same in words."""


class Kept(Record):
    """One checkpoint on the front: no other is as good in everything and better in something."""

    name: str
    measures: dict[str, float]
    """What it was measured by: more of `win_rate` and of each reward's part is better, less of all others."""


class Gate(Record):
    """The decision."""

    verdict: Verdict
    sentence: str
    """In words."""
    candidate: str
    """The new model's folder."""
    candidate_fingerprint: str
    incumbent: str
    """The folder of the model whose place it would take."""
    incumbent_fingerprint: str
    duel: Duel
    conditions: tuple[Condition, ...]
    front: tuple[Kept, ...]
    """Of all checkpoints that were evaluated, on validation prompts."""
    alpha: float
    worthwhile: float
    evaluation: str
    """Fingerprint of the evaluation that it rests on."""
    judgements: str
    """Fingerprint of the judgements that it rests on."""
    signature: str
    """Fingerprint of everything above: another number, and it is another one."""
