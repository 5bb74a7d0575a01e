"""What `prefloop data check` says of who takes a file is true: of every form, every stage, every setting."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from files.samples import SAMPLES
from prefloop.choose.stage import asked_before
from prefloop.data.check import check, verdict
from prefloop.direct.objectives import THUMBED
from prefloop.errors import UserError
from prefloop.evaluate.reward_file import _looked_through
from prefloop.feedback.data import record
from prefloop.files.feedback import RECORD_OF, feedback_of
from prefloop.files.foreign import read_demonstrations, read_preferences, read_prompts, serves
from prefloop.files.forms import recognise
from prefloop.files.index import Rows
from prefloop.files.tables import read_records
from prefloop.records import Judgement, Preference, Ranking
from prefloop.records.skills import Task
from prefloop.score.config import ScoreConfig
from prefloop.score.stage import score
from prefloop.stages import OPTIMISING, STAGES
from prefloop.text.corpus import texts
from test_stages import SAMPLES as OWN

Read = Callable[[str], object]
JUDGE = "def length(prompts, responses):\n    return [float(len(text)) for text in responses]\n"
ROWS = [pytest.param(sample.rows, id=sample.form) for sample in SAMPLES] + [
    pytest.param([row], id=f"own {what}") for what, row in OWN.items()
]
ONE_THUMB = [{"prompt": "a", "completion": "b", "label": True}, {"prompt": "c", "completion": "d", "label": False}]
WITH_IMAGES = [{"prompt": [{"role": "user", "content": [{"type": "image"}]}], "completion": "b"}]


quiet: dict[str, Any] = {"say": lambda sentence: None}


def scored(path: str) -> object:
    """A file as `score` takes it, with a judge of one line."""
    folder = Path(path).parent
    (folder / "judge.py").write_text(JUDGE)
    out = str(folder / "out" / "scores.jsonl")
    return score(ScoreConfig(model=f"python:{folder}/judge.py:length", data=path, out=out, device="cpu"))


def feedback(path: str) -> object:
    """A file as `reward` learns from it: as what it is, or by its pairs."""
    return Rows(path, RECORD_OF[feedback_of(path)], say=lambda sentence: None)


def paired(path: str) -> object:
    """A file as `dpo` and `cpl` learn from it: as rankings, or by its pairs."""
    kind = Ranking if serves(recognise(path), Ranking) else Preference
    return Rows(path, kind, **quiet)


def thumbed(path: str) -> object:
    """A file as `kto` learns from it."""
    return Rows[Any](path, record(path, "kto", kinds=THUMBED), **quiet)


def benched(path: str) -> object:
    """A file as `evaluate` of a reward model takes it."""
    run: Any = SimpleNamespace(say=lambda sentence: None)
    return _looked_through(path, recognise(path), run)


def imitated(path: str) -> object:
    """Texts or demonstrations."""
    return list(texts(path)) if recognise(path).what == "texts" else read_demonstrations(path, **quiet)


READERS: dict[tuple[str, str], Read] = {
    **{("pretrain", setting): (lambda path: list(texts(path))) for setting in ("corpus", "practice")},
    ("sft", "demonstrations"): partial(read_demonstrations, **quiet),
    **{(stage, "ptx"): imitated for stage in ("ppo", "reinforce", "rloo", "grpo")},
    **{
        (stage, "prompts"): partial(read_prompts, **quiet)
        for stage in ("revise", "choose", "collect", *OPTIMISING, "best-of-n", "best-of", "hacks", "sweep")
    },
    **{
        (stage, setting): read
        for stage, read in (
            ("reward", feedback),
            ("dpo", paired),
            ("cpl", paired),
            ("offline", feedback),
            ("kto", thumbed),
        )
        for setting in ("preferences", "held_out", "replay")
    },
    **{(stage, "undecided"): partial(read_preferences, **quiet) for stage in ("reward", "dpo")},
    **{(stage, "demonstrations"): partial(read_demonstrations, **quiet) for stage in ("reward", "evaluate", "cards")},
    **{
        ("evaluate", setting): partial(read_prompts, **quiet)
        for setting in ("validation_prompts", "test_prompts", "ood_prompts")
    },
    ("choose", "asked"): partial(asked_before, **quiet),
    ("score", "data"): scored,
    ("evaluate", "data"): benched,
    **{("skills", setting): lambda path: list(texts(path)) for setting in ("texts", "texts_ood")},
    ("skills", "suite"): lambda path: read_records(path, Task),
    ("gate", "judged"): lambda path: read_records(path, Judgement),
}
"""(command, setting) -> how it reads its file."""


def named(sentence: str) -> set[tuple[str, str]]:
    """Every command with a setting that a verdict names."""
    return {
        (command, setting)
        for command, settings in re.findall(r"([\w-]+) \(([^)]*)\)", sentence)
        for setting in re.findall(r"(\w+)=", settings)
        if command in STAGES
    } & READERS.keys()


def test_every_setting_of_every_stage_has_its_reader_here():
    table = " ".join(f"{name} ({how})" for name, stage in STAGES.items() for how in stage.reads.values())
    every = {
        (command, setting)
        for command, settings in re.findall(r"([\w-]+) \(([^)]*)\)", table)
        for setting in re.findall(r"(\w+)=", settings)
    }
    assert every - {("collect", "by"), ("report", "pipeline")} == set(READERS)


@pytest.mark.parametrize("rows", [*ROWS, pytest.param(ONE_THUMB, id="thumbs"), pytest.param(WITH_IMAGES, id="images")])
def test_exactly_the_stages_and_settings_that_are_named_take_the_file(rows, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    taken = set()
    for place, read in READERS.items():
        try:
            read(str(path))
        except UserError:
            continue
        taken.add(place)
    report = check(path)
    if "text" in rows[0] and report.form.what != "texts":  # any row with a text can be pretrained on
        taken -= {("pretrain", "corpus"), ("pretrain", "practice"), ("skills", "texts"), ("skills", "texts_ood")}
    assert taken == (named(verdict(report)) if report.good else set())
