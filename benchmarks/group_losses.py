"""Losses of GRPO and RLOO beside TRL's own code: the same random log-probabilities through both; a table in Markdown.

    TRL=PYTHON python benchmarks/group_losses.py [responses=64] [seed=0]

TRL is the Python of an environment with trl 1.16; where none is named, this is left out. TRL computes its losses inside
the methods of its trainers. They are called as they are, in a process of their own, with stand-ins for the trainer and
for the model, which answers with the log-probabilities given. A difference is |ours - theirs| over the largest of
theirs, of the loss and of its gradient by the log-probability of each token. Ends with 1 if one is above 1e-5 in
float32, or 1e-7 in float64, where what a token weighs stays in float32. TRL's CISPO has no limit below; its dr_grpo is
`loss_mean=constant`, bnpo and dapo are `token`, which are one where nothing is accumulated; its delta is dual clip.
SAPO, LUSPO and VESPO we do not have.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

LIMITS = {"float32": 1e-5, "float64": 1e-7}
LOW, HIGH, LONGEST = 0.2, 0.28, 24
CASES: dict[str, dict[str, Any]] = {
    "GRPO": {"loss_type": "grpo"},
    "GRPO, k3 in the loss": {"loss_type": "grpo", "beta": 0.3},
    "GRPO, dual clip": {"loss_type": "grpo", "delta": 1.6},
    "DAPO": {"loss_type": "dapo"},
    "BNPO": {"loss_type": "bnpo"},
    "Dr. GRPO": {"loss_type": "dr_grpo"},
    "GSPO": {"loss_type": "grpo", "importance_sampling_level": "sequence"},
    "GSPO, tokens alike": {"loss_type": "dapo", "importance_sampling_level": "sequence"},
    "CISPO": {"loss_type": "cispo", "epsilon_high": 2.0},
    "RLOO": {},
}
"""loss -> settings of TRL's trainer that differ from those of `stand_in`"""


def drawn(num: int, seed: int) -> dict[str, Any]:
    """Lengths, and log-probabilities of tokens under the policy, the one that sampled, and the reference."""
    import torch

    rng = torch.Generator().manual_seed(seed)
    policy = -3 * torch.rand(num, LONGEST, generator=rng, dtype=torch.float64)
    old, ref = (policy + 0.3 * torch.randn(num, LONGEST, generator=rng, dtype=torch.float64) for _ in range(2))
    advantages = torch.randn(num, generator=rng, dtype=torch.float64)
    lengths = torch.randint(1, LONGEST + 1, (num,), generator=rng)
    lengths[0] = LONGEST
    names = ("policy", "old", "ref", "advantages", "lengths")
    return {name: x.tolist() for name, x in zip(names, (policy, old, ref, advantages, lengths), strict=True)}


def tensors(numbers: dict[str, Any], dtype: str) -> dict[str, Any]:
    """The numbers as tensors, those of the policy with grad, and the mask."""
    import torch

    made = {name: torch.tensor(x, dtype={**vars(torch)}[dtype]) for name, x in numbers.items() if name != "lengths"}
    lengths = torch.tensor(numbers["lengths"])
    made["policy"].requires_grad_()
    return {**made, "lengths": lengths, "mask": torch.arange(LONGEST) < lengths[:, None]}


def ours(name: str, x: dict[str, Any]) -> Any:
    """() our loss of one update."""
    import torch

    from prefloop.ops.kl import kl_estimate
    from prefloop.ops.ratios import cispo_loss, clipped_loss, mean_log_ratios, response_sums, token_weights

    settings, mask = CASES[name], x["mask"]
    policy, old, ref = (x[each][mask] for each in ("policy", "old", "ref"))
    num = len(mask)
    rows = torch.arange(num)[:, None].expand_as(mask)[mask]
    limits = {"low": LOW, "high": HIGH, "worst": settings.get("delta", torch.inf)}
    if name == "RLOO":
        sums = response_sums(policy - old, rows, num_responses=num)
        return clipped_loss(sums, x["advantages"], **limits).mean()
    ratios, advantages = policy - old, x["advantages"][rows]
    if settings.get("importance_sampling_level") == "sequence":
        ratios = mean_log_ratios(ratios, rows, num_responses=num)
    if settings["loss_type"] == "cispo":
        loss = cispo_loss(policy, ratios, advantages, low=1.0, high=settings["epsilon_high"] - 1)
    else:
        loss = clipped_loss(ratios, advantages, **limits)
    if "beta" in settings:
        loss = loss + settings["beta"] * kl_estimate(policy, ref, estimator="k3")
    mean = {"grpo": "response", "dr_grpo": "constant"}.get(settings["loss_type"], "token")
    everything = torch.ones(num, dtype=torch.bool)
    weights = token_weights(x["lengths"], everything, mean=mean, longest=LONGEST)  # pyright: ignore[reportArgumentType]
    return (weights[rows].to(loss) * loss).sum()


def theirs(name: str, x: dict[str, Any]) -> Any:
    """() TRL's."""
    import torch
    from trl import GRPOTrainer, RLOOTrainer

    settings = CASES[name]
    same = SimpleNamespace(
        gather=lambda v: v, reduce=lambda v, reduction: v, num_processes=1, device=torch.device("cpu")
    )
    fixed: dict[str, Any] = {
        "epsilon_low": LOW, "epsilon_high": HIGH, "beta": 0.0, "importance_sampling_level": "token",
        "max_completion_length": LONGEST, "top_entropy_quantile": 1.0, "off_policy_mask_threshold": None,
        "use_vllm": False, "_entropy_bonus_enabled": False, "aux_loss_enabled": False, "accelerator": same,
        "current_gradient_accumulation_steps": 1, "model": SimpleNamespace(training=True),
        "_metrics": defaultdict(lambda: defaultdict(list)),
        "args": SimpleNamespace(delta=settings.get("delta"), use_bias_correction_kl=False, steps_per_generation=1),
        "_get_per_token_logps_and_entropies": lambda *_, **__: (x["policy"], torch.zeros_like(x["policy"]), None),
    }  # fmt: skip
    trainer = SimpleNamespace(**fixed | settings)
    mask = x["mask"].long()
    reads = {
        "prompt_ids": mask[:, :1], "prompt_mask": mask[:, :1], "completion_ids": mask, "completion_mask": mask,
        "advantages": x["advantages"], "old_per_token_logps": x["old"], "ref_per_token_logps": x["ref"],
        "old_logps": (x["old"] * mask).sum(1), "num_items_in_batch": mask.sum(),
    }  # fmt: skip
    kind = RLOOTrainer if name == "RLOO" else GRPOTrainer
    return kind._compute_loss(trainer, None, reads)


def computed(losses: Any, numbers: dict[str, Any]) -> dict[str, dict[str, list[float]]]:
    """dtype -> name -> the loss, then its gradient by each token that is there."""
    import torch

    found: dict[str, dict[str, list[float]]] = {}
    for dtype in LIMITS:
        found[dtype] = {}
        for name in CASES:
            x = tensors(numbers, dtype)
            loss = losses(name, x)
            (gradient,) = torch.autograd.grad(loss, x["policy"])
            found[dtype][name] = [float(loss.detach()), *gradient[x["mask"]].tolist()]
    return found


def main() -> int:
    """Computes, compares, prints."""
    settings = {"responses": "64", "seed": "0", **dict(word.split("=") for word in sys.argv[1:] if "=" in word)}
    if "theirs" in sys.argv:
        print(json.dumps(computed(theirs, json.load(sys.stdin))))
        return 0
    python = os.environ.get("TRL")
    if not python:
        print("TRL is not named: left out.")
        return 0
    numbers = drawn(int(settings["responses"]), int(settings["seed"]))
    command = [python, str(Path(__file__)), "theirs"]
    said = subprocess.run(command, input=json.dumps(numbers), capture_output=True, text=True, check=False)
    if said.returncode:
        print(said.stderr, file=sys.stderr)
        return 1
    other, mine, worst = json.loads(said.stdout.splitlines()[-1]), computed(ours, numbers), 0.0
    print("| loss | value, float32 | gradient | value, float64 | gradient |\n|---|---|---|---|---|")
    for name in CASES:
        cells = []
        for dtype, limit in LIMITS.items():
            for part in (slice(1), slice(1, None)):  # the loss, its gradient
                pairs = list(zip(mine[dtype][name][part], other[dtype][name][part], strict=True))
                apart = max(abs(a - b) for a, b in pairs) / max(abs(b) for _, b in pairs)
                worst = max(worst, apart / limit)
                cells.append(f"{apart:.0e}")
        print(f"| {name} | {' | '.join(cells)} |")
    return int(worst > 1)


if __name__ == "__main__":
    sys.exit(main())
