"""collect by=model: what an endpoint answers becomes judgements, asked in both orders, once, within limits."""

import itertools
import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collect.fake_judge import WORDS, Behaviour, failed, longer, said, serving, shown
from prefloop.collect.config import CollectConfig
from prefloop.collect.stage import collect
from prefloop.errors import UserError
from prefloop.files.tables import read_records
from prefloop.records import Comparison, Judgement, Preference

FILES = ("comparisons.jsonl", "judgements.jsonl", "preferences.jsonl", "held_out.jsonl", "undecided.jsonl")


def result_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "finished.json").read_text())["result"]


def asked_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "asked.jsonl").read_text().splitlines()]


def test_both_orders_are_asked_and_all_that_was_said_is_kept(make: Callable[..., CollectConfig]):
    """The longer one is chosen in either order; every judgement names the model, the words and the answer."""
    with serving(longer) as fake:
        folder = collect(make(fake))
    comparisons = {c.id: c for c in read_records(folder / "comparisons.jsonl", Comparison)}
    judgements = read_records(folder / "judgements.jsonl", Judgement)
    assert len(fake.bodies) == len(judgements) == len({j.id for j in judgements}) == 60
    assert {(j.annotator, j.annotator_kind) for j in judgements} == {("model:m", "model")}
    orders = {(j.comparison, *j.order) for j in judgements}
    assert {(c, b, a) for c, a, b in orders} == orders
    for j in judgements:
        left, right = (comparisons[j.comparison].responses[i].text for i in j.order)
        assert j.machine is not None
        assert j.choice == ("left" if len(left) > len(right) else "right")
        assert j.machine.answer == ("A" if len(left) > len(right) else "B")
        assert (j.machine.model, j.machine.share) == ("m", None)
    assert {j.machine.prompt for j in judgements if j.machine} == {judgements[0].machine.prompt}  # type: ignore[union-attr]
    preferences = read_records(folder / "preferences.jsonl", Preference) + read_records(
        folder / "held_out.jsonl", Preference
    )
    assert len(preferences) == 30
    for p in preferences:
        assert len(p.chosen) > len(p.rejected)
        assert {vote.first for vote in p.votes} == {True, False}
        assert (p.num_judgements, p.agreement) == (2, 1.0)
    told = result_of(folder)["judge"]
    assert (told["num_requests"], told["num_unjudged"], told["cost"]) == (60, 0, 0)
    assert (told["audit"]["flips"]["value"], told["audit"]["position"]["named"]) == (0.0, False)
    assert told["audit"]["longer"]["value"] == 1.0


def test_what_is_asked(make: Callable[..., CollectConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The rubric of the file, the conversation, both responses, and the key of the variable that is named."""
    (tmp_path / "rubric.txt").write_text("Short is better.", encoding="utf-8")
    monkeypatch.setenv("MY_KEY", "secret")
    with serving(longer) as fake:
        collect(make(fake, rubric=str(tmp_path / "rubric.txt"), key_variable="MY_KEY"))
    body = fake.bodies[0]
    (message,) = body["messages"]
    assert message["content"].startswith("Short is better.\n\n[Conversation]\nUser: where is ")
    assert {*shown(body)} <= {*WORDS}
    assert message["content"].endswith("Answer with one letter, A or B, and nothing else.")
    assert (body["model"], body["temperature"], body["max_tokens"], "seed" in body) == ("m", 0.0, 16, False)
    assert {headers["Authorization"] for headers in fake.headers} == {"Bearer secret"}


def test_the_order_of_the_answers_does_not_matter(make: Callable[..., CollectConfig]):
    """Answers that come late and in any order give the bytes that answers one by one give."""

    def late(body: dict[str, Any], number: int) -> Any:
        time.sleep(0.02 * (number * 7 % 5))
        return longer(body, number)

    with serving(longer) as fake:
        one = collect(make(fake, "one", concurrency=1))
    with serving(late) as slow:
        many = collect(make(slow, "many", concurrency=6))
    assert (fake.most, 2 <= slow.most <= 6) == (1, True)
    assert all((one / name).read_bytes() == (many / name).read_bytes() for name in FILES)
    assert asked_of(one) != asked_of(many)
    assert sorted(row["key"] for row in asked_of(one)) == sorted(row["key"] for row in asked_of(many))


def test_a_judge_that_always_says_a_is_told(make: Callable[..., CollectConfig], capsys: pytest.CaptureFixture[str]):
    """It contradicts itself on every pair: no preference comes of it, and the audit says why."""
    with serving(lambda body, number: said("A")) as fake, pytest.raises(UserError, match="Use another judge"):
        collect(make(fake))
    told = capsys.readouterr().out
    assert "contradicts itself when the order is turned in 100%" in told
    assert "it nearly always takes the response shown first, and its judgements say nothing else" in told


@pytest.mark.parametrize(
    "answer", ["**A**", "Answer: A", "a.", "<think>B? No.</think>\n\nA", "Response A", "(A)", "答案：A"]
)
def test_an_answer_is_a_letter(make: Callable[..., CollectConfig], answer: str):
    """With marks or a word around it, or after thinking; here A for the longer."""
    with serving(lambda body, number: said(answer if longer(body, 0) == said("A") else "B")) as fake:
        told = result_of(collect(make(fake)))["judge"]
    assert (told["num_malformed"], told["num_requests"]) == (0, 60)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("Both A and B are good.", "malformed"),
        ("A because B is short", "malformed"),
        ("C", "malformed"),
        ("", "malformed"),
        ("AB", "malformed"),
        ("I'm sorry, but I can't compare these.", "refused"),
        ("抱歉，我不能评价。", "refused"),
    ],
)
def test_an_answer_that_decides_nothing_is_asked_again_then_left_out(
    make: Callable[..., CollectConfig], answer: str, why: str
):
    """One pair of texts is never decided in one order: asked three times, the last two with a reminder; the pair is
    left out in both orders, and counted."""
    bad = (WORDS[0], WORDS[1])

    def judge(body: dict[str, Any], number: int) -> Any:
        return said(answer) if shown(body) == bad else longer(body, number)

    with serving(judge) as fake:
        folder = collect(make(fake))
    asked = [body["messages"][0]["content"] for body in fake.bodies if shown(body) == bad]
    told, pairs = result_of(folder)["judge"], len(asked) // 3
    assert pairs > 0
    assert (told[f"num_{why}"], told["num_unjudged"], told["num_requests"]) == (3 * pairs, pairs, 60 + 2 * pairs)
    assert sum("must be exactly one letter" in text for text in asked) == 2 * pairs
    assert len(read_records(folder / "judgements.jsonl", Judgement)) == 60 - 2 * pairs


def test_a_refusal_by_a_filter_and_a_question_that_is_too_long_are_no_end(make: Callable[..., CollectConfig]):
    """Both are left out at once or after as many times as any other; the rest is judged."""

    def judge(body: dict[str, Any], number: int) -> Any:
        if shown(body) == (WORDS[0], WORDS[1]):
            return failed(400, "The response was filtered", "content_filter")
        if shown(body) == (WORDS[0], WORDS[2]):
            return failed(400, "This model's maximum context length is 8", "context_length_exceeded")
        return longer(body, number)

    with serving(judge) as fake:
        told = result_of(collect(make(fake)))["judge"]
    pairs = {pair: sum(shown(body) == pair for body in fake.bodies) for pair in map(shown, fake.bodies)}
    assert told["num_refused"] == pairs[WORDS[0], WORDS[1]] > 0
    assert told["num_too_long"] == pairs[WORDS[0], WORDS[2]] > 0
    assert told["num_unjudged"] == told["num_refused"] // 3 + told["num_too_long"]


def test_ties_and_votes(make: Callable[..., CollectConfig]):
    """C is a tie where it is allowed; votes are asked apart, each with a seed of its own that is always the same."""
    with serving(lambda body, number: said("C") if "yes" in shown(body) else longer(body, number)) as fake:
        folder = collect(make(fake, ties=True, votes=2, temperature=1.0))
    judgements = read_records(folder / "judgements.jsonl", Judgement)
    assert len(judgements) == len({j.id for j in judgements}) == 120
    assert {j.choice for j in judgements} == {"left", "right", "tie"}
    assert "C if they are equally good" in fake.bodies[0]["messages"][0]["content"]
    assert len({(body["seed"], body["messages"][0]["content"]) for body in fake.bodies}) == 120
    assert all(p.num_judgements == 4 for p in read_records(folder / "preferences.jsonl", Preference))


def test_how_sure_it_is_by_hand(make: Callable[..., CollectConfig]):
    """A for the longer with 0.9 shown first, and 0.7 shown second: the mean is 0.8, of several spellings together."""

    def judge(body: dict[str, Any], number: int) -> Any:
        first = longer(body, 0) == said("A")
        a, b = (0.9, 0.1) if first else (0.3, 0.7)
        nats = {"A": math.log(a / 2), " a": math.log(a / 2), "B": math.log(b), "The": math.log(0.01)}
        return said("A" if a > b else "B", logprobs=nats)

    with serving(judge) as fake:
        folder, clamped = (collect(make(fake, name, soft=True, clamp=c)) for name, c in (("one", 0.0), ("two", 0.25)))
    for made, share in ((folder, 0.8), (clamped, 0.725)):  # 0.725 = (0.75 + 0.7) / 2
        rows = read_records(made / "preferences.jsonl", Preference)
        assert rows
        assert all(len(p.chosen) > len(p.rejected) and p.votes == () for p in rows)
        assert [p.agreement for p in rows] == pytest.approx([share] * len(rows))
    assert (fake.bodies[0]["logprobs"], fake.bodies[0]["top_logprobs"]) == (True, 5)


def test_stopped_and_started_again_it_asks_nothing_twice(make: Callable[..., CollectConfig]):
    """Ctrl-C after some answers; then a line is cut off, as a kill does: that question alone is asked again."""
    enough = threading.Event()

    def judge(body: dict[str, Any], number: int) -> Any:
        if number == 20 and not enough.is_set():
            enough.set()
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        return longer(body, number)

    with serving(judge) as fake:
        with pytest.raises(KeyboardInterrupt):
            collect(make(fake))
        file = Path(make(fake).out) / "asked.jsonl"
        before = file.read_bytes()
        assert 20 <= before.count(b"\n") == len(fake.bodies) < 60
        file.write_bytes(before[:-30])
        folder = collect(make(fake, concurrency=2, timeout=9.0))
        assert len(fake.bodies) == 61
        whole = collect(make(fake, "whole"))
    assert all((folder / name).read_bytes() == (whole / name).read_bytes() for name in FILES)
    assert result_of(folder)["judge"] == result_of(whole)["judge"]


def test_a_damaged_line_is_named(make: Callable[..., CollectConfig]):
    with serving(longer) as fake:
        with pytest.raises(UserError, match="max_calls"):
            collect(make(fake, max_calls=5))
        file = Path(make(fake).out) / "asked.jsonl"
        lines = file.read_text().splitlines()
        file.write_text("\n".join([lines[0], "{}", *lines[2:], ""]))
        with pytest.raises(UserError, match=r"asked.jsonl:2: this is no answer.*Remove the line"):
            collect(make(fake))


def test_most_calls_and_most_cost(make: Callable[..., CollectConfig]):
    """At the limit it stops with a sentence and keeps what was answered; raised, it goes on and counts all of them."""
    prices = {"price_prompt": 0.1, "price_response": 1.0}  # 0.012 an answer of 100 and 2 tokens
    with serving(longer) as fake:
        with pytest.raises(UserError, match=r"was sent 25 requests, which is judge.max_calls.*kept"):
            collect(make(fake, max_calls=25))
        assert len(fake.bodies) == 25
        with pytest.raises(UserError, match=r"answers cost 0.48\d*, and judge.max_cost is 0.48.*kept"):
            collect(make(fake, concurrency=1, max_cost=0.48, **prices))
        assert len(fake.bodies) == 40
        with pytest.raises(UserError, match="was sent 40 requests"):
            collect(make(fake, max_calls=40))
        assert len(fake.bodies) == 40
        folder = collect(make(fake, max_calls=60, **prices))
        assert len(fake.bodies) == 60
    assert result_of(folder)["judge"]["cost"] == pytest.approx(60 * 0.012)


def test_what_may_pass_is_tried_again(make: Callable[..., CollectConfig], monkeypatch: pytest.MonkeyPatch):
    """A rate limit, a server that is overloaded, one that hangs up and one that answers nonsense: all is judged."""
    bad: list[Any] = [
        failed(429, "slow down", Retry_After="0.2"),
        failed(503, "overloaded"),
        (200, b"<html>"),
        (200, {"choices": []}),
        (502, b"bad gateway"),
    ]

    def judge(body: dict[str, Any], number: int) -> Any:
        return bad[number // 4] if number % 4 == 0 and number // 4 < len(bad) else longer(body, number)

    began = time.monotonic()
    with serving(judge) as fake:
        told = result_of(collect(make(fake, concurrency=1)))["judge"]
    assert (told["num_requests"], told["num_unjudged"], len(fake.bodies)) == (65, 0, 65)
    assert time.monotonic() - began > 0.2
    assert fake.bodies[0] == fake.bodies[1]


def test_it_waits_twice_as_long_each_time(make: Callable[..., CollectConfig]):
    times: list[float] = []

    def judge(body: dict[str, Any], number: int) -> Any:
        times.append(time.monotonic())
        return failed(500, "no") if number < 3 else longer(body, number)

    with serving(judge) as fake:
        collect(make(fake, concurrency=1, backoff=0.1, retries=3))
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps[0] >= 0.1
    assert gaps[1] >= 0.2
    assert gaps[2] >= 0.4


def slow(body: dict[str, Any], number: int) -> Any:
    """Answers too late."""
    time.sleep(0.4)
    return longer(body, number)


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (lambda b, n: failed(500, "out of order"), r"does not answer: 500 out of order, after 3 requests.*is kept"),
        (slow, r"does not answer: timed out, after 3 requests"),
        (lambda b, n: failed(401, "no key"), r"says 401: no key. It wants a key, and the variable NO_KEY is not set"),
        (lambda b, n: failed(404, "no such model"), r"says 404: no such model. Check judge.base_url, .* judge.model"),
        (lambda b, n: failed(429, "pay", "insufficient_quota"), r"says 429: pay. What was answered so far is kept"),
        (lambda b, n: (302, b"", {"Location": "http://127.0.0.1:1/"}), r"says 302"),
        (lambda b, n: failed(400, "`logprobs` is not supported here"), r"leave judge.soft out"),
        (lambda b, n: said("A"), r"does not tell how likely its words are"),
    ],
)
def test_a_judge_that_cannot_be_asked_is_a_sentence(
    make: Callable[..., CollectConfig], behaviour: Behaviour, says: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("NO_KEY", raising=False)
    with serving(behaviour) as fake, pytest.raises(UserError, match=says):
        collect(make(fake, timeout=0.2, key_variable="NO_KEY", soft=True))


def test_a_wrong_key_is_a_sentence_without_the_key(make: Callable[..., CollectConfig], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MY_KEY", "secret")
    with serving(lambda b, n: failed(403, "no")) as fake, pytest.raises(UserError, match="MY_KEY for wrong") as raised:
        collect(make(fake, key_variable="MY_KEY"))
    assert "secret" not in str(raised.value)


def test_a_judge_that_is_down_and_one_that_went_down(make: Callable[..., CollectConfig]):
    """Nobody at the address; and one that dies after some answers, which are kept."""
    with pytest.raises(UserError, match=r"does not answer: .*refused.*Start it"):
        collect(make("http://127.0.0.1:9/v1"))
    with serving(lambda b, n: longer(b, n) if n < 30 else failed(500, "dead")) as fake:
        with pytest.raises(UserError, match="500 dead"):
            collect(make(fake))
        kept = len(asked_of(Path(make(fake).out)))
    assert 26 <= kept <= 30
    with serving(longer) as other:
        collect(make(other))  # at another address it is the same run
    assert len(other.bodies) == 60 - kept


def test_the_newer_name_of_the_limit(make: Callable[..., CollectConfig]):
    def judge(body: dict[str, Any], number: int) -> Any:
        if "max_tokens" in body:
            return failed(400, "Unsupported parameter: use 'max_completion_tokens' instead")
        return longer(body, number)

    with serving(judge) as fake:
        collect(make(fake))
    assert fake.bodies[-1]["max_completion_tokens"] == 16


def test_cost_needs_tokens(make: Callable[..., CollectConfig]):
    whole = {"choices": [{"message": {"content": "A"}}]}
    with serving(lambda b, n: (200, whole)) as fake, pytest.raises(UserError, match="does not say how many tokens"):
        collect(make(fake, max_cost=1.0, price_prompt=1.0))
