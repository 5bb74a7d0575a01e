"""What came of each method: read from what its stages left, and from its evaluation."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefloop import layout
from prefloop.compare.plans import Plan
from prefloop.errors import UserError
from prefloop.files.atomic import write_text
from prefloop.files.documents import read_document
from prefloop.files.feedback import feedback_of
from prefloop.files.foreign import read_preferences
from prefloop.files.tables import jsonl, read_rows, write_records
from prefloop.records import Finished, Preference, Rated, RunCard, Timing, spoken
from prefloop.records.compared import Compared, Cost, Tried
from prefloop.records.evaluations import Evaluation
from prefloop.rounds.recipe import Recipe
from prefloop.running import Step


def compared(recipe: Recipe, made: Sequence[Plan], failed: Mapping[str, str | None]) -> Compared:
    """All methods. Raises: UserError if none of them came to its evaluation."""
    tried = [_tried(recipe, plan, failed.get(plan.name)) for plan in made]
    well = [plan for plan in made if failed.get(plan.name) is None]
    told = [evaluation for plan in well if (evaluation := _evaluation(plan)) is not None]
    if not told:
        raise UserError("no method came to its end; what each said stands above.")
    first = told[0]
    base = first.models[first.reference]
    tried = [
        one.model_copy(update={"validation": base.validation, "test": base.test, "policy": base.path})
        if one.method == "sft"
        else one
        for one in tried
    ]
    assert base.test is not None  # the record says so
    return Compared(
        title=recipe.name,
        seed=int(recipe.values.get("seed", 0)),
        judge=first.judge,
        kl_limit=first.kl_limit,
        reference=base.test,
        judge_seconds=_judge_seconds(recipe),
        tried=tuple(tried),
    )


def _evaluation(plan: Plan) -> Evaluation | None:
    if plan.evaluation is None or not (plan.evaluation.out / layout.FINISHED).is_file():
        return None
    return read_document(plan.evaluation.out / layout.EVALUATION, Evaluation)


def _tried(recipe: Recipe, plan: Plan, failed: str | None) -> Tried:
    commands = tuple(step.typed for step in (*plan.steps, *([plan.evaluation] if plan.evaluation else [])))
    row = Tried(name=plan.name, method=plan.method, commands=commands, failed=failed)
    evaluation = _evaluation(plan)
    if failed is not None or (plan.evaluation is not None and evaluation is None):
        return row
    model = evaluation.models[evaluation.selected] if evaluation else None
    return row.model_copy(
        update={
            "policy": model.path if model else None,
            "validation": model.validation if model else None,
            "test": model.test if model else None,
            "own": _cost(plan.steps) if plan.steps else None,
            "shared": _shared(recipe) if plan.rewarded else None,
            "judgements": judgements(plan.learned),
        }
    )


def _shared(recipe: Recipe) -> Cost | None:
    """What the recipe's reward model took; None if its reward is not learned here."""
    folder = recipe.out / layout.REWARD
    return _of_run(folder) if (folder / layout.TIMING).is_file() else None


def _cost(steps: Sequence[Step]) -> Cost:
    """What the stages of a method took together."""
    each = [_of_run(step.out) for step in steps]
    seconds = [one.cpu_seconds for one in each]
    return Cost(
        cpu_seconds=None if None in seconds else sum(filter(None, seconds)),
        peak_mb=max((one.peak_mb for one in each), default=0.0),
        sampled_tokens=sum(one.sampled_tokens for one in each),
    )


def _of_run(folder: Path) -> Cost:
    timing = read_document(folder / layout.TIMING, Timing)
    return Cost(cpu_seconds=timing.cpu_seconds, peak_mb=timing.peak_mb, sampled_tokens=sampled_tokens(folder))


def sampled_tokens(run: Path) -> int:
    """Tokens that a run sampled to learn from or to choose among: of rollouts by its metrics, else as it told."""
    result = read_document(run / layout.FINISHED, Finished).result
    if "num_tokens" in result:
        return int(result["num_tokens"])
    if (run / layout.COMPARISONS).is_file():
        return sum(said["num_tokens"] for _, row in read_rows(run / layout.COMPARISONS) for said in row["responses"])
    file = run / layout.METRICS
    if not file.is_file():
        return 0
    settings = _chosen(run)
    rows = [row for _, row in read_rows(file) if "rollouts/length" in row]
    return round(sum(row["rollouts/length"] for row in rows) * (settings.get("rollouts_per_step") or 0))


def _chosen(run: Path) -> dict[str, Any]:
    """The settings of a run, with those that were left to prefloop."""
    card = read_document(run / layout.CARD, RunCard)
    return {**card.config, **card.chosen.get("settings", {})}


def judgements(files: Sequence[Path]) -> int:
    """Judgements behind files of what was said: those of a collect stage one by one, of a ranking too; of other files
    what each row says, or one."""
    found, seen = 0, dict[Path, set[str]]()
    for file in files:
        if not file.is_file():
            continue
        beside = file.parent / layout.JUDGEMENTS
        for _, row in read_rows(file):
            if beside.is_file() and row.get("comparison"):
                seen.setdefault(beside, set()).add(row["comparison"])
            else:
                found += int(row.get("num_judgements", 1))
    return found + sum(
        row["comparison"] in comparisons for file, comparisons in seen.items() for _, row in read_rows(file)
    )


def _judge_seconds(recipe: Recipe) -> float | None:
    """Seconds that annotators took for what the recipe collected; None if nothing was."""
    file = recipe.out / layout.COLLECT / layout.FINISHED
    return read_document(file, Finished).result.get("seconds_judging") if file.is_file() else None


def write_thumbs(said: Path, out: Path) -> None:
    """Preferences as thumbs: up for a response that won more often than it lost, down for one that lost more often;
    thumbs as they are. Raises: UserError for anything else."""
    what = feedback_of(str(said))
    if what == "thumbs":
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(said, out)
        return
    if what != "preferences":
        raise UserError(
            f"{said}: this holds {what}, and kto learns from thumbs or preferences. Leave kto out of methods."
        )
    wins: dict[str, dict[str, int]] = {}
    asked: dict[str, Preference] = {}
    for row in read_preferences(str(said)).records:
        name = row.comparison or spoken(row.messages)
        asked.setdefault(name, row)
        score = wins.setdefault(name, {})
        score[row.chosen] = score.get(row.chosen, 0) + 1
        score[row.rejected] = score.get(row.rejected, 0) - 1
    rows: list[Rated] = []
    for name, row in asked.items():
        decided = {text: won for text, won in wins[name].items() if won}
        if decided:
            thumbs = tuple(won > 0 for won in decided.values())
            rows.append(
                Rated(
                    id=f"t-{row.id}",
                    messages=row.messages,
                    responses=tuple(decided),
                    thumbs=thumbs,
                    comparison=row.comparison,
                    tags=row.tags,
                )
            )
    write_records(out, rows)


def write_arena(made: Sequence[Plan], failed: Mapping[str, str | None], out: Path) -> int:
    """One file for people: what every method wrote to the same test prompts, blind. Returns: how many samplers."""
    files = [
        (p.name, p.evaluation.out / layout.ARENA)
        for p in made
        if p.evaluation is not None and failed.get(p.name) is None
    ]
    merged: list[dict[str, Any]] = []
    samplers = set[str]()
    for name, file in files:
        if not file.is_file():
            continue
        rows = [row for _, row in read_rows(file)]
        ours = rows[-1]["sampler"] if rows else ""
        for row in rows:
            if any(tag.startswith("audit:") for tag in row["tags"]):
                continue  # chosen by how the response turned out, so not the same prompts for all
            sampler = name if row["sampler"] == ours else "sft"
            if sampler == name or "sft" not in samplers:
                merged.append({**row, "sampler": sampler})
        samplers |= {name, "sft"}
    merged.sort(key=lambda row: row["id"])
    write_text(out, jsonl(merged))
    return len(samplers)
