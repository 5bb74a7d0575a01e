import dataclasses

import numpy as np
import pytest
from scipy import special

from prefloop.stats.crowd import CrowdPenalties, crowd_bradley_terry, crowd_surprise
from prefloop.stats.strengths import bradley_terry

PENALTIES = CrowdPenalties(strength=0.1, bias=1.0, ability=0.3, usual_ability=0.85)


def crowd(
    rng: np.random.Generator, abilities: np.ndarray, biases: np.ndarray, n: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """True strengths, and n judgements by each annotator."""
    strengths = np.linspace(-1.5, 1.5, 8)
    annotators = np.repeat(np.arange(len(abilities)), n)
    left = rng.integers(8, size=len(annotators))
    right = (left + rng.integers(1, 8, size=len(annotators))) % 8
    ability = abilities[annotators]
    p = ability * special.expit(strengths[left] - strengths[right] + biases[annotators]) + (1 - ability) / 2
    chose = (rng.random(len(p)) < p).astype(float)
    return strengths, {"left": left, "right": right, "annotators": annotators, "chose_left": chose}


@pytest.mark.parametrize("half", [False, True])
def test_slopes_by_finite_differences(half: bool):
    """Every slope of the likelihood, strengths, biases and abilities, also with ties as 1/2."""
    rng = np.random.default_rng(4)
    _, judged = crowd(rng, np.array([0.9, 0.3, 0.6]), np.array([0.5, 0.0, -1.0]), 40)
    if half:
        judged["chose_left"][::3] = 0.5
        judged["sided"] = (np.arange(120) % 4 > 0).astype(float)
    u, h = rng.normal(size=8 + 3 + 3), 1e-6

    def surprise(u: np.ndarray) -> float:
        return crowd_surprise(u[:8], u[8:11], u[11:], **judged)[0]

    slopes = np.concatenate(crowd_surprise(u[:8], u[8:11], u[11:], **judged)[1:])
    numeric = [(surprise(u + h * e) - surprise(u - h * e)) / (2 * h) for e in np.eye(14)]
    assert slopes == pytest.approx(np.array(numeric), abs=1e-5, rel=1e-5)
    assert np.abs(slopes).min() > 1e-4  # none of them is trivially 0


def test_probability_by_hand():
    """Ability 1/2, margin log 3: P = 1/2 * 3/4 + 1/4 = 5/8."""
    judged = {"left": [0], "right": [1], "annotators": [0], "chose_left": [1]}
    assert crowd_surprise([np.log(3), 0], [0.0], [0.0], **judged)[0] == pytest.approx(-np.log(5 / 8))
    assert crowd_surprise([0, 0], [np.log(3)], [0.0], **judged)[0] == pytest.approx(-np.log(5 / 8))


def test_who_looks_and_who_leans_is_recovered():
    """A coin tosser and one who leans left are found out, and strengths come out straighter than without."""
    rng = np.random.default_rng(5)
    abilities, biases = np.array([0.95, 0.95, 0.1, 0.9, 0.95]), np.array([0.0, 0.0, 0.0, 1.5, -0.8])
    truth, judged = crowd(rng, abilities, biases, 500)
    fitted = crowd_bradley_terry(**judged, num_players=8, num_annotators=5, penalties=PENALTIES)
    assert fitted.converged
    assert fitted.abilities.argmin() == 2
    assert fitted.abilities[2] < 0.4
    assert fitted.abilities[[0, 1, 3, 4]].min() > 0.7
    assert fitted.biases[[3, 4]] == pytest.approx([1.5, -0.8], abs=0.5)
    plain = bradley_terry(judged["left"], judged["right"], judged["chose_left"], num_players=8, ridge=0.1).strengths
    assert np.abs(fitted.strengths - truth).mean() < 0.6 * np.abs(plain - truth).mean()


def test_sides_mirror():
    """Swapping sides and choices turns biases round and leaves the rest."""
    _, judged = crowd(np.random.default_rng(6), np.array([0.9, 0.5]), np.array([0.7, 0.0]), 200)
    mirrored = judged | {"left": judged["right"], "right": judged["left"], "chose_left": 1 - judged["chose_left"]}
    sizes = {"num_players": 8, "num_annotators": 2, "penalties": PENALTIES}
    before, after = crowd_bradley_terry(**judged, **sizes), crowd_bradley_terry(**mirrored, **sizes)
    assert after.biases == pytest.approx(-before.biases, abs=1e-4)
    assert after.strengths == pytest.approx(before.strengths, abs=1e-4)
    assert after.abilities == pytest.approx(before.abilities, abs=1e-4)


def test_perfect_and_unbiased_is_bradley_terry():
    _, judged = crowd(np.random.default_rng(7), np.array([0.9, 0.9]), np.zeros(2), 200)
    stiff = CrowdPenalties(strength=0.4, bias=1e5, ability=1e5, usual_ability=1 - 1e-9)
    fitted = crowd_bradley_terry(**judged, num_players=8, num_annotators=2, penalties=stiff)
    plain = bradley_terry(judged["left"], judged["right"], judged["chose_left"], num_players=8, ridge=0.4)
    assert fitted.strengths == pytest.approx(plain.strengths, abs=1e-3)
    assert fitted.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-3)


@pytest.mark.parametrize(
    ("annotator", "changes", "sentence"),
    [(0, {"bias": 0.0}, "above 0"), (1, {}, "annotators must lie between 0 and 0")],
)
def test_judgements_that_are_none(annotator: int, changes: dict[str, float], sentence: str):
    penalties = dataclasses.replace(PENALTIES, **changes)
    with pytest.raises(ValueError, match=sentence):
        crowd_bradley_terry([0], [1], [annotator], [1], num_players=2, num_annotators=1, penalties=penalties)


def test_judgements_without_sides_say_nothing_of_a_bias():
    """All "chose the left": with sides a bias explains it, without them the left players are the better ones, each
    named
    as often; then it is no matter which of the two is called left."""
    n = 60
    left, right, chose = 2 * np.arange(n), 2 * np.arange(n) + 1, np.ones(n)
    sizes = {"num_players": 2 * n, "num_annotators": 1, "penalties": PENALTIES}
    sided = crowd_bradley_terry(left, right, np.zeros(n), chose, **sizes)
    unsided = crowd_bradley_terry(left, right, np.zeros(n), chose, **sizes, sided=np.zeros(n))
    assert sided.biases[0] > 2
    assert unsided.biases[0] == 0
    gaps = [fitted.strengths[::2] - fitted.strengths[1::2] for fitted in (sided, unsided)]
    assert gaps[1].min() > 2 > gaps[0].max()
    kept = np.arange(n) % 2 == 0
    turned = np.where(kept, left, right), np.where(kept, right, left), np.zeros(n), kept.astype(float)
    renamed = crowd_bradley_terry(*turned, **sizes, sided=np.zeros(n))
    assert renamed.strengths == pytest.approx(unsided.strengths, abs=1e-4)
    with pytest.raises(ValueError, match="one length"):
        crowd_bradley_terry(left, right, np.zeros(n), chose, **sizes, sided=[1])
