"""What a directory's statement makes of a licensed third party's client: its names, its addresses, and its scopes.

Statements come under the names of RFC 7591, or under those that open banking's directories use beside them
(``software_client_name``, ``software_redirect_uris``, ``org_name``). What the party is licensed for stands in
``software_roles``, and no client gets a scope of open banking that its roles don't hold.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from billfold_server.identity.clients.software_statements import StatementRefused

__all__ = ["ROLE_SCOPES", "scopes_of", "with_statement"]

ROLE_SCOPES: Final[Mapping[str, str]] = {"AISP": "accounts", "PISP": "payments", "CBPII": "fundsconfirmations"}
"""Which scope each role of a licensed third party holds."""

_SAME: Final = {
    "software_client_name": "client_name",
    "org_id": "organisation_id",
    "org_name": "organisation",
}
"""What directories call differently from RFC 7591."""

_CERTIFICATE: Final = "tls_client_auth_"

_VOUCHED: Final = frozenset(
    {"jwks", "organisation", "organisation_id", "redirect_uris", "software_id", "software_version"}
)
"""What counts by the statement's word alone, as do the names in certificates."""


def with_statement(said: Mapping[str, Any], vouched: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a client asks for, once the statement's words have taken the place of its own.

    Args:
        said: What the client says.
        vouched: What the statement says.

    Raises:
        StatementRefused: It asks for answers to be sent where the directory doesn't know its software to be, or the
            statement doesn't say whose it is.
    """
    if not isinstance(vouched.get("software_id"), str):
        raise StatementRefused("invalid_software_statement", "the software statement names no software_id")
    words = dict(vouched)
    for theirs, ours in _SAME.items():
        if isinstance(words.get(theirs), str):
            words.setdefault(ours, words[theirs])
    known = words.get("software_redirect_uris")
    if "redirect_uris" not in words and known is not None:
        grants = said.get("grant_types")
        signs_in = not isinstance(grants, list) or "authorization_code" in grants
        words["redirect_uris"] = _redirect_uris(said.get("redirect_uris"), known, signs_in=signs_in)
    own = {name: value for name, value in said.items() if value is not None and not _is_vouched(name)}
    # Whoever has merely seen a statement could keep a secret, too; only the software has its key.
    merged = {"token_endpoint_auth_method": "private_key_jwt", **own, **words}
    if str(merged["token_endpoint_auth_method"]).startswith("client_secret"):
        raise StatementRefused(
            "invalid_client_metadata", "token_endpoint_auth_method must use what the directory knows"
        )
    if merged.get("token_endpoint_auth_method") != "tls_client_auth":
        # The directory knows a certificate for all its software; who proves itself otherwise has no use for its name.
        merged = {name: value for name, value in merged.items() if not name.startswith(_CERTIFICATE)}
    return merged


def _is_vouched(name: str) -> bool:
    return name in _VOUCHED or name.startswith(_CERTIFICATE)


def _redirect_uris(asked: object, known: object, *, signs_in: bool) -> list[Any]:
    """Return those addresses that the client asks for, or all that the directory knows where it names none."""
    if not isinstance(known, list):
        raise StatementRefused(
            "invalid_software_statement", "the software statement's software_redirect_uris is no list"
        )
    if asked is None:
        return known if signs_in else []
    if not isinstance(asked, list) or any(uri not in known for uri in asked):
        raise StatementRefused("invalid_redirect_uri", "redirect_uris has one that the directory doesn't know")
    return asked


def scopes_of(vouched: Mapping[str, Any], offered: Sequence[str]) -> list[str]:
    """Return which of the scopes that are offered a client may have by its statement's roles.

    Without roles there is none of open banking's. Scopes that belong to no role are left to the tenant.

    Args:
        vouched: What the statement says.
        offered: What the tenant lets clients have that register themselves.

    Raises:
        StatementRefused: The roles aren't a list of texts.
    """
    roles = vouched.get("software_roles", [])
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise StatementRefused("invalid_software_statement", "the software statement's software_roles isn't a list")
    held = {scope for role, scope in ROLE_SCOPES.items() if role in roles}
    return [scope for scope in offered if scope in held or scope not in ROLE_SCOPES.values()]
