"""Best of n: the policy writes n responses to each prompt, and the one that the reward likes best is kept.

Reads: a policy folder, a reward, prompts. Writes: `demonstrations.jsonl`, each prompt with its best response, and a few
prompts with all of theirs in samples.jsonl. `prefloop sft` on the demonstrations is rejection-sampling fine-tuning
(Touvron et al. 2023, arXiv:2307.09288; RAFT, Dong et al. 2023, arXiv:2304.06767): the policy learns to write at once
what it would have to choose. Tells what is to be expected of fewer responses, without sampling again. Leaves out:
choosing among the prompts, and going on from the policy that has learned, which is to run it again.

Shapes: P prompts, K = n responses to each.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from prefloop import layout
from prefloop.align.config import BestOfNConfig
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.tables import write_records
from prefloop.health.gate import gate
from prefloop.models.device import placement
from prefloop.models.load import causal, model_folder
from prefloop.models.network import Network
from prefloop.records import Demonstration, Prompt
from prefloop.run import Run
from prefloop.sampling.in_process import InProcess
from prefloop.scoring.named import reward_inputs, scorer_as
from prefloop.scoring.protocol import Scorer, of_several
from prefloop.seeds import seed_of
from prefloop.stats.best_of import best_of_kl, best_of_mean
from prefloop.stats.intervals import mean_interval
from prefloop.text.examples import FittingPrompts

CONFIDENCE = 0.95
SHOWN = 8
"""Prompts whose responses are all kept to be looked at."""


def choose(config: BestOfNConfig) -> Path:
    """Runs (or continues) the stage. Returns: the file of demonstrations."""
    inputs = {"policy": model_folder(config.policy), "prompts": config.prompts, **reward_inputs(config.reward)}
    with Run(config, inputs=inputs) as run:
        file = run.folder / layout.DEMONSTRATIONS
        if run.finished:
            return file
        gate(config.reward, anyway=config.anyway, say=run.say)
        place = placement(config.device, config.dtype)
        policy = causal(config.policy, place, template=config.template, weights=config.weights)
        run.caution(policy.hold(config.weights), of="policy")
        judge = scorer_as(config, config.reward, place, weights=config.weights, beside=policy)
        prompts = FittingPrompts.of(
            policy.codec, config.prompts, room=config.max_new_tokens, say=run.say, num=config.num_prompts
        )
        starts = range(0, len(prompts.ids), config.batch_prompts)
        run.progress.start(len(starts), sum(run.part(i).exists() for i in range(len(starts))), unit="part")
        for index in run.parts(len(starts)):
            some = slice(starts[index], starts[index] + config.batch_prompts)
            part = _written(config, policy, judge, prompts.records[some], prompts.ids[some], starts[index])
            run.write_part(index, part)
            run.progress.advance()
        rows = [row for part in run.read_parts(len(starts)) for row in part]
        sampler = fingerprints.of_path(model_folder(config.policy))
        found = [_demonstration(prompt, row, sampler) for prompt, row in zip(prompts.records, rows, strict=True)]
        kept = [one for one in found if one is not None]
        if not kept:
            raise UserError(
                f"{config.policy}: none of its {config.responses_per_prompt} responses to any of {len(rows)} prompts "
                f"ended by itself within {config.max_new_tokens} tokens. Raise max_new_tokens."
            )
        write_records(file, kept)
        run.sample_anew([{"prompt": p.text, **row} for p, row in zip(prompts.records[:SHOWN], rows, strict=False)])
        run.finish(outputs=[layout.DEMONSTRATIONS], result=_result(config, prompts, rows, num=len(kept)))
    return file


def _written(
    config: BestOfNConfig, policy: Network, judge: Scorer, asked: Sequence[Prompt], ids: Sequence[list[int]], start: int
) -> list[dict[str, Any]]:
    """The responses to some prompts with their scores. Args: start: the first one's place."""
    copies = config.responses_per_prompt
    place = seed_of(config.seed, "best.responses", start)
    with torch.no_grad():
        sampled = InProcess(policy).sample(ids, config.sampling(), place, copies=copies)
        texts = [policy.codec.decode(s.tokens) for s in sampled]
        said = of_several(judge, asked, texts, copies=copies)
    columns = {
        "responses": texts,
        "scores": said.scores.tolist(),
        "finished": [s.finished for s in sampled],
        "num_tokens": [len(s.tokens) for s in sampled],
    }
    rows = [slice(row * copies, (row + 1) * copies) for row in range(len(asked))]
    return [{name: values[row] for name, values in columns.items()} for row in rows]


def _demonstration(prompt: Prompt, row: dict[str, Any], sampler: str) -> Demonstration | None:
    """The best response that ended by itself and says something, of equal ones the first; None if there is none."""
    usable = [
        k for k, (text, ended) in enumerate(zip(row["responses"], row["finished"], strict=True)) if ended and text
    ]
    if not usable:
        return None
    best = max(usable, key=lambda k: row["scores"][k])
    source = f"best of {len(row['responses'])} of {sampler}"
    return Demonstration(
        id=prompt.id, messages=prompt.messages, tags=prompt.tags, response=row["responses"][best], source=source
    )


def _result(
    config: BestOfNConfig, prompts: FittingPrompts, rows: Sequence[dict[str, Any]], *, num: int
) -> dict[str, Any]:
    """What is told of it: the mean score of the best of 1, 2, 4, ... responses, with its interval and its KL."""
    sizes = [n for n in (2**power for power in range(15)) if n < config.responses_per_prompt]
    texts, curve = [record.text for record in prompts.records], list[dict[str, float | None]]()
    for n in (*sizes, config.responses_per_prompt):
        means = [best_of_mean(row["scores"], n) for row in rows]
        low, high = None, None
        if len(set(texts)) > 1:
            low, high = mean_interval(means, confidence=CONFIDENCE, clusters=texts)
        curve.append({"n": n, "score": sum(means) / len(means), "low": low, "high": high, "kl": best_of_kl(n)})
    return {
        "num_demonstrations": num,
        "num_unfinished": len(rows) - num,
        "num_left_out": prompts.num_left_out,
        "num_tokens": sum(sum(row["num_tokens"]) for row in rows),
        "curve": curve,
    }
