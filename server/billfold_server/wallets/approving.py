"""What of the wallets' operations needs a second person: large withdrawals, and letting a frozen wallet go."""

from collections.abc import Mapping
from typing import Any

from billfold.contract.wallets import CreateWithdrawal
from billfold_server.http.routing import Call, NeedsApproval

__all__ = ["UNFREEZE", "WITHDRAWAL"]


async def _is_large(call: Call, values: Mapping[str, Any]) -> bool:
    rules = call.tenant.manifest.approvals
    body: CreateWithdrawal = values["body"]
    least = rules.withdrawal_from_minor.get(body.amount.currency)
    return "withdrawal" in rules.always or (least is not None and body.amount.amount_minor >= least)


async def _unfreezes(call: Call, _values: Mapping[str, Any]) -> bool:
    return "wallet_unfreeze" in call.tenant.manifest.approvals.always


WITHDRAWAL = NeedsApproval("withdrawal", _is_large)
UNFREEZE = NeedsApproval("wallet_unfreeze", _unfreezes)
