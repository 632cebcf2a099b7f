"""How clients prove who they are, and everything by which they don't."""

import base64
import hmac
import ipaddress
import json
import secrets
import time
from typing import Any

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID, ObjectIdentifier
from joserfc import jwt

from billfold import ids
from billfold.ids import Prefix
from billfold_server.app import build_services
from billfold_server.identity import jose
from billfold_server.identity.clients import rows
from billfold_server.identity.clients.authentication import Evidence, begin
from billfold_server.identity.clients.private_key_jwt import TYPE
from billfold_server.identity.clients.rows import Client, Registered
from billfold_server.identity.profiles import SigningAlgorithm
from billfold_server.identity.rules import OAuthRefusal
from tests.live import LiveServer
from tests.server.identity import clients_of
from tests.server.identity.clients_of import TestClient
from tests.tenants import manifest

NAMES: dict[str, Any] = {
    "tls_client_auth_san_dns": (x509.DNSName("client.bank.example"), "CLIENT.bank.example"),
    "tls_client_auth_san_uri": (x509.UniformResourceIdentifier("urn:bank:client"), "urn:bank:client"),
    "tls_client_auth_san_ip": (x509.IPAddress(ipaddress.ip_address("2001:db8::1")), "2001:db8:0:0::1"),
    "tls_client_auth_san_email": (x509.RFC822Name("Ops@bank.example"), "Ops@BANK.example"),
}


@pytest.fixture(scope="module")
def strict(live: LiveServer) -> str:
    """A tenant that takes no secrets."""
    live.add_tenant(manifest("strict", security_profile="fapi2"))
    return "strict"


@pytest.fixture(scope="module")
def client(live: LiveServer, strict: str) -> TestClient:
    """A client with a P-256 key."""
    return clients_of.make(live, strict)


def shown(live: LiveServer, slug: str, form: dict[str, str], **evidence: Any) -> str | Client:
    """Return the client that is proven, or the error."""

    async def ask() -> Client:
        realm = live.services.identity.realm(await live.services.registry.get(slug))
        return await (await begin(live.services, realm, Evidence(form=form, **evidence))).finish()

    try:
        found = live.run(ask())
        assert isinstance(found, Client)
    except OAuthRefusal as refusal:
        return refusal.error
    return found


def asserting(assertion: str, **more: str) -> dict[str, str]:
    """Return a form with an assertion."""
    return {"client_assertion_type": TYPE, "client_assertion": assertion, **more}


def resealed(assertion: str, **header: Any) -> str:
    """Return an assertion with something else in its header, and the signature as it was."""
    head, rest = assertion.split(".", 1)
    said = {**json.loads(base64.urlsafe_b64decode(head + "==")), **header}
    said = {name: value for name, value in said.items() if value is not None}
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=") + "." + rest


class TestAClient:
    @pytest.mark.parametrize("method", clients_of.METHODS)
    def test_is_known_by_the_method_that_it_is_registered_with(self, live, method) -> None:
        """Each method proves its client at a tenant that takes them all."""
        client = clients_of.make(live, "alpha", method)
        found = shown(
            live,
            "alpha",
            client.form(live.base("alpha")),
            authorization=client.headers().get("Authorization"),
            certificate=client.certificate_der,
            certificate_verified=method == "tls_client_auth",
        )
        assert found == client.client

    def test_isnt_known_by_another_method(self, live) -> None:
        """Its registered way is the only one, though what it shows in another way is right."""
        basic = clients_of.make(live, "alpha", "client_secret_basic")
        post = clients_of.make(live, "alpha", "client_secret_post")
        by_form = {"client_id": basic.client_id, "client_secret": basic.secret or ""}
        assert shown(live, "alpha", by_form) == "invalid_client"
        pair = base64.b64encode(f"{post.client_id}:{post.secret}".encode()).decode()
        assert shown(live, "alpha", {}, authorization=f"Basic {pair}") == "invalid_client"
        with_keys = clients_of.make(live, "alpha", "self_signed_tls_client_auth")
        assert shown(live, "alpha", asserting(with_keys.assertion(live.base("alpha")))) == "invalid_client"

    def test_that_shows_two_things_is_refused(self, live) -> None:
        """Two ways at once are one too many (RFC 6749, section 2.3)."""
        basic = clients_of.make(live, "alpha", "client_secret_basic")
        header = basic.headers()["Authorization"]
        secret = {"client_id": basic.client_id, "client_secret": basic.secret or ""}
        for form in (secret, asserting("a.b.c"), {**secret, **asserting("a.b.c")}):
            assert shown(live, "alpha", form, authorization=header) == "invalid_request"
        assert shown(live, "alpha", {**secret, **asserting("a.b.c")}) == "invalid_request"

    def test_with_a_secret_is_unknown_where_none_is_taken(self, live) -> None:
        """A secret that was good in a sandbox is worth nothing once the tenant's profile asks for keys."""
        live.add_tenant(manifest("turning"))
        basic = clients_of.make(live, "turning", "client_secret_basic")
        assert isinstance(shown(live, "turning", {}, authorization=basic.headers()["Authorization"]), Client)
        live.add_tenant(manifest("turning", security_profile="fapi2"))
        deadline = time.monotonic() + 60
        while shown(live, "turning", {}, authorization=basic.headers()["Authorization"]) != "invalid_client":
            assert time.monotonic() < deadline

    def test_that_is_unknown_gets_the_answer_of_one_that_is_wrong(self, live, client, strict) -> None:
        """To the byte: unknown, disabled, wrong key, wrong method, wrong id, at the real endpoint."""
        issuer = live.base(strict)
        other = clients_of.make(live, strict)
        stranger = msgspec.structs.replace(
            client, client=msgspec.structs.replace(client.client, client_id=ids.new(Prefix.CLIENT))
        )
        impostor = msgspec.structs.replace(client, key=other.key)
        certified = clients_of.make(live, strict, "self_signed_tls_client_auth")
        forms = [
            stranger.form(issuer),
            impostor.form(issuer),
            asserting(client.assertion(issuer), client_id=other.client_id),
            asserting(certified.assertion(issuer)),
            {"client_id": client.client_id, "client_secret": "x"},
            {"client_id": stranger.client_id, "client_secret": "x"},
        ]
        answers = [
            httpx.post(f"{issuer}/oauth/token", data={"grant_type": "client_credentials", **form}) for form in forms
        ]
        assert {(answer.status_code, answer.text) for answer in answers} == {(400, answers[0].text)}
        # No scheme of HTTP is named where none would help, but the one that somebody has tried (RFC 6749, section 5.2).
        assert not any("www-authenticate" in answer.headers for answer in answers)
        tried = httpx.post(f"{issuer}/oauth/token", data={"grant_type": "client_credentials"}, auth=("cli_x", "x"))
        assert (tried.status_code, tried.headers["www-authenticate"][:6]) == (401, "Basic ")
        for header in ("Bearer x", "x", "Basically x"):
            sent = {"Authorization": header}
            form = {"grant_type": "client_credentials"}
            unread = httpx.post(f"{issuer}/oauth/token", data=form, headers=sent)
            assert (unread.status_code, "www-authenticate" in unread.headers) == (400, False)
        assert answers[0].json()["error"] == "invalid_client"
        names = {"date", "x-request-id", "request-id"}
        assert len({tuple(sorted(set(answer.headers) - names)) for answer in answers}) == 1

    def test_costs_as_much_where_it_is_unknown(self, live, client, strict, monkeypatch) -> None:
        """A signature is verified once and a secret compared twice, whether or not there is such a client."""
        count = {"verify": 0, "compare": 0}
        verify, compare = jose.verify, hmac.compare_digest

        def verifying(*args: Any, **more: Any) -> Any:
            count["verify"] += 1
            return verify(*args, **more)

        def comparing(*args: Any) -> bool:
            count["compare"] += 1
            return compare(*args)

        monkeypatch.setattr(jose, "verify", verifying)
        monkeypatch.setattr(hmac, "compare_digest", comparing)
        stranger = msgspec.structs.replace(
            client, client=msgspec.structs.replace(client.client, client_id=ids.new(Prefix.CLIENT))
        )
        impostor = msgspec.structs.replace(client, key=clients_of.key_for("ES256"))
        for each in (stranger, impostor):
            count["verify"] = 0
            assert shown(live, strict, each.form(live.base(strict))) == "invalid_client"
            assert count["verify"] == 1
        basic = clients_of.make(live, "alpha", "client_secret_post")
        for client_id in (basic.client_id, stranger.client_id, "nobody"):
            count["compare"] = 0
            assert shown(live, "alpha", {"client_id": client_id, "client_secret": "x"}) == "invalid_client"
            assert count["compare"] == 2 + rows.MOST_EARLIER


class TestAnAssertion:
    @pytest.mark.parametrize("alg", ["PS256", "ES256", "EdDSA"])
    def test_may_be_signed_by_each_algorithm(self, live, strict, alg: SigningAlgorithm) -> None:
        """PS256, ES256 and EdDSA (FAPI 2.0 Security Profile, section 5.4.1)."""
        client = clients_of.make(live, strict, alg=alg)
        assert shown(live, strict, client.form(live.base(strict))) == client.client

    @pytest.mark.parametrize(
        "change",
        [
            {"aud": "https://other.example"},
            {"aud": None},
            {"aud": 1},
            {"iss": "cli_other"},
            {"iss": None},
            {"sub": None},
            {"sub": "cli_01m7x1s4fkf1wbnf9xbakptwq8"},
            {"jti": None},
            {"jti": ""},
            {"jti": 1},
            {"jti": "x" * 256},
            {"exp": None},
            {"exp": "9999999999"},
            {"exp": True},
            {"exp": 0},
            {"exp": 1e300},
        ],
        ids=str,
    )
    def test_with_wrong_claims_proves_nothing(self, live, client, strict, change) -> None:
        """RFC 7523, section 3: each claim is there, of its type, and right."""
        assertion = client.assertion(live.base(strict), **change)
        assert shown(live, strict, asserting(assertion)) == "invalid_client"

    def test_is_for_the_issuer_alone(self, live, client, strict) -> None:
        """Neither a list nor the address of an endpoint, nor another tenant, passes for the issuer."""
        issuer = live.base(strict)
        for aud in (
            [issuer],
            [issuer, "https://other.example"],
            f"{issuer}/oauth/token",
            f"{issuer}/oauth/par",
            f"{issuer}/",
            live.url,
            live.base("alpha"),
        ):
            assert shown(live, strict, asserting(client.assertion(issuer, aud=aud))) == "invalid_client"
        assert shown(live, strict, asserting(client.assertion(issuer))) == client.client

    @pytest.mark.parametrize(
        ("change", "taken"),
        [
            ({"exp": -300}, False),
            ({"exp": -15}, False),
            ({"exp": 290}, True),
            ({"exp": 400}, False),
            ({"nbf": 8}, True),
            ({"iat": 8}, True),
            ({"nbf": 61}, False),
            ({"iat": 61}, False),
        ],
        ids=str,
    )
    def test_is_good_for_a_while(self, live, client, strict, change, taken) -> None:
        """It ends, within five minutes; clocks may differ by some seconds, and not by a minute."""
        claims = {name: int(time.time()) + seconds for name, seconds in change.items()}
        found = shown(live, strict, asserting(client.assertion(live.base(strict), **claims)))
        assert (found == client.client) is taken

    def test_is_used_once(self, live, client, strict) -> None:
        """The same one again is refused, also by another process, which shares nothing but the database."""
        form = client.form(live.base(strict))
        assert shown(live, strict, form) == client.client
        assert shown(live, strict, form) == "invalid_client"

        async def elsewhere(form: dict[str, str]) -> Client:
            services = build_services(msgspec.structs.replace(live.services.settings))
            try:
                realm = services.identity.realm(await services.registry.get(strict))
                return await (await begin(services, realm, Evidence(form=form))).finish()
            finally:
                await services.engine.close()
                await services.keys.close()
                await services.database.close()

        with pytest.raises(OAuthRefusal):
            live.run(elsewhere(form))
        assert live.run(elsewhere(client.form(live.base(strict)))) == client.client

    @pytest.mark.parametrize(
        "header",
        [
            {"alg": "none"},
            {"alg": "HS256"},
            {"alg": "RS256"},
            {"alg": "PS256"},
            {"alg": "EdDSA"},
            {"typ": "at+jwt"},
            {"typ": "dpop+jwt"},
            {"kid": "other"},
            {"kid": "../../etc/passwd"},
            {"kid": ["a"]},
            {"jku": "https://attacker.example/jwks"},
            {"x5u": "https://attacker.example/cert"},
            {"jwk": {"kty": "oct", "k": "AA"}},
            {"crit": ["exp"], "exp": 1},
            {"b64": False},
        ],
        ids=str,
    )
    def test_with_a_trick_in_its_header_proves_nothing(self, live, client, strict, header) -> None:
        """Neither the algorithm nor the key is chosen by the header."""
        assertion = resealed(client.assertion(live.base(strict)), **header)
        assert shown(live, strict, asserting(assertion)) == "invalid_client"

    def test_by_a_mac_over_the_public_key_proves_nothing(self, live, client, strict) -> None:
        """Algorithm confusion: the public key as a shared secret, in each of its forms."""
        body = client.assertion(live.base(strict)).split(".")[1]
        head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": client.kid}).encode()).decode().rstrip("=")
        public = client.key.as_dict(private=False)
        for secret in (client.key.as_pem(private=False), json.dumps(public).encode(), public["x"].encode()):
            mac = hmac.digest(secret, f"{head}.{body}".encode(), "sha256")
            forged = f"{head}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
            assert shown(live, strict, asserting(forged)) == "invalid_client"

    def test_without_signature_proves_nothing(self, live, client, strict) -> None:
        """Neither an empty nor a changed signature, nor an unsigned token."""
        head, body, signature = client.assertion(live.base(strict)).split(".")
        for forged in (f"{head}.{body}.", f"{head}.{body}", f"{head}.{body}.{signature[:-4]}AAAA", "..", ""):
            assert shown(live, strict, asserting(forged)) == "invalid_client"

    def test_needs_its_type_and_its_own_clients_id(self, live, client, strict) -> None:
        """A form that says another client's id or another kind of assertion is refused."""
        issuer = live.base(strict)
        assert shown(live, strict, {"client_assertion": client.assertion(issuer)}) == "invalid_client"
        assert shown(live, strict, {**asserting(client.assertion(issuer)), "client_assertion_type": "x"}) == (
            "invalid_client"
        )
        named = asserting(client.assertion(issuer), client_id=client.client_id)
        assert shown(live, strict, named) == client.client

    def test_without_a_kid_is_good_where_one_key_of_its_kind_is_there(self, live, strict) -> None:
        """With one key of the kind it is clear which is meant; with two it isn't."""
        issuer = live.base(strict)
        other_kind = clients_of.public_jwk(clients_of.key_for("EdDSA"), "other")
        same_kind = clients_of.public_jwk(clients_of.key_for("ES256"), "same")
        for further, taken in (([other_kind], True), ([same_kind], False)):
            client = clients_of.make(live, strict, further_keys=further)
            claims = json.loads(base64.urlsafe_b64decode(client.assertion(issuer).split(".")[1] + "=="))
            bare = jwt.encode({"alg": "ES256"}, claims, client.key, algorithms=["ES256"])
            assert (shown(live, strict, asserting(bare)) == client.client) is taken

    def test_of_the_wrong_algorithm_of_its_registration_proves_nothing(self, live, strict) -> None:
        """A client that has registered one algorithm isn't known by another of its own keys."""
        client = clients_of.make(live, strict, alg="PS256", token_endpoint_auth_signing_alg="PS256")
        assert shown(live, strict, client.form(live.base(strict))) == client.client

        async def change() -> None:
            services = live.services
            async with services.database.tx(await services.registry.get(strict)) as tx:
                found = await rows.lock_client(tx, client.client.id)
                assert found is not None
                await rows.update_client(
                    tx, Registered(msgspec.structs.replace(found.client, assertion_alg="ES256"), found.kept)
                )

        live.run(change())
        assert shown(live, strict, client.form(live.base(strict))) == "invalid_client"

    def test_of_another_tenants_client_proves_nothing(self, live, client) -> None:
        """Clients of one tenant don't exist at another one, nor at the platform."""
        for slug in ("alpha", "beta"):
            assert shown(live, slug, asserting(client.assertion(live.base(slug)))) == "invalid_client"


class TestACertificate:
    @pytest.mark.parametrize("member", [*NAMES, "tls_client_auth_subject_dn"])
    def test_is_known_by_the_one_name_that_is_registered(self, live, strict, member) -> None:
        """RFC 8705, section 2.1.2: each kind of name, compared by what it means."""
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "GB"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'Bank, "Ltd"'),
                x509.NameAttribute(ObjectIdentifier("2.5.4.97"), "PSDGB-FCA-123456"),
                x509.NameAttribute(NameOID.COMMON_NAME, secrets.token_hex(4)),
            ]
        )
        names = tuple(name for name, _ in NAMES.values())
        mine = clients_of.certificate_for(subject, names=names)
        registered: dict[str, Any] = {member: NAMES[member][1] if member in NAMES else subject.rfc4514_string()}
        client = clients_of.make(live, strict, "tls_client_auth", certificate=mine, **registered)
        form, der = client.form(live.base(strict)), client.certificate_der
        assert shown(live, strict, form, certificate=der, certificate_verified=True) == client.client
        assert shown(live, strict, form, certificate=der) == "invalid_client"
        assert shown(live, strict, form) == "invalid_client"
        for other in (clients_of.self_signed("CN"), clients_of.certificate_for(x509.Name(list(subject)[:-1]))):
            der = other[0].public_bytes(serialization.Encoding.DER)
            assert shown(live, strict, form, certificate=der, certificate_verified=True) == "invalid_client"
        assert shown(live, strict, form, certificate=b"0", certificate_verified=True) == "invalid_client"

    def test_of_ones_own_making_is_known_by_its_key(self, live, strict) -> None:
        """RFC 8705, section 2.2: the registered certificate, and no other of the same name, verified or not."""
        client = clients_of.make(live, strict, "self_signed_tls_client_auth")
        form = client.form(live.base(strict))
        assert shown(live, strict, form, certificate=client.certificate_der) == client.client
        assert client.certificate is not None
        other = clients_of.certificate_for(client.certificate.subject)[0].public_bytes(serialization.Encoding.DER)
        for verified in (False, True):
            found = shown(live, strict, form, certificate=other, certificate_verified=verified)
            assert found == "invalid_client"

    def test_of_another_client_proves_nothing(self, live, strict) -> None:
        """Whose id is said and whose certificate is shown must be the same client."""
        one, other = (clients_of.make(live, strict, "self_signed_tls_client_auth") for _ in range(2))
        found = shown(live, strict, one.form(live.base(strict)), certificate=other.certificate_der)
        assert found == "invalid_client"


class TestTheTokenEndpoint:
    def test_issues_to_a_client_that_signs(self, live) -> None:
        """From the form to the token."""
        client = clients_of.make(live, "alpha", scopes=["tenant:read"])
        form = {"grant_type": "client_credentials", **client.form(live.base("alpha"))}
        answer = httpx.post(f"{live.base('alpha')}/oauth/token", data=form)
        assert (answer.status_code, answer.json()["scope"]) == (200, "tenant:read")


def test_transactions_are_of_the_realm(live) -> None:
    """The platform's clients are looked for among the platform's own."""
    client = clients_of.make(live, None)

    async def find() -> Registered | None:
        async with live.services.database.platform_tx() as tx:
            return await rows.find_client(tx, client.client.id)

    found = live.run(find())
    assert found is not None
    assert found.client == client.client
