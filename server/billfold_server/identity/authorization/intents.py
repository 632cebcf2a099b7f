"""Which consent of open banking a request names, and whether it may.

The UK's profile puts its id into the claim ``openbanking_intent_id``, of the ID token or of userinfo (OpenID Connect
Core, section 5.5); RFC 9396 puts it into authorization details of the type ``open_banking_consent``. One request is
about one consent, which its own client has asked for, and about nothing else: its scope is that of the consent's kind.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.consents import service as consents
from billfold_server.identity.authorization.details import Kind, Owner
from billfold_server.identity.rules import OPEN_BANKING_SCOPES, OPENID_SCOPES, OAuthRefusal

if TYPE_CHECKING:
    from billfold_server.consents.service import Consent
    from billfold_server.identity.authorization.parameters import AuthorizationRequest, ClaimRequest
    from billfold_server.identity.clients.rows import Client
    from billfold_server.tenancy.transaction import TenantTx

__all__ = ["CLAIM", "OPEN_BANKING_CONSENT", "ConsentDetails", "check", "is_answerable", "named", "scopes_for"]

CLAIM: Final = "openbanking_intent_id"
_TYPE: Final = "open_banking_consent"
_SCOPES: Final[dict[str, str]] = {
    "account_access": "accounts",
    "funds_confirmation": "fundsconfirmations",
    "domestic_payment": "payments",
    "domestic_vrp": "payments",
}
"""Which scope opens what a consent of a kind is about."""


class ConsentDetails(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A consent, as RFC 9396 names it.

    Attributes:
        type: The type of these details.
        consent_id: ``con_…``, of the client's own.
    """

    type: Literal["open_banking_consent"]
    consent_id: str


async def _is_a_customer(_tx: Any, owner: Owner, _details: ConsentDetails) -> bool:
    """Tell whether somebody is a customer at all; whose the consent is and its accounts are is seen with the page."""
    return owner.party_id is not None


OPEN_BANKING_CONSENT: Final = Kind(
    name=_TYPE,
    form=ConsentDetails,
    # The page shows the consent itself.
    describe=lambda _: (),
    is_theirs=_is_a_customer,
)


def named(
    claims: Iterable[Mapping[str, "ClaimRequest | None"]], details: Sequence[Mapping[str, Any]], scopes: Sequence[str]
) -> UUID | None:
    """Return the consent that a request names, or None where it names none.

    Args:
        claims: What is asked of the ID token and of userinfo.
        details: Authorization details that were checked.
        scopes: The scopes of the request, which without a consent can't be third parties'.

    Raises:
        OAuthRefusal: ``invalid_request``, ``invalid_scope`` or ``invalid_authorization_details``.
    """
    told = [asked[CLAIM] for asked in claims if CLAIM in asked]
    values = [value for each in told for value in (each.accepted if each is not None else [None])]
    given = [each["consent_id"] for each in details if each["type"] == _TYPE]
    found = set(filter(lambda each: isinstance(each, str), [*values, *given]))
    if not told and not given:
        if OPEN_BANKING_SCOPES.keys() & set(scopes):
            raise OAuthRefusal("invalid_request", f"{CLAIM} is required with this scope")
        return None
    if len(found) != 1 or len(values) < len(told) or not all(isinstance(each, str) for each in values):
        raise OAuthRefusal("invalid_request", f"{CLAIM} must have one value, the id of one consent")
    if len(given) < len(details):
        raise OAuthRefusal("invalid_authorization_details", "a request about a consent is about nothing else")
    try:
        return ids.decode(Prefix.CONSENT, found.pop())
    except ids.InvalidIdError:
        raise _unknown(by_claim=bool(told)) from None


def _unknown(*, by_claim: bool) -> OAuthRefusal:
    what = "isn't a consent of this client's that awaits authorisation"
    if by_claim:
        return OAuthRefusal("invalid_request", f"{CLAIM} {what}")
    return OAuthRefusal("invalid_authorization_details", f"consent_id {what}")


def scopes_for(kind: str, asked: Sequence[str], allowed: Iterable[str]) -> list[str]:
    """Return the scopes of a request about a consent: that of its kind, which is implied, and who somebody is.

    Args:
        kind: The consent's.
        asked: What the request says.
        allowed: What its client is registered for.

    Raises:
        OAuthRefusal: ``invalid_scope``.
    """
    scope = _SCOPES[kind]
    about = [each for each in asked if each not in OPENID_SCOPES]
    if about not in ([], [scope]) or scope not in set(allowed):
        raise OAuthRefusal("invalid_scope", "the scope isn't the one that the consent is for")
    return sorted({*asked, scope})


def is_answerable(consent: "Consent | None", client_id: UUID) -> bool:
    """Tell whether a client's consent waits for an answer: the first one, or that its customer authenticates anew."""
    if consent is None or consent.client_id != client_id:
        return False
    return consent.status == "AWAU" or (consent.status == "AUTH" and consents.lasts(consent.kind))


async def check(
    tx: "TenantTx", request: "AuthorizationRequest", client: "Client", *, resource: str
) -> "AuthorizationRequest":
    """Return a request with what its consent implies: scope and resource.

    A consent of another client's is as unknown as one that never was.

    Args:
        tx: The tenant's transaction.
        request: What is asked, naming a consent.
        client: Who asks, authenticated.
        resource: The one that consents open.

    Raises:
        OAuthRefusal: By the codes that the RFCs name.
    """
    assert request.consent_id is not None
    if not tx.tenant.manifest.open_banking.enabled:
        raise OAuthRefusal("invalid_scope", "the bank doesn't take third parties")
    if client.login_realm != "psu":
        raise OAuthRefusal("unauthorized_client", "the client asks the bank's staff, who give no consents")
    try:
        await consents.check_admitted(tx, client.id)
    except errors.ThirdPartyBlocked:
        raise OAuthRefusal("unauthorized_client", "the bank doesn't let this client in") from None
    consent = await consents.find(tx, request.consent_id)
    if consent is None or not is_answerable(consent, client.id):
        raise _unknown(by_claim=CLAIM in {**request.claims.id_token, **request.claims.userinfo})
    if request.resources not in ([], [resource]):
        raise OAuthRefusal("invalid_target", "what a consent is about is at another resource")
    scopes = scopes_for(consent.kind, request.scopes, client.scopes)
    return msgspec.structs.replace(request, scopes=scopes, resources=[resource])
