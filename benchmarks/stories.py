"""Does PPO on somebody's pretrained storyteller work, and do the stories stay readable?

    python benchmarks/stories.py BASE [OUT]

Runs recipes/stories.yaml from BASE (a Hugging Face folder or hub id, tuned for TinyStories 260K) in OUT, reads its
evaluation, and asks the base model how surprising the stories have become. Writes docs/results/stories.md.
Without BASE it says so and stops: the model is not part of the project.
"""

import json
import math
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from prefloop.evaluate.config import EvaluateConfig
from prefloop.evaluate.measure import answers
from prefloop.files.foreign import read_prompts
from prefloop.models.device import Placement
from prefloop.models.load import causal
from prefloop.models.stream import ResponseStream
from prefloop.rounds.command import run
from prefloop.rounds.recipe import load
from prefloop.scoring.named import scorer

TABLE = Path(__file__).parents[1] / "docs" / "results" / "stories.md"
CPU = Placement(torch.device("cpu"))


def main() -> None:
    """Runs and reports."""
    if len(sys.argv) < 2:
        print("stories.py needs a base model: python benchmarks/stories.py BASE [OUT]. Skipped.")
        return
    base, out = sys.argv[1], Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp())
    recipe = load("stories", [f"base={base}", f"out={out}", "threads=1"])
    started = time.process_time()
    run(recipe)
    seconds = time.process_time() - started
    evaluation = json.loads((out / "evaluate" / "evaluation.json").read_text(encoding="utf-8"))
    names = ("reference", evaluation["selected"])
    settings = EvaluateConfig.parse(
        json.loads((out / "evaluate" / "run.json").read_text(encoding="utf-8"))["config"], where="evaluate"
    )
    surprise = {name: perplexity_of(evaluation["models"][name]["path"], base, settings) for name in names}
    text = page(evaluation, names, surprise, seconds)
    TABLE.write_text(text, encoding="utf-8")
    print(text)


@torch.no_grad()
def perplexity_of(path: str, base: str, settings: EvaluateConfig) -> float:
    """How surprised the base model is, at each token of what a model writes to the test openings."""
    AutoModelForCausalLM.from_pretrained(path)  # a plain Hugging Face folder, or this raises
    reader, writer = causal(base, CPU, template=settings.template), causal(path, CPU, template=settings.template)
    prompts = list(read_prompts(settings.test_prompts).records)
    assert settings.reward is not None  # the recipe names one
    written = answers(writer, reader, prompts, scorer(settings.reward, CPU), None, settings)
    ids = [reader.codec.prompt_ids(p.messages) for p in prompts]
    total, count = 0.0, 0
    for start in range(0, len(written), 40):
        few = [reader.codec.response_ids(a.text, finished=a.finished) for a in written[start : start + 40]]
        packed = ResponseStream.of(ids[start : start + 40], few, CPU.device)
        logprobs = reader.logprobs(packed, temperature=1.0)
        total, count = total - float(logprobs.double().sum()), count + len(logprobs)
    return math.exp(total / count)


def page(evaluation: dict, names: tuple[str, str], surprise: dict[str, float], seconds: float) -> str:
    """The table and some stories, as Markdown."""
    before, after = (evaluation["models"][name]["test"] for name in names)
    rate = after["win_rate"]
    rows = [
        ("score (0 to 5)", *(interval(m["score"]) for m in (before, after))),
        ("ends by itself", *(f"{m['finished']:.0%}" for m in (before, after))),
        ("tokens", *(f"{m['length']:.0f}" for m in (before, after))),
        ("repeated word pairs", *(f"{m['repetition']:.1%}" for m in (before, after))),
        ("distinct word pairs", *(f"{m['distinct_2']:.1%}" for m in (before, after))),
        ("perplexity under the base", *(f"{surprise[name]:.2f}" for name in names)),
        ("KL from the base, nats per story", "0", interval(after["kl_nats"])),
        (
            "win rate over the base, judged by the reward itself",
            "",
            f"{rate['mean']:.0%} [{rate['low']:.0%}, {rate['high']:.0%}]",
        ),
    ]
    lines = [
        "# stories",
        "",
        "Written by `python benchmarks/stories.py BASE`, BASE being a TinyStories model of 260 thousand parameters.",
        "",
    ]
    lines += [f"| {before['num_prompts']} new openings | base | {names[1]} |", "|---|---|---|"]
    lines += [f"| {name} | {first} | {second} |" for name, first, second in rows]
    lines += [
        "",
        f"CPU seconds in all, one thread: {seconds:.0f}. {evaluation['reason'][0].upper()}{evaluation['reason'][1:]}",
        "",
    ]
    lines += ["The first three test openings, not chosen:", ""]
    for sample in [s for s in evaluation["samples"] if s["split"] == "test"][:3]:
        lines += [f"**{sample['prompt']}**", ""]
        lines += [
            f"- {side}: {' '.join(sample[key]['text'].split())}"
            for side, key in (("base", "reference"), (names[1], "selected"))
        ]
        lines.append("")
    return "\n".join(lines)


def interval(found: dict) -> str:
    """A mean with its interval."""
    return f"{found['mean']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


if __name__ == "__main__":
    main()
