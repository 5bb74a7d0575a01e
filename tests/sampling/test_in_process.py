"""The rollout engine against transformers.generate and exact distributions; rows that know nothing of each other."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import PreTrainedModel

from prefloop.models.device import Placement
from prefloop.models.network import Network
from prefloop.models.stream import Stream
from prefloop.ops.draws import seeded
from prefloop.sampling.choosing import next_tokens
from prefloop.sampling.in_process import InProcess, generate
from prefloop.sampling.protocol import Sampled
from prefloop.seeds import seed_of
from prefloop.settings import SamplingConfig

CPU = Placement(torch.device("cpu"))
PROMPTS = [[5, 9, 7, 30, 2, 11, 4], [8], [3, 12, 33, 9, 9, 21, 6, 17, 28, 2, 14, 35], [19, 4, 26]]
STOPS = tuple(range(100, 140))  # so many that random responses of all lengths come about


def drawn(
    network: Network,
    prompts: Sequence[Sequence[int]],
    *,
    stops: Sequence[int] = STOPS,
    copies: int = 1,
    seed: int = 3,
    **settings: float,
) -> list[Sampled]:
    sampling = SamplingConfig.model_validate({"max_new_tokens": 12, **settings})
    network.codec = replace(network.codec, stop_ids=tuple(stops))
    return InProcess(network).sample(prompts, sampling, seed_of(seed, "online.rollouts"), copies=copies)


def test_greedy_is_transformers_generate(network: Network, plain: PreTrainedModel):
    """Token for token, stops included, for prompts of different lengths in one batch."""
    ends = 0
    for stops in ((), (40,), tuple(range(60, 90))):
        actual = drawn(network, PROMPTS, stops=stops, temperature=0)
        for prompt, response in zip(PROMPTS, actual, strict=True):
            ids = plain.generate(
                torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt)),
                max_new_tokens=12,
                do_sample=False,
                eos_token_id=list(stops) or None,
                pad_token_id=0,
            )
            assert list(response.tokens) == ids[0, len(prompt) :].tolist()
            ends += response.finished
    assert ends > 0


def test_stop_is_the_last_token_and_nothing_comes_after(network: Network):
    actual = drawn(network, PROMPTS * 25)
    assert {len(r.tokens) for r in actual} >= {1, 2, 3, 5, 12}
    for r in actual:
        assert 1 <= len(r.tokens) <= 12
        assert not set(r.tokens[:-1]) & set(STOPS)
        assert r.finished == (r.tokens[-1] in STOPS)
        assert r.finished or len(r.tokens) == 12


def test_an_end_at_the_limit_is_an_end(network: Network):
    actual = drawn(network, PROMPTS * 25, max_new_tokens=1)
    assert all(len(r.tokens) == 1 for r in actual)
    assert {r.finished for r in actual} == {True, False}
    assert all(r.finished == (r.tokens[0] in STOPS) for r in actual)


def test_a_row_does_not_depend_on_its_batch(network: Network, monkeypatch: pytest.MonkeyPatch):
    """The same uniforms row by row, alone or together with rows that end early: the same responses."""
    prompts = PROMPTS * 3
    uniforms = torch.rand(len(prompts), 12, generator=seeded(8, "online.rollouts"), dtype=torch.float64)
    together = _with_uniforms(monkeypatch, uniforms, network, prompts)
    alone = [
        _with_uniforms(monkeypatch, uniforms[i : i + 1], network, prompts[i : i + 1])[0] for i in range(len(prompts))
    ]
    assert together == alone
    assert len({len(r.tokens) for r in together}) > 3  # rows were dropped on the way


@pytest.mark.parametrize("copies", [1, 4])
def test_neighbours_change_nothing(copies: int, network: Network):
    """Third of six, with the same seed: whatever the others ask, however long it is, and whoever waits for a place."""
    ours, others = PROMPTS[0], [[8], [3, 12, 33] * 9, [19, 4], [26] * 30, [5, 9, 7, 30, 2, 11, 4]]
    both = [[*some[:2], ours, *some[2:]] for some in (others, [prompt[::-1] * 2 for prompt in others[::-1]])]
    settings: dict[str, float] = {"max_new_tokens": 9, "temperature": 0.8, "top_p": 0.95}
    first, second = (drawn(network, prompts, copies=copies, **settings) for prompts in both)
    few = drawn(network, both[1], copies=copies, cache_tokens=150, **settings)
    mine = slice(2 * copies, 3 * copies)
    assert first[mine] == second[mine] == few[mine]
    assert first[:copies] != second[:copies]
    for one, other in zip(first[mine], few[mine], strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)


def test_copies_are_separate_draws(network: Network, monkeypatch: pytest.MonkeyPatch):
    """copies = 3 is each prompt three times, and the three differ."""
    uniforms = torch.rand(12, 12, generator=seeded(9, "online.rollouts"), dtype=torch.float64)
    copies = _with_uniforms(monkeypatch, uniforms, network, PROMPTS, copies=3)
    written_out = _with_uniforms(monkeypatch, uniforms, network, [p for p in PROMPTS for _ in range(3)])
    assert copies == written_out
    assert len({r.tokens for r in copies[:3]}) == 3


def _with_uniforms(
    patch: pytest.MonkeyPatch,
    uniforms: torch.Tensor,
    network: Network,
    prompts: Sequence[Sequence[int]],
    copies: int = 1,
) -> list[Sampled]:
    drawn_rows = iter(uniforms)

    def rand(rows: int, columns: int, *, generator: torch.Generator, dtype: torch.dtype) -> torch.Tensor:
        assert columns == uniforms.shape[1]
        return torch.stack([next(drawn_rows) for _ in range(rows)])

    with patch.context() as inner:
        inner.setattr(torch, "rand", rand)
        return drawn(network, prompts, copies=copies)


def test_the_seed_decides(network: Network):
    assert drawn(network, PROMPTS, seed=1) == drawn(network, PROMPTS, seed=1)
    assert drawn(network, PROMPTS, seed=1) != drawn(network, PROMPTS, seed=2)


def test_the_generator_advances_by_one_draw_whatever_ends_when(network: Network):
    generator, expected = (seeded(1, "online.rollouts") for _ in range(2))
    torch.rand(8, 12, generator=expected, dtype=torch.float64)
    network.codec = replace(network.codec, stop_ids=tuple(range(300)))
    generate(network, PROMPTS, SamplingConfig(max_new_tokens=12), generator=generator, copies=2)
    assert torch.equal(torch.rand(3, generator=generator), torch.rand(3, generator=expected))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"temperature": 1.0}, [0.4, 0.3, 0.2, 0.1]),
        ({"temperature": 0.5}, [16 / 30, 9 / 30, 4 / 30, 1 / 30]),
        ({"temperature": 1.0, "top_k": 2}, [4 / 7, 3 / 7, 0, 0]),
        ({"temperature": 1.0, "top_k": 9}, [0.4, 0.3, 0.2, 0.1]),
        ({"temperature": 1.0, "top_p": 0.65}, [4 / 7, 3 / 7, 0, 0]),
        ({"temperature": 1.0, "top_p": 0.75}, [4 / 9, 3 / 9, 2 / 9, 0]),
        ({"temperature": 1.0, "top_p": 0.01}, [1, 0, 0, 0]),
        ({"temperature": 0.5, "top_k": 3, "top_p": 0.8}, [16 / 25, 9 / 25, 0, 0]),
        ({"temperature": 0.0}, [1, 0, 0, 0]),
    ],
)
def test_shares_by_hand(settings: dict[str, float], expected: list[float]):
    """p = 0.4, 0.3, 0.2, 0.1, in another order; 0.5 squares them. A grid of uniforms gives each token its share
    exactly."""
    order = torch.tensor([2, 0, 3, 1])
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()[order] + 5
    draws = (torch.arange(3000) + 0.5) / 3000
    tokens, _ = next_tokens(logits.expand(3000, 4), draws, SamplingConfig.model_validate(settings))
    actual = np.bincount(order[tokens].numpy(), minlength=4) / 3000
    assert actual == pytest.approx(expected, abs=1 / 3000)


@pytest.mark.parametrize("draw", [0.0, 1.0 - 2**-25, 1.0])
def test_the_ends_of_the_unit_interval_draw_possible_tokens(draw: float):
    """A uniform of exactly 0 or (rounded) 1 must not draw a token of probability 0, nor one past the vocabulary."""
    logits = torch.tensor([[-torch.inf, 0.0, 1.0, -torch.inf, -torch.inf]])
    token = int(next_tokens(logits, torch.tensor([draw]), SamplingConfig())[0])
    assert token == (1 if draw == 0 else 2)


def test_sampled_frequencies_are_the_models_own(network: Network, plain: PreTrainedModel):
    """6000 draws of the first two tokens at temperature 0.7 against softmax(transformers' logits / 0.7), by
    chi-square."""
    with torch.no_grad():
        first = (plain(torch.tensor([PROMPTS[0]])).logits[0, -1].double() / 0.7).softmax(-1)
    actual = drawn(network, [PROMPTS[0]], stops=(), copies=6000, temperature=0.7, max_new_tokens=2)
    assert _fit([r.tokens[0] for r in actual], first) > 1e-3
    favourite = int(first.argmax())
    with torch.no_grad():
        second = (plain(torch.tensor([[*PROMPTS[0], favourite]])).logits[0, -1].double() / 0.7).softmax(-1)
    then = [r.tokens[1] for r in actual if r.tokens[0] == favourite]
    assert len(then) > 300
    assert _fit(then, second) > 1e-3
    assert _fit(then, first) < 1e-9  # the test can tell two distributions apart


def _fit(tokens: Sequence[int], probabilities: torch.Tensor) -> float:
    """p-value of the likeliest twenty tokens and all the others together."""
    top = probabilities.topk(20).indices.tolist()
    counts = [tokens.count(t) for t in top]
    expected = [float(probabilities[t]) * len(tokens) for t in top]
    return float(chisquare([*counts, len(tokens) - sum(counts)], [*expected, len(tokens) - sum(expected)]).pvalue)


def test_sampling_and_reading_see_the_same_logits_in_bfloat16(network: Network):
    """In bfloat16 the tokens drawn are those that the logits which training reads would draw, for the same uniforms.

    With the output matrix in bfloat16 too, the distribution drawn from would be another than the one whose logprobs PPO
    keeps, by some hundredths of a nat.
    """
    prompts = [[i % 299 + 1, (7 * i) % 297 + 1, 5] for i in range(1500)]
    uniforms = torch.rand(len(prompts), 1, generator=seeded(1, "online.rollouts"), dtype=torch.float64).float()[:, 0]
    network.placement = replace(network.placement, autocast=torch.bfloat16)
    with torch.no_grad():
        actual = drawn(network, prompts, seed=1, stops=(), max_new_tokens=1)
        stream = Stream.of(prompts, CPU.device)
        logits = network.logits(network.hidden_states(stream))[stream.starts + 2]
    assert [r.tokens[0] for r in actual] == next_tokens(logits, uniforms, SamplingConfig())[0].tolist()


def test_streaming_shows_each_token_and_can_stop(network: Network):
    seen: list[int] = []

    def on_token(token: int) -> bool:
        seen.append(token)
        return len(seen) < 3

    settings = SamplingConfig(temperature=0, max_new_tokens=8)
    network.codec = replace(network.codec, stop_ids=())
    whole = generate(network, PROMPTS[:1], settings, generator=seeded(1, "online.rollouts"))
    part = generate(network, PROMPTS[:1], settings, generator=seeded(1, "online.rollouts"), on_token=on_token)
    assert seen == list(part[0].tokens) == list(whole[0].tokens[:3])
