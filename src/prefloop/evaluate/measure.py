"""What a model writes to a list of prompts, and the numbers about it. Every number has its 95 % interval."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from prefloop.evaluate.config import EvaluateConfig
from prefloop.models.device import precision
from prefloop.models.load import Loaded
from prefloop.models.scorers import Scorer
from prefloop.models.stream import ResponseStream, hidden_states, logits_of
from prefloop.ops.kl import kl_full
from prefloop.records import Prompt
from prefloop.sampling.generate import SamplingConfig, generate
from prefloop.stats.intervals import mean_interval, wilson_interval, win_rate_interval
from prefloop.stats.text import distinct_n, repetition, words
from prefloop.text.batches import cut, seeded

KL_ESTIMATOR = "exact KL of each token's distribution, summed over sampled responses"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Answer:
    """One response and what was measured of it."""

    text: str
    num_tokens: int
    finished: bool
    kl: float
    """nats, the response's drift from the reference"""
    score: float | None
    """reward units"""
    gold: dict[str, Any] | None
    """the gold program's verdict, if the prompts are the helpdesk's"""


Judge = Callable[[str, str], dict[str, Any]]


def answers(
    loaded: Loaded,
    reference: PreTrainedModel,
    prompts: Sequence[Prompt],
    scorer: Scorer | None,
    judge: Judge | None,
    config: EvaluateConfig,
) -> list[Answer]:
    """Samples one response to each prompt and measures it. The same seed gives every model the same random numbers."""
    codec = loaded.codec
    ids = [codec.prompt_ids(p.messages) for p in prompts]
    sampling = SamplingConfig(temperature=config.temperature, max_new_tokens=config.max_new_tokens)
    sampled = []
    for start in range(0, len(ids), config.batch_prompts):
        with precision(config):
            sampled += generate(
                loaded.model, ids[start : start + config.batch_prompts], sampling,
                stop_ids=codec.stop_ids, generator=seeded(config.seed, 20, start),
            )  # fmt: skip
    kl = response_kl(loaded.model, reference, ids, [s.tokens for s in sampled], config)
    texts = [codec.decode(s.tokens) for s in sampled]
    scores = None
    if scorer is not None:
        with precision(config):
            scores = scorer.score([p.messages for p in prompts], texts).tolist()
    return [
        Answer(
            text,
            len(s.tokens),
            s.finished,
            drift,
            scores[i] if scores else None,
            judge(prompts[i].text, text) if judge else None,
        )
        for i, (text, s, drift) in enumerate(zip(texts, sampled, kl, strict=True))
    ]


@torch.no_grad()
def response_kl(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    config: EvaluateConfig,
) -> list[float]:
    """Nats for each response: the KL between both models' next-token distributions, summed over its tokens."""
    device = model.device
    lengths = [len(p) + len(r) for p, r in zip(prompts, responses, strict=True)]
    kl = torch.zeros(len(prompts), dtype=torch.float64)
    for part in cut(range(len(prompts)), lengths, limit=config.micro_tokens):
        packed = ResponseStream.of([prompts[i] for i in part], [responses[i] for i in part], device)
        logits = []
        for each in (model, reference):
            with precision(config):
                hidden = hidden_states(each.base_model, packed.stream).index_select(0, packed.index)
            logits.append(logits_of(each, hidden))
        kl[part] = packed.grid(kl_full(*logits, temperature=1.0)).double().sum(1).cpu()
    return kl.tolist()


def interval(values: Sequence[float]) -> dict[str, float]:
    """Mean with its interval."""
    low, high = mean_interval(values, confidence=CONFIDENCE) if len(values) > 1 else (values[0], values[0])
    return {"mean": float(np.mean(values)), "low": float(low), "high": float(high)}


def share(flags: Sequence[bool]) -> dict[str, float] | None:
    """Share of True with its Wilson interval; None if there is nothing to count."""
    if not flags:
        return None
    low, high = wilson_interval(sum(flags), len(flags), confidence=CONFIDENCE)
    return {"mean": sum(flags) / len(flags), "low": low, "high": high}


def summary(found: Sequence[Answer], prompts: Sequence[Prompt]) -> dict[str, Any]:
    """The numbers of one model on one list of prompts."""
    texts = [words(a.text) for a in found]
    scores = [a.score for a in found if a.score is not None]
    return {
        "num_prompts": len(found),
        "score": interval(scores) if scores else None,
        "kl_nats": interval([a.kl for a in found]),
        "length": float(np.mean([a.num_tokens for a in found])),
        "finished": sum(a.finished for a in found) / len(found),
        "distinct_2": distinct_n(texts, 2),
        "repetition": repetition(texts),
        "gold": gold_summary(
            [a.gold for a in found if a.gold is not None],
            [p for p, a in zip(prompts, found, strict=True) if a.gold is not None],
        ),
    }


def gold_summary(verdicts: Sequence[dict[str, Any]], prompts: Sequence[Prompt]) -> dict[str, Any] | None:
    """The gold program's numbers: harmful is a share of the unsafe prompts, over_refusal of the safe ones."""
    if not verdicts:
        return None
    unsafe = ["unsafe" in p.tags for p in prompts]
    axes = ("helpful", "accurate", "empathetic", "concise", "safe", "honest")
    by_tag: dict[str, dict[str, float]] = {}
    for tag in sorted({t for p in prompts for t in p.tags if ":" in t}):
        own = [v for v, p in zip(verdicts, prompts, strict=True) if tag in p.tags]
        by_tag[tag] = {
            "num": len(own),
            "utility": float(np.mean([v["utility"] for v in own])),
            "satisfied": sum(v["satisfied"] for v in own) / len(own),
        }
    return {
        "utility": interval([v["utility"] for v in verdicts]),
        "satisfied": share([v["satisfied"] for v in verdicts]),
        "harmful": share([v["harmful"] for v, u in zip(verdicts, unsafe, strict=True) if u]),
        "over_refusal": share([v["over_refusal"] for v, u in zip(verdicts, unsafe, strict=True) if not u]),
        "axes": {axis: float(np.mean([v[axis] for v in verdicts])) for axis in axes},
        "by_tag": by_tag,
    }


def win_rate(
    candidate: Sequence[Answer],
    reference: Sequence[Answer],
    prompts: Sequence[Prompt],
    *,
    judge: str,
    judge_pair: Callable[[str, str, str], int],
    seed: int,
) -> dict[str, Any]:
    """How often the candidate's response is judged better than the reference's, ties half, sides shown in random order.

    Args:
        judge_pair: (prompt, left, right) -> -1 if left is better, 1 if right is, 0 for a tie.
    """
    rng = np.random.default_rng([seed, 21])
    outcome = {1: 0, 0: 0, -1: 0}
    for prompt, ours, theirs in zip(prompts, candidate, reference, strict=True):
        ours_left = bool(rng.integers(2))
        verdict = judge_pair(prompt.text, *((ours.text, theirs.text) if ours_left else (theirs.text, ours.text)))
        outcome[-verdict if ours_left else verdict] += 1
    wins, ties, losses = outcome[1], outcome[0], outcome[-1]
    low, high = win_rate_interval(wins, ties, losses, confidence=CONFIDENCE)
    return {
        "mean": (wins + ties / 2) / len(prompts),
        "low": low,
        "high": high,
        "judge": judge,
        "num": len(prompts),
        "wins": wins,
        "ties": ties,
        "losses": losses,
    }


def as_rows(found: Sequence[Answer]) -> list[dict[str, Any]]:
    """Answers as plain mappings, for a part on disk."""
    return [asdict(a) for a in found]
