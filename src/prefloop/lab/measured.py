"""What came of each cell: curves of proxy and gold, the laws that fit them, where gold turned, and when signs spoke."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefloop import layout, signs
from prefloop.errors import UserError
from prefloop.files.documents import read_document
from prefloop.files.tables import read_rows
from prefloop.lab.config import Cell
from prefloop.lab.plans import Plans, Trial, combined
from prefloop.records import Finished
from prefloop.records.evaluations import Evaluation, Interval, Split, bounds, mean
from prefloop.records.overopt import BestOf, BestOfCurve, Lab, LabCell, LabRun, Law, Point, Turned
from prefloop.running import Step
from prefloop.stats import overoptimisation as laws
from prefloop.stats.intervals import mean_interval

CONFIDENCE = 0.95
RESAMPLES = 2000
Failures = Mapping[str, str | None]


def chosen_step(made: Plans, there: Mapping[str, Trial], seed: int) -> Step | None:
    """The best of n of one seed, by all rewards of it that are there; None if none is."""
    rewards = {
        trial.cell: combined(made.cells[trial.cell], trial.reward.model)
        for trial in there.values()
        if trial.seed == seed and made.cells[trial.cell].kl_coef == 0.0  # a charge chooses nothing
    }
    return made.best_of.step(seed, rewards) if rewards else None


def found(made: Plans, failed: Failures) -> Lab:
    """All cells. Raises: UserError if nothing came to its end."""
    there = {name: trial for name, trial in made.trials.items() if failed[trial.reward.name] is None}
    best = {seed: _best_of(chosen_step(made, there, seed)) for seed in made.seeds}
    cells = [
        LabCell(
            name=name,
            settings=cell.model_dump(),
            runs=tuple(_run(made, name, seed, failed, best[seed]) for seed in made.seeds),
        )
        for name, cell in made.cells.items()
    ]
    if not any(run.trained for cell in cells for run in cell.runs):
        raise UserError("no policy came to its end; what each said stands above.")
    return Lab(
        title=made.recipe.name,
        seeds=made.seeds,
        algorithm=made.config.algorithm,
        num_prompts=made.config.num_prompts,
        best_of=made.config.best_of,
        cells=tuple(told(cell, cells[0], made.seeds[0]) for cell in cells),
    )


def _best_of(step: Step | None) -> BestOf | None:
    if step is None or not (step.out / layout.FINISHED).is_file():
        return None
    return read_document(step.out / layout.BEST_OF, BestOf)


def _run(made: Plans, name: str, seed: int, failed: Failures, best: BestOf | None) -> LabRun:
    """A cell with one seed. Without the best of n nobody knows what a deviation is, and nothing is told."""
    trial = made.trials[f"{name}/{seed}"]
    why = failed.get(trial.name) or (None if best else "its best of n failed, by which deviations are known")
    if why is not None or best is None:
        return LabRun(seed=seed, failed=why)
    curve = best.curves[name] if name in best.curves else _of_same(made, trial, best)
    evaluation = read_document(trial.evaluation.out / layout.EVALUATION, Evaluation)
    trained = points(evaluation, score=curve.deviation, gold=best.deviation)
    rows = [row for _, row in read_rows(trial.policy.out / layout.METRICS)]
    result = read_document(trial.reward.step.out / layout.FINISHED, Finished).result
    return LabRun(
        seed=seed,
        accuracy=result.get("accuracy"),
        trained=trained,
        chosen=chosen(curve, gold=best.deviation) if name in best.curves else (),
        turned=turned(trained),
        alarms=alarms(rows, lambda some: signs.of_training(some, kl_limit=None)),
    )


def _of_same(made: Plans, trial: Trial, best: BestOf) -> BestOfCurve:
    """The curve of a cell that asks the same reward in the same way, where there is one; else of the same model."""
    cell = made.cells[trial.cell]

    def alike(name: str) -> int:
        other: Cell = made.cells[name]
        same = made.trials[f"{name}/{trial.seed}"].reward.name == trial.reward.name
        return 2 * same + (other.combine == cell.combine)

    name = max(best.curves, key=alike)
    return best.curves[name]


def points(evaluation: Evaluation, *, score: float, gold: float) -> tuple[Point, ...]:
    """A policy as it was kept, from its beginning, as gains. Args: score, gold: what a deviation is of each."""
    start = evaluation.models[evaluation.reference].validation
    begun = [Point(place=0, kl=0.0, proxy=0.0, gold=0.0)]
    kept = sorted((m for m in evaluation.models.values() if m.step is not None), key=lambda m: m.step or 0)
    return (*begun, *(_point(m.step or 0, m.validation, start, score=score, gold=gold) for m in kept))


def _point(place: int, split: Split, start: Split, *, score: float, gold: float) -> Point:
    utility, before = split.measured("utility"), _known(start.measured("utility"))
    ends = bounds(utility)
    return Point(
        place=place,
        kl=max(0.0, _known(split.kl_nats)),
        proxy=(_known(split.score) - _known(start.score)) / score,
        gold=(_known(utility) - before) / gold,
        low=ends and (ends[0] - before) / gold,
        high=ends and (ends[1] - before) / gold,
    )


def _known(measured: Any) -> float:
    value = mean(measured)
    assert value is not None  # scored and judged by gold: the plans see to it
    return value


def chosen(curve: BestOfCurve, *, gold: float) -> tuple[Point, ...]:
    """The best of n as gains over the best of 1."""
    first = curve.points[0]

    def point(each: Any) -> Point:
        ends = bounds(each.utility)
        return Point(
            place=each.n,
            kl=each.kl,
            proxy=(each.score.mean - first.score.mean) / curve.deviation,
            gold=(each.utility.mean - first.utility.mean) / gold,
            low=ends and (ends[0] - first.utility.mean) / gold,
            high=ends and (ends[1] - first.utility.mean) / gold,
        )

    return tuple(map(point, curve.points))


def turned(trained: Sequence[Point]) -> Turned:
    """Where gold was highest."""
    turn = laws.turn([point.gold for point in trained], [point.proxy for point in trained])
    top, end = trained[turn.index], trained[-1]
    low = top.gold if top.low is None else top.low
    return Turned(
        place=top.place,
        kl=top.kl,
        rise=turn.rise,
        fall=turn.fall,
        fall_low=None if end.high is None else low - end.high,
        proxy_rise=turn.proxy_rise,
    )


def alarms(
    rows: Sequence[Mapping[str, Any]], judged: Callable[[Sequence[Mapping[str, Any]]], Sequence[signs.Sign]]
) -> dict[str, int]:
    """Rule -> the step after which it raised an alarm first, if it is looked at after every step of a run."""
    first: dict[str, int] = {}
    for num in range(1, len(rows) + 1):
        for sign in judged(rows[:num]):
            if sign.level == "alarm":
                first.setdefault(sign.name, num)
    return first


def told(cell: LabCell, first: LabCell, seed: int) -> LabCell:
    """A cell with what its seeds say together. Args: seed: of the bootstrap."""
    ran = {run.seed: run for run in cell.runs if run.trained}
    ends = {number: run.trained[-1].gold for number, run in ran.items()}
    best = {number: run.chosen[-1].gold for number, run in ran.items() if run.chosen}
    others = {run.seed: run for run in first.runs if run.trained}
    return cell.model_copy(
        update={
            "rl": law([run.trained for run in ran.values()], "rl", seed),
            "best_of_n": law([run.chosen for run in ran.values() if run.chosen], "best_of_n", seed),
            "end": _over_seeds([*ends.values()]),
            "chosen_end": _over_seeds([*best.values()]),
            "ahead": _ahead(ends, {number: run.trained[-1].gold for number, run in others.items()}, cell is first),
            "chosen_ahead": _ahead(
                best, {number: run.chosen[-1].gold for number, run in others.items() if run.chosen}, cell is first
            ),
        }
    )


def law(curves: Sequence[Sequence[Point]], kind: laws.Law, seed: int) -> Law | None:
    """The law of gold's gains over all seeds; None without points enough on each curve."""
    spread = [([math.sqrt(p.kl) for p in curve], [p.gold for p in curve]) for curve in curves]
    if not spread or any(len({place for place in d if place > 0}) < 3 for d, _ in spread):
        return None
    fit = laws.pooled(spread, law=kind)
    ends = (
        laws.bootstrap(spread, law=kind, confidence=CONFIDENCE, resamples=RESAMPLES, seed=seed)
        if len(spread) > 1
        else None
    )
    a, b = (
        Interval(mean=value) if ends is None else Interval(mean=value, low=float(ends[0, i]), high=float(ends[1, i]))
        for i, value in enumerate((fit.a, fit.b))
    )
    top = laws.peak(a=fit.a, b=fit.b, law=kind)
    return Law(law=kind, a=a, b=b, r2=fit.r2, num_points=fit.num, peak_kl=None if top is None else top * top)


def _over_seeds(values: Sequence[float]) -> Interval | None:
    if not values:
        return None
    average = sum(values) / len(values)
    if len(values) == 1:
        return Interval(mean=average)
    low, high = mean_interval(values, confidence=CONFIDENCE)
    return Interval(mean=average, low=low, high=high)


def _ahead(ours: Mapping[int, float], theirs: Mapping[int, float], is_first: bool) -> Interval | None:
    """The difference to the first cell, seed by seed; none of the first itself."""
    both = [number for number in ours if number in theirs]
    return None if is_first else _over_seeds([ours[number] - theirs[number] for number in both])
