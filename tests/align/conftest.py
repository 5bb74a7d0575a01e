"""What the tests of PPO share: settings for a run of seconds, and a reward that a text decides."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from prefloop.align import ppo
from prefloop.align.config import PPOConfig
from prefloop.align.experience import Sources
from prefloop.models.load import Loaded
from prefloop.models.policy import Policy
from prefloop.models.scorers import scorer
from prefloop.models.stream import prepare
from prefloop.records import Message
from prefloop.rollouts import Rollouts

REWARD = "def score(prompts, responses):\n    return [sum(map(ord, r)) % 17 / 8 - 1 for r in responses]\n"


def expected_score(text: str) -> float:
    return sum(map(ord, text)) % 17 / 8 - 1


@pytest.fixture
def make_config(folder: str, prompts_file: str, tmp_path: Path) -> Callable[..., PPOConfig]:
    """Settings of a tiny run; `out` counts up so that each run has a folder of its own."""
    (tmp_path / "reward.py").write_text(REWARD, encoding="utf-8")
    made: list[PPOConfig] = []

    def make(**settings: Any) -> PPOConfig:
        values: dict[str, Any] = {
            "out": str(tmp_path / f"ppo-{len(made)}"),
            "policy": folder,
            "reward": f"python:{tmp_path / 'reward.py'}:score",
            "prompts": prompts_file,
            "steps": 1,
            "rollouts_per_step": 8,
            "minibatch_size": 8,
            "epochs": 1,
            "max_new_tokens": 8,
            "lr": 0.01,
            "warmup": 0.0,
            "dtype": "float32",
            "threads": 1,
        }
        made.append(PPOConfig(**{**values, **settings}))
        return made[-1]

    return make


@pytest.fixture
def other(new_llama: Callable[..., PreTrainedModel]) -> PreTrainedModel:
    """A reference that is not the policy, ready for streams."""
    model = new_llama(2).eval()
    prepare(model)
    return model


@pytest.fixture
def sources(loaded: Loaded, other: PreTrainedModel, tmp_path: Path, ending: None) -> Callable[[PPOConfig], Sources]:
    """Sources with a critic that has an opinion, and a reference that is another model."""

    def make(config: PPOConfig) -> Sources:
        policy = Policy(loaded.model, critic="shared", device=torch.device("cpu"))
        assert policy.value is not None
        torch.nn.init.normal_(policy.value.weight, generator=torch.Generator().manual_seed(4))
        conversations = [(Message(role="user", content=f"where is {i * 7}?"),) for i in range(12)]
        prompts = [(c, loaded.codec.prompt_ids(c)) for c in conversations]
        return Sources(loaded, policy, other, scorer(config.reward, torch.device("cpu")), prompts)

    return make


@pytest.fixture
def ending(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a sixth of the vocabulary end a response, so that a random model writes responses of all lengths."""
    object.__setattr__(loaded.codec, "stop_ids", (loaded.codec.stop_ids[0], *range(100, 150)))


@dataclass
class Seen:
    """What a run's steps were made of."""

    rollouts: list[Rollouts] = field(default_factory=list)
    sources: list[Sources] = field(default_factory=list)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Seen]:
    """Records every step's rollouts in `train`, after changing them if asked. Ends come often, as in `ending`."""

    def start(change: Callable[[Rollouts], Rollouts] = lambda r: r) -> Seen:
        seen, real, real_causal = Seen(), ppo.__dict__["sample_rollouts"], ppo.__dict__["causal"]

        def sample(*args: Any, **kwargs: Any) -> Rollouts:
            seen.sources.append(args[1])
            seen.rollouts.append(change(real(*args, **kwargs)))
            return seen.rollouts[-1]

        def causal(*args: Any, **kwargs: Any) -> Loaded:
            loaded = real_causal(*args, **kwargs)
            codec = replace(loaded.codec, stop_ids=(loaded.codec.stop_ids[0], *range(100, 150)))
            return replace(loaded, codec=codec)

        monkeypatch.setattr(ppo, "sample_rollouts", sample)
        monkeypatch.setattr(ppo, "causal", causal)
        return seen

    return start


@pytest.fixture
def weights() -> Callable[[Path], dict[str, Tensor]]:
    """The weights in a model folder."""
    from safetensors.torch import load_file

    return lambda path: load_file(path / "model.safetensors")
