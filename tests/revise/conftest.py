"""What tests of revising share: settings, drafts that differ, and a model that revises as is wanted."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collect.fake_judge import FakeJudge, Reply, said
from prefloop.revise.config import ReviseConfig, ReviserConfig

if TYPE_CHECKING:
    from prefloop.text.codec import Codec

MINE = """\
principles:
  - name: polite
    critique: Is it polite?
    revision: Make it polite.
    comparison: Which is politer?
    tags: [empathetic]
  - name: short
    critique: Is it short?
    revision: Make it short.
    comparison: Which is shorter?
    tags: [concise]
"""


def asked(body: dict[str, Any]) -> tuple[str, str, str, str]:
    """What is asked for (critique or revision), the prompt, the text, and the critique."""
    text = body["messages"][-1]["content"]
    prompt = text.split("[Conversation]\nUser: ")[1].split("\n")[0]
    response = text.split("[Response]\n")[1].split("\n\n[")[0]
    if "[Critique]\n" not in text:
        return "critique", prompt, response, ""
    return "revision", prompt, response, text.split("[Critique]\n")[1].split("\n\n[End]")[0]


def pleases(body: dict[str, Any], number: int) -> Reply:
    """A reviser that finds the response rude, and adds a word to it."""
    what, _, response, _ = asked(body)
    return said("It is rude." if what == "critique" else f"please {response}")


@pytest.fixture
def speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drafts that differ from prompt to prompt."""
    from prefloop.revise import stage
    from prefloop.sampling.in_process import InProcess
    from prefloop.sampling.protocol import Sampled

    class Speaker(InProcess):
        def sample(self, prompts: Any, sampling: Any, place: int, *, copies: int = 1) -> list[Sampled]:
            encode = self.policy.codec.response_ids
            return [Sampled(tuple(encode("your parcel" + " is" * (sum(ids) % 5))), True) for ids in prompts]

    monkeypatch.setattr(stage, "InProcess", Speaker)


@pytest.fixture
def make(speaks: None, folder: str, tmp_path: Path, write_rows: Callable[..., str]) -> Callable[..., ReviseConfig]:
    """Settings with twenty prompts, in parts of ten."""
    rows = [
        {"id": f"p{i}", "messages": [{"role": "user", "content": f"where is {i}?"}], "tags": ["t"]} for i in range(20)
    ]
    prompts = write_rows("prompts.jsonl", rows)
    (tmp_path / "mine.yaml").write_text(MINE, encoding="utf-8")

    def config(fake: FakeJudge | str | None, name: str = "revise", **settings: Any) -> ReviseConfig:
        if fake is not None:
            reviser = settings.pop("reviser", {})
            url = fake.url if isinstance(fake, FakeJudge) else fake
            quick: dict[str, Any] = {"model": "m", "base_url": url, "backoff": 0.0, "retries": 2, "timeout": 5.0}
            settings["reviser"] = ReviserConfig(**{**quick, **reviser})
        return ReviseConfig(
            **{
                "out": str(tmp_path / name),
                "model": folder,
                "prompts": prompts,
                "principles": str(tmp_path / "mine.yaml"),
                "max_new_tokens": 6,
                "batch_prompts": 10,
                "held_out": 0.2,
                "threads": 1,
                "dtype": "float32",
                **settings,
            }
        )

    return config


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory, codec: "Codec") -> str:
    """A folder with a small model of random weights that reads 4,096 tokens."""
    from dataclasses import replace

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from prefloop.models.load import save_model

    config = LlamaConfig(
        vocab_size=len(codec.tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        bos_token_id=codec.stop_ids[0],
        eos_token_id=codec.stop_ids[0],
        pad_token_id=codec.tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = LlamaForCausalLM(config)
    path = tmp_path_factory.mktemp("wide") / "model"
    save_model(path, model, replace(codec, context=4096))
    return str(path)
