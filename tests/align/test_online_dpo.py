"""Online DPO: pairs are the policy's own, best against worst; the loss is DPO's; neither a split nor a kill matters."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus
from transformers import AutoModelForCausalLM, PreTrainedModel

from broken import broken_off
from prefloop.align import online, online_dpo
from prefloop.align.config import OnlineDPOConfig
from prefloop.align.online_dpo import best_and_worst, losses_of, train
from prefloop.models.network import Network
from prefloop.sampling.protocol import Sampled
from prefloop.sampling.rollouts import Rollouts

from .conftest import Seen, expected_score
from .test_bandit import NAMES, RESPONSES, bandit, probabilities, score, settings

__all__ = ["bandit"]  # a fixture
Make = Callable[..., OnlineDPOConfig]
CPU = torch.device("cpu")


@pytest.fixture
def make(make_config: Callable[..., Any]) -> Make:
    return lambda **given: make_config(OnlineDPOConfig, **{"beta": 0.5, **given})


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder.parents[1] / "metrics.jsonl").read_text().splitlines()]


def _written(folder: Path) -> list[bytes]:
    (weights,) = folder.glob("*.safetensors")
    return [(folder.parents[1] / "metrics.jsonl").read_bytes(), weights.read_bytes()]


def test_pairs_by_hand():
    """Three responses to each of four prompts: plain; a tie for the best; all alike; two that are one."""
    tokens = [(5, 1), (6, 1), (7, 1), (5, 1), (6, 1), (7, 1), (5, 1), (6, 1), (7, 1), (5, 1), (5, 1), (5, 1)]
    rollouts = Rollouts.of([[4]] * 12, [Sampled(one, True) for one in tokens], CPU)
    earned = torch.tensor([2.0, 3.0, 1.0, 2.0, 2.0, 1.0, 4.0, 4.0, 4.0, 1.0, 2.0, 1.5])
    assert best_and_worst(earned, rollouts, copies=3) == [(1, 2), (3, 5)]


LOSSES = [
    ({}, lambda gap: math.log1p(math.exp(-gap))),
    ({"label_smoothing": 0.2}, lambda gap: 0.8 * math.log1p(math.exp(-gap)) + 0.2 * math.log1p(math.exp(gap))),
    (
        {"objective": "robust", "flip_rate": 0.2},
        lambda gap: -math.log(0.8 / (1 + math.exp(-gap)) + 0.2 / (1 + math.exp(gap))),
    ),
    ({"objective": "hinge"}, lambda gap: max(0.0, 1 - gap)),
    ({"objective": "ipo"}, lambda gap: (gap - 0.5) ** 2),
]


@pytest.mark.parametrize(("given", "expected"), LOSSES)
def test_losses_by_hand(make: Make, given: dict[str, Any], expected: Callable[[float], float]):
    """beta 1/2, log-ratios 3 and -1, -2 and 4: gaps 2 and -3."""
    found = losses_of(make(**given), torch.tensor([3.0, -2.0]), torch.tensor([-1.0, 4.0]))
    assert found.tolist() == pytest.approx([expected(2.0), expected(-3.0)])


@pytest.mark.parametrize("micro_tokens", [16384, 60])
def test_an_update_is_that_of_autograd_on_transformers(
    make: Make,
    watch: Callable[..., Seen],
    plain: PreTrainedModel,
    new_llama: Callable[..., PreTrainedModel],
    other: Network,
    monkeypatch: pytest.MonkeyPatch,
    micro_tokens: int,
):
    """One step from tokens to gradient, response by response; the reference is another model."""
    seen: list[Rollouts] = []
    real = online.sample
    monkeypatch.setattr(online, "sample", lambda *args: seen.append(real(*args)) or seen[-1])
    setups = watch(reference=other).setups
    given = {"rollouts_per_step": 12, "responses_per_prompt": 3, "temperature": 0.7, "unfinished_penalty": 2.0}
    row = _lines(train(make(steps=1, micro_tokens=micro_tokens, **given)))[0]
    reference, nats, drift, earned = new_llama(2).eval(), list[Tensor](), list[Tensor](), list[float]()
    codec = setups[0].policy.codec
    for prompt, response in zip(seen[0].prompts, seen[0].responses, strict=True):
        both = [m(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1] for m in (plain, reference)]
        own, ref = ((logits / 0.7).log_softmax(-1)[range(len(response)), response].sum() for logits in both)
        nats.append(own)
        drift.append(own - ref.detach())
        earned.append(expected_score(codec.decode(response)) - 2.0 * (response[-1] not in codec.stop_ids))
    pairs = []
    for begin in range(0, 12, 3):
        some = range(begin, begin + 3)
        best, worst = max(some, key=earned.__getitem__), min(some, key=earned.__getitem__)
        if earned[best] > earned[worst]:
            pairs.append((best, worst))
    margin = torch.stack([0.5 * (drift[best] - drift[worst]) for best, worst in pairs])
    loss = softplus(-margin).mean()
    gradients = torch.autograd.grad(loss, list(plain.parameters()), allow_unused=True)
    norm = torch.stack([(g**2).sum() for g in gradients if g is not None]).sum().sqrt()
    assert len(pairs) > 2
    assert row["pairs/used"] == len(pairs) / 4
    assert row["grad/norm"] == pytest.approx(float(norm), rel=1e-3)
    assert row["loss/train"] == pytest.approx(float(loss.detach()), rel=1e-4)
    assert row["pairs/margin"] == pytest.approx(float(margin.detach().mean()), rel=1e-3, abs=1e-4)
    assert row["pairs/gap"] == pytest.approx(sum(earned[b] - earned[w] for b, w in pairs) / len(pairs), rel=1e-5)
    chosen = sum(float(nats[best].detach()) for best, _ in pairs) / len(pairs)
    assert row["logprobs/chosen"] == pytest.approx(chosen, rel=1e-4)
    assert row["rewards/kl"] == pytest.approx(float(torch.stack(drift).detach().mean()), rel=1e-3)


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_it_begins_at_log_2_and_pairs_are_of_the_policy_as_it_is(
    make: Make, watch: Callable[..., Seen], monkeypatch: pytest.MonkeyPatch, adapter: str
):
    """Each pair's rows are this step's rollouts of one prompt, and no two steps have the same."""
    watch()
    seen: list[set[tuple[int, ...]]] = []
    real = online_dpo.best_and_worst

    def paired(earned: Tensor, rollouts: Rollouts, *, copies: int) -> Any:
        found = real(earned, rollouts, copies=copies)
        assert all(rollouts.prompts[best] == rollouts.prompts[worst] for best, worst in found)
        seen.append(set(rollouts.responses))
        return found

    monkeypatch.setattr(online_dpo, "best_and_worst", paired)
    lines = _lines(train(make(steps=3, adapter=adapter)))
    assert lines[0]["loss/train"] == pytest.approx(math.log(2), abs=1e-6)
    assert lines[0]["rewards/kl"] == 0
    assert lines[2]["rewards/kl"] != 0
    assert seen[0] != seen[1] != seen[2]


def test_how_a_step_is_split_changes_nothing(make: Make, watch: Callable[..., Seen]):
    watch()
    given = {"steps": 3, "rollouts_per_step": 12, "responses_per_prompt": 3}
    few, all_ = (_lines(train(make(micro_tokens=n, **given))) for n in (30, 4096))
    assert few[0] == pytest.approx(all_[0], rel=1e-5, abs=1e-6)
    for one, two in zip(few, all_, strict=True):
        assert one == pytest.approx(two, rel=2e-3, abs=5e-4)


@pytest.mark.parametrize(
    "given", [{}, {"adapter": "lora"}, {"reference_every": 2}, {"reference_every": 2, "reference_mix": 0.5}]
)
def test_a_run_that_was_broken_off_goes_on_to_the_bit(make: Make, watch: Callable[..., Seen], given: dict[str, Any]):
    watch()
    given = {"steps": 5, "checkpoint_every": 1, **given}
    whole, broken = train(make(**given)), make(**given)
    with broken_off(3):
        train(broken)
    assert _written(train(broken)) == _written(whole)


def test_a_reference_that_follows_is_that_of_the_loss_and_not_of_the_drift(make: Make, watch: Callable[..., Seen]):
    watch()
    lines = _lines(train(make(steps=5, reference_every=2, lr=1e-2)))
    assert [abs(row["loss/train"] - math.log(2)) < 1e-6 for row in lines] == [True, False, True, False, True]
    assert abs(lines[4]["rewards/kl"]) > 1e-3


def test_a_step_without_pairs_learns_nothing(make: Make, watch: Callable[..., Seen], tmp_path: Path):
    watch()
    (tmp_path / "alike.py").write_text("def score(prompts, responses):\n    return [1.0 for r in responses]\n")
    made = train(make(steps=2, reward=f"python:{tmp_path / 'alike.py'}:score", unfinished_penalty=0.0))
    begun = AutoModelForCausalLM.from_pretrained(make().policy).state_dict()
    ended = AutoModelForCausalLM.from_pretrained(made).state_dict()
    assert all(torch.equal(begun[name], ended[name]) for name in begun)
    for row in _lines(made):
        assert row["pairs/used"] == 0
        assert "loss/train" not in row
        assert row["scores/mean"] == 1


@pytest.mark.parametrize("given", [{}, {"responses_per_prompt": 4}, {"objective": "ipo", "beta": 0.1}])
def test_it_moves_to_what_the_reward_likes(bandit: str, given: dict[str, Any]):
    """Thirteen responses, whose probabilities are counted: the mean score rises, and the best response most."""
    own = {"kl_coef": None, "whiten_advantages": None, "beta": 0.5, "responses_per_prompt": 2}
    values = {**settings(bandit, **own), "steps": 60, "rollouts_per_step": 256, **given}
    made = train(OnlineDPOConfig(**{name: value for name, value in values.items() if value is not None}))
    before, after = (
        probabilities(AutoModelForCausalLM.from_pretrained(path).eval()) for path in (f"{bandit}/policy", made)
    )
    scores = torch.tensor([score("".join(NAMES[t] for t in r)) for r in RESPONSES], dtype=torch.float64)
    assert float((after * scores).sum()) > float((before * scores).sum()) + 0.3
    assert int((after / before).argmax()) == int(scores.argmax())


REFUSED = [
    ({"responses_per_prompt": 1}, "a pair is two responses to one prompt. Set responses_per_prompt = 2"),
    ({"responses_per_prompt": 3, "rollouts_per_step": 8}, "Try rollouts_per_step = 9."),
    ({"objective": "ipo", "label_smoothing": 0.1}, "label_smoothing is a setting of objective = bradley_terry"),
    ({"objective": "robust"}, "need each other"),
    ({"flip_rate": 0.1}, "need each other"),
    ({"reference_mix": 0.5}, "reference_mix does nothing while the reference stays"),
    ({"kl_coef": 0.1}, "kl_coef"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "sentence"), REFUSED)
def test_settings_that_make_no_sense_are_refused(make: Make, given: dict[str, Any], sentence: str):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        make(**given)
