"""What is told of the runs: gains in deviations, where gold turned, when signs spoke, and who is ahead, by hand."""

import math
from typing import Any

import pytest

from prefloop.lab import measured
from prefloop.records.evaluations import Evaluation, Interval
from prefloop.records.overopt import BestOfCurve, BestOfPoint, LabCell, LabRun, Point
from prefloop.signs import sign


def split(score: float, utility: float, kl: float, half: float = 0.1) -> dict[str, Any]:
    def around(mean: float) -> dict[str, float]:
        return {"mean": mean, "low": mean - half, "high": mean + half}

    gold = {"utility": around(utility), "satisfied": None, "harmful": None, "over_refusal": None}
    numbers = {"num_prompts": 9, "score": around(score), "kl_nats": around(kl), "length": 9.0, "finished": 1.0}
    return numbers | {
        "distinct_2": 1.0,
        "repetition": 0.0,
        "gold": {**gold, "axes": {}, "by_tag": {}},
        "win_rate": None,
    }


def evaluation(**models: tuple[float, float, float]) -> Evaluation:
    """Name -> (score, utility, kl) of each model; of `step_8` the step is 8."""
    made = {
        name: {
            "path": name,
            "fingerprint": "f",
            "step": int(name[5:]) if name.startswith("step") else None,
            "validation": split(*numbers),
            "test": split(*numbers),
            "ood": None,
        }
        for name, numbers in models.items()
    }
    told = {"reference": "reference", "selected": "step_8", "reason": "r", "kl_limit": 8.0, "kl_estimator": "k"}
    more = {"judge": "gold", "models": made, "demonstrations": None, "reward_model": None, "samples": ()}
    return Evaluation.model_validate({**told, **more})


def test_gains_are_deviations_of_where_it_began():
    """A score's deviation is 2 and gold's 0.4: from (1, 0.6) to (4, 0.8) is 1.5 of the one and 0.5 of the other."""
    found = evaluation(reference=(1.0, 0.6, 0.0), step_8=(5.0, 0.4, 9.0), step_4=(4.0, 0.8, 2.0))
    points = measured.points(found, score=2.0, gold=0.4)
    assert [point.place for point in points] == [0, 4, 8]  # in the order of training
    assert points[0] == Point(place=0, kl=0.0, proxy=0.0, gold=0.0)
    assert (points[1].proxy, points[1].gold, points[1].kl) == (1.5, pytest.approx(0.5), 2.0)
    assert (points[1].low, points[1].high) == (pytest.approx(0.25), pytest.approx(0.75))
    turned = measured.turned(points)
    assert (turned.place, turned.kl, turned.rise, turned.fall) == (4, 2.0, pytest.approx(0.5), pytest.approx(1.0))
    assert turned.fall_low == pytest.approx(0.25 - (-0.25))  # the peak's low end less the end's high one
    assert turned.proxy_rise == pytest.approx(0.5)


def test_the_best_of_n_gains_over_the_best_of_one():
    points = [
        BestOfPoint(
            n=n, kl=kl, score=Interval(mean=score), utility=Interval(mean=gold, low=gold - 0.1, high=gold + 0.1)
        )
        for n, kl, score, gold in ((1, 0.0, 1.0, 0.5), (4, 0.6, 3.0, 0.7))
    ]
    one, four = measured.chosen(BestOfCurve(model="m", mean=1.0, deviation=4.0, points=tuple(points)), gold=0.4)
    assert (one.place, one.proxy, one.gold) == (1, 0.0, 0.0)
    assert (four.place, four.kl, four.proxy, four.gold) == (4, 0.6, 0.5, pytest.approx(0.5))
    assert (four.low, four.high) == (pytest.approx(0.25), pytest.approx(0.75))


def test_an_alarm_stands_at_the_step_after_which_it_was_first_raised():
    """A rule that looks at the last row's drift, and one that never speaks; the first alarm stays, whatever follows."""
    rows = [{"kl": kl} for kl in (1.0, 2.0, 9.0, 3.0, 11.0)]

    def judged(some: Any) -> list[Any]:
        return [sign("kl", value=some[-1]["kl"], limit=8.0), sign("finished", value=None)]

    assert measured.alarms(rows, judged) == {"kl": 3}
    assert measured.alarms(rows[:2], judged) == {}


def run(seed: int, *golds: float) -> LabRun:
    trained = tuple(Point(place=4 * i, kl=float(i * i), proxy=float(i), gold=gold) for i, gold in enumerate(golds))
    return LabRun(seed=seed, trained=trained, chosen=trained[:3], turned=measured.turned(trained))


def test_a_cell_is_ahead_seed_by_seed():
    """Ends 1, 2 and 3 against 0, 1.5 and 3 (and a seed that failed): 1, 0.5 and 0 ahead: 0.5 +- t s / root 3."""
    first = LabCell(name="one", settings={}, runs=tuple(run(s, 0.0, 0.1, end) for s, end in enumerate((0.0, 1.5, 3.0))))
    other = LabCell(
        name="min",
        settings={},
        runs=(*(run(s, 0.0, 0.1, end) for s, end in enumerate((1.0, 2.0, 3.0))), LabRun(seed=3, failed="it burned")),
    )
    told = measured.told(other, first, 0)
    assert told.end is not None
    assert told.end.mean == 2.0
    assert told.ahead is not None
    assert told.ahead.mean == pytest.approx(0.5)
    assert told.ahead.high == pytest.approx(0.5 + 4.302653 * 0.5 / math.sqrt(3))
    assert told.ahead.low is not None
    assert told.ahead.low < 0
    assert measured.told(first, first, 0).ahead is None


def test_a_law_is_of_all_seeds_and_needs_places_enough():
    curves = [run(0, 0.0, 1.0, 1.0, 0.0).trained, run(1, 0.0, 3.0, 3.0, 0.0).trained]
    both, alone = measured.law(curves, "best_of_n", 0), measured.law(curves[:1], "best_of_n", 0)
    assert both is not None
    assert alone is not None
    assert both.a.mean == pytest.approx(2 * alone.a.mean)  # the mean of a law and of three times it
    assert both.a.low == pytest.approx(alone.a.mean)
    assert alone.a.low is None  # one seed tells nothing of seeds
    assert both.peak_kl == pytest.approx((both.a.mean / (2 * both.b.mean)) ** 2)
    assert measured.law([run(0, 0.0, 1.0, 2.0).trained], "rl", 0) is None
