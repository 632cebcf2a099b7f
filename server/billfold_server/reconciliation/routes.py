"""Bank statements over HTTP."""

import msgspec

from billfold import errors, ids
from billfold.contract.common import Page, StatementEntryId, StatementImportId
from billfold.contract.statements import (
    AssignStatementEntry,
    EntryOutcome,
    ReverseStatementImport,
    StatementEntry,
    StatementImport,
)
from billfold.ids import Prefix
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Link, Reply, Routes
from billfold_server.ledger import service as ledger
from billfold_server.reconciliation import approving, service

__all__ = ["routes"]

routes = Routes(
    tag="Statements",
    description="Bank statements: files of entries, each of which moves a wallet or waits in suspense.",
)

_REFUSED_FROM = 400

_EXAMPLE = """:20:STATEMENT
:25:NL26VAYB8060476890
:28C:1/1
:60F:C261119EUR100,00
:61:2611191119C12,50NTRFNONREF
:86:166?00TRANSFER?20SVWZ+Invoice 4711?32Grace Hopper
:62F:C261119EUR112,50
-
"""


@routes.post(
    "/v1/statement-imports",
    scope="statements:write",
    idempotency="required",
    location="/v1/statement-imports/{id}",
    body_media_type="application/octet-stream",
    errors=(
        errors.FeatureDisabled,
        errors.StatementUnreadable,
        errors.CurrencyNotEnabled,
        errors.AccountNotUsable,
        errors.BalanceOutOfRange,
    ),
    links=(
        Link(operation_id="getStatementImport", parameters={"statement_import_id": "$response.body#/id"}),
        Link(operation_id="listStatementEntries", parameters={"statement_import_id": "$response.body#/id"}),
        Link(
            operation_id="getAccountStatement",
            parameters={"account_id": "$response.body#/statements/0/cash_account_id"},
        ),
    ),
    examples={"request": _EXAMPLE},
)
async def create_statement_import(call: Call, body: bytes) -> Reply[StatementImport]:
    """Import a bank's statement file: camt.053 (ISO 20022) or MT940 (SWIFT).

    Each credit tops up the wallet that its IBAN, reference or counterparty names by alias, each debit is a withdrawal.
    An entry that names a withdrawal of this API by its id (`wdr_…`, with or without the underscore) shows that one's
    money to have left, or to have come back, and takes nothing from the wallet once more. So does one that names a
    top-up (`top_…`): its money has come in, or gone back, and the wallet isn't topped up once more.
    What fits no wallet, or what the wallet can't bear, waits in suspense. A file is imported whole or not at all, and
    statements and entries that were imported before change nothing again.

    While a file is booked nothing else of the tenant's money moves, so one may have 5,000 entries, in 1,000 statements,
    at most. What is longer is refused (`statement_unreadable`) and comes in parts: by statement, or by day with the
    balances between.

    The bank account's cash account goes where the statements lead; what no entry explains of it is a break, which is
    shown and posted apart.
    """
    service.require_feature(call.tenant)
    secret = service.dedup_secret(call.services.keyring, call.tenant)
    file = await service.prepare_file(call.services.database, call.services.keys, call.tenant, body, secret=secret)
    return await ledger.command(call, service.IMPORT_STATEMENTS, file)


@routes.get("/v1/statement-imports", scope="statements:read", errors=(errors.FeatureDisabled,))
async def list_statement_imports(
    call: Call, *, limit: Limit = DEFAULT_LIMIT, cursor: Cursor | None = None
) -> Page[StatementImport]:
    """List statement imports, newest first."""
    service.require_feature(call.tenant)
    before = call.cursors.decode_id("statement-imports", cursor, Prefix.STATEMENT_IMPORT)
    async with call.tx() as tx:
        imports = await service.list_imports(tx, limit=limit + 1, before=before)
    return call.page("statement-imports", imports, limit, key=lambda one: [one.id])


@routes.get(
    "/v1/statement-imports/{statement_import_id}",
    scope="statements:read",
    errors=(errors.FeatureDisabled, errors.NotFound),
)
async def get_statement_import(call: Call, statement_import_id: StatementImportId) -> StatementImport:
    """Show what an import did, statement by statement."""
    service.require_feature(call.tenant)
    async with call.tx() as tx:
        return await service.get_import(tx, ids.decode(Prefix.STATEMENT_IMPORT, statement_import_id))


@routes.post(
    "/v1/statement-imports/{statement_import_id}/reversal",
    scope="statements:write",
    idempotency="required",
    errors=(errors.FeatureDisabled, errors.NotFound, errors.StatementImportNotReversible),
    approval=approving.REVERSAL,
    links=(
        Link(operation_id="getStatementImport", parameters={"statement_import_id": "$response.body#/id"}),
        Link(operation_id="listStatementEntries", parameters={"statement_import_id": "$response.body#/id"}),
    ),
    examples={"request": {"reason": "The file of a test system"}},
)
async def reverse_statement_import(
    call: Call, statement_import_id: StatementImportId, body: ReverseStatementImport
) -> Reply[StatementImport]:
    """Take back the import of a wrong file as a whole, or not at all.

    What was assigned is undone, wallets give back what they were topped up with and get what was withdrawn, and the
    bank account stands where the statements before have led it. All of it is done by reversing journal entries, as of
    now. Statements and entries stay, with `reversed_at` and `taken_back`; the same file, or a corrected one, is
    imported afterwards as if it hadn't come before.

    It is refused (`statement_import_not_reversible`) where it was taken back before, or a later import has continued
    one of its bank accounts, which is then taken back first; where an entry has given a withdrawal back to its wallet,
    or taken a top-up back; and where something can't be undone, because its money was spent, its wallet is frozen or
    closed, or its month has left the ledger. `reason` and the facts beside it name the first thing in the way. What was
    undone by hand before stays so. While it is done nothing else of the tenant's money moves.
    """
    service.require_feature(call.tenant)
    order = service.ImportReversal(ids.decode(Prefix.STATEMENT_IMPORT, statement_import_id), body.reason)
    return await ledger.command(call, service.REVERSE_IMPORT, order)


@routes.get(
    "/v1/statement-entries",
    scope="statements:read",
    errors=(errors.FeatureDisabled,),
    links=(
        Link(operation_id="getStatementEntry", parameters={"statement_entry_id": "$response.body#/data/0/id"}),
        Link(operation_id="assignStatementEntry", parameters={"statement_entry_id": "$response.body#/data/0/id"}),
    ),
)
async def list_statement_entries(
    call: Call,
    *,
    statement_import_id: StatementImportId | None = None,
    outcome: EntryOutcome | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[StatementEntry]:
    """List statement entries, newest first."""
    service.require_feature(call.tenant)
    before = call.cursors.decode_id("statement-entries", cursor, Prefix.STATEMENT_ENTRY)
    async with call.tx() as tx:
        rows = await service.list_entries(
            tx,
            limit=limit + 1,
            before=before,
            import_id=(
                None if statement_import_id is None else ids.decode(Prefix.STATEMENT_IMPORT, statement_import_id)
            ),
            outcome=outcome,
        )
    entries = await service.open_entries(call.services.keys, call.tenant, rows)
    return call.page("statement-entries", entries, limit, key=lambda entry: [entry.id])


@routes.get(
    "/v1/statement-entries/{statement_entry_id}",
    scope="statements:read",
    errors=(errors.FeatureDisabled, errors.NotFound),
)
async def get_statement_entry(call: Call, statement_entry_id: StatementEntryId) -> StatementEntry:
    """Show a statement entry and what became of it."""
    service.require_feature(call.tenant)
    async with call.tx() as tx:
        row = await service.get_entry(tx, ids.decode(Prefix.STATEMENT_ENTRY, statement_entry_id))
    (entry,) = await service.open_entries(call.services.keys, call.tenant, [row])
    return entry


@routes.post(
    "/v1/statement-entries/{statement_entry_id}/assign",
    scope="statements:write",
    idempotency="required",
    errors=(
        *ledger.MOVES_MONEY,
        errors.AccountNotUsable,
        errors.CurrencyMismatch,
        errors.FeatureDisabled,
        errors.CurrencyNotEnabled,
        errors.HistoryDetached,
        errors.StatementEntryNotInSuspense,
        errors.TopUpDiffers,
        errors.WithdrawalDiffers,
    ),
    approval=approving.ASSIGNMENT,
    links=(
        Link(operation_id="getStatementEntry", parameters={"statement_entry_id": "$response.body#/id"}),
        Link(
            operation_id="getJournalEntry",
            parameters={"journal_entry_id": "$response.body#/assigning_journal_entry_id"},
        ),
    ),
    examples={"request": {"wallet_id": "wal_01m7w9tnzcejq9b78b81gh4nmw"}},
)
async def assign_statement_entry(
    call: Call, statement_entry_id: StatementEntryId, body: AssignStatementEntry
) -> Reply[StatementEntry]:
    """Move an entry from suspense to the wallet that it belongs to, to an account, or to what it shows.

    A credit tops the wallet up and a debit is taken from it, as of the day on which the bank booked the entry. What is
    no customer's (the bank's fees and interest, a transfer between accounts of its own, money that goes back to its
    sender) goes to an account of the general ledger, by `account_id` in place of `wallet_id`: to one in the entry's
    currency that is no wallet's, not suspense itself, and no bank account's cash account.

    What shows a withdrawal that was ordered here goes to that one, by `withdrawal_id`: its money has left the wallet
    before, and is taken on from the cash account where it was on its way. By an entry that brings money of it back the
    withdrawal is reversed by as much, unless somebody has reversed it before. All entries of one withdrawal together
    show no more than it was. One that names its id in a reference goes there by itself when it is imported. A top-up
    that was ordered here is the same the other way round, by `top_up_id`: its wallet had the money before it came in.

    An assignment is undone by reversing its journal entry whole. The entry then waits in suspense again.
    """
    service.require_feature(call.tenant)
    services = call.services
    order = service.Assignment(
        ids.decode(Prefix.STATEMENT_ENTRY, statement_entry_id),
        None if body.wallet_id is None else ids.decode(Prefix.WALLET, body.wallet_id),
        account_id=None if body.account_id is None else ids.decode(Prefix.ACCOUNT, body.account_id),
        withdrawal_id=None if body.withdrawal_id is None else ids.decode(Prefix.WITHDRAWAL, body.withdrawal_id),
        top_up_id=None if body.top_up_id is None else ids.decode(Prefix.TOP_UP, body.top_up_id),
    )
    assignment = await service.prepare_assignment(services.database, services.keys, call.tenant, order)
    reply = await ledger.command(call, service.ASSIGN_ENTRY, assignment)
    if not isinstance(reply.body, bytes) or (reply.status or 0) >= _REFUSED_FROM:
        return reply
    return msgspec.structs.replace(reply, body=await service.open_answer(services.keys, call.tenant, reply.body))
