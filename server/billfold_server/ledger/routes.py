"""Accounts, journal entries and holds over HTTP."""

from billfold import errors, ids
from billfold.contract.common import AccountId, HoldId, Instant, JournalEntryId, Page, WalletId
from billfold.contract.ledger import (
    LEDGER_HEAD_TYPE,
    Account,
    AccountCode,
    AccountType,
    Balance,
    CreateAccount,
    CreateJournalEntry,
    Hold,
    HoldStatus,
    JournalEntry,
    JournalEntryProof,
    LedgerHead,
    ReverseJournalEntry,
    StatementLine,
    UpdateAccount,
)
from billfold.ids import Prefix
from billfold.money import CurrencyCode
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Link, Reply, Routes
from billfold_server.ledger import approving, kinds, queries, service

__all__ = ["routes"]

routes = Routes(
    tag="Ledger",
    description="The tenant's books: a chart of accounts, balanced journal entries, and holds on wallets' balances.",
)


@routes.post(
    "/v1/accounts",
    scope="ledger:write",
    idempotency="optional",
    etag=True,
    location="/v1/accounts/{id}",
    errors=(errors.AccountCodeTaken, errors.CurrencyNotEnabled),
    links=(
        Link(operation_id="getAccount", parameters={"account_id": "$response.body#/id"}),
        Link(operation_id="updateAccount", parameters={"account_id": "$response.body#/id"}),
        Link(operation_id="getAccountBalance", parameters={"account_id": "$response.body#/id"}),
        Link(operation_id="getAccountStatement", parameters={"account_id": "$response.body#/id"}),
    ),
    examples={"request": {"code": "fees", "type": "income", "currency": "EUR", "name": "Fees"}},
)
async def create_account(call: Call, body: CreateAccount) -> Reply[Account]:
    """Open an account in the chart of accounts.

    Wallets have accounts of their own, which are opened by the first money that arrives.
    """
    return await service.command(call, kinds.CREATE_ACCOUNT, body)


@routes.get("/v1/accounts", scope="ledger:read")
async def list_accounts(
    call: Call,
    *,
    code: AccountCode | None = None,
    type_: AccountType | None = None,
    currency: CurrencyCode | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[Account]:
    """List accounts, newest first."""
    before = call.cursors.decode_id("accounts", cursor, Prefix.ACCOUNT)
    async with call.tx() as tx:
        rows = await queries.list_accounts(
            tx,
            limit=limit + 1,
            before=before,
            code=code,
            type=type_,
            currency=currency,
        )
    return call.page("accounts", [row.to_response() for row in rows], limit, key=lambda account: [account.id])


@routes.get("/v1/accounts/{account_id}", scope="ledger:read", etag=True, errors=(errors.NotFound,))
async def get_account(call: Call, account_id: AccountId) -> Account:
    """Show an account with its balance."""
    async with call.tx() as tx:
        return (await service.get_account(tx, ids.decode(Prefix.ACCOUNT, account_id))).to_response()


@routes.patch(
    "/v1/accounts/{account_id}",
    scope="ledger:write",
    etag=True,
    if_match=True,
    errors=(errors.NotFound, errors.InsufficientFunds, errors.WalletClosed),
    approval=approving.OVERDRAFT_LIMIT,
    examples={"request": {"name": "Fees"}},
)
async def update_account(call: Call, account_id: AccountId, body: UpdateAccount) -> Reply[Account]:
    """Change an account's name, metadata or overdraft limit."""
    return await service.command(
        call,
        kinds.UPDATE_ACCOUNT,
        kinds.Update(ids.decode(Prefix.ACCOUNT, account_id), body, call.if_match),
    )


@routes.get(
    "/v1/accounts/{account_id}/balance",
    scope="ledger:read",
    errors=(errors.NotFound, errors.HistoryDetached),
    operation_id="getAccountBalance",
)
async def get_account_balance(
    call: Call,
    account_id: AccountId,
    *,
    effective_at: Instant | None = None,
    recorded_at: Instant | None = None,
) -> Balance:
    """Show an account's balance, now or as of any time.

    What is counted took effect by `effective_at` and was recorded by `recorded_at`.
    """
    async with call.tx() as tx:
        account = await service.get_account(tx, ids.decode(Prefix.ACCOUNT, account_id))
        (balance,) = await service.balances_as_of(tx, [account], effective_at=effective_at, recorded_at=recorded_at)
    return balance


@routes.get("/v1/accounts/{account_id}/statement", scope="ledger:read", errors=(errors.NotFound,))
async def get_account_statement(
    call: Call,
    account_id: AccountId,
    *,
    kind: service.EntryKind | None = None,
    from_: Instant | None = None,
    to: Instant | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[StatementLine]:
    """List an account's postings, newest first, each with the balance after it.

    `from` and `to` bound the effective time; `from` is inside, `to` is outside. Of a `kind` a page may have fewer lines
    than its limit, or none, though there are more: `next_cursor` tells.
    """
    after = call.cursors.decode("statement", cursor)
    async with call.tx() as tx:
        account = await service.get_account(tx, ids.decode(Prefix.ACCOUNT, account_id))
        lines, further = await service.statement(
            tx, [account.id], limit=limit + 1, before=service.position(after), kind=kind, from_=from_, to=to
        )
    return call.page("statement", lines, limit, key=service.place, further=further)


@routes.post(
    "/v1/journal-entries",
    scope="ledger:write",
    idempotency="required",
    location="/v1/journal-entries/{id}",
    errors=(*service.MOVES_MONEY, errors.UnbalancedEntry, errors.CurrencyMismatch, errors.EffectiveDateNotAllowed),
    links=(
        Link(operation_id="getJournalEntry", parameters={"journal_entry_id": "$response.body#/id"}),
        Link(operation_id="getJournalEntryProof", parameters={"journal_entry_id": "$response.body#/id"}),
        Link(operation_id="reverseJournalEntry", parameters={"journal_entry_id": "$response.body#/id"}),
    ),
    examples={
        "request": {
            "postings": [
                {"account_id": "acc_01m7w9tnzcejq9b78b81gh4nmw", "amount_minor": 1250, "currency": "EUR"},
                {"account_id": "acc_01m7w9tnzcejq9b78b81gh4nmx", "amount_minor": -1250, "currency": "EUR"},
            ],
            "description": "Interest for November",
        }
    },
    approval=approving.JOURNAL_ENTRY,
)
async def create_journal_entry(call: Call, body: CreateJournalEntry) -> Reply[JournalEntry]:
    """Post a journal entry.

    Positive amounts are debits, negative ones credits; in each currency they sum to zero.
    """
    return await service.command(call, kinds.POST_JOURNAL_ENTRY, body)


@routes.get("/v1/journal-entries", scope="ledger:read")
async def list_journal_entries(
    call: Call,
    *,
    account_id: AccountId | None = None,
    kind: service.EntryKind | None = None,
    from_: Instant | None = None,
    to: Instant | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[JournalEntry]:
    """List journal entries with their postings, newest first.

    `from` and `to` bound the effective time; `from` is inside, `to` is outside. Of a `kind` on an account a page may
    have fewer entries than its limit, or none, though there are more: `next_cursor` tells.
    """
    before = call.cursors.decode_id("journal-entries", cursor, Prefix.JOURNAL_ENTRY)
    async with call.tx() as tx:
        rows, further = await queries.list_entries(
            tx,
            limit=limit + 1,
            before=before,
            account_id=None if account_id is None else ids.decode(Prefix.ACCOUNT, account_id),
            kind=kind,
            from_=from_,
            to=to,
        )
    return call.page(
        "journal-entries",
        [row.to_response() for row in rows],
        limit,
        key=lambda entry: [entry.id],
        further=None if further is None else [ids.encode(Prefix.JOURNAL_ENTRY, further)],
    )


@routes.get(
    "/v1/journal-entries/{journal_entry_id}", scope="ledger:read", errors=(errors.NotFound, errors.HistoryDetached)
)
async def get_journal_entry(call: Call, journal_entry_id: JournalEntryId) -> JournalEntry:
    """Show a journal entry with its postings."""
    async with call.tx() as tx:
        return (await service.get_entry(tx, ids.decode(Prefix.JOURNAL_ENTRY, journal_entry_id))).to_response()


@routes.post(
    "/v1/journal-entries/{journal_entry_id}/reversals",
    scope="ledger:write",
    idempotency="required",
    location="/v1/journal-entries/{id}",
    errors=(*service.MOVES_MONEY, errors.HistoryDetached, errors.ReversalExceedsEntry, errors.EntryNotReversible),
    approval=approving.refund("journal_entry_id", Prefix.JOURNAL_ENTRY),
)
async def reverse_journal_entry(
    call: Call, journal_entry_id: JournalEntryId, body: ReverseJournalEntry
) -> Reply[JournalEntry]:
    """Undo a journal entry by a reversing entry, whole or in part; never more than the original.

    An entry with more than two postings can only be reversed as a whole.
    """
    reversal = kinds.Reversal(
        ids.decode(Prefix.JOURNAL_ENTRY, journal_entry_id), body, alone_below_minor=approving.alone_below(call)
    )
    return await service.command(call, kinds.REVERSE_JOURNAL_ENTRY, reversal)


@routes.get(
    "/v1/journal-entries/{journal_entry_id}/proof",
    scope="ledger:read",
    errors=(errors.NotFound, errors.HistoryDetached),
)
async def get_journal_entry_proof(call: Call, journal_entry_id: JournalEntryId) -> JournalEntryProof:
    """Show what proves that a journal entry is in the ledger.

    Anyone can verify it by the tenant's JWKS alone; the SDK does so with `billfold.proofs.verify_proof`.
    """
    async with call.tx() as tx:
        entry = await service.get_entry(tx, ids.decode(Prefix.JOURNAL_ENTRY, journal_entry_id))
        head, proof = await service.prove(tx, entry)
    return service.to_proof(entry, proof, await _signed(call, head))


@routes.get("/v1/ledger/head", scope="ledger:read")
async def get_ledger_head(call: Call) -> LedgerHead:
    """Show the signed head of the ledger's hash chain.

    It stands for everything posted so far. Whoever keeps it notices books that are changed later.
    """
    async with call.tx() as tx:
        head = await queries.get_head(tx)
    return await _signed(call, head)


async def _signed(call: Call, head: queries.HeadRow) -> LedgerHead:
    identity = call.services.identity
    realm = identity.realm(call.tenant)
    claims = service.head_claims(head, realm.issuer)
    return service.signed_head(claims, await identity.attest(realm, LEDGER_HEAD_TYPE, claims))


@routes.get("/v1/holds", scope="holds:read")
async def list_holds(
    call: Call,
    *,
    wallet_id: WalletId | None = None,
    status: HoldStatus | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[Hold]:
    """List holds, newest first."""
    before = call.cursors.decode_id("holds", cursor, Prefix.HOLD)
    async with call.tx() as tx:
        rows = await queries.list_holds(
            tx,
            limit=limit + 1,
            before=before,
            wallet_id=None if wallet_id is None else ids.decode(Prefix.WALLET, wallet_id),
            status=status,
        )
    return call.page("holds", [row.to_response() for row in rows], limit, key=lambda hold: [hold.id])


@routes.get("/v1/holds/{hold_id}", scope="holds:read", errors=(errors.NotFound,))
async def get_hold(call: Call, hold_id: HoldId) -> Hold:
    """Show a hold."""
    async with call.tx() as tx:
        return (await service.get_hold(tx, ids.decode(Prefix.HOLD, hold_id))).to_response()


@routes.post(
    "/v1/holds/{hold_id}/release",
    scope="holds:write",
    idempotency="required",
    status=200,
    errors=(errors.NotFound, errors.HoldNotOpen),
)
async def release_hold(call: Call, hold_id: HoldId) -> Reply[Hold]:
    """Give back what a hold still reserves."""
    return await service.command(call, kinds.RELEASE_HOLD, kinds.Release(ids.decode(Prefix.HOLD, hold_id)))
