"""The verification of whom the books are about: parties, wallets, their other names, and accounts."""

from collections.abc import Callable
from datetime import datetime
from sys import intern
from typing import Any, Final
from uuid import UUID

from billfold.chain.findings import Damage, Findings
from billfold.chain.lines import name_of
from billfold.chain.records import AccountRecord, AliasRecord, PartyRecord, WalletRecord

__all__ = ["DEBIT", "Account", "People", "Wallet"]

DEBIT: Final = "debit"
_CREDIT: Final = "credit"
_LIABILITY: Final = "liability"
_NORMAL_SIDES: Final = {
    "asset": DEBIT,
    "expense": DEBIT,
    _LIABILITY: _CREDIT,
    "equity": _CREDIT,
    "income": _CREDIT,
}


class Account:
    """An account's balances as its records make them, and as they should come out; and the newest of its terms."""

    __slots__ = (
        "code",
        "created_at",
        "currency",
        "held",
        "normal_side",
        "overdraft",
        "pending",
        "posted",
        "stated_held",
        "stated_pending",
        "stated_posted",
        "status",
        "told_overdraft",
        "told_status",
        "type",
        "wallet_id",
    )

    def __init__(self, record: AccountRecord) -> None:
        # There are millions of accounts, and few currencies: each text is in memory once.
        self.currency = intern(record.currency)
        self.wallet_id = record.wallet_id
        self.normal_side = intern(record.normal_side)
        self.overdraft = record.overdraft_limit_minor
        self.stated_posted = record.posted_minor
        self.stated_held = record.held_minor
        self.stated_pending = record.pending_minor
        self.posted = self.held = self.pending = 0
        self.code = record.code
        self.type = intern(record.type)
        self.status = intern(record.status)
        self.created_at = record.created_at
        self.told_status: str | None = None
        self.told_overdraft: int | None = None

    @property
    def within_its_limit(self) -> bool:
        """Whether what isn't held keeps within the overdraft."""
        posted = self.stated_posted if self.normal_side == DEBIT else -self.stated_posted
        return self.overdraft is None or posted - self.stated_held >= -self.overdraft


class Wallet:
    """A wallet, which of its accounts are still to come, and the newest of its terms."""

    __slots__ = ("created_at", "currencies", "forgotten", "id", "party_id", "status", "told_status")

    def __init__(self, record: WalletRecord, party_id: UUID, *, forgotten: bool) -> None:
        # The accounts' owner, too, so that its id is in memory once.
        self.id = record.id
        self.party_id = party_id
        self.status = intern(record.status)
        self.created_at: datetime = record.created_at
        self.currencies = tuple(map(intern, record.currencies))
        self.forgotten = forgotten
        self.told_status: str | None = None


class People:
    """Knows who there is, and sees that each refers to the others as it should.

    Records of each kind come in order of their ids, so that one that is doubled or put elsewhere shows.

    Attributes:
        parties: Every party's id, by itself: what refers to one keeps this, so that it is in memory once.
        wallets: Every wallet.
        accounts: Every account.

    Args:
        findings: Where to say what is wrong.
    """

    def __init__(self, findings: Findings) -> None:
        self.parties: dict[UUID, UUID] = {}
        self.accounts: dict[UUID, Account] = {}
        self._findings = findings
        self.wallets: dict[UUID, Wallet] = {}
        self._forgotten: set[UUID] = set()
        self._codes: set[tuple[str, str]] = set()
        self._last: dict[type, UUID] = {}
        self.handlers: dict[type, Callable[[Any], None]] = {
            PartyRecord: self._take_party,
            WalletRecord: self._take_wallet,
            AliasRecord: self._take_alias,
            AccountRecord: self._take_account,
        }

    def has_wallet(self, wallet_id: UUID) -> bool:
        """Tell whether there is such a wallet."""
        return wallet_id in self.wallets

    def is_forgotten(self, wallet_id: UUID | None) -> bool:
        """Tell whether a wallet's party was forgotten, so that what people wrote of it may be blank."""
        wallet = None if wallet_id is None else self.wallets.get(wallet_id)
        return wallet is not None and wallet.forgotten

    def finish(self) -> None:
        """See that every account has come, with the balances that its records make."""
        for wallet_id, wallet in self.wallets.items():
            for currency in sorted(set(wallet.currencies)):
                fact = f"there is no account that it has in {currency}"
                self._findings.add(Damage.DANGLING, "wallet", str(wallet_id), fact)
        for account_id, account in self.accounts.items():
            for name in ("posted", "held", "pending"):
                computed, stated = getattr(account, name), getattr(account, f"stated_{name}")
                if computed != stated:
                    fact = f"its {name} balance is {stated}, but its records make {computed}"
                    self._findings.add(Damage.WRONG_BALANCE, "account", str(account_id), fact)
            if not account.within_its_limit:
                fact = f"it is overdrawn by more than {account.overdraft}"
                self._findings.add(Damage.INCONSISTENT, "account", str(account_id), fact)

    def _place(self, record: PartyRecord | WalletRecord | AliasRecord | AccountRecord, *, known: bool = False) -> None:
        """See that a record comes after those of its kind with smaller ids."""
        last = self._last.get(type(record))
        if known or record.id == last:
            self._blame(record, Damage.INSERTED, "there is one with this id already")
        elif last is not None and record.id < last:
            self._blame(record, Damage.REORDERED, "it doesn't stand in the order of ids")
            return
        self._last[type(record)] = record.id

    def _blame(
        self, record: PartyRecord | WalletRecord | AliasRecord | AccountRecord, damage: Damage, fact: str
    ) -> None:
        self._findings.add(damage, name_of(record), str(record.id), fact)

    def _take_party(self, record: PartyRecord) -> None:
        self._place(record, known=record.id in self.parties)
        forgotten = record.forgotten_at is not None
        if forgotten and record.external_id is not None:
            self._blame(record, Damage.INCONSISTENT, "it was forgotten, and still has an id elsewhere")
        self.parties[record.id] = record.id
        if forgotten:
            self._forgotten.add(record.id)
        else:
            self._forgotten.discard(record.id)

    def _take_wallet(self, record: WalletRecord) -> None:
        self._place(record, known=record.id in self.wallets)
        if record.party_id not in self.parties:
            self._blame(record, Damage.DANGLING, f"there is no party {record.party_id}")
        if len(set(record.currencies)) != len(record.currencies):
            self._blame(record, Damage.INCONSISTENT, "it has a currency twice")
        party_id = self.parties.get(record.party_id, record.party_id)
        self.wallets[record.id] = Wallet(record, party_id, forgotten=party_id in self._forgotten)

    def _take_alias(self, record: AliasRecord) -> None:
        self._place(record)
        if record.wallet_id not in self.wallets:
            self._blame(record, Damage.DANGLING, f"there is no wallet {record.wallet_id}")

    def _take_account(self, record: AccountRecord) -> None:
        known = record.id in self.accounts
        self._place(record, known=known)
        if record.normal_side != _NORMAL_SIDES.get(record.type):
            fact = f"its type is {record.type[:20]} and its normal side {record.normal_side[:20]}"
            self._blame(record, Damage.INCONSISTENT, fact)
        if (record.code is None) == (record.wallet_id is None):
            self._blame(record, Damage.INCONSISTENT, "it has either a code or a wallet")
        if record.code is not None:
            if (record.code, record.currency) in self._codes and not known:
                self._blame(record, Damage.INCONSISTENT, "there is another with this code and currency")
            self._codes.add((record.code, record.currency))
        if record.wallet_id is not None and not known:
            self._join(record, record.wallet_id)
        self.accounts[record.id] = account = Account(record)
        if record.wallet_id is not None and (wallet := self.wallets.get(record.wallet_id)) is not None:
            account.wallet_id = wallet.id

    def _join(self, record: AccountRecord, wallet_id: UUID) -> None:
        """See that an account is the one that its wallet has in the currency."""
        wallet = self.wallets.get(wallet_id)
        if wallet is None or record.currency not in wallet.currencies:
            fact = f"there is no wallet {wallet_id} that has no other account in {record.currency[:20]}"
            self._blame(record, Damage.DANGLING, fact)
            return
        left = tuple(currency for currency in wallet.currencies if currency != record.currency)
        if record.type != _LIABILITY:
            self._blame(record, Damage.INCONSISTENT, "it is a wallet's, and no liability")
        if record.status != wallet.status:
            fact = f"it is {record.status[:20]} and its wallet {wallet.status[:20]}"
            self._blame(record, Damage.INCONSISTENT, fact)
        wallet.currencies = left
