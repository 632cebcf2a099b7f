"""The SQL of the reconciliation room on the readers' side. Lists are keyset pages, newest first."""

from collections.abc import Sequence
from uuid import UUID

from billfold.contract.statements import EntryOutcome
from billfold_server.db.filters import Filter
from billfold_server.reconciliation.rows import ImportRow, StatementEntryRow, StatementRow
from billfold_server.reconciliation.stores import (
    ENTRY_COLUMNS,
    IMPORT_COLUMNS,
    REVERSED,
    STATEMENT_COLUMNS,
    to_entry,
    to_import,
    to_statement,
)
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "count_waiting",
    "find_entry",
    "find_import",
    "list_entries",
    "list_imports",
    "list_statements",
    "sums_of_import",
]

# S608 below: the texts are made of constants and numbered parameters only.


async def find_import(tx: TenantTx, import_id: UUID) -> ImportRow | None:
    """Return an import, or None."""
    row = await tx.fetchrow(f"SELECT {IMPORT_COLUMNS} FROM statement_imports AS i WHERE i.id = $1", import_id)  # noqa: S608
    return None if row is None else to_import(row)


async def list_imports(tx: TenantTx, *, limit: int, before: UUID | None = None) -> list[ImportRow]:
    """Return imports, newest first."""
    where = Filter()
    where.add("i.id < $", before)
    rows = await tx.fetch(
        f"SELECT {IMPORT_COLUMNS} FROM statement_imports AS i WHERE {where} ORDER BY i.id DESC LIMIT {limit:d}",  # noqa: S608
        *where.values,
    )
    return [to_import(row) for row in rows]


async def list_statements(tx: TenantTx, import_ids: Sequence[UUID]) -> dict[UUID, list[StatementRow]]:
    """Return the statements of imports, by import, each list in the file's order."""
    rows = await tx.fetch(
        f"SELECT {STATEMENT_COLUMNS} FROM statements AS s "  # noqa: S608
        "WHERE s.statement_import_id = ANY($1::uuid[]) ORDER BY s.statement_import_id, s.position",
        list(import_ids),
    )
    found: dict[UUID, list[StatementRow]] = {import_id: [] for import_id in import_ids}
    for row in map(to_statement, rows):
        found[row.statement_import_id].append(row)
    return found


async def sums_of_import(tx: TenantTx, import_id: UUID) -> dict[str, int]:
    """Return how much an import has moved by entries, openings and breaks, in either direction, by currency."""
    rows = await tx.fetch(
        """
        SELECT m.currency, sum(abs(m.amount_minor))::bigint AS moved_minor FROM (
            SELECT e.currency, e.amount_minor FROM statement_entries AS e
            WHERE e.statement_import_id = $1 AND e.journal_entry_id IS NOT NULL
            UNION ALL
            SELECT p.currency, p.amount_minor
            FROM statements AS s JOIN postings AS p
                ON p.entry_id IN (s.opening_entry_id, s.break_entry_id) AND p.account_id = s.cash_account_id
            WHERE s.statement_import_id = $1) AS m
        GROUP BY m.currency
        """,
        import_id,
    )
    return {row["currency"]: row["moved_minor"] for row in rows}


async def find_entry(tx: TenantTx, entry_id: UUID) -> StatementEntryRow | None:
    """Return a statement entry, or None."""
    row = await tx.fetchrow(f"SELECT {ENTRY_COLUMNS} FROM statement_entries AS e WHERE e.id = $1", entry_id)  # noqa: S608
    return None if row is None else to_entry(row)


async def count_waiting(tx: TenantTx, wallet_ids: Sequence[UUID]) -> int:
    """Return how many entries that name some wallets, and say of whom, have money that waits in suspense."""
    sql = (
        "SELECT count(*) FROM statement_entries AS e WHERE e.wallet_id = ANY($1::uuid[]) "  # noqa: S608
        f"AND e.sealed_texts IS NOT NULL AND e.outcome = '{EntryOutcome.SUSPENSE.value}' AND NOT {REVERSED}"
    )
    return int(await tx.fetchval(sql, list(wallet_ids)))


async def list_entries(
    tx: TenantTx,
    *,
    limit: int,
    before: UUID | None = None,
    import_id: UUID | None = None,
    outcome: EntryOutcome | None = None,
) -> list[StatementEntryRow]:
    """Return statement entries, newest first."""
    where = Filter()
    where.add("e.statement_import_id = $", import_id)
    if outcome is EntryOutcome.REVERSED:
        where.add(f"(e.taken_back AND e.journal_entry_id IS NOT NULL OR e.outcome = 'suspense' AND {REVERSED})")
    elif outcome is EntryOutcome.SUSPENSE:
        where.add_word("e.outcome", outcome)
        where.add(f"NOT {REVERSED}")
    elif outcome is not None:
        where.add_word("e.outcome", outcome)
        where.add("(e.journal_entry_id IS NULL OR NOT e.taken_back)")
    where.add("e.id < $", before)
    rows = await tx.fetch(
        f"SELECT {ENTRY_COLUMNS} FROM statement_entries AS e WHERE {where} ORDER BY e.id DESC LIMIT {limit:d}",  # noqa: S608
        *where.values,
    )
    return [to_entry(row) for row in rows]
