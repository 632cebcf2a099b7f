"""How a consent that is locked is taken one step on, with all that ends by that and all that tells of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.consents import queries, rules
from billfold_server.consents.ending import end_grants
from billfold_server.consents.rows import Consent
from billfold_server.consents.rules import By, Event, Status
from billfold_server.consents.telling import EVENT_TYPES, Change, step_of, tell
from billfold_server.db.sets import Write
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["WHY", "changed_by", "next_status", "note_refused", "stepped", "take"]

# Of a customer who has to come back, whoever uses a token is told so, and by the same grant.
_ENDS_GRANTS: Final[frozenset[Event]] = frozenset({"refuse", "revoke", "lapse", "expire"})
WHY: Final = "the consent has ended"
"""Why grants end with it; what staff says of that stays with the consent."""


def next_status(consent: Consent, event: Event) -> Status:
    """Return what an event makes of a consent.

    Raises:
        errors.ConsentTransitionRefused: It can't happen to it, or not any more.
    """
    try:
        return rules.next_status(consent.kind, consent.status, event)
    except errors.ConsentTransitionRefused as refusal:
        refusal.facts["consent_id"] = consent.wire_id
        raise


def stepped(
    consent: Consent, event: Event, caller: Caller, *, by: By, now: datetime, reason: str | None = None
) -> Change:
    """Return what a step makes of a consent."""
    status = next_status(consent, event)
    reason = reason or rules.ENDED.get(event)
    over = status in rules.FINAL
    changed = msgspec.structs.replace(
        consent,
        status=status,
        status_reason=reason,
        ended_by=by if over else None,
        ended_at=now if over else None,
    )
    return changed_by(consent, changed, event, caller, by=by, now=now, reason=reason)


def changed_by(
    former: Consent,
    changed: Consent,
    event: Event,
    caller: Caller,
    *,
    by: By,
    now: datetime,
    reason: str | None = None,
) -> Change:
    """Return what is told of a consent that an event has changed."""
    changed = msgspec.structs.replace(changed, status_updated_at=now, version=former.version + 1)
    times = (changed.ends_at, changed.reauthenticate_by) if changed.ended_at is None else ()
    fresh = [each for each in times if each is not None and each not in (former.ends_at, former.reauthenticate_by)]
    step = step_of(event, caller, by=by, now=now, from_status=former.status, to_status=changed.status, reason=reason)
    return Change(caller=caller, consent=changed, type=EVENT_TYPES[event], step=step, due=fresh)


async def note_refused(
    tx: TenantTx,
    caller: Caller,
    consent_id: UUID,
    status: Status,
    event: str,
    *,
    by: By,
    now: datetime,
    facts: Mapping[str, Any],
    reason: str | None = None,
) -> None:
    """Add a step that wasn't taken to a consent's history, or count it there; the audit has the first of its kind."""
    step = step_of(event, caller, by=by, now=now, from_status=status, to_status=None, reason=reason)
    if await queries.note_refused(tx, consent_id, step) > 1:
        return
    wire_id = ids.encode(Prefix.CONSENT, consent_id)
    entry = audit.new_record(caller, "consent.step_refused", wire_id, facts={**facts, "by": by}, reason=reason)
    await audit.record(tx, entry)


async def take(
    tx: TenantTx,
    caller: Caller,
    consent: Consent,
    event: Event,
    *,
    by: By,
    now: datetime,
    reason: str | None = None,
    rows: Sequence[Write] = (),
) -> Consent:
    """Take a consent that is locked one step on."""
    change = stepped(consent, event, caller, by=by, now=now, reason=reason)
    if event in _ENDS_GRANTS:
        await end_grants(tx, WHY, consent_id=consent.id, caller=caller)
    await tell(tx, [change], rows=[queries.update(change.consent), *rows])
    return change.consent
