"""Servers as people start them: real processes of the command line, each on a data folder of its own."""

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from billfold_server import cli
from billfold_server.db.embedded import EmbeddedPostgres
from tests.forks import forked
from tests.patient.sitecustomize import PATH
from tests.postgres import own_data_dir
from tests.processes import children

AS_INSTALLED = str(Path(__file__).parent / "as_installed")
"""Hides from a process what only tests bring."""
START_S = 100
END_S = 30
WORKING = "billfold_server.serving.worker"
DECRYPTING = "billfold_server.serving.decrypting"
SIMULATING = "billfold_server.serving.simulating"


def environment(**changes: str) -> dict[str, str]:
    """Return an environment in which a Python finds what an installation has, and none of our settings."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")}
    path = os.pathsep.join([AS_INSTALLED, PATH, *filter(None, sys.path)])
    # What the first of them compiles, the others needn't, wherever a machine would keep no bytecode.
    return ours | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": ""} | changes


def pasted(lines: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run lines as somebody does who pastes them into a shell."""
    shell, known = ["bash", "--noprofile", "--norc"], environment(**variables)
    return subprocess.run(shell, input=lines + "\n", env=known, capture_output=True, text=True, timeout=60, check=False)


def billfold(*args: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, in a process that had loaded the server before it was told which."""
    with tempfile.TemporaryDirectory() as folder:
        said, told = Path(folder) / "stdout", Path(folder) / "stderr"
        process = forked(_command, args, environment(**variables), said, told)
        process.join(START_S)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(args, START_S)
        return subprocess.CompletedProcess(args, process.exitcode, said.read_text(), told.read_text())


def _command(args: tuple[str, ...], variables: dict[str, str], stdout: Path, stderr: Path) -> None:
    os.environ.clear()
    os.environ.update(variables)
    for number, file in enumerate((Path(os.devnull), stdout, stderr)):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT, 0o600), number)
    cli.main(args)


def refusal(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """Return what a command with ``--json`` refused by."""
    assert "Traceback" not in done.stderr, done.stderr
    error: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])["error"]
    assert error["exit_code"] == done.returncode
    return error


class Up:
    """A ``billfold up --json`` that runs.

    Attributes:
        process: The parent.
        data_dir: Its data folder.
        welcome: What it said when it was ready; empty before ``ready``.
    """

    def __init__(self, data_dir: Path, *args: str, user: int | None = None, **variables: str) -> None:
        self.data_dir = data_dir
        self.welcome: dict[str, Any] = {}
        self._log = data_dir.with_name(f"{data_dir.name}.log")
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "billfold_server.cli", "up", "--json", f"--data-dir={data_dir}", *args],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(**variables),
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )

    def ready(self) -> "Up":
        """Wait until it serves."""
        guard = threading.Timer(START_S, self.process.kill)
        guard.start()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        guard.cancel()
        assert line, self.log()
        self.welcome = json.loads(line)
        return self

    def log(self) -> str:
        """Return what it has logged."""
        return self._log.read_text()

    @property
    def port(self) -> int:
        """The port it serves on."""
        return int(self.welcome["url"].rpartition(":")[2])

    def workers(self) -> list[int]:
        """Return the processes of its workers. It has others now and then, as while its database is started."""
        return self._running(WORKING)

    def decryptor(self) -> int | None:
        """Return the process of its decryptor, or None while there is none."""
        return next(iter(self._running(DECRYPTING)), None)

    def simulator(self) -> int | None:
        """Return the process of its rail simulator, or None while there is none."""
        return next(iter(self._running(SIMULATING)), None)

    def _running(self, module: str) -> list[int]:
        return [pid for pid, command in children(self.process.pid).items() if module in command]

    def postmaster(self) -> int:
        """Return the main process of its database."""
        return int((self.data_dir / "postgres" / "data" / "postmaster.pid").read_text().split()[0])

    def has_another(self, postmaster: int) -> bool:
        """Tell whether another main process of its database is there, which may be starting at this moment."""
        with contextlib.suppress(FileNotFoundError, IndexError):
            return self.postmaster() != postmaster
        return False

    def answers(self) -> bool:
        """Tell whether it can serve requests."""
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.welcome['url']}/health/ready", timeout=5).status_code == 200
        return False

    def token(self) -> str:
        """Return an access token of the sandbox's client."""
        answer = httpx.post(
            self.welcome["token_url"],
            data={"grant_type": "client_credentials"},
            auth=(self.welcome["client_id"], self.welcome["client_secret"]),
        )
        return str(answer.raise_for_status().json()["access_token"])

    def get(self, path: str) -> Any:
        """Return what the sandbox answers at a path."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        return httpx.get(self.welcome["base_url"] + path, headers=headers).raise_for_status().json()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for the end, and return the exit code."""
        code = self.process.wait(END_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


class SlowRequest:
    """A request whose body is on its way for as long as a test wants, so that the server can't have answered it."""

    def __init__(self, up: Up) -> None:
        self.name = f"Grace Hopper {secrets.token_hex(4)}"
        self._body = json.dumps({"kind": "person", "name": self.name}).encode()
        self._connection = http.client.HTTPConnection("127.0.0.1", up.port, timeout=END_S)
        self._connection.putrequest("POST", "/t/sandbox/v1/parties")
        self._connection.putheader("Authorization", f"Bearer {up.token()}")
        self._connection.putheader("Content-Type", "application/json")
        self._connection.putheader("Content-Length", str(len(self._body)))
        # The server says that it has begun with the request by asking for the rest of it.
        self._connection.putheader("Expect", "100-continue")
        self._connection.endheaders(self._body[:10])
        assert self._connection.sock is not None
        assert self._connection.sock.recv(64).startswith(b"HTTP/1.1 100")

    def finish(self) -> int:
        """Send the rest, and return the answer's status."""
        self._connection.send(self._body[10:])
        status = self._connection.getresponse().status
        self._connection.close()
        return status

    def is_given_up(self) -> bool:
        """Tell whether the server hung up, or at least said that it failed."""
        try:
            return self._connection.getresponse().status >= 500
        except (ConnectionError, http.client.HTTPException):
            return True
        finally:
            self._connection.close()


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@contextlib.contextmanager
def data_dirs() -> Iterator[Callable[[], Path]]:
    """Give out data folders, and remove them with whatever still runs on them."""
    given: list[Path] = []

    def give() -> Path:
        given.append(own_data_dir())
        return given[-1]

    yield give
    for folder in given:
        EmbeddedPostgres(folder).discard()
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_name(f"{folder.name}.log").unlink(missing_ok=True)
