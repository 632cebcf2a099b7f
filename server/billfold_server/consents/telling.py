"""Writes what happens to consents: the rows, their history, the audit and the event, by one statement."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from billfold import ids
from billfold.contract import events
from billfold.contract.events import ConsentEventData, EventType
from billfold_server.audit import service as audit
from billfold_server.audit.service import NewAuditRecord
from billfold_server.consents.rows import Consent, Step
from billfold_server.consents.rules import By, Event, Status
from billfold_server.consents.standing import told_of
from billfold_server.consents.stores import step_writes
from billfold_server.db import jobs, outbox
from billfold_server.db.jobs import NewJob
from billfold_server.db.outbox import NewEvent
from billfold_server.db.sets import Write, write_all
from billfold_server.db.wakeups import Work
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["CLIENT_JOB", "DUE_JOB", "EVENT_TYPES", "Change", "ClientEnded", "Due", "due_job", "step_of", "tell"]

DUE_JOB: Final = "consents.due"

EVENT_TYPES: Final[dict[Event, EventType[ConsentEventData]]] = {
    "authorise": events.CONSENT_AUTHORISED,
    "reauthenticate": events.CONSENT_REAUTHENTICATED,
    "require_reauthentication": events.CONSENT_REAUTHENTICATION_REQUIRED,
    "refuse": events.CONSENT_REFUSED,
    "consume": events.CONSENT_CONSUMED,
    "revoke": events.CONSENT_REVOKED,
    "lapse": events.CONSENT_LAPSED,
    "expire": events.CONSENT_EXPIRED,
}
"""What the stream of events says of each step; the beginning is ``consent.created``."""


CLIENT_JOB: Final = "consents.end_client"


class ClientEnded(msgspec.Struct, frozen=True):
    """The payload of the job that ends what was allowed to a client.

    Attributes:
        client_id: ``cli_…``.
        at: When it was disabled or deleted, on the tenant's clock. What customers allow it later, once it is let in
            again, isn't meant. Jobs of before have none.
    """

    client_id: str
    at: datetime | None = None


class Due(msgspec.Struct, frozen=True):
    """The payload of the job that does what time asks for."""

    consent_id: str


def due_job(consent: Consent, due_at: datetime) -> NewJob:
    """Return the job that looks at a consent when its time has come."""
    payload = msgspec.json.encode(Due(consent.wire_id))
    key = f"{consent.wire_id}/{due_at.isoformat()}"
    return NewJob(id=ids.uuid7(), kind=DUE_JOB, due_at=due_at, payload=payload, dedup_key=key)


def step_of(
    event: str,
    caller: Caller,
    *,
    by: By,
    now: datetime,
    from_status: Status | None,
    to_status: Status | None,
    reason: str | None = None,
) -> Step:
    """Return a step as the history has it. Arguments are ``Step``'s."""
    return Step(
        id=ids.uuid7(),
        event=event,
        from_status=from_status,
        to_status=to_status,
        done_by=by,
        actor=caller.actor,
        reason=reason,
        request_id=caller.request_id,
        happened_at=now,
        last_at=now,
        times=1,
    )


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What has happened to a consent.

    Attributes:
        caller: Who has done it.
        consent: As it is from now on.
        type: Of the event, and the audit's action.
        step: For the history.
        due: When to look at it again.
    """

    caller: Caller
    consent: Consent
    type: EventType[ConsentEventData]
    step: Step
    due: Sequence[datetime] = ()


async def tell(tx: TenantTx, changes: Sequence[Change], *, rows: Sequence[Write]) -> None:
    """Write changes of consents with everything that tells of them, the last thing of their transaction.

    Whoever has numbered an event holds up everybody who has one to write, so what else is locked is locked before. The
    event says what and why in codes alone; words are the bank's, and stay in the history and the audit.

    Args:
        tx: The tenant's transaction.
        changes: What has happened.
        rows: What writes the consents themselves.
    """
    due = [due_job(each.consent, at) for each in changes for at in each.due]
    # One statement: its parts see the same snapshot, and rows come before what refers to them.
    await write_all(
        tx,
        [
            *rows,
            *step_writes([(each.consent.id, each.step) for each in changes]),
            *jobs.writes(due),
            *audit.writes([_record(each) for each in changes]),
            *outbox.writes([_event(each) for each in changes]),
        ],
    )
    tx.wake(Work.EVENTS | Work.JOBS if due else Work.EVENTS)


def _record(change: Change) -> NewAuditRecord:
    step = change.step
    facts = {"kind": change.consent.kind, "from": step.from_status, "to": step.to_status, "by": step.done_by}
    return audit.new_record(change.caller, change.type.name, change.consent.wire_id, reason=step.reason, facts=facts)


def _event(change: Change) -> NewEvent:
    consent = change.consent
    return outbox.new_event(
        change.type, consent.wire_id, told_of(consent, change.step.done_by), change.step.happened_at
    )
