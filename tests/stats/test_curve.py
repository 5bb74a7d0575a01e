"""What is planted is learned, what is noise is not, and no prompt is learned from and tried at once."""

import numpy as np
import pytest

from prefloop.stats import curve

GOOD, BAD = ["sorry", "refund", "soon", "parcel"], ["no", "wait", "never", "whatever"]
FILLER = ["the", "a", "we", "you", "of", "to", "in", "it", "is"]


def pairs(n: int, seed: int, *, noise: bool = False, prompts: int | None = None):
    """Pairs of which the first is better if it has more good words than the second; with noise nothing tells."""
    rng = np.random.default_rng(seed)
    texts = [
        [
            " ".join(rng.permutation([*rng.choice(GOOD, k), *rng.choice(BAD, 4 - k), *rng.choice(FILLER, 6)]))
            for k in rng.integers(0, 5, 2)
        ]
        for _ in range(n)
    ]
    good = np.array([[sum(word in GOOD for word in text.split()) for text in both] for both in texts])
    share = np.where(good[:, 0] == good[:, 1], 0.5, good[:, 0] > good[:, 1])
    if noise:
        share = rng.integers(0, 2, n).astype(float)
    names = [f"p{i % (prompts or n)}" for i in range(n)]
    return names, *([text[side] for text in texts] for side in (0, 1)), share


def learned(prompts: list[str], first: list[str], second: list[str], share: np.ndarray) -> list[curve.Point]:
    """The curve, of responses to prompts that say nothing."""
    return curve.learning_curve(curve.differences([""] * len(first), first, second), share, prompts)


def test_features_by_hand():
    hashed, marks = curve.marks("Order 12?", "order 12 order")
    assert sorted(hashed.values()) == pytest.approx([np.log1p(1)] * 3 + [np.log1p(2)])  # order twice, 12, two couples
    assert marks.tolist() == pytest.approx([np.log1p(3), 1.0, 1.0])
    row = curve.differences(["Order 12?"], ["order 12 order"], ["order"]).toarray()[0]
    assert row[-curve.MARKS :] == pytest.approx(marks - [np.log1p(1), 1.0, 0.0])
    assert row[: -curve.MARKS].sum() == pytest.approx(sum(hashed.values()) - np.log1p(1))


def test_chinese_is_read_by_letters():
    hashed, marks = curve.marks("包裹在哪里", "包裹在路上")
    assert len(hashed) == 9
    assert marks.tolist() == pytest.approx([np.log1p(5), 3 / 5, 0.0])


def test_weights_are_at_the_minimum():
    names, first, second, share = pairs(80, 1)
    features = curve.differences(names, first, second)
    weights = curve.learned(features, share)
    margin = features @ weights
    slope = features.T @ (1 / (1 + np.exp(-margin)) - share) + curve.RIDGE * weights
    assert np.abs(slope).max() < 1e-2


def test_what_is_planted_is_learned_and_more_labels_help():
    points = learned(*pairs(1600, 2))
    assert [point.num_pairs for point in points] == [20, 40, 80, 160, 320, 640, 1280]
    assert points[0].accuracy < points[3].accuracy - 0.03
    assert points[-1].accuracy > 0.97


def test_noise_is_not_learned():
    for point in learned(*pairs(800, 3, noise=True)):
        assert abs(point.accuracy - 0.5) < 4 * point.standard_error


def test_what_is_tried_was_not_learned_from():
    """Each prompt has the same two responses ten times with one answer: whoever looks it up is always right."""
    names, first, second, share = pairs(60, 4, noise=True)
    points = learned(names * 10, first * 10, second * 10, np.tile(share, 10))
    assert abs(points[-1].accuracy - 0.5) < 4 * points[-1].standard_error
    assert points[-1].standard_error > 0.04  # sixty prompts, not six hundred


def test_sides_do_not_matter():
    names, first, second, share = pairs(200, 5)
    points, mirrored = learned(names, first, second, share), learned(names, second, first, 1 - share)
    assert [point.accuracy for point in points] == pytest.approx([point.accuracy for point in mirrored], abs=0.01)


def test_too_little_is_no_curve():
    assert learned(*pairs(49, 6)) == learned(*pairs(200, 6, prompts=10)) == []
    names, first, second, share = pairs(200, 6)
    with pytest.raises(ValueError, match="a share and a prompt per pair"):
        learned(names, first, second, share[1:])
