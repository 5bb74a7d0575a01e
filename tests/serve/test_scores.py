"""A reward model over HTTP: another run reads the numbers that it would read from the folder."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import uvicorn

from prefloop.errors import UserError
from prefloop.models.device import Placement
from prefloop.models.load import save_model, scalar
from prefloop.records import Message
from prefloop.scoring.http import HTTPReward
from prefloop.scoring.named import scorer
from prefloop.serve.scores import create_scoring_app
from prefloop.serve.server import listening

CPU = Placement(torch.device("cpu"))
PROMPTS = [
    (Message(role="user", content="where is my parcel?"),),
    (
        Message(role="user", content="money"),
        Message(role="assistant", content="which?"),
        Message(role="user", content="mine"),
    ),
    (Message(role="user", content="包裹在哪里？"),),
]
RESPONSES = ["i am sorry.", "", "很抱歉。"]


@pytest.fixture
def reward_folder(folder: str, tmp_path: Path) -> str:
    made = scalar(folder, CPU, fresh_head=True)
    with torch.no_grad():
        for name, weight in made.pretrained.named_parameters():
            if name.startswith("score"):
                weight.normal_(generator=torch.Generator().manual_seed(5))
    save_model(tmp_path / "reward", made.pretrained, made.codec)
    return str(tmp_path / "reward")


@pytest.fixture
def url(reward_folder: str) -> Iterator[str]:
    with listening(0) as listener:
        app = create_scoring_app(scorer(reward_folder, CPU))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/get_reward"
        server.should_exit = True
        thread.join()


def test_another_run_reads_the_same_numbers(url: str, reward_folder: str):
    here = scorer(reward_folder, CPU).score(PROMPTS, RESPONSES)
    there = HTTPReward(url, seconds=60, batch=2).score(PROMPTS, RESPONSES)
    assert here.std() > 0.01
    torch.testing.assert_close(there, here, rtol=0, atol=1e-5)


def test_elsewhere_it_says_where(url: str):
    with pytest.raises(UserError, match=r"says 404: Not Found. A reward model only scores: POST /get_reward"):
        HTTPReward(url + "/else", seconds=60).score(PROMPTS, RESPONSES)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("[", "the body"),
        ("{}", "`messages`"),
        ('{"query": ["a b"], "prompts": ["a"]}', "`messages`"),
        ('{"messages": []}', "`messages`"),
        ('{"messages": [[{"role": "user", "content": "a"}]]}', "`messages.0` is not as it should be"),
        ('{"messages": [[{"role": "assistant", "content": "a"}]]}', "`messages.0`"),
        ('{"messages": [[{"role": "tool", "content": "a"}]]}', "`messages.0.0.role`"),
        (
            '{"messages": [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]], "tags": [[], []]'
            "}",
            "`tags`",
        ),
    ],
)
def test_what_cannot_be_scored_is_a_sentence(url: str, body: str, says: str):
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value:
        assert caught.value.code == 400
        assert says in json.loads(caught.value.read())["error"]["message"]
