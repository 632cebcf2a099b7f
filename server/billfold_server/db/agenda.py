"""The agenda: when each tenant wants to be visited next, for all processes to see.

One row per tenant with an instant of the real clock and nothing else. It is written after the tenant's own transaction
and apart from it, so it may be late or wrong; the sweep over all tenants makes up for that (``db.background``).
"""

from datetime import datetime
from uuid import UUID

from billfold_server.tenancy.transaction import PlatformTx

__all__ = ["claim_due", "plan", "plan_exactly"]

_CLAIM = """
UPDATE tenant_wakeups AS w SET wake_at = now() + $1::bigint * interval '1 millisecond'
FROM (
    SELECT tenant_id FROM tenant_wakeups WHERE wake_at <= now() ORDER BY wake_at LIMIT $2 FOR UPDATE SKIP LOCKED
) AS due
WHERE w.tenant_id = due.tenant_id
RETURNING w.tenant_id
"""

_PLAN = """
INSERT INTO tenant_wakeups (tenant_id, wake_at) VALUES ($1, $2)
ON CONFLICT (tenant_id) DO UPDATE SET wake_at = least(tenant_wakeups.wake_at, excluded.wake_at)
"""

_PLAN_EXACTLY = """
INSERT INTO tenant_wakeups (tenant_id, wake_at) VALUES ($1, $2)
ON CONFLICT (tenant_id) DO UPDATE SET wake_at = excluded.wake_at
"""


_AT_ONCE = 100


async def claim_due(tx: PlatformTx, *, again_ms: int) -> list[UUID]:
    """Return tenants whose time has come, and put each off by ``again_ms``, so that one process visits them.

    The visit then says when the tenant wants to be visited next. If it never does, the tenant comes up again.
    """
    rows = await tx.fetch(_CLAIM, again_ms, _AT_ONCE)
    return [row["tenant_id"] for row in rows]


async def plan(tx: PlatformTx, tenant_id: UUID, wake_at: datetime) -> None:
    """Make sure that a tenant is visited at an instant of the real clock, or earlier."""
    await tx.execute(_PLAN, tenant_id, wake_at)


async def plan_exactly(tx: PlatformTx, tenant_id: UUID, wake_at: datetime | None) -> None:
    """Say when a tenant wants to be visited next, or that it doesn't."""
    if wake_at is None:
        await tx.execute("DELETE FROM tenant_wakeups WHERE tenant_id = $1", tenant_id)
    else:
        await tx.execute(_PLAN_EXACTLY, tenant_id, wake_at)
