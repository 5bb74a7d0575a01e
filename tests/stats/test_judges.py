"""What is said of a model that judges: by hand, and of simulated judges whose biases are known."""

import itertools
import random
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pytest

from prefloop.stats import judges
from prefloop.stats.judges import Bias
from prefloop.world.agents import CARELESS, DEFAULT, EXPERT, Mixture, reply
from prefloop.world.annotators import Annotator, AnnotatorConfig, panel
from prefloop.world.grammar import prompts
from prefloop.world.tickets import read

Row = tuple[str, str, str, tuple[float, ...]]
USUAL = {"length_bias": 0.01, "courtesy_bias": 0.01}
"""Of people, in the middle of the panel: a judge with these has none of its own."""


def test_flips_and_position_by_hand():
    """Of four pairs the first always wins (1, -1), one is left with a tie (1, 0), one is for the same one (1, 1).

    flipped 3 of 4        position = (1 + 1/2 + 0 + 1) / 4 = 5/8        of three prompts all for the first: p = 2 / 2^3
    """
    first, second, clusters = [1, 1, 1, 1], [-1, 0, 1, -1], ["a", "b", "c", "d"]
    assert judges.flipped(first, second, clusters, confidence=0.95).value == 3 / 4
    bias = judges.position_bias(first, second, clusters, confidence=0.95)
    assert (bias.value, bias.p_value, bias.n) == (5 / 8, 1 / 4, 4)
    turned = judges.position_bias([-x for x in first], [-x for x in second], clusters, confidence=0.95)
    assert (turned.value, turned.p_value) == (-5 / 8, 1 / 4)


def test_pairs_of_a_prompt_are_one_witness():
    """A hundred pairs of two prompts tell no more of the position than two prompts do."""
    bias = judges.position_bias([1] * 100, [-1] * 100, ["a"] * 50 + ["b"] * 50, confidence=0.95)
    assert (bias.value, bias.p_value, bias.named) == (1.0, 0.5, False)
    assert judges.position_bias([1, 1], [-1, -1], ["a", "a"], confidence=0.95).value is None


def test_which_response_is_called_the_first_does_not_matter():
    rng = np.random.default_rng(0)
    judge, feature = rng.choice([-1.0, 0.0, 1.0], 90), rng.choice([-1.0, 1.0], 90)
    people = [tuple(rng.choice([-1.0, 1.0], 3)) for _ in range(90)]
    turn = rng.choice([-1.0, 1.0], 90)
    turned = [tuple(float(t) * vote for vote in votes) for t, votes in zip(turn, people, strict=True)]
    one = judges.leaning(judge + people_mean(people), people, feature, range(90), confidence=0.95)
    two = judges.leaning(turn * (judge + people_mean(people)), turned, turn * feature, range(90), confidence=0.95)
    assert (one.value, one.low) == pytest.approx((two.value, two.low))


def people_mean(people: Sequence[Sequence[float]]) -> np.ndarray:
    return np.array([np.mean(votes) for votes in people])


def test_leaning_by_hand():
    """Two people who always agree, R = 1, and E[vote feature] = 0: the judge says half of either, so that k = 1/2 and
    the value is 1/2; copies of four pairs, each its own prompt."""
    vote, feature = [1.0, 1.0, -1.0, -1.0] * 10, [1.0, -1.0, 1.0, -1.0] * 10
    judge = [(v + f) / 2 for v, f in zip(vote, feature, strict=True)]
    bias = judges.leaning(judge, [(v, v) for v in vote], feature, range(40), confidence=0.95)
    assert (bias.value, bias.low, bias.high, bias.p_value) == pytest.approx((0.5, 0.5, 0.5, 0.0), abs=1e-9)
    assert bias.named


def test_the_error_of_leaning_by_hand():
    """In each of 30 prompts all four pairs of vote and feature, so that people (R = 1) take nothing of the feature and
    the value is the mean of 30 numbers, one a prompt: 15 of 1 and 15 of 0. Leaving each out in turn, scaled by
    (G - 1) / G, is the common error of a mean: s / sqrt(G), s^2 = 30 / 29 / 4; t = 2.0452 at 29 degrees.
    """
    vote, feature = [1.0, 1.0, -1.0, -1.0] * 30, [1.0, -1.0, 1.0, -1.0] * 30
    judge = [f if row < 60 else v for row, (v, f) in enumerate(zip(vote, feature, strict=True))]
    clusters = [row // 4 for row in range(120)]
    bias = judges.leaning(judge, [(v, v) for v in vote], feature, clusters, confidence=0.95)
    assert bias.value == pytest.approx(0.5)
    assert bias.high - 0.5 == pytest.approx(2.0452 * (30 / 29 / 4 / 30) ** 0.5, rel=1e-4)


def test_noisy_people_do_not_lend_a_judge_their_length():
    """Quality goes with length; people see it through noise, the judge exactly. Taking one vote for the truth finds a
    bias that is not there; with the noise measured by two votes there is none."""
    rng = np.random.default_rng(3)
    quality = rng.choice([-1.0, 1.0], 4000)
    feature = quality * rng.choice([1.0, -1.0], 4000, p=[0.75, 0.25])
    votes = quality[:, None] * rng.choice([1.0, -1.0], (4000, 2), p=[0.75, 0.25])
    naive = np.linalg.lstsq(np.stack([votes[:, 0], feature], 1), quality, rcond=None)[0][1]
    bias = judges.leaning(quality, [tuple(row) for row in votes], feature, range(4000), confidence=0.95)
    assert naive > 0.3
    assert bias.low < 0 < bias.high
    assert abs(bias.value or 0) < 0.05


@pytest.mark.parametrize(
    ("people", "says"),
    [
        ([(1.0, 1.0)] * 20, "fewer than 30"),
        ([(1.0, -1.0), (1.0, 1.0), (-1.0, -1.0), (-1.0, 1.0)] * 10, "agree too little"),
    ],
)
def test_people_who_tell_too_little(people: list[tuple[float, ...]], says: str):
    bias = judges.leaning([1.0] * len(people), people, [1.0] * len(people), range(len(people)), confidence=0.95)
    assert (bias.value, bias.named) == (None, False)
    assert says in bias.reason


def test_with_single_votes_it_is_the_difference():
    """The judge takes the longer in all 40 pairs, people in 30 of them: (judge - vote) feature has mean 1/2."""
    votes = [(1.0,)] * 30 + [(-1.0,)] * 10
    bias = judges.leaning([1.0] * 40, votes, [1.0] * 40, range(40), confidence=0.95)
    assert bias.value == pytest.approx(0.5)
    assert "hardly any pair" in bias.reason
    assert bias.named


def test_agreement_by_hand():
    """The judge with (1, 1): 2 of 2; with (1, -1): 1 of 2; where it ties: none; a tie of people is no couple."""
    judge, people = [1.0, -0.5, 0.0, 1.0], [(1, 1), (1, -1), (1, 1), (0, 1)]
    ours, theirs = judges.agreement_with(judge, people, "abcd", confidence=0.95)
    assert (ours.value, ours.n) == (4 / 5, 5)
    assert (theirs.value, theirs.n) == (2 / 3, 3)


@lru_cache(maxsize=64)
def world(seed: int) -> tuple[Row, ...]:
    """As the demo's collect: 100 prompts, three pairs of each, judged by three of five annotators."""
    rng, folks = random.Random(seed), panel(5, seed=seed)
    rows = []
    for prompt in rng.sample(list(prompts("train", 1000)), 100):
        ticket = read(prompt.text)
        texts = sorted({reply(ticket, DEFAULT.draw(rng), rng) for _ in range(4)})
        pairs = list(itertools.combinations(texts, 2))
        for one, other in rng.sample(pairs, min(3, len(pairs))):
            votes = tuple(
                said(a, prompt.text, one, other, rng, turned=rng.random() < 0.5) for a in rng.sample(folks, 3)
            )
            rows.append((prompt.text, one, other, votes))
    return tuple(rows)


def said(who: Annotator, prompt: str, one: str, other: str, rng: random.Random, *, turned: bool) -> float:
    left, tie, _ = who.pair_probabilities(prompt, *((other, one) if turned else (one, other)))
    drawn = rng.random()
    choice = 1.0 if drawn < left else 0.0 if drawn < left + tie else -1.0
    return -choice if turned else choice


def audit(seed: int, **habits: float) -> tuple[Bias, Bias]:
    """The position bias and the length bias of a judge with these habits, in one run."""
    judge, rng, rows = Annotator(AnnotatorConfig(**{**USUAL, **habits})), random.Random(f"judge {seed}"), world(seed)
    first = [said(judge, p, one, other, rng, turned=False) for p, one, other, _ in rows]
    second = [said(judge, p, one, other, rng, turned=True) for p, one, other, _ in rows]
    clusters = [p for p, *_ in rows]
    length = judges.leaning(
        np.add(first, second) / 2,
        [votes for *_, votes in rows],
        [np.sign(len(one) - len(other)) for _, one, other, _ in rows],
        clusters,
        confidence=0.95,
    )
    return judges.position_bias(first, second, clusters, confidence=0.95), length


@pytest.mark.parametrize("ability", [3.0, 9.0, 25.0])
def test_a_judge_without_a_bias_is_not_accused(ability: float):
    """Duller than people, like them, and sharper: at most one false alarm of either kind in twenty runs."""
    alarms = [name for seed in range(20) for name in audit(seed, ability=ability) if name.named]
    assert len(alarms) <= 1


@pytest.mark.parametrize("ability", [4.0, 9.0])
def test_planted_biases_are_named(ability: float):
    """The side wins 73 % of equal pairs, 10 words are worth 0.15 of utility: both are named in 19 of 20 runs."""
    found = [audit(seed, ability=ability, side_bias=1.0, length_bias=0.15) for seed in range(20)]
    assert sum(position.named and (position.value or 0) > 0 for position, _ in found) >= 19
    assert sum(length.named and (length.value or 0) > 0 for _, length in found) >= 19


def test_one_bias_is_not_taken_for_the_other():
    only_side = [audit(seed, ability=5.0, side_bias=1.0) for seed in range(20)]
    only_length = [audit(seed, ability=5.0, length_bias=-0.12) for seed in range(20)]
    assert sum(length.named for _, length in only_side) <= 1
    assert sum(position.named for position, _ in only_length) <= 1
    assert sum(length.named and (length.value or 0) < 0 for _, length in only_length) >= 19


BEST, WORST = (Mixture(agents=(agent,), weights=(1.0,)) for agent in (EXPERT, CARELESS))
HALF = Mixture(agents=(EXPERT, *DEFAULT.agents), weights=(1.0, *DEFAULT.weights))
KINDS = {"same": DEFAULT, "better": HALF, "worse": WORST, "best": BEST}
"""Who writes the responses of the judge's own kind, beside the staff's: the same staff, half of them by an expert, all
of them careless, all by an expert."""


@lru_cache(maxsize=64)
def of_two(seed: int, kind: str) -> tuple[tuple[Row, float], ...]:
    """As `world`, but half of the responses are of the judge's own kind: with 1 where the one alone is, -1 where the
    other alone is, else 0."""
    rng, folks = random.Random(f"two {seed}"), panel(5, seed=seed)
    rows = []
    for prompt in rng.sample(list(prompts("train", 1000)), 100):
        ticket = read(prompt.text)
        texts = {reply(ticket, DEFAULT.draw(rng), rng): 0.0 for _ in range(2)}
        texts |= {reply(ticket, KINDS[kind].draw(rng), rng): 1.0 for _ in range(2)}
        pairs = list(itertools.combinations(sorted(texts), 2))
        for one, other in rng.sample(pairs, min(3, len(pairs))):
            votes = tuple(
                said(a, prompt.text, one, other, rng, turned=rng.random() < 0.5) for a in rng.sample(folks, 3)
            )
            rows.append(((prompt.text, one, other, votes), texts[one] - texts[other]))
    return tuple(rows)


def of_its_kind(seed: int, *, ability: float, bonus: float, kind: str) -> Bias:
    """How far a judge is found to lean to its own kind, whose responses are worth `bonus` log-odds to it."""
    liking = {
        sign: Annotator(AnnotatorConfig(**USUAL, ability=ability, side_bias=sign * bonus)) for sign in (-1.0, 0.0, 1.0)
    }
    rng, rows, decided = random.Random(f"kind {seed}"), of_two(seed, kind), []
    for (prompt, one, other, _), own in rows:
        first = said(liking[own], prompt, one, other, rng, turned=False)
        second = said(liking[-own], prompt, one, other, rng, turned=True)
        decided.append((first + second) / 2)
    people, clusters = [votes for (*_, votes), _ in rows], [prompt for (prompt, *_), _ in rows]
    return judges.leaning(decided, people, [own for _, own in rows], clusters, confidence=0.95)


@pytest.mark.parametrize("kind", ["same", "better", "worse"])
@pytest.mark.parametrize("ability", [3.0, 9.0, 25.0])
def test_a_judge_whose_kind_is_good_or_bad_is_not_accused(ability: float, kind: str):
    """Its own kind may be really better, or worse: at most one false alarm in twenty runs."""
    assert sum(of_its_kind(seed, ability=ability, bonus=0.0, kind=kind).named for seed in range(20)) <= 1


@pytest.mark.parametrize("kind", ["same", "better", "worse"])
@pytest.mark.parametrize("ability", [4.0, 9.0])
def test_a_planted_leaning_to_its_own_kind_is_named(ability: float, kind: str):
    """Its own kind wins 73 % of equal pairs: named in 19 of 20 runs, whether people like that kind or not."""
    found = [of_its_kind(seed, ability=ability, bonus=1.0, kind=kind) for seed in range(20)]
    assert sum(bias.named and (bias.value or 0) > 0 for bias in found) >= 19


def test_where_its_kind_is_nearly_always_better_nothing_is_said():
    """People take an expert's response beside any other's; what is left of their votes tells too little."""
    found = [of_its_kind(seed, ability=25.0, bonus=0.0, kind="best") for seed in range(20)]
    assert sum(bias.value is None for bias in found) >= 15
    assert sum(bias.named for bias in found) <= 1


def test_too_few_pairs_that_differ_tell_nothing():
    """Forty prompts, of whose pairs 29 have a response of each kind."""
    bias = judges.leaning([1.0] * 40, [(1.0, 1.0)] * 40, [1.0] * 29 + [0.0] * 11, range(40), confidence=0.95)
    assert (bias.value, bias.named) == (None, False)
    assert "29 pairs" in bias.reason
