"""Settings of `prefloop score`."""

from pydantic import Field

from prefloop.settings import Placed, Rewarded, Weighted


class ScoreConfig(Placed, Weighted, Rewarded, defaults={"dtype": "float32"}):
    """What is scored, and by whom."""

    model: str
    """Reward model folder, or python:FILE.py:FUNCTION."""

    data: str
    """File of prompts with responses (demonstrations), of preferences, or of comparisons; any form that `prefloop data
    check` names."""

    out: str
    """File for the scores (.jsonl, .jsonl.gz or .parquet), new or written by prefloop before; one row for each
    row of the data, or for each response of a comparison."""

    embed: bool = False
    """Of comparisons: also write where the reward model sees each response, by which the page chooses items that differ
    in meaning."""

    batch: int = Field(default=1024, ge=1, le=1_000_000)
    """Rows scored together."""
