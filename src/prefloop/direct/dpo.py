"""DPO and its relatives: the policy is moved by the pairs themselves, for it is a reward model already.

Reads: a policy folder, preferences or rankings. Writes: `models/step-*/` (plain Hugging Face folders), metrics,
samples. Follows Rafailov et al. 2023 (arXiv:2305.18290); what a response's score is (implied.py: DPO, SimPO, CPO, ORPO,
f-divergences, DPOP) and how what was said teaches (feedback/objectives.py, direct/objectives.py: votes with strengths
and ties, robust, hinge, IPO, EXO, rankings as a whole) are settings that go together. Leaves out: sampling while it
learns.
"""

from pathlib import Path

import torch
from torch import Tensor

from prefloop.direct import learning, needs
from prefloop.direct.config import DPOConfig
from prefloop.direct.implied import Said, charged, ends, scores
from prefloop.direct.objectives import PAIRED
from prefloop.feedback.items import Item
from prefloop.models.sums import Sums
from prefloop.run import Run
from prefloop.text.ahead import ahead


def train(config: DPOConfig) -> Path:
    """Runs (or continues) DPO. Returns: the folder of the last policy."""
    with Run(config, inputs=learning.inputs(config)) as run:
        if run.finished:
            return run.folder / run.result["last"]
        setup, config = learning.prepared(run, config, PAIRED, needs.dpo)
        optimizer, taught = learning.begun(run, setup, config)
        batches, objective = setup.batches, setup.objective
        looked: tuple[Tensor, Said] | None = None
        run.progress.start(len(batches), optimizer.done)
        for batch in ahead(batches, setup.learn, start=optimizer.done):
            items = batch.items
            if optimizer.done < batches.first_pass:
                taught.see(batch)
                objective.count(items, taught.said)
            if not items:
                learning.pass_over(run, setup, config, optimizer)
                continue
            sums, weight, told = Sums(), sum(item.weight for item in items), sum(bool(item.pairs) for item in items)
            decided = sum(item.weight for item in items if item.pairs) or 1.0
            for few in learning.micro_batches(items, limit=setup.sizes.micro_tokens):
                said = learning.read(setup, config, few)
                values = scores(config, said, few)
                losses = objective(charged(config, said, values, few), few) * torch.tensor(
                    [item.weight for item in few], device=values.device
                )
                loss = losses.sum() / weight
                if config.nll:
                    surprise = _surprise(said, few) / decided
                    loss = loss + config.nll * surprise.sum()
                    sums.add("loss/nll", surprise)
                loss.backward()
                sums.add("loss/train", losses / weight)
                learning.count(sums, said, values, few, told)
            metrics = learning.updated(run, optimizer, sums)
            looked = learning.look(setup, config, optimizer.done)
            if looked:
                metrics |= learning.looks(setup, config, *looked)
            learning.keep(run, setup, config, optimizer, taught, metrics)
        learning.measured(run, setup, config, taught, looked, {"beta": config.beta})
        return run.folder / run.result["last"]


def _surprise(said: Said, items: list[Item]) -> Tensor:
    """(P,) nats per token of the best response of each item in which something was told apart, times its weight."""
    rows, top, _ = ends(items)
    weights = torch.tensor([items[row].weight for row in rows], device=said.lengths.device)
    return -said.means[rows, top] * weights
