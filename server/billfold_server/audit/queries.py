"""The SQL of the audit trail."""

from typing import Final

__all__ = ["INSERT", "LIST"]

INSERT: Final = """
INSERT INTO audit_records (id, actor, action, object_id, reason, request_id, facts, recorded_at)
SELECT r.id, r.actor, r.action, r.object_id, r.reason, r.request_id, r.facts::jsonb, r.recorded_at
FROM unnest(
    $1::text::uuid[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::text[], $6::text::text[],
    $7::text::text[], $8::text::timestamptz[]
) AS r (id, actor, action, object_id, reason, request_id, facts, recorded_at)
"""

LIST: Final = """
SELECT id, actor, action, object_id, reason, request_id, facts::text AS facts, recorded_at
FROM audit_records
WHERE ($1::text IS NULL OR object_id = $1)
  AND ($2::text IS NULL OR action = $2)
  AND ($3::uuid IS NULL OR id < $3)
ORDER BY id DESC
LIMIT $4
"""
