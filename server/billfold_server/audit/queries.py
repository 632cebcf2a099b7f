"""The SQL of the audit trail."""

from typing import Any, Final
from uuid import UUID

from billfold_server.db.filters import Filter
from billfold_server.db.sets import Columns

__all__ = ["DELETE", "INSERT", "IS_BEHIND", "LIST", "RECORDS", "moved"]

_PLAIN: Final = ("actor", "action", "object_id", "reason", "request_id", "recorded_at")

RECORDS: Final = Columns(
    id="uuid",
    actor="text",
    action="text",
    object_id="text",
    reason="text",
    request_id="text",
    facts="text",
    recorded_at="timestamptz",
)
INSERT: Final = f"""
INSERT INTO audit_records (id, actor, action, object_id, reason, request_id, recorded_at, facts)
SELECT n.id, {", ".join(RECORDS.value[name] for name in _PLAIN)}, {RECORDS.value["facts"]}::jsonb FROM {RECORDS.rows}
"""  # noqa: S608 - constants

LIST: Final = """
SELECT id, actor, action, object_id, reason, request_id, facts::text AS facts, recorded_at
FROM audit_records
WHERE ($1::text IS NULL OR object_id = $1)
  AND ($2::text IS NULL OR action = $2)
  AND ($3::uuid IS NULL OR id < $3)
ORDER BY id DESC
LIMIT $4
"""

IS_BEHIND: Final = """
WITH RECURSIVE behind AS (
    SELECT actor FROM audit_records WHERE object_id = $1 AND action = ANY($2::text[])
    UNION
    SELECT r.actor FROM audit_records AS r JOIN behind AS b ON r.object_id = b.actor WHERE r.action = ANY($2::text[])
)
SELECT EXISTS (SELECT FROM behind WHERE actor = $3)
"""

# Ids are made of the real time, so the oldest records come first along them.
DELETE: Final = """
DELETE FROM audit_records WHERE recorded_at < $1 AND id IN (
    SELECT id FROM audit_records WHERE id < $2 ORDER BY id LIMIT $3
)
"""


def moved(kind: str, *, transfer_id: UUID | None, before: UUID | None, limit: int) -> tuple[str, list[Any]]:
    """Return the query for transfers, top-ups or withdrawals, the newest first, and its parameters.

    Their own rows say who made them in which request, so the audit trail has no records of its own for them.
    """
    where = Filter()
    where.add("kind = $", kind)
    where.add("id = $", transfer_id)
    where.add("id < $", before)
    columns = "id, actor, request_id, recorded_at"
    return f"SELECT {columns} FROM transfers WHERE {where} ORDER BY id DESC LIMIT {limit:d}", where.values  # noqa: S608 - constants
