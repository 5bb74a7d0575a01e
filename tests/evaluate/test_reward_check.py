"""The reward model beside its annotators and the truth, on a collect folder made by hand."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from prefloop.collect.config import CollectConfig
from prefloop.errors import UserError
from prefloop.evaluate.config import EvaluateConfig
from prefloop.evaluate.reward_check import reward_check
from prefloop.files.documents import write_document
from prefloop.files.tables import write_records
from prefloop.records import Comparison, Judgement, Message, Preference, Response, Sampling
from prefloop.records.runs import Finished, Identity, RunCard
from prefloop.world.annotators import panel
from prefloop.world.gold import judge

PROMPT = "where is my order 1234 of the blue lamp?"
TEXTS = ("i am sorry about the wait. your order 1234 is on its way.", "no.", "what?")


class Fixed:
    """A scorer that knows each text's score."""

    def __init__(self, *scores: float) -> None:
        self.name, self.scores = "fixed", dict(zip(TEXTS, scores, strict=True))

    def score(self, prompts: object, responses: list[str]) -> torch.Tensor:
        return torch.tensor([self.scores[r] for r in responses])


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., EvaluateConfig]:
    """A collect folder with one comparison of three responses, judged in pairs."""

    def build(pairs: list[tuple[int, int]], choices: list[str], kind: str = "simulated") -> EvaluateConfig:
        folder = tmp_path / "collect"
        folder.mkdir(exist_ok=True)
        asked = {"messages": (Message(role="user", content=PROMPT),)}
        responses = tuple(Response(text=t, num_tokens=5, finished=True, sampler="s") for t in TEXTS)
        sampling = Sampling(temperature=1.0)
        comparison = Comparison(id="c", prompt_id="p", **asked, responses=responses, sampling=sampling)
        write_records(folder / "comparisons.jsonl", [comparison])
        held_out, judgements = [], []
        who: Any = {"annotator": "sim-1" if kind == "simulated" else "ann", "annotator_kind": kind, "seconds": 1.0}
        for (i, j), choice in zip(pairs, choices, strict=True):
            texts, places = {"chosen": TEXTS[i], "rejected": TEXTS[j]}, {"chosen_index": i, "rejected_index": j}
            held_out.append(Preference(id=f"c:{i}-{j}", **asked, **texts, comparison="c", **places))
            side: Any = {"order": (i, j), "choice": choice}
            judgements.append(Judgement(id=f"j:{i}-{j}", comparison="c", kind="pair", **who, **side))
        write_records(folder / "held_out.jsonl", held_out)
        write_records(folder / "judgements.jsonl", judgements)
        config = CollectConfig(out=str(folder), model="m", prompts="p", seed=3).model_dump(mode="json")
        empty: Any = {"versions": {}, "machine": {}, "inputs": {}}
        identity = Identity(stage="collect", settings={}, inputs={})
        card = RunCard(stage="collect", command="", seed=3, threads=1, config=config, identity=identity, **empty)
        write_document(folder / "run.json", card)
        write_document(folder / "finished.json", Finished(outputs={}, result={"agreement": 0.75}))
        files = dict.fromkeys(("out", "reference", "candidates", "validation_prompts", "test_prompts"), "x")
        return EvaluateConfig(**files, collected=str(folder), dtype="float32", threads=1)

    return build


def test_truth_and_labels_are_two_questions(make: Callable[..., EvaluateConfig]):
    """Pairs 0-1 and 2-0. The scorer says 0 > 1 and 2 > 0; the truth 0 > 1 and 0 > 2; the annotators 0 > 1 and 2 > 0."""
    utility = [judge(PROMPT, t).utility for t in TEXTS]
    assert utility[0] > max(utility[1:]) + 0.1
    check = reward_check(make([(0, 1), (2, 0)], ["left", "left"]), Fixed(1.0, 0.0, 2.0))
    assert check is not None
    assert (check.accuracy, check.accuracy_labels) == (0.5, 1.0)
    assert (check.num_pairs, check.num_judgements, check.annotator_agreement) == (2, 2, 0.75)
    annotator = panel(5, seed=3)[0]
    tired = zlib.crc32(b"c") % 1000  # the judgements before this comparison, as the collect run counts them
    assert annotator.config.drift * tired > 0.01
    best = []
    for i, j in ((0, 1), (2, 0)):
        left, _, right = annotator.pair_probabilities(PROMPT, TEXTS[i], TEXTS[j], judged=tired)
        best.append(max(left, right) / (left + right))
    assert check.bayes_accuracy == pytest.approx(sum(best) / 2)


def test_ties_are_no_labels(make: Callable[..., EvaluateConfig]):
    check = reward_check(make([(0, 1), (0, 2)], ["right", "tie"]), Fixed(1.0, 0.0, 0.0))
    assert check is not None
    assert (check.accuracy, check.accuracy_labels, check.num_judgements) == (1.0, 0.0, 1)


def test_people_have_no_known_limit(make: Callable[..., EvaluateConfig]):
    check = reward_check(make([(0, 1), (2, 0)], ["left", "left"], "person"), Fixed(1.0, 0.0, 2.0))
    assert check is not None
    assert (check.bayes_accuracy, check.accuracy_labels) == (None, 1.0)


def test_without_held_out_pairs_there_is_nothing_to_check(make: Callable[..., EvaluateConfig]):
    """Nothing held out, or only rankings and ties: no number, rather than a wrong one or a traceback."""
    assert reward_check(make([], []), Fixed(1.0, 0.0, 0.0)) is None
    assert reward_check(make([(0, 1)], ["tie"]), Fixed(1.0, 0.0, 0.0)) is None


def test_another_folder_is_refused(make: Callable[..., EvaluateConfig], tmp_path: Path):
    config = make([(0, 1)], ["left"]).model_copy(update={"collected": str(tmp_path)})
    with pytest.raises(UserError, match="not the folder of a finished collect run"):
        reward_check(config, Fixed(1.0, 0.0, 0.0))
