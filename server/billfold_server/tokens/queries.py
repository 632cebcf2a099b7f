"""The SQL of the vault."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold_server.db.filters import Filter
from billfold_server.db.personal import counted
from billfold_server.db.sets import Columns, Write, instants, joined, texts, uuids
from billfold_server.decryptor.service import Fingerprint
from billfold_server.tenancy.clock import TENANT_NOW
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.tokens.rows import TokenRow

__all__ = [
    "NOTED",
    "NewValue",
    "claim",
    "clear_uses",
    "count",
    "counts",
    "delete",
    "delete_expired",
    "delete_fingerprints",
    "delete_unused",
    "find",
    "find_many",
    "find_values",
    "forget",
    "forget_versions",
    "hold_values",
    "in_order",
    "insert_values",
    "insert_with",
    "inserts",
    "inserts_values",
    "list_of_party",
    "list_outdated",
    "list_page",
    "list_purposes",
    "list_reusable",
    "lock",
    "lock_values",
    "note_reuse",
    "notes_use",
    "unclaim",
    "uncount",
    "unremarkable",
    "update",
]


class NewValue(msgspec.Struct, frozen=True):
    """By what a value is known.

    Attributes:
        purpose: Of which key the digest is.
    """

    digest: bytes
    version: int
    purpose: str
    id: UUID


_COLUMNS: Final = """t.id, t.place, t.kind, t.personal_type, t.party_id, t.value, t.masked::text AS masked,
    t.fingerprint_id, t.single_use, t.claim, t.used_at, t.last_used_at, t.expires_at, t.metadata::text AS metadata,
    t.version, t.created_at, t.updated_at, t.forgotten_at"""

_TYPES: Final = {
    "id": "uuid",
    "place": "uuid",
    "value": "bytea",
    "kind": "text",
    "personal_type": "text",
    "party_id": "uuid",
    "masked": "jsonb",
    "fingerprint_id": "uuid",
    "single_use": "text",
    "expires_at": "timestamptz",
    "metadata": "jsonb",
    "created_at": "timestamptz",
}
_KNOWN: Final = Columns(**_TYPES)
_NEW: Final = Columns(**_TYPES, digest="bytea")


def _insert(columns: Columns, fingerprint_id: str, more: str = "") -> str:
    value = {**columns.value, "fingerprint_id": fingerprint_id, "single_use": f"{columns.value['single_use']}::boolean"}
    return f"""
    INSERT INTO vault_tokens ({", ".join(_TYPES)}, version, updated_at)
    SELECT {", ".join(value[name] for name in _TYPES)}, 1, {value["created_at"]}
    FROM {columns.rows} {more}
    """  # noqa: S608 - constants


_INSERT_KNOWN: Final = _insert(_KNOWN, _KNOWN.value["fingerprint_id"])
# What the statement makes known, and others may have made known first, has the id that it then has.
_INSERT_NEW: Final = _insert(
    _NEW,
    f"coalesce(made_known.id, {_NEW.value['fingerprint_id']})",
    f"LEFT JOIN made_known ON made_known.digest = {_NEW.value['digest']}",
)


def inserts(rows: Sequence[TokenRow], digests: Mapping[UUID, bytes] | None = None) -> list[Write]:
    """Return what writes new tokens.

    Args:
        rows: The tokens.
        digests: By what the values of some are made known in the same statement, by ``insert_with``.
    """
    if not rows:
        return []
    columns: list[list[Any]] = [
        [row.id for row in rows],
        [row.place for row in rows],
        [row.value for row in rows],
        [row.kind.value for row in rows],
        [row.personal_type for row in rows],
        [row.party_id for row in rows],
        [row.masked for row in rows],
        [row.fingerprint_id for row in rows],
        [str(row.single_use).lower() for row in rows],
        [row.expires_at for row in rows],
        [row.metadata for row in rows],
        [row.created_at for row in rows],
    ]
    if digests is None:
        return [Write(_INSERT_KNOWN, _KNOWN.arguments(*columns))]
    return [Write(_INSERT_NEW, _NEW.arguments(*columns, [digests.get(row.id) for row in rows]))]


# Reading. The tenant's time comes with what is read, for what can be done with a token depends on it.

_NOW: Final = f"({TENANT_NOW}) AS now"
_FIND: Final = f"SELECT {_NOW}, {_COLUMNS} FROM vault_tokens AS t WHERE t.id = $1"  # noqa: S608 - constants
_LOCK: Final = f"{_FIND} FOR NO KEY UPDATE"
_FIND_MANY: Final = f"""
SELECT clock.now, {_COLUMNS}
FROM ({TENANT_NOW}) AS clock (now) LEFT JOIN vault_tokens AS t ON t.id = ANY($1::uuid[])
"""  # noqa: S608 - constants


async def find(tx: TenantTx, token_id: UUID) -> tuple[TokenRow, datetime] | None:
    """Return a token and the tenant's time, or None."""
    row = await tx.fetchrow(_FIND, token_id)
    return None if row is None else (TokenRow.of(row), row["now"])


async def lock(tx: TenantTx, token_id: UUID) -> tuple[TokenRow, datetime] | None:
    """Return a token and the tenant's time, and keep others from changing it until the transaction ends, or None."""
    row = await tx.fetchrow(_LOCK, token_id)
    return None if row is None else (TokenRow.of(row), row["now"])


async def find_many(tx: TenantTx, token_ids: Sequence[UUID]) -> tuple[dict[UUID, TokenRow], datetime]:
    """Return those of these tokens that there are, by id, and the tenant's time."""
    rows = await tx.fetch(_FIND_MANY, list(token_ids))
    return {row["id"]: TokenRow.of(row) for row in rows if row["id"] is not None}, rows[0]["now"]


async def list_page(
    tx: TenantTx,
    *,
    party_id: UUID | None = None,
    kind: str | None = None,
    fingerprint_id: UUID | None = None,
    before: UUID | None = None,
    limit: int,
) -> list[tuple[TokenRow, datetime]]:
    """Return tokens that meet all conditions given, the newest first, each with the tenant's time."""
    where = Filter()
    where.add("t.forgotten_at IS NULL")
    where.add("t.party_id = $", party_id)
    where.add_word("t.kind", kind)
    where.add("t.fingerprint_id = $", fingerprint_id)
    where.add("t.place < $", before)
    sql = f"SELECT {_NOW}, {_COLUMNS} FROM vault_tokens AS t WHERE {where} ORDER BY t.place DESC LIMIT {limit:d}"  # noqa: S608 - constants
    return [(TokenRow.of(row), row["now"]) for row in await tx.fetch(sql, *where.values)]


_OF_PARTY: Final = f"""
SELECT {_NOW}, {_COLUMNS} FROM vault_tokens AS t
WHERE t.party_id = $1 AND ($2::uuid IS NULL OR t.place > $2) AND t.forgotten_at IS NULL
ORDER BY t.place
LIMIT $3
"""  # noqa: S608 - constants


async def list_of_party(
    tx: TenantTx, party_id: UUID, *, after: UUID | None, limit: int
) -> list[tuple[TokenRow, datetime]]:
    """Return a party's tokens behind a place, the oldest first, each with the tenant's time."""
    return [(TokenRow.of(row), row["now"]) for row in await tx.fetch(_OF_PARTY, party_id, after, limit)]


# Values and their fingerprints.

_LOCK_VALUES: Final = f"""
SELECT clock.now, f.digest, f.id
FROM ({TENANT_NOW}) AS clock (now) LEFT JOIN LATERAL (
    SELECT digest, id FROM vault_fingerprints WHERE digest = ANY($1::bytea[]) ORDER BY digest FOR {{lock}}
) AS f ON true
"""  # noqa: S608 - constants
_LOCK_ALONE: Final = _LOCK_VALUES.format(lock="UPDATE")
_LOCK_SHARED: Final = _LOCK_VALUES.format(lock="KEY SHARE")
_INSERT_VALUES: Final = """
INSERT INTO vault_fingerprints (digest, version, purpose, id)
SELECT n.digest, n.version, n.purpose, n.id
FROM unnest($1::bytea[], $2::int[], $3::text[], $4::uuid[]) AS n (digest, version, purpose, id)
ON CONFLICT (digest) DO UPDATE SET version = excluded.version
RETURNING digest, id
"""
_VALUES: Final = Columns(digest="bytea", version="integer", purpose="text", id="uuid")
_NEW_VALUES: Final = f"""
INSERT INTO vault_fingerprints (digest, version, purpose, id) SELECT {_VALUES.values} FROM {_VALUES.rows} RETURNING id
"""  # noqa: S608 - constants
_FIND_VALUES: Final = "SELECT id FROM vault_fingerprints WHERE digest = ANY($1::bytea[]) LIMIT 1"
_REUSABLE: Final = f"""
SELECT {_COLUMNS}
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[]) AS n (fingerprint_id, party_id, masked, expires_at),
LATERAL (
    SELECT * FROM vault_tokens AS t
    WHERE t.fingerprint_id = n.fingerprint_id AND NOT t.single_use AND t.forgotten_at IS NULL
        AND t.party_id IS NOT DISTINCT FROM n.party_id AND t.masked = n.masked::jsonb
        AND t.expires_at IS NOT DISTINCT FROM n.expires_at
    ORDER BY t.place LIMIT 1
) AS t
"""  # noqa: S608
_DELETE_VALUES: Final = """
DELETE FROM vault_fingerprints AS f
WHERE f.id = ANY($1::uuid[]) AND NOT EXISTS (SELECT FROM vault_tokens AS t WHERE t.fingerprint_id = f.id)
"""
_HOLD_BY_ID: Final = "SELECT id FROM vault_fingerprints WHERE id = ANY($1::uuid[]) ORDER BY digest FOR KEY SHARE"
_LOCK_BY_ID: Final = "SELECT digest FROM vault_fingerprints WHERE id = ANY($1::uuid[]) ORDER BY digest FOR UPDATE"


async def lock_values(tx: TenantTx, digests: Sequence[bytes], *, alone: bool) -> tuple[dict[bytes, UUID], datetime]:
    """Return the ids of the values that are known by digests, and the tenant's time.

    The values are kept from being forgotten meanwhile.

    Args:
        tx: The tenant's transaction.
        digests: Of all versions.
        alone: Whether nobody else may take the same values in until the transaction ends.
    """
    rows = await tx.fetch(_LOCK_ALONE if alone else _LOCK_SHARED, list(digests))
    return {row["digest"]: row["id"] for row in rows if row["digest"] is not None}, rows[0]["now"]


async def insert_values(tx: TenantTx, new: Sequence[NewValue]) -> dict[bytes, UUID]:
    """Make values known by digests that aren't yet, and return their ids: others' where these were faster."""
    return await insert_with(tx, new, [])


async def insert_with(tx: TenantTx, new: Sequence[NewValue], writes: Sequence[Write]) -> dict[bytes, UUID]:
    """Make values known by digests that aren't yet, and do other writes in the same statement.

    Returns:
        The values' ids: others' where these were faster.
    """
    # In one order everywhere, so that nobody waits for who waits for them.
    new = sorted(new, key=lambda each: each.digest)
    arguments = (
        [each.digest for each in new],
        [each.version for each in new],
        [each.purpose for each in new],
        [each.id for each in new],
    )
    made = [Write(_INSERT_VALUES, arguments, name="made_known"), *writes]
    told = Write("SELECT digest, id FROM made_known", ())
    rows = await tx.fetch(joined(made, told), *(argument for write in made for argument in write.arguments))
    return {row["digest"]: row["id"] for row in rows}


def inserts_values(new: Sequence[NewValue]) -> list[Write]:
    """Return what makes values known that nobody else has made known; it fails for a unique key where somebody has."""
    if not new:
        return []
    new = sorted(new, key=lambda each: each.digest)
    arguments = _VALUES.arguments(
        [each.digest for each in new],
        [each.version for each in new],
        [each.purpose for each in new],
        [each.id for each in new],
    )
    return [Write(_NEW_VALUES, arguments, name="made_known")]


def in_order(writes: Sequence[Write]) -> Write:
    """Return what ends a statement so that writes with a name come first, in their order, and wait for others there."""
    counts = ", ".join(f"(SELECT count(*) FROM {write.name})" for write in writes if write.name in _WAITED_FOR)  # noqa: S608
    return Write(f"SELECT {counts or 1}", ())


_WAITED_FOR: Final = ("kept_answer", "made_known")


async def find_values(tx: TenantTx, fingerprints: Sequence[Fingerprint]) -> UUID | None:
    """Return the id of the value that has one of these fingerprints, or None."""
    found: UUID | None = await tx.fetchval(_FIND_VALUES, [each.digest for each in fingerprints])
    return found


async def list_reusable(tx: TenantTx, rows: Sequence[TokenRow]) -> list[TokenRow]:
    """Return the oldest lasting token that there is for each of these: of the value, party, mask and end."""
    found = await tx.fetch(
        _REUSABLE,
        [row.fingerprint_id for row in rows],
        [row.party_id for row in rows],
        [msgspec.json.encode(row.masked).decode() for row in rows],
        [row.expires_at for row in rows],
    )
    return [TokenRow.of(row) for row in found]


async def hold_values(tx: TenantTx, fingerprint_ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these values are still known, and keep them from being forgotten until the transaction ends."""
    return {row["id"] for row in await tx.fetch(_HOLD_BY_ID, list(fingerprint_ids))}


async def delete_fingerprints(tx: TenantTx, fingerprint_ids: Sequence[UUID]) -> None:
    """Forget values for which no token stands any longer."""
    if fingerprint_ids:
        # Whoever takes such a value in at this moment holds it; only then can be seen whether a token came of it.
        await tx.fetch(_LOCK_BY_ID, list(fingerprint_ids))
        await tx.execute(_DELETE_VALUES, list(fingerprint_ids))


# When the key of fingerprints has changed.

# OFFSET keeps the planner from reading all values for each batch, to find those that are known already.
_OUTDATED: Final = f"""
SELECT {_COLUMNS} FROM (
    SELECT DISTINCT f.id FROM vault_fingerprints AS f
    WHERE f.purpose = $1 AND f.version < $2 AND f.id > $3
      AND NOT EXISTS (SELECT FROM vault_fingerprints AS n WHERE n.id = f.id AND n.version >= $2 OFFSET 0)
    ORDER BY f.id LIMIT $4
) AS f, LATERAL (SELECT id FROM vault_tokens WHERE fingerprint_id = f.id LIMIT 1) AS one, vault_tokens AS t
WHERE t.id = one.id
ORDER BY f.id
"""  # noqa: S608 - constants
_FORGET_VERSIONS: Final = """
DELETE FROM vault_fingerprints
WHERE digest IN (SELECT digest FROM vault_fingerprints WHERE purpose = $1 AND version < $2 LIMIT $3)
"""


async def list_outdated(tx: TenantTx, *, purpose: str, version: int, after: UUID, limit: int) -> list[TokenRow]:
    """Return one token of each value that isn't known by this version of its key yet, by the values' ids."""
    return [TokenRow.of(row) for row in await tx.fetch(_OUTDATED, purpose, version, after, limit)]


async def list_purposes(tx: TenantTx) -> list[str]:
    """Return of which keys there are fingerprints."""
    return [
        row["purpose"] for row in await tx.fetch("SELECT DISTINCT purpose FROM vault_fingerprints ORDER BY purpose")
    ]


async def forget_versions(tx: TenantTx, *, purpose: str, before: int, limit: int) -> int:
    """Forget digests of versions that no longer count, and return how many."""
    tag = await tx.execute(_FORGET_VERSIONS, purpose, before, limit)
    return counted(tag)


# Using up and noting use.

_CLAIM: Final = """
WITH free AS (
    SELECT id FROM vault_tokens WHERE id = ANY($1::uuid[]) AND single_use AND used_at IS NULL ORDER BY id FOR UPDATE
)
UPDATE vault_tokens AS t SET claim = $2, used_at = $3, last_used_at = $3 FROM free WHERE t.id = free.id RETURNING t.id
"""
_UNCLAIM: Final = "UPDATE vault_tokens SET claim = NULL, used_at = NULL WHERE id = ANY($1::uuid[]) AND claim = $2"
_NOTE_USE: Final = """
WITH opened AS (SELECT id FROM vault_tokens WHERE id = ANY($1::text::uuid[]) ORDER BY id FOR UPDATE SKIP LOCKED)
UPDATE vault_tokens AS t SET last_used_at = $2::timestamptz FROM opened WHERE t.id = opened.id
"""
_NOTE_REUSE: Final = """
WITH reused AS (SELECT id FROM vault_tokens WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE)
UPDATE vault_tokens AS t SET last_used_at = $2 FROM reused WHERE t.id = reused.id
"""


async def claim(tx: TenantTx, token_ids: Sequence[UUID], claim_id: UUID, now: datetime) -> set[UUID]:
    """Use up tokens that are good for one use, and return those that weren't used up before."""
    rows = await tx.fetch(_CLAIM, list(token_ids), claim_id, now)
    return {row["id"] for row in rows}


async def unclaim(tx: TenantTx, token_ids: Sequence[UUID], claim_id: UUID) -> None:
    """Give back what this claim has used up."""
    await tx.execute(_UNCLAIM, list(token_ids), claim_id)


def notes_use(token_ids: Sequence[UUID], now: datetime) -> list[Write]:
    """Return what notes that tokens were opened; who does so at the same moment notes the same."""
    return [Write(_NOTE_USE, (uuids(token_ids), now))] if token_ids else []


async def note_reuse(tx: TenantTx, token_ids: Sequence[UUID], now: datetime) -> None:
    """Note that tokens were given to somebody anew, who may count on them.

    It waits for whoever deletes one of them. They wait for its value, which we hold, so that one of us begins again.
    """
    if token_ids:
        await tx.execute(_NOTE_REUSE, list(token_ids), now)


NOTED: Final = timedelta(days=1)
"""How long after a use was noted no other one is: once a day is as exact as tokens are kept."""

_COUNT: Final = """
INSERT INTO vault_uses (caller, purpose, span, begins_at, used, refused)
SELECT $1::text, $2::text, n.span, n.begins_at, $3::int, 0
FROM unnest($4::text::text[], $5::text::timestamptz[]) AS n (span, begins_at)
ON CONFLICT (caller, purpose, span, begins_at) DO UPDATE SET used = vault_uses.used + excluded.used
RETURNING span, used
"""
# It is read before anything else is written, so that who counts at the same time waits there.
_UNREMARKABLE: Final = """
SELECT 1 / (NOT coalesce(bool_or(
    used > CASE span WHEN 'hour' THEN $1::int ELSE $2::int END
    OR (span = 'hour' AND used - $3::int < $4::int AND used >= $4::int)
), false))::int
FROM counted
"""
_UNCOUNT: Final = """
UPDATE vault_uses AS u SET used = u.used - $3::int, refused = u.refused + $4::int
FROM unnest($5::text[], $6::timestamptz[]) AS n (span, begins_at)
WHERE u.caller = $1 AND u.purpose = $2 AND u.span = n.span AND u.begins_at = n.begins_at
RETURNING u.span, u.refused
"""
_CLEAR: Final = "DELETE FROM vault_uses WHERE begins_at < $1"


async def count(
    tx: TenantTx, caller: str, purpose: str, number: int, windows: Mapping[str, datetime]
) -> dict[str, int]:
    """Add to what a caller has asked for in each window, and return the sums; nobody else adds until this commits."""
    rows = await tx.fetch(_COUNT, *counts(caller, purpose, number, windows).arguments)
    return {row["span"]: row["used"] for row in rows}


def counts(caller: str, purpose: str, number: int, windows: Mapping[str, datetime]) -> Write:
    """Return what adds to what a caller has asked for in each window."""
    arguments = (caller, purpose, number, texts(windows), instants(windows.values()))
    return Write(_COUNT, arguments, name="counted")


def unremarkable(*, per_hour: int | None, per_day: int | None, number: int, alarm_per_hour: int | None) -> Write:
    """Return what ends a statement that counts: by a division by zero, where that is too much or raises the alarm."""
    return Write(_UNREMARKABLE, (per_hour, per_day, number, alarm_per_hour))


async def uncount(
    tx: TenantTx, caller: str, purpose: str, number: int, windows: Mapping[str, datetime], *, refused: bool
) -> dict[str, int]:
    """Take back what was added, and return how often the caller was refused in each window."""
    rows = await tx.fetch(_UNCOUNT, caller, purpose, number, int(refused), list(windows), list(windows.values()))
    return {row["span"]: row["refused"] for row in rows}


async def clear_uses(tx: TenantTx, before: datetime) -> None:
    """Forget the counts of windows that began before an instant."""
    await tx.execute(_CLEAR, before)


# Changing, deleting, forgetting.

_UPDATE: Final = """
UPDATE vault_tokens SET metadata = $2::jsonb, expires_at = $3, version = $4, updated_at = $5 WHERE id = $1
"""
_DELETE: Final = f"""
DELETE FROM vault_tokens AS t WHERE t.id = $1 RETURNING {_COLUMNS}
"""  # noqa: S608
_DELETE_EXPIRED: Final = f"""
DELETE FROM vault_tokens AS t
WHERE t.id IN (
    (SELECT id FROM vault_tokens WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
    UNION
    (SELECT id FROM vault_tokens WHERE used_at <= $1 LIMIT $2)
)
RETURNING {_COLUMNS}
"""  # noqa: S608
_DELETE_UNUSED: Final = f"""
DELETE FROM vault_tokens AS t
WHERE t.id IN (
    SELECT id FROM vault_tokens
    WHERE coalesce(last_used_at, created_at) <= $1 AND (last_used_at IS NULL OR last_used_at <= $3) LIMIT $2
)
RETURNING {_COLUMNS}
"""  # noqa: S608
_FORGET: Final = """
WITH known AS (
    SELECT id, fingerprint_id FROM vault_tokens WHERE party_id = $1 AND forgotten_at IS NULL ORDER BY id FOR UPDATE
), gone AS (
    UPDATE vault_tokens AS t
    SET value = NULL, masked = '{}', metadata = '{}', fingerprint_id = NULL, forgotten_at = $2, updated_at = $2,
        version = t.version + 1
    FROM known WHERE t.id = known.id
)
SELECT id, fingerprint_id FROM known
"""


async def update(
    tx: TenantTx, token_id: UUID, *, metadata: str, expires_at: datetime | None, version: int, now: datetime
) -> None:
    """Change a token."""
    await tx.execute(_UPDATE, token_id, metadata, expires_at, version, now)


async def delete(tx: TenantTx, token_id: UUID) -> TokenRow | None:
    """Delete a token, and return what it was, or None."""
    row = await tx.fetchrow(_DELETE, token_id)
    return None if row is None else TokenRow.of(row)


async def delete_expired(tx: TenantTx, before: datetime, limit: int) -> list[TokenRow]:
    """Delete tokens that expired or were used up before an instant, and return what they were."""
    return [TokenRow.of(row) for row in await tx.fetch(_DELETE_EXPIRED, before, limit)]


async def delete_unused(tx: TenantTx, before: datetime, limit: int) -> list[TokenRow]:
    """Delete tokens that surely were neither opened nor given out anew since an instant; return what they were."""
    return [TokenRow.of(row) for row in await tx.fetch(_DELETE_UNUSED, before, limit, before - NOTED)]


async def forget(tx: TenantTx, party_id: UUID, now: datetime) -> list[tuple[UUID, UUID | None]]:
    """Blank everything that tokens of a party say of it, and return their ids and those of their values."""
    rows: Sequence[Any] = await tx.fetch(_FORGET, party_id, now)
    return [(row["id"], row["fingerprint_id"]) for row in rows]
