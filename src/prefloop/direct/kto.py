"""KTO: the policy is moved by thumbs alone, each response judged by itself.

Reads: a policy folder, thumbs. Writes: `models/step-*/` (plain Hugging Face folders), metrics, samples. Follows
Ethayarajh et al. 2024 (arXiv:2402.01306): a response gains or loses by how far its score is from what responses have
anyway, which is estimated from responses put to other prompts of the same update; thumbs of the rarer kind weigh more.
With `objective=apo_zero` it is D'Oosterlinck et al. 2024 (arXiv:2408.06266), which measures from 0.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from prefloop.direct import learning, needs
from prefloop.direct.config import KTOConfig
from prefloop.direct.implied import Packed, Said, scores
from prefloop.direct.learning import Setup
from prefloop.direct.objectives import THUMBED, Thumbed, thumbs
from prefloop.feedback.items import Item
from prefloop.feedback.objectives import beside, known
from prefloop.models.sums import Sums
from prefloop.ops.direct import kto_anchor
from prefloop.run import Run
from prefloop.text.ahead import ahead
from prefloop.text.examples import fitted


def train(config: KTOConfig) -> Path:
    """Runs (or continues) KTO. Returns: the folder of the last policy."""
    with Run(config, inputs=learning.inputs(config)) as run:
        if run.finished:
            return run.folder / run.result["last"]
        setup, config = learning.prepared(run, config, THUMBED, needs.kto)
        optimizer, taught = learning.begun(run, setup, config)
        batches, objective = setup.batches, setup.objective
        assert isinstance(objective, Thumbed)  # there is no other in the table
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
            sums, weight = Sums(), sum(item.weight for item in items)
            all_good = [mark > 0.5 for item in items for _, mark in known(item)]
            num_good = sum(all_good)
            if objective.ANCHORED:
                objective.anchor = anchor(setup, config, items)
                sums.add("scores/anchor", objective.anchor)
            for few in learning.micro_batches(items, limit=setup.sizes.micro_tokens):
                said = learning.read(setup, config, few)
                values = scores(config, said, few)
                losses = objective(values, few) * beside(values, [item.weight for item in few])
                (losses.sum() / weight).backward()
                sums.add("loss/train", losses / weight)
                _count(sums, values, said.logprobs, few, num_good, len(all_good) - num_good)
            metrics = learning.updated(run, optimizer, sums)
            looked = learning.look(setup, config, optimizer.done)
            if looked:
                metrics |= learning.looks(setup, config, *looked) | _looks(looked[0], setup.held_out.items)
                if objective.ANCHORED and setup.follower is not None:  # the anchor is of where the reference is now
                    metrics.pop("loss/validation", None)
            learning.keep(run, setup, config, optimizer, taught, metrics)
        learning.measured(run, setup, config, taught, looked, {"beta": config.beta})
        return run.folder / run.result["last"]


@torch.no_grad()
def anchor(setup: Setup, config: KTOConfig, items: Sequence[Item]) -> Tensor:
    """() score that responses have anyway: the mean over the update of that of each prompt's response put to another
    prompt, at least 0. All of the update count, however it is split."""
    others = mismatched(items, setup.policy.codec.context)
    found = list[Tensor]()
    for few in learning.micro_batches(others, limit=setup.sizes.reading_tokens):
        packed = Packed.of(few, setup.policy.device)
        logprobs = packed.logprobs(setup.policy)
        said = Said(logprobs, packed.logprobs(setup.compared), packed.lengths, logprobs)
        found.append(scores(config, said, few)[packed.there])
    return kto_anchor(torch.cat(found)) if found else torch.zeros((), device=setup.policy.device)


def mismatched(items: Sequence[Item], context: int) -> list[Item]:
    """The responses of each item put to the next prompt that is another, around the end; of one prompt alone nothing
    can be said."""
    prompts = [item.sequences[0][: item.begins[0]] for item in items]
    made: list[Item] = []
    for place, item in enumerate(items):
        others = (prompt for prompt in [*prompts[place + 1 :], *prompts[:place]] if prompt != prompts[place])
        prompt = next(others, None)
        if prompt is None:
            continue
        responses = [ids[begin:] for ids, begin in zip(item.sequences, item.begins, strict=True)]
        whole = tuple(fitted(prompt, response, context) for response in responses)
        begins = tuple(len(ids) - len(response) for ids, response in zip(whole, responses, strict=True))
        made.append(replace(item, sequences=whole, begins=begins))
    return made


def _count(sums: Sums, values: Tensor, logprobs: Tensor, few: Sequence[Item], num_good: int, num_bad: int) -> None:
    """Adds up what is logged of thumbs. Args: num_good, num_bad: thumbs of the whole update."""
    found, good = thumbs(few, values.detach())
    nats, _ = thumbs(few, logprobs.detach())
    for some, num, name in ((good, num_good, "chosen"), (~good, num_bad, "rejected")):
        if num:
            sums.add(f"scores/{name}", found[some] / num)
            sums.add(f"logprobs/{name}", nats[some] / num)
    sums.add("accuracy/train", _right(found, good) / (num_good + num_bad))


def _right(found: Tensor, good: Tensor) -> Tensor:
    """(M,) 1 where a score is on its thumb's side of 0; 0 itself is on neither."""
    return torch.where(good, found > 0, found < 0).float()


def _looks(values: Tensor, items: Sequence[Item]) -> dict[str, float]:
    """Of held-out thumbs the share whose score is on the right side of 0."""
    found, good = thumbs(items, values)
    return {"accuracy/validation": float(_right(found, good).double().mean())} if len(found) else {}
