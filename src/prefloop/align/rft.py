"""RFT: sample several responses to a prompt, keep those that the reward likes best, and imitate them; step after step.

Reads: a policy folder, a reward, prompts. Writes: `models/step-*/` (plain Hugging Face folders), metrics, samples.
Follows RAFT (Dong et al. 2023, arXiv:2304.06767), where the best of each prompt or the best of all are kept, and ReST
(Gulcehre et al. 2023, arXiv:2308.08998), where all above a threshold are. One step over all prompts is Llama 2's
rejection sampling (arXiv:2307.09288). No reference, no advantage: a response that is not kept teaches nothing. Leaves
out: keeping what earlier steps kept, a threshold that rises.

Shapes: B responses of a step, K of them to each prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prefloop.align import first_batch, needs, online
from prefloop.align.config import RFTConfig
from prefloop.align.online import Setup
from prefloop.align.progress import moved
from prefloop.align.turns import last_turns
from prefloop.models.network import Network
from prefloop.models.optim import Optimizer
from prefloop.models.sums import Sums
from prefloop.run import Run
from prefloop.sampling.rollouts import Rollouts


@dataclass
class Progress:
    """Where in the run we are; saved with every checkpoint."""

    step: int = 0
    """steps finished"""
    multipliers: dict[str, float] = field(default_factory=dict)
    """of the constraints, now"""
    kept: Rollouts | None = None
    """of the unfinished step, what is imitated; None if nothing is"""
    told: dict[str, float] = field(default_factory=dict)
    """of the unfinished step, what is logged of its rollouts; empty before they are sampled"""
    shown: list[dict[str, Any]] = field(default_factory=list)
    """of the unfinished step, a few responses to be looked at"""
    done: int = 0
    """updates done in the unfinished step"""
    sums: dict[str, float] = field(default_factory=dict)
    """sums over the updates of the unfinished step of their metrics"""


def train(config: RFTConfig) -> Path:
    """Runs (or continues) RFT. Returns: the folder of the last policy."""
    with Run(config, inputs=online.inputs(config)) as run:
        if run.finished:
            return run.folder / run.result["last"]
        setup, config = online.prepared(run, config, needs.rft, referred=False)
        policy = setup.policy
        limit = online.at_once(run, setup, config, needs.rft, policy)
        plan = config.epochs * -(-config.most_kept // config.minibatch_size)  # updates in a step, at most
        optimizer = Optimizer(policy.parameters(), config, num_updates=plan * config.steps)
        at = _restored(run, policy, optimizer) or Progress(0, online.first_multipliers(config))
        run.progress.start(config.steps, at.step, unit="step")
        while at.step < config.steps:
            if not at.told:
                setup.sampler.refresh(policy)
                prompts = online.step_prompts(setup.prompts, config, at.step)
                rollouts = online.sample(setup, prompts, config, at.step)
                first_batch.look(run, setup, config, at.step, prompts, rollouts)
                scores, scored, _ = online.score(setup, config, prompts, rollouts, at.multipliers)
                rows = chosen(config, scores, _usable(setup, rollouts))
                at.kept = rollouts.picked(rows) if rows else None
                at.told = {**scored, **_told(rollouts, scores, rows)}
                at.shown = online.shown(setup, at.step, rollouts, scores)
            for index in minibatches(config, at.kept, at.step)[at.done :]:
                assert at.kept is not None  # there is something to imitate
                metrics = _update(policy, optimizer, at.kept, index, limit=limit)
                run.refuse_nan(at.step + 1, metrics)
                at.sums = {name: at.sums.get(name, 0.0) + value for name, value in metrics.items()}
                at.done += 1
                saved = partial(_state, policy, optimizer, at)
                run.checkpoint(at.step * plan + at.done, saved, every=config.checkpoint_every)
            optimizer.pass_over(plan - at.done)  # the schedule goes by steps, however many responses were kept
            _log(run, at)
            at = Progress(at.step + 1, online.next_multipliers(config, at.multipliers, at.told))
            online.save(run, setup, config, at.step)
            run.checkpoint(at.step * plan, partial(_state, policy, optimizer, at), every=0)
        online.finish(run, setup, config, {})
        return run.folder / run.result["last"]


def chosen(config: RFTConfig, scores: Tensor, usable: Sequence[bool]) -> list[int]:
    """The rows that are imitated, in their order; of equal scores the first.

    Args:
        scores: (B,) reward units.
        usable: of each response, whether it may be imitated at all.
    """
    values, copies = scores.tolist(), config.responses_per_prompt
    there = [i for i in range(len(values)) if usable[i]]
    match config.keep:
        case "best":
            groups = [[i for i in there if i // copies == group] for group in range(len(values) // copies)]
            return [max(group, key=values.__getitem__) for group in groups if group]
        case "share":
            best = sorted(there, key=lambda i: -values[i])  # stable: of equal ones the first
            return sorted(best[: config.most_kept])
        case "above":
            assert config.above is not None  # the settings say so
            return [i for i in there if values[i] > config.above]


def minibatches(config: RFTConfig, kept: Rollouts | None, step: int) -> list[list[int]]:
    """The kept responses of each update of a step: every epoch a new order of all; the last may be smaller."""
    num = 0 if kept is None else len(kept)
    return online.minibatches(num, size=config.minibatch_size, epochs=config.epochs, seed=config.seed, step=step)


def _usable(setup: Setup, rollouts: Rollouts) -> list[bool]:
    """Of each response, whether it ended by itself and says something."""
    said = last_turns(setup.policy.codec, rollouts)
    return [bool(ended and words) for ended, words in zip(rollouts.finished.tolist(), said, strict=True)]


def _update(
    policy: Network, optimizer: Optimizer, kept: Rollouts, index: Sequence[int], *, limit: int
) -> dict[str, float]:
    """One optimiser update by imitation of some rows. Returns: its metrics."""
    total, sums, lr = kept.num_tokens(index), Sums(), optimizer.lr
    for rows in online.micro_batches(kept, index, limit=limit):
        packed = kept.stream(rows)
        loss = policy.total_surprise(packed.stream, packed.index, packed.tokens) / total
        loss.backward()
        sums.add("loss/train", loss)
    norm = optimizer.step()
    return {**sums.fetched(), "grad/norm": norm, "lr": lr}


def _told(rollouts: Rollouts, scores: Tensor, rows: Sequence[int]) -> dict[str, float]:
    """The part of the log line that is about rollouts, and which of them were kept."""
    values = scores.cpu().double()
    kept = {"kept/score": float(values[torch.tensor(rows)].mean())} if rows else {}
    return {**online.rollout_metrics(rollouts, None), "kept/share": len(rows) / len(rollouts), **kept}


def _log(run: Run, at: Progress) -> None:
    """The log line and a few samples of a finished step."""
    means = {name: value / at.done for name, value in at.sums.items()}
    run.log(at.step + 1, {**means, **at.told, "updates": at.done})
    run.progress.advance(score=at.told["scores/mean"], length=at.told["rollouts/length"])
    run.sample(at.shown)


def _state(policy: Network, optimizer: Optimizer, at: Progress) -> dict[str, Any]:
    kept = at.kept and vars(at.kept)
    return {"policy": policy.trained(), "optimizer": optimizer.state(), "at": {**vars(at), "kept": kept}}


def _restored(run: Run, policy: Network, optimizer: Optimizer) -> Progress | None:
    saved = run.restore()
    if saved is None:
        return None
    policy.restore(saved["policy"])
    optimizer.restore(saved["optimizer"])
    kept = saved["at"].pop("kept")
    return Progress(**saved["at"], kept=kept and Rollouts(**moved(kept, policy.device)))
