"""Clients that prove who they are by certificates, from the handshake to the token and its use, over real TLS."""

import asyncio
import base64
import json
import secrets
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from billfold_server.serving.tls.authority import Authority
from tests.live import LiveServer, serve_tls, settings_for
from tests.postgres import execute
from tests.server.certificates import DAY, Pair, authority, client_side, issue
from tests.server.identity import clients_of
from tests.tenants import in_database, manifest

FORM = {"grant_type": "client_credentials", "scope": "wallets:read"}
DN = "CN=Acme Payments,O=Acme,C=DE"


@pytest.fixture(scope="module")
def tls(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Serve one tenant by HTTPS."""
    name = f"tls_{secrets.token_hex(4)}"
    asyncio.run(execute(postgres_dsn, f"CREATE DATABASE {name}"))
    settings = settings_for(Path(tmp_path_factory.mktemp("tls")), in_database(postgres_dsn, name))
    with serve_tls(settings) as server:
        server.add_tenant(manifest("alpha"))
        yield server
    asyncio.run(execute(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


class Named:
    """Files of a certificate, and the certificate."""

    def __init__(self, certificate: str, key: str) -> None:
        self.files = certificate, key
        self.certificate = x509.load_pem_x509_certificate(Path(certificate).read_bytes())

    @classmethod
    def of(cls, pair: Pair, folder: Path) -> "Named":
        """Write a pair."""
        return cls(*pair.write(folder, secrets.token_hex(4)))

    @property
    def thumbprint(self) -> str:
        """Return it as tokens name it."""
        return base64.urlsafe_b64encode(self.certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode()


def issued(tls: LiveServer, name: str = "acme", dn: str = DN) -> Named:
    """Return a certificate of the development authority, which the server trusts for clients."""
    made = Authority(Path(tls.settings.data_dir)).ensure_client(name, subject=x509.Name.from_rfc4514_string(dn))
    return Named(made.certificate, made.key)


def ask(tls: LiveServer, client_id: str, shown: Named | None, *, asking: bool = True, **headers: Any) -> httpx.Response:
    """Ask for a token."""
    base = tls.mtls_url if asking else tls.url
    with httpx.Client(verify=trusting(tls, shown)) as client:
        return client.post(f"{base}/t/alpha/oauth/token", data={**FORM, "client_id": client_id}, headers=headers)


def trusting(tls: LiveServer, shown: Named | None = None) -> ssl.SSLContext:
    """Return a client's side of TLS."""
    return client_side(str(Authority(Path(tls.settings.data_dir)).file), None if shown is None else shown.files)


def claims_of(token: str) -> Any:
    """Return what a token says."""
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


class TestAClientOfAnAuthority:
    def test_is_let_in_by_its_certificate_and_gets_tokens_that_are_bound_to_it(self, tls: LiveServer):
        """Who shows the certificate that its authority has issued gets a token that is of use with that alone."""
        shown = issued(tls)
        made = clients_of.make(tls, "alpha", "tls_client_auth", scopes=["wallets:read"], tls_client_auth_subject_dn=DN)
        answer = ask(tls, made.client_id, shown)
        assert answer.status_code == 200, answer.text
        token = answer.json()["access_token"]
        assert claims_of(token)["cnf"] == {"x5t#S256": shown.thumbprint}
        headers = {"Authorization": f"Bearer {token}"}
        address = f"{tls.mtls_url}/t/alpha/v1/wallets"
        other = issued(tls, "other", "CN=Other")
        for certificate, status in ((shown, 200), (other, 401), (None, 401)):
            with httpx.Client(verify=trusting(tls, certificate), headers=headers) as client:
                assert client.get(address).status_code == status
        with httpx.Client(verify=trusting(tls, shown), headers=headers) as client:
            assert client.get(f"{tls.url}/t/alpha/v1/wallets").status_code == 401

    def test_is_not_let_in_by_another_ones(self, tls: LiveServer, tmp_path: Path):
        """The same name by another authority, by itself, ended, for servers, or another name is nobody's proof."""
        made = clients_of.make(
            tls, "alpha", "tls_client_auth", scopes=["wallets:read"], tls_client_auth_subject_dn="CN=acme"
        )
        root = _root(tls)
        good = Named.of(issue("acme", root), tmp_path)
        assert ask(tls, made.client_id, good).status_code == 200
        for pair in (
            issue("acme", authority()),
            issue("acme"),
            issue("acme", root, ends=datetime.now(UTC) - DAY / 2),
            issue("acme", root, purposes=None),
            issue("acme2", root),
        ):
            refused = ask(tls, made.client_id, Named.of(pair, tmp_path))
            assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")

    def test_is_not_let_in_by_a_header_or_without_a_handshake(self, tls: LiveServer):
        """No certificate, one on the port that asks nobody, and one in a header are all none."""
        shown = issued(tls)
        made = clients_of.make(tls, "alpha", "tls_client_auth", scopes=["wallets:read"], tls_client_auth_subject_dn=DN)
        der = shown.certificate.public_bytes(serialization.Encoding.DER)
        header: dict[str, Any] = {"Client-Cert": f":{base64.b64encode(der).decode()}:"}
        for refused in (
            ask(tls, made.client_id, None),
            ask(tls, made.client_id, shown, asking=False),
            ask(tls, made.client_id, None, **header),
            ask(tls, made.client_id, None, asking=False, **header),
        ):
            assert refused.status_code in {400, 401}
            assert refused.json()["error"] == "invalid_client"


class TestASelfSignedClient:
    def test_is_let_in_by_the_certificate_that_it_has_registered(self, tls: LiveServer, tmp_path: Path):
        """The certificate that is registered is the client, and one that looks like it isn't."""
        pair, twin = issue("self"), issue("self")
        made = clients_of.make(
            tls,
            "alpha",
            "self_signed_tls_client_auth",
            scopes=["wallets:read"],
            certificate=(pair.certificate, pair.key),
        )
        shown = Named.of(pair, tmp_path)
        answer = ask(tls, made.client_id, shown)
        assert answer.status_code == 200, answer.text
        assert claims_of(answer.json()["access_token"])["cnf"] == {"x5t#S256": shown.thumbprint}
        assert ask(tls, made.client_id, Named.of(twin, tmp_path)).status_code == 401


class TestDiscovery:
    def test_names_the_addresses_that_ask_for_certificates(self, tls: LiveServer):
        """The aliases lead to the second port, and all else to the first."""
        told = httpx.get(f"{tls.url}/t/alpha/.well-known/oauth-authorization-server", verify=trusting(tls)).json()
        assert told["token_endpoint"] == f"{tls.url}/t/alpha/oauth/token"
        assert told["mtls_endpoint_aliases"]["token_endpoint"] == f"{tls.mtls_url}/t/alpha/oauth/token"


def _root(tls: LiveServer) -> Pair:
    """Return the development authority, to issue by it what it wouldn't."""
    path = Authority(Path(tls.settings.data_dir)).file
    key = serialization.load_pem_private_key(path.with_suffix(".key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Pair(x509.load_pem_x509_certificate(path.read_bytes()), key)
