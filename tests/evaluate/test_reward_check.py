"""The reward model beside its annotators and the truth, on a collect folder made by hand."""

import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats

from prefloop.collect.config import CollectConfig
from prefloop.errors import UserError
from prefloop.evaluate.config import EvaluateConfig
from prefloop.evaluate.reward_check import reward_check
from prefloop.files.documents import write_document
from prefloop.files.tables import write_records
from prefloop.records import Comparison, Judgement, Message, Preference, Prompt, Response, Sampling
from prefloop.records.evaluations import RewardCheck
from prefloop.records.runs import Finished, Identity, RunCard
from prefloop.scoring.protocol import Scored
from prefloop.world.annotators import panel
from prefloop.world.gold import judge
from prefloop.world.grammar import prompts

ASKED = [p for p in prompts("train", 600) if "topic:late" in p.tags and "mood:worried" in p.tags]
"""to whom the first text is a little better than the others"""
TEXTS = ("i am sorry about the wait. your order is on its way.", "no.", "what?")


class Fixed:
    """A scorer that knows each text's score."""

    def __init__(self, *scores: float) -> None:
        self.name, self.scores = "fixed", dict(zip(TEXTS, scores, strict=True))

    def score(self, prompts: object, responses: list[str]) -> torch.Tensor:
        return torch.tensor([self.scores[r] for r in responses])

    def detailed(self, prompts: object, responses: list[str], tags: object = ()) -> Scored:
        assert tags == [ASKED[0].tags] * len(responses)
        return Scored(self.score(prompts, responses))


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., EvaluateConfig]:
    """A collect folder with comparisons of three responses, judged in pairs."""

    def build(
        pairs: list[tuple[int, int]],
        choices: list[str],
        kind: str = "simulated",
        asked: Sequence[Prompt] = ASKED[:1],
        undecided: Sequence[tuple[int, int]] = (),
    ) -> EvaluateConfig:
        folder = tmp_path / "collect"
        folder.mkdir(exist_ok=True)
        responses = tuple(Response(text=t, num_tokens=5, finished=True, sampler="s") for t in TEXTS)
        held_out, ties, judgements, comparisons = [], [], [], []
        who: Any = {"annotator": "sim-1" if kind == "simulated" else "ann", "annotator_kind": kind, "seconds": 1.0}
        for prompt in asked:
            name, said = f"c-{prompt.id}", {"messages": prompt.messages, "tags": prompt.tags}
            how: Any = {"responses": responses, "sampling": Sampling(temperature=1.0)}
            comparisons.append(Comparison(id=name, prompt_id=prompt.id, **said, **how))
            for i, j in (*pairs, *undecided):
                texts, places = {"chosen": TEXTS[i], "rejected": TEXTS[j]}, {"chosen_index": i, "rejected_index": j}
                pair = Preference(id=f"{name}:{i}-{j}", **said, **texts, comparison=name, **places)
                (held_out if (i, j) in pairs else ties).append(pair)
            for (i, j), choice in zip(pairs, choices, strict=True):
                side: Any = {"order": (i, j), "choice": choice}
                judgements.append(Judgement(id=f"{name}:{i}-{j}", comparison=name, kind="pair", **who, **side))
        write_records(folder / "comparisons.jsonl", comparisons)
        write_records(folder / "held_out.jsonl", held_out)
        write_records(folder / "undecided.jsonl", ties)
        write_records(folder / "judgements.jsonl", judgements)
        shorter = Preference(id="t", messages=ASKED[-1].messages, chosen="no.", rejected="of course not.")
        write_records(folder / "preferences.jsonl", [shorter])
        config = CollectConfig(out=str(folder), model="m", prompts="p", seed=3).model_dump(mode="json")
        empty: Any = {"versions": {}, "machine": {}, "inputs": {}}
        identity = Identity(stage="collect", settings={}, inputs={})
        card = RunCard(stage="collect", command="", seed=3, threads=1, config=config, identity=identity, **empty)
        write_document(folder / "run.json", card)
        counts = {"agreement": 0.75, "num_agreement": 4}
        write_document(folder / "finished.json", Finished(outputs={}, result=counts))
        files = dict.fromkeys(("out", "reference", "candidates", "validation_prompts", "test_prompts", "reward"), "x")
        return EvaluateConfig(**files, collected=str(folder), dtype="float32", threads=1)

    return build


def checked(config: EvaluateConfig, *scores: float) -> RewardCheck:
    check = reward_check(config, Fixed(*scores))
    assert isinstance(check, RewardCheck)
    return check


def test_truth_and_labels_are_two_questions(make: Callable[..., EvaluateConfig]):
    """Pairs 0-1 and 2-0. The scorer says 0 > 1 and 2 > 0; the truth 0 > 1 and 0 > 2; the annotators 0 > 1 and 2 > 0."""
    prompt = ASKED[0].text
    utility = [judge(prompt, t).utility for t in TEXTS]
    assert utility[0] > max(utility[1:])
    check = checked(make([(0, 1), (2, 0)], ["left", "left"]), 1.0, 0.0, 2.0)
    assert (check.accuracy, check.accuracy_labels) == (0.5, 1.0)
    assert (check.num_pairs, check.num_judgements, check.annotator_agreement, check.num_agreement) == (2, 2, 0.75, 4)
    annotator, name = panel(5, seed=3)[0], f"c-{ASKED[0].id}"
    tired = zlib.crc32(name.encode()) % 1000  # the judgements before this comparison, as the collect run counts them
    best = []
    for i, j in ((0, 1), (2, 0)):
        left, _, right = annotator.pair_probabilities(prompt, TEXTS[i], TEXTS[j], judged=tired)
        best.append(max(left, right) / (left + right))
    assert check.bayes_accuracy == pytest.approx(sum(best) / 2)


def test_pairs_without_a_majority_are_pairs(make: Callable[..., EvaluateConfig]):
    """Decided 0-1, which the scorer orders as the truth does; undecided 0-2, which it does not: 1/2 of all, 1 of 1."""
    check = checked(make([(0, 1)], ["left"], undecided=[(0, 2)]), 1.0, 0.0, 2.0)
    assert (check.accuracy, check.num_pairs, check.accuracy_decided, check.num_decided) == (0.5, 2, 1.0, 1)


def test_length_is_tried_on_the_same_judgements(make: Callable[..., EvaluateConfig]):
    """In training the shorter is chosen. Of 0-1, 2-0 the shorter is 1, 2, chosen once; a tie is no judgement of it."""
    check = checked(make([(0, 1), (2, 0), (1, 2)], ["left", "left", "tie"]), 1.0, 0.0, 2.0)
    assert (check.length_only_accuracy, check.num_judgements) == (0.5, 2)


def test_ties_are_no_labels(make: Callable[..., EvaluateConfig]):
    check = checked(make([(0, 1), (0, 2)], ["right", "tie"]), 1.0, 0.0, 0.0)
    assert (check.accuracy, check.accuracy_labels, check.num_judgements) == (1.0, 0.0, 1)


def test_people_have_no_known_limit(make: Callable[..., EvaluateConfig]):
    check = checked(make([(0, 1), (2, 0)], ["left", "left"], "person"), 1.0, 0.0, 2.0)
    assert (check.bayes_accuracy, check.accuracy_labels) == (None, 1.0)


def test_of_foreign_prompts_the_truth_is_not_known(make: Callable[..., EvaluateConfig]):
    """The same texts under other words: what annotators said counts, and gold is not asked."""
    mine = Prompt(id="mine", messages=(Message(role="user", content="Where is my thing?"),), tags=ASKED[0].tags)
    check = checked(make([(0, 1), (2, 0)], ["left", "left"], "person", [mine]), 1.0, 0.0, 2.0)
    assert (check.accuracy, check.accuracy_low, check.num_pairs, check.accuracy_decided) == (None, None, 0, None)
    assert (check.accuracy_labels, check.num_judgements) == (1.0, 2)


def test_prompts_are_drawn_and_not_pairs(make: Callable[..., EvaluateConfig]):
    """8 prompts, each with two pairs of which one is right: all prompts are alike, so n* is about 16; of one prompt
    alone nothing follows for others."""
    both = [(0, 1), (2, 0)]
    check = checked(make(both, ["left", "left"], asked=ASKED[:8]), 1.0, 0.0, 2.0)
    t = stats.t.ppf(0.975, [15, 7])
    expected = wilson(16 * (t[0] / t[1]) ** 2)
    assert (check.accuracy_low, check.accuracy_high) == pytest.approx(expected)
    check = checked(make(both, ["left", "left"]), 1.0, 0.0, 2.0)
    assert (check.accuracy_low, check.accuracy_high, check.accuracy_labels_low) == (0.0, 1.0, 0.0)


def wilson(n: float) -> tuple[float, float]:
    """Wilson's interval around 1/2: d^2 = z^2 / n (1/4 - d^2)."""
    d = 0.5 * math.sqrt(1.959964**2 / n / (1 + 1.959964**2 / n))
    return 0.5 - d, 0.5 + d


@pytest.mark.parametrize(("pairs", "choices", "why"), [([], [], "nothing_held_out"), ([(1, 2)], ["tie"], "not_judged")])
def test_without_held_out_pairs_it_is_said_why(
    make: Callable[..., EvaluateConfig], pairs: list[tuple[int, int]], choices: list[str], why: str
):
    """Nothing held out, or nothing but a tie of two equals: a reason, rather than a wrong number or a traceback."""
    assert reward_check(make(pairs, choices), Fixed(1.0, 0.0, 0.0)) == why


def test_another_folder_is_refused(make: Callable[..., EvaluateConfig], tmp_path: Path):
    config = make([(0, 1)], ["left"]).model_copy(update={"collected": str(tmp_path)})
    with pytest.raises(UserError, match="not the folder of a finished collect run"):
        reward_check(config, Fixed(1.0, 0.0, 0.0))
