"""`prefloop score`: one number for each row, in the file's order, and the same number whatever the batch."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from killing import Moment, until_done
from prefloop.cli import main as cli
from prefloop.errors import UserError
from prefloop.files.tables import read_rows
from prefloop.score.config import ScoreConfig
from prefloop.score.stage import score
from prefloop.stats.intervals import win_rate_interval

if TYPE_CHECKING:
    import torch

Write = Callable[..., str]
Read = Callable[[Path], list[dict[str, Any]]]

WORDS = ["short", "a little longer than that", "please", "包裹在哪里", "i am sorry, it is on its way."]


@pytest.fixture(scope="module")
def reward_model(folder: str, cpu: "torch.device", tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random reward model whose raw scores are shifted by 2 and scaled by 1/4."""
    import torch

    from prefloop.models.load import save_model, scalar

    network = scalar(folder, cpu, fresh_head=True)
    torch.nn.init.normal_(network.pretrained.score.weight, generator=torch.Generator().manual_seed(0))
    path = tmp_path_factory.mktemp("scoring") / "reward"
    save_model(path, network.pretrained, network.codec)
    (path / "prefloop_scores.json").write_text('{"mean": 2.0, "std": 4.0}')
    return str(path)


@pytest.fixture
def counter(tmp_path: Path) -> str:
    """A Python reward: letters of the response."""
    path = tmp_path / "letters.py"
    path.write_text("def count(prompts, responses):\n    return [float(len(r)) for r in responses]\n")
    return f"python:{path}:count"


def demonstrations(write_rows: Write) -> str:
    return write_rows(
        "d.jsonl",
        [{"id": f"d{i}", "prompt": f"where is parcel {i}?", "response": words} for i, words in enumerate(WORDS)],
    )


def test_rows_keep_their_ids_order_and_scores_whatever_the_batch(
    reward_model: str, write_rows: Write, read_lines: Read, tmp_path: Path
):
    data, rows = demonstrations(write_rows), {}
    for batch in (1, 2, 100):
        out = tmp_path / f"scores-{batch}.jsonl"
        score(ScoreConfig(model=reward_model, data=data, out=str(out), batch=batch))
        rows[batch] = read_lines(out)
    assert [row["id"] for row in rows[1]] == [f"d{i}" for i in range(len(WORDS))]
    for batch in (2, 100):
        assert [row["score"] for row in rows[batch]] == pytest.approx([row["score"] for row in rows[1]], abs=1e-5)
    assert len({round(row["score"], 4) for row in rows[1]}) == len(WORDS), "different responses, different scores"


def test_scores_are_what_transformers_says_shifted_and_scaled(
    reward_model: str, write_rows: Write, read_lines: Read, tmp_path: Path
):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    score(ScoreConfig(model=reward_model, data=demonstrations(write_rows), out=str(tmp_path / "s.jsonl")))
    tokenizer = AutoTokenizer.from_pretrained(reward_model)
    model = AutoModelForSequenceClassification.from_pretrained(reward_model, attn_implementation="sdpa").eval()
    for row, words in zip(read_lines(tmp_path / "s.jsonl"), WORDS, strict=True):
        text = f"<|user|>where is parcel {row['id'][1:]}?<|assistant|>{words}<|end|>"
        with torch.no_grad():
            raw = model(input_ids=torch.tensor([tokenizer.encode(text, add_special_tokens=False)])).logits
        assert row["score"] == pytest.approx((float(raw) - 2.0) / 4.0, abs=1e-4)


def test_preferences_give_agreement_with_its_interval_and_ties_count_half(
    counter: str, write_rows: Write, read_lines: Read, tmp_path: Path
):
    pairs = [
        ("longer", "short"),
        ("no", "longer"),
        ("same", "size"),
        ("longest of all", "x"),
    ]  # right, wrong, tie, right
    data = write_rows("p.jsonl", [{"prompt": f"q{i}", "chosen": c, "rejected": r} for i, (c, r) in enumerate(pairs)])
    sentence = score(ScoreConfig(model=counter, data=data, out=str(tmp_path / "s.jsonl")))
    low, high = win_rate_interval(2, 1, 1, confidence=0.95)
    assert f"62.5% [{low:.1%}, {high:.1%}]" in sentence
    assert [(row["chosen"], row["rejected"]) for row in read_lines(tmp_path / "s.jsonl")] == [
        (len(c), len(r)) for c, r in pairs
    ]


def test_anthropics_form_is_read_as_it_is_and_bad_rows_are_left_out_and_named(
    counter: str, write_rows: Write, read_lines: Read, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    start = "\n\nHuman: hello\n\nAssistant:"
    data = write_rows(
        "hh.jsonl",
        [{"chosen": f"{start} good", "rejected": f"{start} x"}, {"chosen": f"{start}", "rejected": f"{start} y"}],
    )
    sentence = score(ScoreConfig(model=counter, data=data, out=str(tmp_path / "s.jsonl")))
    assert "1 preferences scored" in sentence
    assert "1 bad rows left out" in sentence
    assert "hh.jsonl:2: `chosen` is empty" in capsys.readouterr().out
    assert read_lines(tmp_path / "s.jsonl") == [{"id": "row-000001", "chosen": 4.0, "rejected": 1.0}]


def test_prompts_alone_and_causal_models_are_refused(
    counter: str, folder: str, prompts_file: str, write_rows: Write, tmp_path: Path
):
    out = str(tmp_path / "s.jsonl")
    with pytest.raises(UserError, match="score needs responses"):
        score(ScoreConfig(model=counter, data=prompts_file, out=out))
    with pytest.raises(UserError, match=r"not a reward model.*prefloop reward"):
        score(ScoreConfig(model=folder, data=demonstrations(write_rows), out=out))
    assert not Path(out).exists()


def test_each_response_of_a_comparison_gets_a_row_as_the_page_takes_it(
    counter: str, write_rows: Write, read_lines: Read, tmp_path: Path
):
    one = {"num_tokens": 1, "finished": True, "sampler": "s"}
    texts = {"c:1": ["a", "", "abc"], "c:2": ["包裹", "ab"]}
    rows = [
        {
            "id": name,
            "prompt_id": "p",
            "messages": [{"role": "user", "content": "q"}],
            "responses": [{"text": text, **one} for text in these],
            "sampling": {"temperature": 1.0},
        }
        for name, these in texts.items()
    ]
    out = tmp_path / "s.jsonl"
    sentence = score(ScoreConfig(model=counter, data=write_rows("c.jsonl", rows), out=str(out), batch=2))
    assert "5 responses of 2 comparisons scored, mean 1.600" in sentence
    assert [(row["id"], row["score"]) for row in read_lines(out)] == [
        ("c:1:0", 1),
        ("c:1:1", 0),
        ("c:1:2", 3),
        ("c:2:0", 2),
        ("c:2:1", 2),
    ]


def compared(write_rows: Write) -> str:
    """Comparisons with as many responses as there are words."""
    made = [{"text": words, "sampler": "s", "num_tokens": 1, "finished": True} for words in WORDS]
    sampling = {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 8, "seed": 0}
    asked = [{"role": "user", "content": "where is parcel 1?"}]
    return write_rows(
        "c.jsonl", [{"id": "c", "prompt_id": "p", "messages": asked, "responses": made, "sampling": sampling}]
    )


def test_embeddings_are_the_means_of_the_last_states(
    reward_model: str, write_rows: Write, read_lines: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As transformers has them, whatever the batch; the scores are the same as without; wide ones keep their distances,
    about."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    rows, data = {}, compared(write_rows)
    for name, more in {"plain": {}, "one": {"embed": True, "batch": 1}, "all": {"embed": True}}.items():
        score(ScoreConfig(model=reward_model, data=data, out=str(tmp_path / f"{name}.jsonl"), **more))
        rows[name] = read_lines(tmp_path / f"{name}.jsonl")
    assert [row["score"] for row in rows["all"]] == pytest.approx([row["score"] for row in rows["plain"]], abs=1e-5)
    tokenizer, model = (
        AutoTokenizer.from_pretrained(reward_model),
        AutoModel.from_pretrained(reward_model, attn_implementation="sdpa").eval(),
    )
    width = model.config.hidden_size
    monkeypatch.setattr("prefloop.scoring.reward_model.EMBEDDED", width)
    score(ScoreConfig(model=reward_model, data=data, out=str(tmp_path / "whole.jsonl"), embed=True))
    for row, words in zip(read_lines(tmp_path / "whole.jsonl"), WORDS, strict=True):
        ids = tokenizer.encode(f"<|user|>where is parcel 1?<|assistant|>{words}<|end|>", add_special_tokens=False)
        with torch.no_grad():
            states = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        assert row["embedding"] == pytest.approx(states.mean(0).tolist(), abs=1e-4)
    monkeypatch.setattr("prefloop.scoring.reward_model.EMBEDDED", width - 1)
    score(ScoreConfig(model=reward_model, data=data, out=str(tmp_path / "narrow.jsonl"), embed=True))
    narrow, whole = (
        torch.tensor([row["embedding"] for row in read_lines(tmp_path / f"{name}.jsonl")])
        for name in ("narrow", "whole")
    )
    assert narrow.shape[1] == width - 1
    assert torch.pdist(narrow) == pytest.approx(torch.pdist(whole), rel=0.6)
    assert [row["embedding"] for row in rows["one"]] == [
        pytest.approx(row["embedding"], rel=1e-3, abs=1e-4) for row in rows["all"]
    ]


def test_embeddings_need_a_reward_model_and_comparisons(
    reward_model: str, counter: str, write_rows: Write, tmp_path: Path
):
    for model, data in ((counter, compared(write_rows)), (reward_model, demonstrations(write_rows))):
        with pytest.raises(
            UserError, match=r"embed=true: .* have no embeddings to write; give a reward model's folder"
        ):
            score(ScoreConfig(model=model, data=data, out=str(tmp_path / "s.jsonl"), embed=True))


def test_the_command_line_prints_the_sentence(
    counter: str, write_rows: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert cli(["score", f"model={counter}", f"data={demonstrations(write_rows)}", f"out={tmp_path / 's.jsonl'}"]) == 0
    mean = sum(len(words) for words in WORDS) / len(WORDS)
    assert f"{len(WORDS)} responses scored, mean {mean:.3f}" in capsys.readouterr().out
    assert json.loads((tmp_path / "s.jsonl").read_text().splitlines()[0]) == {"id": "d0", "score": 5.0}


def test_nothing_of_the_users_is_replaced(counter: str, reward_model: str, write_rows: Write, tmp_path: Path):
    """Not the data, the model or the function, by whatever name; and it is said before anything is scored."""
    data = demonstrations(write_rows)
    (tmp_path / "mine.jsonl").write_text("mine\n")
    (tmp_path / "link.jsonl").symlink_to(data)
    function = counter.removeprefix("python:").rpartition(":")[0]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for model, out, says in (
        (counter, data, "this is also read"),
        (counter, str(tmp_path / "link.jsonl"), "this is also read"),
        (counter, str(tmp_path / "mine.jsonl"), "prefloop did not write it"),
        (counter, function, "what is written here is .jsonl or .jsonl.gz or .parquet"),
        (reward_model, f"{reward_model}/model.safetensors", "what is written here is"),
        (reward_model, f"{reward_model}/scores.jsonl", "this is inside"),
        (counter, "/dev/null", "what is written here is"),
    ):
        with pytest.raises(UserError, match=says):
            score(ScoreConfig(model=model, data=data, out=out))
    assert {path: path.read_bytes() for path in before} == before
    for _ in range(2):  # its own it may
        score(ScoreConfig(model=counter, data=data, out=str(tmp_path / "s.jsonl")))


def test_ties_and_pairs_that_are_one_within_the_context_are_counted_apart(
    reward_model: str, write_rows: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Of four pairs one is a tie and one parts beyond the context of 64 tokens: two say how often it is right."""
    asked = {"messages": [{"role": "user", "content": "where is it?"}]}
    texts = (("on my way", "no"), ("it is here", "go"), ("same", "other"), ("way " * 80 + "on", "way " * 80 + "go"))
    rows = [{"id": f"p{i}", **asked, "chosen": c, "rejected": r} for i, (c, r) in enumerate(texts)]
    rows[2]["votes"] = [{"side": "tie"}]
    data = write_rows("four.jsonl", rows)
    sentence = score(ScoreConfig(model=reward_model, data=data, out=str(tmp_path / "four-scores.jsonl"), device="cpu"))
    assert "4 preferences scored; the chosen response has the higher score in " in sentence
    assert "; 1 without a majority are not counted" in sentence
    assert "; 1 whose responses are the same once cut to the context are not counted" in sentence
    cut = (
        "of 8 prompts with a response, 2 prompts lost their beginning and 2 responses lost their end to fit the context"
    )
    assert cut in capsys.readouterr().out


PAIRS = [{"id": f"p{i}", "prompt": f"q{i % 5}", "chosen": "a" * (i % 7 + 1), "rejected": "b" * 4} for i in range(23)]
STOPS = """from pathlib import Path

def count(prompts, responses):
    calls = Path(__file__).with_name("calls")
    done = calls.read_text() if calls.exists() else ""
    if len(done) == 5:
        calls.write_text(done + "!")
        raise OSError("the power is off")
    calls.write_text(done + ".")
    return [len(r) / 3 for r in responses]
"""


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_a_broken_off_command_goes_on(suffix: str, write_rows: Write, tmp_path: Path):
    """After two batches of five pairs, twice a call each, and one call; what it then writes is what it would have."""
    function, data = tmp_path / "stops.py", write_rows("p.jsonl", PAIRS)
    function.write_text(STOPS)

    def scored(out: str, *, batch: int = 5) -> str:
        return score(
            ScoreConfig(model=f"python:{function}:count", data=data, out=str(tmp_path / out) + suffix, batch=batch)
        )

    with pytest.raises(UserError, match="the power is off"):
        scored("broken")
    assert not (tmp_path / f"broken{suffix}").exists()
    kept = tmp_path / f".broken{suffix}.unfinished"
    with kept.open("a") as file:
        file.write('{"rows": [{"id"')  # a line cut off by the power
    sentence = scored("broken")
    assert (tmp_path / "calls").read_text() == "....." + "!" + "." * 6
    assert not kept.exists()
    whole = scored("whole")
    assert sentence.partition(";")[2].partition(";")[0] == whole.partition(";")[2].partition(";")[0] != ""
    assert (tmp_path / f"broken{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    rows = [row for _, row in read_rows(tmp_path / f"whole{suffix}")]
    assert rows == [
        {"id": p["id"], "chosen": pytest.approx(len(p["chosen"]) / 3), "rejected": pytest.approx(4 / 3)} for p in PAIRS
    ]


def test_killed_anywhere_no_row_is_lost_or_doubled(counter: str, write_rows: Write, tmp_path: Path):
    """Before and after every operation on the disk, and several times on the way: the file is what it would be."""
    data, whole = write_rows("p.jsonl", PAIRS), tmp_path / "whole.jsonl"

    def scored(out: Path) -> str:
        return score(ScoreConfig(model=counter, data=data, out=str(out), batch=5))

    scored(whole)
    killed, moments = 0, [Moment(operation=i, after=bool(i % 2)) for i in range(12)]
    many = [[Moment(operation=i, after=True) for i in (1, 2, 0, 1)], [Moment(operation=i) for i in (3, 1, 1, 5)]]
    for number, when in enumerate([*([moment] for moment in moments), *many]):
        out = tmp_path / f"{number}.jsonl"
        killed += until_done(lambda out=out: scored(out), kills=len(when), when=iter(when))
        assert out.read_bytes() == whole.read_bytes()
        assert not out.with_name(f".{out.name}.unfinished").exists()
    assert killed >= 12


def test_what_was_kept_of_other_rows_is_thrown_away(write_rows: Write, read_lines: Read, tmp_path: Path):
    function, out = tmp_path / "stops.py", tmp_path / "s.jsonl"
    function.write_text(STOPS)
    settings = ScoreConfig(model=f"python:{function}:count", data=write_rows("p.jsonl", PAIRS), out=str(out), batch=5)
    with pytest.raises(UserError, match="the power is off"):
        score(settings)
    write_rows("p.jsonl", [{**row, "chosen": "longer than before"} for row in PAIRS])
    score(settings)
    assert {row["chosen"] for row in read_lines(out)} == {6.0}


def test_rows_are_not_held_in_memory(counter: str, write_rows: Write, tmp_path: Path):
    """The peak of 2,000 rows of a kilobyte is not that of 200 but for 100 bytes a row, which are their ids' hashes."""
    peaks = {}
    for num in (200, 2000):
        rows = [{"prompt": f"q{i}", "response": f"{i} " * 200} for i in range(num)]
        settings = ScoreConfig(
            model=counter, data=write_rows("d.jsonl", rows), out=str(tmp_path / f"{num}.jsonl"), batch=50
        )
        tracemalloc.start()
        score(settings)
        peaks[num] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[2000] - peaks[200] < 1800 * 100


def test_of_an_ensemble_each_members_score_is_written_and_how_far_they_are_apart(
    reward_model: str, folder: str, cpu: "torch.device", write_rows: Write, read_lines: Read, tmp_path: Path
):
    """Of responses the scores; of pairs the differences, whose deviation is that of the members' margins."""
    import statistics

    import torch

    from prefloop.models.load import save_model, scalar

    network = scalar(folder, cpu, fresh_head=True)
    torch.nn.init.normal_(network.pretrained.score.weight, generator=torch.Generator().manual_seed(1))
    ensemble = tmp_path / "ensemble"
    (ensemble / "members").mkdir(parents=True)
    (ensemble / "members" / "0").symlink_to(reward_model)
    save_model(ensemble / "members" / "1", network.pretrained, network.codec)
    (ensemble / "members" / "1" / "prefloop_scores.json").write_text('{"mean": 0.5, "std": 2.0}')
    (ensemble / "ensemble.json").write_text('{"num": 2}')
    data = demonstrations(write_rows)
    made = {name: tmp_path / f"{name}.jsonl" for name in ("mean", "min", "pairs", "0", "1")}
    for combine in ("mean", "min"):
        score(ScoreConfig(model=str(ensemble), data=data, out=str(made[combine]), combine=combine))
    for member in ("0", "1"):
        score(ScoreConfig(model=str(ensemble / "members" / member), data=data, out=str(made[member])))
    rows = {name: read_lines(made[name]) for name in ("mean", "min", "0", "1")}
    for mean, least, first, second in zip(*rows.values(), strict=True):
        assert mean["members"] == least["members"] == [first["score"], second["score"]]
        assert mean["score"] == pytest.approx(statistics.fmean(mean["members"]), abs=1e-6)
        assert least["score"] == min(mean["members"])
        assert mean["disagreement"] == pytest.approx(statistics.pstdev(mean["members"]), abs=1e-6)
    pairs = write_rows("p.jsonl", [{"prompt": "where is parcel 0?", "chosen": WORDS[0], "rejected": WORDS[1]}] * 2)
    score(ScoreConfig(model=str(ensemble), data=pairs, out=str(made["pairs"])))
    both = read_lines(made["pairs"])[0]
    assert both["chosen"] - both["rejected"] == pytest.approx(statistics.fmean(both["members"]), abs=1e-5)
    assert both["disagreement"] == pytest.approx(statistics.pstdev(both["members"]), abs=1e-5)
