"""Evaluation: several checkpoints against the reference on held-out prompts; one is selected, and then measured.

Reads: model folders, prompts, and what the stages before collected. Writes: `evaluation.json`. Follows EVAL-1, 2, 4, 5,
6, 9: scores, KL (estimator named), gold axes, win rate with random sides and intervals, out of distribution, harmful
and over-refusal together. Checkpoints are selected on validation prompts and measured on test prompts, so that being
selected does not flatter them. Leaves out: people (the web page) and model judges.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from prefloop import layout
from prefloop.errors import UserError
from prefloop.evaluate.arena import arena_rows, by_gold, sampler_name
from prefloop.evaluate.config import EvaluateConfig
from prefloop.evaluate.measure import Answer, answers, as_rows, gold_summary, summary, win_rate
from prefloop.evaluate.reward_check import finished_collect, reward_check
from prefloop.evaluate.select import selected
from prefloop.files import fingerprints
from prefloop.files.atomic import write_text
from prefloop.files.documents import write_document
from prefloop.files.foreign import read_demonstrations, read_prompts
from prefloop.files.tables import jsonl
from prefloop.models.device import Placement, placement
from prefloop.models.load import causal, model_folder, writer
from prefloop.models.network import Network
from prefloop.records import Prompt
from prefloop.records.evaluations import (
    CHOSEN_KL,
    EXACT_KL,
    Demonstrations,
    Evaluation,
    Model,
    RewardCheck,
    Sample,
    SampledResponse,
    Split,
    Unchecked,
    WinRate,
)
from prefloop.run import Run
from prefloop.scoring.named import reward_inputs, scorer_as
from prefloop.scoring.protocol import Scorer
from prefloop.settings import Reward
from prefloop.text.codec import Codec
from prefloop.text.examples import FittingPrompts
from prefloop.world import gold
from prefloop.world.origin import own

INSTEAD = "Let the score judge (judge=score reward=..., a proxy), and let people compare arena.jsonl in `prefloop web`."
"""What to do with prompts of one's own."""
BASE = "base"
"""What the untouched model is called among the models."""
Answered = dict[tuple[str, str], list[Answer]]
"""(model, split) -> its answers"""


@dataclass(frozen=True)
class _World:
    """What all measurements share."""

    config: EvaluateConfig
    place: Placement
    reference: Network
    base: Network | None
    scorer: Scorer | None
    chooser: Scorer | None
    prompts: dict[str, tuple[Prompt, ...]]


def evaluate(config: EvaluateConfig) -> Path:
    """Runs (or continues) the stage. Returns: the path of evaluation.json."""
    if config.judge == "gold":  # before there is a run, so that judge=score can take the same folder
        _only_of_the_helpdesk(config)
    inputs = {
        k: config.model_dump()[k]
        for k in ("candidates", "validation_prompts", "test_prompts", "ood_prompts", "collected", "demonstrations")
    }
    inputs |= {
        "reference": model_folder(config.reference),
        "base": model_folder(config.base) if config.base else None,
        **reward_inputs(config.reward),
        **{f"best_of_{key}": file for key, file in reward_inputs(config.best_of_reward).items()},
    }
    with Run(config, inputs=inputs) as run:
        path = run.folder / layout.EVALUATION
        if run.finished:
            return path
        place = placement(config.device, config.dtype)
        reference = causal(config.reference, place, template=config.template, weights=config.weights)
        run.caution(reference.hold(config.weights), of="reference")
        world = _World(
            config,
            place,
            reference,
            _base(config, place, reference, run),
            _scorer(config, config.reward, place, reference),
            _scorer(config, config.best_of_reward, place, reference),
            _prompts(config, reference, run),
        )
        folders = {"reference": Path(model_folder(config.reference)), **candidates(config.candidates)}
        beside = ("reference",)
        if config.base is not None:
            if BASE in folders:
                raise UserError(f"{config.candidates}: a candidate cannot be called `{BASE}`; rename that folder.")
            folders, beside = {**folders, BASE: Path(model_folder(config.base))}, ("reference", BASE)
        for folder in list(folders.values())[1:]:  # before hours of sampling, not after them
            _comparable(folder, writer(str(folder), template=config.template), reference.codec)
        if config.collected is not None:
            finished_collect(config.collected)
        compared = [(name, "validation") for name in folders]
        run.progress.start(len(compared) + (len(beside) + 1) * (len(world.prompts) - 1), unit="part")
        answered = {key: _measured(run, world, i, key, folders) for i, key in enumerate(compared)}
        validation = {name: _numbers(world, answered, name, "validation") for name in folders}
        choice = selected({n: s for n, s in validation.items() if n not in beside}, kl_limit=config.kl_limit)
        rest = [(n, split) for split in world.prompts if split != "validation" for n in (*beside, choice.name)]
        answered |= {key: _measured(run, world, len(compared) + i, key, folders) for i, key in enumerate(rest)}
        check = _reward_check(config, world.scorer)
        evaluation = Evaluation(
            reference="reference",
            base=BASE if config.base is not None else None,
            selected=choice.name,
            reason=choice.reason,
            choice=choice.choice,
            kl_limit=config.kl_limit,
            kl_estimator=EXACT_KL if config.best_of == 1 else f"{EXACT_KL}, {CHOSEN_KL.format(n=config.best_of)}",
            judge=config.judge,
            models={
                name: Model(
                    path=str(folder),
                    fingerprint=fingerprints.of_path(folder),
                    step=layout.step_of(name),
                    validation=validation[name],
                    test=_numbers(world, answered, name, "test") if (name, "test") in answered else None,
                    ood=_numbers(world, answered, name, "ood") if (name, "ood") in answered else None,
                )
                for name, folder in folders.items()
            },
            demonstrations=_demonstrations(config, run),
            reward_model=check if isinstance(check, RewardCheck) else None,
            reward_unchecked=None if isinstance(check, RewardCheck) else check,
            samples=tuple(_samples(world, answered, choice.name)),
        )
        write_document(path, evaluation)
        files = [layout.EVALUATION, *_arena(run, world, answered, evaluation)]
        run.finish(outputs=files, result={"selected": choice.name, "reason": choice.reason})
    return path


def _scorer(config: EvaluateConfig, reward: Reward | None, place: Placement, reference: Network) -> Scorer | None:
    """Who gives scores, if there is somebody."""
    return None if reward is None else scorer_as(config, reward, place, weights=config.weights, beside=reference)


def candidates(folder: str) -> dict[str, Path]:
    """The model folders inside a folder or a stage's, or the folder itself; a GGUF file too.

    Raises: UserError if there is none.
    """
    path = Path(folder)
    if not path.exists():  # a hub id
        path = Path(model_folder(folder))
    if layout.is_model(path) or path.is_file():
        return {"candidate" if path.name in ("reference", BASE) else path.name: path}
    kept = layout.policies(path) or sorted(path.glob("*"))
    models = {p.name: p for p in kept if layout.is_model(p)}
    if "reference" in models:
        raise UserError(f"{folder}: a candidate cannot be called `reference`; rename that folder.")
    if not models:
        raise UserError(
            f"{folder}: there is no model folder here. Give a ppo run's folder, its `models`, or one model folder."
        )
    return models


def _comparable(folder: Path, codec: Codec, reference: Codec) -> None:
    """Raises: UserError if a candidate is not of the reference's base."""
    difference = codec.difference(reference)
    if difference is not None:
        raise UserError(
            f"{folder}: it differs from the reference in its {difference}, so their KL has no meaning. "
            "Evaluate models of one base."
        )


def _prompts(config: EvaluateConfig, reference: Network, run: Run) -> dict[str, tuple[Prompt, ...]]:
    """The prompts of each split that leave room for a response; the test prompts must be new."""
    files = {
        "validation": (config.validation_prompts, config.num_validation),
        "test": (config.test_prompts, config.num_test),
    }
    if config.ood_prompts is not None:
        files["ood"] = (config.ood_prompts, config.num_test)
    codec, room = reference.codec, config.max_new_tokens
    prompts = {
        split: FittingPrompts.of(codec, file, room=room, say=run.say, num=num).records
        for split, (file, num) in files.items()
    }
    both = {p.text for p in prompts["validation"]} & {p.text for p in prompts["test"]}
    if both:
        raise UserError(
            f"{config.test_prompts}: {len(both)} of its prompts are also in {config.validation_prompts}, "
            f"for instance {min(both)!r}. Test prompts must be new."
        )
    return prompts


def _only_of_the_helpdesk(config: EvaluateConfig) -> None:
    """Raises: UserError if gold would have to judge what it does not know."""
    files = (
        (config.validation_prompts, config.num_validation),
        (config.test_prompts, config.num_test),
        (config.ood_prompts, config.num_test),
    )
    for file, num in [(file, num) for file, num in files if file is not None]:
        asked = read_prompts(file).records
        own(asked[: num or len(asked)], file=file, who="judge=gold", instead=INSTEAD)
    if config.demonstrations is not None:
        rows = read_demonstrations(config.demonstrations).records
        own(rows, file=config.demonstrations, who="judge=gold", instead="Leave demonstrations out, and judge=gold too.")


def _base(config: EvaluateConfig, place: Placement, reference: Network, run: Run) -> Network | None:
    """The untouched base, if there is one to be measured beside the others."""
    if config.base is None:
        return None
    base = causal(config.base, place, template=config.template, beside=reference, weights=config.weights)
    run.caution(base.hold(config.weights), of=BASE)
    return base


def _reward_check(config: EvaluateConfig, scorer: Scorer | None) -> RewardCheck | Unchecked:
    if scorer is None:
        return "no_reward"
    return "no_collected" if config.collected is None else reward_check(config, scorer)


def _measured(run: Run, world: _World, index: int, key: tuple[str, str], folders: dict[str, Path]) -> list[Answer]:
    """The answers of one model to one split, from disk if they were already measured."""
    name, split = key
    run.stop_if_interrupted()
    if not run.part(index).exists():
        policy = world.reference
        if name == BASE and world.base is not None:
            policy = world.base
        elif name != "reference":
            template, weights = world.config.template, world.config.weights
            policy = causal(str(folders[name]), world.place, template=template, beside=world.reference, weights=weights)
            run.caution((f"{name}: {sentence}" for sentence in policy.hold(weights)), of=name)
        judge = _verdict if world.config.judge == "gold" else None
        with torch.no_grad():
            measured = answers(
                policy,
                world.reference,
                world.prompts[split],
                world.scorer,
                judge,
                world.config,
                world.base,
                best_of=1 if name in ("reference", BASE) else world.config.best_of,
                chooser=world.chooser,
            )
        if policy not in (world.reference, world.base):
            policy.release()
        run.write_part(index, {"name": name, "split": split, "answers": as_rows(measured)})
    part = run.read_part(index)
    run.progress.advance()
    return [Answer(**row) for row in part["answers"]]


def _verdict(prompt: str, response: str) -> dict[str, Any]:
    return asdict(gold.judge(prompt, response))


def _numbers(world: _World, answered: Answered, name: str, split: str) -> Split:
    """One model's numbers on one split, with its win rates against the reference and the base."""
    own, prompts, judge = answered[name, split], world.prompts[split], world.config.judge

    def against(whom: str) -> WinRate | None:
        theirs = answered.get((whom, split))
        if theirs is None or name == whom:
            return None
        judge_pair = by_gold if judge == "gold" else _by_score(own, theirs, prompts)
        return win_rate(own, theirs, prompts, judge=judge, judge_pair=judge_pair, seed=world.config.seed)

    reference = None if name == "reference" else against("reference")
    return summary(own, prompts, reference, against(BASE))


def _by_score(
    own: Sequence[Answer], theirs: Sequence[Answer], prompts: Sequence[Prompt]
) -> Callable[[str, str, str], int]:
    scores = {(p.text, a.text): a.score or 0.0 for side in (own, theirs) for p, a in zip(prompts, side, strict=True)}

    def judge(prompt: str, left: str, right: str) -> int:
        a, b = scores[prompt, left], scores[prompt, right]
        return 0 if a == b else -1 if a > b else 1

    return judge


def _demonstrations(config: EvaluateConfig, run: Run) -> Demonstrations | None:
    """What SFT imitates, by the gold program."""
    if config.demonstrations is None or config.judge != "gold":
        return None
    rows = read_demonstrations(config.demonstrations, say=run.say).records[:2000]
    return Demonstrations(num=len(rows), gold=gold_summary([_verdict(d.text, d.response) for d in rows], rows))


def _samples(world: _World, answered: Answered, name: str) -> Iterator[Sample]:
    """Responses before and after, side by side: the first ones of each split, not chosen by how they turned out."""
    counts = {"test": world.config.num_samples, "ood": world.config.num_samples // 4}
    for split in [split for split in counts if split in world.prompts]:
        asked = world.prompts[split]
        sides = [answered.get((model, split)) or [None] * len(asked) for model in (BASE, "reference", name)]
        for prompt, *told in itertools.islice(zip(asked, *sides, strict=True), counts[split]):
            untouched, reference, chosen = (
                None if a is None else SampledResponse(text=a.text, score=a.score, kl=a.kl, gold=a.gold) for a in told
            )
            assert reference is not None and chosen is not None  # these two are always measured
            yield Sample(
                id=prompt.id,
                split=split,
                tags=prompt.tags,
                prompt=prompt.text,
                base=untouched,
                reference=reference,
                selected=chosen,
            )


def _arena(run: Run, world: _World, answered: Answered, evaluation: Evaluation) -> list[str]:
    """Writes what people may compare blind, each sampler named so that rounds are not mixed up. Returns: the output."""
    models = zip((evaluation.reference, evaluation.selected), evaluation.compared, strict=True)
    answers = {sampler_name(name, model.fingerprint): answered[name, "test"] for name, model in models}
    rows = arena_rows(
        world.prompts["test"], answers, num_arena=world.config.num_arena, num_audit=world.config.num_audit
    )
    if not rows:
        return []
    write_text(run.folder / layout.ARENA, jsonl(rows))
    return [layout.ARENA]
