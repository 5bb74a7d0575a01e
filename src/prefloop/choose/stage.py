"""Choosing: from a pool of prompts those that are asked next, by disagreement, by diversity, and always some at random.

Reads: prompts, what was asked before, a policy and a reward model (both can be left out). Writes: `prompts.jsonl`, in
random order, and `chosen.jsonl`, why each of them and with what probability, so that what is measured on them says
something of the whole pool (`stats.choosing.hajek`). Follows Houlsby et al. 2011 (BALD) for what a judgement teaches an
ensemble, Gonzalez 1985 (farthest points) for diversity, Madow 1949 and Neyman 1934 for drawing. What is chosen does not
depend on the order of the pool's rows. Leaves out: choosing among pairs of responses, which the page does.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prefloop import layout
from prefloop.choose.config import ChooseConfig
from prefloop.choose.looks import Array, embedded, unsure
from prefloop.errors import UserError
from prefloop.files.foreign import Reading, read_prompts
from prefloop.files.forms import recognise
from prefloop.files.hashes import hash_of
from prefloop.files.tables import write_records
from prefloop.models.device import placement
from prefloop.models.load import causal, model_folder
from prefloop.models.network import Network
from prefloop.records import Chosen, Comparison, Message, Prompt
from prefloop.run import Run
from prefloop.scoring.ensemble import Ensemble
from prefloop.scoring.named import is_model, reward_inputs, scorer_as
from prefloop.scoring.reward_model import RewardModel
from prefloop.seeds import seed_of
from prefloop.stats.choosing import TagCoverage, farthest_points, tag_coverage
from prefloop.stats.quotas import Drawn, sample_with_floors
from prefloop.text.examples import FittingPrompts

KEPT_AWAY_FROM = 1000
"""Prompts of earlier rounds, drawn at random, that those chosen for diversity keep away from."""


@dataclass(frozen=True)
class Pool:
    """What can be chosen, in an order of chance."""

    prompts: tuple[Prompt, ...]
    """each once, none of them asked before"""
    asked: tuple[tuple[Message, ...], ...]
    """what was asked before, or some of it"""
    counts: dict[str, int]
    """what is told of the files"""


@dataclass(frozen=True)
class Seen:
    """What models see in the first C prompts of a pool, and in A that were asked before."""

    places: Array  # (C + A, D) embeddings, those of the pool first
    learned: Array | None  # (C,) nats; None without a reward


def choose(config: ChooseConfig) -> Path:
    """Runs (or continues) the stage. Returns: the file of prompts."""
    if config.reward is not None and not is_model(config.reward):
        raise UserError(
            f"reward={config.reward}: whether a function or a server is sure cannot be asked. Give a reward model's "
            "folder, or leave reward out."
        )
    inputs: dict[str, str | None] = {"prompts": config.prompts}
    inputs |= {f"asked.{place}": file for place, file in enumerate(config.asked)}
    inputs |= {"model": model_folder(config.model)} if config.model is not None else {}
    with Run(config, inputs=inputs | reward_inputs(config.reward)) as run:
        file = run.folder / layout.PROMPTS
        if run.finished:
            return file
        policy = None
        if config.model is not None:
            policy = causal(
                config.model, placement(config.device, config.dtype), template=config.template, weights=config.weights
            )
            run.caution(policy.hold(config.weights))
        pool = _pool(config, policy, run.say)
        seen = None if policy is None else _seen(run, config, policy, pool)
        drawn = _drawn(config, pool, seen)
        prompts = [pool.prompts[place] for place in drawn.chosen.tolist()]
        rows = [
            _told(pool, drawn, seen, place, why) for place, why in zip(drawn.chosen.tolist(), drawn.why, strict=True)
        ]
        write_records(file, prompts)
        write_records(run.folder / layout.CHOSEN, rows)
        cover = tag_coverage([one.tags for one in pool.prompts], drawn.chosen, floors=config.floors)
        for problem in (tag.sentence for tag in cover if tag.sentence):
            run.say(problem)
        run.finish(outputs=[layout.PROMPTS, layout.CHOSEN], result=_result(pool, seen, rows, cover))
    return file


def _pool(config: ChooseConfig, policy: Network | None, say: Callable[[str], None]) -> Pool:
    """What is left to choose from. Raises: UserError if that is less than what is wanted."""
    before = {_words(messages): messages for file in config.asked for messages in asked_before(file, say)}
    too_long = 0
    if policy is None:
        records: Sequence[Prompt] = read_prompts(config.prompts, say=say).records
    else:
        fitting = FittingPrompts.of(policy.codec, config.prompts, room=config.max_new_tokens, say=say)
        records, too_long = fitting.records, fitting.num_left_out
    first = {_words(one.messages): one for one in sorted(records, key=lambda one: one.id, reverse=True)}
    left = [one for words, one in first.items() if words not in before]
    order = seed_of(config.seed, "choose.order")
    left.sort(key=lambda one: (hash_of(f"{order} {one.id}"), one.id))
    counts = {
        "num_pool": len(records) + too_long,
        "num_too_long": too_long,
        "num_repeated": len(records) - len(first),
        "num_asked": len(first) - len(left),
        "num_left": len(left),
    }
    if config.num > len(left):
        told = [
            (counts["num_asked"], "were asked before"),
            (counts["num_repeated"], "repeat others"),
            (too_long, "are too long"),
        ]
        why = ", ".join(f"{number} {what}" for number, what in told if number)
        raise UserError(
            f"{config.prompts}: num={config.num} prompts are wanted, and {len(left)} are left of "
            f"{counts['num_pool']}{f' ({why})' if why else ''}. "
            + (f"Set num={len(left)} or give more prompts." if left else "Give other prompts.")
        )
    some = sorted(before, key=lambda words: (hash_of(f"{order} {words}"), words))[:KEPT_AWAY_FROM]
    return Pool(tuple(left), tuple(before[words] for words in some), counts)


def asked_before(file: str, say: Callable[[str], None]) -> list[tuple[Message, ...]]:
    """The conversations of a file of an earlier round; none of an empty one. Raises: UserError if it has no prompts."""
    if Path(file).is_file() and not Path(file).stat().st_size:
        return []
    if recognise(file).what != "comparisons":
        return [one.messages for one in read_prompts(file, say=say).records]
    found: list[tuple[Message, ...]] = []
    for _, outcome in Reading(file, Comparison):
        if isinstance(outcome, UserError):
            raise outcome
        found.append(outcome.messages)
    return found


def _words(messages: Sequence[Message]) -> str:
    """A conversation as one text, by which it is known again in another file."""
    return json.dumps([(message.role, message.content) for message in messages], ensure_ascii=False)


def _seen(run: Run, config: ChooseConfig, policy: Network, pool: Pool) -> Seen | None:
    """What the models see, part by part: first the candidates, then what was asked before. None if they have no say."""
    if not config.strategies:
        return None
    judge = None
    if config.reward is not None:
        place = placement(config.device, config.dtype)
        judge = scorer_as(config, config.reward, place, weights=config.weights, beside=policy)
        assert isinstance(judge, RewardModel | Ensemble)
    candidates, size = pool.prompts[: config.candidates], config.batch_prompts
    jobs: list[Sequence[Prompt] | Sequence[tuple[Message, ...]]] = [
        some[start : start + size] for some in (candidates, pool.asked) for start in range(0, len(some), size)
    ]
    run.progress.start(len(jobs), sum(run.part(i).exists() for i in range(len(jobs))), unit="part")
    for index in run.parts(len(jobs)):
        prompts = [one for one in jobs[index] if isinstance(one, Prompt)]
        asked = [one.messages if isinstance(one, Prompt) else one for one in jobs[index]]
        ids = policy.codec.prompts(asked)
        part: dict[str, Any] = {"places": embedded(policy, ids), "learned": None}
        if judge is not None and prompts:
            drawn = seed_of(config.seed, "choose.responses", index)
            copies, sampling = config.responses_per_prompt, config.sampling()
            part["learned"], _ = unsure(policy, judge, prompts, ids, sampling, drawn, copies=copies)
        run.write_part(index, part)
        run.progress.advance()
    parts = run.read_parts(len(jobs))
    places = np.array([row for part in parts for row in part["places"]])
    if judge is None:
        return Seen(places, None)
    return Seen(places, np.array([value for part in parts for value in part["learned"] or ()]))


def _drawn(config: ChooseConfig, pool: Pool, seen: Seen | None) -> Drawn:
    """Which prompts, and why. Raises: UserError if the floors need more places than there are."""
    shares, scores = config.shares, dict[str, Array]()
    num = min(config.candidates, len(pool.prompts))
    if seen is not None and seen.learned is not None:
        scores["disagreement"] = np.zeros(len(pool.prompts))
        scores["disagreement"][:num] = np.square(seen.learned)
    if seen is not None and "diversity" in shares:
        points = seen.places / np.where(seen.places.std(0) > 0, seen.places.std(0), 1.0)
        wanted = min(num, max(1, round(shares["diversity"] * config.num)))
        marked = farthest_points(points, num=wanted, labelled=range(num, len(points)))
        scores["diversity"] = np.zeros(len(pool.prompts))
        scores["diversity"][marked] = 1.0
    rng = np.random.default_rng(seed_of(config.seed, "choose.draw"))
    tags = [one.tags for one in pool.prompts]
    try:
        return sample_with_floors(scores, shares, tags, floors=config.floors, num=config.num, rng=rng)
    except ValueError as problem:
        if not config.floors:
            raise
        raise UserError(f"num={config.num}: {problem}. Raise num, or lower floors.") from None


def _told(pool: Pool, drawn: Drawn, seen: Seen | None, place: int, why: str) -> Chosen:
    """What is said of one prompt. Args: place: in the pool."""
    learned = seen.learned if seen is not None else None
    nats = float(learned[place]) if learned is not None and place < len(learned) else None
    probability = min(1.0, float(drawn.inclusion[place]))
    return Chosen(id=pool.prompts[place].id, why=why, inclusion=probability, learned=nats)


def _result(pool: Pool, seen: Seen | None, rows: Sequence[Chosen], cover: Sequence[TagCoverage]) -> dict[str, Any]:
    """What is told of it."""
    told: dict[str, Any] = {"num_chosen": len(rows), **pool.counts}
    told["why"] = dict(sorted(Counter(row.why for row in rows).items()))
    if seen is not None and seen.learned is not None:
        nats = [row.learned for row in rows if row.learned is not None]
        told["num_candidates"] = len(seen.learned)
        told["learned"] = {"candidates": float(seen.learned.mean()), "chosen": sum(nats) / len(nats) if nats else None}
    told["tags"] = {
        tag.tag: {"available": tag.available, "chosen": tag.chosen, **({"floor": tag.floor} if tag.floor else {})}
        for tag in cover
    }
    return told
