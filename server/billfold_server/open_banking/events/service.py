"""Subscriptions of third parties, and what they read by polling."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract import events
from billfold.contract.events import EventSubscriptionEventData, EventType
from billfold_server.audit import service as audit
from billfold_server.consents import service as consents
from billfold_server.db import jobs
from billfold_server.http.routing import Call
from billfold_server.open_banking.edge.errors import EVENT_TYPE, FIELD_INVALID, field_error
from billfold_server.open_banking.events import queries, rules, tokens
from billfold_server.open_banking.events.pushing import push_job, tell
from billfold_server.open_banking.events.rows import Notification, Subscription
from billfold_server.open_banking.events.waiting import Waiting
from billfold_server.outbound.service import Outbound, UrlRefused
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["MOST_AT_ONCE", "Polled", "Wanted", "change", "create", "delete", "find", "poll"]

MOST_AT_ONCE: Final = 100
_USUALLY: Final = 50
_LOOK_AGAIN_S: Final = 1.0
_READERS: Final = ("accounts", "payments", "fundsconfirmations")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a third party says of its subscription."""

    callback_url: str | None
    version: str
    event_types: tuple[str, ...] | None


class Polled(msgspec.Struct, frozen=True, kw_only=True):
    """What polling brings.

    Attributes:
        sets: Tokens by their ``jti``.
        more: Whether there are more.
    """

    sets: Mapping[str, str]
    more: bool


def check(call: Call, wanted: Wanted) -> None:
    """Refuse what can't be subscribed to.

    Raises:
        errors.ValidationFailed: A member of the body names a version, an event or an address that there can't be.
    """
    if wanted.version not in rules.SERVED_VERSIONS:
        raise field_error("Data.Version", FIELD_INVALID, "there are resources of version 4.0 alone")
    if wanted.event_types is not None and not wanted.event_types:
        raise field_error("Data.EventTypes", FIELD_INVALID, "it names none; without it, all are meant")
    try:
        rules.read_types(wanted.event_types)
    except ValueError:
        raise field_error("Data.EventTypes", EVENT_TYPE, "there is no such event type") from None
    if wanted.callback_url is not None:
        outbound: Outbound = call.services.rooms["outbound"]
        try:
            outbound.check(call.tenant, rules.endpoint_of(wanted.callback_url))
        except UrlRefused as refused:
            message = f"the address can't be called: {refused.words}"
            raise field_error("Data.CallbackUrl", FIELD_INVALID, message) from None


async def find(call: Call) -> Subscription | None:
    """Return the caller's subscription, or None.

    Raises:
        errors.ThirdPartyBlocked: The bank has blocked the caller.
    """
    async with call.tx() as tx:
        await consents.check_admitted(tx, call.caller.client_id)
        return await queries.find_of_client(tx, call.caller.client_id)


async def create(call: Call, wanted: Wanted) -> Subscription:
    """Subscribe the caller.

    Raises:
        errors.ValidationFailed: It can't be subscribed to that.
        errors.EventSubscriptionExists: It has a subscription already.
        errors.ThirdPartyBlocked: The bank has blocked the caller.
    """
    check(call, wanted)
    async with call.tx() as tx:
        await consents.check_admitted(tx, call.caller.client_id)
        now = await tenant_now(tx)
        new = Subscription(
            id=ids.uuid7(),
            client_id=call.caller.client_id,
            callback_url=wanted.callback_url,
            version=wanted.version,
            event_types=wanted.event_types,
            paused_because=None,
            taken_at=None,
            created_at=now,
            updated_at=now,
        )
        if not await queries.insert(tx, new):
            raise errors.EventSubscriptionExists
        await _arm(tx, new, now)
        await _say(tx, call, new, events.EVENT_SUBSCRIPTION_CREATED, now)
    return new


async def change(call: Call, subscription_id: UUID, wanted: Wanted) -> Subscription:
    """Change the caller's subscription; what was paused is pushed again, to where it says now.

    Raises:
        errors.ValidationFailed: It can't be subscribed to that.
        errors.EventSubscriptionNotFound: There is none.
        errors.EventSubscriptionOfAnother: It is somebody else's.
        errors.ThirdPartyBlocked: The bank has blocked the caller.
    """
    check(call, wanted)
    async with call.tx() as tx:
        now = await tenant_now(tx)
        found = await _lock_own(tx, call, subscription_id)
        changed = msgspec.structs.replace(
            found,
            callback_url=wanted.callback_url,
            version=wanted.version,
            event_types=wanted.event_types,
            paused_because=None,
            updated_at=now,
        )
        await queries.update(tx, changed)
        await queries.disarm(tx, changed.client_id)
        await _arm(tx, changed, now)
        await _say(tx, call, changed, events.EVENT_SUBSCRIPTION_CHANGED, now)
    return changed


async def delete(call: Call, subscription_id: UUID) -> None:
    """End the caller's subscription. What was written before stays to be polled.

    Raises:
        errors.EventSubscriptionNotFound: There is none.
        errors.EventSubscriptionOfAnother: It is somebody else's.
        errors.ThirdPartyBlocked: The bank has blocked the caller.
    """
    async with call.tx() as tx:
        found = await _lock_own(tx, call, subscription_id)
        await queries.delete(tx, found.id)
        await queries.disarm(tx, found.client_id)
        await _say(tx, call, found, events.EVENT_SUBSCRIPTION_DELETED, await tenant_now(tx))


async def _lock_own(tx: TenantTx, call: Call, subscription_id: UUID) -> Subscription:
    await consents.check_admitted(tx, call.caller.client_id)
    found = await queries.lock(tx, subscription_id)
    if found is None:
        raise errors.EventSubscriptionNotFound
    if found.client_id != call.caller.client_id:
        raise errors.EventSubscriptionOfAnother
    return found


async def _arm(tx: TenantTx, subscription: Subscription, now: datetime) -> None:
    if subscription.pushes and await queries.arm(tx, subscription.client_id, now):
        await jobs.enqueue_or_hasten(tx, push_job(subscription.client_id, now))


async def _say(
    tx: TenantTx, call: Call, subscription: Subscription, what: EventType[EventSubscriptionEventData], now: datetime
) -> None:
    await audit.record(tx, audit.new_record(call.caller, what.name, subscription.wire_id))
    await tell(tx, subscription, what, now)


async def poll(
    call: Call,
    *,
    taken: Sequence[str],
    refused: Mapping[str, tuple[str, str]],
    most: int | None,
    wait: bool,
) -> Polled:
    """Note what the caller has read and what it couldn't, and return what it hasn't read yet.

    Args:
        call: The request.
        taken: The ``jti`` of what it has read. What isn't its own, or was read before, is passed over.
        refused: The ``jti`` of what it couldn't read, each with a code and words of its own; it doesn't come again.
        most: How many tokens it wants.
        wait: Whether it is willing to wait for the first one.

    Raises:
        errors.ThirdPartyBlocked: The bank has blocked the caller.
    """
    await _end(call, taken, refused)
    limit = min(MOST_AT_ONCE, max(0, _USUALLY if most is None else most))
    waiting: Waiting = call.services.rooms["event waiting"]
    loop = asyncio.get_running_loop()
    until = loop.time() + call.tenant.manifest.open_banking.long_poll_s
    waits = wait and limit > 0 and waiting.enter(call.caller.client_id)
    try:
        while True:
            bell = waiting.bell(call.tenant)
            found = await _unread(call, limit + 1)
            left_s = until - loop.time()
            if found or not waits or left_s <= 0 or waiting.ended:
                break
            try:
                async with asyncio.timeout(min(left_s, _LOOK_AGAIN_S)):
                    await bell.wait()
            except TimeoutError:
                pass
    finally:
        if waits:
            waiting.leave(call.caller.client_id)
    sets = {str(each.id): await tokens.fresh(call.services, call.tenant, each.token) for each in found[:limit]}
    return Polled(sets=sets, more=len(found) > limit)


async def _unread(call: Call, limit: int) -> list[Notification]:
    scopes = [scope for scope in _READERS if scope in call.caller.scopes]
    async with call.tx() as tx:
        await consents.check_admitted(tx, call.caller.client_id)
        return await queries.list_unread(tx, call.caller.client_id, scopes, limit)


async def _end(call: Call, taken: Sequence[str], refused: Mapping[str, tuple[str, str]]) -> None:
    known = [each for text in taken if (each := _uuid(text)) is not None]
    faulty = {each: said for text, said in refused.items() if (each := _uuid(text)) is not None}
    if not known and not faulty:
        return
    async with call.tx() as tx:
        now, client_id = await tenant_now(tx), call.caller.client_id
        await consents.check_admitted(tx, client_id)
        # The subscription comes first for all who change its notifications, so that no two wait for each other.
        await queries.find_subscriptions(tx, [client_id], lock=True)
        if known:
            await queries.end(tx, client_id, known, "acknowledged", now=now, by="poll")
        if faulty:
            said = list(faulty.values())
            await queries.end(tx, client_id, list(faulty), "refused", now=now, by="poll", errors=said)


def _uuid(text: str) -> UUID | None:
    """Return the id that a ``jti`` of ours is; anything else is no notification of ours."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None
