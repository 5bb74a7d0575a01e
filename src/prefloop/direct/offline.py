"""Offline: the policy imitates recorded responses, the better ones more; nothing is sampled while it learns.

Reads: a policy folder, ratings, thumbs, preferences or rankings. Writes: `models/step-*/` (plain Hugging Face folders),
metrics, samples. Follows behaviour cloning of the best responses; reward-weighted regression (Peters and Schaal 2007);
advantage-weighted regression (Peng et al. 2019, arXiv:1910.00177) with a critic that reads the prompt. Leaves out:
values of single tokens (ILQL, Snell et al. 2022, arXiv:2206.11871), any guess at responses that are not in the data.

Shapes: N responses.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from prefloop.direct import learning, needs
from prefloop.direct.config import OfflineConfig
from prefloop.direct.implied import Packed, Said
from prefloop.direct.learning import Setup
from prefloop.direct.marks import OFFLINE, Marks, marks_of
from prefloop.feedback.items import Item
from prefloop.models.network import Network
from prefloop.models.optim import Optimizer, heads_apart
from prefloop.models.sums import Sums
from prefloop.ops.direct import advantage_weights, reward_weights
from prefloop.ops.preferences import regression_loss
from prefloop.run import Run
from prefloop.text.ahead import ahead


def train(config: OfflineConfig) -> Path:
    """Runs (or continues) offline learning. Returns: the folder of the last policy."""
    with Run(config, inputs=learning.inputs(config)) as run:
        if run.finished:
            return run.folder / run.result["last"]
        setup, config = learning.prepared(run, config, OFFLINE, needs.offline)
        marks, policy, batches = setup.objective, setup.policy, setup.batches
        assert isinstance(marks, Marks)  # there is no other in the table
        run.say(f"{config.preferences}: {marks.sentence()}")
        if config.method == "advantage_weighted":
            policy.with_critic()
        heads = heads_apart(policy.heads, lr=config.lr, head_lr=config.head_lr)
        optimizer, taught = learning.begun(run, setup, config, heads=heads)
        validation = list[Item]()
        if isinstance(setup.held_out.rows[0], marks.READS):
            validation = marks.used(setup.held_out.rows, setup.held_out.items, held_out=True)
        else:
            run.say(
                f"{config.held_out}: it holds pairs, and {setup.split.objective} are learned, so that they have no "
                "loss/validation; their accuracy tells."
            )
        looked: tuple[Tensor, Said] | None = None
        run.progress.start(len(batches), optimizer.done)
        for batch in ahead(batches, setup.learn, start=optimizer.done):
            if optimizer.done < batches.first_pass:
                taught.see(batch)
            items = marks.used(batch.rows, batch.items)
            if not items:
                learning.pass_over(run, setup, config, optimizer)
                continue
            num = sum(mark == mark for item in batch.items for mark in marks_of(item))
            metrics = update(setup, config, optimizer, items, num=num)
            run.refuse_nan(optimizer.done, metrics)
            looked = learning.look(setup, config, optimizer.done)
            if looked:
                metrics |= learning.looks_at_pairs(setup, *looked)
                metrics |= validated(setup, config, validation)
            learning.keep(run, setup, config, optimizer, taught, metrics)
        learning.measured(run, setup, config, taught, looked, {})
        return run.folder / run.result["last"]


def update(
    setup: Setup, config: OfflineConfig, optimizer: Optimizer, items: Sequence[Item], *, num: int
) -> dict[str, float]:
    """One update by the responses of items. Args: num: responses with a mark, imitated or not. Returns: its metrics."""
    marks, shares, lengths = _told(items, setup.policy.device)
    divisor = (shares * lengths).sum() if config.method == "filtered" else shares.sum()
    known = None if config.method == "advantage_weighted" else weights_of(config, marks, None)
    sums, begin, lr = Sums(), 0, optimizer.lr
    for few in learning.micro_batches(items, limit=setup.sizes.micro_tokens):
        here = slice(begin, begin + sum(len(item.marks) for item in few))
        begin = here.stop
        nats, values = surprise(setup.policy, few)
        weights = weights_of(config, marks[here], values) if known is None else known[here]
        per = nats if config.method == "filtered" else nats / lengths[here]
        losses = weights * shares[here] * per / divisor
        loss = losses.sum()
        if values is not None:
            missed = shares[here] * regression_loss(values, marks[here]) / shares.sum()
            loss = loss + config.value_coef * missed.sum()
            sums.add("loss/value", missed)
            sums.add("weights/clipped", (weights >= config.most).float() / num)
        loss.backward()
        sums.add("loss/train", losses)
        sums.add("whole", weights)
        sums.add("squares", weights.square())
    norm = optimizer.step()
    found = sums.fetched()
    whole, squares = found.pop("whole"), found.pop("squares")
    return {**found, "weights/effective": whole**2 / (squares * num), "grad/norm": norm, "lr": lr}


def surprise(policy: Network, items: Sequence[Item]) -> tuple[Tensor, Tensor | None]:
    """(N,) nats of each response of items, and (N,) the mark that the critic expects of its prompt, if there is one."""
    packed = Packed.of(items, policy.device)
    now = policy.read(packed.stream, temperature=1.0, entropy="none")
    nats = -packed.summed(now.logprobs)[packed.there]
    if now.values is None:
        return nats, None
    return nats, packed.laid(now.values[packed.stream.columns == 0])[packed.there]  # it saw the prompt, and no more


def weights_of(config: OfflineConfig, marks: Tensor, values: Tensor | None) -> Tensor:
    """(N,) what each response counts, without gradient. Args: values: what its prompt gets, where a critic says so."""
    if values is not None:
        return advantage_weights(marks - values, beta=config.beta, most=config.most)
    return torch.ones_like(marks) if config.method == "filtered" else reward_weights(marks, beta=config.beta)


@torch.no_grad()
def validated(setup: Setup, config: OfflineConfig, items: Sequence[Item]) -> dict[str, float]:
    """The losses over the held-out responses, which may be none, as if they were one update."""
    if not items:
        return {}
    marks, shares, lengths = (each.cpu() for each in _told(items, setup.policy.device))
    read = [surprise(setup.policy, few) for few in learning.micro_batches(items, limit=setup.sizes.reading_tokens)]
    nats = torch.cat([one.cpu() for one, _ in read])
    expected = [one.cpu() for _, one in read if one is not None]
    values = torch.cat(expected) if expected else None
    weights = weights_of(config, marks, values)
    parts = (nats, shares * lengths) if config.method == "filtered" else (nats / lengths, shares)
    found = {"loss/validation": float((weights * shares * parts[0]).double().sum() / parts[1].double().sum())}
    if values is not None:
        missed = (shares * regression_loss(values, marks)).double().sum() / shares.double().sum()
        found["loss/value_validation"] = float(missed)
    return found


def _told(items: Sequence[Item], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """(N,) marks, (N,) weights of their rows, and (N,) tokens of the responses of items."""
    marks = [mark for item in items for mark in item.marks]
    shares = [item.weight for item in items for _ in item.marks]
    lengths = [len(ids) - begin for item in items for ids, begin in zip(item.sequences, item.begins, strict=True)]
    told = (marks, shares, [float(length) for length in lengths])
    known, weights, tokens = (torch.tensor(column, device=device) for column in told)
    return known, weights, tokens
