"""Settings of a model that judges: `judge.model`, `judge.base_url` and so on of `prefloop collect by=model`."""

from typing import ClassVar, Literal, Self

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

    principles: str | tuple[str, ...] | None = None
    """Principles, one of which is drawn for each pair (and vote) as what the better response does: names of those that
    come with prefloop (helpful, harmless, honest, law, medicine, education) or YAML files, one or a list."""

    principles_language: Literal["auto", "en", "zh"] = "auto"
    """In which language built-in principles are taken: auto is the prompt's."""

    ties: bool = False
    """Let it answer C: both are equally good."""

    votes: int = Field(default=1, ge=1, le=32)
    """How often each pair is asked, each time in both orders."""

    soft: bool = False
    """Preferences say how sure the judge is, by the likelihood of A against B, instead of which it chose. A folder
    knows it; an endpoint must return logprobs."""

    clamp: float = Field(default=0.0, ge=0, lt=0.5)
    """With soft: how sure it is stays at least this far from 0 and from 1."""

    temperature: float = Field(default=0.0, ge=0, le=2)
    """Divides its logits; with several votes above 0, or all would be alike."""

    audit: str | None = None
    """Whom it is compared with: a file of preferences by people, whose pairs it is asked too; or `simulated`, the
    helpdesk's annotators, who are asked the same pairs."""

    audit_pairs: int = Field(default=300, ge=30, le=100_000)
    """Pairs of the audit at most."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.base_url is None and self.votes > 1:
            raise ValueError("votes of a model folder are all alike, for its likelihoods are read. Leave votes out.")
        if self.base_url is not None and self.votes > 1 and self.temperature == 0:
            raise ValueError(f"votes = {self.votes} are all alike at temperature 0. Set temperature, for instance 1.")
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
