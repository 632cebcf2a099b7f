"""Keeps the keys of all tenants, beside everything else that a process does: rotates them in time, and rewraps them.

What is to be done is told by the key store alone. So every process that has keys of a domain looks for itself; one at a
time works for a tenant; and where it dies, another goes on within seconds.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Self
from uuid import UUID

import structlog

from billfold import errors
from billfold_server.keys import upkeep_queries
from billfold_server.keys.hierarchy import Keys
from billfold_server.keys.rewrapping import GRACE_S, Rewrap
from billfold_server.keys.rotation import FORBIDDEN, rotate
from billfold_server.keys.rules import SealBroken
from billfold_server.tenancy.context import TenantRef

if TYPE_CHECKING:
    from billfold_server.http.services import Services

__all__ = ["Keeper"]

_log = structlog.stdlib.get_logger("billfold.keys")

# An instance of its own: the module's state is everybody's, and tests that draw by chance must be repeatable.
_CHANCE: Final = random.Random()  # noqa: S311 - It only has to differ.
_POLL_S: Final = 5.0
_SLICE_S: Final = 30.0
"""How long one tenant is worked for, before the next one has its turn."""
_IDLE: Final = 1.0
"""As long as a batch takes, the process has time for requests; so it is busy with keys half the time at most."""
_LET_GO_EVERY: Final = timedelta(days=1)


Everyone = Callable[[], Awaitable[Sequence[TenantRef]]]
"""Returns every tenant of the deployment."""


class Keeper:
    """Keeps the keys of one domain, in one process.

    Args:
        keys: Whose store, backends and domain these are.
        rotate_days: How old an epoch may become before another one takes its place, where the tenant's manifest doesn't
            say; None is as old as it likes.
        tenants: Returns every tenant, in a process that knows them. What their manifests say is noted in the key store,
            for those that don't.
        grace_s: See ``rewrapping.GRACE_S``.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        rotate_days: int | None = None,
        tenants: Everyone | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        self._keys = keys
        self._rotate_days = rotate_days
        self._tenants = tenants
        self._grace_s = grace_s
        self._let_go_at = datetime.now(UTC) + _LET_GO_EVERY
        self._must_not = False

    @classmethod
    def of(cls, services: "Services") -> Self:
        """Return what keeps the keys of a worker's own domain, as its settings and tenants' manifests say."""
        rotate_days = services.settings.key_rotation_days
        return cls(services.keys, rotate_days=rotate_days, tenants=services.registry.everyone)

    async def run(self) -> None:
        """Look and work, until cancelled."""
        failing = False
        while True:
            try:
                await self.look()
            except errors.Unavailable:
                if not failing:
                    _log.warning("keys can't be kept while the key store is away")
                failing = True
            except Exception:  # noqa: BLE001 - it is logged, and the next look may do better
                _log.exception("keeping keys failed")
            else:
                failing = False
            # Processes that have started together shall not look together for ever.
            await asyncio.sleep(_POLL_S * _CHANCE.uniform(0.8, 1.2))

    async def look(self) -> None:
        """Do what is to be done, for every tenant once.

        Raises:
            errors.KeysUnavailable: The key store is away.
        """
        now = datetime.now(UTC)
        await self._note_periods()
        rows = await self._keys.store.fetch(upkeep_queries.KEPT, self._keys.domain, now, self._rotate_days)
        waiting, done = 0, set[UUID]()
        for row in rows:
            left = await self._keep(row["tenant_id"], old=row["old"])
            waiting += left or 0
            if left == 0:
                done.add(row["tenant_id"])
        self._keys.awaiting_rewrap = waiting
        if now >= self._let_go_at:
            # Versions whose last process died before it could let them go.
            self._let_go_at = now + _LET_GO_EVERY
            every = await self._keys.store.fetch(upkeep_queries.TENANTS, self._keys.domain)
            done |= {row["tenant_id"] for row in every}
        if done:
            await asyncio.sleep(self._grace_s)
        for tenant_id in sorted(done):
            await self._let_go(tenant_id)

    async def _note_periods(self) -> None:
        """Write down in the key store after how many days manifests want keys replaced; mostly nothing has changed."""
        if self._tenants is None:
            return
        try:
            everyone = await self._tenants()
        except errors.Unavailable:
            # The tenants' own database is away; what was noted last counts.
            return
        periods = {each.id: days for each in everyone if (days := each.manifest.keys.rotate_days) is not None}
        store = self._keys.store
        await store.execute(upkeep_queries.DROP_ROTATION_PERIODS, list(periods))
        await store.execute(upkeep_queries.SET_ROTATION_PERIODS, list(periods), list(periods.values()))

    async def _keep(self, tenant_id: UUID, *, old: bool) -> int | None:
        """Rotate and rewrap, and return how many keys still wait; None where others are at it or it failed."""
        keys = self._keys
        async with self._alone(tenant_id) as alone:
            if not alone:
                return None
            try:
                if old:
                    # Since we have looked the tenants before it have had their turns, and this one may be gone.
                    await rotate(
                        keys.store, keys.backends, tenant_id, keys.domain, as_far_as_allowed=True, has_keys=True
                    )
                rewrap = Rewrap(keys.store, keys.backends, tenant_id, keys.domain, idle=_IDLE)
                return (await rewrap.run(for_s=_SLICE_S)).left
            except (errors.Unavailable, SealBroken) as error:
                _log.warning("a tenant's keys can't be rewrapped now", tenant=str(tenant_id), why=type(error).__name__)
                return None

    async def _let_go(self, tenant_id: UUID) -> None:
        keys = self._keys
        if self._must_not:
            return
        try:
            await Rewrap(keys.store, keys.backends, tenant_id, keys.domain).let_go()
        except errors.KeysUnavailable as error:
            if error.reason != FORBIDDEN:
                _log.warning("old versions can't be let go now", tenant=str(tenant_id), why=error.reason)
            elif not self._must_not:
                self._must_not = True
                _log.info("old versions are let go by whoever may: billfold keys rewrap --all")
        except (errors.Unavailable, SealBroken) as error:
            _log.warning("old versions can't be let go now", tenant=str(tenant_id), why=type(error).__name__)

    @asynccontextmanager
    async def _alone(self, tenant_id: UUID) -> AsyncIterator[bool]:
        """See that nobody else keeps this tenant's keys of this domain meanwhile."""
        arguments = (str(tenant_id), self._keys.domain)
        async with self._keys.store.long() as connection:
            alone = await connection.fetchval(upkeep_queries.TRY_ALONE, *arguments)
            # The lock goes with the connection.
            yield bool(alone)
