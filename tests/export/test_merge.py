"""Merging: base + adapter, and the whole model made of them, say the same, through transformers alone."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from adapting import moved
from prefloop.errors import UserError
from prefloop.export.config import MergeConfig
from prefloop.export.merge import merge
from prefloop.models.device import Placement
from prefloop.models.load import causal, save, scalar
from prefloop.models.stream import Stream
from prefloop.records import Message
from prefloop.scoring.named import scorer
from prefloop.scoring.pair_classifier import PAIRS, READS, PairClassifier
from prefloop.scoring.reward_model import NORMALISATION, RewardModel
from prefloop.settings import Adapted, Lora

CPU = Placement(torch.device("cpu"))
SEQUENCES = [[5, 9, 7, 30, 2, 11], [8, 12, 1]]


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("family", ["Llama", "GPT-2"])
def test_logits_are_those_of_base_and_adapter(bases: dict[str, str], tmp_path: Path, family: str, dora: bool):
    network = causal(bases[family], CPU)
    network.train_as(Adapted(adapter="lora", lora=Lora(rank=4, scaling="rslora", dora=dora)), seed=0)
    save(tmp_path / "adapter", moved(network, 1))
    with torch.no_grad():
        expected = network.logits(network.hidden_states(Stream.of(SEQUENCES, CPU.device)))
    said = merge(MergeConfig(model=str(tmp_path / "adapter"), out=str(tmp_path / "whole")))
    assert "a whole model; it differs from base and adapter by at most" in said
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "whole")
    with torch.no_grad():
        logits = torch.cat([plain(torch.tensor([sequence])).logits[0] for sequence in SEQUENCES])
    assert torch.allclose(logits, expected, atol=1e-5 * float(expected.abs().max()))
    assert causal(str(tmp_path / "whole"), CPU).role is None


def test_scores_are_too_in_a_padded_batch_and_on_their_scale(bases: dict[str, str], tmp_path: Path):
    judge = scalar(bases["Llama"], CPU, fresh_head=True)
    judge.train_as(Adapted(adapter="lora", lora=Lora(rank=4)), seed=0)
    save(tmp_path / "reward", moved(judge, 2), beside={NORMALISATION: {"mean": 0.5, "std": 2.0}})
    merge(MergeConfig(model=str(tmp_path / "reward"), out=str(tmp_path / "whole")))
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "whole")
    pad = AutoTokenizer.from_pretrained(tmp_path / "whole").pad_token_id
    batch = torch.tensor([SEQUENCES[0], [*SEQUENCES[1], pad, pad, pad]])
    with torch.no_grad():
        scores = plain(batch, attention_mask=(batch != pad).long()).logits[:, 0]
        assert scores.tolist() == pytest.approx(judge.scores(SEQUENCES).tolist(), abs=1e-5)
    whole = RewardModel(str(tmp_path / "whole"), CPU)
    assert [(column.mean, column.std) for column in whole.columns.columns] == [(0.5, 2.0)]


def test_a_model_that_reads_pairs_still_does(folder: str, tmp_path: Path):
    judge = scalar(folder, CPU, fresh_head=True)
    judge.train_as(Adapted(adapter="lora", lora=Lora(rank=4)), seed=0)
    save(tmp_path / "pairs", moved(judge, 2), beside={NORMALISATION: {"mean": 0.0, "std": 1.0}, PAIRS: READS})
    merge(MergeConfig(model=str(tmp_path / "pairs"), out=str(tmp_path / "whole")))
    parts, whole = (scorer(str(tmp_path / name), CPU) for name in ("pairs", "whole"))
    assert isinstance(parts, PairClassifier)
    assert isinstance(whole, PairClassifier)
    asked = [(Message(role="user", content="where is it?"),)]
    assert float(whole.log_odds(asked, ["sorry"], ["it"])) == pytest.approx(
        float(parts.log_odds(asked, ["sorry"], ["it"])), abs=1e-5
    )


def test_what_cannot_be_merged_is_said(folder: str, tmp_path: Path):
    with pytest.raises(UserError, match="this is a whole model already; there is no adapter in it to merge"):
        merge(MergeConfig(model=folder, out=str(tmp_path / "whole")))
    network = causal(folder, CPU)
    network.train_as(Adapted(adapter="lora"), seed=0)
    save(tmp_path / "adapter", network)
    with pytest.raises(UserError, match=r"out=.*: this is what the merged model is made of"):
        merge(MergeConfig(model=str(tmp_path / "adapter"), out=str(tmp_path / "adapter")))
    assert (tmp_path / "adapter" / "adapter_config.json").is_file()
