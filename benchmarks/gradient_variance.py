"""How noisy the gradient is that an algorithm steps along: `python benchmarks/gradient_variance.py [batches=200]`.

The policy is the Markov chain of `known_optimum.py` before it has learned (20 states, at most 12 steps), the score is
paid at the end, nothing is charged for drift. A batch has 76 responses: four to each of the 19 states to begin in. Of
`batches` of them the gradient by all weights is taken with each choice of advantages from the same responses. Noise is
the mean squared distance of a batch's gradient from the mean of all, in units of the squared length of the best
estimate of the true one (credit, exact values, all batches); bias is how far the mean is from it, as a share of its
length, of which `by chance` is what that many batches leave. Exact values are the chain's own, by dynamic programming;
the fitted critic is a ridge regression of returns on the policy's last hidden states, from 500 other responses.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from known_optimum import Chain
from letters import END, FIRST
from torch import Tensor
from transformers import AutoModelForCausalLM

from prefloop.ops.advantages import discounted_returns, gae
from prefloop.ops.groups import leave_one_out
from prefloop.ops.losses import reinforce_loss
from prefloop.ops.rewards import token_rewards

COPIES, KNOWN = 4, 500
"""Responses to each beginning, and those that the fitted critic has seen."""
BEST = "exact values, lambda 0"
"""Whose mean over all batches is taken for the true gradient."""


class Batch:
    """Paths of the chain. Shapes: B paths, T their longest."""

    def __init__(
        self, chain: Chain, model: torch.nn.Module, num: int, generator: torch.Generator, worth: Tensor
    ) -> None:
        letters = len(chain.starts)
        self.tokens = torch.arange(FIRST, FIRST + letters).repeat_interleave(num)[:, None]
        steps = chain.steps.exp()
        for _ in range(chain.longest):
            new = torch.multinomial(steps[self.tokens[:, -1] - END], 1, generator=generator) + END
            self.tokens = torch.cat([self.tokens, new], 1)
        states = self.tokens - END
        over = (states[:, :-1] == 0).cumsum(1) > 0
        self.mask = ~over
        paid = chain.earned[states[:, :-1], states[:, 1:]] / chain.scale
        start = states[:, 0]
        begun = worth[start - 1] - chain.mean[start] / chain.scale
        self.scores = (torch.where(self.mask, paid, 0.0).sum(1) + begun).float()
        done = torch.where(self.mask, paid, 0.0).cumsum(1) - torch.where(self.mask, paid, 0.0)
        ahead = torch.stack([chain.ahead(k)[states[:, chain.longest - k]] for k in range(chain.longest, 0, -1)], 1)
        self.exact = (done + ahead / chain.scale + begun[:, None]).float()
        self.rewards = token_rewards(self.scores, torch.zeros_like(self.exact), self.mask, kl_coef=0.0)
        self.model = model

    def logprobs(self) -> Tensor:
        """(B, T) nats, with their gradient."""
        nats = self.model(self.tokens[:, :-1]).logits.float().log_softmax(-1)
        return nats.gather(-1, self.tokens[:, 1:, None])[..., 0]

    @torch.no_grad()
    def hidden(self) -> Tensor:
        """(B, T, D) last hidden states before each token, and a one."""
        states = self.model(self.tokens[:, :-1], output_hidden_states=True).hidden_states[-1]
        return torch.cat([states, torch.ones_like(states[..., :1])], -1)


def choices(critic: Tensor) -> dict[str, Callable[[Batch], Tensor]]:
    """Name -> (B, T) advantages of a batch. Args: critic: (D,) weights of the fitted one."""

    def with_critic(values: Callable[[Batch], Tensor], decay: float) -> Callable[[Batch], Tensor]:
        return lambda batch: gae(batch.rewards, values(batch), batch.mask, discount=1.0, decay=decay)[0]

    def exact(batch: Batch) -> Tensor:
        return batch.exact

    def fitted(batch: Batch) -> Tensor:
        return batch.hidden() @ critic

    def returns(batch: Batch) -> Tensor:
        return discounted_returns(batch.rewards, batch.mask, discount=1.0)

    return {
        "REINFORCE, no baseline": returns,
        "REINFORCE, mean of the batch": lambda b: returns(b) - b.scores.mean(),
        "RLOO, 4 responses": lambda b: torch.where(b.mask, leave_one_out(b.scores, copies=COPIES)[:, None], 0.0),
        "fitted critic, lambda 1": with_critic(fitted, 1.0),
        "fitted critic, lambda 0.95": with_critic(fitted, 0.95),
        "fitted critic, lambda 0.9": with_critic(fitted, 0.9),
        "exact values, lambda 1": with_critic(exact, 1.0),
        "exact values, lambda 0.95": with_critic(exact, 0.95),
        "exact values, lambda 0.9": with_critic(exact, 0.9),
        "exact values, lambda 0": with_critic(exact, 0.0),
    }


def gradient(batch: Batch, advantages: Tensor) -> Tensor:
    """(W,) of the mean loss per response."""
    each = torch.where(batch.mask, reinforce_loss(batch.logprobs(), advantages), 0.0)
    made = torch.autograd.grad(each.sum() / len(each), [w for w in batch.model.parameters() if w.requires_grad])
    return torch.cat([one.flatten() for one in made])


def measured(chain: Chain, model: torch.nn.Module, *, batches: int, worth: Tensor) -> None:
    """Prints the table. Args: worth: (S - 1,) mean score of each state to begin in."""
    generator = torch.Generator().manual_seed(1)
    known = Batch(chain, model, -(-KNOWN // len(chain.starts)), generator, worth)
    states = known.hidden()[known.mask].cpu().double()
    targets = discounted_returns(known.rewards, known.mask, discount=1.0)[known.mask].cpu().double()
    ridge = states.T @ states + 1.0 * torch.eye(states.shape[1]).cpu().double()
    critic = torch.linalg.solve(ridge, states.T @ targets).float()
    ways, total = choices(critic), dict[str, Tensor]()
    squares, explained = dict.fromkeys(ways, 0.0), {"fitted": 0.0, "exact": 0.0}
    for _ in range(batches):
        batch = Batch(chain, model, COPIES, generator, worth)
        target = discounted_returns(batch.rewards, batch.mask, discount=1.0)
        for name, values in (("fitted", batch.hidden() @ critic), ("exact", batch.exact)):
            apart = (target - values)[batch.mask].var() / target[batch.mask].var()
            explained[name] += float(1 - apart) / batches
        for name, advantages in ways.items():
            slope = gradient(batch, advantages(batch)).cpu().double()
            total[name] = total.get(name, torch.zeros_like(slope)) + slope / batches
            squares[name] += float(slope.square().sum()) / batches
    best = total[BEST]
    unit = float(best.square().sum())
    noise = {name: (squares[name] - float(total[name].square().sum())) / unit for name in ways}
    print(f"Explained variance of returns: fitted {explained['fitted']:.2f}, exact values {explained['exact']:.2f}.\n")
    print("| advantages | noise of a batch | beside REINFORCE | distance of the mean | by chance |")
    print("|---|---|---|---|---|")
    first = next(iter(noise.values()))
    for name in ways:
        apart = float((total[name] - best).norm()) / unit**0.5
        chance = ((noise[name] + noise[BEST]) / batches) ** 0.5
        print(f"| {name} | {noise[name]:.2f} | {noise[name] / first:.2f} | {apart:.2f} | {chance:.2f} |")


def main(typed: list[str]) -> int:
    """Prints both tables."""
    batches = int(dict(part.split("=") for part in typed).get("batches", "200"))
    with tempfile.TemporaryDirectory() as folder:
        chain = Chain(Path(folder), letters=19, longest=12, seed=1)
        model = AutoModelForCausalLM.from_pretrained(Path(folder) / "policy").eval()
    draw = torch.Generator().manual_seed(2)
    print("\nEvery prompt is worth as much as every other:\n")
    measured(chain, model, batches=batches, worth=torch.zeros(len(chain.starts)))
    print("\nPrompts differ, by one deviation of the scores of a prompt:\n")
    measured(chain, model, batches=batches, worth=torch.randn(len(chain.starts), generator=draw))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
