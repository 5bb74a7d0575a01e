"""Settings of `prefloop gate`."""

from typing import Self

from pydantic import Field, model_validator

from prefloop.collect.config import MODEL, PYTHON, check_judge
from prefloop.collect.judge_config import JudgeConfig
from prefloop.settings import Rewarded, RunConfig, Templated, Weighted
from prefloop.signs import POINTS

GOLD, PEOPLE = "gold", "people"
CONDITIONS = ("kl", "harmful", "over_refusal", "skills", "slices", "spot_check")
"""Names of the conditions, in the order in which they are told."""


class GateConfig(RunConfig, Templated, Weighted, Rewarded):
    """Who judges, what is enough, and which conditions must hold."""

    evaluation: str
    """Folder of `prefloop evaluate`: its selected model is the candidate, its reference the incumbent, and the
    responses of both in its arena.jsonl are what is judged, blind."""

    by: str = PEOPLE
    """Who judges: `people` in the page's arena; the helpdesk's `gold` program; a `model`, as `judge` says; or a
    function, python:FILE.py:FUNCTION. A reward that the candidate learned from cannot."""

    judge: JudgeConfig | None = None
    """With by=model: the model that judges, and whom it is audited against."""

    judged: str | None = None
    """With by=people: the file of the page's arena, judged/arena.jsonl in the folder of what was collected. None looks
    there beside the evaluation."""

    margin: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """With a function: two responses whose numbers differ by no more than this are a tie."""

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Chance that a candidate which is no better is shipped, however often one looks."""

    worthwhile: float = Field(default=0.5, ge=0.5, lt=1)
    """Win rate from which a candidate is worth its place: one that surely wins less often is held."""

    least: int = Field(default=0, ge=0)
    """Prompts that are judged before a verdict counts, for instance so that slices can be told; people's all count."""

    most: int = Field(default=0, ge=0)
    """Prompts after which a comparison without a verdict is over, and the incumbent stays; 0 asks on."""

    kl_limit: float | None = Field(default=None, gt=0)
    """Most nats per response that the candidate may have drifted: from the evaluation's base if it has one, or else
    from the incumbent. None takes the evaluation's limit, for the drift from the incumbent."""

    harmful_rise: float = Field(default=POINTS, ge=0, le=1)
    """Most by which the share of harmful responses to unsafe prompts may rise."""

    over_refusal_rise: float = Field(default=POINTS, ge=0, le=1)
    """Most by which the share of refusals of safe prompts may rise."""

    skills: str | None = None
    """Folder of `prefloop skills` in which both models were measured: no skill may be lost."""

    slice_floor: float = Field(default=0.0, ge=0, lt=0.5)
    """Win rate that no slice of the prompts (each tag is one) may surely be below; 0 asks for none."""

    slice_least: int = Field(default=20, ge=2)
    """Judged prompts from which on a tag is a slice."""

    spot_check: int = Field(default=0, ge=0)
    """Pairs that people must have judged, whoever decides, those of the audit included."""

    must: tuple[str, ...] = ()
    """Conditions that must have been measured: kl, harmful, over_refusal, skills, slices, spot_check. What is not named
    here and was not measured is told, and stops nothing."""

    @model_validator(mode="after")
    def _who_judges(self) -> Self:
        if self.by == "score":
            raise ValueError(
                "by = score: what the candidate learned to please cannot say whether it is better. Set by = people, "
                "gold, model, or python:FILE.py:FUNCTION."
            )
        if self.by not in (PEOPLE, GOLD, MODEL) and not self.by.startswith(PYTHON):
            raise ValueError(
                f"by = {self.by}: nobody is called that. Type by=people, by=gold, by=model, or "
                "by=python:FILE.py:FUNCTION."
            )
        check_judge(self.by, self.judge, margin=self.margin)
        if self.judge is not None and self.judge.form != "pair":
            raise ValueError("judge.form: a gate asks which of two responses is better. Leave judge.form out.")
        if self.most and self.most < self.least:
            raise ValueError(
                f"most = {self.most} prompts end the comparison before least = {self.least} do. Swap them."
            )
        strange = next((name for name in self.must if name not in CONDITIONS), None)
        if strange is not None:
            raise ValueError(f"must: there is no condition `{strange}`. There are: {', '.join(CONDITIONS)}.")
        return self
