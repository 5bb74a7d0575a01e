"""What rows count by who judged them and by their tags: by hand, from judgements to the weights that training uses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefloop.decisions import decided
from prefloop.errors import UserError
from prefloop.feedback.data import split
from prefloop.feedback.items import Asks, Item, rated, tokenised
from prefloop.feedback.trust import kinds_of, weight_of
from prefloop.files.tables import write_records
from prefloop.models.network import Network
from prefloop.records import Comparison, Judgement, Machine, Message, Preference, Rated, Response, Sampling, Vote
from prefloop.reward.config import RewardConfig
from prefloop.reward.stage import train

ASKED = (Message(role="user", content="why?"),)


def preference(*kinds: str | None, tags: tuple[str, ...] = (), i: int = 0) -> Preference:
    votes = tuple(Vote.model_validate({"side": "chosen", "annotator_kind": kind}) for kind in kinds)
    asked = (Message(role="user", content=f"where is {i}?"),)
    return Preference(id=f"f{i}", messages=asked, chosen="sorry it is", rejected="it is on", votes=votes, tags=tags)


@pytest.mark.parametrize(
    ("row", "weight"),
    [
        (preference("person"), 1.0),
        (preference("model"), 0.3),
        (preference("model", "model", "person", "person", "person"), (0.3 + 0.3 + 1 + 1 + 1) / 5),
        (preference("model", "simulated"), (0.3 + 0.8) / 2),
        (preference(None, "model"), (1 + 0.3) / 2),
        (preference("model", tags=("synthetic", "synthetic:shuffled", "topic:x", "model")), 0.3 * 0.5 * 0.2),
        (preference(tags=("synthetic",)), 0.5),
    ],
)
def test_a_weight_by_hand(row: Preference, weight: float):
    trust = {"model": 0.3, "simulated": 0.8, "synthetic": 0.5, "synthetic:shuffled": 0.2}
    assert weight_of(row, trust) == pytest.approx(weight)
    assert weight_of(row, {}) == 1.0


def test_files_of_before_are_read():
    """They say no kind; a model and a function are known by their names, and of others nothing is known."""
    row = {"id": "f", "messages": [{"role": "user", "content": "why?"}], "chosen": "a", "rejected": "b"}
    votes = [{"side": "chosen", "annotator": name} for name in ("model:m", "python:f.py:judge", "ann")]
    assert kinds_of(Preference.model_validate({**row, "votes": votes})) == ["model", "model", None]
    assert kinds_of(Preference.model_validate(row)) == [None]
    marks = {"id": "x", "messages": ASKED, "responses": ("a",), "ratings": {"helpful": (4,)}}
    assert kinds_of(Rated.model_validate({**marks, "annotator": "model:m"})) == ["model"]
    assert kinds_of(Rated.model_validate({**marks, "annotator": "model:m", "annotator_kind": "person"})) == ["person"]


def judged(who: str, who_is: str, name: str, **said: Any) -> Judgement:
    machine = Machine(model="m", prompt="x", answer="A") if who_is == "model" else None
    row = {"id": name, "comparison": said.pop("c", "c0"), "annotator": who, "annotator_kind": who_is, "seconds": 1.0}
    return Judgement.model_validate({**row, "machine": machine, **said})


def compared(i: int) -> Comparison:
    texts = ("sorry it is", "it is on")
    responses = tuple(Response(text=text, num_tokens=1, finished=True, sampler="s") for text in texts)
    asked = (Message(role="user", content=f"where is {i}?"),)
    how = Sampling(temperature=1.0)
    return Comparison(id=f"c{i}", prompt_id=f"p{i}", messages=asked, responses=responses, sampling=how)


def test_from_mixed_judgements_to_weights(network: Network, tmp_path: Path):
    """In one file: pairs by a person, by a model in both orders, and by both; rankings and ratings of each kind.

    With trust.model = 0.3 they weigh 1, 0.3 and (1 + 0.3 + 0.3) / 3, rankings 1 and 0.3, two marks 2 and 0.6."""
    left: dict[str, Any] = {"kind": "pair", "order": (0, 1), "choice": "left"}
    right: dict[str, Any] = {"kind": "pair", "order": (1, 0), "choice": "right"}
    model = {
        c: [judged("model:m", "model", f"{c}{n}", c=c, **said) for n, said in enumerate((left, right))]
        for c in ("c1", "c2")
    }
    person = {c: judged("ann", "person", f"{c}ann", c=c, **left) for c in ("c0", "c2")}
    each = (("ann", "person"), ("model:m", "model"))
    ranks = [judged(who, kind, f"r{who}", kind="ranking", order=(0, 1), ranks=(1, 2)) for who, kind in each]
    given = {"helpful": (5, 1)}
    marks = [judged(who, kind, f"m{who}", kind="rating", order=(0, 1), ratings=given) for who, kind in each]
    comparisons = [compared(i) for i in range(3)]
    found = decided(comparisons, [person["c0"], *model["c1"], *model["c2"], person["c2"], *marks])
    assert [[vote.annotator_kind for vote in p.votes] for p in found.preferences] == [
        ["person"], ["model", "model"], ["model", "model", "person"]
    ]  # fmt: skip
    more = decided(comparisons, ranks)
    assert [r.annotator_kind for r in more.rankings] == [r.annotator_kind for r in found.rated] == ["person", "model"]
    others = [preference("person", i=i) for i in range(3, 12)]
    write_records(tmp_path / "mixed.jsonl", [*found.preferences, *others])
    trust, told = {"model": 0.3}, list[str]()
    config = RewardConfig(model="m", out="o", preferences=str(tmp_path / "mixed.jsonl"), trust=trust, validation=0.1)
    said = split(config, told.append)
    rows = {row.messages[0].content: row for row in [*said.training, *said.validation]}
    some = [rows[f"where is {i}?"] for i in range(3)]
    weights = [item.weight for item in tokenised(some, network, trust=trust).items]
    assert weights == pytest.approx([1.0, 0.3, 1.6 / 3])
    assert [item.weight for item in tokenised(some, network).items] == [1.0] * 3
    assert any("of its rows 2 judged by a model count 0.3; others count 1" in line for line in told)
    assert [item.weight for item in tokenised(more.rankings, network, trust=trust).items] == pytest.approx([1.0, 0.3])
    asks = Asks(thumbs=False, axis=None)
    items = tokenised(found.rated, network, asks=asks, trust=trust).items
    assert [item.weight for item in items] == pytest.approx([2.0, 0.6])


def test_marks_keep_what_their_row_counts():
    """On another axis of the same row."""
    assert rated(Item(([1], [2]), trust=0.3), (5.0, float("nan"))).weight == 0.3


@pytest.mark.parametrize(
    ("trust", "says"),
    [
        ({"modle": 0.3}, r"no row has the tag modle, so that trust.modle = 0.3 .* Kinds .* person, simulated, model;"),
        ({"model": 0.3}, "no row was judged by a model, so that trust.model = 0.3 says nothing"),
        ({"person": 0.0}, "trust.person = 0: what counts nothing is better left out"),
        ({"person": -1.0}, "Give a number above 0"),
        ({"person": "much"}, "should be a number"),
    ],
)
def test_what_says_nothing_is_refused(trust: dict[str, Any], says: str, tmp_path: Path):
    write_records(tmp_path / "p.jsonl", [preference("person", i=i) for i in range(12)])
    settings = {"model": "m", "out": "o", "preferences": str(tmp_path / "p.jsonl"), "trust": trust}
    with pytest.raises(UserError, match=says):
        split(RewardConfig.parse(settings, where="the command line"))


def test_only_how_rows_stand_to_each_other_matters(
    folder: str, tmp_path: Path, write_rows: Callable[..., str], read_lines: Any
):
    """Where every row counts 1/4 it is as if nothing had been said; where those who are wrong count a thousandth, the
    model learns from the others."""
    rows = [preference("person" if i % 2 else "model", i=i) for i in range(80)]
    turned = [
        row if i % 2 else row.model_copy(update={"chosen": row.rejected, "rejected": row.chosen})
        for i, row in enumerate(rows)
    ]
    held = [preference("person", i=i) for i in range(100, 120)]
    write_records(tmp_path / "rows.jsonl", rows)
    write_records(tmp_path / "turned.jsonl", turned)
    write_records(tmp_path / "held.jsonl", held)
    same: dict[str, Any] = {
        "model": folder, "held_out": str(tmp_path / "held.jsonl"), "batch_pairs": 16, "lr": 3e-3, "threads": 1,
        "dtype": "float32", "epochs": 3,
    }  # fmt: skip

    def losses(name: str, file: str, **trust: float) -> list[float]:
        train(RewardConfig(out=str(tmp_path / name), preferences=str(tmp_path / file), trust=trust, **same))
        return [row["loss/train"] for row in read_lines(tmp_path / name / "metrics.jsonl")]

    plain = losses("plain", "rows.jsonl")
    assert losses("quarter", "rows.jsonl", person=0.25, model=0.25) == pytest.approx(plain, rel=1e-4)
    losses("people", "turned.jsonl", model=1e-3)
    losses("models", "turned.jsonl", person=1e-3)
    by = {
        name: read_lines(tmp_path / name / "metrics.jsonl")[-1]["accuracy/validation"] for name in ("people", "models")
    }
    assert by == {"people": 1.0, "models": 0.0}
