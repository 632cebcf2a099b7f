"""API clients: how one is registered, and what the server tells of it.

The members are named as in RFC 7591, section 2, RFC 8705, RFC 9101, RFC 9396, RFC 9449 and JARM, so that what a
developer knows of those is right here too, and the same document serves both ways to register.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from billfold.contract.common import ClientId, Instant, PartnerId, Request, Response, Text

__all__ = [
    "Algorithm",
    "AuthenticationMethod",
    "Client",
    "ClientCreated",
    "ClientMetadata",
    "ClientSecret",
    "CreateClient",
    "RotateClientSecret",
    "SetClientKeys",
    "UpdateClient",
]

AuthenticationMethod = Literal[
    "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth", "client_secret_basic", "client_secret_post"
]
Algorithm = Literal["PS256", "ES256", "EdDSA"]
Grant = Literal["authorization_code", "client_credentials", "refresh_token"]

Uri = Annotated[str, Meta(min_length=1, max_length=2000, pattern=r"^[\x21-\x7e]+$(?!\n)")]
Uris = Annotated[list[Uri], Meta(max_length=30)]
ScopeText = Annotated[
    str,
    Meta(
        max_length=4000,
        pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$(?!\n)",
        description="Space-separated scopes.",
        examples=["wallets:read transfers:write"],
    ),
]
DetailsType = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[a-z0-9_.:/-]+$(?!\n)")]
DetailsTypes = Annotated[list[DetailsType], Meta(max_length=50)]
Contact = Annotated[
    str, Meta(min_length=3, max_length=254, pattern=r"^[^\s@\u0000-\u001f\u0085]+@[^\s@\u0000-\u001f\u0085]+$(?!\n)")
]
Contacts = Annotated[list[Contact], Meta(max_length=10)]
Jwks = Annotated[
    dict[str, Any],
    Meta(
        description="Public keys as a JWK Set (RFC 7517): RSA of 2048 bits or more, P-256 or Ed25519, each with a kid.",
        examples=[
            {
                "keys": [
                    {
                        "kty": "OKP",
                        "crv": "Ed25519",
                        "kid": "2026-11",
                        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                    }
                ]
            }
        ],
    ),
]
Subject = Annotated[str, Meta(min_length=1, max_length=1000, pattern="^[^\\u0000]*$")]
Software = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$(?!\n)")]


class ClientMetadata(Request, frozen=True, kw_only=True):
    """What may be registered of a client (RFC 7591, section 2)."""

    client_name: Annotated[Text, Meta(description="For people; a consent page shows it.")] | None = None
    organisation: Annotated[Text, Meta(description="Who runs it.")] | None = None
    token_endpoint_auth_method: (
        Annotated[AuthenticationMethod, Meta(description="How it proves who it is, and no other way.")] | None
    ) = None
    scope: ScopeText | None = None
    grant_types: Annotated[list[Grant], Meta(max_length=10)] | None = None
    response_types: Annotated[list[Literal["code"]], Meta(max_length=1)] | None = None
    redirect_uris: Uris = []
    post_logout_redirect_uris: Uris = []
    jwks: Jwks | None = None
    tls_client_auth_subject_dn: Subject | None = None
    tls_client_auth_san_dns: Subject | None = None
    tls_client_auth_san_uri: Subject | None = None
    tls_client_auth_san_ip: Subject | None = None
    tls_client_auth_san_email: Subject | None = None
    token_endpoint_auth_signing_alg: Algorithm | None = None
    request_object_signing_alg: Algorithm | None = None
    id_token_signed_response_alg: Algorithm | None = None
    authorization_signed_response_alg: Algorithm | None = None
    introspection_signed_response_alg: Algorithm | None = None
    dpop_bound_access_tokens: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    authorization_details_types: DetailsTypes = []
    contacts: Contacts = []
    client_uri: Uri | None = None
    policy_uri: Uri | None = None
    tos_uri: Uri | None = None
    organisation_id: (
        Annotated[Software, Meta(description="Who runs it, as a directory of third parties names them.")] | None
    ) = None
    software_id: Software | None = None
    software_version: Software | None = None


class CreateClient(ClientMetadata, frozen=True, kw_only=True):
    """A new API client."""

    login_realm: Annotated[
        Literal["psu", "staff"], Meta(description="Whom it asks to sign in: customers, or the bank's staff.")
    ] = "psu"
    partner_id: Annotated[
        PartnerId | None,
        Meta(description="The partner organisation to which it belongs, for good; it may only what that may."),
    ] = None


class UpdateClient(Request, frozen=True, kw_only=True):
    """Changes to a client. What is absent stays; null clears what may be empty.

    How it authenticates and by which keys is changed by operations of their own.
    """

    client_name: Text | UnsetType = UNSET
    organisation: Text | UnsetType | None = UNSET
    scope: ScopeText | UnsetType = UNSET
    grant_types: Annotated[list[Grant], Meta(max_length=10)] | UnsetType = UNSET
    redirect_uris: Uris | UnsetType = UNSET
    post_logout_redirect_uris: Uris | UnsetType = UNSET
    request_object_signing_alg: Algorithm | UnsetType | None = UNSET
    id_token_signed_response_alg: Algorithm | UnsetType | None = UNSET
    authorization_signed_response_alg: Algorithm | UnsetType | None = UNSET
    introspection_signed_response_alg: Algorithm | UnsetType | None = UNSET
    dpop_bound_access_tokens: bool | UnsetType = UNSET
    tls_client_certificate_bound_access_tokens: bool | UnsetType = UNSET
    authorization_details_types: DetailsTypes | UnsetType = UNSET
    contacts: Contacts | UnsetType = UNSET
    client_uri: Uri | UnsetType | None = UNSET
    policy_uri: Uri | UnsetType | None = UNSET
    tos_uri: Uri | UnsetType | None = UNSET


class SetClientKeys(Request, frozen=True, kw_only=True):
    """The keys, or the certificate, by which a client proves who it is from now on.

    To change keys without a pause, set the old and the new ones together first.
    """

    jwks: Jwks | None = None
    tls_client_auth_subject_dn: Subject | None = None
    tls_client_auth_san_dns: Subject | None = None
    tls_client_auth_san_uri: Subject | None = None
    tls_client_auth_san_ip: Subject | None = None
    tls_client_auth_san_email: Subject | None = None


class RotateClientSecret(Request, frozen=True, kw_only=True):
    """How a secret is replaced."""

    overlap_s: Annotated[
        int, Meta(ge=0, le=7 * 86_400, description="Seconds for which the former secret is taken as well.")
    ] = 3600


class Client(Response, frozen=True, kw_only=True):
    """An API client, without anything that is secret."""

    id: ClientId
    client_name: str
    organisation: str | None
    state: Annotated[Literal["active", "disabled"], Meta(description="A disabled client gets and keeps no access.")]
    token_endpoint_auth_method: AuthenticationMethod
    scope: str
    grant_types: list[str]
    response_types: list[str]
    redirect_uris: list[str]
    post_logout_redirect_uris: list[str]
    jwks: dict[str, Any] | None
    tls_client_auth_subject_dn: str | None
    tls_client_auth_san_dns: str | None
    tls_client_auth_san_uri: str | None
    tls_client_auth_san_ip: str | None
    tls_client_auth_san_email: str | None
    token_endpoint_auth_signing_alg: Algorithm | None
    request_object_signing_alg: Algorithm | None
    id_token_signed_response_alg: Algorithm | None
    authorization_signed_response_alg: Algorithm | None
    introspection_signed_response_alg: Algorithm | None
    dpop_bound_access_tokens: bool
    tls_client_certificate_bound_access_tokens: bool
    authorization_details_types: list[str]
    contacts: list[str]
    client_uri: str | None
    policy_uri: str | None
    tos_uri: str | None
    organisation_id: str | None
    software_id: str | None
    software_version: str | None
    registered_by: Annotated[
        str,
        Meta(
            description="``operator``, ``partner``, ``open``, or the issuer of the software statement by which it came."
        ),
    ]
    login_realm: Annotated[
        Literal["psu", "staff", "operator"],
        Meta(description="Whom it asks to sign in: customers, the bank's staff, or operators of the platform."),
    ]
    version: Annotated[int, Meta(description="Counts up at each change; the ETag is made of it.")]
    created_at: Instant
    updated_at: Instant
    partner_id: Annotated[
        PartnerId | None, Meta(description="The partner organisation to which it belongs; null is the tenant itself.")
    ] = None


class ClientCreated(Client, frozen=True, kw_only=True):
    """A new client. Its secret, where it has one, is shown this once."""

    _secrets = frozenset({"client_secret"})

    client_secret: str | None


class ClientSecret(Response, frozen=True, kw_only=True):
    """A new secret, shown this once."""

    _secrets = frozenset({"client_secret"})

    client_id: ClientId
    client_secret: str
    former_secret_until: Annotated[Instant, Meta(description="Until when the former secret is taken as well.")]
