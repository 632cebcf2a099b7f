"""The records of whose wallets and accounts are and on what terms they are kept, and of what holds from when on."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from billfold.chain.links import leaf

__all__ = [
    "ERA",
    "account_terms_leaf",
    "account_terms_text",
    "era_leaf",
    "era_text",
    "wallet_terms_leaf",
    "wallet_terms_text",
]

ERA: Final = 2
"""The era that ledgers begin with now; what was written before the chain knew of eras is of the first one."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def era_text(*, number: int, recorded_at: datetime) -> str:
    """Return the text of the record that an era begins with, one fact a line.

    By the record of era 2 every wallet and every account has terms in the chain, and each that is opened later gets its
    own; and from there on a transfer has no metadata but its journal entry's.

    Args:
        number: The era's number.
        recorded_at: When it began.
    """
    return f"era\n{number}\n{(recorded_at - _EPOCH) // _MICROSECOND}"


def era_leaf(*, number: int, recorded_at: datetime) -> bytes:
    """Return the leaf of an era's record: the hash of what ``era_text`` says."""
    return leaf(era_text(number=number, recorded_at=recorded_at))


def wallet_terms_text(
    *, kind: str, wallet_id: UUID, party_id: UUID, status: str, opened_at: datetime, recorded_at: datetime
) -> str:
    """Return the text of the record of whose a wallet is and how it stands, one fact a line.

    The party's id says nothing of the person: it is random, and stays in the books when the person is forgotten.

    Args:
        kind: ``opened``, ``changed``, or ``found`` of a wallet that had been opened before there were such records.
        wallet_id: The wallet.
        party_id: Whose it is.
        status: ``active``, ``frozen`` or ``closed``.
        opened_at: When it was opened.
        recorded_at: When this was written.
    """
    return (
        f"wallet\n{kind}\n{wallet_id.hex}\n{party_id.hex}\n{status}\n{(opened_at - _EPOCH) // _MICROSECOND}\n"
        f"{(recorded_at - _EPOCH) // _MICROSECOND}"
    )


def wallet_terms_leaf(
    *, kind: str, wallet_id: UUID, party_id: UUID, status: str, opened_at: datetime, recorded_at: datetime
) -> bytes:
    """Return the leaf of a wallet's terms: the hash of what ``wallet_terms_text`` says."""
    return leaf(
        wallet_terms_text(
            kind=kind,
            wallet_id=wallet_id,
            party_id=party_id,
            status=status,
            opened_at=opened_at,
            recorded_at=recorded_at,
        )
    )


def account_terms_text(
    *,
    kind: str,
    account_id: UUID,
    wallet_id: UUID | None,
    code: str | None,
    type: str,
    normal_side: str,
    currency: str,
    status: str,
    overdraft_limit_minor: int | None,
    opened_at: datetime,
    recorded_at: datetime,
) -> str:
    """Return the text of the record of an account's terms, one fact a line; absent facts are ``-``.

    Args:
        kind: ``opened``, ``changed``, or ``found`` of an account that had been opened before there were such records.
        account_id: The account.
        wallet_id: Whose it is, unless it is one of the chart of accounts.
        code: Its code in the chart of accounts; a wallet's has none.
        type: ``asset``, ``liability``, ``equity``, ``income`` or ``expense``.
        normal_side: ``debit`` or ``credit``.
        currency: Its currency.
        status: ``active``, ``frozen`` or ``closed``.
        overdraft_limit_minor: How far it may be overdrawn, in minor units; absent where there is no limit.
        opened_at: When it was opened.
        recorded_at: When this was written.
    """
    return (
        f"account\n{kind}\n{account_id.hex}\n{'-' if wallet_id is None else wallet_id.hex}\n"
        f"{'-' if code is None else code}\n{type}\n{normal_side}\n{currency}\n{status}\n"
        f"{'-' if overdraft_limit_minor is None else overdraft_limit_minor}\n{(opened_at - _EPOCH) // _MICROSECOND}\n"
        f"{(recorded_at - _EPOCH) // _MICROSECOND}"
    )


def account_terms_leaf(
    *,
    kind: str,
    account_id: UUID,
    wallet_id: UUID | None,
    code: str | None,
    type: str,
    normal_side: str,
    currency: str,
    status: str,
    overdraft_limit_minor: int | None,
    opened_at: datetime,
    recorded_at: datetime,
) -> bytes:
    """Return the leaf of an account's terms: the hash of what ``account_terms_text`` says."""
    return leaf(
        account_terms_text(
            kind=kind,
            account_id=account_id,
            wallet_id=wallet_id,
            code=code,
            type=type,
            normal_side=normal_side,
            currency=currency,
            status=status,
            overdraft_limit_minor=overdraft_limit_minor,
            opened_at=opened_at,
            recorded_at=recorded_at,
        )
    )
