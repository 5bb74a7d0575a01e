"""Dynamic sampling: a step asks on until its prompts teach, and draws the same again after a kill."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from broken import broken_off
from prefloop.align import online
from prefloop.align.config import GRPOConfig
from prefloop.align.grpo import train
from prefloop.sampling.rollouts import Rollouts
from prefloop.scoring.protocol import Scored, taken

from .conftest import Seen

Make = Callable[..., Any]
Watch = Callable[..., Seen]


@pytest.fixture
def some_flat(make_config: Make, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Settings of a run whose groups are called flat by chance, half of them: by their first response."""

    def flat(config: Any, rollouts: Rollouts, scores: Tensor) -> Tensor:
        return torch.tensor([is_flat(response) for response in rollouts.responses[:: config.responses_per_prompt]])

    monkeypatch.setattr("prefloop.align.groups.flat", flat)
    own = {"rollouts_per_step": 8, "responses_per_prompt": 2, "minibatch_size": 4}
    return lambda **given: make_config(GRPOConfig, **{**own, **given})


def is_flat(response: tuple[int, ...]) -> bool:
    return sum(response) % 2 == 0


def test_a_step_is_made_of_prompts_that_teach(some_flat: Make, watch: Watch, read_lines: Any):
    """Every group that is kept is usable, first come, first kept; each is of one prompt."""
    seen = watch()
    config = some_flat(tries=20, steps=3)
    train(config)
    rows = read_lines(Path(config.out) / "metrics.jsonl")
    assert [row["groups/missing"] for row in rows] == [0, 0, 0]
    assert max(row["groups/tries"] for row in rows) > 1
    assert all(0 < row["groups/flat"] < 1 for row in rows if row["groups/tries"] > 1)
    for batch, row in zip(seen.batches, rows, strict=True):
        rollouts = batch.rollouts
        assert len(rollouts) == 8
        assert not any(is_flat(r) for r in rollouts.responses[::2])
        assert rollouts.prompts[::2] == rollouts.prompts[1::2]
        assert rollouts.mask.sum(1).tolist() == [len(r) for r in rollouts.responses]
        assert row["scores/mean"] == pytest.approx(float(batch.scores.mean()))
        assert row["rollouts/finished"] == float(rollouts.finished.float().mean())


def test_each_try_asks_other_prompts_and_draws_other_numbers(
    some_flat: Make, watch: Watch, monkeypatch: pytest.MonkeyPatch
):
    watch()
    drawn: list[tuple[Any, ...]] = []
    real = online.sample

    def noted(*args: Any, **kwargs: Any) -> Rollouts:
        rollouts = real(*args, **kwargs)
        drawn.append((rollouts.prompts[::2], rollouts.responses))
        return rollouts

    monkeypatch.setattr(online, "sample", noted)
    train(some_flat(tries=20, steps=2))
    assert len(drawn) > 2
    assert len({responses for _, responses in drawn}) == len(drawn)
    assert len({prompts for prompts, _ in drawn}) > 1


def test_when_it_gives_up_it_says_so_and_flat_ones_stand_in(
    make_config: Make, watch: Watch, tmp_path: Path, capsys: pytest.CaptureFixture[str], read_lines: Any
):
    seen = watch()
    (tmp_path / "alike.py").write_text("def score(prompts, responses):\n    return [1.0 for r in responses]\n")
    config = make_config(
        GRPOConfig, tries=3, reward=f"python:{tmp_path / 'alike.py'}:score", unfinished_penalty=0.0, kl_coef=0.0
    )
    train(config)
    row = read_lines(Path(config.out) / "metrics.jsonl")[0]
    assert (row["groups/tries"], row["groups/missing"], row["groups/flat"]) == (3, 1, 1)
    assert row["grad/norm"] == 0
    assert seen.batches[0].advantages.abs().sum() == 0
    assert "step 1: after 3 tries the responses to 2 of 2 prompts still all earned the same" in "".join(
        capsys.readouterr()
    )


def test_a_run_that_was_broken_off_draws_the_same_again(
    some_flat: Make, watch: Watch, weights: Callable[[Path], dict[str, Tensor]], read_lines: Any
):
    watch()
    whole, broken = (some_flat(tries=20, steps=3, checkpoint_every=1) for _ in range(2))
    expected = weights(train(whole))
    with broken_off(3):
        train(broken)
    resumed = weights(train(broken))
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    assert read_lines(Path(broken.out) / "metrics.jsonl") == read_lines(Path(whole.out) / "metrics.jsonl")


def test_one_try_takes_what_comes(make_config: Make, watch: Watch, read_lines: Any):
    watch()
    config = make_config(GRPOConfig)
    train(config)
    row = read_lines(Path(config.out) / "metrics.jsonl")[0]
    assert "groups/tries" not in row
    assert "groups/flat" in row


def test_rows_of_several_scorings_by_hand():
    """With their parts, and what the scorers behind them said."""
    said = [
        Scored(
            torch.tensor([1.0, 2.0]) + i,
            {"a": torch.tensor([0.5, 1.0]) + i, "b": torch.tensor([0.5, 1.0])},
            {"a": Scored(torch.tensor([5.0, 6.0]) + i)},
            outlier=torch.tensor([0.1, 0.2]) + i,
        )
        for i in range(2)
    ]
    some = taken(said, [3, 0])
    assert some.scores.tolist() == [3, 1]
    assert some.parts["a"].tolist() == [2, 0.5]
    assert some.parts["b"].tolist() == [1, 0.5]
    assert some.components["a"].scores.tolist() == [7, 5]
    assert some.outlier is not None
    assert some.outlier.tolist() == pytest.approx([1.2, 0.1])
    assert some.limited is None
    assert some.members is None


def test_rows_of_several_rollouts_by_hand():
    """Padding is that of the longest that was taken."""
    one = Rollouts(
        ((1,), (2,)), ((5, 6, 7), (8,)), torch.tensor([True, False]), torch.tensor([[True] * 3, [True, False, False]])
    )
    other = Rollouts(((3,),), ((9, 9),), torch.tensor([True]), torch.tensor([[True, True]]))
    some = Rollouts.taken([one, other], [2, 1])
    assert some.prompts == ((3,), (2,))
    assert some.responses == ((9, 9), (8,))
    assert some.finished.tolist() == [True, False]
    assert some.mask.tolist() == [[True, True], [True, False]]
