"""A run's folder: whose it is, what it holds, and what is left of it when something goes wrong."""

import errno
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import prefloop
from prefloop.errors import UserError
from prefloop.files.atomic import new_folder
from run.counting import CountConfig, changed, contents, count, opened, steps


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
    with new_folder(out / "checkpoints" / "00000002"):  # killed after finished.json, before tidying up
        pass
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
    before, whole = contents(config), data.read_text(encoding="utf-8")
    data.write_text(whole.replace("hello", text), encoding="utf-8")
    with pytest.raises(UserError, match=f"belongs to another run: {says}. Use another out=DIR, or delete the folder"):
        opened(changed(config, **settings), stage)
    assert contents(config) == before
    data.write_text(whole, encoding="utf-8")
    with opened(config) as run:  # the refusal let go of the lock
        assert run.finished


def test_a_setting_that_its_version_did_not_know_was_at_its_default(config: CountConfig):
    """An old run is recognised by a version that has more settings, and another value is another run."""
    count(config, until=3)
    card = Path(config.out) / "run.json"
    told = json.loads(card.read_text(encoding="utf-8"))
    del told["identity"]["settings"]["lr"]
    card.write_text(json.dumps(told), encoding="utf-8")
    with opened(config) as run:
        assert run.finished
    with pytest.raises(UserError, match=r"`lr` was 0.001 and is now 0.5"):
        opened(changed(config, lr=0.5))


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


# -- whose folder -----------------------------------------------------------------------------------------------------


def test_a_command_refused_before_it_did_anything_does_not_keep_the_folder(config: CountConfig, tmp_path: Path):
    """As after wrong data: the corrected command may use the same out=DIR, and the card is that of what ran."""
    with pytest.raises(UserError, match="wrong"), opened(config):
        raise UserError("wrong data")
    other = tmp_path / "other.jsonl"
    other.write_text("{}\n", encoding="utf-8")
    assert count(changed(config, data=str(other), lr=0.5), until=3) == 0
    card = json.loads((Path(config.out) / "run.json").read_text(encoding="utf-8"))
    assert (card["config"]["lr"], card["inputs"]["data"]["path"]) == (0.5, str(other))
    assert yaml.safe_load((Path(config.out) / "config.yaml").read_text(encoding="utf-8"))["lr"] == 0.5


def test_a_card_of_another_program_is_not_taken_for_ours(config: CountConfig):
    out = Path(config.out)
    out.mkdir()
    (out / "run.json").write_text('{"run_id": "wandb-1"}', encoding="utf-8")
    with pytest.raises(UserError, match=r"holds other things \(run.json\)"):
        opened(config)
    assert [p.name for p in out.iterdir()] == ["run.json"]


def test_a_model_that_somebody_put_into_an_unfinished_run_is_told_before_training(config: CountConfig):
    with pytest.raises(RuntimeError, match="plug"):
        count(config, until=6, stop_at=5)
    model = Path(config.out) / "model"
    model.mkdir()
    (model / "weights").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="model: something is here that prefloop did not write"):
        count(config, until=6)
    assert (model / "weights").read_text(encoding="utf-8") == "mine"


def test_what_somebody_put_among_checkpoints_stays(config: CountConfig):
    with pytest.raises(RuntimeError, match="plug"):
        count(config, until=6, stop_at=5)
    mine = Path(config.out) / "checkpoints" / "zz-best"
    mine.mkdir()
    (mine / "notes").write_text("mine", encoding="utf-8")
    assert count(config, until=6) == 4
    assert (mine / "notes").read_text(encoding="utf-8") == "mine"


def test_a_folder_inside_an_input_is_refused(config: CountConfig, tmp_path: Path):
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "weights").write_text("w", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    for out in ("model/deep/run", "link/run", "model/./new/run", "model/deep"):
        with pytest.raises(UserError, match=r"out=.*: this is inside .*model, which is read. Choose another out=DIR"):
            opened(changed(config, out=str(tmp_path / out), data=str(tmp_path / "model")))
    assert sorted(p.name for p in (tmp_path / "model").rglob("*")) == ["deep", "weights"]


@pytest.mark.parametrize(
    ("name", "says"), [("a\0b", "no file or folder can have this name"), ("n" * 300, "longer than the system allows")]
)
def test_a_folder_that_cannot_be(config: CountConfig, tmp_path: Path, name: str, says: str):
    with pytest.raises(UserError, match=says):
        opened(changed(config, out=str(tmp_path / name)))
    with pytest.raises(UserError, match=r"nothing is there|cannot be read \(File name too long"):
        opened(changed(config, data=str(tmp_path / name)))
