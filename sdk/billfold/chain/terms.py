"""The records of whose wallets and accounts are and on what terms they are kept, and of what was held for what."""

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
    "hold_terms_leaf",
    "hold_terms_text",
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


def hold_terms_text(
    *,
    hold_id: UUID,
    wallet_id: UUID,
    account_id: UUID,
    to_wallet_id: UUID | None,
    to_account_id: UUID | None,
    currency: str,
    amount_minor: int,
    expires_at: datetime | None,
    commitment: bytes | None,
    recorded_at: datetime,
) -> str:
    """Return the text of the record of what a hold was placed as, one fact a line; absent facts are ``-``.

    None of it changes as long as there is the hold; what becomes of it, its movements and captures say. The record of
    the first movement, which says when it was placed, is the one before.

    Args:
        hold_id: The hold.
        wallet_id: The wallet that it is on.
        account_id: The wallet's account whose balance is reserved.
        to_wallet_id: The wallet that it is for, where it is for one.
        to_account_id: The account that it is for, where that is known already.
        currency: Its currency.
        amount_minor: How much was asked for, in minor units.
        expires_at: When it ends by itself; absent where it doesn't.
        commitment: What ``commitment`` returned for its description and metadata; absent where there was neither.
        recorded_at: When this was written.
    """
    return (
        f"hold\n{hold_id.hex}\n{wallet_id.hex}\n{account_id.hex}\n"
        f"{'-' if to_wallet_id is None else to_wallet_id.hex}\n"
        f"{'-' if to_account_id is None else to_account_id.hex}\n{currency}\n{amount_minor}\n"
        f"{'-' if expires_at is None else (expires_at - _EPOCH) // _MICROSECOND}\n"
        f"{'-' if commitment is None else commitment.hex()}\n{(recorded_at - _EPOCH) // _MICROSECOND}"
    )


def hold_terms_leaf(
    *,
    hold_id: UUID,
    wallet_id: UUID,
    account_id: UUID,
    to_wallet_id: UUID | None,
    to_account_id: UUID | None,
    currency: str,
    amount_minor: int,
    expires_at: datetime | None,
    commitment: bytes | None,
    recorded_at: datetime,
) -> bytes:
    """Return the leaf of what a hold was placed as: the hash of what ``hold_terms_text`` says."""
    return leaf(
        hold_terms_text(
            hold_id=hold_id,
            wallet_id=wallet_id,
            account_id=account_id,
            to_wallet_id=to_wallet_id,
            to_account_id=to_account_id,
            currency=currency,
            amount_minor=amount_minor,
            expires_at=expires_at,
            commitment=commitment,
            recorded_at=recorded_at,
        )
    )
