"""Detached signatures of messages: the client's under requests, the bank's under answers.

A compact JWS without its middle part (RFC 7515, appendix F) whose payload is the body to the byte, in base64url. There
is no ``b64`` in its header: that was taken out of the standard. Three claims stand in the header and are critical.
Algorithm and key are chosen on this side: PS256, and among the keys that the client has registered the one that ``kid``
names.

Source: Open Banking Read/Write API Profile 4.0, message signing.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from billfold import errors
from billfold.contract.common import Violation
from billfold_server.http.routing import Call
from billfold_server.identity.service import Client, DetachedRefused, read_detached

if TYPE_CHECKING:
    from billfold_server.http.services import Services
    from billfold_server.tenancy.context import TenantRef

__all__ = ["HEADER", "IAT", "ISS", "TAN", "begin", "check", "make"]

HEADER: Final = "x-jws-signature"
IAT: Final = "http://openbanking.org.uk/iat"
ISS: Final = "http://openbanking.org.uk/iss"
TAN: Final = "http://openbanking.org.uk/tan"
CRITICAL: Final = (IAT, ISS, TAN)

_DIRECTORY: Final = "openbanking.org.uk"
_SKEW_S: Final = 10
_LONGEST_S: Final = 24 * 3600
_CONTENT: Final = frozenset({"json", "application/json", "application/json-patch+json", "json-patch+json"})


async def check(call: Call) -> None:
    """Refuse a request whose body its client hasn't signed.

    Raises:
        errors.MessageSignatureInvalid: Its ``fault`` says what is wrong.
    """
    text = call.headers.get(HEADER)
    if text is None:
        raise _refusal("missing")
    try:
        message = read_detached(text, critical=CRITICAL)
    except DetachedRefused as refused:
        raise _refusal(refused.fault, *refused.claims) from None
    client = await call.services.identity.client_of(call.tenant, call.caller.client_id)
    if client is None:
        raise _refusal("invalid")
    check_claims(message.header, client, issuer=call.base_url, now=call.services.clock.now())
    try:
        message.verify(call.body, client.jwks)
    except DetachedRefused as refused:
        raise _refusal(refused.fault, *refused.claims) from None


def check_claims(header: dict[str, Any], client: Client, *, issuer: str, now: datetime) -> None:
    """Refuse what a header claims, where it can't be true of this client and this moment.

    Args:
        header: The header, with the three claims in it.
        client: Who has sent it.
        issuer: The tenant's base URL, whose host may stand for the anchor of trust.
        now: The real time.

    Raises:
        errors.MessageSignatureInvalid: A claim isn't true.
    """
    iat, iss, tan = (header.get(name) for name in CRITICAL)
    content = header.get("cty", "json")
    if header.get("typ", "JOSE") != "JOSE":
        raise _refusal("claim_invalid", "typ")
    if not isinstance(content, str) or content not in _CONTENT:
        raise _refusal("claim_invalid", "cty")
    if not isinstance(iat, int | float) or isinstance(iat, bool):
        raise _refusal("claim_invalid", IAT)
    # Compared and not subtracted, because a number may be longer than any float.
    if not now.timestamp() - _LONGEST_S <= iat <= now.timestamp() + _SKEW_S:
        raise _refusal("claim_invalid", IAT)
    if not isinstance(iss, str) or not _is_name_of(client, iss):
        raise _refusal("claim_invalid", ISS)
    if not isinstance(tan, str) or tan.lower() not in {_DIRECTORY, _host(issuer), _host(client.registered_by)}:
        raise _refusal("claim_invalid", TAN)


@lru_cache(maxsize=1024)
def _host(url: str | None) -> str | None:
    """Return the host of an address. There are few of them: the tenants' own, and their directories'."""
    return None if url is None else urlsplit(url).hostname


def _is_name_of(client: Client, iss: str) -> bool:
    """Tell whether a name is a client's: its id, or <organisation>/<software> or <software> as its directory has it."""
    organisation, between, software = iss.rpartition("/")
    if between and (client.organisation_id is None or organisation != client.organisation_id):
        return False
    return software in {client.client_id, client.software_id}


_BEGUN: Final = "signature"


def begin(call: Call, body: bytes) -> None:
    """Begin to sign what may become the answer to a request; the signature is used if it does, to the byte.

    Nor is it used if its key has been withdrawn before the answer is sent.
    """
    identity, tenant = call.services.identity, call.tenant
    realm = identity.realm(tenant)
    call.memo[_BEGUN] = identity.begin_detached(realm, body, _claims(call.services, tenant, realm.issuer))


async def make(services: "Services", tenant: "TenantRef", body: bytes, memo: Mapping[str, Any] | None = None) -> str:
    """Return the bank's signature of an answer, which its JWKS verifies for years.

    Args:
        services: The process's parts.
        tenant: The tenant.
        body: The answer, to the byte.
        memo: What the handling of the request has left, such as a signature that was begun.

    Raises:
        errors.KeysUnavailable: The key that signs can't be opened now.
    """
    identity, begun = services.identity, (memo or {}).get(_BEGUN)
    realm = identity.realm(tenant)
    return await identity.sign_detached(realm, body, _claims(services, tenant, realm.issuer), begun)


def _claims(services: "Services", tenant: "TenantRef", issuer: str) -> dict[str, Any]:
    return {
        IAT: int(services.clock.now().timestamp()),
        ISS: tenant.manifest.open_banking.financial_id or issuer,
        TAN: _host(issuer),
    }


def _refusal(fault: str, *claims: str) -> errors.MessageSignatureInvalid:
    """Return the refusal, which blames the claims by name; where it is none of them, the message names the header."""
    reason = f"{HEADER}: {_WHY[fault]}"
    refused = errors.MessageSignatureInvalid(reason, fault=fault)
    if claims:
        refused.__dict__["violations"] = [Violation(param=claim, reason=reason) for claim in claims]
    return refused


_WHY: Final = {
    "missing": "the message has to be signed, and isn't",
    "malformed": "it isn't a detached signature",
    "claim_missing": "its header lacks a claim",
    "claim_invalid": "its header has a claim that it can't have",
    "invalid": "it isn't this message's signature by the key that it names",
}
