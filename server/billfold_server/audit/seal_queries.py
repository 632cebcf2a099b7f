"""The SQL of the audit trail's chain."""

from typing import Final

__all__ = [
    "CLAIM_ROUND",
    "COUNT_SEALED",
    "HEAD",
    "LINKS",
    "LINK_IDS",
    "LOCK_HEAD",
    "LOCK_HEAD_UNLESS_BUSY",
    "MARK",
    "MOVE_HEAD",
    "NEW_LINK",
    "OLDEST",
    "ORDERED",
    "ORDERED_LEAVES",
    "RECORDS_IN_ORDER",
    "RECORDS_OF_IDS",
    "UNSEALED",
    "UNSEALED_IN_ORDER",
    "UNSEALED_SINCE",
    "UNSEALED_SINCE_OF_PLATFORM",
]

_KINDS: Final = ("transfer", "top_up", "withdrawal")
_FIRST: Final = "'00000000-0000-0000-0000-000000000000'::uuid"


def _instant(column: str) -> str:
    """Return what reads a time; of one that Python has no word for, and nobody has written, the first one."""
    return (
        f"CASE WHEN {column} BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00' THEN {column} "
        f"ELSE '0001-01-01 00:00:00+00' END AS {column}"
    )


_RECORD: Final = (
    f"id, actor, action, object_id, reason, request_id, facts::text AS facts, {_instant('recorded_at')}, link, "
    "coalesce(salt, '') AS salt"
)
_HEAD: Final = f"number, hash, skips, {_instant('sealed_at')}, ordered_to"

HEAD: Final = f"SELECT {_HEAD} FROM audit_head WHERE id = 1"  # noqa: S608 - constants
LOCK_HEAD: Final = f"{HEAD} FOR UPDATE"
LOCK_HEAD_UNLESS_BUSY: Final = f"{HEAD} FOR UPDATE SKIP LOCKED"

UNSEALED: Final = f"SELECT {_RECORD} FROM audit_records WHERE link IS NULL ORDER BY id LIMIT $1"  # noqa: S608 - constants
OLDEST: Final = "SELECT id FROM audit_records ORDER BY id LIMIT 1"

UNSEALED_SINCE_OF_PLATFORM: Final = (
    f"SELECT {_instant('recorded_at')} FROM audit_records WHERE link IS NULL ORDER BY id LIMIT 1"  # noqa: S608 - constants
)
_NEWEST_SEALED: Final = f"coalesce((SELECT ordered_to FROM audit_head WHERE id = 1), {_FIRST})"  # noqa: S608 - constants
# Along the key, of which each kind has its part; without the order, whole tables might be looked through.
_ORDERED_SINCE: Final = f"""
SELECT {_instant("recorded_at")} FROM transfers WHERE kind = '{{kind}}' AND id > {_NEWEST_SEALED} ORDER BY id LIMIT 1
"""  # noqa: S608 - constants
_EACH_SINCE: Final = (UNSEALED_SINCE_OF_PLATFORM, *(_ORDERED_SINCE.format(kind=kind) for kind in _KINDS))
UNSEALED_SINCE: Final = f"SELECT least({', '.join(f'({query})' for query in _EACH_SINCE)})"


def _ordered(columns: str, read: str = "recorded_at") -> str:
    """Return the query of transfers behind one, along the key: ids of each kind are in it in order."""
    parts = " UNION ALL ".join(
        f"(SELECT {columns} FROM transfers WHERE kind = '{kind}' AND id > coalesce($1, {_FIRST}) ORDER BY id LIMIT $2)"  # noqa: S608 - constants
        for kind in _KINDS
    )
    shown = columns.replace("recorded_at", read)
    return f"SELECT {shown} FROM ({parts}) AS t ORDER BY id LIMIT $2"  # noqa: S608 - constants


ORDERED: Final = _ordered("id, kind, actor, request_id, recorded_at", _instant("recorded_at"))

# The texts are those of ``billfold.chain.ordered_text``, each behind a byte of zero, as ``billfold.chain.leaf`` has it.
ORDERED_LEAVES: Final = f"""
WITH found AS MATERIALIZED ({_ordered("id, kind, actor, request_id")})
SELECT (SELECT id FROM found ORDER BY id DESC LIMIT 1) AS newest, count(*) AS number, coalesce(string_agg(sha256(
    '\\x00'::bytea || convert_to(
        E'audit transfer\\n' || id || E'\\n' || octet_length(convert_to(actor, 'UTF8')) || ':' || actor || E'\\n'
        || coalesce(octet_length(convert_to(request_id, 'UTF8')) || ':' || request_id, '-') || E'\\n' || kind,
    'UTF8')), ''::bytea ORDER BY id), ''::bytea) AS leaves
FROM found
"""  # noqa: S608 - constants

NEW_LINK: Final = """
INSERT INTO audit_links (number, sealed_at, leaves, record_ids, ordered, ordered_to, hash)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
MARK: Final = """
UPDATE audit_records AS r SET link = $1, salt = n.salt
FROM unnest($2::uuid[], $3::bytea[]) AS n (id, salt)
WHERE r.id = n.id AND r.link IS NULL
"""
MOVE_HEAD: Final = """
UPDATE audit_head SET number = $1, hash = $2, skips = $3, sealed_at = $4, ordered_to = $5 WHERE id = 1
"""

# A row that is gone, or far ahead, as by a clock that was put back, keeps nobody from sealing.
CLAIM_ROUND: Final = """
INSERT INTO audit_rounds AS r (id, next_at) VALUES (1, now() + $1::float8 * interval '1 second')
ON CONFLICT (id) DO UPDATE SET next_at = excluded.next_at WHERE r.next_at <= now() OR r.next_at > excluded.next_at
RETURNING id
"""

# What verification and export read.

# What may be NULL once somebody has taken the constraints away is read as nothing.
LINKS: Final = f"""
SELECT number, {_instant("sealed_at")}, coalesce(leaves, '') AS leaves, coalesce(record_ids, '') AS record_ids,
    coalesce(ordered, '') AS ordered, ordered_to, coalesce(hash, '') AS hash
FROM audit_links WHERE number > $1 ORDER BY number LIMIT $2
"""  # noqa: S608 - constants
LINK_IDS: Final = """
SELECT number, coalesce(record_ids, '') AS record_ids FROM audit_links WHERE number = ANY($1::bigint[])
"""
RECORDS_OF_IDS: Final = f"SELECT {_RECORD} FROM audit_records WHERE id = ANY($1::uuid[]) ORDER BY id"  # noqa: S608 - constants
RECORDS_IN_ORDER: Final = f"""
SELECT {_RECORD} FROM audit_records WHERE ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2
"""  # noqa: S608 - constants
UNSEALED_IN_ORDER: Final = f"""
SELECT {_RECORD} FROM audit_records WHERE link IS NULL AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2
"""  # noqa: S608 - constants
COUNT_SEALED: Final = "SELECT count(*) FROM audit_records WHERE link IS NOT NULL"
