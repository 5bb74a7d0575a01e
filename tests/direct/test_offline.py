"""Offline: each method imitates what is good, by hand and in a run; neither a split nor a kill changes anything."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from broken import broken_off
from prefloop.direct import offline
from prefloop.direct.config import OfflineConfig
from prefloop.direct.marks import Bounds, Ratings, Thumbs, Wins, lowest_kept, marks_of
from prefloop.errors import UserError
from prefloop.feedback.items import Item
from prefloop.models.load import causal
from prefloop.records import Message, Preference, Rated

from .conftest import _shared
from .planted import asked, pairs, rankings, thumbs
from .test_implied import CPU

Make = Callable[..., OfflineConfig]
METHODS = ("filtered", "reward_weighted", "advantage_weighted")


def _result(folder: Path) -> dict[str, Any]:
    return json.loads((folder.parents[1] / "finished.json").read_text())["result"]


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder.parents[1] / "metrics.jsonl").read_text().splitlines()]


def _rated(count: int) -> list[dict[str, Any]]:
    """Those that say sorry have 4 of 5 or more, the others 2 or less."""
    return [
        {"id": row["id"], "messages": row["messages"], "responses": [row["rejected"], row["chosen"]],
         "ratings": {"helpful": [1 + i % 2, 4 + i % 2], "odd": [5, 1]}}
        for i, row in enumerate(pairs(count))
    ]  # fmt: skip


@pytest.fixture(scope="module")
def cloned(folder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A policy that writes good and bad ones alike: all were imitated."""
    place = tmp_path_factory.mktemp("cloned")
    (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs(160)))
    settings = {"method": "reward_weighted", "beta": 1e6, "lr": 1e-2, "epochs": 8, "num_samples": 0}
    made = offline.train(OfflineConfig(**_shared(folder, str(place / "rows.jsonl"), place / "run") | settings))
    assert _lines(made)[-1]["loss/train"] < 1.5
    return str(made)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", [pairs, rankings, thumbs, _rated])
def test_it_learns_what_was_planted(
    make_offline: Make, write_rows: Callable[..., str], cloned: str, method: str, rows: Any
):
    """From each kind of file the better response of held-out pairs gains most, in more than nine pairs of ten."""
    held_out = write_rows("held.jsonl", [{**row, "messages": asked(900 + i)} for i, row in enumerate(pairs(40))])
    settings = {} if method == "filtered" else {"beta": 0.5}
    made = offline.train(
        make_offline(
            policy=cloned, method=method, preferences=write_rows("rows.jsonl", rows(160)), held_out=held_out, **settings
        )
    )
    result, lines = _result(made), _lines(made)
    assert result["accuracy"] > 0.9
    assert result["kl"] > 0.01
    assert lines[-1]["logprobs/chosen_validation"] > lines[-1]["logprobs/rejected_validation"]
    assert result["method"] == method
    assert result["num_marks"] == 320
    quarter = 80 if rows is _rated else 160  # two rows share a prompt: one 5 of four marks, but two equal bests
    assert result["num_imitated"] == (quarter if method == "filtered" else 320)


def test_an_axis_is_learned_by_name(make_offline: Make, write_rows: Callable[..., str], cloned: str):
    """On the axis `odd` never is good, and sorry is not."""
    rated = write_rows("rated.jsonl", _rated(160))
    made = offline.train(make_offline(policy=cloned, preferences=rated, axis="odd", beta=0.5))
    result = _result(made)
    assert result["accuracy"] > 0.9
    assert (result["mark_mean"], result["mark_deviation"]) == (3.0, 2.0)
    theirs = _result(offline.train(make_offline("other", epochs=1)))
    assert (theirs["mark_mean"], theirs["mark_deviation"]) == (0.5, 0.5)


PROMPT = (Message(role="user", content="where?"),)
ITEM = Item(([4, 9, 10, 1], [4, 11, 1], [4, 12, 13, 14, 1]), begins=(1, 1, 1), marks=(1.0, -1.0, 0.5))
OTHER = Item(([5, 6, 9, 1], [5, 6, 8, 8, 1]), begins=(2, 2), marks=(-0.5, 2.0), weight=3.0)


def _nats(folder: str) -> list[float]:
    """Surprise at each response of both items, as transformers reads it alone."""
    theirs, found = AutoModelForCausalLM.from_pretrained(folder).eval(), list[float]()
    for item in (ITEM, OTHER):
        for ids, begin in zip(item.sequences, item.begins, strict=True):
            with torch.no_grad():
                logprobs = theirs(torch.tensor([ids])).logits[0].log_softmax(-1)
            found.append(-sum(float(logprobs[t - 1, ids[t]]) for t in range(begin, len(ids))))
    return found


class _Watch:
    """In place of an optimiser: keeps the gradient of the critic's head."""

    lr = 1e-3

    def __init__(self) -> None:
        self.steps = 0

    def step(self) -> float:
        self.steps += 1
        return 0.0


@pytest.mark.parametrize("limit", [1, 10_000])
@pytest.mark.parametrize("method", METHODS)
def test_the_loss_of_an_update_by_hand(folder: str, method: str, limit: int):
    """Marks 1, -1, 1/2 in a row of weight 1; -1/2, 2 in one of weight 3. Responses of 3, 2, 4 and 2, 3 tokens.

    filtered            the mean over all tokens, those of the second row three times
    reward_weighted     5 softmax(marks / 2) of the mean token of each response
    advantage_weighted  exp((mark - 1/4) / 2), at most 2, for the critic expects 1/4 of any prompt here
    """
    own = {} if method == "filtered" else {"beta": 2.0} | ({"most": 2.0} if method == "advantage_weighted" else {})
    config = OfflineConfig(out="o", policy="p", preferences="f", method=method, lr=1e-3, **own)
    policy = causal(folder, CPU)
    if method == "advantage_weighted":
        policy.with_critic()
        assert policy.critic is not None
        torch.nn.init.constant_(policy.critic.head.bias, 0.25)
    marks, shares, lengths = (1, -1, 0.5, -0.5, 2), (1, 1, 1, 3, 3), (3, 2, 4, 2, 3)
    nats = _nats(folder)
    setup: Any = type("Setup", (), {"policy": policy, "sizes": type("Sizes", (), {"micro_tokens": limit})})
    found = offline.update(setup, config, _Watch(), [ITEM, OTHER], num=5)  # pyright: ignore[reportArgumentType]
    if method == "filtered":
        over = sum(share * length for share, length in zip(shares, lengths, strict=True))
        expected, effective = sum(s * n for s, n in zip(shares, nats, strict=True)) / over, 1.0
    else:
        raw = [math.exp((mark - (0.25 if "most" in own else 0)) / 2) for mark in marks]
        weights = [min(weight, 2) if "most" in own else 5 * weight / sum(raw) for weight in raw]
        parts = zip(weights, shares, nats, lengths, strict=True)
        expected = sum(w * s * n / length for w, s, n, length in parts) / sum(shares)
        effective = sum(weights) ** 2 / sum(weight**2 for weight in weights) / 5
    assert found["loss/train"] == pytest.approx(expected, rel=1e-4)
    assert found["weights/effective"] == pytest.approx(effective, rel=1e-5)
    if method == "advantage_weighted":
        missed = sum(s * (mark - 0.25) ** 2 for s, mark in zip(shares, marks, strict=True)) / 9
        assert found["loss/value"] == pytest.approx(missed, rel=1e-5)
        assert found["weights/clipped"] == pytest.approx(1 / 5)  # exp(1.75 / 2) = 2.4
        assert policy.critic is not None
        assert policy.critic.head.bias.grad is not None
        slope = sum(2 * s * (0.25 - mark) for s, mark in zip(shares, marks, strict=True)) / 9
        assert float(policy.critic.head.bias.grad) == pytest.approx(0.1 * slope, rel=1e-4)  # weights pass none on
    assert all(weight.grad is not None for name, weight in policy.named_parameters() if "down_proj" in name)


def test_the_critic_reads_the_prompt_and_no_more(folder: str):
    """Responses to one prompt have one value, whatever they are; of another prompt it is another."""
    policy = causal(folder, CPU).with_critic()
    assert policy.critic is not None
    torch.nn.init.normal_(policy.critic.head.weight, generator=torch.Generator().manual_seed(1))
    _, values = offline.surprise(policy, [ITEM, OTHER])
    assert values is not None
    one, other = values[:3].tolist(), values[3:].tolist()
    assert one == pytest.approx([one[0]] * 3, abs=1e-5)
    assert other == pytest.approx([other[0]] * 2, abs=1e-5)
    assert abs(one[0] - other[0]) > 1e-2


def test_marks_are_shares_of_wins_where_there_is_an_order():
    assert marks_of(Item(([1], [2]))) == (1.0, 0.0)
    assert marks_of(Item(([1], [2], [3]), ranks=(2, 3, 1))) == (0.5, 0.0, 1.0)
    assert marks_of(Item(([1], [2], [3]), ranks=(1, 2, 2))) == (1.0, 0.25, 0.25)
    assert marks_of(Item(([1], [2]), marks=(4.0, 2.0), ranks=(-4.0, -2.0))) == (4.0, 2.0)


@pytest.mark.parametrize(
    ("marks", "keep", "lowest"),
    [
        ([1, 0], 0.25, 1),  # at least the best
        ([1, 2, 3, 4], 0.25, 4),
        ([1, 2, 3, 4], 0.5, 3),
        ([1, 2, 3, 4, 5, 6, 7], 0.3, 6),
        ([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], 0.25, 1),  # the bad ones are not taken to make up a quarter
        ([5, 5, 5, 1], 0.25, 5),  # equals stay together
        ([3, 2, 2, 1], 0.5, 3),
    ],
)
def test_the_best_share_by_hand(marks: list[float], keep: float, lowest: float):
    assert lowest_kept(np.array(marks, dtype=float), keep=keep) == lowest


def test_a_prompt_that_tells_its_responses_apart_has_a_bound_of_its_own():
    """Prompt 7 has 1 and 2, so its 2 stays, though others are better; 9 and 2^64 - 1 are held against all."""
    prompts = np.array([7, 9, 7, 9, 2**64 - 1], dtype=np.uint64)
    bounds = Bounds.of(prompts, np.array([1.0, 3.0, 2.0, 3.0, 5.0]), keep=0.25)
    kept = {(7, 2.0): True, (7, 1.0): False, (9, 3.0): False, (2**64 - 1, 5.0): True, (8, 4.0): False, (8, 5.0): True}
    assert {(prompt, mark): bounds.keep(prompt, mark) for prompt, mark in kept} == kept


def test_what_is_used_has_its_marks_in_deviations_and_nothing_else():
    """Thumbs up, up, up, down: mean 3/4, deviation sqrt(3)/4. A response without a thumb is not used."""
    config = OfflineConfig(out="o", policy="p", preferences="f")
    row = Rated(id="1", messages=PROMPT, responses=("a", "b", "c"), thumbs=(True, None, False))
    more = Rated(id="2", messages=PROMPT, responses=("d", "e"), thumbs=(True, True))
    found = Thumbs(config)
    found.meet([row, more])
    item = Item(
        ([4, 9, 1], [4, 10, 1], [4, 11, 1]),
        begins=(1, 1, 1),
        marks=(1.0, math.nan, 0.0),
        ranks=(-1, math.nan, 0),
        letters=(1, 1, 1),
    )
    (made,) = found.used([row], [item])
    assert made.sequences == ([4, 9, 1], [4, 11, 1])
    assert made.marks == pytest.approx((0.25 * 4 / 3**0.5, -0.75 * 4 / 3**0.5))
    assert "mean 0.75 and deviation 0.433" in found.sentence()


def test_filtered_uses_the_chosen_of_pairs_with_the_weight_of_the_row():
    config = OfflineConfig(out="o", policy="p", preferences="f", method="filtered")
    row = Preference(id="1", messages=PROMPT, chosen="a", rejected="b", weight=2.0)
    found = Wins(config)
    found.meet([row])
    for held_out in (False, True):
        (made,) = found.used([row], [Item(([4, 9, 1], [4, 10, 1]), weight=2.0, begins=(1, 1))], held_out=held_out)
        assert (made.sequences, made.weight, made.marks) == (([4, 9, 1],), 2.0, (1.0,))
    assert (found.num, found.num_kept) == (2, 1)


@pytest.mark.parametrize("method", METHODS)
def test_how_a_batch_is_split_changes_nothing(make_offline: Make, method: str):
    few, all_ = (
        _lines(offline.train(make_offline(f"{n}", micro_tokens=n, method=method, epochs=2))) for n in (32, 4096)
    )
    for one, other in zip(few, all_, strict=True):
        assert one == pytest.approx(other, rel=1e-2, abs=2e-3)
    assert few[0] == pytest.approx(all_[0], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("method", ["filtered", "advantage_weighted"])
def test_a_run_that_was_broken_off_goes_on_to_the_bit(make_offline: Make, method: str):
    """With its critic."""
    settings = {"method": method, "checkpoint_every": 4}
    whole = offline.train(make_offline("whole", **settings))
    config = make_offline("broken", **settings)
    with broken_off(8):
        offline.train(config)
    broken = offline.train(config)
    assert (broken / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert _lines(broken) == _lines(whole)


def test_the_critic_learns_what_each_prompt_gets(make_offline: Make, write_rows: Callable[..., str]):
    """Prompts that hold the word sad get thumbs down, others up: the critic misses far less than a mean would (1)."""
    rows = [
        {"id": f"r{i}", "messages": [{"role": "user", "content": f"{'sad' if i % 2 else 'joy'} {i}?"}],
         "responses": [row["chosen"]], "thumbs": [i % 2 == 0]}
        for i, row in enumerate(pairs(200))
    ]  # fmt: skip
    made = offline.train(make_offline(preferences=write_rows("sad.jsonl", rows), epochs=8, head_lr=1e-2))
    lines = _lines(made)
    assert lines[0]["loss/value"] == pytest.approx(1, abs=0.4)
    assert lines[-1]["loss/value_validation"] < 0.3


def test_an_adapter_learns_too(make_offline: Make):
    made = offline.train(make_offline(adapter="lora", epochs=1))
    assert (made / "adapter_config.json").is_file()


def test_marks_that_are_all_the_same_are_refused(make_offline: Make, write_rows: Callable[..., str]):
    up = write_rows("up.jsonl", [row for row in thumbs(40) if row["thumbs"] == [True]])
    with pytest.raises(UserError, match=r"up\.jsonl: all its marks are the same"):
        offline.train(make_offline(preferences=up))
    rows = [Rated(id="1", messages=PROMPT, responses=("a", "b"), ratings={"helpful": (3, 3)})]
    with pytest.raises(UserError, match=r"all marks of the 2 responses that are learned from are the same \(3\)"):
        Ratings(make_offline(preferences=write_rows("rated.jsonl", _rated(4)))).meet(rows)


REFUSED = [
    ({"method": "filtered", "beta": 0.5}, "beta is a setting of method = reward_weighted or advantage_weighted"),
    ({"method": "reward_weighted", "most": 5}, "most is a setting of method = advantage_weighted"),
    ({"keep": 0.5}, "keep is a setting of method = filtered, but here method = advantage_weighted"),
    ({"keep": 1, "method": "filtered"}, "keep"),
    ({"axis": "helpful", "objective": "thumbs"}, "axis is a setting of objective = ratings"),
    ({"center_coef": 0.1}, "center_coef holds scores near 0"),
    ({"undecided": "ties.jsonl", "objective": "wins"}, "undecided pairs have no majority"),
]


@pytest.mark.parametrize(("settings", "sentence"), REFUSED)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], sentence: str):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        OfflineConfig(**{"out": "o", "policy": "p", "preferences": "f", **settings})


def test_held_out_responses_without_a_rival_are_held_against_what_was_learned_from():
    """Ratings 1 to 4, each of a prompt of its own, keep the 4: of held-out 2 and 5 the 5 stays, and of 1 and 2 none."""
    config = OfflineConfig(out="o", policy="p", preferences="f", method="filtered", objective="thumbs")
    found = Wins(config)
    found.bounds = Bounds.of(np.arange(4, dtype=np.uint64), np.array([1.0, 2.0, 3.0, 4.0]), keep=0.25)
    for marks, num in (((2.0, 5.0), 1), ((1.0, 2.0), 0)):
        rows = [
            Rated(id=f"{i}", messages=(Message(role="user", content=f"{i}?"),), responses=("a",), thumbs=(True,))
            for i in range(2)
        ]
        items = [Item(([4, 9, 1],), begins=(1,), ranks=(-mark,), letters=(1,), marks=(mark,)) for mark in marks]
        assert len(found.used(rows, items, held_out=True)) == num


def test_held_out_pairs_beside_ratings_have_no_loss_and_it_is_said(
    make_offline: Make, write_rows: Callable[..., str], read_lines: Any, capsys: pytest.CaptureFixture[str]
):
    held_out = write_rows("held.jsonl", [{**row, "messages": asked(900 + i)} for i, row in enumerate(pairs(10))])
    made = offline.train(make_offline(preferences=write_rows("t.jsonl", thumbs(40)), held_out=held_out, epochs=1))
    last = read_lines(made.parents[1] / "metrics.jsonl")[-1]
    assert "loss/validation" not in last
    assert "accuracy/validation" in last
    said = capsys.readouterr()
    assert "held.jsonl: it holds pairs, and thumbs are learned" in said.out + said.err
