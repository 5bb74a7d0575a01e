"""The table of stages says the truth: what it names is there, and each stage reads what it says and refuses the
rest."""

import ast
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest

import prefloop
from prefloop.config import Config
from prefloop.direct.marks import OFFLINE
from prefloop.direct.objectives import THUMBED
from prefloop.errors import UserError
from prefloop.feedback.data import record
from prefloop.files import foreign
from prefloop.files.feedback import RECORD_OF, feedback_of
from prefloop.files.forms import recognise
from prefloop.files.index import Rows
from prefloop.files.said import What
from prefloop.files.tables import read_records, read_rows
from prefloop.named import named
from prefloop.records import Comparison, Demonstration, Judgement, Preference, Prompt, Ranking, Task
from prefloop.stages import STAGES, Stage

SRC = Path(prefloop.__file__).parent
ASKED = {"messages": [{"role": "user", "content": "where?"}]}
DRAWN = {"num_tokens": 1, "finished": True, "sampler": "s"}
JUDGED = {"annotator": "a", "annotator_kind": "person", "kind": "pair", "order": [0, 1], "choice": "left", "seconds": 1}
SAMPLES: dict[str, dict[str, Any]] = {
    "prompts": {"id": "1", **ASKED},
    "demonstrations": {"id": "1", **ASKED, "response": "here"},
    "comparisons": {
        "id": "1",
        "prompt_id": "1",
        **ASKED,
        "responses": [{"text": text, **DRAWN} for text in ("here", "there")],
        "sampling": {"temperature": 1.0},
    },
    "judgements": {"id": "1", "comparison": "1", **JUDGED},
    "preferences": {"id": "1", **ASKED, "chosen": "here", "rejected": "there"},
    "rankings": {"id": "1", **ASKED, "responses": ["here", "there"], "ranks": [1, 2]},
    "ratings": {"id": "1", **ASKED, "responses": ["here", "there"], "ratings": {"helpful": [4, 2]}},
    "scores": {"id": "1:0", "score": 0.5},
    "thumbs": {"prompt": "where?", "completion": "here", "label": True},
    "steps": {"prompt": "where?", "completions": ["here"], "labels": [True]},
    "tickets": {"prompt": "where?", "response_a": "here", "response_b": "there"},
    "revisions": {"id": "1", **ASKED, "draft": "here", "reviser": "simulated"},
    "exports": {"data": {"prompt": "where?"}, "annotations": []},
    "unprompted": {"chosen": "here", "rejected": "there"},
    "texts": {"text": "once upon a time"},
}
"""One row of each kind of file."""
Reader = Callable[[Path], object]


def of_page(path: Path) -> None:
    """A file as the page takes scores in."""
    from prefloop.web.exchange.score_files import parsed

    for number, row in read_rows(path):
        parsed(row, f"{path}:{number}")


def _offline(path: Path, *, objective: str) -> object:
    return Rows(path, record(str(path), objective, kinds=OFFLINE))


def _imitated(path: Path) -> object:
    """Texts or demonstrations."""
    as_texts = recognise(path).what == "texts"
    return list(named("prefloop.text.corpus:texts")(str(path))) if as_texts else Rows(path, Demonstration)


OWN_READERS: dict[str, tuple[Reader, ...]] = {
    "sft": (lambda path: Rows(path, Demonstration),),
    **dict.fromkeys(("ppo", "reinforce", "rloo", "grpo"), (lambda path: Rows(path, Prompt), _imitated)),
    "rft": (lambda path: Rows(path, Prompt),),
    "online-dpo": (lambda path: Rows(path, Prompt),),
    "dpo": (lambda path: Rows(path, Preference), lambda path: Rows(path, Ranking)),
    "cpl": (lambda path: Rows(path, Preference), lambda path: Rows(path, Ranking)),
    "offline": tuple(partial(_offline, objective=objective) for objective in ("wins", "ratings", "thumbs")),
    "kto": (lambda path: record(str(path), "kto", kinds=THUMBED),),
    "reward": (lambda path: Rows(path, RECORD_OF[feedback_of(path)]), lambda path: Rows(path, Demonstration)),
    "pretrain": (lambda path: list(named("prefloop.text.corpus:texts")(str(path))),),
    "choose": (lambda path: read_records(path, Comparison),),
    "collect": (lambda path: read_records(path, Judgement),),
    "gate": (lambda path: read_records(path, Judgement),),
    "skills": (
        lambda path: list(named("prefloop.text.corpus:texts")(str(path))),
        lambda path: read_records(path, Task),
    ),
    "score": (
        lambda path: Rows(path, Preference),
        lambda path: Rows(path, Demonstration),
        lambda path: read_records(path, Comparison),
    ),
    "web": (lambda path: read_records(path, Comparison), of_page),
}
"""How stages read what does not come through files/foreign.py."""
TAKES_FILES = [stage for stage in STAGES.values() if stage.function.split(".")[1] not in ("data", "compare", "lab")]
"""data only looks at files, and compare and lab read what their stages do."""


def readers(stage: Stage) -> list[Reader]:
    """What a stage reads files with: its own ways, and the readers of other people's forms that its folder imports."""
    folder = SRC / stage.function.split(".")[1]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in folder.glob("*.py")]
    imports = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in imports if node.module == foreign.__name__ for alias in node.names}
    if any(alias.name == "FittingPrompts" for node in imports for alias in node.names):
        names.add("read_prompts")
    shared = [vars(foreign)[name] for name in sorted(names) if name.startswith("read_")]
    return [*shared, *OWN_READERS.get(stage.name, ())]


def accepts(read: Reader, path: Path) -> bool:
    """Whether a reader takes a file."""
    try:
        read(path)
    except UserError:
        return False
    return True


@pytest.mark.parametrize("stage", TAKES_FILES, ids=lambda stage: stage.name)
def test_a_stage_reads_what_the_table_says_and_nothing_else(stage: Stage, tmp_path: Path):
    if stage.name == "best-of":
        pytest.skip("it reads prompts alone, and shares a folder with evaluate, which reads more")
    taken = set()
    for what, row in SAMPLES.items():
        path = tmp_path / f"{what}.jsonl"
        path.write_text(json.dumps(row) + "\n", encoding="utf-8")
        assert recognise(path).what == what
        if any(accepts(read, path) for read in readers(stage)):
            taken.add(what)
    own = set(stage.reads) & set(SAMPLES)
    as_prompts = {what for what, records in foreign.SERVES.items() if Prompt in records and "prompts" in stage.reads}
    as_pairs = {"rankings", "ratings"} if "preferences" in stage.reads else set()  # the one thumb here makes no pair
    assert taken == own | as_prompts | as_pairs


def test_there_is_a_sample_of_every_kind_of_file():
    assert set(SAMPLES) == set(get_args(What))


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name)
def test_what_the_table_names_is_there(stage: Stage):
    assert callable(named(stage.function))
    assert stage.settings is not None or not stage.in_recipe
    if stage.settings is not None:
        settings = named(stage.settings)
        assert issubclass(settings, Config)
        assert stage.variant is None or callable(named(stage.variant.function))
        named_settings = re.findall(r"(\w+)=(?!people)", " ".join(stage.reads.values()))
        other = named(stage.variant.settings).model_fields if stage.variant else {}
        assert set(named_settings) <= settings.model_fields.keys() | other.keys()
