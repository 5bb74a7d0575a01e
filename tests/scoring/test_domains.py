"""A reward model with a column for each domain scores a domain's prompts by it, wherever their tags are known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from prefloop.evaluate.config import RewardFileConfig
from prefloop.evaluate.reward_file import evaluate_file
from prefloop.models.columns import NORMALISATION, domain_of
from prefloop.models.device import Placement
from prefloop.models.load import save, scalar
from prefloop.records import Message
from prefloop.score.config import ScoreConfig
from prefloop.score.stage import score
from prefloop.scoring.named import scorer
from prefloop.scoring.reward_model import RewardModel
from prefloop.settings import Component

CPU = Placement(torch.device("cpu"))
NAMES = ("common", "law", "art")
TAGS = [("safe", "topic:art", "domain:law"), ("domain:law",), ("domain:cooking",), ()]
COLUMN = ("art", "law", "common", "common")
ASKED = [(Message(role="user", content=f"where is parcel {i}?"),) for i in range(4)]
SAID = ["i am sorry.", "on its way", "no money", "please"]


@pytest.fixture(scope="module")
def judge(folder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    made, path = scalar(folder, CPU, fresh_head=True, columns=NAMES), tmp_path_factory.mktemp("domains") / "reward"
    weight = made.pretrained.get_submodule("score").get_parameter("weight")
    torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(3))
    columns = [{"name": name, "mean": i - 1.0, "std": 2.0**i} for i, name in enumerate(NAMES)]
    save(path, made, beside={NORMALISATION: {"kind": "domains", "columns": columns}})
    return str(path)


def by_column(judge: str, texts: list[str]) -> list[float]:
    """Of each prompt the score by the column of its domain, each column asked by its name."""
    each = {name: RewardModel(f"{judge}:{name}", CPU).score(ASKED, texts).tolist() for name in NAMES}
    return [each[name][i] for i, name in enumerate(COLUMN)]


def test_the_first_tag_that_names_a_domain_decides():
    assert [domain_of(tags) for tags in TAGS] == ["art", "law", "cooking", None]


def test_each_prompt_by_the_column_of_its_domain(judge: str):
    """Also where scores are parts of several; a column that is named scores all, and without tags the common one."""
    model, expected = RewardModel(judge, CPU), by_column(judge, SAID)
    assert len(set(expected)) == 4
    assert model.detailed(ASKED, SAID, TAGS).scores.tolist() == pytest.approx(expected, abs=1e-5)
    assert model.score_and_embed(ASKED, SAID, TAGS)[0].scores.tolist() == pytest.approx(expected, abs=1e-5)
    assert [model.unit(tags) for tags in TAGS] == [4.0, 2.0, 1.0, 1.0]
    named, common = RewardModel(f"{judge}:law", CPU), RewardModel(f"{judge}:common", CPU)
    assert named.detailed(ASKED, SAID, TAGS).scores.equal(named.score(ASKED, SAID))
    assert model.detailed(ASKED, SAID).scores.equal(common.score(ASKED, SAID))
    several = scorer({"it": Component(model=judge, weight=2.0)}, CPU)
    assert several.detailed(ASKED, SAID, TAGS).scores.tolist() == pytest.approx([2 * x for x in expected], abs=1e-5)


@pytest.mark.parametrize("kind", ["preferences", "demonstrations", "comparisons"])
def test_score_and_evaluate_pass_tags_on(
    judge: str, kind: str, tmp_path: Path, write_rows: Callable[..., str], read_lines: Callable[[Path], list[Any]]
):
    def row(i: int) -> dict[str, Any]:
        both = {"chosen": SAID[i], "rejected": SAID[i - 1]}
        some = [{"text": text, "num_tokens": 1, "finished": True, "sampler": ""} for text in both.values()]
        what = {
            "preferences": both,
            "demonstrations": {"response": SAID[i]},
            "comparisons": {"responses": some, "prompt_id": "p", "sampling": {"temperature": 1.0}},
        }[kind]
        return {"id": f"r{i}", "messages": [ASKED[i][0].model_dump()], "tags": TAGS[i], **what}

    data, chosen = write_rows("rows.jsonl", [row(i) for i in range(4)]), by_column(judge, SAID)
    rejected = by_column(judge, [SAID[i - 1] for i in range(4)])
    score(ScoreConfig(model=judge, data=data, out=str(tmp_path / "scores.jsonl")))
    rows = read_lines(tmp_path / "scores.jsonl")
    both = [x for pair in zip(chosen, rejected, strict=True) for x in pair]
    if kind == "preferences":
        assert [x for row in rows for x in (row["chosen"], row["rejected"])] == pytest.approx(both, abs=1e-4)
        evaluate_file(RewardFileConfig(reward=judge, data=data, out=str(tmp_path / "bench")))
        told = read_lines(tmp_path / "bench" / "bench_scores.jsonl")
        assert [x for row in told for x in row["scores"]] == pytest.approx(both, abs=1e-4)
    else:
        expected = chosen if kind == "demonstrations" else both
        assert [row["score"] for row in rows] == pytest.approx(expected, abs=1e-4)
