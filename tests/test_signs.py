"""Every rule at its threshold, by hand; without one of its numbers it is unchecked."""

import math
import re
from pathlib import Path
from typing import Any

import pytest

from prefloop import signs
from prefloop.records.cards import Share
from prefloop.records.evaluations import Evaluation, GoldNumbers, Interval, Model, RewardCheck, Split
from prefloop.records.lineages import Lineage, Round
from prefloop.records.runs import Artefact


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
        ("shallow", {"paid": "length", "value": 0.8}, {"value": -0.81}),
        ("nan", {"what": ""}, {"what": "loss/policy, step 3"}),
        ("other_sampling", {"value": 5.0, "said": 0.1}, {"value": 5.01}),
        ("other_sampling", {"value": -5.0, "said": 0.1}, {"value": -5.01}),
        ("policy_kl", {"value": 0.05}, {"value": 0.051}),
        ("grad_spike", {"value": 10.0, "usual": 1.0}, {"value": 10.1}),
        ("advantage_scale", {"before": 1.0, "after": 10.0}, {"after": 10.1}),
        ("critic_blind", {"value": 0.01}, {"value": 0.0}),
        ("value_loss", {"before": 1.0, "after": 4.0}, {"after": 4.1}),
        ("negative_kl", {"value": -0.1}, {"value": -0.11}),
        ("wandering_kl", {"value": 0.5}, {"value": 0.51}),
        ("endless", {"before": 0.1, "after": 0.249}, {"after": 0.251}),
        ("repeats", {"before": 0.1, "after": 0.149}, {"after": 0.151}),
        ("stuffing", {"before": 0.1, "after": 0.139}, {"after": 0.141}),
        ("empty", {"before": 0.1, "after": 0.149}, {"after": 0.151}),
        ("at_once", {"before": 0.1, "after": 0.199}, {"after": 0.201}),
        ("copies_prompt", {"before": 0.1, "after": 0.149}, {"after": 0.151}),
        ("language", {"before": 0.1, "after": 0.129}, {"after": 0.131}),
        ("gibberish", {"before": 0.5, "after": 1.0}, {"after": 1.01}),
        ("mode_collapse", {"before": 1.0, "after": 0.6}, {"after": 0.59}),
        ("same_start", {"before": 0.1, "after": 0.499}, {"after": 0.501}),
        ("length_drift", {"before": 20.0, "after": 30.0}, {"after": 30.1}),
        ("length_drift", {"before": 20.0, "after": 10.0}, {"after": 9.9}),
        ("disagreement", {"s0": 0.0, "s1": 1.0, "before": 0.1, "after": 0.2}, {"after": 0.21}),
        ("disagreement", {"s0": 1.0, "s1": 1.0, "before": 0.1, "after": 0.9}, {"s1": 1.1}),
        ("unusual", {"before": 0.1, "after": 0.299}, {"after": 0.301}),
        ("hacking", {"by": "people", "s0": 0.0, "s1": 1.0, "o0": 0.5, "o1": 0.5}, {"o1": 0.49}),
        ("hacking", {"by": "people", "s0": 1.0, "s1": 1.0, "o0": 0.5, "o1": 0.4}, {"s1": 1.1}),
        ("past_peak", {"value": 9.0, "peak": 9.0}, {"value": 9.1}),
        ("stale", {"value": 0.6, "high": 0.65, "then": 0.69}, {"high": 0.63}),
        ("never_stops", {"value": 0.9}, {"value": 0.89}),
        ("memorised", {"training": 0.5, "value": 1.0}, {"training": 0.49}),
        ("overfit", {"best": 1.0, "value": 1.05}, {"value": 1.06}),
        ("chosen_falls", {"c0": -9.0, "c1": -20.0, "before": 1.0, "after": 0.5}, {"after": 0.49}),
        ("chosen_falls", {"c0": -9.0, "c1": -9.0, "before": 1.0, "after": 0.4}, {"c1": -9.1}),
        ("forgetting", {"skill": "copying", "value": 0.2, "low": 0.1, "most": 0.1}, {"low": 0.11}),
        ("false_confidence", {"value": 0.5}, {"value": 0.51}),
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
        ({"rewards_kl": lambda done: 1.0 - 2 * done}, {"negative_kl"}),
        ({"rewards_kl": lambda done: 1.0 + round(100 * done) % 2}, {"wandering_kl"}),
        ({"rewards_kl": lambda done: 0.2 * (round(100 * done) % 2)}, set()),  # too small to wander
        ({"rewards_kl": lambda done: 6.0 * done}, set()),
        ({"ratio_kl": lambda done: 0.2 * (done >= 0.8)}, {"policy_kl"}),
        ({"ratio_kl": lambda done: 9.0 * (done == 0.9)}, set()),  # one token whose ratio is far off
        ({"grad_norm": lambda done: 1.0 + 10 * (done == 0.9)}, {"grad_spike"}),
        ({"grad_norm": lambda done: 1.0 + 10 * (done == 0.5)}, set()),  # long ago
        ({"grad_norm": lambda done: 1.0 if done < 0.2 else 0.01 + (done == 0.9)}, set()),  # as in the beginning
        ({"grad_norm": 0.0}, set()),
        ({"values_explained_variance": lambda done: -done}, {"critic_blind"}),
        ({"values_explained_variance": lambda done: 0.1 if done == 0.03 else -1.0}, set()),
        ({"loss_value": lambda done: 0.1 + done}, {"value_loss"}),
        ({"loss_value": 2.1, "scores_std": 1.0, "values_explained_variance": -3.1}, {"value_loss", "critic_blind"}),
        ({"loss_value": 1.9, "scores_std": 1.0, "values_explained_variance": -3.1}, {"critic_blind"}),  # all solved
        ({"loss_value": 2.1, "scores_std": 1.0, "values_explained_variance": 0.1}, set()),  # penalties are paid too
        ({"loss_policy": lambda done: None if done == 0.5 else 0.1}, {"nan"}),
        ({"advantages_std": lambda done: 0.1 + 20 * done**2}, {"advantage_scale"}),
        ({"advantages_std": 1.0}, set()),
        ({"responses_repetition": lambda done: done}, {"repeats"}),
        ({"responses_repetition": lambda done: 0.9 - done / 2}, set()),
        ({"responses_top_word": lambda done: 0.05 + done / 5}, {"stuffing"}),
        ({"responses_empty": lambda done: done}, {"empty"}),
        ({"responses_empty": 0.9}, set()),  # so it was before
        ({"responses_at_once": lambda done: done}, {"at_once"}),
        ({"responses_copied": lambda done: done}, {"copies_prompt"}),
        ({"responses_other_script": lambda done: done}, {"language"}),
        ({"responses_surprise": lambda done: 0.4 + 2 * done}, {"gibberish"}),
        ({"responses_distinct_2": lambda done: 0.5 - done / 2}, {"mode_collapse"}),
        ({"responses_first_token": lambda done: 0.4 + 0.6 * done}, {"same_start"}),
        ({"rollouts_length": lambda done: 20 + 20 * done}, {"length_drift"}),
        ({"rollouts_length": lambda done: 20 - 18 * done}, {"length_drift"}),
        ({"scores_unusual": lambda done: done}, {"unusual"}),
        ({"pays_length": lambda done: -0.9 * (done >= 0.8), "pays_word": 0.99}, {"shallow"}),
        ({"pays_length": lambda done: 0.9 * (done < 0.8)}, set()),
        ({"pays_length": lambda done: 0.95 if done < 0.95 else 0.7}, {"shallow"}),  # of a fifth the last two are few
        ({"rollouts_length": lambda done: 20 + 12 * (done >= 0.8)}, {"length_drift"}),
        ({"rollouts_length": lambda done: 20 + 12 * (done >= 0.8) + 30 * (round(100 * done) % 2)}, set()),  # noise
        ({"scores_mean": lambda done: done, "scores_disagreement": lambda done: 0.1 + done}, {"disagreement"}),
        ({"scores_mean": lambda done: -done, "scores_disagreement": lambda done: 0.1 + done}, set()),
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
        (1, {"nan", "first_ratio"}),
        (4, {"nan", "first_ratio", "clipped"}),
        (5, {"nan", "first_ratio", "clipped", "entropy", "cut_off", "endless", "negative_kl"}),
    ],
)
def test_a_run_that_has_hardly_begun(num: int, checked: set[str]):
    """One bad first ratio is enough; of a few noisy steps nothing else is said, and of drift nothing without a
    limit."""
    said = levels(signs.of_training(rows(num), kl_limit=None))
    assert {name for name, level in said.items() if level == "fine"} == checked


@pytest.mark.parametrize(("num", "level"), [(7, "unchecked"), (8, "alarm")])
def test_a_critic_is_given_time(num: int, level: str):
    said = levels(signs.of_training(rows(num, values_explained_variance=-0.1), kl_limit=None))
    assert said["critic_blind"] == level


@pytest.mark.parametrize(("last", "level"), [(3.1, "fine"), (3.2, "alarm")])
def test_noise_by_hand(last: float, level: str):
    """The median jump of 0, 1, 0, 1, 0, 1, 2, last is 1, a deviation of 1 / 0.954 = 1.048, and so is the standard error
    of the difference of two means of two rows each: what rises must rise by 2.096, here from 0.5 to (2 + last) / 2."""
    made = [{"responses/empty": each} for each in (0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 2.0, last)]
    assert levels(signs.of_training(made, kl_limit=None))["empty"] == level


def test_what_a_stage_does_not_log_it_has_no_rule_for():
    said = levels(signs.of_training(rows(9), kl_limit=None))
    assert said.keys() == {
        "nan", "first_ratio", "clipped", "kl", "entropy", "cut_off", "endless", "negative_kl", "wandering_kl",
    }  # fmt: skip


@pytest.mark.parametrize(("num", "level"), [(1, "unchecked"), (2, "alarm"), (9, "alarm")])
def test_what_scores_go_with_is_said_after_two_steps(num: int, level: str):
    """It needs no beginning to compare with; the step before the last two counts no more."""
    made = [{"pays/length": 0.1, "pays/word": 0.7}, *[{"pays/length": -0.9, "pays/word": 0.98}] * num][-max(num, 1) :]
    (sign,) = [each for each in signs.of_training(made, kl_limit=None) if each.name == "shallow"]
    assert sign.level == level
    if level == "alarm":
        assert (sign.values["paid"], sign.values["value"]) == ("length", pytest.approx(-0.9))
        assert "长度" in signs.says(sign, "zh")


def test_the_first_that_is_no_number_is_named():
    said = signs.of_training([*rows(3), {"step": 3.0, "loss/policy": None, "grad/norm": None}], kl_limit=None)
    assert said[0].values == {"what": "loss/policy, step 3"}


@pytest.mark.parametrize(
    ("looks", "alarms"),
    [
        ([(-9.0, 1.0), (-30.0, 0.9)], set()),
        ([(-9.0, 1.0), (-30.0, 0.4)], {"chosen_falls"}),
        ([(-9.0, 1.0), (-8.0, 0.4)], set()),
        ([(-9.0, 1.0)], set()),
        ([(-9.0, 1.0), (-30.0, 0.4), (-8.0, 1.0)], set()),  # it came back
    ],
)
def test_preferences(looks: list[tuple[float, float]], alarms: set[str]):
    """Between looks at held-out rows there are many updates."""
    made: list[dict[str, float | None]] = []
    for chosen, spread in looks:
        made += [{"loss/train": 0.5}, {"logprobs/chosen_validation": chosen, "entropy/validation": spread}]
    assert {sign.name for sign in signs.of_direct(made) if sign.level == "alarm"} == alarms


def losses(*held: float, training: float) -> list[dict[str, float | None]]:
    return [
        {"step": i, "loss/train": training, "loss/validation": each, "grad/norm": 1.0} for i, each in enumerate(held)
    ]


@pytest.mark.parametrize(
    ("made", "finished", "alarms"),
    [
        (losses(1.0, 0.9, 0.8, 0.8, 0.8, training=0.8), 0.99, set()),
        (losses(1.0, 0.9, 0.8, 0.8, 0.8, training=0.8), 0.5, {"never_stops"}),
        (losses(1.0, 0.9, 0.8, 0.9, 0.9, training=0.8), 0.99, {"overfit"}),
        (losses(1.0, 0.9, 0.8, 0.8, 0.8, training=0.3), 0.99, {"memorised"}),
        (losses(1.0, training=0.3), None, set()),
    ],
)
def test_imitation(made: list[dict[str, float | None]], finished: float | None, alarms: set[str]):
    said = signs.of_imitation(made, finished=finished)
    assert {sign.name for sign in said if sign.level == "alarm"} == alarms


def test_the_last_reward_model_on_pairs_of_the_policy_of_now():
    """It may be right in five points less than on the pairs that it was made for; after rolling back what counts is the
    line that led to the head."""

    def share(mean: float) -> Share:
        return Share(mean=mean, low=mean - 0.02, high=mean + 0.02, num=700)

    policy = Artefact(path="p", fingerprint="f")
    rounds = (
        Round(name="1", number=1, parent="", incumbent=policy, fresh=share(0.7)),
        Round(name="2", number=2, parent="1", incumbent=policy, stale=share(0.6), fresh=share(0.7)),
        Round(name="2b", number=2, parent="1", incumbent=policy, stale=share(0.64), fresh=share(0.5)),
    )
    for head, level in (("2", "alarm"), ("2b", "fine"), ("1", "unchecked"), ("", "unchecked")):
        said = signs.of_lineage(Lineage(recipe="r", head=head, rounds=rounds))
        assert said.level == level
        if level == "alarm":
            assert said.values == {"value": 0.6, "high": 0.62, "then": 0.7, "limit": 0.05}


def test_what_nobody_can_know():
    assert signs.of_knowing({"false_confidence": 0.5, "copying": 0.9}) == []
    (said,) = signs.of_knowing({"false_confidence": 0.51})
    assert "51%" in signs.says(said)


SHOWN: dict[str, Any] = {"what": "loss/value, step 3", "by": "gold utility", "skill": "copying", "paid": "word"}


@pytest.mark.parametrize("name", signs.SENTENCES)
def test_a_rule_says_its_values_in_both_languages(name: str):
    """Every value in braces is one that the rule is given, and no threshold is written out."""
    told, rule = signs.SENTENCES[name], signs.RULES[name]
    code = rule.alarms.__code__
    given = {key: SHOWN.get(key, 0.25) for key in code.co_varnames[: code.co_argcount]}
    assert given.keys() >= ({"limit"} if rule.limit is not None else set())
    sign = signs.Sign(name, "alarm", given)
    for language in ("en", "zh"):
        for text in (
            signs.says(sign, language),
            signs.says(sign, language, change=False),
            signs.rule_of(name, language),
        ):
            assert text.strip()
            assert "{" not in text
    for both in (told.rule, told.found):
        assert not re.search(r"\d", re.sub(r"\{.*?\}", "", " ".join(both)))
    for both in (told.rule, told.found, told.change):
        fields = [set(re.findall(r"\{(\w+)\}", text)) for text in both]
        assert fields[0] == fields[1]


def test_every_rule_of_a_run_has_a_sentence_and_what_is_grave_is_one_of_them():
    names = {sign.name for sign in signs.of_training([], kl_limit=None)} | signs.training.BETWEEN.keys()
    names |= {sign.name for sign in (*signs.of_direct([]), *signs.of_imitation([], finished=None))}
    assert names <= signs.SENTENCES.keys()
    assert {name for name, rule in signs.RULES.items() if rule.stops} <= signs.SENTENCES.keys()


def test_the_page_of_signs_has_each_with_its_threshold():
    page = (Path(__file__).parents[1] / "docs" / "signs.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `(\w+)` \|[^|\n]*\|[^|\n]*\| ([^|\n]*) \|", page, flags=re.MULTILINE))
    assert table.keys() == signs.SENTENCES.keys()
    for name, told in table.items():
        limit = signs.RULES[name].limit
        assert (told == "–") if limit is None else (float(told.split()[0]) == limit), name
