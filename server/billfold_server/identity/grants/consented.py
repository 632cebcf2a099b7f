"""Grants that were given by a consent of open banking: they stand, and last, no longer than it does, and end it.

A consent runs on the tenant's clock and tokens on the real one, so what is compared is how long each has left.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from billfold import errors
from billfold_server.consents import service as consents
from billfold_server.identity.grants.service import Grant, find_grant, revoke_grant, usable_grant
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller

if TYPE_CHECKING:
    from billfold_server.consents.service import By

__all__ = ["Usable", "revoke", "usable"]

_OPEN: Final = frozenset({"AWAU", "AUTH"})


class Usable(NamedTuple):
    """A grant by which something may be issued.

    Attributes:
        grant: The grant.
        until: When what is issued must end at the latest, on the real clock; None where its own life is what counts.
    """

    grant: Grant
    until: datetime | None


async def usable(tx: Any, grant_id: UUID, now: datetime) -> Usable | None:
    """Return a grant by which something may be issued, or None: it stands, and so do its user and its consent.

    Args:
        tx: The transaction of the realm.
        grant_id: Which.
        now: The real time.
    """
    grant = await usable_grant(tx, grant_id)
    if grant is None or grant.consent_id is None:
        return None if grant is None else Usable(grant, None)
    consent = await consents.find(tx, grant.consent_id)
    if consent is None or not await consents.stands(tx, grant.consent_id):
        return None
    until = now + (consent.ends_at - await tenant_now(tx))
    return Usable(grant, until) if until > now else None


async def revoke(tx: Any, grant_id: UUID, reason: str, *, by: "By", now: datetime, caller: Caller) -> bool:
    """End a grant and the consent by which it was given, and tell whether the grant had stood until now.

    What a consent becomes by that is said by what it is for: one that lasts is cancelled, a single payment that wasn't
    ordered yet is rejected, and one that was stays what it is.

    Args:
        tx: The transaction of the realm.
        grant_id: Which.
        reason: Why, in a few words for audit and history.
        by: On whose side.
        now: The real time.
        caller: Who ends it.
    """
    grant = await find_grant(tx, grant_id)
    if grant is None or grant.revoked_at is not None:
        return False
    if grant.consent_id is not None:
        # First the consent and then its grants, as everybody takes them; the consent ends them by itself.
        await _end(tx, grant.consent_id, reason, by, caller)
    await revoke_grant(tx, grant_id, reason, now=now, caller=caller)
    return True


async def _end(tx: Any, consent_id: UUID, reason: str, by: "By", caller: Caller) -> None:
    consent = await consents.find(tx, consent_id)
    if consent is None or consent.status not in _OPEN:
        return
    # Somebody else may end it between the two looks at it, which comes to the same.
    try:
        await consents.revoke(tx, consent_id, actor=caller, by=by, reason=reason)
    except errors.ConsentTransitionRefused:
        return
