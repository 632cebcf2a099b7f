"""The commands of the wallets room: wallets, aliases, transfers, top-ups and withdrawals. All pure.

Whatever moves money, or is read by what moves money, changes here and nowhere else.
"""

from collections.abc import Hashable, Mapping
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from billfold import errors, ids
from billfold.contract import events
from billfold.contract.events import EventType
from billfold.contract.ledger import AccountType, ReverseJournalEntry
from billfold.contract.wallets import (
    AliasScheme,
    CreateAlias,
    CreateTopUp,
    CreateTransfer,
    CreateWallet,
    CreateWithdrawal,
    UpdateWallet,
    Wallet,
    WalletStatus,
)
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.http.etags import check_if_match
from billfold_server.ledger.service import (
    AccountRow,
    Books,
    CodeKey,
    Draft,
    Keys,
    Kind,
    Line,
    Reply,
    Reversal,
    WalletKey,
    opened_as,
    reversal_keys,
    reverse_by_hand,
)
from billfold_server.wallets import rules
from billfold_server.wallets.rows import AliasKey, AliasRow, BritishRow, PartyRow, TransferRow, WalletRow

__all__ = [
    "ADD_ALIAS",
    "CHANGE_STATUS",
    "CREATE_WALLET",
    "POSTED",
    "REMOVE_ALIAS",
    "REVERSE_TRANSFER",
    "TOP_UP",
    "TRANSFER",
    "UPDATE_WALLET",
    "WITHDRAW",
    "Movement",
    "NewAlias",
    "StatusChange",
    "TransferReversal",
    "Update",
    "cash_account",
    "check_balance_max",
    "move",
    "tell_moved",
    "wallet_account",
]

_OK, _CREATED, _NO_CONTENT = 200, 201, 204
CASH = "cash"
"""The code of the account against which top-ups and withdrawals go where none is named."""
opened_as({CASH: AccountType.ASSET})


# Wallets.


class Update(msgspec.Struct, frozen=True):
    """A change to a wallet, and the ``If-Match`` header that it is bound to, where there is one."""

    wallet_id: UUID
    change: UpdateWallet
    if_match: str | None


class StatusChange(msgspec.Struct, frozen=True):
    """An order to freeze, unfreeze or close a wallet."""

    wallet_id: UUID
    step: Literal["freeze", "unfreeze", "close"]
    reason: str


def _get_wallet(draft: Draft, wallet_id: UUID, param: str | None = None) -> WalletRow:
    wallet = draft.find(WalletRow, wallet_id)
    if wallet is None:
        detail = "There is no such wallet."
        raise errors.NotFound(detail, param=param)
    return wallet


def _shown(draft: Draft, wallet: WalletRow) -> Wallet:
    accounts = [draft.get_account(WalletKey(wallet.id, currency)) for currency in sorted(wallet.currencies)]
    return wallet.to_response([account.to_balance() for account in accounts])


def _answer_wallet(
    draft: Draft, wallet: WalletRow, what: EventType[Wallet], status: int, reason: str | None = None
) -> Reply:
    draft.put(wallet)
    response = _shown(draft, wallet)
    draft.event(what, wallet.wire_id, response)
    # Whose it is when it is opened stays told in words, too, beside the row and its terms in the chain.
    facts = {"party_id": response.party_id} if what is events.WALLET_CREATED else None
    if facts is not None and wallet.created_at < draft.now:
        facts["opened_at"] = wallet.created_at.isoformat()
    draft.audit(what.name, wallet.wire_id, reason=reason, facts=facts)
    return Reply(status, response)


class WalletOfId(CreateWallet, frozen=True, kw_only=True):
    """An order to open a wallet of which the id is decided, and since when it is open where that is in the past.

    So it is in a sandbox whose customers have months behind them. What is written is written now, as everywhere.
    """

    id: UUID
    opened_at: datetime | None = None


def _create_wallet(draft: Draft, body: CreateWallet) -> Reply:
    party_id = ids.decode(Prefix.PARTY, body.party_id)
    if draft.find(PartyRow, party_id) is None:
        detail = "There is no such party."
        raise errors.NotFound(detail, param="party_id")
    wallet_id, opened_at = (body.id, body.opened_at) if isinstance(body, WalletOfId) else (draft.new_id(), None)
    if opened_at is not None:
        draft.check_effective(opened_at)
    wallet = WalletRow(
        id=wallet_id,
        party_id=party_id,
        label=body.label,
        metadata=body.metadata,
        created_at=opened_at or draft.now,
        updated_at=draft.now,
    )
    _record_terms(draft, wallet, "opened")
    for currency in dict.fromkeys(body.currencies):
        wallet = _open_currency(draft, wallet, currency)
    return _answer_wallet(draft, wallet, events.WALLET_CREATED, _CREATED)


def _record_terms(draft: Draft, wallet: WalletRow, kind: Literal["opened", "changed"]) -> None:
    """Have the ledger's chain say whose a wallet is, and how it stands."""
    draft.record_wallet(
        kind, wallet.id, party_id=wallet.party_id, status=wallet.status.value, opened_at=wallet.created_at
    )


def _open_currency(draft: Draft, wallet: WalletRow, currency: str) -> WalletRow:
    draft.open_account(type=AccountType.LIABILITY, currency=currency, wallet_id=wallet.id, overdraft_limit_minor=0)
    wallet = msgspec.structs.replace(wallet, currencies=(*wallet.currencies, currency), updated_at=draft.now)
    draft.put(wallet)
    return wallet


def _wallet_keys(books: Books, wallet_id: UUID) -> dict[type, list[Hashable]]:
    wanted: dict[type, list[Hashable]] = {WalletRow: [wallet_id]}
    wallet: WalletRow | None = books.rows.get(WalletRow, {}).get(wallet_id)
    if wallet is not None:
        wanted[AccountRow] = [WalletKey(wallet_id, currency) for currency in wallet.currencies]
    return wanted


def _update_keys(books: Books, body: Update) -> Keys:
    """Name the rows that a change needs, and whether the wallet's owner is still known."""
    wallet: WalletRow | None = books.rows.get(WalletRow, {}).get(body.wallet_id)
    wanted = _wallet_keys(books, body.wallet_id)
    return wanted if wallet is None else {**wanted, PartyRow: [wallet.party_id]}


def _update_wallet(draft: Draft, body: Update) -> Reply:
    wallet = _get_wallet(draft, body.wallet_id)
    check_if_match(body.if_match, wallet.version)
    if draft.find(PartyRow, wallet.party_id) is None:
        # What is written now would stay: nobody is forgotten twice.
        detail = "The wallet's owner was forgotten."
        raise errors.PartyForgotten(detail)
    given = {
        field: value for field in ("label", "metadata") if (value := getattr(body.change, field)) is not msgspec.UNSET
    }
    if all(getattr(wallet, field) == value for field, value in given.items()):
        # What changes nothing leaves no trace.
        return Reply(_OK, _shown(draft, wallet))
    # Of a closed wallet the time says since when it is, from which on its owner is known for as long as the law wants.
    updated_at = wallet.updated_at if wallet.status is WalletStatus.CLOSED else draft.now
    wallet = msgspec.structs.replace(wallet, **given, version=wallet.version + 1, updated_at=updated_at)
    return _answer_wallet(draft, wallet, events.WALLET_UPDATED, _OK)


def _change_status(draft: Draft, body: StatusChange) -> Reply:
    wallet = _get_wallet(draft, body.wallet_id)
    status = rules.next_status(wallet.status, body.step, wallet.wire_id)
    accounts = [draft.get_account(WalletKey(wallet.id, currency)) for currency in wallet.currencies]
    if status is WalletStatus.CLOSED and any(a.posted_minor or a.held_minor or a.pending_minor for a in accounts):
        raise errors.WalletNotEmpty(wallet_id=wallet.wire_id)
    for account in accounts:
        draft.change_account(msgspec.structs.replace(account, status=status.value, updated_at=draft.now))
    wallet = msgspec.structs.replace(
        wallet, status=status, status_reason=body.reason, version=wallet.version + 1, updated_at=draft.now
    )
    _record_terms(draft, wallet, "changed")
    return _answer_wallet(draft, wallet, _PAST[body.step], _OK, reason=body.reason)


_PAST = {"freeze": events.WALLET_FROZEN, "unfreeze": events.WALLET_UNFROZEN, "close": events.WALLET_CLOSED}

CREATE_WALLET: Kind[CreateWallet] = Kind(
    "wallet.create", lambda _, body: {PartyRow: [ids.decode(Prefix.PARTY, body.party_id)]}, _create_wallet
)
UPDATE_WALLET: Kind[Update] = Kind("wallet.update", _update_keys, _update_wallet)
CHANGE_STATUS: Kind[StatusChange] = Kind(
    "wallet.status", lambda books, body: _wallet_keys(books, body.wallet_id), _change_status
)


# Aliases.


class NewAlias(msgspec.Struct, frozen=True):
    """An order to give a wallet another name; ``key`` is the name in its normal form."""

    wallet_id: UUID
    alias: CreateAlias
    key: AliasKey


class AliasRemoval(msgspec.Struct, frozen=True):
    """An order to take an alias away; ``key`` is what a look-up found under its id."""

    wallet_id: UUID
    alias_id: UUID
    key: AliasKey


def _alias_keys(books: Books, body: NewAlias) -> Keys:
    """Name the rows that a new alias needs: also those of the other names by which its account may be known."""
    number = rules.number_of(body.key)
    if number is None:
        return {WalletRow: [body.wallet_id], AliasRow: [body.key]}
    british: BritishRow | None = books.rows.get(BritishRow, {}).get(number)
    return {WalletRow: [body.wallet_id], BritishRow: [number], AliasRow: _rivals(british, body.key)}


def _rivals(british: BritishRow | None, key: AliasKey) -> tuple[AliasKey, ...]:
    """Return by which names another wallet keeps a new one from being given: that one first."""
    return rules.rivals_of(key, () if british is None else british.ibans)


def _check_free(draft: Draft, body: NewAlias) -> None:
    """See that no wallet has the name, and that no other one has one that says the same, to which money would go."""
    number = rules.number_of(body.key)
    british = None if number is None else draft.find(BritishRow, number)
    for name in _rivals(british, body.key):
        has = draft.find(AliasRow, name)
        if has is not None and not has.deleted and (name == body.key or has.wallet_id != body.wallet_id):
            raise errors.AliasTaken(param="value")


def _note_british(draft: Draft, key: AliasKey) -> None:
    """Tell the items after this one of another IBAN that ends in a sort code and account number."""
    number = rules.number_of(key)
    if number is None or key.scheme is not AliasScheme.IBAN:
        return
    british = draft.find(BritishRow, number)
    ibans = () if british is None else british.ibans
    if key.normal_value not in ibans:
        draft.put(BritishRow(number, (*ibans, key.normal_value)))


def _add_alias(draft: Draft, body: NewAlias) -> Reply:
    wallet = _get_wallet(draft, body.wallet_id)
    if wallet.status is WalletStatus.CLOSED:
        raise errors.WalletClosed(wallet_id=wallet.wire_id)
    _check_free(draft, body)
    alias = AliasRow(
        id=draft.new_id(),
        wallet_id=wallet.id,
        scheme=body.alias.scheme,
        value=body.alias.value,
        normal_value=body.key.normal_value,
        created_at=draft.now,
    )
    draft.put(alias)
    _note_british(draft, body.key)
    response = alias.to_response()
    # An alias is often a person's name or IBAN, so the event and the audit say only that there is one.
    draft.audit("alias.created", response.id, facts={"wallet_id": wallet.wire_id, "scheme": alias.scheme.value})
    return Reply(_CREATED, response)


def _remove_alias(draft: Draft, body: AliasRemoval) -> Reply:
    alias = draft.find(AliasRow, body.key)
    if alias is None or alias.deleted or alias.id != body.alias_id or alias.wallet_id != body.wallet_id:
        detail = "There is no such alias."
        raise errors.NotFound(detail)
    draft.put(msgspec.structs.replace(alias, deleted=True))
    draft.audit("alias.deleted", ids.encode(Prefix.ALIAS, alias.id), facts={"scheme": alias.scheme.value})
    return Reply(_NO_CONTENT, None)


ADD_ALIAS: Kind[NewAlias] = Kind("alias.add", _alias_keys, _add_alias)
REMOVE_ALIAS: Kind[AliasRemoval] = Kind("alias.remove", lambda _, body: {AliasRow: [body.key]}, _remove_alias)


# Money that moves.


class Movement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order to move money between two wallets, or between a wallet and the outside.

    Attributes:
        cash: The cash account by id or code; absent for a transfer between wallets.
        limited: Whether the tenant's limits apply. They don't to what a bank says has happened.
    """

    kind: Literal["transfer", "top_up", "withdrawal"]
    from_wallet_id: UUID | None
    to_wallet_id: UUID | None
    cash: UUID | CodeKey | None
    amount: Money
    description: str | None
    effective_at: datetime | None
    metadata: dict[str, str]
    limited: bool = True


def transfer(body: CreateTransfer) -> Movement:
    """Read a transfer's order."""
    return Movement(
        kind="transfer",
        from_wallet_id=ids.decode(Prefix.WALLET, body.from_wallet_id),
        to_wallet_id=ids.decode(Prefix.WALLET, body.to_wallet_id),
        cash=None,
        amount=body.amount,
        description=body.description,
        effective_at=body.effective_at,
        metadata=body.metadata,
    )


def _cash_key(account_id: str | None, currency: str) -> UUID | CodeKey:
    return CodeKey(CASH, currency) if account_id is None else ids.decode(Prefix.ACCOUNT, account_id)


def top_up(body: CreateTopUp) -> Movement:
    """Read a top-up's order."""
    return Movement(
        kind="top_up",
        from_wallet_id=None,
        to_wallet_id=ids.decode(Prefix.WALLET, body.wallet_id),
        cash=_cash_key(body.cash_account_id, body.amount.currency),
        amount=body.amount,
        description=body.description,
        effective_at=body.effective_at,
        metadata=body.metadata,
    )


def withdrawal(body: CreateWithdrawal) -> Movement:
    """Read a withdrawal's order."""
    return Movement(
        kind="withdrawal",
        from_wallet_id=ids.decode(Prefix.WALLET, body.wallet_id),
        to_wallet_id=None,
        cash=_cash_key(body.cash_account_id, body.amount.currency),
        amount=body.amount,
        description=body.description,
        effective_at=body.effective_at,
        metadata=body.metadata,
    )


def movement_keys(_books: Books, body: Movement) -> Keys:
    """Name the rows that a movement needs."""
    wallets = [wallet for wallet in (body.from_wallet_id, body.to_wallet_id) if wallet is not None]
    accounts: list[Hashable] = [WalletKey(wallet, body.amount.currency) for wallet in wallets]
    if body.cash is not None:
        accounts.append(body.cash)
    return {WalletRow: wallets, AccountRow: accounts}


def wallet_account(draft: Draft, wallet_id: UUID, currency: str, param: str | None = None) -> AccountRow:
    """Return a wallet's account in a currency, opened by this command where there was none.

    Raises:
        NotFound: There is no such wallet.
        WalletClosed: It is closed.
        WalletFrozen: It is frozen.
        CurrencyNotEnabled: The tenant doesn't use the currency.
    """
    wallet = _get_wallet(draft, wallet_id, param)
    if wallet.status is not WalletStatus.ACTIVE:
        refusal = errors.WalletClosed if wallet.status is WalletStatus.CLOSED else errors.WalletFrozen
        raise refusal(wallet_id=wallet.wire_id)
    key = WalletKey(wallet_id, currency)
    account = draft.find_account(key)
    if account is None:
        _open_currency(draft, wallet, currency)
        account = draft.get_account(key)
    return account


def cash_account(draft: Draft, key: UUID | CodeKey, currency: str) -> AccountRow:
    """Return the cash account of a movement; one that is named by code is opened where there is none.

    Raises:
        NotFound: There is no account with this id.
        AccountNotUsable: It is a wallet's, or no asset account.
    """
    account = draft.find_account(key)
    if account is None and isinstance(key, CodeKey):
        account = draft.open_account(type=AccountType.ASSET, currency=currency, code=key.code, name="Cash")
    if account is None:
        account = draft.get_account(key, "cash_account_id")
    if account.type is not AccountType.ASSET:
        detail = "A top-up or withdrawal goes against an asset account."
        raise errors.AccountNotUsable(detail, param="cash_account_id", account_id=account.wire_id)
    return account


def _sides(draft: Draft, body: Movement) -> tuple[AccountRow, AccountRow]:
    """Return the account that is debited and the one that is credited."""
    currency = body.amount.currency
    names = ("from_wallet_id", "to_wallet_id") if body.kind == "transfer" else ("wallet_id", "wallet_id")
    if body.from_wallet_id is not None and body.from_wallet_id == body.to_wallet_id:
        raise errors.SameWallet(param="to_wallet_id")
    accounts = [
        wallet_account(draft, wallet, currency, name)
        for wallet, name in zip((body.from_wallet_id, body.to_wallet_id), names, strict=True)
        if wallet is not None
    ]
    if body.cash is None:
        return accounts[0], accounts[1]
    cash = cash_account(draft, body.cash, currency)
    return (cash, accounts[0]) if body.from_wallet_id is None else (accounts[0], cash)


def move(draft: Draft, body: Movement) -> TransferRow:
    """Move money and keep the record of it, by which the audit trail knows of it, too.

    Raises:
        ProblemError: The narrower class says what refuses it.
    """
    amount = body.amount
    if body.limited:
        rules.check_limit(
            "transfer_max_minor", draft.manifest.limits.transfer_max_minor, amount.amount_minor, amount.currency
        )
    debited, credited = _sides(draft, body)
    if body.limited and body.to_wallet_id is not None:
        check_balance_max(draft, credited, amount.amount_minor)
    entry = draft.post(
        body.kind,
        [
            Line(debited.id, amount.amount_minor, amount.currency),
            Line(credited.id, -amount.amount_minor, amount.currency),
        ],
        effective_at=body.effective_at,
        description=body.description,
        # Said twice, so that the chain commits to it: it does to the entry's.
        metadata=body.metadata,
        backdate=not body.limited,
    )
    row = TransferRow(
        id=entry.id,
        kind=body.kind,
        from_wallet_id=body.from_wallet_id,
        to_wallet_id=body.to_wallet_id,
        cash_account_id=None if body.cash is None else (credited if body.kind == "withdrawal" else debited).id,
        amount_minor=amount.amount_minor,
        currency=amount.currency,
        from_balance_after_minor=None if body.from_wallet_id is None else entry.balance_after(debited.id),
        to_balance_after_minor=None if body.to_wallet_id is None else entry.balance_after(credited.id),
        description=body.description,
        metadata=body.metadata,
        effective_at=entry.effective_at,
        recorded_at=entry.recorded_at,
        actor=draft.caller.actor,
        request_id=draft.caller.request_id,
    )
    draft.put(row)
    return row


def check_balance_max(draft: Draft, account: AccountRow, more_minor: int) -> None:
    """Refuse to bring a wallet more than the tenant lets it hold, counting what open holds will bring."""
    after = account.balance_minor + account.pending_minor + more_minor
    limits = draft.manifest.limits.wallet_balance_max_minor
    rules.check_limit("wallet_balance_max_minor", limits, after, account.currency)


POSTED: Final[Mapping[str, EventType[Any]]] = {
    "transfer": events.TRANSFER_POSTED,
    "top_up": events.TOP_UP_POSTED,
    "withdrawal": events.WITHDRAWAL_POSTED,
}
"""By what events money that has moved is told of. ``service`` says what they say, from the rows themselves."""
_REVERSED = {
    "transfer": events.TRANSFER_REVERSED,
    "top_up": events.TOP_UP_REVERSED,
    "withdrawal": events.WITHDRAWAL_REVERSED,
}


def tell_moved(draft: Draft, moved: TransferRow) -> None:
    """Tell of money that has moved to, from or between wallets."""
    draft.told_once(POSTED[moved.kind], moved.prefix, moved.id)


def _move(draft: Draft, body: Movement) -> Reply:
    row = move(draft, body)
    tell_moved(draft, row)
    return Reply(_CREATED, row.to_response())


TRANSFER: Kind[Movement] = Kind("transfer", movement_keys, _move)
TOP_UP: Kind[Movement] = Kind("top_up", movement_keys, _move)
WITHDRAW: Kind[Movement] = Kind("withdrawal", movement_keys, _move)


class TransferReversal(msgspec.Struct, frozen=True):
    """An order to undo a transfer, top-up or withdrawal; ``alone_below_minor`` is as of ``ledger.kinds.Reversal``."""

    kind: str
    transfer_id: UUID
    order: ReverseJournalEntry
    alone_below_minor: int | None = None

    @property
    def reversal(self) -> Reversal:
        """The same as an order to undo its journal entry, which has its id."""
        return Reversal(self.transfer_id, self.order, self.alone_below_minor)


def _reversal_keys(books: Books, body: TransferReversal) -> Keys:
    row: TransferRow | None = books.rows.get(TransferRow, {}).get(body.transfer_id)
    wanted: Keys = {TransferRow: [body.transfer_id]}
    return wanted if row is None else {**wanted, **reversal_keys(books, body.reversal)}


def _reverse_transfer(draft: Draft, body: TransferReversal) -> Reply:
    row = draft.find(TransferRow, body.transfer_id)
    if row is None or row.kind != body.kind:
        detail = f"There is no such {body.kind.replace('_', '-')}."
        raise errors.NotFound(detail)
    response = reverse_by_hand(draft, body.reversal).to_response()
    draft.event(_REVERSED[body.kind], row.wire_id, response)
    return Reply(_CREATED, response)


REVERSE_TRANSFER: Kind[TransferReversal] = Kind("transfer.reverse", _reversal_keys, _reverse_transfer)
