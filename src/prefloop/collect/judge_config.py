"""Settings of a model that judges: `judge.model`, `judge.base_url` and so on of `prefloop collect by=model`."""

import re
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from prefloop.asking.config import AskedConfig

SIMULATED = "simulated"
"""What `audit` is where the world's annotators are compared with."""


class JudgeConfig(AskedConfig):
    """A model as annotator, and how it is asked."""

    WORD: ClassVar[str] = "judge"

    model: str = Field(min_length=1)
    """With base_url the model's name there; without it a model folder, which is read here: how likely it finds A and
    B as the next word decides, so that nothing needs to be parsed."""

    rubric: str | None = None
    """A text file that says what a better response is; None takes the one built in, in Chinese for prompts that are."""

    form: Literal["pair", "rating", "ranking"] = "pair"
    """What it is asked: which of two responses is better, how good each response is by itself from 1 to 5, or in which
    order all responses to a prompt are."""

    axes: tuple[str, ...] = ()
    """With form=rating: what responses are rated on; left out, helpful, honest and harmless. What other axes mean, a
    rubric should say."""

    principles: str | tuple[str, ...] | None = None
    """Principles, one of which is drawn for each pair (and vote) as what the better response does: names of those that
    come with prefloop (helpful, harmless, honest, law, medicine, education) or YAML files, one or a list."""

    principles_language: Literal["auto", "en", "zh"] = "auto"
    """In which language built-in principles are taken: auto is the prompt's."""

    ties: bool = False
    """Let it answer C: both are equally good."""

    votes: int = Field(default=1, ge=1, le=32)
    """How often each question is asked, pairs and rankings each time in both orders."""

    soft: bool = False
    """Preferences say how sure the judge is, by the likelihood of A against B, instead of which it chose. A folder
    knows it; an endpoint must return logprobs. With form=rating a folder's ratings are what is to be expected by the
    likelihoods of 1 to 5."""

    clamp: float = Field(default=0.0, ge=0, lt=0.5)
    """With soft: how sure it is stays at least this far from 0 and from 1."""

    temperature: float = Field(default=0.0, ge=0, le=2)
    """Divides its logits; with several votes above 0, or all would be alike."""

    audit: str | None = None
    """Whom it is compared with: a file of preferences by people, whose pairs it is asked too; or `simulated`, the
    helpdesk's annotators, who are asked the same pairs."""

    audit_pairs: int = Field(default=300, ge=30, le=100_000)
    """Pairs of the audit at most."""

    own: str | None = Field(default=None, min_length=1)
    """Of the audit: the sampler whose responses are of the judge's own kind; left out, the judge itself (its folder's
    fingerprint, or its name). Who wrote what is said by comparisons.jsonl beside the audit's file."""

    @model_validator(mode="before")
    @classmethod
    def _longer_forms_need_room(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("form", "pair") != "pair" and "max_new_tokens" not in values:
            return {**values, "max_new_tokens": 64}
        return values

    def own_kind(self, known_as: str) -> str:
        """The sampler of its own kind. Args: known_as: the judge itself."""
        return self.own or known_as

    @property
    def rated_on(self) -> tuple[str, ...]:
        """The axes of ratings."""
        return self.axes or ("helpful", "honest", "harmless")

    @model_validator(mode="after")
    def _fits_its_form(self) -> Self:
        if self.axes and self.form != "rating":
            raise ValueError(f"axes are what is rated, but form = {self.form}. Set form = rating, or leave axes out.")
        named = [axis.strip().lower() for axis in self.axes]
        strange = next((axis for axis in self.axes if not axis.strip() or re.search(r"[:：=,;，；\n]", axis)), None)
        if strange is not None or len({*named}) < len(named):
            raise ValueError(
                f"axes = [{', '.join(self.axes)}] are no different names. Give each one of its own, without colons "
                "and commas."
            )
        if self.principles is not None and self.form != "pair":
            raise ValueError(f"by principles pairs are compared, but form = {self.form}. Leave one of them out.")
        if self.ties and self.form != "pair":
            raise ValueError(f"ties let the judge of a pair answer C, but form = {self.form} knows them. Leave it out.")
        if self.form == "ranking" and self.base_url is None:
            raise ValueError(
                "form = ranking needs an endpoint: of a model folder the likelihood of single words is read, and an "
                "order is none. Give base_url (of prefloop serve, say), or set form = pair."
            )
        if self.soft and self.form == "ranking":
            raise ValueError(
                "soft is how sure a judge is, and form = ranking tells nothing but an order. Leave it out."
            )
        if self.soft and self.form == "rating" and self.base_url is not None:
            raise ValueError(
                "soft ratings are read from the likelihoods of a model folder. Leave soft out, or base_url."
            )
        if self.clamp and self.form != "pair":
            raise ValueError(f"clamp bounds how sure the judge of a pair is, but form = {self.form}. Leave it out.")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.base_url is None and self.votes > 1:
            raise ValueError("votes of a model folder are all alike, for its likelihoods are read. Leave votes out.")
        if self.base_url is not None and self.votes > 1 and self.temperature == 0:
            raise ValueError(f"votes = {self.votes} are all alike at temperature 0. Set temperature, for instance 1.")
        if self.own is not None and self.audit is None:
            raise ValueError("own is whom the audit looks for. Give audit = FILE, preferences by people.")
        if self.clamp and not self.soft:
            raise ValueError("clamp bounds how sure the judge is, which only soft = true keeps. Set it, or drop clamp.")
        if self.soft and self.ties:
            raise ValueError("with soft = true the share of A against B says how near a tie is. Leave ties out.")
        if self.principles == ():
            raise ValueError("principles names none. Give one, such as principles=harmless, or leave it out.")
        return self

    @property
    def named_principles(self) -> tuple[str, ...]:
        """The principles as a list; empty if there are none."""
        return (self.principles,) if isinstance(self.principles, str) else self.principles or ()
