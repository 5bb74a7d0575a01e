"""What can be said of one annotator: gold, sides, length, speed, drift, and whether somebody only clicks.

Follows Clopper and Pearson 1934 (exact binomial tests) and Mann and Whitney 1947. Findings are for a person to look
into; none should ban anybody by itself. They are valid for one look: each further look is a further chance of a false
alarm, so look at fixed points, or test at a smaller alpha.
Shape letters: n judgements of one annotator, in the order they were made.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from prefloop.stats.arrays import Array, columns
from prefloop.stats.intervals import Proportion, holm, mean_interval, proportion

Suspicion = Literal["one side", "random", "opposite", "gold", "drift"]
_PER_NAT = 10  # weights of evidence are rounded to 1/10 nat, so that the exact distribution stays short


@dataclass(frozen=True)
class Judged:
    """All judgements of one annotator, in order; nan where something does not apply."""

    chose_left: Array  # (n,) 1 left, 0 right, nan for a tie
    gold_left: Array  # (n,) 1 if the gold answer is left, 0 if right, nan if it is no gold comparison
    left_votes: Array  # (n,) other annotators who chose the response shown left
    right_votes: Array  # (n,) other annotators who chose the response shown right
    chose_longer: Array  # (n,) 1 if the longer response was chosen, 0 if the shorter, nan for ties and equal lengths
    seconds: Array  # (n,) active time
    words: Array  # (n,) in all that was to read; 0 where it, or the time, is not known
    drawn: Array  # (n,) 1 if the sides were drawn by chance, 0 if nobody knows: then left and right are but two names


@dataclass(frozen=True)
class Norms:
    """What is expected of an honest annotator; the only place of these numbers."""

    peer_accuracy: float = 0.84
    """how often another annotator's vote is right: agreement of 73 % among equals"""
    honest_accuracy: float = 0.82
    """accuracy from which on nobody is to be suspected, a little below the usual"""
    side_margin: float = 0.05
    """an honest share of lefts lies within 1/2 +- this"""
    gold_floor: float = 0.70
    """accuracy on gold below which an annotator is doubtful"""
    gold_prior: tuple[float, float] = (4.0, 1.0)
    """beta prior of the accuracy, as right and wrong judgements seen before"""
    doubt: float = 0.90
    """posterior probability of being below the floor that raises a soft alert"""
    words_per_minute: float = 238.0
    """silent reading of English, Brysbaert 2019"""
    hurry: float = 0.35
    """share of the reading time below which the median judgement is too fast"""
    alpha: float = 0.04
    """chance that an honest annotator gets any finding, all tests together"""
    confidence: float = 0.95
    """of intervals"""


@dataclass(frozen=True)
class Gold:
    """Accuracy on gold comparisons."""

    accuracy: Proportion
    """its p_value: P(no more right than this) at the honest accuracy"""
    probability_below: float
    """posterior P(accuracy < floor)"""
    alert: bool
    """soft: probability_below is above what the norms doubt"""


@dataclass(frozen=True)
class Speed:
    """Time taken against the time that reading takes."""

    share: float | None
    """median of seconds / reading time; None without judgements"""
    hurried: bool


@dataclass(frozen=True)
class Consensus:
    """Agreement with what others, or gold, make likely."""

    agreed: int
    n: int
    """judgements about which others lean to one side"""
    expected: float | None
    """share of agreement expected of somebody honest; None if n is 0"""
    p_value: float
    """P(evidence for honesty no greater than this) for somebody honest, exact"""
    log_ratio: float
    """nats, of coin tosses over honesty"""


@dataclass(frozen=True)
class Drift:
    """Whether agreement changes over the sequence."""

    early: float | None
    """share of agreement in the first half"""
    late: float | None
    """in the second half"""
    p_value: float
    """two-sided: do agreements and disagreements come equally late (Mann-Whitney)? 1 if there are too few"""


@dataclass(frozen=True)
class Finding:
    """Something about an annotator that chance hardly explains."""

    name: Suspicion
    p_value: float
    """adjusted for all tests of this annotator (Holm)"""
    sentence: str


@dataclass(frozen=True)
class Report:
    """All that is said of one annotator."""

    num_judgements: int
    gold: Gold
    side: Proportion
    length: Proportion
    speed: Speed
    consensus: Consensus
    drift: Drift
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Leaning:
    """How much more often than others an annotator prefers what one sampler wrote."""

    n: int
    """comparisons"""
    mine: float
    """share of the annotator"""
    others: float
    """share of the others"""
    difference: float
    low: float
    high: float
    p_value: float


def gold_accuracy(correct: int, n: int, *, norms: Norms) -> Gold:
    """Accuracy on gold comparisons, and how probable it is that the annotator is below the floor.

        probability_below = I_floor(a + correct, b + n - correct)        beta(a, b) prior

    Args:
        correct: in [0, n].
        n: gold comparisons judged.
        norms: what is expected.

    Returns: Gold.
    Raises: ValueError if more are correct than were judged.
    """
    a, b = norms.gold_prior
    below = float(special.betainc(a + correct, b + n - correct, norms.gold_floor))
    p_value = float(special.bdtr(correct, n, norms.honest_accuracy)) if n else 1.0
    accuracy = replace(proportion(correct, n, confidence=norms.confidence), p_value=p_value)
    return Gold(accuracy, below, below > norms.doubt)


def side_preference(lefts: int, n: int, *, norms: Norms) -> Proportion:
    """How often the left was chosen; honest people are allowed a small bias.

        p = 2 min(P(X >= lefts | 1/2 + margin), P(X <= lefts | 1/2 - margin)), at most 1

    Args:
        lefts: in [0, n].
        n: judgements with a side.
        norms: what is expected.

    Returns: Proportion, whose p_value is against everything within 1/2 +- the margin.
    Raises: ValueError if there are more lefts than judgements.
    """
    above = 1.0 if lefts == 0 else float(special.bdtrc(lefts - 1, n, 0.5 + norms.side_margin))
    below = float(special.bdtr(lefts, n, 0.5 - norms.side_margin)) if n else 1.0
    return replace(proportion(lefts, n, confidence=norms.confidence), p_value=min(1.0, 2.0 * min(above, below)))


def reading_speed(seconds: ArrayLike, words: ArrayLike, *, norms: Norms) -> Speed:
    """Median time against the time it takes to read the words.

        share = median of seconds / (60 words / words_per_minute)

    Args:
        seconds: (n,) active time.
        words: (n,) to read; judgements without words are left out.
        norms: what is expected.

    Returns: Speed.
    Raises: ValueError if the lengths differ.
    """
    time, read = columns(seconds=seconds, words=words)
    timed = read > 0
    if not timed.any():
        return Speed(None, False)
    share = float(np.median(time[timed] * norms.words_per_minute / (60.0 * read[timed])))
    return Speed(share, share < norms.hurry)


def favoured_left(judged: Judged, *, norms: Norms) -> Array:
    """Probability that the left response is the better one, from gold or from the others' votes.

        sigmoid((left_votes - right_votes) logit(peer_accuracy)), or the gold answer where there is one

    Args:
        judged: judgements of one annotator.
        norms: what is expected.

    Returns: (n,) in [0, 1]; 1/2 where nobody else judged or the others are split.
    """
    voted = special.expit((judged.left_votes - judged.right_votes) * special.logit(norms.peer_accuracy))
    return np.where(np.isnan(judged.gold_left), voted, judged.gold_left)


def consensus(judged: Judged, *, norms: Norms) -> Consensus:
    """Agreement with the side that gold or the other annotators favour, tested against somebody honest.

        expected_j = a q_j + (1 - a) (1 - q_j)        a honest accuracy, q_j probability of the favoured side
        evidence   = sum over agreements of logit(expected_j), rounded to 1/10; its distribution is exact

    Judgements on which more people agree weigh more, as in a likelihood ratio of honesty against coin tosses.

    Args:
        judged: judgements of one annotator.
        norms: what is expected.

    Returns: Consensus.
    """
    agreed, expected = _agreements(judged, norms)
    if not agreed.size:
        return Consensus(0, 0, None, 1.0, 0.0)
    weight = np.rint(_PER_NAT * special.logit(expected)).astype(np.int64)
    reached, mass = int(weight[agreed].sum()), np.ones(1)
    for p in np.unique(expected):
        same = expected == p
        worth, count = int(weight[same][0]), int(same.sum())
        of_equals = np.zeros(worth * count + 1)
        np.add.at(of_equals, worth * np.arange(count + 1), stats.binom.pmf(np.arange(count + 1), count, p))
        mass = np.convolve(mass, of_equals)
    ratio = np.log(0.5) * agreed.size - np.log(np.where(agreed, expected, 1.0 - expected)).sum()
    p_value = min(1.0, float(mass[: reached + 1].sum()))
    return Consensus(int(agreed.sum()), agreed.size, float(expected.mean()), p_value, float(ratio))


def drift(agreed: ArrayLike) -> Drift:
    """Does agreement (or accuracy) rise or fall over the sequence?

    Mann and Whitney 1947: the positions of agreements against those of disagreements; a rank correlation of a yes or no
    with time.

    Args:
        agreed: (n,) bool, in the order judged.

    Returns: Drift; p_value 1 if there are fewer than 4 agreements or 4 disagreements.
    """
    yes = np.asarray(agreed, dtype=bool)
    half = len(yes) // 2
    early, late = (float(part.mean()) if part.size else None for part in (yes[:half], yes[half:]))
    place = np.arange(len(yes))
    if min(int(yes.sum()), int((~yes).sum())) < 4:
        return Drift(early, late, 1.0)
    return Drift(early, late, float(stats.mannwhitneyu(place[yes], place[~yes]).pvalue))


def annotator_report(judged: Judged, *, norms: Norms) -> Report:
    """All that is said of one annotator, with findings at a false alarm rate of at most alpha in all (Holm 1979).

    Four tests share alpha: sides, agreement, gold, drift. Agreement is a finding only if coin tosses explain it better
    than honesty does, and gold only below its floor, so that somebody a little less accurate than usual is left in
    peace however much they judge. A clicker on one side also agrees no more than chance; that is not said twice. The
    soft alert on gold and the hurry come on top, and are rare among the honest.

    Args:
        judged: judgements of one annotator.
        norms: what is expected.

    Returns: Report.
    Raises: ValueError if the columns differ in length.
    """
    columns(**vars(judged))
    sided = ~np.isnan(judged.chose_left)
    drawn = sided & (judged.drawn == 1)
    golden = sided & ~np.isnan(judged.gold_left)
    correct = int((judged.chose_left[golden] == judged.gold_left[golden]).sum())
    gold = gold_accuracy(correct, int(golden.sum()), norms=norms)
    side = side_preference(int(judged.chose_left[drawn].sum()), int(drawn.sum()), norms=norms)
    longer = judged.chose_longer[~np.isnan(judged.chose_longer)]
    agreement, change = consensus(judged, norms=norms), drift(_agreements(judged, norms)[0])
    return Report(
        num_judgements=len(judged.chose_left),
        gold=gold,
        side=side,
        length=proportion(int(longer.sum()), len(longer), confidence=norms.confidence),
        speed=reading_speed(judged.seconds, judged.words, norms=norms),
        consensus=agreement,
        drift=change,
        findings=_findings(gold, side, agreement, change, norms),
    )


def leaning(mine: ArrayLike, others: ArrayLike, *, confidence: float) -> Leaning:
    """How much more often than others an annotator prefers what one sampler wrote, on the same pairs.

    Student's paired test. Who sees better than the others leans to the better sampler too: this tells that, not why.

    Args:
        mine: (n,) the annotator's share for the sampler, one value per comparison: 1 preferred, 0 not, 1/2 a tie.
        others: (n,) mean of the others' shares.
        confidence: in (0, 1).

    Returns: Leaning.
    Raises: ValueError if there are fewer than 2 comparisons, or the lengths differ.
    """
    x, y = columns(mine=mine, others=others)
    gap = x - y
    low, high = mean_interval(gap, confidence=confidence)
    mean = float(gap.mean())
    if np.ptp(gap) < 1e-12:  # all alike: no spread to test by, but so many of one sign
        p_value = 1.0 if abs(mean) < 1e-12 else 2.0 ** (1 - len(x))
    else:
        p_value = float(tuple(stats.ttest_1samp(gap, 0.0))[1])
    return Leaning(len(x), float(x.mean()), float(y.mean()), mean, low, high, p_value)


def _findings(gold: Gold, side: Proportion, agreement: Consensus, change: Drift, norms: Norms) -> tuple[Finding, ...]:
    p_values = holm([side.p_value, agreement.p_value, gold.accuracy.p_value, change.p_value])
    by_side, by_agreement, by_gold, by_drift = p_values.tolist()
    findings = []
    one_sided = by_side <= norms.alpha
    if one_sided:
        text = f"chose the left in {side.successes} of {side.n} judgements, whatever was shown there"
        findings.append(Finding("one side", by_side, text))
    if by_agreement <= norms.alpha and agreement.log_ratio > 0 and not one_sided:
        contrary = float(special.bdtr(agreement.agreed, agreement.n, 0.5)) < 0.01
        name: Suspicion = "opposite" if contrary else "random"
        near = "less than coin tosses would: are the keys swapped?" if contrary else "as coin tosses would"
        often = f"{agreement.agreed} of {agreement.n} judgements, where {agreement.expected:.0%} is expected"
        findings.append(Finding(name, by_agreement, f"agreed with others in {often}: {near}"))
    if by_gold <= norms.alpha and gold.accuracy.successes < norms.gold_floor * gold.accuracy.n:
        text = f"was right in {gold.accuracy.successes} of {gold.accuracy.n} gold comparisons"
        findings.append(Finding("gold", by_gold, text))
    if by_drift <= norms.alpha:
        text = f"agreed with others in {change.early:.0%} of the first half and {change.late:.0%} of the second"
        findings.append(Finding("drift", by_drift, text))
    return tuple(findings)


def _agreements(judged: Judged, norms: Norms) -> tuple[NDArray[np.bool_], Array]:
    """Where one side is favoured: whether the annotator took it, and how probable that is for somebody honest."""
    left = favoured_left(judged, norms=norms)
    compared = ~np.isnan(judged.chose_left) & (np.abs(left - 0.5) > 1e-9)
    q = np.maximum(left, 1.0 - left)[compared]
    agreed = (judged.chose_left[compared] == 1) == (left[compared] > 0.5)
    return agreed, np.round(norms.honest_accuracy * q + (1.0 - norms.honest_accuracy) * (1.0 - q), 6)
