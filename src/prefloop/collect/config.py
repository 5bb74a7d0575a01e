"""Settings of `prefloop collect`."""

from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from prefloop.collect.judge_config import JudgeConfig
from prefloop.settings import Rewarded, RunConfig, SamplingConfig, Templated, Varied, Weighted
from prefloop.world.annotators import PanelConfig

MODEL = "model"
JUDGES = ("simulated", "people", MODEL)
"""Who may judge, beside a function."""
MOST_RANKED = 26
"""Responses that a model ranks in one question."""
PYTHON = "python:"
"""How a function begins."""


def check_judge(by: str, judge: JudgeConfig | None, *, margin: float) -> None:
    """Raises: ValueError for settings of a judge who does not judge."""
    if (by == MODEL) != (judge is not None):
        raise ValueError(
            "by = model needs to know which. Add judge.model=FOLDER, or judge.model=NAME with judge.base_url=URL."
            if judge is None
            else f"judge says which model judges, but by = {by}. Set by = model, or leave judge out."
        )
    if margin and not by.startswith(PYTHON):
        raise ValueError(f"margin is for a function, and by = {by} is none. Leave margin out.")


class CollectConfig(RunConfig, Templated, Weighted, Varied, SamplingConfig, Rewarded):
    """Everything that changes what is sampled and how it is judged."""

    model: str
    """Model folder that writes the responses, normally the SFT model or the last round's policy."""

    older: tuple[str, ...] = ()
    """Folders of older policies that write a share of the responses, so that what they say is not forgotten; all are in
    memory at once. Every response says in `sampler` who wrote it."""

    older_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the responses that older policies write, in equal parts, on average over the prompts."""

    prompts: str
    """File of prompts."""

    num_prompts: int = Field(default=0, ge=0)
    """Prompts taken from the file's beginning; 0 takes all."""

    responses_per_prompt: int = Field(default=4, ge=2, le=16)
    """K, responses sampled for each prompt."""

    near_duplicate: float = Field(default=0.9, gt=0, le=1)
    """Two responses that share this much of their word pairs are near-duplicates; the later one is drawn again."""

    resample: int = Field(default=2, ge=0, le=100)
    """How often near-duplicates and empty responses are drawn again before they are left out."""

    altered: int = Field(default=0, ge=0, le=16)
    """Hard negatives added to each prompt's responses: copies in which a number, name or thing that was copied from the
    prompt is wrong. They are judged like any other; prompts that are held out get none."""

    by: str = "simulated"
    """Who judges: `simulated` annotators, who know the helpdesk's prompts and refuse any other; `people` at the page,
    for whom the stage waits; a `model`, as `judge` says; or a function, python:FILE.py:FUNCTION, that gives each
    response a number (reward takes the same)."""

    judge: JudgeConfig | None = None
    """With by=model: the model that judges."""

    margin: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """With a function: two responses whose numbers differ by no more than this are a tie."""

    enough: int = Field(default=200, ge=0)
    """With people: judgements after which the stage goes on; 0 waits until everything is judged."""

    page: tuple[str, ...] = ()
    """With people: settings of `prefloop web`, for instance [port=9000, overlap.judgements=2]; one pair is asked of
    each prompt unless they say so."""

    annotators: PanelConfig = PanelConfig()
    """The simulated annotators."""

    pairs_per_prompt: int = Field(default=3, ge=1)
    """Pairs judged of the K (K - 1) / 2, drawn at random."""

    ranking_share: float = Field(default=0.2, ge=0, le=1)
    """Share of the comparisons judged as one ranking of all K instead of in pairs."""

    overlap: int = Field(default=3, ge=1)
    """Annotators who judge each comparison of the share that several judge."""

    overlap_share: float = Field(default=0.2, ge=0, le=1)
    """Share of the comparisons that several annotators judge."""

    held_out: float = Field(default=0.15, ge=0, lt=1)
    """Share of the prompts whose preferences are kept for validation, and never trained on."""

    batch_prompts: int = Field(default=128, ge=1, le=100_000)
    """Prompts sampled together."""

    @model_validator(mode="after")
    def _somebody_judges(self) -> Self:
        if self.by not in JUDGES and not self.by.startswith(PYTHON):
            raise ValueError(
                f"by = {self.by}: nobody is called that. Type by=simulated, by=people, by=model, or "
                "by=python:FILE.py:FUNCTION."
            )
        check_judge(self.by, self.judge, margin=self.margin)
        if bool(self.older) != bool(self.older_share):
            raise ValueError(
                f"older_share = {self.older_share:g} of the responses are older policies', and older names none. Add "
                "older=[FOLDER], or leave older_share out."
                if self.older_share
                else "older names policies that write nothing. Say how much: older_share = 0.25, or leave older out."
            )
        shown = self.responses_per_prompt + self.altered
        if self.judge is not None and self.judge.form == "ranking" and shown > MOST_RANKED:
            raise ValueError(
                f"judge.form = ranking names each response by a letter, so that it takes {MOST_RANKED} at most, and "
                f"not responses_per_prompt + altered = {shown}. Draw fewer, or set judge.form = pair."
            )
        return self

    def extras(self) -> Mapping[str, str]:
        """The page, for people."""
        return {"web": "by=people"} if self.by == "people" else {}
