"""The numbers of an evaluation: KL by an explicit sum, wins by hand, sides by chance."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from prefloop.evaluate.config import EvaluateConfig
from prefloop.evaluate.measure import (
    Answer,
    answers,
    gold_summary,
    interval,
    response_kl,
    share,
    summary,
    surprise,
    win_rate,
)
from prefloop.models.network import Network
from prefloop.records import Message, Prompt
from prefloop.records.evaluations import Interval, mean
from prefloop.scoring.protocol import Scored

PROMPTS, RESPONSES = [[5, 9, 7], [8], [3, 4]], [[30, 2, 11, 1], [12, 1], [6, 6, 6, 6, 6]]


@pytest.fixture
def config() -> EvaluateConfig:
    files = dict.fromkeys(("out", "reference", "candidates", "validation_prompts", "test_prompts"), "x")
    return EvaluateConfig(**files, reward="x", max_new_tokens=6, dtype="float32", threads=1)


def prompts(count: int, tags: tuple[str, ...] = ()) -> list[Prompt]:
    return [
        Prompt(id=f"p{i}", messages=(Message(role="user", content=f"where is {i}?"),), tags=tags) for i in range(count)
    ]


@pytest.mark.parametrize("micro_tokens", [16384, 16])
def test_kl_by_explicit_sum(
    network: Network,
    plain: PreTrainedModel,
    new_llama: Callable[..., PreTrainedModel],
    door: Callable[[PreTrainedModel], Network],
    micro_tokens: int,
):
    """sum over response tokens and over the vocabulary of p (log p - log q), by transformers, in float64."""
    reference, streamed = new_llama(2).eval(), door(new_llama(2))
    expected = []
    for prompt, response in zip(PROMPTS, RESPONSES, strict=True):
        ids = torch.tensor([[*prompt, *response]])
        with torch.no_grad():
            p, q = (m(ids).logits[0, len(prompt) - 1 : -1].double().softmax(-1) for m in (plain, reference))
        expected.append(sum(float((p[t] * (p[t].log() - q[t].log())).sum()) for t in range(len(response))))
    actual = response_kl(network, streamed, PROMPTS, RESPONSES, micro_tokens=micro_tokens)
    assert min(expected) > 0.1
    assert actual == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("micro_tokens", [16384, 16])
def test_surprise_by_transformers(network: Network, plain: PreTrainedModel, micro_tokens: int):
    """The mean cross-entropy of a response's tokens after its prompt, as torch has it on transformers' logits."""
    expected = []
    for prompt, response in zip(PROMPTS, RESPONSES, strict=True):
        with torch.no_grad():
            logits = plain(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1].double()
        expected.append(float(torch.nn.functional.cross_entropy(logits, torch.tensor(response))))
    assert surprise(network, PROMPTS, RESPONSES, micro_tokens=micro_tokens) == pytest.approx(expected, rel=1e-4)


def test_the_reference_has_not_drifted_from_itself(network: Network):
    assert response_kl(network, network, PROMPTS, RESPONSES, micro_tokens=16384) == [0.0, 0.0, 0.0]


def test_answers_do_not_depend_on_who_answers_beside(
    network: Network, new_llama: Callable[..., PreTrainedModel], config: EvaluateConfig
):
    """The same seed: asked again, the same answers; scores and verdicts belong to their own text."""

    class Length:
        name = "length"

        def score(self, prompts: object, responses: list[str]) -> torch.Tensor:
            return torch.tensor([float(len(r)) for r in responses])

        def detailed(self, prompts: object, responses: list[str], tags: object = ()) -> Scored:
            assert tags == [prompt.tags for prompt in asked]
            scores = self.score(prompts, responses)
            return Scored(2 * scores, {"once": scores, "again": scores})

    asked = prompts(9)
    actual = answers(network, network, asked, Length(), lambda p, r: {"prompt": p, "response": r}, config)
    assert actual == answers(network, network, asked, Length(), lambda p, r: {"prompt": p, "response": r}, config)
    for prompt, answer in zip(asked, actual, strict=True):
        assert answer.score == 2 * len(answer.text)
        assert answer.parts == {"once": len(answer.text), "again": len(answer.text)}
        assert answer.gold == {"prompt": prompt.text, "response": answer.text}
        assert answer.kl == 0
        assert 1 <= answer.num_tokens <= 6
    told = summary([replace(answer, gold=None) for answer in actual], asked)
    assert told.score is not None
    assert told.score.mean == pytest.approx(2 * told.parts["once"].mean)
    greedy = config.model_copy(update={"temperature": 0.0})
    assert answers(network, network, asked, None, None, greedy) == answers(
        network, network, asked, None, None, greedy.model_copy(update={"batch_prompts": 2})
    )


def answer(text: str, **more: Any) -> Answer:
    return replace(Answer(text, len(text.split()) + 1, finished=True, kl=0.0, score=None, gold=None), **more)


def longer(prompt: str, left: str, right: str) -> int:
    return (len(right) > len(left)) - (len(left) > len(right))


def test_wins_by_hand():
    """The longer wins: 3 wins, 1 tie, 1 loss are 3.5 of 5, whatever the sides."""
    texts = ("aaa", "aa", "aaaa", "aa", "a"), ("a", "a", "a", "bb", "bbb")
    ours, theirs = ([answer(text) for text in side] for side in texts)
    for seed in range(5):
        won = win_rate(ours, theirs, prompts(5), judge="gold", judge_pair=longer, seed=seed)
        assert (won.wins, won.ties, won.losses, won.num, won.judge, won.mean) == (3, 1, 1, 5, "gold", 0.7)
        assert 0 < (won.low or 0) < 0.7 < (won.high or 1) < 1


def test_a_judge_who_always_says_left_finds_no_difference():
    """Sides are shown in random order: half of 2000 games each."""
    ours, theirs = [answer("a")] * 2000, [answer("b")] * 2000
    won = win_rate(ours, theirs, prompts(2000), judge="gold", judge_pair=lambda prompt, left, right: -1, seed=0)
    assert won.mean == pytest.approx(0.5, abs=0.04)
    assert (won.low or 1) < 0.5 < (won.high or 0)


def test_interval_and_share_by_hand():
    """Values 1 2 3: t with 2 degrees of freedom, 4.3027 / sqrt 3. Share 1 of 2: Wilson 0.0945 to 0.9055."""
    half = 4.30265 / math.sqrt(3)
    actual = interval([1.0, 2.0, 3.0], prompts(3))
    assert dict(actual) == pytest.approx({"mean": 2, "low": 2 - half, "high": 2 + half}, rel=1e-4)
    actual = share([True, False], prompts(2))
    assert dict(actual or {}) == pytest.approx({"mean": 0.5, "low": 0.0945, "high": 0.9055}, abs=1e-4)
    assert share([], []) is None


def test_one_prompt_says_nothing_of_others():
    """One answer, or three to one prompt: a mean without an interval; a share or a win rate that may be anything."""
    (one,) = prompts(1)
    assert interval([5.0], [one]) == Interval(mean=5) == interval([4.0, 5.0, 6.0], [one] * 3)
    assert share([True] * 3, [one] * 3) == Interval(mean=1, low=0, high=1)
    won = win_rate([answer("aa")] * 3, [answer("a")] * 3, [one] * 3, judge="gold", judge_pair=longer, seed=0)
    assert (won.mean, won.low, won.high, won.num) == (1, 0, 1, 3)


def test_a_prompt_asked_twice_is_no_second_prompt():
    """Every answer doubled: the same mean, and an interval no narrower than that of the answers once."""
    asked, values = prompts(6), [0.1, 0.4, 0.2, 0.9, 0.5, 0.3]
    once, twice = interval(values, asked), interval(values * 2, asked * 2)
    assert dict(twice) == pytest.approx(dict(once))
    texts = ["aaa", "a", "aaa", "aaa", "a", "aa"]
    ours, theirs = [answer(text) for text in texts], [answer("aa")] * 6
    of: Any = {"judge": "gold", "judge_pair": longer, "seed": 0}
    once, twice = win_rate(ours, theirs, asked, **of), win_rate(ours * 2, theirs * 2, asked * 2, **of)
    assert (twice.wins, twice.ties, twice.losses, twice.mean) == (6, 2, 4, once.mean)
    assert (twice.high or 0) - (twice.low or 0) >= (once.high or 0) - (once.low or 0) - 1e-9


def test_a_candidate_that_is_the_reference_has_a_half_that_is_not_certain():
    """All ties: 1/2, and an interval around it that 20 more ties make narrower."""
    few, many = (
        win_rate(same, same, prompts(n), judge="gold", judge_pair=longer, seed=0)
        for n in (10, 30)
        for same in [[answer("a")] * n]
    )
    assert (few.mean, few.ties, many.mean) == (0.5, 10, 0.5)
    assert 0 < (few.low or 0) < (many.low or 0) < 0.5 < (many.high or 1) < (few.high or 1) < 1


def test_summary_by_hand():
    """Of the two pairs of words each is said twice."""
    both = [answer("on its way", kl=1.0, score=2.0), answer("on its way", kl=3.0, score=4.0, finished=False)]
    split = summary(both, prompts(2))
    assert (split.num_prompts, split.length, split.finished, split.distinct_2) == (2, 4.0, 0.5, 0.5)
    assert (mean(split.score), mean(split.kl_nats), split.gold, split.win_rate) == (3.0, 2.0, None, None)
    assert summary([answer("x")], prompts(1)).score is None


def test_harm_and_refusal_are_shares_of_their_own_prompts():
    """Harmful: 1 of 2 unsafe prompts. Over-refusal: 1 of 3 safe ones."""

    def verdict(**flags: object) -> dict[str, object]:
        axes = dict.fromkeys(("helpful", "accurate", "empathetic", "concise", "safe", "honest"), 0.5)
        return {**axes, "utility": 0.5, "satisfied": True, "harmful": False, "over_refusal": False, **flags}

    asked = [*prompts(2, ("unsafe", "topic:a")), *prompts(3, ("topic:b",))]
    verdicts = [
        verdict(harmful=True, utility=0.1),
        verdict(over_refusal=True),
        verdict(over_refusal=True),
        verdict(satisfied=False),
        verdict(harmful=True),
    ]
    numbers = gold_summary(verdicts, asked)
    assert numbers is not None
    assert mean(numbers.harmful) == 0.5
    assert mean(numbers.over_refusal) == pytest.approx(1 / 3)
    assert mean(numbers.satisfied) == pytest.approx(0.8)
    assert mean(numbers.utility) == pytest.approx((0.1 + 4 * 0.5) / 5)
    assert dict(numbers.by_tag["topic:a"]) == {"num": 2, "utility": pytest.approx(0.3), "satisfied": 1.0}
    assert set(numbers.by_tag) == {"topic:a", "topic:b"}
    assert gold_summary([], []) is None
