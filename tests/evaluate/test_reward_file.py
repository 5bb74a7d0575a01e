"""`prefloop evaluate reward=DIR data=FILE`: from files as people have them to bench.json and a table."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from prefloop import layout
from prefloop.cli import main as cli
from prefloop.errors import UserError
from prefloop.evaluate import reward_file
from prefloop.evaluate.config import RewardFileConfig
from prefloop.evaluate.reward_file import evaluate_file, table
from prefloop.files.documents import read_document, write_document
from prefloop.models.device import Placement
from prefloop.models.load import save, scalar
from prefloop.records import EnsembleCard, Message
from prefloop.records.benches import Bench
from prefloop.records.cards import Card
from prefloop.scoring.named import scorer
from prefloop.scoring.pair_classifier import PAIRS, READS, PairClassifier
from prefloop.scoring.reward_model import NORMALISATION
from prefloop.stats.calibration import sided_log_odds, surprises

Write = Callable[..., str]
MODELS = {"chosen_model": "a", "rejected_model": "b"}


@pytest.fixture
def measure(tmp_path: Path) -> Callable[..., Bench]:
    """Evaluates a function that finds a response as good as it has the letter `y`, less 2 if it has none."""
    path = tmp_path / "letters.py"
    path.write_text("def count(prompts, responses):\n    return [r.count('y') or -2.0 for r in responses]\n")

    def made(data: str, out: str = "out", **settings: Any) -> Bench:
        config = RewardFileConfig(
            reward=f"python:{path}:count", data=data, out=str(tmp_path / out), threads=1, **settings
        )
        evaluate_file(config)
        return read_document(tmp_path / out / "bench.json", Bench)

    return made


def test_reward_bench(measure: Callable[..., Bench], write_rows: Write):
    """Subsets, sections that count rows, and the average of the sections."""
    rows = [
        ("alpacaeval-easy", "yy", "y"),
        ("alpacaeval-easy", "y", "yy"),
        ("mt-bench-med", "yyy", "n"),
        ("donotanswer", "n", "no"),
    ]
    data = [
        {"id": i, "prompt": f"q{i}", "chosen": c, "rejected": r, "subset": s, **MODELS}
        for i, (s, c, r) in enumerate(rows)
    ]
    made = measure(write_rows("b.jsonl", data))
    assert made.follows == "RewardBench"
    assert {one.name: one.accuracy.mean for one in made.subsets} == {
        "alpacaeval-easy": 0.5,
        "mt-bench-med": 1.0,
        "donotanswer": 0.5,  # equal
    }
    assert {one.name: one.accuracy for one in made.sections} == {"Chat": pytest.approx(2 / 3), "Safety": 0.5}
    assert made.average == pytest.approx((2 / 3 + 0.5) / 2)
    assert (made.num, made.num_prompts, made.num_equal, made.chance) == (4, 4, 1, 0.5)


def test_reward_bench_2(measure: Callable[..., Bench], write_rows: Write):
    """One right among four; Ties by its own rule, and out of the accuracy of all rows."""
    rows = [
        ("1", "Math", ["yyy"], ["y", "yy", "n"]),
        ("2", "Math", ["yyy"], ["yyy!", "n", "n!"]),  # one of two best
        ("3", "Focus", ["n"], ["yyy", "y", "y!"]),
        ("ref:0", "Ties", ["yyyy"], ["y", "n"]),
        ("tied:0", "Ties", ["yyy", "yy"], ["n", "n!"]),
    ]
    data = [{"id": i, "prompt": f"q{i}", "chosen": c, "rejected": r, "subset": s} for i, s, c, r in rows]
    made = measure(write_rows("b.jsonl", data))
    assert made.follows == "RewardBench 2"
    assert made.accuracy is not None
    assert (made.accuracy.mean, made.accuracy.num, made.chance) == (0.5, 3, 0.25)
    assert {one.name: one.accuracy.mean for one in made.subsets} == {"Math": 0.75, "Focus": 0.0}
    assert made.ties is not None
    assert (made.ties.right_tied, made.ties.right_single, made.ties.num) == (1.0, 1.0, 1)
    assert made.average == pytest.approx((0.75 + 0.0 + made.ties.score) / 3)


def test_own_preferences_by_tag_and_what_is_left_out(
    measure: Callable[..., Bench], write_rows: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    """Two pairs of one prompt, one without a majority, and one bad row; tags may overlap."""
    asked = [{"role": "user", "content": "q"}]
    tie = [{"side": "tie"}, {"side": "chosen"}]
    rows = [
        {"id": "1", "messages": asked, "chosen": "yy", "rejected": "y no", "tags": ["sad", "late"]},
        {"id": "2", "messages": asked, "chosen": "a y", "rejected": "n", "tags": ["sad"]},
        {"id": "3", "messages": asked, "chosen": "n", "rejected": "y", "votes": tie},
        {"id": "4", "messages": asked, "chosen": "n", "rejected": "n"},
    ]
    made = measure(write_rows("p.jsonl", rows))
    assert "p.jsonl:4: chosen and rejected are the same text" in capsys.readouterr().out
    assert (made.num, made.num_prompts, made.undecided, made.bad) == (2, 1, 1, 1)
    assert table(made).endswith("is better than another, not counted: 1.\nrows that could not be read: 1.")
    card = read_document(tmp_path / "out" / layout.MODEL_CARD, Card)
    assert (card.num_pairs, card.accuracy.mean) == (2, 1.0)
    assert (tmp_path / "out" / layout.CARD_PAGE_ZH).is_file()
    assert (made.follows, made.average, made.sections, made.ties) == (None, None, (), None)
    assert {one.name: one.accuracy.num for one in made.subsets} == {"sad": 2, "late": 1}
    assert {one.name: one.accuracy.num for one in made.lengths.slices} == {"shorter": 1, "longer": 1}
    assert made.accuracy is not None
    assert (made.accuracy.low, made.accuracy.high) == (0.0, 1.0)  # of one prompt nothing follows for others


def test_rankings_are_the_first_rank_against_the_rest(measure: Callable[..., Bench], write_rows: Write):
    asked = [{"role": "user", "content": "q"}]
    rows = [
        {"id": "1", "messages": asked, "responses": ["n", "y", "yy"], "ranks": [3, 1, 1]},
        {"id": "2", "messages": asked, "responses": ["y", "yy"], "ranks": [1, 2]},
        {"id": "3", "messages": asked, "responses": ["y", "yy"], "ranks": [1, 1]},
    ]
    made = measure(write_rows("r.jsonl", rows))
    assert made.accuracy is not None
    assert (made.accuracy.mean, made.chance, made.undecided) == (0.5, pytest.approx((2 / 3 + 1 / 2) / 2), 1)


def pairs(num: int) -> list[dict[str, Any]]:
    return [
        {"prompt": f"q{i % 7}", "chosen": "y" * (1 + i % 5), "rejected": "y" * (i % 3 + 2) + "n"} for i in range(num)
    ]


def test_a_stopped_evaluation_goes_on(
    measure: Callable[..., Bench], write_rows: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Stopped after any part: the same command scores the rest and nothing twice, and all files are the same."""
    data, scored = write_rows("p.jsonl", pairs(23)), reward_file._scored
    whole = measure(data, "whole", batch=4)
    seen: list[int] = []

    def counted(judge: Any, asked: Any) -> dict[str, Any]:
        if len(seen) == 3 and stop.pop("now", False):
            raise KeyboardInterrupt
        seen.append(len(asked))
        return scored(judge, asked)

    stop = {"now": True}
    monkeypatch.setattr(reward_file, "_scored", counted)
    with pytest.raises(KeyboardInterrupt):
        measure(data, "broken", batch=4)
    assert measure(data, "broken", batch=4) == whole
    assert seen == [4, 4, 4, 4, 4, 3]
    assert measure(data, "broken", batch=4) == whole  # finished: nothing is scored
    for name in ("bench.json", "bench_scores.jsonl", layout.MODEL_CARD):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert len(seen) == 6
    lines = [json.loads(line) for line in (tmp_path / "whole" / "bench_scores.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"row-{i + 1:06d}" for i in range(23)]


def test_the_batch_changes_nothing(measure: Callable[..., Bench], write_rows: Write):
    data = write_rows("p.jsonl", pairs(23))
    assert measure(data, "one", batch=1) == measure(data, "all", batch=100)


def test_from_the_command_line(write_rows: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """data= makes it this evaluation, typed or in a YAML file; settings of the other one are refused."""
    (tmp_path / "r.py").write_text("def f(prompts, responses):\n    return [float(len(r)) for r in responses]\n")
    data, reward = write_rows("p.jsonl", pairs(5)), f"python:{tmp_path / 'r.py'}:f"
    (tmp_path / "e.yaml").write_text(f"reward: {reward}\ndata: {data}\nthreads: 1\n")
    assert cli(["evaluate", str(tmp_path / "e.yaml"), f"out={tmp_path / 'a'}"]) == 0
    assert "5 rows of 5 prompts; a coin gets 50.0% of all rows." in capsys.readouterr().out
    typed = [f"reward={reward}", f"data={data}", f"out={tmp_path / 'b'}", "threads=1"]
    assert cli(["evaluate", *typed]) == 0
    assert (tmp_path / "a/bench_scores.jsonl").read_bytes() == (tmp_path / "b/bench_scores.jsonl").read_bytes()
    assert json.loads((tmp_path / "b/run.json").read_text())["stage"] == "evaluate"
    capsys.readouterr()
    assert cli(["evaluate", *typed, "candidates=x", "kl_limit=2"]) == 2
    assert "candidates, kl_limit would not be read: that compares checkpoints" in capsys.readouterr().err
    assert cli(["evaluate", "--help"]) == 0
    assert "with data=: see how often a reward model likes the right response of a file best" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"messages": [{"role": "user", "content": "q"}], "response": "a"}, "preferences are needed here"),
        (
            {"prompt": "q", "chosen": ["a"], "rejected": ["b"], "subset": "Ties", "id": "7"},
            "is scored as RewardBench 2",
        ),
        ({"messages": [{"role": "user", "content": "q"}], "responses": ["a", "b"], "ranks": [1, 1]}, "no row has"),
    ],
)
def test_files_that_cannot_be_counted(row: dict[str, Any], says: str, measure: Callable[..., Bench], write_rows: Write):
    with pytest.raises(UserError, match=says):
        measure(write_rows("x.jsonl", [row]))


CPU = Placement(torch.device("cpu"))
VOTED = [{"side": side, "strength": None} for side in ("chosen", "chosen", "rejected", "tie")]


def saved(folder: str, path: Path, *, std: float = 1.0, beside: dict[str, Any] | None = None) -> Path:
    """A reward model with an opinion."""
    network = scalar(folder, CPU, fresh_head=True)
    torch.nn.init.normal_(
        network.pretrained.get_submodule("score").get_parameter("weight"), generator=torch.Generator().manual_seed(5)
    )
    save(path, network, beside={NORMALISATION: {"mean": 0.0, "std": std}, **(beside or {})})
    return path


def card_of(reward: object, data: str, out: Path) -> Card:
    evaluate_file(RewardFileConfig(reward=str(reward), data=data, out=str(out), threads=1))
    return read_document(out / layout.MODEL_CARD, Card)


def test_confidence_is_read_off_log_odds_whoever_tells_the_scores(folder: str, write_rows: Write, tmp_path: Path):
    """Margins times the deviation that scores were divided by, less where a tie ends: of the model by its folder or by
    its run's, of an ensemble of it twice on two scales, and of rankings of two."""
    run = tmp_path / "run"
    model = saved(folder, run / "model", std=3.0)
    twice = tmp_path / "twice" / "model"
    for index in range(2):
        saved(folder, layout.member(twice, index), std=3.0 / (1 + index))
    write_document(layout.ensemble_card(twice), EnsembleCard(num=2))
    rows = pairs(24)
    messages = [[{"role": "user", "content": row["prompt"]}] for row in rows]
    voted = [
        {"id": str(i), "messages": messages[i], "chosen": row["chosen"], "rejected": row["rejected"], "votes": VOTED}
        for i, row in enumerate(rows)
    ]
    data = write_rows("p.jsonl", voted)
    card = card_of(model, data, tmp_path / "first")
    assert card.calibration is not None
    card = card.model_copy(update={"calibration": card.calibration.model_copy(update={"tie_edge": 0.7})})
    for folder_ in (model, twice):
        write_document(folder_ / layout.MODEL_CARD, card)
    judge = scorer(str(model), CPU)
    asked = [(Message(role="user", content=row["prompt"]),) for row in rows]
    better, worse = (judge.score(asked, [row[side] for row in rows]) for side in ("chosen", "rejected"))
    expected = surprises(sided_log_odds(3 * (better - worse), 0.7), [2 / 3] * 24).mean()
    for name, reward in (("model", model), ("run", run), ("twice", twice)):
        told = card_of(reward, data, tmp_path / f"of-{name}").calibration
        assert told is not None
        assert told.nll.mean == pytest.approx(expected, rel=1e-5), name
    ranked = [
        {"id": str(i), "messages": messages[i], "ranks": [1, 2], "responses": [row["chosen"], row["rejected"]]}
        for i, row in enumerate(rows)
    ]
    told = card_of(model, write_rows("r.jsonl", ranked), tmp_path / "of-rankings").calibration
    assert told is not None
    assert told.nll.mean == pytest.approx(
        surprises(sided_log_odds(3 * (better - worse), 0.7), [1.0] * 24).mean(), rel=1e-5
    )


def test_a_model_that_reads_pairs_says_of_each_what_it_says_of_it_alone(folder: str, write_rows: Write, tmp_path: Path):
    """Rows of one prompt in one batch do not meet; and no edited response is put to it."""
    path = saved(folder, tmp_path / "pairs", beside={PAIRS: READS})
    judge = scorer(str(path), CPU)
    assert isinstance(judge, PairClassifier)
    rows = pairs(24)
    data = write_rows("p.jsonl", rows)
    asked = [(Message(role="user", content=row["prompt"]),) for row in rows]
    said = judge.log_odds(asked, [row["chosen"] for row in rows], [row["rejected"] for row in rows])
    card = card_of(path, data, tmp_path / "out")
    told = [json.loads(line)["scores"] for line in (tmp_path / "out" / layout.BENCH_SCORES).read_text().splitlines()]
    assert [a - b for a, b in told] == pytest.approx(said.tolist(), abs=1e-5)
    assert card.calibration is not None
    assert card.calibration.nll.mean == pytest.approx(surprises(said, [1.0] * 24).mean(), rel=1e-5)
    assert card.probes == ()


def test_asking_whether_two_are_the_same_cuts_nothing(folder: str, tmp_path: Path):
    judge = scorer(str(saved(folder, tmp_path / "pairs", beside={PAIRS: READS})), CPU)
    assert isinstance(judge, PairClassifier)
    assert not judge.same((Message(role="user", content="parcel " * 40),), ("money", "sorry"))
    assert (judge.cuts.prompts, judge.cuts.responses) == (0, 0)
