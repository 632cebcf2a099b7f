"""Turns events of the tenant's stream into notifications, each once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from billfold import ids
from billfold.contract.platform import Event
from billfold.ids import Prefix
from billfold_server.consents import service as consents
from billfold_server.db import jobs
from billfold_server.http.services import Services
from billfold_server.open_banking.edge.interface import VERSION
from billfold_server.open_banking.events import queries, rules, tokens
from billfold_server.open_banking.events.pushing import push_job
from billfold_server.open_banking.events.rows import Notification, Subscription
from billfold_server.open_banking.events.rules import Notice
from billfold_server.open_banking.events.waiting import Waiting
from billfold_server.tenancy.clock import tenant_now
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["Publisher"]

_CONSENTS_AT_ONCE: Final = 1_000


class Publisher:
    """Tells third parties of what concerns them.

    What it is told it may be told again; an event that has become a notification once doesn't become another one.

    Args:
        services: The process's parts.
        waiting: Who waits for notifications in this process.
    """

    name = "open_banking_events"
    question = queries.ANYBODY

    def __init__(self, services: Services, waiting: Waiting) -> None:
        self._services = services
        self._waiting = waiting

    def wanted(self, tenant: TenantRef, anybody: bool) -> Sequence[str]:  # noqa: FBT001 - an answer of the database
        """Return the types of events that concern third parties: none without open banking, or if nobody subscribes.

        Who subscribes later is told of what happens from then on, so all that has gone by is nobody's.
        """
        told = tenant.manifest.open_banking.enabled and anybody
        return (*rules.EVENTS, *rules.LINKED) if told else ()

    async def publish(self, tenant: TenantRef, events: Sequence[Event]) -> None:
        """Write what events say to third parties that want to know of it, and have it pushed."""
        if not tenant.manifest.open_banking.enabled:
            return
        async with self._services.database.tx(tenant) as tx:
            notices = [notice for event in events for notice in await _notices(tx, event)]
            found = await queries.find_subscriptions(tx, {each.client_id for each in notices}) if notices else []
            now = await tenant_now(tx)
        subscriptions = {each.client_id: each for each in found}
        told = [
            notification
            for notice in notices
            if notice.client_id in subscriptions
            and (notification := await self._notification(tenant, notice, subscriptions[notice.client_id], now))
        ]
        if told:
            async with self._services.database.tx(tenant) as tx:
                await _write(tx, told)
            self._waiting.ring(tenant)

    async def _notification(
        self, tenant: TenantRef, notice: Notice, subscription: Subscription, now: datetime
    ) -> Notification | None:
        jti = ids.uuid7()
        claims = rules.claims_of(
            notice,
            subscription.wanted,
            issuer=self._services.identity.realm(tenant).issuer,
            root=VERSION,
            jti=jti,
            now=self._services.clock.now(),
        )
        if claims is None:
            return None
        return Notification(
            id=jti,
            client_id=notice.client_id,
            event_id=ids.decode(Prefix.EVENT, notice.event.id),
            sequence=notice.event.sequence,
            scope=notice.scope,
            resource=notice.resource,
            token=await tokens.sign(self._services, tenant, claims),
            occurred_at=notice.event.occurred_at,
            created_at=now,
        )


async def _notices(tx: TenantTx, event: Event) -> Sequence[Notice]:
    if event.type not in rules.LINKED:
        notice = rules.notice_of(event)
        return [] if notice is None else [notice]
    # Whoever has closed or frozen a wallet knows nothing of who has a consent about it.
    party_id = ids.decode(Prefix.PARTY, event.data["party_id"])
    wallet_id = ids.decode(Prefix.WALLET, event.object_id)
    found = [
        each
        for kind in rules.LINKED[event.type]
        for each in await consents.list_for_staff(
            tx, party_id=party_id, kind=kind, status="AUTH", limit=_CONSENTS_AT_ONCE
        )
    ]
    told = [
        rules.linked_notice(event, each.client_id, each.wire_id, each.kind)
        for each in found
        # One whose time is over is ended by a job, soon after.
        if wallet_id in each.wallet_ids and each.status == "AUTH"
    ]
    return [each for each in told if each is not None]


async def _write(tx: TenantTx, told: Sequence[Notification]) -> None:
    """Write notifications, and the jobs that push them. The subscriptions stay as they are until that is done."""
    locked = await queries.find_subscriptions(tx, {each.client_id for each in told}, lock=True)
    pushes: dict[UUID, bool] = {each.client_id: each.pushes for each in locked}
    now = await tenant_now(tx)
    await queries.add(tx, [(each, now if pushes.get(each.client_id) else None) for each in told])
    for client_id, pushed in pushes.items():
        if pushed:
            await jobs.enqueue_or_hasten(tx, push_job(client_id, now))
