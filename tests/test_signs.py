"""Every rule at its threshold, by hand; without one of its numbers it is unchecked."""

import math
from typing import Any

import pytest

from prefloop import signs
from prefloop.records.evaluations import Evaluation, GoldNumbers, Interval, Model, RewardCheck, Split


@pytest.mark.parametrize(
    ("name", "fine", "alarm"),
    [
        ("kl", {"value": 8.0, "limit": 8.0}, {"value": 8.01}),
        ("harmful", {"sft": 0.1, "final": 0.119}, {"final": 0.121}),
        ("over_refusal", {"sft": 0.1, "final": 0.05}, {"final": 0.121}),
        ("repetition", {"sft": 0.0, "final": 0.02}, {"final": 0.021}),
        ("finished", {"value": 0.9}, {"value": 0.89}),
        ("length", {"sft": 20.0, "final": 30.0}, {"final": 30.1}),
        ("length", {"sft": 20.0, "final": 10.0}, {"final": 9.9}),
        ("suspicious", {"value": 0.95}, {"value": 0.951}),
        ("memorises", {"value": 0.7, "high": 0.75, "training": 0.79}, {"training": 0.81}),
        ("memorises", {"value": 0.5, "high": 0.7, "training": 0.7}, {"high": 0.69}),
        ("above_bayes", {"value": 0.85, "low": 0.8, "best": 0.8}, {"low": 0.81}),
        ("length_only", {"value": 0.7, "low": 0.6, "length": 0.6}, {"low": 0.59}),
        ("too_few", {"value": 0.7, "low": 0.6, "high": 0.79, "num": 90}, {"low": 0.58}),
        ("coin", {"value": 0.6, "low": 0.51}, {"low": 0.5}),
        ("beside_length", {"value": 0.1, "low": 0.01, "other": 0.6}, {"low": 0.0}),
        ("beside_words", {"value": 0.1, "low": 0.01, "high": 0.2, "other": 0.6}, {"low": 0.0}),
        ("beside_words", {"value": -0.1, "low": -0.2, "high": -0.01, "other": 0.6}, {"high": 0.0}),
        ("below_words", {"value": -0.1, "high": 0.0, "other": 0.6}, {"high": -0.01}),
        ("easy", {"value": 0.95}, {"value": 0.951}),
        ("above_ceiling", {"value": 0.9, "low": 0.85, "ceiling": 0.85}, {"low": 0.86}),
        ("leak", {"value": 0.05}, {"value": 0.051}),
        ("miscalibrated", {"value": 0.07, "chance": 0.02}, {"value": 0.071}),
        ("shortcut", {"kind": "", "value": 0.0, "token": ""}, {"kind": "courtesy"}),
        ("blind", {"kind": "", "value": 0.0}, {"kind": "digit"}),
        ("noisy", {"value": 0.33}, {"value": 0.34}),
        ("weak_domain", {"domain": "a", "value": 0.5, "high": 0.7, "accuracy": 0.74}, {"accuracy": 0.76}),
        ("first_ratio", {"value": 1e-6}, {"value": 1e-4}),
        ("clipped", {"value": 0.3}, {"value": 0.31}),
        ("entropy", {"before": 1.0, "after": 0.2}, {"after": 0.19}),
        ("cut_off", {"s0": 0.0, "s1": 1.0, "before": 0.95, "after": 0.9}, {"after": 0.89}),
        ("cut_off", {"s0": 1.0, "s1": 1.0, "before": 0.95, "after": 0.8}, {"s1": 1.01}),
        ("cut_off", {"s0": 0.0, "s1": 1.0, "before": 0.5, "after": 0.5}, {"before": 0.51}),
        ("over_optimised", {"before": "a", "after": "b", "s0": 0, "s1": 1, "u0": 0.5, "u1": 0.5}, {"u1": 0.49}),
        ("over_optimised", {"before": "a", "after": "b", "s0": 1, "s1": 1, "u0": 0.5, "u1": 0.4}, {"s0": 0.9}),
    ],
)
def test_a_rule_at_its_threshold(name: str, fine: dict[str, Any], alarm: dict[str, Any]):
    assert signs.sign(name, **fine).level == "fine"
    assert signs.sign(name, **fine | alarm).level == "alarm"
    for absent in fine:
        assert signs.sign(name, **fine | alarm | {absent: None}).level == "unchecked"
    limit = signs.RULES[name].limit
    assert signs.sign(name, **fine).values == (fine if limit is None else {**fine, "limit": limit})


def split(score: float, utility: float, **numbers: Any) -> Split:
    shares: Any = {"satisfied": None, "harmful": Interval(mean=0.1), "over_refusal": None, "axes": {}, "by_tag": {}}
    gold = GoldNumbers(utility=Interval(mean=utility), **shares)
    usual: Any = {"kl_nats": Interval(mean=5.0), "length": 20.0, "finished": 1.0, "distinct_2": 1.0, "repetition": 0.0}
    return Split(num_prompts=9, score=Interval(mean=score), gold=gold, win_rate=None, **usual | numbers)


def evaluation(*checkpoints: Split, **numbers: Any) -> Evaluation:
    """A reference, the selected model of step 1, and later checkpoints."""
    sft, final = split(0.0, 0.5), split(1.0, 0.6, **numbers)
    validation = {"reference": sft, **{f"step-{i}": s for i, s in enumerate((final, *checkpoints), start=1)}}
    test = {"reference": sft, "step-1": final}
    models = {
        name: Model(path="", fingerprint="", step=i or None, validation=own, test=test.get(name), ood=None)
        for i, (name, own) in enumerate(validation.items())
    }
    check = RewardCheck.model_construct(
        accuracy_labels=0.7, accuracy_labels_low=0.65, bayes_accuracy=0.8, length_only_accuracy=0.6
    )
    words: Any = {"reason": "", "kl_estimator": "", "judge": "gold"}
    return Evaluation(
        **words,
        reference="reference",
        selected="step-1",
        kl_limit=8.0,
        models=models,
        demonstrations=None,
        reward_model=check,
        samples=(),
    )


def levels(said: list[signs.Sign]) -> dict[str, str]:
    return {sign.name: sign.level for sign in said}


def test_an_evaluation():
    """The selected model beside the reference: what was not measured is unchecked, and all without an evaluation."""
    sound = levels(signs.of_evaluation(evaluation()))
    assert [name for name, level in sound.items() if level == "unchecked"] == ["over_refusal"]
    assert set(sound.values()) == {"fine", "unchecked"}
    assert levels(signs.of_evaluation(None)) == dict.fromkeys(sound, "unchecked")
    bad = levels(signs.of_evaluation(evaluation(kl_nats=Interval(mean=9.0), length=31.0, finished=0.8, repetition=0.1)))
    assert {name for name, level in bad.items() if level == "alarm"} == {"kl", "length", "finished", "repetition"}


def test_over_optimised_from_the_selected_model_to_a_later_one():
    """The later checkpoint scores more, and people like it less; one that scores less is no sign."""
    assert levels(signs.of_evaluation(evaluation(split(0.5, 0.1))))["over_optimised"] == "fine"
    (sign,) = (
        s for s in signs.of_evaluation(evaluation(split(0.5, 0.1), split(1.1, 0.5))) if s.name == "over_optimised"
    )
    assert (sign.level, sign.values["before"], sign.values["after"]) == ("alarm", "step-1", "step-3")


def rows(num: int, **metrics: Any) -> list[dict[str, float | None]]:
    """num steps; a metric is its value at each step, or a function of the share done."""
    usual: Any = {
        "scores/mean": 0.0,
        "rollouts/finished": 1.0,
        "rewards/kl": 1.0,
        "ratio/clipped": 0.1,
        "entropy/mean": 1.0,
    }
    usual |= {"ratio/first_error": 0.0} | {name.replace("_", "/", 1): value for name, value in metrics.items()}
    return [{k: v(i / num) if callable(v) else v for k, v in usual.items()} | {"step": i} for i in range(num)]


@pytest.mark.parametrize(
    ("metrics", "alarms"),
    [
        ({}, set()),
        ({"rewards_kl": lambda done: 20 * done}, {"kl"}),
        ({"rewards_kl": lambda done: 20 * (done == 0.5)}, set()),
        ({"ratio_clipped": lambda done: 0.5 * (done >= 0.8)}, {"clipped"}),
        ({"ratio_clipped": lambda done: 0.5 * (done < 0.2)}, set()),
        ({"ratio_first_error": lambda done: 0.01 * (done == 0.5)}, {"first_ratio"}),
        ({"entropy_mean": lambda done: 2 * math.exp(-4 * done)}, {"entropy"}),
        ({"entropy_mean": lambda done: 2 * math.exp(-done)}, set()),
        ({"entropy_mean": lambda done: 0.0 if done == 0.5 else 1.0}, set()),
        ({"groups_flat": lambda done: done}, set()),
        ({"groups_flat": lambda done: 0.5 + done / 2}, {"flat"}),
        ({"pairs_used": 0.2}, set()),
        ({"pairs_used": lambda done: 0.5 * (done < 0.8)}, {"flat"}),
        ({"scores_mean": lambda done: done, "rollouts_finished": lambda done: 1 - done / 2}, {"cut_off", "endless"}),
        ({"scores_mean": lambda done: -done, "rollouts_finished": lambda done: 1 - done / 2}, {"endless"}),
        ({"scores_mean": lambda done: done, "rollouts_finished": 0.5}, set()),
        ({"rewards_kl": lambda done: math.nan if done < 0.95 else None}, set()),
    ],
)
def test_a_run_that_goes_on(metrics: dict[str, Any], alarms: set[str]):
    """The mean of the last fifth counts, but a first ratio that is not 1 counts wherever it was."""
    said = levels(signs.of_training(rows(100, **metrics), kl_limit=8.0))
    assert {name for name, level in said.items() if level == "alarm"} == alarms


@pytest.mark.parametrize(
    ("num", "checked"),
    [
        (0, {"nan"}),
        (4, {"nan", "first_ratio"}),
        (5, {"nan", "first_ratio", "clipped", "entropy", "cut_off", "endless", "negative_kl"}),
    ],
)
def test_a_run_that_has_hardly_begun(num: int, checked: set[str]):
    """One bad first ratio is enough; of a few noisy steps nothing else is said, and of drift nothing without a
    limit."""
    said = levels(signs.of_training(rows(num), kl_limit=None))
    assert {name for name, level in said.items() if level == "fine"} == checked
