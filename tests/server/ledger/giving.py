"""Single commands, each given and waited for; a refusal is raised."""

from typing import Any

from billfold import ids
from billfold.contract.ledger import (
    AccountType,
    CaptureHold,
    CreateAccount,
    CreateHold,
    CreateJournalEntry,
    NewPosting,
    ReverseJournalEntry,
)
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.ledger import kinds as ledger_kinds
from billfold_server.ledger.queries import list_entries
from billfold_server.wallets import holds, kinds
from tests.server.ledger.books import Bench, decoded


async def hold(bench: Bench, amount: int, **destination: Any) -> dict[str, Any]:
    """Reserve money of the first wallet."""
    body = CreateHold(wallet_id=bench.wallets[0], amount=Money(amount, "EUR"), **destination)
    return accepted(await bench.submit(holds.CREATE_HOLD, body))


async def capture(bench: Bench, of: dict[str, Any], **order: Any) -> dict[str, Any]:
    """Settle a hold."""
    body = ledger_kinds.Capture(ids.decode(Prefix.HOLD, of["id"]), CaptureHold(**order))
    return accepted(await bench.submit(holds.CAPTURE_HOLD, body))


def accepted(answer: Any) -> dict[str, Any]:
    """Return an answer's body, or raise its refusal."""
    if answer.error is not None:
        raise answer.error
    body: dict[str, Any] = decoded(answer)
    return body


async def account(bench: Bench, code: str, currency: str = "EUR", **facts: Any) -> str:
    """Open an account in the chart of accounts."""
    body = CreateAccount(code=code, type=AccountType.EXPENSE, currency=currency, **facts)
    return str(accepted(await bench.submit(ledger_kinds.CREATE_ACCOUNT, body))["id"])


async def wallet_account(bench: Bench, wallet: int) -> str:
    """Return the account of a wallet in euros, which has had some."""
    answer = accepted(await bench.top_up(wallet, 1))
    async with bench.database.tx(bench.tenant) as tx:
        entry = (await list_entries(tx, limit=1))[0][0].to_response()
    assert entry.id == answer["journal_entry_id"]
    return next(posting.account_id for posting in entry.postings if posting.amount_minor < 0)


def entry(*postings: tuple[str, int]) -> CreateJournalEntry:
    """Return an order for a journal entry in euros."""
    return CreateJournalEntry(
        postings=[NewPosting(account_id=id_, amount_minor=amount, currency="EUR") for id_, amount in postings]
    )


async def post(bench: Bench, *postings: tuple[str, int]) -> dict[str, Any]:
    """Post a journal entry."""
    return accepted(await bench.submit(ledger_kinds.POST_JOURNAL_ENTRY, entry(*postings)))


async def reverse(bench: Bench, entry_id: str, amount: int | None = None) -> dict[str, Any]:
    """Undo a journal entry."""
    body = ledger_kinds.Reversal(
        ids.decode(Prefix.JOURNAL_ENTRY, entry_id), ReverseJournalEntry(amount_minor=amount, reason="test")
    )
    return accepted(await bench.submit(ledger_kinds.REVERSE_JOURNAL_ENTRY, body))


async def step(bench: Bench, wallet: int, what: Any) -> Any:
    """Freeze, unfreeze or close a wallet."""
    change = kinds.StatusChange(ids.decode(Prefix.WALLET, bench.wallets[wallet]), what, "test")
    return accepted(await bench.submit(kinds.CHANGE_STATUS, change))
