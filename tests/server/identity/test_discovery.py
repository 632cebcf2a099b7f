"""What the authorization server says about itself: complete, true, and the same at each address."""

from typing import Any

import httpx
import msgspec
import pytest
from authlib.oauth2 import rfc9101, rfc9207
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.discovery import OpenIDProviderMetadata

from billfold.contract.oauth import UserInfo
from billfold_server.identity.authorization import details
from billfold_server.identity.discovery.documents import Deployment, metadata
from billfold_server.identity.profiles import PROFILES
from billfold_server.identity.realms import Realm, realm_of
from tests.live import LiveServer
from tests.tenants import manifest

MTLS = "https://mtls.bank.example:8443"
ENDPOINTS = ("authorize", "token", "par", "introspect", "revoke", "userinfo", "register")


class Relaxed(OpenIDProviderMetadata):  # type: ignore[misc]
    """Authlib's check of OpenID providers, without RS256, which OpenID Connect demands and FAPI 2.0 forbids."""

    REGISTRY_KEYS = tuple(
        key for key in OpenIDProviderMetadata.REGISTRY_KEYS if key != "id_token_signing_alg_values_supported"
    )


def document(realm: Realm, **changes: Any) -> dict[str, Any]:
    """Return the metadata of a realm where everything is served."""
    deployment = Deployment(
        **{
            "served": {f"{at}/oauth/{name}" for at in ("", "/platform") for name in ENDPOINTS},
            "mtls_base_url": MTLS,
            "certificates": True,
            "grant_types": ["authorization_code", "client_credentials", "refresh_token"],
            "details_types": ["wallet_access"],
            "languages": ["en", "de"],
            "registration": True,
            "open_banking": True,
            **changes,
        }
    )
    read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(metadata(realm, deployment)))
    return read


@pytest.fixture(params=list(PROFILES))
def realm(request: pytest.FixtureRequest) -> Realm:
    """A realm of each profile."""
    plain = realm_of("https://bank.example", None)
    return msgspec.structs.replace(plain, issuer="https://bank.example/t/demo", profile=PROFILES[request.param])


class TestTheMetadata:
    def test_is_valid_by_the_rfcs(self, realm: Realm) -> None:
        """Authlib's classes for RFC 8414, RFC 9101, RFC 9207 and OpenID Connect Discovery find nothing wrong."""
        said = document(realm)
        assert set(said["prompt_values_supported"]) == {"none", "login", "consent", "select_account"}
        extensions = [rfc9101.AuthorizationServerMetadata, rfc9207.AuthorizationServerMetadata]
        AuthorizationServerMetadata(said).validate(metadata_classes=extensions)
        Relaxed(said).validate(metadata_classes=extensions)

    def test_says_what_the_profile_asks(self, realm: Realm) -> None:
        """Methods, algorithms, PAR, PKCE, JAR, JARM and bindings are those of the profile."""
        said, profile = document(realm), realm.profile
        assert said["require_pushed_authorization_requests"] is True
        assert said["code_challenge_methods_supported"] == ["S256"]
        assert said["authorization_response_iss_parameter_supported"] is True
        assert said["response_modes_supported"] == list(profile.response_modes)
        assert set(said["token_endpoint_auth_methods_supported"]) == profile.client_authentication
        assert ("dpop_signing_alg_values_supported" in said) is profile.dpop
        assert said["tls_client_certificate_bound_access_tokens"] is True
        assert said.get("require_signed_request_object") is (profile.request_object == "required")
        # Of people it promises what userinfo tells, and no mail address, which nobody here knows.
        about_the_token = {"acr", "amr", "aud", "auth_time", "exp", "iat", "iss", "nonce"}
        assert set(said["claims_supported"]) - about_the_token == {*UserInfo.__struct_fields__}
        assert "email" not in said["scopes_supported"]
        algorithms = {name: values for name, values in said.items() if "_alg_values_" in name}
        assert {tuple(values) for values in algorithms.values()} == {profile.algorithms}
        assert {
            "token_endpoint_auth_signing_alg_values_supported",
            "request_object_signing_alg_values_supported",
            "authorization_signing_alg_values_supported",
            "id_token_signing_alg_values_supported",
            "introspection_signing_alg_values_supported",
        } <= set(algorithms)

    def test_leads_to_the_second_port_for_certificates(self, realm: Realm) -> None:
        """RFC 8705, section 5: the same paths at the other address; the browser's endpoint isn't among them."""
        said = document(realm)
        aliases = said["mtls_endpoint_aliases"]
        assert "authorization_endpoint" not in aliases
        for name, address in aliases.items():
            assert address == said[name].replace("https://bank.example", MTLS)
        without = document(realm, mtls_base_url=None, certificates=False)
        assert "mtls_endpoint_aliases" not in without
        assert without["tls_client_certificate_bound_access_tokens"] is False
        assert not {"tls_client_auth", "self_signed_tls_client_auth"} & set(
            without["token_endpoint_auth_methods_supported"]
        )

    def test_says_nothing_of_what_isnt_served(self, realm: Realm) -> None:
        """Neither endpoints nor what only makes sense with them."""
        said = document(realm, served={"/platform/oauth/token"}, registration=False)
        assert {name for name in said if name.endswith("_endpoint")} == {"token_endpoint"}
        assert (said["grant_types_supported"], said["response_types_supported"]) == (["client_credentials"], [])


@pytest.fixture(scope="module")
def said(live: LiveServer) -> dict[str, Any]:
    """What a strict tenant says."""
    live.add_tenant(manifest("discovered", security_profile="fapi2"))
    read: dict[str, Any] = httpx.get(f"{live.base('discovered')}/.well-known/openid-configuration").json()
    return read


class TestADocumentOverHttp:
    def test_is_the_same_at_every_address(self, live: LiveServer, said: dict[str, Any]) -> None:
        """Appended for OpenID Connect, appended and inserted for RFC 8414; of a tenant and of the platform."""
        name = "oauth-authorization-server"
        for address in (f"{live.base('discovered')}/.well-known/{name}", f"{live.url}/.well-known/{name}/t/discovered"):
            assert httpx.get(address).json() == said
        platform = httpx.get(f"{live.url}/platform/.well-known/{name}").json()
        assert httpx.get(f"{live.url}/.well-known/{name}/platform").json() == platform
        assert platform["issuer"] == f"{live.url}/platform"

    def test_says_of_the_resource_who_issues_tokens_for_it(self, live: LiveServer, said: dict[str, Any]) -> None:
        """RFC 9728: where its section 3.1 puts it, and below the issuer; of each realm its own."""
        for base, below, scope in (
            (live.base("discovered"), "/t/discovered", "wallets:read"),
            (f"{live.url}/platform", "/platform", "platform:tenants:read"),
        ):
            inserted = f"{live.url}/.well-known/oauth-protected-resource{below}"
            told = httpx.get(f"{inserted}/v1").json()
            assert told == httpx.get(f"{base}/.well-known/oauth-protected-resource").json()
            assert (told["resource"], told["authorization_servers"]) == (f"{base}/v1", [base])
            assert scope in told["scopes_supported"]
            assert told["bearer_methods_supported"] == ["header"]
            assert httpx.get(inserted).status_code == 404
            assert httpx.get(f"{inserted}/v2").status_code == 404
        told = httpx.get(f"{live.base('discovered')}/.well-known/oauth-protected-resource").json()
        assert told["dpop_signing_alg_values_supported"] == said["dpop_signing_alg_values_supported"]

    @pytest.mark.usefixtures("said")
    def test_says_of_third_parties_resource_who_issues_tokens_for_it(self, live: LiveServer) -> None:
        """It has a document of its own, with its own scopes; a refused request names that of what it has asked for."""
        base, name = live.base("discovered"), ".well-known/oauth-protected-resource"
        inserted = f"{live.url}/{name}/t/discovered"
        told = httpx.get(f"{inserted}/open-banking").json()
        assert told == httpx.get(f"{base}/{name}/open-banking").json()
        assert (told["resource"], told["authorization_servers"]) == (f"{base}/open-banking", [base])
        assert told["scopes_supported"] == ["accounts", "fundsconfirmations", "payments"]
        for address, resource in (
            (f"{base}/open-banking/v4.0/aisp/accounts", "/open-banking"),
            (f"{base}/v1/tenant", "/v1"),
            (f"{live.url}/platform/v1/tenants", f"{live.url}/{name}/platform/v1"),
        ):
            refused = httpx.get(address)
            where = resource if resource.startswith("http") else f"{inserted}{resource}"
            assert refused.status_code == 401
            assert f'resource_metadata="{where}"' in refused.headers["www-authenticate"]
            assert httpx.get(where).status_code == 200

    def test_promises_third_parties_nothing_where_they_arent_let_in(
        self, live: LiveServer, said: dict[str, Any]
    ) -> None:
        """A tenant without open banking names neither its scopes nor its details, nor does the platform."""
        live.add_tenant(manifest("undiscovered", open_banking={"enabled": False}))
        ours, types = {"accounts", "fundsconfirmations", "payments"}, "authorization_details_types_supported"
        assert (ours <= {*said["scopes_supported"]}, "open_banking_consent" in said[types]) == (True, True)
        for base, is_left in ((live.base("undiscovered"), True), (f"{live.url}/platform", False)):
            told = httpx.get(f"{base}/.well-known/openid-configuration").json()
            assert ours.isdisjoint(told["scopes_supported"])
            assert ("wallet_access" in told.get(types, ()), types in told) == (is_left, is_left)
            assert "open_banking_consent" not in told.get(types, ())

    def test_names_endpoints_that_are_there(self, said: dict[str, Any]) -> None:
        """Each address answers something else than that there is nothing."""
        addresses = [value for name, value in said.items() if name.endswith(("_endpoint", "_uri"))]
        assert len(addresses) >= 2
        for address in addresses:
            assert httpx.options(address).status_code == 204

    def test_names_every_type_of_details(self, said: dict[str, Any]) -> None:
        """RFC 9396, section 10, where people are asked."""
        if "authorization_endpoint" in said:
            assert said["authorization_details_types_supported"] == sorted(details.kinds())
