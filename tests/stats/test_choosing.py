import numpy as np
import pytest

from prefloop.stats.choosing import (
    bald,
    ensemble_disagreement,
    farthest_points,
    hajek,
    mixture_inclusion,
    mixture_sample,
    tag_coverage,
)

# Strategies


def test_bald_of_two_members_by_hand():
    """0.9 and 0.1: H(1/2) - H(0.9) = 0.693147 - 0.325083. Both 1/2, or both 0.9: nothing to learn. 1 and 0: log 2."""
    learned = bald([[0.9, 0.5, 0.9, 1.0], [0.1, 0.5, 0.9, 0.0]])
    assert learned == pytest.approx([0.368064, 0.0, 0.0, np.log(2)], abs=1e-6)


def test_bald_laws(rng: np.random.Generator):
    """Within [0, log 2]; members in any order; the sides of a pair are no matter."""
    p = rng.random((5, 40))
    assert bald(p).min() >= 0
    assert bald(p).max() <= np.log(2)
    assert bald(p[::-1]) == pytest.approx(bald(p))
    assert bald(1 - p) == pytest.approx(bald(p))
    assert ensemble_disagreement([[1.0, 2.0], [3.0, 2.0]]) == pytest.approx([np.sqrt(2), 0])
    with pytest.raises(ValueError, match="probabilities"):
        bald([[1.5]])


def test_farthest_points_by_hand():
    """On a line 0, 1, 2, 10: nearest to the mean 3.25 is 2, then 10, then 0; with 10 labelled, 0 first."""
    line = np.array([[0.0], [1.0], [2.0], [10.0]])
    assert farthest_points(line, num=3).tolist() == [2, 3, 0]
    assert farthest_points(line, num=2, labelled=[3]).tolist() == [0, 2]
    assert sorted(farthest_points(line, num=4).tolist()) == [0, 1, 2, 3]
    assert farthest_points(np.zeros((3, 2)), num=3).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="cannot choose 4"):
        farthest_points(line, num=4, labelled=[0])


def test_farthest_points_cover(rng: np.random.Generator):
    """Of ten tight groups each gets one, where random draws miss some."""
    groups = np.repeat(np.arange(10), 20)
    points = rng.normal(size=(10, 5))[groups] * 20 + rng.normal(size=(200, 5)) * 0.1
    assert len(set(groups[farthest_points(points, num=10)].tolist())) == 10
    assert len(set(groups[rng.choice(200, 10, replace=False)].tolist())) < 10


# The mixture


def test_inclusion_by_hand():
    """10 items, 4 places, half for a strategy that wants item 0 alone: 0 is sure, the others share 3 places."""
    sure = mixture_inclusion({"bald": np.eye(10)[0]}, {"bald": 0.5, "random": 0.5}, num_items=10, num=4)
    assert sure == pytest.approx([1.0] + [1 / 3] * 9)
    even = mixture_inclusion({"bald": np.zeros(10)}, {"bald": 0.5, "random": 0.5}, num_items=10, num=4)
    assert even == pytest.approx([0.4] * 10)
    two = mixture_inclusion({"bald": np.r_[3, 1, np.zeros(18)]}, {"bald": 0.2, "random": 0.8}, num_items=20, num=2)
    assert two[:3] == pytest.approx([0.2 * 2 * 0.75 + 0.08, 0.2 * 2 * 0.25 + 0.08, 0.08])


def test_inclusion_laws(rng: np.random.Generator):
    """Sums to the number of places, within (0, 1], nobody below the random share, higher scores no less often."""
    scores = {"bald": rng.exponential(size=50) ** 4, "far": rng.random(50)}
    shares = {"bald": 0.6, "far": 0.1, "random": 0.3}
    for num in (1, 10, 35, 50):
        inclusion = mixture_inclusion(scores, shares, num_items=50, num=num)
        assert inclusion.sum() == pytest.approx(num)
        assert inclusion.max() <= 1
        assert inclusion.min() >= 0.3 * num / 50 - 1e-12
    only = mixture_inclusion({"bald": scores["bald"]}, {"bald": 0.7, "random": 0.3}, num_items=50, num=10)
    assert (np.diff(only[np.argsort(scores["bald"])]) >= -1e-12).all()


def test_draws_have_the_probabilities_they_claim(rng: np.random.Generator):
    """No item twice, always m of them, and over 4000 draws as often as said."""
    scores, shares = {"bald": np.arange(12.0) ** 2}, {"bald": 0.7, "random": 0.3}
    times, claimed = np.zeros(12), mixture_inclusion(scores, shares, num_items=12, num=5)
    for _ in range(4000):
        sample = mixture_sample(scores, shares, num_items=12, num=5, rng=rng)
        assert len(set(sample.chosen.tolist())) == 5
        assert sample.inclusion.tolist() == claimed.tolist()
        times[sample.chosen] += 1
    assert times / 4000 == pytest.approx(claimed, abs=4 * 0.5 / np.sqrt(4000))
    assert claimed[11] > 2 * claimed[0]


@pytest.mark.parametrize(
    ("score", "shares", "sentence"),
    [
        (1.0, {"bald": 0.9, "random": 0.1}, "at least 20%"),
        (1.0, {"random": 1.0}, "sum to 1"),
        (-1.0, {"bald": 0.5, "random": 0.5}, "finite scores"),
    ],
)
def test_a_mixture_needs_its_random_share(score: float, shares: dict[str, float], sentence: str):
    with pytest.raises(ValueError, match=sentence):
        mixture_inclusion({"bald": np.full(5, score)}, shares, num_items=5, num=2)


# Estimates


def test_estimate_by_hand():
    """Values 1, 0, 1 with probabilities 1, 1/2, 1/4 stand for 1 + 2 + 4 items: (1 + 4) / 7; all judged leaves no
    error."""
    assert hajek([1, 0, 1], [1.0, 0.5, 0.25]).mean == pytest.approx(5 / 7)
    assert hajek([1, 0], [1, 1]).standard_error == 0.0
    alike = hajek([1, 1, 1], [0.2, 0.5, 0.9])
    assert (alike.mean, alike.standard_error) == pytest.approx((1.0, 0.0), abs=1e-12)
    with pytest.raises(ValueError, match=r"in \(0, 1\]"):
        hajek([1, 0], [0.0, 0.5])


def test_equal_chances_are_a_plain_mean(rng: np.random.Generator):
    """50 of 200 at random: the mean, with the textbook error s sqrt((1 - 1/4) / 50)."""
    values = rng.normal(size=50)
    estimate = hajek(values, np.full(50, 0.25))
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.standard_error == pytest.approx(values.std(ddof=1) * np.sqrt(0.75 / 50))


def test_weighting_undoes_the_choice_of_hard_items(rng: np.random.Generator):
    """Accuracy is 80 % over all items; those chosen are harder. Plain is far off, weighted is not, and 95 % of its
    intervals hold the truth (standard error 1 point)."""
    hardness = rng.random(1000)
    right = (rng.random(1000) < 1 - 0.4 * hardness).astype(float)
    scores, shares = {"bald": hardness**3}, {"bald": 0.7, "random": 0.3}
    rows = []
    for _ in range(500):
        sample = mixture_sample(scores, shares, num_items=1000, num=150, rng=rng)
        values = right[sample.chosen]
        weighted = hajek(values, sample.inclusion[sample.chosen])
        rows.append((values.mean(), weighted.mean, weighted.standard_error))
    plain, mean, error = np.array(rows).T
    truth = right.mean()
    assert plain.mean() < truth - 0.07
    assert mean.mean() == pytest.approx(truth, abs=0.008)
    assert 0.92 < np.mean(np.abs(mean - truth) < 1.96 * error) < 0.98


# Coverage


def test_a_red_team_tag_is_never_silently_empty():
    tags = [["refund"], ["refund", "angry"], ["refund"], []]
    table = tag_coverage(tags, [0, 2], floors={"red-team": 2, "angry": 1})
    assert [(t.tag, t.available, t.chosen, t.missing) for t in table] == [
        ("angry", 1, 0, 1),
        ("red-team", 0, 0, 2),
        ("refund", 3, 2, 0),
    ]
    assert table[0].sentence == "tag `angry`: 0 chosen, 1 asked for, 1 are available"
    assert table[1].sentence == "tag `red-team`: 0 chosen, 2 asked for, there is none at all"
    assert table[2].sentence == ""
