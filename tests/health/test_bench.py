"""Benchmarks by hand, and laws: what a coin gets, what order does not change."""

import math

import pytest

from prefloop.errors import UserError
from prefloop.health import bench
from prefloop.health.bench import Row


def row(
    *scores: float, right: int = 1, prompt: int = 0, group: str = "", name: str = "", lengths: object = None
) -> Row:
    sizes = lengths if isinstance(lengths, tuple) else (1,) * len(scores)
    return Row(name or f"r{prompt}", prompt, (group,) if group else (), right, scores, sizes)


@pytest.mark.parametrize(
    ("scores", "num_right", "right"),
    [
        ((2.0, 1.0), 1, 1.0),
        ((1.0, 2.0), 1, 0.0),
        ((1.0, 1.0), 1, 0.5),
        ((3.0, 1.0, 2.0, 0.0), 1, 1.0),  # one right among four
        ((3.0, 3.0, 2.0, 3.0), 1, 1 / 3),  # three are the best, one of them right
        ((2.0, 3.0, 3.0, 3.0), 1, 0.0),
        ((0.0, 3.0, 3.0, 1.0), 2, 0.5),  # two right ones, of which one is among the two best
        ((-1.0, -1.0, -2.0), 2, 1.0),
    ],
)
def test_the_part_of_the_best_that_is_right(scores: tuple[float, ...], num_right: int, right: float):
    assert row(*scores, right=num_right).right == pytest.approx(right)


def test_a_coin_gets_what_a_model_without_an_opinion_gets():
    """Of pairs 1/2, of four 1/4, of two right ones among five 2/5."""
    rows = [row(0.0, 0.0), row(0.0, 0.0, 0.0, 0.0, prompt=1), row(*[0.0] * 5, right=2, prompt=2)]
    assert bench.chance(rows) == pytest.approx((1 / 2 + 1 / 4 + 2 / 5) / 3)
    whole = bench.accuracy(rows)
    assert whole is not None
    assert (whole.mean, whole.num) == (pytest.approx(bench.chance(rows)), 3)


def test_rows_of_one_prompt_hang_together():
    """Every row twice over tells nothing more: the interval stays."""
    rows = [row(float(p % 3 > 0), 0.5, prompt=p) for p in range(30)]
    alone, twice = bench.accuracy(rows), bench.accuracy([*rows, *rows])
    assert alone is not None
    assert twice is not None
    assert twice.mean == alone.mean
    assert (twice.low, twice.high) == (pytest.approx(alone.low, abs=0.01), pytest.approx(alone.high, abs=0.01))


def test_sections_weigh_math_as_much_as_code():
    """Reasoning: 447 rows of math, none right, and 6 x 164 of code, all right, are one half; Chat is a mean of rows."""
    rows = [row(0.0, 1.0, group="math-prm")] * 447
    rows += [row(1.0, 0.0, group=f"hep-{name}") for name in ("cpp", "go", "java", "js", "python", "rust")] * 164
    rows += [row(1.0, 0.0, group="alpacaeval-easy")] * 3 + [row(0.0, 1.0, group="mt-bench-med")]
    made = {section.name: (section.accuracy, section.num) for section in bench.sections(rows)}
    assert made == {"Chat": (0.75, 4), "Reasoning": (pytest.approx(0.5), 447 + 984)}
    assert bench.followed(rows) == "RewardBench"


def test_every_subset_is_in_one_section():
    subsets = [subset for group in bench.SECTIONS.values() for subset in group]
    assert len(subsets) == len(set(subsets)) == 23


@pytest.mark.parametrize(
    ("groups", "size", "follows"),
    [
        (("Math", "Focus"), 4, "RewardBench 2"),
        (("Ties", "Focus"), 4, "RewardBench 2"),
        (("hep-go", "Focus"), 2, None),
        (("", ""), 4, None),
    ],
)
def test_whose_subsets_they_are(groups: tuple[str, ...], size: int, follows: str | None):
    assert bench.followed([row(*[0.0] * size, group=group) for group in groups]) == follows


def test_ties_by_hand():
    """Two prompts, each with several right responses and with one.

    1: right 5, 4, wrong 1:   spread 1, away 3;     alone 6 against 1: away 5, so the harder is 3
    2: right 3, 0, wrong 1:   spread 3, away -1;    alone 2 against 4: away -2, so the harder is -2

    all right ones first: 1/2 and 1/2        away > spread: 1/2        hard > spread: 1/2
    margin: (tanh(3 / 1 - 1) + tanh(-2 / 3 - 1)) / 2
    """
    rows = [
        row(5.0, 4.0, 1.0, right=2, group="Ties", name="tied:1"),
        row(6.0, 1.0, 0.0, group="Ties", name="ref:1"),
        row(3.0, 0.0, 1.0, right=2, group="Ties", name="tied:2"),
        row(2.0, 4.0, 0.0, group="Ties", name="ref:2"),
    ]
    made = bench.ties(rows)
    assert made is not None
    margin = (math.tanh(2) + math.tanh(-5 / 3)) / 2
    assert (made.right_tied, made.right_single, made.spread, made.spread_hard, made.num) == (0.5, 0.5, 0.5, 0.5, 2)
    assert made.margin == pytest.approx(margin)
    assert made.score == pytest.approx(0.5 + 0.01 * margin)
    assert bench.ties(list(reversed(rows))) == made


def test_ties_whose_right_responses_are_all_equal():
    """No spread: the margin is 1 where right ones are ahead, and counts nothing where they are equal to wrong ones."""
    ahead = [row(2.0, 2.0, 1.0, right=2, name="tied:1"), row(2.0, 1.0, name="ref:1")]
    level = [row(1.0, 1.0, 1.0, right=2, name="tied:2"), row(1.0, 1.0, name="ref:2")]
    made = bench.ties([*ahead, *level])
    assert made is not None
    assert (made.margin, made.score) == (0.5, pytest.approx(0.3 / 2 + 0.3 / 2 + 0.2 / 2 + 0.2 / 2 + 0.01 / 2))


def test_ties_need_their_ids():
    assert bench.ties([]) is None
    with pytest.raises(UserError, match=r"no N among these 1 rows has both \(the first id is 'tied:1'\)"):
        bench.ties([row(2.0, 1.0, name="tied:1")])


def test_length_by_hand():
    """Right shorter: won and lost; right longer: won; as long: equal scores. Of three pairs apart the longer one is
    liked in two (the lost one and the won one), and is right in one."""
    rows = [
        row(1.0, 0.0, lengths=(2, 5)),
        row(0.0, 1.0, lengths=(2, 5), prompt=1),
        row(1.0, 0.0, lengths=(7, 5), prompt=2),
        row(1.0, 1.0, lengths=(5, 5), prompt=3),
    ]
    made = bench.length_bias(rows)
    assert {one.name: (one.accuracy.mean, one.accuracy.num) for one in made.slices} == {
        "shorter": (0.5, 2),
        "longer": (1.0, 1),
        "as long": (0.5, 1),
    }
    assert made.longer_liked is not None
    assert made.longer_liked.mean == pytest.approx(2 / 3)
    assert made.longer_right == pytest.approx(1 / 3)


def test_every_pair_of_a_right_and_a_wrong_response_has_a_length():
    made = bench.length_bias([row(3.0, 1.0, 2.0, 0.0, right=2, lengths=(4, 1, 2, 3))])
    assert {one.name: (one.accuracy.mean, one.accuracy.num) for one in made.slices} == {
        "longer": (1.0, 2),  # the first beside both wrong ones
        "shorter": (0.5, 2),  # the second is ahead of 0 and behind 2
    }


def test_groups_stand_in_the_order_of_the_file():
    rows = [row(1.0, 0.0, group="b"), row(0.0, 1.0, group="a"), row(0.0, 1.0, group="b")]
    assert [(one.name, one.accuracy.mean) for one in bench.by_group(rows)] == [("b", 0.5), ("a", 0.0)]
