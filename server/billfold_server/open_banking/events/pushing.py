"""Sends notifications to third parties, at least once and of each resource in order, until they are taken or given up.

There is one job per third party, which waits for nobody but its endpoint (``JobKind.apart``). It notes what came of
each notification on its own: a process that is killed sends again what it hadn't noted, as the same token. An attempt
that fails is made again later, on the tenant's clock; what is given up after some three days can still be polled.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
import structlog

from billfold import ids
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db import outbox
from billfold_server.db.jobs import JobRun, NewJob
from billfold_server.db.outbox import NewEvent
from billfold_server.http.services import Services
from billfold_server.open_banking.events import queries, tokens
from billfold_server.open_banking.events.rows import Notification, Pause, Subscription
from billfold_server.open_banking.events.rules import endpoint_of
from billfold_server.outbound.service import Answer, Failure, Outbound, next_attempt_at, read_retry_after
from billfold_server.tenancy import clock
from billfold_server.tenancy.context import SYSTEM
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["PUSH_JOB", "TIMEOUT_S", "push", "push_job", "tell"]

log = structlog.get_logger(__name__)

PUSH_JOB: Final = "open_banking.push"
TIMEOUT_S: Final = 180
"""How long one run may take; it stops beginning new batches long before."""

_BEGIN_S: Final = 60.0
_BATCH: Final = 12
_TAKEN: Final = 202
_GONE: Final = 410

# An instance of its own: the module's state is everybody's, and tests that draw by chance must be repeatable.
_CHANCE = random.Random()  # noqa: S311 - It only has to differ.
_STEADY: Final = 0.5
"""What chance is under a test clock, so that each run is like the one before."""


class Push(msgspec.Struct, frozen=True):
    """The payload of the job."""

    client_id: str


def push_job(client_id: UUID, due_at: datetime) -> NewJob:
    """Return the job that sends a third party what it hasn't read."""
    wire_id = ids.encode(Prefix.CLIENT, client_id)
    payload = msgspec.json.encode(Push(wire_id))
    return NewJob(id=ids.uuid7(), kind=PUSH_JOB, due_at=due_at, payload=payload, dedup_key=wire_id)


async def push(run: JobRun, services: Services, outbound: Outbound) -> None:
    """Send what is due until nothing is, then come back when something will be."""
    client_id = ids.decode(Prefix.CLIENT, run.job.read(Push).client_id)
    begun = time.monotonic()
    while True:
        async with run.tx() as tx:
            subscription, due = await _due(run, tx, client_id, late=time.monotonic() - begun > _BEGIN_S)
        if subscription is None:
            return
        await asyncio.gather(*(_deliver(run, services, outbound, subscription, each) for each in due))


async def _due(
    run: JobRun, tx: TenantTx, client_id: UUID, *, late: bool
) -> tuple[Subscription | None, Sequence[Notification]]:
    """Return what is to be sent now and where; where that is nothing, the job is finished or put off.

    While this transaction holds the subscription nobody adds to it, so nothing is left behind without a job.
    """
    found = await queries.find_of_client(tx, client_id)
    subscription = None if found is None else await queries.lock(tx, found.id)
    if subscription is None or not subscription.pushes:
        await queries.disarm(tx, client_id)
        await run.finish(tx)
        return None, []
    now = await clock.tenant_now(tx)
    due = [] if late else await queries.due(tx, client_id, now, _BATCH)
    if due:
        return subscription, due
    next_at = await queries.next_due_at(tx, client_id)
    if next_at is None:
        await run.finish(tx)
    else:
        await run.postpone(tx, next_at)
    return None, []


async def _deliver(
    run: JobRun, services: Services, outbound: Outbound, subscription: Subscription, notification: Notification
) -> None:
    assert subscription.callback_url is not None, "only what has an endpoint is pushed to"
    tenant = run.tenant
    token = await tokens.fresh(services, tenant, notification.token)
    headers = {
        "Content-Type": tokens.MEDIA_TYPE,
        "Accept": "application/json",
        "x-fapi-financial-id": tenant.manifest.open_banking.financial_id or tenant.slug,
        "x-fapi-interaction-id": str(notification.id),
    }
    said = await outbound.post(tenant, endpoint_of(subscription.callback_url), headers=headers, body=token.encode())
    async with run.tx() as tx:
        await _note(tx, subscription, notification, said, real_now=services.clock.now())


async def _note(
    tx: TenantTx,
    subscription: Subscription,
    notification: Notification,
    said: Answer | Failure,
    *,
    real_now: datetime,
) -> None:
    """Write down what came of one attempt."""
    state = await clock.read_clock(tx)
    now = state.now
    if isinstance(said, Answer) and said.status == _TAKEN:
        await queries.end(tx, notification.client_id, [notification.id], "acknowledged", now=now, by="push")
        await queries.take(tx, notification.client_id, now)
        return
    result = str(said.status) if isinstance(said, Answer) else said.cause
    next_at = next_attempt_at(
        attempt=notification.attempts + 1,
        begun_at=notification.created_at,
        now=now,
        jitter=_CHANCE.random() if state.is_real else _STEADY,
        retry_after=read_retry_after(said.headers.get("retry-after"), real_now) if isinstance(said, Answer) else None,
    )
    if next_at is not None:
        await queries.retry(tx, notification.id, result=result, now=now, next_at=next_at)
    else:
        await queries.bury(tx, notification.id, result=result, now=now)
    gone = isinstance(said, Answer) and said.status == _GONE
    if gone or (next_at is None and not await _took_since(tx, subscription, notification.created_at)):
        await _pause(tx, subscription, "gone" if gone else "unresponsive", now)


async def _took_since(tx: TenantTx, subscription: Subscription, since: datetime) -> bool:
    """Tell whether an endpoint has taken anything since then: if so, it is one notification that it doesn't like."""
    found = await queries.lock(tx, subscription.id)
    return found is not None and found.taken_at is not None and found.taken_at >= since


async def _pause(tx: TenantTx, subscription: Subscription, because: Pause, now: datetime) -> None:
    """Push nothing more until the third party says where to, and tell the tenant of it."""
    found = await queries.lock(tx, subscription.id)
    if found is None or not found.pushes or found.callback_url != subscription.callback_url:
        return
    await queries.pause(tx, found.id, because, now)
    await queries.disarm(tx, found.client_id)
    log.warning("event_subscription_paused", tenant=tx.tenant.slug, subscription=found.wire_id, because=because)
    facts = {"because": because}
    await audit.record(tx, audit.new_record(SYSTEM, "event_subscription.paused", found.wire_id, facts=facts))
    await tell(tx, found, "paused", now, because=because)


async def tell(tx: TenantTx, subscription: Subscription, what: str, now: datetime, **more: str) -> None:
    """Write the event that tells the tenant of a subscription, without its address."""
    data = {"id": subscription.wire_id, "client_id": ids.encode(Prefix.CLIENT, subscription.client_id), **more}
    event = NewEvent(
        id=ids.uuid7(),
        type=f"event_subscription.{what}",
        object_id=subscription.wire_id,
        data=msgspec.json.encode(data),
        occurred_at=now,
    )
    await outbox.emit(tx, event)
