"""What a setting becomes that is left to prefloop: by what the model is, and by which of its weights learn.

A setting whose default is None and that stands in a table here takes its value from the table, once the model is known;
the stage prints it. Everything is overridable by giving a value.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from prefloop import presets
from prefloop.config import Config
from prefloop.printing import amount
from prefloop.stages import stage_of

C = TypeVar("C", bound=Config)
SMALL = 20_000_000
"""Weights up to which a model counts as made here from scratch, and not as pretrained on the world's text."""


@dataclass(frozen=True)
class Learner:
    """What is going to learn."""

    num_weights: int
    """of the whole model"""
    adapter: bool
    """True if only an adapter on them learns"""

    @property
    def column(self) -> int:
        """Which column of the tables is its own."""
        return 0 if self.num_weights <= SMALL else 2 if self.adapter else 1

    def __str__(self) -> str:
        """In words."""
        size = f"{amount(self.num_weights)} weights"
        kind = ("a small model", "a pretrained model", "an adapter on a pretrained model")[self.column]
        return f"{kind} ({size})"


TABLES: Mapping[str, Mapping[str, tuple[float | None, float, float]]] = {
    # stage -> setting -> for a small model, for all weights of a pretrained one, for an adapter on one.
    # lr of a pretrained model: at 1e9 weights, see `rate`. A None is the stage's lr.
    "sft": {"lr": (1e-3, 2e-5, 2e-4), "batch_tokens": (2048, 4096, 4096)},
    "reward": {"lr": (1e-3, 2e-5, 2e-4), "head_lr": (None, 1e-3, 1e-3), "batch_pairs": (64, 32, 32)},
    "ppo": {"lr": (3e-4, 4e-6, 4e-5), "head_lr": (None, 3e-4, 3e-4), "kl_coef": (0.05, 0.05, 0.05),
            "rollouts_per_step": (256, 128, 128), "minibatch_size": (64, 32, 32)},
    "dpo": {"lr": (1e-4, 1e-6, 7e-5), "beta": (0.1, 0.1, 0.1), "batch_pairs": (64, 32, 32)},
    "kto": {"lr": (1e-4, 1e-6, 7e-5), "beta": (0.1, 0.1, 0.1), "batch_pairs": (64, 32, 32)},
    "cpl": {"lr": (1e-4, 1e-6, 7e-5), "alpha": (0.1, 0.1, 0.1), "batch_pairs": (64, 32, 32)},
    "offline": {"lr": (1e-3, 2e-5, 2e-4), "batch_pairs": (64, 32, 32)},
    "reinforce": {"lr": (3e-4, 4e-6, 4e-5), "kl_coef": (0.05, 0.05, 0.05), "rollouts_per_step": (256, 128, 128)},
    "rloo": {"lr": (3e-4, 4e-6, 4e-5), "kl_coef": (0.05, 0.05, 0.05), "rollouts_per_step": (256, 128, 128),
             "minibatch_size": (256, 128, 128)},
    "grpo": {"lr": (3e-4, 4e-6, 4e-5), "kl_coef": (0.05, 0.05, 0.05), "rollouts_per_step": (256, 128, 128),
             "minibatch_size": (64, 32, 32)},
    "rft": {"lr": (1e-3, 2e-5, 2e-4), "rollouts_per_step": (512, 256, 256), "minibatch_size": (32, 16, 16)},
    "online-dpo": {"lr": (3e-4, 1e-6, 7e-5), "beta": (0.1, 0.1, 0.1), "rollouts_per_step": (128, 64, 64)},
}  # fmt: skip
"""Where the numbers are from:

- lr, all weights: 2e-5 at 1e9 weights, falling with the root of the size, gives 5e-5 at 135M and 7e-6 at 8B; Llama 2
  (Touvron et al. 2023, arXiv:2307.09288) fine-tuned with 2e-5 at 7B and up, Tulu 3 (Lambert et al. 2024,
  arXiv:2411.15124) with 5e-6 at 8B, SmolLM2 (Ben Allal et al. 2025, arXiv:2502.02737) with 3e-4 at 1.7B.
- lr, adapter: ten times as much; QLoRA (Dettmers et al. 2023, arXiv:2305.14314) took 2e-4 up to 13B.
- lr, PPO: a fifth of it, near the 3e-6 at 1B of Huang et al. 2024 (arXiv:2403.17031).
- head_lr: a fresh head begins at zero, and the trunk has no gradient until it has moved: at the trunk's rate it stands
  still (log(2) after a third of the updates, measured). 1e-3 moves it within a few.
- lr, dpo and kto, and online-dpo: 1e-6 at 1e9 weights, near the 5e-7 of Rafailov et al. 2023 (arXiv:2305.18290) at
  larger ones. An adapter at 1e-5 still had a loss of 0.69 after half a pass of hh from SmolLM2 (30 updates); at 7e-5 it
  chose as well as a reward model there, on held-out training pairs (docs/log.md). A small model at 3e-4 went 16 nats
  from the reference in one pass and won less than at 1e-4, 1.6 nats away (measured on the demo).
- lr, online-dpo, a small model: that of ppo; at dpo's, 40 steps of the demo ended 0.3 nats from SFT (docs/log.md).
- rloo and grpo: PPO's, but for one update a step in rloo (Ahmadian et al. 2024, arXiv:2402.14740), where a ratio of
  whole responses leaves little room for more.
- rft: it imitates, as sft does; of 512 responses, 8 to a prompt, 64 are kept.
- beta: 0.1, as in both papers.
- kl_coef: 0.05 for each nat, in deviations of the score (Huang et al. 2024, table of settings).
- alpha, cpl: as in the paper's experiments (Hejna et al. 2023, arXiv:2310.13639); lr as for dpo.
- lr, offline: it imitates, as sft does.
- batches: small ones where every update is dear; a small model's are those of the demo.
"""


def rate(lr: float, num_weights: int) -> float:
    """The learning rate at some size, from that at 1e9 weights: it falls with the root of the size, at most fourfold
    more than it, in one digit."""
    return float(f"{lr * min(4.0, (1e9 / num_weights) ** 0.5):.0e}")


def usual_lr(stage: str, learner: Learner) -> float:
    """The learning rate of a stage that has one here."""
    value = TABLES[stage]["lr"][learner.column]
    assert value is not None  # other rates follow it
    return rate(value, learner.num_weights) if learner.column else value


def chosen(stage: str, config: Config, learner: Learner) -> dict[str, Any]:
    """The settings of a stage that are left to prefloop, with their values."""
    values = dict(config)
    found: dict[str, Any] = {}
    for name, row in TABLES.get(stage, {}).items():
        if values[name] is not None:
            continue
        value = row[learner.column]
        if name == "lr":
            value = usual_lr(stage, learner)
        found[name] = found.get("lr", values["lr"]) if value is None else value
    _fit(found, values)
    return found


def _fit(found: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Makes the sizes that were chosen divide each other and those that were given."""
    if "rollouts_per_step" in found:
        step = math.lcm(given["responses_per_prompt"], given.get("minibatch_size") or 1)
        found["rollouts_per_step"] = -(-found["rollouts_per_step"] // step) * step
    if "minibatch_size" in found:
        num = found.get("rollouts_per_step", given["rollouts_per_step"])
        found["minibatch_size"] = next(size for size in range(found["minibatch_size"], 0, -1) if num % size == 0)


def resolved(config: C, values: Mapping[str, Any]) -> C:
    """The settings with these values, checked anew as a whole. Raises: UserError if they contradict each other."""
    preset = dict(config).get("preset")
    said = (
        config.model_fields_set
        | set(values)
        | ({*presets.read(stage_of(type(config)), preset).values} if preset else set())
    )
    given = {name: value for name, value in dict(config).items() if name in said}
    return type(config).parse({**given, **values}, where="what was chosen")
