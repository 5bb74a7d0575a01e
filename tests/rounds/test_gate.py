"""The gate: who is shipped and who held, on what evidence, under which conditions, and what its exit code says."""

import copy
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefloop import cli
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.files.arenas import read_arena
from prefloop.files.gates import signature_of
from prefloop.files.tables import jsonl, write_records
from prefloop.records import Judgement
from prefloop.records.evaluations import Evaluation
from prefloop.records.gates import Gate
from prefloop.rounds import conditions, gate
from prefloop.rounds.gate import CODES, Judged, look
from prefloop.rounds.gate_config import GateConfig
from report.conftest import evaluation, mark

NEW, OLD = "ppo/step-000040", "sft"
LONGER = "python:{folder}/judge.py:length"


def names() -> tuple[str, str]:
    """(old, new) as the arena calls them."""
    path = {OLD: "sft/model", NEW: NEW}
    return f"{OLD} {mark(path[OLD])[:8]}", f"{NEW} {mark(path[NEW])[:8]}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A round's folder: an evaluation whose new model writes the longer response to two of three prompts."""
    made = tmp_path / "round"
    texts = [("short", "much longer") if n % 3 else ("much longer", "short") for n in range(120)]
    put(made, evaluation(with_gold=True), texts)
    (tmp_path / "judge.py").write_text(
        "def length(prompts, responses):\n    return [float(len(r)) for r in responses]\n"
    )
    return made


def put(made: Path, measured: dict[str, Any], texts: Sequence[tuple[str, str]], audit: int = 0) -> None:
    """Writes evaluation.json and arena.jsonl. Args: texts: (old, new). audit: of these, the last are an audit's."""
    (made / "evaluate").mkdir(parents=True, exist_ok=True)
    (made / "evaluate/evaluation.json").write_text(json.dumps(measured), encoding="utf-8")
    rows = [
        {
            "id": f"p-{n}", "messages": [{"role": "user", "content": f"Prompt {n}"}], "response": text, "sampler": who,
            "tags": ["topic:a" if n % 2 else "topic:b", *(["audit:top_kl"] if n >= len(texts) - audit else [])],
        }
        for n, pair in enumerate(texts)
        for who, text in zip(names(), pair, strict=True)
    ]  # fmt: skip
    (made / "evaluate/arena.jsonl").write_text(jsonl(rows), encoding="utf-8")


def decided(folder: Path, out: str = "gate", **given: Any) -> Gate:
    """What the gate decides, by the longer response unless said otherwise."""
    settings = {"by": LONGER.format(folder=folder.parent), "evaluation": str(folder / "evaluate"), **given}
    made = gate.gate(GateConfig(out=str(folder / out), **settings))
    found = Gate.model_validate_json(made.path.read_text(encoding="utf-8"))
    assert made.code == CODES[found.verdict]
    assert signature_of(found) == found.signature
    return found


def people(folder: Path, won: Sequence[float], *, among: int | None = None) -> None:
    """Leaves judgements of the arena as the page does: of each prompt in turn 1 for the new, 0 for the old, 1/2."""
    arena = read_arena(folder / "evaluate/arena.jsonl")
    rows = []
    for number, (share, c) in enumerate(zip(won, arena[:among] * 9, strict=False)):
        order = (0, 1) if number % 2 else (1, 0)  # 1 is the new one's place
        choice = "tie" if share == 0.5 else "left" if (share == 1) == (order[0] == 1) else "right"
        who = {"annotator": f"ann-{number % 3}", "annotator_kind": "person", "seconds": 4.0}
        said = {"id": f"j-{number}", "comparison": c.id, "kind": "pair", "order": order, "choice": choice}
        rows.append(Judgement.model_validate(who | said))
    (folder / "collect/judged").mkdir(parents=True, exist_ok=True)
    write_records(folder / "collect/judged/arena.jsonl", rows)


def test_two_of_three_are_shipped_as_soon_as_that_is_sure(folder: Path):
    """The first lost, the next two won, and so on: the verdict is that of the first look with enough evidence."""
    made = decided(folder)
    fair = sorted(read_arena(folder / "evaluate/arena.jsonl"), key=lambda c: fingerprints.of_value([0, c.id]))
    shares = [float(int(c.prompt_id.removeprefix("p-")) % 3 > 0) for c in fair]
    wins = np.cumsum(shares).tolist()
    looks = [gate.sequential.verdict_of(w, n - w, alpha=0.05, worthwhile=0.5) for n, w in enumerate(wins, 1)]
    first = looks.index("ship") + 1
    assert (made.verdict, made.duel.prompts, made.duel.left) == ("ship", first, 120 - first)
    assert made.duel.win_rate == pytest.approx(sum(shares[:first]) / first)
    assert made.duel.low > 0.5
    assert (made.candidate, made.incumbent) == (NEW, "sft/model")
    assert decided(folder, "all", least=120).duel.prompts == 120
    assert decided(folder, "few", most=20).verdict == "hold"


def test_sides_do_not_matter_and_losers_are_held(folder: Path):
    put(
        folder,
        evaluation(with_gold=True),
        [("much longer", "short") if n % 3 else ("short", "much longer") for n in range(120)],
    )
    assert decided(folder).verdict == "hold"


def test_people_are_waited_for_and_an_audit_is_no_part_of_the_verdict(folder: Path):
    put(folder, evaluation(with_gold=True), [(f"old {n}", f"new {n}") for n in range(60)], audit=20)
    waits = decided(folder, by="people")
    assert (waits.verdict, waits.duel.prompts, waits.duel.left) == ("more", 0, 40)
    assert "prefloop web" in waits.sentence
    people(folder, [0.0, 1.0, 1.0, 0.5])
    more = decided(folder, by="people")
    assert (more.verdict, more.duel.wins, more.duel.ties, more.duel.losses) == ("more", 2, 1, 1)
    assert more.duel.expected_more
    people(folder, [1.0] * 60)
    held = decided(folder, by="people", spot_check=70, out="strict")
    assert (held.verdict, held.duel.prompts, held.duel.annotators) == ("more", 40, 3)
    assert [c.value for c in held.conditions if c.name == "spot_check"] == [60.0]
    assert decided(folder, "other", by="people", spot_check=60).verdict == "ship"


def test_a_prompt_counts_once_however_often_it_is_judged(folder: Path):
    people(folder, [1.0, 1.0, 1.0] * 9, among=3)
    made = decided(folder, by="people")
    assert (made.duel.prompts, made.duel.judgements, made.verdict) == (3, 27, "more")


def test_alike_texts_are_asked_of_nobody(folder: Path):
    put(folder, evaluation(with_gold=True), [("same", "same")] * 30 + [("short", "much longer")] * 30)
    made = decided(folder)
    assert (made.duel.alike, made.verdict) == (30, "ship")
    put(folder / "b", evaluation(with_gold=True), [("same", "same")] * 3)
    nothing = decided(folder, evaluation=str(folder / "b/evaluate"), out="b/gate")
    assert nothing.verdict == "hold"
    assert "both models wrote the same to all 3 prompts" in nothing.sentence


def test_what_nobody_can_be_asked_any_more_ends_in_a_hold(folder: Path):
    """Twelve prompts, six won: no verdict, and whoever judges by itself has nothing more to judge."""
    put(folder, evaluation(with_gold=True), [("short", "much longer"), ("much longer", "short")] * 6)
    made = decided(folder, most=400)
    assert (made.verdict, made.duel.left) == ("hold", 0)
    assert "no verdict within 12 prompts" in made.sentence


def test_a_file_in_order_of_topics_is_looked_at_by_chance(folder: Path):
    """The first 15 won, the other 105 lost: looked at in the file's order that is a win."""
    texts = [("short", "much longer")] * 15 + [("much longer", "short")] * 105
    put(folder, evaluation(with_gold=True), texts)
    assert decided(folder).verdict == "hold"


def test_people_are_asked_for_the_least(folder: Path):
    put(folder, evaluation(with_gold=True), [(f"old {n}", f"new {n}") for n in range(60)])
    people(folder, [1.0] * 30)
    made = decided(folder, by="people", least=40)
    assert (made.verdict, made.duel.win_rate) == ("more", 1.0)
    assert "at least 40 prompts" in made.sentence


def test_a_decision_that_was_changed_is_not_believed(folder: Path):
    put(folder, evaluation(with_gold=True), [("much longer", "short")] * 60)
    assert decided(folder).verdict == "hold"
    path = folder / "gate/gate.json"
    path.write_text(path.read_text().replace('"verdict": "hold"', '"verdict": "ship"', 1))
    with pytest.raises(UserError, match="not as it was signed"):
        decided(folder)


def test_gold_refuses_what_it_does_not_know(folder: Path):
    with pytest.raises(UserError, match="not the helpdesk's"):
        decided(folder, by="gold")


def test_conditions_break_a_win(folder: Path):
    """KL 5.2 of 8 allowed; harmful 31 % falls to 4.4 %; refusals of safe prompts rise by half a point."""
    broken = {
        "kl": {"kl_limit": 5.0}, "over_refusal": {"over_refusal_rise": 0.005}, "slices": {"slice_floor": 0.49},
    }  # fmt: skip
    fine = decided(folder, least=120, kl_limit=5.3, slice_floor=0.4)
    assert {c.name: c.state for c in fine.conditions} == {
        "kl": "kept", "harmful": "kept", "over_refusal": "kept", "skills": "unmeasured", "slices": "kept",
        "spot_check": "unmeasured",
    }  # fmt: skip
    assert {c.name: c.value for c in fine.conditions}["harmful"] == pytest.approx(-0.28 * 0.95)
    texts = [("much longer", "short") if n % 2 and n % 7 else ("short", "much longer") for n in range(200)]
    put(folder, evaluation(with_gold=True), texts)  # of topic:a it wins a seventh
    for name, given in broken.items():
        made = decided(folder, name, least=200, **given)
        assert (made.verdict, [c.name for c in made.conditions if c.state == "broken"]) == ("hold", [name])
        assert name in made.sentence
    needed = decided(folder, "must", must=("skills",))
    assert needed.verdict == "hold"
    assert "nobody measured skills" in needed.sentence


def test_without_gold_harm_is_told_as_unmeasured(folder: Path):
    put(folder, evaluation(with_gold=False), [("short", "much longer")] * 40)
    made = decided(folder)
    assert {c.name: c.state for c in made.conditions}["harmful"] == "unmeasured"
    assert "Not measured: harmful, over_refusal, skills, slices, spot_check." in made.sentence


def test_the_front_is_what_no_other_checkpoint_beats():
    """Of three, 20 drifted least and 40 wins most; 60 drifted further than 40 and wins less, but refuses a little less:
    once it does not, it is beaten."""
    measured = evaluation(with_gold=True)
    assert len(conditions.front(Evaluation.model_validate(measured))) == 3
    measured["models"]["ppo/step-000060"]["validation"]["gold"]["over_refusal"]["mean"] = 0.03
    kept = conditions.front(Evaluation.model_validate(measured))
    assert [each.name for each in kept] == ["ppo/step-000020", NEW]
    assert {*kept[0].measures} == {"win_rate", "kl_nats", "harmful", "over_refusal"}
    alike = copy.deepcopy(measured["models"][NEW]) | {"test": None, "ood": None}
    alike["validation"]["win_rate"]["mean"] -= 0.01  # as good in all else
    measured["models"]["ppo/step-000060"] = alike
    assert len(conditions.front(Evaluation.model_validate(measured))) == 2


def test_the_same_gate_again_and_another_number(folder: Path):
    first, again = decided(folder), decided(folder)
    assert first == again
    assert signature_of(first.model_copy(update={"alpha": 0.04})) != first.signature


def test_equals_are_seldom_shipped_and_sixty_percent_soon():
    """1000 comparisons under no difference, looked at after every judgement: shipped 5 % at most; at a true 60 % a
    verdict within 400 in 90 %."""
    arena = [
        Judged(None, (share,))  # type: ignore[arg-type]  # only its share is looked at
        for share in (0.0, 1.0)
    ]
    config = GateConfig(out="x", evaluation="y", by="gold")
    draw = np.random.default_rng(7)

    def verdicts(rate: float) -> list[str]:
        games = draw.random((200, 400)) < rate
        return [look([arena[int(won)] for won in row], config).decision.verdict for row in games]

    assert verdicts(0.5).count("ship") / 200 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200)
    assert verdicts(0.6).count("ship") / 200 >= 0.9 - 2 * math.sqrt(0.9 * 0.1 / 200)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"by": "score"}, "cannot say whether it is better"),
        ({"by": "nobody"}, "nobody is called that"),
        ({"by": "model"}, "needs to know which"),
        ({"must": ("kil",)}, "no condition `kil`"),
        ({"margin": 0.1, "by": "gold"}, "margin is for a function"),
        ({"most": 10, "least": 20}, "end the comparison before"),
    ],
)
def test_settings_that_contradict(given: dict[str, Any], says: str):
    with pytest.raises(UserError, match=says):
        GateConfig.parse({"out": "x", "evaluation": "y", **given}, where="here")


def test_wrong_inputs_in_sentences(folder: Path):
    with pytest.raises(UserError, match="no incumbent to compare with"):
        decided(folder, evaluation=str(folder))
    with pytest.raises(UserError, match="no such file"):
        decided(folder, by="people", judged=str(folder / "nowhere.jsonl"))
    people(folder, [1.0] * 5)
    put(folder, evaluation(with_gold=True), [("other", "texts")] * 12)
    with pytest.raises(UserError, match="none of its 5 judgements is of this arena"):
        decided(folder, by="people")
    rows = [json.loads(line) for line in (folder / "evaluate/arena.jsonl").read_text().splitlines()]
    (folder / "evaluate/arena.jsonl").write_text(jsonl([row | {"sampler": row["sampler"][::-1]} for row in rows]))
    with pytest.raises(UserError, match="Evaluate again"):
        decided(folder)


def test_the_exit_code_says_it_to_a_program(folder: Path, capsys: pytest.CaptureFixture[str]):
    typed = [f"evaluation={folder / 'evaluate'}", f"by={LONGER.format(folder=folder.parent)}"]
    assert cli.main(["gate", *typed, f"out={folder / 'a'}"]) == 0
    assert cli.main(["gate", *typed, f"out={folder / 'b'}", "kl_limit=1"]) == 1
    assert cli.main(["gate", typed[0], "by=people", f"out={folder / 'c'}"]) == 4
    assert "more judgements are needed" in capsys.readouterr().out


def test_gold_judges_with_sides_in_random_order():
    """The same verdict whichever side a response is shown on; both sides are used."""
    text = "Sorry about the wait! Your kettle arrives within 3 days."
    made = [gate._by_gold(comparison(f"c-{n}", "No.", text), seed=0) for n in range(40)]
    assert {j.order for j in made} == {(0, 1), (1, 0)}
    better = {j.order[0 if j.choice == "left" else 1] for j in made if j.choice != "tie"}
    assert len(better) <= 1


def comparison(name: str, *texts: str) -> Any:
    """A comparison of two texts."""
    from prefloop.files.arenas import arena_comparison
    from prefloop.records import Message

    asked = [Message(role="user", content="Where is my kettle?")]
    return arena_comparison(name, asked, dict(zip(("old", "new"), texts, strict=True)))
