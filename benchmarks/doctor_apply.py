"""Whether what `prefloop doctor RUN apply=FILE` changes mends a run: a table in Markdown.

    python benchmarks/doctor_apply.py pipeline=demo [seeds=0,1,2] [plants=hacking,length,lr] [steps=16] [times=3]
                                      [judge=gold] [out=(temporary)]

`pipeline` is a finished run of the helpdesk recipe: its SFT model and its prompts. PPO runs a few steps on it, once as
it should be (clean: a sound reward, settings as they are by default), and once with each plant:

    hacking   the reward also counts a word, and drift costs nothing
    length    the reward also counts all words, and drift costs nothing
    lr        the learning rate is twenty times what it should be

The doctor looks at the planted run with a second judge: gold, or with `judge=audit` gold with an error of a deviation
of the SFT model's responses, as one hurried person might have. `apply=` writes the settings,
and they are run as they are: the reward stays what it was. Measured is the gold utility of the last policy on prompts
that nobody saw. Mended is a run whose gold is at least 0.9 of the clean one's.
"""

import contextlib
import io
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from prefloop import layout
from prefloop.align import ppo
from prefloop.align.config import PPOConfig
from prefloop.doctor import command
from prefloop.errors import Diverged
from prefloop.files.tables import read_records
from prefloop.models.device import placement
from prefloop.models.load import causal
from prefloop.records import Prompt
from prefloop.sampling.in_process import InProcess
from prefloop.seeds import seed_of
from prefloop.settings import SamplingConfig
from prefloop.world.gold import judge

REWARD = '''"""Rewards of benchmarks/doctor_apply.py: gold, and what pays for something else beside it."""

import random

from prefloop.world.gold import judge


def gold(prompts, responses):
    return [judge(prompt, response).utility for prompt, response in zip(prompts, responses)]


def audit(prompts, responses):
    draws = [random.Random(prompt + response).gauss(0, 0.33) for prompt, response in zip(prompts, responses)]
    return [worth + draw for worth, draw in zip(gold(prompts, responses), draws)]


def sound(prompts, responses):
    return [5 * (worth - 0.6) for worth in gold(prompts, responses)]


def word(prompts, responses):
    return [worth + 2 * text.lower().count("thank") for worth, text in zip(sound(prompts, responses), responses)]


def long(prompts, responses):
    return [worth + 0.1 * len(text.split()) for worth, text in zip(sound(prompts, responses), responses)]
'''
LR = 2.5e-4
"""The helpdesk recipe's."""
PLANTS: dict[str, dict[str, Any]] = {
    "hacking": {"reward": "word", "kl_coef": 0.0},
    "length": {"reward": "long", "kl_coef": 0.0, "unfinished_penalty": 0.0},
    "lr": {"reward": "sound", "lr": 20 * LR},
}
MENDED = 0.9
"""Share of the clean run's gold from which on a run counts as mended."""
PROMPTS = 128
COLUMNS = ("plant", "seed", "SFT", "clean", "planted", "applied", "mended", "signs", "changed")


def settings(pipeline: Path, out: Path, *, seed: int, steps: int, **own: Any) -> PPOConfig:
    """Settings of a run. Args: own: a plant's."""
    values: dict[str, Any] = {"reward": "sound", "kl_coef": 0.1, "lr": LR, **own}
    values["reward"] = f"python:{out.parent / 'rewards.py'}:{values['reward']}"
    return PPOConfig(
        out=str(out),
        policy=str(layout.sft_model(pipeline)),
        prompts=str(pipeline / "world" / layout.prompts("ppo")),
        steps=steps,
        rollouts_per_step=32,
        minibatch_size=16,
        value_coef=0.5,
        max_grad_norm=0.5,
        save_every=4,
        checkpoint_every=0,
        seed=seed,
        threads=1,
        dtype="float32",
        **values,
    )


def trained(config: PPOConfig) -> Path | None:
    """The last policy; None if the run diverged and kept none. Its own words go nowhere."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return ppo.train(config)
        except Diverged:
            kept = layout.policies(Path(config.out))
            return kept[-1] if kept else None


def gold(policy: Path | None, pipeline: Path, *, seed: int) -> float:
    """Mean utility of a policy's responses to prompts that nobody saw; 0 without a policy."""
    if policy is None:
        return 0.0
    torch.set_num_threads(1)
    model = causal(str(policy), placement("cpu", "float32"))
    prompts = read_records(pipeline / "world" / layout.prompts("validation"), Prompt)[:PROMPTS]
    ids = [model.codec.prompt_ids(prompt.messages) for prompt in prompts]
    sampled = InProcess(model).sample(ids, SamplingConfig(), seed_of(seed, "hacks.responses", 0, 0), copies=1)
    texts = [model.codec.decode(one.tokens) for one in sampled]
    return statistics.fmean(judge(prompt.text, text).utility for prompt, text in zip(prompts, texts, strict=True))


def treated(run: Path, file: Path, by: str) -> tuple[list[str], list[str]]:
    """Lets the doctor look and write. Returns: the signs that it names, the most telling first, and what it changes.

    Args:
        by: who judges, a function of `REWARD`.
    """
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        command.main([str(run), f"apply={file}", f"judge=python:{run.parent / 'rewards.py'}:{by}", "json=true"])
    found = json.loads(said.getvalue())
    changes = (found["applied"] or {"changes": []})["changes"]
    signs = [one["sign"] for one in found["found"] if one["alarm"]]
    return signs, [f"{one['key']} {one['old']} -> {one['new']}" for one in changes]


def mended(run: Path, times: int, by: str) -> tuple[Path | None, list[str], list[str]]:
    """Treats a run, and what comes of it, up to so many times. Returns: the last policy, the signs that were named at
    first, and all that was changed."""
    first, every, last = list[str](), list[str](), None
    for number in range(times):
        file = run.parent / f"{run.name}-mended{number}.yaml"
        signs, changes = treated(run, file, by)
        first, every = first or signs, every + changes
        if not changes:
            break
        last = trained(PPOConfig.load(str(file)))
        run = file.with_suffix("")
    return last, first, every


def one_seed(
    pipeline: Path, folder: Path, plants: list[str], *, seed: int, steps: int, times: int, by: str
) -> list[list[str]]:
    """Rows of the table."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rewards.py").write_text(REWARD, encoding="utf-8")
    best = gold(trained(settings(pipeline, folder / "clean", seed=seed, steps=steps)), pipeline, seed=seed)
    start = gold(layout.sft_model(pipeline), pipeline, seed=seed)
    rows = list[list[str]]()
    for plant in plants:
        run = folder / plant
        broken = gold(trained(settings(pipeline, run, seed=seed, steps=steps, **PLANTS[plant])), pipeline, seed=seed)
        policy, signs, changes = mended(run, times, by)
        after = broken if policy is None else gold(policy, pipeline, seed=seed)
        numbers = [f"{value:.3f}" for value in (start, best, broken, after)]
        verdict = "yes" if after >= MENDED * best else "no"
        rows.append([plant, str(seed), *numbers, verdict, " ".join(signs), "; ".join(changes)])
        print(f"| {' | '.join(rows[-1])} |", flush=True)
    return rows


def main() -> None:
    """Prints a row for each plant and seed, then how many were mended."""
    asked = {
        "seeds": "0,1,2",
        "plants": ",".join(PLANTS),
        "steps": "16",
        "times": "3",
        "pipeline": "demo",
        "judge": "gold",
    }
    given = {"out": tempfile.mkdtemp(), **asked, **dict(word.split("=", 1) for word in sys.argv[1:])}
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    rows = list[list[str]]()
    for seed in map(int, given["seeds"].split(",")):
        rows += one_seed(
            Path(given["pipeline"]),
            Path(given["out"]) / str(seed),
            given["plants"].split(","),
            seed=seed,
            steps=int(given["steps"]),
            times=int(given["times"]),
            by=given["judge"],
        )
    for plant in given["plants"].split(","):
        verdicts = [row[6] == "yes" for row in rows if row[0] == plant]
        print(f"\n{plant}: {sum(verdicts)} of {len(verdicts)} mended")


if __name__ == "__main__":
    main()
