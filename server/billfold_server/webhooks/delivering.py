"""Delivers events to endpoints, at least once, until they are taken or given up.

There is one job per endpoint, which waits for nobody but it (``JobKind.apart``). What came of a batch is written once
the batch is through: a process that is killed sends again what it hadn't noted, with the same id. Events of one object
go out in their order, those of others beside them; one that fails is tried again later and holds up none.
"""

import asyncio
import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
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
from billfold_server.outbound.service import Answer, Failure, Outbound, Sending, send_again_at
from billfold_server.tenancy import clock
from billfold_server.tenancy.clock import ClockState
from billfold_server.tenancy.context import SYSTEM
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.webhooks import delivery_queries, queries, rules, signing, telling
from billfold_server.webhooks.delivery_rows import AttemptRow, DeliveryRow, Exchange, Outcome
from billfold_server.webhooks.rows import EndpointRow
from billfold_server.webhooks.signing import SigningKeys

__all__ = ["DELIVER_JOB", "deliver", "delivery_job", "place_of"]

log = structlog.get_logger(__name__)

DELIVER_JOB: Final = "webhooks.deliver"
_BATCH: Final = 10
_UNSENT_BATCH: Final = 200
"""Of what is only noted."""
_OK: Final = range(200, 300)
_STOPPED: Final = {
    WebhookEndpointState.PAUSED: events.WEBHOOK_ENDPOINT_PAUSED,
    WebhookEndpointState.DISABLED: events.WEBHOOK_ENDPOINT_DISABLED,
}
_EXPIRED: Final = "expired"


class Deliver(msgspec.Struct, frozen=True):
    """The payload of the job."""

    webhook_endpoint_id: str


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What is tried now, where, and the events by their numbers."""

    endpoint: EndpointRow
    due: Sequence[DeliveryRow]
    events: Mapping[int, Event]

    @property
    def of_each(self) -> Iterable[Sequence[DeliveryRow]]:
        """What is tried, apart for each object."""
        of_each: defaultdict[str, list[DeliveryRow]] = defaultdict(list)
        for each in self.due:
            of_each[self.events[each.sequence].object_id if each.sequence in self.events else ""].append(each)
        return of_each.values()


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt.

    Attributes:
        said: What came of it; None is that there was nothing to send, as old events are deleted.
        again: Whether the endpoint had it already.
    """

    delivery: DeliveryRow
    said: Answer | Failure | None = None
    sent: Mapping[str, str] = {}
    again: bool = False

    @property
    def taken(self) -> bool:
        """Whether the endpoint has it."""
        return isinstance(self.said, Answer) and self.said.status in _OK

    @property
    def result(self) -> str:
        """A status, or in one word why there is none."""
        return _EXPIRED if self.said is None else self.said.result


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
    sending = Sending(run, outbound, lane=endpoint_id)
    while True:
        async with run.tx() as tx:
            batch = await _due(run, tx, endpoint_id, sending)
        if batch is None:
            return
        keys = await telling.open_keys(services.keys, run.tenant, batch.endpoint)
        sealer = await services.keys.sealer(run.tenant, seals=sum(each.copies for each in batch.due))
        sent = await asyncio.gather(*(_send(services, sending, batch, some, keys) for some in batch.of_each))
        tried = [each for some in sent for each in some]
        async with run.tx() as tx:
            await _note(tx, batch.endpoint, tried, sealer, real_now=services.clock.now())


async def _stands(was: EndpointRow, tx: TenantTx) -> bool:
    """Tell whether an endpoint is as it was, and is still to be sent what is due; nor is its partner suspended."""
    found = await queries.find(tx, was.id)
    return found is not None and found.version == was.version and rules.is_due(found)


async def _due(run: JobRun, tx: TenantTx, endpoint_id: UUID, sending: Sending) -> Batch | None:
    """Return what is to be sent now and where; where that is nothing, the job is finished or put off."""
    endpoint = await queries.lock(tx, endpoint_id)
    if endpoint is None or not rules.is_due(endpoint):
        await run.finish(tx)
        return None
    now = await sending.begin(tx, endpoint.url, endpoint.wire_id, functools.partial(_stands, endpoint))
    most = _UNSENT_BATCH if sending.is_in_vain else _BATCH
    due = [] if sending.is_over else await delivery_queries.due(tx, endpoint_id, now, most)
    if not due:
        await sending.end(tx, await delivery_queries.next_due_at(tx, endpoint_id))
        return None
    events = await outbox.find_events(tx, [each.sequence for each in due])
    return Batch(endpoint=endpoint, due=due, events=events)


async def _send(
    services: Services, sending: Sending, batch: Batch, deliveries: Sequence[DeliveryRow], keys: SigningKeys
) -> list[Tried]:
    """Send the events of one object, one after the other. Of what isn't sent now nothing is noted."""
    tried: list[Tried] = []
    for delivery in deliveries:
        event = batch.events.get(delivery.sequence)
        if event is None:
            tried.append(Tried(delivery=delivery))
            continue
        body = msgspec.json.encode(event)
        for copy in range(delivery.copies):
            async with sending.place() as is_sent:
                if not is_sent:
                    return tried
                signed = signing.headers_of(keys, event.id, body, services.clock.now())
                headers = {"Content-Type": "application/json", **signed}
                said = await sending.post(headers=headers, body=body)
            tried.append(Tried(delivery=delivery, said=said, sent=headers, again=copy > 0))
            if not tried[-1].taken:
                # What the endpoint hasn't got it is sent once more later, as ever; a copy that failed harms nobody.
                break
    return tried


async def _note(
    tx: TenantTx, endpoint: EndpointRow, tried: Sequence[Tried], sealer: Sealer, *, real_now: datetime
) -> None:
    """Write down what came of a batch. The endpoint comes first, as it does for whoever changes it."""
    held = await queries.lock(tx, endpoint.id)
    state = await clock.read_clock(tx)
    moved = held is not None and held.url != endpoint.url
    # What waits has begun anew at another address, where nobody has said yet how long to be left alone.
    counted = [each for each in tried if not each.again and (each.taken or each.said is None or not moved)]
    outcomes = [_outcome(each, state, real_now) for each in counted]
    noted = await delivery_queries.end(tx, outcomes, state.now)
    attempts = [_attempt(endpoint, each, each.said, sealer, state.now) for each in tried if each.said is not None]
    if attempts:
        await delivery_queries.add_attempts(tx, attempts)
    if any(each.taken for each in tried):
        await queries.take(tx, endpoint.id, state.now)
        held = None if held is None else msgspec.structs.replace(held, taken_at=state.now)
    if held is None or not rules.is_due(held) or moved:
        return
    dead = noted & {each.delivery_id for each in outcomes if each.state is WebhookDeliveryState.DEAD}
    if any(each.said is not None and each.said.is_gone for each in tried):
        await _stop(tx, held, WebhookEndpointState.DISABLED, WebhookEndpointReason.GONE, state.now)
    elif rules.is_away(held, [each.delivery.begun_at for each in tried if each.said and each.delivery.id in dead]):
        await _stop(tx, held, WebhookEndpointState.PAUSED, WebhookEndpointReason.UNRESPONSIVE, state.now)


def _outcome(tried: Tried, state: ClockState, real_now: datetime) -> Outcome:
    delivery, next_at = tried.delivery, None
    if tried.said is not None and not tried.taken:
        attempt, begun_at = delivery.attempts + 1, delivery.begun_at
        next_at = send_again_at(tried.said, attempt=attempt, begun_at=begun_at, clock=state, real_now=real_now)
    left = WebhookDeliveryState.DEAD if next_at is None else WebhookDeliveryState.WAITING
    return Outcome(
        delivery_id=delivery.id,
        attempts=delivery.attempts,
        state=WebhookDeliveryState.DELIVERED if tried.taken else left,
        result=tried.result,
        next_attempt_at=next_at,
    )


def _attempt(endpoint: EndpointRow, tried: Tried, said: Answer | Failure, sealer: Sealer, now: datetime) -> AttemptRow:
    attempt_id = ids.uuid7()
    exchange = Exchange(url=endpoint.url, sent=dict(tried.sent))
    if isinstance(said, Answer):
        exchange = msgspec.structs.replace(
            exchange,
            status=said.status,
            headers=rules.shown_headers(said.headers),
            body=rules.shown_body(said.body),
            whole=said.whole and len(said.body) <= rules.SHOWN_BYTES,
        )
    return AttemptRow(
        id=attempt_id,
        delivery_id=tried.delivery.id,
        attempted_at=now,
        took_ms=timedelta(seconds=said.took_s) // timedelta(milliseconds=1),
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
