"""Settings of the report."""

from typing import Literal

from pydantic import Field

from prefloop.config import Config


class ReportConfig(Config):
    """Everything that changes what the report says or where it goes."""

    pipeline: str = Field(min_length=1)
    """Folder of the pipeline: recipe.yaml and one folder for each stage that ran."""

    out: str = Field(min_length=1)
    """Folder that receives index.html and summary.json."""

    language: Literal["en", "zh"] = "en"
    """Language of the page: English or Chinese. The models' own words are never translated."""

    title: str = ""
    """Title of the page; empty takes the recipe's name."""
