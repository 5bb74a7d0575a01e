"""A step's tokens in a file: what the updates used, from which it can all be worked out again."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch
from transformers import AutoModelForCausalLM

from prefloop.align import dump, ppo, reinforce, rloo
from prefloop.align.config import PPOConfig, REINFORCEConfig, RLOOConfig
from prefloop.align.dump import is_due
from prefloop.files.tables import read_rows

from .conftest import Seen

Make = Callable[..., Any]


def dumped(config: Any, step: int) -> list[dict[str, Any]]:
    """The file's rows."""
    return pyarrow.parquet.read_table(Path(config.out) / f"rollouts-{step:06d}.parquet").to_pylist()


def by_row(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The tokens of each response, in their order, its prompt's before them."""
    num = max(row["row"] for row in rows) + 1
    return [sorted((row for row in rows if row["row"] == i), key=lambda row: row["position"]) for i in range(num)]


def test_rewards_and_advantages_can_be_built_again_from_the_file(make_config: Make, watch: Callable[..., Seen]):
    """Reward = -kl_coef * (logprob - ref_logprob), and the score at the end; then GAE, then whitening."""
    seen = watch()
    config = make_config(
        steps=2, dump_rollouts=2, kl_coef=0.3, discount=0.9, decay=0.8, value_coef=1.0, unfinished_penalty=2.0
    )
    ppo.train(config)
    used = seen.batches[1]
    assert not (Path(config.out) / "rollouts-000001.parquet").exists()
    advantages, whole = list[float](), list[list[dict[str, Any]]]()
    for i, tokens in enumerate(by_row(dumped(config, 2))):
        prompt, response = ([t for t in tokens if (t["position"] < 0) == ahead] for ahead in (True, False))
        assert tuple(t["token"] for t in prompt) == used.rollouts.prompts[i]
        assert tuple(t["token"] for t in response) == used.rollouts.responses[i]
        assert [t["position"] for t in tokens] == list(range(-len(prompt), len(response)))
        assert not any(t["mask"] or t["reward"] is not None for t in prompt)
        grids = {"logprob": used.logprobs, "value": used.values, "advantage": used.advantages, "return": used.returns}
        for name, grid in grids.items():
            assert [t[name] for t in response] == grid[i, : len(response)].tolist()  # the very numbers
        earned = [-0.3 * (t["logprob"] - t["ref_logprob"]) for t in response]
        earned[-1] += response[-1]["score"] - (0.0 if bool(used.rollouts.finished[i]) else 2.0)
        assert [t["reward"] for t in response] == pytest.approx(earned, abs=1e-5)
        after = advantage = 0.0
        built = list[float]()
        for t in reversed(response):
            advantage = t["reward"] + 0.9 * after - t["value"] + 0.9 * 0.8 * advantage
            after = t["value"]
            built.append(advantage)
            assert t["return"] == pytest.approx(advantage + t["value"], abs=1e-5)
        advantages += built[::-1]
        whole.append(response)
    all_of_it = torch.tensor(advantages, dtype=torch.float64)
    white = (all_of_it - all_of_it.mean()) / all_of_it.std(correction=0)
    assert [t["advantage"] for response in whole for t in response] == pytest.approx(white.tolist(), abs=1e-4)


def test_a_state_is_what_stands_before_and_its_logprob_is_the_policys(make_config: Make, watch: Callable[..., Seen]):
    """transformers, given the tokens at lower positions, says of the token what the file says."""
    watch()
    config = make_config(steps=2, save_every=1, dump_rollouts=(2,))
    made = ppo.train(config)
    policy = AutoModelForCausalLM.from_pretrained(made.parent / "step-000001", attn_implementation="sdpa").eval()
    for tokens in by_row(dumped(config, 2)):
        for here in (t for t in tokens if t["mask"]):
            state = [t["token"] for t in tokens if t["position"] < here["position"]]
            with torch.no_grad():
                logits = policy(torch.tensor([state])).logits[0, -1].double()
            assert here["logprob"] == pytest.approx(float(logits.log_softmax(-1)[here["token"]]), abs=1e-4)


def test_without_a_critic_there_is_no_value(make_config: Make):
    config = make_config(REINFORCEConfig, steps=1, dump_rollouts=1)
    reinforce.train(config)
    rows = [row for _, row in read_rows(Path(config.out) / "rollouts-000001.parquet")]
    said = [row for row in rows if row["mask"]]
    assert (
        {row["value"] for row in said} == {row["return"] for row in said} == {row["weight"] for row in said} == {None}
    )
    assert all(row["advantage"] is not None and row["prompt_id"] for row in said)
    assert any(row["text"].strip() for row in rows)


def test_which_steps_are_due(make_config: Make):
    every, some, none = (make_config(dump_rollouts=value) for value in (3, (1, 5), 0))
    assert [step for step in range(1, 8) if is_due(every, step)] == [3, 6]
    assert [step for step in range(1, 8) if is_due(some, step)] == [1, 5]
    assert not any(is_due(none, step) for step in range(1, 8))


@pytest.mark.parametrize("value", [-1, (0, 2)])
def test_steps_are_counted_from_one(value: Any, make_config: Make):
    with pytest.raises(ValueError, match="steps are counted from 1"):
        make_config(dump_rollouts=value)


def test_a_list_can_be_typed(make_config: Make):
    config = PPOConfig.load(None, ["out=x", "policy=x", "reward=x", "prompts=x", "dump_rollouts=[1, 40]"])
    assert config.dump_rollouts == (1, 40)


@pytest.mark.parametrize("algorithm", ["ppo", "rloo"])
def test_what_the_updates_did_is_told_by_the_policies_before_and_after(algorithm: str, make_config: Make):
    """transformers' probability of the token by the policy after the step, over that by the one before it."""
    module, kind = {"ppo": (ppo, PPOConfig), "rloo": (rloo, RLOOConfig)}[algorithm]
    own: dict[str, Any] = {"responses_per_prompt": 4} if algorithm == "rloo" else {}
    config = make_config(kind, steps=2, save_every=1, dump_rollouts=(2,), epochs=3, **own)
    made = module.train(config)
    both = [
        AutoModelForCausalLM.from_pretrained(made.parent / name, attn_implementation="sdpa").eval()
        for name in ("step-000001", "step-000002")
    ]
    for tokens in by_row(dumped(config, 2)):
        ids = torch.tensor([[t["token"] for t in tokens]])
        with torch.no_grad():
            before, after = (model(ids).logits[0, :-1].double().log_softmax(-1) for model in both)
        moved = (after - before).gather(-1, ids[0, 1:, None])[:, 0].exp().tolist()
        said = [(t, ratio) for t, ratio in zip(tokens[1:], moved, strict=True) if t["mask"]]
        assert [t["ratio"] for t, _ in said] == pytest.approx([ratio for _, ratio in said], rel=1e-3)
        whole = math.prod(ratio for _, ratio in said)  # of the response, which is what RLOO clips
        for t, ratio in said:
            ratio = whole if algorithm == "rloo" else ratio
            up = t["advantage"] > 0
            assert t["clipped"] == ((up and ratio > 1.2) or (t["advantage"] < 0 and ratio < 0.8))
        assert all(t["ratio"] is None and t["clipped"] is None for t in tokens if not t["mask"])


def test_a_file_that_was_taken_away_meanwhile_ends_no_run(make_config: Make, monkeypatch: pytest.MonkeyPatch):
    real = dump.write

    def gone(run: Any, *args: Any) -> None:
        real(run, *args)
        (run.folder / "rollouts-000001.parquet").unlink()

    monkeypatch.setattr(dump, "write", gone)
    assert ppo.train(make_config(dump_rollouts=1)).is_dir()
