"""Rounds: what each begins from, what is kept, what a branch is, and what nobody can do behind their back."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest

import miniature
from prefloop import cli, layout
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.tables import read_records
from prefloop.records import Comparison
from prefloop.records.lineages import Lineage, Round
from prefloop.records.runs import Artefact
from prefloop.rounds import advance, gate, lineage, turns
from prefloop.rounds.recipe import find, load
from prefloop.stats.paying import next_gain

VERDICTS = ("ship", "hold", "ship")


def go(out: Path, num: int) -> int:
    """Types it."""
    return cli.main(["run", "rounds", *miniature.rounds(out=str(out), num=num)])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rounds, of which the first and the last are said to ship."""
    patch, out = pytest.MonkeyPatch(), tmp_path_factory.mktemp("rounds") / "out"
    with patch.context() as patched:
        patched.setattr(gate, "decide", _in_turn())
        assert go(out, 3) == 0
    return out


def _in_turn() -> Callable[..., tuple[str, str]]:
    said = iter(VERDICTS)
    return lambda config, duel, checked: ((verdict := next(said)), f"{verdict}: said so.")


@pytest.fixture
def copy(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The three rounds, to be changed: in the folder of before, so that paths stay."""
    kept = tmp_path / "kept"
    shutil.copytree(whole, kept)
    monkeypatch.setattr(gate, "decide", lambda config, duel, checked: ("hold", "hold: said so."))
    yield whole
    shutil.rmtree(whole)
    shutil.copytree(kept, whole)


def folder_of(out: Path, name: str) -> Path:
    return out / layout.ROUNDS / name


def test_each_round_begins_from_what_the_last_one_selected(whole: Path):
    made = lineage.read(whole)
    assert [each.name for each in made.rounds] == ["1", "2", "3"]
    assert [each.parent for each in made.rounds] == ["", "1", "2"]
    assert [each.decision for each in made.rounds] == list(VERDICTS)
    first, second, third = made.rounds
    assert first.incumbent.path == "sft/model"
    assert first.reward is None
    assert second.incumbent == first.selected
    assert "rounds/1/ppo" in second.incumbent.path
    assert third.incumbent == second.incumbent == second.selected  # it was held
    assert "rounds/3/ppo" in third.selected.path if third.selected else False
    assert (second.reward, third.reward) == (first.refreshed, second.refreshed)
    assert made.head == "3"
    assert made.ended == "num"


def test_pairs_carry_whoever_was_sampled_and_no_prompt_is_asked_twice(whole: Path):
    asked: list[set[str]] = []
    for each in lineage.read(whole).rounds:
        rows = read_records(folder_of(whole, each.name) / "collect/comparisons.jsonl", Comparison)
        assert {r.sampler for c in rows for r in c.responses} == {each.incumbent.fingerprint}
        asked.append({c.text for c in rows})
        assert each.judgements == len(
            (folder_of(whole, each.name) / "collect/judgements.jsonl").read_text().splitlines()
        )
    assert not asked[0] & asked[1]
    assert not (asked[0] | asked[1]) & asked[2]


def test_what_was_learned_from_before_is_learned_from_again(whole: Path):
    kept = [(folder_of(whole, name) / "collect/preferences.jsonl").read_text() for name in ("1", "2")]
    assert not (folder_of(whole, "1") / layout.EARLIER).exists()
    assert (folder_of(whole, "3") / layout.EARLIER).read_text() == "".join(kept)
    cards = [json.loads((folder_of(whole, name) / "reward/run.json").read_text()) for name in ("1", "3")]
    assert ["replay" in card["inputs"] for card in cards] == [False, True]


def test_the_last_reward_model_is_measured_beside_the_refreshed_one(whole: Path):
    first, second, _ = lineage.read(whole).rounds
    assert (first.stale is None, first.fresh is None) == (True, False)
    card = json.loads((folder_of(whole, "2") / "stale/run.json").read_text())
    assert card["inputs"]["reward"]["path"] == str(whole / "rounds/1/reward/model")
    assert card["inputs"]["data"]["path"].endswith("rounds/2/collect/held_out.jsonl")
    assert second.stale
    assert second.fresh
    assert second.stale.num == second.fresh.num


def test_what_was_evaluated_is_what_skills_are_measured_of(whole: Path):
    """`$candidate` is known once `evaluate` has selected it, in the round itself."""
    for each in lineage.read(whole).rounds:
        made = json.loads((folder_of(whole, each.name) / "gate/gate.json").read_text())
        measured = json.loads((folder_of(whole, each.name) / "skills/skills.json").read_text())["models"]
        assert [model["name"] for model in measured] == ["sft", "policy"]
        assert measured[-1]["fingerprint"] == made["candidate_fingerprint"]


def test_every_artefact_is_what_the_lineage_says(whole: Path):
    for each in lineage.read(whole).rounds:
        assert {"collect/preferences.jsonl", "reward/model", "evaluate/evaluation.json", "gate/gate.json"} <= {
            *each.outputs
        }
        for found in (*each.outputs.values(), each.incumbent, each.selected):
            assert found is not None
            assert fingerprints.of_path(whole / found.path) == found.fingerprint
            assert not Path(found.path).is_absolute()


def test_again_does_nothing_and_more_are_added(copy: Path, capsys: pytest.CaptureFixture[str]):
    before = lineage.read(copy)
    assert go(copy, 3) == 0
    assert lineage.read(copy).rounds == before.rounds
    assert "as many rounds as asked for" in capsys.readouterr().out
    assert cli.main(["rounds", str(copy), "rounds.num=4"]) == 0
    assert [each.name for each in lineage.read(copy).line("4")] == ["1", "2", "3", "4"]
    assert lineage.read(copy).rounds[:3] == before.rounds


def test_back_makes_a_branch_and_deletes_nothing(copy: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["rounds", str(copy), "back", "1"]) == 0
    assert cli.main(["rounds", str(copy), "rounds.num=2"]) == 0
    made = lineage.read(copy)
    assert [each.name for each in made.rounds] == ["1", "2", "3", "2b"]
    assert [each.name for each in made.line(made.head)] == ["1", "2b"]
    assert made.named("2b").incumbent == made.named("2").incumbent  # type: ignore[union-attr]
    assert folder_of(copy, "3").is_dir()
    capsys.readouterr()
    assert cli.main(["rounds", str(copy), "lineage"]) == 0
    said = capsys.readouterr().out
    assert said.index("round 2:") < said.index("round 3:") < said.index("round 2b:")
    assert "round 2b: held  <- the next round comes after this one" in said
    assert cli.main(["rounds", str(copy), "back", "9"]) == 2
    assert "no round `9` is decided. There are: 0, 1, 2, 3, 2b" in capsys.readouterr().err


def test_a_number_that_was_changed_breaks_its_seal(copy: Path, capsys: pytest.CaptureFixture[str]):
    path = lineage.file_of(copy)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"decision": "hold"', '"decision": "ship"', 1), encoding="utf-8")
    assert cli.main(["rounds", str(copy), "lineage"]) == 2
    assert "round 2 is not as it was when it was decided" in capsys.readouterr().err


def test_a_model_that_is_gone_or_changed_is_said(copy: Path, capsys: pytest.CaptureFixture[str]):
    selected = lineage.read(copy).rounds[-1].selected
    assert selected is not None
    weights = copy / selected.path / "config.json"
    weights.write_text(weights.read_text() + " ")
    assert cli.main(["rounds", str(copy), "rounds.num=4"]) == 2
    assert "is not the same any more" in capsys.readouterr().err
    shutil.rmtree(copy / selected.path)
    assert cli.main(["rounds", str(copy), "rounds.num=4"]) == 2
    said = capsys.readouterr().err
    assert "the policy that round 4 begins from is not there any more" in said
    assert "back NAME" in said
    assert len(lineage.read(copy).rounds) == 3


def test_two_at_once_cannot_both_promote(copy: Path, capsys: pytest.CaptureFixture[str]):
    with filelock.FileLock(copy / layout.ROUNDS / layout.RUN_LOCK):
        assert cli.main(["rounds", str(copy), "rounds.num=4"]) == 2
        assert "another `prefloop rounds` is working here" in capsys.readouterr().err
        assert cli.main(["rounds", str(copy), "back", "1"]) == 2


def test_people_who_never_came_are_waited_for(
    copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.undo()
    more = ["rounds", str(copy), "rounds.num=4", "rounds.gate.by=people", "rounds.gate.least=0"]
    assert cli.main(more) == 4
    assert "prefloop web" in capsys.readouterr().out
    waiting = lineage.read(copy)
    assert (waiting.rounds[-1].name, waiting.rounds[-1].decision, waiting.head) == ("4", None, "3")
    assert cli.main(more) == 4  # and nothing is made twice
    assert lineage.read(copy) == waiting


def settings(words: dict[str, Any] | None = None, **section: Any) -> Any:
    """Settings of the stages of a round. Args: words: what stands for what; section: overrides of stages."""
    recipe = load("rounds", [f"rounds.{key}={value}" for key, value in section.items()])
    told = {**dict.fromkeys(turns.WORDS), "incumbent": "in/sft", **(words or {})}
    return recipe.turned(turns.Turn(Path("out/rounds/1"), turns.section(recipe), told))


def test_words_stand_for_what_came_before():
    first = settings()
    assert (first["collect"].model, first["collect"].prompts) == ("in/sft", "out/rounds/1/choose/prompts.jsonl")
    assert (first["choose"].reward, first["choose"].asked, first["reward"].replay) == (None, (), None)
    later = settings({"reward": "r", "asked": ("a", "b"), "preferences": "p"})
    assert (later["choose"].reward, later["choose"].asked, later["reward"].replay) == ("r", ("a", "b"), "p")
    assert (first["reward"].replay_share, later["reward"].replay_share) == (0.2, 0.6)
    either = {"reward.model": "$reward or sft/model"}
    assert settings(**either)["reward"].model == "rounds/sft/model"
    assert settings({"reward": "r"}, **either)["reward"].model == "r"
    assert later["evaluate"].base == "rounds/sft/model"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("rounds.gaet.by=gold", "a round has no `gaet`. Did you mean `gate`?"),
        ("rounds.collect.modle=x", "Did you mean `model`?"),
        ("rounds.collect.model=$incumbant", "there is no `$incumbant`. Did you mean $incumbent?"),
        ("rounds.reward.preferences=ppo/models", "the stage `ppo` has not run by then"),
        ("rounds.reward.preferences=collect/prefs.jsonl", "the stage `collect` writes no `prefs.jsonl`"),
        ("rounds.num=0", "num"),
        ("rounds.collect.out=x", "in a recipe every stage has the folder of its name"),
    ],
)
def test_typos_stop_it_before_anything_runs(given: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    assert cli.main(["run", "rounds", f"out={out}", given]) == 2
    assert says in capsys.readouterr().err
    assert not out.exists() or not [path for path in out.iterdir() if not path.name.startswith(".")]


def test_a_round_without_a_gate_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    text = Path(find("rounds")).read_text(encoding="utf-8")
    file = tmp_path / "mine.yaml"
    file.write_text(text[: text.index("  gate:")] + "report: {}\n", encoding="utf-8")
    assert cli.main(["rounds", str(file), f"out={tmp_path / 'out'}"]) == 2
    assert "`rounds:` has no `gate:`" in capsys.readouterr().err
    assert cli.main(["rounds", "helpdesk"]) == 2
    assert "has no `rounds:`" in capsys.readouterr().err


def round_of(name: str, parent: str, **told: Any) -> Round:
    return Round(name=name, number=int(name[0]), parent=parent, incumbent=Artefact(path="p", fingerprint="f"), **told)


def test_when_it_is_over():
    """After as many as asked for; after two holds in a row; where even the upper end of what is expected is too
    little."""
    held = {"decision": "hold", "gain": 0.0, "gain_error": 0.02}
    won = {"decision": "ship", "gain": 0.2, "gain_error": 0.02}

    def ended(*told: dict[str, Any], **config: Any) -> str:
        rounds = tuple(round_of(str(n), str(n - 1) if n > 1 else "", **each) for n, each in enumerate(told, 1))
        made = Lineage(recipe="r", rounds=rounds, head=rounds[-1].name if rounds else "")
        return advance.why_ended(made, turns.RoundsConfig(**{"num": 9, "begin": "b", **config}))

    assert ended() == ""
    assert ended(won, num=1) == "num"
    assert ended(won, held, holds=2) == ""
    assert ended(won, held, held, holds=2) == "holds"
    assert ended(held, won, held, holds=2) == ""
    assert ended(won, held, least_gain=0.05) == "gain"
    assert ended(won, least_gain=0.05) == ""


def test_what_another_round_may_gain_by_hand():
    """0.2 then 0.1, both known exactly: half of it is left each time, 0.05. A loss gains nothing more. Of one round
    the ratio is any in [0, 1]: half on average."""
    exact = next_gain([0.2, 0.1], [0.0, 0.0])
    assert exact is not None
    assert (exact.mean, exact.low, exact.high) == pytest.approx((0.05, 0.05, 0.05))
    lost = next_gain([0.2, -0.1], [0.0, 0.0])
    assert lost is not None
    assert lost.high == 0
    first_lost = next_gain([-0.1], [0.0])
    assert first_lost is not None
    assert (first_lost.low, first_lost.high) == (0.0, 0.0)
    once = next_gain([0.2], [0.0])
    assert once is not None
    assert once.mean == pytest.approx(0.1, abs=0.002)
    assert (once.low, once.high) == pytest.approx((0.005, 0.195), abs=0.002)
    assert next_gain([], []) is None
    wide, narrow = (next_gain([0.2, 0.1], [e, e]) for e in (0.05, 0.01))
    assert wide is not None
    assert narrow is not None
    assert wide.high - wide.low > narrow.high - narrow.low


def test_the_first_thing_that_is_wrong_is_said(tmp_path: Path):
    with pytest.raises(UserError, match="there are no rounds here yet"):
        lineage.read(tmp_path)
