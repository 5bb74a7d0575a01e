"""What was lost, damaged or refused by the system is a sentence with a remedy that works, and nothing is run over."""

import errno
import importlib.metadata
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from prefloop.errors import UserError
from prefloop.files.atomic import new_folder
from run.counting import CountConfig, changed, contents, count, opened, steps

# -- a finished run ---------------------------------------------------------------------------------------------------


def finished_model(config: CountConfig) -> Path:
    """A finished run with a model folder. Returns: that."""
    with opened(config) as run:
        if not run.finished:
            with new_folder(run.folder / "model") as folder:
                (folder / "weights").write_bytes(b"1234")
                (folder / "config.json").write_text("{}", encoding="utf-8")
            run.finish(outputs=["model"], result={})
    return Path(config.out) / "model"


def lose(path: Path) -> None:
    shutil.rmtree(path)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lose, "its `model` is not there any more"),
        (lambda model: (model / "weights").unlink(), "its `model/weights` is not there any more"),
        (lambda model: (model / "weights").write_bytes(b"12"), "its `model/weights` has 2 bytes and not the 4 that"),
    ],
)
def test_a_finished_run_whose_outputs_are_gone_says_so_and_is_not_run_over(
    config: CountConfig, spoil: Callable[[Path], None], says: str
):
    spoil(finished_model(config))
    before = contents(config)
    with pytest.raises(UserError, match=f"this stage has finished, but {says}.* make it again: prefloop"):
        opened(config)
    assert contents(config) == before


def test_other_bytes_of_the_same_length_are_seen_on_request(config: CountConfig, capsys: pytest.CaptureFixture[str]):
    model = finished_model(config)
    finished_model(changed(config, verify=True))
    assert "count: verified: all 2 files are as they were written." in capsys.readouterr().out
    (model / "weights").write_bytes(b"1235")
    finished_model(config)
    with pytest.raises(UserError, match="its `model` holds other bytes than were written"):
        opened(changed(config, verify=True))


# -- resuming ---------------------------------------------------------------------------------------------------------


def spoilt_state(out: Path) -> None:
    (out / "checkpoints" / "00000004" / "state.pt").write_bytes(b"PK not really")


def short_state(out: Path) -> None:
    path = out / "checkpoints" / "00000004" / "state.pt"
    path.write_bytes(path.read_bytes()[:200])


def lost_state(out: Path) -> None:
    (out / "checkpoints" / "00000004" / "state.pt").unlink()


def other_state(out: Path) -> None:
    torch.save({"weights": torch.zeros(2)}, out / "checkpoints" / "00000004" / "state.pt")


def short_metrics(out: Path) -> None:
    (out / "metrics.jsonl").write_bytes((out / "metrics.jsonl").read_bytes()[:30])


def lost_samples(out: Path) -> None:
    (out / "samples.jsonl").unlink()


def torn_metrics(out: Path) -> None:
    (out / "metrics.jsonl").write_bytes((out / "metrics.jsonl").read_bytes().replace(b"{", b"(", 2))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoilt_state, "state.pt: this checkpoint is damaged"),
        (short_state, "state.pt: this checkpoint is damaged"),
        (lost_state, "state.pt: this checkpoint is damaged"),
        (other_state, r"state.pt: this checkpoint is damaged \(other contents"),
        (short_metrics, r"metrics.jsonl: this file has 30 bytes, but had \d+ when the last checkpoint was written"),
        (lost_samples, r"samples.jsonl: this file has 0 bytes, but had \d+"),
        (torn_metrics, "metrics.jsonl:1: this line is damaged"),
    ],
    ids=lambda value: "" if isinstance(value, str) else value.__name__,
)
def test_what_was_damaged_is_a_sentence_whose_remedy_works(
    config: CountConfig, spoil: Callable[[Path], None], says: str
):
    with pytest.raises(RuntimeError, match="plug"):
        count(config, until=6, stop_at=5)
    spoil(Path(config.out))
    before = contents(config)
    with pytest.raises(UserError, match=f"{says}.*or delete .*checkpoints to begin this stage again"):
        count(config, until=6)
    if spoil is not torn_metrics:  # cut back to the checkpoint, as always
        assert contents(config) == before
    shutil.rmtree(Path(config.out) / "checkpoints")
    assert count(config, until=6) == 0
    assert steps(config) == [1, 2, 3, 4, 5, 6]
    assert b"\0" not in (Path(config.out) / "metrics.jsonl").read_bytes()


def test_a_damaged_part_is_a_sentence_and_alone_is_made_again(config: CountConfig):
    with opened(config) as run:
        for index in run.parts(3):
            run.write_part(index, index)
        run.part(1).write_text("[1, ", encoding="utf-8")
        with pytest.raises(UserError, match=r"000001.json: this part is damaged .*Delete it"):
            run.read_parts(3)
        run.part(1).unlink()
        assert list(run.parts(3)) == [1]


def test_other_versions_of_what_numbers_depend_on_are_told(
    config: CountConfig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(RuntimeError, match="plug"):
        count(config, until=6, stop_at=5)
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9" if name == "torch" else real(name))
    assert count(config, until=6) == 4
    assert f"torch was {real('torch')} and is now 9.9. It goes on; numbers may differ" in capsys.readouterr().err
    assert count(config, until=6) == 6
    assert capsys.readouterr().err == "", "a finished run has nothing to differ"


# -- what the system refuses ------------------------------------------------------------------------------------------


def failing_twice(config: CountConfig, call: str) -> None:
    """Runs a command that fails, and again: the folder must not still be locked."""
    for _ in range(2):
        with pytest.raises(UserError, match=call):
            count(config, until=3)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.EROFS])
def test_the_lock_is_released_whatever_the_system_refuses(
    config: CountConfig, number: int, monkeypatch: pytest.MonkeyPatch
):
    real = Path.open

    def refuse(self: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if "timing" in self.name or "metrics" in self.name:
            raise OSError(number, os.strerror(number), str(self))
        return real(self, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", refuse)
    failing_twice(config, "(metrics|timing).*: (the disk is full|this process may not open more files|no permission)")
    monkeypatch.undo()
    assert count(config, until=3) == 0


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
import torch
from prefloop.run import Run
from prefloop.settings import RunConfig
with Run(RunConfig(out=sys.argv[1]), inputs={}, stage="ppo") as run:
    for step in range(200):
        run.log(step, {"lr": 1.0})
    run.save(1, {"tensor": torch.zeros(100_000)})
"""


@pytest.mark.parametrize(("size", "name"), [(3000, "metrics.jsonl"), (50_000, "checkpoints/00000001")])
def test_a_disk_that_fills_while_it_is_written_to(tmp_path: Path, size: int, name: str):
    """The system itself stops the write half way; the sentence names the file, and the folder is free again."""
    program = f"from prefloop.errors import UserError\ntry:\n{textwrap.indent(LIMITED, '    ')}\n"
    program += "except UserError as problem:\n    print(problem)"
    command = [sys.executable, "-c", program, str(tmp_path / "run"), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tmp_path / 'run' / name}: this process may not write a file so large"), done.stdout
