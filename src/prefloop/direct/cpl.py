"""CPL: a preference is taken for one of regret, and the logprob of a token for its advantage.

Reads: a policy folder, preferences or rankings. Writes: `models/step-*/` (plain Hugging Face folders), metrics,
samples. Follows Hejna et al. 2023 (arXiv:2310.13639), contrastive preference learning: the score of a response is the
discounted sum of `alpha` log pi over its tokens, the worse one's counts `bias` of the better one's. No reference is in
the loss; it is kept for the drift of the samples at last. Leaves out: votes, which it takes for their decision.
"""

from pathlib import Path

from torch import Tensor

from prefloop.direct import learning, needs
from prefloop.direct.config import CPLConfig
from prefloop.direct.implied import Said, scores
from prefloop.direct.objectives import CONTRASTED
from prefloop.feedback.objectives import beside
from prefloop.models.sums import Sums
from prefloop.run import Run
from prefloop.text.ahead import ahead


def train(config: CPLConfig) -> Path:
    """Runs (or continues) CPL. Returns: the folder of the last policy."""
    with Run(config, inputs=learning.inputs(config)) as run:
        if run.finished:
            return run.folder / run.result["last"]
        setup, config = learning.prepared(run, config, CONTRASTED, needs.cpl)
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
            for few in learning.micro_batches(items, limit=setup.sizes.micro_tokens):
                said = learning.read(setup, config, few)
                values = scores(config, said, few)
                losses = objective(values, few) * beside(values, [item.weight for item in few])
                (losses.sum() / weight).backward()
                sums.add("loss/train", losses / weight)
                learning.count(sums, said, values, few, told)
            metrics = learning.updated(run, optimizer, sums)
            looked = learning.look(setup, config, optimizer.done)
            if looked:
                metrics |= learning.looks(setup, config, *looked)
            learning.keep(run, setup, config, optimizer, taught, metrics)
        learning.measured(run, setup, config, taught, looked, {})
        return run.folder / run.result["last"]
