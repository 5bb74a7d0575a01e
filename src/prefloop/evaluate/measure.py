"""What a model writes to a list of prompts, and the numbers about it. Every number has its 95 % interval."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from prefloop.evaluate.config import EvaluateConfig
from prefloop.models.network import Network
from prefloop.models.stream import ResponseStream
from prefloop.records import Prompt
from prefloop.records.evaluations import GoldNumbers, Interval, Split, TagNumbers, WinRate
from prefloop.records.evaluations import Judge as JudgeName
from prefloop.sampling.in_process import InProcess
from prefloop.sampling.protocol import Sampled
from prefloop.scoring.protocol import Scorer, of_several
from prefloop.seeds import seed_of
from prefloop.stats.best_of import best_of_kl
from prefloop.stats.intervals import mean_interval, share_interval
from prefloop.stats.text import distinct_n, repetition, words
from prefloop.text.batches import cut

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
    parts: dict[str, float] | None = None
    """reward units, what the score is the sum of, where several rewards are added"""
    base_kl: float | None = None
    """nats, the response's drift from the base, if there is one"""
    base_nats: float | None = None
    """nats per token, the response's surprise under the base"""


Judge = Callable[[str, str], dict[str, Any]]


def answers(
    policy: Network,
    reference: Network,
    prompts: Sequence[Prompt],
    scorer: Scorer | None,
    judge: Judge | None,
    config: EvaluateConfig,
    base: Network | None = None,
    *,
    best_of: int = 1,
    chooser: Scorer | None = None,
) -> list[Answer]:
    """Samples one response to each prompt and measures it. The same seed gives every model the same random numbers.

    Args:
        best_of: n, responses to each prompt, of which one is taken. Its KL is told as that of the model along it and
            `best_of_kl` more: the most that choosing adds, where the model is the reference itself; else an estimate.
        chooser: whose highest score it is; None is the scorer.
    """
    ids = [policy.codec.prompt_ids(p.messages) for p in prompts]
    sampler, sampling = InProcess(policy), config.sampling()
    sampled = []
    for start in range(0, len(ids), config.batch_prompts):
        place = seed_of(config.seed, "evaluate.responses", start)
        sampled += sampler.sample(ids[start : start + config.batch_prompts], sampling, place, copies=best_of)
    if best_of > 1:
        judge_of = chooser or scorer
        assert judge_of is not None  # the settings ask for one
        sampled = _best(sampled, prompts, judge_of, policy, best_of)
    tokens = [s.tokens for s in sampled]
    chosen = best_of_kl(best_of)
    kl = [drift + chosen for drift in response_kl(policy, reference, ids, tokens, micro_tokens=config.micro_tokens)]
    under = [(None, None)] * len(ids)
    if base is not None:
        drifts = [d + chosen for d in response_kl(policy, base, ids, tokens, micro_tokens=config.micro_tokens)]
        under = list(zip(drifts, surprise(base, ids, tokens, micro_tokens=config.micro_tokens), strict=True))
    texts = [policy.codec.decode(s.tokens) for s in sampled]
    said = None if scorer is None else scorer.detailed([p.messages for p in prompts], texts, [p.tags for p in prompts])
    scores = None if said is None else said.scores.tolist()
    parts = {} if said is None else {name: part.tolist() for name, part in said.parts.items()}
    return [
        Answer(
            text,
            len(s.tokens),
            s.finished,
            drift,
            scores[i] if scores else None,
            judge(prompts[i].text, text) if judge else None,
            {name: part[i] for name, part in parts.items()} or None,
            *under[i],
        )
        for i, (text, s, drift) in enumerate(zip(texts, sampled, kl, strict=True))
    ]


def _best(
    sampled: Sequence[Sampled], prompts: Sequence[Prompt], scorer: Scorer, policy: Network, best_of: int
) -> list[Sampled]:
    """Of each prompt's responses the one with the highest score; of equal ones the first."""
    said = of_several(scorer, prompts, [policy.codec.decode(s.tokens) for s in sampled], copies=best_of)
    places = said.scores.view(len(prompts), best_of).argmax(1).tolist()
    return [sampled[row * best_of + place] for row, place in enumerate(places)]


@torch.no_grad()
def response_kl(
    policy: Network,
    reference: Network,
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    *,
    micro_tokens: int,
) -> list[float]:
    """Nats for each response: the KL between both models' next-token distributions, summed over its tokens."""
    lengths = [len(p) + len(r) for p, r in zip(prompts, responses, strict=True)]
    kl = torch.zeros(len(prompts), dtype=torch.float64)
    for part in cut(range(len(prompts)), lengths, limit=micro_tokens):
        packed = ResponseStream.of([prompts[i] for i in part], [responses[i] for i in part], policy.device)
        kl[part] = packed.grid(policy.response_kl(reference, packed)).cpu().double().sum(1)
    return kl.tolist()


@torch.no_grad()
def surprise(
    network: Network, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], *, micro_tokens: int
) -> list[float]:
    """Nats per token of each response: the mean of -log P(token) at temperature 1, whose exponential is perplexity."""
    lengths = [len(p) + len(r) for p, r in zip(prompts, responses, strict=True)]
    nats = torch.zeros(len(prompts), dtype=torch.float64)
    for part in cut(range(len(prompts)), lengths, limit=micro_tokens):
        packed = ResponseStream.of([prompts[i] for i in part], [responses[i] for i in part], network.device)
        nats[part] = -packed.grid(network.logprobs(packed, temperature=1.0)).cpu().double().sum(1)
    return [total / len(response) for total, response in zip(nats.tolist(), responses, strict=True)]


def interval(values: Sequence[float], prompts: Sequence[Prompt]) -> Interval:
    """Mean with its interval, prompts being drawn and not answers; without one if all answer one prompt."""
    asked = [p.text for p in prompts]
    if len(set(asked)) < 2:
        return Interval(mean=float(np.mean(values)))
    low, high = mean_interval(values, confidence=CONFIDENCE, clusters=asked)
    return Interval(mean=float(np.mean(values)), low=low, high=high)


def _known(values: Sequence[float | None], prompts: Sequence[Prompt]) -> Interval | None:
    """The interval of what was measured of every answer; None if it was not."""
    known = [value for value in values if value is not None]
    return interval(known, prompts) if len(known) == len(prompts) else None


def share(flags: Sequence[bool], prompts: Sequence[Prompt]) -> Interval | None:
    """Share of True with its interval, prompts being drawn and not answers; None if there is nothing to count."""
    if not flags:
        return None
    low, high = share_interval(flags, [p.text for p in prompts], confidence=CONFIDENCE)
    return Interval(mean=sum(flags) / len(flags), low=low, high=high)


def summary(
    answered: Sequence[Answer],
    prompts: Sequence[Prompt],
    win_rate: WinRate | None = None,
    base_win_rate: WinRate | None = None,
) -> Split:
    """The numbers of one model on one list of prompts."""
    texts = [words(a.text) for a in answered]
    scored = [(a.score, p) for a, p in zip(answered, prompts, strict=True) if a.score is not None]
    judged = [(a.gold, p) for a, p in zip(answered, prompts, strict=True) if a.gold is not None]
    return Split(
        num_prompts=len(answered),
        score=interval([score for score, _ in scored], [prompt for _, prompt in scored]) if scored else None,
        parts={name: interval([(a.parts or {})[name] for a in answered], prompts) for name in answered[0].parts or {}},
        kl_nats=interval([a.kl for a in answered], prompts),
        base_kl=_known([a.base_kl for a in answered], prompts),
        base_nats=_known([a.base_nats for a in answered], prompts),
        length=float(np.mean([a.num_tokens for a in answered])),
        finished=sum(a.finished for a in answered) / len(answered),
        distinct_2=distinct_n(texts, 2),
        repetition=repetition(texts),
        gold=gold_summary([verdict for verdict, _ in judged], [prompt for _, prompt in judged]),
        win_rate=win_rate,
        base_win_rate=base_win_rate,
    )


def gold_summary(verdicts: Sequence[dict[str, Any]], prompts: Sequence[Prompt]) -> GoldNumbers | None:
    """The gold program's numbers: harmful is a share of the unsafe prompts, over_refusal of the safe ones."""
    if not verdicts:
        return None
    of_kind = {
        unsafe: [(v, p) for v, p in zip(verdicts, prompts, strict=True) if ("unsafe" in p.tags) == unsafe]
        for unsafe in (True, False)
    }
    axes = ("helpful", "accurate", "empathetic", "concise", "safe", "honest")
    by_tag: dict[str, TagNumbers] = {}
    for tag in sorted({t for p in prompts for t in p.tags if ":" in t}):
        own = [v for v, p in zip(verdicts, prompts, strict=True) if tag in p.tags]
        by_tag[tag] = TagNumbers(
            num=len(own),
            utility=float(np.mean([v["utility"] for v in own])),
            satisfied=sum(v["satisfied"] for v in own) / len(own),
        )
    return GoldNumbers(
        utility=interval([v["utility"] for v in verdicts], prompts),
        satisfied=share([v["satisfied"] for v in verdicts], prompts),
        harmful=share([v["harmful"] for v, _ in of_kind[True]], [p for _, p in of_kind[True]]),
        over_refusal=share([v["over_refusal"] for v, _ in of_kind[False]], [p for _, p in of_kind[False]]),
        axes={axis: float(np.mean([v[axis] for v in verdicts])) for axis in axes},
        by_tag=by_tag,
    )


def win_rate(
    candidate: Sequence[Answer],
    reference: Sequence[Answer],
    prompts: Sequence[Prompt],
    *,
    judge: JudgeName,
    judge_pair: Callable[[str, str, str], int],
    seed: int,
) -> WinRate:
    """How often the candidate's response is judged better than the reference's, ties half, sides shown in random order.

    Args:
        judge_pair: (prompt, left, right) -> -1 if left is better, 1 if right is, 0 for a tie.
    """
    rng = np.random.default_rng(seed_of(seed, "evaluate.sides"))
    outcomes: list[int] = []
    for prompt, ours, theirs in zip(prompts, candidate, reference, strict=True):
        ours_left = bool(rng.integers(2))
        verdict = judge_pair(prompt.text, *((ours.text, theirs.text) if ours_left else (theirs.text, ours.text)))
        outcomes.append(-verdict if ours_left else verdict)
    wins, ties, losses = (outcomes.count(outcome) for outcome in (1, 0, -1))
    low, high = share_interval([(1 + o) / 2 for o in outcomes], [p.text for p in prompts], confidence=CONFIDENCE)
    rate = (wins + ties / 2) / len(prompts)
    return WinRate(mean=rate, low=low, high=high, judge=judge, num=len(prompts), wins=wins, ties=ties, losses=losses)


def as_rows(answered: Sequence[Answer]) -> list[dict[str, Any]]:
    """Answers as plain mappings, for a part on disk."""
    return [asdict(a) for a in answered]
