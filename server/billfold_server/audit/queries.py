"""The SQL of the audit trail."""

from typing import Final

from billfold_server.db.sets import Columns

__all__ = ["DELETE", "INSERT", "LIST", "RECORDS"]

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

# Ids are made of the real time, so the oldest records come first along them.
DELETE: Final = """
DELETE FROM audit_records WHERE recorded_at < $1 AND id IN (
    SELECT id FROM audit_records WHERE id < $2 ORDER BY id LIMIT $3
)
"""
