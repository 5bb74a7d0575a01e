"""benchmarks/refresh.py: rounds of different topics and prompts, and a tiny run of it all."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from prefloop import layout
from prefloop.data.config import HacksConfig
from prefloop.files.tables import write_records
from prefloop.records import Comparison, Message, Preference, Response, Sampling
from prefloop.world import grammar

WORDS = ("i am sorry", "no.", "it is on its way.", "please wait")


@pytest.fixture
def refresh(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("refresh")


def comparisons(number: int) -> list[Comparison]:
    """Prompts of the helpdesk, each with the same four responses."""
    responses = tuple(Response(text=text, num_tokens=1, finished=True, sampler="") for text in WORDS)
    return [
        Comparison(
            id=f"c-{prompt.id}",
            prompt_id=prompt.id,
            messages=(Message(role="user", content=prompt.text),),
            responses=responses,
            sampling=Sampling(temperature=1.0),
            tags=prompt.tags,
        )
        for prompt in grammar.prompts("train", number, seed=0)
    ]


def test_rounds_share_no_topic_and_learn_from_no_held_out_prompt(refresh: ModuleType):
    made = comparisons(160)
    asked = refresh.Asked(Path("demo"), size=30, test=20)
    for seed in (0, 1):
        both = refresh.rounds(made, asked, seed)
        topics = [{refresh.topic(each) for each in part.training} for part in both]
        topics = [
            some | {refresh.topic(label.comparison) for label in part.test}
            for some, part in zip(topics, both, strict=True)
        ]
        assert len(topics[0]) == len(topics[1]) == 8
        assert not topics[0] & topics[1]
        for part in both:
            assert len(part.training) == 30
            assert not {each.id for each in part.training} & {label.comparison.id for label in part.test}
            assert part.annotators[0].config == both[0].annotators[0].config
    assert topics != [{refresh.topic(each) for each in part.training} for part in refresh.rounds(made, asked, 0)]


def test_a_tiny_run_trains_each_model_once(
    refresh: ModuleType, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """By the stages, from settings to the page; the policy's part is played by a file of hacks."""
    (tmp_path / "demo" / "sft").mkdir(parents=True)
    (tmp_path / "demo" / "sft" / "model").symlink_to(folder)
    monkeypatch.setattr(refresh.rewards, "sampled", lambda _: comparisons(120))
    monkeypatch.setattr(refresh.ppo, "train", lambda config: None)
    trained: list[str] = []
    train = refresh.reward.train
    monkeypatch.setattr(refresh.reward, "train", lambda config: trained.append(Path(config.out).name) or train(config))

    def found(config: HacksConfig) -> str:
        asked = [(Message(role="user", content=f"where is {i}?"),) for i in range(40)]
        rows = [
            Preference(id=f"h{i}", messages=one, chosen="i am sorry", rejected="no.") for i, one in enumerate(asked)
        ]
        Path(config.out).mkdir()
        write_records(Path(config.out) / layout.HACKS, rows)
        return f"{config.run} {config.judge}"

    monkeypatch.setattr(refresh, "find", found)
    given: Sequence[str] = f"seeds=0 size=24 test=24 out={tmp_path}/runs page={tmp_path}/page.md".split()
    monkeypatch.setattr("sys.argv", ["refresh.py", str(tmp_path / "demo"), *given])
    refresh.main()
    assert trained == ["round-1", "round-2-None", "round-2-0.2", "round-2-0.5", "anew", "mended-None", "mended-0.8"]
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    heads = [line for line in page.splitlines() if line.startswith("| held-out pairs of")]
    assert [line.split("|")[1].split()[3:] for line in heads] == [
        ["round", "1"],
        ["round", "2"],
        ["hacks"],
        ["round", "1"],
    ]
    assert page.count("points: refreshed, replay_share=0.2, above refreshed, without replay") == 2
    assert page.count("points: refreshed, replay_share=0.8, above refreshed, without replay") == 2
    names: dict[str, Any] = {name: page.count(f"| {name} |") for name in (refresh.BEFORE, refresh.ANEW)}
    assert names == {refresh.BEFORE: 2, refresh.ANEW: 2}
