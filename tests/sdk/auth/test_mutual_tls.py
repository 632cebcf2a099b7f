"""Certificates and keys against ``billfold up --tls``, with clients that its command line has registered."""

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from billfold import AsyncBillfold, Billfold, HttpxTransport, errors
from billfold.auth import ClientAuthentication, ClientCertificate, MutualTLS, PrivateKeyJWT
from billfold.keys import PemKey
from billfold_server.serving.tls.authority import Authority
from tests.server.tls_up import TlsUp
from tests.server.upping import Up, billfold
from tests.texts import snippet


class Bank:
    """A server with TLS that runs, and what is known at its sandbox.

    Attributes:
        base_url: Of the sandbox.
        certificate: Of the client.
        key: Of the client.
        clients: The ids of clients, by the method that they are registered with.
    """

    def __init__(self, up: Up) -> None:
        self.base_url: str = up.welcome["base_url"]
        authority = Authority(up.data_dir)
        issued = authority.ensure_client("acme")
        self.certificate = ClientCertificate(issued.certificate, issued.key, ca=up.welcome["ca_file"])
        pem = up.data_dir / "acme.pem"
        self.clients = {
            "tls_client_auth": self._register(
                up, "--auth-method=tls_client_auth", f"--certificate-dn={issued.subject}"
            ),
            "private_key_jwt": self._register(up, "--auth-method=private_key_jwt", f"--new-key={pem}"),
        }
        self.key = PemKey(pem)

    def _register(self, up: Up, *options: str) -> str:
        done = billfold(
            "clients", "create", "--tenant=sandbox", "--scope=tenant:read", "--json", *options,
            BILLFOLD_DATA_DIR=str(up.data_dir),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["client_id"])

    def get_tenant(self, mode: str, auth: ClientAuthentication) -> str:
        """Ask for the tenant twice, in a mode."""
        if mode == "sync":
            with Billfold(base_url=self.base_url, auth=auth) as client:
                return client.tenant.get().slug + client.tenant.get().slug

        async def ask() -> str:
            async with AsyncBillfold(base_url=self.base_url, auth=auth) as client:
                return (await client.tenant.get()).slug + (await client.tenant.get()).slug

        return asyncio.run(ask())


@pytest.fixture(scope="module")
def bank(tls_up: TlsUp) -> Bank:
    """What is known at a server's sandbox."""
    return Bank(tls_up)


@pytest.mark.xdist_group("up")
@pytest.mark.parametrize("mode", ["sync", "async"])
class TestAClientOfABank:
    @pytest.mark.parametrize("dpop", [False, True], ids=["bound by mTLS", "bound by DPoP"])
    def test_is_known_by_its_certificate(self, bank: Bank, mode: str, *, dpop: bool):
        """It finds the port that asks for certificates by itself."""
        auth = MutualTLS(bank.clients["tls_client_auth"], bank.certificate, dpop=PemKey.generate() if dpop else None)
        assert bank.get_tenant(mode, auth) == "sandboxsandbox"

    def test_is_known_by_its_key_and_bound_to_its_certificate(self, bank: Bank, mode: str):
        """The key that the command line has made signs, and the certificate binds."""
        auth = PrivateKeyJWT(bank.clients["private_key_jwt"], bank.key, certificate=bank.certificate)
        assert bank.get_tenant(mode, auth) == "sandboxsandbox"

    def test_is_not_known_by_a_certificate_of_its_own_making(self, bank: Bank, mode: str, tmp_path: Path):
        """Another authority's certificate under the same name is nobody's."""
        issued = Authority(tmp_path).ensure_client("acme")
        certificate = ClientCertificate(issued.certificate, issued.key, ca=bank.certificate.ca)
        with pytest.raises(errors.AuthenticationFailed) as caught:
            bank.get_tenant(mode, MutualTLS(bank.clients["tls_client_auth"], certificate))
        assert caught.value.oauth_error == "invalid_client"


@pytest.mark.xdist_group("up")
class TestTheGuideToGoingLive:
    def test_connects_by_a_certificate(self, bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """What the portal shows runs as it stands, where the machine trusts the bank's authority."""
        monkeypatch.chdir(tmp_path)
        Path("client.crt").symlink_to(bank.certificate.certificate)
        Path("client.key").symlink_to(str(bank.certificate.key))
        monkeypatch.setenv("SSL_CERT_FILE", str(bank.certificate.ca))
        monkeypatch.setenv("BILLFOLD_BASE_URL", bank.base_url)
        namespace: dict[str, Any] = {}
        exec(snippet("guides/going_live", "def by_certificate"), namespace)  # noqa: S102 - Our own page.
        with namespace["by_certificate"](bank.clients["tls_client_auth"]) as billfold:
            assert billfold.tenant.get().slug == "sandbox"


@pytest.mark.xdist_group("up")
class TestAStolenToken:
    def test_is_no_use_without_the_certificate(self, bank: Bank):
        """The token of a client with a certificate is refused on a connection without."""
        auth = MutualTLS(bank.clients["tls_client_auth"], bank.certificate)
        with Billfold(base_url=bank.base_url, auth=auth) as client:
            client.tenant.get()
            token = client._session.tokens._store.current(None, 0.0)
        assert token is not None
        thief = PrivateKeyJWT(bank.clients["private_key_jwt"], bank.key)
        trusting = ssl.create_default_context(cafile=bank.certificate.ca)
        with Billfold(base_url=bank.base_url, auth=thief, transport=HttpxTransport(verify=trusting)) as client:
            client.tenant.get()
            store = client._session.tokens._store
            own = store._token
            assert own is not None
            own.value = token
            client.tenant.get()
            # The stolen one was refused, and the thief's own client has fetched another.
            assert store.current(None, 0.0) != token
