"""The rows of the wallets room, as the ledger's engine loads and writes them. Pure data."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.ledger import Balance
from billfold.contract.wallets import Alias, AliasScheme, TopUp, Transfer, Wallet, WalletStatus, Withdrawal
from billfold.ids import Prefix
from billfold.money import Money

__all__ = [
    "AliasKey",
    "AliasRow",
    "BritishRow",
    "MovementKind",
    "OtherSide",
    "PartyRow",
    "Sought",
    "TransferRow",
    "WalletRow",
]

MovementKind = str
"""``transfer``, ``top_up`` or ``withdrawal``."""


class PartyRow(msgspec.Struct, frozen=True):
    """Word that a party exists."""

    id: UUID

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.id


class WalletRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A party's wallet.

    Attributes:
        currencies: The currencies in which it has an account, in the order in which they were opened.
    """

    id: UUID
    party_id: UUID
    status: WalletStatus = WalletStatus.ACTIVE
    status_reason: str | None = None
    label: str | None
    currencies: tuple[str, ...] = ()
    metadata: dict[str, str]
    version: int = 1
    created_at: datetime
    updated_at: datetime

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.id

    @property
    def wire_id(self) -> str:
        """The wallet's id as the API spells it."""
        return ids.encode(Prefix.WALLET, self.id)

    def to_response(self, balances: list[Balance]) -> Wallet:
        """Return the wallet as the API shows it."""
        return Wallet(
            id=self.wire_id,
            party_id=ids.encode(Prefix.PARTY, self.party_id),
            status=self.status,
            status_reason=self.status_reason,
            label=self.label,
            balances=balances,
            metadata=self.metadata,
            version=self.version,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


class AliasKey(msgspec.Struct, frozen=True):
    """An alias by what it says: its scheme and its value in normal form."""

    scheme: AliasScheme
    normal_value: str


class Sought(msgspec.Struct, frozen=True):
    """What somebody types who looks for a wallet.

    Attributes:
        text: A part of its label.
        ending: What the last six characters of its id stand for, where it could be these.
        number: A part of its account's number, in normal form, where it could be one.
    """

    text: str
    ending: int | None
    number: str | None


class BritishRow(msgspec.Struct, frozen=True):
    """By which British IBANs wallets are known that end in a sort code and account number.

    Attributes:
        number: The sort code and account number, fourteen digits.
        ibans: The IBANs, in normal form.
    """

    number: str
    ibans: tuple[str, ...]

    @property
    def key(self) -> str:
        """What the row is loaded by."""
        return self.number


class AliasRow(msgspec.Struct, frozen=True, kw_only=True):
    """Another name by which money finds a wallet.

    Attributes:
        normal_value: The value in the form in which it is compared; unique with the scheme.
        deleted: Whether the batch takes it away.
    """

    id: UUID
    wallet_id: UUID
    scheme: AliasScheme
    value: str
    normal_value: str
    created_at: datetime
    deleted: bool = False

    @property
    def key(self) -> AliasKey:
        """What the row is loaded by."""
        return AliasKey(self.scheme, self.normal_value)

    def to_response(self) -> Alias:
        """Return the alias as the API shows it."""
        return Alias(
            id=ids.encode(Prefix.ALIAS, self.id),
            wallet_id=ids.encode(Prefix.WALLET, self.wallet_id),
            scheme=self.scheme,
            value=self.value,
            created_at=self.created_at,
        )


class TransferRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Money that moved between wallets, into one from outside, or out of one. Never changed once written.

    The audit trail tells of it from this row (``audit.queries``).

    Attributes:
        id: That of its journal entry, too.
        kind: ``transfer``, ``top_up`` or ``withdrawal``.
        from_wallet_id: Absent for a top-up.
        to_wallet_id: Absent for a withdrawal.
        cash_account_id: Where the outside's money is kept; absent for a transfer.
        actor: Who ordered it.
        request_id: In which request.
        reversed_minor: How much of it has been undone; read beside the row, not kept in it.
    """

    id: UUID
    kind: MovementKind
    from_wallet_id: UUID | None
    to_wallet_id: UUID | None
    cash_account_id: UUID | None
    amount_minor: int
    currency: str
    from_balance_after_minor: int | None
    to_balance_after_minor: int | None
    description: str | None
    metadata: dict[str, str]
    effective_at: datetime
    recorded_at: datetime
    actor: str
    request_id: str | None
    reversed_minor: int = 0

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.id

    @property
    def prefix(self) -> Prefix:
        """With what the id begins as the API spells it: it says which of the three this is."""
        return _PREFIXES[self.kind]

    @property
    def wire_id(self) -> str:
        """The id as the API spells it."""
        return ids.encode(_PREFIXES[self.kind], self.id)

    def to_response(self) -> Transfer | TopUp | Withdrawal:
        """Return the transfer, top-up or withdrawal as the API shows it."""
        # Which of these are present follows from the kind, and the table's constraint holds it.
        if self.kind == "transfer":
            return self._to_transfer()
        source: Any = self.from_wallet_id and ids.encode(Prefix.WALLET, self.from_wallet_id)
        destination: Any = self.to_wallet_id and ids.encode(Prefix.WALLET, self.to_wallet_id)
        cash: Any = self.cash_account_id and ids.encode(Prefix.ACCOUNT, self.cash_account_id)
        source_after: Any = self.from_balance_after_minor
        destination_after: Any = self.to_balance_after_minor
        facts: dict[str, Any] = {
            "id": self.wire_id,
            "amount": Money(self.amount_minor, self.currency),
            "reversed_minor": self.reversed_minor,
            "journal_entry_id": ids.encode(Prefix.JOURNAL_ENTRY, self.id),
            "description": self.description,
            "metadata": self.metadata,
            "effective_at": self.effective_at,
            "recorded_at": self.recorded_at,
        }
        if self.kind == "top_up":
            return TopUp(wallet_id=destination, cash_account_id=cash, balance_after_minor=destination_after, **facts)
        return Withdrawal(wallet_id=source, cash_account_id=cash, balance_after_minor=source_after, **facts)

    def _to_transfer(self) -> Transfer:
        source, destination = self.from_wallet_id, self.to_wallet_id
        source_after, destination_after = self.from_balance_after_minor, self.to_balance_after_minor
        assert source is not None
        assert destination is not None
        assert source_after is not None
        assert destination_after is not None
        return Transfer(
            id=ids.encode(Prefix.TRANSFER, self.id),
            from_wallet_id=ids.encode(Prefix.WALLET, source),
            to_wallet_id=ids.encode(Prefix.WALLET, destination),
            amount=Money(self.amount_minor, self.currency),
            reversed_minor=self.reversed_minor,
            from_balance_after_minor=source_after,
            to_balance_after_minor=destination_after,
            journal_entry_id=ids.encode(Prefix.JOURNAL_ENTRY, self.id),
            description=self.description,
            metadata=self.metadata,
            effective_at=self.effective_at,
            recorded_at=self.recorded_at,
        )


class OtherSide(msgspec.Struct, frozen=True, cache_hash=True):
    """What stands on the other side of what moved in a wallet.

    Attributes:
        wallet_id: The other wallet; absent where the other side is the world.
        iban: The IBAN by which that wallet is known.
        merchant_name: Who was paid, where whoever ordered it has said so in ``metadata`` under this name.
        merchant_category_code: What kind of merchant that is (ISO 18245), said in the same way.
    """

    wallet_id: UUID | None
    iban: str | None
    merchant_name: str | None
    merchant_category_code: str | None


_PREFIXES = {"transfer": Prefix.TRANSFER, "top_up": Prefix.TOP_UP, "withdrawal": Prefix.WITHDRAWAL}
