"""What of the ledger's operations needs a second person: large refunds and entries, and changed overdraft limits.

What the wallets' operations do can be done by journal entries and holds, too, so these are held to the same amounts.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from billfold import ids
from billfold.contract.ledger import CreateJournalEntry, ReverseJournalEntry, UpdateAccount
from billfold.contract.wallets import ReverseTransfer
from billfold.ids import Prefix
from billfold_server.http.routing import Call, NeedsApproval
from billfold_server.ledger import queries
from billfold_server.ledger.rows import EntryRow

__all__ = [
    "JOURNAL_ENTRY",
    "OVERDRAFT_LIMIT",
    "alone_below",
    "is_large_entry",
    "is_large_in_parts",
    "is_large_refund",
    "is_large_withdrawal",
    "refund",
]

_ALONE_BELOW = "alone_below_minor"
"""Under which name a request remembers below how much it needs nobody else."""


def refund(parameter: str, prefix: Prefix) -> NeedsApproval:
    """Return when a reversal needs a second person: where it gives back as much as the manifest says.

    Args:
        parameter: The name in the path of what is undone.
        prefix: What that is. All of them have their journal entry's id.
    """

    async def when(call: Call, values: Mapping[str, Any]) -> bool:
        rules = call.tenant.manifest.approvals
        is_always = "refund" in rules.always
        if not is_always and not rules.refund_from_minor:
            return False
        async with call.tx() as tx:
            entry = await queries.find_entry(tx, ids.decode(prefix, values[parameter]))
            before = 0 if entry is None else await queries.reversed_so_far(tx, entry.id)
        if entry is None:
            # It isn't there, or its month was detached: the handler refuses it, with a reason.
            return False
        if is_always:
            return True
        whole = _moved(entry)
        large = [least for currency, least in rules.refund_from_minor.items() if whole[currency] >= least]
        if not large:
            return False
        body: ReverseJournalEntry | ReverseTransfer = values["body"]
        if body.amount_minor is None or before + body.amount_minor >= min(large):
            return True
        # Other parts may be given back before this one is, so the command itself is held to the same.
        call.memo[_ALONE_BELOW] = min(large)
        return False

    return NeedsApproval("refund", when)


def alone_below(call: Call) -> int | None:
    """Return below how much a part, with all before it, needs nobody else; None where that was decided already."""
    below_minor: int | None = call.memo.get(_ALONE_BELOW)
    return below_minor


def _moved(entry: EntryRow | CreateJournalEntry) -> Mapping[str, int]:
    """Return how much an entry moves in all; many small parts are as much as one large one."""
    amounts: defaultdict[str, int] = defaultdict(int)
    for posting in entry.postings:
        amounts[posting.currency] += max(0, posting.amount_minor)
    return amounts


async def _posts_much(call: Call, values: Mapping[str, Any]) -> bool:
    body: CreateJournalEntry = values["body"]
    return any(is_large_entry(call, moved_minor, currency) for currency, moved_minor in _moved(body).items())


def is_large_entry(call: Call, amount_minor: int, currency: str) -> bool:
    """Tell whether so much may be posted by hand, on either side, only if a second person agrees."""
    rules = call.tenant.manifest.approvals
    if "withdrawal" in rules.always or "refund" in rules.always:
        return True
    limits = (rules.withdrawal_from_minor, rules.refund_from_minor)
    return any(abs(amount_minor) >= limit[currency] for limit in limits if currency in limit)


JOURNAL_ENTRY = NeedsApproval("withdrawal", _posts_much)
"""When an entry that is posted by hand needs a second person."""


def is_large_withdrawal(call: Call, amount_minor: int, currency: str) -> bool:
    """Tell whether so much may leave a wallet for no other wallet only if a second person agrees."""
    rules = call.tenant.manifest.approvals
    least = rules.withdrawal_from_minor.get(currency)
    return "withdrawal" in rules.always or (least is not None and amount_minor >= least)


def is_large_refund(call: Call, amount_minor: int, currency: str) -> bool:
    """Tell whether so much may be undone only if a second person agrees."""
    rules = call.tenant.manifest.approvals
    least = rules.refund_from_minor.get(currency)
    return "refund" in rules.always or (least is not None and amount_minor >= least)


def is_large_in_parts(call: Call, before_minor: int, amount_minor: int, currency: str) -> bool:
    """Tell whether a part of what leaves a wallet is large together with the parts before it.

    Where it isn't, ``alone_below`` says from when on it would be.
    """
    if is_large_withdrawal(call, before_minor + amount_minor, currency):
        return True
    least = call.tenant.manifest.approvals.withdrawal_from_minor.get(currency)
    if least is not None:
        # Other parts may leave before this one does, so the command itself is held to the same.
        call.memo[_ALONE_BELOW] = least
    return False


async def _changes_overdraft_limit(call: Call, values: Mapping[str, Any]) -> bool:
    body: UpdateAccount = values["body"]
    return "overdraft_limit" in call.tenant.manifest.approvals.always and body.overdraft_limit_minor is not UNSET


OVERDRAFT_LIMIT = NeedsApproval("overdraft_limit", _changes_overdraft_limit)
"""When a change of an account needs a second person."""
