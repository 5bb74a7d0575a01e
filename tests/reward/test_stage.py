"""The reward model: it learns a preference that was planted, and its folder means the same to transformers."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn.functional import logsigmoid
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from broken import broken_off
from prefloop import layout
from prefloop.errors import UserError
from prefloop.feedback import data
from prefloop.feedback.data import PromptBatches, split
from prefloop.feedback.items import Item, item_scores
from prefloop.feedback.objectives import gaps
from prefloop.models.device import Placement
from prefloop.models.load import scalar
from prefloop.records import Message, Preference
from prefloop.reward.config import RewardConfig
from prefloop.reward.stage import train
from prefloop.scoring.reward_model import NORMALISATION, RewardModel

CPU = Placement(torch.device("cpu"))
Make = Callable[..., RewardConfig]


def row(i: int, chosen: str, rejected: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"r{i}",
        "messages": [{"role": "user", "content": f"where is {i // 2}?"}],
        "chosen": chosen,
        "rejected": rejected,
        **more,
    }


def planted(count: int) -> list[dict[str, Any]]:
    """The better response is the one that says sorry, wherever it says so; both are of the same length."""
    rng = random.Random(1)
    rows = []
    for i in range(count):
        texts = []
        for word in ("sorry", "never"):
            words = [rng.choice(["on", "it", "go", "my"]) for _ in range(4)]
            words.insert(rng.randrange(5), word)
            texts.append(" ".join(words))
        rows.append(row(i, *texts))
    return rows


def voted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same, judged by two who see which is better, and by one who always takes the left."""
    rng = random.Random(2)
    for one in rows:
        first = [rng.random() < 0.5 for _ in range(3)]
        sides = ["chosen", "chosen", "chosen" if first[2] else "rejected"]
        said = zip(("ann", "bob", "lea"), sides, first, strict=True)
        one["votes"] = [{"side": side, "annotator": name, "first": left} for name, side, left in said]
    return rows


@pytest.fixture
def make_config(folder: str, tmp_path: Path, write_rows: Callable[..., str]) -> Make:
    preferences = write_rows("preferences.jsonl", planted(240))
    demonstrations = write_rows(
        "demonstrations.jsonl",
        [
            {
                "id": f"d{i}",
                "messages": [{"role": "user", "content": f"who {i}?"}],
                "response": " ".join(["my way"] * (1 + i % 5)),
            }
            for i in range(30)
        ],
    )

    def make(name: str = "reward", **settings: Any) -> RewardConfig:
        values: dict[str, Any] = {
            "out": str(tmp_path / name),
            "model": folder,
            "preferences": preferences,
            "demonstrations": demonstrations,
            "validation": 0.2,
            "epochs": 4,
            "batch_pairs": 32,
            "lr": 0.01,
            "threads": 1,
            "dtype": "float32",
            "checkpoint_every": 0,
        }
        return RewardConfig(**{**values, **settings})

    return make


def test_it_learns_what_was_planted(make_config: Make):
    """Held-out accuracy above 95 %, where length says nothing; the warning says that this is too good to be true."""
    made = train(make_config())
    result = json.loads((made.parent / "finished.json").read_text())["result"]
    assert result["accuracy"] > 0.95
    assert result["length_only_accuracy"] == 0.5
    assert any("above 95%" in w for w in result["warnings"])
    model = RewardModel(str(made), CPU)
    good, bad = model.score(
        [(Message(role="user", content="where is 999?"),)] * 2, ["on my sorry go it", "on my never go it"]
    ).tolist()
    assert good > bad + 0.5


@pytest.mark.parametrize(("lr", "head_lr"), [(1e-9, 0.01), (0.01, 1e-9)])
def test_the_head_moves_at_its_own_rate(make_config: Make, folder: str, lr: float, head_lr: float):
    """Adam's first updates are about as large as the rate: whoever has one of 1e-9 stands still."""
    made = scalar(str(train(make_config(epochs=1, lr=lr, head_lr=head_lr))), CPU).pretrained
    before = scalar(folder, CPU, fresh_head=True).pretrained.base_model.state_dict()
    trunk = max(float((v - before[k]).abs().max()) for k, v in made.base_model.state_dict().items() if "embed" not in k)
    head = float(made.get_submodule("score").get_parameter("weight").detach().abs().max())
    assert (trunk > 1e-3, head > 1e-3) == (lr > head_lr, head_lr > lr)
    assert min(trunk, head) < 1e-6


def test_scores_have_mean_0_and_deviation_1_over_demonstrations(make_config: Make, tmp_path: Path):
    """By transformers' own raw scores of the demonstrations; and by ours."""
    made = train(make_config(epochs=1))
    known = json.loads((made / NORMALISATION).read_text())
    tokenizer, theirs = (
        AutoTokenizer.from_pretrained(made),
        AutoModelForSequenceClassification.from_pretrained(made).eval(),
    )
    raw, prompts, responses = [], [], []
    for i in range(30):
        prompts.append((Message(role="user", content=f"who {i}?"),))
        responses.append(" ".join(["my way"] * (1 + i % 5)))
        text = f"<|user|>who {i}?<|assistant|>{responses[-1]}<|end|>"
        with torch.no_grad():
            raw.append(
                float(theirs(tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]).logits)
            )
    assert known == pytest.approx({"mean": np.mean(raw), "std": np.std(raw)}, rel=1e-3)
    scores = RewardModel(str(made), CPU).score(prompts, responses)
    assert float(scores.mean()) == pytest.approx(0, abs=1e-3)
    assert float(scores.std(correction=0)) == pytest.approx(1, abs=1e-3)


def test_demonstrations_are_read_before_training(make_config: Make, write_rows: Callable[..., str]):
    """A row that no demonstration is must not cost a model that is trained: nothing has been learned yet."""
    wrong = write_rows("wrong.jsonl", [{"id": "d", "messages": [{"role": "user", "content": "who?"}], "response": ""}])
    config = make_config(demonstrations=wrong)
    with pytest.raises(UserError, match=r"wrong\.jsonl:1: "):
        train(config)
    assert not (Path(config.out) / "metrics.jsonl").exists()


def test_one_demonstration_moves_scores_and_does_not_scale_them(
    make_config: Make, write_rows: Callable[..., str], capsys: pytest.CaptureFixture[str]
):
    """Its deviation is 0: its own score becomes 0, and differences stay those of raw scores."""
    said = {"messages": [{"role": "user", "content": "who?"}], "response": "my way"}
    made = train(make_config(demonstrations=write_rows("one.jsonl", [{"id": "d", **said}]), epochs=1))
    assert json.loads((made / NORMALISATION).read_text())["std"] == 1
    assert "moved to mean 0 and not scaled" in "".join(capsys.readouterr())
    score = RewardModel(str(made), CPU).score([(Message(role="user", content="who?"),)], ["my way"])
    assert float(score) == pytest.approx(0, abs=1e-5)


def test_margins_are_chosen_minus_rejected_in_order(folder: str):
    network = scalar(folder, CPU, fresh_head=True)
    torch.nn.init.normal_(network.pretrained.get_submodule("score").weight, generator=torch.Generator().manual_seed(5))
    pairs = [Item(([5, 6, 1], [7, 1])), Item(([8, 9, 10, 11, 1], [12, 13, 1]))]
    with torch.no_grad():
        actual = gaps(item_scores(network, pairs))
        single = [gaps(item_scores(network, [Item(pair.sequences[::-1])])) for pair in pairs]
    torch.testing.assert_close(actual, -torch.cat(single), rtol=1e-4, atol=1e-5)
    assert pairs[0].length == 5


def test_the_first_loss_is_log_2_and_weights_weigh(make_config: Make, write_rows: Callable[..., str], read_lines: Any):
    """A head of zeros thinks every pair a coin flip. A row of weight 0 is not learned from: flipped rows do no harm."""
    rows = planted(160)
    flipped = [
        {**r, "id": r["id"] + "f", "chosen": r["rejected"], "rejected": r["chosen"], "weight": 1e-6} for r in rows
    ]
    made = train(
        make_config(
            preferences=write_rows("weighted.jsonl", rows + flipped),
            held_out=write_rows("held.jsonl", planted(200)[160:]),
            epochs=4,
        )
    )
    lines = read_lines(made.parent / "metrics.jsonl")
    assert lines[0]["loss/train"] == pytest.approx(-float(logsigmoid(torch.tensor(0.0))))
    assert json.loads((made.parent / "finished.json").read_text())["result"]["accuracy"] > 0.95


def test_the_pairs_of_a_prompt_are_learned_from_together(make_config: Make):
    """Two pairs to each prompt, three pairs an update at most: an update has whole prompts, and an epoch has all of
    them."""
    pairs = split(make_config(validation=0.5)).training
    batches = PromptBatches(pairs, make_config(batch_pairs=3, epochs=2))
    prompts = [[row.messages for row in pairs.take(batch)] for batch in batches]
    assert all(len(batch) == 2 and len(set(batch)) == 1 for batch in prompts)
    assert sorted(i for batch in batches for i in batch) == sorted([*range(len(pairs))] * 2)


def test_the_edges_of_the_votes_are_learned(make_config: Make, write_rows: Callable[..., str], read_lines: Any):
    """Nearly every vote is a tie: where a tie ends moves far out from its start at 0.5, at a rate of its own."""
    ties = {"votes": [{"side": "tie"}] * 9 + [{"side": "chosen", "strength": 1}]}
    path = write_rows("ties.jsonl", [{**r, **ties} for r in planted(160)])
    made = train(make_config(preferences=path, held_out=write_rows("held.jsonl", planted(200)[160:]), lr=1e-6))
    result = json.loads((made.parent / "finished.json").read_text())["result"]
    assert result["vote_edges"][0] > 0.6  # at the model's rate it would not have moved at all
    first, last = (read_lines(made.parent / "metrics.jsonl")[place]["loss/train"] for place in (0, -1))
    assert first == pytest.approx(result["loss_at_start"], rel=1e-6)  # and not log 2
    entropy = -0.9 * math.log(0.9) - 0.1 * math.log(0.1 / 2)
    assert result["loss_no_opinion"] == pytest.approx(entropy)
    assert entropy < last < first


def test_who_sees_better_and_who_takes_the_left_is_learned_beside_the_scores(
    make_config: Make, write_rows: Callable[..., str], capsys: pytest.CaptureFixture[str]
):
    path = write_rows("p.jsonl", voted(planted(160)))
    made = train(make_config(preferences=path, annotators="learned"))
    result = json.loads((made.parent / "finished.json").read_text())["result"]
    told = {row["name"]: row for row in result["annotators"]}
    assert {name: row["num_votes"] for name, row in told.items()} == dict.fromkeys(("ann", "bob", "lea"), 128)
    assert min(told["ann"]["ability"], told["bob"]["ability"]) > 1.2 > 0.8 > told["lea"]["ability"]
    assert told["lea"]["first"] > 0.8 > 0.4 > max(abs(told[name]["first"]) for name in ("ann", "bob"))
    assert all(row["interval"][0] < row["ability"] < row["interval"][1] for row in told.values())
    assert "lea                 128 votes   ability 0." in capsys.readouterr().out
    assert result["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"annotators": "learned"}, "annotators=learned needs votes that name who cast them, and none does"),
        ({"annotators": "learned", "objective": "bradley_terry"}, "annotators is a setting of objective = votes"),
    ],
)
def test_annotators_that_cannot_be_learned_are_a_sentence(make_config: Make, settings, complaint):
    with pytest.raises((UserError, ValidationError), match=complaint):
        train(make_config(**settings))


def test_stronger_words_teach_a_wider_gap(make_config: Make, write_rows: Callable[..., str]):
    """The same wins, called slight or much better: the gap learned follows; by the majority alone it does not."""
    learned = {}
    for objective in ("votes", "bradley_terry"):
        for strength in (1, 3):
            votes = [*[{"side": "chosen", "strength": strength}] * 2, {"side": "tie"}]
            rows = [{**r, "votes": votes} for r in planted(160)]
            path = write_rows(f"{objective}{strength}.jsonl", rows)
            made = train(make_config(f"{objective}{strength}", preferences=path, objective=objective, epochs=3))
            model = scalar(str(made), CPU)
            prompt = model.codec.prompt_ids((Message(role="user", content="where is 999?"),))
            good, bad = (prompt + model.codec.response_ids(text) for text in ("on my sorry go it", "on my never go it"))
            with torch.no_grad():
                learned[objective, strength] = float(gaps(item_scores(model, [Item((good, bad))])))
    assert learned["votes", 3] > 1.5 * learned["votes", 1] > 0
    assert learned["bradley_terry", 3] == learned["bradley_terry", 1]


def test_memory_does_not_change_the_result(make_config: Make, write_rows: Callable[..., str]):
    """A batch in one piece or cut into many, weights included: the same reward model."""
    rows = [{**r, "weight": 0.5 + i % 3} for i, r in enumerate(planted(80))]
    path = write_rows("weighted.jsonl", rows)
    whole, cut = (
        AutoModelForSequenceClassification.from_pretrained(
            train(make_config(name, preferences=path, epochs=1, micro_tokens=size))
        )
        for name, size in (("a", 16384), ("b", 100))
    )
    for a, b in zip(whole.parameters(), cut.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-4)


def test_no_prompt_is_on_both_sides(make_config: Make):
    actual = split(make_config())
    sides = [{r.messages[0].content for r in rows} for rows in (actual.training, actual.validation)]
    assert not sides[0] & sides[1]
    assert len(actual.training) + len(actual.validation) == 240
    assert len(actual.validation) == pytest.approx(48, abs=2)


def test_a_system_turn_in_common_does_not_make_one_prompt_of_all(make_config: Make, write_rows: Callable[..., str]):
    rows = [{**r, "messages": [{"role": "system", "content": "be kind"}, *r["messages"]]} for r in planted(40)]
    actual = split(make_config(preferences=write_rows("system.jsonl", rows)))
    assert len(actual.validation) == 8
    assert not {r.messages[1].content for r in actual.training} & {r.messages[1].content for r in actual.validation}


def test_undecided_pairs_are_learned_from_or_counted_by_their_prompt(make_config: Make, write_rows: Callable[..., str]):
    """Those of training prompts are learned from, those of held-out prompts kept for calibration; an empty file is
    none."""
    held_out = write_rows("held.jsonl", planted(200)[160:])
    tied = [{**r, "id": f"u{i}", "votes": [{"side": "tie"}]} for i, r in enumerate(planted(200))]
    actual = split(
        make_config(
            preferences=write_rows("few.jsonl", planted(160)),
            held_out=held_out,
            undecided=write_rows("undecided.jsonl", tied),
        )
    )
    assert (len(actual.training), len(actual.validation), len(actual.undecided)) == (320, 40, 40)
    empty = write_rows("empty.jsonl", [])
    assert (
        len(
            split(
                make_config(preferences=write_rows("few.jsonl", planted(160)), held_out=held_out, undecided=empty)
            ).training
        )
        == 160
    )
    with pytest.raises(UserError, match="no such file"):
        split(make_config(undecided="nowhere.jsonl"))


def test_old_rows_are_learned_from_again_in_the_share_asked_for_and_never_validated_with(
    make_config: Make, write_rows: Callable[..., str]
):
    """192 new rows: 48 of 60 old ones make a fifth; 20 of the 60 have a prompt that may be held out, and those that
    are, are not among them."""
    old = [row(i + (0 if i < 20 else 1000), "old way", "no way", id=f"o{i}") for i in range(60)]
    config = make_config(replay=write_rows("old.jsonl", old))
    made, told = split(config), list[str]()
    again = [one.id for one in made.training if one.id.startswith("o")]
    held = {one.messages for one in made.validation}
    assert (len(made.training) - len(again), len(again), made.num_replayed) == (192, 48, 48)
    assert not [one for one in made.validation if one.id.startswith("o")]
    assert not held & {one.messages for one in made.training}
    assert [one.id for one in split(config).training if one.id.startswith("o")] == again
    other = split(config.model_copy(update={"seed": 1, "split_seed": config.split_by}))
    assert [one.id for one in other.training if one.id.startswith("o")] != again
    few = split(config.model_copy(update={"replay_share": 0.5}), told.append)
    assert few.num_replayed == 60 - sum(one["messages"][0]["content"] in {m[0].content for m in held} for one in old)
    assert any("which is less than replay_share = 0.5 of all" in line for line in told)
    with pytest.raises(ValidationError, match="replay_share is a share of replay"):
        make_config(replay_share=0.5)


def test_one_prompt_alone_cannot_be_held_out(make_config: Make, write_rows: Callable[..., str]):
    rows = [{**r, "messages": [{"role": "user", "content": "the same"}]} for r in planted(6)]
    with pytest.raises(UserError, match=r"all rows have the same prompt.*Give a held_out file"):
        split(make_config(preferences=write_rows("same.jsonl", rows)))


def test_what_is_cut_to_the_context_is_told(
    make_config: Make, write_rows: Callable[..., str], capsys: pytest.CaptureFixture[str]
):
    rows = planted(40)
    rows[3] |= {"messages": [{"role": "user", "content": "please " * 60}]}
    made = train(
        make_config(
            preferences=write_rows("long.jsonl", rows), held_out=write_rows("held.jsonl", planted(60)[40:]), epochs=1
        )
    )
    said = "long.jsonl: of 80 prompts with a response, 2 prompts lost their beginning to fit the context of 64 tokens."
    assert said in capsys.readouterr().out
    assert json.loads((made.parent / "finished.json").read_text())["result"]["num_prompts_cut"] == 2


def test_pairs_that_are_the_same_within_the_context_are_left_out_and_counted(
    make_config: Make, write_rows: Callable[..., str], capsys: pytest.CaptureFixture[str]
):
    """Responses of 80 words in a context of 64 tokens: those that part in their last words only are the same."""
    rows = planted(40)
    for r, chosen, rejected in zip(rows[:3], ("on", "on", "it"), ("go", "my", "go"), strict=True):
        r |= {"chosen": "way " * 79 + chosen, "rejected": "way " * 79 + rejected}
    rows[3] |= {"chosen": "on " + "way " * 79, "rejected": "go " + "way " * 79}
    made = train(
        make_config(preferences=write_rows("same.jsonl", rows[:30]), held_out=write_rows("h.jsonl", rows[30:]))
    )
    said = capsys.readouterr().out
    result = json.loads((made.parent / "finished.json").read_text())["result"]
    assert (result["num_training"], result["num_equal"], result["num_responses_cut"]) == (27, 3, 8)
    assert "same.jsonl: 3 pairs are left out, for within the context of 64 tokens both responses are the same." in said
    assert "8 prompts lost their beginning and 8 responses lost their end to fit the context of 64 tokens." in said
    with pytest.raises(UserError, match=r"in each of the 3 pairs both responses are the same within the context of 64"):
        train(
            make_config(
                "none", preferences=write_rows("all.jsonl", rows[:3]), held_out=write_rows("h.jsonl", rows[30:])
            )
        )


def test_ties_are_set_apart_and_told(make_config: Make, write_rows: Callable[..., str]):
    """Of 12 pairs three are ties: their votes are learned from, none is validated with; a majority leaves them out."""
    rows = planted(12)
    for r in rows[:3]:
        r["votes"] = [{"side": "tie"}]
    path, told = write_rows("ties.jsonl", rows), []
    made = split(make_config(preferences=path, validation=0.2, seed=1), told.append)
    assert (len(made.training), len(made.validation), len(made.undecided), made.num_undecided) == (10, 2, 0, 3)
    assert all(isinstance(row, Preference) and row.decided for row in made.validation)
    assert told == [f"{path}: 3 of 12 pairs are ties or have no majority: their votes count."]
    made = split(make_config(preferences=path, validation=0.2, seed=1, objective="bradley_terry"), told.append)
    assert (len(made.training), len(made.validation)) == (7, 2)
    assert told[1].endswith(
        "3 of 12 pairs are ties or have no majority: objective=bradley_terry learns nothing from them."
    )


def test_a_pair_without_a_majority_has_no_better_response(
    make_config: Make, write_rows: Callable[..., str], read_lines: Any
):
    """Every second pair is nobody's, and what it calls chosen is the worse and the longer one: it teaches, and counts
    neither in an accuracy nor in whether the longer wins."""
    rows = planted(160)
    for r in rows[::2]:
        votes = [{"side": side} for side in ("chosen", "tie", "rejected")]
        r |= {"votes": votes, "chosen": r["rejected"] + " on it", "rejected": r["chosen"]}
    for r in rows[1::2]:
        r["rejected"] += " on it"
    made = train(make_config(preferences=write_rows("ties.jsonl", rows), lr=0.02))
    result = json.loads((made.parent / "finished.json").read_text())["result"]
    assert (result["num_training"], result["num_held_out"], result["num_undecided"]) == (128, 16, 80)
    last = read_lines(made.parent / "metrics.jsonl")[-1]
    assert min(last["accuracy/train"], result["accuracy_train"], result["accuracy"]) > 0.95
    assert result["length_only_accuracy"] == 1


@pytest.mark.parametrize("second", ["held_out", "undecided", "replay"])
def test_one_file_is_not_given_twice(make_config: Make, write_rows: Callable[..., str], second: str):
    path = write_rows("one.jsonl", planted(4))
    with pytest.raises(
        UserError, match=rf"one.jsonl: this file is given as preferences and as {second}, but each needs"
    ):
        split(make_config(**{"preferences": path, second: path}))


def test_streaming_is_exact_to_resume_and_counts_as_in_one_go(
    make_config: Make, write_rows: Callable[..., str], monkeypatch: pytest.MonkeyPatch, read_lines: Any
):
    """Stopped in the first pass, in the second and after the last update: the same weights, rows of metrics and counts;
    and the file is passed over once."""
    rows = voted(planted(120))
    rows[5] |= {"messages": [{"role": "user", "content": "please " * 60}]}
    rows[7] |= {"chosen": "way " * 79 + "on", "rejected": "way " * 79 + "my"}
    path, passes = write_rows("p.jsonl", rows), []
    monkeypatch.setattr(data, "_noted", lambda few, real=data.__dict__["_noted"]: passes.append(len(few)) or real(few))
    settings: dict[str, Any] = {"preferences": path, "epochs": 2, "batch_pairs": 8, "checkpoint_every": 3}
    settings["annotators"] = "learned"
    whole = train(make_config("whole", **settings))
    assert sum(passes) == 120
    for last in (6, 18, len(read_lines(whole.parent / "metrics.jsonl"))):
        with broken_off(last):
            train(make_config("parts", **settings))
    parts = train(make_config("parts", **settings))
    assert sum(passes) == 240
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert read_lines(parts.parent / "metrics.jsonl") == read_lines(whole.parent / "metrics.jsonl")
    results = [json.loads((made.parent / "finished.json").read_text())["result"] for made in (whole, parts)]
    assert results[0] == results[1]
    assert results[0]["num_training"] + results[0]["num_held_out"] + results[0]["num_equal"] == 120
    assert not (whole.parent / layout.ROWS).exists()


def test_more_pairs_than_are_needed_are_not_held_out(make_config: Make, monkeypatch: pytest.MonkeyPatch):
    """Whole prompts, of two pairs each, until the most is reached; of a held-out file so many pairs; both are said."""
    monkeypatch.setattr(data, "MOST_HELD_OUT", 11)
    told: list[str] = []
    actual = split(make_config(), told.append)
    assert (len(actual.training), len(actual.validation)) == (230, 10)
    assert "5 of its 120 prompts are held out, which is enough to tell, and not validation = 0.2" in told[-1]


def test_of_many_held_out_pairs_some_are_drawn(
    make_config: Make, write_rows: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(data, "MOST_HELD_OUT", 11)
    told: list[str] = []
    few, others = write_rows("few.jsonl", planted(20)), write_rows("held.jsonl", planted(240)[20:])
    drawn = [split(make_config(preferences=few, held_out=others, seed=seed), told.append) for seed in (1, 1, 2)]
    ids = [[row.id for row in made.validation] for made in drawn]
    assert len(set(ids[0])) == 11
    assert ids[0] == ids[1] != ids[2]
    assert told[-1] == f"{others}: 11 of its 220 pairs are validated with: it is enough."
