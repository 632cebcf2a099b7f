"""What was delivered, what came of it, and what is delivered again."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.webhooks import (
    MOST_REPLAYED,
    ReplayWebhookEvents,
    WebhookAttempt,
    WebhookDelivery,
    WebhookDeliveryRecord,
    WebhookReplay,
    WebhookRequest,
    WebhookResponse,
)
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db import jobs, outbox
from billfold_server.http.routing import Call
from billfold_server.keys.service import Opener
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.webhooks import delivery_queries, queries, rules
from billfold_server.webhooks.delivering import delivery_job, place_of
from billfold_server.webhooks.delivery_rows import AttemptRow, DeliveryRow, Exchange, NewDelivery
from billfold_server.webhooks.rows import EndpointRow

__all__ = ["get", "list_deliveries", "replay", "replay_events"]

_SHOWN: Final = 20


async def list_deliveries(
    tx: TenantTx,
    caller: Caller,
    *,
    limit: int,
    before: UUID | None,
    endpoint_id: UUID | None,
    event_id: UUID | None,
    state: str | None,
) -> Sequence[DeliveryRow]:
    """Return deliveries that meet all conditions given, the newest first."""
    return await delivery_queries.list_page(
        tx,
        limit=limit,
        before=before,
        endpoint_id=endpoint_id,
        event_id=event_id,
        state=state,
        partner_id=caller.partner_id,
    )


async def get(call: Call, delivery_id: UUID) -> WebhookDeliveryRecord:
    """Return a delivery with its event and its last attempts.

    Raises:
        errors.NotFound: There is none.
        errors.KeysUnavailable: What was said can't be opened now.
    """
    async with call.tx() as tx:
        row = await _existing(tx, call.caller, delivery_id)
        attempts = await delivery_queries.list_attempts(tx, delivery_id, _SHOWN)
        events = await outbox.find_events(tx, [row.sequence])
    opener = await call.services.keys.opener(call.tenant, [each.sealed_exchange for each in attempts])
    return WebhookDeliveryRecord(
        **msgspec.structs.asdict(row.to_response()),
        event=events.get(row.sequence),
        last_attempts=[_shown(opener, each) for each in attempts],
    )


def _shown(opener: Opener, row: AttemptRow) -> WebhookAttempt:
    said = msgspec.json.decode(opener.open(place_of(row.id), row.sealed_exchange), type=Exchange)
    response = None
    if said.status is not None:
        response = WebhookResponse(status=said.status, headers=said.headers, body=said.body, whole=said.whole)
    return WebhookAttempt(
        attempted_at=row.attempted_at,
        took_ms=row.took_ms,
        result=row.result,
        request=WebhookRequest(url=said.url, headers=said.sent),
        response=response,
    )


async def _existing(tx: TenantTx, caller: Caller, delivery_id: UUID) -> DeliveryRow:
    row = await delivery_queries.find(tx, delivery_id, partner_id=caller.partner_id)
    if row is None:
        raise errors.NotFound("there is no such delivery", param="webhook_delivery_id")
    return row


async def replay(tx: TenantTx, caller: Caller, delivery_id: UUID) -> WebhookDelivery:
    """Deliver an event again, with the same id and all its attempts. To a paused endpoint it goes once that goes on.

    Raises:
        errors.NotFound: There is no such delivery.
        errors.WebhookEndpointDeleted: The endpoint is no more.
    """
    found = await _existing(tx, caller, delivery_id)
    endpoint = await queries.lock(tx, found.endpoint_id)
    if endpoint is None:
        raise errors.WebhookEndpointDeleted
    again = NewDelivery(
        id=found.id,
        endpoint_id=endpoint.id,
        event_id=found.event_id,
        sequence=found.sequence,
        event_type=found.event_type,
        due=rules.is_due(endpoint),
    )
    await _replay(tx, endpoint, [again])
    await audit.record(tx, audit.new_record(caller, "webhook_delivery.replayed", found.wire_id))
    return (await _existing(tx, caller, delivery_id)).to_response()


async def replay_events(tx: TenantTx, caller: Caller, endpoint_id: UUID, body: ReplayWebhookEvents) -> WebhookReplay:
    """Tell an endpoint again of a range of events that it wants, also of those from before it was registered.

    Raises:
        errors.NotFound: There is no such endpoint.
        errors.EventRangeInvalid: The range ends before it begins.
    """
    if body.up_to is not None and body.up_to < body.after:
        raise errors.EventRangeInvalid(f"no place lies after {body.after} and up to {body.up_to}", param="up_to")
    endpoint = await queries.lock(tx, endpoint_id)
    if endpoint is None or not caller.is_of(endpoint.partner_id):
        raise errors.NotFound("there is no such webhook endpoint", param="webhook_endpoint_id")
    head = await outbox.last_sequence(tx)
    events = await outbox.list_events(
        tx,
        after=body.after,
        limit=MOST_REPLAYED,
        up_to=head if body.up_to is None else min(head, body.up_to),
        event_types=rules.wanted_types([endpoint.event_types]),
    )
    again = [
        NewDelivery(
            id=ids.uuid7(),
            endpoint_id=endpoint.id,
            event_id=ids.decode(Prefix.EVENT, event.id),
            sequence=event.sequence,
            event_type=event.type,
            due=rules.is_due(endpoint),
        )
        for event in events
        if rules.is_wanted(endpoint, event) and (body.up_to is None or event.sequence <= body.up_to)
    ]
    if again:
        await _replay(tx, endpoint, again)
    facts = {"after": body.after, "up_to": body.up_to, "replayed": len(again)}
    await audit.record(tx, audit.new_record(caller, "webhook_endpoint.replayed", endpoint.wire_id, facts=facts))
    more = len(events) == MOST_REPLAYED and (body.up_to is None or events[-1].sequence < body.up_to)
    return WebhookReplay(
        webhook_endpoint_id=endpoint.wire_id,
        replayed=len(again),
        next_after=events[-1].sequence if more else None,
    )


async def _replay(tx: TenantTx, endpoint: EndpointRow, again: Sequence[NewDelivery]) -> None:
    now = await tenant_now(tx)
    await delivery_queries.replay(tx, again, now)
    if rules.is_due(endpoint):
        await jobs.enqueue_or_hasten(tx, delivery_job(endpoint.id, now))
