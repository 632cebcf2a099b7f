"""What runs beside the visits: jobs that wait for others out there, as long as those let them wait.

A visit to a tenant holds one of few places, and a job of its own kind holds up the tenant's other jobs. Neither may
depend on how quickly strangers answer. So such jobs are begun by a visit and end without one.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Any, Final
from uuid import UUID

from billfold_server.db.wakeups import Wakeups, Work
from billfold_server.tenancy.context import TenantRef

__all__ = ["Apart"]

_MOST: Final = 512
"""How many run in one process. It is many times what one tenant may have, so that no few tenants fill it."""


class Apart:
    """The tasks that run apart, of one process.

    Args:
        of_tenant: How many of one tenant run at once.
    """

    def __init__(self, of_tenant: int) -> None:
        self._of_tenant = of_tenant
        self._tasks: defaultdict[UUID, set[asyncio.Task[None]]] = defaultdict(set)

    def places(self, tenant: TenantRef) -> int:
        """Return how many more of a tenant's may begin."""
        running = len(self._tasks[tenant.id]) if tenant.id in self._tasks else 0
        return max(0, min(self._of_tenant - running, _MOST - sum(map(len, self._tasks.values()))))

    def begin(
        self, tenant: TenantRef, work: Coroutine[Any, Any, None], wakeups: Wakeups, *, leave: Callable[[], None]
    ) -> None:
        """Begin one, at whose end the tenant is visited again, and that is told, however it ends."""
        task = asyncio.create_task(work, name=f"apart-{tenant.slug}")
        self._tasks[tenant.id].add(task)

        def end(ended: asyncio.Task[None]) -> None:
            running = self._tasks[tenant.id]
            running.discard(ended)
            if not running:
                del self._tasks[tenant.id]
            leave()
            wakeups.signal(tenant, Work.JOBS)

        task.add_done_callback(end)

    async def settle(self) -> None:
        """Wait until none runs any more."""
        while tasks := [task for running in self._tasks.values() for task in running]:
            await asyncio.wait(tasks)

    async def leave(self, tenant_id: UUID) -> None:
        """End those of one tenant; each gives its job back."""
        tasks = list(self._tasks.get(tenant_id, ()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self) -> None:
        """End all of them; each gives its job back."""
        tasks = [task for running in self._tasks.values() for task in running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
