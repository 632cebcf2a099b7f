"""Bank statements as other rooms and the HTTP edge know them.

A file is read before the ledger's engine sees it, in a thread, since that takes most of the time and touches nothing;
what it does to the books is one command.
"""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from billfold import errors
from billfold.contract.statements import EntryOutcome, StatementEntry, StatementFormat, StatementImport
from billfold_server.keys.service import Keyring
from billfold_server.ledger.service import Answer, Engine
from billfold_server.reconciliation import queries, rules
from billfold_server.reconciliation.kinds import (
    ASSIGN_ENTRY,
    IMPORT_STATEMENTS,
    Assignment,
    PreparedEntry,
    PreparedStatement,
    StatementFile,
)
from billfold_server.reconciliation.model import unreadable
from billfold_server.reconciliation.statements import Statement, read_statements
from billfold_server.reconciliation.stores import STORES
from billfold_server.tenancy.context import Caller, TenantRef
from billfold_server.tenancy.transaction import Database, TenantTx
from billfold_server.wallets import service as wallets

__all__ = [
    "ASSIGN_ENTRY",
    "IMPORT_STATEMENTS",
    "STORES",
    "Assignment",
    "StatementFile",
    "dedup_secret",
    "get_entry",
    "get_import",
    "import_file",
    "list_entries",
    "list_imports",
    "prepare_file",
    "require_feature",
]

_FEATURE: Final = "statements"
_MAX_ALIASES_A_QUERY: Final = 50_000
_MAX_BANK_ACCOUNT_CHARS: Final = 100
"""Far more than any bank's account number has, and short enough to be a key."""

_Levels = Sequence[Sequence[rules.AliasLevels]]
"""The levels of each entry of each statement."""


def require_feature(tenant: TenantRef) -> None:
    """Refuse a tenant whose manifest doesn't turn statements on.

    Raises:
        FeatureDisabled: It doesn't.
    """
    if _FEATURE not in tenant.manifest.features:
        raise errors.FeatureDisabled(feature=_FEATURE)


def dedup_secret(keyring: Keyring, tenant: TenantRef) -> bytes:
    """Return the tenant's own secret for the keys by which entries are known again; the same for good."""
    return keyring.derive(f"statement entries {tenant.id}")


async def prepare_file(database: Database, tenant: TenantRef, data: bytes, *, secret: bytes) -> StatementFile:
    """Read a file, and find which of the names in it are aliases of wallets.

    Only those are looked up again when the command is decided; an alias given in the meantime counts for the next file.

    Args:
        database: The door to the tenant's tables.
        tenant: Whose bank statement it is.
        data: The file as the bank sent it.
        secret: What ``dedup_secret`` returns for the tenant.

    Raises:
        StatementUnreadable: It isn't a statement file, or a broken one; ``line`` and ``reason`` say where and why.
    """
    statements, levels, candidates = await asyncio.to_thread(_read, data, secret)
    known: set[wallets.AliasKey] = set()
    async with database.tx(tenant) as tx:
        for start in range(0, len(candidates), _MAX_ALIASES_A_QUERY):
            known |= await wallets.find_alias_keys(tx, candidates[start : start + _MAX_ALIASES_A_QUERY])
    return await asyncio.to_thread(_prepared, statements, levels, known)


async def import_file(
    engine: Engine, database: Database, tenant: TenantRef, caller: Caller, data: bytes, *, secret: bytes
) -> Answer:
    """Import a file on behalf of somebody who needs no idempotency key: the entries know themselves again.

    Raises:
        FeatureDisabled: The tenant's manifest doesn't turn statements on.
        StatementUnreadable: It isn't a statement file, or a broken one.
        ProblemError: The outcome can't be told now.
    """
    require_feature(tenant)
    file = await prepare_file(database, tenant, data, secret=secret)
    return await engine.submit(tenant, caller, IMPORT_STATEMENTS, file)


def _read(data: bytes, secret: bytes) -> tuple[list[Statement], _Levels, list[wallets.AliasKey]]:
    statements = read_statements(data, dedup_secret=secret)
    for statement in statements:
        if len(statement.bank_account) > _MAX_BANK_ACCOUNT_CHARS:
            raise unreadable(
                statement.opening.line, f"the account's number is longer than {_MAX_BANK_ACCOUNT_CHARS} characters"
            )
    levels = [[rules.alias_levels(entry) for entry in statement.entries] for statement in statements]
    candidates = dict.fromkeys(
        key for of_statement in levels for of_entry in of_statement for key in rules.alias_candidates(of_entry)
    )
    return statements, levels, list(candidates)


def _prepared(statements: Sequence[Statement], levels: _Levels, known: set[wallets.AliasKey]) -> StatementFile:
    return StatementFile(
        format=StatementFormat(statements[0].format),
        statements=tuple(
            PreparedStatement(
                statement,
                tuple(
                    PreparedEntry(entry, _narrowed(of_entry, known))
                    for entry, of_entry in zip(statement.entries, of_statement, strict=True)
                ),
            )
            for statement, of_statement in zip(statements, levels, strict=True)
        ),
        aliases=tuple(known),
    )


def _narrowed(levels: rules.AliasLevels, known: set[wallets.AliasKey]) -> rules.AliasLevels:
    """Leave out the names that no wallet has, so that a decision has little to look at."""
    found = [(scheme, [one for one in values if wallets.AliasKey(scheme, one) in known]) for scheme, values in levels]
    return [(scheme, values) for scheme, values in found if values]


# Reading.


async def get_import(tx: TenantTx, import_id: UUID) -> StatementImport:
    """Return what an import did.

    Raises:
        NotFound: There is none.
    """
    found = await queries.find_import(tx, import_id)
    if found is None:
        detail = "There is no such statement import."
        raise errors.NotFound(detail)
    return found.to_response((await queries.list_statements(tx, [import_id]))[import_id])


async def list_imports(tx: TenantTx, *, limit: int, before: UUID | None) -> list[StatementImport]:
    """Return imports with their statements, newest first."""
    found = await queries.list_imports(tx, limit=limit, before=before)
    statements = await queries.list_statements(tx, [one.id for one in found])
    return [one.to_response(statements[one.id]) for one in found]


async def get_entry(tx: TenantTx, entry_id: UUID) -> StatementEntry:
    """Return a statement entry.

    Raises:
        NotFound: There is none.
    """
    found = await queries.find_entry(tx, entry_id)
    if found is None:
        detail = "There is no such statement entry."
        raise errors.NotFound(detail)
    return found.to_response()


async def list_entries(
    tx: TenantTx, *, limit: int, before: UUID | None, import_id: UUID | None, outcome: EntryOutcome | None
) -> list[StatementEntry]:
    """Return statement entries, newest first."""
    rows = await queries.list_entries(tx, limit=limit, before=before, import_id=import_id, outcome=outcome)
    return [row.to_response() for row in rows]
