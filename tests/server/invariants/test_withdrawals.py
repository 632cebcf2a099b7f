"""Withdrawals and top-ups of which rows say otherwise than the entries that show them, and what finds them out."""

import datetime as dt
from collections.abc import AsyncIterator

import pytest_asyncio

from billfold_server.invariants.service import check
from billfold_server.keys.service import Keys
from tests.server.invariants.tampering import missed
from tests.server.reconciliation.desk import Desk
from tests.server.reconciliation.statement_files import DAY, Entry, Plan, camt053
from tests.tenants import Tenancy

ENTRIES = "entries_show_what_was_ordered"
ONCE = "withdrawals_are_shown_once"
TAMPERING = [
    ("UPDATE statement_entries SET withdrawal_id = {other} WHERE amount_minor = -2500", ENTRIES),
    ("UPDATE statement_entries SET withdrawal_id = {other} WHERE amount_minor = -2500", ONCE),
    ("UPDATE statement_entries SET withdrawal_id = {top_up} WHERE amount_minor = -2500", ENTRIES),
    ("UPDATE statement_entries SET withdrawal_id = NULL WHERE amount_minor = -2500", ONCE),
    ("UPDATE statement_entries SET wallet_id = {stranger} WHERE amount_minor = -2500", ENTRIES),
    ("UPDATE transfers SET cash_account_id = {usd} WHERE id = {shown}", ENTRIES),
    ("UPDATE withdrawals_shown SET out_minor = out_minor - 1", ONCE),
    ("UPDATE withdrawals_shown SET back_minor = back_minor + 1", ONCE),
    ("UPDATE withdrawals_shown SET amount_minor = amount_minor + 1", ONCE),
    ("DELETE FROM withdrawals_shown", ONCE),
]
"""What is done to them, each from the same beginning, and which invariant finds it at the least."""
TOP_UPS_ONCE = "top_ups_are_shown_once"
TAMPERING_WITH_TOP_UPS = [
    ("UPDATE statement_entries SET top_up_id = {other} WHERE amount_minor = 2500", ENTRIES),
    ("UPDATE statement_entries SET top_up_id = {other} WHERE amount_minor = 2500", TOP_UPS_ONCE),
    ("UPDATE statement_entries SET top_up_id = {withdrawal} WHERE amount_minor = 2500", ENTRIES),
    ("UPDATE statement_entries SET top_up_id = NULL WHERE amount_minor = 2500", TOP_UPS_ONCE),
    ("UPDATE statement_entries SET wallet_id = {stranger} WHERE amount_minor = 2500", ENTRIES),
    ("UPDATE transfers SET cash_account_id = {usd} WHERE id = {shown}", ENTRIES),
    ("UPDATE top_ups_shown SET in_minor = in_minor - 1", TOP_UPS_ONCE),
    ("UPDATE top_ups_shown SET back_minor = back_minor + 1", TOP_UPS_ONCE),
    ("UPDATE top_ups_shown SET amount_minor = amount_minor + 1", TOP_UPS_ONCE),
    ("DELETE FROM top_ups_shown", TOP_UPS_ONCE),
]
"""The same of top-ups."""
WORDS = {
    "shown": "(SELECT withdrawal_id FROM withdrawals_shown)",
    "other": "(SELECT id FROM transfers WHERE kind = 'withdrawal' AND amount_minor = 1)",
    "top_up": "(SELECT id FROM transfers WHERE kind = 'top_up' ORDER BY id LIMIT 1)",
    "stranger": "(SELECT to_wallet_id FROM transfers WHERE currency = 'USD')",
    "usd": "(SELECT id FROM accounts WHERE code = 'cash' AND currency = 'USD')",
}
WORDS_OF_TOP_UPS = {
    **WORDS,
    "shown": "(SELECT top_up_id FROM top_ups_shown)",
    "other": "(SELECT id FROM transfers WHERE kind = 'top_up' AND amount_minor = 1 AND currency = 'EUR')",
    "withdrawal": "(SELECT id FROM transfers WHERE kind = 'withdrawal' ORDER BY id LIMIT 1)",
}


@pytest_asyncio.fixture
async def desk(tenancy: Tenancy, tenant_keys: Keys) -> AsyncIterator[Desk]:
    """Where a withdrawal has left, and part of it has come back."""
    desk = Desk(tenancy.database, tenant_keys, tenancy.tenant)
    wallet = await desk.add_wallet(funds_minor=10_000)
    await desk.add_wallet(funds_minor=1, currency="USD")
    shown, _ = await desk.withdraw(wallet, 2_500), await desk.withdraw(wallet, 1)
    later = DAY + dt.timedelta(days=1)
    moved = [Entry(-2_500, end_to_end_id=shown), Entry(700, booking_date=later, value_date=later, end_to_end_id=shown)]
    await desk.take_in(camt053(Plan(moved, opening_minor=50_000, last_day=later)))
    yield desk
    await desk.engine.close()


class TestWithdrawals:
    """Withdrawals that banks' statements show."""

    async def test_that_entries_do_not_show_are_found_out(self, tenancy: Tenancy, desk: Desk) -> None:
        """Which one, whose, from where, and how much in all: each is held to the entries, and back."""
        assert await missed(tenancy, desk.tenant, TAMPERING, WORDS) == []
        assert await check(desk.database, desk.tenant) == []


class TestTopUps:
    """Top-ups that banks' statements show."""

    async def test_that_entries_do_not_show_are_found_out(self, tenancy: Tenancy, tenant_keys: Keys) -> None:
        """As of withdrawals, the other way round."""
        desk = Desk(tenancy.database, tenant_keys, tenancy.tenant)
        wallet = await desk.add_wallet(funds_minor=10_000)
        await desk.add_wallet(funds_minor=1, currency="USD")
        await desk.withdraw(wallet, 1)
        shown, _ = await desk.top_up(wallet, 2_500), await desk.top_up(wallet, 1)
        later = DAY + dt.timedelta(days=1)
        back = Entry(-700, booking_date=later, value_date=later, end_to_end_id=shown)
        moved = [Entry(2_500, end_to_end_id=shown), back]
        await desk.take_in(camt053(Plan(moved, opening_minor=50_000, last_day=later)))
        assert await missed(tenancy, desk.tenant, TAMPERING_WITH_TOP_UPS, WORDS_OF_TOP_UPS) == []
        assert await check(desk.database, desk.tenant) == []
        await desk.engine.close()
