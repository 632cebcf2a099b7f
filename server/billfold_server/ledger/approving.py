"""What of the ledger's operations needs a second person: large refunds and changed overdraft limits."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from billfold import ids
from billfold.contract.ledger import ReverseJournalEntry, UpdateAccount
from billfold.contract.wallets import ReverseTransfer
from billfold.ids import Prefix
from billfold_server.http.routing import Call, NeedsApproval
from billfold_server.ledger import queries
from billfold_server.ledger.rows import EntryRow

__all__ = ["OVERDRAFT_LIMIT", "refund"]


def refund(parameter: str, prefix: Prefix) -> NeedsApproval:
    """Return when a reversal needs a second person: where it gives back as much as the manifest says.

    Args:
        parameter: The name in the path of what is undone.
        prefix: What that is. All of them have their journal entry's id.
    """

    async def when(call: Call, values: Mapping[str, Any]) -> bool:
        rules = call.tenant.manifest.approvals
        if "refund" in rules.always:
            return True
        if not rules.refund_from_minor:
            return False
        async with call.tx() as tx:
            entry = await queries.find_entry(tx, ids.decode(prefix, values[parameter]))
        if entry is None:
            # The handler refuses it, with a reason.
            return False
        amounts = _given_back(entry, values["body"])
        return any(amounts[currency] >= least for currency, least in rules.refund_from_minor.items())

    return NeedsApproval("refund", when)


def _given_back(entry: EntryRow, body: ReverseJournalEntry | ReverseTransfer) -> Mapping[str, int]:
    """Return how much a reversal gives back, in minor units by currency."""
    amounts: defaultdict[str, int] = defaultdict(int)
    for posting in entry.postings:
        amounts[posting.currency] += max(0, posting.amount_minor)
    if body.amount_minor is not None:
        return defaultdict(int, {currency: min(amount, body.amount_minor) for currency, amount in amounts.items()})
    return amounts


async def _changes_overdraft_limit(call: Call, values: Mapping[str, Any]) -> bool:
    body: UpdateAccount = values["body"]
    return "overdraft_limit" in call.tenant.manifest.approvals.always and body.overdraft_limit_minor is not UNSET


OVERDRAFT_LIMIT = NeedsApproval("overdraft_limit", _changes_overdraft_limit)
"""When a change of an account needs a second person."""
