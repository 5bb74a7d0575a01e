"""The best of n by several rewards: against trying all choices, and a run that goes on to the bit."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedModel

from prefloop import layout
from prefloop.errors import UserError
from prefloop.evaluate.best_of import measure, told
from prefloop.evaluate.config import BestOfConfig
from prefloop.files.documents import read_document
from prefloop.files.tables import read_records, write_records
from prefloop.models.load import save_model
from prefloop.pretrain.tokenizer import trained_tokenizer
from prefloop.records import Message, Prompt
from prefloop.records.overopt import BestOf
from prefloop.sampling.in_process import InProcess
from prefloop.text.codec import Codec
from prefloop.text.templates import template_text
from prefloop.world.grammar import prompts

REWARD = """
def short(prompts, responses):
    return [-len(r) for r in responses]
def odd(prompts, responses):
    return [sum(map(ord, r)) % 7 for r in responses]
"""


def test_every_n_is_the_mean_over_all_choices_of_n():
    """Two prompts with four responses each; of all pairs and threes the one with the highest score is taken."""
    scores = [[1.0, 4.0, 2.0, 3.0], [0.5, 0.1, 0.9, 0.7]]
    worth = [[0.2, 0.1, 0.9, 0.4], [1.0, 0.0, 0.5, 0.3]]
    asked = [Prompt(id=f"{i}", messages=(Message(role="user", content=f"{i}?"),)) for i in range(2)]
    config = BestOfConfig(policy="p", reward="r", prompts="q", out="o", responses_per_prompt=4)
    found = told(config, asked, [{"score.reward": [s], "utility": [w]} for s, w in zip(scores, worth, strict=True)])
    curve = found.curves["reward"]
    assert [point.n for point in curve.points] == [1, 2, 4]
    for point in curve.points:
        best = [
            [max(some, key=lambda i: own[i]) for some in itertools.combinations(range(4), point.n)] for own in scores
        ]
        expected = [
            sum(sum(values[row][i] for i in best[row]) / len(best[row]) for row in range(2)) / 2
            for values in (scores, worth)
        ]
        assert [point.score.mean, point.utility.mean] == pytest.approx(expected)
    assert found.mean == pytest.approx(sum(map(sum, worth)) / 8)
    assert curve.deviation == pytest.approx((sum((x - curve.mean) ** 2 for row in scores for x in row) / 8) ** 0.5)


@pytest.fixture
def world_prompts(tmp_path: Path) -> Path:
    """Prompts of the helpdesk, which gold knows, the shortest of many."""
    write_records(tmp_path / "world.jsonl", sorted(prompts("test", 400), key=lambda prompt: len(prompt.text))[:12])
    return tmp_path / "world.jsonl"


@pytest.fixture
def reader(world_prompts: Path, new_llama: Callable[..., PreTrainedModel], tmp_path: Path) -> str:
    """A model whose words are those of the prompts, so that they fit."""
    texts = [prompt.text for prompt in read_records(world_prompts, Prompt)]
    tokenizer = trained_tokenizer(texts * 3, vocab_size=300)
    tokenizer.chat_template = template_text("turns")
    save_model(tmp_path / "reader", new_llama(1), Codec(tokenizer, (1,), 64))
    return str(tmp_path / "reader")


@pytest.fixture
def make_config(reader: str, world_prompts: Path, tmp_path: Path) -> Callable[..., BestOfConfig]:
    (tmp_path / "reward.py").write_text(REWARD, encoding="utf-8")

    def make(name: str, **settings: Any) -> BestOfConfig:
        reward = {part: {"model": f"python:{tmp_path / 'reward.py'}:{part}"} for part in ("odd", "short")}
        values: dict[str, Any] = {"out": str(tmp_path / name), "policy": reader, "reward": reward}
        values |= {"prompts": str(world_prompts), "responses_per_prompt": 6, "num_prompts": 9, "batch_prompts": 3}
        return BestOfConfig(**{**values, "max_new_tokens": 6, "dtype": "float32", "threads": 1, **settings})

    return make


def test_killed_it_goes_on_to_the_bit_and_no_two_parts_draw_alike(
    make_config: Callable[..., BestOfConfig], monkeypatch: pytest.MonkeyPatch
):
    """Nine prompts in three parts; killed in the second."""
    whole = measure(make_config("whole"))
    real, seeds = InProcess.sample, list[int]()

    def dies(self: InProcess, prompts: Any, settings: Any, seed: int, **more: Any) -> Any:
        seeds.append(seed)
        if len(seeds) == 2:
            raise KeyboardInterrupt
        return real(self, prompts, settings, seed, **more)

    monkeypatch.setattr(InProcess, "sample", dies)
    with pytest.raises(KeyboardInterrupt):
        measure(make_config("broken"))
    broken = measure(make_config("broken"))
    assert len(seeds) == 4
    assert seeds[1] == seeds[2]
    assert len({*seeds}) == 3
    assert whole.read_bytes() == broken.read_bytes()
    found = read_document(whole, BestOf)
    assert list(found.curves) == ["odd", "short"]
    assert 6 < found.num_prompts <= 9  # those that fit
    assert found.curves["odd"].points[-1].score.mean > found.curves["odd"].points[0].score.mean


def test_what_gold_does_not_know_is_refused(make_config: Callable[..., BestOfConfig], prompts_file: str):
    with pytest.raises(UserError, match="lab best-of knows the helpdesk of"):
        measure(make_config("none", prompts=prompts_file))
    assert layout.BEST_OF == "best_of.json"
