"""Direct learning against the optimum that is known: from all pairs of seven responses, each as often preferred as its
score says.

DPO learns differences alone, so that policies are compared on the seven responses, made to sum to 1; the optimum is
p_ref exp(score / beta) / Z (Rafailov et al. 2023, eq. 4), that of CPL softmax(score / alpha) (Hejna et al. 2023).
"""

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

import bandits
from bandits import END
from prefloop.direct import cpl, dpo
from prefloop.direct.config import CPLConfig, DPOConfig

IDS = {"a": 2, "b": 3}
RESPONSES = ("a", "b", "aa", "ab", "ba", "bb", "aab")
BETA = 0.5


def score(text: str) -> float:
    return 0.6 * text.count("a") - 0.5 * text.startswith("b") + 0.4 * (text == "ba")


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    bandits.save(tmp_path / "policy")
    rows: list[dict[str, Any]] = []
    for one, other in itertools.permutations(RESPONSES, 2):
        weight = 1 / (1 + math.exp(score(other) - score(one)))
        asked = [{"role": "user", "content": "ab"}]
        name = f"{one} {other}"
        rows.append({"id": name, "messages": asked, "chosen": one, "rejected": other, "weight": weight})
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    other = {**rows[0], "messages": [{"role": "user", "content": "ba"}]}
    (tmp_path / "h.jsonl").write_text(json.dumps(other) + "\n", encoding="utf-8")
    shared: dict[str, Any] = {"policy": str(tmp_path / "policy"), "preferences": str(tmp_path / "p.jsonl")}
    shared |= {"held_out": str(tmp_path / "h.jsonl"), "batch_pairs": len(rows), "epochs": 400, "lr": 0.01}
    shared |= {"warmup": 0.0, "max_grad_norm": 1e6, "num_samples": 0, "max_new_tokens": 4, "checkpoint_every": 0}
    return {**shared, "dtype": "float32", "threads": 1}


@torch.no_grad()
def logprobs(folder: str | Path) -> Tensor:
    """(7,) of all responses to `ab`, the end-of-text token included, made to sum to 1."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    found = list[float]()
    for text in RESPONSES:
        ids = [*(IDS[letter] for letter in text), END]
        nats = model(torch.tensor([[2, 3, *ids]])).logits[0].double().log_softmax(-1)
        found.append(sum(float(nats[1 + place, token]) for place, token in enumerate(ids)))
    return torch.tensor(found, dtype=torch.float64).log_softmax(0)


def by_dpo(out: Path, settings: dict[str, Any]) -> Path:
    return dpo.train(DPOConfig(out=str(out), objective="bradley_terry", beta=BETA, **settings))


def by_cpl(out: Path, settings: dict[str, Any]) -> Path:
    return cpl.train(CPLConfig(out=str(out), alpha=BETA, bias=1.0, **settings))


@pytest.mark.parametrize("algorithm", [by_dpo, by_cpl])
def test_the_known_optimum_is_reached(
    algorithm: Callable[[Path, dict[str, Any]], Path], settings: dict[str, Any], tmp_path: Path
):
    found, reference = logprobs(algorithm(tmp_path / "run", settings)), logprobs(settings["policy"])
    scores = torch.tensor([score(text) for text in RESPONSES], dtype=torch.float64)
    best = ((reference if algorithm is by_dpo else 0) + scores / BETA).log_softmax(0)
    before, after = ((now.exp() * (now - best)).sum().item() for now in (reference, found))
    assert before > 0.1  # there was something to learn
    assert after < 0.005
