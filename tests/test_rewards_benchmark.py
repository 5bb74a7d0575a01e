"""benchmarks/rewards.py: the limits that it measures against, the labels that it turns, and a tiny run of it all."""

import importlib
import itertools
import json
import math
import random
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from prefloop.models.columns import columns_of
from prefloop.records import Comparison, Message, Response, Sampling
from prefloop.world import grammar
from prefloop.world.agents import BROAD, reply
from prefloop.world.annotators import Annotator, AnnotatorConfig
from prefloop.world.tickets import read

PEOPLE = [
    Annotator(AnnotatorConfig(ability=12.0, side_bias=1.0, tie_width=0.8), "left-handed"),
    Annotator(AnnotatorConfig(ability=2.0, length_bias=0.5), "reader"),
]
"""Two who differ so much that who judges matters."""


@pytest.fixture
def rewards(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("rewards")


def comparisons(number: int, num_responses: int = 4) -> list[Comparison]:
    """Prompts of the helpdesk with replies of its staff."""
    made = []
    for prompt in grammar.prompts("train", number, seed=0):
        rng = random.Random(prompt.id)
        texts = {reply(read(prompt.text), BROAD.draw(rng), rng): None for _ in range(40)}
        made.append(
            Comparison(
                id=f"c-{prompt.id}",
                prompt_id=prompt.id,
                messages=(Message(role="user", content=prompt.text),),
                responses=tuple(
                    Response(text=text, num_tokens=1, finished=True, sampler="") for text in list(texts)[:num_responses]
                ),
                sampling=Sampling(temperature=1.0),
                tags=prompt.tags,
            )
        )
    return made


def test_the_limits_are_the_frequencies_of_what_annotators_choose(rewards: ModuleType):
    """Of many labels with a side the first response of the pair got as many as either limit says, within three
    deviations; and who is told more is surer."""
    one = comparisons(5, num_responses=2)
    made = [label for seed in range(600) for label in rewards.labels(one, PEOPLE, seed) if label.is_decided]
    known = np.array([rewards.chances(label, PEOPLE) for label in made])
    assert len(made) > 2000
    is_first = np.array([label.preference.chosen_index == 0 for label in made])
    for column in (0, 1):
        first = np.where(is_first, known[:, column], 1 - known[:, column])
        deviation = math.sqrt(float((first * (1 - first)).sum()))
        assert abs(is_first.sum() - first.sum()) < 3 * deviation
    told, crowd = -np.log(known).mean(0)
    assert told < crowd - 0.02


def test_a_share_of_the_labels_is_turned_and_nothing_else(rewards: ModuleType):
    rows = [label.preference for label in rewards.labels(comparisons(300), PEOPLE, 0) if label.is_decided]
    turned = rewards.flipped(rows, 0.25, 0)
    both = list(zip(rows, turned, strict=True))
    assert all({a.chosen, a.rejected} == {b.chosen, b.rejected} for a, b in both)
    assert 0.15 < np.mean([a.chosen != b.chosen for a, b in both]) < 0.35
    assert rewards.flipped(rows[:50], 0.25, 0) == turned[:50]
    assert all(a.chosen == b.chosen and not b.votes for a, b in zip(rows, rewards.flipped(rows, 0.0, 0), strict=True))


def test_who_knows_the_chances_is_at_the_limit_exactly(rewards: ModuleType):
    """A model whose margins are the log-odds of the texts: no points and no nats above who reads the texts."""
    made = [label for label in rewards.labels(comparisons(200), PEOPLE, 0) if label.is_decided]
    told, crowd = np.array([rewards.chances(label, PEOPLE) for label in made]).T
    line = {
        "name": rewards.VOTES,
        "size": 9,
        "seed": 0,
        "comparison": [label.comparison.id for label in made],
        "margin": np.log(crowd / (1 - crowd)).tolist(),
        "told": told.tolist(),
        "crowd": crowd.tolist(),
        "gold": [rewards.gold_gap(label) for label in made],
        "first_edge": 0.0,
    }
    asked = rewards.Asked(Path("demo"), seeds=(0,), sizes=(9,))
    assert sum("| +0.0 [+0.0, +0.0] | +0.0 [+0.0, +0.0] |" in row for row in rewards.row_a([line], asked)) == 1
    np.testing.assert_allclose(rewards.surprise(rewards.log_odds(line)), -np.log(crowd))
    quarters = [np.abs(rewards.quarter(line, number)["gold"]) for number in range(4)]
    assert sum(map(len, quarters)) == len(made)
    assert all(low.max() <= high.min() for low, high in itertools.pairwise(quarters))


def test_a_tiny_run_trains_each_model_once_and_a_second_one_none(
    rewards: ModuleType, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """By the stages, from settings to the page; a run that was broken off after some models goes on with the others."""
    (tmp_path / "demo" / "sft").mkdir(parents=True)
    (tmp_path / "demo" / "sft" / "model").symlink_to(folder)
    monkeypatch.setattr(rewards, "sampled", lambda _: comparisons(56))
    trained: list[str] = []
    train = rewards.reward.train
    monkeypatch.setattr(rewards.reward, "train", lambda config: trained.append(config.out) or train(config))

    def run(rows: str) -> str:
        given = f"rows={rows} seeds=0 sizes=8,16 test=40 rankings=8 out={tmp_path}/runs page={tmp_path}/page.md lr=1e-3"
        monkeypatch.setattr("sys.argv", ["rewards.py", str(tmp_path / "demo"), *given.split()])
        rewards.main()
        return (tmp_path / "page.md").read_text(encoding="utf-8")

    assert "## By gold difference" not in run("a")
    assert len(trained) == 2
    page = run("a,b,c,d,e")
    assert len(trained) == len(set(trained)) == 8
    assert run("a,b,c,d,e") == page
    assert len(trained) == 8
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings == [f"## {title}" for title, _ in rewards.TABLES.values()]
    assert len((tmp_path / "runs" / "lines.jsonl").read_text(encoding="utf-8").splitlines()) == 8


def test_columns_asks_strangers_of_known_groups(
    rewards: ModuleType, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """benchmarks/columns.py, tiny: whoever is asked taught nothing, their groups have columns; a second run trains
    none."""
    columns = importlib.import_module("columns")
    (tmp_path / "demo" / "sft").mkdir(parents=True)
    (tmp_path / "demo" / "sft" / "model").symlink_to(folder)
    monkeypatch.setattr(rewards, "sampled", lambda _: comparisons(76))
    monkeypatch.setattr("prefloop.reward.heads.LEAST", 2)
    trained: list[str] = []
    train = columns.reward.train
    monkeypatch.setattr(columns.reward, "train", lambda config: trained.append(config.out) or train(config))

    def run() -> str:
        given = f"rows=domains,strangers seeds=0 sizes=60 test=16 out={tmp_path}/runs page={tmp_path}/page.md"
        typed = columns.Asked.of([str(tmp_path / "demo"), *given.split()])
        return columns.page(columns.shown(typed), typed)

    page = run()
    assert len(trained) == 4  # of each topic there are too few for a model of its own
    assert run() == page
    assert len(trained) == 4
    taught = [json.loads(line) for line in (tmp_path / "runs/strangers-0/one/taught.jsonl").read_text().splitlines()]
    teachers = {vote["annotator"] for row in taught for vote in row["votes"]}
    asked = {one.name for one in columns.people("strangers", 0)[1]}
    assert not teachers & asked
    assert {name.rpartition(" ")[0] for name in teachers} <= {name.rpartition(" ")[0] for name in asked}
    assert all(f"group:{row['votes'][0]['annotator'].rpartition(' ')[0]}" in row["tags"] for row in taught)
    made = columns_of(str(tmp_path / "runs/strangers-0/columns/reward/model"))
    assert made.names[0] == "common"
    assert set(made.names[1:]) <= columns.TASTES.keys()
    assert page.count("\n| all |") == 2
