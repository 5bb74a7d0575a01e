"""Estimators of KL beside its exact value: `python benchmarks/kl_estimators.py [samples=10000] [states=100]`, a table.

A policy and a reference of 50 tokens, in 100 states, at three distances. Of each state the exact KL from both
distributions, and `samples` tokens of the policy from which it is estimated. Bias is the mean over states of estimate
less exact, z its worst in standard errors of the state's own estimate, deviation that of one token's estimate. The
gradient is what an estimator has in the loss, by its exact expectation: cosine with the gradient of KL(policy ||
reference), and how long it is beside it.
"""

import sys

import torch
from torch import Tensor

from prefloop.ops.kl import kl_estimate

ESTIMATORS = ("k1", "k2", "k3")
VOCABULARY = 50


def gradients(policy: Tensor, reference: Tensor) -> dict[str, Tensor]:
    """(S, V) expected gradient of each estimator by the policy's logits, tokens drawn from the policy; and `full`."""
    logits = policy.clone().requires_grad_()
    ours, theirs = logits.log_softmax(-1), reference.log_softmax(-1)
    share = ours.detach().exp()
    found = {}
    for name in ESTIMATORS:
        each = kl_estimate(ours, theirs, estimator=name)  # of every token, weighed by how often it is drawn
        found[name] = torch.autograd.grad((share * each).sum(), logits, retain_graph=True)[0]
    found["full"] = torch.autograd.grad((ours.exp() * (ours - theirs)).sum(), logits)[0]
    return found


def lines(distance: float, *, samples: int, states: int) -> list[str]:
    """Rows of the table, for policies that are so far from their reference in each logit."""
    generator = torch.Generator().manual_seed(0)
    reference = torch.randn(states, VOCABULARY, generator=generator).cpu().double()
    policy = reference + distance * torch.randn(states, VOCABULARY, generator=generator).cpu().double()
    ours, theirs = policy.log_softmax(-1), reference.log_softmax(-1)
    exact = (ours.exp() * (ours - theirs)).sum(-1)
    drawn = torch.multinomial(ours.exp(), samples, replacement=True, generator=generator)
    p, q = ours.gather(1, drawn), theirs.gather(1, drawn)
    slopes = gradients(policy, reference)
    full = slopes.pop("full")
    made = []
    for name in ESTIMATORS:
        each = kl_estimate(p, q, estimator=name)
        apart, error = each.mean(1) - exact, each.std(1) / samples**0.5
        within = float((apart.abs() < 3 * error).float().mean())
        slope = slopes[name]
        length = float(slope.norm() / full.norm())
        cosine = f"{float((slope * full).sum() / slope.norm() / full.norm()):.3f}" if length > 1e-9 else "-"
        made.append(
            f"| {float(exact.mean()):.3f} | {name} | {float(apart.mean()):+.4f} | {100 * within:.0f} % | "
            f"{float((apart / error).abs().max()):.1f} | {float(each.std(1).mean()):.3f} | {cosine} | {length:.2f} |"
        )
    made.append(f"| {float(exact.mean()):.3f} | full | 0 | 100 % | 0 | 0 | 1.000 | 1.00 |")
    return made


def main(typed: list[str]) -> int:
    """Prints the table."""
    given = {"samples": 10_000, "states": 100} | {k: int(v) for k, v in (part.split("=") for part in typed)}
    print(
        "| exact KL, nats | estimator | bias | states within 3 s.e. | worst z | deviation | gradient: cosine | length |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for distance in (0.1, 0.5, 1.5):
        print("\n".join(lines(distance, **given)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
