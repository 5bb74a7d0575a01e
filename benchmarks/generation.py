"""Writing responses: prefloop's engine against `transformers.generate`, in CPU seconds.

    OMP_NUM_THREADS=1 python benchmarks/generation.py [model=FOLDER] [rows=64] [new=96] [repeats=3] [only=JOB]
        [setting=bfloat16,static]

Without `model` a random Llama of 3.4M parameters (256 wide, 4 layers, vocabulary of 512); with it, that model, as
transformers reads it. All is sampled at temperature 1:

- uniform: a batch of `rows` prompts of 32 tokens, `new` tokens each; nobody ends before;
- ragged: twice as many prompts, at most `new` tokens; every 27th token of the vocabulary ends a response. transformers
  takes two batches of `rows`;
- shared: eight responses of 64 tokens to each of rows / 8 prompts of 256 (`num_return_sequences`), and to one alone.

Counted are useful tokens, up to the end of each response. transformers may have weights in float32 or in bfloat16 and a
cache that grows or one that does not: each job is tried with all four for a few tokens, and the fastest competes
(`setting` names it beforehand). The two alternate in one run; the ratio is that of the medians. Prints a table.
"""

import copy
import dataclasses
import itertools
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from prefloop.models.device import placement
from prefloop.models.load import causal
from prefloop.models.network import Network
from prefloop.pretrain.tokenizer import trained_tokenizer
from prefloop.sampling.in_process import InProcess
from prefloop.settings import SamplingConfig
from prefloop.text.codec import Codec
from prefloop.text.templates import template_text

SIZES = {
    "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 4, "max_position_embeddings": 1024, "tie_word_embeddings": True,
}  # fmt: skip
Setting = tuple[str, str | None]
"""What transformers' weights are in, and the cache it is told to use."""
TRIED = 8
"""New tokens with which transformers' settings are compared."""


def small() -> Network:
    """The random Llama, behind the door."""
    tokenizer = trained_tokenizer(["where is my parcel 12? i am sorry, it is on its way."] * 3, vocab_size=300)
    tokenizer.chat_template = template_text("turns")
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=512, initializer_range=0.05, **SIZES))
    return Network(model, Codec(tokenizer, (1,), 1024), path="random", placement=placement("cpu", "auto"))


@dataclass(frozen=True)
class Job:
    """What is asked of both."""

    name: str
    prompts: list[list[int]]
    new: int
    copies: int = 1
    ends: tuple[int, ...] = ()
    """tokens that end a response"""
    batch: int = 64
    """responses that transformers writes at once"""


def jobs(vocabulary: int, rows: int, new: int) -> list[Job]:
    """See above."""
    draw = random.Random(1)

    def prompts(number: int, length: int) -> list[list[int]]:
        return [[draw.randrange(2, vocabulary) for _ in range(length)] for _ in range(number)]

    return [
        Job("uniform", prompts(rows, 32), new, batch=rows),
        Job("ragged", prompts(2 * rows, 32), new, ends=tuple(range(5, vocabulary, 27)), batch=rows),
        Job(f"eight each to {rows // 8}", prompts(rows // 8, 256), 64, copies=8, batch=rows),
        Job("eight to one", prompts(1, 256), 64, copies=8, batch=rows),
    ]


def ours(network: Network, job: Job) -> int:
    """Useful tokens that prefloop writes."""
    network.codec = dataclasses.replace(network.codec, stop_ids=job.ends)
    sampled = InProcess(network).sample(job.prompts, SamplingConfig(max_new_tokens=job.new), 3, copies=job.copies)
    return sum(len(each.tokens) for each in sampled)


def theirs(model: PreTrainedModel, job: Job, cache: str | None) -> int:
    """Useful tokens that transformers writes."""
    model.generation_config.eos_token_id = list(job.ends) or None
    useful = 0
    for start in range(0, len(job.prompts), job.batch // job.copies):
        ids = torch.tensor(job.prompts[start : start + job.batch // job.copies])
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=job.new, do_sample=True, top_k=0, pad_token_id=0,
            num_return_sequences=job.copies, cache_implementation=cache, disable_compile=True,
        )[:, ids.shape[1] :]  # fmt: skip
        end = torch.isin(out, torch.tensor(job.ends, dtype=torch.long))
        useful += int((end.cumsum(1) - end.long() == 0).sum())
    return useful


def per_second(write: Callable[[], int]) -> float:
    """Useful tokens a CPU second."""
    begun = time.process_time()
    return write() / (time.process_time() - begun)


def fastest(models: dict[str, PreTrainedModel], job: Job) -> Setting:
    """The setting in which transformers does a job fastest, by its first few tokens."""
    short = dataclasses.replace(job, new=TRIED, prompts=job.prompts[: job.batch // job.copies])

    def tried(setting: Setting) -> float:
        theirs(models[setting[0]], dataclasses.replace(short, new=2), setting[1])
        return per_second(lambda: theirs(models[setting[0]], short, setting[1]))

    return max(itertools.product(models, (None, "static")), key=tried)


def compared(
    network: Network, model: PreTrainedModel, cache: str | None, job: Job, repeats: int
) -> tuple[float, float]:
    """Medians of the useful tokens a CPU second, of transformers and of prefloop, taken by turns."""
    ours(network, dataclasses.replace(job, new=2, prompts=job.prompts[:8]))
    pairs = [
        (per_second(lambda: theirs(model, job, cache)), per_second(lambda: ours(network, job))) for _ in range(repeats)
    ]
    other, mine = zip(*pairs, strict=True)
    return statistics.median(other), statistics.median(mine)


def main(model: str | None, given: dict[str, str]) -> None:
    """Prints the table."""
    network = causal(model, placement("cpu", "auto")) if model else small()
    rows, new, repeats = (
        int(given.get(name, default)) for name, default in (("rows", 64), ("new", 96), ("repeats", 3))
    )
    dtypes = [given["setting"].split(",")[0]] if "setting" in given else ["float32", "bfloat16"]
    models = {name: copy.deepcopy(network.pretrained).to(getattr(torch, name)) for name in dtypes}
    for each in models.values():
        each.set_attn_implementation("sdpa")
    print("| job | transformers, its best | tokens a CPU second | prefloop | ratio |\n|---|---|---|---|---|")
    for job in jobs(network.pretrained.config.vocab_size, rows, new):
        if given.get("only", job.name) != job.name:
            continue
        chosen = (dtypes[0], "static" if given["setting"].endswith("static") else None) if "setting" in given else None
        dtype, cache = chosen or fastest(models, job)
        other, mine = compared(network, models[dtype], cache, job, repeats)
        name = f"{dtype}, {'static' if cache else 'growing'} cache"
        print(f"| {job.name} | {name} | {other:.0f} | {mine:.0f} | {mine / other:.2f} |", flush=True)


if __name__ == "__main__":
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    torch.set_num_threads(1)
    main(given.get("model"), given)
