"""The command from a recipe to the page: what is finished is not run again, what fails stops nothing else."""

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import miniature
from prefloop import layout, running
from prefloop.compare import measured, page
from prefloop.compare.command import main
from prefloop.errors import UserError
from prefloop.files.documents import read_document
from prefloop.files.tables import read_records, read_rows, write_records
from prefloop.named import named
from prefloop.records import Message, Preference, Rated
from prefloop.records.compared import Compared, Cost, Tried
from prefloop.records.evaluations import Evaluation
from prefloop.running import Failed, Step, Workers

METHODS = "methods=[sft, best-of-n, dpo, kto, broken]"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], list[str], Callable[[], int]]:
    """The miniature compared, with stages in this process. Returns: its folder, what ran, the words, and a rerun."""
    folder, ran = tmp_path_factory.mktemp("compare"), list[str]()
    words = [f"out={folder}", *miniature.overrides(), METHODS, "at_once=1", "broken.method=dpo", "broken.beta=0.3"]
    words += ["best-of-n.evaluate.best_of=2"]

    def run(self: Workers, step: Step, log: Path) -> None:
        if (step.out / layout.FINISHED).is_file():
            return
        ran.append(f"{step.out.relative_to(folder)}")
        if "broken" in step.out.parts:
            raise Failed("its learning rate was out of this world")
        named(step.stage.function)(step.config)

    def again() -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Workers, "run", run)
            return main(["helpdesk", *words])

    assert again() == 1  # one failed
    return folder, ran, words, again


def test_the_page_has_a_line_for_each(ran: Any):
    folder, _, _, _ = ran
    found = read_document(folder / layout.COMPARE / layout.COMPARED, Compared)
    rows = {one.name: one for one in found.tried}
    assert list(rows) == ["sft", "best-of-n", "dpo", "kto", "broken"]
    assert rows["broken"].failed == "its learning rate was out of this world"
    assert rows["broken"].test is None
    for name in ("best-of-n", "dpo", "kto"):
        evaluation = read_document(folder / layout.COMPARE / name / layout.EVALUATE / layout.EVALUATION, Evaluation)
        assert rows[name].test == evaluation.models[evaluation.selected].test
        assert rows[name].validation == evaluation.models[evaluation.selected].validation
        assert evaluation.models["reference"].test == found.reference == rows["sft"].test  # all beside the same
    for language, file in page.PAGES.items():
        text = (folder / layout.COMPARE / file).read_text(encoding="utf-8")
        assert all(f">{name}<" in text for name in ("best-of-n", "dpo", "kto"))
        assert page.alarms(found, language)[0].count("out of this world") == 1


def test_what_each_cost_is_its_own(ran: Any):
    folder, _, _, _ = ran
    rows = {one.name: one for one in read_document(folder / layout.COMPARE / layout.COMPARED, Compared).tried}
    labels = list(read_rows(folder / layout.COLLECT / layout.PREFERENCES))
    assert rows["sft"].judgements == 0
    given = [json.loads(line) for line in (folder / layout.COLLECT / layout.JUDGEMENTS).read_text().splitlines()]
    ties = {row["comparison"] for _, row in read_rows(folder / layout.COLLECT / layout.UNDECIDED)}
    decided = {row["comparison"] for _, row in labels}
    assert rows["kto"].judgements == sum(one["comparison"] in decided for one in given)
    assert rows["dpo"].judgements == sum(one["comparison"] in decided | ties for one in given)
    assert rows["best-of-n"].judgements == rows["dpo"].judgements  # what its reward model learned from
    assert rows["best-of-n"].own is None  # it trains nothing
    assert rows["best-of-n"].shared is not None
    assert rows["dpo"].shared is None
    timing = json.loads((folder / layout.COMPARE / "dpo/dpo" / layout.TIMING).read_text())
    assert rows["dpo"].own
    assert rows["dpo"].own.cpu_seconds == timing["cpu_seconds"] > 0
    assert rows["dpo"].own.sampled_tokens == 0


def test_what_is_finished_is_not_run_again(ran: Any):
    folder, did, _, again = ran
    before = {name: (folder / layout.COMPARE / name).read_bytes() for name in (layout.COMPARED, layout.PAGE_ZH)}
    did.clear()
    assert again() == 1
    assert did == ["compare/broken/dpo"]  # what failed is tried again
    assert {name: (folder / layout.COMPARE / name).read_bytes() for name in before} == before


def test_people_can_judge_all_of_them_blind(ran: Any):
    folder, _, _, _ = ran
    rows = [row for _, row in read_rows(folder / layout.COMPARE / layout.ARENA)]
    by_prompt: dict[str, list[str]] = {}
    for row in rows:
        by_prompt.setdefault(row["id"], []).append(row["sampler"])
    assert all(sorted(names) == ["best-of-n", "dpo", "kto", "sft"] for names in by_prompt.values())
    dpo = folder / layout.COMPARE / "dpo" / layout.EVALUATE / layout.ARENA
    texts = {(r["id"], r["response"]) for _, r in read_rows(dpo)}
    assert {(r["id"], r["response"]) for r in rows if r["sampler"] in ("dpo", "sft")} <= texts


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="this folder holds other things"):
        main(["helpdesk", f"out={tmp_path}", "methods=[dpo]"])


# preferences as thumbs


def test_thumbs_are_who_won_more_often(tmp_path: Path):
    def pair(number: int, chosen: str, rejected: str, comparison: str = "c1") -> Preference:
        asked = (Message(role="user", content=comparison),)
        return Preference(id=f"{number}", messages=asked, chosen=chosen, rejected=rejected, comparison=comparison)

    rows = [pair(1, "a", "b"), pair(2, "a", "c"), pair(3, "b", "c"), pair(4, "x", "y", "c2"), pair(5, "y", "x", "c2")]
    write_records(tmp_path / "p.jsonl", rows)
    measured.write_thumbs(tmp_path / "p.jsonl", tmp_path / "t.jsonl")
    (row,) = read_records(tmp_path / "t.jsonl", Rated)  # of c2 nobody won
    assert dict(zip(row.responses, row.thumbs or (), strict=True)) == {
        "a": True,
        "c": False,
    }  # b won as often as it lost


def test_preferences_of_others_become_thumbs_too(tmp_path: Path):
    """Without ids and comparisons; thumbs stay thumbs, and rankings are refused."""
    rows = [
        {"prompt": "where?", "chosen": "here", "rejected": "there"},
        {"prompt": "who?", "chosen": "me", "rejected": "you"},
    ]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    measured.write_thumbs(tmp_path / "p.jsonl", tmp_path / "t.jsonl")
    found = read_records(tmp_path / "t.jsonl", Rated)
    assert [(row.responses, row.thumbs) for row in found] == [
        (("here", "there"), (True, False)),
        (("me", "you"), (True, False)),
    ]
    measured.write_thumbs(tmp_path / "t.jsonl", tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "t.jsonl").read_bytes()
    ranking = {"id": "1", "messages": [{"role": "user", "content": "a"}], "responses": ["b", "c"], "ranks": [1, 2]}
    (tmp_path / "r.jsonl").write_text(json.dumps(ranking) + "\n")
    with pytest.raises(UserError, match="this holds rankings, and kto learns from thumbs or preferences"):
        measured.write_thumbs(tmp_path / "r.jsonl", tmp_path / "x.jsonl")


# what the page says


def tried(
    name: str, win: float, *, half: float = 0.02, kl: float = 1.0, cpu: float = 10.0, harmful: float = 0.2
) -> Tried:
    def split(mean: float) -> dict[str, Any]:
        def around(x: float, h: float) -> dict[str, float]:
            return {"mean": x, "low": x - h, "high": x + h}

        rate = {**around(mean, half), "judge": "gold", "num": 9, "wins": 5, "ties": 0, "losses": 4}
        gold = {"utility": None, "satisfied": None, "harmful": around(harmful, 0.01), "over_refusal": around(0.1, 0.01)}
        numbers = {"num_prompts": 9, "score": None, "kl_nats": around(kl, 0), "length": 9.0, "finished": 1.0}
        numbers |= {"distinct_2": 1.0, "repetition": 0.0, "gold": {**gold, "axes": {}, "by_tag": {}}, "win_rate": rate}
        return numbers

    own = Cost(cpu_seconds=cpu, peak_mb=1.0)
    row = {"name": name, "method": "dpo", "commands": ["x"], "own": own.model_dump()}
    return Tried.model_validate_json(json.dumps({**row, "validation": split(win), "test": split(win)}))


def compared(*rows: Tried) -> Compared:
    reference = tried("sft", 0.5).test
    assert reference is not None
    return Compared(title="t", seed=0, judge="gold", kl_limit=8.0, reference=reference, tried=rows)


def test_the_best_and_those_that_cannot_be_told_from_it():
    found = compared(
        tried("a", 0.70), tried("b", 0.67, cpu=2.0), tried("c", 0.60, cpu=1.0), tried("far", 0.9, kl=9.0, cpu=0)
    )
    top = page.best(found)
    assert top is not None
    assert top.name == "a"  # what drifted beyond the limit is not chosen, and recommended neither
    assert [one.name for one in page.near(found, top)] == ["b"]
    said = " ".join(page.verdict(found, "en"))
    assert "a was chosen on validation prompts; on new ones it wins 70% [68, 72]" in said
    assert "The cheapest to train of these is b: 2.0 s" in said
    assert any("far drifted 9.0 nats" in one and "beyond the limit of 8" in one for one in page.alarms(found, "en"))


def test_what_was_chosen_and_is_not_clear_on_new_prompts_is_said():
    lucky, other = tried("lucky", 0.7), tried("b", 0.65)
    found = compared(lucky.model_copy(update={"test": tried("x", 0.51).test}), other)
    said = page.verdict(found, "en")
    assert said[0].startswith("lucky, chosen on validation prompts, does not win clearly more than half on new ones")
    assert said[1] == "On new prompts these do: b."
    assert page.verdict(compared(tried("a", 0.51)), "en")[1] == "No method wins clearly more than half against SFT."


def test_what_is_not_known_to_cost_is_not_called_cheap():
    unknown = tried("a", 0.70)
    assert unknown.own is not None
    unknown = unknown.model_copy(update={"own": unknown.own.model_copy(update={"cpu_seconds": None})})
    said = " ".join(page.verdict(compared(unknown, tried("b", 0.69)), "en"))
    assert "The cheapest to train of these is b" in said


def test_what_is_worse_is_said_of_each():
    found = compared(tried("a", 0.4, harmful=0.4), tried("b", 0.6, harmful=0.1))
    assert page.alarms(found, "en") == [
        "a wins clearly less than half: worse than SFT.", "a is clearly more harmful than SFT.",
    ]  # fmt: skip
    text = page.page(found, "zh")
    assert "mark good" in text
    assert "mark bad" in text


# processes of their own


def step(tmp_path: Path, name: str = "report") -> Step:
    from prefloop.rounds.recipe import load

    recipe = load("helpdesk", [f"out={tmp_path}"])
    from prefloop.running import head

    return head(recipe)[0]


def test_a_stage_that_fails_says_its_own_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    code = (
        "import sys; print('update 1'); print('prefloop: the file is empty. Give rows.', file=sys.stderr); sys.exit(2)"
    )
    monkeypatch.setattr(running, "COMMAND", (sys.executable, "-c", code))
    with pytest.raises(Failed, match=r"^the file is empty. Give rows.$"):
        Workers().run(step(tmp_path), tmp_path / "m" / layout.LOG)
    assert "update 1" in (tmp_path / "m" / layout.LOG).read_text()
    monkeypatch.setattr(running, "COMMAND", (sys.executable, "-c", "import os; os._exit(9)"))
    with pytest.raises(Failed, match="exit code 9"):
        Workers().run(step(tmp_path), tmp_path / "m" / layout.LOG)


def test_to_stop_is_to_ask_every_process_and_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    code = (
        "import pathlib, signal, sys, time\n"
        f"mark = pathlib.Path({str(tmp_path)!r})\n"
        "def saved(*_):\n    (mark / 'saved').write_text('x'); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, saved)\n(mark / 'begun').write_text('x')\ntime.sleep(60)\n"
    )
    monkeypatch.setattr(running, "COMMAND", (sys.executable, "-c", code))
    some, failed = Workers(), list[str]()

    def work() -> None:
        try:
            some.run(step(tmp_path), tmp_path / "m" / layout.LOG)
        except Failed as problem:
            failed.append(str(problem))

    thread = threading.Thread(target=work)
    thread.start()
    while not (tmp_path / "begun").exists():
        time.sleep(0.02)
    some.stop()
    thread.join(20)
    assert (tmp_path / "saved").exists()
    assert "exit code 143" in failed[0]
    with pytest.raises(Failed, match="stopped before it began"):
        some.run(step(tmp_path), tmp_path / "m" / layout.LOG)
