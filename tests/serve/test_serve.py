"""`prefloop serve` as a client of OpenAI's API sees it."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from starlette.testclient import TestClient

from adapting import moved
from prefloop.cli import main as cli
from prefloop.sampling.batch import Batch
from prefloop.serve.app import MOST_BYTES, create_app
from prefloop.serve.asked import parsed
from prefloop.serve.engine import Engine, Piece
from prefloop.serve.saying import Saying
from prefloop.serve.server import served_name
from text.makers import codec as text_codec

HELLO = [{"role": "user", "content": "where is my parcel 12?"}]
URL = "http://127.0.0.1"


@pytest.fixture
def engine(network: Any) -> Engine:
    return Engine(network, name="tiny", fingerprint="abc", max_tokens=8, max_rows=6)


@pytest.fixture
def speaker(engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(engine), base_url=URL, raise_server_exceptions=False) as client:
        yield client


def ask(speaker: TestClient, **body: Any) -> Any:
    return speaker.post("/v1/chat/completions", json={"messages": HELLO, **body})


def texts(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [choice["message"]["content"] for choice in answer.json()["choices"]]


def test_the_one_model_is_listed_and_found(speaker: TestClient):
    assert speaker.get("/v1/models/tiny").json()["id"] == "tiny"
    other = speaker.get("/v1/models/some/other")
    assert (other.status_code, other.json()["error"]["code"]) == (404, "model_not_found")
    (model,) = speaker.get("/v1/models").json()["data"]
    assert (model["id"], model["object"], model["max_model_len"]) == ("tiny", "model", 64)


def test_n_responses_and_what_they_used(speaker: TestClient, network: Any):
    answer = ask(speaker, n=3, max_tokens=5, seed=1)
    reply = answer.json()
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    assert len(set(texts(answer))) > 1
    assert all(choice["message"]["role"] == "assistant" for choice in reply["choices"])
    prompt = len(network.codec.prompt_ids([type("M", (), m)() for m in HELLO]))
    assert reply["usage"]["prompt_tokens"] == prompt
    assert reply["usage"]["total_tokens"] == prompt + reply["usage"]["completion_tokens"] <= prompt + 15
    assert (reply["model"], reply["system_fingerprint"], reply["object"]) == ("tiny", "abc", "chat.completion")


def test_a_seed_says_the_same_again_and_without_one_it_differs(speaker: TestClient):
    assert texts(ask(speaker, n=2, seed=7)) == texts(ask(speaker, n=2, seed=7)) != texts(ask(speaker, n=2, seed=8))
    assert len({tuple(texts(ask(speaker, n=4))) for _ in range(3)}) == 3


def test_at_temperature_zero_all_are_the_likeliest_as_transformers_finds_it(
    speaker: TestClient, network: Any, plain: Any
):
    import torch

    from prefloop.records import Message

    ids = network.codec.prompt_ids([Message(**m) for m in HELLO])
    expected = plain.generate(
        torch.tensor([ids]), max_new_tokens=6, do_sample=False, eos_token_id=list(network.codec.stop_ids)
    )
    assert (
        texts(ask(speaker, n=2, temperature=0, max_tokens=6))
        == [network.codec.decode(expected[0, len(ids) :].tolist())] * 2
    )


def test_an_adapter_speaks_as_transformers_does_once_it_is_merged(network: Any):
    import copy

    import torch

    from prefloop.records import Message
    from prefloop.settings import Adapted, Lora

    network.train_as(Adapted(adapter="lora", lora=Lora(rank=4)), seed=0)
    moved(network, 1)
    ids = network.codec.prompt_ids([Message(**m) for m in HELLO])
    whole = copy.deepcopy(network).merged().pretrained
    whole.set_attn_implementation("sdpa")
    expected = whole.generate(
        torch.tensor([ids]), max_new_tokens=6, do_sample=False, eos_token_id=list(network.codec.stop_ids)
    )
    engine = Engine(network, name="tiny", fingerprint="abc", max_tokens=8, max_rows=6)
    with TestClient(create_app(engine), base_url=URL) as client:
        (said,) = texts(ask(client, temperature=0, max_tokens=6))
    assert said == network.codec.decode(expected[0, len(ids) :].tolist())


def test_a_response_that_was_cut_says_so_and_the_context_is_never_passed(speaker: TestClient):
    assert ask(speaker, max_tokens=1, seed=1, temperature=0).json()["choices"][0]["finish_reason"] == "length"
    usage = ask(speaker, max_tokens=10_000).json()["usage"]
    assert usage["total_tokens"] <= 64


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        (
            {"messages": [{"role": "user", "content": "where is it? " * 60}]},
            400,
            "context_length_exceeded",
            "context is 64",
        ),
        ({"messages": []}, 400, "invalid", "`messages` should be a list of at least 1."),
        ({"messages": [*HELLO, {"role": "assistant", "content": "here"}]}, 400, "invalid", "ends with the user's turn"),
        ({"messages": [{"role": "user", "content": 3}]}, 400, "invalid", "`messages.0.content` should be text."),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "unsupported", "type `image_url`"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{}]}, *HELLO]},
            400,
            "unsupported",
            "messages.0.tool_calls",
        ),
        ({"messages": [{"role": "user", "content": ""}]}, 400, "invalid", "at least 1 letters"),
        ({"messages": [{"role": "user", "content": "x", "nick": "bob"}]}, 400, "invalid", "nick` is not supported"),
        ({"messages": [{"role": "tool", "content": "x"}]}, 400, "invalid", "messages.0.role"),
        ({"stream": "yes"}, 400, "invalid", "`stream`"),
        ({"tools": [{"type": "function"}]}, 400, "unsupported", "`tools`"),
        ({"stop": ["a"] * 17}, 400, "invalid", "`stop`"),
        ({"stop": [""]}, 400, "invalid", "`stop.0`"),
        ({"frequency_penalty": 1}, 400, "unsupported", "`frequency_penalty`"),
        ({"logprobs": True}, 400, "unsupported", "`logprobs`"),
        ({"presence_penalty": 0.5}, 400, "unsupported", "`presence_penalty`"),
        ({"response_format": {"type": "json_object"}}, 400, "unsupported", "`response_format`"),
        ({"n": 17}, 400, "invalid", "less than or equal to 16"),
        ({"n": 0}, 400, "invalid", "`n`"),
        ({"temperature": -1}, 400, "invalid", "`temperature`"),
        ({"temperature": "hot"}, 400, "invalid", "`temperature`"),
        ({"top_p": 0}, 400, "invalid", "`top_p`"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, 400, "invalid", "differ"),
        ({"seed": 2**70}, 400, "invalid", "`seed`"),
        ({"model": "other"}, 404, "model_not_found", "there is `tiny`"),
    ],
)
def test_what_is_not_done_is_a_sentence(speaker: TestClient, body: dict[str, Any], status: int, code: str, says: str):
    answer = ask(speaker, **body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (status, code, "invalid_request_error")
    assert says in error["message"]


def test_a_setting_that_stands_twice_is_refused(speaker: TestClient):
    body = json.dumps({"messages": HELLO, "temperature": 0})[:-1] + ', "temperature": 2}'
    answer = speaker.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "temperature")
    assert "stands twice" in answer.json()["error"]["message"]


def test_what_changes_nothing_is_taken(speaker: TestClient):
    harmless = {
        "stream": False,
        "stop": None,
        "tools": None,
        "tool_choice": "auto",
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "response_format": {"type": "text"},
        "user": "ann",
        "metadata": {"chat": "7"},
    }
    assert texts(ask(speaker, seed=1, model="tiny", max_completion_tokens=4, **harmless)) == texts(
        ask(speaker, seed=1, max_tokens=4)
    )


def test_messages_as_clients_write_them_are_read_as_what_they_say(engine: Engine):
    """Parts of text, `developer`, names, and the empty fields of an earlier answer."""
    asked = parsed(
        json.dumps(
            {
                "messages": [
                    {"role": "developer", "content": "be brief"},
                    {
                        "role": "user",
                        "name": "ann",
                        "content": [{"type": "text", "text": t} for t in ("where is", "it?")],
                    },
                    {"role": "assistant", "content": "here", "refusal": None, "tool_calls": None, "annotations": []},
                    {"role": "assistant", "content": ""},
                    {"role": "user", "content": "thanks"},
                ]
            }
        ).encode()
    )
    assert [(m.role, m.content) for m in asked.messages] == [
        ("system", "be brief"), ("user", "where is\nit?"), ("assistant", "here"), ("user", "thanks"),
    ]  # fmt: skip


HALF = b'{"messages": [{"role": "user", "content": "\\ud800"}]}'


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"[" * 100_000, b'{"messages": 1}', b"\xff", HALF])
def test_what_is_no_request_is_a_sentence(speaker: TestClient, body: bytes):
    answer = speaker.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].endswith(".")


def test_what_a_page_of_another_site_could_send_is_refused(speaker: TestClient):
    body = json.dumps({"messages": HELLO})
    assert speaker.post("/v1/chat/completions", content=body, headers={"content-type": "text/plain"}).status_code == 415
    assert speaker.get("/v1/models", headers={"host": "evil.example"}).status_code == 400
    big = speaker.post(
        "/v1/chat/completions", content=b" " * (MOST_BYTES + 1), headers={"content-type": "application/json"}
    )
    assert big.status_code == 413


def test_other_places_say_what_there_is(speaker: TestClient):
    assert "POST /v1/chat/completions" in speaker.get("/v1/completions").json()["error"]["message"]
    assert speaker.get("/v1/chat/completions").status_code == 405


def test_parallel_requests_share_the_batch_and_each_gets_its_own(
    speaker: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    """Whatever else runs, a seed's responses are the same, and no more than `max_rows` are written at once."""
    alone = [texts(ask(speaker, n=2, seed=seed)) for seed in range(6)]
    sizes: list[int] = []
    real = Batch.step

    def watched(batch: Batch, on_token: Any) -> None:
        sizes.append(len(batch))
        real(batch, on_token)
        time.sleep(0.01)

    monkeypatch.setattr(Batch, "step", watched)
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda seed: texts(ask(speaker, n=2, seed=seed)), range(6)))
    assert together == alone
    assert 2 < max(sizes) <= 6


def events(answer: Any) -> list[dict[str, Any]]:
    """The chunks of a streamed answer."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_a_stream_says_the_same_as_the_whole_answer(speaker: TestClient):
    whole = ask(speaker, n=2, seed=3, max_tokens=20)
    chunks = events(ask(speaker, n=2, seed=3, max_tokens=20, stream=True, stream_options={"include_usage": True}))
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks.pop()["usage"] == whole.json()["usage"]
    said = ["", ""]
    reasons: dict[int, str] = {}
    for chunk in chunks:
        (choice,) = chunk["choices"]
        assert choice["index"] not in reasons  # nothing comes after the end
        said[choice["index"]] += choice["delta"].get("content", "")
        if choice["finish_reason"]:
            reasons[choice["index"]] = choice["finish_reason"]
    assert said == texts(whole)
    assert reasons == {i: choice["finish_reason"] for i, choice in enumerate(whole.json()["choices"])}


def test_a_stop_text_ends_the_response_before_it(speaker: TestClient):
    full = texts(ask(speaker, seed=5, max_tokens=20))[0]
    stop = full[7:10]
    for more in ({}, {"stream": True}):
        answer = ask(speaker, seed=5, max_tokens=20, stop=["never said", stop], **more)
        if more:
            said = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in events(answer))
        else:
            (said,) = texts(answer)
            assert answer.json()["choices"][0]["finish_reason"] == "stop"
        assert said == full[: full.index(stop)]


@pytest.mark.parametrize("stop", [["lo wor"], ["é"], ["d!"], ["zz", "wörld"], []])
def test_what_may_begin_a_stop_text_waits_and_whole_characters_only_are_passed_on(codec: Any, stop: list[str]):
    text = "héllo wörld! hello world!"
    saying = Saying(codec, stop)
    passed: list[str] = []
    for token in codec.response_ids(text):
        passed.append(saying.hear(token, ended=token in codec.stop_ids, full=False))
        if saying.reason:
            break
    at = min((text.index(s) for s in stop if s in text), default=len(text))
    assert "".join(passed) == saying.text == text[:at]
    assert not any("\ufffd" in piece for piece in passed)


@pytest.mark.parametrize("template", ["line", "llama2", "<m>{{ messages[0].content }}"])
def test_what_the_template_writes_around_a_response_is_not_said(template: str):
    """Nor is anything taken off the words where it comes in several tokens."""
    around = (
        "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}\n..\n{{ m.content }}\n..\n<end>{% else %}"
    )
    around += "{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    of = text_codec(around if template.startswith("<m>") else template)
    saying = Saying(of, ())
    passed = [saying.hear(token, ended=token in of.stop_ids, full=False) for token in of.response_ids("Blue.\nHello")]
    assert "".join(passed) == saying.text == "Blue.\nHello"


def test_who_hangs_up_leaves_the_batch(engine: Engine):
    """A request that nobody waits for is dropped, before its first token or between two."""
    pieces: list[Piece] = []
    asked = parsed(json.dumps({"messages": HELLO, "max_tokens": 40, "seed": 1, "n": 6}).encode())
    writing, waiting = engine.submit(asked, pieces.append), engine.submit(asked, pieces.append)
    engine.give_up(waiting)
    engine.give_up(writing)
    assert until(lambda: not engine._writing and not engine._waiting)
    assert all(len(saying.tokens) < 40 for saying in writing.sayings)
    assert all(saying.tokens == [] for saying in waiting.sayings)


def test_a_book_is_refused_before_it_is_tokenised_whole(speaker: TestClient, engine: Engine, monkeypatch: Any):
    sizes: list[int] = []
    tokenizer = type(engine.network.codec.tokenizer)
    real = tokenizer.encode

    def watched(self: Any, text: str, **more: Any) -> Any:
        sizes.append(len(text))
        return real(self, text, **more)

    monkeypatch.setattr(tokenizer, "encode", watched)
    answer = ask(speaker, messages=[{"role": "user", "content": "where is it? " * 100_000}])
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    assert max(sizes) <= 8 * 64


def test_a_model_that_fails_is_an_error_and_the_next_request_is_answered(speaker: TestClient, monkeypatch: Any):
    real = Batch.step

    def fails(problem: Exception) -> None:
        def failing(*_: Any) -> None:
            raise problem

        monkeypatch.setattr(Batch, "step", failing)

    for problem, said in ((MemoryError(), "MemoryError"), (IndexError("index 7"), "index 7")):
        fails(problem)
        assert ask(speaker).json()["error"]["message"] == f"The model failed: {said}"
    fails(RuntimeError("out of memory"))
    answer = ask(speaker)
    assert (answer.status_code, answer.json()["error"]["message"]) == (500, "The model failed: out of memory")
    assert "out of memory" in ask(speaker, stream=True).text
    monkeypatch.setattr(Batch, "step", real)
    assert ask(speaker).status_code == 200


def until(holds: Any, seconds: float = 10) -> bool:
    """Whether something comes to hold."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(holds())


# -- the command ------------------------------------------------------------------------------------------------------


def test_a_reward_model_is_refused_with_what_to_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["LlamaForSequenceClassification"]}))
    assert cli(["serve", str(tmp_path)]) == 2
    assert "only scores; it has nothing to say" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["port=1", "a", "b"], "needs one folder"),
        (["a", "prot=1"], "Did you mean `port`"),
        (["/nowhere/at/all", "port=0"], "no such folder"),
    ],
)
def test_errors_are_sentences(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]):
    assert cli(["serve", *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_port_that_is_taken_is_said_before_the_model_is_loaded(folder: str, capsys: pytest.CaptureFixture[str]):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert cli(["serve", folder, f"port={taken.getsockname()[1]}"]) == 2
    assert "port=0 takes a free one" in capsys.readouterr().err


def test_a_name_tells_no_place_on_this_machine(tmp_path: Path):
    (tmp_path / "demo" / "sft" / "model").mkdir(parents=True)
    assert served_name(str(tmp_path / "demo" / "sft" / "model")) == "demo/sft"
    assert served_name("someone/Small-1B") == "someone/Small-1B"


def test_the_program_serves_a_stage_folder_on_this_machine_only(folder: str, tmp_path: Path):
    stage = tmp_path / "sft"
    stage.mkdir()
    (stage / "model").symlink_to(folder)
    process = subprocess.Popen(
        [sys.executable, "-m", "prefloop.cli", "serve", str(stage), "port=0", "name=mine"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("serve: mine, with a context of 64 tokens")
        base = process.stdout.readline().split()[-1]
        assert base.startswith("http://127.0.0.1:")
        with httpx.Client(base_url=base, timeout=60) as client:
            name = client.get("/models").json()["data"][0]["id"]
            assert name == "mine"
            answer = client.post("/chat/completions", json={"model": name, "messages": HELLO, "n": 2})
            assert len(answer.json()["choices"]) == 2
        with openai.OpenAI(base_url=base, api_key="none") as client:
            assert client.models.retrieve(name).id == name
            settings = {"model": name, "messages": HELLO, "seed": 4, "max_tokens": 12}
            whole = client.chat.completions.create(**settings, stop=["\n\n"], user="ann").choices[0].message.content
            chunks = client.chat.completions.create(**settings, stop=["\n\n"], stream=True)
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
            with pytest.raises(openai.BadRequestError, match="`presence_penalty` is not supported here"):
                client.chat.completions.create(**settings, presence_penalty=1.0)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stdout.read() == "serve: stopped\n"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
