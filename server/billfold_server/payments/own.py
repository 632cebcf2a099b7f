"""Payments that clients of the bank's own order, under no consent: how orders are read, and their command. Pure."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from billfold import errors, ids
from billfold.contract.payments import CreatePayment, CreditorScheme, PaymentCreditor, PaymentKind
from billfold.contract.wallets import AliasScheme
from billfold.ids import InvalidIdError, Prefix
from billfold_server.ledger.service import Draft, Kind, Reply
from billfold_server.payments.kinds import Order, Payer, begin, creditor_of, order_keys
from billfold_server.payments.rows import Texts, all_steps
from billfold_server.wallets.service import AliasKey, WalletRow, new_alias

__all__ = ["ORDER_PAYMENT", "read_creditor", "texts_of"]

_CREATED: Final = 201
_ALIASES: Final[Mapping[CreditorScheme, AliasScheme]] = {
    CreditorScheme.IBAN: AliasScheme.IBAN,
    CreditorScheme.SORT_CODE_ACCOUNT_NUMBER: AliasScheme.SORT_CODE_ACCOUNT_NUMBER,
}
_TOLD_AS: Final[Mapping[CreditorScheme, str]] = {
    CreditorScheme.IBAN: "UK.OBIE.IBAN",
    CreditorScheme.SORT_CODE_ACCOUNT_NUMBER: "UK.OBIE.SortCodeAccountNumber",
    CreditorScheme.WALLET: "UK.OBIE.Wallet",
}
"""What rails, and who reads transactions, are told for a scheme; they have the words of the first orders there were."""

_NO_END_TO_END_ID: Final = "NOTPROVIDED"
"""What stands where the payer has given a payment no name (ISO 20022, usage guidelines of ``EndToEndId``)."""


# Reading.


def read_creditor(creditor: PaymentCreditor) -> UUID | AliasKey:
    """Return the wallet that an order names, or the alias by which its creditor may be a wallet's.

    Raises:
        errors.CreditorUnsupported: There can't be such an account.
    """
    if creditor.scheme is CreditorScheme.WALLET:
        try:
            return ids.decode(Prefix.WALLET, creditor.identification)
        except InvalidIdError:
            raise _impossible() from None
    scheme = _ALIASES[creditor.scheme]
    try:
        return AliasKey(scheme, new_alias(scheme, creditor.identification))
    except errors.AliasInvalid:
        raise _impossible() from None


def _impossible() -> errors.CreditorUnsupported:
    detail = "There can't be an account with this number."
    return errors.CreditorUnsupported(detail, param="creditor.identification")


def texts_of(body: CreatePayment) -> Texts:
    """Return what an order says of people."""
    creditor = body.creditor
    return Texts(
        scheme=_TOLD_AS[creditor.scheme],
        identification=creditor.identification,
        creditor_name=creditor.name,
        secondary=creditor.secondary_identification,
        end_to_end_id=body.end_to_end_id or _NO_END_TO_END_ID,
        instruction_id=body.instruction_id,
        reference=body.reference,
        creditor_reference=body.creditor_reference,
        metadata=body.metadata,
    )


# Ordering.


def _order(draft: Draft, order: Order) -> Reply:
    """Pay out of the wallet that the order names, and answer the payment without what it says of people.

    What is answered is kept for copies of the order, for longer than a forgotten payer's texts may be.
    """
    wallet = None if order.wallet_id is None else draft.find(WalletRow, order.wallet_id)
    if wallet is None:
        detail = "There is no such wallet."
        raise errors.NotFound(detail, param="wallet_id")
    if creditor_of(draft, order) == wallet.id:
        raise errors.SameWallet(param="creditor")
    payer = Payer(PaymentKind.CREDIT_TRANSFER.value, None, draft.caller.client_id, wallet.party_id, wallet.id)
    row = begin(draft, payer, order)
    steps = all_steps(row.id, inside=row.to_wallet_id is not None, created_at=row.created_at, written=())
    return Reply(_CREATED, row.to_response([step.to_response() for step in steps], None))


ORDER_PAYMENT: Final[Kind[Order]] = Kind("payment.credit_transfer", order_keys, _order, sees_grant=True)
"""Orders a payment in the name of a client of the bank's own."""
