"""Choosing: nothing is asked twice, floors are kept, and the file depends on the seed and on nothing else."""

import json
import math
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prefloop import layout
from prefloop.choose import looks, stage
from prefloop.choose.config import ChooseConfig
from prefloop.choose.stage import choose
from prefloop.errors import UserError
from prefloop.files.documents import read_document, write_document
from prefloop.files.tables import read_records
from prefloop.models.device import Placement
from prefloop.models.load import causal, save_model, scalar
from prefloop.models.network import Network
from prefloop.records import Chosen, EnsembleCard, Finished, Prompt
from prefloop.scoring.ensemble import Ensemble
from prefloop.scoring.protocol import Scored
from prefloop.scoring.reward_model import RewardModel
from prefloop.settings import SamplingConfig

Write = Callable[..., str]
POOL = 40


def rows(num: int = POOL) -> list[dict[str, Any]]:
    """A pool: every tenth prompt is unsafe."""
    return [
        {
            "id": f"p{i:02}",
            "messages": [{"role": "user", "content": f"where is my parcel {i}, please send it"}],
            "tags": ["unsafe"] if i % 10 == 0 else ["safe"],
        }
        for i in range(num)
    ]


@pytest.fixture(scope="session")
def ensemble(folder: str, cpu: Placement, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two random reward models, on different scales."""
    path = tmp_path_factory.mktemp("rewards") / "model"
    for place in range(2):
        network = scalar(folder, cpu, fresh_head=True)
        head: Any = network.pretrained.score
        torch.nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(place))
        save_model(layout.member(path, place), network.pretrained, network.codec)
        told = json.dumps({"mean": 0.5, "std": 1.0 + place})
        (layout.member(path, place) / "prefloop_scores.json").write_text(told)
    write_document(layout.ensemble_card(path), EnsembleCard(num=2))
    return str(path)


@pytest.fixture
def make(write_rows: Write, tmp_path: Path) -> Callable[..., ChooseConfig]:
    """Settings for the pool."""
    pool = write_rows("pool.jsonl", rows())

    def config(name: str = "out", **given: Any) -> ChooseConfig:
        quick: dict[str, Any] = {"threads": 1, "dtype": "float32", "max_new_tokens": 6, "num": 12, "prompts": pool}
        given["asked"] = tuple(given.get("asked", ()))
        return ChooseConfig(**{**quick, "out": str(tmp_path / name), **given})

    return config


Make = Callable[..., ChooseConfig]


def made(config: ChooseConfig) -> tuple[list[Prompt], list[Chosen], dict[str, Any]]:
    """What the stage wrote, and its result."""
    prompts = read_records(choose(config), Prompt)
    told = read_records(Path(config.out) / layout.CHOSEN, Chosen)
    return prompts, told, read_document(Path(config.out) / layout.FINISHED, Finished).result


def test_without_models_it_is_a_random_sample(make: Make):
    prompts, told, result = made(make())
    assert len({one.id for one in prompts}) == 12
    assert [one.id for one in prompts] == [one.id for one in told]
    pool = {row["id"]: Prompt.model_validate_json(json.dumps(row)) for row in rows()}
    assert all(one == pool[one.id] for one in prompts)  # with their messages and tags
    assert {(one.why, round(one.inclusion, 12), one.learned) for one in told} == {("random", 12 / POOL, None)}
    assert result["why"] == {"random": 12}
    other = {one.id for one in made(make("other", seed=1))[0]}
    assert other != {one.id for one in prompts}


def test_over_many_seeds_every_prompt_has_the_same_chance(make: Make, tmp_path: Path):
    often = Counter(one.id for seed in range(80) for one in made(make(f"s{seed}", seed=seed, num=10))[0])
    assert len(often) == POOL
    spread = 4 * math.sqrt(80 * 0.25 * 0.75)
    assert all(abs(count - 20) < spread for count in often.values())


def test_the_order_of_the_rows_does_not_matter(make: Make, write_rows: Write, folder: str, ensemble: str):
    mixed = rows()
    random.Random(3).shuffle(mixed)
    other = write_rows("mixed.jsonl", mixed)
    both: dict[str, Any] = {"model": folder, "reward": ensemble, "floors": {"unsafe": 2}, "candidates": 20}
    one, two = make(**both), make("mixed", prompts=other, **both)
    assert choose(one).read_bytes() == choose(two).read_bytes()
    assert (Path(one.out) / layout.CHOSEN).read_bytes() == (Path(two.out) / layout.CHOSEN).read_bytes()


def test_nothing_is_asked_twice(make: Make, write_rows: Write):
    """By its words, whatever file it stands in and whatever it is called there."""
    asked = [
        write_rows("round1.jsonl", [{**row, "id": f"x{i}"} for i, row in enumerate(rows()[:10])]),
        write_rows("round2.jsonl", [{**row, "chosen": "a", "rejected": "b"} for row in rows()[10:20]]),
        write_rows(
            "round3.jsonl",
            [
                {
                    "id": f"c-{row['id']}", "prompt_id": "any", "messages": row["messages"],
                    "responses": [{"text": t, "num_tokens": 1, "finished": True, "sampler": "s"} for t in "ab"],
                    "sampling": {"temperature": 1.0},
                }
                for row in rows()[20:27]
            ],
        ),
        write_rows("nothing.jsonl", []),
    ]  # fmt: skip
    prompts, _, result = made(make(asked=asked, num=13))
    assert {one.id for one in prompts} == {row["id"] for row in rows()[27:]}
    assert (result["num_pool"], result["num_asked"], result["num_left"]) == (40, 27, 13)
    with pytest.raises(UserError, match=r"num=14 prompts are wanted, and 13 are left of 40 \(27 were asked before\)"):
        choose(make("more", asked=asked, num=14))


def test_what_is_in_the_pool_twice_is_asked_once(make: Make, write_rows: Write):
    twice = [*rows(5), *({**row, "id": f"z{row['id']}"} for row in rows(5))]
    prompts, _, result = made(make(prompts=write_rows("twice.jsonl", twice), num=5))
    assert {one.id for one in prompts} == {f"p{i:02}" for i in range(5)}
    assert result["num_repeated"] == 5


def test_floors_are_kept_and_the_probabilities_sum_to_the_number(make: Make, folder: str, ensemble: str):
    config = make(model=folder, reward=ensemble, floors={"unsafe": 3, "nowhere": 2})
    pool: list[Any] = []
    real = stage.sample_with_floors
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "sample_with_floors", lambda *a, **k: pool.append(real(*a, **k)) or pool[-1])
        prompts, told, result = made(config)
    assert sum("unsafe" in one.tags for one in prompts) == 3
    assert result["tags"]["unsafe"] == {"available": 4, "chosen": 3, "floor": 3}
    assert result["tags"]["nowhere"] == {"available": 0, "chosen": 0, "floor": 2}
    assert pool[0].inclusion.sum() == pytest.approx(12)
    assert pool[0].inclusion.min() > 0
    assert [one.inclusion for one in told] == [pool[0].inclusion[place] for place in pool[0].chosen]
    assert result["why"].keys() <= {"random", "disagreement", "diversity", "floor"}
    assert sum(result["why"].values()) == 12


def test_floors_that_do_not_fit_are_refused(make: Make):
    with pytest.raises(UserError, match=r"num=3: the floors need 4 places, and there are 3. Raise num, or lower"):
        choose(make(num=3, floors={"unsafe": 4}))


def test_a_share_is_always_random(make: Make, folder: str, ensemble: str, monkeypatch: pytest.MonkeyPatch):
    """No prompt is below random * num / pool, whatever models think of it, and few are looked at."""
    seen: list[Any] = []
    real = stage.sample_with_floors
    monkeypatch.setattr(stage, "sample_with_floors", lambda *a, **k: seen.append(real(*a, **k)) or seen[-1])
    _, told, result = made(make(model=folder, reward=ensemble, random=0.3, candidates=15))
    low = 0.3 * 12 / POOL
    assert seen[0].inclusion.min() >= low - 1e-12
    assert result["num_candidates"] == 15
    assert seen[0].inclusion[15:] == pytest.approx(seen[0].inclusion[15])  # nobody looked at them
    assert seen[0].inclusion[:15].mean() > seen[0].inclusion[15:].mean()
    assert {one.why for one in told if one.learned is None} == {"random"}


def test_killed_and_gone_on_it_writes_the_same(
    make: Make, folder: str, ensemble: str, monkeypatch: pytest.MonkeyPatch, write_rows: Write
):
    asked = write_rows("before.jsonl", rows(9))
    settings: dict[str, Any] = {"model": folder, "reward": ensemble, "batch_prompts": 7, "asked": [asked]}
    whole, killed = make(**settings), make("killed", **settings)
    choose(whole)
    real = stage.embedded
    for dies_at in (1, 2, 3):
        calls: list[int] = []

        def dies(*args: Any, at: int = dies_at, calls: list[int] = calls) -> Any:
            calls.append(1)
            if len(calls) == at:
                raise RuntimeError("killed")
            return real(*args)

        monkeypatch.setattr(stage, "embedded", dies)
        with pytest.raises(RuntimeError, match="killed"):
            choose(killed)
    monkeypatch.setattr(stage, "embedded", real)
    assert choose(killed).read_bytes() == choose(whole).read_bytes()
    one, two = (Path(config.out) / layout.CHOSEN for config in (whole, killed))
    assert one.read_bytes() == two.read_bytes()
    monkeypatch.setattr(stage, "embedded", None)  # finished, it does nothing again
    assert choose(killed) == Path(killed.out) / layout.PROMPTS


def test_diversity_keeps_away_from_what_was_asked(make: Make, write_rows: Write, folder: str):
    """Two kinds of prompt: one was asked before, so that the other has the place of diversity."""
    kinds = [f"i am sorry {i}" for i in range(6)], [f"where is parcel 包裹在哪里 {i}" for i in range(6)]
    pool = [
        {"id": f"{kind}{i}", "messages": [{"role": "user", "content": text}]}
        for kind, texts in enumerate(kinds)
        for i, text in enumerate(texts)
    ]
    for before in (0, 1):
        asked = write_rows(f"asked{before}.jsonl", [row for row in pool if row["id"][0] == str(before)][:5])
        file = write_rows(f"pool{before}.jsonl", pool)
        config = make(f"o{before}", prompts=file, asked=[asked], model=folder, num=2, random=0.2)
        sure = [one for one in made(config)[1] if one.inclusion > 0.8]
        assert sure
        assert {one.id[0] for one in sure} == {str(1 - before)}


def test_what_a_reward_cannot_tell_is_preferred(
    make: Make, folder: str, ensemble: str, monkeypatch: pytest.MonkeyPatch
):
    def knows(policy: Any, judge: Any, prompts: list[Prompt], *rest: Any, **more: Any) -> tuple[list[float], int]:
        return [0.69 if one.id == "p17" else 0.01 for one in prompts], 0

    monkeypatch.setattr(stage, "unsure", knows)
    _, told, _ = made(make(model=folder, reward=ensemble, diversity=0.0, random=0.2))
    (it,) = (one for one in told if one.id == "p17")
    assert (it.why, it.inclusion, it.learned) == ("disagreement", 1.0, 0.69)


def test_what_a_judgement_teaches_by_hand(folder: str, ensemble: str, cpu: Placement, monkeypatch: pytest.MonkeyPatch):
    """Two members, two responses: the margins are 1 and -1 in units of 1 and 2 log-odds, so p = s(1) and s(-2).

    H(p1) = 0.5822, H(p2) = 0.3653, mean p = 0.42513, H = 0.68188: 0.68188 - 0.47377 = 0.2081 nats.
    """
    judge = Ensemble(ensemble, cpu, [], combine="mean", variance_coef=0.0)
    table = torch.tensor([[1.0, 0.0], [0.0, 1.0]])  # response by member

    def says(*args: Any, **more: Any) -> Any:
        return Scored(table.mean(1), members=table)

    monkeypatch.setattr(looks, "of_several", says)
    policy = causal(folder, cpu)
    prompts = [Prompt.model_validate_json(json.dumps(rows(1)[0]))]
    ids = [policy.codec.prompt_ids(prompts[0].messages)]
    settings = SamplingConfig(max_new_tokens=3)
    (nats,), _ = looks.unsure(policy, judge, prompts, ids, settings, 5, copies=2)
    assert nats == pytest.approx(0.2081, abs=2e-4)
    alone = RewardModel(str(Path(ensemble) / "members" / "1"), cpu)
    monkeypatch.setattr(looks, "of_several", lambda *a, **k: Scored(torch.tensor([0.0, 1.0])))
    (nats,), tokens = looks.unsure(policy, alone, prompts, ids, settings, 5, copies=2)
    assert nats == pytest.approx(0.3653, abs=2e-4)  # H(s(-2)): its unit is 2
    assert 2 <= tokens <= 6


def test_an_embedding_is_the_mean_of_the_states(network: Network, plain: Any):
    """As transformers has them, of prompts of different lengths at once."""
    ids = [[5, 9, 7, 80], [3, 4], list(range(10, 80))]
    told = looks.embedded(network, ids)
    for row, one in zip(told, ids, strict=True):
        kept = one[-network.codec.context :]
        with torch.no_grad():
            states = plain.base_model(torch.tensor([kept])).last_hidden_state[0]
        np.testing.assert_allclose(row, states.mean(0).numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"reward": "r"}, "without model nobody writes any"),
        ({"disagreement": 2.0}, "disagreement does nothing without reward"),
        ({"diversity": 1.0}, "diversity does nothing without model"),
        ({"model": "m", "random": 1.0}, "model does nothing with random = 1"),
        ({"model": "m", "reward": "r", "disagreement": 0.0}, "reward does nothing with disagreement = 0"),
        ({"random": 0.1}, "random"),
        ({"floors": {"unsafe": 0}}, "a floor is 1 or more"),
        ({"num": 0}, "num"),
    ],
)
def test_contradictions_are_refused(given: dict[str, Any], sentence: str):
    with pytest.raises(UserError, match=sentence):
        ChooseConfig.parse({"prompts": "p", "num": 3, "out": "o", **given}, where="here")


def test_shares_sum_to_one():
    def shares(**given: Any) -> dict[str, float]:
        return ChooseConfig(prompts="p", num=3, out="o", **given).shares

    assert shares() == {"random": 1.0}
    assert shares(model="m", random=0.2) == {"random": 0.2, "diversity": 0.8}
    three = shares(model="m", reward="r", random=0.4, disagreement=2.0)
    assert three == pytest.approx({"random": 0.4, "disagreement": 0.4, "diversity": 0.2})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"asked": ["missing.jsonl"]}, "missing.jsonl"),
        ({"model": "REWARD", "reward": "REWARD"}, "scor"),
        ({"model": "MODEL", "reward": "MODEL"}, "reward model"),
        ({"model": "MODEL", "reward": "python:x.py:f"}, "cannot be asked"),
        ({"model": "missing"}, "missing"),
    ],
)
def test_what_is_not_there_or_of_another_kind_is_refused(
    given: dict[str, Any], sentence: str, make: Make, folder: str, ensemble: str
):
    stands = {"MODEL": folder, "REWARD": str(Path(ensemble) / "members" / "0")}
    with pytest.raises(UserError, match=sentence):
        choose(
            make(**{key: stands.get(value, value) if isinstance(value, str) else value for key, value in given.items()})
        )


def test_an_empty_pool_is_refused(make: Make, write_rows: Write):
    with pytest.raises(UserError, match="no rows"):
        choose(make(prompts=write_rows("empty.jsonl", [])))
