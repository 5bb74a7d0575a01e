"""Rollouts of several turns: what is learned from and what is only read, where pay stands, and how they end."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from prefloop.align import grpo, online, online_dpo, ppo, reinforce, rloo, turns
from prefloop.align.config import GRPOConfig, OnlineDPOConfig, PPOConfig, REINFORCEConfig, RLOOConfig
from prefloop.align.ppo import Judged
from prefloop.align.settings import RolloutsConfig
from prefloop.errors import UserError
from prefloop.models.load import save_model
from prefloop.records import Message
from prefloop.sampling.in_process import InProcess
from prefloop.sampling.protocol import Sampled
from prefloop.scoring.environment import PythonEnvironment
from prefloop.settings import SamplingConfig
from prefloop.text.codec import Codec
from prefloop.text.examples import Asked
from prefloop.text.templates import template_text

from .conftest import Seen
from .test_ppo import by_autograd

Make = Callable[..., Any]
Watch = Callable[..., Seen]
Read = Callable[[Path], list[dict[str, Any]]]
Weights = Callable[[Path], dict[str, Tensor]]
PAGE = Path(__file__).parents[2] / "docs" / "stages" / "environments.md"

ANSWERS = """
class Asks:
    def respond(self, conversations, seeds):
        return [self.answer(turns, seed) for turns, seed in zip(conversations, seeds)]

    def answer(self, turns, seed):
        pay = sum(map(ord, turns[-1]["content"])) % 7 / 4 - 0.5
        return (None if (len(turns) + seed) % 5 == 0 else "where is it now?"[: 4 + seed % 9]), pay
"""
"""Some end at once, others go on for as long as they may; pay and answers are decided by turns and seed."""


@pytest.fixture
def env(tmp_path: Path) -> str:
    (tmp_path / "asks.py").write_text(ANSWERS, encoding="utf-8")
    return f"python:{tmp_path / 'asks.py'}:Asks"


@pytest.fixture
def make(make_config: Make, env: str) -> Make:
    """Settings of a tiny run with an environment alone, of at most three turns."""

    def made(algorithm: type[RolloutsConfig] = PPOConfig, **settings: Any) -> RolloutsConfig:
        own = {"env": env, "max_turns": 3, "max_new_tokens": 5, "reward": None, "unfinished_penalty": 0.3}
        return make_config(algorithm, **{**own, **settings})

    return made


@pytest.fixture(autouse=True)
def end_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model seldom ends a turn with the one token of 300 that does. Here a sampled turn is cut behind its
    first tokens and ended, as many as its first token says; one in five is left as it is."""
    real = InProcess.sample

    def sample(self: InProcess, prompts: Sequence[Sequence[int]], *args: Any, **kwargs: Any) -> list[Sampled]:
        end = self.policy.codec.stop_ids[0]
        found = []
        for said in real(self, prompts, *args, **kwargs):
            first = said.tokens[0]
            kept = [token for token in said.tokens if token not in self.policy.codec.stop_ids][: 1 + first % 4]
            found.append(said if first % 5 == 0 else Sampled((*kept, end), True))
        return found

    monkeypatch.setattr(InProcess, "sample", sample)


def test_what_was_said_is_where_it_says_it_is(make: Make, watch: Watch):
    """Turns end where the mask does; what stands between them is the environment's, and pay is at their ends."""
    seen = watch()
    ppo.train(make(rollouts_per_step=16, minibatch_size=16))
    rollouts, codec = seen.batches[0].rollouts, seen.setups[0].policy.codec
    assert rollouts.paid is not None
    assert {len(each) for each in rollouts.turns} == {1, 2, 3}
    assert {"done", "turns", "cut"} <= {*rollouts.ended}
    for row, response in enumerate(rollouts.responses):
        inside = [any(begin <= t < end for begin, end in rollouts.turns[row]) for t in range(len(response))]
        assert rollouts.mask[row].tolist() == inside + [False] * (rollouts.mask.shape[1] - len(response))
        assert rollouts.turns[row][-1][1] == len(response)
        said = [codec.decode(response[begin:end]) for begin, end in rollouts.turns[row]]
        due = {
            end - 1: sum(map(ord, text)) % 7 / 4 - 0.5 for (_, end), text in zip(rollouts.turns[row], said, strict=True)
        }
        assert rollouts.paid[row].nonzero().flatten().tolist() == [t for t, pay in due.items() if pay]
        assert float(rollouts.paid[row].sum()) == pytest.approx(sum(due.values()))
        assert float(seen.batches[0].scores[row]) == pytest.approx(sum(due.values()))
        assert [text for role, text in rollouts.answered[row] if role == "assistant"] == said[:-1]
        assert bool(rollouts.finished[row]) == (response[-1] in codec.stop_ids)
    assert seen.batches[0].rewards.sum() == pytest.approx(
        float((seen.batches[0].scores - 0.3 * (~rollouts.finished).float()).sum()), abs=1e-5
    )


@pytest.mark.parametrize("settings", [{}, {"micro_tokens": 30}, {"kl_where": "loss", "kl_estimator": "k3"}])
def test_an_update_is_that_of_autograd_on_what_the_policy_wrote(
    make: Make,
    watch: Watch,
    read_lines: Read,
    plain: PreTrainedModel,
    new_llama: Callable[..., PreTrainedModel],
    other: Any,
    settings: dict[str, Any],
):
    """Losses and gradient norm by transformers, which skips what the environment wrote; the divisor counts turns only.
    Rollouts are some way off the policy, so that ratios are clipped."""

    def stale(batch: Judged) -> Judged:
        noise = 0.3 * torch.randn(batch.rollouts.mask.shape, generator=torch.Generator().manual_seed(1))
        return replace(batch, logprobs=batch.logprobs + noise)

    seen = watch(stale, reference=other)
    config = make(kl_coef=0.5, entropy_coef=0.1, **settings)
    ppo.train(config)
    row = read_lines(Path(config.out) / "metrics.jsonl")[0]
    expected = by_autograd(plain, new_llama(2).eval(), seen.batches[0], config, kl_coef=0.5)
    assert 0 < expected["ratio/clipped"] < 1
    names = {"grad/norm", "ratio/clipped", "ratio/kl", "loss/policy", "loss/value", "loss/entropy"}
    assert {k: row[k] for k in names} == pytest.approx({k: expected[k] for k in names}, rel=2e-4, abs=1e-5)
    assert row["rollouts/length"] == pytest.approx(float(seen.batches[0].rollouts.mask.sum(1).float().mean()))


def test_what_stands_outside_the_mask_changes_nothing(make: Make, watch: Watch, weights: Weights):
    """All grids filled with NaN where the policy did not write: the same weights, to the bit."""

    def spoiled(batch: Judged) -> Judged:
        outside = ~batch.rollouts.mask
        assert any(len(each) > 1 for each in batch.rollouts.turns)
        names = ("logprobs", "ref_logprobs", "rewards", "advantages", "values", "returns")
        return replace(batch, **{name: vars(batch)[name].masked_fill(outside, float("nan")) for name in names})

    watch()
    expected = weights(ppo.train(make(epochs=2)))
    watch(spoiled)
    actual = weights(ppo.train(make(epochs=2)))
    assert all(torch.equal(actual[name], expected[name]) for name in expected)


EVERY = pytest.mark.parametrize(
    ("train", "settings", "own"),
    [
        (ppo.train, PPOConfig, {}),
        (reinforce.train, REINFORCEConfig, {}),
        (rloo.train, RLOOConfig, {"responses_per_prompt": 4, "minibatch_size": 8}),
        (grpo.train, GRPOConfig, {"responses_per_prompt": 4, "minibatch_size": 8}),
        (online_dpo.train, OnlineDPOConfig, {"responses_per_prompt": 4}),
    ],
    ids=["ppo", "reinforce", "rloo", "grpo", "online-dpo"],
)


@EVERY
def test_split_into_micro_batches_an_update_is_the_same(
    make: Make, watch: Watch, weights: Weights, train: Any, settings: Any, own: dict[str, Any]
):
    watch()
    whole, parts = (weights(train(make(settings, micro_tokens=n, lr=1e-3, **own))) for n in (4096, 40))
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=0, atol=1e-6)


@EVERY
def test_a_killed_run_goes_on_to_the_same_end(
    make: Make,
    watch: Watch,
    weights: Weights,
    read_lines: Read,
    monkeypatch: pytest.MonkeyPatch,
    train: Any,
    settings: Any,
    own: dict[str, Any],
):
    """Killed while the second step's second turns are answered, begun again: as if nothing had happened."""
    watch()
    shared = {"steps": 2, "checkpoint_every": 1, **own}
    whole, broken = make(settings, **shared), make(settings, **shared)
    expected, real, calls = weights(train(whole)), PythonEnvironment.respond, [0]

    def dies(self: PythonEnvironment, *args: Any) -> Any:
        calls[0] += 1
        if calls[0] == 5:
            raise KeyboardInterrupt
        return real(self, *args)

    monkeypatch.setattr(PythonEnvironment, "respond", dies)
    with pytest.raises(KeyboardInterrupt):
        train(broken)
    actual = weights(train(broken))
    assert all(torch.equal(actual[name], expected[name]) for name in expected)
    metrics = [read_lines(Path(config.out) / "metrics.jsonl") for config in (broken, whole)]
    assert metrics[0] == metrics[1]
    assert metrics[0][0]["rollouts/turns"] > 1


def test_a_scorer_reads_the_last_turn_behind_what_was_said(make: Make, watch: Watch, read_lines: Read, tmp_path: Path):
    """It is told the whole conversation up to there; both are added, and logged apart."""
    (tmp_path / "seen.py").write_text(
        "def score(prompts, responses):\n    return [len(p) + 1000.0 * len(r) for p, r in zip(prompts, responses)]\n",
        encoding="utf-8",
    )
    seen = watch()
    config = make(reward=f"python:{tmp_path / 'seen.py'}:score")
    ppo.train(config)
    batch, codec = seen.batches[0], seen.setups[0].policy.codec
    assert batch.rollouts.paid is not None
    for row, response in enumerate(batch.rollouts.responses):
        asked = codec.decode(batch.rollouts.prompts[row]).removeprefix("<|user|>").removesuffix("<|assistant|>")
        told = "\n".join([asked, *(text for _, text in batch.rollouts.answered[row])])
        begin, end = batch.rollouts.turns[row][-1]
        by_hand = len(told) + 1000.0 * len(codec.decode(response[begin:end])) + float(batch.rollouts.paid[row].sum())
        assert float(batch.scores[row]) == pytest.approx(by_hand, rel=1e-6)
    line = read_lines(Path(config.out) / "metrics.jsonl")[0]
    assert line["scores/mean"] == line["scores/env"] + line["scores/model"]
    assert line["scores/env"] == pytest.approx(float(batch.rollouts.paid.sum(1).mean()), abs=1e-6)


def test_two_turns_by_hand_with_discount(make: Make, watch: Watch, monkeypatch: pytest.MonkeyPatch):
    """1 paid at the end of the first turn, 2 at that of the second, discount 1/2, no baseline, no drift charged:

    turn 1 `a END`    answer    turn 2 `b c END`         a token of the answer takes no discount
    return  1/2 + 2/2^4  1 + 2/2^3        2/2^2  2/2  2
    """
    seen: list[Tensor] = []
    pays = iter([[1.0] * 8, [2.0] * 8])
    lengths = iter([2, 3])

    def respond(self: PythonEnvironment, conversations: Any, seeds: Any) -> list[turns.Answer]:
        return [
            turns.Answer("where?" if len(c) == 2 else None, pay)
            for c, pay in zip(conversations, next(pays), strict=True)
        ]

    real = turns.__dict__["played"]

    def played(environment: Any, sampler: Any, codec: Codec, *args: Any, **kwargs: Any) -> Any:
        class Fixed:
            def sample(self, prompts: Any, *args: Any, copies: int) -> list[Sampled]:
                said = (*range(10, 9 + next(lengths)), codec.stop_ids[0])
                return [Sampled(said, True)] * len(prompts) * copies

        return real(environment, Fixed(), codec, *args, **kwargs)

    def advantages(*args: Any) -> Tensor:
        seen.append(real_advantages(*args))
        return seen[-1]

    real_advantages = reinforce.__dict__["advantages_of"]
    monkeypatch.setattr(PythonEnvironment, "respond", respond)
    monkeypatch.setattr(online, "played", played)
    monkeypatch.setattr(reinforce, "advantages_of", advantages)
    watch()
    own = {"discount": 0.5, "baseline": "none", "kl_coef": 0.0, "whiten_advantages": False, "unfinished_penalty": 0.0}
    reinforce.train(make(REINFORCEConfig, **own))
    found = seen[0][0]
    heard = len(found) - 5
    assert heard > 3
    by_hand = [0.5 + 2 / 16, 1 + 2 / 8, *[0.0] * heard, 0.5, 1.0, 2.0]
    assert found.tolist() == pytest.approx(by_hand)


class Canonical:
    """A sampler that says words in the tokens that the tokenizer has for them."""

    def __init__(self, codec: Codec, texts: Sequence[str]) -> None:
        self.codec, self.texts = codec, list(texts)

    def sample(self, prompts: Sequence[Any], *args: Any, copies: int) -> list[Sampled]:
        text = self.texts.pop(0)
        return [Sampled(tuple(self.codec.response_ids(text)), True) for _ in range(len(prompts) * copies)]


class Says:
    """An environment that says some things, whatever it hears, and remembers what it was told."""

    def __init__(self, *texts: str | None) -> None:
        self.texts, self.seeds, self.told = list(texts), list[list[int]](), list[Any]()

    def respond(self, conversations: Sequence[Any], seeds: Sequence[int]) -> list[Any]:
        text = self.texts.pop(0)
        self.seeds.append([*seeds])
        self.told.append([[(m.role, m.content) for m in messages] for messages in conversations])
        return [turns.Answer(text, 1.0)] * len(conversations)


def play(codec: Codec, said: Sequence[str], heard: Sequence[str | None], *, num: int = 1, **own: Any) -> Any:
    messages = (Message(role="user", content="where is my parcel 12?"),)
    asked = [Asked(messages, codec.prompt_ids(messages), ())] * num
    settings: dict[str, Any] = {"copies": 1, "max_turns": 9, "seed": 0, "step": 0, "device": torch.device("cpu"), **own}
    says = Says(*heard)
    made = turns.played(says, Canonical(codec, said), codec, asked, SamplingConfig(max_new_tokens=4), **settings)  # pyright: ignore[reportArgumentType]
    return made, says


@pytest.mark.parametrize("template", ["turns", "chatml", "instruction-zh"])
def test_the_tokens_are_those_of_the_whole_conversation(codec: Codec, template: str):
    """Rendered and encoded at once by transformers, whatever is said: blanks, breaks, Chinese, nothing."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=codec.tokenizer.backend_tokenizer, eos_token="<|end|>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = template_text(template)
    end = "<|im_end|>" if template == "chatml" else "<|end|>"
    own = Codec(tokenizer, (tokenizer.get_vocab()[end],), 4096)
    said, heard = ["it is on its way.", "", "很抱歉。\n\nsorry", "bye"], ["where\nis it?", "钱 please ", " money", None]
    turns.check_template(own, "env")
    rollouts, _ = play(own, said, heard)
    messages = [{"role": "user", "content": "where is my parcel 12?"}]
    for words, answer in zip(said, heard, strict=True):
        messages.append({"role": "assistant", "content": words})
        messages += [] if answer is None else [{"role": "user", "content": answer}]
    whole = str(tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True))
    expected = [*tokenizer(whole, add_special_tokens=False)["input_ids"], *own.response_ids("bye")]
    assert [*rollouts.prompts[0], *rollouts.responses[0]] == expected
    assert len(rollouts.turns[0]) == 4


def test_a_marker_that_the_environment_typed_is_words(codec: Codec):
    rollouts, _ = play(codec, ["yes", "no"], ["<|end|><|assistant|>i am you", None])
    begin, end = rollouts.turns[0][0][1], rollouts.turns[0][1][0]
    between = rollouts.responses[0][begin:end]
    assert codec.stop_ids[0] not in between
    assert codec.tokenizer.decode(list(between)).count("<|assistant|>") == 2
    assert between.count(codec.tokenizer.convert_tokens_to_ids("<|assistant|>")) == 1


def test_a_template_that_changes_what_was_said_is_refused(codec: Codec):
    for text in (
        template_text("plain"),
        template_text("human-assistant"),  # its prompt ends with a space, which goes into the first word's token
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content if loop.last or m.role == 'user' else '...' }}<|end|>"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
    ):
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=codec.tokenizer.backend_tokenizer, eos_token="<|end|>", pad_token="<|pad|>"
        )
        tokenizer.chat_template = text
        with pytest.raises(UserError, match=r"env=python:x.py:X: the chat template of .* cannot be learned token for"):
            turns.check_template(Codec(tokenizer, codec.stop_ids, 64), "python:x.py:X")


def test_how_a_rollout_ends(codec: Codec):
    """By the environment; after so many turns; for want of room, where not even one more turn would fit."""
    assert play(codec, ["a"], [None])[0].ended == ("done",)
    rollouts, says = play(codec, ["a", "b"], ["go on", "go on"], max_turns=2)
    assert rollouts.ended == ("turns",)
    assert len(rollouts.turns[0]) == 2
    assert says.told[1] == [
        [("user", "where is my parcel 12?"), ("assistant", "a"), ("user", "go on"), ("assistant", "b")]
    ]
    assert rollouts.answered == ((("assistant", "a"), ("user", "go on")),)
    used = len(rollouts.prompts[0]) + rollouts.turns[0][1][0]  # up to where the second turn begins
    for context, ended in ((used + 4, "turns"), (used + 3, "room")):
        small = replace(codec, context=context)
        made, _ = play(small, ["a", "b"], ["go on", "go on"], max_turns=2)
        assert made.ended == (ended,)
        assert float(made.paid.sum()) == len(made.turns[0])


def test_a_rollout_has_one_seed_and_so_have_the_responses_to_a_prompt(codec: Codec):
    _, says = play(codec, ["a", "b"], ["go on", None], num=4, copies=2)
    assert says.seeds[0] == says.seeds[1]
    first, again, second, last = says.seeds[0]
    assert first == again != second == last
    _, later = play(codec, ["a"], [None], num=4, copies=2, step=1)
    assert not {*later.seeds[0]} & {first, second}


def policy_that_can_play(folder: Path) -> None:
    """A model of 17 tokens that has learned how the game is spoken, and guesses blindly."""
    names = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", *dict.fromkeys("1234moreguls")]
    vocab = {name: place for place, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|pad|>", eos_token="<|end|>", additional_special_tokens=names[2:5]
    )
    fast.chat_template = template_text("turns")
    config = LlamaConfig(
        vocab_size=len(vocab),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=1,
        eos_token_id=1,
        pad_token_id=0,
        initializer_range=0.1,
    )
    rng = random.Random(0)

    def talk() -> list[int]:
        said = [f"<|assistant|>{rng.choice('1234')}<|end|>" for _ in range(3)]
        heard = ["<|user|>guess", *(f"<|user|>{rng.choice(('more', 'less'))}" for _ in range(2))]
        return fast.encode("".join(h + s for h, s in zip(heard, said, strict=True)), add_special_tokens=False)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        ids = torch.tensor([talk() for _ in range(16)])
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    save_model(folder, model, Codec(fast, (1,), 64))
