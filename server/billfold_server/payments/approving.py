"""What of this room's operations needs a second person: paying much money out, and saying what has become of it."""

from collections.abc import Mapping
from typing import Any

from billfold import ids
from billfold.contract.payments import CreatePayment, CreditorScheme, PaymentOutcome, ResolvePayment
from billfold.ids import Prefix
from billfold_server.http.routing import Call, NeedsApproval
from billfold_server.ledger import service as ledger
from billfold_server.payments import service

__all__ = ["ORDER", "RESOLUTION"]


async def _pays_much(call: Call, values: Mapping[str, Any]) -> bool:
    body: CreatePayment = values["body"]
    # Whose an account is may change until the order is carried out, so only what names a wallet is sure to stay.
    may_leave = body.creditor.scheme is not CreditorScheme.WALLET
    return may_leave and ledger.is_large_withdrawal(call, body.amount.amount_minor, body.amount.currency)


async def _moves_much(call: Call, values: Mapping[str, Any]) -> bool:
    body: ResolvePayment = values["body"]
    if body.outcome is PaymentOutcome.NOTED:
        return False
    async with call.tx() as tx:
        row = await service.find_payment(tx, ids.decode(Prefix.PAYMENT, values["payment_id"]))
    # What isn't there the handler refuses, with a reason.
    return row is not None and ledger.is_large_withdrawal(call, row.amount_minor, row.currency)


ORDER = NeedsApproval("withdrawal", _pays_much)
RESOLUTION = NeedsApproval("withdrawal", _moves_much)
"""It is held to the amounts from which money leaves wallets by hand."""
