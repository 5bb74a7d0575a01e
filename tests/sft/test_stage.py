"""SFT: the loss is that of the response alone, it falls, and the gate lets nothing pass that cannot stop."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, PreTrainedModel

from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.models.network import Network
from prefloop.sft.config import SFTConfig
from prefloop.sft.stage import _room, total_surprise, train, validation_loss
from prefloop.text.examples import Example

CPU = Placement(torch.device("cpu"))
EXAMPLES = [Example([5, 9, 7], [30, 2, 11, 1]), Example([8], [12, 1]), Example([3, 4, 4, 4, 4, 6], [1])]
Read = Callable[[Path], list[dict[str, Any]]]


def by_transformers(plain: PreTrainedModel, examples: list[Example]) -> list[float]:
    """The prompt's labels are -100, as everybody does it by hand."""
    actual = []
    for e in examples:
        ids = torch.tensor([[*e.prompt, *e.response]])
        labels = torch.tensor([-100] * len(e.prompt) + e.response)
        with torch.no_grad():
            losses = cross_entropy(plain(ids).logits[0, :-1], labels[1:], reduction="none", ignore_index=-100)
        actual += losses[labels[1:] != -100].tolist()
    return actual


def test_loss_is_that_of_response_tokens_by_transformers(network: Network, plain: PreTrainedModel):
    with torch.no_grad():
        actual = float(total_surprise(network, EXAMPLES))
    expected = by_transformers(plain, EXAMPLES)
    assert len(expected) == 4 + 2 + 1  # every response token, end-of-text included, and no prompt token
    assert actual == pytest.approx(sum(expected), abs=1e-4)


def test_prompt_tokens_have_no_loss(network: Network):
    """The head's gradient in the rows of tokens never predicted is only that of their probability: pushed down, never
    up.

    Token 40 stands in every prompt and in no response; if prompts were predicted, some gradient would push it up.
    """
    batch = [Example([40, 40, 40, i], [30, i, 1]) for i in range(10, 20)]
    head = network.pretrained.get_output_embeddings()
    assert isinstance(head, torch.nn.Linear)
    bias = head.bias = torch.nn.Parameter(torch.zeros(300))
    total_surprise(network, batch).backward()
    assert bias.grad is not None
    assert bias.grad[40] > 0  # descending lowers its bias
    assert bias.grad[1] < 0  # the end of text is learned
    assert bias.grad[30] < 0


def test_validation_is_the_mean_over_tokens_whatever_the_batches(network: Network, plain: PreTrainedModel):
    expected = by_transformers(plain, EXAMPLES)
    for size in (16, 4096):
        assert validation_loss(network, EXAMPLES, limit=2 * size) == pytest.approx(sum(expected) / 7, abs=1e-4)


@pytest.fixture
def make_config(folder: str, tmp_path: Path, write_rows: Callable[..., str]) -> Callable[..., SFTConfig]:
    rows = [
        {"id": f"d{i}", "messages": [{"role": "user", "content": f"where is {i}?"}], "response": ["ok.", "no."][i % 2]}
        for i in range(40)
    ]
    demonstrations = write_rows("demonstrations.jsonl", rows)

    def make(name: str = "sft", **settings: Any) -> SFTConfig:
        values: dict[str, Any] = {
            "out": str(tmp_path / name),
            "model": folder,
            "demonstrations": demonstrations,
            "epochs": 12,
            "batch_tokens": 512,
            "lr": 0.02,
            "validation": 0.2,
            "gate_max_new_tokens": 16,
            "gate_prompts": 16,
            "gate": "warn",
            "threads": 1,
            "dtype": "float32",
        }
        return SFTConfig(**{**values, **settings})

    return make


def test_it_learns_to_answer_and_to_stop(make_config: Callable[..., SFTConfig], read_lines: Read):
    """Held-out loss falls to about log 2 for each response of a coin flip, and the gate is passed."""
    folder = train(make_config(gate="stop", epochs=25))
    result = json.loads((folder.parent / "finished.json").read_text())["result"]
    held_out = [r["loss/validation"] for r in read_lines(folder.parent / "metrics.jsonl") if "loss/validation" in r]
    assert held_out[-1] == pytest.approx(result["loss_validation"])
    assert held_out[-1] < 0.8 < held_out[0]
    assert result["gate"] == "passed"
    assert result["finished_share"] >= 0.9
    samples = read_lines(folder.parent / "samples.jsonl")
    assert sum(s["response"] in ("ok.", "no.") for s in samples) >= 6
    assert all(s["prompt"].startswith("<|user|>where is ") and s["prompt"].endswith("<|assistant|>") for s in samples)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_memory_does_not_change_the_result(make_config: Callable[..., SFTConfig]):
    """A batch cut into pieces leads to the same model, and layers computed again to the very same."""
    settings: dict[str, dict[str, Any]] = {"whole": {}, "again": {"recompute": True}, "cut": {"micro_tokens": 64}}
    folders = {name: train(make_config(name, epochs=1, **more)) for name, more in settings.items()}
    assert weights(folders["again"]) == weights(folders["whole"])
    assert weights(folders["cut"]) != weights(folders["whole"])
    whole, cut = (load_file(folders[name] / "model.safetensors") for name in ("whole", "cut"))
    for name, weight in whole.items():
        torch.testing.assert_close(cut[name], weight, rtol=0, atol=1e-4)


def test_a_gate_that_fails_costs_no_training(
    make_config: Callable[..., SFTConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """The model is there, and the advised gate=warn goes on with it: same weights, logs and result as in one go."""
    settings: dict[str, Any] = {"lr": 1e-6, "epochs": 1, "checkpoint_every": 0}
    whole = train(make_config("whole", gate="warn", **settings))
    assert "gate=warn" not in capsys.readouterr().out.replace("because of gate=warn", "")
    with pytest.raises(
        UserError,
        match=r"not ready for RL: \d+% of 8 sampled responses end by themselves within 16 tokens.*sft/model. Go",
    ):
        train(make_config(gate="stop", **settings))
    model = tmp_path / "sft" / "model"
    assert weights(model) == weights(whole)
    assert not (tmp_path / "sft" / "finished.json").exists()
    monkeypatch.setattr("prefloop.sft.stage.total_surprise", only_validation(total_surprise))
    with pytest.raises(UserError, match="of 4 sampled responses end by themselves within 9 tokens"):
        train(make_config(gate="stop", gate_prompts=4, gate_max_new_tokens=9, **settings))
    assert train(make_config(gate="warn", **settings)) == model
    for name in ("metrics.jsonl", "samples.jsonl", "finished.json", "model/model.safetensors"):
        assert (tmp_path / "sft" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    card = json.loads((tmp_path / "sft" / "run.json").read_text())
    assert (card["config"]["gate"], card["config"]["gate_prompts"]) == ("warn", 16)


def only_validation(losses: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The same, but no training."""

    def wrapped(*args: Any) -> torch.Tensor:
        assert not torch.is_grad_enabled(), "nothing is trained again"
        return losses(*args)

    return wrapped


def test_a_finished_stage_whose_gate_is_made_stricter_is_gated_again(
    make_config: Callable[..., SFTConfig], tmp_path: Path
):
    """A recipe must not go on with a model that the new gate would stop."""
    settings: dict[str, Any] = {"lr": 1e-6, "epochs": 1}
    before = weights(train(make_config(gate="warn", **settings)))
    for _ in range(2):
        with pytest.raises(UserError, match="not ready for RL"):
            train(make_config(gate="stop", **settings))
    assert weights(tmp_path / "sft" / "model") == before
    with pytest.raises(UserError, match="belongs to another run: `epochs` was 1 and is now 2"):
        train(make_config(gate="stop", lr=1e-6, epochs=2))


@pytest.mark.parametrize(
    ("responses", "prompts", "context", "room"),
    [
        ([10] * 95 + [400] * 5, [5] * 100, 1000, 20),  # what few of a hundred need is not asked of all
        ([10] * 94 + [400] * 6, [5] * 100, 1000, 800),
        ([300] * 20, [100] * 20, 512, 412),  # ordinary chat data: more than 96
        ([200] * 4, [10, 50, 90, 200], 256, 206),  # half of the prompts leave this room
        ([1], [1], 2, 1),
    ],
)
def test_the_gates_length_limit_comes_from_the_data(responses: list[int], prompts: list[int], context: int, room: int):
    held_out = [Example([7] * p, [8] * r) for p, r in zip(prompts, responses, strict=True)]
    assert _room(held_out, context) == room


def test_the_gate_can_be_passed_by(make_config: Callable[..., SFTConfig], capsys: pytest.CaptureFixture[str]):
    folder = train(make_config(gate="warn", lr=1e-6, epochs=1))
    assert "not ready for RL" in capsys.readouterr().out
    assert json.loads((folder.parent / "finished.json").read_text())["result"]["gate"] == "warned"
    AutoModelForCausalLM.from_pretrained(folder)


def test_markers_in_responses_do_not_pass(make_config: Callable[..., SFTConfig], write_rows: Callable[..., str]):
    """A model that has learned to end, but writes `### Human` before: stops by itself, and is not let through."""
    rows = [
        {"id": f"d{i}", "messages": [{"role": "user", "content": f"where is {i}?"}], "response": "### Human"}
        for i in range(40)
    ]
    config = make_config(demonstrations=write_rows("marked.jsonl", rows), epochs=25, gate="stop", gate_share=0.8)
    with pytest.raises(
        UserError, match=r"(?:[89]\d|100)% of 8 sampled responses end by themselves .* and (?:\d|1\d)% are free"
    ):
        train(config)


def test_the_held_out_are_not_trained_on(
    make_config: Callable[..., SFTConfig], capsys: pytest.CaptureFixture[str], write_rows: Callable[..., str]
):
    """A fifth of what fits is held out; what is too long is left out and counted."""
    rows = [
        {"id": f"d{i}", "messages": [{"role": "user", "content": f"{i}"}], "response": "1" * (10 if i else 80)}
        for i in range(11)
    ]
    folder = train(make_config(demonstrations=write_rows("long.jsonl", rows), epochs=1))
    result = json.loads((folder.parent / "finished.json").read_text())["result"]
    assert (result["num_demonstrations"], result["num_too_long"]) == (8, 1)
    assert "1 of 11 demonstrations are longer than the context of 64 tokens" in capsys.readouterr().out


def test_one_demonstration_is_not_enough(make_config: Callable[..., SFTConfig], write_rows: Callable[..., str]):
    rows = [{"id": "d", "messages": [{"role": "user", "content": "hi"}], "response": "ho"}]
    with pytest.raises(UserError, match="only 1 demonstrations fit; at least 2"):
        train(make_config(demonstrations=write_rows("one.jsonl", rows)))
