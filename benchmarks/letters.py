"""Small worlds of single letters, where what is best is known: models, rewards and exact values.

A model here has one token for each letter, so that a response is a path, and all that it may say can be enumerated or
summed over by dynamic programming. Shapes: V tokens, R responses, T tokens of the longest, S states.
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders
from tokenizers import models as pieces
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from prefloop.files.tables import write_records
from prefloop.models.load import save_model
from prefloop.records import Message, Prompt
from prefloop.text.codec import Codec
from prefloop.text.templates import template_text

PAD, BEGIN, END, FIRST = 0, 1, 2, 3
"""Tokens: padding, and the beginning of every text, neither of which is ever said; the end of a response; the first
letter. Without a beginning `a` and `aa` would look alike to attention, whose places are relative."""
NEVER = -30.0
"""Logit of what is never said, beside others around 0."""
REWARD = '''"""Looks a response up in the table beside this file."""
import json
from pathlib import Path

TABLE = json.loads((Path(__file__).parent / "table.json").read_text())


def score(prompts, responses):
    return [worth(prompt, response) for prompt, response in zip(prompts, responses)]


'''


def codec(num_letters: int, context: int) -> Codec:
    """A tokenizer of the letters a, b, c, ... whose prompt is written without markers."""
    words = {"<|pad|>": PAD, "<|begin|>": BEGIN, "<|end|>": END, **{chr(97 + i): FIRST + i for i in range(num_letters)}}
    tokenizer = Tokenizer(pieces.BPE(vocab=words, merges=[]))
    tokenizer.decoder = decoders.Fuse()
    marks = {"pad_token": "<|pad|>", "bos_token": "<|begin|>", "eos_token": "<|end|>"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks)
    fast.chat_template = template_text("plain")
    return Codec(fast, (END,), context)


def network(
    num_letters: int, *, width: int, layers: int, context: int, seed: int, spread: float, chain: bool, guard: int = 1
) -> LlamaForCausalLM:
    """A small Llama.

    Args:
        spread: deviation of its logits.
        chain: what it says depends on the last token alone, as a Markov chain's, until its layers have learned.
        guard: coordinates that all tokens' embeddings have alike, on which the logit of what is never said hangs. The
            layers may move one of them through 0 in a few dozen updates, and that is then said all the time.
    """
    vocabulary = FIRST + num_letters
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=context,
        bos_token_id=BEGIN,
        eos_token_id=END,
        pad_token_id=PAD,
        tie_word_embeddings=False,
        initializer_range=1 / width**0.5,
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        for name, written in model.model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                written[: None if chain else 1] = 0.0
        embedding, head = model.model.embed_tokens.weight, model.lm_head.weight
        embedding.normal_()
        embedding[:, :guard] = 1.0  # of all tokens alike, for what does not depend on them
        head.normal_(std=spread / width**0.5)
        head[[PAD, BEGIN]] = 0.0
        head[[PAD, BEGIN], :guard] = NEVER / guard
    return model


def save(folder: Path, model: PreTrainedModel, made: Codec) -> None:
    """Writes the model and its tokenizer."""
    save_model(folder, model, made)


@dataclass(frozen=True)
class Task:
    """Prompts, and what a response is worth in them."""

    folder: Path
    """has policy/, prompts.jsonl, reward.py and table.json"""
    prompts: tuple[str, ...]
    max_new_tokens: int

    def settings(self, **own: Any) -> dict[str, Any]:
        """Settings of a stage that learns it. Args: own: in place of these."""
        return {
            "policy": str(self.folder / "policy"),
            "reward": f"python:{self.folder / 'reward.py'}:score",
            "prompts": str(self.folder / "prompts.jsonl"),
            "max_new_tokens": self.max_new_tokens,
            "unfinished_penalty": 0.0,
            "dtype": "float32",
            "threads": 1,
            "checkpoint_every": 0,
            "save_every": 1_000_000,
            **own,
        }


def write_task(folder: Path, prompts: Sequence[str], max_new_tokens: int, worth: str, table: object) -> Task:
    """Writes what a task is. Args: worth: Python of `worth(prompt, response)`, which may read TABLE."""
    rows = [Prompt(id=one, messages=(Message(role="user", content=one),)) for one in prompts]
    write_records(folder / "prompts.jsonl", rows)
    (folder / "reward.py").write_text(REWARD + worth, encoding="utf-8")
    (folder / "table.json").write_text(json.dumps(table), encoding="utf-8")
    return Task(folder, tuple(prompts), max_new_tokens)


def responses(num_letters: int, longest: int) -> list[tuple[int, ...]]:
    """All that can be said within `longest` tokens: what ends, and what is cut off."""
    letters = range(FIRST, FIRST + num_letters)
    ended = [(*one, END) for n in range(longest) for one in itertools.product(letters, repeat=n)]
    return [*ended, *itertools.product(letters, repeat=longest)]


def said(tokens: Sequence[int]) -> str:
    """A response as text."""
    return "".join(chr(97 + token - FIRST) for token in tokens if token >= FIRST)


@torch.no_grad()
def logprobs_of(model: PreTrainedModel, prompt: str, all_responses: Sequence[tuple[int, ...]]) -> Tensor:
    """(R,) float64 nats of each response to a prompt, by transformers."""
    asked = [BEGIN, *(FIRST + ord(letter) - 97 for letter in prompt)]
    longest = max(map(len, all_responses))
    found: list[Tensor] = []
    for start in range(0, len(all_responses), 2048):
        some = all_responses[start : start + 2048]
        tokens = torch.tensor([[*asked, *one, *[PAD] * (longest - len(one))] for one in some])
        nats = model(tokens).logits[:, len(asked) - 1 : -1].cpu().double().log_softmax(-1)
        wanted = tokens[:, len(asked) :]
        real = torch.arange(longest) < torch.tensor([len(one) for one in some])[:, None]
        found.append(torch.where(real, nats.gather(-1, wanted[..., None])[..., 0], 0.0).sum(1))
    return torch.cat(found)


@dataclass(frozen=True)
class Reached:
    """How good a policy is, beside the best that there is."""

    objective: float
    """reward units: mean score less beta times KL from the reference"""
    best: float
    """reward units: the same of the optimum"""
    kl: float
    """nats from the reference"""
    away: float
    """nats, KL(policy || optimum)"""
    error: float = 0.0
    """standard error of `objective`; 0 where it is exact"""

    @property
    def share(self) -> float:
        """Of the best: the reference has 0, since scores are centred on it."""
        return self.objective / self.best


def reached(policy: str | Path, reference: str | Path, task: Task, scores: Tensor, *, beta: float) -> Reached:
    """Exact values, means over the prompts.

    Args:
        scores: (P, R) of each response to each prompt.
    """
    models = [AutoModelForCausalLM.from_pretrained(path).eval() for path in (policy, reference)]
    num_letters = models[0].config.vocab_size - FIRST
    every = responses(num_letters, task.max_new_tokens)
    found: list[tuple[float, ...]] = []
    for prompt, score in zip(task.prompts, scores, strict=True):
        ours, theirs = (logprobs_of(model, prompt, every) for model in models)
        best = beta * torch.logsumexp(theirs + score / beta, 0)
        optimum = theirs + (score - best) / beta
        share = ours.exp()
        kl = (share * (ours - theirs)).sum()
        found.append((float((share * score).sum() - beta * kl), float(best), float(kl),
                      float((share * (ours - optimum)).sum())))  # fmt: skip
    return Reached(*(sum(column) / len(found) for column in zip(*found, strict=True)))


def centred(policy: str | Path, prompts: Sequence[str], longest: int, raw: Tensor) -> Tensor:
    """(P, R) scores whose mean under the reference is 0 for each prompt, and their variance 1 over all."""
    model = AutoModelForCausalLM.from_pretrained(policy).eval()
    every = responses(model.config.vocab_size - FIRST, longest)
    shares = torch.stack([logprobs_of(model, prompt, every).exp() for prompt in prompts])
    apart = raw - (shares * raw).sum(1, keepdim=True)
    return apart / (shares * apart.square()).sum(1).mean().sqrt()
