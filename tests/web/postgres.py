"""A PostgreSQL server of the tests' own, on loopback, in a folder that goes away; with Debian's programs if need be."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def programs() -> Path:
    """The folder of initdb and postgres; the test is skipped if there is none."""
    result = shutil.which("initdb")
    folders = [Path(result).parent] if result else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.skip("PostgreSQL is not installed here (Debian: postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install 'prefloop[postgres]')")
    return folders[-1]


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Yields: the URL of the server, without a database's name."""
    binaries, port = programs(), free_port()
    owner = "postgres" if os.geteuid() == 0 else None  # PostgreSQL does not run as root
    with tempfile.TemporaryDirectory(prefix="prefloop-pg-") as folder:
        data = Path(folder) / "data"
        if owner:
            shutil.chown(folder, owner)
        run = {"user": owner, "cwd": folder, "check": True, "capture_output": True, "timeout": 60}
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "prefloop", "--auth=trust", "-E", "UTF8", "--no-sync"], **run
        )
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
        options += " -c fsync=off -c max_connections=60"
        log = Path(folder) / "log"
        subprocess.run([binaries / "pg_ctl", "-D", data, "-w", "-o", options, "-l", log, "start"], **run)
        try:
            yield f"postgresql+psycopg://prefloop@127.0.0.1:{port}"
        finally:
            subprocess.run([binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **run)
