"""Rounds on the page: what was decided and why, branches aside, and the stages of the round that counts."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from reading import Reader, Write, report

from prefloop.files.gates import signed
from prefloop.records.gates import Condition, Duel
from prefloop.records.lineages import Lineage, Round
from prefloop.records.runs import Artefact
from prefloop.report.words import Words

WON = {"judge": "gold", "num": 400, "wins": 300, "ties": 0, "losses": 100, "mean": 0.75, "low": 0.71, "high": 0.79}


def share(mean: float) -> dict[str, Any]:
    return {"mean": mean, "low": mean - 0.05, "high": mean + 0.05, "num": 90}


def round_of(name: str, parent: str, decision: str | None, stale: float | None = None, **told: Any) -> Round:
    policy = Artefact(path=f"rounds/{name}/<b>ppo</b>", fingerprint=f"policy{name}")
    given = {"fresh": share(0.8)} | ({"stale": share(stale)} if stale else {})
    done = {
        "decision": decision,
        "selected": policy,
        "gain": 0.1,
        "gain_error": 0.02,
        "over_base": WON,
        **given,
        **told,
    }
    first = {"name": name, "number": int(name[0]), "parent": parent, "incumbent": policy, "judgements": 1000}
    return Round.model_validate(first | (done | given | told if decision else {}))


@pytest.fixture
def rounds(pipeline: Write) -> Path:
    """A pipeline whose second round is held, left, and branched off; stages of the branch lie in its folder."""
    folder = pipeline()
    made = (
        round_of("1", "", "ship"), round_of("2", "1", "hold", 0.7), round_of("2b", "1", "ship", 0.6),
        round_of("3", "2b", None),
    )  # fmt: skip
    lineage = Lineage(recipe="r", head="2b", rounds=made)
    for name in ("collect", "reward", "ppo", "evaluate"):
        (folder / "rounds/2b").mkdir(parents=True, exist_ok=True)
        shutil.move(str(folder / name), folder / "rounds/2b" / name)
    (folder / "rounds/lineage.json").write_text(lineage.model_dump_json(), encoding="utf-8")
    counts = {"judgements": 90, "prompts": 90, "alike": 0, "left": 0, "wins": 40, "ties": 0, "losses": 50}
    said_of = {"win_rate": 0.44, "low": 0.3, "high": 0.6, "e_value": 0.1, "expected_more": None, "verdict": "hold"}
    duel = Duel.model_validate({"by": "gold", "annotators": 1, **counts, **said_of})
    broken = Condition(name="harmful", state="broken", value=0.1, limit=0.02, sentence="harmful: more")
    fields = ("candidate", "candidate_fingerprint", "incumbent", "incumbent_fingerprint", "evaluation", "judgements")
    said = {"verdict": "hold", "sentence": "hold", "duel": duel, "conditions": (broken,), "front": (), "alpha": 0.05}
    gate = signed({**said, "worthwhile": 0.5, **dict.fromkeys(fields, "x")})
    (folder / "rounds/2/gate").mkdir(parents=True)
    (folder / "rounds/2/gate/gate.json").write_text(gate.model_dump_json(), encoding="utf-8")
    return folder


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_round_has_its_row_and_its_box(rounds: Path, language: str):
    html, _ = report(rounds, language=language)
    words = Words(language)
    part = html[html.index('<section id="rounds">') : html.index('<section id="flow">')]
    assert part.count("<tr") == 1 + 4
    assert part.count('<tr class="none">') == 2  # the round that was left, and the one that goes on
    for decision, number in (("ship", 2), ("hold", 1), ("open", 1)):
        assert part.count(f"<strong>{words.plain(f'rounds.{decision}')}</strong>") == number
    for name in ("1", "2", "2b", "3"):
        assert f">{words.plain('rounds.name', name=name)}</text>" in part
    assert words.plain("rounds.broken", names=words.plain("gate.harmful")) in part
    assert "<b>ppo</b>" not in part
    assert "44%" in part


def test_the_sentences_count_the_line_that_goes_on(rounds: Path):
    """Rounds 1 and 2b both shipped, 2000 judgements; the refreshed model was better in the one that has both."""
    html, _ = report(rounds)
    said = " ".join("".join(Reader(html).text).split())
    assert "2 of 2 rounds selected a new policy, for 2,000 judgements in all." in said
    assert "The policy of now is preferred to SFT: it wins 75%" in said
    assert "In 1 of 1 rounds the refreshed reward model" in said


def test_the_rest_of_the_page_is_of_the_round_that_selected_the_policy(rounds: Path):
    html, summary = report(rounds)
    assert summary["selected"] == "ppo/step-000040"
    assert "rounds/2b/reward/card.html" in html or 'id="proxy"' in html
    (rounds / "rounds/lineage.json").unlink()
    _, without = report(rounds)
    assert without["selected"] is None


def test_a_lineage_that_is_damaged_is_an_error(rounds: Path):
    path = rounds / "rounds/lineage.json"
    path.write_text(json.dumps({"recipe": 3}), encoding="utf-8")
    with pytest.raises(Exception, match=r"lineage\.json"):
        report(rounds)
