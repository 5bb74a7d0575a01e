"""The first batch is looked at once: what is sound is silent, and each planted fault is said in words."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from prefloop.align import drift, first_batch, grpo, online, online_dpo, ppo, reinforce, rft, rloo
from prefloop.align.config import GRPOConfig, OnlineDPOConfig, PPOConfig, REINFORCEConfig, RFTConfig, RLOOConfig
from prefloop.errors import UserError
from prefloop.models.network import Network, Reading
from prefloop.sampling.rollouts import Rollouts
from prefloop.text.codec import Codec

Make = Callable[..., Any]
Plant = Callable[[pytest.MonkeyPatch], None]
GROUPS = {"responses_per_prompt": 4}
ALGORITHMS: dict[str, tuple[Callable[[Any], Path], Any, dict[str, Any]]] = {
    "ppo": (ppo.train, PPOConfig, {}),
    "reinforce": (reinforce.train, REINFORCEConfig, {}),
    "rloo": (rloo.train, RLOOConfig, GROUPS),
    "grpo": (grpo.train, GRPOConfig, {}),
    "rft": (rft.train, RFTConfig, {**GROUPS, "minibatch_size": 8, "epochs": 1}),
    "online-dpo": (online_dpo.train, OnlineDPOConfig, {**GROUPS, "beta": 0.1}),
}


def said(config: Any) -> list[str]:
    """What was said of the first batch, and is kept."""
    chosen = json.loads((Path(config.out) / "run.json").read_text(encoding="utf-8"))["chosen"]
    return [each for name in ("first_batch", "first_rewards") for each in chosen.get(name, {}).get("said", [])]


def greedy(planted: pytest.MonkeyPatch) -> None:
    """Samples the likeliest token, where the losses think of temperature 1."""
    real = online.SamplingConfig
    planted.setattr(online, "SamplingConfig", lambda **given: real(**{**given, "temperature": 0.0}))


def random(planted: pytest.MonkeyPatch) -> None:
    """Something in the model is random, as with dropout."""
    real = Network.logprobs

    def noisy(self: Network, *args: Any, **kwargs: Any) -> Tensor:
        found = real(self, *args, **kwargs)
        return found + 0.01 * torch.randn(found.shape, generator=torch.Generator().manual_seed(0))

    planted.setattr(Network, "logprobs", noisy)


def doubled(planted: pytest.MonkeyPatch) -> None:
    """Template and tokenizer both write where the text begins."""
    real = Codec.prompts

    def begun(self: Codec, conversations: Any) -> list[list[int]]:
        begin = self.tokenizer.bos_token_id
        return [[begin, begin, *ids] for ids in real(self, conversations)]

    planted.setattr(Codec, "prompts", begun)
    planted.setattr(Codec, "conversations", lambda self, prompts, responses: [([0] * 9999, [])] * len(prompts))


def answered_otherwise(planted: pytest.MonkeyPatch) -> None:
    """The template writes a prompt otherwise once it is answered."""
    real = Codec.conversations

    def cut(self: Codec, prompts: Any, responses: Any) -> list[tuple[list[int], list[int]]]:
        return [(begun[:-1], [*begun[-1:], *rest]) for begun, rest in real(self, prompts, responses)]

    planted.setattr(Codec, "conversations", cut)


def late(planted: pytest.MonkeyPatch) -> None:
    """Rewards stand one token before the last."""
    real = drift.token_rewards
    planted.setattr(drift, "token_rewards", lambda *args, **kwargs: real(*args, **kwargs).roll(-1, dims=1))


PLANTS = pytest.mark.parametrize(
    ("plant", "words"),
    [
        (greedy, r"The first responses are not drawn from the policy as it is read: .* nats likelier.* top_p"),
        (random, r"the same tokens read twice differ by up to 0\.0.* by none is expected: dropout is on"),
        (doubled, r"16 of 16 prompts begin with two tokens .* one is expected: the template writes one"),
        (answered_otherwise, r"the tokens of 16 of 16 prompts are not the beginning .*template=\.\.\."),
        (late, r"of 16 responses are paid elsewhere than at their last token"),
    ],
)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_sound_run_is_silent(make_config: Make, name: str):
    train, settings, own = ALGORITHMS[name]
    config = make_config(settings, rollouts_per_step=16, **own)
    train(config)
    assert said(config) == []


@PLANTS
def test_what_is_planted_is_said(make_config: Make, monkeypatch: pytest.MonkeyPatch, plant: Plant, words: str):
    settings = {"rollouts_per_step": 16, "minibatch_size": 16, "unfinished_penalty": 0.5}
    with monkeypatch.context() as planted:
        plant(planted)
        warned, stopped, off = (make_config(**settings, watch=how) for how in ("warn", "stop", "off"))
        ppo.train(warned)
        ppo.train(off)
        with pytest.raises(UserError, match=f"^first batch: .*{words}.* does not begin, because of watch=stop"):
            ppo.train(stopped)
    (sentence,) = said(warned)
    assert re.match(f"first batch: .*{words}", sentence)
    assert said(off) == []


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_looks(make_config: Make, monkeypatch: pytest.MonkeyPatch, name: str):
    train, settings, own = ALGORITHMS[name]
    greedy(monkeypatch)
    with pytest.raises(UserError, match="The first responses are not drawn"):
        train(make_config(settings, rollouts_per_step=16, watch="stop", **own))


def test_only_the_first_step_is_looked_at(make_config: Make, monkeypatch: pytest.MonkeyPatch):
    looked = list[int]()
    real = first_batch.drawn
    monkeypatch.setattr(first_batch, "drawn", lambda *args, **kwargs: looked.append(1) or real(*args, **kwargs))
    ppo.train(make_config(steps=3))
    assert looked == [1]


def rollouts(*responses: tuple[int, ...], finished: tuple[bool, ...]) -> Rollouts:
    lengths = torch.tensor([len(each) for each in responses])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    return Rollouts(((7,),) * len(responses), responses, torch.tensor(finished), mask)


@pytest.mark.parametrize(
    ("responses", "finished", "words"),
    [
        (((5, 2), (5, 6)), (True, False), None),
        (((5, 2), (5, 6)), (True, True), "1 of 2 responses do not end where"),
        (((5, 2), (5, 2)), (True, False), "1 of 2 responses do not end where"),
        (((2, 5, 2), (5, 6)), (True, False), "1 of 2 responses do not end where"),
    ],
)
def test_the_end_is_the_last_token_and_only_the_last(
    network: Network, responses: Any, finished: Any, words: str | None
):
    codec = replace(network.codec, stop_ids=(2,))
    found = first_batch.misplaced_end(codec, rollouts(*responses, finished=finished))
    assert (found is None) if words is None else (found is not None and words in found)


def test_an_end_that_is_masked_as_padding_is_said(network: Network):
    """Where padding is told by its token, and the end is the same one, nothing teaches the policy to stop."""
    codec, whole = replace(network.codec, stop_ids=(2,)), rollouts((5, 2), (5, 6, 2), finished=(True, True))
    ends = torch.tensor([[False, True, False], [False, False, True]])
    found = first_batch.misplaced_end(codec, replace(whole, mask=whole.mask & ~ends))
    assert found is not None
    assert "of 2 of 2 responses not every token is learned from" in found


def test_rewards_at_the_last_token_by_hand():
    mask = torch.tensor([[True, True, True], [True, True, False]])
    assert first_batch.paid_late(torch.tensor([[0.0, 0.0, 2.0], [0.0, -1.0, 0.0]]), mask) is None
    for wrong in ([[0.0, 0.0, 2.0], [0.0, 0.0, -1.0]], [[0.0, 0.0, 2.0], [-1.0, 0.0, 0.0]]):
        found = first_batch.paid_late(torch.tensor(wrong), mask)
        assert found is not None
        assert found.startswith("1 of 2 responses are paid elsewhere")


def test_draws_are_told_from_others_by_hand(make_config: Make, monkeypatch: pytest.MonkeyPatch, network: Network):
    """log p + entropy of 4 tokens is 1, 1, 1, 2: mean 1.25, deviation sqrt(3) / 4, so 1.25 / (sqrt(3) / 8) = 5.77
    standard errors; with -1 in the place of 2 the mean is 0.5 and the deviation sqrt(3) / 2: 1.15."""
    config, both = make_config(), rollouts((5, 6), (5, 6), finished=(False, False))
    entropy = torch.ones(4)
    for last, words in ((1.0, "5.77 standard"), (-2.0, "")):
        logprobs = torch.tensor([0.0, 0.0, 0.0, last])
        reading = Reading(logprobs, entropy, None)
        monkeypatch.setattr(Network, "read", lambda *args, reading=reading, **kwargs: reading)
        monkeypatch.setattr(Network, "logprobs", lambda *args, logprobs=logprobs, **kwargs: logprobs)
        setup: Any = SimpleNamespace(policy=network)
        found = first_batch.drawn(setup, config, both)
        assert len(found) == bool(words)
        assert not words or words in found[0]
