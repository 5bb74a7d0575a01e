"""What the tests of PPO and REINFORCE share: settings for a run of seconds, and a reward that a text decides."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor
from transformers import PreTrainedModel

from prefloop.align import drift, grpo, online, ppo, rloo
from prefloop.align.config import GRPOConfig, PPOConfig
from prefloop.align.online import Setup
from prefloop.align.ppo import Judged
from prefloop.align.progress import Batch
from prefloop.align.settings import OnlineConfig, Reused
from prefloop.models.network import Network

REWARD = "def score(prompts, responses):\n    return [sum(map(ord, r)) % 17 / 8 - 1 for r in responses]\n"


def expected_score(text: str) -> float:
    return sum(map(ord, text)) % 17 / 8 - 1


@pytest.fixture
def make_config(folder: str, prompts_file: str, tmp_path: Path) -> Callable[..., Any]:
    """Settings of a tiny run; `out` counts up so that each run has a folder of its own."""
    (tmp_path / "reward.py").write_text(REWARD, encoding="utf-8")
    made: list[OnlineConfig] = []

    def make(algorithm: type[OnlineConfig] = PPOConfig, **settings: Any) -> OnlineConfig:
        values: dict[str, Any] = {
            "out": str(tmp_path / f"run-{len(made)}"),
            "policy": folder,
            "reward": f"python:{tmp_path / 'reward.py'}:score",
            "prompts": prompts_file,
            "steps": 1,
            "rollouts_per_step": 8,
            "max_new_tokens": 8,
            "lr": 0.01,
            "warmup": 0.0,
            "dtype": "float32",
            "threads": 1,
        }
        if issubclass(algorithm, Reused):
            values |= {"minibatch_size": 8, "epochs": 1}
        if algorithm is GRPOConfig:
            values["responses_per_prompt"] = 4
        made.append(algorithm(**{**values, **settings}))
        return made[-1]

    return make


@pytest.fixture
def other(new_llama: Callable[..., PreTrainedModel], door: Callable[[PreTrainedModel], Network]) -> Network:
    """A reference that is not the policy."""
    return door(new_llama(2)).requires_grad_(False)


def often_ending(network: Network) -> Network:
    """Makes a sixth of the vocabulary end a response, so that a random model writes responses of all lengths."""
    network.codec = replace(network.codec, stop_ids=(network.codec.stop_ids[0], *range(100, 150)))
    return network


@dataclass
class Seen:
    """What a run's steps were made of."""

    batches: list[Any] = field(default_factory=list)
    setups: list[Setup] = field(default_factory=list)
    coefs: list[float] = field(default_factory=list)
    """what a nat of drift cost in the rewards of each step"""


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Seen]:
    """Records every step's batch in `ppo.train`, after changing it if asked. Ends come often, as in `often_ending`."""

    def start(change: Callable[[Any], Any] = lambda b: b, *, reference: Network | None = None) -> Seen:
        seen, real, real_prepared = Seen(), ppo.__dict__["Judged"], online.__dict__["prepared"]
        real_rewards = drift.__dict__["token_rewards"]

        def batch(*args: Any, **kwargs: Any) -> Judged:
            seen.batches.append(change(real(*args, **kwargs)))
            return seen.batches[-1]

        def prepared(*args: Any) -> tuple[Setup, Any]:
            setup, config = real_prepared(*args)
            often_ending(setup.policy)
            seen.setups.append(replace(setup, reference=reference or setup.reference))
            return seen.setups[-1], config

        def rewards(*args: Any, kl_coef: float) -> Tensor:
            seen.coefs.append(kl_coef)
            return real_rewards(*args, kl_coef=kl_coef)

        monkeypatch.setattr(drift, "token_rewards", rewards)

        def grouped(*args: Any, **kwargs: Any) -> Batch:
            seen.batches.append(change(Batch(*args, **kwargs)))
            return seen.batches[-1]

        monkeypatch.setattr(ppo, "Judged", batch)
        monkeypatch.setattr(rloo, "Batch", grouped)
        monkeypatch.setattr(grpo, "Batch", grouped)
        monkeypatch.setattr(online, "prepared", prepared)
        return seen

    return start


@pytest.fixture
def weights() -> Callable[[Path], dict[str, Tensor]]:
    """The weights in a model folder."""
    from safetensors.torch import load_file

    return lambda path: load_file(path / "model.safetensors")
