"""recipes/constitution.yaml and recipes/rlaif.yaml run to their report, on tiny sizes, with a reviser and a judge of
the tests' own; and the first on the helpdesk with somebody simulated for both."""

import json
from pathlib import Path
from typing import Any

import pytest

from collect.fake_judge import Reply, said, serving, shown
from prefloop.errors import UserError
from prefloop.files.tables import read_records, write_records
from prefloop.records import Demonstration, Judgement
from prefloop.rounds.command import run
from prefloop.rounds.recipe import load
from prefloop.world.grammar import prompts
from revise.conftest import asked, wide  # noqa: F401  a fixture

QUICK = [
    "threads=1",
    "dtype=float32",
    "anyway=true",
    "reward.batch_pairs=8",
    "ppo.steps=1",
    "ppo.rollouts_per_step=8",
    "ppo.minibatch_size=8",
    *(f"{stage}.max_new_tokens=6" for stage in ("collect", "ppo", "evaluate")),
    "collect.pairs_per_prompt=2",
    "collect.batch_prompts=12",
    "evaluate.num_samples=4",
]
REVISED = ["revise.max_new_tokens=6", "sft.gate=warn", "sft.gate_prompts=4", "sft.gate_max_new_tokens=6"]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts of the helpdesk in the current folder, under the names that the recipes look for."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("prompts", "prompts.validation", "prompts.test")):
        split = ("train", "validation", "test")[number]
        write_records(tmp_path / f"{name}.jsonl", prompts(split, 24 if number == 0 else 8, seed=number))


def answers(body: dict[str, Any], number: int) -> Reply:
    """As a judge it takes the longer response, and of equal ones the later in the alphabet; as a reviser it adds its
    number to the draft."""
    text = body["messages"][-1]["content"]
    if "[Response A]" in text:
        left, right = shown(body)
        return said("A" if (len(left), left) > (len(right), right) else "B")
    what, _, response, _ = asked(body)
    return said("It is rude." if what == "critique" else f"sorry {response[:20]} {len(response)}")


def test_constitution_learns_from_principles_alone(files: None, wide: str, tmp_path: Path):  # noqa: F811
    with serving(answers) as fake:
        where = [f"{who}.base_url={fake.url}" for who in ("revise.reviser", "collect.judge")]
        names = ["revise.reviser.model=m", "collect.judge.model=m"]
        run(load("constitution", [f"model={wide}", "out=made", *where, *names, *QUICK, *REVISED]))
    shown = read_records(tmp_path / "made/revise/demonstrations.jsonl", Demonstration)
    assert all(d.response.startswith("sorry") and "revised" in d.tags for d in shown)
    judgements = read_records(tmp_path / "made/collect/judgements.jsonl", Judgement)
    assert judgements
    assert all(j.machine is not None and j.machine.principle for j in judgements)
    assert (tmp_path / "made/report/index.html").is_file()
    assert json.loads((tmp_path / "made/collect/finished.json").read_text())["result"]["judge"]["principles"]


def test_constitution_runs_on_the_helpdesk_with_somebody_simulated(
    files: None,
    wide: str,  # noqa: F811
    tmp_path: Path,
):
    own = ["revise.by=simulated", "collect.by=simulated", "collect.judge=none", "evaluate.judge=gold"]
    run(load("constitution", [f"model={wide}", "out=made", *own, *QUICK, *REVISED]))
    shown = read_records(tmp_path / "made/revise/demonstrations.jsonl", Demonstration)
    assert {d.source for d in shown} == {"revise:simulated"}
    assert (tmp_path / "made/report/index.html").is_file()


def test_rlaif_learns_from_a_judge_alone(files: None, wide: str, tmp_path: Path):  # noqa: F811
    with serving(answers) as fake:
        judge = [f"collect.judge.base_url={fake.url}", "collect.judge.model=m", "collect.judge.audit=simulated"]
        run(load("rlaif", [f"model={wide}", "out=made", *judge, *QUICK]))
    told = json.loads((tmp_path / "made/collect/finished.json").read_text())["result"]
    assert told["judge"]["audit"]["flips"]["value"] == 0.0
    assert {j.annotator_kind for j in read_records(tmp_path / "made/collect/judgements.jsonl", Judgement)} == {"model"}
    assert (tmp_path / "made/report/index.html").is_file()


def test_the_judge_and_the_reviser_are_inputs_as_others_are(tmp_path: Path):
    """`$base`, stages above and files beside the recipe are found in sections too; a name at an endpoint is none."""
    (tmp_path / "mine.yaml").write_text("principles: []", encoding="utf-8")
    text = """\
sft: {model: $base, demonstrations: d.jsonl}
revise: {model: sft/model, prompts: p.jsonl, principles: [honest, mine.yaml], reviser: {model: $base}}
collect:
  {model: sft/model, prompts: p.jsonl, by: model, judge: {model: sft/model, principles: mine.yaml}}
"""
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    settings = {k: v.model_dump() for k, v in load(str(tmp_path / "r.yaml"), ["model=B", "out=O"]).settings.items()}
    assert settings["revise"]["reviser"]["model"] == "B"
    assert settings["revise"]["principles"] == ("honest", str(tmp_path / "mine.yaml"))
    assert settings["collect"]["judge"]["model"] == "O/sft/model"
    assert settings["collect"]["judge"]["principles"] == str(tmp_path / "mine.yaml")
    at_endpoint = load(str(tmp_path / "r.yaml"), ["model=B", "out=O", "collect.judge.base_url=http://a/v1"])
    assert at_endpoint.settings["collect"].model_dump()["judge"]["model"] == "sft/model"


def test_a_reviser_that_is_not_there_is_told_before_anything_runs(
    files: None,
    wide: str,  # noqa: F811
    tmp_path: Path,
):
    with pytest.raises(UserError, match=r"`revise\.reviser\.model`: nowhere: there is no such folder"):
        run(load("constitution", [f"model={wide}", "out=made", "revise.reviser.model=nowhere", *QUICK]))
    assert not (tmp_path / "made/revise").exists()
