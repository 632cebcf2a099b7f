"""Delivers events to endpoints, at least once, until they are taken or given up.

There is one job per endpoint, which waits for nobody but it (``JobKind.apart``). What came of a batch is written once
the batch is through: a process that is killed sends again what it hadn't noted, with the same id. Events of one object
go out in their order, those of others beside them; one that fails is tried again later and holds up none.
"""

import asyncio
import functools
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
import structlog

from billfold import ids
from billfold.contract import events
from billfold.contract.platform import Event
from billfold.contract.webhooks import WebhookDeliveryState, WebhookEndpointReason, WebhookEndpointState
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db import outbox
from billfold_server.db.jobs import JobRun, NewJob
from billfold_server.http.services import Services
from billfold_server.keys.service import Place, Sealer
from billfold_server.outbound.service import (
    AT_ONCE,
    Answer,
    Failure,
    Outbound,
    Reach,
    Standing,
    send_again_at,
)
from billfold_server.tenancy import clock
from billfold_server.tenancy.clock import ClockState
from billfold_server.tenancy.context import SYSTEM
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.webhooks import delivery_queries, queries, rules, signing, telling
from billfold_server.webhooks.delivery_rows import AttemptRow, DeliveryRow, Exchange, Outcome
from billfold_server.webhooks.rows import EndpointRow
from billfold_server.webhooks.signing import SigningKeys

__all__ = ["DELIVER_JOB", "TIMEOUT_S", "deliver", "delivery_job", "place_of"]

log = structlog.get_logger(__name__)

DELIVER_JOB: Final = "webhooks.deliver"
TIMEOUT_S: Final = 240
"""How long one run may take; it stops beginning new batches long before."""

_BEGIN_S: Final = 60.0
_BATCH: Final = 10
_UNSENT_BATCH: Final = 200
"""Of what is only noted."""
_OK: Final = range(200, 300)
_GONE: Final = 410
_STOPPED: Final = {
    WebhookEndpointState.PAUSED: events.WEBHOOK_ENDPOINT_PAUSED,
    WebhookEndpointState.DISABLED: events.WEBHOOK_ENDPOINT_DISABLED,
}
_EXPIRED: Final = "expired"
_BROKEN: Final = "error"


class Deliver(msgspec.Struct, frozen=True):
    """The payload of the job."""

    webhook_endpoint_id: str


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What is tried now, where, and the events by their numbers."""

    endpoint: EndpointRow
    due: Sequence[DeliveryRow]
    events: Mapping[int, Event]


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt.

    Attributes:
        said: What came of it; None is that we couldn't make it.
        again: Whether the endpoint had it already.
    """

    delivery: DeliveryRow
    said: Answer | Failure | None
    sent: Mapping[str, str]
    expired: bool = False
    again: bool = False

    @property
    def taken(self) -> bool:
        """Whether the endpoint has it."""
        return isinstance(self.said, Answer) and self.said.status in _OK

    @property
    def gone(self) -> bool:
        """Whether the endpoint says that it is gone for good."""
        return isinstance(self.said, Answer) and self.said.status == _GONE

    @property
    def result(self) -> str:
        """A status, or in one word why there is none."""
        if isinstance(self.said, Answer):
            return str(self.said.status)
        if self.said is None:
            return _EXPIRED if self.expired else _BROKEN
        return self.said.cause


def delivery_job(endpoint_id: UUID, due_at: datetime) -> NewJob:
    """Return the job that delivers to an endpoint what is due."""
    wire_id = ids.encode(Prefix.WEBHOOK_ENDPOINT, endpoint_id)
    payload = msgspec.json.encode(Deliver(wire_id))
    return NewJob(id=ids.uuid7(), kind=DELIVER_JOB, due_at=due_at, payload=payload, dedup_key=wire_id)


def place_of(attempt_id: UUID) -> Place:
    """Return where lies what was said in an attempt."""
    return Place("webhook_attempts", str(attempt_id), "sealed_exchange")


async def deliver(run: JobRun, services: Services, outbound: Outbound) -> None:
    """Send what is due until nothing is, then come back when something will be."""
    endpoint_id = ids.decode(Prefix.WEBHOOK_ENDPOINT, run.job.read(Deliver).webhook_endpoint_id)
    begun, reach = time.monotonic(), Reach()
    while True:
        async with run.tx() as tx:
            batch = await _due(run, tx, endpoint_id, reach, took_s=time.monotonic() - begun)
        if batch is None:
            return
        keys = await telling.open_keys(services.keys, run.tenant, batch.endpoint)
        seals = sum(each.copies for each in batch.due)
        sealer = await services.keys.sealer(run.tenant, seals=seals)
        groups: defaultdict[str, list[DeliveryRow]] = defaultdict(list)
        for each in batch.due:
            groups[batch.events[each.sequence].object_id if each.sequence in batch.events else ""].append(each)
        standing = Standing(run, batch.endpoint.wire_id, functools.partial(_stands, batch.endpoint))
        places = asyncio.Semaphore(AT_ONCE)
        sending = (
            _send(run, services, outbound, batch, group, keys=keys, standing=standing, places=places, reach=reach)
            for group in groups.values()
        )
        tried = [each for group in await asyncio.gather(*sending) for each in group]
        async with run.tx() as tx:
            await _note(tx, batch.endpoint, tried, sealer, real_now=services.clock.now())


async def _stands(was: EndpointRow, tx: TenantTx) -> bool:
    """Tell whether an endpoint is as it was, and is still to be sent what is due; nor is its partner suspended."""
    found = await queries.find(tx, was.id)
    return found is not None and found.version == was.version and rules.is_due(found)


async def _due(run: JobRun, tx: TenantTx, endpoint_id: UUID, reach: Reach, *, took_s: float) -> Batch | None:
    """Return what is to be sent now and where; where that is nothing, the job is finished or put off.

    While this transaction holds the endpoint nobody adds to what it is told of, so nothing is left without a job.
    """
    endpoint = await queries.lock(tx, endpoint_id)
    if endpoint is None or not rules.is_due(endpoint):
        await run.finish(tx)
        return None
    state = await clock.read_clock(tx)
    now, moved = state.now, state.advancing_to is not None
    reach.stand(now if moved else None, endpoint.url)
    late = reach.is_late(took_s, _BEGIN_S)
    most = _BATCH if reach.failure is None else _UNSENT_BATCH
    due = [] if late else await delivery_queries.due(tx, endpoint_id, now, most)
    if due:
        events = await outbox.find_events(tx, [each.sequence for each in due])
        return Batch(endpoint=endpoint, due=due, events=events)
    next_at = await delivery_queries.next_due_at(tx, endpoint_id)
    if next_at is None:
        await run.finish(tx)
    else:
        # Where its turn is over, it goes on behind those who wait, however old what waits for it is.
        await run.postpone(tx, max(next_at, now))
    return None


async def _send(
    run: JobRun,
    services: Services,
    outbound: Outbound,
    batch: Batch,
    deliveries: Sequence[DeliveryRow],
    *,
    keys: SigningKeys,
    standing: Standing,
    places: asyncio.Semaphore,
    reach: Reach,
) -> list[Tried]:
    """Send the events of one object, one after the other, for as long as their endpoint stays as it was.

    Of what isn't sent because of that nothing is noted: it is the next batch's, as the endpoint is then.
    """
    tried: list[Tried] = []
    for delivery in deliveries:
        event = batch.events.get(delivery.sequence)
        if event is None:
            # It was deleted, as old events are.
            tried.append(Tried(delivery=delivery, said=None, sent={}, expired=True))
            continue
        body = msgspec.json.encode(event)
        for copy in range(delivery.copies):
            async with places:
                if not await standing.holds():
                    return tried
                headers = {
                    "Content-Type": "application/json",
                    **signing.headers_of(keys, event.id, body, services.clock.now()),
                }
                said: Answer | Failure | None = reach.failure
                if said is None:
                    said = await _said(run, outbound, batch.endpoint, delivery, headers=headers, body=body)
                    reach.learn(said)
            attempt = Tried(delivery=delivery, said=said, sent=headers, again=copy > 0)
            tried.append(attempt)
            if not attempt.taken:
                # What the endpoint hasn't got it is sent once more later, as ever; a copy that failed harms nobody.
                break
    return tried


async def _said(
    run: JobRun,
    outbound: Outbound,
    endpoint: EndpointRow,
    delivery: DeliveryRow,
    *,
    headers: Mapping[str, str],
    body: bytes,
) -> Answer | Failure | None:
    try:
        return await outbound.post(run.tenant, endpoint.url, headers=headers, body=body, lane=endpoint.id)
    except Exception:  # One that can't be sent, whatever the reason, keeps no other one from being noted.
        log.exception("webhook_not_sent", tenant=run.tenant.slug, delivery=delivery.wire_id)
        return None


async def _note(
    tx: TenantTx, endpoint: EndpointRow, tried: Sequence[Tried], sealer: Sealer, *, real_now: datetime
) -> None:
    """Write down what came of a batch. The endpoint comes first, as it does for whoever changes it."""
    held = await queries.lock(tx, endpoint.id)
    state = await clock.read_clock(tx)
    moved = held is not None and held.url != endpoint.url
    # What waits has begun anew at another address, where nobody has said yet how long to be left alone.
    counted = [each for each in tried if not each.again and (each.taken or each.expired or not moved)]
    outcomes = [_outcome(each, state, real_now) for each in counted]
    noted = await delivery_queries.end(tx, outcomes, state.now)
    ended = [each for each in outcomes if each.delivery_id in noted]
    attempts = [_attempt(endpoint, each, sealer, state.now) for each in tried if not each.expired]
    if attempts:
        await delivery_queries.add_attempts(tx, attempts)
    if any(each.taken for each in tried):
        await queries.take(tx, endpoint.id, state.now)
        held = None if held is None else msgspec.structs.replace(held, taken_at=state.now)
    if held is None or not rules.is_due(held) or moved:
        return
    if any(each.gone for each in tried):
        await _stop(tx, held, WebhookEndpointState.DISABLED, WebhookEndpointReason.GONE, state.now)
    elif rules.is_away(held, [each.delivery.begun_at for each in tried if _is_dead(each, ended)]):
        await _stop(tx, held, WebhookEndpointState.PAUSED, WebhookEndpointReason.UNRESPONSIVE, state.now)


def _is_dead(tried: Tried, outcomes: Sequence[Outcome]) -> bool:
    return not tried.expired and any(
        each.delivery_id == tried.delivery.id and each.state is WebhookDeliveryState.DEAD for each in outcomes
    )


def _outcome(tried: Tried, state: ClockState, real_now: datetime) -> Outcome:
    delivery, said = tried.delivery, tried.said
    if tried.taken:
        return Outcome(
            delivery_id=delivery.id,
            attempts=delivery.attempts,
            state=WebhookDeliveryState.DELIVERED,
            result=tried.result,
            next_attempt_at=None,
        )
    next_at = send_again_at(
        said, attempt=delivery.attempts + 1, begun_at=delivery.begun_at, clock=state, real_now=real_now
    )
    over = tried.expired or next_at is None
    return Outcome(
        delivery_id=delivery.id,
        attempts=delivery.attempts,
        state=WebhookDeliveryState.DEAD if over else WebhookDeliveryState.WAITING,
        result=tried.result,
        next_attempt_at=None if over else next_at,
    )


def _attempt(endpoint: EndpointRow, tried: Tried, sealer: Sealer, now: datetime) -> AttemptRow:
    attempt_id, said = ids.uuid7(), tried.said
    exchange = Exchange(url=endpoint.url, sent=dict(tried.sent))
    if isinstance(said, Answer):
        exchange = msgspec.structs.replace(
            exchange,
            status=said.status,
            headers=rules.shown_headers(said.headers),
            body=rules.shown_body(said.body),
            whole=said.whole and len(said.body) <= rules.SHOWN_BYTES,
        )
    took = timedelta(seconds=0 if said is None else said.took_s)
    return AttemptRow(
        id=attempt_id,
        delivery_id=tried.delivery.id,
        attempted_at=now,
        took_ms=took // timedelta(milliseconds=1),
        result=tried.result,
        sealed_exchange=sealer.seal(place_of(attempt_id), msgspec.json.encode(exchange)),
    )


async def _stop(
    tx: TenantTx, held: EndpointRow, state: WebhookEndpointState, reason: WebhookEndpointReason, now: datetime
) -> None:
    """Send an endpoint nothing more until the tenant enables it again, and tell the tenant of it."""
    stopped = msgspec.structs.replace(held, state=state, state_reason=reason, version=held.version + 1, updated_at=now)
    await queries.update(tx, stopped)
    await delivery_queries.disarm(tx, held.id)
    log.warning("webhook_endpoint_stopped", tenant=tx.tenant.slug, endpoint=held.wire_id, state=state, reason=reason)
    facts, what = {"reason": reason}, _STOPPED[state]
    await audit.record(tx, audit.new_record(SYSTEM, what.name, held.wire_id, facts=facts))
    await telling.tell(tx, stopped, what, now)
