"""What becomes of statement entries that belong to no wallet (reconciliation.assigning), against a real PostgreSQL."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from billfold import errors, ids
from billfold.contract.ledger import AccountType
from billfold.contract.statements import EntryOutcome, EntryReason, StatementEntry
from billfold.contract.wallets import AliasScheme
from billfold.ids import Prefix
from billfold_server.invariants.service import check
from billfold_server.reconciliation.rules import cash_code
from billfold_server.wallets.service import get_wallet
from tests.server.reconciliation.desk import Desk
from tests.server.reconciliation.statement_files import ACCOUNT, Entry, camt053
from tests.server.reconciliation.test_import import ADA, entry, month
from tests.tenants import Tenancy


async def waiting(desk: Desk, *booked: Entry) -> list[StatementEntry]:
    """Return entries of a statement that was just imported, in its order."""
    await desk.take_in(camt053(month(*booked)))
    return await desk.entries()


async def forget(desk: Desk, wallet: str) -> None:
    """Destroy the keys of the party whose wallet it is."""
    async with desk.database.tx(desk.tenant) as tx:
        party_id = (await get_wallet(tx, ids.decode(Prefix.WALLET, wallet))).party_id
    await desk.keys.forget(desk.tenant, [party_id], reason="test")


class TestAnEntryThatIsNobodys:
    """An entry that is nobody's."""

    @pytest.mark.parametrize("amount", [500, -500])
    async def test_goes_to_an_account_of_the_ledger(self, desk: Desk, amount: int) -> None:
        """A bank's interest or fee leaves suspense for an account that is named, as of the day of booking, once."""
        account = await desk.add_account("bank", AccountType.INCOME if amount > 0 else AccountType.EXPENSE)
        [found] = await waiting(desk, entry(amount, iban=None))
        done = await desk.assign(found.id, account)
        assert (done.outcome, done.account_id, done.wallet_id) == (EntryOutcome.ASSIGNED, account, None)
        assert (done.reason, done.matched_by) == (EntryReason.NO_ALIAS, None)
        assert await desk.account_minor("bank", at=found.effective_at) == -amount
        assert await desk.account_minor("suspense") == 0
        assert await desk.cash_minor(ACCOUNT) == 10_000 + amount
        assert await desk.entries(EntryOutcome.ASSIGNED) == [done]
        with pytest.raises(errors.StatementEntryNotInSuspense):
            await desk.assign(found.id, account)

    async def test_names_no_wallet_any_more_that_could_not_bear_it(self, desk: Desk) -> None:
        """What was meant for a wallet, and isn't booked there, is told of by its account alone."""
        wallet = await desk.add_wallet((AliasScheme.IBAN, ADA))
        [found] = await waiting(desk, entry(-500))
        assert (found.wallet_id, found.reason) == (wallet, EntryReason.INSUFFICIENT_FUNDS)
        done = await desk.assign(found.id, await desk.add_account("losses"))
        assert (done.wallet_id, done.matched_by, done.reason) == (None, None, EntryReason.INSUFFICIENT_FUNDS)

    async def test_waits_again_once_its_assignment_was_undone(self, desk: Desk) -> None:
        """It is undone as an assignment to a wallet is: whole, and by the assignment's own journal entry alone."""
        fees, wallet = await desk.add_account("fees"), await desk.add_wallet()
        [found, _] = await waiting(desk, entry(500, iban=None), entry(700, iban=None))
        assigned = (await desk.assign(found.id, fees)).assigning_journal_entry_id
        with pytest.raises(errors.EntryNotReversible):
            await desk.undo(found.journal_entry_id)
        await desk.undo(assigned, 200)
        with pytest.raises(errors.StatementEntryNotInSuspense):
            await desk.assign(found.id, wallet)
        await desk.undo(assigned)
        assert found in await desk.entries(EntryOutcome.SUSPENSE)
        assert (await desk.assign(found.id, wallet)).account_id is None
        assert [await desk.wallet_minor(wallet), await desk.account_minor("fees")] == [500, 0]
        assert await desk.account_minor("suspense") == -700

    async def test_goes_to_no_account_that_wallets_or_statements_tell_of(self, desk: Desk) -> None:
        """A wallet's account, suspense and any cash account are refused, and the entry stays where it was."""
        wallet = await desk.add_wallet(funds_minor=1)
        [found] = await waiting(desk, entry(-500, iban=None))
        async with desk.database.tx(desk.tenant) as tx:
            of_wallet = await tx.fetchval(
                "SELECT id FROM accounts WHERE wallet_id = $1", ids.decode(Prefix.WALLET, wallet)
            )
        refused = {
            ids.encode(Prefix.ACCOUNT, of_wallet): f"name {wallet} as wallet_id",
            await desk.account_id("suspense"): "wait",
            await desk.account_id(cash_code(ACCOUNT)): "cash account",
            await desk.add_account("cash:other-bank", AccountType.ASSET): "cash account",
        }
        for account, word in refused.items():
            with pytest.raises(errors.AccountNotUsable, match=word) as caught:
                await desk.assign(found.id, account)
            assert (caught.value.param, caught.value.account_id) == ("account_id", account)
        assert await desk.entries() == [found]

    async def test_goes_to_no_account_that_cannot_take_it(self, desk: Desk) -> None:
        """One in another currency, one that would be overdrawn, and one that there isn't are refused as by hand."""
        [found] = await waiting(desk, entry(-500, iban=None))
        with pytest.raises(errors.CurrencyMismatch):
            await desk.assign(found.id, await desk.add_account("fees", currency="USD"))
        with pytest.raises(errors.InsufficientFunds):
            await desk.assign(found.id, await desk.add_account("due", AccountType.LIABILITY, overdraft_limit_minor=0))
        with pytest.raises(errors.NotFound) as caught:
            await desk.assign(found.id, "acc_01m7w9tnzcejq9b78b81gh4nmw")
        assert caught.value.param == "account_id"
        assert await desk.entries() == [found]

    async def test_goes_to_a_wallet_or_an_account_where_two_decide_at_once(self, desk: Desk) -> None:
        """One says that it is a customer's and one that it isn't; one of them is refused, and it is paid once."""
        both = [await desk.add_wallet(), await desk.add_account("fees")]
        [found] = await waiting(desk, entry(500, iban=None))
        results = await asyncio.gather(*(desk.assign(found.id, one) for one in both), return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["StatementEntry", "StatementEntryNotInSuspense"]
        assert await desk.wallet_minor(both[0]) - await desk.account_minor("fees") == 500

    async def test_stays_readable_though_it_was_given_to_somebody_who_is_forgotten(self, desk: Desk) -> None:
        """What was under the key of a party by mistake is under the tenant's own again, as is the answer."""
        wrong, fees = await desk.add_wallet(), await desk.add_account("fees")
        [found] = await waiting(desk, entry(500, iban=None, name="The bank itself"))
        await desk.undo((await desk.assign(found.id, wrong)).assigning_journal_entry_id)
        assert (await desk.assign(found.id, fees)).counterparty_name == "The bank itself"
        await forget(desk, wrong)
        assert [each.counterparty_name for each in await desk.entries()] == ["The bank itself"]

    async def test_goes_with_whom_it_names(self, desk: Desk) -> None:
        """An entry that a wallet couldn't bear tells of its party, wherever its money is in the end."""
        wallet, fees = await desk.add_wallet((AliasScheme.IBAN, ADA)), await desk.add_account("fees")
        [found] = await waiting(desk, entry(-500, name="Ada Lovelace"))
        assert (await desk.assign(found.id, fees)).counterparty_name == "Ada Lovelace"
        await forget(desk, wallet)
        assert [each.counterparty_name for each in await desk.entries()] == [None]

    async def test_is_of_one_alone_in_the_database_too(self, desk: Desk, tenancy: Tenancy) -> None:
        """Neither both a wallet's and an account's, nor neither's; nor an account's that it wasn't posted to."""
        other, wallet = await desk.add_account("other"), await desk.add_wallet()
        [found] = await waiting(desk, entry(500, iban=None))
        await desk.assign(found.id, await desk.add_account("fees"))
        for change in (f"wallet_id = '{ids.decode(Prefix.WALLET, wallet)}'", "account_id = NULL"):
            with pytest.raises(asyncpg.CheckViolationError):
                async with desk.database.tx(desk.tenant) as tx:
                    await tx.execute(f"UPDATE statement_entries SET {change}")  # noqa: S608 - the test's own
        for account, invariant in (
            (ids.decode(Prefix.ACCOUNT, other), "assigned_entries_are_posted_to_their_wallets"),
            (uuid4(), "statement_entries_refer_to_what_is_there"),
        ):
            await tenancy.as_owner(desk.tenant, f"UPDATE statement_entries SET account_id = '{account}'")  # noqa: S608
            assert invariant in {breach.invariant for breach in await check(desk.database, desk.tenant)}


class TestAnEntryThatWasUndoneInSuspense:
    """An entry that was undone in suspense."""

    @pytest.mark.parametrize("amount", [None, 200])
    async def test_waits_no_more_and_says_so(self, desk: Desk, amount: int | None) -> None:
        """Who looks for what waits doesn't find it, and it is paid neither to a wallet nor to an account."""
        wallet, fees = await desk.add_wallet(), await desk.add_account("fees")
        [found, other] = await waiting(desk, entry(500, iban=None), entry(700, iban=None))
        await desk.undo(found.journal_entry_id, amount)
        [told] = await desk.entries(EntryOutcome.REVERSED)
        assert (told.id, told.outcome, told.journal_entry_id) == (found.id, "reversed", found.journal_entry_id)
        assert await desk.entries(EntryOutcome.SUSPENSE) == [other]
        assert await desk.entries() == [told, other]
        for to in (wallet, fees):
            with pytest.raises(errors.StatementEntryNotInSuspense, match="undone by hand"):
                await desk.assign(found.id, to)
        await desk.assign(other.id, fees)
        assert await desk.account_minor("suspense") == -500 + (amount or 500)
