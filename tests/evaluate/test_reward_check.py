"""The reward model beside its annotators and the truth, on a collect folder made by hand."""

import json
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
from prefloop.files.tables import write_records
from prefloop.records import Comparison, Judgement, Message, Preference, Response, Sampling
from prefloop.world.annotators import panel
from prefloop.world.gold import judge

PROMPT = "where is my order 1234 of the blue lamp?"
TEXTS = ("i am sorry about the wait. your order 1234 is on its way.", "no.", "what?")


class Fixed:
    """A scorer that knows each text's score."""

    def __init__(self, *scores: float) -> None:
        self.name, self.known = "fixed", dict(zip(TEXTS, scores, strict=True))

    def score(self, prompts: object, responses: list[str]) -> torch.Tensor:
        return torch.tensor([self.known[r] for r in responses])


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., EvaluateConfig]:
    """A collect folder with one comparison of three responses, judged in pairs."""

    def build(pairs: list[tuple[int, int]], choices: list[str], kind: str = "simulated") -> EvaluateConfig:
        folder = tmp_path / "collect"
        folder.mkdir(exist_ok=True)
        message = (Message(role="user", content=PROMPT),)
        responses = tuple(Response(text=t, num_tokens=5, finished=True, sampler="s") for t in TEXTS)
        write_records(
            folder / "comparisons.jsonl",
            [
                Comparison(
                    id="c", prompt_id="p", messages=message, responses=responses, sampling=Sampling(temperature=1.0)
                )
            ],
        )
        write_records(folder / "held_out.jsonl", [
            Preference(
                id=f"c:{i}-{j}", messages=message, chosen=TEXTS[i], rejected=TEXTS[j], comparison="c", chosen_index=i, rejected_index=j
            )
            for i, j in pairs
        ])  # fmt: skip
        judgements: list[dict[str, Any]] = [
            {
                "id": f"j{k}",
                "comparison": "c",
                "annotator": "sim-1" if kind == "simulated" else "ann",
                "annotator_kind": kind,
                "kind": "pair",
                "order": pair,
                "choice": choice,
                "seconds": 1.0,
            }
            for k, (pair, choice) in enumerate(zip(pairs, choices, strict=True))
        ]
        write_records(folder / "judgements.jsonl", [Judgement(**j) for j in judgements])
        config = CollectConfig(out=str(folder), model="m", prompts="p", seed=3).model_dump(mode="json")
        card = {"stage": "collect", "command": "", "seed": 3, "threads": 1, "versions": {}, "machine": {}, "inputs": {}}
        identity = {"stage": "collect", "settings": {}, "inputs": {}}
        (folder / "run.json").write_text(json.dumps({**card, "config": config, "identity": identity}))
        (folder / "finished.json").write_text(json.dumps({"outputs": {}, "result": {"agreement": 0.75}}))
        return EvaluateConfig(
            out="x",
            reference="x",
            candidates="x",
            validation_prompts="x",
            test_prompts="x",
            collected=str(folder),
            dtype="float32",
            threads=1,
        )

    return build


def test_truth_and_labels_are_two_questions(make: Callable[..., EvaluateConfig]):
    """Pairs 0-1 and 2-0. The scorer says 0 > 1 and 2 > 0; the truth 0 > 1 and 0 > 2; the annotators left and left: 0 > 1, 2 > 0."""
    utility = [judge(PROMPT, t).utility for t in TEXTS]
    assert utility[0] > max(utility[1:]) + 0.1
    found = reward_check(make([(0, 1), (2, 0)], ["left", "left"]), Fixed(1.0, 0.0, 2.0))
    assert found is not None
    assert found["accuracy"] == 0.5
    assert found["accuracy_labels"] == 1.0
    assert (found["num_pairs"], found["num_judgements"], found["annotator_agreement"]) == (2, 2, 0.75)
    annotator = panel(5, seed=3)[0]
    tired = zlib.crc32(b"c") % 1000  # the judgements before this comparison, as the collect run counts them
    assert annotator.config.drift * tired > 0.01
    best = []
    for i, j in ((0, 1), (2, 0)):
        left, _, right = annotator.pair_probabilities(PROMPT, TEXTS[i], TEXTS[j], judged=tired)
        best.append(max(left, right) / (left + right))
    assert found["bayes_accuracy"] == pytest.approx(sum(best) / 2)


def test_ties_are_no_labels(make: Callable[..., EvaluateConfig]):
    found = reward_check(make([(0, 1), (0, 2)], ["right", "tie"]), Fixed(1.0, 0.0, 0.0))
    assert found is not None
    assert (found["accuracy"], found["accuracy_labels"], found["num_judgements"]) == (1.0, 0.0, 1)


def test_people_have_no_known_limit(make: Callable[..., EvaluateConfig]):
    found = reward_check(make([(0, 1), (2, 0)], ["left", "left"], "person"), Fixed(1.0, 0.0, 2.0))
    assert found is not None
    assert (found["bayes_accuracy"], found["accuracy_labels"]) == (None, 1.0)


def test_without_held_out_pairs_there_is_nothing_to_check(make: Callable[..., EvaluateConfig]):
    """Nothing held out, or only rankings and ties: no number, rather than a wrong one or a traceback."""
    assert reward_check(make([], []), Fixed(1.0, 0.0, 0.0)) is None
    assert reward_check(make([(0, 1)], ["tie"]), Fixed(1.0, 0.0, 0.0)) is None


def test_another_folder_is_refused(make: Callable[..., EvaluateConfig], tmp_path: Path):
    config = make([(0, 1)], ["left"]).model_copy(update={"collected": str(tmp_path)})
    with pytest.raises(UserError, match="not the folder of a finished collect run"):
        reward_check(config, Fixed(1.0, 0.0, 0.0))
