"""Money that a bank sends back of a payment: together never more than was paid, whatever else is said of it."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from billfold import errors, ids
from billfold.contract.ledger import ReverseJournalEntry
from billfold.contract.payments import PaymentBreak, PaymentStatus
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.connectors.service import Notice, Report
from billfold_server.invariants.service import check
from billfold_server.ledger import kinds as ledger_kinds
from billfold_server.ledger.export import export_ledger
from billfold_server.ledger.importing import import_ledger
from billfold_server.payments import service
from billfold_server.payments.moving import UNCLAIMED
from billfold_server.tenancy.context import COMMAND_LINE
from billfold_server.wallets import kinds as wallet_kinds
from tests.server.payments.desk import OPENED_MINOR, Desk
from tests.server.payments.test_collecting import Receiving, collect, credit


def said(*words: str) -> Report:
    """Return what a rail says, each word for the first time."""
    return Report(notices=tuple(Notice(id=f"n-{word}", word=word) for word in words))  # type: ignore[arg-type]


def returned(payment_id: UUID, amount_minor: int, key: str, currency: str = "EUR") -> Receiving:
    """Return a rail that brings back money of a payment."""
    amount = Money(amount_minor, currency)
    return Receiving(credit(key=key, amount=amount, returns=ids.encode(Prefix.PAYMENT, payment_id), reason="AC04"))


async def bring(desk: Desk, payment_id: UUID, amount_minor: int, key: str, currency: str = "EUR") -> str | None:
    """Bring money back, and return why it was refused, if it was."""
    return (await collect(desk, returned(payment_id, amount_minor, key, currency))).refused


async def settled(desk: Desk, amount_minor: int = 500) -> UUID:
    """Return a payment that has left."""
    payment_id = await desk.pay(amount_minor)
    await desk.hear(payment_id, said("settle"))
    return payment_id


async def owed(desk: Desk) -> int:
    """Return what is owed to holders of wallets that can't take it."""
    async with desk.bank.tx() as tx:
        chart = await desk.bench.chart(tx)
    return chart[UNCLAIMED, "EUR"].balance_minor if (UNCLAIMED, "EUR") in chart else 0


class TestSeveralReturnsOfOnePayment:
    async def test_are_summed_and_bring_back_no_more_than_was_paid(self, desk: Desk) -> None:
        """Parts come back until all of it is back; what would be more goes to where it came from."""
        payment_id = await settled(desk)
        answers = [await bring(desk, payment_id, minor, f"in_{place}") for place, minor in enumerate((200, 200, 200))]
        assert answers == [None, None, errors.ReturnExceedsPayment.code]
        assert await bring(desk, payment_id, 100, "in_4") is None
        assert await bring(desk, payment_id, 1, "in_5") == errors.PaymentNotReturnable.code
        row = await desk.payment(payment_id)
        assert (row.returned_minor, row.status) == (500, PaymentStatus.SETTLED)
        assert await desk.bench.balance(0) == OPENED_MINOR
        assert [each.word for each in await desk.steps(payment_id)][-3:] == ["return"] * 3
        await desk.check()

    async def test_that_come_at_once_are_summed_all_the_same(self, desk: Desk) -> None:
        """Ten returns of the whole come in at one moment under ten names: one is booked."""
        payment_id = await settled(desk)
        answers = await asyncio.gather(*(bring(desk, payment_id, 500, f"in_{place}") for place in range(10)))
        assert sorted(map(str, answers)) == ["None"] + [errors.PaymentNotReturnable.code] * 9
        assert await desk.bench.balance(0) == OPENED_MINOR
        await desk.check()

    async def test_are_told_of_one_by_one(self, desk: Desk) -> None:
        """Whoever listens learns how much is back, though the payment's status stays."""
        payment_id = await settled(desk)
        await bring(desk, payment_id, 200, "in_1")
        async with desk.bank.tx() as tx:
            data = await tx.fetchval(
                "SELECT data::text FROM outbox_events WHERE type = 'payment.updated' ORDER BY id DESC LIMIT 1"
            )
        assert '"returned_minor":200' in data.replace(" ", "")

    async def test_are_in_the_currency_that_was_paid(self, desk: Desk) -> None:
        """Other money isn't this payment's, and opens no account in the payer's wallet."""
        payment_id = await settled(desk)
        assert await bring(desk, payment_id, 500, "in_1", "USD") == errors.CurrencyMismatch.code
        assert (await desk.payment(payment_id)).returned_minor == 0

    async def test_are_held_to_it_by_the_database(self, desk: Desk) -> None:
        """A row that says more is back than was paid is refused, whoever writes it."""
        payment_id = await settled(desk)
        for minor in (501, -1):
            with pytest.raises(asyncpg.CheckViolationError):
                await _set(desk, payment_id, minor)


async def _set(desk: Desk, payment_id: UUID, minor: int) -> None:
    async with desk.bank.tx() as tx:
        await tx.execute("UPDATE payments SET returned_minor = $2 WHERE id = $1", payment_id, minor)


class TestAReturnOfAPaymentThatIsUnderWay:
    async def test_says_that_it_had_left(self, desk: Desk) -> None:
        """What a rail brings back it had: so the payment is settled, and nothing of it waits any more."""
        payment_id = await desk.pay(500)
        assert await bring(desk, payment_id, 500, "in_1") is None
        row = await desk.payment(payment_id)
        assert (row.status, row.money, row.returned_minor) == (PaymentStatus.SETTLED, "settled", 500)
        assert await desk.balances() == (OPENED_MINOR, 0, 0, 500, 0)
        await desk.check()

    async def test_leaves_nothing_for_a_rejection_to_give_back(self, desk: Desk) -> None:
        """A rail that brings money back and rejects it then contradicts itself, and the payer is given it once."""
        payment_id = await desk.pay(500)
        await bring(desk, payment_id, 500, "in_1")
        await desk.hear(payment_id, said("reject"))
        row = await desk.payment(payment_id)
        assert (row.status, row.needs) == (PaymentStatus.SETTLED, PaymentBreak.CONTRADICTION)
        assert await desk.bench.balance(0) == OPENED_MINOR
        await desk.check()

    async def test_or_comes_with_a_rejection_gives_it_back_once(self, desk: Desk) -> None:
        """Whichever of both is first, the other one is refused or noted."""
        payment_id = await desk.pay(500)
        await asyncio.gather(bring(desk, payment_id, 500, "in_1"), desk.hear(payment_id, said("reject")))
        assert await desk.bench.balance(0) == OPENED_MINOR
        await desk.check()

    async def test_ends_a_block(self, desk: Desk) -> None:
        """What waited for somebody because the rail had blocked it can't be given back once more by hand."""
        payment_id = await desk.pay(500)
        await desk.hear(payment_id, said("block"))
        assert await bring(desk, payment_id, 500, "in_1") is None
        row = await desk.payment(payment_id)
        assert (row.status, row.money, row.needs) == (PaymentStatus.SETTLED, "settled", None)
        assert isinstance(await desk.resolve(payment_id, "returned"), errors.PaymentNotResolvable)
        assert await desk.balances() == (OPENED_MINOR, 0, 0, 500, 0)
        await desk.check()

    async def test_is_refused_where_staff_has_given_part_of_it_back(self, desk: Desk) -> None:
        """Both together would be more than was paid; it is theirs to put right by hand."""
        payment_id = await desk.pay(500)
        entry_id = (await desk.payment(payment_id)).journal_entry_id
        order = ledger_kinds.Reversal(entry_id, ReverseJournalEntry(amount_minor=100, reason="by hand"))
        assert (await desk.bench.submit(ledger_kinds.REVERSE_JOURNAL_ENTRY, order)).error is None
        assert await bring(desk, payment_id, 500, "in_1") == errors.PaymentNotReturnable.code
        assert await desk.bench.balance(0) == OPENED_MINOR - 400
        await desk.check()

    async def test_can_not_be_undone_by_hand_besides(self, desk: Desk) -> None:
        """Once it came back as a return, the payment's own entries stay as they are."""
        payment_id = await desk.pay(500)
        await bring(desk, payment_id, 100, "in_1")
        row = await desk.payment(payment_id)
        for entry_id in (row.journal_entry_id, row.closing_entry_id):
            assert entry_id is not None
            order = ledger_kinds.Reversal(entry_id, ReverseJournalEntry(reason="by hand"))
            answer = await desk.bench.submit(ledger_kinds.REVERSE_JOURNAL_ENTRY, order)
            assert isinstance(answer.error, errors.EntryNotReversible)
        await desk.check()


class TestAReturnThatTheWalletCantTake:
    @pytest.mark.parametrize("step", ["freeze", "close"])
    async def test_is_owed_to_its_holder(self, desk: Desk, step: str) -> None:
        """A return can't be sent back once more; it counts as returned, and waits where the bank pays out by hand."""
        payment_id = await settled(desk, OPENED_MINOR)
        await desk.freeze(step)
        rail = returned(payment_id, 300, "in_1")
        first = await collect(desk, rail)
        assert (first.refused, first.unclaimed, first.top_up_id, rail.told) == (None, True, None, [True])
        assert await collect(desk, rail) == first
        assert (await desk.bench.balance(0), await owed(desk)) == (0, 300)
        assert await bring(desk, payment_id, OPENED_MINOR, "in_2") == errors.ReturnExceedsPayment.code
        assert (await desk.payment(payment_id)).returned_minor == 300
        await desk.check()

    async def test_is_not_undone_by_hand(self, desk: Desk) -> None:
        """What is owed to many lies on one account, and may have been paid out."""
        payment_id = await settled(desk)
        await desk.freeze()
        await bring(desk, payment_id, 500, "in_1")
        async with desk.bank.tx() as tx:
            entry_id = await tx.fetchval("SELECT journal_entry_id FROM payment_returns")
        order = ledger_kinds.Reversal(entry_id, ReverseJournalEntry(reason="by hand"))
        answer = await desk.bench.submit(ledger_kinds.REVERSE_JOURNAL_ENTRY, order)
        assert isinstance(answer.error, errors.EntryNotReversible)


async def undo(desk: Desk, top_up_id: str | None, amount_minor: int | None = None, *, entry: bool = False) -> None:
    """Reverse what a return has brought, as staff does: as a top-up, or as the journal entry that it is, too."""
    key = ids.decode(Prefix.TOP_UP, str(top_up_id))
    order = ReverseJournalEntry(amount_minor=amount_minor, reason="It was another payment's")
    if entry:
        answer = await desk.bench.submit(ledger_kinds.REVERSE_JOURNAL_ENTRY, ledger_kinds.Reversal(key, order))
    else:
        reversal = wallet_kinds.TransferReversal("top_up", key, order)
        answer = await desk.bench.submit(wallet_kinds.REVERSE_TRANSFER, reversal)
    if answer.error is not None:
        raise answer.error


class TestAReturnThatStaffTakesBack:
    @pytest.mark.parametrize("entry", [False, True])
    async def test_frees_its_amount_for_the_right_one(self, desk: Desk, *, entry: bool) -> None:
        """It was booked by mistake, so the money is outside again: the corrected return is booked in full."""
        payment_id = await settled(desk)
        wrong = await collect(desk, returned(payment_id, 500, "in_1"))
        await undo(desk, wrong.top_up_id, entry=entry)
        row = await desk.payment(payment_id)
        assert (row.returned_minor, row.status, row.money) == (0, PaymentStatus.SETTLED, "settled")
        assert await desk.bench.balance(0) == OPENED_MINOR - 500
        await desk.check()
        assert await bring(desk, payment_id, 500, "in_2") is None
        assert await bring(desk, payment_id, 1, "in_3") == errors.PaymentNotReturnable.code
        assert await desk.bench.balance(0) == OPENED_MINOR
        await desk.check()

    async def test_in_part_frees_as_much_and_no_more(self, desk: Desk) -> None:
        """Of two returns a part of one is undone, and then its rest."""
        payment_id = await settled(desk)
        first = await collect(desk, returned(payment_id, 300, "in_1"))
        await bring(desk, payment_id, 200, "in_2")
        await undo(desk, first.top_up_id, 100)
        assert await bring(desk, payment_id, 101, "in_3") == errors.ReturnExceedsPayment.code
        await undo(desk, first.top_up_id)
        assert (await desk.payment(payment_id)).returned_minor == 200
        with pytest.raises(errors.ReversalExceedsEntry):
            await undo(desk, first.top_up_id)
        assert await bring(desk, payment_id, 300, "in_4") is None
        assert await desk.bench.balance(0) == OPENED_MINOR
        await desk.check()

    async def test_is_not_booked_once_more_under_its_own_name(self, desk: Desk) -> None:
        """A rail that hasn't heard that it was booked hears so, whatever has become of it since; no money moves."""
        payment_id = await settled(desk)
        rail = returned(payment_id, 500, "in_1")
        first = await collect(desk, rail)
        await undo(desk, first.top_up_id)
        rail.told.clear()
        assert await collect(desk, rail) == first
        assert await desk.bench.balance(0) == OPENED_MINOR - 500
        await desk.check()

    async def test_is_told_of_with_its_payment(self, desk: Desk) -> None:
        """Whoever listens learns how much of it is still back, and the payment's steps say what was done."""
        payment_id = await settled(desk)
        first = await collect(desk, returned(payment_id, 300, "in_1"))
        await undo(desk, first.top_up_id, 100)
        async with desk.bank.tx() as tx:
            data = await tx.fetchval(
                "SELECT data::text FROM outbox_events WHERE type = 'payment.updated' ORDER BY id DESC LIMIT 1"
            )
        assert '"returned_minor":200' in data.replace(" ", "")
        assert [(each.word, each.effect) for each in await desk.steps(payment_id)][-2:] == [
            ("return", "moves"),
            ("return_undone", "moves"),
        ]

    async def test_while_others_come_in_brings_no_more_than_was_paid(self, desk: Desk) -> None:
        """Ten returns of the whole and the reversal at one moment: what is back is what one has brought, or none."""
        payment_id = await settled(desk)
        first = await collect(desk, returned(payment_id, 500, "in_0"))
        more = [bring(desk, payment_id, 500, f"in_{place}") for place in range(1, 11)]
        answers = await asyncio.gather(*more[:5], undo(desk, first.top_up_id), *more[5:])
        back = (await desk.payment(payment_id)).returned_minor
        assert back == 500 * (answers.count(None) - 1)  # The reversal answers nothing, either.
        assert await desk.bench.balance(0) == OPENED_MINOR - 500 + back
        await desk.check()

    async def test_stays_counted_where_the_wallet_has_spent_it(self, desk: Desk) -> None:
        """What isn't there can't be taken out again, so nothing is freed."""
        payment_id = await settled(desk, OPENED_MINOR)
        first = await collect(desk, returned(payment_id, 500, "in_1"))
        await desk.pay(500)
        with pytest.raises(errors.InsufficientFunds):
            await undo(desk, first.top_up_id)
        assert (await desk.payment(payment_id)).returned_minor == 500
        await desk.check()

    async def test_that_isnt_freed_is_found(self, desk: Desk) -> None:
        """The daily check compares what a payment counts with its returns less what was reversed of them."""
        payment_id = await settled(desk)
        first = await collect(desk, returned(payment_id, 500, "in_1"))
        await undo(desk, first.top_up_id)
        await _set(desk, payment_id, 500)
        breaches = await check(desk.bank.tenancy.database, desk.tenant)
        assert [each.invariant for each in breaches] == ["payments_never_return_more"]


class TestAReturnThatIsThereTwice:
    async def test_is_booked_once_under_its_name(self, desk: Desk) -> None:
        """A rail that tells of it again hears the same again."""
        payment_id = await settled(desk)
        rail = returned(payment_id, 200, "in_1")
        first = await collect(desk, rail)
        rail.told.clear()
        assert await collect(desk, rail) == first
        assert (await desk.payment(payment_id)).returned_minor == 200


class TestBooksThatWereMoved:
    @pytest.mark.parametrize("older", [False, True])
    async def test_know_what_came_back(self, desk: Desk, *, older: bool) -> None:
        """Where they went, too, all returns together bring no more than was paid; older exports tell of none."""
        payment_id = await settled(desk)
        if not older:
            await bring(desk, payment_id, 300, "in_1")
        database, services = desk.bank.tenancy.database, desk.bank.services
        other = await desk.bank.tenancy.add("elsewhere")
        lines = [line async for line in export_ledger(database, desk.tenant)]
        if older:
            lines = [line.replace(b'"returned_minor":0,', b"") for line in lines]
        await import_ledger(database, other, lines, caller=COMMAND_LINE)
        answers = []
        for place, minor in enumerate((501 if older else 300, 500 if older else 200)):
            rail = returned(payment_id, minor, f"back_{place}")
            answers.append((await service.collect(services, other, rail, "scripted", rail.credit.key)).refused)
        assert answers == [errors.ReturnExceedsPayment.code, None]
        assert await check(database, other) == []
