"""Wake-ups: hints that a tenant has work, none of which has to arrive.

Within a process, a commit that left events or jobs behind says so here, at once. Between processes and over time, a
table at platform level holds when each tenant wants to be visited next (``db.agenda``). Whatever gets lost in either,
the sweep over all tenants finds (``db.background``).
"""

import asyncio
from collections.abc import Iterable
from enum import Flag, auto
from uuid import UUID

from billfold_server.tenancy.context import TenantRef

__all__ = ["Wakeups", "Work"]


class Work(Flag):
    """What a transaction left behind for others to do."""

    EVENTS = auto()
    JOBS = auto()


class Wakeups:
    """The tenants that want to be visited by this process, each at most once at a time.

    Attributes:
        unheard: What nobody here does anything about; nobody is woken for it.
    """

    def __init__(self) -> None:
        self.unheard = Work(0)
        self._wanted: dict[UUID, tuple[TenantRef, Work]] = {}
        self._arrived = asyncio.Event()

    def signal(self, tenant: TenantRef, work: Work) -> None:
        """Ask for a visit. Asking twice before it begins asks once."""
        if self.unheard:
            work &= ~self.unheard
        if not work:
            return
        before = self._wanted.get(tenant.id)
        self._wanted[tenant.id] = (tenant, work if before is None or before[1] is work else before[1] | work)
        self._arrived.set()

    async def wait(self, timeout_s: float) -> bool:
        """Wait until some tenant wants a visit, and return whether one does."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True

    def take(self, busy: Iterable[UUID] = ()) -> list[tuple[TenantRef, Work]]:
        """Return who wants a visit, in the order of asking, and forget them; those who are busy stay."""
        left_out = set(busy)
        taken = [wanted for tenant_id, wanted in self._wanted.items() if tenant_id not in left_out]
        for tenant, _ in taken:
            del self._wanted[tenant.id]
        self._arrived.clear()
        return taken

    def forget(self, tenant_id: UUID) -> None:
        """Take back what was asked for a tenant."""
        self._wanted.pop(tenant_id, None)

    def nudge(self) -> None:
        """Look again: somebody who was busy no longer is."""
        if self._wanted:
            self._arrived.set()
