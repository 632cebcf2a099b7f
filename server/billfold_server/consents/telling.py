"""Writes what happens to consents: the rows, their history, the audit and the event, by one statement."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.consents import queries
from billfold_server.consents.rows import Consent, Step
from billfold_server.consents.rules import By, Event, Status
from billfold_server.db import jobs, outbox
from billfold_server.db.jobs import NewJob
from billfold_server.db.outbox import NewEvent
from billfold_server.db.sets import Write, write_all
from billfold_server.db.wakeups import Work
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["CLIENT_JOB", "DUE_JOB", "EVENT_TYPES", "ClientEnded", "Due", "due_job", "step_of", "tell"]

DUE_JOB: Final = "consents.due"

EVENT_TYPES: Final[dict[Event, str]] = {
    "authorise": "consent.authorised",
    "reauthenticate": "consent.reauthenticated",
    "require_reauthentication": "consent.reauthentication_required",
    "refuse": "consent.refused",
    "consume": "consent.consumed",
    "revoke": "consent.revoked",
    "lapse": "consent.lapsed",
    "expire": "consent.expired",
}
"""What the stream of events says of each step; the beginning is ``consent.created``."""


CLIENT_JOB: Final = "consents.end_client"


class ClientEnded(msgspec.Struct, frozen=True):
    """The payload of the job that ends what was allowed to a client."""

    client_id: str


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


async def tell(
    tx: TenantTx,
    caller: Caller,
    consent: Consent,
    type_: str,
    step: Step,
    *,
    rows: Sequence[Write],
    due: Sequence[datetime] = (),
) -> None:
    """Write a change of a consent with everything that tells of it.

    The event says what and why in codes alone; words are the bank's, and stay in the history and the audit.

    Args:
        tx: The tenant's transaction.
        caller: Who acts.
        consent: As it is from now on.
        type_: Of the event, and the audit's action.
        step: For the history.
        rows: What writes the consent itself.
        due: When to look at it again.
    """
    data = {
        "id": consent.wire_id,
        "kind": consent.kind,
        "status": consent.status,
        "client_id": ids.encode(Prefix.CLIENT, consent.client_id),
        "party_id": None if consent.party_id is None else ids.encode(Prefix.PARTY, consent.party_id),
        "by": step.done_by,
    }
    event = NewEvent(
        id=ids.uuid7(),
        type=type_,
        object_id=consent.wire_id,
        data=msgspec.json.encode(data),
        occurred_at=step.happened_at,
    )
    facts = {"kind": consent.kind, "from": step.from_status, "to": step.to_status, "by": step.done_by}
    record = audit.new_record(caller, type_, consent.wire_id, reason=step.reason, facts=facts)
    # One statement: its parts see the same snapshot, and rows come before what refers to them.
    await write_all(
        tx,
        [
            *rows,
            queries.insert_step(consent.id, step),
            *jobs.writes([due_job(consent, each) for each in due]),
            *audit.writes([record]),
            *outbox.writes([event]),
        ],
    )
    tx.wake(Work.EVENTS | Work.JOBS if due else Work.EVENTS)
