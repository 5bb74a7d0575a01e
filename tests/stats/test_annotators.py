import dataclasses

import numpy as np
import pytest
from scipy import special, stats

from prefloop.stats.annotators import (
    Judged,
    Norms,
    Report,
    annotator_report,
    consensus,
    drift,
    favoured_left,
    gold_accuracy,
    leaning,
    reading_speed,
    side_preference,
)

NORMS = Norms()


def judged(chose_left: list[float], left: list[int], right: list[int], gold: list[float] | None = None) -> Judged:
    """Judgements with the others' votes; nothing to say of length and speed."""
    n = len(chose_left)
    rows = (chose_left, [np.nan] * n if gold is None else gold, left, right, [np.nan] * n, [30] * n, [100] * n, [1] * n)
    return Judged(*(np.array(row, dtype=float) for row in rows))


def suspect(report: Report) -> bool:
    """Is there a finding, a soft alert on gold, or hurry?"""
    return bool(report.findings) or report.gold.alert or report.speed.hurried


def crowd(rng: np.random.Generator, *, honest: int, each: int, hard: float, gold: float = 0.1) -> list[Judged]:
    """Honest annotators, then one who tosses coins and one who clicks left (97 %), with everybody's votes.

    A comparison has 2 or 3 judgements, so that 1 or 2 others judged it; 10 % have a gold answer. An honest accuracy is
    0.84 on average and differs from one to the next; 4 % of their judgements take the left unseen, which makes 52 %
    lefts. With hard > 0 some comparisons are harder than others.
    """
    people = honest + 2
    num = int(people * each / 2.5)
    of = np.repeat(np.arange(num), rng.integers(2, 4, size=num))
    who = np.concatenate([rng.permutation(people) for _ in range(len(of) // people + 1)])[: len(of)]
    truth, known = rng.random(num) < 0.5, rng.random(num) < gold
    accuracy = special.logit(np.clip(rng.normal(0.84, 0.03, size=people), 0.76, 0.95)) * (1 + hard / 4)
    right = rng.random(len(of)) < special.expit(accuracy[who] + hard * rng.normal(size=num)[of])
    left = np.where(right, truth[of], ~truth[of]) | (rng.random(len(of)) < 0.04)
    left = np.where(who == honest, rng.random(len(of)) < 0.5, left)
    left = np.where(who == honest + 1, rng.random(len(of)) < 0.97, left)
    votes = np.stack([np.bincount(of, left, num), np.bincount(of, ~left, num)])
    crew = []
    for person in range(people):
        mine = rng.permutation(np.flatnonzero(who == person))[:each]
        at, chose = of[mine], left[mine].astype(float)
        crew.append(
            Judged(
                chose_left=chose,
                gold_left=np.where(known[at], truth[at], np.nan),
                left_votes=votes[0, at] - chose,
                right_votes=votes[1, at] - (1 - chose),
                chose_longer=(rng.random(len(at)) < 0.64).astype(float),
                seconds=rng.lognormal(np.log(30), 0.5, len(at)),
                words=np.full(len(at), 120.0),
                drawn=np.ones(len(at)),
            )
        )
    return crew


# Power and false alarms


@pytest.mark.parametrize("hard", [0.0, 1.0])
def test_clickers_are_named_within_60_judgements_and_the_honest_left_in_peace(hard: float):
    """50 crowds of 20 honest annotators. Measured over 100 other such crowds: coin tossers named 93 %, left-clickers
    100 %, honest annotators flagged for anything 3.8 % (97 %, 100 %, 1.6 % where comparisons differ in difficulty);
    coin tossers are named 51 % after 20 judgements and 100 % after 300."""
    rng = np.random.default_rng(31)
    flagged, shares, lefts, tossers, sided = [], [], [], [], []
    for _ in range(50):
        *honest, tosser, leftist = (annotator_report(j, norms=NORMS) for j in crowd(rng, honest=20, each=60, hard=hard))
        assert all(50 <= report.num_judgements <= 60 for report in (*honest, tosser, leftist))
        flagged += [suspect(report) for report in honest]
        shares += [report.consensus.agreed / report.consensus.n for report in honest]
        lefts += [report.side.rate for report in honest]
        tossers.append([finding.name for finding in tosser.findings])
        sided.append([finding.name for finding in leftist.findings])
    assert np.mean(["random" in names for names in tossers]) >= 0.9
    assert np.mean([names[:1] == ["one side"] and "random" not in names for names in sided]) == 1.0
    assert np.mean(flagged) <= 0.05
    assert 0.73 < np.mean(shares) < 0.85
    assert np.mean(lefts) == pytest.approx(0.52, abs=0.01)


@pytest.mark.parametrize("each", [20, 300])
def test_the_honest_are_left_in_peace_early_and_late(each: int):
    """Few judgements give no alarm; many do not turn somebody a little less accurate than usual into a suspect."""
    rng = np.random.default_rng(32)
    flagged = [
        suspect(annotator_report(person, norms=NORMS))
        for _ in range(600 // each + 8)
        for person in crowd(rng, honest=20, each=each, hard=0.0)[:20]
    ]
    assert np.mean(flagged) <= 0.05


def test_a_clicker_is_caught_by_gold_alone():
    """Nobody else judged; 40 gold comparisons, half of them right."""
    report = annotator_report(judged([1.0] * 20 + [0.0] * 20, [0] * 40, [0] * 40, [1.0, 0.0] * 20), norms=NORMS)
    assert {finding.name for finding in report.findings} == {"random", "gold"}
    assert report.gold.alert
    assert "20 of 40 gold" in next(f.sentence for f in report.findings if f.name == "gold")


def test_swapped_keys_are_not_coin_tosses():
    """Against the others nearly always: told apart, since the judgements can be saved."""
    chose = [1.0, 0.0] * 20
    report = annotator_report(judged(chose, [0, 2] * 20, [2, 0] * 20), norms=NORMS)
    assert [finding.name for finding in report.findings] == ["opposite"]
    same = annotator_report(judged(chose, [2, 0] * 20, [0, 2] * 20), norms=NORMS)
    assert same.findings == ()


# Each thing by itself


def test_gold_by_hand():
    """Prior beta(4, 1), 2 wrong of 3: P(accuracy < 0.7) under beta(5, 3); P(at most 1 right of 3) at 0.82."""
    gold = gold_accuracy(1, 3, norms=NORMS)
    assert gold.probability_below == pytest.approx(stats.beta(5, 3).cdf(0.7))
    assert gold.accuracy.p_value == pytest.approx(0.18**3 + 3 * 0.82 * 0.18**2)
    flat = dataclasses.replace(NORMS, gold_prior=(1.0, 1.0))
    assert gold_accuracy(0, 0, norms=flat).probability_below == pytest.approx(0.7)
    assert gold_accuracy(1, 1, norms=flat).probability_below == pytest.approx(0.49)  # integral of 2 p
    assert not gold_accuracy(0, 1, norms=NORMS).alert
    assert gold_accuracy(5, 15, norms=NORMS).alert
    assert not gold_accuracy(13, 15, norms=NORMS).alert


def test_side_allows_a_small_bias():
    """20 of 20 lefts: 2 * 0.55^20; sides mirror; 52 % of 10,000 is nothing."""
    p = {(k, n): side_preference(k, n, norms=NORMS).p_value for k, n in ((20, 20), (0, 20), (13, 20), (7, 20))}
    assert p[20, 20] == p[0, 20] == pytest.approx(2 * 0.55**20)
    assert p[13, 20] == pytest.approx(p[7, 20])
    assert side_preference(5200, 10_000, norms=NORMS).p_value == side_preference(0, 0, norms=NORMS).p_value == 1.0


def test_speed_against_reading():
    """238 words take a minute: 21 seconds are 0.35 of it, 20 are too fast."""
    assert reading_speed([21.0] * 3, [238] * 3, norms=NORMS).share == pytest.approx(0.35)
    assert not reading_speed([21.0] * 3, [238] * 3, norms=NORMS).hurried
    assert reading_speed([20.0, 20.0, 600.0], [238] * 3, norms=NORMS).hurried
    assert reading_speed([1.0], [0], norms=NORMS).share is None
    with pytest.raises(ValueError, match="one length"):
        reading_speed([1.0], [1, 2], norms=NORMS)


def test_who_is_favoured():
    """One vote of accuracy 0.84; two against one are worth one; a split is nothing; gold overrules."""
    q = favoured_left(judged([1] * 5, [1, 2, 1, 0, 3], [0, 1, 1, 1, 0], [np.nan] * 4 + [0.0]), norms=NORMS)
    assert q == pytest.approx([0.84, 0.84, 0.5, 0.16, 0.0])


def test_consensus_by_hand():
    """One other on each of 10: expected 0.82 * 0.84 + 0.18 * 0.16 = 0.7176; the plain binomial tail."""
    chose = [1.0] * 4 + [0.0] * 6
    result = consensus(judged(chose, [1] * 10, [0] * 10), norms=NORMS)
    assert (result.agreed, result.n, result.expected) == (4, 10, pytest.approx(0.7176))
    assert result.p_value == pytest.approx(stats.binom(10, 0.7176).cdf(4))
    assert result.log_ratio == pytest.approx(10 * np.log(0.5) - 4 * np.log(0.7176) - 6 * np.log(0.2824))
    nothing = consensus(judged([1.0, np.nan], [1, 2], [1, 0]), norms=NORMS)
    assert (nothing.n, nothing.p_value, nothing.expected) == (0, 1.0, None)


def test_consensus_is_exact():
    """One, two and no others, and gold: the p-value is the share of simulated honest people with no more evidence."""
    rng = np.random.default_rng(33)
    left, right, gold = [1] * 8 + [2] * 6 + [0] * 3, [0] * 17, [np.nan] * 14 + [1.0] * 3
    q = favoured_left(judged([1] * 17, left, right, gold), norms=NORMS)
    p = NORMS.honest_accuracy * q + (1 - NORMS.honest_accuracy) * (1 - q)
    people = [judged(row.tolist(), left, right, gold) for row in (rng.random((1500, 17)) < p).astype(float)]
    values = np.array([consensus(person, norms=NORMS).p_value for person in people])
    for level in (0.01, 0.05, 0.2, 0.5):
        assert np.mean(values <= level) <= level + 3 * np.sqrt(level / 1500)
    assert np.mean(values <= 0.2) > 0.1  # exact, and not only cautious


def test_consensus_does_not_care_for_sides_and_order():
    rng = np.random.default_rng(34)
    chose, left, right = rng.integers(0, 2, 40), rng.integers(0, 3, 40), rng.integers(0, 3, 40)
    before = consensus(judged(chose.tolist(), left.tolist(), right.tolist()), norms=NORMS)
    turned = consensus(judged((1 - chose).tolist(), right.tolist(), left.tolist()), norms=NORMS)
    order = rng.permutation(40)
    shuffled = consensus(judged(chose[order].tolist(), left[order].tolist(), right[order].tolist()), norms=NORMS)
    for after in (turned, shuffled):
        assert after.p_value == pytest.approx(before.p_value)
        assert after.log_ratio == pytest.approx(before.log_ratio)


def test_drift_by_hand_and_by_chance():
    """All disagreements at the end: found. At random: uniform. Reversed: the same p, halves swapped."""
    tired = [True] * 40 + [False] * 20
    change = drift(tired)
    assert (change.early, change.late) == pytest.approx((1.0, 1 / 3))
    assert change.p_value < 1e-8
    assert drift(tired[::-1]).p_value == pytest.approx(change.p_value)
    assert drift([True] * 60).p_value == 1.0
    assert drift([]).early is None
    rng = np.random.default_rng(35)
    values = [drift(row).p_value for row in rng.random((1000, 60)) < 0.75]
    assert np.mean(np.array(values) < 0.05) == pytest.approx(0.05, abs=0.02)


def test_somebody_who_gets_tired_is_found():
    chose = [1.0] * 60 + [1.0, 0.0] * 30
    report = annotator_report(judged(chose, [1] * 120, [0] * 120), norms=dataclasses.replace(NORMS, side_margin=0.4))
    assert [finding.name for finding in report.findings] == ["drift"]
    assert "100% of the first half and 50% of the second" in report.findings[0].sentence


def test_no_judgements_and_columns_that_differ():
    empty = annotator_report(judged([], [], []), norms=NORMS)
    assert (empty.num_judgements, empty.findings, suspect(empty)) == (0, (), False)
    with pytest.raises(ValueError, match="one length"):
        annotator_report(dataclasses.replace(judged([1.0], [1], [0]), words=np.ones(2)), norms=NORMS)


def test_a_leaning_is_students_paired_test():
    """By hand: gaps 1, 0, 1/2, 1/2 have mean 1/2 and deviation 0.408, so t = 2.449 with 3 degrees of freedom."""
    gap = leaning([1, 1, 1, 0.5], [0, 1, 0.5, 0], confidence=0.95)
    assert (gap.n, gap.mine, gap.others, gap.difference) == (4, 0.875, 0.375, 0.5)
    assert gap.p_value == pytest.approx(0.0917, abs=1e-4)
    assert (gap.low, gap.high) == pytest.approx((0.5 - 3.1824 * 0.2041, 0.5 + 3.1824 * 0.2041), abs=1e-3)


def test_a_leaning_without_spread_goes_by_the_sign():
    assert leaning([1] * 10, [0] * 10, confidence=0.95).p_value == 2**-9
    assert leaning([0.5] * 10, [0.5] * 10, confidence=0.95).p_value == 1
    with pytest.raises(ValueError, match="at least 2"):
        leaning([1], [0], confidence=0.95)


def test_an_honest_annotator_leans_as_often_as_the_interval_allows():
    rng = np.random.default_rng(0)
    draws = rng.random((600, 80, 3)) < 0.5
    leans = [leaning(shares[:, 0], shares[:, 1:].mean(1), confidence=0.95).p_value < 0.05 for shares in draws]
    assert 0.03 <= np.mean(leans) <= 0.075
