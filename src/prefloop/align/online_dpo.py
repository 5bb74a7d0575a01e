"""Online DPO: sample, let the reward say which response of a prompt is best and which worst, and learn from that pair.

Reads: a policy folder, a reward, prompts. Writes: `models/step-*/` (plain Hugging Face folders), metrics, samples.
Follows Guo et al. 2024 (arXiv:2402.04792): pairs are the policy's own, judged as they are written, and the loss is
DPO's, so that drift is held by `beta` and charged nowhere else. One update a step. Leaves out: judges that compare two
responses, more than one update of the same responses.

Shapes: B responses of a step, P pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prefloop.align import first_batch, needs, online, responses
from prefloop.align.config import OnlineDPOConfig
from prefloop.align.online import Before
from prefloop.models.following import Follower
from prefloop.models.network import Network
from prefloop.models.optim import Optimizer
from prefloop.models.sums import Sums
from prefloop.ops.direct import dpo_gap, ipo_loss
from prefloop.ops.preferences import flipped_preference_loss, hinge_preference_loss, smoothed_preference_loss
from prefloop.run import Run
from prefloop.sampling.rollouts import Rollouts
from prefloop.text.batches import cut

Pair = tuple[int, int]
"""Rows of the better and of the worse response of a prompt."""


@dataclass
class Progress:
    """Where in the run we are; saved with every checkpoint."""

    step: int = 0
    """steps finished"""
    multipliers: dict[str, float] = field(default_factory=dict)
    """of the constraints, now"""


def train(config: OnlineDPOConfig) -> Path:
    """Runs (or continues) online DPO. Returns: the folder of the last policy."""
    with Run(config, inputs=online.inputs(config)) as run:
        if run.finished:
            return run.folder / run.result["last"]
        setup, config = online.prepared(run, config, needs.online_dpo)
        policy, follower = setup.policy, Follower.of(setup.policy, config)
        limit = online.at_once(run, setup, config, needs.online_dpo, policy)
        optimizer = Optimizer(policy.parameters(), config, num_updates=config.steps, schedule="linear")
        at = _restored(run, policy, follower, optimizer) or Progress(0, online.first_multipliers(config))
        run.progress.start(config.steps, at.step, unit="step")
        while at.step < config.steps:
            setup.sampler.refresh(policy)
            prompts = online.step_prompts(setup.prompts, config, at.step)
            rollouts = online.sample(setup, prompts, config, at.step)
            first_batch.look(run, setup, config, at.step, prompts, rollouts)
            scores, scored, _ = online.score(setup, config, prompts, rollouts, at.multipliers)
            earned = online.earned(scores, rollouts, unfinished_penalty=config.unfinished_penalty)
            pairs = best_and_worst(earned, rollouts, copies=config.responses_per_prompt)
            learned = micro_batches(rollouts, pairs, limit=limit)
            groups = [[row for pair in few for row in pair] for few in learned]
            others = sorted(set(range(len(rollouts))) - {row for rows in groups for row in rows})
            groups += online.micro_batches(rollouts, others, limit=limit)
            kept = "value" if len(groups) == len(learned) == 1 else None
            before = online.read(setup, rollouts, groups, temperature=config.temperature, kept=kept)
            kl = before.kl(rollouts.mask, "k1")
            metrics = {
                **_update(config, policy, follower, optimizer, rollouts, before, learned),  # loss
                **scored,
                **online.rollout_metrics(rollouts, kl),
                **responses.surprise(before.ref_logprobs, rollouts.mask),
                **_pair_metrics(earned, pairs, len(rollouts) // config.responses_per_prompt),
            }
            run.refuse_nan(at.step + 1, metrics)
            online.log(run, setup, at.step, metrics, rollouts, scores, kl)
            at = Progress(at.step + 1, online.next_multipliers(config, at.multipliers, scored))
            if follower is not None:
                follower.refresh(policy, at.step)
            online.save(run, setup, config, at.step)
            run.checkpoint(at.step, partial(_state, policy, follower, optimizer, at), every=config.checkpoint_every)
        online.finish(run, setup, config, {"beta": config.beta})
        return run.folder / run.result["last"]


def best_and_worst(earned: Tensor, rollouts: Rollouts, *, copies: int) -> list[Pair]:
    """The response of each prompt that earned most and that which earned least, the first of equals; none of a prompt
    whose responses all earned the same, or whose two are the same.

    Args:
        earned: (B,) reward units.
        copies: responses of a prompt, which stand together.
    """
    found = list[Pair]()
    values = earned.tolist()
    for begin in range(0, len(rollouts), copies):
        rows = range(begin, begin + copies)
        best, worst = max(rows, key=values.__getitem__), min(rows, key=values.__getitem__)
        if values[best] > values[worst] and rollouts.responses[best] != rollouts.responses[worst]:
            found.append((best, worst))
    return found


def micro_batches(rollouts: Rollouts, pairs: Sequence[Pair], *, limit: int) -> list[list[Pair]]:
    """Pairs cut into what fits in memory: at most `limit` tokens, the prompt of a pair once."""
    lengths = [rollouts.lengths[best] + len(rollouts.responses[worst]) for best, worst in pairs]
    parts = cut(range(len(pairs)), lengths, limit=limit)
    return [[pairs[i] for i in part] for part in parts]


def losses_of(config: OnlineDPOConfig, chosen: Tensor, rejected: Tensor) -> Tensor:
    """(P,) loss of each pair. Args: chosen, rejected: (P,) log-ratios of whole responses, in nats."""
    gap = dpo_gap(chosen, rejected, beta=config.beta)
    match config.objective:
        case "bradley_terry":
            return smoothed_preference_loss(gap, smoothing=config.label_smoothing)
        case "robust":
            assert config.flip_rate is not None  # the settings say so
            return flipped_preference_loss(gap, flip_rate=config.flip_rate)
        case "hinge":
            return hinge_preference_loss(gap, margin=1.0)
        case "ipo":
            return ipo_loss(config.beta * chosen, config.beta * rejected, tau=1.0)


def _update(
    config: OnlineDPOConfig,
    policy: Network,
    follower: Follower | None,
    optimizer: Optimizer,
    rollouts: Rollouts,
    before: Before,
    learned: Sequence[Sequence[Pair]],
) -> dict[str, float]:
    """The step's one update, by its pairs in micro-batches. Returns: its metrics, means over the pairs; none without a
    pair."""
    if not learned:
        optimizer.pass_over(1)
        return {}
    num, sums, lr = sum(map(len, learned)), Sums(), optimizer.lr
    total = rollouts.num_tokens([row for few in learned for pair in few for row in pair])
    for few in learned:
        rows = [row for pair in few for row in pair]
        stream = rollouts.stream(rows)
        now = before.reading or policy.read(stream, temperature=config.temperature)
        assert now.entropy is not None  # it was asked for
        assert before.ref_logprobs is not None  # the pairs are told from it
        ref = rollouts.packed(before.ref_logprobs, rows)
        if follower is not None:
            with torch.no_grad():
                ref = follower.network.logprobs(stream, temperature=config.temperature)
        nats, ratios = (
            tokens.new_zeros(len(rows)).index_add(0, stream.rows, tokens).view(-1, 2)  # (P, 2): better, worse
            for tokens in (now.logprobs, now.logprobs - ref)
        )
        losses = losses_of(config, ratios[:, 0], ratios[:, 1])
        (losses.sum() / num).backward()
        implied = config.beta * ratios.detach()
        sums.add("loss/train", losses / num)
        sums.add("entropy/mean", now.entropy / total)
        sums.add("logprobs/chosen", nats[:, 0].detach() / num)
        sums.add("logprobs/rejected", nats[:, 1].detach() / num)
        sums.add("pairs/chosen", implied[:, 0] / num)
        sums.add("pairs/rejected", implied[:, 1] / num)
        sums.add("pairs/margin", (implied[:, 0] - implied[:, 1]) / num)
        sums.add("accuracy/train", (implied[:, 0] > implied[:, 1]).float() / num)
    norm = optimizer.step()
    return {**sums.fetched(), "grad/norm": norm, "lr": lr}


def _pair_metrics(earned: Tensor, pairs: Sequence[Pair], num: int) -> dict[str, float]:
    """How many of `num` prompts gave a pair, and how far its responses are apart in reward units."""
    values = earned.tolist()
    found = {"pairs/used": len(pairs) / num}
    if pairs:
        found["pairs/gap"] = sum(values[best] - values[worst] for best, worst in pairs) / len(pairs)
    return found


def _state(policy: Network, follower: Follower | None, optimizer: Optimizer, at: Progress) -> dict[str, Any]:
    return {
        "policy": policy.trained(),
        "follower": follower and follower.state(),
        "optimizer": optimizer.state(),
        "at": vars(at),
    }


def _restored(run: Run, policy: Network, follower: Follower | None, optimizer: Optimizer) -> Progress | None:
    saved: Mapping[str, Any] | None = run.restore()
    if saved is None:
        return None
    policy.restore(saved["policy"])
    if follower is not None:
        follower.restore(saved["follower"])
    optimizer.restore(saved["optimizer"])
    return Progress(**saved["at"])
