"""Collecting: the model writes K responses to each prompt, annotators judge them, decisions become preferences.

Reads: a model folder, prompts. Writes: `comparisons.jsonl`, `judgements.jsonl` (all of them, raw), `preferences.jsonl`
and `held_out.jsonl` (by prompt, never mixed), `rankings.jsonl`; `ratings.jsonl` and `thumbs.jsonl` where people gave
some. Follows COL-1, 2, 3, 7, 11. With by=people the web page asks (people.py), with by=python:... a function judges
(judge.py), with by=model a model does, and is audited (model_judge.py for pairs, rating_judge.py, ranking_judge.py,
audit.py).
"""

import itertools
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.collect.altered import with_altered
from prefloop.collect.config import MODEL, PYTHON, CollectConfig
from prefloop.collect.judge import FunctionJudge
from prefloop.collect.judge_config import SIMULATED
from prefloop.collect.model_judge import ModelJudge
from prefloop.collect.older import check_room, writers
from prefloop.collect.people import judged_by_people
from prefloop.collect.ranking_judge import RankingJudge
from prefloop.collect.rating_judge import RatingJudge
from prefloop.decisions import decided
from prefloop.errors import UserError
from prefloop.extras import check_extra
from prefloop.files import fingerprints
from prefloop.files.foreign import read_prompts
from prefloop.files.tables import write_records
from prefloop.models.device import placement
from prefloop.models.load import causal, model_folder
from prefloop.models.network import Network
from prefloop.records import Comparison, Judgement, Prompt, Response, Sampling, opening
from prefloop.run import Run
from prefloop.sampling.in_process import InProcess
from prefloop.sampling.protocol import Sampled
from prefloop.scoring.named import reward_input
from prefloop.seeds import is_held_out, seed_of
from prefloop.stats.text import distinct_n, overlap, words
from prefloop.text.examples import FittingPrompts
from prefloop.text.facts import Facts
from prefloop.world.annotators import Annotator, judged_before
from prefloop.world.origin import own

INSTEAD = (
    "Let people judge (by=people), a model (by=model) or a function of yours (by=python:FILE.py:FUNCTION), or give "
    "preferences that people made elsewhere to `prefloop reward`."
)
"""What to do with prompts of one's own."""
FORMS: Mapping[str, type[ModelJudge] | type[RatingJudge] | type[RankingJudge]] = {
    "pair": ModelJudge, "rating": RatingJudge, "ranking": RankingJudge
}  # fmt: skip
"""What a model is asked -> who asks it."""
COUNTED = ("resampled", "missing", "left_out", "unaltered")
"""What is counted: responses drawn again, missing ones, prompts left out, altered copies that could not be made."""


def collect(config: CollectConfig) -> Path:
    """Runs (or continues) the stage. Returns: its folder."""
    by_gold = {"simulated": "by=simulated"}.get(config.by)
    if config.judge is not None and config.judge.audit == SIMULATED:
        by_gold = "judge.audit=simulated"
    if by_gold is not None:  # before there is a run, so that by=people can take the same folder
        asked = read_prompts(config.prompts).records
        own(asked[: config.num_prompts or len(asked)], file=config.prompts, who=by_gold, instead=INSTEAD)
    function = FunctionJudge(config) if config.by.startswith(PYTHON) else None
    model = FORMS[config.judge.form](config) if config.judge is not None else None
    inputs = {"model": model_folder(config.model), "prompts": config.prompts}
    inputs |= {f"older.{place}": model_folder(path) for place, path in enumerate(config.older)}
    inputs |= {"by": reward_input(config.by)} if function else {}
    with Run(config, inputs=inputs | (model.inputs if model else {})) as run:
        if run.finished:
            return run.folder
        if config.by == "people" and not layout.judged(run.folder).is_file():
            check_extra("web", "by=people")
        parts, num_prompts, num_too_long = _sampled(run, config, function)
        comparisons = [Comparison.model_validate(c) for part in parts for c in part["comparisons"]]
        told: dict[str, Any] = {}
        if config.by == "people":
            judgements = judged_by_people(run, config, comparisons)
        elif model:
            judgements, told = model.judged(run, comparisons)
        else:
            judgements = [Judgement.model_validate(j) for part in parts for j in part["judgements"]]
        result, rated = _write(run, comparisons, judgements, config)
        result |= {f"num_{k}": sum(part["counts"][k] for part in parts) for k in COUNTED}
        run.finish(
            outputs=[
                layout.COMPARISONS,
                layout.JUDGEMENTS,
                layout.PREFERENCES,
                layout.HELD_OUT,
                layout.UNDECIDED,
                layout.RANKINGS,
                *rated,
            ],
            result={**result, **told, "num_prompts": num_prompts, "num_too_long": num_too_long},
        )
    return run.folder


def _sampled(run: Run, config: CollectConfig, function: FunctionJudge | None) -> tuple[list[Any], int, int]:
    """Responses to all prompts, and what simulated annotators or a function say of them, part by part.

    Returns: the parts, and how many prompts were taken and left out. The policy is in memory no longer.
    """
    place = placement(config.device, config.dtype)
    policies: list[Network] = []
    for path in (config.model, *config.older):
        beside = policies[0] if policies else None
        policies.append(causal(path, place, template=config.template, beside=beside, weights=config.weights))
        run.caution(policies[-1].hold(config.weights), of=f"older {path}" if beside else "model")
    policy, samplers = policies[0], [fingerprints.of_path(model_folder(path)) for path in (config.model, *config.older)]
    fitting = FittingPrompts.of(
        policy.codec, config.prompts, room=config.max_new_tokens, say=run.say, num=config.num_prompts
    )
    prompts = fitting.records
    check_room(config, prompts, policies)
    facts = Facts.of(prompts)
    annotators = config.annotators.annotators(config.seed)
    chunks = [prompts[i : i + config.batch_prompts] for i in range(0, len(prompts), config.batch_prompts)]
    run.progress.start(len(chunks), sum(run.part(i).exists() for i in range(len(chunks))), unit="part")
    for index in run.parts(len(chunks)):
        comparisons, counts = _comparisons(chunks[index], policies, config, samplers, index, facts)
        judgements = function.judgements(comparisons) if function else []
        if config.by == "simulated":
            judgements = [j for c in comparisons for j in _judgements(c, annotators, config)]
        run.write_part(
            index,
            {
                "comparisons": [c.model_dump(mode="json") for c in comparisons],
                "judgements": [j.model_dump(mode="json") for j in judgements],
                "counts": counts,
            },
        )
        run.progress.advance()
    return run.read_parts(len(chunks)), len(prompts), fitting.num_left_out


def _comparisons(
    prompts: Sequence[Prompt],
    policies: Sequence[Network],
    config: CollectConfig,
    samplers: Sequence[str],
    index: int,
    facts: Facts,
) -> tuple[list[Comparison], dict[str, int]]:
    """K different responses to each prompt, and altered copies; near-duplicates and empty ones are drawn again a few
    times, by the policy whose they are."""
    plans = [writers(config, prompt) for prompt in prompts]
    written: list[list[list[Response]]] = [[[] for _ in policies] for _ in prompts]
    resampled = 0
    for attempt in range(config.resample + 1):
        for who, policy in enumerate(policies):
            wanted = [plan.count(who) for plan in plans]
            short = [i for i, own in enumerate(written) if len(own[who]) < wanted[i]]
            if not short:
                continue
            ids = [policy.codec.prompt_ids(prompts[i].messages) for i in short]
            place = seed_of(config.seed, "collect.responses", index, attempt)
            if who:
                place = seed_of(config.seed, "collect.older", who, index, attempt)
            copies = max(wanted[i] for i in short)
            drawn = InProcess(policy).sample(ids, config.sampling(), place, copies=copies)
            for place, i in enumerate(short):
                some = drawn[place * copies : (place + 1) * copies]
                said = [_response(policy, one, samplers[who]) for one in some]
                lost = _keep(written[i], who, said, wanted[i], near=config.near_duplicate)
                resampled += lost if attempt == 0 else 0
    kept = [_in_turn(own, plan) for own, plan in zip(written, plans, strict=True)]
    missing = sum(config.responses_per_prompt - len(responses) for responses in kept)
    learned = [i for i, p in enumerate(prompts) if not is_held_out(opening(p.messages), config.held_out, config.seed)]
    unaltered = with_altered(
        [prompts[i] for i in learned],
        [kept[i] for i in learned],
        facts,
        num=config.altered,
        seed=seed_of(config.seed, "collect.altered"),
    )
    how = Sampling(
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        min_p=config.min_p,
        repetition_penalty=config.repetition_penalty,
        stop=config.stop,
        max_new_tokens=config.max_new_tokens,
        seed=config.seed,
    )
    comparisons = [
        Comparison(id=f"c-{p.id}", prompt_id=p.id, messages=p.messages, responses=tuple(r), sampling=how, tags=p.tags)
        for p, r in zip(prompts, kept, strict=True)
        if len(r) >= 2
    ]
    left_out = len(prompts) - len(comparisons)
    return comparisons, {"resampled": resampled, "missing": missing, "left_out": left_out, "unaltered": unaltered}


def _response(policy: Network, sampled: Sampled, sampler: str) -> Response:
    text = policy.codec.decode(sampled.tokens)
    return Response(text=text, num_tokens=len(sampled.tokens), finished=sampled.finished, sampler=sampler)


def _keep(written: list[list[Response]], who: int, said: Sequence[Response], wanted: int, *, near: float) -> int:
    """Keeps what one policy said to a prompt, until it has as many as are wanted. Returns: how many were empty, or near
    duplicates of what any policy said."""
    lost = 0
    for response in said:
        if len(written[who]) == wanted:
            break
        known = (r.text for own in written for r in own)
        if response.text.strip() and not any(overlap(response.text, text) >= near for text in known):
            written[who].append(response)
        else:
            lost += 1
    return lost


def _in_turn(written: Sequence[Sequence[Response]], plan: Sequence[int]) -> list[Response]:
    """A prompt's responses, in the order of who was to write which."""
    left = [iter(own) for own in written]
    return [response for who in plan if (response := next(left[who], None)) is not None]


def _judgements(comparison: Comparison, annotators: Sequence[Annotator], config: CollectConfig) -> list[Judgement]:
    """Judgements of one comparison; everything random about them is decided by the seed and the comparison's id."""
    rng = random.Random(f"{config.seed} {comparison.id}")
    several = rng.random() < config.overlap_share
    judges = rng.sample(annotators, min(len(annotators), config.overlap if several else 1))
    judged = judged_before(comparison.id)
    if rng.random() < config.ranking_share:
        return [
            a.judge_ranking(comparison, rng=rng, judgement_id=f"{comparison.id}:{a.name}", judged=judged)
            for a in judges
        ]
    pairs = list(itertools.combinations(range(len(comparison.responses)), 2))
    chosen = sorted(rng.sample(pairs, min(len(pairs), config.pairs_per_prompt)))
    return [
        a.judge_pair(comparison, i, j, rng=rng, judgement_id=f"{comparison.id}:{i}-{j}:{a.name}", judged=judged)
        for i, j in chosen
        for a in judges
    ]


def _write(
    run: Run, comparisons: Sequence[Comparison], judgements: Sequence[Judgement], config: CollectConfig
) -> tuple[dict[str, Any], list[str]]:
    """Aggregates, writes and counts. Returns: the counts, and the files of ratings and thumbs."""
    decisions = decided(comparisons, judgements)
    held_out = {c.id for c in comparisons if is_held_out(opening(c.messages), config.held_out, config.seed)}
    training = [p for p in decisions.preferences if p.comparison not in held_out]
    validation = [p for p in decisions.preferences if p.comparison in held_out]
    rated = [row for row in decisions.rated if row.comparison not in held_out]
    kinds = {layout.RATINGS: [row for row in rated if row.ratings], layout.THUMBS: [row for row in rated if row.thumbs]}
    kinds = {name: rows for name, rows in kinds.items() if rows}
    if not training and not kinds:
        raise UserError(
            f"{config.prompts}: {len(comparisons)} comparisons gave no preference to train on. Use "
            + ("another judge, or " if config.by == MODEL else "")
            + "more prompts (num_prompts) or a higher temperature."
        )
    write_records(run.folder / layout.COMPARISONS, comparisons)
    write_records(run.folder / layout.JUDGEMENTS, judgements)
    write_records(run.folder / layout.PREFERENCES, training)
    write_records(run.folder / layout.HELD_OUT, validation)
    write_records(run.folder / layout.UNDECIDED, decisions.undecided)
    write_records(run.folder / layout.RANKINGS, [r for r in decisions.rankings if r.comparison not in held_out])
    for name, rows in kinds.items():
        write_records(run.folder / name, rows)
    texts = [words(r.text) for c in comparisons for r in c.responses]
    counts = {
        "num_comparisons": len(comparisons),
        "num_judgements": len(judgements),
        "num_preferences": len(training),
        "num_held_out": len(validation),
        "num_rated": len(rated),
        "num_pairs": decisions.num_pairs,
        "num_tied": decisions.num_tied,
        "agreement": decisions.agreement,
        "num_agreement": decisions.num_agreement,
        "seconds_judging": sum(j.seconds for j in judgements),
        "distinct_2": distinct_n(texts, 2),
    }
    return counts, list(kinds)
