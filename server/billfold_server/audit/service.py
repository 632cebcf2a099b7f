"""Writes and reads the audit trail.

A record is written by the transaction that changes what it tells of, so there is no change without its record and no
record of a change that was rolled back. The role that serves requests may add records and read them, and nothing else;
what is more than a year old it may delete, which the tenant's retention does. Who has more rights than that role is
noticed all the same: a chain holds what was recorded, soon after (``sealing``, ADR 67).

What moves money between wallets, or in and out of them, has no second row here: its own row says who ordered it in
which request, is never changed either, and is shown among the records (ADR 25).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.clock import SystemClock
from billfold.contract.platform import AuditHead, AuditHeadClaims, AuditRecord
from billfold.ids import Prefix
from billfold_server.audit import queries, seal_queries
from billfold_server.db.sets import Write, write_all
from billfold_server.tenancy.context import Caller
from billfold_server.tenancy.transaction import TenantTx, Tx

__all__ = [
    "HeadMissingError",
    "HeadRow",
    "NewAuditRecord",
    "get_head",
    "head_claims",
    "is_behind",
    "list_records",
    "new_record",
    "record",
    "signed_head",
    "sweep",
    "with_program",
    "writes",
]

_NOBODY: Final = UUID(int=0)


class NewAuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Who does what, on which object, why, and in which request.

    Attributes:
        id: UUIDv7.
        actor: The API client, operator or job.
        action: Object and what was done to it, such as ``wallet.frozen``.
        object_id: Wire id of the object.
        reason: Why, in words, where a reason was asked for.
        request_id: The request in which it was done.
        facts: A JSON object with what else must be known later. Names of changed fields, not personal data: records
            are never deleted.
        recorded_at: When, on the real clock.
    """

    id: UUID
    actor: str
    action: str
    object_id: str
    reason: str | None = None
    request_id: str | None = None
    facts: bytes = b"{}"
    recorded_at: datetime


def new_record(
    caller: Caller,
    action: str,
    object_id: str,
    *,
    reason: str | None = None,
    facts: Mapping[str, object] | None = None,
) -> NewAuditRecord:
    """Return the record of what a caller does now."""
    return NewAuditRecord(
        id=ids.uuid7(),
        actor=caller.actor,
        action=action,
        object_id=object_id,
        reason=reason,
        request_id=caller.request_id,
        facts=msgspec.json.encode(with_program(caller, facts)),
        recorded_at=SystemClock().now(),
    )


def with_program(caller: Caller, facts: Mapping[str, object] | None) -> Mapping[str, object]:
    """Return facts with the program through which a person acts, where one does: both answer for it."""
    known = facts or {}
    if caller.user_id is None or caller.client_id == _NOBODY:
        return known
    program = ids.encode(Prefix.CLIENT, caller.client_id)
    return known if caller.actor == program else {**known, "through": program}


def writes(records: Sequence[NewAuditRecord]) -> list[Write]:
    """Return what writes records."""
    if not records:
        return []
    arguments = queries.RECORDS.arguments(
        [record.id for record in records],
        [record.actor for record in records],
        [record.action for record in records],
        [record.object_id for record in records],
        [record.reason for record in records],
        [record.request_id for record in records],
        [record.facts.decode() for record in records],
        [record.recorded_at for record in records],
    )
    return [Write(queries.INSERT, arguments)]


async def record(tx: Tx, *records: NewAuditRecord) -> None:
    """Write records in the transaction of the change that they tell of, with one statement."""
    await write_all(tx, writes(records))


async def list_records(
    tx: Tx,
    *,
    object_id: str | None = None,
    action: str | None = None,
    before: UUID | None = None,
    limit: int = 100,
) -> list[AuditRecord]:
    """Return records, the newest first.

    Args:
        tx: The transaction of the tenant or of the platform.
        object_id: Only what was done to this object.
        action: Only what was done in this way.
        before: The record after which to go on.
        limit: How many at most.
    """
    rows = await tx.fetch(queries.LIST, object_id, action, before, limit)
    records = [
        AuditRecord(
            id=ids.encode(Prefix.AUDIT_RECORD, row["id"]),
            actor=row["actor"],
            action=row["action"],
            object_id=row["object_id"],
            reason=row["reason"],
            request_id=row["request_id"],
            facts=msgspec.json.decode(row["facts"]),
            recorded_at=row["recorded_at"],
        )
        for row in rows
    ]
    if isinstance(tx, TenantTx):
        records += await _moved(tx, object_id, action, before, limit)
        # Ids in their wire form are in the order in which they were made, too.
        records.sort(key=_id, reverse=True)
    return records[:limit]


async def is_behind(tx: TenantTx, actor: str, object_id: str, actions: Sequence[str]) -> bool:
    """Tell whether an actor has done something to an object, or to whoever has done it, and so on.

    Args:
        tx: The tenant's transaction.
        actor: Who, as the audit names them.
        object_id: To which object.
        actions: One of these.
    """
    return bool(await tx.fetchval(queries.IS_BEHIND, object_id, list(actions), actor))


_MOVES: Final = {"transfer": Prefix.TRANSFER, "top_up": Prefix.TOP_UP, "withdrawal": Prefix.WITHDRAWAL}
"""The kinds of what the audit trail tells from its own rows, with the prefixes of their ids."""


async def _moved(
    tx: TenantTx, object_id: str | None, action: str | None, before: UUID | None, limit: int
) -> list[AuditRecord]:
    """Return what moved money, as the audit trail tells it."""
    found = []
    for kind, prefix in _MOVES.items():
        done = f"{kind}.posted"
        if action not in {None, done}:
            continue
        transfer_id = None
        if object_id is not None:
            try:
                transfer_id = ids.decode(prefix, object_id)
            except ids.InvalidIdError:
                continue
        sql, values = queries.moved(kind, transfer_id=transfer_id, before=before, limit=limit)
        found += [
            AuditRecord(
                id=ids.encode(Prefix.AUDIT_RECORD, row["id"]),
                actor=row["actor"],
                action=done,
                object_id=ids.encode(prefix, row["id"]),
                reason=None,
                request_id=row["request_id"],
                facts={},
                recorded_at=row["recorded_at"],
            )
            for row in await tx.fetch(sql, *values)
        ]
    return found


def _id(record: AuditRecord) -> str:
    return record.id


async def sweep(tx: Tx, before: datetime, limit: int) -> int:
    """Delete the oldest records that were written before an instant, and return how many.

    The database lets nobody who serves requests delete what is younger than a year.
    """
    return len(await tx.fetch(f"{queries.DELETE} RETURNING id", before, ids.uuid7_at(before), limit))


class HeadMissingError(Exception):
    """The head of a trail's chain is gone, which no command does."""


class HeadRow(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a trail's chain.

    Attributes:
        number: The newest link's number; 0 where there is none.
        hash: Its hash.
        skips: What the next link needs of those before.
        sealed_at: When it was made.
        ordered_to: The newest transfer that is sealed.
    """

    number: int
    hash: bytes
    skips: bytes
    sealed_at: datetime
    ordered_to: UUID | None


async def get_head(tx: Tx) -> HeadRow:
    """Return the head of a trail's chain.

    Raises:
        HeadMissingError: It is gone.
    """
    rows = await tx.fetch(seal_queries.HEAD)
    if not rows:
        raise HeadMissingError
    return HeadRow(**dict(rows[0]))


def head_claims(head: HeadRow, issuer: str) -> AuditHeadClaims:
    """Return what is signed of a head.

    Args:
        head: The head.
        issuer: The base URL of the tenant or of the platform.
    """
    return AuditHeadClaims(iss=issuer, number=head.number, hash=head.hash.hex(), sealed_at=head.sealed_at)


def signed_head(claims: AuditHeadClaims, jws: str) -> AuditHead:
    """Return a head as the API shows it.

    Args:
        claims: What was signed.
        jws: The signature over it.
    """
    return AuditHead(number=claims.number, hash=claims.hash, sealed_at=claims.sealed_at, jws=jws)
