"""A model folder as a judge, by the likelihood of its answers; and the same kind of model behind `prefloop serve`."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from collect.fake_judge import longer, serving
from prefloop.collect.config import CollectConfig
from prefloop.collect.folder_judge import FolderJudge
from prefloop.collect.stage import collect
from prefloop.errors import UserError
from prefloop.files.tables import read_records
from prefloop.records import Judgement, Message, Preference


def result_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "finished.json").read_text())["result"]["judge"]


def test_the_likelihoods_are_those_of_transformers(
    make: Callable[..., CollectConfig], judges: dict[str, str], codec: Any
):
    """Of each letter after each question, read by transformers itself; of several orders the share is its own."""
    from transformers import AutoModelForCausalLM

    with serving(longer) as fake:
        collect(make(fake, "words"))
    asked = [body["messages"][0]["content"] for body in fake.bodies][:12]
    folder = collect(make(None, model=judges["random"], soft=True))
    rows = [json.loads(line) for line in (folder / "asked.jsonl").read_text().splitlines()]
    told = [tuple(row["logprobs"].values()) for row in rows]
    plain = AutoModelForCausalLM.from_pretrained(judges["random"]).eval()
    letters = [codec.response_ids(letter, finished=False)[0] for letter in "AB"]
    for text in asked:
        ids = codec.prompt_ids([Message(role="user", content=text)])
        nats = plain(torch.tensor([ids])).logits[0, -1].log_softmax(-1)[letters].tolist()
        assert min(abs(a - nats[0]) + abs(b - nats[1]) for a, b in told) < 1e-4
    judgements = read_records(folder / "judgements.jsonl", Judgement)
    assert len(judgements) == 60
    for j in judgements:
        assert j.machine is not None
        assert j.machine.share is not None
        assert (j.machine.share > 0.5) == (j.choice == "left") == (j.machine.answer == "A")
        assert j.annotator == f"model:{j.machine.model}"
    shares = {(j.comparison, *j.order): j.machine.share for j in judgements if j.machine and j.machine.share}
    rows = read_records(folder / "preferences.jsonl", Preference)
    assert rows
    for p in rows:
        one, other = (
            shares[p.comparison, p.chosen_index, p.rejected_index],
            shares[p.comparison, p.rejected_index, p.chosen_index],
        )
        assert p.agreement == pytest.approx((one + 1 - other) / 2)
        assert p.agreement > 0.5


def test_it_is_not_loaded_where_all_is_known(
    make: Callable[..., CollectConfig], judges: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    """Stopped after its first batch it goes on with the others only; with nothing left it is not even loaded."""
    read: list[int] = []
    real = FolderJudge._logprobs

    def counted(self: FolderJudge, sequences: Any) -> Any:
        read.append(len(sequences))
        if len(read) == 2:
            raise KeyboardInterrupt
        return real(self, sequences)

    monkeypatch.setattr(FolderJudge, "_logprobs", counted)
    with pytest.raises(KeyboardInterrupt):
        collect(make(None, model=judges["random"], soft=True))
    folder = collect(make(None, model=judges["random"], soft=True))
    assert sum(read) - read[1] == 60
    monkeypatch.setattr(FolderJudge, "__init__", lambda *args, **kwargs: pytest.fail("loaded"))
    (folder / "finished.json").unlink()
    assert collect(make(None, model=judges["random"], soft=True)) == folder
    assert len((folder / "asked.jsonl").read_text().splitlines()) == 60


def test_a_folder_that_always_says_a(
    make: Callable[..., CollectConfig], judges: dict[str, str], capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(UserError, match="Use another judge"):
        collect(make(None, model=judges["always_a"]))
    assert "it nearly always takes the response shown first" in capsys.readouterr().out


def test_a_model_behind_prefloop_serve(
    make: Callable[..., CollectConfig], judges: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Our own server as the endpoint: each of 18 questions is answered by A, several at once."""
    process = subprocess.Popen(
        [sys.executable, "-m", "prefloop.cli", "serve", judges["always_a"], "port=0", "name=mine"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        url = process.stdout.readline().split()[-1]
        config = make(url, model="mine", max_new_tokens=4, timeout=60.0)
        with pytest.raises(UserError, match="Use another judge"):
            collect(config.model_copy(update={"num_prompts": 3}))
    finally:
        process.terminate()
        process.communicate()
    rows = [json.loads(line) for line in (tmp_path / "collect" / "asked.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == ["A"] * 18
    assert all(row["num_prompt"] > 300 and row["num_response"] >= 1 for row in rows)
    assert "contradicts itself when the order is turned in 100%" in capsys.readouterr().out


def test_a_question_longer_than_the_context(make: Callable[..., CollectConfig], folder: str):
    """The tiny model reads 64 tokens, and the rubric alone is longer."""
    with pytest.raises(UserError, match="decided none of 30 pairs"):
        collect(make(None, model=folder))


def test_letters_that_are_no_single_tokens(
    make: Callable[..., CollectConfig], folder: str, monkeypatch: pytest.MonkeyPatch
):
    from prefloop.text.codec import Codec

    monkeypatch.setattr(Codec, "response_ids", lambda self, text, *, finished: [7, 8 + ord(text) % 2, 9])
    with pytest.raises(UserError, match=r'does not write "A" or "B" as one token each.*judge.base_url'):
        collect(make(None, model=folder))


def test_what_a_template_writes_before_the_answer_is_read_first(
    judges: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    """A lead that both letters share stands behind the question, before the letter."""
    from prefloop.asking.answers import Question
    from prefloop.models.device import Placement
    from prefloop.text.codec import Codec

    real, seen = Codec.response_ids, []
    monkeypatch.setattr(Codec, "response_ids", lambda self, text, **how: [5, 6, *real(self, text, **how)])
    place = Placement(torch.device("cpu"))
    judge = FolderJudge(judges["random"], "AB", place, template=None, weights="float32")
    monkeypatch.setattr(judge, "_logprobs", lambda rows: seen.extend(rows) or [[0.0, -1.0] for _ in rows])
    ((_, answer),) = next(judge.answers([Question("which?")]))
    assert (seen[0][-2:], answer.text, answer.num_prompt) == ([5, 6], "A", len(seen[0]))
