"""Rollouts of earlier steps: which are drawn and where they go, and what their tokens weigh, worked out again."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prefloop.align import ppo
from prefloop.align.config import PPOConfig
from prefloop.align.online import minibatches
from prefloop.align.ppo import Judged
from prefloop.align.replay import Memory
from prefloop.sampling.protocol import Sampled
from prefloop.sampling.rollouts import Rollouts
from prefloop.text.examples import Asked

from .conftest import Seen

Make = Callable[..., PPOConfig]
REPLAY = {"replay_steps": 2, "replay_share": 1 / 3}
CPU = torch.device("cpu")


def batch(step: int, *, rows: int) -> Judged:
    """A batch whose every number is its step."""
    sampled = [Sampled((step, step, row)[: 1 + row % 3], finished=True) for row in range(rows)]
    rollouts = Rollouts.of([[step, 7]] * rows, sampled, CPU)
    grid = torch.full(rollouts.mask.shape, float(step))
    return Judged(rollouts, torch.full((rows,), float(step)), {}, *[grid] * 7)


def remembered(config: PPOConfig, *, steps: int) -> Memory:
    memory = Memory(config, device=CPU)
    for step in range(1, steps + 1):
        prompts = [Asked((), [], (), f"{step}-{row}") for row in range(6)]
        new = batch(step, rows=6)
        memory.joined(new.rollouts, new.scores, new.scores, None, step - 1)
        memory.keep(step, new, prompts)
    return memory


def test_old_rollouts_are_a_share_of_every_update_each_once_an_epoch(make_config: Make):
    """A third of an update beside 6 new ones: 3 old ones, dealt out anew in each epoch."""
    shared = {"rollouts_per_step": 6, "minibatch_size": 3, "epochs": 2}
    config = make_config(**shared, **REPLAY)
    memory = remembered(config, steps=1)
    new = minibatches(6, size=3, epochs=2, seed=0, step=1)
    mixed = memory.order(1)
    assert [rows[:3] for rows in mixed] == new
    old = [rows[3:] for rows in mixed]
    assert [len(few) for few in old] == [2, 1, 2, 1]
    assert sorted(old[0] + old[1]) == sorted(old[2] + old[3]) == [6, 7, 8]
    assert len({tuple(map(tuple, [r[3:] for r in memory.order(step)])) for step in range(9)}) > 3


def test_nothing_is_replayed_in_the_first_step_or_by_default(make_config: Make):
    shared = {"rollouts_per_step": 6, "minibatch_size": 3, "epochs": 2}
    empty = remembered(make_config(**shared, **REPLAY), steps=0)
    default = remembered(make_config(**shared), steps=3)
    for memory in (empty, default):
        assert memory.num == 0
        assert memory.drawn(0) is None
        assert memory.order(0) == minibatches(6, size=3, epochs=2, seed=0, step=0)


def test_what_is_too_old_is_forgotten_and_what_is_drawn_is_whole(make_config: Make):
    memory = remembered(make_config(rollouts_per_step=6, minibatch_size=6, **REPLAY), steps=5)
    seen = set[int]()
    for step in range(20):
        past = memory.drawn(step)
        assert past is not None
        assert len(set(past.ids)) == 3
        for row, written in enumerate(past.steps):
            assert past.rollouts.prompts[row] == (written, 7)
            assert past.ids[row].startswith(f"{written}-")
            assert float(past.scores[row]) == written
            assert past.logprobs[row].unique().tolist() == [written]
            assert int(past.rollouts.mask[row].sum()) == len(past.rollouts.responses[row])
        seen |= set(past.steps)
    assert seen == {4, 5}


def test_a_memory_goes_on_from_a_checkpoint(make_config: Make):
    memory, again = (remembered(make_config(rollouts_per_step=6, minibatch_size=6, **REPLAY), steps=n) for n in (3, 0))
    again.restore(memory.state())
    one, other = memory.drawn(4), again.drawn(4)
    assert one is not None
    assert other is not None
    assert (one.ids, one.steps, one.rollouts.responses) == (other.ids, other.steps, other.rollouts.responses)
    assert torch.equal(one.logprobs, other.logprobs)


def test_replayed_tokens_weigh_what_the_present_policy_makes_of_them(
    make_config: Make, watch: Callable[..., Seen], read_lines: Callable[[Path], list[dict[str, Any]]]
):
    """Weights, advantages and targets of the second step's old rows from their numbers in the first, token by token."""
    seen = watch()
    config = make_config(
        steps=2,
        replay_cap=1.02,
        value_coef=1.0,
        discount=0.9,
        decay=0.8,
        kl_coef=0.3,
        whiten_advantages=False,
        **REPLAY,
    )
    ppo.train(config)
    first, second = seen.batches
    assert len(first.rollouts) == 8
    assert len(second.rollouts) == 8 + 4
    assert bool((second.weights[:8] == 1).all())
    every = list[float]()
    for row in range(8, 12):
        response = second.rollouts.responses[row]
        n = len(response)
        was = next(i for i, r in enumerate(first.rollouts.responses) if r == response)
        assert second.rollouts.prompts[row] == first.rollouts.prompts[was]
        assert second.scores[row] == first.scores[was]
        now, then = second.logprobs[row, :n].double(), first.logprobs[was, :n].double()
        assert (now - then).abs().max() > 1e-3  # the policy has moved
        weights = (now - then).exp().clamp(max=1.02)
        torch.testing.assert_close(second.weights[row, :n].double(), weights, atol=1e-6, rtol=0)
        rewards = -0.3 * (now - second.ref_logprobs[row, :n].double())
        penalty = 0.0 if bool(second.rollouts.finished[row]) else config.unfinished_penalty
        rewards[-1] += float(second.scores[row]) - penalty
        torch.testing.assert_close(second.rewards[row, :n].double(), rewards, atol=1e-5, rtol=0)
        values = second.values[row, :n].double()
        assert values.abs().max() > 1e-3  # the present critic's
        following = after = 0.0
        for t in reversed(range(n)):
            advantage = float(rewards[t]) + 0.9 * after - float(values[t]) + 0.9 * 0.8 * following
            assert float(second.advantages[row, t]) == pytest.approx(advantage, abs=1e-5)
            target = float(values[t]) + float(weights[t]) * advantage
            assert float(second.returns[row, t]) == pytest.approx(target, abs=1e-5)
            after, following = float(values[t]), float(weights[t]) * advantage
        every += weights.tolist()
    row = read_lines(Path(config.out) / "metrics.jsonl")[1]
    assert row["replay/weight"] == pytest.approx(sum(every) / len(every), abs=1e-6)
    assert row["replay/ess"] == pytest.approx(sum(every) ** 2 / (len(every) * sum(w * w for w in every)), abs=1e-6)
    assert row["replay/truncated"] == pytest.approx(sum(w >= 1.02 for w in every) / len(every), abs=1e-6)
    assert row["ratio/first_error"] == 0
    assert row["rollouts/length"] == pytest.approx(float(second.rollouts.mask[:8].sum(1).double().mean()))
    assert row["scores/mean"] == pytest.approx(float(second.scores[:8].double().mean()))


def test_a_token_that_weighs_nothing_moves_no_policy(
    make_config: Make, watch: Callable[..., Seen], weights: Callable[[Path], dict[str, Tensor]]
):
    """Old rows of weight 0 leave the policy what it is where the critic learns nothing: their losses are 0."""

    def without_new(batch: Judged) -> Judged:
        return replace(batch, weights=torch.zeros_like(batch.weights))

    watch(without_new)
    config = make_config(value_coef=0.0, kl_where="loss", kl_estimator="k2", kl_coef=0.5, critic="separate")
    made = weights(ppo.train(config))
    before = weights(Path(config.policy))
    assert all(torch.equal(made[name], before[name]) for name in before)


def test_defaults_are_those_of_a_run_without_replay(
    make_config: Make, weights: Callable[[Path], dict[str, Tensor]], monkeypatch: pytest.MonkeyPatch
):
    """Weights of 1 are no weights: multiplied in or left out, the policy is the same to the bit."""
    plain = weights(ppo.train(make_config(steps=2, epochs=2)))
    monkeypatch.setattr(ppo.replay, "weighted", lambda terms, *args, **kwargs: terms)
    again = weights(ppo.train(make_config(steps=2, epochs=2)))
    assert all(torch.equal(plain[name], again[name]) for name in plain)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"replay_steps": 2}, "need each other"),
        ({"replay_share": 0.5}, "need each other"),
        ({"replay_cap": 2.0}, "replay_cap does nothing"),
    ],
)
def test_settings_that_do_nothing_are_refused(make_config: Make, settings: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        make_config(**settings)


def test_the_replayed_rows_are_in_the_file_with_the_step_that_wrote_them(make_config: Make):
    import pyarrow.parquet

    config = make_config(steps=2, dump_rollouts=2, **REPLAY)
    ppo.train(config)
    rows = pyarrow.parquet.read_table(Path(config.out) / "rollouts-000002.parquet").to_pylist()
    old = [row for row in rows if row["step"] == 1]
    assert {row["row"] for row in old} == {8, 9, 10, 11}
    asked = Path(config.prompts).read_text(encoding="utf-8").splitlines()
    assert {row["prompt_id"] for row in rows} <= {json.loads(line)["id"] for line in asked}
    assert all(row["weight"] == 1 for row in rows if row["step"] == 2 and row["mask"])
    assert all(0 < row["weight"] <= 1 for row in old if row["mask"])


def test_old_scores_are_rewarded_as_they_were_and_counted_once(
    make_config: Make, watch: Callable[..., Seen], read_lines: Callable[[Path], list[dict[str, Any]]]
):
    """With running normalisation: the mean and deviation are those of every new response once, replayed or not, and an
    old one earns what it did in its step."""
    seen = watch()
    config = make_config(steps=3, score_norm="running", kl_coef=0.0, unfinished_penalty=0.0, **REPLAY)
    ppo.train(config)
    rows = read_lines(Path(config.out) / "metrics.jsonl")
    every = list[float]()
    earned = dict[tuple[int, ...], float]()
    for batch, row in zip(seen.batches, rows, strict=True):
        new = batch.scores[:8].double()
        every += new.tolist()
        whole = torch.tensor(every, dtype=torch.float64)
        shaped = (new - whole.mean()) / whole.std(correction=0)
        torch.testing.assert_close(batch.rewards[:8].sum(1).double(), shaped, atol=1e-4, rtol=0)
        assert row["scores/shaped"] == pytest.approx(float(shaped.mean()), abs=1e-5)
        for i in range(8, len(batch.rollouts)):
            assert float(batch.rewards[i].sum()) == pytest.approx(earned[batch.rollouts.responses[i]], abs=1e-4)
        earned |= dict(zip(batch.rollouts.responses[:8], shaped.tolist(), strict=True))
    assert len(seen.batches[2].rollouts) == 12


def test_drift_of_whole_distributions_is_not_weighted(make_config: Make, watch: Callable[..., Seen], read_lines: Any):
    """It is told of a state and not of the token that was drawn there: weights of 0 leave it what it is."""

    def nothing(batch: Judged) -> Judged:
        return replace(batch, weights=torch.zeros_like(batch.weights))

    watch(nothing)
    told = {}
    for estimator in ("full", "k2"):
        config = make_config(kl_where="loss", kl_estimator=estimator, kl_coef=0.5, epochs=2)
        ppo.train(config)
        told[estimator] = read_lines(Path(config.out) / "metrics.jsonl")[0]
    assert told["k2"]["loss/kl"] == 0
    watch()
    plain = make_config(kl_where="loss", kl_estimator="full", kl_coef=0.5, epochs=2)
    ppo.train(plain)
    moved = read_lines(Path(plain.out) / "metrics.jsonl")[0]
    assert moved["loss/kl"] > 0
    assert told["full"]["loss/kl"] >= 0


@pytest.mark.parametrize("target", ["td", "scores"])
def test_targets_that_cannot_be_corrected_are_refused(make_config: Make, target: str):
    with pytest.raises(ValueError, match="tells of the policy that wrote"):
        make_config(value_target=target, **REPLAY)
