"""collect by=people: the stage waits for the page's file, may be stopped and started, and says why the page ended."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefloop.collect import people
from prefloop.collect.config import CollectConfig
from prefloop.collect.stage import collect
from prefloop.errors import UserError
from prefloop.files.feedback import feedback_of
from prefloop.files.tables import read_records
from prefloop.records import Comparison, Preference, Rated

PAGE = """
import json, pathlib, sys, time
folder, settings = pathlib.Path(sys.argv[1]), sys.argv[2:]
(folder / "asked.json").write_text(json.dumps(settings))
{body}
"""
JUDGE = """
rows = [json.loads(line) for line in open(folder / "comparisons.jsonl")]
out = folder / "judged"; out.mkdir()
lines = [{"id": f"j{i}", "comparison": c["id"], "annotator": "ann", "annotator_kind": "person", "kind": "pair",
          "order": [1, 0], "choice": "left", "strength": 2, "seconds": 3.0} for i, c in enumerate(rows)]
(out / "part").write_text("".join(json.dumps(line) + chr(10) for line in lines))
(out / "part").rename(out / "judgements.jsonl")
time.sleep(60)
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a small program in the place of `prefloop web`."""

    def make(body: str) -> None:
        file = tmp_path / "page.py"
        file.write_text(PAGE.replace("{body}", body), encoding="utf-8")
        monkeypatch.setattr(people, "COMMAND", (str(file),))
        monkeypatch.setattr(people, "LOOK_EVERY", 0.02)

    return make


@pytest.fixture
def config(folder: str, tmp_path: Path, write_rows: Callable[..., str]) -> CollectConfig:
    prompts = write_rows(
        "prompts.jsonl",
        [{"id": f"p{i}", "messages": [{"role": "user", "content": f"where is {i}?"}]} for i in range(12)],
    )
    return CollectConfig(
        out=str(tmp_path / "collect"),
        model=folder,
        prompts=prompts,
        responses_per_prompt=2,
        max_new_tokens=8,
        by="people",
        enough=7,
        page=("port=0",),
        held_out=0.3,
        threads=1,
        dtype="float32",
    )


def test_what_people_said_becomes_preferences(config: CollectConfig, page: Callable[[str], None]):
    page(JUDGE)
    made = collect(config)
    assert json.loads((made / "asked.json").read_text()) == ["pairs_per_prompt=1", "enough=7", "port=0"]
    comparisons = {c.id: c for c in read_records(made / "comparisons.jsonl", Comparison)}
    actual = [p for name in ("preferences.jsonl", "held_out.jsonl") for p in read_records(made / name, Preference)]
    assert len(actual) == len(comparisons)
    assert all(p.chosen == comparisons[p.comparison].responses[1].text and p.votes[0].strength == 2 for p in actual)
    result: dict[str, Any] = json.loads((made / "finished.json").read_text())["result"]
    assert (result["num_judgements"], result["seconds_judging"]) == (len(actual), 3.0 * len(actual))


@pytest.mark.parametrize(
    ("kind", "answer"), [("rating", '"ratings": {"helpful": [4, 2]}'), ("thumb", '"thumbs": [False, True]')]
)
def test_ratings_and_thumbs_are_enough_to_go_on(config: CollectConfig, page: Callable[[str], None], kind, answer):
    page(JUDGE.replace('"pair"', f'"{kind}"').replace('"choice": "left", "strength": 2', answer))
    made = collect(config)
    name = f"{kind}s"
    assert feedback_of(made / f"{name}.jsonl") == name
    rows = read_records(made / f"{name}.jsonl", Rated)
    result = json.loads((made / "finished.json").read_text())["result"]
    assert (result["num_preferences"], result["num_rated"]) == (0, len(rows))
    assert 0 < len(rows) < result["num_judgements"]  # those of held-out prompts are in no file
    marks = {(row.annotator, tuple(row.grades)) for row in rows}
    assert marks == {("ann", (2.0, 4.0) if kind == "rating" else (1.0, 0.0))}


def test_stopped_and_started_again(config: CollectConfig, page: Callable[[str], None]):
    """Ctrl-C while people judge ends the page and the stage; the same command goes on and samples nothing anew."""
    page("time.sleep(60)")

    def interrupt() -> None:
        while not (Path(config.out) / "asked.json").is_file():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        collect(config)
    before = (Path(config.out) / "comparisons.jsonl").read_bytes()
    page(JUDGE)
    made = collect(config.model_copy(update={"page": ("port=1",)}))  # another port is the same run
    assert (made / "comparisons.jsonl").read_bytes() == before


def test_a_page_that_ends_is_a_sentence(config: CollectConfig, page: Callable[[str], None]):
    page("sys.exit(3)")
    with pytest.raises(UserError, match=r"exit code 3.*nothing judged is lost"):
        collect(config)


def test_judgements_of_another_run_are_refused(config: CollectConfig, page: Callable[[str], None]):
    page(JUDGE.replace('c["id"]', '"c-elsewhere"'))
    with pytest.raises(UserError, match="c-elsewhere, which is not among"):
        collect(config)


def test_the_command_is_prefloops_own():
    assert people.COMMAND == ("-m", "prefloop", "web")
    assert sys.executable


def test_without_the_pages_packages_nothing_is_sampled(config: CollectConfig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(UserError, match=r"by=people needs fastapi, .* pip install 'prefloop\[web\]'"):
        collect(config)
    assert not list((Path(config.out) / "parts").glob("*"))
