"""Money that a rail has for customers here: booked once, or sent back, whatever the rail says of it."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from billfold import errors, ids
from billfold.contract.wallets import AliasScheme
from billfold.ids import Prefix
from billfold.money import Money
from billfold_server.connectors.service import Account, Credit, Notice, Report
from billfold_server.http import idempotency
from billfold_server.payments import service
from billfold_server.wallets import kinds as wallet_kinds
from billfold_server.wallets.rows import AliasKey
from tests.server.payments.desk import OPENED_MINOR, PAYEE, Desk


class Receiving:
    """A rail that has some money, and keeps what it is told of it."""

    def __init__(self, credit: Credit) -> None:
        self.credit = credit
        self.told: list[bool] = []

    async def find_credit(self, key: str) -> Credit | None:
        """Return it by its name, until it was told what has become of it."""
        return self.credit if key == self.credit.key and not self.told else None

    async def answer(self, key: str, *, taken: bool) -> None:
        """Hear whether it was booked."""
        assert key == self.credit.key
        self.told.append(taken)


def credit(**facts: object) -> Credit:
    """Return money for the payee."""
    made = Credit(
        key="in_1",
        amount=Money(500, "EUR"),
        debtor=Account(scheme="iban", identification="GB33BUKB20201555555555", name="Ada Lovelace"),
        creditor=Account(scheme="sort_code_account_number", identification=PAYEE),
        end_to_end_id="e2e-9",
    )
    return msgspec.structs.replace(made, **facts)


async def collect(desk: Desk, rail: Receiving) -> service.Collected:
    """Fetch the money."""
    return await service.collect(desk.bank.services, desk.tenant, rail, "scripted", rail.credit.key)


class TestMoneyThatARailBringsBack:
    @pytest.mark.parametrize("returns", ["", "1234", "pay_nothing", "wal_00000000000000000000000000", "\x00", "é"])
    async def test_is_sent_back_where_it_names_no_payment_of_ours(self, desk: Desk, returns: str) -> None:
        """An id that isn't one names nothing, as an id of no payment does: refused, told to the rail, and once."""
        rail = Receiving(credit(returns=returns))
        assert await collect(desk, rail) == await collect(desk, rail)
        unknown = Receiving(credit(returns=ids.encode(Prefix.PAYMENT, ids.uuid7())))
        answers = [await collect(desk, each) for each in (rail, unknown)]
        assert [each.refused for each in answers] == [errors.CreditorUnknown.code] * 2
        assert (rail.told, unknown.told) == ([False], [False])
        assert await desk.balances() == (OPENED_MINOR, 0, 0, 0, 0)

    async def test_is_whose_payment_it_was(self, desk: Desk) -> None:
        """Whichever account the rail names as the payee's, a return goes to who had paid."""
        payment_id = await desk.pay(500)
        rail = Receiving(credit(returns=ids.encode(Prefix.PAYMENT, payment_id)))
        told = await collect(desk, rail)
        assert (told.refused, rail.told, await desk.bench.balance(0)) == (None, [True], OPENED_MINOR)

    @pytest.mark.parametrize("before", ["inside", "rejected", "by_another"])
    async def test_is_sent_back_where_it_has_not_left_or_is_back(self, desk: Desk, before: str) -> None:
        """Who has paid inside, by another rail, or has their money back already, isn't paid for it by this one."""
        payment_id = await desk.pay(500, **({"to": PAYEE} if before == "inside" else {}))
        if before == "rejected":
            await desk.hear(payment_id, Report(notices=(Notice(id="n1", word="reject"),)))
        has = await desk.bench.balance(0)
        rail = Receiving(credit(returns=ids.encode(Prefix.PAYMENT, payment_id)))
        name = "other" if before == "by_another" else "scripted"
        told = await service.collect(desk.bank.services, desk.tenant, rail, name, rail.credit.key)
        refusal = errors.PaymentNotReturnable if before == "rejected" else errors.CreditorUnknown
        assert (told.refused, rail.told) == (refusal.code, [False])
        assert await desk.bench.balance(0) == has
        await desk.check()


class TestMoneyOfWhichTheRailHearsLate:
    async def test_is_not_sent_back_because_its_wallet_has_lost_the_name(self, desk: Desk) -> None:
        """Who died between booking and saying so is told again what was booked, though its name is nobody's by then."""
        key = AliasKey(AliasScheme.SORT_CODE_ACCOUNT_NUMBER, PAYEE)
        rail = Receiving(credit())
        first = await collect(desk, rail)
        rail.told.clear()
        async with desk.bank.tx() as tx:
            alias = await tx.fetchval("SELECT id FROM wallet_aliases WHERE normal_value = $1", PAYEE)
        removal = wallet_kinds.AliasRemoval(desk.payee_id, alias, key)
        assert (await desk.bench.submit(wallet_kinds.REMOVE_ALIAS, removal)).error is None
        assert await collect(desk, rail) == first
        assert (first.refused, rail.told, await desk.bench.balance(1)) == (None, [True], 500)


class TestMoneyThatComesInWithOddWords:
    @pytest.mark.parametrize(
        "facts",
        [
            {"reference": "a\x00b"},
            {"reference": "\ud800"},
            {"end_to_end_id": "\x00"},
            {"key": "k" * 400},
            {"key": "k\x00"},
        ],
    )
    async def test_is_booked_once(self, desk: Desk, facts: dict[str, object]) -> None:
        """What can't be written down of its words is no reason to leave a customer without their money."""
        rail = Receiving(credit(**facts))
        first = await collect(desk, rail)
        assert (await collect(desk, rail), rail.told) == (first, [True])
        assert (first.refused, await desk.bench.balance(1)) == (None, 500)

    @pytest.mark.parametrize(
        "facts",
        [
            {"amount": Money(10**15 + 1, "EUR")},
            {"amount": Money(0, "EUR")},
            {"amount": Money(-1, "EUR")},
            {"creditor": Account(scheme="sort_code_account_number", identification="\x00")},
            {"creditor": Account(scheme="reference", identification="\ud800")},
        ],
    )
    async def test_is_sent_back_where_it_is_no_money_of_anybody_here(
        self, desk: Desk, facts: dict[str, object]
    ) -> None:
        """An amount that nothing can be of, and a number that names nobody, go back; no wallet pays for them."""
        rail = Receiving(credit(**facts))
        assert ((await collect(desk, rail)).refused is not None, rail.told) == (True, [False])
        assert await desk.balances() == (OPENED_MINOR, 0, 0, 0, 0)

    async def test_is_known_again_for_as_long_under_any_name(self, desk: Desk) -> None:
        """A rail that hears late of what was booked isn't paid twice because its names have blanks."""
        rail = Receiving(credit(key="in 1"))
        first = await collect(desk, rail)
        rail.told.clear()
        async with desk.bank.tx() as tx:
            # What is forgotten a day later, as keys of other standards' interfaces are.
            assert await idempotency.expire_of_others(tx, datetime.now(UTC) + timedelta(days=1), 100) == 0
        assert await collect(desk, rail) == first
        assert await desk.bench.balance(1) == 500
