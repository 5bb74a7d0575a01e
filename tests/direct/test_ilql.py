"""ILQL: worth of tokens and places by hand and on a tree where it is known, and the policy follows the best of it."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from broken import broken_off
from prefloop.direct import ilql, offline
from prefloop.direct.config import OfflineConfig
from prefloop.direct.ilql import Told, Values, told
from prefloop.feedback.items import Item
from prefloop.models.load import causal
from prefloop.records import Message

from .test_implied import CPU
from .test_offline import _lines, _result

Make = Callable[..., OfflineConfig]


def _config(**settings: Any) -> OfflineConfig:
    return OfflineConfig(**{"out": "o", "policy": "p", "preferences": "f", "method": "ilql", **settings})


def test_terms_by_hand():
    """Two responses, of two tokens and of one, with marks 2 and -1; discount 1/2, expectile 3/4, beta 1.

    targets   0 + 1/2 * 1 = 1/2,  2   |  -1          Q off by 1/2, 1 | 1
    slow - V  1, -1                   |  2           V: 3/4 * 1, 1/4 * 1 | 3/4 * 4        weights e, 1/e | e^2 cut to 5
    """
    mask = torch.tensor([[True, True], [True, False]])
    nan = math.nan
    said = Told(
        mask,
        nats=torch.tensor([[1.0, 2.0], [3.0, nan]]),
        q=torch.tensor([[1.0, 1.0], [0.0, nan]]),
        slow=torch.tensor([[1.5, 0.0], [2.5, nan]]),
        values=torch.tensor([[0.5, 1.0], [0.5, nan]]),
        conservative=torch.tensor([[0.1, 0.2], [0.3, nan]]),
    )
    found = ilql.terms(_config(discount=0.5, expectile=0.75, most=5.0), said, torch.tensor([2.0, -1.0]))
    e = math.e
    expected = {
        "weights": [[e, 1 / e], [5, 0]],
        "train": [[e, 2 / e], [15, 0]],
        "q": [[0.25, 1], [1, 0]],
        "value": [[0.75, 0.25], [3, 0]],
        "conservative": [[0.1, 0.2], [0.3, 0]],
    }
    for name, rows in expected.items():
        torch.testing.assert_close(found[name], torch.tensor(rows, dtype=torch.float32), msg=name)
    sums = {
        "train": torch.tensor(7.0),
        "q": torch.tensor(1.0),
        "value": torch.tensor(2.0),
        "conservative": torch.tensor(4.0),
    }
    assert float(ilql.whole(_config(value_coef=0.5, cql_coef=0.25), sums)) == 7 + 0.5 * (1 + 2 + 1)


def test_heads_read_the_place_before_each_token(folder: str):
    """As from the hidden states that transformers has of each sequence alone, with heads of any weights."""
    policy, theirs = causal(folder, CPU), AutoModelForCausalLM.from_pretrained(folder).eval()
    heads = Values(policy)
    with torch.no_grad():
        for part in heads.parameters():
            part.copy_(torch.randn(part.shape, generator=torch.Generator().manual_seed(part.numel())))
        items = [Item(([5, 6, 7, 8, 1], [5, 6, 9, 1]), begins=(2, 2)), Item(([4, 12, 1],), begins=(1,))]
        said = told(policy, heads, items)
        alone = [(ids, item.begins[0]) for item in items for ids in item.sequences]
        for row, (ids, begin) in enumerate(alone):
            states = theirs.base_model(torch.tensor([ids])).last_hidden_state[0, begin - 1 : -1]
            tokens, num = torch.tensor(ids[begin:]), len(ids) - begin
            rows = range(num)
            assert said.mask[row].tolist() == [place < num for place in range(3)]
            for grid, expected in (
                (said.q, heads.q(states)[rows, tokens]),
                (said.slow, heads.target(states)[rows, tokens]),
                (said.values, heads.v(states)[:, 0]),
                (said.conservative, -heads.q(states).log_softmax(-1)[rows, tokens]),
            ):
                torch.testing.assert_close(grid[row, :num], expected, rtol=1e-3, atol=1e-3)


def tree(count: int) -> list[dict[str, Any]]:
    """A tree: behind `on` one of ten goes on to a mark of 4 and nine to 0, behind `my` all to 1; both equally often."""
    asked = [{"role": "user", "content": f"where is {i}?"} for i in range(count)]
    responses = ["on sorry", *["on never"] * 9, *["my it"] * 10]
    ratings = {"helpful": [4, *[0] * 9, *[1] * 10]}
    return [
        {"id": f"t{i}", "messages": [message], "responses": responses, "ratings": ratings}
        for i, message in enumerate(asked)
    ]


@pytest.mark.parametrize("expectile", [0.5, 0.9])
def test_the_worth_of_a_tree_is_known(
    make_offline: Make, write_rows: Callable[..., str], monkeypatch: pytest.MonkeyPatch, expectile: float
):
    """The mean behind `on` is 0.4, `my` is better. The expectile of 0.9 is 2, for 0.9 * 0.1 (4 - 2) = 0.1 * 0.9 * 2,
    and `on` is better: a beginning whose end is mostly bad is taken for its best end."""
    heads: list[Values] = []
    real = Values.__init__

    def made(self: Values, policy: Any) -> None:
        real(self, policy)
        heads.append(self)

    monkeypatch.setattr(Values, "__init__", made)
    given = {"epochs": 70, "batch_pairs": 20, "lr": 1e-2, "head_lr": 1e-2, "value_coef": 5.0, "target_mix": 0.2}
    given |= {"most": 5.0, "max_grad_norm": 100.0, "warmup": 0.0, "num_samples": 0}
    preferences = write_rows("tree.jsonl", tree(20))
    config = make_offline(preferences=preferences, method="ilql", expectile=expectile, **given)
    folder = offline.train(config)
    result = _result(folder)
    policy = causal(str(folder), CPU)
    codec = policy.codec
    prompt = codec.prompts([[Message(**message) for message in tree(1)[0]["messages"]]])[0]
    items = [Item(tuple([*prompt, *ids] for ids in codec.responses(["on sorry", "my it"])), begins=(len(prompt),) * 2)]
    with torch.no_grad():
        said = told(policy, heads[0], items)
    worth = said.q[:, 0] * result["mark_deviation"] + result["mark_mean"]
    expected = {0.5: (0.4, 1.0), 0.9: (2.0, 1.0)}[expectile]
    assert worth.tolist() == pytest.approx(expected, abs=0.25)
    on, my = (-said.nats[:, 0]).exp().tolist()
    assert (on > 0.6 > 0.4 > my) if expectile == 0.9 else (my > 0.6 > 0.4 > on)


def test_a_run_that_was_broken_off_goes_on_to_the_bit(make_offline: Make):
    """With what its heads learned and their slow copy."""
    settings = {"method": "ilql", "checkpoint_every": 4, "cql_coef": 0.1}
    whole = offline.train(make_offline("whole", **settings))
    config = make_offline("broken", **settings)
    with broken_off(8):
        offline.train(config)
    broken = offline.train(config)
    assert (broken / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert _lines(broken) == _lines(whole)
    assert _lines(whole)[-1]["loss/q"] > 0


def test_how_an_update_is_split_changes_nothing(make_offline: Make):
    few, all_ = (
        _lines(offline.train(make_offline(f"s{n}", method="ilql", micro_tokens=n, epochs=1))) for n in (32, 4096)
    )
    assert few[0] == pytest.approx(all_[0], rel=1e-5, abs=1e-6)
    for one, other in zip(few, all_, strict=True):
        assert one == pytest.approx(other, rel=2e-3, abs=5e-4)


def test_what_is_written_is_a_plain_model(make_offline: Make):
    made: Path = offline.train(make_offline(method="ilql", epochs=1))
    names = {path.name for path in made.iterdir()}
    assert "model.safetensors" in names
    assert not any("critic" in name for name in names)


@pytest.mark.parametrize("name", ["discount", "expectile", "cql_coef", "target_mix"])
def test_its_settings_are_its_own(name: str):
    with pytest.raises(ValueError, match=f"{name} is a setting of method = ilql"):
        _config(method="filtered", **{name: 0.25})
