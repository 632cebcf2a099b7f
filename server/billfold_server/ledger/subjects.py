"""What the ledger does for a person who asks what is known of them, or to be forgotten.

The books stay exact: amounts, times and ids are never touched. What people have written of an entry or a hold goes
together with the salt of its commitment, so that nobody can tell any more what it was, and the chain still holds.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.db.personal import Erasing, Exported, Subject, SubjectProvider, counted, to_plain
from billfold_server.http.routing import Call
from billfold_server.ledger.stores import ACCOUNT_COLUMNS, HOLD_COLUMNS, to_account, to_hold
from billfold_server.tenancy.service import detached_months
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["SUBJECTS"]

_OWN: Final = "SELECT a.id FROM accounts AS a WHERE a.wallet_id = ANY($1::uuid[])"
_ACCOUNTS: Final = f"""
SELECT {ACCOUNT_COLUMNS} FROM accounts AS a
WHERE a.wallet_id = ANY($1::uuid[]) AND ($2::uuid IS NULL OR a.id > $2) ORDER BY a.id LIMIT $3
"""  # noqa: S608 - constants
_ENTRIES: Final = f"""
SELECT j.id, j.sequence, j.kind, j.description, j.metadata::text AS metadata, j.effective_at, j.recorded_at,
    json_agg(json_build_object('amount_minor', p.amount_minor, 'currency', p.currency) ORDER BY p.line)::text
        AS postings
FROM (
    SELECT DISTINCT n.entry_id FROM ({_OWN}) AS own
    CROSS JOIN LATERAL (
        SELECT DISTINCT o.entry_id FROM postings AS o
        WHERE o.account_id = own.id AND o.entry_id > coalesce($2::uuid, '00000000-0000-0000-0000-000000000000')
        ORDER BY o.entry_id LIMIT $3
    ) AS n
    ORDER BY n.entry_id LIMIT $3
) AS own
JOIN postings AS p ON p.entry_id = own.entry_id AND p.account_id IN ({_OWN})
JOIN journal_entries AS j ON j.id = own.entry_id
GROUP BY j.id, j.sequence, j.kind, j.description, j.metadata, j.effective_at, j.recorded_at
ORDER BY j.id LIMIT $3
"""  # noqa: S608 - constants
_HOLDS: Final = f"""
SELECT {HOLD_COLUMNS} FROM holds AS h
WHERE (h.wallet_id = ANY($1::uuid[]) OR h.to_wallet_id = ANY($1::uuid[])) AND ($2::uuid IS NULL OR h.id > $2)
ORDER BY h.id LIMIT $3
"""  # noqa: S608 - constants
_BLANK_ACCOUNTS: Final = """
UPDATE accounts SET name = NULL, metadata = '{}'
WHERE wallet_id = ANY($1::uuid[]) AND (name IS NOT NULL OR metadata <> '{}')
"""
_ERASE_ENTRIES: Final = f"""
UPDATE journal_entries SET description = NULL, metadata = '{{}}', text_salt = NULL
WHERE text_salt IS NOT NULL AND id IN (SELECT o.entry_id FROM postings AS o WHERE o.account_id IN ({_OWN}))
"""  # noqa: S608 - constants
_ERASE_SALTS: Final = """
UPDATE hold_terms SET text_salt = NULL
WHERE text_salt IS NOT NULL
    AND hold_id IN (SELECT h.id FROM holds AS h WHERE h.wallet_id = ANY($1::uuid[]) OR h.to_wallet_id = ANY($1::uuid[]))
"""
_BLANK_HOLDS: Final = """
UPDATE holds SET description = NULL, metadata = '{}'
WHERE (wallet_id = ANY($1::uuid[]) OR to_wallet_id = ANY($1::uuid[]))
    AND (description IS NOT NULL OR metadata <> '{}')
"""


async def _accounts(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
    async with call.tx() as tx:
        rows = await tx.fetch(_ACCOUNTS, list(subject.wallet_ids), after, limit)
    return [Exported(kind="account", key=row.id, data=to_plain(row.to_response())) for row in map(to_account, rows)]


async def _entries(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
    """Return what was booked on a person's accounts, with these postings of it alone."""
    async with call.tx() as tx:
        rows = await tx.fetch(_ENTRIES, list(subject.wallet_ids), after, limit)
    return [
        Exported(
            kind="journal_entry",
            key=row["id"],
            data={
                "id": ids.encode(Prefix.JOURNAL_ENTRY, row["id"]),
                "sequence": row["sequence"],
                "kind": row["kind"],
                "description": row["description"],
                "metadata": msgspec.json.decode(row["metadata"]),
                "effective_at": to_plain(row["effective_at"]),
                "recorded_at": to_plain(row["recorded_at"]),
                "postings": msgspec.json.decode(row["postings"]),
            },
        )
        for row in rows
    ]


async def _holds(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
    async with call.tx() as tx:
        rows = await tx.fetch(_HOLDS, list(subject.wallet_ids), after, limit)
    return [Exported(kind="hold", key=hold.id, data=to_plain(hold.to_response())) for hold in map(to_hold, rows)]


async def _erase_entries(tx: TenantTx, erasing: Erasing) -> Mapping[str, int]:
    wallets = list(erasing.subject.wallet_ids)
    erased = counted(await tx.execute(_ERASE_ENTRIES, wallets))
    for month in await detached_months(tx):
        if month.erasable:
            erase = _ERASE_ENTRIES.replace("journal_entries", month.journal_entries)
            erased += counted(await tx.execute(erase.replace("postings", month.postings), wallets))
    return {"journal_entries": erased}


async def _erase(tx: TenantTx, erasing: Erasing) -> Mapping[str, int]:
    wallets = list(erasing.subject.wallet_ids)
    await tx.execute(_ERASE_SALTS, wallets)
    accounts = counted(await tx.execute(_BLANK_ACCOUNTS, wallets))
    holds = counted(await tx.execute(_BLANK_HOLDS, wallets))
    return {**await _erase_entries(tx, erasing), "accounts": accounts, "holds": holds}


SUBJECTS: Final = SubjectProvider(
    room="ledger", export=(_entries, _holds, _accounts), erase=_erase, begin=_erase_entries
)
