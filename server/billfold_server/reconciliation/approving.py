"""What of this room's operations needs a second person: moving much money out of suspense, and taking much back."""

from collections.abc import Mapping
from typing import Any

from billfold import errors, ids
from billfold.contract.statements import AssignStatementEntry
from billfold.ids import Prefix
from billfold_server.http.routing import Call, NeedsApproval
from billfold_server.ledger import service as ledger
from billfold_server.reconciliation import service

__all__ = ["ASSIGNMENT", "REVERSAL"]


async def _moves_much(call: Call, values: Mapping[str, Any]) -> bool:
    try:
        async with call.tx() as tx:
            row = await service.get_entry(tx, ids.decode(Prefix.STATEMENT_ENTRY, values["statement_entry_id"]))
    except errors.NotFound:
        # The handler refuses it, with a reason.
        return False
    body: AssignStatementEntry = values["body"]
    if body.wallet_id is None:
        # Any account but a wallet's: no withdrawal, but just what an entry by hand does.
        return ledger.is_large_entry(call, row.amount_minor, row.currency)
    return ledger.is_large_withdrawal(call, abs(row.amount_minor), row.currency)


ASSIGNMENT = NeedsApproval("withdrawal", _moves_much)
"""It is held to the amounts from which money leaves wallets by hand, as a journal entry that does the same is."""


async def _undoes_much(call: Call, values: Mapping[str, Any]) -> bool:
    async with call.tx() as tx:
        moved = await service.sums_of_import(tx, ids.decode(Prefix.STATEMENT_IMPORT, values["statement_import_id"]))
    return any(ledger.is_large_refund(call, moved_minor, currency) for currency, moved_minor in moved.items())


REVERSAL = NeedsApproval("refund", _undoes_much)
"""Many small entries are as much as a large one, and each could be undone by its journal entry."""
