"""The journey's example prints the same in one's own process, at a server, and at a bank behind nginx."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from billfold import Billfold
from billfold.auth import MutualTLS
from billfold.contract.clients import CreateClient
from billfold_server.cli import billfold_command
from billfold_server.serving.instance import find_running
from tests.announcing import announce
from tests.examples import nginx
from tests.examples.conftest import ROOT
from tests.patient.sitecustomize import PATH
from tests.postgres import binaries
from tests.server.certificates import SERVER, Pair, authority, client_side, issue
from tests.server.identity.clients_of import certified
from tests.server.upping import Up, data_dirs

EXPECTED = (Path(__file__).parent / "journey.txt").read_text(encoding="utf-8")
CONFIGURATION = ROOT / "examples" / "behind_nginx" / "billfold.conf"
SCOPES = [
    "clients:write",
    "events:read",
    *(f"{each}:{what}" for each in ("parties", "wallets", "transfers", "holds") for what in ("read", "write")),
]
MANIFEST = """
slug = "moss"
name = "Moss"
currencies = ["EUR"]
security_profile = "fapi2"
brand.display_name = "Moss"
"""


class Bank(msgspec.Struct):
    """A server of two workers behind nginx, with a bank under FAPI 2.0 and a sandbox.

    Attributes:
        up: The server.
        url: Where nginx serves everybody.
        mtls_url: Where it asks for certificates.
        ca: The authority of nginx's own certificate, as a file.
        shown: A certificate that an authority has issued for a client, with its key, as files.
        client_id: The client at the bank, known by that certificate.
        clients: The authority.
    """

    up: Up
    url: str
    mtls_url: str
    ca: str
    shown: tuple[str, str]
    client_id: str
    clients: Pair

    @property
    def base_url(self) -> str:
        """Return where the bank is."""
        return f"{self.url}/t/moss"

    def client(self, client_id: str, shown: tuple[str, str]) -> Billfold:
        """Return a client that is known by a certificate."""
        return Billfold(base_url=self.base_url, auth=MutualTLS(client_id, *shown, ca=self.ca))

    def ask_for_token(self, url: str, client_id: str, shown: tuple[str, str] | None, **headers: str) -> httpx.Response:
        """Ask for a token by a certificate, or by headers."""
        with httpx.Client(verify=client_side(self.ca, shown)) as client:
            form = {"grant_type": "client_credentials", "client_id": client_id}
            return client.post(f"{url}/t/moss/oauth/token", data=form, headers=headers)


def found(up: Up, folder: Path) -> str:
    """Found a bank under FAPI 2.0, and return the client that it knows by a certificate of an authority."""
    (folder / "moss").mkdir()
    (folder / "moss" / "tenant.toml").write_text(MANIFEST, encoding="utf-8")
    there = {"BILLFOLD_DATA_DIR": str(up.data_dir)}
    scopes = [f"--scope={each}" for each in SCOPES]
    known_by = ["--auth-method=tls_client_auth", "--certificate-dn=CN=acme"]
    for command in (
        ["tenants", "apply", str(folder / "moss")],
        ["clients", "create", "--tenant=moss", *known_by, *scopes, "--json"],
    ):
        done = CliRunner().invoke(billfold_command, command, env=there, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    return str(json.loads(done.stdout)["client_id"])


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    """Start a server as DEPLOYING says, with nginx before it as the example has it."""
    if shutil.which("nginx") is None:
        pytest.skip("needs nginx")
    binaries(18)
    folder = tmp_path_factory.mktemp("nginx")
    root = authority("The web's authority")
    local = [x509.DNSName("localhost")]
    certificate, key = issue("localhost", root, purposes=[SERVER], names=local).write(folder, "server")
    root.write(folder, "web")
    clients = authority("The clients' authority")
    clients.write(folder, "clients")
    shown = issue("acme", clients).write(folder, "acme")
    with nginx.listeners(2) as open_, data_dirs() as give:
        plain, asking = (each.getsockname()[1] for each in open_)
        url, mtls_url = (f"https://localhost:{port}" for port in (plain, asking))
        settings: dict[str, Any] = {
            "BILLFOLD_PUBLIC_URL": url,
            "BILLFOLD_MTLS_PUBLIC_URL": mtls_url,
            "BILLFOLD_TRUSTED_PROXIES": "127.0.0.1/32",
            "BILLFOLD_CLIENT_CERTIFICATE_HEADER": "client-cert",
            "BILLFOLD_CLIENT_CA_FILE": str(folder / "clients.pem"),
        }
        assert all(name in CONFIGURATION.read_text(encoding="utf-8") for name in settings)
        up = Up(give(), "--port=0", "--workers=2", **settings).ready()
        running = find_running(up.data_dir)
        assert running is not None
        changes = {
            "listen 443 ssl": f"listen 127.0.0.1:{plain} ssl",
            "listen 8443 ssl": f"listen 127.0.0.1:{asking} ssl",
            "server_name wallet.example": "server_name localhost",
            "/etc/ssl/wallet.example.pem": certificate,
            "/etc/ssl/wallet.example.key": key,
            "server 127.0.0.1:8000": f"server 127.0.0.1:{running.port}",
        }
        with nginx.running(folder, CONFIGURATION, changes, open_):
            yield Bank(up, url, mtls_url, str(folder / "web.pem"), shown, found(up, folder), clients)
        assert up.end() == 0, up.log()


def journey(*arguments: str, path: str = "", **variables: str) -> str:
    """Run the example as it stands in a process of its own, and return what it printed."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(ROOT / "examples" / "journey.py"), *arguments],
        env={**ours, "PYTHONPATH": path or str(ROOT / "sdk"), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


class TestTheJourney:
    def test_prints_what_it_promises_in_ones_own_process(self, tmp_path: Path):
        """Embedded, it needs nothing but a folder."""
        binaries(18)
        path = os.pathsep.join(map(str, (PATH, announce(tmp_path), ROOT / "sdk", ROOT / "server")))
        with data_dirs() as give:
            assert journey("--embedded", f"--data-dir={give()}", path=path) == EXPECTED

    def test_prints_the_same_at_a_server(self, bank: Bank):
        """With what `billfold up` prints, past nginx."""
        running = find_running(bank.up.data_dir)
        assert running is not None
        welcome, base_url = bank.up.welcome, f"http://127.0.0.1:{running.port}/t/sandbox"
        said = journey(
            BILLFOLD_BASE_URL=base_url,
            BILLFOLD_CLIENT_ID=welcome["client_id"],
            BILLFOLD_CLIENT_SECRET=welcome["client_secret"],
        )
        assert said == EXPECTED
        known = {"client_id": welcome["client_id"], "client_secret": welcome["client_secret"]}
        with Billfold(base_url=base_url, **known) as client:
            numbers = [each.sequence for each in client.events.list(limit=100)]
            assert client.events.newest() == max(numbers) > 100

    def test_prints_the_same_at_a_bank_behind_nginx(self, bank: Bank):
        """Under FAPI 2.0, with two workers, and tokens that are bound to a certificate of an authority."""
        certificate, key = bank.shown
        said = journey(
            f"--certificate={certificate}",
            f"--key={key}",
            f"--ca={bank.ca}",
            BILLFOLD_BASE_URL=bank.base_url,
            BILLFOLD_CLIENT_ID=bank.client_id,
        )
        assert said == EXPECTED


class TestNginx:
    def test_hands_on_certificates_of_a_clients_own_making(self, bank: Bank, tmp_path: Path):
        """A client that has registered its certificate itself is let in by it, and by no other one like it."""
        with bank.client(bank.client_id, bank.shown) as first:
            own, twin = issue("self"), issue("self")
            made = first.clients.create(
                CreateClient(
                    token_endpoint_auth_method="self_signed_tls_client_auth",
                    scope="parties:read",
                    jwks={"keys": [certified((own.certificate, own.key), "own")]},
                )
            )
        files = own.write(tmp_path, "own")
        with bank.client(made.id, files) as client:
            assert [each.name for each in client.parties.list() if each.name != "Ada Lovelace"] == []
        refused = bank.ask_for_token(bank.mtls_url, made.id, twin.write(tmp_path, "twin"))
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client")

    def test_binds_tokens_to_the_certificate_that_it_was_shown(self, bank: Bank, tmp_path: Path):
        """With another certificate, none, or at the address that asks for none, a token is of no use."""
        told = bank.ask_for_token(bank.mtls_url, bank.client_id, bank.shown)
        assert told.status_code == 200, told.text
        headers = {"Authorization": f"Bearer {told.json()['access_token']}"}
        other = issue("acme").write(tmp_path, "other")
        for url, shown, status in (
            (bank.mtls_url, bank.shown, 200),
            (bank.mtls_url, other, 401),
            (bank.mtls_url, None, 401),
            (bank.url, bank.shown, 401),
        ):
            with httpx.Client(verify=client_side(bank.ca, shown), headers=headers) as client:
                assert client.get(f"{url}/t/moss/v1/wallets").status_code == status

    def test_lets_nobody_in_by_headers(self, bank: Bank):
        """What a client writes into the headers for certificates is dropped, at both addresses."""
        der = x509.load_pem_x509_certificate(Path(bank.shown[0]).read_bytes()).public_bytes(serialization.Encoding.DER)
        field = f":{base64.b64encode(der).decode()}:"
        for url in (bank.url, bank.mtls_url):
            refused = bank.ask_for_token(url, bank.client_id, None, **{"Client-Cert": field})
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client")

    def test_hands_on_certificates_as_long_as_they_usually_are(self, bank: Bank, tmp_path: Path):
        """Base64 is taken together from 60 lines; a certificate that is longer is none, and lets nobody in."""
        for length, status in ((1, 200), (17, 200), (1800, 200), (2300, 200), (2600, 400), (6000, 400)):
            extra = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(length))
            long = issue("acme", bank.clients, extra=[(extra, False)])
            assert (len(long.der) > 60 * 48) == (status == 400)
            told = bank.ask_for_token(bank.mtls_url, bank.client_id, long.write(tmp_path, f"{length}"))
            assert told.status_code == status, (length, told.text)
