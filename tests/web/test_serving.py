"""The server as a process: how it starts, what it prints, and that a kill in mid-writing loses nothing acknowledged."""

import contextlib
import ipaddress
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from prefloop import cli
from prefloop.files.tables import read_records
from prefloop.records import Comparison, Judgement
from prefloop.web import serving as serving_module
from prefloop.web.address import base, own_address
from prefloop.web.config import WebConfig
from prefloop.web.exchange import comparison_files, export, outcome_files
from prefloop.web.folder import arena_of, home_of
from prefloop.web.security import accounts
from prefloop.web.serving import open_site
from prefloop.web.store import settings
from prefloop.web.store.tables import items, judgements
from web.acts import PASSWORD, check_log, client, comparison, judged, rows

QUICK = ["password_memory_kb=64"]


def project(folder: Path, number: int) -> Path:
    """A folder with comparisons."""
    (folder / "collect").mkdir(parents=True)
    text = "".join(comparison(i).model_dump_json() + "\n" for i in range(number))
    (folder / "collect" / "comparisons.jsonl").write_text(text, encoding="utf-8")
    return folder


@contextmanager
def serving(folder: Path, *typed: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Yields: (process, base URL, everything it has said until it listened)."""
    command = [sys.executable, "-m", "prefloop.cli", "web", str(folder), "--port", "0", *QUICK, *typed]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = ""
    assert process.stdout is not None
    while not re.search(r"^web: http\S+$", said, re.MULTILINE):
        line = process.stdout.readline()
        assert line, said
        said += line
    base = re.findall(r"^web: (http\S+)$", said, re.MULTILINE)[0]
    try:
        for _ in range(200):
            with httpx.Client(base_url=base) as caller:
                if _listens(caller):
                    break
        yield process, base, said
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _listens(caller: httpx.Client) -> bool:
    try:
        return caller.get("/api/v1/me").status_code == 401
    except httpx.TransportError:
        return False


def token_in(said: str) -> str:
    """The admin link's token, as it was printed."""
    return re.findall(r"/join/(\S+)", said)[0]


def work_until_killed(base: str, token: str, name: str, kept: list[str]) -> None:
    """Judges as fast as it goes; every acknowledged id goes to `kept`."""
    with contextlib.suppress(httpx.TransportError, ValueError), httpx.Client(base_url=base, timeout=10) as caller:
        caller.post(f"/api/v1/join/{token}", json={"name": name, "password": PASSWORD})
        while True:
            for shown in caller.post("/api/v1/leases", json={"count": 2}).json()["presentations"]:
                body = judged(shown["id"]).model_dump(mode="json")
                if caller.post("/api/v1/judgements", json=body).status_code == 200:
                    kept.append(body["id"])


@pytest.mark.parametrize(("first", "second"), [("", "collect"), ("collect", "")])
def test_a_run_and_its_collect_are_two_names_of_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str
):
    """Two databases would both write its judgements.jsonl; and what `evaluate` wrote is found by either name."""
    folder, config = project(tmp_path / "demo", 2), WebConfig()
    (folder / "evaluate").mkdir()
    (folder / "evaluate" / "arena.jsonl").write_text("", encoding="utf-8")
    assert {arena_of(folder), arena_of(folder / "collect")} == {folder / "evaluate" / "arena.jsonl"}
    open_site(folder / first, config).database.close()
    monkeypatch.chdir(folder / second)
    for name in (folder / second, Path(".")):
        site = open_site(name, config)
        assert Path(str(site.database.url.database)) == folder / first / "web" / serving_module.KEPT
        assert len(rows(site, items)) == 2
        site.database.close()
    (folder / second / "web").mkdir(exist_ok=True)
    shutil.copy(folder / first / "web" / serving_module.KEPT, folder / second / "web")  # an older prefloop made both
    assert home_of(folder / second) == folder / second


def test_a_new_link_ends_those_that_were_printed_before(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    folder, links = project(tmp_path / "run", 1), []
    for _ in range(3):
        assert cli.main(["web", str(folder), "--link", *QUICK]) == 0
        links.append(token_in(capfd.readouterr().out))
    site = open_site(folder, WebConfig())
    assert [accounts.invited(site, link) for link in links] == [None, None, "admin"]
    site.database.close()


def test_two_names_of_one_page_are_served_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    folder = project(tmp_path / "run", 1)
    with serving(folder):
        assert cli.main(["web", str(folder / "collect"), "--port", "0", *QUICK]) == 2
        assert "another `prefloop web` serves this folder" in capfd.readouterr().err


def test_a_kill_in_the_middle_loses_nothing_acknowledged(tmp_path: Path):
    folder, kept, token = project(tmp_path / "run", 500), [], ""
    for turn in range(2):
        with serving(folder) as (process, base, said):
            if not token:
                with httpx.Client(base_url=base) as caller:
                    caller.post(f"/api/v1/join/{token_in(said)}", json={"name": "admin", "password": PASSWORD})
                    token = caller.post("/api/v1/invitations", json={"uses": 6}).json()["link"].rpartition("/")[2]
            threads = [
                threading.Thread(target=work_until_killed, args=(base, token, f"u{turn}-{i}", kept)) for i in range(3)
            ]
            for thread in threads:
                thread.start()
            before = len(kept)
            while len(kept) < before + 25:
                assert process.poll() is None
            process.send_signal(signal.SIGKILL)
            for thread in threads:
                thread.join()
    site = open_site(folder, WebConfig(password_memory_kb=64))
    stored = {row.id for row in rows(site, judgements)}
    assert len(kept) == len(set(kept)) >= 50
    assert set(kept) <= stored
    assert len(stored) - len(kept) <= 6  # written, but the answer did not get through: sent again, each is found
    assert all(row.done <= row.wanted for row in rows(site, items))
    assert check_log(site) > len(stored)
    assert export.write_judgements(site, tmp_path / "j.jsonl") == len(stored)
    assert len(read_records(tmp_path / "j.jsonl", Judgement)) == len(stored)
    site.database.close()


def test_the_demo_is_ready_made(tmp_path: Path):
    with serving(tmp_path / "demo", "--demo") as (_, base, said):
        token = token_in(said)
        with httpx.Client(base_url=base) as caller:
            assert caller.post(f"/api/v1/join/{token}", json={"name": "Ann", "password": PASSWORD}).status_code == 200
            assert caller.get("/api/v1/me").json()["role"] == "admin"
            assert caller.post("/api/v1/leases", json={}).json()["presentations"]
            assert caller.post(f"/api/v1/join/{token}", json={"name": "Bob", "password": PASSWORD}).status_code == 404
    result = read_records(tmp_path / "demo" / "comparisons.jsonl", Comparison)
    assert len(result) >= 40
    assert {len(row.responses) for row in result} == {2, 3, 4}
    assert any("lang:zh" in row.tags for row in result)
    with serving(tmp_path / "demo", "--demo") as (_, _, said):  # again: nothing new, and somebody administers it
        assert "join" not in said
        assert "new comparisons" not in said


def test_verify_says_that_the_log_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = project(tmp_path / "run", 3)
    open_site(folder, WebConfig()).database.close()
    assert cli.main(["web", str(folder), "--verify"]) == 0
    assert "web: the log is whole: 1 events" in capsys.readouterr().out
    with sqlite3.connect(folder / "web" / "prefloop.sqlite") as connection:
        connection.execute("UPDATE events SET actor = 'nobody'")
    connection.close()
    assert cli.main(["web", str(folder), "--verify"]) == 2
    assert "event 1 (comparisons) was changed" in capsys.readouterr().err


MISTAKES = {
    "nowhere": "there is no comparisons.jsonl here", "a b": "needs one folder", "x --prot 1": "knows no --prot",
    "--port": "--port needs a value, for instance --port 8080", "x pairs=2": "no setting is called `pairs`",
    "x kinds=[chat]": "ask at least one of pair", "x port=99999": "`port` should be less than or equal to 65535",
}  # fmt: skip


@pytest.mark.parametrize(("typed", "says"), MISTAKES.items())
def test_mistakes_are_sentences(
    typed: str, says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["web", *typed.split()]) == 2
    assert says in capsys.readouterr().err


def test_help_lists_every_setting(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["web", "--help"]) == 0
    said = capsys.readouterr().out
    for name, field in WebConfig.model_fields.items():
        assert f"  {name}" in said
        assert str(field.description) in said


def test_a_port_in_use_is_a_sentence_before_anything_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = project(tmp_path / "run", 1)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert cli.main(["web", str(folder), "--port", str(other.getsockname()[1]), *QUICK]) == 2
    assert "--port 0 takes a free one" in capsys.readouterr().err
    assert not (folder / "web" / "prefloop.sqlite").exists()


def test_settings_typed_are_kept(tmp_path: Path):
    folder = project(tmp_path / "run", 2)
    first = open_site(folder, WebConfig.load(None, ["overlap.judgements=3", "name=Ours"]))
    assert [row.wanted for row in rows(first, items)] == [3, 3]
    first.database.close()
    again = open_site(folder, WebConfig())
    with again.database.reading() as connection:
        assert settings.project(connection).model_dump()["overlap"] == {"judgements": 3, "adaptive": False}
    again.database.close()


def test_openapi_describes_the_contract(tmp_path: Path):
    site = open_site(project(tmp_path / "run", 1), WebConfig(password_memory_kb=64))
    paths = client(site).get("/api/v1/openapi.json").json()["paths"]
    site.database.close()
    for path, methods in {"me": "get put", "leases": "post", "judgements": "post", "history": "get"}.items():
        assert paths[f"/api/v1/{path}"].keys() >= set(methods.split())


@pytest.mark.parametrize(("typed", "printed"), [
    ("", "http://127.0.0.1:80"), ("host=::1", "http://[::1]:80"),
    ("host=0.0.0.0 names=[page.lan,other.lan]", "http://page.lan:80"),
    ("https=true names=[page.example.org]", "https://page.example.org"),
])  # fmt: skip
def test_the_link_that_is_printed_is_one_that_can_be_opened(typed: str, printed: str):
    assert base(WebConfig.load(None, typed.split()), 80) == printed


def test_where_the_network_is_let_in_the_machines_own_address_is_printed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("prefloop.web.address.own_address", lambda host: "10.1.2.3")
    assert base(WebConfig(host="0.0.0.0"), 80) == "http://10.1.2.3:80"


def test_the_machines_own_address_is_an_address():
    assert str(ipaddress.ip_address(own_address("0.0.0.0"))) != "0.0.0.0"
    assert ipaddress.ip_address(own_address("::")).version == 6


def test_the_project_is_called_as_the_folder_that_was_typed(tmp_path: Path):
    for name in ("", "collect"):
        folder = project(tmp_path / f"in-{name}" / "ours", 1)
        (folder / "recipe.yaml").touch()
        site = open_site(folder / name, WebConfig())
        assert outcome_files.judged_at(site)[1]["project"] == site.called("") == "ours"
        assert site.called("Another") == "Another"
        site.database.close()


def test_a_second_server_of_the_same_folder_is_refused_and_the_first_says_goodbye(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    folder = project(tmp_path / "run", 1)
    with serving(folder) as (process, _, _):
        assert cli.main(["web", str(folder), "--port", "0", *QUICK]) == 2
        assert "another `prefloop web` serves this folder" in capfd.readouterr().err
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert "web: stopped; all that was acknowledged is kept." in said
    assert "Traceback" not in said


def test_what_takes_long_to_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    folder, take_in, said = project(tmp_path / "run", 1), comparison_files.from_file, threading.Event()
    monkeypatch.setattr(serving_module, "PATIENCE", 0.0)
    monkeypatch.setattr(serving_module, "say", lambda line: (print(line), said.set()))

    def slow(*rest: Any) -> Any:
        assert said.wait(60)
        return take_in(*rest)

    monkeypatch.setattr(comparison_files, "from_file", slow)
    open_site(folder, WebConfig()).database.close()
    assert f"web: reading {folder / 'collect' / 'comparisons.jsonl'} ..." in capsys.readouterr().out


def test_a_broken_line_is_told_with_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = project(tmp_path / "run", 2) / "collect" / "comparisons.jsonl"
    for broken in ("{", '{"id": "c"}'):
        file.write_text(comparison(0).model_dump_json() + f"\n{broken}\n", encoding="utf-8")
        assert cli.main(["web", str(tmp_path / "run"), "--port", "0"]) == 2
        assert f"{file}:2: " in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_leads_to_another_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = project(tmp_path / "run", 1)
    (folder / "web").touch()
    assert cli.main(["web", str(folder), *QUICK]) == 2
    said = capsys.readouterr().err
    assert "give another DIR to `prefloop web`" in said
    assert "out=" not in said
