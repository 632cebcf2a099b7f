"""Sends notifications to third parties, at least once and of each resource in order, until they are taken or given up.

There is one job per third party, which waits for nobody but its endpoint (``JobKind.apart``). It notes what came of
each notification on its own: a process that is killed sends again what it hadn't noted, as the same token. An attempt
that fails is made again later, on the tenant's clock; what is given up after some three days can still be polled.
"""

import asyncio
import functools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
import structlog
from msgspec import UNSET, UnsetType

from billfold import errors, ids
from billfold.contract import events
from billfold.contract.events import EventSubscriptionEventData, EventType
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.consents import service as consents
from billfold_server.db import outbox
from billfold_server.db.jobs import JobRun, NewJob
from billfold_server.http.services import Services
from billfold_server.identity import service as identity
from billfold_server.open_banking.events import queries, tokens
from billfold_server.open_banking.events.rows import Notification, Pause, Subscription
from billfold_server.open_banking.events.rules import endpoint_of, refusal_in
from billfold_server.outbound.service import Answer, Failure, Outbound, Sending, send_again_at
from billfold_server.tenancy import clock
from billfold_server.tenancy.context import SYSTEM
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["PUSH_JOB", "push", "push_job", "tell"]

log = structlog.get_logger(__name__)

PUSH_JOB: Final = "open_banking.push"
_BATCH: Final = 12
_KEPT_OUT: Final = timedelta(hours=1)
"""After how long it is seen whether a third party is still kept out, be it blocked or its client disabled."""
_TAKEN: Final = 202
_UNSENT: Final = Failure(cause="error", took_s=0.0)


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
    sending = Sending(run, outbound, lane=client_id)
    while True:
        async with run.tx() as tx:
            subscription, due = await _due(run, tx, client_id, sending)
        if subscription is None:
            return
        pushing = (_push(run, services, sending, subscription, each) for each in due)
        ended = await asyncio.gather(*pushing, return_exceptions=True)
        failed = [(each, error) for each, error in zip(due, ended, strict=True) if error is not None]
        await _reckon(run, services, subscription, failed)


async def _stands(was: Subscription, tx: TenantTx) -> bool:
    """Tell whether a subscription is as it was, and its third party still let in."""
    found = await queries.find_of_client(tx, was.client_id)
    same = found is not None and (found.id, found.updated_at) == (was.id, was.updated_at)
    return same and await _is_let_in(tx, was.client_id)


async def _reckon(
    run: JobRun, services: Services, subscription: Subscription, failed: Sequence[tuple[Notification, BaseException]]
) -> None:
    """Deal with what couldn't be sent or noted for reasons of our own, once nothing of the batch is under way any more.

    What passes by itself, such as keys out of reach, fails the job, which comes back. Anything else is an attempt of
    that notification, so that it holds up no other one for ever.
    """
    passing = [error for _, error in failed if isinstance(error, errors.ProblemError)]
    for notification, error in failed:
        if not isinstance(error, Exception):
            raise error
        log.warning("event_not_sent", tenant=run.tenant.slug, notification=str(notification.id), exc_info=error)
        if error not in passing:
            async with run.tx() as tx:
                await _note(tx, subscription, notification, _UNSENT, real_now=services.clock.now())
    if passing:
        raise passing[0]


async def _due(
    run: JobRun, tx: TenantTx, client_id: UUID, sending: Sending
) -> tuple[Subscription | None, Sequence[Notification]]:
    """Return what is to be sent now and where; where that is nothing, the job is finished or put off."""
    found = await queries.find_of_client(tx, client_id)
    subscription = None if found is None else await queries.lock(tx, found.id)
    if subscription is None or subscription.callback_url is None or not subscription.pushes:
        await queries.disarm(tx, client_id)
        await run.finish(tx)
        return None, []
    url, stands = endpoint_of(subscription.callback_url), functools.partial(_stands, subscription)
    now = await sending.begin(tx, url, subscription.wire_id, stands)
    let_in = await _is_let_in(tx, client_id)
    due = await queries.due(tx, client_id, now, _BATCH) if let_in and not sending.is_over else []
    if due:
        return subscription, due
    # What it isn't told while it is kept out it is told once it is let in again, which it may never be.
    next_at = await queries.next_due_at(tx, client_id)
    await sending.end(tx, next_at, not_before=now if let_in else now + _KEPT_OUT)
    return None, []


async def _is_let_in(tx: TenantTx, client_id: UUID) -> bool:
    """Tell whether a third party is neither blocked nor without a client that may sign in."""
    client = await identity.find_client(tx, client_id)
    return (client is None or client.is_let_in) and await consents.is_admitted(tx, client_id)


async def _push(
    run: JobRun, services: Services, sending: Sending, subscription: Subscription, notification: Notification
) -> None:
    """Push one, unless it isn't to be sent now."""
    token = await tokens.fresh(services, run.tenant, notification.token)
    headers = {
        "Content-Type": tokens.MEDIA_TYPE,
        "Accept": "application/json",
        "x-fapi-financial-id": run.tenant.manifest.open_banking.financial_id or run.tenant.slug,
        "x-fapi-interaction-id": str(notification.id),
    }
    async with sending.place() as is_sent:
        if not is_sent:
            return
        said = await sending.post(headers=headers, body=token.encode())
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
    """Write down what came of one attempt.

    The subscription comes first, as it does for whoever changes it: of two who take the same rows in different orders,
    one would be thrown out.
    """
    held = await queries.lock(tx, subscription.id)
    state = await clock.read_clock(tx)
    now = state.now
    if isinstance(said, Answer) and said.status == _TAKEN:
        await queries.end(tx, notification.client_id, [notification.id], "acknowledged", now=now, by="push")
        await queries.take(tx, notification.client_id, now)
        return
    if held is not None and held.callback_url != subscription.callback_url:
        # What waits has begun anew at another address, where nobody has said yet how long to be left alone.
        return
    # Whoever says anew where to push to has three days anew, however old what waits is.
    begun_at = max(notification.created_at, subscription.updated_at)
    next_at = send_again_at(said, attempt=notification.attempts + 1, begun_at=begun_at, clock=state, real_now=real_now)
    error = refusal_in(said.status, said.body) if isinstance(said, Answer) else None
    if next_at is not None:
        noted = await queries.retry(tx, notification, result=said.result, error=error, now=now, next_at=next_at)
    else:
        noted = await queries.bury(tx, notification, result=said.result, error=error, now=now)
    if not noted or held is None or not held.pushes:
        return
    if said.is_gone:
        await _pause(tx, held, "gone", now)
    elif next_at is None and (held.taken_at is None or held.taken_at < begun_at):
        # An endpoint that has taken something since then doesn't like this one; one that hasn't is away.
        await _pause(tx, held, "unresponsive", now)


async def _pause(tx: TenantTx, held: Subscription, because: Pause, now: datetime) -> None:
    """Push nothing more until the third party says where to, and tell the tenant of it."""
    await queries.pause(tx, held.id, because, now)
    await queries.disarm(tx, held.client_id)
    log.warning("event_subscription_paused", tenant=tx.tenant.slug, subscription=held.wire_id, because=because)
    facts = {"because": because}
    await audit.record(tx, audit.new_record(SYSTEM, "event_subscription.paused", held.wire_id, facts=facts))
    await tell(tx, held, events.EVENT_SUBSCRIPTION_PAUSED, now, because=because)


async def tell(
    tx: TenantTx,
    subscription: Subscription,
    what: EventType[EventSubscriptionEventData],
    now: datetime,
    because: str | UnsetType = UNSET,
) -> None:
    """Write the event that tells the tenant of a subscription, without its address."""
    client_id = ids.encode(Prefix.CLIENT, subscription.client_id)
    data = EventSubscriptionEventData(id=subscription.wire_id, client_id=client_id, because=because)
    await outbox.emit(tx, outbox.new_event(what, subscription.wire_id, data, now))
