"""The SDK at a tenant of the profile that UK third parties speak: FAPI 1.0 Advanced, bound to a certificate."""

import asyncio
import secrets
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from billfold import Billfold
from billfold.auth import AuthorizationFlow, ClientCertificate, Pending, PrivateKeyJWT
from billfold.keys import PemKey
from billfold_server.serving.tls.authority import Authority
from tests.live import LiveServer, serve_tls, settings_for
from tests.postgres import execute
from tests.server.identity.clients_of import make
from tests.server.identity.flows import add_app, decide, follow, stranger
from tests.server.people import persons
from tests.tenants import in_database, manifest

SLUG = "fapi1"
KEY = PemKey.generate("ES256")


@pytest.fixture(scope="module")
def bank(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A tenant of the profile, by HTTPS with both ports."""
    name = f"fapi1_{secrets.token_hex(4)}"
    asyncio.run(execute(postgres_dsn, f"CREATE DATABASE {name}"))
    with serve_tls(settings_for(tmp_path_factory.mktemp("tls"), in_database(postgres_dsn, name))) as server:
        server.add_tenant(manifest(SLUG, security_profile="fapi1-advanced"))
        yield server
    asyncio.run(execute(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


class TestAThirdParty:
    def test_signs_a_customer_in(self, bank: LiveServer):
        """A signed request, a signed answer, tokens for its certificate alone, a refresh and the end of it all."""
        authority = Authority(Path(bank.settings.data_dir))
        issued = authority.ensure_client("acme")
        certificate = ClientCertificate(issued.certificate, issued.key, ca=str(authority.file))
        app = add_app(
            bank,
            SLUG,
            "private_key_jwt",
            further_keys=[KEY.public_jwk],
            tls_client_certificate_bound_access_tokens=True,
        )
        auth = PrivateKeyJWT(app.client_id, KEY, certificate=certificate)
        with Billfold(base_url=bank.base(SLUG), auth=auth) as billfold:
            flow = AuthorizationFlow(
                billfold, redirect_uri="https://app.example/cb", response_mode="jwt", signed_request=True
            )
            url, pending = flow.begin(scope="openid offline_access")
            browser = stranger(bank, SLUG)
            browser.cookies = persons.a_psu(bank, SLUG).sign_in().cookies
            page = follow(browser, browser.get(url, headers={"Accept": "text/html"}))
            back = str(decide(browser, page, "approve").headers["location"])
            tokens = flow.complete(Pending.load(pending.dump()), back)
            assert flow.userinfo(tokens)["sub"] == tokens.subject
            fresh = flow.refresh(tokens)
            assert (fresh.subject, fresh.access_token != tokens.access_token) == (tokens.subject, True)
            told = flow.introspect(fresh.access_token, signed_answer=True)
            assert list(told["cnf"]) == ["x5t#S256"]
            assert fresh.refresh_token is not None
            flow.revoke(fresh)
            assert flow.introspect(fresh.refresh_token) == {"active": False}


class TestTheLinksOfAnAnswer:
    def test_lead_where_certificates_are_asked_for(self, bank: LiveServer):
        """Whose token is bound to its certificate follows them as they are, with whatever HTTP client."""
        authority = Authority(Path(bank.settings.data_dir))
        issued = authority.ensure_client("acme")
        certificate = x509.load_pem_x509_certificate(Path(issued.certificate).read_bytes())
        made = make(bank, SLUG, "tls_client_auth", scopes=["accounts"], certificate=(certificate, None))
        context = ssl.create_default_context(cafile=authority.file)
        context.load_cert_chain(issued.certificate, issued.key)
        with httpx.Client(base_url=f"{bank.mtls_url}/t/{SLUG}", verify=context) as client:
            form = {"grant_type": "client_credentials", "client_id": made.client_id, "scope": "accounts"}
            token = client.post("/oauth/token", data=form).json()["access_token"]
            client.headers["authorization"] = f"Bearer {token}"
            asked = {"Data": {"Permissions": ["ReadAccountsBasic"]}, "Risk": {}}
            consent = client.post("/open-banking/v4.0/aisp/account-access-consents", json=asked).json()
            followed = client.get(consent["Links"]["Self"])
            assert (followed.status_code, followed.json()) == (200, consent)
