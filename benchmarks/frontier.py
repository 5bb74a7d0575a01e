"""Best of n against RL at equal KL, n to 256: two tables in Markdown and a plot.

    DEMO=DIR [RUNS=DIR] python benchmarks/frontier.py [prompts=128] [picture=FILE.svg]

DEMO is what `prefloop run helpdesk out=DIR` wrote, RUNS the `out=` of helpdesk.py. SFT writes 256 responses to each of
the first validation prompts; the reward model chooses among n of them (every n from the same responses, without bias),
and gold says what the chosen one is worth. The KL of best of n is the bound log n - (n - 1) / n; that no policy's is
above it is shown first, exactly, on the tasks of known_optimum.py whose responses are enumerated.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from known_optimum import table_task
from letters import logprobs_of, responses
from torch import Tensor
from transformers import AutoModelForCausalLM

from prefloop.drawing import charts
from prefloop.files.tables import read_records
from prefloop.models.device import placement
from prefloop.models.load import causal
from prefloop.records import Prompt
from prefloop.sampling.in_process import InProcess
from prefloop.scoring.named import scorer
from prefloop.scoring.protocol import of_several
from prefloop.settings import SamplingConfig
from prefloop.stats.best_of import best_of_kl, best_of_mean
from prefloop.stats.intervals import mean_interval
from prefloop.world import gold

SIZES = [2**power for power in range(9)]
STYLE = """<style>text{font:10px sans-serif;fill:#444}.grid,.axis{stroke:#ddd}.bar{stroke:#999}
.dot{fill:#fff;stroke:#345;stroke-width:1.5}.marked{fill:#c40}</style>"""


def exact_kl(nats: Tensor, scores: Tensor, n: int) -> float:
    """KL of the best of n from the policy that wrote them, all responses enumerated; equal scores go by order.

    Args: nats, scores: (R,) of each response.
    """
    order = scores.argsort(stable=True)
    share = nats[order].exp()
    upto = share.cumsum(0) / share.sum()
    below = torch.cat([torch.zeros_like(upto[:1]), upto[:-1]])
    chosen = (upto**n - below**n).clamp_min(1e-300)
    return float((chosen * (chosen.log() - share.log())).sum())


def exact_rows() -> list[str]:
    """Markdown: KL of the best of n beside its bound."""
    lines = ["| n | bound, nats | 13 responses | 7381 responses |", "|---|---|---|---|"]
    found: list[tuple[Tensor, Tensor]] = []
    with tempfile.TemporaryDirectory() as made:
        for letters, longest, prompts in ((3, 2, ("a",)), (9, 4, ("a",))):
            folder = Path(made) / str(letters)
            folder.mkdir()
            _, scores = table_task(folder, letters=letters, longest=longest, prompts=prompts, seed=1)
            model = AutoModelForCausalLM.from_pretrained(folder / "policy").eval()
            found.append((logprobs_of(model, prompts[0], responses(letters, longest)), scores[0]))
    for n in SIZES:
        measured = " | ".join(f"{exact_kl(nats, scores, n):.3f}" for nats, scores in found)
        lines.append(f"| {n} | {best_of_kl(n):.3f} | {measured} |")
    return lines


def chosen(demo: Path, num: int) -> list[dict[str, Any]]:
    """What best of n is worth by the reward model and by gold, with intervals over prompts."""
    place = placement("cpu", "auto")
    policy = causal(str(demo / "sft/model"), place)
    judge = scorer(str(demo / "reward/model"), place)
    prompts = read_records(demo / "world/prompts.validation.jsonl", Prompt)[:num]
    sampler, scores, worth = InProcess(policy), list[list[float]](), list[list[float]]()
    for at, prompt in enumerate(prompts):
        with torch.no_grad():
            ids = [policy.codec.prompt_ids(prompt.messages)]
            sampled = sampler.sample(ids, SamplingConfig(), at, copies=SIZES[-1])
        texts = [policy.codec.decode(one.tokens) for one in sampled]
        scores.append(of_several(judge, [prompt], texts, copies=SIZES[-1]).scores.tolist())
        worth.append([gold.judge(prompt.text, text).utility for text in texts])
    found: list[dict[str, Any]] = []
    for n in SIZES:
        row: dict[str, Any] = {"n": n, "kl": best_of_kl(n)}
        for name, values in (("score", scores), ("utility", worth)):
            means = [best_of_mean(score, n, worth=value) for score, value in zip(scores, values, strict=True)]
            row[name] = sum(means) / len(means)
            row[f"{name}_ends"] = mean_interval(means, confidence=0.95, clusters=[prompt.text for prompt in prompts])
        found.append(row)
    return found


def of_runs(folder: Path) -> list[dict[str, Any]]:
    """What each algorithm's runs came to, means over seeds."""
    rows = [json.loads(file.read_text()) for file in sorted(folder.glob("*/found.json"))]
    found: list[dict[str, Any]] = []
    for name in dict.fromkeys(row["algorithm"] for row in rows):
        some = [row for row in rows if row["algorithm"] == name]

        def mean(values: list[float]) -> float:
            return sum(values) / len(values)

        score, utility = (mean([row["points"]["after"][i] for row in some]) for i in (0, 1))
        kl = mean([row["kl"] for row in some])
        found.append({"name": name, "num": len(some), "kl": kl, "score": score, "utility": utility})
    return found


def picture(best: list[dict[str, Any]], runs: list[dict[str, Any]]) -> str:
    """Gold utility against KL: best of n (its n beside it) and each algorithm, as an SVG of its own."""
    dots = [charts.Dot(row["kl"], row["utility"], row["utility_ends"], str(row["n"])) for row in best]
    dots += [charts.Dot(row["kl"], row["utility"], None, row["name"], marked=True) for row in runs]
    drawn = str(charts.scatter(dots, label="gold utility against KL", x_name="KL from SFT, nats per response"))
    head, _, rest = drawn.partition(">")
    return f'{head} xmlns="http://www.w3.org/2000/svg">{STYLE}{rest}\n'


def main(typed: list[str]) -> None:
    """Prints the tables, and draws."""
    print("\n".join(exact_rows()), end="\n\n")
    if "DEMO" not in os.environ:
        print("frontier.py needs DEMO=DIR, what `prefloop run helpdesk out=DIR` wrote, for the rest. Skipped.")
        return
    given = dict(word.split("=", 1) for word in typed)
    torch.set_num_threads(1)
    best = chosen(Path(os.environ["DEMO"]), int(given.get("prompts", "128")))
    runs = of_runs(Path(os.environ["RUNS"])) if "RUNS" in os.environ else []
    print("| | KL, nats | score | gold utility |\n|---|---|---|---|")
    for row in best:
        cells = [f"{row[name]:.2f} [{row[f'{name}_ends'][0]:.2f}, {row[f'{name}_ends'][1]:.2f}]" for name in
                 ("score", "utility")]  # fmt: skip
        print(f"| best of {row['n']} | {row['kl']:.2f} | {' | '.join(cells)} |")
    for row in runs:
        print(f"| {row['name']}, {row['num']} seeds | {row['kl']:.2f} | {row['score']:.2f} | {row['utility']:.2f} |")
    if "picture" in given:
        Path(given["picture"]).write_text(picture(best, runs), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
