"""Tasks whose optimum is known: `python benchmarks/known_optimum.py [key=value ...]`, a table in Markdown.

    tasks=small  algorithms=ppo,reinforce,rloo,grpo  betas=0.1,0.05  seeds=0,1,2  jobs=2  out=(temporary)

`small` (13 responses) and `large` (7381) are enumerated; `chain` is a Markov
chain of 20 states, of which one ends, solved by dynamic programming, and measured on sampled paths with the exact KL of
every state. Scores have mean 0 and variance 1 under the reference. The best that can be had of E score - beta KL is
beta log E exp(score / beta), reached by reference x exp(score / beta) alone; how far a policy is from it, in nats, is
what it lacks divided by beta.
"""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from letters import (
    BEGIN,
    END,
    FIRST,
    Reached,
    Task,
    centred,
    codec,
    network,
    reached,
    responses,
    said,
    save,
    write_task,
)
from side_by_side import shown
from torch import Tensor
from transformers import AutoModelForCausalLM

from prefloop.align import grpo, ppo, reinforce, rloo
from prefloop.align.config import GRPOConfig, PPOConfig, REINFORCEConfig, RLOOConfig

GROUPS = {"epochs": 2, "responses_per_prompt": 8, "scale": "none", "loss_mean": "constant"}
ALGORITHMS: dict[str, tuple[Callable[[Any], Path], Callable[..., Any], dict[str, Any]]] = {
    "ppo": (ppo.train, PPOConfig, {"epochs": 2, "value_coef": 0.5, "value_clip": 10.0, "head_lr": 0.01, "decay": 1.0}),
    "reinforce": (reinforce.train, REINFORCEConfig, {}),
    "rloo": (rloo.train, RLOOConfig, {"epochs": 2, "responses_per_prompt": 8}),
    "grpo": (grpo.train, GRPOConfig, {**GROUPS, "kl_where": "reward", "kl_estimator": "k1"}),
    "grpo, k3 in the loss": (grpo.train, GRPOConfig, GROUPS),
}
"""Name -> what runs it, its settings, and those that these tasks want."""
PATHS = 20_000
"""Sampled of a chain's policy."""


def table_task(folder: Path, *, letters: int, longest: int, prompts: tuple[str, ...], seed: int) -> tuple[Task, Tensor]:
    """A task whose responses are enumerated: each letter has a worth at its place and after the letter before it, by
    prompt. Returns: also the scores (P, R)."""
    draw = np.random.default_rng(seed)
    made = network(letters, width=64, layers=2, context=16, seed=seed, spread=0.5, chain=False)
    save(folder / "policy", made, codec(letters, 16))
    place, pair = draw.normal(size=(len(prompts), longest, letters)), draw.normal(size=(letters, letters))
    every = responses(letters, longest)

    def raw(prompt: int, tokens: tuple[int, ...]) -> float:
        at = [token - FIRST for token in tokens if token != END]
        return sum(place[prompt, t, one] for t, one in enumerate(at)) + sum(
            pair[a, b] for a, b in itertools.pairwise(at)
        )

    scores = torch.tensor([[raw(p, one) for one in every] for p in range(len(prompts))], dtype=torch.float64)
    scores = centred(folder / "policy", prompts, longest, scores)
    table = {
        prompt: dict(zip(map(said, every), row.tolist(), strict=True))
        for prompt, row in zip(prompts, scores, strict=True)
    }
    task = write_task(
        folder, prompts, longest, "def worth(prompt, response):\n    return TABLE[prompt].get(response, -9.0)\n", table
    )
    return task, scores


class Chain:
    """A Markov chain whose states are letters and the end; what is earned depends on each step alone.

    Shapes: S states, the end among them, as tokens END, FIRST, FIRST + 1, ...; k steps to come.
    """

    def __init__(self, folder: Path, *, letters: int, longest: int, seed: int) -> None:
        draw = np.random.default_rng(seed)
        made = network(letters, width=48, layers=2, context=longest + 4, seed=seed, spread=1.0, chain=True, guard=8)
        save(folder / "policy", made, codec(letters, longest + 4))
        self.longest, self.starts = longest, tuple(chr(97 + i) for i in range(letters))
        with torch.no_grad():
            tokens = torch.arange(END, FIRST + letters)[:, None]
            self.steps = made.eval()(tokens).logits[:, 0].cpu().double().log_softmax(-1)[:, END:]  # (S, S), nats
        earned = torch.tensor(draw.normal(size=self.steps.shape))
        mean, square = self._moments(earned)
        self.scale = float((square - mean.square())[1:].mean().sqrt())
        self.earned, self.mean = earned, mean  # (S, S) and (S,), before scaling
        table = {"earned": (earned / self.scale).tolist(), "mean": (mean / self.scale).tolist()}
        worth = f"""def worth(prompt, response):
    if not response.isalpha() and response:
        return -9.0
    states = [ord(one) - 96 for one in prompt[-1] + response] + ([0] if len(response) < {longest} else [])
    return sum(TABLE["earned"][a][b] for a, b in zip(states, states[1:])) - TABLE["mean"][states[0]]
"""
        self.task = write_task(folder, self.starts, longest, worth, table)

    def _moments(self, earned: Tensor) -> tuple[Tensor, Tensor]:
        """(S,) mean and mean square of what a path earns that begins in each state."""
        share = self.steps.exp()
        mean, square = torch.zeros(len(share)).cpu().double(), torch.zeros(len(share)).cpu().double()
        for _ in range(self.longest):
            mean_next, square_next = mean.clone(), square.clone()
            mean_next[0] = square_next[0] = 0.0
            square = (share * (earned.square() + 2 * earned * mean_next + square_next)).sum(1)
            mean = (share * (earned + mean_next)).sum(1)
        return mean, square

    def ahead(self, steps: int) -> Tensor:
        """(S,) mean of what is earned in so many steps, before scaling, of the policy that has not learned; nothing
        after the end."""
        share, value = self.steps.exp(), torch.zeros(len(self.steps)).cpu().double()
        for _ in range(steps):
            value = (share * (self.earned + value)).sum(1)
            value[0] = 0.0
        return value

    def optimum(self, beta: float) -> tuple[Tensor, list[Tensor]]:
        """(S,) the best that can be had from each state, and (S, S) nats of each step of the policy that has it, by
        steps to come, from the last on."""
        scaled = self.earned / self.scale
        value, policy = torch.zeros(len(scaled)).cpu().double(), list[Tensor]()
        for _ in range(self.longest):
            ahead = value.clone()
            ahead[0] = 0.0
            total = self.steps + (scaled + ahead) / beta
            value = beta * total.logsumexp(1)
            policy.append(total - value[:, None] / beta)
        return value - self.mean / self.scale, policy

    @torch.no_grad()
    def reached(self, path: str | Path, *, beta: float) -> Reached:
        """How good a policy is, from paths that begin in every state equally often."""
        model = AutoModelForCausalLM.from_pretrained(path).eval()
        best, optimum = self.optimum(beta)
        generator = torch.Generator().manual_seed(0)
        num = PATHS // len(self.starts)
        tokens = torch.arange(FIRST, FIRST + len(self.starts)).repeat(num)[:, None]
        running = torch.ones(len(tokens), dtype=torch.bool)
        total, kl, away = (torch.zeros(len(tokens)).cpu().double() for _ in range(3))
        for t in range(self.longest):
            begun = torch.cat([torch.full_like(tokens[:, :1], BEGIN), tokens], 1)
            nats = model(begun).logits[:, -1].cpu().double().log_softmax(-1)
            last = tokens[:, -1] - END
            new = torch.multinomial(nats.exp(), 1, generator=generator)
            share, ours = nats[:, END:].exp(), nats[:, END:]
            kl += running * (share * (ours - self.steps[last])).sum(1)
            away += running * (share * (ours - optimum[self.longest - 1 - t][last])).sum(1)
            total += running * self.earned[last, new[:, 0] - END] / self.scale
            running &= new[:, 0] != END
            tokens = torch.cat([tokens, new], 1)
        states = tokens[:, 0] - END
        each = total - self.mean[states] / self.scale - beta * kl
        starts = torch.arange(1, 1 + len(self.starts))
        error = float(each.std()) / len(each) ** 0.5
        return Reached(float(each.mean()), float(best[starts].mean()), float(kl.mean()), float(away.mean()), error)


def made(name: str, folder: Path) -> tuple[Task, Callable[[str | Path, float], Reached]]:
    """A task, written to a folder, and what measures a policy on it."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "chain":
        chain = Chain(folder, letters=19, longest=12, seed=1)
        return chain.task, lambda policy, beta: chain.reached(policy, beta=beta)
    sizes = {"small": (3, 2, ("a",)), "large": (9, 4, ("ab",))}
    letters, longest, prompts = sizes[name]
    task, scores = table_task(folder, letters=letters, longest=longest, prompts=prompts, seed=1)
    return task, lambda policy, beta: reached(policy, folder / "policy", task, scores, beta=beta)


def settings(task: str, algorithm: str, beta: float) -> dict[str, Any]:
    """What is learned with."""
    steps, rollouts = {"small": (200, 512), "large": (400, 512), "chain": (400, 512)}[task]
    own: dict[str, Any] = {"steps": steps, "rollouts_per_step": rollouts, "kl_coef": beta, "lr": 0.001, "warmup": 0.02}
    if algorithm == "reinforce":  # as many updates as the others have, and so four times as many samples
        own |= {"steps": 4 * steps, "lr": 0.0005}
    else:
        own["minibatch_size"] = rollouts // 2
    if algorithm in ("ppo", "reinforce"):
        own["whiten_advantages"] = False  # at the optimum every response is worth the same: nothing is left but noise
    return {**own, **ALGORITHMS[algorithm][2]}


def one(task: str, algorithm: str, beta: float, seed: int, folder: Path, own: dict[str, Any]) -> dict[str, Any]:
    """Learns a task, and measures what came of it."""
    asked, measure = made(task, folder)
    train, config, _ = ALGORITHMS[algorithm]
    begun = time.process_time()
    policy = train(
        config(**asked.settings(out=str(folder / "run"), seed=seed, **settings(task, algorithm, beta) | own))
    )
    seconds = time.process_time() - begun
    found = measure(policy, beta)
    return {
        "task": task, "algorithm": algorithm, "beta": beta, "seed": seed, "share": found.share, "best": found.best,
        "kl": found.kl, "away": found.away, "error": found.error, "seconds": seconds,
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line for each task, beta and algorithm."""
    lines = [
        "| task | beta | best | algorithm | share of the best, each seed | KL from the optimum | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    keys = dict.fromkeys((row["task"], row["beta"], row["algorithm"]) for row in rows)
    for task, beta, algorithm in keys:
        some = [r for r in rows if (r["task"], r["beta"], r["algorithm"]) == (task, beta, algorithm)]
        shares = ", ".join(f"{100 * r['share']:.1f} %" for r in some)
        away = ", ".join(f"{r['away']:.3f}" for r in some)
        seconds = sum(r["seconds"] for r in some) / len(some)
        lines.append(f"| {task} | {beta:g} | {some[0]['best']:.3f} | {algorithm} | {shares} | {away} | {seconds:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    shown(
        __file__,
        {"tasks": "small", "betas": "0.1,0.05", "algorithms": "ppo,reinforce,rloo,grpo", "seeds": "0,1,2"},
        lambda job, folder, own: one(job[0], job[2], float(job[1]), int(job[3]), folder, own),
        table,
    )
