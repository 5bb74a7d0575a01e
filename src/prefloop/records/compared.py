"""Comparisons of methods: what each gained and cost (`compare.json`)."""

from pydantic import Field

from prefloop.records.evaluations import Judge, Split
from prefloop.records.record import Record


class Cost(Record):
    """What was spent on something."""

    cpu_seconds: float
    """Seconds that processors worked, all threads together."""
    peak_mb: float
    """Most memory that a stage of it held, in MB."""
    sampled_tokens: int = 0
    """Tokens that models wrote for it, of responses that were learned from or chosen among."""


class Tried(Record):
    """One method and what came of it."""

    name: str
    """As it was asked for."""
    method: str
    """Its name in the table of methods."""
    commands: tuple[str, ...]
    """What was run for it, as one types it."""
    failed: str | None = None
    """Why nothing came of it, in its own words."""
    policy: str | None = None
    """The folder of the policy that was selected."""
    own: Cost | None = None
    """What it took, measuring not counted; null if it trains nothing."""
    shared: Cost | None = None
    """What it rests on that others rest on too: the reward model."""
    judgements: int = 0
    """Judgements behind what it learned from."""
    validation: Split | None = None
    """Of the selected policy, on the prompts by which it was selected."""
    test: Split | None = None
    """On new prompts."""


class Compared(Record):
    """`compare.json`: written by `prefloop compare`."""

    title: str
    """The recipe's."""
    seed: int
    """Of all runs."""
    judge: Judge
    """Who decided which of two responses is better."""
    kl_limit: float
    """Nats per response beyond which no policy was selected while there was a nearer one."""
    reference: Split
    """The model that all began as, on the test prompts."""
    judge_seconds: float | None = None
    """What the judgements took those who gave them, in seconds, where that is known."""
    tried: tuple[Tried, ...] = Field(min_length=1)
    """In the order asked for."""
