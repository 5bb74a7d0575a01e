"""A sweep of weights: what several rewards trade against each other, before a policy is trained on any of them.

Reads: a policy folder, rewards, prompts. Writes: `sweep.json`, and `index.html` with the front drawn. The policy writes
K responses to each prompt, once; at each weight the best of them is taken, and the mean score of each reward is told
(best of n: Stiennon et al. 2020). Follows RM-11. Leaves out: training; a policy optimised as far goes the same way, and
`prefloop evaluate` measures it.

Shapes: P prompts, K responses to each, C rewards.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from prefloop import layout
from prefloop.drawing import charts
from prefloop.drawing.charts import Dot
from prefloop.drawing.pages import rendered
from prefloop.files.atomic import write_text
from prefloop.files.documents import write_document
from prefloop.models.device import placement
from prefloop.models.load import causal, model_folder
from prefloop.models.network import Network
from prefloop.records import Prompt
from prefloop.records.sweeps import Sweep, SweepPoint
from prefloop.run import Run
from prefloop.sampling.in_process import InProcess
from prefloop.scoring.composite import Composite
from prefloop.scoring.named import reward_inputs, scorer_as
from prefloop.scoring.protocol import of_several
from prefloop.seeds import seed_of
from prefloop.stats.intervals import mean_interval
from prefloop.sweep.config import SweepConfig
from prefloop.text.examples import FittingPrompts

HERE = Path(__file__).parent
CONFIDENCE = 0.95


def sweep(config: SweepConfig) -> Path:
    """Runs (or continues) the sweep. Returns: the page."""
    inputs = {"policy": model_folder(config.policy), "prompts": config.prompts, **reward_inputs(config.reward)}
    with Run(config, inputs=inputs) as run:
        page = run.folder / layout.PAGE
        if run.finished:
            return page
        place = placement(config.device, config.dtype)
        policy = causal(config.policy, place, template=config.template, weights=config.weights)
        run.caution(policy.hold(config.weights), of="policy")
        judge = scorer_as(config, config.reward, place, weights=config.weights, beside=policy)
        assert isinstance(judge, Composite)  # the settings ask for several rewards
        prompts = FittingPrompts.of(
            policy.codec, config.prompts, room=config.max_new_tokens, say=run.say, num=config.num_prompts
        )
        starts = range(0, len(prompts.ids), config.batch_prompts)
        run.progress.start(len(starts), unit="part")
        for index in run.parts(len(starts)):
            some = slice(starts[index], starts[index] + config.batch_prompts)
            asked = prompts.records[some]
            run.write_part(index, _scored(config, policy, judge, asked, list(prompts.ids[some]), starts[index]))
            run.progress.advance()
        parts = run.read_parts(len(starts))
        names = list(judge.scorers)
        told = torch.cat([torch.tensor([part[name] for name in names]).movedim(0, -1) for part in parts])
        weights = {name: part.weight for name, part in judge.settings.items()}
        texts = [record.text for record in prompts.records]
        points = tuple(_point(told, weights, config.varied, weight, texts) for weight in config.over)
        found = Sweep(vary=config.varied, best_of=config.responses_per_prompt, num_prompts=len(texts), points=points)
        write_document(run.folder / layout.SWEEP, found)
        write_text(page, _page(found, weights))
        run.finish(outputs=[layout.SWEEP, layout.PAGE], result={"num_prompts": len(texts)})
    return page


def _scored(
    config: SweepConfig, policy: Network, judge: Composite, asked: Sequence[Prompt], ids: list[list[int]], start: int
) -> dict[str, list[list[float]]]:
    """Name of each reward -> (P, K) its scores of the responses to some prompts. Args: start: the first one's place."""
    copies = config.responses_per_prompt
    place = seed_of(config.seed, "sweep.responses", start)
    sampled = InProcess(policy).sample(ids, config.sampling(), place, copies=copies)
    said = of_several(judge, asked, [policy.codec.decode(s.tokens) for s in sampled], copies=copies)
    return {name: part.scores.view(len(ids), copies).tolist() for name, part in said.components.items()}


def best(scores: Tensor, weights: Tensor) -> Tensor:
    """(P, C) the scores of the best of K responses to each prompt, by a weighted sum; of equal ones the first.

    Args:
        scores: (P, K, C) reward units, of each reward.
        weights: (C,).
    """
    chosen = (scores.double() @ weights.double()).argmax(1)
    return scores[torch.arange(len(scores)), chosen]


def _point(scores: Tensor, weights: Mapping[str, float], vary: str, weight: float, texts: list[str]) -> SweepPoint:
    """What comes of one weight. Args: scores: (P, K, C), in the order of `weights`."""
    taken = best(scores, torch.tensor([*{**weights, vary: weight}.values()])).double()
    parts = {}
    for name, values in zip(weights, taken.unbind(1), strict=True):
        low, high = None, None
        if len(set(texts)) > 1:
            low, high = mean_interval(values.tolist(), confidence=CONFIDENCE, clusters=texts)
        parts[name] = {"mean": float(values.mean()), "low": low, "high": high}
    return SweepPoint.model_validate({"weight": weight, "parts": parts})


def _page(found: Sweep, weights: Mapping[str, float]) -> str:
    """A page with the front of the varied reward and each other one."""
    plots = []
    for other in (name for name in weights if name != found.vary):
        points = []
        for point in found.points:
            x, y = point.parts[found.vary], point.parts[other]
            ends = None if y.low is None or y.high is None else (y.low, y.high)
            points.append(Dot(x.mean, y.mean, ends, f"{point.weight:g}", point.weight == weights[found.vary]))
        label = f"{other} against {found.vary}"
        points.sort(key=lambda dot: dot.x)
        plots.append({"title": label, "plot": charts.dots(points, label=label, x_name=found.vary)})
    context = {"found": found, "weights": weights, "plots": plots}
    return rendered(HERE, "sweep.html", context, language="en")
