"""Third parties of the development directory register themselves, with keys and with certificates."""

import secrets
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from billfold import Billfold, errors
from billfold.auth import ClientCertificate, GrantInvalid, MutualTLS, PrivateKeyJWT, Registered, Registrations
from billfold.auth import _jwt as jwt
from billfold.consents import ThirdParty
from billfold.keys import PemKey
from billfold_server.serving.directory.directory import Directory
from billfold_server.serving.directory.setting_up import believing
from tests.live import LiveServer, serve_tls, settings_for
from tests.sandbox import database
from tests.sdk.consents.customers import Customer
from tests.server.identity.authorization.consents_of import open_wallet, party_of
from tests.server.people import persons
from tests.tenants import manifest

pytestmark = pytest.mark.xdist_group("directory")

GRANTS = ["client_credentials", "authorization_code", "refresh_token"]
CALLBACK = "https://tpp.test/callback"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Directory:
    """A directory."""
    made = Directory(tmp_path_factory.mktemp("onboarding"))
    made.ensure()
    return made


@pytest.fixture(scope="module")
def bank(live: LiveServer, directory: Directory) -> str:
    """The base of a bank that believes the directory, under the profile that UK third parties speak."""
    live.add_tenant(believing(manifest("ukbank", security_profile="fapi1-advanced"), directory.publisher()))
    return live.base("ukbank")


def onboard(bank: str, statement: str, **said: Any) -> Registered:
    """Register software by its statement."""
    with Registrations(bank) as registrations:
        return registrations.register(
            software_statement=statement,
            **{
                "token_endpoint_auth_method": "private_key_jwt",
                "grant_types": GRANTS,
                "redirect_uris": [CALLBACK],
                **said,
            },
        )


class TestAThirdParty:
    @pytest.mark.parametrize(
        ("name", "scope"),
        [
            ("aisp", "accounts"),
            ("pisp", "payments"),
            ("cbpii", "fundsconfirmations"),
            ("all", "accounts fundsconfirmations payments"),
        ],
    )
    def test_gets_the_scopes_of_its_roles(self, bank: str, directory: Directory, name: str, scope: str):
        """It needn't name them, and its names, addresses and keys are the directory's."""
        listed = directory.find(name)
        registered = onboard(bank, directory.statement(name), client_name="Somebody else", jwks={"keys": []})
        assert registered.metadata["scope"] == scope
        assert registered.metadata["client_name"] == listed.client_name
        assert registered.metadata["organisation"] == listed.organisation
        assert registered.metadata["organisation_id"] == listed.organisation_id
        assert registered.metadata["jwks"] == listed.jwks
        assert registered.metadata["redirect_uris"] == [CALLBACK]

    def test_gets_no_scope_of_another_role(self, bank: str, directory: Directory):
        """Who may read accounts may not initiate payments by asking for it, now or later."""
        statement = directory.statement("aisp")
        with pytest.raises(errors.AuthenticationFailed) as caught:
            onboard(bank, statement, scope="accounts payments")
        assert caught.value.facts["oauth_error"] == "invalid_client_metadata"
        registered = onboard(bank, statement, scope="accounts openid")
        with Registrations(bank) as registrations, pytest.raises(errors.AuthenticationFailed) as caught:
            registrations.update(
                registered,
                software_statement=statement,
                token_endpoint_auth_method="private_key_jwt",
                grant_types=GRANTS,
                redirect_uris=[CALLBACK],
                scope="payments",
            )
        assert caught.value.facts["oauth_error"] == "invalid_client_metadata"

    def test_is_sent_nothing_where_the_directory_doesnt_know_it(self, bank: str, directory: Directory):
        """An address of its own choice is refused."""
        with pytest.raises(errors.AuthenticationFailed) as caught:
            onboard(bank, directory.statement("aisp"), redirect_uris=["https://evil.example/callback"])
        assert caught.value.facts["oauth_error"] == "invalid_redirect_uri"

    def test_of_a_directory_that_nobody_believes_is_refused(self, bank: str, tmp_path: Path):
        """Another directory of the same name has another key."""
        with pytest.raises(errors.AuthenticationFailed) as caught:
            onboard(bank, Directory(tmp_path).statement("aisp"))
        assert caught.value.facts["oauth_error"] == "invalid_software_statement"

    def test_looks_after_its_registration(self, bank: str, directory: Directory):
        """It reads, changes and ends what it has registered, by a token that changes with it."""
        statement = directory.statement("all")
        registered = Registered.load(onboard(bank, statement).dump())
        with Registrations(bank) as registrations:
            assert registrations.read(registered).metadata["software_id"] == "billfold-test-all"
            changed = registrations.update(
                registered,
                software_statement=statement,
                token_endpoint_auth_method="private_key_jwt",
                grant_types=GRANTS,
                redirect_uris=[CALLBACK],
                scope="openid accounts",
            )
            assert changed.metadata["scope"] == "accounts openid"
            with pytest.raises(errors.AuthenticationFailed):
                registrations.read(registered)
            registrations.delete(changed)
            with pytest.raises(errors.AuthenticationFailed):
                registrations.read(changed)


class TestASandbox:
    def test_gives_a_token_for_the_directorys_key(self, live: LiveServer, directory: Directory):
        """What the directory's file signs is what the statement has registered."""
        live.add_tenant(believing(manifest("tppbox"), directory.publisher()))
        base = live.base("tppbox")
        registered = onboard(base, directory.statement("pisp"))
        key = PemKey(directory.find("pisp").signing_key)
        client = Billfold(base_url=base, auth=PrivateKeyJWT(registered.client_id, key))
        # The token is for open banking alone, which this operation isn't.
        with client, pytest.raises(errors.ProblemError) as caught:
            client.wallets.list().page()
        assert caught.value.status in {401, 403}


class TestATransportCertificate:
    def test_is_enough_to_register_and_to_get_a_token(self, postgres_dsn: str, directory: Directory):
        """At the port that asks for certificates, the directory's is taken for who it names, and binds the token."""
        with database(postgres_dsn) as dsn, serve_tls(settings_for(directory.folder.parent, dsn)) as server:
            said = manifest("tlsbank", security_profile="fapi1-advanced")
            server.add_tenant(believing(said, directory.publisher()))
            listed = directory.find("all")
            certificate = ClientCertificate(listed.transport_certificate, listed.transport_key, ca=ca_of(directory))
            base = server.base("tlsbank")
            with Registrations(base, certificate=certificate) as registrations:
                registered = registrations.register(
                    software_statement=directory.statement("all"),
                    token_endpoint_auth_method="tls_client_auth",
                    grant_types=GRANTS,
                    redirect_uris=[CALLBACK],
                    scope="openid accounts payments fundsconfirmations",
                )
            assert registered.metadata["tls_client_auth_subject_dn"] == listed.certificate_subject
            told = httpx.post(
                f"{server.mtls_url}/t/tlsbank/oauth/token",
                data={"grant_type": "client_credentials", "client_id": registered.client_id},
                verify=certificate.context(),
            )
            assert (told.status_code, told.json()["scope"]) == (200, "accounts fundsconfirmations payments")
            self.read_accounts(server, directory, registered.client_id, certificate)

    @staticmethod
    def read_accounts(server: LiveServer, directory: Directory, client_id: str, certificate: ClientCertificate) -> None:
        """Go the whole way of FAPI 1.0 Advanced by the SDK: signed request, JARM, and a token that is bound."""
        person = persons.a_psu(server, "tlsbank")
        wallet = open_wallet(server, "tlsbank", party_of(person), "Every day")
        key = PemKey(directory.find("all").signing_key)
        auth = MutualTLS(client_id, certificate, request_key=key, issuer=server.base("tlsbank"))
        with Billfold(base_url=f"{server.mtls_url}/t/tlsbank", auth=auth) as client:
            third_party = ThirdParty(client, redirect_uri=CALLBACK, response_mode="jwt", signed_request=True)
            consent = third_party.account_access_consents.create(["ReadAccountsBasic", "ReadBalances"])
            url, pending = third_party.begin(consent.data.consent_id, scope="openid accounts")
            back = Customer.of(person, wallet).agree(url, wallet)
            assert set(httpx.URL(back).params) == {"response"}
            tokens = third_party.complete(pending, back)
            assert [each.account_id for each in third_party.as_user(tokens).accounts.list()] == [wallet]
            bearer = {"Authorization": f"Bearer {tokens.access_token}"}
            address = f"{server.base('tlsbank')}/open-banking/v4.0/aisp/accounts"
            assert httpx.get(address, headers=bearer, verify=server.trust).status_code == 401
            third_party.account_access_consents.delete(consent.data.consent_id)
            with pytest.raises(GrantInvalid):
                list(third_party.as_user(tokens).accounts.list())


def ca_of(directory: Directory) -> str:
    """Return the file of the authority that the server's certificate comes from."""
    return str(directory.folder.parent / "certs" / "ca.pem")


class TestASignedRequest:
    """UK third parties sign what they ask for at registration."""

    @staticmethod
    def send(bank: str, directory: Directory, *, key: PemKey | None = None, **changes: Any) -> httpx.Response:
        """Send a signed request with some of its claims changed; None leaves one out."""
        listed, now = directory.find("all"), int(time.time())
        claims = {
            "iss": listed.software_id,
            "aud": bank,
            "iat": now,
            "exp": now + 300,
            "jti": secrets.token_hex(10),
            "software_statement": directory.statement("all"),
            "token_endpoint_auth_method": "private_key_jwt",
            "grant_types": GRANTS,
            "redirect_uris": [CALLBACK],
            "application_type": "web",
            **changes,
        }
        signer = key or PemKey(listed.signing_key)
        said = {name: value for name, value in claims.items() if value is not None}
        data = jwt.signing_input(signer, said, typ="JOSE", header={"kid": listed.kid})
        body = jwt.compact(data, signer.sign(data))
        return httpx.post(f"{bank}/oauth/register", content=body, headers={"content-type": "application/jose"})

    def test_registers_once(self, bank: str, directory: Directory):
        """What it asks for is what is registered, and the same request again is refused."""
        answer = self.send(bank, directory, jti="once", scope="accounts openid")
        assert (answer.status_code, answer.json()["scope"]) == (201, "accounts openid")
        again = self.send(bank, directory, jti="once", scope="accounts openid")
        assert (again.status_code, again.json()["error"]) == (400, "invalid_client_metadata")

    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": "somebody"},
            {"aud": "https://other.example"},
            {"aud": None},
            {"jti": None},
            {"exp": None},
            {"exp": 1},
            {"iat": 99_999_999_999},
            {"exp": 99_999_999_999},
            {"exp": 10**400},
            {"iat": 10**400},
            {"software_statement": None},
            {"software_statement": "a.b.c"},
            {"key": PemKey.generate("PS256")},
            {"key": PemKey.generate("ES256")},
        ],
        # Not as far as what is made anew in each process.
        ids=lambda changes: str(changes)[:25],
    )
    def test_of_another_or_for_another_is_refused(self, bank: str, directory: Directory, changes: dict[str, Any]):
        """Whoever has only seen a statement registers nothing by it."""
        answer = self.send(bank, directory, **changes)
        assert answer.status_code == 400
        assert answer.json()["error"] in {"invalid_client_metadata", "invalid_software_statement"}
