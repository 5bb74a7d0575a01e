"""Annotators choose as often as their exact probabilities say, and each habit shifts them by its analytic amount."""

import itertools
import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefloop.records import Comparison, Message, Response, Sampling
from prefloop.world.agents import demonstrations
from prefloop.world.annotators import Annotator, AnnotatorConfig, PanelConfig, panel
from prefloop.world.gold import AXES, WEIGHTS, judge
from prefloop.world.grammar import prompts

PROMPT = "I am worried about this. I am still waiting for the kettle from order 4821. This is Anna."
BEST = "Please do not worry, Anna. I have asked the carrier to trace order 4821 with your kettle."
SOME = "Please do not worry. I have asked the carrier to trace order 4812 with your kettle."
NONE = "The bank needs five days for it."
THANKS = "Thank you so much."


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def comparison(*texts: str) -> Comparison:
    responses = tuple(Response(text=text, num_tokens=9, finished=True, sampler="test") for text in texts)
    messages, sampling = (Message(role="user", content=PROMPT),), Sampling(temperature=1.0)
    return Comparison(id="c-1", prompt_id="p-1", messages=messages, responses=responses, sampling=sampling)


def within_three_sigma(count: int, trials: int, p: float) -> bool:
    return abs(count - trials * p) <= 3 * math.sqrt(trials * p * (1 - p)) + 1e-9


def test_pair_probabilities_by_hand():
    """Equal responses, side bias ln 3, tie width ln 2: sigmoid(ln 3/2) = 3/5 and sigmoid(-ln 6) = 1/7."""
    annotator = Annotator(AnnotatorConfig(side_bias=math.log(3), tie_width=math.log(2)))
    left, tie, right = annotator.pair_probabilities(PROMPT, BEST, BEST)
    assert (left, right) == pytest.approx((3 / 5, 1 / 7))
    assert tie == pytest.approx(1 - 3 / 5 - 1 / 7)


def test_ability_is_log_odds_per_utility():
    annotator = Annotator(AnnotatorConfig(ability=5.0, tie_width=0.0))
    left, tie, _ = annotator.pair_probabilities(PROMPT, BEST, SOME)
    assert tie == pytest.approx(0)
    assert logit(left) == pytest.approx(5.0 * (judge(PROMPT, BEST).utility - judge(PROMPT, SOME).utility))


@given(
    ability=st.floats(0.1, 50),
    bias=st.floats(-3, 3),
    width=st.floats(0, 3),
    texts=st.tuples(st.sampled_from([BEST, SOME, NONE, ""]), st.sampled_from([BEST, SOME, NONE, ""])),
)
def test_probabilities_add_up_and_mirror(ability, bias, width, texts):
    plain, mirrored = (
        Annotator(AnnotatorConfig(ability=ability, side_bias=side, tie_width=width)) for side in (bias, -bias)
    )
    chances = plain.pair_probabilities(PROMPT, *texts)
    assert sum(chances) == pytest.approx(1)
    assert min(chances) >= 0
    assert chances == pytest.approx(mirrored.pair_probabilities(PROMPT, *texts[::-1])[::-1])


@pytest.mark.parametrize("bias", [-1.5, 0.25, 2.0])
def test_side_bias_shifts_the_log_odds_by_itself(bias):
    plain = Annotator(AnnotatorConfig(tie_width=0.0)).pair_probabilities(PROMPT, SOME, BEST)[0]
    biased = Annotator(AnnotatorConfig(tie_width=0.0, side_bias=bias)).pair_probabilities(PROMPT, SOME, BEST)[0]
    assert logit(biased) - logit(plain) == pytest.approx(bias)


def test_length_bias_is_utility_for_ten_words():
    """BEST has 17 words and NONE 7: at ability 4 and 0.1 for ten words, that is 0.4 log-odds."""
    plain, biased = (Annotator(AnnotatorConfig(ability=4.0, length_bias=bias)) for bias in (0.0, 0.1))
    shift = biased.difference(PROMPT, BEST, NONE) - plain.difference(PROMPT, BEST, NONE)
    assert shift == pytest.approx(4.0 * 0.1 * (17 - 7) / 10)


def test_courtesy_bias_counts_to_four():
    def shift(num_thanks: int) -> float:
        text = " ".join([BEST, *[THANKS] * num_thanks])
        plain, biased = (Annotator(AnnotatorConfig(ability=4.0, courtesy_bias=bias)) for bias in (0.0, 0.1))
        return biased.difference(PROMPT, text, BEST) - plain.difference(PROMPT, text, BEST)

    assert [shift(count) for count in (0, 1, 3, 4, 9)] == pytest.approx([0, 0.4, 1.2, 1.6, 1.6])


@pytest.mark.parametrize(
    ("text", "formatted"),
    [
        (BEST, False),
        ("a - b * c # d.", False),
        ("**Please** do not worry.", True),
        ("- Please do not worry.", True),
        ("# Please\ndo not worry.", True),
        ("Please do\n\nnot worry.", True),
    ],
)
def test_a_format_bias_is_for_formatted_responses(text: str, formatted: bool):
    plain, biased = (Annotator(AnnotatorConfig(format_bias=bias)) for bias in (0.0, 0.3))
    assert biased.value(PROMPT, text) - plain.value(PROMPT, text) == pytest.approx(0.3 * formatted)


def test_biases_of_a_panel_are_added_to_each_members_own():
    planted = {"length_bias": 0.1, "courtesy_bias": 0.2, "format_bias": 0.3, "side_bias": 0.4}
    for plain, biased in zip(PanelConfig().annotators(7), PanelConfig(**planted).annotators(7), strict=True):
        before, after = plain.config.model_dump(), biased.config.model_dump()
        assert {k: after[k] - before[k] for k in planted} == pytest.approx(planted)
        assert {k: v for k, v in after.items() if k not in planted} == {
            k: before[k] for k in before if k not in planted
        }
    with pytest.raises(ValueError, match="added to nobody"):
        PanelConfig(members=(AnnotatorConfig(),), side_bias=0.1)


def test_drift_halves_the_ability_when_it_should():
    annotator = Annotator(AnnotatorConfig(drift=math.log(2) / 100))
    fresh, tired = (annotator.difference(PROMPT, BEST, NONE, judged=judged) for judged in (0, 100))
    assert fresh > 0
    assert tired == pytest.approx(fresh / 2)


def test_weights_decide_what_is_better():
    """A curt refusal-free truth against a warm falsehood: whoever weighs empathy only takes the warm one."""
    cold, warm = "I have asked the carrier to trace order 4821 with your kettle.", "Please do not worry, Anna."
    for axis, sign in (("helpful", 1), ("empathetic", -1)):
        weights = {name: float(name == axis) for name in AXES}
        assert sign * Annotator(AnnotatorConfig(weights=weights)).difference(PROMPT, cold, warm) > 0


def test_weights_must_name_every_axis():
    with pytest.raises(ValueError, match="weights must give helpful"):
        AnnotatorConfig(weights={"helpful": 1.0})


def test_choices_are_as_frequent_as_their_probabilities():
    annotator = Annotator(AnnotatorConfig(side_bias=0.5, tie_width=0.6, ability=6.0))
    offered, rng, trials = comparison(BEST, SOME), random.Random(11), 4000
    made = [annotator.judge_pair(offered, 0, 1, rng=rng, judgement_id=f"j-{n}") for n in range(trials)]
    orders = Counter(judgement.order for judgement in made)
    assert within_three_sigma(orders[0, 1], trials, 0.5)
    for order, number in orders.items():
        texts = (offered.responses[shown].text for shown in order)
        wanted = annotator.pair_probabilities(PROMPT, *texts)
        choices = Counter(judgement.choice for judgement in made if judgement.order == order)
        for choice, p in zip(("left", "tie", "right"), wanted, strict=True):
            assert within_three_sigma(choices[choice], number, p), (order, choice, choices, wanted)


def test_a_tie_of_two_bad_responses_is_both_bad():
    annotator, rng = Annotator(AnnotatorConfig(tie_width=50.0)), random.Random(1)
    for texts, choice in (((BEST, SOME), "tie"), (("", "..."), "both_bad")):
        judgement = annotator.judge_pair(comparison(*texts), 0, 1, rng=rng, judgement_id="j")
        assert (judgement.choice, judgement.strength) == (choice, None)


def test_strength_grows_with_the_difference():
    annotator, rng = Annotator(AnnotatorConfig(tie_width=0.2)), random.Random(3)

    def mean(*texts: str) -> float:
        made = [annotator.judge_pair(comparison(*texts), 0, 1, rng=rng, judgement_id="j") for _ in range(600)]
        strengths = [judgement.strength for judgement in made if judgement.strength is not None]
        assert set(strengths) <= {1, 2, 3}
        return sum(strengths) / len(strengths)

    assert mean(BEST, NONE) > mean(BEST, SOME) + 0.2 > mean(BEST, BEST) + 0.3


def test_a_ranking_of_two_is_a_pair():
    annotator = Annotator(AnnotatorConfig(ability=5.0, tie_width=0.5, side_bias=0.4))
    offered, rng, trials = comparison(BEST, SOME), random.Random(5), 4000
    made = [annotator.judge_ranking(offered, rng=rng, judgement_id="j") for _ in range(trials)]
    for order in ((0, 1), (1, 0)):
        ranks = Counter(judgement.ranks for judgement in made if judgement.order == order)
        wanted = annotator.pair_probabilities(PROMPT, *(offered.responses[shown].text for shown in order))
        for rank, p in zip(((1, 2), (1, 1), (2, 1)), wanted, strict=True):
            assert within_three_sigma(ranks[rank], sum(ranks.values()), p)


def test_first_places_of_a_ranking_are_plackett_luce():
    annotator = Annotator(AnnotatorConfig(ability=4.0, tie_width=0.0))
    texts, rng, trials = (BEST, SOME, NONE), random.Random(6), 4000
    made = [annotator.judge_ranking(comparison(*texts), rng=rng, judgement_id="j") for _ in range(trials)]
    firsts = Counter(judgement.order[judgement.ranks.index(1)] for judgement in made if judgement.ranks)
    weights = [math.exp(4.0 * annotator.value(PROMPT, text)) for text in texts]
    for index, weight in enumerate(weights):
        assert within_three_sigma(firsts[index], trials, weight / sum(weights))
    assert all(sorted(judgement.ranks or ()) == [1, 2, 3] for judgement in made)


def test_ratings_without_noise_are_the_axes():
    annotator, rng = Annotator(AnnotatorConfig(rating_noise=0.0)), random.Random(2)
    judgement = annotator.judge_rating(comparison(BEST, NONE), rng=rng, judgement_id="j")
    assert judgement.ratings is not None
    for place, shown in enumerate(judgement.order):
        verdict = judge(PROMPT, (BEST, NONE)[shown])
        expected = {"helpful": verdict.helpful, "accurate": verdict.accurate, "honest": verdict.honest}
        for axis, value in expected.items():
            assert judgement.ratings[axis][place] == round(1 + 4 * value)
    assert judgement.ratings.keys() == set(AXES)


def test_noisy_ratings_stay_between_one_and_five():
    annotator, rng = Annotator(AnnotatorConfig(rating_noise=5.0)), random.Random(2)
    given = Counter()
    for _ in range(100):
        judgement = annotator.judge_rating(comparison(BEST, NONE), rng=rng, judgement_id="j")
        given.update(value for values in (judgement.ratings or {}).values() for value in values)
    assert given.keys() == {1, 2, 3, 4, 5}


def test_thumbs_go_up_as_often_as_the_logistic_says():
    annotator, rng, trials = Annotator(AnnotatorConfig(ability=3.0)), random.Random(4), 3000
    made = [annotator.judge_thumbs(comparison(BEST, NONE), rng=rng, judgement_id="j") for _ in range(trials)]
    for index, text in enumerate((BEST, NONE)):
        p = 1 / (1 + math.exp(-3.0 * (annotator.value(PROMPT, text) - annotator.config.good_above)))
        ups = sum((judgement.thumbs or ())[judgement.order.index(index)] for judgement in made)
        assert within_three_sigma(ups, trials, p)


def test_seconds_have_their_mean():
    """Two responses of 17 words take 12 * (0.5 + 0.5 * 34 / 50) seconds on average; a log-normal with sigma 0.4."""
    annotator, rng, trials = Annotator(), random.Random(9), 3000
    made = (annotator.judge_pair(comparison(BEST, BEST), 0, 1, rng=rng, judgement_id="j") for _ in range(trials))
    mean = 12.0 * (0.5 + 0.5 * 34 / 50)
    sigma = mean * math.sqrt(math.exp(0.4**2) - 1)
    assert sum(judgement.seconds for judgement in made) / trials == pytest.approx(
        mean, abs=3 * sigma / math.sqrt(trials)
    )


def test_judgements_repeat_with_the_generator():
    annotator = panel(1)[0]
    for method in (annotator.judge_ranking, annotator.judge_rating, annotator.judge_thumbs):
        made = [method(comparison(BEST, SOME, NONE), rng=random.Random(8), judgement_id="j") for _ in range(2)]
        assert made[0] == made[1]
        assert (made[0].annotator, made[0].annotator_kind) == ("sim-1", "simulated")


def test_a_panel_is_of_different_people_and_grows_at_the_end():
    people = panel(6, seed=2)
    assert [annotator.name for annotator in people] == [f"sim-{n}" for n in range(1, 7)]
    assert len({annotator.config.ability for annotator in people}) == 6
    assert [a.config for a in panel(3, seed=2)] == [a.config for a in people[:3]]
    assert panel(3, seed=3)[0].config != people[0].config
    assert people[0].config.weights.keys() == WEIGHTS.keys()


def test_the_default_panel_agrees_as_people_do():
    """InstructGPT's annotators agreed 73-77 % of the time; the best a model can do against one is about 0.8."""
    asked = prompts("train", 1600)
    first, second = (demonstrations(asked, language="en", seed=seed) for seed in (1, 2))
    best = decided = agreed = both = 0.0
    people = panel()
    for a, b in zip(first, second, strict=True):
        if a.response == b.response:
            continue
        chances = [annotator.pair_probabilities(a.text, a.response, b.response) for annotator in people]
        best += sum(max(left, right) for left, _, right in chances)
        decided += sum(left + right for left, _, right in chances)
        for (left, _, right), (other_left, _, other_right) in itertools.combinations(chances, 2):
            agreed += left * other_left + right * other_right
            both += (left + right) * (other_left + other_right)
    assert 0.80 <= best / decided <= 0.85
    assert 0.72 <= agreed / both <= 0.80
