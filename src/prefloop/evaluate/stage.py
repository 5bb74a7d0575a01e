"""Evaluation: several checkpoints against the reference on held-out prompts; one is selected, and then measured.

Reads: model folders, prompts, and what the stages before collected. Writes: `evaluation.json`. Follows EVAL-1, 2, 4, 5, 6,
9: scores, KL (estimator named), gold axes, win rate with random sides and intervals, out of distribution, harmful and
over-refusal together. Checkpoints are selected on validation prompts and measured on test prompts, so that being selected
does not flatter them. Leaves out: people (the web page) and model judges.
"""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from prefloop import layout
from prefloop.errors import UserError
from prefloop.evaluate.arena import arena_rows
from prefloop.evaluate.config import EvaluateConfig
from prefloop.evaluate.measure import KL_ESTIMATOR, Answer, answers, as_rows, gold_summary, summary, win_rate
from prefloop.evaluate.reward_check import reward_check
from prefloop.evaluate.select import selected
from prefloop.files import fingerprints
from prefloop.files.atomic import write_json, write_text
from prefloop.files.foreign import read_demonstrations, read_prompts
from prefloop.files.tables import jsonl
from prefloop.models.device import Placement, placement
from prefloop.models.load import causal, model_folder
from prefloop.models.network import Network
from prefloop.records import Prompt
from prefloop.run import Run
from prefloop.scoring.named import reward_input, scorer
from prefloop.scoring.protocol import Scorer
from prefloop.world import gold

SPLITS = ("validation", "test", "ood")


@dataclass(frozen=True)
class _World:
    """What all measurements share."""

    config: EvaluateConfig
    place: Placement
    reference: Network
    scorer: Scorer | None
    prompts: dict[str, list[Prompt]]


def evaluate(config: EvaluateConfig) -> Path:
    """Runs (or continues) the stage. Returns: the path of evaluation.json."""
    inputs = {
        k: config.model_dump()[k]
        for k in ("candidates", "validation_prompts", "test_prompts", "ood_prompts", "collected", "demonstrations")
    }
    inputs |= {
        "reference": model_folder(config.reference),
        "reward": reward_input(config.reward) if config.reward else None,
    }
    with Run("evaluate", config, inputs=inputs) as run:
        path = run.folder / layout.EVALUATION
        if run.finished:
            return path
        if config.judge == "score" and config.reward is None:
            raise UserError(
                "evaluate: judge = score needs a reward. Set reward to a reward model folder or python:FILE.py:FUNCTION."
            )
        place = placement(config.device, config.dtype)
        reference = causal(config.reference, place, template=config.template)
        world = _World(
            config,
            place,
            reference,
            scorer(config.reward, place) if config.reward else None,
            _prompts(config, reference),
        )
        folders = {"reference": Path(model_folder(config.reference)), **candidates(config.candidates)}
        wanted = [(name, "validation") for name in folders]
        run.progress.start(len(wanted) + 2 * (len(world.prompts) - 1))
        found = {key: _measured(run, world, i, key, folders) for i, key in enumerate(wanted)}
        validation = {name: _numbers(world, found, name, "validation") for name, _ in wanted}
        choice = selected({n: s for n, s in validation.items() if n != "reference"}, kl_limit=config.kl_limit)
        rest = [
            (name, split) for split in world.prompts if split != "validation" for name in ("reference", choice.name)
        ]
        found |= {key: _measured(run, world, len(wanted) + i, key, folders) for i, key in enumerate(rest)}
        models = {}
        for name, folder in folders.items():
            own = {split: _numbers(world, found, name, split) if (name, split) in found else None for split in SPLITS}
            models[name] = {
                "path": str(folder),
                "fingerprint": fingerprints.of_path(folder),
                "step": layout.step_of(name),
                **own,
            }
        result = {
            "reference": "reference",
            "selected": choice.name,
            "reason": choice.reason,
            "kl_limit": config.kl_limit,
            "kl_estimator": KL_ESTIMATOR,
            "judge": config.judge,
            "models": models,
            "demonstrations": _demonstrations(config),
            "reward_model": reward_check(config, world.scorer) if config.collected and world.scorer else None,
            "samples": _samples(world, found, choice.name),
        }
        write_json(path, result)
        files = [layout.EVALUATION, *_arena(run, world, found, {n: models[n] for n in ("reference", choice.name)})]
        run.finish(outputs=files, result={"selected": choice.name, "reason": choice.reason})
    return path


def candidates(folder: str) -> dict[str, Path]:
    """The model folders inside a folder, or the folder itself if it is one. Raises: UserError if there is none."""
    path = Path(folder)
    if layout.is_model(path):
        return {path.name: path}
    found = {p.name: p for p in sorted(path.glob("*")) if layout.is_model(p)}
    if "reference" in found:
        raise UserError(f"{folder}: a candidate cannot be called `reference`; rename that folder.")
    if not found:
        raise UserError(
            f"{folder}: there is no model folder here. Give the `models` folder of a ppo run, or one model folder."
        )
    return found


def _prompts(config: EvaluateConfig, reference: Network) -> dict[str, list[Prompt]]:
    """The prompts of each split that leave room for a response; the test prompts must be new."""
    files = {
        "validation": (config.validation_prompts, config.num_validation),
        "test": (config.test_prompts, config.num_test),
    }
    if config.ood_prompts is not None:
        files["ood"] = (config.ood_prompts, config.num_test)
    prompts: dict[str, list[Prompt]] = {}
    for split, (file, limit) in files.items():
        records = list(read_prompts(file).records)
        records = records[: limit or len(records)]
        _, kept = reference.codec.fitting_prompts([p.messages for p in records], config.max_new_tokens)
        if not kept:
            raise UserError(
                f"{file}: no prompt leaves room for max_new_tokens = {config.max_new_tokens} in the context of {reference.codec.context}. Lower it."
            )
        if len(kept) < len(records):
            print(
                f"evaluate: {len(records) - len(kept)} of {len(records)} prompts of {file} leave no room for a response and are left out."
            )
        prompts[split] = [records[i] for i in kept]
    both = {p.text for p in prompts["validation"]} & {p.text for p in prompts["test"]}
    if both:
        raise UserError(
            f"{config.test_prompts}: {len(both)} of its prompts are also in {config.validation_prompts}, for instance {min(both)!r}. Test prompts must be new."
        )
    return prompts


def _measured(run: Run, world: _World, index: int, key: tuple[str, str], folders: dict[str, Path]) -> list[Answer]:
    """The answers of one model to one split, from disk if they were already measured."""
    name, split = key
    run.stop_if_interrupted()
    if not run.part(index).exists():
        policy = world.reference
        if name != "reference":
            policy = causal(str(folders[name]), world.place, template=world.config.template)
        if policy.codec.fingerprint != world.reference.codec.fingerprint:
            raise UserError(
                f"{folders[name]}: its template or vocabulary differs from the reference's, so their KL has no meaning. Evaluate models of one base."
            )
        judge = _verdict if world.config.judge == "gold" else None
        with torch.no_grad():
            found = answers(policy, world.reference, world.prompts[split], world.scorer, judge, world.config)
        run.write_part(index, {"name": name, "split": split, "answers": as_rows(found)})
    part = json.loads(run.part(index).read_text(encoding="utf-8"))
    run.progress.advance()
    return [Answer(**row) for row in part["answers"]]


def _verdict(prompt: str, response: str) -> dict[str, Any]:
    return asdict(gold.judge(prompt, response))


def _numbers(world: _World, found: dict[tuple[str, str], list[Answer]], name: str, split: str) -> dict[str, Any]:
    """One model's numbers on one split, with its win rate against the reference."""
    own, theirs, prompts = found[name, split], found["reference", split], world.prompts[split]
    judge_pair = _by_gold if world.config.judge == "gold" else _by_score(own, theirs, prompts)
    rate = (
        None
        if name == "reference"
        else win_rate(own, theirs, prompts, judge=world.config.judge, judge_pair=judge_pair, seed=world.config.seed)
    )
    return {**summary(own, prompts), "win_rate": rate}


def _by_gold(prompt: str, left: str, right: str) -> int:
    a, b = gold.judge(prompt, left).utility, gold.judge(prompt, right).utility
    return 0 if abs(a - b) < 1e-9 else -1 if a > b else 1


def _by_score(
    own: Sequence[Answer], theirs: Sequence[Answer], prompts: Sequence[Prompt]
) -> Callable[[str, str, str], int]:
    known = {
        (p.text, a.text): a.score or 0.0 for answered in (own, theirs) for p, a in zip(prompts, answered, strict=True)
    }

    def judge(prompt: str, left: str, right: str) -> int:
        a, b = known[prompt, left], known[prompt, right]
        return 0 if a == b else -1 if a > b else 1

    return judge


def _demonstrations(config: EvaluateConfig) -> dict[str, Any] | None:
    """What SFT imitates, by the gold program."""
    if config.demonstrations is None or config.judge != "gold":
        return None
    rows = read_demonstrations(config.demonstrations).records[:2000]
    return {"num": len(rows), "gold": gold_summary([_verdict(d.text, d.response) for d in rows], rows)}


def _samples(world: _World, found: dict[tuple[str, str], list[Answer]], name: str) -> list[dict[str, Any]]:
    """Responses before and after, side by side: the first ones of each split, not chosen by how they turned out."""
    rows = []
    for split in ("test", "ood"):
        count = world.config.num_samples if split == "test" else world.config.num_samples // 4
        answered = zip(
            world.prompts.get(split, []), found.get(("reference", split), []), found.get((name, split), []), strict=True
        )
        for prompt, before, after in itertools.islice(answered, count):
            rows.append(
                {
                    "id": prompt.id,
                    "split": split,
                    "tags": list(prompt.tags),
                    "prompt": prompt.text,
                    **_sides(before, after),
                }
            )
    return rows


def _arena(
    run: Run, world: _World, found: dict[tuple[str, str], list[Answer]], models: dict[str, dict[str, Any]]
) -> list[str]:
    """Writes what people may compare blind, each sampler named so that rounds are not mixed up. Returns: the output."""
    answered = {f"{name} {model['fingerprint'][:8]}": found[name, "test"] for name, model in models.items()}
    rows = arena_rows(
        world.prompts["test"], answered, num_arena=world.config.num_arena, num_audit=world.config.num_audit
    )
    if not rows:
        return []
    write_text(run.folder / layout.ARENA, jsonl(rows))
    return [layout.ARENA]


def _sides(before: Answer, after: Answer) -> dict[str, Any]:
    return {
        side: {"text": a.text, "score": a.score, "kl": a.kl, "gold": a.gold}
        for side, a in (("reference", before), ("selected", after))
    }
