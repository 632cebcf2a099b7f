"""What an authorization server says about itself, and whether it may be believed (RFC 8414).

The same is said by OpenID Connect Discovery, with other addresses.
"""

from typing import Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from billfold.auth.refusals import DiscoveryFailed

__all__ = ["AuthorizationServer", "locations", "read"]

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_LONGEST_SHOWN: Final = 200
_ENDPOINTS: Final = (
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "pushed_authorization_request_endpoint",
    "introspection_endpoint",
    "revocation_endpoint",
    "userinfo_endpoint",
    "end_session_endpoint",
    "registration_endpoint",
)


class AuthorizationServer(msgspec.Struct, frozen=True):
    """An authorization server's metadata: of what RFC 8414, 8705, 9126, 9207 and JARM know, what this package uses.

    Attributes:
        issuer: Its name for itself, which is an address.
        mtls_endpoint_aliases: Where the same endpoints ask for a client certificate (RFC 8705, section 5).
        authorization_response_iss_parameter_supported: Whether each answer says who gives it (RFC 9207).
    """

    issuer: str
    token_endpoint: str
    jwks_uri: str | None = None
    authorization_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    introspection_endpoint: str | None = None
    revocation_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    registration_endpoint: str | None = None
    mtls_endpoint_aliases: dict[str, str | None] = {}  # msgspec gives each object its own copy.
    authorization_response_iss_parameter_supported: bool = False
    response_modes_supported: list[str] | None = None
    scopes_supported: list[str] | None = None

    def endpoint(self, name: str, *, mtls: bool) -> str:
        """Return where an endpoint is.

        Args:
            name: As the metadata call it.
            mtls: Whether the client shows a certificate, which is asked for at addresses of its own.

        Raises:
            DiscoveryFailed: The server has no such endpoint.
        """
        url: str | None = (self.mtls_endpoint_aliases.get(name) if mtls else None) or getattr(self, name)
        if url is None:
            raise DiscoveryFailed(f"the authorization server has no {name}")
        return url

    def mtls_base(self) -> str | None:
        """Return what stands for the issuer's address where a client certificate is asked for, or None.

        The aliases say it for endpoints only; the API lies beside them, as it does at the issuer's own address.
        """
        alias = self.mtls_endpoint_aliases.get("token_endpoint")
        path = self.token_endpoint.removeprefix(self.issuer)
        if alias is None or path == self.token_endpoint or not alias.endswith(path):
            return None
        return alias.removesuffix(path)


def locations(issuer: str) -> list[str]:
    """Return where the metadata may lie, in the order to look.

    Appended as OpenID Connect has it (Discovery, section 4), inserted as OAuth has it (RFC 8414, section 3.1), and
    appended with OAuth's name, where a proxy lets only the addresses below the issuer's through.
    """
    parts = urlsplit(issuer)
    inserted = f"/.well-known/oauth-authorization-server{parts.path.rstrip('/')}"
    found = [
        f"{issuer}/.well-known/openid-configuration",
        urlunsplit((parts.scheme, parts.netloc, inserted, "", "")),
        f"{issuer}/.well-known/oauth-authorization-server",
    ]
    return list(dict.fromkeys(found))


def read(body: bytes, issuer: str) -> AuthorizationServer:
    """Read metadata, and see that they are the issuer's own (RFC 8414, section 3.3).

    Raises:
        DiscoveryFailed: They aren't metadata, or another's, or lead away from TLS.
    """
    try:
        server = msgspec.json.decode(body, type=AuthorizationServer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise DiscoveryFailed("what lies there aren't an authorization server's metadata") from None
    if server.issuer != issuer:
        raise DiscoveryFailed(
            f"the metadata are those of another issuer{_named(server.issuer)}; "
            "base_url, or the issuer=… of auth, must be its name for itself"
        )
    endpoints = {name: getattr(server, name) for name in _ENDPOINTS}
    aliases = {f"mtls_endpoint_aliases.{name}": url for name, url in server.mtls_endpoint_aliases.items()}
    for name, url in {**endpoints, **aliases}.items():
        if url is not None and not _is_safe(url, issuer):
            raise DiscoveryFailed(f"the authorization server's {name} isn't an address that may be used")
    return server


def _named(issuer: str) -> str:
    """Return an issuer for a message, where it is one: it is public, and a stranger may have written it."""
    looks_like_one = len(issuer) <= _LONGEST_SHOWN and issuer.isascii() and issuer.isprintable()
    return f", {issuer}" if looks_like_one and _is_safe(issuer, issuer) else ""


def _is_safe(url: str, issuer: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if not host or parts.fragment or parts.username or parts.password:
        return False
    # Plain HTTP is for development: where the issuer itself is served by it, or on this machine.
    plain = parts.scheme == "http" and (issuer.startswith("http://") or host in _LOOPBACK)
    return parts.scheme == "https" or plain
