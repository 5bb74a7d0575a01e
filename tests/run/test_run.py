"""A run's folder: whose it is, what it holds, and what is left of it when something goes wrong."""

import errno
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
import torch

import prefloop
from prefloop.errors import UserError
from prefloop.files import fingerprints
from prefloop.run import Run
from prefloop.settings import RunConfig


class CountConfig(RunConfig):
    """A stage that counts."""

    data: str = ""
    """A file."""

    lr: float = 1e-3
    """Named in the sentence about divergence."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An input."""
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "hello"}\n', encoding="utf-8")
    return path


@pytest.fixture
def config(tmp_path: Path, data: Path) -> CountConfig:
    """Settings of a run that has not begun."""
    return CountConfig(out=str(tmp_path / "run"), data=str(data), threads=1)


def opened(config: CountConfig, stage: str = "count") -> Run:
    """The run of these settings."""
    return Run(config, inputs={"data": config.data, "nothing": None}, stage=stage)


def changed(config: CountConfig, **settings: Any) -> CountConfig:
    """The same settings but for some."""
    return config.model_copy(update=settings)


def count(config: CountConfig, *, until: int, stop_at: int | None = None) -> int:
    """A stage as all are: restore, then log and save after each update. Returns: where it began."""
    with opened(config) as run:
        if run.finished:
            return until
        saved = run.restore()
        begin = done = saved["done"] if saved else 0
        while done < until:
            done += 1
            run.log(done, {"loss/train": 1.0 / done})
            run.sample([{"step": done, "response": "hi"}])
            if done == stop_at:
                raise RuntimeError("pulled the plug")
            run.checkpoint(done, lambda done=done: {"done": done, "tensor": torch.arange(done)}, every=2)
        (run.folder / "model.txt").write_text(str(done), encoding="utf-8")
        run.finish(outputs=["model.txt"], result={"last": done})
    return begin


def steps(config: CountConfig) -> list[int]:
    """Steps in metrics.jsonl."""
    return [
        json.loads(line)["step"]
        for line in (Path(config.out) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def test_a_run_says_where_it_came_from(config: CountConfig, data: Path):
    count(config, until=3)
    card = json.loads((Path(config.out) / "run.json").read_text(encoding="utf-8"))
    assert card["stage"] == "count"
    assert card["seed"] == 0
    assert card["threads"] == 1
    assert set(card["inputs"]) == {"data"}
    assert card["inputs"]["data"]["path"] == str(data)
    assert {"python", "prefloop", "torch"} <= set(card["versions"])
    timing = json.loads((Path(config.out) / "timing.json").read_text(encoding="utf-8"))
    assert timing["seconds"] > 0
    assert timing["peak_rss_mb"] > 10
    assert not (Path(config.out) / "checkpoints").exists()


def test_logs_are_cut_back_to_the_checkpoint(config: CountConfig):
    with pytest.raises(RuntimeError, match="plug"):
        count(config, until=6, stop_at=5)
    assert steps(config) == [1, 2, 3, 4, 5]  # 5 was logged, but the checkpoint is of 4
    assert count(config, until=6) == 4
    assert steps(config) == [1, 2, 3, 4, 5, 6]
    samples = (Path(config.out) / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(samples) == 6


def test_without_a_checkpoint_logs_begin_again(config: CountConfig):
    with pytest.raises(RuntimeError, match="plug"):
        count(config, until=6, stop_at=1)
    assert count(config, until=6) == 0
    assert steps(config) == [1, 2, 3, 4, 5, 6]


def test_a_position_that_jumps_over_a_multiple_is_still_saved(config: CountConfig):
    """PPO cuts steps short: 7, 9, 18, 21 with every=10 saves at 18 and 21, not never."""
    saved = []
    with opened(config) as run:
        for position in (7, 9, 18, 21):
            run.checkpoint(position, lambda position=position: saved.append(position) or {"at": position}, every=10)
        assert saved == [18, 21]
    with opened(config) as run:
        assert run.restore() == {"at": 21}
        run.checkpoint(25, lambda: {"at": 25}, every=10)
    with opened(config) as run:
        assert run.restore() == {"at": 21}


def test_only_the_newest_checkpoint_is_kept(config: CountConfig):
    with pytest.raises(RuntimeError, match="plug"):
        count(config, until=6, stop_at=5)
    assert [p.name for p in (Path(config.out) / "checkpoints").iterdir()] == ["00000004"]


def test_a_finished_run_is_left_alone(config: CountConfig):
    count(config, until=3)
    before = {p: p.read_bytes() for p in Path(config.out).iterdir() if p.is_file()}
    assert count(config, until=3) == 3
    assert {p: p.read_bytes() for p in Path(config.out).iterdir() if p.is_file()} == before
    with opened(config) as run:
        assert run.result == {"last": 3}


def test_leftovers_of_a_kill_are_removed(config: CountConfig):
    count(config, until=3)
    out = Path(config.out)
    (out / "checkpoints" / "00000002").mkdir(parents=True)  # killed after finished.json, before tidying up
    (out / ".model.1234.tmp").mkdir()
    (out / ".metrics.jsonl.99.tmp").write_text("half", encoding="utf-8")
    count(config, until=3)
    assert sorted(p.name for p in out.iterdir()) == [
        *(".lock", "config.yaml", "finished.json", "metrics.jsonl"),
        *("model.txt", "run.json", "samples.jsonl", "timing.json"),
    ]


def test_a_foreign_folder_is_refused_and_untouched(config: CountConfig):
    out = Path(config.out)
    out.mkdir()
    (out / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"holds other things \(thesis.tex\), and no prefloop run. Choose another out=DIR"
    ):
        opened(config)
    assert [p.name for p in out.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("stage", "settings", "text", "says"),
    [
        ("count", {"lr": 0.5}, "hello", "`lr` was 0.001 and is now 0.5"),
        ("count", {"seed": 7}, "hello", "`seed` was 0 and is now 7"),
        ("other", {}, "hello", "it was written by the stage `count`, not `other`"),
        ("count", {}, "goodbye", r"the input `data` had the fingerprint \w{12} and now has \w{12}"),
    ],
)
def test_another_run_is_refused_with_what_differs_and_nothing_is_touched(
    config: CountConfig, data: Path, stage: str, settings: dict[str, Any], text: str, says: str
):
    count(config, until=3)
    before, whole = fingerprints.of_path(config.out), data.read_text(encoding="utf-8")
    data.write_text(whole.replace("hello", text), encoding="utf-8")
    with pytest.raises(UserError, match=f"belongs to another run: {says}. Use another out=DIR, or delete the folder"):
        opened(changed(config, **settings), stage)
    assert fingerprints.of_path(config.out) == before
    data.write_text(whole, encoding="utf-8")
    with opened(config) as run:  # the refusal let go of the lock
        assert run.finished


def test_a_moved_input_is_the_same_input(config: CountConfig, data: Path):
    count(config, until=3)
    moved = data.rename(data.with_name("moved.jsonl"))
    with opened(changed(config, data=str(moved))) as run:
        assert run.finished


@pytest.mark.parametrize("text", ["", "[]", '{"stage": "count"}'])
def test_a_damaged_card_is_a_sentence_and_nothing_is_touched(config: CountConfig, text: str):
    count(config, until=3)
    card = Path(config.out) / "run.json"
    whole = card.read_text(encoding="utf-8")
    card.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"run.json: .* or delete {config.out} and run that stage again"):
        opened(config)
    card.write_text(whole, encoding="utf-8")
    with opened(config) as run:  # the refusal let go of the lock
        assert run.result == {"last": 3}


def test_a_missing_input_is_a_sentence(config: CountConfig, data: Path):
    data.unlink()
    with pytest.raises(UserError, match=r"data.jsonl: nothing is there"):
        opened(config)
    assert not Path(config.out).exists()


def test_other_threads_are_told(config: CountConfig, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(RuntimeError, match="plug"):
        count(config, until=6, stop_at=5)
    count(changed(config, threads=2), until=6)
    torch.set_num_threads(1)
    assert "begun with 1 threads, going on with 2: the result will be as good, but not" in capsys.readouterr().err


def hold(config: CountConfig, held: Any, release: Any) -> None:
    """Keeps a run open in another process."""
    with opened(config):
        held.set()
        release.wait(60)


def test_an_unfinished_run_of_another_version_is_refused_and_a_finished_one_is_read(
    config: CountConfig, monkeypatch: pytest.MonkeyPatch
):
    with opened(config) as begun:
        begun.log(1, {"loss/train": 1.0})
    monkeypatch.setattr(prefloop, "__version__", "9.9.9")
    with pytest.raises(UserError, match=r"begun with prefloop \S+ and not finished; this is 9\.9\.9"):
        opened(config)
    monkeypatch.undo()
    with opened(config) as begun:
        begun.finish(outputs=[], result={"n": 1})
    monkeypatch.setattr(prefloop, "__version__", "9.9.9")
    with opened(config) as finished:
        assert finished.result == {"n": 1}


def test_two_processes_cannot_work_in_one_folder(config: CountConfig):
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=hold, args=(config, held, release))
    other.start()
    try:
        assert held.wait(60)
        with pytest.raises(UserError, match="another prefloop process is working here"):
            opened(config)
    finally:
        release.set()
        other.join(60)
    assert count(config, until=3) == 0  # the lock goes with its process


def test_a_loss_that_is_not_a_number_stops_with_a_sentence(config: CountConfig):
    with opened(config) as run:
        run.log(1, {"loss/train": 1.0})
        with pytest.raises(
            UserError,
            match=r"loss/train became nan in step 2, so training has diverged.*Lower the learning rate \(lr=0.001\)",
        ):
            run.log(2, {"loss/train": float("nan")})
    assert steps(config) == [1]


def test_other_numbers_may_be_missing(config: CountConfig):
    with opened(config) as run:
        run.log(1, {"values/explained_variance": float("nan")})
    assert json.loads((Path(config.out) / "metrics.jsonl").read_text(encoding="utf-8")) == {
        "step": 1,
        "values/explained_variance": None,
    }


def test_a_full_disk_is_a_sentence_and_the_last_checkpoint_stays(config: CountConfig, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(RuntimeError, match="plug"):
        count(config, until=9, stop_at=5)
    real = os.fsync

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"the disk is full\. Free some space and run the same command again"):
        count(config, until=9)
    monkeypatch.setattr(os, "fsync", real)
    checkpoint = Path(config.out) / "checkpoints" / "00000004" / "state.pt"
    assert torch.load(checkpoint, weights_only=True)["state"]["done"] == 4
    assert not list(Path(config.out).rglob("*.tmp"))
    assert count(config, until=9) == 4
    assert steps(config) == list(range(1, 10))


def test_a_full_disk_while_logging_is_a_sentence(config: CountConfig):
    with opened(config) as run:
        if not Path("/dev/full").exists():
            pytest.skip("this system has no /dev/full")
        (run.folder / "metrics.jsonl").symlink_to("/dev/full")
        with pytest.raises(UserError, match=r"metrics.jsonl: the disk is full"):
            run.log(1, {"loss/train": 1.0})


def test_a_file_in_the_way_is_a_sentence(config: CountConfig, tmp_path: Path):
    Path(config.out).write_text("I am a file", encoding="utf-8")
    with pytest.raises(UserError, match=r"a file or folder is in the way. Choose another out=DIR"):
        opened(config)
    with pytest.raises(UserError, match=r"a file or folder is in the way. Choose another out=DIR"):
        opened(changed(config, out=str(Path(config.out) / "inside")))
    assert Path(config.out).read_text(encoding="utf-8") == "I am a file"


def test_an_unwritable_folder_is_a_sentence(config: CountConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def forbidden(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", forbidden)  # root may write anywhere, so a mode would prove nothing
    with pytest.raises(UserError, match=r"no permission to write here\. Choose another folder with out=DIR"):
        opened(config)
