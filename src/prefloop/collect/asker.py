"""A model that is asked, in whatever form: who it is, what is read for it, and its answers, kept as they come."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Generic

from prefloop import layout
from prefloop.asking.answers import Answers
from prefloop.collect.asking import FAILURES, Asking, Q, Said, T, Words
from prefloop.collect.audit import comparisons_beside
from prefloop.collect.config import CollectConfig
from prefloop.collect.folder_judge import FolderJudge, lettered
from prefloop.collect.judge_config import SIMULATED, JudgeConfig
from prefloop.files import fingerprints
from prefloop.models.device import placement
from prefloop.models.load import model_folder
from prefloop.run import Run


class Asker(Generic[Q, T]):
    """The model that `judge` names, and the words in which it is asked."""

    def __init__(self, config: CollectConfig, wording: Words[Q, T], letters: str) -> None:
        """Looks at who it is. Raises: UserError if a folder cannot be used.

        Args:
            wording: how it is asked.
            letters: what it may answer, of which a folder tells the likelihoods.
        """
        assert config.judge is not None  # by=model has it
        self._config, self._judge, self._wording, self._letters = config, config.judge, wording, letters
        if self._judge.base_url is None:
            lettered(self._judge.model, letters, template=config.template)
            self.known_as = fingerprints.of_path(model_folder(self._judge.model))
        else:
            self.known_as = self._judge.model
        self.name = f"model:{self.known_as}"
        self.version = fingerprints.of_value([wording.fingerprint, self._drawn])

    @property
    def _drawn(self) -> dict[str, Any]:
        """What decides an answer beside the question."""
        judge = self._judge
        how = {"temperature": judge.temperature, "max_new_tokens": judge.max_new_tokens, "logprobs": judge.soft}
        return {"model": self.known_as, **(how if judge.base_url is not None else {"letters": self._letters})}

    def ask(self, run: Run, asked: Sequence[Q]) -> Asking[Q, T]:
        """Asks, or goes on asking. Raises: UserError if the judge does not answer, or a limit is reached."""
        judge, config = self._judge, self._config
        asking = Asking(judge, self._wording, Answers(run.folder / layout.ASKED, self._drawn))
        left = sum(asking.said(each) is None for each in asked)
        run.progress.start(len(asked), len(asked) - left, unit="question")
        if judge.base_url is not None:
            asking.of_endpoint(asked, run, run.progress.advance)
            return asking

        def load() -> FolderJudge:
            place = placement(config.device, config.dtype)
            return FolderJudge(judge.model, self._letters, place, template=config.template, weights=config.weights)

        asking.of_folder(asked, load, run, run.progress.advance)
        return asking


def inputs_of(judge: JudgeConfig) -> dict[str, str | None]:
    """What the stage reads besides: a folder, the rubric, the people that a judge is compared with."""
    audit = None if judge.audit == SIMULATED else judge.audit
    folder = model_folder(judge.model) if judge.base_url is None else None
    beside = comparisons_beside(audit) if audit is not None else None
    read = {"judge.model": folder, "judge.rubric": judge.rubric, "judge.audit": audit}
    return read | {"judge.audit_comparisons": beside}


def counts(said: Sequence[Said[Any]], asking: Asking[Any, Any], *, num_unjudged: int) -> dict[str, Any]:
    """Answers that decided nothing, by why, what is left out for them, and what all took."""
    failures = Counter(failure for each in said for failure in each.failures)
    return {
        **{f"num_{name}": failures[name] for name in FAILURES},
        "num_unjudged": num_unjudged,
        "num_requests": asking.requests,
        "cost": asking.cost,
    }


def told(result: Mapping[str, Any], about: str, noun: str) -> str:
    """The same as a sentence. Args: about: what it was asked about, noun: what may be left out."""
    cost = f", which cost {result['cost']:.4g}" if result["cost"] else ""
    why = [f"{result[f'num_{name}']} {name.replace('_', ' ')}" for name in FAILURES]
    said = f"the judge was asked about {about}, in {result['num_requests']} requests{cost}"
    if not result["num_unjudged"] and not any(result[f"num_{name}"] for name in FAILURES):
        return f"{said}."
    return (
        f"{said}; answers that decide nothing: {', '.join(why)}; {result['num_unjudged']} {noun} are left out for it."
    )
