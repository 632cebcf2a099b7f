"""Wallets as other rooms and the HTTP edge know them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract.common import Response
from billfold.contract.wallets import AliasScheme, BulkMode, CreateTransfer, CreateTransfers, KeyedTransfer, Wallet
from billfold_server.db import outbox
from billfold_server.http import idempotency
from billfold_server.http.routing import Call
from billfold_server.ledger import service as ledger
from billfold_server.tenancy.context import IdempotencyRef, Own
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.wallets import kinds, queries
from billfold_server.wallets.kinds import CASH, TOP_UP, Movement, cash_account, move, tell_moved, wallet_account
from billfold_server.wallets.rows import AliasKey, AliasRow, BritishRow, OtherSide, TransferRow, WalletRow
from billfold_server.wallets.rules import (
    check_limit,
    has_funds,
    is_given_out,
    names_alike,
    new_alias,
    normalise_alias,
    seek,
    sort_code_of,
    wallet_meant,
)
from billfold_server.wallets.stores import STORES

__all__ = [
    "CASH",
    "STORES",
    "TOP_UP",
    "AliasKey",
    "AliasRow",
    "BritishRow",
    "Movement",
    "OtherSide",
    "TransferRow",
    "WalletRow",
    "cash_account",
    "check_limit",
    "find_alias",
    "find_alias_owners",
    "find_ordered_owners",
    "find_wallet_known_as",
    "find_wallets",
    "get_transfer",
    "get_wallet",
    "has_funds",
    "is_given_out",
    "list_ibans",
    "list_moved_sides",
    "list_other_sides",
    "list_said_of_top_ups",
    "list_wallets",
    "list_wallets_of",
    "move",
    "names_alike",
    "new_alias",
    "normalise_alias",
    "search_wallets",
    "sort_code_of",
    "standing_of",
    "tell_moved",
    "tell_posted",
    "tell_wallets",
    "transfer_many",
    "wallet_account",
    "wallet_meant",
    "with_balances",
]


async def get_wallet(tx: TenantTx, wallet_id: UUID, *, own: Own | None = None, entries: bool = False) -> WalletRow:
    """Return a wallet.

    Args:
        tx: The tenant's transaction.
        wallet_id: Which one.
        own: What is a customer's own, where it is asked in their name; what isn't doesn't exist for them.
        entries: Whether it is about what has happened on it.

    Raises:
        NotFound: There is none.
    """
    wallet = await queries.find_wallet(tx, wallet_id)
    if wallet is None or (own is not None and not own.has_wallet(wallet.id, wallet.party_id, entries=entries)):
        detail = "There is no such wallet."
        raise errors.NotFound(detail)
    return wallet


async def find_wallets(tx: TenantTx, wallet_ids: Sequence[UUID]) -> dict[UUID, WalletRow]:
    """Return which of these ids are wallets, with the wallets, in one query."""
    return {row.id: row for row in await queries.find_wallets(tx, wallet_ids)}


async def list_ibans(tx: TenantTx, wallet_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the IBAN by which each of these wallets is known, in one query; one that has none is absent."""
    return await queries.list_ibans(tx, wallet_ids)


async def list_other_sides(tx: TenantTx, wallets_and_entries: Sequence[tuple[UUID, UUID]]) -> list[OtherSide | None]:
    """Return what stands on the other side of what moved in wallets, in the order of these, by one query.

    Args:
        tx: The tenant's transaction.
        wallets_and_entries: Of which wallets, and in which journal entries. There is None of what no transfer, top-up
            or withdrawal has posted; for captures and reversing entries there is ``list_moved_sides``.
    """
    return await queries.list_other_sides(tx, wallets_and_entries)


async def list_said_of_top_ups(tx: TenantTx, entry_ids: Sequence[UUID], name: str, *, actor: str) -> dict[UUID, str]:
    """Return what an actor has said under a name with the top-ups that it made, by their entries.

    Args:
        tx: The tenant's transaction.
        entry_ids: Journal entries of top-ups.
        name: A name in their metadata.
        actor: Who must have made them; others may say what they like.
    """
    return await queries.list_said_of_top_ups(tx, entry_ids, name, actor=actor)


async def list_moved_sides(tx: TenantTx, wallets_and_entries: Sequence[tuple[UUID, UUID]]) -> list[OtherSide | None]:
    """Return what stands on the other side of what holds' captures and reversing entries have moved in wallets.

    Args:
        tx: The tenant's transaction.
        wallets_and_entries: Of which wallets, and in which journal entries; each is a capture or a reversing entry
            between two accounts.
    """
    return await queries.list_moved_sides(tx, wallets_and_entries)


async def with_balances(tx: TenantTx, wallets: Sequence[WalletRow]) -> list[Wallet]:
    """Return wallets as the API shows them, their balances read in one query."""
    accounts = await ledger.list_wallet_accounts(tx, [wallet.id for wallet in wallets])
    return [wallet.to_response([account.to_balance() for account in accounts[wallet.id]]) for wallet in wallets]


async def tell_wallets(call: Call, wallet_ids: Sequence[UUID]) -> dict[UUID, Wallet]:
    """Return which of these ids are wallets, with the wallets as the API shows them, in two queries."""
    async with call.tx() as tx:
        rows = list((await find_wallets(tx, wallet_ids)).values())
        return dict(zip((row.id for row in rows), await with_balances(tx, rows), strict=True))


async def list_wallets(
    tx: TenantTx,
    *,
    limit: int,
    before: UUID | None,
    party_id: UUID | None,
    status: str | None,
    alias: str | None,
    own: Own | None = None,
) -> list[Wallet]:
    """Return wallets, newest first; ``alias`` is compared as each of the schemes that it could be.

    Where it is asked in a customer's name, there are no other wallets than their ``own``.
    """
    chosen = None
    if own is not None:
        if party_id not in {None, own.party_id}:
            return []
        party_id, chosen = own.party_id, own.balances_of
    names = None if alias is None else [(scheme.value, normalise_alias(scheme, alias)) for scheme in AliasScheme]
    rows = await queries.list_wallets(
        tx, limit=limit, before=before, party_id=party_id, status=status, alias=names, chosen=chosen
    )
    return await with_balances(tx, rows)


async def search_wallets(  # noqa: PLR0917 - a page of a search
    tx: TenantTx,
    party_id: UUID,
    statuses: Sequence[str],
    typed: str,
    before: UUID | None,
    but: Sequence[UUID],
    limit: int,
) -> list[Wallet]:
    """Return a party's wallets that somebody looks for, newest first.

    Args:
        tx: The tenant's transaction.
        party_id: Whose.
        statuses: What they may be.
        typed: A part of a label or of an account's number, or the last six characters of an id; empty means all.
        before: Only older ones than this.
        but: Without these.
        limit: How many at most.
    """
    return await with_balances(
        tx, await queries.search_wallets(tx, party_id, statuses, seek(typed), before, but, limit)
    )


async def list_wallets_of(tx: TenantTx, party_id: UUID) -> list[UUID]:
    """Return the ids of a party's wallets."""
    return await queries.list_wallets_of(tx, party_id)


async def standing_of(tx: TenantTx, party_id: UUID) -> tuple[int, datetime | None]:
    """Return how many wallets of a party aren't closed, and when the last one of its wallets changed.

    A closed wallet has no balance and no holds, and never changes again.
    """
    return await queries.standing_of(tx, party_id)


async def find_alias(tx: TenantTx, alias_id: UUID) -> AliasRow | None:
    """Return an alias, or None."""
    return await queries.find_alias(tx, alias_id)


async def find_alias_owners(tx: TenantTx, keys: Sequence[AliasKey]) -> dict[AliasKey, UUID]:
    """Return which of these names some wallet has, each with the party that owns the wallet, in one query."""
    return await queries.find_alias_owners(tx, keys)


async def find_ordered_owners(tx: TenantTx, named: Sequence[tuple[str, UUID]]) -> dict[tuple[str, UUID], UUID]:
    """Return which withdrawals and top-ups, by kind and id, there are, each with the wallet's owner, in one query."""
    return await queries.find_ordered_owners(tx, named)


async def find_wallet_known_as(tx: TenantTx, key: AliasKey) -> UUID | None:
    """Return the wallet that has a name or another name of the same account; None where there is none, or several."""
    numbered = key.scheme is AliasScheme.SORT_CODE_ACCOUNT_NUMBER
    names = names_alike(key, await queries.list_british_ibans(tx, key.normal_value) if numbered else ())
    found = await queries.find_known_as(tx, names)
    return wallet_meant(found.values())


async def get_transfer(tx: TenantTx, kind: str, transfer_id: UUID) -> TransferRow:
    """Return a transfer, top-up or withdrawal with what has been undone of it.

    Raises:
        NotFound: There is none of this kind.
    """
    transfer = await queries.find_transfer(tx, kind, transfer_id)
    if transfer is None:
        detail = f"There is no such {kind.replace('_', '-')}."
        raise errors.NotFound(detail)
    return transfer


async def tell_posted(tx: TenantTx, object_ids: Sequence[str]) -> dict[str, Response]:
    """Return what events say of money that has moved, by the wire ids of transfers, top-ups and withdrawals."""
    rows = await queries.find_moved(tx, [ids.decode(ids.Prefix(each.partition("_")[0]), each) for each in object_ids])
    return {row.wire_id: row.to_response() for row in rows}


outbox.told_by(tell_posted, *kinds.POSTED.values())


# Many transfers at once.

_FIRST_REFUSAL = 400


class _Verdict(msgspec.Struct, frozen=True, gc=False):
    """``TransferVerdict`` as the server writes it: what was answered is encoded already, and goes in as it is."""

    idempotency_key: str
    status: int
    replayed: bool
    transfer: msgspec.Raw | None
    problem: msgspec.Raw | None


class _Verdicts(msgspec.Struct, frozen=True):
    """``TransferVerdicts`` as the server writes it."""

    carried_out: int
    refused: int
    replayed: int
    results: list[_Verdict]


async def transfer_many(call: Call, body: CreateTransfers) -> bytes:
    """Carry out many transfers, and return the verdicts on them (``TransferVerdicts``) as JSON.

    Raises:
        ProblemError: Nothing was begun, or the outcome can't be told now.
    """
    # As if each had been ordered alone, so that the two are one.
    prints = idempotency.Fingerprints(call.services.idempotency_key, "POST", "/v1/transfers")
    client = call.caller.client_id
    orders = [(kinds.TRANSFER, kinds.transfer(item), _reference(client, item, prints)) for item in body.transfers]
    answers = await ledger.commands(call, orders, together=body.mode is BulkMode.ATOMIC)
    results = [_verdict(item.idempotency_key, answer) for item, answer in zip(body.transfers, answers, strict=True)]
    carried_out = sum(each.problem is None for each in results)
    return msgspec.json.encode(
        _Verdicts(
            carried_out=carried_out,
            refused=len(results) - carried_out,
            replayed=sum(each.replayed for each in results),
            results=results,
        )
    )


def _verdict(key: str, answer: ledger.Answer) -> _Verdict:
    said = msgspec.Raw(answer.body)
    if answer.status < _FIRST_REFUSAL:
        return _Verdict(key, answer.status, answer.replayed, said, None)
    return _Verdict(key, answer.status, answer.replayed, None, said)


def _reference(client_id: UUID, item: KeyedTransfer, prints: idempotency.Fingerprints) -> IdempotencyRef:
    """Return under which key an item may be repeated."""
    alone = CreateTransfer(
        from_wallet_id=item.from_wallet_id,
        to_wallet_id=item.to_wallet_id,
        amount=item.amount,
        description=item.description,
        effective_at=item.effective_at,
        metadata=item.metadata,
    )
    fingerprint = prints.of(idempotency.canonical(alone))
    return IdempotencyRef(client_id=client_id, key=item.idempotency_key, fingerprint=fingerprint)
