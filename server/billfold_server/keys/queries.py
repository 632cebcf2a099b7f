"""SQL of the key store. Every query names the tenant, but those of the evictions, which every process follows."""

from typing import Final

__all__ = [
    "CURRENT_EPOCH",
    "DELETE_LOCAL_KEYS",
    "DELETE_LOCAL_KEYS_BELOW",
    "DELETE_OLD_EVICTIONS",
    "DELETE_TENANT",
    "EVICTIONS_AFTER",
    "FORGET_CURRENT",
    "FORGET_FORMER",
    "HEAD",
    "INSERT_EPOCH",
    "INSERT_EVICTIONS",
    "INSERT_FIRST_LOCAL_KEY",
    "INSERT_FORGOTTEN",
    "INSERT_NEXT_GENERATION",
    "INSERT_NEXT_LOCAL_KEY",
    "INSERT_PURPOSE_KEY",
    "INSERT_SUBJECT_KEYS",
    "KEYS_BY_ID",
    "KEYS_OF_SUBJECT",
    "LOCAL_KEYS",
    "NEXT_NUMBERS",
    "PURPOSE_KEYS",
    "RESERVE",
]

_EPOCH: Final = "e.id AS epoch_id, e.backend, e.key_version, e.wrapped AS epoch_wrapped"
_KEY: Final = f"k.id, k.subject_id, k.wrapped, {_EPOCH}"

# An epoch's row is locked by nobody who only reads it, and its number decides which one is the newest.
CURRENT_EPOCH: Final = f"""
SELECT {_EPOCH} FROM key_epochs e
WHERE e.tenant_id = $1 AND e.domain = $2 AND e.lost_at IS NULL ORDER BY e.number DESC LIMIT 1
"""  # noqa: S608 - Constants.

# The next number, unless somebody else takes it at the same time: then theirs is the epoch, and ours is nothing.
INSERT_EPOCH: Final = """
INSERT INTO key_epochs (tenant_id, id, domain, number, backend, key_version, wrapped, created_at)
SELECT $1::uuid, $2::uuid, $3::text, 1 + coalesce(max(number), 0), $4::text, $5::int, $6::bytea, clock_timestamp()
FROM key_epochs WHERE tenant_id = $1 AND domain = $3
ON CONFLICT DO NOTHING
"""

# Takes seals out of the budgets of current keys, and tells how it stands with each: no row means that there is no key
# yet. Rows are locked in one order, so that none wait for each other in turn.
RESERVE: Final = f"""
WITH found AS (
    SELECT id, subject_id, wrapped IS NULL AS forgotten, seals_reserved > $5::bigint - $4::bigint AS spent
    FROM subject_keys
    WHERE tenant_id = $1 AND domain = $2 AND subject_id = ANY($3::uuid[]) AND current
    ORDER BY id FOR NO KEY UPDATE
), taken AS (
    UPDATE subject_keys k SET seals_reserved = k.seals_reserved + $4
    FROM found WHERE k.tenant_id = $1 AND k.id = found.id AND NOT found.forgotten AND NOT found.spent
    RETURNING k.id, k.epoch_id, k.wrapped
)
SELECT found.id, found.subject_id, found.forgotten, found.spent, taken.wrapped, {_EPOCH}
FROM found LEFT JOIN taken ON taken.id = found.id LEFT JOIN key_epochs e ON e.tenant_id = $1 AND e.id = taken.epoch_id
"""  # noqa: S608 - Constants.

# A subject has one current row per domain, so of two who make its key at once one makes nothing, and a forgotten one,
# whose row is there without a key, gets no other.
INSERT_SUBJECT_KEYS: Final = """
INSERT INTO subject_keys
    (tenant_id, id, domain, subject_id, generation, current, epoch_id, wrapped, seals_reserved, created_at)
SELECT $1::uuid, n.id, $2::text, n.subject_id, 1 + coalesce(former.generation, 0), true, $3::uuid, n.wrapped,
    $7::bigint, clock_timestamp()
FROM unnest($4::uuid[], $5::uuid[], $6::bytea[]) AS n (id, subject_id, wrapped)
LEFT JOIN LATERAL (
    SELECT max(k.generation) AS generation FROM subject_keys k
    WHERE k.tenant_id = $1 AND k.domain = $2 AND k.subject_id = n.subject_id
) AS former ON true
ORDER BY n.subject_id
ON CONFLICT DO NOTHING RETURNING id
"""

INSERT_NEXT_GENERATION: Final = """
WITH former AS (
    UPDATE subject_keys SET current = false
    WHERE tenant_id = $1 AND id = $3 AND current AND wrapped IS NOT NULL
    RETURNING subject_id, generation
)
INSERT INTO subject_keys
    (tenant_id, id, domain, subject_id, generation, current, epoch_id, wrapped, seals_reserved, created_at)
SELECT $1, $4::uuid, $2::text, former.subject_id, former.generation + 1, true, $5::uuid, $6::bytea, 0, clock_timestamp()
FROM former
"""

KEYS_BY_ID: Final = f"""
SELECT {_KEY} FROM subject_keys k LEFT JOIN key_epochs e ON e.tenant_id = k.tenant_id AND e.id = k.epoch_id
WHERE k.tenant_id = $1 AND k.domain = $2 AND k.id = ANY($3::uuid[]) AND e.lost_at IS NULL
"""  # noqa: S608 - Constants.

KEYS_OF_SUBJECT: Final = f"""
SELECT {_KEY} FROM subject_keys k LEFT JOIN key_epochs e ON e.tenant_id = k.tenant_id AND e.id = k.epoch_id
WHERE k.tenant_id = $1 AND k.domain = $2 AND k.subject_id = $3 AND e.lost_at IS NULL
"""  # noqa: S608 - Constants.

PURPOSE_KEYS: Final = f"""
SELECT k.id, k.version, k.wrapped, e.lost_at IS NOT NULL AS lost, {_EPOCH} FROM purpose_keys k
JOIN key_epochs e ON e.tenant_id = k.tenant_id AND e.id = k.epoch_id
WHERE k.tenant_id = $1 AND k.domain = $2 AND k.purpose = $3 ORDER BY k.version DESC
"""  # noqa: S608 - Constants.

INSERT_PURPOSE_KEY: Final = """
INSERT INTO purpose_keys (tenant_id, id, domain, purpose, version, epoch_id, wrapped, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp()) ON CONFLICT DO NOTHING
"""

# First the current rows, made where there are none: whoever makes a key meanwhile meets these. A subject whose keys
# were lost with a keyring has former generations, and none that is current.
FORGET_CURRENT: Final = """
INSERT INTO subject_keys (tenant_id, id, domain, subject_id, generation, current, epoch_id, wrapped, seals_reserved,
    created_at, forgotten_at)
SELECT $1::uuid, gen_random_uuid(), d.domain, s.subject_id, 1 + coalesce(former.generation, 0), true, NULL, NULL, 0,
    clock_timestamp(), clock_timestamp()
FROM unnest($2::uuid[]) AS s (subject_id) CROSS JOIN unnest($3::text[]) AS d (domain)
LEFT JOIN LATERAL (
    SELECT max(k.generation) AS generation FROM subject_keys k
    WHERE k.tenant_id = $1 AND k.domain = d.domain AND k.subject_id = s.subject_id
) AS former ON true
ORDER BY s.subject_id, d.domain
ON CONFLICT (tenant_id, domain, subject_id) WHERE current
    DO UPDATE SET wrapped = NULL, epoch_id = NULL,
        forgotten_at = coalesce(subject_keys.forgotten_at, excluded.forgotten_at)
"""

FORGET_FORMER: Final = """
UPDATE subject_keys SET wrapped = NULL, epoch_id = NULL, forgotten_at = clock_timestamp()
WHERE tenant_id = $1 AND subject_id = ANY($2::uuid[]) AND NOT current AND wrapped IS NOT NULL
"""

INSERT_FORGOTTEN: Final = """
INSERT INTO forgotten_subjects (tenant_id, subject_id, forgotten_at, reason, keys)
SELECT $1, subject_id, clock_timestamp(), $3::text, count(*) FROM subject_keys
WHERE tenant_id = $1 AND subject_id = ANY($2::uuid[]) GROUP BY subject_id
ON CONFLICT DO NOTHING
"""

HEAD: Final = "SELECT number FROM eviction_head"

NEXT_NUMBERS: Final = "UPDATE eviction_head SET number = number + $1::bigint RETURNING number"

INSERT_EVICTIONS: Final = """
INSERT INTO evictions (number, tenant_id, subject_id, made_at)
SELECT $1::bigint - $2::bigint + n.place, $3::uuid, n.subject_id, clock_timestamp()
FROM unnest($4::uuid[]) WITH ORDINALITY AS n (subject_id, place)
"""

EVICTIONS_AFTER: Final = "SELECT number, tenant_id, subject_id FROM evictions WHERE number > $1 ORDER BY number"

DELETE_OLD_EVICTIONS: Final = "DELETE FROM evictions WHERE made_at < clock_timestamp() - interval '1 day'"

DELETE_TENANT: Final[tuple[str, ...]] = (
    "DELETE FROM subject_keys WHERE tenant_id = $1",
    "DELETE FROM purpose_keys WHERE tenant_id = $1",
    "DELETE FROM key_epochs WHERE tenant_id = $1",
    "DELETE FROM forgotten_subjects WHERE tenant_id = $1",
    "DELETE FROM local_tenant_keys WHERE tenant_id = $1",
)

LOCAL_KEYS: Final = "SELECT version, salt FROM local_tenant_keys WHERE tenant_id = $1 AND domain = $2"

INSERT_FIRST_LOCAL_KEY: Final = """
INSERT INTO local_tenant_keys (tenant_id, domain, version, salt, created_at)
SELECT $1::uuid, $2::text, 1, $3::bytea, clock_timestamp()
WHERE NOT EXISTS (SELECT FROM local_tenant_keys WHERE tenant_id = $1 AND domain = $2)
ON CONFLICT DO NOTHING
"""

INSERT_NEXT_LOCAL_KEY: Final = """
INSERT INTO local_tenant_keys (tenant_id, domain, version, salt, created_at)
SELECT $1::uuid, $2::text, max(version) + 1, $3::bytea, clock_timestamp() FROM local_tenant_keys
WHERE tenant_id = $1 AND domain = $2 HAVING max(version) IS NOT NULL
ON CONFLICT DO NOTHING RETURNING version
"""

DELETE_LOCAL_KEYS_BELOW: Final = """
DELETE FROM local_tenant_keys WHERE tenant_id = $1 AND domain = $2 AND version < $3 AND version <
    (SELECT max(version) FROM local_tenant_keys WHERE tenant_id = $1 AND domain = $2)
"""

DELETE_LOCAL_KEYS: Final = "DELETE FROM local_tenant_keys WHERE tenant_id = $1 AND domain = $2"
