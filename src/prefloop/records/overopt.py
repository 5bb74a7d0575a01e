"""Over-optimisation: what the best of n is worth to gold (`best_of.json`), and the lab's curves and laws (`lab.json`).

Gains are over the model that all policies begin as, in deviations of its own responses: of gold's utility for gold, of
the reward model's score for the proxy.
"""

from typing import Literal

from pydantic import Field

from prefloop.records.evaluations import Interval, Number
from prefloop.records.record import Record


class BestOfPoint(Record):
    """The best of n responses."""

    n: int
    kl: float
    """Nats at most from the model that wrote them: log n - (n - 1) / n."""
    score: Interval
    """Reward units."""
    utility: Interval
    """Gold's, of the response that the reward chose."""


class BestOfCurve(Record):
    """What one reward chooses among the same responses."""

    model: str
    """Its folder."""
    mean: float
    """Score of all responses, in reward units."""
    deviation: float
    """Of the scores of all responses, in reward units."""
    points: tuple[BestOfPoint, ...]


class BestOf(Record):
    """`best_of.json`: written by `prefloop lab best-of`."""

    num_prompts: int
    responses_per_prompt: int
    mean: float
    """Gold's utility of all responses."""
    deviation: float
    """Of the utilities of all responses."""
    curves: dict[str, BestOfCurve]
    """Name of each reward -> what it chooses."""


class Point(Record):
    """A policy on its way, or the best of n."""

    place: int
    """Steps of training; or n."""
    kl: float
    """Nats per response from where it began."""
    proxy: float
    """Gain of the score that was optimised, in deviations."""
    gold: float
    """Gain of gold's utility, in deviations."""
    low: Number = None
    """This and the next: 95 % interval of gold's gain, over prompts."""
    high: Number = None


class Turned(Record):
    """Where gold was highest, and what came after."""

    place: int
    """Steps, of the highest point."""
    kl: float
    """Nats there."""
    rise: float
    """Of gold up to there, in deviations."""
    fall: float
    """Of gold from there to the end, in deviations."""
    fall_low: Number = None
    """Least that it fell, if both ends' intervals are taken together."""
    proxy_rise: float
    """Of the proxy over that fall, in deviations."""


class LabRun(Record):
    """A cell with one seed."""

    seed: int
    failed: str | None = None
    """Why nothing came of it, in its own words."""
    accuracy: Number = None
    """Of its reward model on held-out preferences."""
    trained: tuple[Point, ...] = ()
    """The policy as it was kept, from its beginning."""
    chosen: tuple[Point, ...] = ()
    """The best of n by the same reward model."""
    turned: Turned | None = None
    """Of the trained policy."""
    alarms: dict[str, int] = Field(default_factory=dict)
    """Rule of signs -> the step after which it raised an alarm first, looked at after every step."""


class Law(Record):
    """d (a - b d) for the best of n, d (a - b log d) for RL, fitted to gold's gains of all seeds; d is KL's root."""

    law: Literal["best_of_n", "rl"]
    a: Interval
    """The interval is over seeds."""
    b: Interval
    r2: Number
    num_points: int
    peak_kl: Number
    """Nats at which the law is highest; null if it is nowhere."""


class LabCell(Record):
    """One way of making a reward model and using it, with all its seeds."""

    name: str
    settings: dict[str, str | int | float | None]
    runs: tuple[LabRun, ...]
    rl: Law | None = None
    best_of_n: Law | None = None
    end: Interval | None = None
    """Gold's gain at the end of training, over seeds."""
    ahead: Interval | None = None
    """How much of that is more than the first cell's, seed by seed."""
    chosen_end: Interval | None = None
    """Gold's gain of the best of the largest n, over seeds."""
    chosen_ahead: Interval | None = None
    """How much of that is more than the first cell's."""


class Lab(Record):
    """`lab.json`: written by `prefloop lab overopt`."""

    title: str
    """The recipe's."""
    seeds: tuple[int, ...]
    algorithm: str
    num_prompts: int
    """Prompts on which a policy was measured each time."""
    best_of: int
    """The largest n."""
    cells: tuple[LabCell, ...] = Field(min_length=1)
    """In the order asked for; what a cell is ahead of is the first."""
