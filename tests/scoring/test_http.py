"""Rewards by HTTP, from a server in this process: what is sent, what is taken, and what a server may do wrong."""

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.records import Message
from prefloop.scoring.http import HTTPReward
from prefloop.scoring.named import check_reward, reward_inputs, scorer
from prefloop.settings import Component

CPU = Placement(torch.device("cpu"))
PROMPTS = [
    (
        Message(role="user", content="where?"),
        Message(role="assistant", content="here"),
        Message(role="user", content="ah"),
    ),
    (Message(role="user", content="money"),),
    (Message(role="user", content="钱"),),
]
RESPONSES = ["i am sorry", "", "很抱歉"]

Answer = Callable[[dict[str, Any]], tuple[int, bytes]]


def lengths(asked: dict[str, Any]) -> tuple[int, bytes]:
    return 200, json.dumps({"rewards": [len(text) for text in asked["responses"]], "extra_logs": {}}).encode()


@dataclass
class Server:
    """A server on this machine, and what it was asked."""

    url: str
    asked: list[dict[str, Any]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    """of the first requests; then it tells lengths"""
    headers: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.asked.append(asked)
            status, body = (made.answers.pop(0) if made.answers else lengths)(asked)
            try:
                self.send_response(status)
                for name, value in made.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # nobody waits any more
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Server(f"http://127.0.0.1:{listening.server_port}/get_reward")
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield made
    listening.shutdown()
    listening.server_close()
    thread.join()


def test_what_is_sent_and_what_is_taken(server: Server):
    """The fields of OpenRLHF's remote rewards, and ours; in requests of at most `batch`, in order."""
    judge = scorer(server.url, CPU, batch=2)
    assert judge.detailed(PROMPTS, RESPONSES, [("a",), (), ()]).scores.tolist() == [10, 0, 3]
    assert not judge.tells_outliers
    assert server.asked[0] == {
        "query": ["where?\nhere\nah\ni am sorry", "money\n"],
        "prompts": ["where?\nhere\nah", "money"],
        "labels": ["", ""],
        "responses": ["i am sorry", ""],
        "messages": [
            [
                {"role": "user", "content": "where?"},
                {"role": "assistant", "content": "here"},
                {"role": "user", "content": "ah"},
                {"role": "assistant", "content": "i am sorry"},
            ],
            [{"role": "user", "content": "money"}, {"role": "assistant", "content": ""}],
        ],
        "tags": [["a"], []],
    }
    assert server.asked[1]["prompts"] == ["钱"]


def test_places_within_a_response_may_be_said_too(server: Server):
    """Of the second request only; a response that is paid at its end has no places."""
    server.answers = [lengths, lambda asked: (200, json.dumps({"rewards": [[[2, 0.5], [3, 1.0]]]}).encode())]
    said = HTTPReward(server.url, seconds=60, batch=2).detailed(PROMPTS, RESPONSES)
    assert said.scores.tolist() == [10, 0, 1.5]
    assert [list(places) for places in said.placed] == [[], [], [(2, 0.5), (3, 1.0)]]


def test_it_is_a_part_like_any_other(server: Server):
    parts = {"long": Component(model=server.url, weight=0.5), "again": Component(model=server.url)}
    said = scorer(parts, CPU).detailed(PROMPTS, RESPONSES)
    assert said.scores.tolist() == [15, 0, 4.5]
    assert reward_inputs(parts) == {"reward.long": server.url, "reward.again": server.url}


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_may_pass_is_asked_again(server: Server, status: int):
    server.answers = [lambda asked: (status, b"busy")] * 2
    assert HTTPReward(server.url, seconds=60, retries=2, backoff=0.01).score(PROMPTS, RESPONSES).tolist() == [10, 0, 3]
    assert len(server.asked) == 3


def test_it_waits_longer_each_time_and_as_long_as_it_is_told(server: Server, monkeypatch: pytest.MonkeyPatch):
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    server.answers, server.headers = [lambda asked: (503, b"")] * 4, {"Retry-After": "3"}
    with pytest.raises(UserError, match="does not answer: it says 503: Service Unavailable, after 4 requests"):
        HTTPReward(server.url, seconds=60, retries=3, backoff=1.0).score(PROMPTS, RESPONSES)
    assert waits == [3, 3, 4]


def test_nobody_there(server: Server):
    with pytest.raises(UserError, match=r"the reward server does not answer: .*refused.*, after 2 requests"):
        HTTPReward("http://127.0.0.1:9/", seconds=60, retries=1, backoff=0.01).score(PROMPTS, RESPONSES)


def hangs(asked: dict[str, Any]) -> tuple[int, bytes]:
    time.sleep(0.6)
    return lengths(asked)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (hangs, "took longer than 0.2 seconds for 3 responses. Give it more time with reward_seconds"),
        (lambda asked: (404, b'{"error": "no such path"}'), "says 404: no such path. Check the address and its path"),
        (lambda asked: (302, b""), "says 302"),
        (lambda asked: (200, b"<html>hello</html>"), r"said '<html>hello</html>', not \{\"rewards\": \[...\]\}"),
        (lambda asked: (200, b""), "said '', not"),
        (lambda asked: (200, b"\xff\xfe\x00"), "not "),
        (lambda asked: (200, b"[" * 99_999), "not "),
        (lambda asked: (200, b"[1, 2, 3]"), "not "),
        (lambda asked: (200, b'{"rewards": 3}'), "not "),
        (lambda asked: (200, b'{"scores": [1, 2, 3]}'), "not "),
        (lambda asked: (200, b'{"rewards": [1.0]}'), "returned 1 numbers for 3 responses"),
        (lambda asked: (200, b'{"rewards": [1, 2, 3, 4]}'), "returned 4 numbers for 3 responses"),
        (lambda asked: (200, b'{"rewards": [1, NaN, 3]}'), "returned nan for the response ''"),
        (lambda asked: (200, b'{"rewards": [Infinity, 2, 3]}'), "returned inf for the response 'i am sorry'"),
        (lambda asked: (200, b'{"rewards": [1, null, 3]}'), "returned None for the response ''"),
        (lambda asked: (200, b'{"rewards": [1, "2", 3]}'), "returned '2' for the response ''"),
        (lambda asked: (200, b'{"rewards": [[1.0], 2, 3]}'), r"returned \[1.0\] for the response"),
        (lambda asked: (200, b'{"rewards": [1, [[1, 2.0]], 3]}'), "returned the place 1 for .*, which has 0"),
        (lambda asked: (200, b'{"rewards": [[[11, 2.0]], 2, 3]}'), "returned the place 11 .* which has 10 characters"),
        (lambda asked: (200, b'{"rewards": [[[1.5, 2.0]], 2, 3]}'), "returned the place 1.5"),
        (lambda asked: (200, b'{"rewards": [[[3, NaN]], 2, 3]}'), "returned nan for the response 'i am sorry'"),
    ],
)  # fmt: skip
def test_what_a_server_does_wrong_is_a_sentence_at_once(server: Server, answer: Answer, message: str):
    server.answers = [answer]
    with pytest.raises(UserError, match=message) as caught:
        HTTPReward(server.url, seconds=0.2 if answer is hangs else 60, backoff=60).score(PROMPTS, RESPONSES)
    assert str(caught.value).startswith(server.url)
    assert "\n" not in str(caught.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://", "this is no address. Write http://HOST:PORT/PATH"),
        ("http:///path", "this is no address"),
        ("http://host:port/", "this is no address"),
        ("https://a b/", "this is no address"),
        ("http://[::1/", "this is no address"),
        ("http://me:secret@host/", "an address with a name or a password in it"),
    ],
)
def test_what_is_no_address_is_said_before_anything_runs(url: str, message: str):
    with pytest.raises(UserError, match=message) as caught:
        check_reward(url)
    assert "secret" not in str(caught.value)
