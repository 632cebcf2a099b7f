"""What of the wallets' operations needs a second person: large withdrawals, and letting a frozen wallet go.

Money leaves a wallet by holds, too, where what takes it is no wallet.
"""

from collections.abc import Mapping
from typing import Any

from billfold import errors, ids
from billfold.contract.ledger import CaptureHold, CreateHold
from billfold.contract.wallets import CreateWithdrawal
from billfold.ids import Prefix
from billfold_server.http.routing import Call, NeedsApproval
from billfold_server.ledger import service as ledger

__all__ = ["CAPTURE", "HOLD", "UNFREEZE", "WITHDRAWAL"]


async def _withdraws_much(call: Call, values: Mapping[str, Any]) -> bool:
    body: CreateWithdrawal = values["body"]
    return ledger.is_large_withdrawal(call, body.amount.amount_minor, body.amount.currency)


async def _reserves_much(call: Call, values: Mapping[str, Any]) -> bool:
    body: CreateHold = values["body"]
    leaves = body.to_account_id is not None
    return leaves and ledger.is_large_withdrawal(call, body.amount.amount_minor, body.amount.currency)


async def _captures_much(call: Call, values: Mapping[str, Any]) -> bool:
    body: CaptureHold = values["body"]
    # Where the hold itself says who takes it, that was agreed to when it was made.
    if body.to_account_id is None:
        return False
    try:
        async with call.tx() as tx:
            hold = await ledger.get_hold(tx, ids.decode(Prefix.HOLD, values["hold_id"]))
    except errors.NotFound:
        # The handler refuses it, with a reason.
        return False
    return ledger.is_large_in_parts(call, hold.captured_minor, body.amount_minor or hold.remaining_minor, hold.currency)


async def _unfreezes(call: Call, _values: Mapping[str, Any]) -> bool:
    return "wallet_unfreeze" in call.tenant.manifest.approvals.always


WITHDRAWAL = NeedsApproval("withdrawal", _withdraws_much)
HOLD = NeedsApproval("withdrawal", _reserves_much)
CAPTURE = NeedsApproval("withdrawal", _captures_much)
UNFREEZE = NeedsApproval("wallet_unfreeze", _unfreezes)
