"""Payments that a client of the bank's own orders, as the ledger decides them: under no consent, else like others."""

import asyncio
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from billfold import errors, ids
from billfold.contract.payments import Payment, PaymentBreak, PaymentKind
from billfold.ids import Prefix
from billfold_server.connectors.service import Word
from billfold_server.invariants.service import check
from billfold_server.ledger.export import export_ledger
from billfold_server.ledger.importing import import_ledger
from billfold_server.payments import service
from billfold_server.tenancy.context import COMMAND_LINE
from billfold_server.wallets.service import get_wallet
from tests.server.ledger.books import Bench
from tests.server.payments.desk import OPENED_MINOR, PAYEE, Desk
from tests.server.payments.test_hearing import BACK, GONE, PARKED, UNDER_WAY, said


class TestAPaymentOfTheBanksOwnClient:
    async def test_is_under_no_consent(self, desk: Desk) -> None:
        """It is its client's, of a kind of its own, and out of the wallet that it names."""
        answer = await desk.give_own(await desk.order_own(to=PAYEE))
        shown = msgspec.json.decode(answer.body, type=Payment)
        row = await desk.payment(ids.decode(Prefix.PAYMENT, shown.id))
        assert (row.kind, row.consent_id, row.client_id) == (PaymentKind.CREDIT_TRANSFER, None, desk.client_id)
        async with desk.bank.tx() as tx:
            wallet = await get_wallet(tx, desk.bank.wallet_ids[0])
        assert (row.party_id, row.wallet_id) == (wallet.party_id, wallet.id)
        assert [step.status for step in shown.steps] == [step.status for step in await desk.steps(row.id)]
        assert await desk.balances() == (OPENED_MINOR - 1_000, 1_000, 0, 0, 0)
        await desk.check()

    async def test_is_kept_for_copies_without_what_it_says_of_people(self, desk: Desk) -> None:
        """The answer that lies beside the key tells neither payee nor reference, whose texts are sealed."""
        answer = await desk.give_own(await desk.order_own(), "key")
        shown = msgspec.json.decode(answer.body, type=Payment)
        assert (shown.creditor_name, shown.creditor_account, shown.reference) == (None, None, None)
        assert b"Grace" not in answer.body
        (told,) = await service.show(
            desk.bank.services, desk.tenant, [await desk.payment(ids.decode(Prefix.PAYMENT, shown.id))]
        )
        assert (told.creditor_name, told.reference) == ("Grace Hopper", "Invoice 4711")

    @pytest.mark.parametrize(
        ("words", "status", "balances"),
        [
            (("accept",), "ACSP", UNDER_WAY),
            (("accept", "settle"), "ACSC", GONE),
            (("accept", "cancel"), "CANC", BACK),
            (("accept", "block"), "BLCK", PARKED),
        ],
    )
    async def test_goes_the_way_of_others_at_the_rail(
        self, desk: Desk, words: tuple[Word, ...], status: str, balances: tuple[int, ...]
    ) -> None:
        """It is given to the rail once, and what that says takes its money on or brings it back."""
        payment_id = await desk.pay_own()
        assert await desk.balances() == UNDER_WAY
        desk.rail.said = said(*words)
        assert await desk.turn(payment_id)
        assert ((await desk.payment(payment_id)).status, desk.rail.given) == (status, 1)
        assert await desk.balances() == balances
        await desk.check()

    async def test_needs_somebody_where_the_rail_contradicts_itself(self, desk: Desk) -> None:
        """The first word counts, and whoever has looked at it says so."""
        payment_id = await desk.pay_own()
        desk.rail.said = said("settle", "reject")
        await desk.turn(payment_id)
        assert (await desk.payment(payment_id)).needs is PaymentBreak.CONTRADICTION
        assert await desk.resolve(payment_id, "noted") is None
        assert (await desk.payment(payment_id)).needs is None
        assert await desk.balances() == GONE
        await desk.check()

    async def test_pays_once_under_many_copies_of_one_key(self, desk: Desk) -> None:
        """All copies are answered with the one payment that there is."""
        orders = [await desk.order_own() for _ in range(100)]
        answers = await asyncio.gather(*(desk.give_own(order, "key") for order in orders))
        assert len({answer.body for answer in answers}) == 1
        assert sum(not answer.replayed for answer in answers) == 1
        assert await desk.balances() == UNDER_WAY
        await desk.check()

    async def test_leaves_nothing_where_it_is_refused(self, desk: Desk) -> None:
        """Whatever refuses it, no payment, no text, no job and no money has moved."""
        own = desk.bank.wallet_ids[0]
        refused = {
            errors.InsufficientFunds: await desk.order_own(OPENED_MINOR + 1),
            errors.CreditorUnknown: await desk.order_own(to=uuid4()),
            errors.SameWallet: await desk.order_own(to=own),
            errors.RailMissing: msgspec.structs.replace(await desk.order_own(), rail=None),
        }
        for error, order in refused.items():
            assert type((await desk.give_own(order)).error) is error
        with pytest.raises(errors.NotFound):
            await desk.give_own(msgspec.structs.replace(await desk.order_own(), wallet_id=uuid4()))
        await desk.freeze()
        assert isinstance((await desk.give_own(await desk.order_own())).error, errors.WalletFrozen)
        async with desk.bank.tx() as tx:
            left = [
                await tx.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - constants
                for table in ("payments", "payment_texts", "payment_steps")
            ]
            jobs = await tx.fetchval("SELECT count(*) FROM jobs WHERE kind = $1", service.ASK_JOB)
        assert (left, jobs, (await desk.balances())[0]) == ([0, 0, 0], 0, OPENED_MINOR)
        await desk.check()

    async def test_moves_with_the_books(self, desk: Desk) -> None:
        """An export has it, and at another tenant it is what it was, beside one of a third party."""
        payments = [await desk.pay_own(to=PAYEE), await desk.pay_own(), await desk.pay(to=PAYEE)]
        tenancy = desk.bank.tenancy
        other = Bench(desk.bench.engine, tenancy.database, await tenancy.add("elsewhere"))
        lines = [line async for line in export_ledger(tenancy.database, desk.tenant)]
        await import_ledger(other.database, other.tenant, lines, caller=COMMAND_LINE)
        async with other.database.tx(other.tenant) as tx:
            moved = [await service.get_payment(tx, each) for each in payments]
        assert moved == [await desk.payment(each) for each in payments]
        assert [each.consent_id is None for each in moved] == [True, True, False]
        assert await check(other.database, other.tenant) == []


class TestAPaymentOfAThirdParty:
    async def test_is_never_without_a_consent(self, desk: Desk) -> None:
        """The table itself refuses one, and a consent of what has none."""
        await desk.pay()
        own = await desk.pay_own()
        for change in (
            "UPDATE payments SET consent_id = NULL WHERE consent_id IS NOT NULL",
            f"UPDATE payments SET consent_id = id WHERE id = '{own}'",  # noqa: S608 - an id
        ):
            with pytest.raises(asyncpg.CheckViolationError):
                await desk.bank.tenancy.as_owner(desk.tenant, change)
