"""Webhook endpoints: where a tenant's programs are told what happened."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from billfold import errors, ids
from billfold.contract import events
from billfold.contract.events import EventType, WebhookEndpointEventData
from billfold.contract.partners import PartnerState
from billfold.contract.webhooks import (
    MOST_ENDPOINTS,
    CreateWebhookEndpoint,
    UpdateWebhookEndpoint,
    WebhookEndpoint,
    WebhookEndpointCreated,
    WebhookEndpointState,
    WebhookSecret,
    WebhookTest,
)
from billfold.ids import Prefix
from billfold_server.audit import service as audit
from billfold_server.db import jobs, outbox
from billfold_server.http.routing import Call
from billfold_server.keys.service import Keys
from billfold_server.outbound.service import Outbound, UrlRefused
from billfold_server.partners import service as partners
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.webhooks import delivery_queries, queries, rules, signing, telling
from billfold_server.webhooks.delivering import delivery_job
from billfold_server.webhooks.rows import EndpointRow, public_text
from billfold_server.webhooks.signing import SigningKeys

__all__ = ["arm_all_of", "create", "delete", "get", "list_endpoints", "rotate", "test", "update"]

_ROUNDS: Final = 5
_HINT: Final = "; to a receiver on your own machine, billfold webhooks listen brings what happens"


async def create(call: Call, body: CreateWebhookEndpoint) -> WebhookEndpointCreated:
    """Register an endpoint, which is told of what happens from now on.

    Raises:
        errors.WebhookUrlRefused: Nothing can be delivered there.
        errors.EventTypeUnknown: A filter names a type that there is none of.
        errors.WebhookEndpointLimitReached: There are as many as there may be.
        errors.KeysUnavailable: Its secret can't be sealed now.
        errors.NotFound: There is no such partner.
        errors.ValidationFailed: There are no events of a type.
    """
    _check(call, body.url)
    _check_types(body.event_types)
    asked = None if body.partner_id is None else ids.decode(Prefix.PARTNER, body.partner_id)
    partner_id = partners.narrowed(call.caller, asked)
    endpoint_id, pair = ids.uuid7(), signing.new_pair()
    sealed = await _seal(call.services.keys, call.tenant, endpoint_id, SigningKeys(present=pair))
    async with call.tx() as tx:
        now = await tenant_now(tx)
        new = EndpointRow(
            id=endpoint_id,
            url=body.url,
            description=body.description,
            event_types=rules.asked_types(body.event_types),
            state=WebhookEndpointState.ENABLED,
            state_reason=None,
            sealed_keys=sealed,
            public_key=pair.public,
            begins_after=await outbox.last_sequence(tx),
            version=1,
            created_at=now,
            updated_at=now,
            partner_id=partner_id,
        )
        if partner_id is not None:
            suspended = (await partners.hold(tx, partner_id)).state == PartnerState.SUSPENDED
            new = msgspec.structs.replace(new, suspended=suspended)
        await queries.insert(tx, new)
        await _say(tx, call.caller, new, events.WEBHOOK_ENDPOINT_CREATED, now)
        # The event's number makes others who create one wait until this has committed, so that none is overlooked.
        if await queries.count(tx, partner_id) > MOST_ENDPOINTS:
            raise errors.WebhookEndpointLimitReached(limit=MOST_ENDPOINTS)
    shown = msgspec.structs.asdict(new.to_response(call.services.clock.now()))
    return WebhookEndpointCreated(**shown, secret=pair.secret_text)


async def get(tx: TenantTx, caller: Caller, endpoint_id: UUID) -> EndpointRow:
    """Return an endpoint.

    Raises:
        errors.NotFound: There is none, or it is none of the caller's partner.
    """
    return _existing(await queries.find(tx, endpoint_id), caller)


async def list_endpoints(
    tx: TenantTx, caller: Caller, *, after: UUID | None, limit: int, partner_id: UUID | None = None
) -> list[EndpointRow]:
    """Return endpoints, the oldest first: those of a partner, or all that are there for the caller.

    Raises:
        errors.NotFound: The caller acts for another partner.
    """
    chosen = partners.narrowed(caller, partner_id)
    return await queries.list_page(tx, after=after, limit=limit, partner_id=chosen)


async def update(
    call: Call, endpoint_id: UUID, body: UpdateWebhookEndpoint, check_version: Callable[[int], None]
) -> WebhookEndpoint:
    """Change an endpoint. What changes nothing leaves no trace.

    Raises:
        errors.NotFound: There is none.
        errors.PreconditionFailed: It has changed since the caller read it.
        errors.WebhookUrlRefused: Nothing can be delivered there.
        errors.EventTypeUnknown: A filter names a type that there is none of.
        errors.ValidationFailed: There are no events of a type.
    """
    if body.url is not UNSET:
        _check(call, body.url)
    _check_types(body.event_types)
    async with call.tx() as tx:
        row = _existing(await queries.lock(tx, endpoint_id), call.caller)
        check_version(row.version)
        changes = rules.changes_of(row, body)
        if changes:
            row = await _change(tx, call.caller, row, changes)
    return row.to_response(call.services.clock.now())


async def _change(tx: TenantTx, caller: Caller, row: EndpointRow, changes: Mapping[str, object]) -> EndpointRow:
    now = await tenant_now(tx)
    more = {"version": row.version + 1, "updated_at": now}
    if "state" in changes and row.state is WebhookEndpointState.DISABLED:
        # What happened while it was disabled isn't told of, also where nobody has come to pass it over yet.
        more["begins_after"] = await outbox.last_sequence(tx)
    changed = msgspec.structs.replace(row, **{**changes, **more})
    await queries.update(tx, changed)
    if {"state", "url"} & changes.keys():
        # Who puts a wrong address right doesn't wait for the next attempt, which may be a day away.
        await _arm(tx, [changed], now)
    await _say(tx, caller, changed, events.WEBHOOK_ENDPOINT_UPDATED, now, changed=sorted({*changes} - {"state_reason"}))
    return changed


async def _arm(tx: TenantTx, rows: Sequence[EndpointRow], now: datetime) -> None:
    """Try what waits for endpoints, or let it wait, as their states say: two statements, however many there are."""
    due = {row.id for row in rows if rules.is_due(row)}
    if idle := [row.id for row in rows if row.id not in due]:
        await delivery_queries.disarm(tx, *idle)
    if due and (armed := await delivery_queries.arm(tx, *due, now=now)):
        await jobs.enqueue_or_hasten(tx, *(delivery_job(endpoint_id, now) for endpoint_id in armed))


async def arm_all_of(tx: TenantTx, partner_id: UUID) -> None:
    """Try what waits for a partner's endpoints, or let it wait, as the partner's state and theirs say."""
    await _arm(tx, await queries.list_of_partner(tx, partner_id), await tenant_now(tx))


async def rotate(call: Call, endpoint_id: UUID, overlap_s: int) -> WebhookSecret:
    """Give an endpoint another secret and key; the former ones sign as well for a while.

    So do those before them, for as long as was said of them, but no longer than is said now.

    Raises:
        errors.NotFound: There is none.
        errors.KeysUnavailable: Secrets can't be opened or sealed now.
        errors.Busy: Others change it all the time.
    """
    keys, pair = call.services.keys, signing.new_pair()
    for _ in range(_ROUNDS):
        async with call.tx() as tx:
            row = await get(tx, call.caller, endpoint_id)
        real_now = call.services.clock.now()
        until = real_now + timedelta(seconds=overlap_s)
        known = await telling.open_keys(keys, call.tenant, row)
        sealed = await _seal(keys, call.tenant, endpoint_id, known.replaced(pair, now=real_now, until=until))
        async with call.tx() as tx:
            held = _existing(await queries.lock(tx, endpoint_id), call.caller)
            if held.version != row.version:
                continue
            now = await tenant_now(tx)
            changed = msgspec.structs.replace(
                held,
                sealed_keys=sealed,
                public_key=pair.public,
                former_public_key=known.present.public,
                former_until=until,
                version=held.version + 1,
                updated_at=now,
            )
            await queries.update(tx, changed)
            await _say(tx, call.caller, changed, events.WEBHOOK_ENDPOINT_SECRET_ROTATED, now)
        return WebhookSecret(
            webhook_endpoint_id=changed.wire_id,
            secret=pair.secret_text,
            public_key=public_text(pair.public),
            former_secret_until=until,
        )
    raise errors.Busy("others change the endpoint all the time")


async def delete(tx: TenantTx, caller: Caller, endpoint_id: UUID) -> None:
    """Delete an endpoint.

    Raises:
        errors.NotFound: There is none.
    """
    row = _existing(await queries.lock(tx, endpoint_id), caller)
    await queries.delete(tx, row.id)
    await delivery_queries.cancel(tx, row.id)
    await _say(tx, caller, row, events.WEBHOOK_ENDPOINT_DELETED, await tenant_now(tx))


async def test(tx: TenantTx, caller: Caller, endpoint_id: UUID) -> WebhookTest:
    """Tell an endpoint of an event that is made for that, whatever it wants. A disabled one is told of nothing.

    Raises:
        errors.NotFound: There is none, or it is none of the caller's partner.
    """
    row = _existing(await queries.find(tx, endpoint_id), caller)
    await audit.record(tx, audit.new_record(caller, events.WEBHOOK_ENDPOINT_TESTED.name, row.wire_id))
    event_id = await telling.tell(tx, row, events.WEBHOOK_ENDPOINT_TESTED, await tenant_now(tx))
    return WebhookTest(webhook_endpoint_id=row.wire_id, event_id=ids.encode(Prefix.EVENT, event_id))


async def _seal(keys: Keys, tenant: TenantRef, endpoint_id: UUID, wanted: SigningKeys) -> bytes:
    sealer = await keys.sealer(tenant)
    return sealer.seal(signing.place_of(endpoint_id), msgspec.json.encode(wanted))


def _check(call: Call, url: str) -> None:
    outbound: Outbound = call.services.rooms["outbound"]
    try:
        outbound.check(call.tenant, url)
    except UrlRefused as refused:
        hint = _HINT if refused.reason in {"address", "scheme"} else ""
        raise errors.WebhookUrlRefused(
            f"the address can't be called: {refused.words}{hint}", param="url", reason=refused.reason
        ) from None


def _check_types(event_types: Sequence[str] | UnsetType | None) -> None:
    if isinstance(event_types, list) and (place := rules.unheard_of(event_types)) is not None:
        raise errors.EventTypeUnknown(rules.why_unheard_of(event_types[place]), param=f"event_types[{place}]")


def _existing(row: EndpointRow | None, caller: Caller) -> EndpointRow:
    if row is None or not caller.is_of(row.partner_id):
        raise errors.NotFound("there is no such webhook endpoint", param="webhook_endpoint_id")
    return row


async def _say(
    tx: TenantTx,
    caller: Caller,
    row: EndpointRow,
    what: EventType[WebhookEndpointEventData],
    now: datetime,
    *,
    changed: Sequence[str] = (),
) -> None:
    facts = {"changed": list(changed)} if changed else {}
    await audit.record(tx, audit.new_record(caller, what.name, row.wire_id, facts=facts))
    await telling.tell(tx, row, what, now)
