"""SQL of the key store for what operators do with keys: looking at them, replacing, moving, destroying them."""

from typing import Final

__all__ = [
    "BATCH",
    "DELETE_EMPTY_EPOCHS",
    "DROP_ROTATION_PERIODS",
    "EPOCHS",
    "EPOCH_COUNTS",
    "EVERY_KEY",
    "FORGOTTEN",
    "FORGOTTEN_PAGE",
    "INSERT_EPOCH_AFTER",
    "KEPT",
    "LEAST_VERSIONS",
    "LOCK_HIERARCHY",
    "MOVE",
    "PURPOSES",
    "PURPOSES_REMAIN",
    "PURPOSE_BATCH",
    "PURPOSE_MOVE",
    "REMAINS",
    "REWRAP_EPOCH",
    "ROTATION_PERIOD",
    "SET_ROTATION_PERIODS",
    "SUBJECTS_REMAIN",
    "SUBJECT_COUNTS",
    "SUBJECT_KEY_IDS",
    "TENANTS",
    "TRY_ALONE",
    "UPKEEP",
    "USABLE_KEYS",
    "WAITING",
]

EPOCHS: Final = """
SELECT id, number, backend, key_version, wrapped, created_at FROM key_epochs
WHERE tenant_id = $1 AND domain = $2 AND lost_at IS NULL ORDER BY number
"""

# Who adds an epoch and who lets versions of the tenant's key go take turns, for the length of one transaction.
LOCK_HIERARCHY: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1::text || ' ' || $2::text, 1701))"

# An epoch that an older version has wrapped than another one's is refused: that version may be about to go. And so is
# one that isn't the first where there is no other: the tenant was deleted meanwhile.
INSERT_EPOCH_AFTER: Final = """
INSERT INTO key_epochs (tenant_id, id, domain, number, backend, key_version, wrapped, created_at)
SELECT $1::uuid, $2::uuid, $3::text, 1 + coalesce(max(number), 0), $4::text, $5::int, $6::bytea, clock_timestamp()
FROM key_epochs WHERE tenant_id = $1 AND domain = $3
HAVING coalesce(max(key_version) FILTER (WHERE backend = $4::text), 0) <= $5::int AND count(*) >= $7::int
ON CONFLICT DO NOTHING RETURNING number
"""

REWRAP_EPOCH: Final = """
UPDATE key_epochs SET key_version = $4, wrapped = $5
WHERE tenant_id = $1 AND id = $2 AND key_version = $3 AND key_version < $4
"""

# Keyset, not "the first so many": rows that were moved stay in the index until they are vacuumed.
BATCH: Final = """
SELECT id, subject_id, wrapped FROM subject_keys
WHERE tenant_id = $1 AND epoch_id = $2 AND id > $3 ORDER BY id LIMIT $4
FOR NO KEY UPDATE SKIP LOCKED
"""
MOVE: Final = """
UPDATE subject_keys AS k SET epoch_id = $2, wrapped = n.wrapped
FROM unnest($3::uuid[], $4::bytea[]) AS n (id, wrapped) WHERE k.tenant_id = $1 AND k.id = n.id
"""
PURPOSE_BATCH: Final = """
SELECT id, purpose, version, wrapped FROM purpose_keys
WHERE tenant_id = $1 AND epoch_id = $2 AND id > $3 ORDER BY id LIMIT $4
FOR NO KEY UPDATE SKIP LOCKED
"""
PURPOSE_MOVE: Final = """
UPDATE purpose_keys AS k SET epoch_id = $2, wrapped = n.wrapped
FROM unnest($3::uuid[], $4::bytea[]) AS n (id, wrapped) WHERE k.tenant_id = $1 AND k.id = n.id
"""
SUBJECTS_REMAIN: Final = """
SELECT EXISTS (SELECT FROM subject_keys WHERE tenant_id = $1 AND epoch_id = $2) AS remain
"""
PURPOSES: Final = """
SELECT DISTINCT domain, purpose FROM purpose_keys WHERE tenant_id = $1 ORDER BY domain, purpose
"""
PURPOSES_REMAIN: Final = """
SELECT EXISTS (SELECT FROM purpose_keys WHERE tenant_id = $1 AND epoch_id = $2) AS remain
"""

# A row that comes meanwhile refers to its epoch, and so waits for this or is seen by it.
DELETE_EMPTY_EPOCHS: Final = """
DELETE FROM key_epochs AS e
WHERE e.tenant_id = $1 AND e.domain = $2 AND e.number < $3
    AND NOT EXISTS (SELECT FROM subject_keys AS k WHERE k.tenant_id = e.tenant_id AND k.epoch_id = e.id)
    AND NOT EXISTS (SELECT FROM purpose_keys AS k WHERE k.tenant_id = e.tenant_id AND k.epoch_id = e.id)
RETURNING e.number
"""

LEAST_VERSIONS: Final = """
SELECT backend, min(key_version) AS least FROM key_epochs
WHERE tenant_id = $1 AND domain = $2 AND lost_at IS NULL GROUP BY backend
"""

EPOCH_COUNTS: Final = """
SELECT e.id, e.domain, e.number, e.backend, e.key_version, e.created_at,
    (SELECT count(*) FROM subject_keys AS k WHERE k.tenant_id = e.tenant_id AND k.epoch_id = e.id) AS subject_keys,
    (SELECT count(*) FROM purpose_keys AS k WHERE k.tenant_id = e.tenant_id AND k.epoch_id = e.id) AS purpose_keys
FROM key_epochs AS e WHERE e.tenant_id = $1 AND e.lost_at IS NULL ORDER BY e.domain, e.number
"""

SUBJECT_COUNTS: Final = """
SELECT domain, count(DISTINCT subject_id) AS subjects, count(*) AS keys, max(generation) AS generations,
    sum(seals_reserved)::bigint AS seals
FROM subject_keys WHERE tenant_id = $1 AND wrapped IS NOT NULL GROUP BY domain
"""

# How many keys wait for a newer epoch than theirs: what a rewrap has still to do.
WAITING: Final = """
SELECT (SELECT count(*) FROM subject_keys AS k WHERE k.tenant_id = $1 AND k.epoch_id = ANY($2::uuid[]))
    + (SELECT count(*) FROM purpose_keys AS k WHERE k.tenant_id = $1 AND k.epoch_id = ANY($2::uuid[])) AS waiting
"""

FORGOTTEN: Final = "SELECT count(*) AS forgotten FROM forgotten_subjects WHERE tenant_id = $1"

FORGOTTEN_PAGE: Final = """
SELECT subject_id, forgotten_at, reason, keys FROM forgotten_subjects
WHERE tenant_id = $1 AND ($2::uuid IS NULL OR subject_id > $2) AND ($3::uuid IS NULL OR subject_id = $3)
ORDER BY subject_id LIMIT $4
"""

SUBJECT_KEY_IDS: Final = """
SELECT id, domain, generation, wrapped IS NULL AS forgotten FROM subject_keys
WHERE tenant_id = $1 AND subject_id = $2 ORDER BY domain, generation
"""

USABLE_KEYS: Final = """
SELECT id, subject_id, epoch_id, wrapped FROM subject_keys
WHERE tenant_id = $1 AND domain = $2 AND wrapped IS NOT NULL ORDER BY id LIMIT $3
"""

EVERY_KEY: Final = """
SELECT k.id, k.domain, k.subject_id, k.generation, k.seals_reserved, k.created_at, k.forgotten_at,
    e.number, e.backend, e.key_version
FROM subject_keys AS k LEFT JOIN key_epochs AS e ON e.tenant_id = k.tenant_id AND e.id = k.epoch_id
WHERE k.tenant_id = $1 ORDER BY k.domain, k.id
"""

# Whose keys want something done: those with a former epoch, and those whose newest is older than it may become. What no
# manifest speaks of is as old as it likes where the deployment doesn't either.
KEPT: Final = """
SELECT tenant_id, former, old FROM (
    SELECT e.tenant_id, max(e.number) - min(e.number) AS former, count(*) AS epochs,
        coalesce(
            max(e.created_at) <= $2::timestamptz - coalesce(max(p.days), $3::int) * interval '24 hours', false
        ) AS old
    FROM key_epochs AS e LEFT JOIN rotation_periods AS p ON p.tenant_id = e.tenant_id
    WHERE e.domain = $1 AND e.lost_at IS NULL GROUP BY e.tenant_id
) AS tenants
WHERE epochs > 1 OR old ORDER BY tenant_id
"""

ROTATION_PERIOD: Final = "SELECT days FROM rotation_periods WHERE tenant_id = $1"
SET_ROTATION_PERIODS: Final = """
INSERT INTO rotation_periods AS p (tenant_id, days) SELECT n.tenant_id, n.days
FROM unnest($1::uuid[], $2::int[]) AS n (tenant_id, days)
ON CONFLICT (tenant_id) DO UPDATE SET days = excluded.days WHERE p.days <> excluded.days
"""
DROP_ROTATION_PERIODS: Final = "DELETE FROM rotation_periods WHERE tenant_id <> ALL($1::uuid[])"

TENANTS: Final = "SELECT DISTINCT tenant_id FROM key_epochs WHERE domain = $1 AND lost_at IS NULL ORDER BY tenant_id"

REMAINS: Final = """
SELECT (SELECT count(*) FROM key_epochs WHERE tenant_id = $1) + (SELECT count(*) FROM subject_keys WHERE tenant_id = $1)
    + (SELECT count(*) FROM purpose_keys WHERE tenant_id = $1)
    + (SELECT count(*) FROM forgotten_subjects WHERE tenant_id = $1)
    + (SELECT count(*) FROM local_tenant_keys WHERE tenant_id = $1) AS rows
"""

# One process at a time keeps a tenant's keys, or all would move the same rows in turn. Nothing else depends on it.
TRY_ALONE: Final = "SELECT pg_try_advisory_lock(hashtextextended($1::text || ' ' || $2::text, 1702)) AS alone"

UPKEEP: Final = "VACUUM (ANALYZE) subject_keys"
