"""The SQL of approvals."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold_server.db.filters import Filter
from billfold_server.db.personal import counted
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "ApprovalRow",
    "decide",
    "execute",
    "find",
    "find_by_key",
    "insert",
    "list_page",
    "lock",
    "lock_open",
    "sweep",
]


class ApprovalRow(msgspec.Struct, frozen=True, kw_only=True):
    """A request that waits, or has waited, for a second person.

    Attributes:
        request: The ``StoredRequest``, as JSON.
        client_id: The API client through which it was asked for; the idempotency key is its own.
        user_id: The person who asked, where it was one.
        fingerprint: Of the request, as of any with an idempotency key.
        outcome: The answer, to the byte.
    """

    id: UUID
    kind: str
    request: bytes
    made_by: str
    client_id: UUID
    user_id: UUID | None
    idempotency_key: str
    fingerprint: bytes
    request_id: str | None
    requested_at: datetime
    expires_at: datetime
    state: str
    decided_by: str | None = None
    decider_id: UUID | None = None
    decided_at: datetime | None = None
    reason: str | None = None
    executed_at: datetime | None = None
    outcome_status: int | None = None
    outcome: bytes | None = None


_COLUMNS: Final = ", ".join(ApprovalRow.__struct_fields__)
_PLACES: Final = ", ".join(f"${number}" for number, _ in enumerate(ApprovalRow.__struct_fields__, 1))
# Texts of constants alone.
_INSERT: Final = (
    f"INSERT INTO approvals ({_COLUMNS}) VALUES ({_PLACES}) ON CONFLICT (client_id, idempotency_key) DO NOTHING"  # noqa: S608
)
_FIND: Final = f"SELECT {_COLUMNS} FROM approvals WHERE id = $1"  # noqa: S608
_LOCK: Final = f"{_FIND} FOR NO KEY UPDATE"
_FIND_BY_KEY: Final = f"SELECT {_COLUMNS} FROM approvals WHERE client_id = $1 AND idempotency_key = $2"  # noqa: S608
_LOCK_OPEN: Final = f"""
SELECT {_COLUMNS} FROM approvals
WHERE client_id = $1 AND user_id IS NOT DISTINCT FROM $2 AND fingerprint = $3
  AND state IN ('pending', 'approved') AND (expires_at > $4 OR (state = 'approved' AND $5))
ORDER BY id DESC LIMIT 1 FOR NO KEY UPDATE
"""  # noqa: S608
_DECIDE: Final = """
UPDATE approvals SET state = $2, decided_by = $3, decider_id = $4, decided_at = $5, reason = $6 WHERE id = $1
"""
_EXECUTE: Final = """
UPDATE approvals SET state = 'executed', executed_at = $2, outcome_status = $3, outcome = $4
WHERE id = $1 AND state = 'approved'
"""

# What is approved and not carried out yet is never over.
_SWEEP: Final = """
DELETE FROM approvals WHERE id IN (
    SELECT id FROM approvals WHERE expires_at < $1 AND state <> 'approved' ORDER BY expires_at LIMIT $2
)
"""


async def insert(tx: TenantTx, row: ApprovalRow) -> None:
    """Write a new approval, unless one stands under the same key."""
    await tx.execute(_INSERT, *msgspec.structs.astuple(row))


async def find(tx: TenantTx, approval_id: UUID) -> ApprovalRow | None:
    """Return an approval, or None."""
    return _row(await tx.fetchrow(_FIND, approval_id))


async def lock(tx: TenantTx, approval_id: UUID) -> ApprovalRow | None:
    """Return an approval and keep others from deciding on it until the transaction ends, or None."""
    return _row(await tx.fetchrow(_LOCK, approval_id))


async def find_by_key(tx: TenantTx, client_id: UUID, key: str) -> ApprovalRow | None:
    """Return the approval under a client's idempotency key, or None."""
    return _row(await tx.fetchrow(_FIND_BY_KEY, client_id, key))


async def lock_open(
    tx: TenantTx, client_id: UUID, user_id: UUID | None, fingerprint: bytes, now: datetime, *, late: bool = False
) -> ApprovalRow | None:
    """Return the newest approval of a maker's request that can still be used, and keep others from it, or None.

    Args:
        tx: The tenant's transaction.
        client_id: Through which client it was asked for.
        user_id: By which person.
        fingerprint: Of the request.
        now: The tenant's time.
        late: Whether one that is approved can be used after its time: the server carries it out itself, however late.
    """
    return _row(await tx.fetchrow(_LOCK_OPEN, client_id, user_id, fingerprint, now, late))


async def list_page(
    tx: TenantTx,
    *,
    before: UUID | None,
    state: str | None,
    open_at: datetime | None,
    over_at: datetime | None,
    limit: int,
) -> list[ApprovalRow]:
    """Return approvals, the newest first.

    Args:
        tx: The tenant's transaction.
        before: The approval after which to go on.
        state: Only those that their row says to be in this state.
        open_at: Only those whose time hasn't run out by then.
        over_at: Only those whose time has.
        limit: How many at most.
    """
    where = Filter()
    where.add("id < $", before)
    where.add_word("state", state)
    where.add("expires_at > $", open_at)
    where.add("expires_at <= $", over_at)
    sql = f"SELECT {_COLUMNS} FROM approvals WHERE {where} ORDER BY id DESC LIMIT {limit:d}"  # noqa: S608
    return [ApprovalRow(**dict(row)) for row in await tx.fetch(sql, *where.values)]


async def decide(
    tx: TenantTx,
    approval_id: UUID,
    state: str,
    *,
    decided_by: str,
    decider_id: UUID,
    decided_at: datetime,
    reason: str | None,
) -> None:
    """Write down a decision."""
    await tx.execute(_DECIDE, approval_id, state, decided_by, decider_id, decided_at, reason)


async def execute(tx: TenantTx, approval_id: UUID, *, at: datetime, status: int, body: bytes) -> bool:
    """Write down what came of an approved request, and tell whether nobody had."""
    return await tx.execute(_EXECUTE, approval_id, at, status, body) == "UPDATE 1"


async def sweep(tx: TenantTx, before: datetime, limit: int) -> int:
    """Delete approvals that were over before an instant, and return how many."""
    return counted(await tx.execute(_SWEEP, before, limit))


def _row(record: Any) -> ApprovalRow | None:
    return None if record is None else ApprovalRow(**dict(record))
