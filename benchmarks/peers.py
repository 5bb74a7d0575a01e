"""Training beside TRL: the same model, the same rows, one thread, in turns; a table in Markdown.

    TRL=PYTHON TRL_PPO=PYTHON python benchmarks/peers.py [model=small|medium|FOLDER] [jobs=sft,reward] [turns=2]
        [steps=6] [adapter=none|lora] [rollouts=32]

TRL and TRL_PPO are the Pythons of environments with trl 1.16 and trl 1.12, the last that had PPO; what is not there is
left out. Each job runs in processes of its own, ours and theirs by turns; theirs in float32 or bfloat16, whichever is
faster, ours as it chooses. PPO writes `rollouts` responses a step: fewer where TRL needs more memory than there is.
What is measured are whole steps of both trainers, the first ones left out: CPU seconds, peak memory, and the share of
what this machine's matrix products can do at most, by the products that a step makes.
"""

import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers_trl import DIRECT, DRIFT, EPOCHS, GROUP, GROUPED, Spec, theirs

JOBS = (
    "sft", "sft-ragged", "reward", "reward-128", "rankings", "ppo-shared", "ppo-separate", *GROUPED, *DIRECT,
)  # fmt: skip
SIZES = {"small": (256, 4, 512), "medium": (512, 8, 8192)}
"""name -> width, layers, vocabulary: 3.4 and 34 million weights"""
SKIPPED = 2
"""Steps before the clock starts."""
WORDS = [f"where is my parcel {i}? i am sorry it is on its way, number {i * i}" for i in range(2000)]


class _Done(BaseException):
    """Ends a trainer once its steps are measured, without what it does at its end."""


class Clock:
    """Told of every step of a trainer; ends it after the last."""

    def __init__(self, spec: Spec) -> None:
        self.spec, self.done, self.begun, self.seconds = spec, 0, 0.0, 0.0
        self.counter: Any = None

    def step(self) -> None:
        """A step is done. The last one counts products, and is not timed. Raises: _Done after it."""
        from torch.utils.flop_counter import FlopCounterMode

        self.done += 1
        if self.done == SKIPPED:
            self.begun = time.process_time()
        if self.done == SKIPPED + self.spec["steps"]:
            self.seconds = time.process_time() - self.begun
            self.spec["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            self.counter = FlopCounterMode(display=False)
            self.counter.__enter__()
        if self.done > SKIPPED + self.spec["steps"]:
            self.counter.__exit__(None, None, None)
            raise _Done


def measured(spec: Spec, train: Callable[[Clock], object]) -> Spec:
    """Runs a trainer. Returns: CPU seconds a step, peak memory in MB, teraflops a step, what products reach at most."""
    import torch

    torch.set_num_threads(1)
    clock = Clock(spec)
    try:
        train(clock)
    except _Done:
        flops = clock.counter.get_total_flops()
        return {
            "seconds": clock.seconds / spec["steps"],
            "peak": spec["peak"] / 1024,
            "flops": flops,
            "ceiling": ceiling(torch.bfloat16 if spec["bf16"] else torch.float32),
        }
    raise RuntimeError(f"only {clock.done} steps")


def ceiling(dtype: Any) -> float:
    """Operations a second of the best of a few matrix products."""
    import torch

    x, w = torch.randn(2048, 768, dtype=dtype), torch.randn(768, 768, dtype=dtype)
    best = 0.0
    for _ in range(8):
        begun = time.process_time()
        for _ in range(4):
            x @ w
        best = max(best, 4 * 2 * 2048 * 768 * 768 / (time.process_time() - begun))
    return best


def ours(spec: Spec, clock: Clock) -> None:
    """One of our stages, as the command runs it."""
    import torch

    from prefloop.align import ppo
    from prefloop.align.config import PPOConfig
    from prefloop.reward import stage as reward
    from prefloop.reward.config import RewardConfig
    from prefloop.run import Run
    from prefloop.sft import stage as sft
    from prefloop.sft.config import SFTConfig

    folder, job = Path(spec["folder"]), spec["job"]
    shared: Spec = {"out": tempfile.mkdtemp(dir=folder), "checkpoint_every": 0, "threads": 1, "lr": 1e-5}
    shared |= {} if spec["adapter"] == "auto" else {"adapter": spec["adapter"]}
    torch.manual_seed(0)
    if job == "dpo-cached":  # a run before this one has read the reference
        shared["reuse"] = str(_directly(spec, {**shared, "out": tempfile.mkdtemp(dir=folder)}).parents[1])
    Run.log = lambda self, step, metrics: clock.step()  # type: ignore[method-assign]
    if job in DIRECT:
        _directly(spec, shared)
    elif job.startswith("sft"):
        files = {"model": spec["model"], "demonstrations": str(folder / "demonstrations.jsonl")}
        sft.train(SFTConfig(**files, **shared, epochs=1, batch_tokens=spec["tokens"], validation=1e-6))
    elif job.startswith("ppo"):
        files = {"policy": spec["model"], "reward": spec["scorer"], "prompts": str(folder / "prompts.jsonl")}
        critic = job.removeprefix("ppo-")
        sizes = {"rollouts_per_step": spec["rows"], "minibatch_size": spec["rows"], "max_new_tokens": 48, "steps": 1000}
        ppo.train(PPOConfig(**files, **shared, **sizes, critic=critic))
    elif job in GROUPED:
        _in_groups(spec, shared)
    else:
        files = {"model": spec["model"], "preferences": str(folder / "preferences.jsonl")}
        held_out = str(folder / "held_out.jsonl")
        reward.train(RewardConfig(**files, **shared, held_out=held_out, batch_pairs=spec["rows"]))


def _in_groups(spec: Spec, shared: Spec) -> None:
    """GRPO, or RLOO."""
    from prefloop.align import grpo, rloo
    from prefloop.align.config import GRPOConfig, RLOOConfig

    given = {"policy": spec["model"], "reward": spec["scorer"], "prompts": str(Path(spec["folder"], "prompts.jsonl"))}
    given |= {"rollouts_per_step": spec["rows"], "minibatch_size": spec["rows"], "max_new_tokens": 48, "steps": 1000}
    given |= {"responses_per_prompt": GROUP, "epochs": EPOCHS, "kl_coef": DRIFT, **shared}
    if spec["job"].startswith("grpo"):
        grpo.train(GRPOConfig(**given))
    else:
        rloo.train(RLOOConfig(**given))


def _directly(spec: Spec, shared: Spec) -> Path:
    """DPO, or KTO."""
    from prefloop.direct import dpo, kto
    from prefloop.direct.config import DPOConfig, KTOConfig

    files = {name: str(Path(spec["folder"], f"{name}.jsonl")) for name in ("preferences", "held_out")}
    given = {"policy": spec["model"], "batch_pairs": spec["rows"], "num_samples": 0, "beta": 0.1, **files, **shared}
    if spec["job"] == "kto":
        return kto.train(KTOConfig(**given | {"batch_pairs": spec["rows"] // 2}))
    return dpo.train(DPOConfig(**given))


def prepared(folder: Path, job: str, model: str, rollouts: int) -> Spec:
    """Writes a job's rows, as text for ours and as tokens for theirs.

    Args:
        rollouts: of a step of PPO.

    Returns: its sizes.
    """
    from prefloop.models.load import codec_of
    from prefloop.records import Message

    codec, rng = codec_of(model), random.Random(job)
    words = ["where", "is", "my", "parcel", "i", "am", "sorry", "it", "on", "its", "way", "number"]

    def text(tokens: int) -> str:
        said = ""
        while len(codec.response_ids(said or "i")) < tokens:
            said = f"{said} {rng.choice(words)}".strip()
        return said

    def prompt(tokens: int) -> tuple[tuple[Message, ...], list[int]]:
        said = "hello"
        while len(codec.prompt_ids((Message(role="user", content=said),))) < tokens:
            said = f"{said} {rng.choice(words)}"
        messages = (Message(role="user", content=said),)
        return messages, codec.prompt_ids(messages)

    def write(name: str, rows: list[Spec]) -> None:
        lines = [json.dumps({**row, "messages": [m.model_dump() for m in row["messages"]]}) for row in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")

    tokens: list[Any] = []
    rows: list[Spec] = []
    if job.startswith("sft"):
        many = 8 if job == "sft" else 16
        for _ in range(many * 24):
            messages, ids = prompt(56 if job == "sft" else rng.randrange(20, 120))
            response = text(256 - len(ids) if job == "sft" else rng.randrange(10, 200))
            rows.append({"id": f"d{len(rows)}", "messages": messages, "response": response})
            tokens.append([ids, codec.response_ids(response)])
        write("demonstrations", rows)
        each = sum(len(p) + len(r) for p, r in tokens) / len(tokens)
        longest = max(len(p) + len(r) for p, r in tokens)
        budget = many * longest if job == "sft" else round(many * each)
        sizes = {"rows": many, "tokens": budget, "counted": many * each}
    elif job.startswith("ppo") or job in GROUPED:
        for _ in range(256):
            messages, ids = prompt(256 if job == "grpo-256" else 16)
            rows.append({"id": f"p{len(rows)}", "messages": messages})
            tokens.append(ids if job not in GROUPED else [m.model_dump() for m in messages])
        write("prompts", rows)
        sizes = {"rows": rollouts, "counted": rollouts * 48}
    elif job in DIRECT:
        _direct_rows(folder, job, prompt, text, codec.response_ids, rng)
        rows_of = json.loads((folder / "tokens.json").read_text())
        sizes = {"rows": 16}
        sizes["counted"] = (
            16 * sum(len(ids) for row in rows_of for ids in row.values() if isinstance(ids, list)) / len(rows_of)
        )
        return sizes
    else:
        lengths = {"reward": (40, 80, 40, 80, 2), "reward-128": (20, 48, 20, 80, 2), "rankings": (256, 257, 64, 65, 4)}
        shortest, longest, few, most, ranked = lengths[job]
        for _ in range(384 if ranked == 2 else 90):
            messages, ids = prompt(rng.randrange(shortest, longest))
            said = [text(rng.randrange(few, most)) for _ in range(ranked)]
            for i in range(ranked):
                for j in range(i + 1, ranked):
                    pair = {"chosen": said[i], "rejected": said[j]}
                    rows.append({"id": f"r{len(rows)}", "messages": messages, **pair})
                    tokens.append([ids + codec.response_ids(text) for text in (said[i], said[j])])
        rows = [row for row in rows if row["chosen"] != row["rejected"]]
        write("preferences", rows[:-6])
        write("held_out", rows[-6:])
        sizes = {"rows": 16 if ranked == 2 else 24}
        sizes["counted"] = sizes["rows"] * sum(len(c) + len(r) for c, r in tokens) / len(tokens)
    (folder / "tokens.json").write_text(json.dumps(tokens))
    return sizes


def _direct_rows(
    folder: Path, job: str, prompt: Callable[[int], Any], text: Callable[[int], str], ids: Any, rng: random.Random
) -> None:
    """Pairs, or responses with thumbs, for both sides: 16 more than are learned from, as rows and as tokens."""
    rows: list[Spec] = []
    tokens: list[Spec] = []
    for i in range(16 * 12):
        messages, asked = prompt(rng.randrange(40, 80))
        said = [text(rng.randrange(40, 80)) for _ in range(1 if job == "kto" else 2)]
        shared = {"id": f"r{i}", "messages": [m.model_dump() for m in messages]}
        if job == "kto":
            rows.append({**shared, "responses": said, "thumbs": [i % 2 == 0]})
            tokens.append({"prompt_ids": asked, "completion_ids": ids(said[0]), "label": i % 2 == 0})
            tokens[-1]["KL_completion_ids"] = tokens[max(0, i - 1)]["completion_ids"]
        else:
            rows.append({**shared, "chosen": said[0], "rejected": said[1]})
            tokens.append({"prompt_ids": asked, "chosen_ids": ids(said[0]), "rejected_ids": ids(said[1])})
    if job == "kto":
        tokens[0]["KL_completion_ids"] = tokens[-1]["completion_ids"]
    for name, some in (("preferences", rows[:-16]), ("held_out", rows[-16:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    (folder / "tokens.json").write_text(json.dumps(tokens))


def random_model(folder: Path, name: str) -> str:
    """A random Llama of a size. Returns: its folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from prefloop.models.load import save_model
    from prefloop.pretrain.tokenizer import trained_tokenizer
    from prefloop.text.codec import Codec
    from prefloop.text.templates import template_text

    width, layers, vocabulary = SIZES[name]
    tokenizer = trained_tokenizer(WORDS, vocab_size=512)
    tokenizer.chat_template = template_text("turns")
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=width * 8 // 3 // 32 * 32,
        tie_word_embeddings=False,
        num_hidden_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=1024,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    save_model(folder / name, LlamaForCausalLM(config), Codec(tokenizer, (int(tokenizer.eos_token_id),), 1024))
    return str(folder / name)


def reward_model(folder: Path, model: str) -> str:
    """A reward model with a random head of the same base. Returns: its folder."""
    import torch

    from prefloop.models.device import Placement
    from prefloop.models.load import save_model, scalar

    network = scalar(model, Placement(torch.device("cpu")), fresh_head=True)
    torch.nn.init.normal_(network.pretrained.get_submodule("score").get_parameter("weight"), std=0.02)
    save_model(folder / "scorer", network.pretrained, network.codec)
    return str(folder / "scorer")


def in_a_process(python: str, side: str, spec: Spec) -> Spec:
    """A measurement in a process of its own."""
    here = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    here["TRL_EXPERIMENTAL_SILENCE"] = "1"
    command = [python, "-W", "ignore", __file__, side, json.dumps(spec)]
    out = subprocess.run(command, env=here, capture_output=True, text=True, check=False)
    if out.returncode:
        raise RuntimeError(f"{side}, {spec['job']}: {out.stderr[-3000:]}")
    return json.loads(out.stdout.strip().splitlines()[-1])


def row(job: str, python: str, spec: Spec, turns: int) -> str:
    """A line of the table: ours and theirs by turns, theirs in its faster precision."""
    import torch

    from prefloop.models.device import has_bfloat16

    half = has_bfloat16(torch.device("cpu"))

    def their(bf16: bool) -> Spec:
        return in_a_process(python, "theirs", {**spec, "bf16": bf16})

    tried = {bf16: their(bf16) for bf16 in ([True, False] if half else [False])}
    faster = min(tried, key=lambda bf16: tried[bf16]["seconds"])
    pairs = [(in_a_process(sys.executable, "ours", {**spec, "bf16": half}), their(faster)) for _ in range(turns)]
    ratios = [theirs["seconds"] / ours["seconds"] for ours, theirs in pairs]
    cells = []
    for side in (0, 1):
        best = min((pair[side] for pair in pairs), key=lambda each: each["seconds"])
        share = statistics.median(pair[side]["flops"] / pair[side]["seconds"] / pair[side]["ceiling"] for pair in pairs)
        cells += [f"{spec['counted'] / best['seconds']:.0f}", f"{best['peak']:.0f}", f"{share:.0%}"]
    spread = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
    memory = min(ours["peak"] for ours, _ in pairs) / min(theirs["peak"] for _, theirs in pairs)
    precision = "bfloat16" if faster else "float32"
    others = f"{cells[3]} ({precision}) | {cells[2]} | {cells[5]} | {cells[1]} | {cells[4]} |"
    return f"| {job} | {spread} | {memory:.2f} | {cells[0]} | {others}"


def main(arguments: list[str]) -> None:
    """Prints the table."""
    given = dict(argument.split("=", 1) for argument in arguments)
    pythons = {"ppo": os.environ.get("TRL_PPO"), "trl": os.environ.get("TRL")}
    model, turns, steps = given.get("model", "small"), int(given.get("turns", "2")), int(given.get("steps", "6"))
    rollouts = int(given.get("rollouts", "32"))
    jobs = [job for job in JOBS if job in given.get("jobs", ",".join(JOBS)).split(",")]
    head = "| job | faster than TRL by | memory, ours to theirs | ours, tokens per CPU s | TRL "
    head += "| ours, share of products | TRL | ours, MB | TRL |"
    print(
        f"{model}, {given.get('adapter', 'full weights')}\n\n{head}\n|---|---|---|---|---|---|---|---|---|", flush=True
    )
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        base = random_model(folder, model) if model in SIZES else model
        scorer = reward_model(folder, base) if any(job.startswith("ppo") or job in GROUPED for job in jobs) else ""
        for job in jobs:
            python = pythons["ppo" if job.startswith("ppo") else "trl"]
            if python is None or not Path(python).is_file():
                print(
                    f"{job}: left out, for no Python with TRL is named ({'TRL_PPO' if 'ppo' in job else 'TRL'}=PYTHON)."
                )
                continue
            (folder / job).mkdir()
            spec = {"job": job, "folder": str(folder / job), "model": base, "scorer": scorer, "steps": steps}
            spec["all_steps"] = SKIPPED + steps + 1
            spec["adapter"] = given.get("adapter", "auto")
            print(row(job, python, spec | prepared(folder / job, job, base, rollouts), turns), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] in (["ours"], ["theirs"]):
        side = ours if sys.argv[1] == "ours" else theirs
        given = json.loads(sys.argv[2])
        print(json.dumps(measured(given, lambda clock: side(given, clock))))
    else:
        main(sys.argv[1:])
