"""The best of n as demonstrations: the best that ended, whatever the chunks; no random number is drawn twice."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from prefloop import layout
from prefloop.align import best_of_n
from prefloop.align.best_of_n import choose
from prefloop.align.config import BestOfNConfig
from prefloop.errors import UserError
from prefloop.files.documents import read_document
from prefloop.files.tables import read_records, read_rows
from prefloop.models.load import save_model
from prefloop.records import Demonstration, Finished, Prompt
from prefloop.text.codec import Codec

REWARD = "def score(prompts, responses):\n    return [sum(map(ord, r)) % 17 / 8 - 1 for r in responses]\n"


@pytest.fixture
def config(new_llama: Callable[..., PreTrainedModel], codec: Codec, prompts_file: str, tmp_path: Path) -> BestOfNConfig:
    """Settings of a small run; its policy ends some responses at every token."""
    model, folder = new_llama(1), str(tmp_path / "policy")
    with torch.no_grad():
        states = model.base_model(torch.tensor([[5, 9, 7, 80]])).last_hidden_state[0]
        head: Any = model.get_output_embeddings()
        head.weight[codec.stop_ids[0]] += 3.0 * states.mean(0) / states.mean(0).norm()
    save_model(Path(folder), model, codec)
    (tmp_path / "reward.py").write_text(REWARD, encoding="utf-8")
    settings: dict[str, Any] = {"max_new_tokens": 8, "dtype": "float32", "threads": 1, "responses_per_prompt": 4}
    reward = f"python:{tmp_path / 'reward.py'}:score"
    return BestOfNConfig(policy=folder, reward=reward, prompts=prompts_file, out=str(tmp_path / "out"), **settings)


def written(config: BestOfNConfig, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Demonstration], list[dict[str, Any]]]:
    """What the stage wrote, and every prompt's responses with their scores."""
    monkeypatch.setattr(best_of_n, "SHOWN", 10_000)
    rows = read_records(choose(config), Demonstration)
    return rows, [row for _, row in read_rows(Path(config.out) / layout.SAMPLES)]


def test_the_best_that_ended_is_taken(config: BestOfNConfig, prompts_file: str, monkeypatch: pytest.MonkeyPatch):
    made = best_of_n._written  # pyright: ignore[reportPrivateUsage]

    def cut_short(*args: Any) -> list[dict[str, Any]]:
        rows = made(*args)
        for k, row in enumerate(rows):
            row["finished"] = [False] * 4 if k == 0 else [True, True, True, False]
            row["responses"] = [f"r{n}" for n in range(4)]
            row["scores"] = [0.5, 2.0, 2.0, 9.0]  # the highest was cut short; of equal ones the first
        return rows

    monkeypatch.setattr(best_of_n, "_written", cut_short)
    found, shown = written(config, monkeypatch)
    asked = read_records(prompts_file, Prompt)
    assert [one.id for one in found] == [one.id for one in asked[1:]]
    assert {one.response for one in found} == {"r1"}
    assert len(shown) == len(asked)
    result = read_document(Path(config.out) / layout.FINISHED, Finished).result
    assert (result["num_demonstrations"], result["num_unfinished"]) == (len(asked) - 1, 1)
    assert [point["n"] for point in result["curve"]] == [1, 2, 4]
    assert [point["score"] for point in result["curve"]] == pytest.approx([13.5 / 4, 5.5, 9.0])


def test_every_prompt_draws_its_own_numbers_and_none_is_lost(config: BestOfNConfig, monkeypatch: pytest.MonkeyPatch):
    _, one = written(config.model_copy(update={"batch_prompts": 3}), monkeypatch)
    texts = [tuple(row["responses"]) for row in one]
    assert len(set(texts)) == len(texts)
    tokens = read_document(Path(config.out) / layout.FINISHED, Finished).result["num_tokens"]
    assert tokens == sum(sum(row["num_tokens"]) for row in one)
    for row in one:
        assert row["scores"] == pytest.approx([sum(map(ord, r)) % 17 / 8 - 1 for r in row["responses"]])


def test_it_goes_on_where_it_stopped(config: BestOfNConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    config = config.model_copy(update={"batch_prompts": 2})
    choose(config)
    other, real = config.model_copy(update={"out": str(tmp_path / "killed")}), best_of_n._written  # pyright: ignore[reportPrivateUsage]

    def dies(*args: Any) -> Any:
        if args[-1] == 4:
            raise RuntimeError("killed")
        return real(*args)

    monkeypatch.setattr(best_of_n, "_written", dies)
    with pytest.raises(RuntimeError, match="killed"):
        choose(other)
    monkeypatch.setattr(best_of_n, "_written", real)
    again = choose(other)
    assert again.read_bytes() == (Path(config.out) / layout.DEMONSTRATIONS).read_bytes()


def test_nothing_that_ended_is_refused(config: BestOfNConfig, monkeypatch: pytest.MonkeyPatch):
    made = best_of_n._written  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(best_of_n, "_written", lambda *args: [{**row, "finished": [False] * 4} for row in made(*args)])
    with pytest.raises(UserError, match=r"none of its 4 responses .* ended by itself within 8 tokens"):
        choose(config)


def test_a_constraint_is_for_training():
    with pytest.raises(UserError, match="at_least is a constraint on a policy in training"):
        BestOfNConfig.parse(
            {"policy": "m", "reward": {"a": {"model": "r", "at_least": 1}}, "prompts": "p", "out": "o"}, where="here"
        )


def test_what_it_writes_is_json(config: BestOfNConfig):
    lines = choose(config).read_text(encoding="utf-8").splitlines()
    assert all(json.loads(line)["source"].startswith("best of 4 of ") for line in lines)
