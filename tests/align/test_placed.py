"""Rewards that are paid within a response, and rewards by HTTP: as the runs pay them."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prefloop import cli
from prefloop.align import grpo, online_dpo, ppo, reinforce, rloo
from prefloop.align.config import GRPOConfig, OnlineDPOConfig, REINFORCEConfig, RLOOConfig
from prefloop.errors import UserError

from .conftest import Seen, expected_score

Make = Callable[..., Any]
Watch = Callable[..., Seen]
Read = Callable[[Path], list[dict[str, Any]]]

PLACES = """
def score(prompts, responses):
    return [[(end, ord(text[end - 1]) % 5 / 4) for end in range(1, len(text) + 1, 3)] for text in responses]
"""


@pytest.fixture
def places(tmp_path: Path) -> str:
    (tmp_path / "places.py").write_text(PLACES, encoding="utf-8")
    return f"python:{tmp_path / 'places.py'}:score"


def test_each_number_is_paid_at_the_token_that_writes_its_character(
    make_config: Make, watch: Watch, places: str, read_lines: Read
):
    """Looked for token by token: the first with which the decoded text is that long."""
    seen = watch()
    config = make_config(reward=places, kl_coef=0.0, unfinished_penalty=0.25, discount=0.5, decay=1.0)
    ppo.train(config)
    batch, codec = seen.batches[0], seen.setups[0].policy.codec
    sums = []
    for row, response in enumerate(batch.rollouts.responses):
        text = codec.decode(response)
        due = [0.0] * len(response)
        for end in range(1, len(text) + 1, 3):
            sizes = [len(codec.decode(response[: n + 1]).rstrip("\ufffd")) for n in range(len(response))]
            written = [n for n, size in enumerate(sizes) if size >= end]
            words = [n for n, token in enumerate(response) if token not in codec.stop_ids]
            due[min([*written, words[-1]])] += ord(text[end - 1]) % 5 / 4
        sums.append(sum(due))
        due[-1] -= 0.0 if response[-1] in codec.stop_ids else 0.25
        assert batch.rewards[row, : len(due)].tolist() == pytest.approx(due, abs=1e-6)
        later = 0.0
        for t in reversed(range(len(due))):  # discount 1/2 and decay 1: the advantage is the return less the value
            later = due[t] + 0.5 * later
            assert float(batch.returns[row, t]) == pytest.approx(later, abs=1e-5)
    assert batch.scores.tolist() == pytest.approx(sums, abs=1e-6)
    assert read_lines(Path(config.out) / "metrics.jsonl")[0]["scores/mean"] == pytest.approx(sum(sums) / len(sums))


@pytest.mark.parametrize(
    ("train", "settings", "own"),
    [
        (reinforce.train, REINFORCEConfig, {"credit": "response"}),
        (rloo.train, RLOOConfig, {"responses_per_prompt": 4, "minibatch_size": 8}),
        (grpo.train, GRPOConfig, {"responses_per_prompt": 4, "minibatch_size": 8}),
        (online_dpo.train, OnlineDPOConfig, {"responses_per_prompt": 4}),
    ],
    ids=["reinforce", "rloo", "grpo", "online-dpo"],
)
def test_where_a_response_is_one_decision_the_sum_counts(
    make_config: Make,
    watch: Watch,
    weights: Callable[[Path], dict[str, Tensor]],
    places: str,
    tmp_path: Path,
    train: Any,
    settings: Any,
    own: dict[str, Any],
):
    """The same policy as by a function that returns the sums, in eighths, which float32 adds exactly."""
    watch()
    summed = (
        PLACES.replace("[[(end,", "[sum([").replace("% 5 / 4) for", "% 5 / 4 for").replace(", 3)] for", ", 3)]) for")
    )
    (tmp_path / "sums.py").write_text(summed, encoding="utf-8")
    free = {} if settings is OnlineDPOConfig else {"kl_coef": 0.0}
    rewards = (places, f"python:{tmp_path / 'sums.py'}:score")
    here, there = (weights(train(make_config(settings, reward=reward, **free, **own))) for reward in rewards)
    for name, value in here.items():
        torch.testing.assert_close(there[name], value, rtol=0, atol=1e-6)


def test_parts_are_paid_where_they_stand_by_their_weights(make_config: Make, watch: Watch, places: str, tmp_path: Path):
    """2 times the places, and half of a number that is paid at the end."""
    seen = watch()
    plain = make_config(reward=places, kl_coef=0.0, unfinished_penalty=0.0)
    ppo.train(plain)
    own = f"python:{tmp_path / 'reward.py'}:score"
    reward = {"here": {"model": places, "weight": 2.0}, "whole": {"model": own, "weight": 0.5}}
    ppo.train(make_config(reward=reward, kl_coef=0.0, unfinished_penalty=0.0))
    first, second = seen.batches
    codec = seen.setups[0].policy.codec
    for row, response in enumerate(first.rollouts.responses):
        due = [2 * pay for pay in first.rewards[row, : len(response)].tolist()]
        due[-1] += 0.5 * expected_score(codec.decode(response))
        assert second.rewards[row, : len(response)].tolist() == pytest.approx(due, abs=1e-5)


@pytest.mark.parametrize(
    "settings", [{"score_scale": 3.0}, {"score_norm": "running"}, {"score_scale": 0.5, "score_shift": 1.0}]
)
def test_what_is_paid_within_is_scaled_as_the_scores_are(
    make_config: Make, watch: Watch, places: str, settings: dict[str, Any]
):
    """By the factor of the scores; a shift is paid at the end. The deviation is that of the first step's own scores."""
    seen = watch()
    shared = {"reward": places, "kl_coef": 0.0, "unfinished_penalty": 0.0}
    ppo.train(make_config(**shared))
    ppo.train(make_config(**shared, **settings))
    plain, scaled = seen.batches
    std = float(plain.scores.double().std(correction=0)) if "score_norm" in settings else 1.0
    factor = settings.get("score_scale", 1.0) / std
    shift = settings.get("score_shift", 0.0) - (float(plain.scores.mean()) / std if "score_norm" in settings else 0.0)
    for row, response in enumerate(plain.rollouts.responses):
        due = [factor * pay for pay in plain.rewards[row, : len(response)].tolist()]
        due[-1] += shift
        assert scaled.rewards[row, : len(response)].tolist() == pytest.approx(due, abs=1e-5)


class Server(http.server.ThreadingHTTPServer):
    """Scores as `reward.py` of these tests does; it may be told to fail from some request on."""

    fails_from = 10**9
    asked = 0


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.asked += 1
            body = json.dumps({"rewards": [expected_score(text) for text in asked["responses"]]}).encode()
            broken = made.asked >= made.fails_from
            self.send_response(400 if broken else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    made = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def test_a_run_paid_by_a_server_is_that_paid_by_its_function(
    make_config: Make, watch: Watch, weights: Callable[[Path], dict[str, Tensor]], server: Server
):
    watch()
    url = f"http://127.0.0.1:{server.server_port}/get_reward"
    here, there = (weights(ppo.train(make_config(**own))) for own in ({}, {"reward": url, "reward_batch": 3}))
    assert all(torch.equal(here[name], there[name]) for name in here)
    assert server.asked == 3


def test_a_server_that_breaks_costs_nothing_that_was_done(
    make_config: Make, watch: Watch, weights: Callable[[Path], dict[str, Tensor]], server: Server, read_lines: Read
):
    """It refuses the third step; once it is mended the same command goes on to the same end. Another address is another
    run."""
    watch()
    url = f"http://127.0.0.1:{server.server_port}/get_reward"
    shared = {"reward": url, "steps": 4, "checkpoint_every": 1}
    whole, broken = make_config(**shared), make_config(**shared)
    expected = weights(ppo.train(whole))
    server.fails_from = server.asked + 3
    with pytest.raises(UserError, match="the reward server says 400"):
        ppo.train(broken)
    server.fails_from = 10**9
    with pytest.raises(UserError, match=r"another run: the input `reward` had the fingerprint"):
        ppo.train(broken.model_copy(update={"reward": url + "/else"}))
    before = server.asked
    actual = weights(ppo.train(broken))
    assert server.asked == before + 2
    assert all(torch.equal(actual[name], expected[name]) for name in expected)
    rows = [read_lines(Path(config.out) / "metrics.jsonl") for config in (broken, whole)]
    assert rows[0] == rows[1]


def test_every_place_for_a_reward_takes_a_server(
    folder: str, prompts_file: str, server: Server, tmp_path: Path, write_rows: Callable[..., str]
):
    """score, best-of-n, evaluate and sweep, from the command line."""
    url = f"http://127.0.0.1:{server.server_port}/get_reward"
    rows = [{"id": "a", "messages": [{"role": "user", "content": "where?"}], "response": "here"}]
    data = write_rows("said.jsonl", rows)
    small = ["max_new_tokens=4", "threads=1"]
    assert cli.main(["score", f"model={url}", f"data={data}", f"out={tmp_path / 's.jsonl'}"]) == 0
    assert json.loads((tmp_path / "s.jsonl").read_text())["score"] == expected_score("here")
    given = [f"policy={folder}", f"prompts={prompts_file}", "num_prompts=2", "responses_per_prompt=2", *small]
    assert cli.main(["sweep", *given, f"reward.a.model={url}", f"reward.b.model={url}", f"out={tmp_path / 'w'}"]) == 0
    assert cli.main(["reinforce", f"policy={folder}", f"prompts={prompts_file}", f"reward={url}", "steps=1",
                     "rollouts_per_step=4", f"out={tmp_path / 'r'}", *small]) == 0  # fmt: skip
    assert server.asked >= 4
