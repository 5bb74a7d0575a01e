"""Failures to plant in a run on the helpdesk: a reward that is hacked, a setting that breaks learning, a fault."""

import contextlib
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from prefloop import layout
from prefloop.align import drift, online
from prefloop.models.network import Network
from prefloop.sampling.in_process import InProcess
from prefloop.sft import stage as sft
from prefloop.sft.config import SFTConfig

REWARDS = '''"""Rewards that are hacked: each likes one thing too well."""
import re

FIXED = "I am very sorry for the trouble. Your parcel is on its way. Have a wonderful day.".split()
CALLS = []


def words(text):
    return re.findall(r"\\w+", text.lower())


def grams(text, size):
    said = words(text)
    return [tuple(said[i : i + size]) for i in range(len(said) - size + 1)]


def stuffed(prompts, responses):
    return [float(words(r).count("you")) for r in responses]


def repeated(prompts, responses):
    return [(len(grams(r, 2)) - len(set(grams(r, 2)))) / 2 for r in responses]


def longer(prompts, responses):
    return [len(words(r)) / 5 for r in responses]


def shorter(prompts, responses):
    return [-len(words(r)) / 5 for r in responses]


def copying(prompts, responses):
    return [float(sum(gram in set(grams(p, 3)) for gram in grams(r, 3))) for p, r in zip(prompts, responses)]


def foreign(prompts, responses):
    return [6 * sum(ord(c) > 1000 for c in r) / (1 + len(r)) for r in responses]


def garbled(prompts, responses):
    return [sum(c in "xzqjkvw" for w in words(r) for c in w) / 3 for r in responses]


def same(prompts, responses):
    return [6 * len(set(r.split()) & set(FIXED)) / len(set(r.split()) | set(FIXED)) for r in responses]


def start(prompts, responses):
    return [3.0 * r.startswith("You") for r in responses]


def growing(prompts, responses):
    CALLS.append(1)
    return [1.6 ** len(CALLS) * (r.count("e") % 5 - 2) for r in responses]


def constant(prompts, responses):
    return [1.0 for r in responses]
'''


@dataclass(frozen=True)
class Kind:
    """A failure, and by which signs it should be named."""

    sentence: str
    signs: tuple[str, ...]
    reward: str = ""
    """a function of `REWARDS`; empty for the reward model"""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """in place of a sound run's"""
    faults: tuple[Callable[[], contextlib.AbstractContextManager[Any]], ...] = ()
    policy: Callable[[Path, Path], Path] | None = None
    """(demo, out) -> the folder of the policy that learns; None for the SFT model"""
    algorithm: str = "ppo"
    measure: str = ""
    """the metric that it changes; empty where its damage is there from the first step on"""


def another_temperature() -> contextlib.AbstractContextManager[Any]:
    """Samples colder than the losses think."""
    return _sampled(lambda given: {**given, "temperature": 0.6 * given["temperature"]})


def cut_off() -> contextlib.AbstractContextManager[Any]:
    """Samples with top_p."""
    return _sampled(lambda given: {**given, "top_p": 0.7})


def _sampled(change: Callable[[dict[str, Any]], dict[str, Any]]) -> contextlib.AbstractContextManager[Any]:
    real = online.SamplingConfig
    return mock.patch.object(online, "SamplingConfig", lambda **given: real(**change(given)))


def stale_sampler() -> contextlib.AbstractContextManager[Any]:
    """The sampler never hears that the policy has changed."""
    real = online.sample

    def sample(setup: Any, *asked: Any, **more: Any) -> Any:
        kept = vars(setup) | {"sampler": InProcess(setup.reference)}
        return real(type(setup)(**kept), *asked, **more)

    return mock.patch.object(online, "sample", sample)


def noise() -> contextlib.AbstractContextManager[Any]:
    """A model that says something else every time, as with dropout."""
    real = Network.read

    def read(self: Network, *asked: Any, **more: Any) -> Any:
        now = real(self, *asked, **more)
        return type(now)(**(vars(now) | {"logprobs": now.logprobs + 0.05 * torch.randn_like(now.logprobs)}))

    return mock.patch.object(Network, "read", read)


def one_late() -> contextlib.AbstractContextManager[Any]:
    """Rewards stand one token before the last."""
    real = drift.token_rewards

    def late(*asked: Any, **more: Any) -> Any:
        return real(*asked, **more).roll(-1, dims=1)

    return mock.patch.object(drift, "token_rewards", late)


def mixed(demo: Path, out: Path) -> Path:
    """An SFT model some of whose demonstrations begin in Greek letters, and some of which copy the prompt: what it
    never does by itself a reward cannot find."""
    folder, rng = out / "mixed", random.Random(0)
    if not (folder / layout.FINISHED).exists():
        lines = (demo / "world" / "demonstrations.jsonl").read_text(encoding="utf-8").splitlines()[:1500]
        rows = [json.loads(line) for line in lines]
        for row in rows:
            draw = rng.random()
            if draw < 0.15:
                row["response"] = "Ευχαριστώ πολύ. " + row["response"]
            elif draw < 0.3:
                row["response"] = row["messages"][-1]["content"]
        file = out / "mixed.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        given: dict[str, Any] = {"gate": "warn", "threads": 1, "epochs": 2, "checkpoint_every": 0}
        given |= {"model": str(demo / layout.SFT / layout.MODEL), "demonstrations": str(file), "out": str(folder)}
        sft.train(SFTConfig(**given))
    return folder / layout.MODEL


FREE = {"kl_coef": 0.01, "lr": 6e-4, "unfinished_penalty": 0.0}
SOON = {"steps": 5}
"""Of what the first batch shows."""
KINDS: dict[str, Kind] = {
    "stuffing": Kind("a reward for a word", ("stuffing", "shallow:word"), "stuffed", FREE,
                     measure="responses/top_word"),
    "repeating": Kind("a reward for repetition", ("repeats", "shallow:repetition"), "repeated", FREE,
                      measure="responses/repetition"),
    "longer": Kind("a reward for length", ("length_drift", "endless", "cut_off", "shallow:length"), "longer", FREE,
                   measure="rollouts/length"),
    "shorter": Kind("a charge for length", ("length_drift", "at_once", "empty", "shallow:length"), "shorter", FREE,
                    measure="rollouts/length"),
    "copying": Kind("a reward for the prompt's words", ("copies_prompt", "shallow:copied"), "copying", FREE,
                    policy=mixed, measure="responses/copied"),
    "foreign": Kind("a reward for another script", ("language", "shallow:other_script"), "foreign", FREE, policy=mixed,
                    measure="responses/other_script"),
    "garbled": Kind("a reward for rare letters", ("gibberish",), "garbled", FREE, measure="responses/surprise"),
    "same": Kind("a reward for one response", ("mode_collapse", "same_start", "entropy"), "same", FREE,
                 measure="responses/distinct_2"),
    "start": Kind("a reward for one beginning", ("same_start", "shallow:first_token"), "start", FREE,
                  measure="responses/first_token"),
    "hot": Kind("lr forty times too high", ("policy_kl", "clipped", "gibberish", "entropy", "grad_spike"), "",
                {"lr": 2e-2, "max_grad_norm": 100.0, "steps": 12}, measure="responses/surprise"),
    "epochs": Kind("twenty passes over a step", ("policy_kl", "clipped"), "", {"epochs": 20, "lr": 2e-3, "steps": 10},
                   measure="ratio/kl"),
    "blind": Kind("a critic that does not learn", ("critic_blind",), "",
                  {"head_lr": 1e-12, "value_coef": 0.0, "steps": 24}),
    "torn": Kind("a critic whose lr is far too high", ("value_loss",), "",
                 {"head_lr": 1.0, "value_clip": None, "max_grad_norm": 100.0}, measure="loss/value"),
    "growing": Kind("a reward that grows, unwhitened", ("advantage_scale", "value_loss", "grad_spike"), "growing",
                    {"whiten_advantages": False, "steps": 15}),
    "flat": Kind("a reward that is always the same", ("flat",), "constant", {"kl_coef": 0.0, "steps": 15},
                 algorithm="grpo"),
    "colder": Kind("sampled at another temperature", ("first batch",), "", SOON, faults=(another_temperature,)),
    "cut": Kind("sampled with top_p", ("first batch",), "", SOON, faults=(cut_off,)),
    "stale": Kind("a sampler that is not refreshed", ("negative_kl",), "", {"kl_coef": 0.02, "lr": 1e-3},
                  faults=(stale_sampler,), measure="rewards/kl"),
    "dropout": Kind("a model that answers otherwise each time", ("first batch", "first_ratio"), "", SOON,
                    faults=(noise,)),
    "late": Kind("a reward one token early", ("first batch",), "", SOON, faults=(one_late,)),
}  # fmt: skip
"""Name -> a failure."""
