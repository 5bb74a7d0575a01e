"""What tests of a model that judges share: settings, a model that says what is wanted, and models that can judge."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collect.fake_judge import WORDS, FakeJudge
from prefloop.collect.config import CollectConfig
from prefloop.collect.judge_config import JudgeConfig

if TYPE_CHECKING:
    from prefloop.text.codec import Codec


@pytest.fixture
def speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same four responses to every prompt."""

    from prefloop.collect import stage
    from prefloop.sampling.in_process import InProcess
    from prefloop.sampling.protocol import Sampled

    class Speaker(InProcess):
        def sample(self, prompts: Any, sampling: Any, place: int, *, copies: int = 1) -> list[Sampled]:
            ids = [tuple(self.policy.codec.response_ids(text)) for text in WORDS[:copies]]
            return [Sampled(of_one, True) for _ in prompts for of_one in ids]

    monkeypatch.setattr(stage, "InProcess", Speaker)


@pytest.fixture
def make(speaks: None, folder: str, tmp_path: Path, write_rows: Callable[..., str]) -> Callable[..., CollectConfig]:
    """Settings with ten prompts, each of whose three pairs is asked in both orders: 60 questions."""
    rows = [
        {"id": f"p{i}", "messages": [{"role": "user", "content": f"where is {i}?"}], "tags": ["t"]} for i in range(10)
    ]
    prompts = write_rows("prompts.jsonl", rows)

    def config(fake: FakeJudge | str | None, name: str = "collect", **judge: Any) -> CollectConfig:
        url = fake.url if isinstance(fake, FakeJudge) else fake
        quick: dict[str, Any] = {"model": "m", "base_url": url, "backoff": 0.0, "retries": 2, "timeout": 5.0}
        return CollectConfig(
            out=str(tmp_path / name),
            model=folder,
            prompts=prompts,
            max_new_tokens=6,
            held_out=0.2,
            by="model",
            judge=JudgeConfig(**{**quick, **judge}),
            threads=1,
            dtype="float32",
        )

    return config


@pytest.fixture(scope="session")
def judges(tmp_path_factory: pytest.TempPathFactory, codec: "Codec") -> dict[str, str]:
    """Model folders with a context of 4,096 tokens: `random`, and `always_a`, which says A and ends, whatever it reads:
    its layers add nothing, so that the last token alone decides."""
    from dataclasses import replace

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from prefloop.models.load import save_model

    config = LlamaConfig(
        vocab_size=len(codec.tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        bos_token_id=codec.stop_ids[0],
        eos_token_id=codec.stop_ids[0],
        pad_token_id=codec.tokenizer.pad_token_id,
        initializer_range=0.3,
    )
    made = {}
    for name in ("random", "always_a"):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            model = LlamaForCausalLM(config)
        if name == "always_a":
            (says,) = codec.response_ids("A", finished=False)
            with torch.no_grad():
                for layer in model.model.layers:
                    layer.self_attn.o_proj.weight.zero_()
                    layer.mlp.down_proj.weight.zero_()
                embedded, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
                embedded.zero_()
                head.zero_()
                embedded[:, 0] = 1.0
                embedded[says, 0], embedded[says, 1] = 0.0, 1.0
                head[says, 0] = head[codec.stop_ids[0], 1] = 5.0
        path = tmp_path_factory.mktemp(name) / "model"
        save_model(path, model, replace(codec, context=4096))
        made[name] = str(path)
    return made
