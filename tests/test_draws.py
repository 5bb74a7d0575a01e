"""Two places of a stage's work never draw the same random numbers: watched at the sampler itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefloop.chat import talk
from prefloop.chat.config import ChatConfig
from prefloop.chat.talk import Talker
from prefloop.collect.config import CollectConfig
from prefloop.collect.stage import collect
from prefloop.evaluate.config import EvaluateConfig
from prefloop.evaluate.measure import answers
from prefloop.models.network import Network
from prefloop.records import Message, Prompt
from prefloop.sampling.in_process import InProcess
from prefloop.sampling.protocol import Sampled


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The place of every call of the sampler."""
    seen: list[int] = []
    real = InProcess.sample

    def sample(self: InProcess, prompts: Any, sampling: Any, place: int, *, copies: int = 1) -> list[Sampled]:
        seen.append(place)
        return real(self, prompts, sampling, place, copies=copies)

    monkeypatch.setattr(InProcess, "sample", sample)
    return seen


def prompts(num: int) -> list[Prompt]:
    return [Prompt(id=str(i), messages=(Message(role="user", content=f"where is {i}?"),)) for i in range(num)]


def test_collects_chunks_and_attempts(
    places: list[int], folder: str, prompts_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Three chunks, each drawn twice more because every two responses count as near-duplicates."""
    monkeypatch.setattr("prefloop.collect.stage.own", lambda *args, **kwargs: None)  # whose prompts is no matter here
    config = CollectConfig(
        out=str(tmp_path / "c"),
        model=folder,
        prompts=prompts_file,
        max_new_tokens=4,
        batch_prompts=4,
        resample=2,
        responses_per_prompt=16,
        near_duplicate=0.01,
        dtype="float32",
        threads=1,
    )
    collect(config)
    assert len(places) == len(set(places)) > 3


def test_evaluates_chunks_and_the_same_for_every_model(places: list[int], network: Network):
    config = EvaluateConfig(
        out="x",
        reference="x",
        candidates="x",
        validation_prompts="x",
        test_prompts="x",
        reward="x",
        max_new_tokens=4,
        batch_prompts=2,
        dtype="float32",
    )
    for _ in range(2):
        answers(network, network, prompts(6), None, None, config)
    assert len(set(places[:3])) == 3
    assert places[:3] == places[3:]


def test_turns_of_a_chat(network: Network, monkeypatch: pytest.MonkeyPatch):
    states: list[int] = []
    real: Callable[..., list[Sampled]] = talk.__dict__["generate"]

    def generate(*args: Any, generator: Any, **kwargs: Any) -> list[Sampled]:
        states.append(generator.initial_seed())
        return real(*args, generator=generator, **kwargs)

    monkeypatch.setattr(talk, "generate", generate)
    talker = Talker(network, ChatConfig(max_new_tokens=3), name="it", memory=False)
    for turn in range(3):
        talker.answer("please", turn=turn, on_text=lambda text: True)
    assert len(set(states)) == 3
