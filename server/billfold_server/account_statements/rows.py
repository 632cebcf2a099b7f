"""Account statements as they lie in the database."""

from datetime import datetime
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.account_statements import AccountStatement
from billfold.ids import Prefix

__all__ = ["MonthRow", "StatementRow"]


class MonthRow(msgspec.Struct, frozen=True):
    """A month of the journal.

    Attributes:
        ends_at: The beginning of the next one.
        behind: The entry behind which it begins.
        until: The last entry that belongs to it.
        made_at: When all of its statements were made; None while they aren't.
    """

    starts_at: datetime
    ends_at: datetime
    behind: UUID
    until: UUID
    made_at: datetime | None


class StatementRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was booked to a wallet in one currency in a month. Amounts are as the wallet's owner sees them.

    Attributes:
        behind: The entry behind which it begins.
        until: The last entry that belongs to it.
    """

    id: UUID
    wallet_id: UUID
    account_id: UUID
    currency: str
    starts_at: datetime
    ends_at: datetime
    behind: UUID
    until: UUID
    opening_minor: int
    closing_minor: int
    credits_minor: int
    debits_minor: int
    entries: int
    created_at: datetime

    @property
    def wire_id(self) -> str:
        """The statement's id as the API spells it."""
        return ids.encode(Prefix.ACCOUNT_STATEMENT, self.id)

    def to_response(self) -> AccountStatement:
        """Return the statement as the API shows it."""
        return AccountStatement(
            id=self.wire_id,
            wallet_id=ids.encode(Prefix.WALLET, self.wallet_id),
            account_id=ids.encode(Prefix.ACCOUNT, self.account_id),
            currency=self.currency,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            opening_minor=self.opening_minor,
            closing_minor=self.closing_minor,
            credits_minor=self.credits_minor,
            debits_minor=self.debits_minor,
            entries=self.entries,
            created_at=self.created_at,
        )
