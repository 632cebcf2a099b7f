"""Scopes, and how a token request is read (RFC 6749)."""

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote_plus

__all__ = [
    "OPENID_SCOPES",
    "OPEN_BANKING_SCOPES",
    "PLATFORM_SCOPES",
    "TENANT_SCOPES",
    "OAuthRefusal",
    "granted_scopes",
    "read_form",
    "unknown_scopes",
]

TENANT_SCOPES: Final[dict[str, str]] = {
    "approvals:decide": "Approve and reject what waits for a second person",
    "approvals:read": "Read what waits for a second person",
    "arrangements:read": "Read what was arranged for wallets, and products",
    "arrangements:write": "Record and change what was arranged for wallets, and products",
    "audit:read": "Read the audit records",
    "clients:read": "Read API clients",
    "clients:write": "Register and change API clients, within one's own scopes",
    "clock:write": "Move a sandbox's clock",
    "consents:read": "Read what customers have allowed third parties",
    "consents:write": "End consents, and keep third parties out",
    "events:read": "Read the stream of events",
    "holds:read": "Read holds",
    "holds:write": "Create, capture and release holds",
    "keys:read": "Read where the keys of personal and card data stand",
    "keys:write": "Replace the keys of personal and card data, and ask for their destruction",
    "ledger:read": "Read accounts, journal entries and statements",
    "ledger:write": "Open accounts, post and reverse journal entries",
    "members:read": "Read who the members of partner organisations are",
    "members:write": "Let members of partner organisations in and out",
    "parties:read": "Read people and companies",
    "parties:write": "Create and change people and companies",
    "partner_sandboxes:read": "Read which sandboxes partner organisations have",
    "partner_sandboxes:write": "Make, reset and remove sandboxes of partner organisations, and get into them",
    "partners:read": "Read partner organisations",
    "partners:write": "Let partner organisations in and out, and say what their API clients may",
    "payments:read": "Read payments",
    "payments:resolve": "Say what has become of payments that need it, and move their money there",
    "payments:write": "Pay out of wallets",
    "privacy:read": "Read where personal data lies",
    "privacy:write": "Read all that is known of a person, and forget them",
    "requests:read": "Read what programs have asked and were answered, without anybody's data",
    "sandbox:write": "Have things simulated in a sandbox, and reset it",
    "statements:read": "Read imported bank statements",
    "statements:write": "Import bank statements and assign their entries",
    "tenant:read": "Read the tenant's own settings and clock",
    "tokens:detokenize": "Get the values behind vault tokens, for purposes that the manifest allows",
    "tokens:read": "Read vault tokens, without their values",
    "tokens:search": "Find vault tokens by their values",
    "tokens:write": "Take values into the vault, and change and delete vault tokens",
    "transfers:read": "Read transfers, top-ups and withdrawals",
    "transfers:write": "Move money between wallets, and in and out of them",
    "users:read": "Read who can sign in",
    "users:write": "Let people in and out: create, invite, disable, unlock and sign out users",
    "wallets:read": "Read wallets, balances and aliases",
    "wallets:write": "Open, change, freeze and close wallets",
    "webhooks:read": "Read webhook endpoints and what was delivered to them",
    "webhooks:write": "Register and change webhook endpoints, and have events delivered again",
}
"""What an API client of a tenant may be allowed."""

PLATFORM_SCOPES: Final[dict[str, str]] = {
    "platform:audit:read": "Read what operators have done",
    "platform:tenants:read": "Read the tenants of this deployment",
    "platform:tenants:write": "Create, change, suspend and delete tenants",
    "platform:users:read": "Read who the operators are",
    "platform:users:write": "Invite, disable and sign out operators",
}
"""What a platform operator may be allowed."""


OPENID_SCOPES: Final[dict[str, str]] = {
    "openid": "Sign people in",
    "profile": "Read the name of whoever signs in",
    "offline_access": "Go on while nobody is signed in",
}
"""What a client may ask of people who sign in (OpenID Connect Core, sections 5.4 and 11); no operation asks for it.

There is no ``email``: people sign in by a name, the server knows no mail address of theirs that anybody has verified,
and what isn't known can't be told.
"""


OPEN_BANKING_SCOPES: Final[dict[str, str]] = {
    "accounts": "Read accounts of customers, by their consents",
    "fundsconfirmations": "Ask whether there are funds, by consents of customers",
    "payments": "Initiate payments, by consents of customers",
}
"""What a licensed third party may ask for, by the names of the UK's standard.

For itself, a client makes consents with them; for a customer, each opens what one consent is about.
"""


class OAuthRefusal(Exception):
    """A refusal of the token endpoint (RFC 6749, section 5.2).

    Attributes:
        error: The code that the RFC names.
        description: For the developer of the client; says nothing about who exists.
        basic: Whether the client came with HTTP Basic, and so must be challenged by it.
        headers: Further headers of the answer.
    """

    def __init__(
        self, error: str, description: str, *, basic: bool = False, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.basic = basic
        self.headers = headers or {}


def read_form(body: bytes) -> dict[str, str]:
    """Return the parameters of a form, each of which may occur once; empty ones count as absent (section 3.2).

    Raises:
        OAuthRefusal: ``invalid_request``: it is no form, or a parameter is repeated.
    """
    parameters: dict[str, str] = {}
    seen: set[str] = set()
    try:
        text = body.decode("ascii")
        for part in filter(None, text.split("&")):
            name, _, value = part.partition("=")
            if "%" in part or "+" in part:
                name, value = unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")
            if name in seen:
                raise OAuthRefusal("invalid_request", "a parameter occurs twice")
            seen.add(name)
            if value:
                parameters[name] = value
    except UnicodeDecodeError:
        raise OAuthRefusal("invalid_request", "the form isn't valid") from None
    return parameters


_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")


def granted_scopes(asked: str | None, allowed: Iterable[str]) -> list[str]:
    """Return the scopes that a token gets: those that were asked for, or all (section 3.3).

    Raises:
        OAuthRefusal: ``invalid_scope``: the text isn't a list of scopes, or one isn't allowed to this client.
    """
    allowed = frozenset(allowed)
    if asked is None:
        return sorted(allowed)
    if not _SCOPE.fullmatch(asked):
        raise OAuthRefusal("invalid_scope", "the scope isn't a list of scopes")
    wanted = set(asked.split(" "))
    if not wanted <= allowed:
        raise OAuthRefusal("invalid_scope", "the client isn't allowed a scope that it asks for")
    return sorted(wanted)


def unknown_scopes(scopes: Iterable[str], *, platform: bool) -> list[str]:
    """Return those of the scopes that there aren't in the realm."""
    known = PLATFORM_SCOPES if platform else {**TENANT_SCOPES, **OPEN_BANKING_SCOPES}
    return sorted(set(scopes) - known.keys() - OPENID_SCOPES.keys())
