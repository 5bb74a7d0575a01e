"""Direct losses beside TRL's own code: the same random log-probabilities through both; a table in Markdown.

    TRL=PYTHON python benchmarks/direct_losses.py [pairs=128] [seed=0]

TRL is the Python of an environment with trl 1.16; where none is named, this is left out. TRL computes its losses inside
the methods of its trainers. They are called as they are, in a process of their own, with stand-ins for the trainer and
for the model, which answers with the log-probabilities given; DPO and KTO, whose methods return a mean, pair by pair.
A difference is |ours - theirs| / max(1, |theirs|), the largest over all pairs; a gradient is that of each pair's loss
by the log-probability of each response. In float64 TRL's casts to float32 are turned into casts to float64, for they
hide the arithmetic: of numbers made of settings, in ORPO, and in the alpha divergence, which knows no float64.
Ends with 1 if a difference is above 1e-6 in float32, or 1e-10 in float64. TRL has no DPOP, CPL or offline RL.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

Numbers = dict[str, list[float]]
LIMITS = {"float32": 1e-6, "float64": 1e-10}
BETA, SMOOTHING, MARGIN, ALPHA, WEIGHTS = 0.1, 0.15, 0.7, 0.4, (1.3, 0.8)
SIDES = ("chosen", "rejected")

THEIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "DPO": ("DPO", {"loss_types": ["sigmoid"]}),
    "DPO, forward KL": ("DPO", {"loss_types": ["sigmoid"], "f_divergence_type": "forward_kl"}),
    "DPO, Jensen-Shannon": ("DPO", {"loss_types": ["sigmoid"], "f_divergence_type": "js_divergence"}),
    "DPO, alpha divergence": ("DPO", {"loss_types": ["sigmoid"], "f_divergence_type": "alpha_divergence"}),
    "DPO by length": ("DPO", {"loss_types": ["sigmoid_norm"]}),
    "robust DPO": ("DPO", {"loss_types": ["robust"]}),
    "hinge": ("DPO", {"loss_types": ["hinge"]}),
    "IPO, means": ("DPO", {"loss_types": ["ipo"]}),
    "EXO": ("DPO", {"loss_types": ["exo_pair"]}),
    "APO zero, pairs": ("DPO", {"loss_types": ["apo_zero"]}),
    "APO down": ("DPO", {"loss_types": ["apo_down"]}),
    "KTO": ("KTO", {"loss_type": "kto"}),
    "APO zero, thumbs": ("KTO", {"loss_type": "apo_zero_unpaired", "desirable_weight": 1, "undesirable_weight": 1}),
    "CPO": ("CPO", {"loss_type": "sigmoid", "label_smoothing": 0}),
    "CPO, smoothed": ("CPO", {"loss_type": "sigmoid"}),
    "IPO, sums": ("CPO", {"loss_type": "ipo"}),
    "SimPO": ("SimPO", {"loss_type": "simpo", "label_smoothing": 0}),
    "ORPO": ("ORPO", {}),
}
"""loss -> trainer, and settings that differ from those of `stand_in`"""


def drawn(num_pairs: int, seed: int) -> Numbers:
    """Lengths, and log-probabilities of whole responses: under the policy, and under the reference. Those that are
    mismatched are likelier under the policy by a nat, so that KTO's anchor is not 0."""
    import torch

    rng = torch.Generator().manual_seed(seed)
    numbers: Numbers = {}
    for name in (*SIDES, "mismatched"):
        lengths = torch.randint(1, 60, (num_pairs,), generator=rng)
        policy = -lengths * (0.05 + 2.5 * torch.rand(num_pairs, generator=rng, dtype=torch.float64))
        numbers[name] = policy.tolist()
        moved = 2 * torch.randn(num_pairs, generator=rng, dtype=torch.float64) + (name == "mismatched")
        numbers[f"reference_{name}"] = (policy - moved).tolist()
        numbers[f"length_{name}"] = lengths.tolist()
    return numbers


def tensors(numbers: Numbers, dtype: str) -> dict[str, Any]:
    """The numbers as tensors (N,), those of the policy with grad."""
    import torch

    made = {name: torch.tensor(row, dtype={**vars(torch)}[dtype]) for name, row in numbers.items()}
    return made | {side: made[side].requires_grad_() for side in SIDES}


def with_gradients(losses: Any, given: dict[str, Any]) -> list[float]:
    """Losses of pairs or of rows, then their gradients by both sides."""
    import torch

    gradients = torch.autograd.grad(losses.sum(), [given[side] for side in SIDES])
    return torch.cat([losses.detach(), *gradients]).tolist()


def ours(x: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Our losses of what `tensors` made."""
    import torch

    from prefloop.ops import direct, preferences

    u = {side: x[side] - x[f"reference_{side}"] for side in (*SIDES, "mismatched")}
    both, means = [u[side] for side in SIDES], [u[side] / x[f"length_{side}"] for side in SIDES]
    logprobs = [x[side] for side in SIDES]
    mean_logprobs = [x[side] / x[f"length_{side}"] for side in SIDES]
    rows = torch.cat(both)
    good = torch.arange(len(rows)) < len(both[0])
    gap = direct.dpo_gap(*both, beta=BETA)
    cpo = direct.dpo_gap(*logprobs, beta=BETA)

    def win(gap: Any) -> Any:
        return preferences.soft_preference_loss(gap, torch.ones_like(gap))

    def by(divergence: Any, alpha: float | None = None) -> Any:
        return win(direct.dpo_gap(*(direct.linked(v, divergence=divergence, alpha=alpha) for v in both), beta=BETA))

    def kto() -> Any:
        anchor = direct.kto_anchor(u["mismatched"])
        return direct.kto_loss(rows, good, anchor, beta=BETA, good_weight=WEIGHTS[0], bad_weight=WEIGHTS[1])

    return {
        "DPO": lambda: win(gap),
        "DPO, forward KL": lambda: by("forward_kl"),
        "DPO, Jensen-Shannon": lambda: by("js"),
        "DPO, alpha divergence": lambda: by("alpha", ALPHA),
        "DPO by length": lambda: win(direct.dpo_gap(*means, beta=BETA)),
        "robust DPO": lambda: preferences.robust_preference_loss(gap, flip_rate=SMOOTHING),
        "hinge": lambda: preferences.hinge_preference_loss(gap, margin=1),
        "IPO, means": lambda: direct.ipo_loss(*means, tau=BETA),
        "EXO": lambda: direct.exo_loss(*both, beta=BETA, smoothing=SMOOTHING),
        "APO zero, pairs": lambda: direct.apo_zero_loss(rows, good, beta=BETA).view(2, -1).sum(0),
        "APO down": lambda: direct.apo_down_loss(*both, beta=BETA),
        "KTO": kto,
        "APO zero, thumbs": lambda: direct.apo_zero_loss(rows, good, beta=BETA),
        "CPO": lambda: win(cpo),
        "CPO, smoothed": lambda: preferences.smoothed_preference_loss(cpo, smoothing=SMOOTHING),
        "IPO, sums": lambda: direct.ipo_loss(*logprobs, tau=BETA),
        "SimPO": lambda: win(direct.dpo_gap(*mean_logprobs, beta=BETA) - MARGIN),
        "ORPO": lambda: win(direct.log_odds(mean_logprobs[0]) - direct.log_odds(mean_logprobs[1])),
    }


def stand_in(settings: dict[str, Any]) -> Any:
    """What TRL's methods ask of their trainer."""
    import torch

    same = SimpleNamespace(device=torch.device("cpu"), gather=lambda x: x, gather_for_metrics=lambda x: x)
    fixed = {"model": SimpleNamespace(training=True), "accelerator": same, "aux_loss_enabled": False, "ld_alpha": None}
    fixed |= {"precompute_ref_logps": True, "use_weighting": False, "calculate_KL": True, "loss_weights": [1.0]}
    fixed |= {"_metrics": defaultdict(lambda: defaultdict(list)), "_total_train_tokens": 0, "_tp_size": 1, "alpha": 0.0}
    fixed |= {"beta": BETA, "label_smoothing": SMOOTHING, "simpo_gamma": MARGIN, "f_divergence_type": "reverse_kl"}
    fixed |= {"f_alpha_divergence_coef": 1 - ALPHA}
    fixed |= {"desirable_weight": WEIGHTS[0], "undesirable_weight": WEIGHTS[1]}
    return SimpleNamespace(**fixed | settings)


def batch(sums: list[Any], lengths: list[int]) -> tuple[Any, dict[str, Any]]:
    """Responses after a prompt of one token. Returns: a model that says so much of them, all at the first token, and
    what it reads."""
    import torch

    mask = torch.arange(max(lengths) + 1) < torch.tensor(lengths).unsqueeze(1) + 1
    mask[:, 0] = False
    first = torch.stack(sums).unsqueeze(1)
    logprobs = torch.cat([first, first.new_zeros(len(sums), mask.shape[1] - 2)], 1)
    nothing = torch.zeros_like(logprobs)
    said = SimpleNamespace(log_probs=logprobs, entropy=nothing, mean_logits=nothing, is_top1=nothing.bool())
    reads = {"input_ids": mask.long(), "attention_mask": torch.ones_like(mask).long(), "completion_mask": mask.long()}
    return lambda **_: said, reads


def dpo(x: dict[str, Any], settings: dict[str, Any]) -> Any:
    """Losses of pairs by DPOTrainer."""
    import torch
    from trl import DPOTrainer

    losses = []
    for i in range(len(x["chosen"])):
        model, reads = batch([x[side][i] for side in SIDES], [int(x[f"length_{side}"][i]) for side in SIDES])
        reads |= {f"ref_{side}_logps": x[f"reference_{side}"][i : i + 1] for side in SIDES}
        losses.append(DPOTrainer._compute_loss(stand_in(settings), model, reads, False))
    return torch.stack(losses)


def kto(x: dict[str, Any], settings: dict[str, Any]) -> Any:
    """Losses of rows by KTOTrainer, the chosen ones as thumbs up and the rejected ones as thumbs down."""
    import torch
    from trl import KTOTrainer

    trainer = stand_in(settings | {"_compute_kl_logps": lambda model, batch: x["mismatched"]})
    losses = []
    for side in SIDES:
        for i in range(len(x[side])):
            model, reads = batch([x[side][i]], [int(x[f"length_{side}"][i])])
            reads |= {"label": torch.tensor([side == "chosen"]), "ref_KL_logps": x["reference_mismatched"]}
            reads |= {"ref_logps": x[f"reference_{side}"][i : i + 1]}
            losses.append(KTOTrainer._compute_loss(trainer, model, reads, False))
    return torch.stack(losses)


def without_reference(x: dict[str, Any], trainer: str, settings: dict[str, Any]) -> Any:
    """Losses of pairs by CPOTrainer or ORPOTrainer; of means for SimPO and ORPO, as they take them."""
    from trl.experimental.cpo import CPOTrainer
    from trl.experimental.orpo import ORPOTrainer

    sums, means = [x[side] for side in SIDES], [x[side] / x[f"length_{side}"] for side in SIDES]
    if trainer == "ORPO":
        return -ORPOTrainer.odds_ratio_loss(stand_in({"beta": 1}), *means)[0]  # TRL subtracts it
    return CPOTrainer.cpo_loss(stand_in(settings), *(sums if trainer == "CPO" else means))[0]


def in_double() -> None:
    """From here on TRL computes in float64, where it says float32."""
    import torch
    from trl.trainer import dpo_trainer

    class Doubled(ModuleType):
        float32 = torch.float64

        def __getattr__(self, name: str) -> Any:
            return {**vars(torch)}[name]

    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    dpo_trainer.torch = Doubled("torch")


def theirs(numbers: Numbers) -> dict[str, Any]:
    """TRL's losses and gradients by precision and loss, and its version."""
    import trl

    found: dict[str, Any] = {"version": trl.__version__}
    for dtype in LIMITS:
        if dtype == "float64":
            in_double()
        found[dtype] = {}
        for loss, (trainer, settings) in THEIRS.items():
            given = tensors(numbers, dtype)
            if trainer in ("DPO", "KTO"):
                losses = (dpo if trainer == "DPO" else kto)(given, settings)
            else:
                losses = without_reference(given, trainer, settings)
            found[dtype][loss] = with_gradients(losses, given)
    return found


def in_a_process(python: str, numbers: Numbers) -> dict[str, Any]:
    """What `theirs` finds in TRL's environment."""
    here = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
    command = [python, "-W", "ignore", __file__, "theirs"]
    out = subprocess.run(command, env=here, input=json.dumps(numbers), capture_output=True, text=True, check=False)
    if out.returncode:
        raise RuntimeError(out.stderr[-3000:])
    return json.loads(out.stdout.strip().splitlines()[-1])


def main(arguments: list[str]) -> None:
    """Prints the table."""
    given = dict(argument.split("=", 1) for argument in arguments)
    python = os.environ.get("TRL")
    if python is None or not Path(python).is_file():
        print("left out, for no Python with TRL is named (TRL=PYTHON).")
        return
    num_pairs = int(given.get("pairs", "128"))
    numbers = drawn(num_pairs, int(given.get("seed", "0")))
    found = in_a_process(python, numbers)
    print(f"{num_pairs} pairs, beside trl {found['version']}; largest differences\n")
    print("| loss | trainer | value, float32 | gradient | value, float64 | gradient |\n|---|---|---|---|---|---|")
    missed = []
    for loss, (trainer, _) in THEIRS.items():
        cells = []
        for dtype, limit in LIMITS.items():
            x = tensors(numbers, dtype)
            pairs = list(zip(with_gradients(ours(x)[loss](), x), found[dtype][loss], strict=True))
            far = [abs(mine - other) / max(1.0, abs(other)) for mine, other in pairs]
            parts = far[: -2 * num_pairs], far[-2 * num_pairs :]
            cells += [f"{max(part):.1e}" for part in parts]
            missed += [f"{loss}, {dtype}"] if not max(far) <= limit else []
        print(f"| {loss} | {trainer} | {' | '.join(cells)} |")
    print(f"\nAbove 1e-6 in float32 or 1e-10 in float64: {'; '.join(missed) or 'none'}.")
    sys.exit(bool(missed))


if __name__ == "__main__":
    if sys.argv[1:] == ["theirs"]:
        print(json.dumps(theirs(json.load(sys.stdin))))
    else:
        main(sys.argv[1:])
