"""What is imitated beside: its surprise and its gradient by transformers, which rows, and that it is not forgotten."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from prefloop.align import grpo, ppo, ptx, reinforce, rloo
from prefloop.align.config import GRPOConfig, PPOConfig, REINFORCEConfig, RLOOConfig
from prefloop.errors import UserError
from prefloop.text.codec import Codec

Make = Callable[..., Any]
Write = Callable[..., str]
NOTHING = "def score(prompts, responses):\n    return [0.0] * len(responses)\n"
SAID = [f"the parcel {i * 7} is on its way, sorry." for i in range(12)]
ALGORITHMS = pytest.mark.parametrize(
    ("train", "settings"),
    [(ppo.train, PPOConfig), (reinforce.train, REINFORCEConfig), (rloo.train, RLOOConfig), (grpo.train, GRPOConfig)],
    ids=["ppo", "reinforce", "rloo", "grpo"],
)


@pytest.fixture
def texts(write_rows: Write) -> str:
    return write_rows("texts.jsonl", [{"text": text} for text in SAID])


@pytest.fixture
def demonstrations(write_rows: Write) -> str:
    rows = [
        {"id": f"d{i}", "messages": [{"role": "user", "content": f"where is {i}?"}], "response": text}
        for i, text in enumerate(SAID)
    ]
    return write_rows("shown.jsonl", rows)


def surprise(model: PreTrainedModel, prompt: list[int], rest: list[int]) -> Tensor:
    """() nats of `rest` behind a prompt, by transformers."""
    logits = model(torch.tensor([[*prompt, *rest]])).logits[0, len(prompt) - 1 : -1]
    return -logits.log_softmax(-1)[range(len(rest)), rest].sum()


def as_text(codec: Codec, text: str) -> tuple[list[int], list[int]]:
    """The end-of-text token, and what is predicted."""
    end = codec.stop_ids[0]
    return [end], [*codec.tokenizer.encode(text, add_special_tokens=False), end]


def as_demonstration(codec: Codec, number: int) -> tuple[list[int], list[int]]:
    """The prompt, and the response that is predicted."""
    end = codec.stop_ids[0]
    prompt = codec.tokenizer.encode(f"<|user|>where is {number}?<|assistant|>", add_special_tokens=False)
    return prompt, [*codec.tokenizer.encode(SAID[number], add_special_tokens=False), end]


@ALGORITHMS
@pytest.mark.parametrize("kind", ["texts", "demonstrations"])
@pytest.mark.parametrize("micro_tokens", [16384, 64])
def test_the_gradient_is_the_coefficient_times_that_of_the_mean_surprise(
    make_config: Make,
    read_lines: Callable[[Path], list[dict[str, Any]]],
    plain: PreTrainedModel,
    codec: Codec,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    train: Callable[[Any], Path],
    settings: Any,
    kind: str,
    micro_tokens: int,
):
    """A reward that is always 0 teaches nothing, so what is left is the imitation: all twelve rows in one update."""
    (tmp_path / "nothing.py").write_text(NOTHING, encoding="utf-8")
    config = make_config(
        settings,
        reward=f"python:{tmp_path / 'nothing.py'}:score",
        kl_coef=0.0,
        unfinished_penalty=0.0,
        ptx=request.getfixturevalue(kind),
        ptx_coef=2.5,
        ptx_tokens=4096,
        micro_tokens=micro_tokens,
        temperature=0.7,
    )
    train(config)
    rows = (
        [as_text(codec, text) for text in SAID]
        if kind == "texts"
        else [as_demonstration(codec, i) for i in range(len(SAID))]
    )
    mean = torch.stack([surprise(plain, *row) for row in rows]).sum() / sum(len(rest) for _, rest in rows)
    gradients = torch.autograd.grad(2.5 * mean, list(plain.parameters()), allow_unused=True)
    norm = torch.stack([(g**2).sum() for g in gradients if g is not None]).sum().sqrt()
    row = read_lines(Path(config.out) / "metrics.jsonl")[0]
    assert row["loss/ptx"] == pytest.approx(float(mean.detach()), rel=1e-5)
    assert row["grad/norm"] == pytest.approx(float(norm), rel=1e-3)


@ALGORITHMS
def test_what_is_mixed_in_is_forgotten_less(
    make_config: Make, texts: str, codec: Codec, train: Callable[[Any], Path], settings: Any
):
    """The surprise of the texts after the same run with and without them."""
    after = {}
    for name, beside in (("with", {"ptx": texts, "ptx_coef": 1.0}), ("without", {})):
        made = train(make_config(settings, steps=6, lr=0.02, kl_coef=0.0, **beside))
        model = AutoModelForCausalLM.from_pretrained(made, attn_implementation="sdpa").eval()
        with torch.no_grad():
            after[name] = float(torch.stack([surprise(model, *as_text(codec, text)) for text in SAID]).sum())
    assert after["with"] < after["without"]


def test_every_row_is_read_once_a_pass_in_an_order_that_the_seed_decides(
    make_config: Make, texts: str, codec: Codec, monkeypatch: pytest.MonkeyPatch
):
    """32 tokens an update are one or two rows; four updates of two steps follow on each other, none twice the same."""
    seen: list[list[int]] = []
    real = ptx.Texts.predicted

    def predicted(self: ptx.Texts, numbers: Any) -> int:
        seen.append([*numbers])
        return real(self, numbers)

    monkeypatch.setattr(ptx.Texts, "predicted", predicted)
    orders = []
    for seed in (0, 0, 1):
        seen.clear()
        ppo.train(make_config(steps=2, epochs=2, minibatch_size=4, ptx=texts, ptx_tokens=48, seed=seed))
        orders.append([*seen])
        assert len(seen) == 8
        flat = [row for rows in seen for row in rows]
        assert sorted(flat[: len(SAID)]) == list(range(len(SAID)))
    assert orders[0] == orders[1] != orders[2]


def test_bare_text_is_read_as_pretrain_does(make_config: Make, tmp_path: Path, read_lines: Any):
    file = tmp_path / "corpus.txt"
    file.write_text("\n\n".join(SAID), encoding="utf-8")
    config = make_config(ptx=str(file), ptx_tokens=64)
    ppo.train(config)
    assert read_lines(Path(config.out) / "metrics.jsonl")[0]["loss/ptx"] > 0
    assert "ptx" in json.loads((Path(config.out) / "run.json").read_text(encoding="utf-8"))["inputs"]


def test_a_file_of_neither_is_refused(make_config: Make, write_rows: Write):
    file = write_rows("scores.jsonl", [{"id": "a", "score": 1.0}])
    with pytest.raises(UserError, match=r"scores\.jsonl"):
        ppo.train(make_config(ptx=file))


@pytest.mark.parametrize("settings", [{"ptx_coef": 2.0}, {"ptx_tokens": 64}])
def test_its_settings_do_nothing_without_a_file(make_config: Make, settings: dict[str, Any]):
    with pytest.raises(ValueError, match="does nothing without ptx"):
        make_config(**settings)
