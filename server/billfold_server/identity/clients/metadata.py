"""What a client may be registered with, under the profile of its realm.

Sources: RFC 7591, section 2; RFC 8705, sections 2.1.2 and 3.4; RFC 8252, section 7.3; RFC 9700, section 4.1.3;
FAPI 2.0 Security Profile, sections 5.3.2 and 5.4.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract import clients as contract
from billfold.contract.clients import ClientMetadata
from billfold.contract.texts import fault_of
from billfold.ids import Prefix
from billfold_server.identity import rules
from billfold_server.identity.clients import names
from billfold_server.identity.clients.keys import check_jwks, signing_keys
from billfold_server.identity.clients.rows import Client, LoginRealm
from billfold_server.identity.profiles import ClientAuthentication, Profile

__all__ = ["WITH_SECRET", "MetadataRefused", "change_client", "described", "make_client", "metadata_of", "shown"]

WITH_SECRET: Final = frozenset({"client_secret_basic", "client_secret_post"})
_WITH_KEYS: Final = frozenset({"private_key_jwt", "self_signed_tls_client_auth"})
_WITH_CERTIFICATE: Final = frozenset({"tls_client_auth", "self_signed_tls_client_auth"})
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

_TLS_NAMES: Final = (
    "tls_client_auth_subject_dn",
    "tls_client_auth_san_dns",
    "tls_client_auth_san_uri",
    "tls_client_auth_san_ip",
    "tls_client_auth_san_email",
)

_NAMES: Final = {
    "client_name": "name",
    "token_endpoint_auth_method": "authentication",
    "tls_client_auth_subject_dn": "tls_subject_dn",
    "tls_client_auth_san_dns": "tls_san_dns",
    "tls_client_auth_san_uri": "tls_san_uri",
    "tls_client_auth_san_ip": "tls_san_ip",
    "tls_client_auth_san_email": "tls_san_email",
    "token_endpoint_auth_signing_alg": "assertion_alg",
    "request_object_signing_alg": "request_object_alg",
    "id_token_signed_response_alg": "id_token_alg",
    "authorization_signed_response_alg": "authorization_response_alg",
    "introspection_signed_response_alg": "introspection_alg",
    "dpop_bound_access_tokens": "dpop_bound",
    "tls_client_certificate_bound_access_tokens": "certificate_bound",
}
"""What RFC 7591's members are called here, where they are called differently. ``scope`` is a list here."""


class MetadataRefused(Exception):
    """A client can't be registered so.

    Attributes:
        error: ``invalid_redirect_uri`` or ``invalid_client_metadata`` (RFC 7591, section 3.2.2).
        param: The member that is wrong.
        reason: Why, for the client's developer; follows on the member's name.
    """

    def __init__(self, param: str, reason: str) -> None:
        super().__init__(f"{param} {reason}")
        self.error = "invalid_redirect_uri" if param == "redirect_uris" else "invalid_client_metadata"
        self.param = param
        self.reason = reason


def make_client(
    asked: ClientMetadata,
    profile: Profile,
    *,
    client_id: UUID,
    now: datetime,
    platform: bool = False,
    registered_by: str = "operator",
    login_realm: LoginRealm = "psu",
) -> Client:
    """Return the client that is asked for, once all of it is right and fits together.

    Args:
        asked: What is asked for.
        profile: What the realm asks of its clients.
        client_id: The new client's id.
        now: The real time.
        platform: Whether it is an operator's client of the platform.
        registered_by: Who let it in.
        login_realm: Whom it asks to sign in, at a tenant.

    Raises:
        MetadataRefused: Something is wrong.
    """
    authentication = _authentication(asked, profile)
    grants = _grants(asked)
    scopes = [] if asked.scope is None else sorted(set(asked.scope.split(" ")))
    members = {
        _NAMES.get(name, name): getattr(asked, name)
        for name in ClientMetadata.__struct_fields__
        if name not in {"scope", "grant_types", "response_types", "client_name", "token_endpoint_auth_method"}
    }
    if not profile.bearer and not profile.dpop:
        # There is only one way left to bind a token.
        members["certificate_bound"] = True
    client = Client(
        id=client_id,
        client_id=ids.encode(Prefix.CLIENT, client_id),
        name=asked.client_name or "API client",
        authentication=authentication,
        scopes=scopes,
        grant_types=grants,
        response_types=["code"] if "authorization_code" in grants else [],
        registered_by=registered_by,
        login_realm="operator" if platform else login_realm,
        created_at=now,
        updated_at=now,
        **members,
    )
    _check(client, profile, platform=platform)
    return client


def change_client(client: Client, changes: Mapping[str, Any], profile: Profile) -> Client:
    """Return a tenant's client with changes, once it is as right as a new one would have to be.

    Args:
        client: As it is.
        changes: Members of RFC 7591 that are replaced.
        profile: What the realm asks of its clients.

    Raises:
        MetadataRefused: Something is wrong.
    """
    asked = msgspec.structs.replace(metadata_of(client), **changes)
    changed = make_client(asked, profile, client_id=client.id, now=client.created_at)
    return msgspec.structs.replace(
        changed,
        state=client.state,
        registered_by=client.registered_by,
        login_realm=client.login_realm,
        version=client.version,
        partner_id=client.partner_id,
        suspended=client.suspended,
    )


def _check(client: Client, profile: Profile, *, platform: bool) -> None:
    _check_scopes(client.scopes, client.grant_types, platform=platform)
    _check_redirects(client, profile)
    _check_keys(client, profile)
    _check_certificate_names(client)
    _check_algorithms(client, profile)
    _check_binding(client, profile)
    _check_presentation(client)


def _refuse_unless(holds: bool, param: str, reason: str) -> None:  # noqa: FBT001 - what must hold
    if not holds:
        raise MetadataRefused(param, reason)


def _authentication(asked: ClientMetadata, profile: Profile) -> ClientAuthentication:
    method = asked.token_endpoint_auth_method
    if method is None:
        # RFC 7591 has client_secret_basic as the default; where secrets aren't taken, keys are what is left.
        method = "client_secret_basic" if "client_secret_basic" in profile.client_authentication else "private_key_jwt"
    _refuse_unless(
        method in profile.client_authentication,
        "token_endpoint_auth_method",
        f"must be one of {', '.join(sorted(profile.client_authentication))} here",
    )
    return method


def _grants(asked: ClientMetadata) -> list[str]:
    if asked.grant_types is None:
        grants = ["authorization_code"] if asked.redirect_uris else ["client_credentials"]
    else:
        grants = sorted(set(asked.grant_types))
    _refuse_unless(bool(grants), "grant_types", "must name one at least")
    _refuse_unless(
        "refresh_token" not in grants or "authorization_code" in grants,
        "grant_types",
        "has refresh_token without authorization_code, from which refresh tokens come",
    )
    wanted = ["code"] if "authorization_code" in grants else []
    _refuse_unless(
        asked.response_types is None or asked.response_types == wanted,
        "response_types",
        "must be code with the grant type authorization_code, and empty without it",
    )
    return grants


def _check_scopes(scopes: list[str], grants: list[str], *, platform: bool) -> None:
    strangers = rules.unknown_scopes(scopes, platform=platform)
    _refuse_unless(not strangers, "scope", f"has {', '.join(strangers)}, which there isn't")
    _refuse_unless(bool(scopes), "scope", "must name one at least")
    _refuse_unless(
        "authorization_code" in grants or not set(scopes) & rules.OPENID_SCOPES.keys(),
        "scope",
        "has one that is about people who sign in, without the grant type authorization_code",
    )


def _check_redirects(client: Client, profile: Profile) -> None:
    by_browser = "authorization_code" in client.grant_types
    _refuse_unless(
        bool(client.redirect_uris) == by_browser,
        "redirect_uris",
        "are needed with the grant type authorization_code, and only with it",
    )
    for param, uris in (
        ("redirect_uris", client.redirect_uris),
        ("post_logout_redirect_uris", client.post_logout_redirect_uris),
    ):
        _refuse_unless(len(set(uris)) == len(uris), param, "has one twice")
        for uri in uris:
            reason = _wrong_with(uri, loopback=profile.loopback_redirects)
            _refuse_unless(reason is None, param, f"has {uri!r}, which {reason}")


_ANSWERS: Final = frozenset({"code", "error", "error_description", "iss", "response", "state", "id_token"})
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9a-fA-F:.]+")


def _wrong_with(uri: str, *, loopback: bool) -> str | None:
    """Return why no answer can be sent to an address, or None."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "can't be read"
    on_own_machine = loopback and uri.startswith("http://") and host in _LOOPBACK
    faults = {
        "has a fragment": "#" in uri,
        "has something in it that programs read differently": "@" in parts.netloc or "\\" in uri or "*" in uri,
        "names no host": not host or not _HOST.fullmatch(host) or port == 0,
        "already has what an answer brings": bool(
            _ANSWERS & dict(parse_qsl(parts.query, keep_blank_values=True)).keys()
        ),
        "must begin with https://" + (", or http:// on the own machine" if loopback else ""): not (
            uri.startswith("https://") or on_own_machine
        ),
    }
    return next((reason for reason, found in faults.items() if found), None)


def _check_keys(client: Client, profile: Profile) -> None:
    needs = client.authentication in _WITH_KEYS
    if client.jwks is None:
        _refuse_unless(not needs, "jwks", f"is needed for {client.authentication}")
        return
    reason = check_jwks(client.jwks)
    _refuse_unless(reason is None, "jwks", f"can't be taken: {reason}")
    if client.authentication == "private_key_jwt":
        algorithms = profile.algorithms if client.assertion_alg is None else (client.assertion_alg,)
        _refuse_unless(bool(signing_keys(client.jwks, algorithms)), "jwks", f"has no key for {', '.join(algorithms)}")


def _check_certificate_names(client: Client) -> None:
    given = [name for name in _TLS_NAMES if getattr(client, _NAMES[name]) is not None]
    if client.authentication != "tls_client_auth":
        _refuse_unless(not given, given[0] if given else "", "is for the method tls_client_auth alone")
        return
    _refuse_unless(
        len(given) == 1, given[-1] if given else _TLS_NAMES[0], f"must be given: exactly one of {', '.join(_TLS_NAMES)}"
    )
    value = getattr(client, _NAMES[given[0]])
    try:
        _READERS[given[0]](value)
    except ValueError as error:
        raise MetadataRefused(given[0], str(error)) from None


def _read_host(text: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_*-]+(\.[A-Za-z0-9_-]+)+", text):
        msg = "isn't a DNS name"
        raise ValueError(msg)


def _read_uri(text: str) -> None:
    parts = urlsplit(text)
    if not parts.scheme or not (parts.netloc or parts.path) or re.search(r"[^\x21-\x7e]", text):
        msg = "isn't a URI"
        raise ValueError(msg)


def _read_mail(text: str) -> None:
    if not re.fullmatch(r"[^\s@]+@[^\s@]+", text):
        msg = "isn't a mail address"
        raise ValueError(msg)


_READERS: Final[dict[str, Callable[[str], object]]] = {
    "tls_client_auth_subject_dn": names.subject_parts,
    "tls_client_auth_san_dns": _read_host,
    "tls_client_auth_san_uri": _read_uri,
    "tls_client_auth_san_ip": ipaddress.ip_address,
    "tls_client_auth_san_email": _read_mail,
}


def _check_algorithms(client: Client, profile: Profile) -> None:
    for param in (
        "token_endpoint_auth_signing_alg",
        "request_object_signing_alg",
        "id_token_signed_response_alg",
        "authorization_signed_response_alg",
        "introspection_signed_response_alg",
    ):
        alg = getattr(client, _NAMES[param])
        _refuse_unless(
            alg is None or alg in profile.algorithms, param, f"must be one of {', '.join(profile.algorithms)} here"
        )
    _refuse_unless(
        client.assertion_alg is None or client.authentication == "private_key_jwt",
        "token_endpoint_auth_signing_alg",
        "is for the method private_key_jwt alone",
    )
    alg = client.request_object_alg
    _refuse_unless(
        alg is None or bool(signing_keys(client.jwks, (alg,))),
        "request_object_signing_alg",
        f"is {alg}, for which jwks has no key",
    )


def _check_binding(client: Client, profile: Profile) -> None:
    _refuse_unless(
        profile.dpop or not client.dpop_bound,
        "dpop_bound_access_tokens",
        "isn't possible here: tokens are bound by mTLS",
    )
    _refuse_unless(
        not (client.dpop_bound and client.certificate_bound),
        "dpop_bound_access_tokens",
        "can't be together with tls_client_certificate_bound_access_tokens: a token is bound to one key",
    )


def _check_presentation(client: Client) -> None:
    for param, text in (("client_name", client.name), ("organisation", client.organisation)):
        _refuse_unless(text is None or _is_plain(text), param, "has characters that aren't shown as they are")
    for param in ("client_uri", "policy_uri", "tos_uri"):
        uri = getattr(client, param)
        _refuse_unless(
            uri is None or (uri.startswith("https://") and _has_host(uri)),
            param,
            "must begin with https://",
        )


def _has_host(uri: str) -> bool:
    try:
        return bool(urlsplit(uri).hostname)
    except ValueError:
        return False


def _is_plain(text: str) -> bool:
    """Tell whether people see what a text says: no control characters, and none that turn the order of others."""
    return text == text.strip() and fault_of(text) is None


def described(client: Client) -> dict[str, object]:
    """Return a client under RFC 7591's names, everything that is registered of it."""
    members: dict[str, object] = {
        name: getattr(client, _NAMES.get(name, name)) for name in ClientMetadata.__struct_fields__ if name != "scope"
    }
    return {**members, "scope": " ".join(client.scopes)}


def metadata_of(client: Client) -> ClientMetadata:
    """Return what would have to be asked for to get this client, as something to change and check again."""
    return msgspec.convert(described(client), ClientMetadata)


def shown(client: Client) -> contract.Client:
    """Return a client as the API shows it."""
    names = ("state", "registered_by", "login_realm", "version", "created_at", "updated_at")
    rest = {name: getattr(client, name) for name in names}
    partner_id = None if client.partner_id is None else ids.encode(Prefix.PARTNER, client.partner_id)
    return contract.Client(id=client.client_id, partner_id=partner_id, **described(client), **rest)  # type: ignore[arg-type]
