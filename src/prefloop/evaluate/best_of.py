"""What the best of n is worth: several rewards choose among the same responses, and gold says what they chose.

Reads: a policy folder, rewards, the helpdesk's prompts. Writes: `best_of.json`, for n = 1, 2, 4, ... the mean score and
gold's mean utility of what each reward chooses, of every n from the same responses without bias (Nakano et al. 2021,
arXiv:2112.09332). Follows EVAL-4. Leaves out: training on what was chosen, which is `best-of-n` and `sft`.

Shapes: P prompts, K responses to each.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prefloop import layout
from prefloop.errors import UserError
from prefloop.evaluate.config import BestOfConfig, Chooser
from prefloop.evaluate.measure import interval
from prefloop.files.documents import write_document
from prefloop.files.foreign import read_prompts
from prefloop.models.device import placement
from prefloop.models.load import causal, model_folder
from prefloop.models.network import Network
from prefloop.ops.rewards import combined_scores
from prefloop.records import Prompt
from prefloop.records.overopt import BestOf, BestOfCurve, BestOfPoint
from prefloop.run import Run
from prefloop.sampling.in_process import InProcess
from prefloop.scoring.ensemble import Ensemble
from prefloop.scoring.named import reward_input, scorer
from prefloop.scoring.protocol import Scored, Scorer, of_several
from prefloop.seeds import seed_of
from prefloop.stats.best_of import best_of_kl, best_of_mean
from prefloop.text.examples import FittingPrompts
from prefloop.world import gold
from prefloop.world.origin import own

INSTEAD = "Say what the best of n is worth to the reward alone: prefloop best-of-n tells that."
"""What to do with prompts of one's own."""
Part = Mapping[str, Sequence[Sequence[float]]]
"""`utility`, and `score.NAME` of each reward -> (P, K)."""


def measure(config: BestOfConfig) -> Path:
    """Runs (or continues) it. Returns: the path of best_of.json."""
    inputs = {"policy": model_folder(config.policy), "prompts": config.prompts}
    inputs |= {f"reward.{name}": reward_input(part.model) for name, part in config.choosers.items()}
    with Run(config, inputs=inputs) as run:
        path = run.folder / layout.BEST_OF
        if run.finished:
            return path
        asked = read_prompts(config.prompts).records[: config.num_prompts]
        own(asked, file=config.prompts, who="lab best-of", instead=INSTEAD)
        place = placement(config.device, config.dtype)
        policy = causal(config.policy, place, template=config.template, weights=config.weights)
        run.caution(policy.hold(config.weights), of="policy")
        models = {part.model for part in config.choosers.values()}
        judges = {model: scorer(model, place, weights=config.weights, beside=policy) for model in sorted(models)}
        for part in config.choosers.values():
            _check_ensemble(part, judges[part.model])
        prompts = FittingPrompts.of(
            policy.codec, config.prompts, room=config.max_new_tokens, say=run.say, num=config.num_prompts
        )
        starts = range(0, len(prompts.ids), config.batch_prompts)
        run.progress.start(len(starts), unit="part")
        for index in run.parts(len(starts)):
            some = slice(starts[index], starts[index] + config.batch_prompts)
            ids = list(prompts.ids[some])
            run.write_part(index, _judged(config, policy, judges, prompts.records[some], ids, starts[index]))
            run.progress.advance()
        write_document(path, told(config, prompts.records, run.read_parts(len(starts))))
        run.finish(outputs=[layout.BEST_OF], result={"num_prompts": len(prompts.records)})
    return path


def _judged(
    config: BestOfConfig,
    policy: Network,
    judges: Mapping[str, Scorer],
    asked: Sequence[Prompt],
    ids: list[list[int]],
    start: int,
) -> dict[str, list[list[float]]]:
    """What gold and every reward say of the responses to some prompts. Args: judges: by model; start: the first one's
    place."""
    copies = config.responses_per_prompt
    with torch.no_grad():
        sampled = InProcess(policy).sample(
            ids, config.sampling(), seed_of(config.seed, "best.of", start), copies=copies
        )
        texts = [policy.codec.decode(s.tokens) for s in sampled]
        said = {model: of_several(judge, asked, texts, copies=copies) for model, judge in judges.items()}
        part = {
            f"score.{name}": _combined(chooser, said[chooser.model]).view(len(ids), copies).tolist()
            for name, chooser in config.choosers.items()
        }
    each = [prompt.text for prompt in asked for _ in range(copies)]
    utilities = [gold.judge(prompt, text).utility for prompt, text in zip(each, texts, strict=True)]
    return {**part, "utility": np.reshape(utilities, (len(ids), copies)).tolist()}


def _check_ensemble(chooser: Chooser, judge: Scorer) -> None:
    """Raises: UserError if there is nothing to combine."""
    if chooser.combine != "mean" and not isinstance(judge, Ensemble):
        raise UserError(
            f"combine={chooser.combine}: {chooser.model} is no ensemble, so there is nothing to combine. Leave combine "
            "out, or train an ensemble: prefloop reward members=N."
        )


def _combined(chooser: Chooser, said: Scored) -> Tensor:
    """(B,) what was said, in the chooser's way. Choosers that ask one ensemble differ in this alone."""
    if said.members is None:
        return said.scores
    return combined_scores(said.members, combine=chooser.combine, variance_coef=chooser.variance_coef)


def told(config: BestOfConfig, prompts: Sequence[Prompt], parts: Sequence[Part]) -> BestOf:
    """The curves of all rewards."""

    def whole(name: str) -> Any:
        return np.concatenate([np.asarray(part[name], dtype=np.float64) for part in parts])  # (P, K)

    worth, largest = whole("utility"), config.responses_per_prompt
    sizes = [*(n for n in (2**power for power in range(15)) if n < largest), largest]
    curves: dict[str, BestOfCurve] = {}
    for name, part in config.choosers.items():
        scores = whole(f"score.{name}")
        points = [
            BestOfPoint(
                n=n,
                kl=best_of_kl(n),
                score=interval([best_of_mean(row, n) for row in scores], prompts),
                utility=interval(
                    [best_of_mean(row, n, worth=own) for row, own in zip(scores, worth, strict=True)], prompts
                ),
            )
            for n in sizes
        ]
        curves[name] = BestOfCurve(
            model=part.model, mean=float(scores.mean()), deviation=float(scores.std()), points=tuple(points)
        )
    return BestOf(
        num_prompts=len(prompts),
        responses_per_prompt=largest,
        mean=float(worth.mean()),
        deviation=float(worth.std()),
        curves=curves,
    )
