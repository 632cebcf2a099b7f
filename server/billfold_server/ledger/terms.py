"""Whose wallets and accounts are and on what terms they are kept, and what holds were placed as, as rows of the chain.

ADR 61 says why of the former, and ADR 66 of the latter. Pure data and SQL.
"""

from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from billfold import chain
from billfold_server.db.sets import Columns, Write
from billfold_server.ledger.rows import AccountRow, HoldRow
from billfold_server.tenancy.transaction import TenantTx

__all__ = [
    "STORES",
    "AccountTermsRow",
    "EraRow",
    "HoldTermsRow",
    "OwnerRow",
    "TermsKind",
    "ToldRow",
    "WalletTermsRow",
    "account_terms",
    "hold_terms",
]

TermsKind = Literal["opened", "found", "changed"]
"""Whether something was opened or changed just now, or had been opened before there were such records."""


class EraRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The beginning of an era of the ledger."""

    number: int
    recorded_at: datetime

    @property
    def key(self) -> int:
        """What the row is known by."""
        return self.number

    def leaf(self) -> bytes:
        """Return the era's digest in the chain."""
        return chain.era_leaf(number=self.number, recorded_at=self.recorded_at)


class WalletTermsRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whose a wallet is, and how it stands from now on."""

    wallet_id: UUID
    kind: TermsKind
    party_id: UUID
    status: str
    opened_at: datetime
    recorded_at: datetime

    @property
    def key(self) -> datetime:
        """What the row is known by."""
        return self.recorded_at

    def leaf(self) -> bytes:
        """Return the digest of these terms in the chain."""
        return chain.wallet_terms_leaf(
            kind=self.kind,
            wallet_id=self.wallet_id,
            party_id=self.party_id,
            status=self.status,
            opened_at=self.opened_at,
            recorded_at=self.recorded_at,
        )


class AccountTermsRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """On what terms an account is kept from now on."""

    account_id: UUID
    kind: TermsKind
    wallet_id: UUID | None
    code: str | None
    type: str
    normal_side: str
    currency: str
    status: str
    overdraft_limit_minor: int | None
    opened_at: datetime
    recorded_at: datetime

    @property
    def key(self) -> datetime:
        """What the row is known by."""
        return self.recorded_at

    def leaf(self) -> bytes:
        """Return the digest of these terms in the chain."""
        return chain.account_terms_leaf(
            account_id=self.account_id,
            kind=self.kind,
            wallet_id=self.wallet_id,
            code=self.code,
            type=self.type,
            normal_side=self.normal_side,
            currency=self.currency,
            status=self.status,
            overdraft_limit_minor=self.overdraft_limit_minor,
            opened_at=self.opened_at,
            recorded_at=self.recorded_at,
        )


class HoldTermsRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a hold was placed as, which nothing changes later.

    Attributes:
        text_salt: What keeps the commitment from being guessed; absent where there is no text.
        text_commitment: Stands in the chain for description and metadata, so that these may be erased.
    """

    hold_id: UUID
    wallet_id: UUID
    account_id: UUID
    to_wallet_id: UUID | None
    to_account_id: UUID | None
    currency: str
    amount_minor: int
    expires_at: datetime | None
    text_salt: bytes | None
    text_commitment: bytes | None
    recorded_at: datetime

    @property
    def key(self) -> UUID:
        """What the row is known by."""
        return self.hold_id

    def leaf(self) -> bytes:
        """Return the digest of these terms in the chain."""
        return chain.hold_terms_leaf(
            hold_id=self.hold_id,
            wallet_id=self.wallet_id,
            account_id=self.account_id,
            to_wallet_id=self.to_wallet_id,
            to_account_id=self.to_account_id,
            currency=self.currency,
            amount_minor=self.amount_minor,
            expires_at=self.expires_at,
            commitment=self.text_commitment,
            recorded_at=self.recorded_at,
        )


class ToldRow(msgspec.Struct, frozen=True):
    """Word that a wallet or an account has terms; where there is none it was opened before there were such records."""

    id: UUID

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.id


class OwnerRow(msgspec.Struct, frozen=True):
    """A wallet as the ledger has to know it to record whose it is.

    It is the wallet as it was before the batch. Whatever changes it in the batch also leaves a ``ToldRow``.
    """

    id: UUID
    party_id: UUID
    status: str
    created_at: datetime

    @property
    def key(self) -> UUID:
        """What the row is loaded by."""
        return self.id


def account_terms(row: AccountRow, kind: TermsKind, recorded_at: datetime) -> AccountTermsRow:
    """Return the terms of an account as it is."""
    return AccountTermsRow(
        account_id=row.id,
        kind=kind,
        wallet_id=row.wallet_id,
        code=row.code,
        type=row.type.value,
        normal_side=row.normal_side.value,
        currency=row.currency,
        status=row.status,
        overdraft_limit_minor=row.overdraft_limit_minor,
        opened_at=row.created_at,
        recorded_at=recorded_at,
    )


def hold_terms(row: HoldRow, salt: bytes | None, recorded_at: datetime) -> HoldTermsRow:
    """Return what a hold is placed as.

    Args:
        row: The hold.
        salt: 16 random bytes, where it has any text.
        recorded_at: When this is written.
    """
    return HoldTermsRow(
        hold_id=row.id,
        wallet_id=row.wallet_id,
        account_id=row.account_id,
        to_wallet_id=row.to_wallet_id,
        to_account_id=row.to_account_id,
        currency=row.currency,
        amount_minor=row.amount_minor,
        expires_at=row.expires_at,
        text_salt=salt,
        text_commitment=None if salt is None else chain.commitment(salt, row.description, row.metadata),
        recorded_at=recorded_at,
    )


_ERAS: Final = Columns(number="smallint", recorded_at="timestamptz")
_INSERT_ERAS: Final = f"INSERT INTO ledger_eras ({_ERAS.names}) SELECT {_ERAS.values} FROM {_ERAS.rows}"  # noqa: S608 - constants
_OF_WALLETS: Final = Columns(
    wallet_id="uuid",
    kind="text",
    party_id="uuid",
    status="text",
    opened_at="timestamptz",
    recorded_at="timestamptz",
)
_INSERT_OF_WALLETS: Final = (
    f"INSERT INTO wallet_terms ({_OF_WALLETS.names}) SELECT {_OF_WALLETS.values} FROM {_OF_WALLETS.rows}"  # noqa: S608 - constants
)
_OF_ACCOUNTS: Final = Columns(
    account_id="uuid",
    kind="text",
    wallet_id="uuid",
    code="text",
    type="text",
    normal_side="text",
    currency="text",
    status="text",
    overdraft_limit_minor="bigint",
    opened_at="timestamptz",
    recorded_at="timestamptz",
)
_INSERT_OF_ACCOUNTS: Final = (
    f"INSERT INTO account_terms ({_OF_ACCOUNTS.names}) SELECT {_OF_ACCOUNTS.values} FROM {_OF_ACCOUNTS.rows}"  # noqa: S608 - constants
)
_OF_HOLDS: Final = Columns(
    hold_id="uuid",
    wallet_id="uuid",
    account_id="uuid",
    to_wallet_id="uuid",
    to_account_id="uuid",
    currency="text",
    amount_minor="bigint",
    expires_at="timestamptz",
    text_salt="bytea",
    text_commitment="bytea",
    recorded_at="timestamptz",
)
_INSERT_OF_HOLDS: Final = f"INSERT INTO hold_terms ({_OF_HOLDS.names}) SELECT {_OF_HOLDS.values} FROM {_OF_HOLDS.rows}"  # noqa: S608 - constants


class _Eras:
    row_type = EraRow
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return eras that have begun, by number."""
        query = "SELECT e.number, e.recorded_at FROM ledger_eras AS e WHERE e.number = ANY($1::smallint[])"
        return {row["number"]: EraRow(**dict(row)) for row in await tx.fetch(query, list(keys))}

    def writes(self, rows: Sequence[EraRow], _before: Mapping[Hashable, EraRow | None]) -> list[Write]:
        """Add the era."""
        return [Write(_INSERT_ERAS, _ERAS.arguments([row.number for row in rows], [row.recorded_at for row in rows]))]


class _WalletTerms:
    row_type = WalletTermsRow

    def writes(self, rows: Sequence[WalletTermsRow], _before: Mapping[Hashable, WalletTermsRow | None]) -> list[Write]:
        """Add the terms."""
        names = WalletTermsRow.__struct_fields__
        return [Write(_INSERT_OF_WALLETS, _OF_WALLETS.arguments(*[[getattr(row, n) for row in rows] for n in names]))]


class _AccountTerms:
    row_type = AccountTermsRow

    def writes(
        self, rows: Sequence[AccountTermsRow], _before: Mapping[Hashable, AccountTermsRow | None]
    ) -> list[Write]:
        """Add the terms."""
        names = AccountTermsRow.__struct_fields__
        return [Write(_INSERT_OF_ACCOUNTS, _OF_ACCOUNTS.arguments(*[[getattr(row, n) for row in rows] for n in names]))]


class _HoldTerms:
    row_type = HoldTermsRow

    def writes(self, rows: Sequence[HoldTermsRow], _before: Mapping[Hashable, HoldTermsRow | None]) -> list[Write]:
        """Add the terms."""
        names = HoldTermsRow.__struct_fields__
        return [Write(_INSERT_OF_HOLDS, _OF_HOLDS.arguments(*[[getattr(row, n) for row in rows] for n in names]))]


_FIND_TOLD: Final = """
    SELECT t.wallet_id AS id FROM wallet_terms AS t WHERE t.wallet_id = ANY($1::uuid[])
    UNION SELECT t.account_id FROM account_terms AS t WHERE t.account_id = ANY($1::uuid[])
"""


class _Told:
    row_type = ToldRow
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return which of these wallets and accounts have terms."""
        return {row["id"]: ToldRow(row["id"]) for row in await tx.fetch(_FIND_TOLD, list(keys))}


class _Owners:
    row_type = OwnerRow
    cached = False

    async def load(self, tx: TenantTx, keys: Sequence[Hashable]) -> dict[Any, Any]:
        """Return wallets by id."""
        query = "SELECT w.id, w.party_id, w.status, w.created_at FROM wallets AS w WHERE w.id = ANY($1::uuid[])"
        return {row["id"]: OwnerRow(**dict(row)) for row in await tx.fetch(query, list(keys))}


STORES: Final = (_Eras(), _WalletTerms(), _AccountTerms(), _HoldTerms(), _Told(), _Owners())
"""The rows of terms and eras, as the engine writes them."""
