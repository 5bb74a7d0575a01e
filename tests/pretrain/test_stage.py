"""Pretraining: its loss against transformers', its perplexity, what it must beat, and stopping at the best."""

import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.models.load import codec_of
from prefloop.models.network import Network
from prefloop.pretrain import stage
from prefloop.pretrain.config import ArchitectureConfig, PretrainConfig
from prefloop.pretrain.stage import num_predicted, total_surprise, train
from prefloop.records import Message
from prefloop.text import corpus
from prefloop.text.codec import Codec
from prefloop.text.corpus import Documents, encoded, texts
from prefloop.text.templates import BUILT_IN

CPU = Placement(torch.device("cpu"))
TINY = ArchitectureConfig(hidden_size=32, num_layers=2, num_heads=4, intermediate_size=64, context=48, vocab_size=300)
DOCUMENTS = [[1, 5, 9, 7, 30, 2], [1, 8], [1, 3, 12, 33, 9]]


def test_loss_by_transformers(network: Network, plain: PreTrainedModel):
    """-log p of every token but the first of each document, each document by itself."""
    expected = []
    with torch.no_grad():
        for d in DOCUMENTS:
            expected += cross_entropy(
                plain(torch.tensor([d])).logits[0, :-1], torch.tensor(d[1:]), reduction="none"
            ).tolist()
        actual = float(total_surprise(network, DOCUMENTS))
    assert len(expected) == num_predicted(DOCUMENTS) == 5 + 1 + 4
    assert actual == pytest.approx(sum(expected), abs=1e-4)


def test_documents_are_cut_to_the_context_and_nothing_is_lost(codec: Codec):
    """Context 64: an end-of-text token, then 63 tokens of 150 digits and their end; then the rest."""
    end, digits = codec.stop_ids[0], "1" * 150
    pieces = encoded(codec, [digits, "7"])
    assert [len(p) for p in pieces] == [64, 64, 26, 3]
    assert all(p[0] == end for p in pieces)
    assert codec.tokenizer.decode([t for p in pieces[:3] for t in p[1:-1]] + [pieces[0][-1], pieces[1][-1]]) == digits
    assert pieces[2][-1] == pieces[3][-1] == end
    assert pieces[0][-1] != end


def chain(seed: int, count: int) -> list[str]:
    """Documents in which each letter is decided by the two before it: pairs of letters alone tell little."""
    rng = random.Random(seed)
    texts = []
    for _ in range(count):
        letters = [rng.choice("ab"), rng.choice("ab")]
        while len(letters) < 24:
            different = letters[-1] != letters[-2]
            letters.append(("a" if different else "b") if rng.random() < 0.95 else ("b" if different else "a"))
        texts.append(" ".join(letters))
    return texts


@pytest.fixture
def make_config(tmp_path: Path, write_rows: Callable[..., str]) -> Callable[..., PretrainConfig]:
    path = write_rows("corpus.jsonl", [{"text": text} for text in chain(0, 220)])

    def make(name: str = "pretrain", **settings: Any) -> PretrainConfig:
        values: dict[str, Any] = {
            "out": str(tmp_path / name),
            "corpus": path,
            "model": TINY,
            "steps": 60,
            "batch_tokens": 1024,
            "lr": 0.01,
            "validation": 0.1,
            "evaluate_every": 20,
            "threads": 1,
            "dtype": "float32",
            "checkpoint_every": 0,
        }
        return PretrainConfig(**{**values, **settings})

    return make


def test_it_learns_what_counting_pairs_cannot(
    make_config: Callable[..., PretrainConfig], read_lines: Callable[[Path], list[dict[str, Any]]]
):
    """Below the perplexity of bigrams on a corpus with a rule over three letters; and the perplexity told is
    exp(NLL)."""
    config = make_config(steps=120)
    folder = train(config)
    result = json.loads((folder.parent / "finished.json").read_text())["result"]
    assert result["perplexity"] < 0.9 * result["bigram_perplexity"] < result["unigram_perplexity"]
    rows = [r for r in read_lines(folder.parent / "metrics.jsonl") if "loss/validation" in r]
    assert all(r["perplexity/validation"] == pytest.approx(math.exp(r["loss/validation"])) for r in rows)
    assert result["perplexity"] == pytest.approx(min(r["perplexity/validation"] for r in rows))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    total = count = 0.0
    for text in chain(0, 220)[:22]:  # the first tenth is held out
        ids = tokenizer(f"<|end|>{text}<|end|>", add_special_tokens=False, return_tensors="pt")["input_ids"][0]
        for piece in [ids[:48], torch.cat([ids[:1], ids[48:]])] if len(ids) > 48 else [ids]:
            with torch.no_grad():
                total += float(cross_entropy(model(piece[None]).logits[0, :-1], piece[1:], reduction="sum"))
            count += len(piece) - 1
    assert math.exp(total / count) == pytest.approx(result["perplexity"], rel=1e-4)


def test_it_stops_early_and_keeps_the_best(
    make_config: Callable[..., PretrainConfig],
    monkeypatch: pytest.MonkeyPatch,
    read_lines: Callable[[Path], list[dict[str, Any]]],
):
    """Held-out losses 3, 2, 5, 5, told by hand: two looks without progress end it, and the weights are those of the
    second look."""
    losses, kept = iter([3.0, 2.0, 5.0, 5.0, 1.0]), []

    def looks(network: Network, documents: Sequence[Sequence[int]], *, limit: int) -> float:
        kept.append({k: v.clone() for k, v in network.pretrained.state_dict().items()})
        return next(losses)

    monkeypatch.setattr(stage, "validation_loss", looks)
    folder = train(make_config(evaluate_every=2, patience=2))
    assert [r["step"] for r in read_lines(folder.parent / "metrics.jsonl")][-1] == 8
    saved = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert all(torch.equal(v, kept[1][k]) for k, v in saved.items())
    assert not all(torch.equal(v, kept[3][k]) for k, v in saved.items())


@pytest.mark.parametrize("template", BUILT_IN)
def test_prompts_begin_as_documents_did(make_config: Callable[..., PretrainConfig], template: str):
    """Without markers of its own a prompt begins as every document did; the other templates begin with theirs."""
    codec = codec_of(str(train(make_config(template, template=template, steps=1))))
    document = encoded(codec, ["a b"])[0]
    prompt, text = codec.prompt_ids([Message(role="user", content="a b")]), codec.tokenizer.encode("a b")
    assert codec.tokenizer.encode("a b", add_special_tokens=False) == text  # nothing is added behind our back
    assert codec.stop_ids == (document[-1],)
    assert (prompt == document[:-1]) == (template == "plain")
    assert prompt.count(document[0]) == (template == "plain")


def test_the_seed_decides(make_config: Callable[..., PretrainConfig]):
    """The same seed gives the same weights to the last bit, another seed others."""
    folders = [train(make_config(name, steps=3, seed=seed)) for name, seed in (("one", 0), ("two", 0), ("three", 1))]
    a, b, c = (AutoModelForCausalLM.from_pretrained(f).state_dict() for f in folders)
    assert all(torch.equal(v, b[k]) for k, v in a.items())
    assert not torch.equal(a["model.embed_tokens.weight"], c["model.embed_tokens.weight"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "c.jsonl",
            '{"text": "a"}\n{"body": "b"}\n',
            r"c\.jsonl:2: a document needs a field `text` that is not empty; found body",
        ),
        ("c.jsonl", '{"text": ""}\n', r"c\.jsonl:1: a document needs"),
        ("c.txt", " \n\n \n", r"c\.txt: the file has no documents"),
    ],
)
def test_a_bad_corpus_is_a_sentence(tmp_path: Path, name: str, content: str, message: str):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        list(texts(str(tmp_path / name)))


def test_a_text_file_is_cut_at_empty_lines(tmp_path: Path):
    (tmp_path / "c.txt").write_text("one\ntwo\n\nthree\n")
    assert list(texts(str(tmp_path / "c.txt"))) == ["one\ntwo", "three\n"]
    with pytest.raises(UserError, match="there is no such file"):
        list(texts(str(tmp_path / "d.txt")))


def test_a_text_file_is_cut_wherever_it_is_read_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Read a character or a few at a time, as Python cuts the whole."""
    text = "one\n\n\ntwo\n\n\n\n three\nfour\n\n\n"
    (tmp_path / "c.txt").write_text(text)
    for num in range(1, 9):
        monkeypatch.setattr(corpus, "CHARACTERS", num)
        assert list(texts(str(tmp_path / "c.txt"))) == [block for block in text.split("\n\n") if block.strip()]


def test_documents_in_a_file_are_those_in_memory(codec: Codec, tmp_path: Path):
    said = ["7" * n for n in (1, 150, 3, 62, 63, 64)] * 100
    read, made = Documents(codec, said, tmp_path / "a" / "tokens"), encoded(codec, said)
    assert (list(read), read.lengths.tolist()) == (made, [len(piece) for piece in made])
    assert (read[-1], read[5:9], read.take([7, 0])) == (made[-1], made[5:9], [made[7], made[0]])


def test_heads_that_do_not_cut_the_width(make_config: Callable[..., PretrainConfig]):
    with pytest.raises(UserError, match=r"model\.num_heads = 3 does not cut model\.hidden_size = 32"):
        train(make_config(model=TINY.model_copy(update={"num_heads": 3})))


def test_one_document_is_not_enough(make_config: Callable[..., PretrainConfig], tmp_path: Path):
    (tmp_path / "one.jsonl").write_text('{"text": "alone"}\n')
    with pytest.raises(UserError, match="only 1 documents"):
        train(make_config(corpus=str(tmp_path / "one.jsonl")))
