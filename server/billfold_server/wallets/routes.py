"""Wallets, aliases, transfers, top-ups, withdrawals and new holds over HTTP."""

from typing import Any, Literal

from billfold import errors, ids
from billfold.contract.common import (
    AliasId,
    HoldId,
    Instant,
    Page,
    PartyId,
    Text,
    TopUpId,
    TransferId,
    WalletId,
    WithdrawalId,
)
from billfold.contract.ledger import (
    Balance,
    CaptureHold,
    CreateHold,
    Hold,
    JournalEntry,
    ReverseJournalEntry,
    StatementLine,
)
from billfold.contract.wallets import (
    Alias,
    ChangeWalletStatus,
    CreateAlias,
    CreateTopUp,
    CreateTransfer,
    CreateTransfers,
    CreateWallet,
    CreateWithdrawal,
    ReverseTransfer,
    TopUp,
    Transfer,
    TransferVerdicts,
    UpdateWallet,
    Wallet,
    WalletStatus,
    Withdrawal,
)
from billfold.ids import Prefix
from billfold.money import CurrencyCode
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Link, Reply, Routes
from billfold_server.ledger import service as ledger
from billfold_server.wallets import approving, examples, holds, kinds, queries, service
from billfold_server.wallets.rows import AliasKey
from billfold_server.wallets.rules import new_alias

__all__ = ["routes"]

routes = Routes(
    tag="Wallets",
    description="Parties' wallets, the names by which money finds them, and the money that moves in them.",
)

_MOVES = (*ledger.MOVES_MONEY, errors.CurrencyNotEnabled, errors.LimitExceeded, errors.EffectiveDateNotAllowed)
_REVERSES = (*ledger.MOVES_MONEY, errors.HistoryDetached, errors.ReversalExceedsEntry, errors.EntryNotReversible)


def _wallet_links(*operations: str) -> tuple[Link, ...]:
    return tuple(Link(operation_id=name, parameters={"wallet_id": "$response.body#/id"}) for name in operations)


@routes.post(
    "/v1/wallets",
    scope="wallets:write",
    idempotency="optional",
    etag=True,
    location="/v1/wallets/{id}",
    errors=(errors.NotFound, errors.CurrencyNotEnabled),
    links=(
        *_wallet_links(
            "getWallet", "updateWallet", "listWalletBalances", "getWalletStatement", "createAlias", "listAliases"
        ),
        Link(operation_id="createTopUp", body={"wallet_id": "$response.body#/id"}),
        Link(operation_id="createHold", body={"wallet_id": "$response.body#/id"}),
    ),
)
async def create_wallet(call: Call, body: CreateWallet) -> Reply[Wallet]:
    """Open a wallet for a party."""
    return await ledger.command(call, kinds.CREATE_WALLET, body)


@routes.get("/v1/wallets", scope="wallets:read", customers=True)
async def list_wallets(
    call: Call,
    *,
    party_id: PartyId | None = None,
    status: WalletStatus | None = None,
    alias: Text | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[Wallet]:
    """List wallets, newest first."""
    before = call.cursors.decode_id("wallets", cursor, Prefix.WALLET)
    async with call.tx() as tx:
        wallets = await service.list_wallets(
            tx,
            limit=limit + 1,
            before=before,
            party_id=None if party_id is None else ids.decode(Prefix.PARTY, party_id),
            status=status,
            alias=alias,
            own=call.caller.own,
        )
    return call.page("wallets", wallets, limit, key=lambda wallet: [wallet.id])


@routes.get("/v1/wallets/{wallet_id}", scope="wallets:read", customers=True, etag=True, errors=(errors.NotFound,))
async def get_wallet(call: Call, wallet_id: WalletId) -> Wallet:
    """Show a wallet with its balances."""
    async with call.tx() as tx:
        wallet = await service.get_wallet(tx, ids.decode(Prefix.WALLET, wallet_id), own=call.caller.own)
        (shown,) = await service.with_balances(tx, [wallet])
    return shown


@routes.patch(
    "/v1/wallets/{wallet_id}",
    scope="wallets:write",
    etag=True,
    if_match=True,
    errors=(errors.NotFound, errors.PartyForgotten),
    examples={"request": {"label": "Holidays"}},
)
async def update_wallet(call: Call, wallet_id: WalletId, body: UpdateWallet) -> Reply[Wallet]:
    """Change a wallet's label or metadata."""
    change = kinds.Update(ids.decode(Prefix.WALLET, wallet_id), body, call.if_match)
    return await ledger.command(call, kinds.UPDATE_WALLET, change)


async def _change_status(
    call: Call, wallet_id: WalletId, step: Literal["freeze", "unfreeze", "close"], body: ChangeWalletStatus
) -> Reply[Any]:
    change = kinds.StatusChange(ids.decode(Prefix.WALLET, wallet_id), step, body.reason)
    return await ledger.command(call, kinds.CHANGE_STATUS, change)


@routes.post(
    "/v1/wallets/{wallet_id}/freeze",
    scope="wallets:write",
    idempotency="optional",
    etag=True,
    errors=(errors.NotFound, errors.WalletFrozen, errors.WalletClosed),
    examples={"request": {"reason": "The customer has lost their phone."}},
)
async def freeze_wallet(call: Call, wallet_id: WalletId, body: ChangeWalletStatus) -> Reply[Wallet]:
    """Freeze a wallet, so that no money enters or leaves it."""
    return await _change_status(call, wallet_id, "freeze", body)


@routes.post(
    "/v1/wallets/{wallet_id}/unfreeze",
    scope="wallets:write",
    idempotency="optional",
    etag=True,
    errors=(errors.NotFound, errors.WalletNotFrozen, errors.WalletClosed),
    approval=approving.UNFREEZE,
    examples={"request": {"reason": "The customer has a new phone."}},
)
async def unfreeze_wallet(call: Call, wallet_id: WalletId, body: ChangeWalletStatus) -> Reply[Wallet]:
    """Let money move in a frozen wallet again."""
    return await _change_status(call, wallet_id, "unfreeze", body)


@routes.post(
    "/v1/wallets/{wallet_id}/close",
    scope="wallets:write",
    idempotency="optional",
    etag=True,
    errors=(errors.NotFound, errors.WalletClosed, errors.WalletNotEmpty),
    examples={"request": {"reason": "The customer has asked for it."}},
)
async def close_wallet(call: Call, wallet_id: WalletId, body: ChangeWalletStatus) -> Reply[Wallet]:
    """Close an empty wallet, for good."""
    return await _change_status(call, wallet_id, "close", body)


@routes.get(
    "/v1/wallets/{wallet_id}/balances",
    scope="wallets:read",
    customers=True,
    errors=(errors.NotFound, errors.HistoryDetached),
)
async def list_wallet_balances(
    call: Call,
    wallet_id: WalletId,
    *,
    effective_at: Instant | None = None,
    recorded_at: Instant | None = None,
) -> Page[Balance]:
    """List a wallet's balances, one per currency, now or as of any time.

    What is counted took effect by `effective_at` and was recorded by `recorded_at`. There is always one page.
    """
    key = ids.decode(Prefix.WALLET, wallet_id)
    async with call.tx() as tx:
        await service.get_wallet(tx, key, own=call.caller.own)
        accounts = (await ledger.list_wallet_accounts(tx, [key]))[key]
        balances = await ledger.balances_as_of(tx, accounts, effective_at=effective_at, recorded_at=recorded_at)
    return Page(data=balances, next_cursor=None)


@routes.get("/v1/wallets/{wallet_id}/statement", scope="wallets:read", customers=True, errors=(errors.NotFound,))
async def get_wallet_statement(
    call: Call,
    wallet_id: WalletId,
    *,
    currency: CurrencyCode | None = None,
    kind: ledger.EntryKind | None = None,
    from_: Instant | None = None,
    to: Instant | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[StatementLine]:
    """List what was posted to a wallet, newest first, each with the balance after it.

    `from` and `to` bound the effective time; `from` is inside, `to` is outside. Of a `kind` a page may have fewer lines
    than its limit, or none, though there are more: `next_cursor` tells.
    """
    after = call.cursors.decode("wallet-statement", cursor)
    key = ids.decode(Prefix.WALLET, wallet_id)
    async with call.tx() as tx:
        await service.get_wallet(tx, key, own=call.caller.own, entries=True)
        accounts = (await ledger.list_wallet_accounts(tx, [key]))[key]
        lines, further = await ledger.statement(
            tx,
            [account.id for account in accounts if currency in (None, account.currency)],
            limit=limit + 1,
            before=ledger.position(after),
            kind=kind,
            from_=from_,
            to=to,
        )
    return call.page("wallet-statement", lines, limit, key=ledger.place, further=further)


# Aliases.


@routes.post(
    "/v1/wallets/{wallet_id}/aliases",
    scope="wallets:write",
    idempotency="optional",
    status=201,
    errors=(errors.NotFound, errors.WalletClosed, errors.AliasTaken, errors.AliasInvalid),
    links=(
        Link(
            operation_id="deleteAlias",
            parameters={"wallet_id": "$response.body#/wallet_id", "alias_id": "$response.body#/id"},
        ),
    ),
    examples={"request": {"scheme": "iban", "value": "NL91 ABNA 0417 1643 00"}},
)
async def create_alias(call: Call, wallet_id: WalletId, body: CreateAlias) -> Reply[Alias]:
    """Give a wallet another name, by which the money of bank statements finds it.

    A name belongs to one wallet at a time. IBANs are held to their check digits; references are compared without
    spaces and case; names of counterparties without case. A British IBAN and the sort code and account number in which
    it ends say the same, so the two belong to one wallet.
    """
    key = AliasKey(body.scheme, new_alias(body.scheme, body.value))
    return await ledger.command(call, kinds.ADD_ALIAS, kinds.NewAlias(ids.decode(Prefix.WALLET, wallet_id), body, key))


@routes.get("/v1/wallets/{wallet_id}/aliases", scope="wallets:read", errors=(errors.NotFound,))
async def list_aliases(
    call: Call, wallet_id: WalletId, *, limit: Limit = DEFAULT_LIMIT, cursor: Cursor | None = None
) -> Page[Alias]:
    """List a wallet's aliases, newest first."""
    before = call.cursors.decode_id("aliases", cursor, Prefix.ALIAS)
    key = ids.decode(Prefix.WALLET, wallet_id)
    async with call.tx() as tx:
        await service.get_wallet(tx, key)
        rows = await queries.list_aliases(tx, key, limit=limit + 1, before=before)
    return call.page("aliases", [row.to_response() for row in rows], limit, key=lambda alias: [alias.id])


@routes.delete("/v1/wallets/{wallet_id}/aliases/{alias_id}", scope="wallets:write", errors=(errors.NotFound,))
async def delete_alias(call: Call, wallet_id: WalletId, alias_id: AliasId) -> Reply[None]:
    """Take an alias away from a wallet."""
    async with call.tx() as tx:
        alias = await queries.find_alias(tx, ids.decode(Prefix.ALIAS, alias_id))
    if alias is None:
        detail = "There is no such alias."
        raise errors.NotFound(detail)
    removal = kinds.AliasRemoval(ids.decode(Prefix.WALLET, wallet_id), alias.id, alias.key)
    await ledger.command(call, kinds.REMOVE_ALIAS, removal)
    return Reply()


# Money that moves.


@routes.post(
    "/v1/transfers",
    hot=True,
    one_command=True,
    scope="transfers:write",
    idempotency="required",
    location="/v1/transfers/{id}",
    errors=(*_MOVES, errors.SameWallet),
    links=(
        Link(operation_id="getTransfer", parameters={"transfer_id": "$response.body#/id"}),
        Link(operation_id="reverseTransfer", parameters={"transfer_id": "$response.body#/id"}),
        Link(operation_id="getJournalEntry", parameters={"journal_entry_id": "$response.body#/journal_entry_id"}),
    ),
)
async def create_transfer(call: Call, body: CreateTransfer) -> Reply[Transfer]:
    """Move money from one wallet to another.

    The answer holds both wallets' balances after it.
    """
    return await ledger.command(call, kinds.TRANSFER, kinds.transfer(body))


@routes.post("/v1/transfers/bulk", hot=True, scope="transfers:write", examples=examples.BULK)
async def create_transfers(call: Call, body: CreateTransfers) -> Reply[TransferVerdicts]:
    """Make up to 1,000 transfers, each for itself or all together.

    Each item has an idempotency key of its own, one with those of single transfers, and a verdict of its own, in the
    order in which they were sent. What refuses an item is what `POST /v1/transfers` would refuse it for; its `param`
    names a member of the item.

    In mode `each`, the items are carried out one after the other, and a refused one fails none of its neighbours.

    In mode `atomic`, all are carried out or none. The first item that is refused has its problem, which is kept under
    its key; the others have `bulk_aborted`, nothing is kept for them, and they may be sent again under the same keys.
    An item that was carried out before under its key counts as done, and has its transfer in any case; one that was
    refused before is refused again, so none is carried out.

    A request that isn't of the documented form is refused as a whole. After a 503 or no answer at all, send the same
    request again: what was carried out is answered from the store.
    """
    return Reply(body=await service.transfer_many(call, body))


@routes.get("/v1/transfers", scope="transfers:read")
async def list_transfers(
    call: Call, *, wallet_id: WalletId | None = None, limit: Limit = DEFAULT_LIMIT, cursor: Cursor | None = None
) -> Page[Transfer]:
    """List transfers, newest first."""
    return await _list(call, "transfer", Prefix.TRANSFER, wallet_id=wallet_id, limit=limit, cursor=cursor)


@routes.get("/v1/transfers/{transfer_id}", scope="transfers:read", errors=(errors.NotFound,))
async def get_transfer(call: Call, transfer_id: TransferId) -> Reply[Transfer]:
    """Show a transfer."""
    return await _get(call, "transfer", Prefix.TRANSFER, transfer_id)


@routes.post(
    "/v1/transfers/{transfer_id}/reversals",
    scope="transfers:write",
    idempotency="required",
    location="/v1/journal-entries/{id}",
    errors=_REVERSES,
    approval=ledger.refund("transfer_id", Prefix.TRANSFER),
)
async def reverse_transfer(call: Call, transfer_id: TransferId, body: ReverseTransfer) -> Reply[JournalEntry]:
    """Undo a transfer, whole or in part; never more than the original."""
    return await _reverse(call, "transfer", Prefix.TRANSFER, transfer_id, body)


@routes.post(
    "/v1/top-ups",
    scope="transfers:write",
    idempotency="required",
    location="/v1/top-ups/{id}",
    errors=(*_MOVES, errors.AccountNotUsable, errors.CurrencyMismatch),
    links=(
        Link(operation_id="getTopUp", parameters={"top_up_id": "$response.body#/id"}),
        Link(operation_id="reverseTopUp", parameters={"top_up_id": "$response.body#/id"}),
    ),
)
async def create_top_up(call: Call, body: CreateTopUp) -> Reply[TopUp]:
    """Book money that came in from outside to a wallet, against a cash account."""
    return await ledger.command(call, kinds.TOP_UP, kinds.top_up(body))


@routes.get("/v1/top-ups", scope="transfers:read")
async def list_top_ups(
    call: Call, *, wallet_id: WalletId | None = None, limit: Limit = DEFAULT_LIMIT, cursor: Cursor | None = None
) -> Page[TopUp]:
    """List top-ups, newest first."""
    return await _list(call, "top_up", Prefix.TOP_UP, wallet_id=wallet_id, limit=limit, cursor=cursor)


@routes.get("/v1/top-ups/{top_up_id}", scope="transfers:read", errors=(errors.NotFound,))
async def get_top_up(call: Call, top_up_id: TopUpId) -> Reply[TopUp]:
    """Show a top-up."""
    return await _get(call, "top_up", Prefix.TOP_UP, top_up_id)


@routes.post(
    "/v1/top-ups/{top_up_id}/reversals",
    scope="transfers:write",
    idempotency="required",
    location="/v1/journal-entries/{id}",
    errors=_REVERSES,
    approval=ledger.refund("top_up_id", Prefix.TOP_UP),
)
async def reverse_top_up(call: Call, top_up_id: TopUpId, body: ReverseTransfer) -> Reply[JournalEntry]:
    """Undo a top-up, whole or in part; never more than the original."""
    return await _reverse(call, "top_up", Prefix.TOP_UP, top_up_id, body)


@routes.post(
    "/v1/withdrawals",
    scope="transfers:write",
    idempotency="required",
    location="/v1/withdrawals/{id}",
    errors=(*_MOVES, errors.AccountNotUsable, errors.CurrencyMismatch),
    approval=approving.WITHDRAWAL,
    links=(
        Link(operation_id="getWithdrawal", parameters={"withdrawal_id": "$response.body#/id"}),
        Link(operation_id="reverseWithdrawal", parameters={"withdrawal_id": "$response.body#/id"}),
    ),
)
async def create_withdrawal(call: Call, body: CreateWithdrawal) -> Reply[Withdrawal]:
    """Book money that leaves a wallet for the outside, against a cash account."""
    return await ledger.command(call, kinds.WITHDRAW, kinds.withdrawal(body))


@routes.get("/v1/withdrawals", scope="transfers:read")
async def list_withdrawals(
    call: Call, *, wallet_id: WalletId | None = None, limit: Limit = DEFAULT_LIMIT, cursor: Cursor | None = None
) -> Page[Withdrawal]:
    """List withdrawals, newest first."""
    return await _list(call, "withdrawal", Prefix.WITHDRAWAL, wallet_id=wallet_id, limit=limit, cursor=cursor)


@routes.get("/v1/withdrawals/{withdrawal_id}", scope="transfers:read", errors=(errors.NotFound,))
async def get_withdrawal(call: Call, withdrawal_id: WithdrawalId) -> Reply[Withdrawal]:
    """Show a withdrawal."""
    return await _get(call, "withdrawal", Prefix.WITHDRAWAL, withdrawal_id)


@routes.post(
    "/v1/withdrawals/{withdrawal_id}/reversals",
    scope="transfers:write",
    idempotency="required",
    location="/v1/journal-entries/{id}",
    errors=_REVERSES,
    approval=ledger.refund("withdrawal_id", Prefix.WITHDRAWAL),
)
async def reverse_withdrawal(call: Call, withdrawal_id: WithdrawalId, body: ReverseTransfer) -> Reply[JournalEntry]:
    """Undo a withdrawal, whole or in part; never more than the original."""
    return await _reverse(call, "withdrawal", Prefix.WITHDRAWAL, withdrawal_id, body)


async def _get(call: Call, kind: str, prefix: Prefix, wire_id: str) -> Reply[Any]:
    async with call.tx() as tx:
        transfer = await service.get_transfer(tx, kind, ids.decode(prefix, wire_id))
    return Reply(body=transfer.to_response())


async def _list(
    call: Call, kind: str, prefix: Prefix, *, wallet_id: str | None, limit: int, cursor: str | None
) -> Page[Any]:
    before = call.cursors.decode_id(kind, cursor, prefix)
    async with call.tx() as tx:
        rows = await queries.list_transfers(
            tx,
            kind,
            limit=limit + 1,
            before=before,
            wallet_id=None if wallet_id is None else ids.decode(Prefix.WALLET, wallet_id),
        )
    return call.page(kind, [row.to_response() for row in rows], limit, key=lambda transfer: [transfer.id])


async def _reverse(call: Call, kind: str, prefix: Prefix, wire_id: str, body: ReverseTransfer) -> Reply[Any]:
    order = ReverseJournalEntry(amount_minor=body.amount_minor, reason=body.reason)
    reversal = kinds.TransferReversal(
        kind, ids.decode(prefix, wire_id), order, alone_below_minor=ledger.alone_below(call)
    )
    return await ledger.command(call, kinds.REVERSE_TRANSFER, reversal)


# Holds. What becomes of them afterwards is shown by the ledger.


@routes.post(
    "/v1/holds",
    scope="holds:write",
    idempotency="required",
    location="/v1/holds/{id}",
    approval=approving.HOLD,
    errors=(
        *_MOVES,
        errors.SameWallet,
        errors.CurrencyMismatch,
        errors.HoldDestinationAmbiguous,
    ),
    links=(
        Link(operation_id="getHold", parameters={"hold_id": "$response.body#/id"}),
        Link(operation_id="captureHold", parameters={"hold_id": "$response.body#/id"}),
        Link(operation_id="releaseHold", parameters={"hold_id": "$response.body#/id"}),
    ),
)
async def create_hold(call: Call, body: CreateHold) -> Reply[Hold]:
    """Reserve part of a wallet's balance, for a wallet or account that may take it later.

    Where the destination is known, the amount shows there as pending.
    """
    return await ledger.command(call, holds.CREATE_HOLD, body)


@routes.post(
    "/v1/holds/{hold_id}/capture",
    scope="holds:write",
    idempotency="required",
    approval=approving.CAPTURE,
    errors=(
        *ledger.MOVES_MONEY,
        errors.SameWallet,
        errors.LimitExceeded,
        errors.CurrencyNotEnabled,
        errors.CurrencyMismatch,
        errors.HoldNotOpen,
        errors.CaptureExceedsHold,
        errors.HoldCapturesExhausted,
        errors.HoldHasNoDestination,
        errors.HoldDestinationAmbiguous,
    ),
)
async def capture_hold(call: Call, hold_id: HoldId, body: CaptureHold) -> Reply[Hold]:
    """Settle a hold, whole or in part.

    What isn't captured is released, unless `final` is false. A hold is captured a thousand times at most, and the last
    time is final.
    """
    capture = ledger.Capture(ids.decode(Prefix.HOLD, hold_id), body, alone_below_minor=ledger.alone_below(call))
    return await ledger.command(call, holds.CAPTURE_HOLD, capture)
