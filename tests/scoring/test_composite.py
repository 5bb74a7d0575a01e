"""Several rewards as one: parts that sum to the last bit, constraints, and how they are written."""

from pathlib import Path

import pytest
import torch

from prefloop.align.config import PPOConfig
from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.records import Message
from prefloop.scoring.composite import constrained, next_multiplier, weighted
from prefloop.scoring.named import reward_inputs, scorer
from prefloop.scoring.protocol import Scored, summed
from prefloop.settings import Component

CPU = Placement(torch.device("cpu"))
ASKED = [(Message(role="user", content="money"),)] * 3
SAID = ["a", "bcd", ""]
SETTINGS = ["policy=p", "prompts=q", "out=o"]


@pytest.fixture
def functions(tmp_path: Path) -> dict[str, str]:
    """Two rewards: the number of letters, and a third of it less one."""
    file = tmp_path / "reward.py"
    file.write_text(
        "def letters(a, b):\n    return [len(r) for r in b]\n\n"
        "def third(a, b):\n    return [len(r) / 3 - 1 for r in b]\n",
        encoding="utf-8",
    )
    return {name: f"python:{file}:{name}" for name in ("letters", "third")}


def test_weights_by_hand_and_parts_that_sum_to_the_last_bit(functions: dict[str, str]):
    """0.7 letters - 0.3 (letters / 3 - 1), of 1, 3 and 0 letters."""
    reward = {
        "long": Component(model=functions["letters"], weight=0.7),
        "curt": Component(model=functions["third"], weight=-0.3),
    }
    judge = scorer(reward, CPU)
    said = judge.detailed(ASKED, SAID)
    assert said.scores.tolist() == pytest.approx([0.7 + 0.2, 2.1, 0.3])
    assert said.scores.equal(summed(said.parts))
    assert said.scores.equal(judge.score(ASKED, SAID))
    assert said.parts["curt"].tolist() == pytest.approx([0.2, 0.0, 0.3])
    assert said.components["curt"].scores.tolist() == pytest.approx([-2 / 3, 0, -1])
    file = functions["letters"].removeprefix("python:").rpartition(":")[0]
    assert reward_inputs(reward) == {"reward.long": file, "reward.curt": file}


def test_a_constraint_counts_by_its_multiplier_more():
    """weight 1, multiplier 2, at least 0.5: s + 2 (s - 0.5); the other part stays."""
    said = weighted({"a": Scored(torch.tensor([0.0, 1.0])), "b": Scored(torch.tensor([4.0, 8.0]))}, {"a": 1, "b": 0.5})
    held = constrained(said, {"a": 0.5}, {"a": 2.0})
    assert held.scores.tolist() == [0 - 1 + 2, 1 + 1 + 4]
    assert held.parts["a"].tolist() == [-1, 2]
    assert held.parts["b"] is said.parts["b"]
    assert constrained(said, {}, {}) is said


def test_a_multiplier_rises_while_a_constraint_is_broken_and_never_falls_below_0():
    """Mean -1 where 0 is asked, twice, then mean 3: 0, 0.1, 0.2, 0."""
    multiplier, seen = 0.0, []
    for margin in (-1.0, -1.0, 3.0):
        multiplier = next_multiplier(multiplier, margin, rate=0.1)
        seen.append(multiplier)
    assert seen == pytest.approx([0.1, 0.2, 0.0])


def test_what_is_most_unusual_and_all_disagreements_count():
    first = Scored(torch.zeros(2), outlier=torch.tensor([0.9, 0.1]), limited=-torch.ones(2), disagreement=torch.ones(2))
    second = Scored(
        torch.zeros(2), outlier=torch.tensor([0.2, 0.3]), limited=-torch.ones(2), disagreement=torch.ones(2)
    )
    said = weighted({"a": first, "b": second, "c": Scored(torch.ones(2))}, {"a": 3, "b": -4, "c": 1})
    assert said.outlier is not None
    assert said.outlier.tolist() == pytest.approx([0.9, 0.3])
    assert said.disagreement is not None
    assert said.disagreement.tolist() == [5, 5]  # sqrt(3^2 + 4^2)
    assert said.limited is not None
    assert said.limited.tolist() == [-3 + 0 + 1] * 2  # where less counts for more, nothing is to be limited


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["reward.safe.model=a", "reward.safe.wieght=2"], r"no setting is called `reward\.safe\.wieght`.*`weight`"),
        (
            ["reward.safe.model=a", "reward.safe.weight=much"],
            r"`reward\.safe\.weight` should be a number, but is 'much'",
        ),
        (["reward.safe.model=a", "reward.safe.at_least=yes"], r"`reward\.safe\.at_least` should be a number"),
        (["reward.safe.weight=1"], r"the setting `reward\.safe\.model` is needed"),
        (["reward.safe=a"], r"`reward\.safe` is a section with settings of its own \(model, weight, at_least\)"),
        (["reward={}"], "this names no reward"),
        (["reward={Safe: {model: a}}"], "cannot be called 'Safe': names are of a-z"),
        (["reward={mean: {model: a}}"], "metrics have that name already"),
        (["reward={x: {model: }}"], r"`reward\.x\.model` should be text"),
        (["reward=a", "multiplier_lr=1"], "multiplier_lr does nothing without a constraint"),
        (["reward=a", "outlier_limit=0.5"], "outlier_limit does nothing with outliers = ignore"),
        (["reward=a", "variance_coef=1"], "variance_coef does nothing with combine = mean"),
        (["reward="], "`reward` is empty"),
    ],
)
def test_mistakes_in_a_reward_of_parts_are_sentences(typed: list[str], message: str):
    with pytest.raises(UserError, match=message):
        PPOConfig.load(None, [*SETTINGS, *typed])


def test_what_was_written_reads_again_as_the_same(tmp_path: Path):
    """As config.yaml of a run does."""
    config = PPOConfig.load(None, [*SETTINGS, "reward.safe.model=~/a", "reward.safe.at_least=1", "reward.b.model=7"])
    assert config.levels == {"safe": 1.0}
    assert not isinstance(config.reward, str)
    assert config.reward["b"] == Component(model="7")
    assert config.reward["safe"].model == str(Path("~/a").expanduser())
    assert PPOConfig.parse(config.model_dump(), where="again") == config


def test_there_is_nothing_to_combine_of_a_function(functions: dict[str, str]):
    with pytest.raises(UserError, match=r"combine=min: .*is no ensemble, so there is nothing to combine"):
        scorer(functions["letters"], CPU, combine="min")
