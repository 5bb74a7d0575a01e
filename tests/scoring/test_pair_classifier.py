"""A pair classifier: exchanging the responses turns the sign to the bit, and scores follow from a Bradley-Terry fit."""

import itertools
import json
from pathlib import Path

import pytest
import torch

from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.models.load import save, scalar
from prefloop.records import Message
from prefloop.scoring.named import scorer
from prefloop.scoring.pair_classifier import PAIRS, READS, PairClassifier, both_orders
from prefloop.scoring.reward_model import NORMALISATION
from prefloop.text.examples import Cuts

CPU = Placement(torch.device("cpu"))
ASKED = (Message(role="user", content="where is it?"),)
TEXTS = ["on my way", "sorry it is on", "it", "go my way it is"]


@pytest.fixture
def judge(folder: str, tmp_path: Path) -> PairClassifier:
    """With a head that has an opinion."""
    network = scalar(folder, CPU, fresh_head=True)
    weight = network.pretrained.get_submodule("score").get_parameter("weight")
    torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(5))
    save(tmp_path / "pairs", network, beside={NORMALISATION: {"mean": 0.0, "std": 1.0}, PAIRS: READS})
    made = scorer(str(tmp_path / "pairs"), CPU)
    assert isinstance(made, PairClassifier)
    return made


def test_exchanged_it_says_the_opposite(judge: PairClassifier):
    """To the bit, by itself and among others; and it is half the difference of the two orders."""
    first, second = zip(*itertools.permutations(TEXTS, 2), strict=True)
    said, turned = judge.log_odds([ASKED] * 12, first, second), judge.log_odds([ASKED] * 12, second, first)
    assert torch.equal(said, -turned)
    codec = judge.network.codec
    prompt, a, b = codec.prompt_ids(ASKED), codec.response_ids(TEXTS[0]), codec.response_ids(TEXTS[1])
    with torch.no_grad():
        by_hand = (judge.network.scores([prompt + a + b]) - judge.network.scores([prompt + b + a])) / 2
    torch.testing.assert_close(said[:1], by_hand.cpu(), rtol=0, atol=1e-5)
    assert float(said.abs().max()) > 1e-3


def test_scores_are_the_fitted_strengths(judge: PairClassifier):
    """Of two responses their difference is what it says; of more they agree with what it says of all pairs."""
    said = float(judge.log_odds([ASKED], TEXTS[:1], TEXTS[1:2]))
    two = judge.score([ASKED] * 2, TEXTS[:2])
    assert float(two[0] - two[1]) == pytest.approx(said, abs=1e-5)
    assert float(two.sum()) == pytest.approx(0, abs=1e-6)
    other = (Message(role="user", content="who?"),)
    mixed = judge.score([ASKED, other, ASKED, other], [TEXTS[0], "it", TEXTS[1], "on"])
    torch.testing.assert_close(mixed[[0, 2]], two, rtol=0, atol=1e-5)
    four = judge.score([ASKED] * 4, TEXTS)
    wins = torch.stack([judge.log_odds([ASKED] * 4, [text] * 4, TEXTS).sigmoid().sum() for text in TEXTS])
    expected = torch.sigmoid(four[:, None] - four).sum(1)  # at the maximum, as many wins as are expected
    torch.testing.assert_close(expected, wins, rtol=0, atol=1e-4)


def test_a_single_response_is_refused(judge: PairClassifier):
    with pytest.raises(UserError, match=r"nothing of a single one, but 1 of 2 prompts came with one response"):
        judge.score([ASKED, (Message(role="user", content="who?"),), ASKED], ["it", "on", "go"])


def test_both_responses_keep_their_share_of_the_context():
    cuts = Cuts()
    first, second = both_orders([1] * 9, [2] * 8 + [3], [4] * 2 + [3], context=12, cuts=cuts)
    assert first == [1, 1, 1, 1, 2, 2, 2, 2, 3, 4, 4, 3]
    assert second == [1, 1, 1, 1, 4, 4, 3, 2, 2, 2, 2, 3]
    assert (cuts.responses, cuts.prompts) == (1, 2)


def test_its_folder_says_what_it_is(judge: PairClassifier):
    assert json.loads((Path(judge.name) / PAIRS).read_text()) == READS
