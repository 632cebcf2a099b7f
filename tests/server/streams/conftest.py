"""A real NATS server with JetStream."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.ports import held


class Nats:
    """A NATS server that keeps what it has when it is stopped, and its address.

    Args:
        folder: Where it keeps everything.
        port: Where it listens; whoever makes this holds it, for it is to be had again after a stop.
        configuration: What its file says besides.
    """

    def __init__(self, folder: Path, port: int, configuration: str = "") -> None:
        self._folder = folder
        self._file = folder / "nats.conf"
        self._file.write_text(configuration, encoding="utf-8")
        self._scheme = "tls" if "tls {" in configuration else "nats"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = port

    @property
    def url(self) -> str:
        """Return where it is."""
        return f"{self._scheme}://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, at the same address as before."""
        for each in self._folder.glob("nats-server_*.ports"):
            each.unlink()
        command = ["nats-server", "-c", str(self._file), "-js", "-sd", str(self._folder / "kept")]
        command += ["-a", "127.0.0.1", "-p", str(self._port)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--ports_file_dir", str(self._folder)], stdout=log, stderr=subprocess.STDOUT
            )
        file = self._folder / f"nats-server_{self._process.pid}.ports"
        until = time.monotonic() + 20
        while not file.is_file() or not file.read_bytes().endswith(b"}"):
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < until, "the server doesn't start"
            time.sleep(0.01)
        (address,) = json.loads(file.read_bytes())["nats"]
        self._port = urlsplit(address).port or -1

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None, "it runs"
        self._process.send_signal(number)

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(20)
            self._process = None


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """Run a NATS server for a module's tests, each of which has a stream of its own."""
    if shutil.which("nats-server") is None:
        pytest.skip("needs nats-server")
    with held(1) as (port,):
        server = Nats(tmp_path_factory.mktemp("nats"), port)
        server.start()
        yield server
        server.stop()
