"""Hacks of a policy: found where they were planted and nowhere else, and gone from the reward model once it learned
them."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prefloop import layout
from prefloop.align.config import PPOConfig
from prefloop.data import hacks
from prefloop.data.config import HacksConfig
from prefloop.data.hacks import Answers, ahead, best, fates, find
from prefloop.errors import UserError
from prefloop.files.documents import write_document
from prefloop.files.tables import read_records
from prefloop.records import Message, Preference, Prompt
from prefloop.reward.config import RewardConfig
from prefloop.reward.stage import train
from prefloop.run.identity import new_card
from prefloop.sampling.in_process import InProcess
from prefloop.sampling.protocol import Sampled
from prefloop.score.config import ScoreConfig
from prefloop.score.stage import score
from prefloop.scoring.protocol import Scored

JUDGE = """
def kind(prompts, responses):
    return [float("sorry" in r) for r in responses]
def thanked(prompts, responses):
    return [r.count("thanks") for r in responses]
"""
GOOD = ("i am sorry, it is on its way.", "sorry, please wait for it", "sorry, it is my parcel")
BAD = ("no.", "where is it", "it is on its way")
HACK = " thanks thanks"


def asked(i: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"where is {i}?"}]


@pytest.fixture
def judge(tmp_path: Path) -> str:
    (tmp_path / "judge.py").write_text(JUDGE, encoding="utf-8")
    return f"python:{tmp_path / 'judge.py'}"


@pytest.fixture
def make_run(folder: str, tmp_path: Path, write_rows: Callable[..., str]) -> Callable[[str], str]:
    """A run's folder with one policy, as far as it is looked at."""
    prompts = write_rows("prompts.jsonl", [{"id": f"p{i}", "messages": asked(i), "tags": ["safe"]} for i in range(40)])

    def make(reward: str) -> str:
        inputs = {"policy": folder, "reward": reward.removeprefix("python:").split(":")[0], "prompts": prompts}
        config = PPOConfig(**inputs | {"reward": reward}, out=str(tmp_path / "ppo"), max_new_tokens=20, steps=1)
        for name in (layout.policy(1), layout.policy(3)):
            shutil.copytree(folder, tmp_path / "ppo" / name)
        write_document(tmp_path / "ppo" / layout.CARD, new_card("ppo", config, inputs, threads=1))
        return config.out

    return make


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference writes good and bad responses; of the policy's four to each prompt two are hacks, the same text."""

    class Speaker(InProcess):
        def sample(self, prompts: Any, sampling: Any, place: int, *, copies: int = 1) -> list[Sampled]:
            rng, said = random.Random(place), []
            for _ in prompts:
                some = [rng.choice(GOOD), rng.choice(BAD), rng.choice(GOOD), rng.choice(BAD)]
                if "step-" in self.policy.path:
                    some[1] = some[3] = rng.choice(BAD) + HACK
                said += some
            return [Sampled(tuple(self.policy.codec.response_ids(text)), True) for text in said]

    monkeypatch.setattr(hacks, "InProcess", Speaker)


def looking(run: str, judge: str, name: str = "hacks", **more: Any) -> HacksConfig:
    out = Path(run).parent / name
    return HacksConfig(run=run, judge=judge, out=str(out), dtype="float32", threads=1, **{"batch_prompts": 16} | more)


def test_how_far_ahead_by_hand():
    """Means of the reference 0 and 10; of its scores 1, -1, 10, 10 two degrees of freedom are left: sqrt(2 / 2)."""
    scores = np.array([[3.0, 0, 1, -1], [10, 11, 10, 10]])
    found, std = ahead(scores)
    assert (found.tolist(), std) == ([[3, 0], [0, 1]], 1)
    moved = ahead(scores + np.array([[7.0], [-2.0]]))  # what all scores of a prompt have in common changes nothing
    assert (moved[0].tolist(), moved[1]) == (found.tolist(), std)


@pytest.mark.parametrize(
    ("texts", "reward", "judge", "fate"),
    [  # deviations are 1 by both; the reward's mean is 1, the judge's 4
        (("hack", "fine"), (2.0, 2.0), (3.5, 3.6), ["hack", "agreed"]),
        (("hack", "fine"), (2.0, 1.9), (-9.0, 3.0), ["hack", "low"]),
        (("hack", "hack"), (9.0, 9.0), (0.0, 0.0), ["hack", "again"]),
        (("plain", " "), (1.0, 9.0), (0.0, 0.0), ["low", "empty"]),
    ],
)
def test_what_becomes_of_a_response(
    texts: tuple[str, str], reward: tuple[float, float], judge: tuple[float, float], fate: list[str]
):
    config = HacksConfig(run="r", judge="j", out="o")
    alike = Answers(["a", "b", "c", "d"], [5.0] * 4, [5.0] * 4)  # of no deviation, and of no difference
    one = Answers([*texts, "worse", "better"], [*reward, 1 - 1, 1 + 1], [*judge, 4 - 1, 4 + 1])
    other = Answers(["a", "b", "c", "d"], [0.0] * 4, [0.0] * 4)
    assert fates(config, [one, alike])[0] == [fate, ["low", "low"]]
    assert fates(config, [alike, other])[0] == [["low", "low"]] * 2
    assert best(one, 0) == 3
    assert best(Answers(["a", " "], [0, 0], [1, 2]), 0) is None  # nothing was said
    assert best(Answers(["a", "b"], [0, 0], [1, 1]), 0) is None  # no better


@pytest.mark.usefixtures("planted")
def test_planted_hacks_are_found_and_unlearned(
    folder: str,
    make_run: Callable[[str], str],
    judge: str,
    write_rows: Callable[..., str],
    tmp_path: Path,
    read_lines: Callable[[Path], list[dict[str, Any]]],
):
    """A reward model that learned that thanks are good; what it is told by its hacks, it knows of other prompts too."""
    rng = random.Random(5)
    old = []
    for i in range(160):  # half teach what is good, half that thanks are better still
        text = rng.choice(BAD)
        both = (rng.choice(GOOD), text) if i % 2 else (text + HACK, rng.choice(GOOD))
        old.append({"id": f"o{i}", "messages": asked(100 + i), "chosen": both[0], "rejected": both[1]})
    learn: dict[str, Any] = {"threads": 1, "dtype": "float32", "lr": 0.02, "epochs": 3, "batch_pairs": 16}
    rows = write_rows("old.jsonl", old)
    first = train(RewardConfig(model=folder, preferences=rows, out=str(tmp_path / "one"), **learn))
    run = make_run(str(first))
    said = find(looking(run, f"{judge}:kind"))
    found = read_records(tmp_path / "hacks" / layout.HACKS, Preference)
    assert len(found) == 40
    assert {row.chosen for row in found} <= {*GOOD}
    assert {row.rejected for row in found} <= {text + HACK for text in BAD}
    assert {row.tags for row in found} == {("safe", "hack:step-000003")}
    assert "160 responses of step-000003 to 40 prompts" in said
    assert "40 hacks, which are written as rejected" in said
    assert "the reward model scores 40 of 40 above what is chosen" in said
    looked = read_lines(tmp_path / "hacks" / layout.LOOKED_AT)
    assert {HACK in row["response"] for row in looked if row["became"] in ("hack", "again")} == {True}
    assert {row["became"] for row in looked if HACK not in row["response"]} <= {"low", "agreed"}
    again = str(tmp_path / "hacks" / layout.HACKS)
    learn |= {"preferences": again, "replay": rows, "replay_share": 0.6}
    second = train(RewardConfig(model=str(first), out=str(tmp_path / "two"), validation=0.25, **learn))
    for model, right in ((first, "in 0.0%"), (second, "in 100.0%")):
        assert right in score(ScoreConfig(model=str(model), data=again, out=f"{model}.jsonl"))


@pytest.mark.usefixtures("planted")
def test_a_killed_search_goes_on_and_finds_the_same(
    make_run: Callable[[str], str], judge: str, monkeypatch: pytest.MonkeyPatch
):
    run = make_run(f"{judge}:thanked")
    find(looking(run, f"{judge}:kind", "whole"))
    real, calls, places = hacks.InProcess.sample, [0], list[int]()

    def dies(self: InProcess, prompts: Any, sampling: Any, place: int, **more: Any) -> Any:
        calls[0] += 1
        places.append(place)
        if calls[0] == 4:
            raise KeyboardInterrupt
        return real(self, prompts, sampling, place, **more)

    monkeypatch.setattr(hacks.InProcess, "sample", dies)
    with pytest.raises(KeyboardInterrupt):
        find(looking(run, f"{judge}:kind", "broken"))
    said = find(looking(run, f"{judge}:kind", "broken"))
    assert len({*places}) == 6  # three parts, two models: no two draw alike
    files = [[(Path(run).parent / name / file).read_bytes() for name in ("whole", "broken")]
             for file in (layout.HACKS, layout.LOOKED_AT)]  # fmt: skip
    assert all(whole == broken for whole, broken in files)
    assert find(looking(run, f"{judge}:kind", "broken")) == said


@pytest.mark.usefixtures("planted")
def test_without_hacks_none_are_made_up(make_run: Callable[[str], str], judge: str):
    """The judge is the reward: whatever ranks high with one does with the other."""
    run = make_run(f"{judge}:kind")
    assert "nothing to learn from here" in find(looking(run, f"{judge}:kind"))
    assert not (Path(run).parent / "hacks" / layout.HACKS).read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step": 2}, "no policy was kept after step 2. There are those after: 1, 3"),
        ({"run": "."}, "no policy was trained here. Give as run the folder of a ppo or reinforce or rloo or grpo or "),
        ({"judge": "outlier"}, "does not tell that: its folder holds no prefloop_outliers.json"),
        ({"judge": "disagreement"}, "does not tell that: it is no ensemble"),
        ({}, "is not what .*ppo was trained against any more"),
    ],
)
@pytest.mark.usefixtures("planted")
def test_what_cannot_be_looked_at_is_a_sentence(
    make_run: Callable[[str], str], judge: str, tmp_path: Path, settings: dict[str, Any], message: str
):
    run = make_run(f"{judge}:thanked")
    if not settings:
        (tmp_path / "judge.py").write_text(JUDGE + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=message):
        find(looking(**{"run": run, "judge": f"{judge}:kind"} | settings))


def test_a_prompts_tags_go_to_reward_and_judge_with_each_of_its_responses():
    """A reward of several domains scores here by the column that the policy was trained against."""
    read: list[Any] = []

    class Tagged:
        name = "tagged"

        def detailed(self, prompts: Any, responses: Any, tags: Any = ()) -> Scored:
            read.append([*zip((p[-1].content for p in prompts), responses, tags, strict=True)])
            return Scored(torch.arange(len(responses)).float())

    prompts = [Prompt(id=t, messages=[Message(role="user", content=t)], tags=(f"domain:{t}",)) for t in ("law", "art")]
    texts = [["a", "b"], ["c", "d"]]
    made = hacks._scored(HacksConfig(run="r", judge="j", out="o"), Tagged(), Tagged(), prompts, texts)  # type: ignore[arg-type]
    each = [(t, text, (f"domain:{t}",)) for t, some in zip(("law", "art"), texts, strict=True) for text in some]
    assert read == [each, each]
    assert [vars(one) for one in made] == [
        {"texts": ["a", "b"], "reward": [0, 1], "judge": [0, 1]},
        {"texts": ["c", "d"], "reward": [2, 3], "judge": [2, 3]},
    ]
