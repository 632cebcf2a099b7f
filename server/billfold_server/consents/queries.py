"""The SQL of consents."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold_server.consents.rows import COLUMNS, Consent, PreparedEvidence, Step, Use, read
from billfold_server.db.filters import Filter
from billfold_server.db.personal import counted
from billfold_server.db.sets import Write
from billfold_server.http.entering import GRANT_STANDS
from billfold_server.tenancy.clock import TENANT_NOW
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "BLOCKED",
    "STANDINGS",
    "Block",
    "Link",
    "Organisation",
    "Standing",
    "add_uses",
    "block",
    "chain",
    "erase_party",
    "find",
    "find_block",
    "find_evidence_head",
    "find_standing",
    "find_standing_of_grant",
    "find_standings",
    "hour_of",
    "insert",
    "is_blocked",
    "last_uses",
    "list_blocks",
    "list_evidence",
    "list_history",
    "list_links",
    "list_of_party",
    "list_page",
    "list_standing",
    "list_uses",
    "lock",
    "lock_evidence_head",
    "lock_standing",
    "note_refused",
    "sweep",
    "unblock",
    "update",
]

# Whom a directory vouches for is the organisation with all its software, or the software where none is named. Who has
# come otherwise is nobody but that client.
_THIRD_PARTY: Final = """(
    SELECT jsonb_build_object(
        'directory', a.registered_by,
        CASE WHEN a.organisation_id IS NULL THEN 'software_id' ELSE 'organisation_id' END,
        coalesce(a.organisation_id, a.software_id)
    )
    FROM api_clients AS a
    WHERE a.id = {client} AND a.registered_by NOT IN ('operator', 'partner', 'open')
        AND coalesce(a.organisation_id, a.software_id) IS NOT NULL
)"""
_OF_THIRD_PARTY: Final = f"(b.client_id = {{client}} OR b.third_party = {_THIRD_PARTY})"
BLOCKED: Final = f"(SELECT EXISTS (SELECT FROM blocked_third_parties AS b WHERE {_OF_THIRD_PARTY}))"  # noqa: S608 - constants
"""Whether the bank keeps out whoever runs a client, as an expression of SQL with a place for the client's id.

It is a subquery of its own, so that the client is looked up once, and only where anybody is blocked.
"""

_FIND: Final = f"SELECT {COLUMNS} FROM consents WHERE id = $1"  # noqa: S608 - constants
_LOCK: Final = f"{_FIND} FOR UPDATE"
_STANDING: Final = f"""
SELECT {COLUMNS}, ({TENANT_NOW}) AS now,
    {BLOCKED.format(client="consents.client_id")} AS blocked
FROM consents WHERE id = $1
"""  # noqa: S608 - constants
# Many are looked at, and of none is opened what was asked for.
STANDINGS: Final = _STANDING.replace("request_sealed", "''::bytea AS request_sealed").replace("WHERE id = $1", "")
"""The query of how all consents stand, as ``Standing`` takes its rows, without what was asked for."""
_STANDINGS: Final = f"{STANDINGS} WHERE id = ANY($1::uuid[])"
_OF_GRANT: Final = _STANDING.replace(
    "AS blocked", f"AS blocked, coalesce(({GRANT_STANDS.format(grant='$2', digest='$3')}), FALSE) AS granted"
)

_INSERTED: Final = (
    "id",
    "kind",
    "client_id",
    "status",
    "created_at",
    "status_updated_at",
    "expires_at",
    "ends_at",
    "permissions",
    "transactions_from",
    "transactions_to",
    "amount_minor",
    "currency",
    "terms",
    "request_sealed",
    "request_digest",
    "version",
)
_CAST: Final = {"terms": "::text::json"}
_INSERT: Final = f"""
INSERT INTO consents ({", ".join(_INSERTED)})
VALUES ({", ".join(f"${at}{_CAST.get(name, '')}" for at, name in enumerate(_INSERTED, 1))})
"""  # noqa: S608 - constants

_CHANGED: Final = (
    "status",
    "status_reason",
    "ended_by",
    "status_updated_at",
    "ends_at",
    "ended_at",
    "authorised_at",
    "reauthenticate_by",
    "party_id",
    "user_id",
    "wallet_ids",
    "sca_id",
    "version",
)
_UPDATE: Final = f"""
UPDATE consents SET {", ".join(f"{name} = ${at}" for at, name in enumerate(_CHANGED, 2))} WHERE id = $1
"""  # noqa: S608 - constants

_STEP: Final = ", ".join(Step.__struct_fields__)
_INSERT_STEP: Final = f"""
INSERT INTO consent_history (consent_id, {_STEP})
VALUES ($1, {", ".join(f"${at}" for at, _ in enumerate(Step.__struct_fields__, 2))})
"""  # noqa: S608 - constants
_NOTE_REFUSED: Final = f"""
{_INSERT_STEP} ON CONFLICT (consent_id, event, from_status, done_by) WHERE to_status IS NULL
DO UPDATE SET times = consent_history.times + 1, last_at = excluded.last_at,
    reason = coalesce(excluded.reason, consent_history.reason)
RETURNING times
"""
_HISTORY: Final = f"""
SELECT {_STEP} FROM consent_history WHERE consent_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
"""  # noqa: S608 - constants
_STANDING_STATUSES: Final = frozenset({"AWAU", "AUTH"})
"""Those of consents that haven't ended, as the table's own constraint says; they are found by an index of such."""

_OF_PARTY: Final = f"""
SELECT {COLUMNS} FROM consents
WHERE party_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
"""  # noqa: S608 - constants
_STANDING_OF: Final = """
SELECT id FROM consents WHERE ended_at IS NULL AND client_id = $1
    AND ($3::timestamptz IS NULL OR coalesce(authorised_at, created_at) <= $3)
ORDER BY id LIMIT $2
"""
# In the order of their ids, as everybody locks them who locks more than one.
_LOCK_STANDING: Final = f"""
SELECT {COLUMNS} FROM consents WHERE ended_at IS NULL AND party_id = $1 ORDER BY id FOR UPDATE
"""  # noqa: S608 - constants
_ERASE: Final = (
    """
UPDATE consents SET request_sealed = '', status_reason = NULL WHERE party_id = $1 AND request_sealed <> ''
""",
    """
UPDATE consent_history SET reason = NULL
WHERE reason IS NOT NULL AND consent_id IN (SELECT id FROM consents WHERE party_id = $1)
""",
    """
UPDATE consent_evidence SET sealed = NULL
WHERE sealed IS NOT NULL AND consent_id IN (SELECT id FROM consents WHERE party_id = $1)
""",
)

_USE: Final = """
INSERT INTO consent_uses (consent_id, hour, operation, times, last_at)
SELECT u.consent_id, u.hour, u.operation, u.times, u.last_at
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::bigint[], $5::timestamptz[])
    AS u (consent_id, hour, operation, times, last_at)
WHERE EXISTS (SELECT FROM consents AS c WHERE c.id = u.consent_id)
ORDER BY u.consent_id, u.hour, u.operation
ON CONFLICT (consent_id, hour, operation)
DO UPDATE SET times = consent_uses.times + excluded.times, last_at = greatest(consent_uses.last_at, excluded.last_at)
"""
# What was allowed once and is used up says itself when that was (ADR 56). Before that there was a row of it.
_USES: Final = """
(
    SELECT hour, operation, times, last_at FROM consent_uses
    WHERE consent_id = $1 AND ($2::timestamptz IS NULL OR (hour, operation) < ($2, $3::text))
    ORDER BY hour DESC, operation DESC LIMIT $4
)
UNION ALL
SELECT used.hour, used.operation, 1, used.ended_at
FROM (
    SELECT id, date_trunc('hour', ended_at, 'UTC') AS hour, kind AS operation, ended_at
    FROM consents WHERE id = $1 AND status = 'COND'
) AS used
WHERE ($2::timestamptz IS NULL OR (used.hour, used.operation) < ($2, $3::text))
  AND NOT EXISTS (SELECT FROM consent_uses AS u WHERE u.consent_id = used.id AND u.operation = used.operation)
ORDER BY hour DESC, operation DESC LIMIT $4
"""

# The last use was in the last hour of any, so no other hour is read.
_LAST_USES: Final = """
SELECT consent_id, max(last_at) AS last_at
FROM (
    SELECT u.consent_id, u.last_at FROM unnest($1::uuid[]) AS c (id) JOIN consent_uses AS u ON u.consent_id = c.id
        AND u.hour = (SELECT l.hour FROM consent_uses AS l WHERE l.consent_id = c.id ORDER BY l.hour DESC LIMIT 1)
    UNION ALL SELECT id, ended_at FROM consents WHERE id = ANY($1::uuid[]) AND status = 'COND'
) AS used
GROUP BY consent_id
"""

_HEAD: Final = "SELECT number, digest FROM consent_evidence_head WHERE id = 1"
_CHAIN: Final = """
INSERT INTO consent_evidence (id, number, consent_id, sealed, commitment, digest, recorded_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_MOVE_HEAD: Final = "UPDATE consent_evidence_head SET number = $1, digest = $2 WHERE id = 1"

# Links of the chain stay; what they vouch for goes with the consent.
_SWEEP: Final = """
WITH old AS (
    SELECT id FROM consents WHERE ended_at < $1 ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED
), blanked AS (
    UPDATE consent_evidence SET sealed = NULL
    WHERE consent_id IN (SELECT id FROM old) AND sealed IS NOT NULL RETURNING number
)
DELETE FROM consents WHERE id IN (SELECT id FROM old)
"""
_IS_BLOCKED: Final = f"SELECT {BLOCKED.format(client='$1::uuid')}"
_OF_CLIENT: Final = _OF_THIRD_PARTY.format(client="$1::uuid")
# What staff names by a directory's word. An older block may be of one client of its alone: it goes with the others.
_NAMED: Final = "jsonb_build_object('directory', $1::text, 'organisation_id', $2::text)"
_OF_ORGANISATION: Final = f"""(
    b.third_party = {_NAMED} OR b.client_id IN (
        SELECT a.id FROM api_clients AS a
        WHERE a.registered_by = $1 AND a.organisation_id = $2 AND a.registered_by NOT IN ('operator', 'partner', 'open')
    )
)"""  # noqa: S608 - constants
_BLOCK_COLUMNS: Final = "b.named, b.client_id, b.third_party::text, b.reason, b.blocked_by, b.blocked_at"
_BLOCK: Final = f"""
INSERT INTO blocked_third_parties AS b (client_id, third_party, reason, blocked_by, blocked_at)
SELECT $1::uuid, {_THIRD_PARTY.format(client="$1::uuid")}, $2, $3, $4
WHERE NOT {BLOCKED.format(client="$1::uuid")}
ON CONFLICT DO NOTHING RETURNING {_BLOCK_COLUMNS}
"""
_BLOCK_ORGANISATION: Final = f"""
INSERT INTO blocked_third_parties AS b (third_party, reason, blocked_by, blocked_at) VALUES ({_NAMED}, $3, $4, $5)
ON CONFLICT DO NOTHING RETURNING {_BLOCK_COLUMNS}
"""  # noqa: S608 - constants
_FIND_BLOCK: Final = f"""
SELECT {_BLOCK_COLUMNS} FROM blocked_third_parties AS b WHERE {_OF_CLIENT} ORDER BY b.blocked_at, b.client_id LIMIT 1
"""  # noqa: S608 - constants
_FIND_BLOCK_OF_ORGANISATION: Final = f"""
SELECT {_BLOCK_COLUMNS} FROM blocked_third_parties AS b WHERE b.third_party = {_NAMED}
"""  # noqa: S608 - constants
_BLOCKS: Final = f"""
SELECT {_BLOCK_COLUMNS} FROM blocked_third_parties AS b
WHERE $1::text IS NULL OR b.named > $1 ORDER BY b.named LIMIT $2
"""  # noqa: S608 - constants
_EVIDENCE: Final = """
SELECT id, number, consent_id, sealed, commitment, digest, recorded_at FROM consent_evidence
WHERE consent_id = $1 ORDER BY number
"""
_LINKS: Final = """
SELECT id, number, consent_id, sealed, commitment, digest, recorded_at FROM consent_evidence
WHERE number > $1 ORDER BY number LIMIT $2
"""
_UNBLOCK: Final = f"""
DELETE FROM blocked_third_parties AS b WHERE {_OF_CLIENT} RETURNING {_BLOCK_COLUMNS}
"""  # noqa: S608 - constants
_UNBLOCK_ORGANISATION: Final = f"""
DELETE FROM blocked_third_parties AS b WHERE {_OF_ORGANISATION} RETURNING {_BLOCK_COLUMNS}
"""  # noqa: S608 - constants


class Organisation(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation as a directory names it, whether or not it has a client here.

    Attributes:
        directory: The issuer of its software statements.
        organisation_id: How they call it.
    """

    directory: str
    organisation_id: str


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link of the chain of evidence, as its row has it; ``sealed`` is None once the evidence is gone."""

    id: UUID
    number: int
    consent_id: UUID
    sealed: bytes | None
    commitment: bytes
    digest: bytes
    recorded_at: datetime


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A third party that is blocked: which, why, by whom and since when, on the tenant's clock.

    Attributes:
        named: By what the list goes.
        client_id: By which of its clients it was named; None where it was by its directory's word.
        third_party: Who it is by the word of which directory, under the contract's names; None is that client alone.
        reason: Why, in staff's words.
        blocked_by: The person or API client that has blocked it.
        blocked_at: Since when.
    """

    named: str
    client_id: UUID | None
    third_party: dict[str, str] | None
    reason: str
    blocked_by: str
    blocked_at: datetime


class Standing:
    """A consent, what time it is for it, and whether its third party is kept out.

    Attributes:
        consent: Its row.
        now: The tenant's time.
        blocked: Whether the bank has blocked the third party.
        granted: Whether the grant and the token stand by which it is used, where they were looked at.
    """

    __slots__ = ("blocked", "consent", "granted", "now")

    def __init__(self, row: Any, *, granted: bool = True) -> None:
        self.consent: Consent = read(row)
        self.now: datetime = row["now"]
        self.blocked: bool = row["blocked"]
        self.granted = granted


async def find(tx: TenantTx, consent_id: UUID) -> Consent | None:
    """Return a consent, or None."""
    row = await tx.fetchrow(_FIND, consent_id)
    return None if row is None else read(row)


async def lock(tx: TenantTx, consent_id: UUID) -> Consent | None:
    """Return a consent and keep others from changing it until the transaction ends, or None."""
    row = await tx.fetchrow(_LOCK, consent_id)
    return None if row is None else read(row)


async def find_standing(tx: TenantTx, consent_id: UUID, *, lock: bool) -> Standing | None:
    """Return a consent with what else decides whether it may be used, by one query, or None.

    Args:
        tx: The tenant's transaction.
        consent_id: Which.
        lock: Whether to keep others from changing it until the transaction ends.
    """
    row = await tx.fetchrow(f"{_STANDING} FOR UPDATE OF consents" if lock else _STANDING, consent_id)
    return None if row is None else Standing(row)


async def find_standing_of_grant(
    tx: TenantTx, consent_id: UUID, grant_id: UUID, token_digest: bytes | None
) -> Standing | None:
    """Return the same, and whether the grant and the token stand by which it is used, by one query, or None."""
    row = await tx.fetchrow(_OF_GRANT, consent_id, grant_id, token_digest)
    return None if row is None else Standing(row, granted=row["granted"])


async def find_standings(tx: TenantTx, consent_ids: Sequence[UUID]) -> list[Standing]:
    """Return several consents with what else decides whether they may be used, by one query, in no order.

    What was asked for is left out of them.
    """
    return [Standing(row) for row in await tx.fetch(_STANDINGS, list(consent_ids))]


def insert(consent: Consent) -> Write:
    """Return what writes a new consent."""
    values = {name: getattr(consent, name) for name in _INSERTED}
    values |= {"permissions": sorted(consent.permissions), "terms": consent.terms.decode()}
    return Write(_INSERT, tuple(values.values()))


def update(consent: Consent) -> Write:
    """Return what writes all of a consent that can change."""
    values = {name: getattr(consent, name) for name in _CHANGED} | {"wallet_ids": list(consent.wallet_ids)}
    return Write(_UPDATE, (consent.id, *values.values()))


async def note_refused(tx: TenantTx, consent_id: UUID, step: Step) -> int:
    """Add a refused step to a consent's history, or count it where one like it is there; return how often it was."""
    values = (getattr(step, name) for name in Step.__struct_fields__)
    times: int = await tx.fetchval(_NOTE_REFUSED, consent_id, *values)
    return times


async def list_history(tx: TenantTx, consent_id: UUID, *, after: UUID | None, limit: int) -> list[Step]:
    """Return a consent's history, the oldest step first."""
    return [Step(**dict(row)) for row in await tx.fetch(_HISTORY, consent_id, after, limit)]


async def list_page(
    tx: TenantTx,
    *,
    before: UUID | None,
    client_id: UUID | None,
    party_id: UUID | None,
    kind: str | None,
    status: str | None,
    limit: int,
) -> list[Consent]:
    """Return consents, the newest first.

    Args:
        tx: The tenant's transaction.
        before: The consent after which to go on.
        client_id: Only a third party's.
        party_id: Only a customer's.
        kind: Only of a kind.
        status: Only of a status, as rows say.
        limit: How many at most.
    """
    where = Filter()
    where.add("id < $", before)
    where.add("client_id = $", client_id)
    where.add("party_id = $", party_id)
    where.add_word("kind", kind)
    where.add_word("status", status)
    if status in _STANDING_STATUSES:
        where.add("ended_at IS NULL")
    sql = f"SELECT {COLUMNS} FROM consents WHERE {where} ORDER BY id DESC LIMIT {limit:d}"  # noqa: S608 - constants
    return [read(row) for row in await tx.fetch(sql, *where.values)]


async def list_of_party(tx: TenantTx, party_id: UUID, *, after: UUID | None, limit: int) -> list[Consent]:
    """Return a customer's consents behind an id, in the order of their ids."""
    return [read(row) for row in await tx.fetch(_OF_PARTY, party_id, after, limit)]


async def list_standing(tx: TenantTx, client_id: UUID, limit: int, until: datetime | None) -> list[UUID]:
    """Return a third party's consents that haven't ended and were given until an instant, in the order of their ids."""
    return [row["id"] for row in await tx.fetch(_STANDING_OF, client_id, limit, until)]


async def lock_standing(tx: TenantTx, party_id: UUID) -> list[Consent]:
    """Return a customer's consents that haven't ended, by their ids, and keep others from changing them."""
    return [read(row) for row in await tx.fetch(_LOCK_STANDING, party_id)]


async def erase_party(tx: TenantTx, party_id: UUID) -> int:
    """Take out of a customer's consents what names them, and return how many had something."""
    first, *others = _ERASE
    for each in others:
        await tx.execute(each, party_id)
    return counted(await tx.execute(first, party_id))


def hour_of(instant: datetime) -> datetime:
    """Return when an instant's hour began."""
    return instant.replace(minute=0, second=0, microsecond=0)


async def add_uses(tx: TenantTx, counts: Mapping[tuple[UUID, datetime, str], tuple[int, datetime]]) -> None:
    """Add to what consents were used for; of a consent that is gone, nothing is counted.

    Args:
        tx: The tenant's transaction.
        counts: By consent, hour and operation: how often, and when last.
    """
    keys = list(counts)
    await tx.execute(
        _USE,
        [consent_id for consent_id, _, _ in keys],
        [hour for _, hour, _ in keys],
        [operation for _, _, operation in keys],
        [times for times, _ in counts.values()],
        [last_at for _, last_at in counts.values()],
    )


async def list_uses(tx: TenantTx, consent_id: UUID, *, before: tuple[datetime, str] | None, limit: int) -> list[Use]:
    """Return what a consent was used for, the last hour first."""
    hour, operation = before or (None, None)
    return [Use(**dict(row)) for row in await tx.fetch(_USES, consent_id, hour, operation, limit)]


async def last_uses(tx: TenantTx, consent_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """Return when each of these consents was used last; one that never was is left out."""
    return {row["consent_id"]: row["last_at"] for row in await tx.fetch(_LAST_USES, list(consent_ids))}


async def lock_evidence_head(tx: TenantTx) -> tuple[int, bytes]:
    """Return number and digest of the last link of evidence, and keep others from adding one meanwhile."""
    row = await tx.fetchrow(f"{_HEAD} FOR UPDATE")
    assert row is not None, "the migration makes it"
    return row["number"], row["digest"]


async def find_evidence_head(tx: TenantTx) -> tuple[int, bytes]:
    """Return number and digest of the last link of evidence."""
    row = await tx.fetchrow(_HEAD)
    assert row is not None, "the migration makes it"
    return row["number"], row["digest"]


def chain(evidence: PreparedEvidence, number: int, digest: bytes, now: datetime) -> list[Write]:
    """Return what adds a link of evidence, and makes it the last one."""
    link = (evidence.id, number, evidence.consent_id, evidence.sealed, evidence.commitment, digest, now)
    return [Write(_CHAIN, link), Write(_MOVE_HEAD, (number, digest))]


async def sweep(tx: TenantTx, before: datetime, limit: int) -> int:
    """Delete consents that ended before an instant, with their history and evidence, and return how many."""
    return counted(await tx.execute(_SWEEP, before, limit))


async def list_evidence(tx: TenantTx, consent_id: UUID) -> list[Link]:
    """Return the evidence of a consent, the oldest first."""
    return [Link(**dict(row)) for row in await tx.fetch(_EVIDENCE, consent_id)]


async def list_links(tx: TenantTx, *, after: int, limit: int) -> list[Link]:
    """Return the chain of evidence behind a number."""
    return [Link(**dict(row)) for row in await tx.fetch(_LINKS, after, limit)]


async def list_blocks(tx: TenantTx, *, after: str | None, limit: int) -> list[Block]:
    """Return the third parties that are blocked, by what they were named."""
    return [_block(row) for row in await tx.fetch(_BLOCKS, after, limit)]


def _block(row: Any) -> Block:
    named = row["third_party"]
    return Block(**{**dict(row), "third_party": None if named is None else msgspec.json.decode(named)})


async def is_blocked(tx: TenantTx, client_id: UUID) -> bool:
    """Tell whether whoever runs a client is blocked."""
    return bool(await tx.fetchval(_IS_BLOCKED, client_id))


async def block(tx: TenantTx, whom: UUID | Organisation, reason: str, blocked_by: str, now: datetime) -> Block | None:
    """Block whoever runs a client, or an organisation, and return the block; None where they are blocked already."""
    if isinstance(whom, UUID):
        row = await tx.fetchrow(_BLOCK, whom, reason, blocked_by, now)
    else:
        row = await tx.fetchrow(_BLOCK_ORGANISATION, whom.directory, whom.organisation_id, reason, blocked_by, now)
    return None if row is None else _block(row)


async def find_block(tx: TenantTx, whom: UUID | Organisation) -> Block | None:
    """Return the block of whoever runs a client, or of an organisation, or None."""
    if isinstance(whom, UUID):
        row = await tx.fetchrow(_FIND_BLOCK, whom)
    else:
        row = await tx.fetchrow(_FIND_BLOCK_OF_ORGANISATION, whom.directory, whom.organisation_id)
    return None if row is None else _block(row)


async def unblock(tx: TenantTx, whom: UUID | Organisation) -> Block | None:
    """Let whoever runs a client, or an organisation, in again, and return the block; None where they aren't blocked."""
    if isinstance(whom, UUID):
        rows = await tx.fetch(_UNBLOCK, whom)
    else:
        rows = await tx.fetch(_UNBLOCK_ORGANISATION, whom.directory, whom.organisation_id)
    return _block(rows[0]) if rows else None
