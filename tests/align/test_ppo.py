"""One PPO update against autograd on transformers' own model, and what its loop promises, watched as it happens."""

import inspect
import json
import math
import os
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedModel

from prefloop import cli
from prefloop.align import ppo
from prefloop.align.config import PPOConfig
from prefloop.align.ppo import Judged, train
from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.models.load import causal, save_model, scalar
from prefloop.models.network import Network
from prefloop.models.optim import scale
from prefloop.pretrain.tokenizer import trained_tokenizer
from prefloop.scoring.reward_model import NORMALISATION
from prefloop.text.codec import Codec
from prefloop.text.templates import template_text

from .conftest import Seen, expected_score

CPU = Placement(torch.device("cpu"))
Make = Callable[..., PPOConfig]
Watch = Callable[..., Seen]
Read = Callable[[Path], list[dict[str, Any]]]
Weights = Callable[[Path], dict[str, Tensor]]


def metrics(config: PPOConfig, read_lines: Read) -> list[dict[str, Any]]:
    return read_lines(Path(config.out) / "metrics.jsonl")


def stale(batch: Judged) -> Judged:
    """As if sampled by a policy and judged by a critic some way off: ratios and values are clipped."""
    generator = torch.Generator().manual_seed(11)

    def noise(size: float) -> Tensor:
        return size * torch.randn(batch.rollouts.mask.shape, generator=generator)

    return replace(batch, logprobs=batch.logprobs + noise(0.3), values=batch.values + noise(0.5))


def drift_by_hand(config: PPOConfig, p: Tensor, q: Tensor, token: int, old: Tensor) -> Tensor:
    """What a token's drift is in the loss, from (V,) logprobs of policy and reference."""
    estimator, forward = config.kl_loss_estimator or config.kl_estimator, config.kl_direction == "forward"
    if estimator == "full":
        return (q.exp() * (q - p)).sum() if forward else (p.exp() * (p - q)).sum()
    d = q[token] - p[token] if forward else p[token] - q[token]
    weight = (q[token] - old).exp() if forward else 1.0
    return weight * {"k1": d, "k2": d * d / 2, "k3": (-d).exp() - 1 + d}[estimator]


def by_autograd(
    model: PreTrainedModel, reference: PreTrainedModel, batch: Judged, config: PPOConfig, *, kl_coef: float
) -> dict[str, float]:
    """The update's numbers, sequence by sequence, token by token, with transformers' forward and nothing of ours."""
    rollouts = batch.rollouts
    mean = float(batch.rewards.flip(1).cumsum(1).flip(1)[rollouts.mask].mean())  # of what follows: a fresh head says it
    head = torch.tensor([0.0] * model.config.hidden_size + [mean], requires_grad=True)
    parts: dict[str, list[Tensor]] = {"policy": [], "value": [], "entropy": [], "kl": []}
    clipped = values_clipped = 0
    drifts = []
    for row, (prompt, response) in enumerate(zip(rollouts.prompts, rollouts.responses, strict=True)):
        ids = torch.tensor([[*prompt, *response]])
        out = model(ids, output_hidden_states=True)
        with torch.no_grad():
            ref_logits = reference(ids).logits
        for t in rollouts.mask[row].nonzero().flatten().tolist():  # what the policy wrote
            place = len(prompt) + t - 1
            p = (out.logits[0, place] / config.temperature).log_softmax(-1)
            q = (ref_logits[0, place] / config.temperature).log_softmax(-1)
            advantage, old = batch.advantages[row, t], batch.logprobs[row, t]
            ratio = (p[response[t]] - old).exp()
            r, a = float(ratio.detach()), float(advantage)
            drifts.append(r - 1 - math.log(r))  # KL(sampled from || now) by k3, on tokens of the one sampled from
            high = config.clip if config.clip_high is None else config.clip_high
            stopped = (r > 1 + high and a > 0) or (r < 1 - config.clip and a < 0)
            bound = 1 + high if r > 1 else 1 - config.clip
            if config.dual_clip is not None and r > config.dual_clip and a < 0:
                stopped, bound = True, config.dual_clip
            clipped += stopped
            parts["policy"].append(torch.tensor(-bound * a) if stopped else -ratio * a)
            parts["entropy"].append((p.exp() * p).sum())
            parts["kl"].append(drift_by_hand(config, p, q, response[t], old))
            value = (out.hidden_states[-1][0, place] * head[:-1]).sum() + head[-1]
            before, target = float(batch.values[row, t]), float(batch.returns[row, t])
            reach = math.inf if config.value_clip is None else config.value_clip
            held = max(before - reach, min(before + reach, mean))
            free, kept = (value - target) ** 2 / 2, (held - target) ** 2 / 2
            inside = abs(before - mean) <= reach
            still = not inside and float(free.detach()) < kept
            values_clipped += still
            parts["value"].append(torch.tensor(kept) if still else free)
    means = {name: torch.stack(values).mean() for name, values in parts.items()}
    loss = means["policy"] + config.value_coef * means["value"] + config.entropy_coef * means["entropy"]
    if config.kl_where in ("loss", "both"):
        loss = loss + kl_coef * means["kl"]
    leaves = [*model.parameters(), head]
    norm = math.sqrt(
        sum(float((g**2).sum()) for g in torch.autograd.grad(loss, leaves, allow_unused=True) if g is not None)
    )
    return {
        "grad/norm": norm,
        "ratio/clipped": clipped / len(parts["policy"]),
        "values/clipped": values_clipped / len(parts["value"]),
        "ratio/kl": sum(drifts) / len(drifts),
        **{f"loss/{k}": float(v.detach()) for k, v in means.items()},
    }


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.7, "clip": 0.1},
        {"entropy_coef": 0.5, "value_coef": 2.0, "value_clip": 0.05},
        {"kl_where": "loss", "kl_estimator": "k2", "kl_coef": 0.7},
        {"kl_where": "loss", "kl_estimator": "k3", "kl_coef": 0.7, "temperature": 1.3},
        {"kl_where": "loss", "kl_estimator": "full", "kl_coef": 0.7, "temperature": 1.3},
        {"kl_where": "loss", "kl_estimator": "full", "kl_coef": 0.7, "kl_direction": "forward", "micro_tokens": 30},
        {"kl_where": "loss", "kl_estimator": "k1", "kl_coef": 0.7, "kl_direction": "forward"},
        {"kl_where": "both", "kl_loss_estimator": "k3", "kl_coef": 0.7, "kl_direction": "forward"},
        {"clip_high": 0.4, "dual_clip": 1.1, "value_clip": 0.05},
        {"micro_tokens": 30},
    ],
)
def test_an_update_is_that_of_autograd_on_transformers(
    make_config: Make,
    watch: Watch,
    read_lines: Read,
    plain: PreTrainedModel,
    new_llama: Callable[..., PreTrainedModel],
    other: Network,
    settings: dict[str, Any],
):
    """Losses, clipped share, drift and gradient norm of one update on stale rollouts; the reference is another
    model."""
    seen = watch(stale, reference=other)
    config = make_config(**settings)
    train(config)
    row = metrics(config, read_lines)[0]
    expected = by_autograd(plain, new_llama(2).eval(), seen.batches[0], config, kl_coef=config.kl_coef)
    assert 0 < expected["ratio/clipped"] < 1
    assert 0 < expected["values/clipped"] < 1
    names = {"grad/norm", "ratio/clipped", "ratio/kl", "values/clipped", "loss/policy", "loss/value", "loss/entropy"}
    names |= {"loss/kl"} if config.kl_where in ("loss", "both") else set()
    assert {k: row[k] for k in names} == pytest.approx({k: expected[k] for k in names}, rel=2e-4, abs=1e-5)


def test_the_coefficient_that_was_steered_is_the_one_in_the_loss(
    make_config: Make, watch: Watch, read_lines: Read, new_llama: Callable[..., PreTrainedModel], other: Network
):
    """The second step's gradient by transformers, with the coefficient that the first step's drift has led to."""
    seen = watch(reference=other)
    config = make_config(
        kl_where="loss",
        kl_estimator="k2",
        kl_coef=0.7,
        kl_target=0.1,
        kl_horizon=2.0,
        value_coef=0.0,
        steps=2,
        save_every=1,
    )
    first = AutoModelForCausalLM.from_pretrained(train(config).parent / "step-000001", attn_implementation="sdpa")
    row = metrics(config, read_lines)[1]
    assert row["kl/coef"] == pytest.approx(0.7 * (1 + 0.2 * 8 / 2))
    expected = by_autograd(first.eval(), new_llama(2).eval(), seen.batches[1], config, kl_coef=row["kl/coef"])
    assert row["grad/norm"] == pytest.approx(expected["grad/norm"], rel=1e-3)


def test_the_coefficient_that_was_steered_is_the_one_in_the_rewards(
    make_config: Make, watch: Watch, read_lines: Read, other: Network
):
    """Each step's tokens pay its own coefficient for their drift; the drift that is logged and steers is k1's."""
    seen = watch(reference=other)
    config = make_config(kl_coef=0.3, kl_target=0.1, kl_horizon=2.0, steps=3, unfinished_penalty=5.0)
    train(config)
    rows, codec = metrics(config, read_lines), seen.setups[0].policy.codec
    coefs = [row["kl/coef"] for row in rows]
    assert coefs == pytest.approx([0.3, 0.3 * 1.8, 0.3 * 1.8**2])
    penalties = set()
    for batch, coef, row in zip(seen.batches, coefs, rows, strict=True):
        drift = batch.logprobs - batch.ref_logprobs
        for i, response in enumerate(batch.rollouts.responses):
            penalty = 0.0 if response[-1] in codec.stop_ids else 5.0
            penalties.add(penalty)
            assert float(batch.scores[i]) == pytest.approx(expected_score(codec.decode(response)))
            expected = (-coef * drift[i, : len(response)]).tolist()
            expected[-1] += float(batch.scores[i]) - penalty
            assert batch.rewards[i, : len(response)].tolist() == pytest.approx(expected, abs=1e-5)
            assert batch.rewards[i, len(response) :].abs().sum() == 0
        assert row["rewards/kl"] == pytest.approx(float((drift * batch.rollouts.mask).sum(1).mean()), abs=1e-5)
        assert row["scores/mean"] == pytest.approx(float(batch.scores.mean()), abs=1e-6)
    assert penalties == {0.0, 5.0}


def test_drift_in_the_loss_is_not_charged_in_the_rewards_too(make_config: Make, watch: Watch, other: Network):
    seen = watch(reference=other)
    train(make_config(kl_where="loss", kl_estimator="k3", kl_coef=0.5, unfinished_penalty=0.0))
    batch = seen.batches[0]
    assert (batch.logprobs - batch.ref_logprobs).abs().max() > 0.1
    torch.testing.assert_close(batch.rewards.sum(1), batch.scores)
    assert (batch.rewards != 0).sum() <= len(batch.scores)


@pytest.mark.parametrize(("discount", "decay"), [(1.0, 0.95), (0.9, 0.5), (1.0, 0.0), (0.8, 1.0)])
def test_advantages_are_those_of_the_settings(
    make_config: Make, watch: Watch, other: Network, discount: float, decay: float
):
    """sum over k of (discount decay)^k (reward + discount value after - value), from each token to the end."""
    seen = watch(reference=other)
    settings = {"value_coef": 1.0, "value_clip": 10.0, "whiten_advantages": False}
    train(make_config(steps=2, discount=discount, decay=decay, **settings))
    batch = seen.batches[1]  # by now the critic says something
    for i, response in enumerate(batch.rollouts.responses):
        n = len(response)
        rewards, values = batch.rewards[i, :n].double(), batch.values[i, :n].double()
        assert values.abs().max() > 1e-3
        surprise = rewards + discount * torch.cat([values[1:], values.new_zeros(1)]) - values
        expected = [float(sum((discount * decay) ** k * surprise[t + k] for k in range(n - t))) for t in range(n)]
        assert batch.advantages[i, :n].tolist() == pytest.approx(expected, abs=1e-5)
        assert batch.returns[i, :n].tolist() == pytest.approx((torch.tensor(expected) + values).tolist(), abs=1e-5)


@pytest.mark.parametrize("unit", ["token", "response", "batch"])
def test_kl_units_by_hand(make_config: Make, watch: Watch, other: Network, unit: Any):
    """token: its own drift. response: the sum, on the last token. batch: rewards = scores - kl_coef * kl.mean(), seed
    003."""
    seen = watch(reference=other)
    train(make_config(kl_unit=unit, kl_coef=0.2, unfinished_penalty=0.0))
    batch = seen.batches[0]
    kl = [(batch.logprobs - batch.ref_logprobs)[i, : len(r)].tolist() for i, r in enumerate(batch.rollouts.responses)]
    mean = sum(map(sum, kl)) / sum(map(len, kl))
    for i, drift in enumerate(kl):
        charge = {"token": drift, "response": [0.0] * (len(drift) - 1) + [sum(drift)]}.get(
            unit, [0.0] * (len(drift) - 1) + [mean]
        )
        expected = [-0.2 * x for x in charge]
        expected[-1] += float(batch.scores[i])
        assert batch.rewards[i, : len(drift)].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("micro_tokens", [16384, 40])
def test_the_first_ratio_is_exactly_1_and_the_first_drift_exactly_0(
    make_config: Make, watch: Watch, read_lines: Read, dtype: str, micro_tokens: int
):
    """Nothing has been learned yet, so anything else would be a bug: dropout, temperature, another precision, another
    place."""
    watch()
    config = make_config(
        dtype=dtype, micro_tokens=micro_tokens, steps=3, rollouts_per_step=16, minibatch_size=4, epochs=2
    )
    train(config)
    rows = metrics(config, read_lines)
    assert [row["ratio/first_error"] for row in rows] == [0.0, 0.0, 0.0]
    assert rows[0]["rewards/kl"] == 0.0
    assert abs(rows[1]["rewards/kl"]) > 1e-3
    assert rows[0]["ratio/kl"] > 0


def test_memory_does_not_change_the_result(make_config: Make, watch: Watch, weights: Weights):
    """Minibatches in one piece or cut into many: the same policy."""
    watch()
    last = [weights(train(make_config(micro_tokens=size, steps=2, epochs=2, minibatch_size=4))) for size in (16384, 30)]
    for name in last[0]:
        torch.testing.assert_close(
            last[0][name], last[1][name], rtol=0, atol=1e-4
        )  # AdamW takes whole steps along gradients of nearly 0


def test_padding_is_never_read(make_config: Make, watch: Watch, weights: Weights):
    """Rollouts whose padding is NaN everywhere lead to the same policy, to the last bit."""

    def spoiled(batch: Judged) -> Judged:
        mask = batch.rollouts.mask
        assert not mask.all()
        names = ("logprobs", "ref_logprobs", "values", "advantages", "returns")
        return replace(batch, **{name: torch.where(mask, vars(batch)[name], torch.nan) for name in names})

    seen = watch()
    clean = weights(train(make_config(epochs=2, minibatch_size=4)))
    seen = watch(spoiled)
    dirty = weights(train(make_config(epochs=2, minibatch_size=4)))
    assert seen.batches[0].advantages.isnan().any()
    assert all(torch.equal(clean[name], dirty[name]) for name in clean)


def test_only_policy_and_critic_change(
    make_config: Make, watch: Watch, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The reference and the reward model are the same after the run, the policy and a separate critic are not."""
    reward = scalar(folder, CPU, fresh_head=True)
    torch.nn.init.normal_(reward.pretrained.get_submodule("score").weight, generator=torch.Generator().manual_seed(5))
    save_model(tmp_path / "reward", reward.pretrained, reward.codec)
    seen = watch()
    made = train(make_config(reward=str(tmp_path / "reward"), critic="separate", steps=2))
    setup = seen.setups[0]
    original = dict(causal(folder, CPU).pretrained.state_dict())
    assert all(torch.equal(v, original[k]) for k, v in setup.reference.pretrained.state_dict().items())
    untouched = scalar(str(tmp_path / "reward"), CPU).state_dict()
    assert all(torch.equal(v, untouched[k]) for k, v in setup.scorer.network.state_dict().items())  # type: ignore[attr-defined]
    changed = dict(causal(str(made), CPU).pretrained.state_dict())
    assert all(not torch.equal(v, original[k]) for k, v in changed.items())
    assert setup.policy.critic is not None
    assert setup.policy.critic.trunk is not None
    trunk = setup.policy.critic.trunk.state_dict()
    assert all(not torch.equal(v, original[f"model.{k}"]) for k, v in trunk.items())
    assert all(not torch.equal(v, changed[f"model.{k}"]) for k, v in trunk.items())


@pytest.mark.parametrize(("lr", "head_lr"), [(1e-9, 0.01), (0.01, 1e-9)])
def test_the_critics_head_moves_at_its_own_rate(
    make_config: Make, watch: Watch, folder: str, lr: float, head_lr: float
):
    """Adam's first updates are about as large as the rate: whoever has one of 1e-9 stands still."""
    seen = watch()
    train(make_config(lr=lr, head_lr=head_lr, steps=2))
    policy, before = seen.setups[0].policy, causal(folder, CPU).pretrained.base_model.state_dict()
    assert policy.critic is not None
    trunk = max(float((v - before[k]).abs().max()) for k, v in policy.pretrained.base_model.state_dict().items())
    head = float(policy.critic.head.weight.detach().abs().max())
    assert (trunk > 1e-3, head > 1e-3) == (lr > head_lr, head_lr > lr)
    assert min(trunk, head) < 1e-6


@pytest.mark.parametrize("critic", ["shared", "separate", "folder"])
def test_three_critics_run_and_learn(make_config: Make, watch: Watch, read_lines: Read, folder: str, critic: str):
    """On the same rollouts over and over, the critic's error falls."""
    first: list[Judged] = []
    watch(lambda batch: first.append(batch) or first[0])
    own = folder if critic == "folder" else critic
    config = make_config(critic=own, minibatch_size=4, steps=8, value_coef=1.0, value_clip=100.0)  # 8 would be read
    train(config)
    rows = metrics(config, read_lines)
    assert rows[-1]["loss/value"] < 0.5 * rows[0]["loss/value"]
    assert "values/explained_variance" in rows[0]


def test_a_critic_of_ones_own_is_that_folders_trunk(
    make_config: Make, watch: Watch, new_llama: Callable[..., PreTrainedModel], codec: Codec, tmp_path: Path
):
    """Hardly any learning: the trunk is still the folder's, not a copy of the policy's; the folder is in the card."""
    save_model(tmp_path / "critic", new_llama(9), codec)
    seen = watch()
    made = train(make_config(critic=str(tmp_path / "critic"), lr=1e-9))
    critic = seen.setups[0].policy.critic
    assert critic is not None
    assert critic.trunk is not None
    own = new_llama(9).base_model.state_dict()
    assert all(torch.allclose(weight, own[name], atol=1e-6) for name, weight in critic.trunk.state_dict().items())
    assert "critic" in json.loads((made.parents[1] / "run.json").read_text(encoding="utf-8"))["inputs"]
    short = new_llama(9)
    short.config.max_position_embeddings = 8
    save_model(tmp_path / "short", short, codec)
    with pytest.raises(UserError, match="reads at most 8 tokens, but a prompt and its response may have"):
        train(make_config(critic=str(tmp_path / "short")))


def test_epochs_end_when_the_policy_has_drifted_too_far(make_config: Make, watch: Watch, read_lines: Read):
    """Four epochs of two updates; with a limit the drift passes at once, the first update is the last of its step."""
    watch()
    updates = []
    for limit in (None, 1e-9, 1e9):
        config = make_config(epochs=4, minibatch_size=4, max_policy_kl=limit, steps=2)
        train(config)
        updates.append([row["updates"] for row in metrics(config, read_lines)])
    assert updates[0] == updates[2] == [8, 8]
    assert updates[1] == [2, 2]  # the first update's drift is exactly 0, the second's is not


def test_from_the_command_to_the_gradient_it_is_three_files_and_four_calls(
    make_config: Make, monkeypatch: pytest.MonkeyPatch
):
    config, stacks = make_config(steps=1), []
    real = Tensor.backward

    def backward(self: Tensor, *args: Any, **kwargs: Any) -> None:
        frames = [frame for frame in traceback.extract_stack() if f"src{os.sep}prefloop" in frame.filename]
        stacks.append([(Path(frame.filename).name, frame.name) for frame in frames])
        real(self, *args, **kwargs)

    monkeypatch.setattr(Tensor, "backward", backward)
    settings = [f"{k}={'none' if v is None else v}" for k, v in config.model_dump().items() if v is not None]
    assert cli.main(["ppo", *settings]) == 0
    assert stacks[0] == [("cli.py", "main"), ("cli.py", "_dispatch"), ("ppo.py", "train"), ("ppo.py", "_update")]


def test_the_six_words_stand_in_order_on_one_screen_of_train():
    lines = inspect.getsource(ppo.train).splitlines()
    words = ["prompts = ", "rollouts = ", "scores, scored, placed = ", "rewards = ", "advantages, returns = ", "# loss"]
    places = [next(i for i, line in enumerate(lines) if word in line) for word in words]
    assert places == sorted(places)
    assert places[-1] - places[0] < 24
    assert len(lines) < 64


def test_an_early_stop_does_not_shift_the_schedule(make_config: Make, watch: Watch, read_lines: Read):
    """Two of eight updates are done in each step; the second step's are still the ninth and tenth of sixteen."""
    watch()
    config = make_config(epochs=4, minibatch_size=4, max_policy_kl=1e-9, steps=2, lr=0.01)
    train(config)
    lrs = [0.01 * scale(i, 16, warmup=0.0, schedule="linear") for i in range(16)]
    rows = metrics(config, read_lines)
    assert [row["lr"] for row in rows] == pytest.approx([sum(lrs[:2]) / 2, sum(lrs[8:10]) / 2])


def test_advantages_std_is_a_deviation(make_config: Make, watch: Watch, read_lines: Read):
    seen = watch()
    config = make_config(whiten_advantages=False, critic_head="zero")
    train(config)
    batch = seen.batches[0]
    real = batch.advantages[batch.rollouts.mask]
    assert abs(float(real.mean())) > 0.1
    assert metrics(config, read_lines)[0]["advantages/std"] == pytest.approx(float(real.std(correction=0)), rel=1e-5)


def test_the_kl_coefficient_is_steered(make_config: Make, watch: Watch, read_lines: Read):
    """Ziegler 2019 by hand: no drift in step 1 is 100 % short, cut to -20 %: 0.1 (1 - 0.2 * 8 / 80) = 0.098."""
    watch()
    config = make_config(kl_coef=0.1, kl_target=1e-4, kl_horizon=80.0, steps=3)
    train(config)
    rows = metrics(config, read_lines)
    assert rows[0]["kl/coef"] == 0.1
    assert rows[1]["kl/coef"] == pytest.approx(0.098)
    assert rows[2]["kl/coef"] == pytest.approx(0.098 * (1 + math.copysign(0.02, rows[1]["rewards/kl"])))


def test_a_reward_model_with_another_tokenizer_reads_the_text(
    make_config: Make, watch: Watch, new_llama: Callable[..., PreTrainedModel], tmp_path: Path
):
    """Other tokens, another template: its scores are those that transformers gives to its own reading of the text."""
    tokenizer = trained_tokenizer(["entirely different words about the weather today"] * 5, vocab_size=290)
    tokenizer.chat_template = template_text("human-assistant")
    assert isinstance(tokenizer.eos_token_id, int)
    codec = Codec(tokenizer, (tokenizer.eos_token_id,), 64)
    save_model(tmp_path / "base", new_llama(9), codec)
    reward = scalar(str(tmp_path / "base"), CPU, fresh_head=True)
    torch.nn.init.normal_(reward.pretrained.get_submodule("score").weight, generator=torch.Generator().manual_seed(5))
    save_model(tmp_path / "reward", reward.pretrained, codec, beside={NORMALISATION: {"mean": 0.0, "std": 1.0}})
    seen = watch()
    config = make_config(reward=str(tmp_path / "reward"), unfinished_penalty=0.0)
    train(config)
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "reward").eval()
    policy, batch = seen.setups[0].policy, seen.batches[0]
    rollouts = batch.rollouts
    for row in range(len(rollouts)):
        prompt = (
            policy.codec.tokenizer.decode(list(rollouts.prompts[row]))
            .removeprefix("<|user|>")
            .removesuffix("<|assistant|>")
        )
        text = f"### Human: {prompt}\n### Assistant: "
        parts = [
            tokenizer.encode(t, add_special_tokens=False) for t in (text, policy.codec.decode(rollouts.responses[row]))
        ]
        with torch.no_grad():
            ids = [*parts[0], *parts[1], codec.stop_ids[0]][-64:]
            assert float(batch.scores[row]) == pytest.approx(float(theirs(torch.tensor([ids])).logits), abs=1e-3)


def test_a_critic_that_reads_other_tokens_is_refused(
    make_config: Make, new_llama: Callable[..., PreTrainedModel], tmp_path: Path
):
    tokenizer = trained_tokenizer(["entirely different words about the weather today"] * 5, vocab_size=290)
    tokenizer.chat_template = template_text("turns")
    save_model(tmp_path / "critic", new_llama(9), Codec(tokenizer, (1,), 64))
    with pytest.raises(UserError, match="critic"):
        train(make_config(critic=str(tmp_path / "critic")))


def test_prompts_without_room_are_refused(make_config: Make):
    with pytest.raises(
        UserError, match=r"prompts\.jsonl: no prompt leaves room for max_new_tokens = 64 in the context of 64"
    ):
        train(make_config(max_new_tokens=64))


def test_a_saved_policy_is_the_policy(make_config: Make, watch: Watch):
    """The last folder holds the weights in memory, and the earlier step's folder others."""
    seen = watch()
    made = train(make_config(steps=2, save_every=1))
    assert made.name == "step-000002"
    before, after = (causal(str(made.parent / name), CPU).model.state_dict() for name in ("step-000001", "step-000002"))
    in_memory = seen.setups[0].policy.pretrained.state_dict()
    assert all(torch.equal(v, in_memory[k]) for k, v in after.items())
    assert not any(torch.equal(v, before[k]) for k, v in after.items())
