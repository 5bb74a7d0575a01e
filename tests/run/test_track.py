"""A tracker is told what metrics.jsonl says, each step once and in order, and cannot end a run."""

import importlib.machinery
import json
import struct
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefloop.errors import UserError
from prefloop.settings import Tracked
from run.counting import CountConfig, changed, count, opened

Points = list[tuple[int, dict[str, float]]]


class CountedConfig(CountConfig, Tracked):
    """A stage that counts, and tells a tracker."""


@pytest.fixture
def config(config: CountConfig) -> CountedConfig:
    """Settings of a run that has not begun."""
    return CountedConfig(**dict(config))


class Service:
    """What stands behind a tracker: its runs by what it knows them by, as they come over the real signatures."""

    def __init__(self) -> None:
        self.runs: dict[str, Points] = {}
        self.begun: list[dict[str, Any]] = []
        self.ended: list[Any] = []
        self.fails_in = ""

    def begin(self, key: str, **given: Any) -> None:
        self.fail("init")
        self.begun.append(given)
        self.now = self.runs.setdefault(key, [])

    def keep(self, data: dict[str, float], step: int | None) -> None:
        self.fail("log")
        assert step is not None
        self.now.append((step, data))

    def end(self, how: Any) -> None:
        self.fail("finish")
        self.ended.append(how)

    def fail(self, where: str) -> None:
        if self.fails_in == where:
            raise ConnectionError("no route to host\nand much more")


def wandb(service: Service) -> dict[str, Any]:
    """The names of `wandb` that are used."""

    class Run:
        def log(self, data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> None:
            service.keep(data, step)

        def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
            service.end(exit_code == 0)

    def init(*, project: str, dir: str, id: str, name: str, config: dict[str, Any], resume: str) -> Run:
        assert resume == "allow"
        assert Path(dir).is_dir()
        service.begin(id, project=project, name=name, config=config)
        return Run()

    return {"init": init}


def trackio(service: Service) -> dict[str, Any]:
    """The names of `trackio` that are used."""

    def init(project: str, name: str, config: dict[str, Any], resume: str = "never", embed: bool = True) -> None:
        assert resume == "allow"
        service.begin(name, project=project, name=name[:-7], config=config)

    def log(metrics: dict[str, Any], step: int | None = None) -> None:
        service.keep(metrics, step)

    return {"init": init, "log": log, "finish": lambda: service.end(None)}


def swanlab(service: Service) -> dict[str, Any]:
    """The names of `swanlab` that are used."""

    def init(
        *, log_dir: str, project: str, name: str, id: str, resume: str, config: dict[str, Any], settings: dict[str, Any]
    ) -> None:
        assert resume == "allow"
        assert settings == {"interactive": False}
        service.begin(id, project=project, name=name, config=config)

    def log(data: dict[str, Any], step: int | None = None) -> None:
        service.keep(data, step)

    def finish(state: str = "success", error: str | None = None) -> None:
        assert state in ("success", "crashed", "aborted")
        service.end(state == "success")

    return {"init": init, "log": log, "finish": finish, "Settings": dict}


FAKES: dict[str, Callable[[Service], dict[str, Any]]] = {"wandb": wandb, "trackio": trackio, "swanlab": swanlab}


@pytest.fixture(params=FAKES)
def tracker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Service]:
    """The name of a tracker, and what stands behind it."""
    name, service = request.param, Service()
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(module).update(FAKES[name](service))
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("WANDB_LOGIN_TIMEOUT", "1")
    return name, service


def metrics(config: CountConfig) -> Points:
    """What metrics.jsonl says."""
    lines = (Path(config.out) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [(row.pop("step"), row) for row in map(json.loads, lines)]


def test_after_a_crash_each_step_is_there_once_and_in_order(config: CountedConfig, tracker: tuple[str, Service]):
    name, service = tracker
    tracked = changed(config, track=name)
    with pytest.raises(RuntimeError, match="plug"):
        count(tracked, until=6, stop_at=5)
    assert count(tracked, until=6) == 4  # 5 was told, but the checkpoint is of 4
    assert list(service.runs.values()) == [metrics(config)]  # one run
    assert [step for step, _ in metrics(config)] == [1, 2, 3, 4, 5, 6]
    assert [given["project"] for given in service.begun] == ["prefloop", "prefloop"]
    assert [given["name"] for given in service.begun] == ["/".join(Path(config.out).parts[-2:])] * 2
    assert service.begun[0]["config"] == tracked.model_dump(mode="json")
    assert service.ended == ([None, None] if name == "trackio" else [False, True])
    assert count(tracked, until=6) == 6  # finished: nothing is told
    assert len(service.begun) == 2


def test_one_that_is_chosen_later_is_told_what_it_missed(config: CountedConfig, tracker: tuple[str, Service]):
    name, service = tracker
    with pytest.raises(RuntimeError, match="plug"):
        count(config, until=6, stop_at=5)
    assert not (Path(config.out) / "tracker.json").exists()
    assert count(changed(config, track=name), until=6) == 4  # the same run
    assert list(service.runs.values()) == [metrics(config)]


@pytest.mark.parametrize("fails_in", ["init", "log", "finish"])
def test_one_that_fails_ends_no_run(
    config: CountedConfig, tracker: tuple[str, Service], fails_in: str, capsys: pytest.CaptureFixture[str]
):
    name, service = tracker
    service.fails_in = fails_in
    assert count(changed(config, track=name), until=3) == 0
    assert [step for step, _ in metrics(config)] == [1, 2, 3]
    assert (Path(config.out) / "finished.json").exists()
    assert capsys.readouterr().err == (
        f"count: track={name} failed (no route to host). The run goes on without it; metrics.jsonl has every row.\n"
    )


def test_a_row_without_a_number_has_a_gap(config: CountedConfig, tracker: tuple[str, Service]):
    name, service = tracker
    with opened(changed(config, track=name)) as run:
        run.restore()
        run.log(1, {"rewards/kl": float("nan"), "lr": 0.5})
    assert list(service.runs.values()) == [[(1, {"lr": 0.5})]]


def events(folder: Path) -> Points:
    """The points that TensorBoard shows: a start hides what earlier files say of its step and later ones."""
    from tensorboardX.proto.event_pb2 import Event

    shown: dict[int, dict[str, float]] = {}
    for file in sorted(folder.iterdir()):
        data, at = file.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += length + 16
            if event.session_log.status:
                shown = {step: numbers for step, numbers in shown.items() if step < event.step}
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    assert value.tag not in shown.setdefault(event.step, {})
                    shown[event.step][value.tag] = value.simple_value
    return list(shown.items())


def test_tensorboard_shows_the_same_numbers(config: CountedConfig):
    pytest.importorskip("tensorboardX")
    tracked = changed(config, track="tensorboard")
    folder = Path(config.out) / "tensorboard"
    for stop in (1, 5):  # before the first checkpoint, and after that of step 4
        with pytest.raises(RuntimeError, match="plug"):
            count(tracked, until=6, stop_at=stop)
        assert [step for step, _ in events(folder)] == list(range(1, stop + 1))
    count(tracked, until=6)
    told, rows = events(folder), metrics(config)
    assert [step for step, _ in told] == [1, 2, 3, 4, 5, 6]
    assert [numbers for _, numbers in told] == [pytest.approx(numbers, rel=1e-6) for _, numbers in rows]  # 32 bits
    text = b"".join(file.read_bytes() for file in folder.iterdir())
    assert text.count(b"    track: tensorboard\n") == 3


def test_one_that_is_not_installed_is_a_sentence(config: CountedConfig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    said = r"^track=wandb needs wandb, which is not installed\. Type: pip install 'prefloop\[wandb\]'$"
    with pytest.raises(UserError, match=said):
        opened(changed(config, track="wandb"))
    assert not Path(config.out).exists()
