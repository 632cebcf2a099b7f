"""What consents of every kind say of themselves at this interface."""

from typing import Any, Final
from uuid import UUID

from msgspec import UNSET, UnsetType

from billfold import errors, ids
from billfold.contract.open_banking.common import OBStatusReason
from billfold.ids import Prefix
from billfold_server.consents import service as consents
from billfold_server.consents.service import Consent, ConsentKind
from billfold_server.http.routing import Call

__all__ = ["end_own", "own", "read_id", "said_of", "status_reasons"]

_REASONS: Final[dict[str, tuple[str | None, str]]] = {
    "AWAU": ("U036", "The customer has not authorised it yet."),
    "RJCT": ("U033", "It was refused, or not authorised in time."),
    "CANC": (None, "It was cancelled."),
    "EXPD": (None, "Its time has run out."),
}
"""Why a consent stands where it does, by a code of the standard where there is one. What staff writes is the bank's."""


def status_reasons(consent: Consent) -> list[OBStatusReason] | UnsetType:
    """Return why a consent stands where it does, or nothing where it is authorised."""
    code, words = _REASONS.get(consent.status, (None, ""))
    if not words:
        return UNSET
    return [OBStatusReason(status_reason_code=code or UNSET, status_reason_description=words)]


def said_of(consent: Consent) -> dict[str, Any]:
    """Return the members that every consent's answer has."""
    return {
        "consent_id": consent.wire_id,
        "creation_date_time": consent.created_at,
        "status": consent.status,
        "status_reason": status_reasons(consent),
        "status_update_date_time": consent.status_updated_at,
    }


def read_id(text: str) -> UUID:
    """Return the id of a consent.

    Raises:
        errors.ConsentNotFound: It can't be one.
    """
    try:
        return ids.decode(Prefix.CONSENT, text)
    except ids.InvalidIdError:
        raise errors.ConsentNotFound("there is no such consent", param="ConsentId") from None


async def own(call: Call, consent_id: str, kind: ConsentKind) -> Consent:
    """Return the caller's own consent as it stands.

    Raises:
        errors.ConsentNotFound: There is none of this kind.
        errors.ConsentOfAnother: It is another third party's.
        errors.ThirdPartyBlocked: The bank has blocked the third party.
    """
    async with call.tx() as tx:
        consent = await consents.get(tx, read_id(consent_id), client_id=call.caller.client_id)
    if consent.kind != kind:
        raise errors.ConsentNotFound("there is no such consent", param="ConsentId")
    return consent


async def end_own(call: Call, consent_id: str, kind: ConsentKind) -> None:
    """End the caller's own consent. That it was tried in vain is written down.

    Raises:
        errors.ConsentNotFound: There is none of this kind.
        errors.ConsentOfAnother: It is another third party's.
        errors.ThirdPartyBlocked: The bank has blocked the third party.
        errors.ConsentTransitionRefused: It has ended before.
    """
    consent = await own(call, consent_id, kind)
    try:
        async with call.tx() as tx:
            await consents.revoke(tx, consent.id, actor=call.caller, by="tpp", reason=None)
    except errors.ConsentTransitionRefused as refusal:
        await consents.record_refused(call.services.database, call.tenant, call.caller, refusal, by="tpp")
        raise
