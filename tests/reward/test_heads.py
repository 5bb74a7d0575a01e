"""Columns in training: what speaks of which, gradients only there, shrunk differences, and runs of each kind."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from broken import broken_off
from prefloop.errors import UserError
from prefloop.feedback.data import Split, Told, split
from prefloop.feedback.items import Item, Tokenised, item_scores
from prefloop.feedback.kinds import OBJECTIVES
from prefloop.health.gate import card_of
from prefloop.models.columns import columns_of
from prefloop.models.device import Placement
from prefloop.models.load import scalar
from prefloop.models.network import Network
from prefloop.records import Message, Preference, Vote
from prefloop.reward.config import RewardConfig
from prefloop.reward.heads import Heads, heads_of, said_of
from prefloop.reward.stage import tell_strangers, train
from prefloop.scoring.reward_model import RewardModel
from prefloop.text.examples import Cuts

CPU = Placement(torch.device("cpu"))
ASKED = ({"role": "user", "content": "where?"},)
GOOD, BAD, OTHER = [5, 9, 14, 1], [5, 9, 15, 16, 1], [5, 9, 3, 1]


def preference(*votes: tuple[str | None, str], tags: tuple[str, ...] = (), asked: str = "where?") -> Preference:
    said = tuple(Vote.model_validate({"annotator": who, "side": side}) for who, side in votes)
    return Preference(
        id="p", messages=(Message(role="user", content=asked),), chosen="a", rejected="b", votes=said, tags=tags
    )


def config(**settings: Any) -> RewardConfig:
    return RewardConfig(out="o", model="m", preferences="p.jsonl", **settings)


def heads(kind: str, *names: str, **settings: Any) -> Heads:
    return Heads(kind, dict.fromkeys(names, 20), config(heads=kind, **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "row", "names"),
    [
        ("domains", preference(tags=("safe", "topic:refund", "domain:law")), ["refund"]),
        ("domains", preference(tags=("safe",)), []),
        ("axes", preference(), ["better"]),
        ("axes", preference(tags=("axis:kind", "axis:exact")), ["kind", "exact"]),
        ("axes", preference(tags=("safer:rejected", "unsafe:chosen")), ["better", "safer"]),
        ("annotators", preference(("ann", "chosen"), (None, "tie"), ("bob", "rejected")), ["ann", "bob"]),
        ("annotators", preference(("ann", "chosen"), tags=("group:teachers",)), ["teachers"]),
    ],
)
def test_what_a_row_speaks_of(kind: Any, row: Preference, names: list[str]):
    assert [name for name, _, _ in said_of(kind, row)] == names


def test_voices_by_hand():
    """Ann says chosen, Bob says rejected, which is his pair the other way round; each has half the weight of 3. Cyd has
    no column. Where ties teach nothing a vote for one is left out."""
    item = Item((GOOD, BAD), 3.0, letters=(1, 2))
    row = preference(("ann", "chosen"), ("bob", "rejected"))
    whole, ann, bob = heads("annotators", "common", "ann", "bob").voices(row, item)
    assert (whole, ann.column, bob.column) == (item, 1, 2)
    assert (ann.sequences, ann.weight, ann.pairs) == ((GOOD, BAD), 1.5, ((0, 1),))
    assert (bob.sequences, bob.letters, bob.weight, bob.pairs) == ((BAD, GOOD), (2, 1), 1.5, ((0, 1),))
    assert ann.votes == bob.votes
    made = heads("annotators", "common", "bob")
    assert len(made.voices(preference(("cyd", "tie"), ("bob", "tie")), item)) == 2
    assert made.voices(preference(("bob", "tie")), item)[1].pairs == ()
    assert made.voices(preference(("bob", "tie")), item, ties=False) == [item]
    safer = heads("axes", "better", "safer").voices(preference(tags=("safer:rejected",)), item)
    assert [(voice.column, voice.sequences) for voice in safer] == [(0, (GOOD, BAD)), (1, (BAD, GOOD))]
    assert heads("axes", "kind", "exact").voices(preference(), item) == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"heads": "annotators"}, "4 times it speaks of 2 annotators without a column (zoe 3, max 1): they count "
                                  "for common."),
        ({"annotators": "learned"}, "4 times it speaks of 2 annotators of whom nothing was learned (zoe 3, max 1): "
                                    "they are taken to judge like the middle of the others."),
        ({"heads": "domains"}, "1 times it speaks of 1 domains without a column (law 1): they count for common."),
        ({"heads": "axes"}, "1 times it speaks of 1 axes without a column (exact 1): they count for nothing."),
        ({}, ""),
        ({"heads": "members"}, ""),
    ],
)  # fmt: skip
def test_held_out_rows_of_whom_nothing_was_learned_are_told(settings: dict[str, Any], says: str):
    """Ann and Bob were met, and votes of nobody who is known speak of no one."""
    asked = config(held_out="h.jsonl", **settings)
    rows = [preference(("ann", "chosen"), (None, "tie"), ("zoe", "chosen")), preference(("zoe", "tie"), ("max", "tie"))]
    rows.append(preference(("zoe", "chosen"), ("bob", "chosen"), tags=("domain:law", "axis:exact")))
    rows[:2] = [row.model_copy(update={"tags": ("axis:ann",)}) for row in rows[:2]]
    names = ("ann", "bob") if asked.heads == "axes" else ("common", "ann", "bob")
    objective = OBJECTIVES["votes"](asked)
    objective.meet([preference(("ann", "chosen"), ("bob", "chosen"))])
    said: list[str] = []
    data = Split("votes", Told([], np.zeros(0)), rows[:1], rows[1:], ())
    tell_strangers(asked, data, heads(asked.heads, *names), objective, said.append)
    assert said == ([f"h.jsonl: {says}"] if says else [])


def test_a_member_weighs_prompts_in_its_own_way():
    """Exp(1): mean 1 and variance 1 over prompts, the same for all rows of one, other for each member and seed."""
    item = Item((GOOD, BAD), 2.0)
    made = heads("members", "member-1", "member-2")
    drawn = torch.tensor(
        [[v.weight / 2 for v in made.voices(preference(asked=f"where is {i}?"), item)] for i in range(2000)]
    )
    assert drawn.mean(0).tolist() == pytest.approx([1, 1], abs=0.1)
    assert drawn.var(0).tolist() == pytest.approx([1, 1], abs=0.2)
    assert abs(float(torch.corrcoef(drawn.T)[0, 1])) < 0.1
    again = heads("members", "member-1", "member-2").voices(preference(("ann", "tie"), asked="where is 7?"), item)
    assert [v.weight / 2 for v in again] == pytest.approx(drawn[7].tolist())
    other = heads("members", "member-1", "member-2", seed=1).voices(preference(asked="where is 7?"), item)
    assert other[0].weight != again[0].weight


def gradient(made: Heads, judge: Network, items: list[Item]) -> tuple[torch.Tensor, torch.Tensor]:
    """(C, width) the head's gradient of the sum of losses, and the losses."""
    judge.zero_grad()
    losses, _ = made.losses(judge, OBJECTIVES["bradley_terry"](config()), items)
    losses.sum().backward()
    weight = judge.pretrained.get_submodule("score").get_parameter("weight")
    assert weight.grad is not None
    return weight.grad.clone(), losses.detach()


@pytest.mark.parametrize("kind", ["axes", "domains"])
def test_a_column_learns_only_where_something_speaks_of_it(folder: str, kind: str):
    """And `common` learns exactly what it would learn alone; what items are read beside changes nothing."""
    names = ("common", "law", "art")
    made, judge = heads(kind, *names), scalar(folder, CPU, fresh_head=True, columns=names)
    weight = judge.pretrained.get_submodule("score").get_parameter("weight")
    torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(5))
    common, law = Item((GOOD, BAD)), Item((BAD, OTHER), column=1)
    both, losses = gradient(made, judge, [common, law])
    assert made.weight([common, law]) == (2 if kind == "axes" else 1)
    assert both[2].tolist() == [0.0] * 16
    assert float(both[1].abs().min()) > 0
    first, alone = gradient(made, judge, [common])
    torch.testing.assert_close(both[0], first[0], rtol=0, atol=1e-5)
    assert first[1:].tolist() == [[0.0] * 16] * 2
    turned, _ = gradient(made, judge, [law, common])
    torch.testing.assert_close(turned, both, rtol=0, atol=1e-5)
    torch.testing.assert_close(losses[:1], alone, rtol=0, atol=1e-5)
    one = scalar(folder, CPU, fresh_head=True)
    with torch.no_grad():
        one.pretrained.get_submodule("score").get_parameter("weight").copy_(weight[:1])
    plain, _ = gradient(heads("one", "score"), one, [common])
    torch.testing.assert_close(plain[0], first[0], rtol=0, atol=1e-5)


def test_a_difference_is_held_back_by_hand(folder: str):
    """Score = common + difference; loss log(1 + exp(-gap)) + 8 / (2 * 20 votes) * (gap of the difference)^2."""
    names = ("common", "law")
    made, judge = heads("domains", *names, shrinkage=8.0), scalar(folder, CPU, fresh_head=True, columns=names)
    torch.nn.init.normal_(
        judge.pretrained.get_submodule("score").get_parameter("weight"), generator=torch.Generator().manual_seed(5)
    )
    _, losses = gradient(made, judge, [Item((GOOD, BAD), column=1)])
    with torch.no_grad():
        table = judge.score_table([GOOD, BAD])
    common, apart = (float(gap) for gap in table[0] - table[1])
    assert float(losses[0]) == pytest.approx(math.log1p(math.exp(-common - apart)) + 8 / 40 * apart**2, rel=1e-4)
    made.fold(judge)
    with torch.no_grad():
        expected = torch.stack([table[:, 0], table.sum(1)], 1)
        torch.testing.assert_close(judge.score_table([GOOD, BAD]), expected, rtol=0, atol=1e-5)


def test_the_scale_by_hand():
    """Raw 0, 2 and 0, 4: each column is shifted and scaled to -1 and 1, and so is their mean; members that disagree
    altogether have a mean without any deviation, which is not scaled."""
    known, same = heads("axes", "a", "b").scale(torch.tensor([[0.0, 0.0], [2.0, 4.0]]))
    assert [(c.mean, c.std) for c in known.columns] == [(1, 1), (2, 2)]
    assert (known.std, same) == (1.0, False)
    known, same = heads("members", "a", "b").scale(torch.tensor([[0.0, 4.0], [2.0, 0.0]]))
    assert (known.std, known.weights, same) == (1.0, {"a": 0.5, "b": 0.5}, False)
    known, same = heads("domains", "a", "b").scale(torch.tensor([[0.0, 4.0], [2.0, 4.0]]))
    assert ([c.std for c in known.columns], known.weights, same) == ([1, 1], {"a": 1.0}, True)


def test_what_is_told_of_held_out_votes_by_hand():
    """Common has the pair right, ann's column too, bob's (common + difference) has it as he says: the other way."""
    made = heads("annotators", "common", "ann", "bob")
    rows = [preference(("ann", "chosen"), ("bob", "rejected"), asked=f"where is {i}?") for i in range(3)]
    items = [Item((GOOD, BAD))] * 3
    tables = torch.tensor([[[1.0, 0.5, -3.0], [0.0, 0.0, 0.0]]] * 3)
    told = made.told(tables, Tokenised([*rows], items, Cuts(), 0))
    columns = told["columns"]
    assert [columns[name]["accuracy"] for name in made.names] == [1, 1, 1]
    assert (columns["ann"]["accuracy_common"], columns["bob"]["accuracy_common"]) == (1, 0)
    assert (told["own_accuracy"], told["common_accuracy"], told["own_gain"], told["num_own"]) == (1, 0.5, 0.5, 6)


def planted(count: int) -> list[dict[str, Any]]:
    """Each pair is of one that is sorry and one that never is. Ann and the topic `refund` want the first, Bob and
    `delay` the second; `axis:kind` the first, `axis:curt` the second."""
    rng, rows = random.Random(1), []
    for i in range(count):
        texts = {}
        for word in ("sorry", "never"):
            words = [rng.choice(["on", "it", "go", "my"]) for _ in range(3)]
            words.insert(rng.randrange(4), word)
            texts[word] = " ".join(words)
        first, who = i % 2 == 0, ("ann", "bob")[i % 2]
        chosen, rejected = ("sorry", "never") if first else ("never", "sorry")
        tags = ["topic:refund", "axis:kind"] if first else ["topic:delay", "axis:curt"]
        rows.append({
            "id": f"r{i}", "messages": [{"role": "user", "content": f"where is {i}?"}], "chosen": texts[chosen],
            "rejected": texts[rejected], "votes": [{"side": "chosen", "annotator": who}], "tags": tags,
        })  # fmt: skip
    return rows


@pytest.fixture
def settings(folder: str, tmp_path: Path, write_rows: Callable[..., str]) -> dict[str, Any]:
    return {
        "out": str(tmp_path / "reward"), "model": folder, "preferences": write_rows("pairs.jsonl", planted(200)),
        "validation": 0.2, "epochs": 4, "batch_pairs": 16, "lr": 0.01, "head_lr": 0.02, "threads": 1,
        "dtype": "float32", "checkpoint_every": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [("axes", "kind", "curt"), ("domains", "refund", "delay"), ("annotators", "ann", "bob")],
)
def test_columns_learn_what_differs(settings: dict[str, Any], kind: str, first: str, second: str):
    """Opposite tastes, of which one common score can please only half; each is limited to what known ones reach."""
    made = train(RewardConfig(**settings, heads=kind, **({} if kind == "axes" else {"shrinkage": 1.0})))
    result = json.loads((made.parent / "finished.json").read_text())["result"]
    columns = result["columns"]
    assert {"num_training", "num", "accuracy", "accuracy_low", "accuracy_high"} <= columns[first].keys()
    assert min(columns[first]["accuracy"], columns[second]["accuracy"]) > 0.85
    if kind != "axes":
        assert result["own_gain_low"] > 0
        assert result["common_accuracy"] < 0.75
        assert columns_of(str(made)).names[0] == "common"
    _check_card(made, RewardConfig(**settings, heads=kind), kind, columns)  # type: ignore[arg-type]
    asked = [(Message(role="user", content="where is 999?"),)] * 2
    held = split(RewardConfig(**settings), lambda _: None).validation
    known = [(row.messages, text) for row in held if isinstance(row, Preference) for text in (row.chosen, row.rejected)]
    for name, sign in ((first, 1), (second, -1)):
        judge = RewardModel(f"{made}:{name}", CPU)
        good, bad = judge.score(asked, ["on sorry go it", "on never go it"]).tolist()
        assert sign * (good - bad) > 0.5
        said = judge.detailed(*zip(*known, strict=True))
        assert said.limited is not None
        assert float(said.limited.max()) == pytest.approx(float(said.scores.double().quantile(0.99)), abs=1e-3)


def _check_card(made: Path, config: RewardConfig, kind: str, columns: dict[str, Any]) -> None:
    """It judges the score that the folder gives, not its first column, and names every column."""
    card, rows = card_of(str(made)), split(config, lambda _: None).validation
    sides = [(row.chosen, row.rejected) for row in rows if isinstance(row, Preference)]
    chosen, rejected = (
        RewardModel(str(made), CPU).score([row.messages for row in rows], [both[side] for both in sides])
        for side in (0, 1)
    )
    assert card is not None
    assert card.accuracy.mean == pytest.approx(float((chosen > rejected).double().mean()))
    assert card.parts is not None
    assert (card.parts.kind, card.parts.score) == (kind, "mean" if kind == "axes" else "common")
    told = {part.name: (part.num_training, part.accuracy and part.accuracy.mean) for part in card.parts.of}
    assert told == {name: (each["num_training"], each["accuracy"]) for name, each in columns.items()}
    page = (made.parent / "card.html").read_text(encoding="utf-8")
    assert all(f"<td>{name}<small>on " in page for name in columns)


def test_members_are_resumed_to_the_bit(settings: dict[str, Any], tmp_path: Path):
    """Broken off at a checkpoint; and their mean has deviation 1 over the responses that scale it."""
    settings |= {"heads": "members", "num_members": 3, "epochs": 1, "checkpoint_every": 2}
    whole = train(RewardConfig(**settings))
    result = json.loads((whole.parent / "finished.json").read_text())["result"]
    assert (len(result["columns"]), result["disagreement"] > 0) == (3, True)
    settings["out"] = str(tmp_path / "again")
    with broken_off(5):
        train(RewardConfig(**settings))
    again = train(RewardConfig(**settings))
    for file in ("model.safetensors", "prefloop_scores.json", "config.json"):
        assert (again / file).read_bytes() == (whole / file).read_bytes()


@pytest.mark.parametrize(
    ("kind", "row", "says"),
    [
        ("axes", {"tags": ()}, r"pairs.jsonl: heads=axes needs rows that tell of axes \(found: better 30\)"),
        ("domains", {"tags": ("safe",)}, "heads=domains needs rows that tell of domains: a tag such as domain:law"),
        ("annotators", {"tags": ()}, "heads=annotators needs rows that tell of annotators: votes whose annotator is"),
    ],
)
def test_rows_that_tell_of_nothing_to_part(kind: str, row: dict[str, Any], says: str):
    with pytest.raises(UserError, match=says):
        heads_of(
            RewardConfig(out="o", model="m", preferences="pairs.jsonl", heads=kind),  # type: ignore[arg-type]
            [preference(**row)] * 30,
            print,
        )


def test_who_says_little_has_no_column(capsys: pytest.CaptureFixture[str]):
    rows = [preference(("ann", "chosen"))] * 20 + [preference(("bob", "chosen"))] * 19
    made = heads_of(config(heads="annotators"), rows, print)
    assert (made.names, dict(made.counts)) == (("common", "ann"), {"common": 39, "ann": 20})
    assert "1 annotators have fewer than 20" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"num_members": 3}, "num_members is a setting of heads = members, but here heads = one"),
        ({"heads": "axes", "shrinkage": 2.0}, "shrinkage is a setting of heads = domains or annotators"),
        ({"heads": "members", "objective": "pair_classifier"}, "has one head. Leave heads out"),
    ],
)
def test_settings_of_other_heads_are_refused(given: dict[str, Any], says: str):
    with pytest.raises(ValueError, match=says):
        config(**given)


def test_one_column_is_read_as_ever(network: Network, folder: str):
    judge = scalar(folder, CPU, fresh_head=True)
    torch.nn.init.normal_(judge.pretrained.get_submodule("score").get_parameter("weight"))
    items, objective = [Item((GOOD, BAD)), Item((BAD, OTHER))], OBJECTIVES["votes"](config())
    losses, scores = heads("one", "score").losses(judge, objective, items)
    assert torch.equal(scores, item_scores(judge, items))
    assert torch.equal(losses, objective(scores, items))
