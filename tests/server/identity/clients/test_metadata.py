"""What a client may be registered with, under each profile, and every trick with addresses and keys."""

import base64
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import ECKey, RSAKey

from billfold import ids
from billfold.contract.clients import ClientMetadata
from billfold_server.identity.clients import metadata, names
from billfold_server.identity.clients.keys import check_jwks
from billfold_server.identity.clients.metadata import MetadataRefused, make_client
from billfold_server.identity.clients.rows import Client
from billfold_server.identity.profiles import PROFILES
from billfold_server.tenancy.manifest import SecurityProfile
from tests.server.identity import clients_of

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
GOOD = clients_of.public_jwk(clients_of.key_for("ES256"), "good")
STRICT: list[SecurityProfile] = ["fapi2", "fapi2-message-signing", "fapi1-advanced"]


def made(profile: SecurityProfile = "fapi2", /, **said: Any) -> Client:
    """Return the client that is asked for, with a key unless something else is said."""
    platform = said.pop("platform", False)
    if "jwks" not in said:
        said["jwks"] = {"keys": [GOOD]}
    asked = msgspec.convert({"scope": "wallets:read", **said}, ClientMetadata)
    return make_client(asked, PROFILES[profile], client_id=ids.uuid7(), now=NOW, platform=platform)


def refused(profile: SecurityProfile = "fapi2", /, **said: Any) -> str:
    """Return the member that is refused."""
    with pytest.raises(MetadataRefused) as caught:
        made(profile, **said)
    return caught.value.param


class TestAProfile:
    @pytest.mark.parametrize("profile", STRICT)
    @pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
    def test_that_is_strict_takes_no_secrets(self, profile: SecurityProfile, method: str) -> None:
        """Shared secrets are left to sandboxes (FAPI 2.0 Security Profile, section 5.3.2.1)."""
        assert refused(profile, token_endpoint_auth_method=method) == "token_endpoint_auth_method"
        assert made("sandbox", token_endpoint_auth_method=method).authentication == method

    @pytest.mark.parametrize("profile", STRICT)
    def test_that_is_strict_has_keys_for_its_default(self, profile: SecurityProfile) -> None:
        """Where nothing is said, a client signs; in a sandbox RFC 7591's own default holds."""
        assert made(profile).authentication == "private_key_jwt"
        assert made("sandbox").authentication == "client_secret_basic"

    def test_says_which_algorithms_there_are(self) -> None:
        """FAPI 1.0 has no EdDSA."""
        keys = {"keys": [clients_of.public_jwk(clients_of.key_for("EdDSA"), "ed")]}
        assert made("fapi2", jwks=keys).jwks == keys
        assert refused("fapi1-advanced", jwks=keys) == "jwks"
        for member in (
            "token_endpoint_auth_signing_alg",
            "request_object_signing_alg",
            "id_token_signed_response_alg",
            "authorization_signed_response_alg",
            "introspection_signed_response_alg",
        ):
            assert refused("fapi1-advanced", **{member: "EdDSA"}) in {member, "jwks"}

    def test_without_dpop_binds_by_certificate(self) -> None:
        """FAPI 1.0 knows mTLS alone, so its clients are bound by it whatever they say."""
        assert made("fapi1-advanced").certificate_bound
        assert refused("fapi1-advanced", dpop_bound_access_tokens=True) == "dpop_bound_access_tokens"

    def test_binds_to_one_key(self) -> None:
        """Two bindings at once would have to be shown both."""
        both = {"dpop_bound_access_tokens": True, "tls_client_certificate_bound_access_tokens": True}
        assert refused(**both) == "dpop_bound_access_tokens"


class TestARedirectUri:
    @pytest.mark.parametrize(
        "uri",
        [
            "http://app.example/cb",
            "HTTPS://app.example/cb",
            "https:/app.example",
            "https:///cb",
            "https://",
            "https://app.example/cb#",
            "https://app.example/cb#fragment",
            "https://user@app.example/cb",
            "https://app.example@attacker.example/cb",
            "https://app.example\\@attacker.example/cb",
            "https://*.app.example/cb",
            "https://app.example:99999/cb",
            "https://app.example:0/cb",
            "https://[::1/cb",
            "https://app.example/cb?code=1",
            "https://app.example/cb?a=1&state=2",
            "https://app.example/cb?response=",
            "javascript:alert(1)",
            "data:text/html,x",
            "com.example.app:/cb",
            "//app.example/cb",
            "/cb",
            "urn:ietf:wg:oauth:2.0:oob",
            "https://-.example/cb",
            "https://exa mple/cb",
        ],
    )
    def test_that_programs_may_read_differently_is_refused(self, uri: str) -> None:
        """RFC 9700, section 4.1: no fragments, no user, no wildcard, no other scheme, nothing that an answer brings."""
        with pytest.raises((MetadataRefused, msgspec.ValidationError)):
            made(grant_types=["authorization_code"], redirect_uris=[uri])
        with pytest.raises((MetadataRefused, msgspec.ValidationError)):
            made(
                grant_types=["authorization_code"],
                redirect_uris=["https://app.example/"],
                post_logout_redirect_uris=[uri],
            )

    @pytest.mark.parametrize("host", ["127.0.0.1:8765", "[::1]:8765", "localhost"])
    def test_on_the_own_machine_is_for_sandboxes(self, host: str) -> None:
        """RFC 8252, section 7.3, where the profile allows it."""
        said = {"grant_types": ["authorization_code"], "redirect_uris": [f"http://{host}/cb"]}
        assert made("sandbox", **said).redirect_uris == said["redirect_uris"]
        for profile in STRICT:
            assert refused(profile, **said) == "redirect_uris"
        other = {**said, "redirect_uris": [f"http://{host.partition(':')[0]}.attacker.example/cb"]}
        assert refused("sandbox", **other) == "redirect_uris"

    def test_is_kept_as_it_was_written(self) -> None:
        """It will be compared letter by letter, so nothing about it is mended."""
        uris = ["https://app.example:8443/a/../cb?x=%2F", "https://APP.example/cb"]
        assert made(grant_types=["authorization_code"], redirect_uris=uris).redirect_uris == uris

    def test_comes_with_the_code_grant_and_only_with_it(self) -> None:
        """One without the other is a mistake."""
        assert refused(grant_types=["authorization_code"]) == "redirect_uris"
        assert refused(grant_types=["client_credentials"], redirect_uris=["https://a.example/"]) == "redirect_uris"
        assert made(redirect_uris=["https://a.example/"]).grant_types == ["authorization_code"]
        assert refused(redirect_uris=["https://a.example/"], response_types=[]) == "response_types"
        assert refused(grant_types=["refresh_token"]) == "grant_types"
        assert refused(grant_types=[]) == "grant_types"
        twice = ["https://a.example/", "https://a.example/"]
        assert refused(redirect_uris=twice) == "redirect_uris"


def small_rsa() -> dict[str, Any]:
    """Return a public RSA key of 1024 bits."""
    numbers = rsa.generate_private_key(65_537, 1024).public_key().public_numbers()  # noqa: S505 - to see it refused
    return {"kty": "RSA", "kid": "small", "n": encoded(numbers.n), "e": "AQAB"}


def encoded(number: int) -> str:
    """Return a number as JWKs have it."""
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8, "big")).decode().rstrip("=")


RSA = clients_of.public_jwk(clients_of.key_for("PS256"), "rsa")


class TestAKey:
    @pytest.mark.parametrize(
        "key",
        [
            {**ECKey.generate_key("P-256").as_dict(private=True), "kid": "private"},
            {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
            small_rsa(),
            {**RSA, "e": "Aw"},
            {**RSA, "n": RSA["n"][:-1] + "A"},
            {**RSA, "n": "A" * 30_000},
            {**RSA, "alg": "RS256"},
            {**RSA, "alg": "none"},
            {**RSA, "alg": "HS256"},
            {**GOOD, "alg": "ES384"},
            {**GOOD, "alg": ["ES256"]},
            {**GOOD, "crv": "P-384"},
            {**GOOD, "x": GOOD["y"]},
            {**GOOD, "x": 5},
            {**GOOD, "kty": None},
            {**GOOD, "kid": ""},
            {**GOOD, "kid": None},
            {**GOOD, "use": "sign"},
            {**GOOD, "key_ops": ["sign"]},
            {**GOOD, "key_ops": "verify"},
            {**GOOD, "x5u": "https://attacker.example/cert"},
            {**GOOD, "x5c": ["AAAA"]},
            {**GOOD, "x5c": []},
            {"kty": "OKP", "crv": "X25519", "kid": "x", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            {"kty": "OKP", "crv": "Ed25519", "kid": "x", "x": "AA"},
            {},
        ],
    )
    def test_that_is_weak_or_of_another_kind_is_refused(self, key: dict[str, Any]) -> None:
        """Private parts, short or odd numbers, other curves and algorithms, addresses, and what is no key."""
        assert check_jwks({"keys": [key]}) is not None
        assert refused(jwks={"keys": [key]}) == "jwks"

    def test_is_named_once(self) -> None:
        """Two keys of one name can't be told apart."""
        assert check_jwks({"keys": [GOOD, {**RSA, "kid": "good"}]}) is not None

    @pytest.mark.parametrize("jwks", [{}, {"keys": []}, {"keys": {}}, {"keys": [1]}, {"keys": [GOOD] * 21}])
    def test_comes_in_a_set(self, jwks: dict[str, Any]) -> None:
        """One at least, and not very many."""
        assert check_jwks(jwks) is not None

    def test_for_encryption_is_passed_over(self) -> None:
        """Other servers may use it; it isn't counted as one that signs."""
        encrypting = {**RSAKey.generate_key(2048).as_dict(private=False), "kid": "enc", "use": "enc"}
        assert check_jwks({"keys": [GOOD, encrypting]}) is None
        assert refused(jwks={"keys": [encrypting]}) == "jwks"

    def test_must_fit_the_certificate_that_comes_with_it(self) -> None:
        """A certificate of another key would let another in."""
        certificate, _ = clients_of.self_signed("other")
        der = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
        assert check_jwks({"keys": [{**GOOD, "x5c": [der]}]}) is not None

    def test_must_serve_what_is_registered(self) -> None:
        """Request objects by an algorithm for which there is no key could never be verified."""
        assert refused(request_object_signing_alg="PS256") == "request_object_signing_alg"
        assert made(request_object_signing_alg="ES256").request_object_alg == "ES256"


class TestACertificatesName:
    def test_is_exactly_one(self) -> None:
        """None, two, or one with another method: refused."""
        tls: dict[str, Any] = {"token_endpoint_auth_method": "tls_client_auth", "jwks": None}
        assert refused(**tls) == "tls_client_auth_subject_dn"
        one = {"tls_client_auth_subject_dn": "CN=a"}
        assert made(**tls, **one).tls_subject_dn == "CN=a"
        assert refused(**tls, **one, tls_client_auth_san_dns="a.example") == "tls_client_auth_san_dns"
        assert refused(**one) == "tls_client_auth_subject_dn"

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("subject_dn", "nonsense"),
            ("subject_dn", "CN=a,"),
            ("subject_dn", "2.5.4.97=#0c05"),
            ("san_dns", "a"),
            ("san_dns", "a.example/"),
            ("san_uri", "relative"),
            ("san_ip", "1.2.3"),
            ("san_email", "nobody"),
        ],
    )
    def test_is_of_its_form(self, member: str, value: str) -> None:
        """What could never match is refused when it is registered."""
        tls: dict[str, Any] = {"token_endpoint_auth_method": "tls_client_auth", "jwks": None}
        name = f"tls_client_auth_{member}"
        assert refused(**tls, **{name: value}) == name

    @pytest.mark.parametrize(
        "text",
        [
            'CN=x,2.5.4.97=PSDGB-FCA-1,O=Bank\\, \\"Ltd\\",C=GB',
            'cn=x,organizationIdentifier=PSDGB-FCA-1,o=Bank\\, \\"Ltd\\",c=GB',
            "CN=x,2.5.4.97=#0c0b50534447422d4643412d31,O=Bank\\2c \\22Ltd\\22,C=GB",
            'CN=x,2.5.4.97=#130b50534447422d4643412d31,O=Bank\\, \\"Ltd\\",C=GB',
        ],
    )
    def test_is_compared_by_what_it_says(self, text: str) -> None:
        """RFC 4514: names of types, escapes and encodings don't matter; letters and order do."""
        subject = names.subject_parts('CN=x,2.5.4.97=PSDGB-FCA-1,O=Bank\\, \\"Ltd\\",C=GB')
        assert names.subject_parts(text) == subject
        assert names.subject_parts("CN=X," + text.partition(",")[2]) != subject
        assert names.subject_parts("C=GB," + text.removesuffix(",C=GB").removesuffix(",c=GB")) != subject

    def test_of_several_parts_has_no_order_in_them(self) -> None:
        """A relative distinguished name is a set."""
        assert names.subject_parts("CN=a+OU=b,O=c") == names.subject_parts("OU=b+CN=a,O=c")
        assert names.subject_parts("CN=a,OU=b,O=c") != names.subject_parts("CN=a+OU=b,O=c")
        read = names.subject_of(clients_of.certificate_for(x509.Name.from_rfc4514_string("CN=a+OU=b,O=c"))[0])
        assert read == names.subject_parts("OU=b+CN=a,O=c")


class TestAScope:
    def test_must_be_there_and_fit_the_grant(self) -> None:
        """Unknown ones, the platform's at a tenant, and those about people without the code grant."""
        assert refused(scope="nothing:here") == "scope"
        assert refused(scope="platform:tenants:read") == "scope"
        assert refused(scope="openid") == "scope"
        assert made(scope="openid wallets:read", redirect_uris=["https://a.example/"]).scopes == [
            "openid",
            "wallets:read",
        ]
        assert made(scope="platform:tenants:read", platform=True).scopes == ["platform:tenants:read"]


class TestANameForPeople:
    @pytest.mark.parametrize("name", ["Bank\u202eknaB", "a\u200bb", "a\nb", " Bank", "\u0007", "Bank\u2066"])
    def test_shows_what_it_is(self, name: str) -> None:
        """Nothing invisible, and nothing that turns the order of letters, on a consent page."""
        assert refused(client_name=name) == "client_name"
        assert refused(organisation=name) == "organisation"

    @pytest.mark.parametrize("uri", ["http://a.example", "javascript:alert(1)", "https://"])
    def test_leads_to_pages_over_tls_alone(self, uri: str) -> None:
        """What a consent page links to."""
        for member in ("client_uri", "policy_uri", "tos_uri"):
            assert refused(**{member: uri}) == member


def test_a_client_is_described_as_it_was_asked_for() -> None:
    """What is registered can be asked for again, and gives the same client."""
    client = made(
        redirect_uris=["https://a.example/"],
        scope="openid wallets:read",
        client_name="Ä",
        dpop_bound_access_tokens=True,
    )
    again = make_client(metadata.metadata_of(client), PROFILES["fapi2"], client_id=client.id, now=NOW)
    assert again == client
