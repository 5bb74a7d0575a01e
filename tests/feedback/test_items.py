"""Items of K responses: what must not change by reading them together, in another order, or as pairs."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from broken import broken_off
from prefloop.errors import UserError
from prefloop.feedback.data import split
from prefloop.feedback.items import Item, as_pairs, item_scores, margins, ordered, tokenised
from prefloop.feedback.kinds import OBJECTIVES
from prefloop.models.device import Placement
from prefloop.models.load import scalar
from prefloop.models.network import Network
from prefloop.reward.config import RewardConfig
from prefloop.reward.stage import train

CPU = Placement(torch.device("cpu"))
CONFIG = RewardConfig(model="m", preferences="p", out="o")
PROMPT = [5, 6, 7, 8, 9, 10, 11, 12, 13]


def ranking(i: int, ranks: Sequence[int | None], *texts: str) -> dict[str, Any]:
    asked = [{"role": "user", "content": f"where is {i}?"}]
    return {"id": f"r{i}", "messages": asked, "responses": list(texts), "ranks": list(ranks)}


def rankings(count: int, *, begin: int = 0) -> list[dict[str, Any]]:
    """The more often it says sorry, the better."""
    words = ["on my go it way", "on sorry go it way", "sorry my sorry it way", "sorry my sorry it sorry"]
    order = [(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)]
    rows = []
    for i in range(begin, begin + count):
        some = order[i % 3]
        rows.append(ranking(i, tuple(4 - place for place in some), *(words[place] for place in some)))
    return rows


def pairs(count: int) -> list[dict[str, Any]]:
    """Of other prompts."""
    both = {"chosen": "sorry it is", "rejected": "it is on"}
    return [{"id": f"p{i}", "messages": [{"role": "user", "content": f"who {i}?"}], **both} for i in range(count)]


@pytest.fixture
def network(folder: str) -> Network:
    """A head that has an opinion."""
    network = scalar(folder, CPU, fresh_head=True)
    weight = network.pretrained.get_submodule("score").get_parameter("weight")
    torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(5))
    return network


def gradients(network: Network, losses: torch.Tensor) -> torch.Tensor:
    network.zero_grad()
    losses.sum().backward()
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def test_a_ranking_of_two_is_a_preference_in_losses_and_gradients(network: Network):
    pairs = [Item(([*PROMPT, 14, 1], [*PROMPT, 15, 16, 1])), Item(([*PROMPT[:4], 3, 1], [*PROMPT[:4], 15, 1]))]
    by = [OBJECTIVES[name](CONFIG)(item_scores(network, pairs), pairs) for name in ("plackett_luce", "bradley_terry")]
    torch.testing.assert_close(by[0], by[1], rtol=0, atol=1e-6)
    torch.testing.assert_close(*(gradients(network, losses) for losses in by), rtol=0, atol=1e-6)


def test_responses_read_together_are_those_read_apart(network: Network):
    """Scores, and gradients of a ranking's loss, to 1e-5: with the prompt shared, and each response by itself."""
    items = [
        Item(tuple([*PROMPT, *rest] for rest in ([14, 1], [15, 16, 1], [3, 1], [4, 4, 4, 1])), ranks=(2, 1, 2, 4)),
        Item(([*PROMPT, 3, 1], [*PROMPT, 16, 1])),
    ]
    losses = OBJECTIVES["plackett_luce"](CONFIG)
    together = item_scores(network, items)
    apart = torch.zeros_like(together)
    for row, item in enumerate(items):
        for column, sequence in enumerate(item.sequences):
            apart = apart.index_put((torch.tensor(row), torch.tensor(column)), network.scores([sequence])[0])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-5)
    both = [gradients(network, losses(scores, items)) for scores in (together, apart)]
    torch.testing.assert_close(*both, rtol=0, atol=1e-5)


def test_a_ranking_with_ties_beside_a_long_one():
    """Ties cost 2^K of their own ranking only: the other one, of 14, has none."""
    items = [Item(([1], [2], [3]), ranks=(1, 1, 2)), Item(tuple([i] for i in range(14)), ranks=tuple(range(14)))]
    losses = OBJECTIVES["plackett_luce"](CONFIG)(torch.zeros(2, 14), items)
    assert losses.tolist() == pytest.approx([math.log(3), math.lgamma(15)])


@pytest.mark.parametrize(
    ("ranks", "drawn", "told"),
    [  # of the weights 1, 2, 3, 4: which is drawn of how much is left
        ((2, None, 1, None), (3 / 10) * (1 / 7), 5),
        ((None, None, None, 1), 4 / 10, 3),
        ((1, 1, None, 2), (1 / 10 * 2 / 9 + 2 / 10 * 1 / 8) * (4 / 7), 5),
        ((1, 2, 3, None), (1 / 10) * (2 / 9) * (3 / 7), 6),
        ((7, None), 1 / 3, 1),
    ],
)
def test_a_partial_ranking_by_hand(
    ranks: Sequence[int | None], drawn: float, told: int, network: Network, write_rows: Callable[..., str]
):
    """Plackett and Luce's probability, from the file to the loss; the order of those not ranked says nothing, and each
    is below all that are. As many pairs are told apart, and a shared last place is the same."""
    texts = ("on", "my", "it", "go")[: len(ranks)]
    last = [9 if rank is None else rank for rank in ranks]
    rows = [ranking(0, ranks, *texts), ranking(1, last, *texts), *rankings(8, begin=2)]
    path = write_rows("r.jsonl", rows)
    data = split(RewardConfig(model="m", out="o", preferences=path, validation=0.01))
    found = {row.id: row for row in [*data.training[:], *data.validation]}
    items = tokenised([found["r0"], found["r1"]], network).items
    scores = torch.tensor([1.0, 2, 3, 4]).log()[: len(ranks)].repeat(2, 1)
    losses = OBJECTIVES["plackett_luce"](CONFIG)(scores, items)
    torch.testing.assert_close(losses, torch.full((2,), -math.log(drawn)), rtol=0, atol=1e-6)
    assert [len(item.pairs) for item in items] == [told, told]
    pairs = OBJECTIVES["all_pairs"](RewardConfig(model="m", preferences="p", out="o", objective="all_pairs"))
    torch.testing.assert_close(*pairs(scores, items), rtol=0, atol=0)


def test_the_order_of_responses_does_not_matter(network: Network):
    """Neither does what an item is padded with, beside one that has more responses."""
    parts = [[*PROMPT, 14, 1], [*PROMPT, 15, 16, 1], [*PROMPT, 3, 1]]
    item = Item(tuple(parts), ranks=(2, 3, 1))
    turned = Item((parts[2], parts[0], parts[1]), ranks=(1, 2, 3))
    wider = Item(tuple([*PROMPT, token, 1] for token in (3, 14, 15, 16)), ranks=(1, 2, 3, 4))
    losses = OBJECTIVES["plackett_luce"](CONFIG)
    with torch.no_grad():
        values = [losses(item_scores(network, some), some)[0] for some in ([item], [turned], [item, wider])]
        right = [float(ordered(item_scores(network, some), some)[0]) for some in ([item], [turned], [item, wider])]
    torch.testing.assert_close(values, [values[0]] * 3, rtol=0, atol=1e-5)
    assert right == pytest.approx([right[0]] * 3)


def test_pairs_of_a_ranking_by_hand():
    """Of ranks 1, 2, 2, 3 five pairs are told apart; scores 3, 4, 1, 2 order three of them."""
    item = Item(([1], [2], [3], [4]), ranks=(1, 2, 2, 3), letters=(5, 3, 5, 7))
    assert item.pairs == ((0, 1), (0, 2), (0, 3), (1, 3), (2, 3))
    scores = torch.tensor([[3.0, 4.0, 1.0, 2.0]])
    assert margins(scores, [item]) == [[-1, 2, 1, 2, -1]]
    assert ordered(scores, [item]).tolist() == pytest.approx([3 / 5])
    assert item.longer == pytest.approx((1 + 0 - 1 - 1 - 1) / 5)


def test_rankings_are_learned_as_such(folder: str, tmp_path: Path, write_rows: Callable[..., str], read_lines: Any):
    """By themselves, resumed to the bit; validated by their pairs, each ranking weighing one."""
    path = write_rows("rankings.jsonl", rankings(60))
    settings: dict[str, Any] = {
        "model": folder,
        "preferences": path,
        "validation": 0.2,
        "epochs": 3,
        "batch_pairs": 16,
        "lr": 0.01,
        "threads": 1,
        "dtype": "float32",
    }
    made = train(RewardConfig(out=str(tmp_path / "whole"), **settings))
    result = json.loads((made.parent / "finished.json").read_text())["result"]
    assert (result["objective"], result["num_held_out"], result["num_training"]) == ("plackett_luce", 12, 48)
    assert result["accuracy"] > 0.9
    lines = read_lines(made.parent / "metrics.jsonl")
    assert lines[0]["loss/train"] == pytest.approx(result["loss_no_opinion"]) == pytest.approx(3.178054)  # log 4!
    assert lines[-1]["loss/train"] < 2
    assert lines[-1]["loss/validation"] < 2
    assert len(lines) == 18  # 8 rankings of 4 are 16 pairs


def test_rankings_resume_to_the_bit(folder: str, tmp_path: Path, write_rows: Callable[..., str]):
    settings: dict[str, Any] = {
        "model": folder,
        "preferences": write_rows("rankings.jsonl", rankings(24)),
        "validation": 0.2,
        "epochs": 2,
        "batch_pairs": 8,
        "lr": 0.01,
        "threads": 1,
        "dtype": "float32",
        "checkpoint_every": 2,
    }
    whole = train(RewardConfig(out=str(tmp_path / "whole"), **settings))
    with broken_off(4):
        train(RewardConfig(out=str(tmp_path / "parts"), **settings))
    parts = train(RewardConfig(out=str(tmp_path / "parts"), **settings))
    for name in ("model/model.safetensors", "metrics.jsonl"):
        assert (parts.parent / name).read_bytes() == (whole.parent / name).read_bytes()
    results = [json.loads((made.parent / "finished.json").read_text())["result"] for made in (whole, parts)]
    assert results[0] == results[1]


def test_the_file_decides_and_an_objective_that_does_not_fit_is_refused(write_rows: Callable[..., str]):
    config: dict[str, Any] = {"model": "m", "out": "o"}
    ranked, paired = write_rows("ranked.jsonl", rankings(9)), write_rows("pairs.jsonl", pairs(9))
    assert split(RewardConfig(preferences=ranked, **config)).objective == "plackett_luce"
    assert split(RewardConfig(preferences=paired, **config)).objective == "votes"
    both = split(RewardConfig(preferences=ranked, held_out=paired, **config))
    assert (len(both.training), len(both.validation)) == (9, 9)
    by_pairs = split(RewardConfig(preferences=ranked, objective="bradley_terry", validation=0.2, **config))
    assert len(by_pairs.training) + len(by_pairs.validation) == 9 * 6
    with pytest.raises(UserError, match="what a preference teaches is now called objective: write objective=bradley"):
        RewardConfig.load(None, [f"{key}=x" for key in ("model", "out", "preferences")] + ["labels=majority"])


@pytest.mark.parametrize(
    ("ranks", "texts", "says"),
    [
        ((1, 2), ("on", "it", "go"), r"ranks.jsonl:7: .*`ranks` has 2 entries for 3 responses"),
        (
            (1, 2, 3),
            ("on", "it", "on"),
            r"ranks.jsonl:7: `responses.2` is the same text as `responses.0`; a ranking names each",
        ),
        ((1, 1, *range(2, 14)), tuple("abcdefghijklmn"), "the ranking 'r6' has 14 responses, with ties above the last"),
        ((*[1] * 13, None), tuple("abcdefghijklmn"), "the ranking 'r6' has 14 responses, with ties above the last"),
        ((None, None), ("on", "it"), r"ranks.jsonl:7: .*no response has a rank; give one in `ranks`"),
    ],
)
def test_bad_rankings(ranks: Sequence[int | None], texts: tuple[str, ...], says: str, write_rows: Callable[..., str]):
    path = write_rows("ranks.jsonl", [*rankings(6), ranking(6, ranks, *texts)])
    with pytest.raises(UserError, match=says):
        split(RewardConfig(model="m", out="o", preferences=path))


def test_a_ranking_as_pairs(network: Network, write_rows: Callable[..., str]):
    """Each is a preference of the better over the worse, in the order of the margins."""
    rows = split(RewardConfig(model="m", out="o", preferences=write_rows("r.jsonl", rankings(6)))).training
    made = tokenised(rows[:2], network)
    for row, item in zip(made.rows, made.items, strict=True):
        said = [(pair.chosen.count("sorry"), pair.rejected.count("sorry")) for pair in as_pairs(row, item)]
        assert len(said) == 6
        assert all(better > worse for better, worse in said)
