"""Whose turn it is, with jobs of which one process does only few at once.

They take long by themselves and come to all tenants at one instant. Who waits for a turn has claimed nothing meanwhile:
neither the job, which another process or whoever moves the tenant's clock may do, nor a place among what runs apart,
which deliveries need.
"""

from collections import Counter, defaultdict
from collections.abc import Collection
from uuid import UUID

from billfold_server.db.jobs import JobKinds
from billfold_server.tenancy.context import TenantRef

__all__ = ["Turns"]


class Turns:
    """The turns of one process.

    Args:
        kinds: Who does which kind of job, and how many at once.
    """

    def __init__(self, kinds: JobKinds) -> None:
        self._kinds = kinds
        self._running: Counter[str] = Counter()
        self._waiting: defaultdict[str, dict[UUID, TenantRef]] = defaultdict(dict)

    def taken(self) -> Collection[str]:
        """Return the kinds of which no further job may begin now."""
        return [kind for kind in self._running if not self._is_free(kind)]

    def take(self, kind: str) -> bool:
        """Begin a job, if there is a turn for it; whoever has one gives it back in the end."""
        if not self._is_free(kind):
            return False
        self._running[kind] += 1
        return True

    def give_back(self, kind: str) -> TenantRef | None:
        """End a job, and return the tenant that has waited longest for that; None where none has."""
        self._running[kind] -= 1
        if not self._running[kind]:
            del self._running[kind]
        waiting = self._waiting.get(kind, {})
        return waiting.pop(next(iter(waiting))) if waiting else None

    def wait(self, kind: str, tenant: TenantRef) -> None:
        """Note that a tenant has a job that is due and may not begin yet."""
        self._waiting[kind].setdefault(tenant.id, tenant)

    def forget(self, tenant_id: UUID) -> None:
        """Let go of a tenant that is about to be gone."""
        for waiting in self._waiting.values():
            waiting.pop(tenant_id, None)

    def _is_free(self, kind: str) -> bool:
        at_once = self._kinds[kind].at_once
        return at_once is None or self._running[kind] < at_once
