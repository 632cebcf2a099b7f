"""Banks' statements whose rows say otherwise than their entries and the books, and what finds them out."""

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest_asyncio

from billfold.contract.statements import EntryOutcome
from billfold.contract.wallets import AliasScheme
from billfold_server.invariants.service import check
from billfold_server.keys.service import Keys
from tests.server.invariants.tampering import missed
from tests.server.reconciliation.desk import Desk
from tests.server.reconciliation.statement_files import DAY, Entry, Plan, camt053, daily
from tests.tenants import Tenancy

ADA = "DE42100100100043921105"
SUMS = "statements_add_up"
OF_ACCOUNTS = "statements_are_of_bank_accounts"
STOOD = "statements_say_where_the_books_stood"
ENDS = "bank_accounts_equal_their_statements"
BOOKED = "statement_entries_took_effect_when_booked"
COPIES = "duplicates_equal_their_entries"
NAMED = "statements_name_what_they_posted"
WHOLE = "imports_are_taken_back_whole"

STATEMENT = {
    "opening_minor": SUMS,
    "closing_minor": SUMS,
    "reached_minor": SUMS,
    "difference_minor": SUMS,
    "cash_before_minor": ENDS,
    "cash_after_minor": SUMS,
    "break_minor": ENDS,
}
ENDS_MINOR = ("first_opening_minor", "first_reached_minor", "last_opening_minor", "last_reached_minor")
ENDS_DAYS = ("first_opening_date", "first_closing_date", "last_opening_date", "last_closing_date")
TAMPERING = [
    *(("UPDATE statements SET x = x + 1 WHERE id = {middle}".replace("x", c), name) for c, name in STATEMENT.items()),
    *(("UPDATE statements SET x = x + 1 WHERE id = {quiet}".replace("x", c), name) for c, name in STATEMENT.items()),
    ("UPDATE statements SET difference_minor = NULL WHERE id = {quiet}", SUMS),
    ("UPDATE statements SET difference_minor = 0 WHERE difference_minor IS NULL", SUMS),
    ("UPDATE statements SET reached_minor = NULL, opening_minor = NULL WHERE id = {middle}", SUMS),
    ("UPDATE statements SET {balances} WHERE id = {middle}", SUMS),
    ("UPDATE statements SET {balances}, {cash} WHERE id = {middle}", STOOD),
    ("UPDATE statements SET {cash} WHERE id = {middle}", STOOD),
    ("UPDATE statements SET cash_after_minor = cash_before_minor + 7 WHERE reached_minor IS NULL", SUMS),
    ("UPDATE statements SET break_minor = 0 WHERE id = {broken}", ENDS),
    ("UPDATE statements SET topped_up = topped_up + 1, suspense = suspense - 1 WHERE id = {middle}", SUMS),
    ("UPDATE statements SET currency = 'USD' WHERE id = {quiet}", OF_ACCOUNTS),
    ("UPDATE statements SET cash_account_id = {usd} WHERE id = {middle}", OF_ACCOUNTS),
    ("DELETE FROM statements WHERE id = {broken}", ENDS),
    # Bank accounts.
    *(("UPDATE bank_accounts SET x = x + 1 WHERE currency = 'EUR'".replace("x", c), ENDS) for c in ENDS_MINOR),
    *(("UPDATE bank_accounts SET x = x + 1 WHERE currency = 'EUR'".replace("x", c), ENDS) for c in ENDS_DAYS),
    ("UPDATE bank_accounts SET last_statement_key = 'x' WHERE currency = 'EUR'", ENDS),
    ("UPDATE bank_accounts SET break_minor = break_minor + 1 WHERE currency = 'EUR'", ENDS),
    ("UPDATE bank_accounts SET {no_ends} WHERE currency = 'EUR'", ENDS),
    # Entries.
    ("UPDATE statement_entries SET status = 'PDNG' WHERE outcome = 'topped_up'", BOOKED),
    ("UPDATE statement_entries SET status = 'BOOK' WHERE status <> 'BOOK'", BOOKED),
    ("UPDATE statement_entries SET status = 'INFO' WHERE outcome = 'duplicate'", COPIES),
    ("UPDATE statement_entries SET booking_date = booking_date + 1 WHERE outcome = 'topped_up'", BOOKED),
    ("UPDATE statement_entries SET booking_date = booking_date + 1 WHERE outcome = 'duplicate'", COPIES),
    ("UPDATE statement_entries SET booked_ahead = TRUE WHERE outcome = 'topped_up'", BOOKED),
    ("UPDATE statement_entries SET effective_at = effective_at - interval '1 day' WHERE outcome = 'suspense'", BOOKED),
    ("UPDATE statement_entries SET {earlier} WHERE outcome = 'assigned'", BOOKED),
    ("UPDATE statement_entries SET amount_minor = amount_minor + 1 WHERE outcome = 'duplicate'", COPIES),
    # What was posted besides entries, and what was taken back.
    ("UPDATE statements SET break_entry_id = {opening} WHERE break_entry_id IS NOT NULL", NAMED),
    ("UPDATE statements SET opening_entry_id = {break} WHERE opening_entry_id IS NOT NULL", NAMED),
    ("UPDATE statement_imports SET reversed_at = NULL WHERE reversed_at IS NOT NULL", WHOLE),
    ("UPDATE statement_imports SET reversed_at = created_at WHERE reversed_at IS NULL", WHOLE),
    ("UPDATE statement_entries SET taken_back = FALSE WHERE taken_back", WHOLE),
    ("UPDATE statement_entries SET taken_back = TRUE WHERE outcome = 'topped_up'", WHOLE),
    ("UPDATE reversals SET reversed_minor = reversed_minor - 1 WHERE journal_entry_id IN {taken_back}", WHOLE),
    ("DELETE FROM reversals WHERE journal_entry_id IN {beside}", "statements_are_taken_back_whole"),
    ("UPDATE statement_entries SET duplicate_of = {gone} WHERE outcome = 'duplicate'", "copies_are_of_what_stands"),
]
"""What is done to statements, each from the same beginning, and which invariant finds it at the least."""
WORDS = {
    # A day that was imported by itself, one that moved nothing, and one that another was missing before.
    "middle": "(SELECT id FROM statements WHERE topped_up > 0 AND suspense > 0 AND difference_minor = 0 LIMIT 1)",
    "quiet": "(SELECT id FROM statements WHERE duplicates = entries AND entries > 0 LIMIT 1)",
    "broken": "(SELECT id FROM statements WHERE break_minor <> 0 ORDER BY id LIMIT 1)",
    "usd": "(SELECT cash_account_id FROM bank_accounts WHERE currency = 'USD')",
    "balances": ", ".join(f"{end}_minor = {end}_minor + 1" for end in ("opening", "closing", "reached")),
    "cash": "cash_before_minor = cash_before_minor + 1, cash_after_minor = cash_after_minor + 1",
    "earlier": "booking_date = booking_date - 1, effective_at = effective_at - interval '1 day'",
    "opening": "(SELECT opening_entry_id FROM statements WHERE opening_entry_id IS NOT NULL LIMIT 1)",
    "break": "(SELECT break_entry_id FROM statements WHERE break_entry_id IS NOT NULL LIMIT 1)",
    "taken_back": "(SELECT journal_entry_id FROM statement_entries WHERE taken_back)",
    "gone": "(SELECT id FROM statement_entries WHERE taken_back LIMIT 1)",
    "beside": "(SELECT s.break_entry_id FROM statements AS s "
    "JOIN statement_imports AS i ON i.id = s.statement_import_id WHERE i.reversed_at IS NOT NULL)",
    "no_ends": ", ".join(
        f"{end}_{name} = NULL"
        for end in ("first", "last")
        for name in ("statement_key", "opening_date", "closing_date", "opening_minor", "reached_minor")
    ),
}


def entry(amount_minor: int, number: int, iban: str | None = ADA) -> Entry:
    """Say that an amount moved on a day, and who was on the other side."""
    on = DAY + dt.timedelta(days=number)
    return Entry(amount_minor, booking_date=on, value_date=on, iban=iban)


def on_day(number: int, *entries: Entry) -> Plan:
    """Say what a statement over one day shows."""
    on = DAY + dt.timedelta(days=number)
    return Plan(list(entries), opening_minor=20_000, first_day=on, last_day=on, sequence=number)


WEEK = Plan(
    [
        entry(500, 0),
        entry(700, 1),
        entry(250, 1, iban=None),
        entry(-300, 2),
        entry(-90, 3, iban=None),
        entry(40, 4),
    ],
    opening_minor=10_000,
    last_day=DAY + dt.timedelta(days=4),
)


@pytest_asyncio.fixture
async def desk(tenancy: Tenancy, tenant_keys: Keys) -> AsyncIterator[Desk]:
    """Where statements came out of order, twice, in two currencies, and with what the bank hasn't booked."""
    desk = Desk(tenancy.database, tenant_keys, tenancy.tenant)
    wallet = await desk.add_wallet((AliasScheme.IBAN, ADA))
    days = daily(WEEK)
    for number in (1, 4, 3, 0, 2):
        await desk.take_in(camt053(days[number]))
    await desk.take_in(camt053(replace(WEEK, sequence=99)))
    await desk.take_in(camt053(days[2]))
    [waiting, *_] = await desk.entries(EntryOutcome.SUSPENSE)
    await desk.assign(waiting.id, wallet)
    pending = camt053(on_day(10, entry(123, 10))).replace(b"<Cd>BOOK</Cd>", b"<Cd>PDNG</Cd>")
    await desk.take_in(pending)
    await desk.take_in(pending)
    # Another currency among the entries, and in the opening balance.
    mixed = camt053(on_day(11, entry(111, 11), entry(222, 11)))
    await desk.take_in(mixed.replace(b'"EUR">2.22', b'"USD">2.22'))
    opened = camt053(on_day(12, entry(333, 12)))
    await desk.take_in(opened.replace(b'"EUR">200.00', b'"USD">200.00'))
    # A statement that doesn't close.
    await desk.take_in(camt053(on_day(13, entry(444, 13))).replace(b'"EUR">204.44', b'"EUR">205.00'))
    # A wrong one, which was taken back.
    wrong = await desk.take_in(camt053(on_day(14, entry(555, 14), entry(-66, 14, iban=None))))
    await desk.take_back(wrong.id)
    yield desk
    await desk.engine.close()


class TestBankStatements:
    """Banks' statements."""

    async def test_that_say_otherwise_than_their_entries_are_found_out(self, tenancy: Tenancy, desk: Desk) -> None:
        """Balances, sums, differences, ends of bank accounts, days and states of entries: each is held."""
        async with desk.database.tx(desk.tenant) as tx:
            found = await tx.fetch("SELECT reached_minor, difference_minor, break_minor FROM statements ORDER BY id")
        assert {None, 0, -56} <= {row["difference_minor"] for row in found}
        assert None in {row["reached_minor"] for row in found}
        assert sum(row["break_minor"] != 0 for row in found) >= 3
        assert await check(desk.database, desk.tenant) == []
        assert await missed(tenancy, desk.tenant, TAMPERING, WORDS) == []
        assert await check(desk.database, desk.tenant) == []
