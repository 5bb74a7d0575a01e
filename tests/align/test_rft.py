"""RFT: what is kept, by hand; an update by autograd on transformers; a run that goes on."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from broken import broken_off
from prefloop.align import online, rft
from prefloop.align.config import RFTConfig
from prefloop.align.rft import chosen, minibatches, train
from prefloop.sampling.rollouts import Rollouts

from .conftest import Seen, expected_score
from .test_bandit import NAMES, RESPONSES, bandit, probabilities, score, settings

__all__ = ["bandit"]  # a fixture

Make = Callable[..., RFTConfig]
Watch = Callable[..., Seen]
SCORES = torch.tensor([1.0, 3.0, 3.0, 2.0, 9.0, -1.0, 0.5, 0.5])
USABLE = [True, True, True, True, False, True, False, False]
"""Two prompts with four responses each; the best of the second did not end."""


@pytest.fixture
def make(make_config: Callable[..., Any]) -> Make:
    own = {"responses_per_prompt": 2, "rollouts_per_step": 8, "minibatch_size": 2}
    return lambda **given: make_config(RFTConfig, **{**own, **given})


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.parents[1] / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ({}, [1, 5]),  # of equal ones the first; what did not end is out, however good
        ({"keep": "share", "share": 0.375}, [1, 2, 3]),
        ({"keep": "share", "share": 0.01}, [1]),
        ({"keep": "share", "share": 1.0}, [0, 1, 2, 3, 5]),
        ({"keep": "above", "above": 1.0}, [1, 2, 3]),
        ({"keep": "above", "above": 3.0}, []),
    ],
)
def test_what_is_kept_by_hand(make: Make, given: dict[str, Any], rows: list[int]):
    config = make(responses_per_prompt=4, **given)
    assert chosen(config, SCORES, USABLE) == rows
    assert len(rows) <= config.most_kept


def test_every_epoch_imitates_all_that_was_kept_in_another_order(make: Make):
    kept = Rollouts(((1,),) * 6, ((2,),) * 6, torch.ones(6, dtype=torch.bool), torch.ones(6, 1, dtype=torch.bool))
    order = minibatches(make(epochs=2, minibatch_size=4), kept, step=3)
    assert [len(index) for index in order] == [4, 2, 4, 2]
    first, second = order[0] + order[1], order[2] + order[3]
    assert sorted(first) == sorted(second) == list(range(6))
    assert first != second
    assert minibatches(make(), None, step=3) == []


@pytest.mark.parametrize("micro_tokens", [16384, 30])
def test_an_update_is_that_of_autograd_on_transformers(
    make: Make, watch: Watch, plain: PreTrainedModel, monkeypatch: pytest.MonkeyPatch, micro_tokens: int
):
    """Mean surprise of the tokens of each prompt's best response that ended, END included, at temperature 1."""
    seen: list[Rollouts] = []
    real = online.sample
    monkeypatch.setattr(online, "sample", lambda *args: seen.append(real(*args)) or seen[-1])
    setups = watch().setups
    row = lines(train(make(rollouts_per_step=16, minibatch_size=8, micro_tokens=micro_tokens, temperature=0.7)))[0]
    codec = setups[0].policy.codec
    assert setups[0].reference is None
    surprise, scores, num = list[Tensor](), list[float](), 0
    for begin in range(0, 16, 2):
        there = [i for i in (begin, begin + 1) if seen[0].responses[i][-1] in codec.stop_ids]
        there = [i for i in there if codec.decode(seen[0].responses[i])]
        if not there:
            continue
        earned = {i: expected_score(codec.decode(seen[0].responses[i])) for i in there}
        best = max(there, key=earned.__getitem__)
        prompt, response = seen[0].prompts[best], seen[0].responses[best]
        logits = plain(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
        surprise.append(-logits.log_softmax(-1)[range(len(response)), response])
        scores.append(earned[best])
        num += 1
    loss = torch.cat(surprise).mean()
    gradients = torch.autograd.grad(loss, list(plain.parameters()), allow_unused=True)
    norm = torch.stack([(g**2).sum() for g in gradients if g is not None]).sum().sqrt()
    assert 2 < num < 8
    assert row["updates"] == 1
    assert row["kept/share"] == num / 16
    assert row["kept/score"] == pytest.approx(sum(scores) / num)
    assert row["loss/train"] == pytest.approx(float(loss.detach()), rel=1e-4)
    assert row["grad/norm"] == pytest.approx(float(norm), rel=1e-3)


@pytest.mark.parametrize("at", [1, 2, 5])
def test_a_run_that_was_broken_off_inside_a_step_goes_on_to_the_bit(
    make: Make, watch: Watch, weights: Callable[[Path], dict[str, Tensor]], at: int
):
    """Checkpoints are named by step and update: a step has room for four here."""
    watch()
    given = {"steps": 3, "epochs": 2, "checkpoint_every": 1, "rollouts_per_step": 16, "minibatch_size": 4}
    whole, broken = train(make(**given)), make(**given)
    with broken_off(at):
        train(broken)
    resumed = train(broken)
    expected, found = weights(whole), weights(resumed)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert lines(resumed) == lines(whole)
    assert (resumed.parents[1] / "samples.jsonl").read_bytes() == (whole.parents[1] / "samples.jsonl").read_bytes()


def test_a_step_that_keeps_nothing_learns_nothing(
    make: Make, watch: Watch, weights: Callable[[Path], dict[str, Tensor]], folder: str
):
    watch()
    made = train(make(steps=2, keep="above", above=1000.0))
    changed, begun = weights(made), weights(Path(folder))
    assert all(torch.equal(changed[name], begun[name]) for name in changed)
    for row in lines(made):
        assert (row["kept/share"], row["updates"]) == (0, 0)
        assert "loss/train" not in row
        assert "kept/score" not in row


def test_each_step_samples_from_what_the_last_one_made(make: Make, watch: Watch, monkeypatch: pytest.MonkeyPatch):
    watch()
    refreshed: list[int] = []
    real = rft.online.sample

    def noted(setup: Any, *args: Any) -> Rollouts:
        refreshed.append(sum(int(p.detach().abs().sum() * 1e4) for p in setup.policy.parameters()))
        return real(setup, *args)

    monkeypatch.setattr(online, "sample", noted)
    train(make(steps=3))
    assert len(set(refreshed)) == 3


def test_it_moves_to_what_the_reward_likes(bandit: str):
    """Thirteen responses, whose probabilities are counted. One step over many: the best of two that end."""
    own = settings(
        bandit, steps=1, lr=0.01, rollouts_per_step=4096, minibatch_size=64, epochs=6, responses_per_prompt=2
    )
    dropped = ("kl_coef", "whiten_advantages", "unfinished_penalty")
    made = train(RFTConfig(**{name: value for name, value in own.items() if name not in dropped}))
    before, after = (
        probabilities(AutoModelForCausalLM.from_pretrained(path).eval()) for path in (f"{bandit}/policy", made)
    )
    scores = torch.tensor([score("".join(NAMES[t] for t in r)) for r in RESPONSES], dtype=torch.float64)
    ends = torch.tensor([r[-1] == 1 and len(r) > 1 for r in RESPONSES])
    usable = torch.where(ends, before, 0.0)
    out = 1 - usable.sum()  # a response that is not usable
    best = torch.zeros_like(before)
    for i in range(len(before)):
        for j in range(len(before)):
            if ends[i] and ends[j]:
                best[i if scores[i] >= scores[j] else j] += usable[i] * usable[j]
        best[i] += 2 * usable[i] * out
    best /= best.sum()
    assert (best - before).abs().max() > 0.1
    assert 0.5 * float((after - best).abs().sum()) < 0.05


REFUSED = [
    ({"responses_per_prompt": 1}, "Set responses_per_prompt = 2, or more."),
    ({"responses_per_prompt": 3}, "Try rollouts_per_step = 9."),
    ({"keep": "share"}, "keep = share and share = NUMBER need each other"),
    ({"share": 0.5}, "keep = share and share = NUMBER need each other"),
    ({"keep": "above"}, "keep = above and above = NUMBER need each other"),
    ({"unfinished_penalty": 2.0}, "unfinished_penalty does nothing"),
    ({"kl_coef": 0.1}, "kl_coef"),
]


@pytest.mark.parametrize(("given", "sentence"), REFUSED)
def test_settings_that_make_no_sense_are_refused(make: Make, given: dict[str, Any], sentence: str):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        make(**given)
