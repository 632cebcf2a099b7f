"""A tenant's books as JSON lines: every account, journal entry and hold, as of one moment.

Each line is an object with ``record`` (what it is) and that record's own fields. The first line is the head of the
journal, the last one counts what came before, so that a file that was cut short shows.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from asyncpg import Record

from billfold_server.ledger.stores import (
    ACCOUNT_COLUMNS,
    ENTRY_COLUMNS,
    HOLD_COLUMNS,
    to_account,
    to_hold,
    with_postings,
)
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx

__all__ = ["export_ledger"]

FORMAT: Final = "billfold.ledger/1"
_BATCH: Final = 1000
_STATEMENT_TIMEOUT_MS: Final = 3_600_000


async def export_ledger(database: Database, tenant: TenantRef) -> AsyncIterator[bytes]:
    """Yield the tenant's books line by line, without line ends, all as of one moment.

    Memory stays bounded: rows are read a thousand at a time.
    """
    async with database.tx(tenant, snapshot=True, statement_timeout_ms=_STATEMENT_TIMEOUT_MS) as tx:
        (head,) = await tx.fetch("SELECT sequence, recorded_at FROM ledger_head WHERE id = 1")
        yield _line("head", {"format": FORMAT, "tenant": tenant.slug, **dict(head)})
        counts = {"account": 0, "journal_entry": 0, "hold": 0}
        async for kind, document in _records(tx):
            counts[kind] += 1
            yield _line(kind, document)
        yield _line("end", counts)


async def _records(tx: TenantTx) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    accounts = f"SELECT {ACCOUNT_COLUMNS} FROM accounts AS a ORDER BY a.id"  # noqa: S608 - constants
    async for rows in _batches(tx, accounts):
        for row in rows:
            yield "account", msgspec.to_builtins(to_account(row).to_response())
    entries = f"SELECT {ENTRY_COLUMNS} FROM journal_entries AS j ORDER BY j.id"  # noqa: S608 - constants
    async for rows in _batches(tx, entries):
        for entry in await with_postings(tx, rows):
            yield "journal_entry", msgspec.to_builtins(entry.to_response())
    holds = f"SELECT {HOLD_COLUMNS} FROM holds AS h ORDER BY h.id"  # noqa: S608 - constants
    async for rows in _batches(tx, holds):
        for row in rows:
            yield "hold", msgspec.to_builtins(to_hold(row).to_response())


async def _batches(tx: TenantTx, query: str) -> AsyncIterator[list[Record]]:
    cursor = await tx.connection.cursor(query)
    while rows := await cursor.fetch(_BATCH):
        yield rows


def _line(record: str, document: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"record": record, **document})
