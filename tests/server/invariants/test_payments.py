"""Payments whose rows say otherwise than the entries that have moved their money, and what finds them out."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest_asyncio

from billfold import ids
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.connectors.service import Notice, Report, Word
from billfold_server.invariants.service import check
from billfold_server.keys.service import Keys
from tests.server.invariants.tampering import missed
from tests.server.payments.desk import PAYEE, Desk
from tests.server.payments.test_collecting import Receiving, collect, credit
from tests.tenants import Tenancy

ENTRIES = "payments_have_their_entries"
PAYMENT = "entries_of_payments_have_their_payment"
RETURNED = "payments_never_return_more"
RETURN = "returns_have_their_entries"
SUSPENSE = "entries_to_suspense_have_their_payment"

TAMPERING = [
    # What became of the money.
    (
        (
            "UPDATE payments SET status = 'RJCT', money = 'returned', reason = 'AC04' "
            "WHERE money = 'settled' AND returned_minor = 0; {steps}"
        ),
        ENTRIES,
    ),
    (
        (
            "UPDATE payments SET status = 'RJCT', money = 'suspense', needs = 'blocked' "
            "WHERE money = 'settled' AND returned_minor = 0; {steps}"
        ),
        ENTRIES,
    ),
    ("UPDATE payments SET status = 'ACSC', money = 'settled' WHERE money = 'returned'; {steps}", ENTRIES),
    ("UPDATE payments SET status = 'RJCT', money = 'returned' WHERE money = 'suspense'; {steps}", ENTRIES),
    (
        "UPDATE payments SET money = 'by_hand', closing_entry_id = NULL WHERE money = 'settled' AND returned_minor = 0",
        ENTRIES,
    ),
    (
        "UPDATE payments SET money = 'by_hand', closing_entry_id = NULL WHERE money = 'settled' AND returned_minor = 0",
        PAYMENT,
    ),
    ("UPDATE payments SET money = 'by_hand' WHERE money = 'under_way' AND amount_minor = 3000", ENTRIES),
    ("UPDATE payments SET money = 'by_hand', closing_entry_id = NULL WHERE money = 'suspense'", SUSPENSE),
    # By which entries.
    ("UPDATE payments SET closing_entry_id = {top_up} WHERE money = 'settled'", ENTRIES),
    ("UPDATE payments SET closing_entry_id = {top_up} WHERE money = 'settled'", PAYMENT),
    ("UPDATE payments SET closing_entry_id = {top_up} WHERE money = 'suspense'", ENTRIES),
    (
        "UPDATE payments SET closing_entry_id = {top_up} WHERE id = {returned}",
        ENTRIES,
    ),
    ("UPDATE payments SET journal_entry_id = closing_entry_id WHERE money = 'settled'", ENTRIES),
    ("UPDATE payments SET journal_entry_id = {top_up} WHERE money = 'under_way' AND amount_minor = 3000", PAYMENT),
    ("UPDATE payments SET journal_entry_id = {top_up} WHERE money = 'inside'", ENTRIES),
    (
        "UPDATE payments SET closing_entry_id = {another} WHERE money = 'settled' AND amount_minor = 2000",
        ENTRIES,
    ),
    # What, and by which way.
    ("UPDATE payments SET currency = 'USD' WHERE money = 'settled'", ENTRIES),
    ("UPDATE payments SET currency = 'USD' WHERE money = 'inside'", ENTRIES),
    ("UPDATE payments SET amount_minor = amount_minor + 1 WHERE money = 'returned'", ENTRIES),
    ("UPDATE payments SET rail = 'another' WHERE money = 'settled'", ENTRIES),
    # Whether there are any.
    ("{texts}; DELETE FROM payments WHERE money = 'settled'", PAYMENT),
    ("{texts}; DELETE FROM payments WHERE money = 'returned'", PAYMENT),
    ("{texts}; DELETE FROM payments WHERE money = 'suspense'", SUSPENSE),
    # What banks have sent back of them.
    ("UPDATE payments SET returned_minor = 1 WHERE money = 'settled'", RETURNED),
    ("UPDATE payments SET returned_minor = 0 WHERE returned_minor > 0", RETURNED),
    ("UPDATE payment_returns SET amount_minor = amount_minor + 1", RETURNED),
    ("UPDATE payment_returns SET payment_id = {returned}", RETURNED),
    ("DELETE FROM payment_returns", RETURNED),
    ("{more}", RETURN),
    ("UPDATE payment_returns SET journal_entry_id = {another}", RETURN),
    ("UPDATE payment_returns SET journal_entry_id = {top_up}", RETURN),
]
"""What is done to payments, each from the same beginning, and which invariant finds it at the least."""

WORDS = {
    "steps": "UPDATE payment_steps AS s SET status = p.status FROM payments AS p WHERE p.id = s.payment_id",
    "texts": "DELETE FROM payment_texts; DELETE FROM payment_steps",
    "top_up": "(SELECT id FROM journal_entries WHERE kind = 'top_up' ORDER BY id LIMIT 1)",
    "more": (
        "UPDATE payments SET returned_minor = 301 WHERE returned_minor > 0; "
        "UPDATE payment_returns SET amount_minor = 301"
    ),
    "returned": "(SELECT id FROM payments WHERE money = 'returned' ORDER BY id LIMIT 1)",
    "another": "(SELECT closing_entry_id FROM payments WHERE money = 'settled' AND amount_minor = 1000 LIMIT 1)",
}


@pytest_asyncio.fixture
async def desk(tenancy: Tenancy, tenant_keys: Keys) -> AsyncIterator[Desk]:
    """A bank at which payments have ended in every way there is."""
    desk = await Desk.open(tenancy, tenant_keys)
    await desk.pay(to=PAYEE)
    for amount in (1_000, 2_000):
        await said(desk, await desk.pay(amount), "settle")
    await said(desk, await desk.pay(), "reject")
    await desk.pay(3_000)
    await said(desk, await desk.pay(), "block")
    for outcome in ("settled", "returned"):
        blocked = await desk.pay()
        await said(desk, blocked, "block")
        assert await desk.resolve(blocked, outcome) is None
    undone = await desk.pay()
    await desk.undo_by_hand(undone)
    await said(desk, undone, "settle")
    assert await desk.resolve(undone, "noted") is None
    back = await desk.pay(4_000)
    await said(desk, back, "settle")
    returned = credit(amount=Money(300, "EUR"), returns=ids.encode(Prefix.PAYMENT, back))
    assert (await collect(desk, Receiving(returned))).refused is None
    yield desk
    await desk.bench.engine.close()


async def said(desk: Desk, payment_id: UUID, word: Word) -> None:
    """Let the rail say a word of a payment."""
    await desk.hear(payment_id, Report(notices=(Notice(id=word, word=word),)))


class TestPayments:
    """Payments."""

    async def test_that_say_otherwise_than_their_entries_are_found_out(self, tenancy: Tenancy, desk: Desk) -> None:
        """What became of the money, by which entries, how much, in what: each is held to the journal, and back."""
        async with desk.bank.tx() as tx:
            rows = await tx.fetch("SELECT money FROM payments")
        assert {row["money"] for row in rows} == {"inside", "under_way", "settled", "returned", "suspense", "by_hand"}
        assert await check(desk.bench.database, desk.tenant) == []
        assert await missed(tenancy, desk.tenant, TAMPERING, WORDS) == []
        assert await check(desk.bench.database, desk.tenant) == []
