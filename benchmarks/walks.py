"""Shortest paths from random walks: `python benchmarks/walks.py [key=value ...]`, a table in Markdown.

    algorithms=ppo,rloo,grpo  seeds=0,1,2  jobs=2  out=(temporary)

A directed graph of 21 nodes, of which one is the goal; nodes are letters, and a small Llama first imitates a thousand
random walks of at most ten nodes (`prefloop sft`). Then it learns from a reward alone to walk to the goal on the
shortest path. The optimality of a walk from some node is (10 - its length) / (10 - the shortest length), and 0 if it
takes an edge that is not there or does not arrive: the task `randomwalks` of trlX (Havrilla et al. 2023,
https://github.com/CarperAI/trlx), which calls 0.95 within 4,000 samples a good result; built anew from its description.
What is measured are 50 new walks from every node, drawn at temperature 1 from what the stage wrote.
"""

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from letters import BEGIN, FIRST, Task, codec, network, save, write_task
from side_by_side import shown

from prefloop.align import grpo, ppo, rloo
from prefloop.align.config import GRPOConfig, PPOConfig, RLOOConfig
from prefloop.files.tables import write_records
from prefloop.models.device import placement
from prefloop.models.load import causal
from prefloop.records import Demonstration, Message
from prefloop.sampling.in_process import InProcess
from prefloop.settings import SamplingConfig
from prefloop.sft import stage as sft
from prefloop.sft.config import SFTConfig

NODES, LONGEST, GOAL, WALKS, EDGES = 21, 10, 0, 1000, 0.1
EARLY, PER_STEP, STEPS = 31, 128, 200
"""Steps within 4,000 samples, samples in a step, and steps in all: 25,600 samples."""
ALGORITHMS: dict[str, tuple[Callable[[Any], Path], Callable[..., Any], dict[str, Any]]] = {
    "ppo": (ppo.train, PPOConfig, {"head_lr": 0.003, "value_clip": 10.0, "whiten_advantages": False}),
    "rloo": (rloo.train, RLOOConfig, {"responses_per_prompt": 8, "epochs": 2, "lr": 0.0006}),
    "grpo": (grpo.train, GRPOConfig, {"responses_per_prompt": 8, "epochs": 2, "lr": 0.0006}),
}
"""Name -> what runs it, its settings, and those that this task wants."""
LEARNED: dict[str, Any] = {"kl_coef": 0.001, "lr": 0.0003, "warmup": 0.02, "minibatch_size": 32, "adam_eps": 1e-5}
WORTH = f"""def worth(prompt, response):
    path = prompt + response
    for a, b in zip(path, path[1:]):
        if b not in TABLE["edges"][a]:
            return 0.0
    if path[-1] != "a" or len(path) > {LONGEST}:
        return 0.0
    return ({LONGEST} - len(path)) / ({LONGEST} - TABLE["shortest"][prompt])
"""


def graph(seed: int) -> tuple[dict[int, list[int]], dict[int, int]]:
    """Edges of each node, and the number of nodes on the shortest path from it; every node reaches the goal in time."""
    draw = np.random.default_rng(seed)
    while True:
        there = draw.random((NODES, NODES)) < EDGES
        np.fill_diagonal(there, False)
        edges = {a: [int(b) for b in np.flatnonzero(there[a])] or [int(draw.integers(NODES))] for a in range(NODES)}
        edges[GOAL] = []
        shortest, waiting = {GOAL: 1}, deque([GOAL])
        while waiting:
            b = waiting.popleft()
            for a in range(NODES):
                if b in edges[a] and a not in shortest:
                    shortest[a] = shortest[b] + 1
                    waiting.append(a)
        if len(shortest) == NODES and max(shortest.values()) < LONGEST:
            return edges, shortest


def letter(node: int) -> str:
    """A node as text."""
    return chr(97 + node)


def made(folder: Path, seed: int) -> Task:
    """The task, and policy/ that has imitated random walks."""
    edges, shortest = graph(seed)
    draw = np.random.default_rng([seed, 1])
    walks: list[list[int]] = []
    while len(walks) < WALKS:
        walk = [int(draw.integers(1, NODES))]
        while walk[-1] != GOAL and len(walk) < LONGEST:
            walk.append(int(draw.choice(edges[walk[-1]])))
        walks.append(walk)
    folder.mkdir(parents=True, exist_ok=True)
    start = network(NODES, width=96, layers=3, context=16, seed=seed, spread=0.1, chain=False, guard=16)
    save(folder / "start", start, codec(NODES, 16))
    rows = [
        Demonstration(
            id=f"{i}",
            messages=(Message(role="user", content=letter(walk[0])),),
            response="".join(map(letter, walk[1:])),
            source="random walk",
        )
        for i, walk in enumerate(walks)
    ]
    write_records(folder / "walks.jsonl", rows)
    prompts = [letter(node) for node in range(NODES) if node != GOAL]
    table = {
        "edges": {letter(a): "".join(map(letter, there)) for a, there in edges.items()},
        "shortest": {letter(a): length for a, length in shortest.items()},
    }
    task = write_task(folder, prompts, LONGEST, WORTH, table)
    learned = sft.train(
        SFTConfig(
            out=str(folder / "sft"),
            model=str(folder / "start"),
            demonstrations=str(folder / "walks.jsonl"),
            epochs=10,
            lr=0.002,
            seed=seed,
            dtype="float32",
            threads=1,
        )
    )
    (folder / "policy").symlink_to(Path(learned).resolve())
    return task


def optimality(policy: str | Path, task: Task) -> float:
    """Mean over 50 walks from every node."""
    scope: dict[str, Any] = {"__file__": str(task.folder / "reward.py")}
    exec(compile((task.folder / "reward.py").read_text(), "reward.py", "exec"), scope)
    network = causal(str(policy), placement("cpu", "float32"))
    asked = [[BEGIN, FIRST + ord(prompt) - 97] for prompt in task.prompts]
    drawn = InProcess(network).sample(asked, SamplingConfig(max_new_tokens=LONGEST), 12345, copies=50)
    texts = [network.codec.decode(one.tokens) for one in drawn]
    prompts = [prompt for prompt in task.prompts for _ in range(50)]
    return float(np.mean(scope["score"](prompts, texts)))


def one(algorithm: str, seed: int, folder: Path, own: dict[str, Any]) -> dict[str, Any]:
    """Learns the task, and measures what came of it."""
    task = made(folder, seed)
    train, config, wanted = ALGORITHMS[algorithm]
    begun = time.process_time()
    settings = {"steps": STEPS, "rollouts_per_step": PER_STEP, **LEARNED, **wanted, "save_every": EARLY, **own}
    policy = train(config(**task.settings(out=str(folder / "run"), seed=seed, **settings)))
    seconds = time.process_time() - begun
    early = folder / "run" / "models" / f"step-{EARLY:06d}"
    found = {"start": optimality(folder / "policy", task), "early": optimality(early, task)}
    return {"algorithm": algorithm, "seed": seed, "seconds": seconds, **found, "end": optimality(policy, task)}


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line for each algorithm, a number for each seed."""
    lines = ["| algorithm | after imitation | within 4,000 samples | after 25,600 | CPU s |", "|---|---|---|---|---|"]
    for algorithm in dict.fromkeys(row["algorithm"] for row in rows):
        some = [row for row in rows if row["algorithm"] == algorithm]
        cells = [", ".join(f"{row[name]:.3f}" for row in some) for name in ("start", "early", "end")]
        lines.append(f"| {algorithm} | {' | '.join(cells)} | {sum(r['seconds'] for r in some) / len(some):.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    shown(
        __file__,
        {"algorithms": ",".join(ALGORITHMS), "seeds": "0,1,2"},
        lambda job, folder, own: one(job[0], int(job[1]), folder, own),
        table,
    )
