"""What is played now: what the parts of the platform that look outside ask before they look.

Each part goes its usual way. Only what it meets there is another thing: a rail that rejects, a key service that is
sealed, an endpoint that is told late.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from billfold import errors
from billfold.contract.sandbox import Dependency, SimulationKind
from billfold_server.connectors.service import Part
from billfold_server.sandbox import queries, rules
from billfold_server.sandbox.rows import SimulationRow
from billfold_server.tenancy.clock import read_clock, tenant_now
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx

if TYPE_CHECKING:
    from billfold_server.tenancy.service import Registry

__all__ = ["Stage", "take", "take_for_each"]

_KEPT_S: Final = 1.0
"""How long a process may not know that another one has begun to answer slowly."""


async def take(
    tx: TenantTx, kind: SimulationKind, *, now: datetime, subject: str | None = None
) -> SimulationRow | None:
    """Use what is simulated of a kind once, if anything is.

    Args:
        tx: The tenant's transaction.
        kind: What.
        now: The tenant's time.
        subject: What it is used on; used on it again, it is the same simulation and isn't counted.
    """
    if not tx.tenant.manifest.sandbox:
        return None
    if subject is not None and (before := await queries.find_used(tx, kind, subject)) is not None:
        return before
    found = await queries.lock_next(tx, kind, now)
    if found is not None:
        await queries.use(tx, found.id, subject, now)
    return found


async def take_for_each(
    tx: TenantTx, kind: SimulationKind, made: Sequence[UUID], *, now: datetime
) -> list[SimulationRow | None]:
    """Use what is simulated of a kind on each of some things, in order, that was made after it; None is on which none.

    Args:
        tx: The tenant's transaction.
        kind: What.
        made: The ids of the things.
        now: The tenant's time.
    """
    if not tx.tenant.manifest.sandbox or not made:
        return [None] * len(made)
    rows = await queries.lock_many(tx, kind, now, len(made))
    met = rules.shared_among([(row.id, row.used, row.times) for row in rows], made)
    shares = Counter(place for place in met if place is not None)
    if shares:
        await queries.use_many(tx, [(rows[place].id, share) for place, share in shares.items()], now)
    return [None if place is None else rows[place] for place in met]


class Stage:
    """What is played in one process.

    Args:
        database: The door to the tenants' tables.
        registry: Which tenants there are.
    """

    def __init__(self, database: Database, registry: "Registry") -> None:
        self._database = database
        self._registry = registry
        self._slow: dict[UUID, tuple[float, bool]] = {}

    async def direct(self, tenant: TenantRef, order: str | None) -> Part:
        """Tell what the rail plays for a tenant: that it is away, or that it rejects an order.

        A test clock on its way waits for whoever asks the rail, who would wait for silence once or more for each day.
        """
        async with self._database.tx(tenant) as tx:
            state = await read_clock(tx)
            if await _away(tx, Dependency.RAIL, state.now):
                return Part(away=True)
            taken = None if order is None else await take(tx, SimulationKind.DECLINE, now=state.now, subject=order)
        return Part(rejects=None if taken is None else taken.facts["reason"], at_once=state.advancing_to is not None)

    async def guard_keys(self, tenant_id: UUID) -> None:
        """See that the service that wraps a tenant's keys answers.

        Raises:
            errors.KeysUnavailable: It is sealed, or away.
        """
        tenant = await self._registry.find_by_id(tenant_id)
        if tenant is not None:
            await self._guard(tenant, Dependency.KEY_STORE, "key_store_unreachable")

    async def guard_decryptor(self, tenant: TenantRef) -> None:
        """See that the process that sees cards answers, and that the service that wraps its keys does.

        Raises:
            errors.KeysUnavailable: One of them doesn't.
        """
        await self._guard(tenant, Dependency.DECRYPTOR, "unreachable")

    async def slow_down(self, tenant: TenantRef) -> None:
        """Wait for as long as answers are to be late."""
        if not tenant.manifest.sandbox:
            return
        looked_at, slow = self._slow.get(tenant.id, (0.0, False))
        if not slow and time.monotonic() - looked_at < _KEPT_S:
            return
        async with self._database.tx(tenant) as tx:
            taken = await take(tx, SimulationKind.SLOW_ANSWERS, now=await tenant_now(tx))
        self._slow[tenant.id] = time.monotonic(), taken is not None
        if taken is not None:
            await asyncio.sleep(taken.facts["delay_ms"] / 1000)

    def look_again(self, tenant: TenantRef) -> None:
        """Read anew what is played for a tenant, because that has just changed."""
        self._slow.pop(tenant.id, None)

    async def _guard(self, tenant: TenantRef, dependency: Dependency, reason: str) -> None:
        if not tenant.manifest.sandbox:
            return
        async with self._database.tx(tenant) as tx:
            now = await tenant_now(tx)
            sealed = bool(await queries.list_under_way(tx, SimulationKind.VAULT_SEAL, now))
            away = not sealed and await _away(tx, dependency, now)
        if sealed or away:
            msg = "the keys are not available at the moment"
            raise errors.KeysUnavailable(msg, reason="sealed" if sealed else reason, retry_after_s=1)


async def _away(tx: TenantTx, dependency: Dependency, now: datetime) -> bool:
    found = await queries.list_under_way(tx, SimulationKind.OUTAGE, now)
    return any(each.facts["dependency"] == dependency.value for each in found)
