"""Payments under consents for recurring ones: exact at every limit, however many come at once."""

import asyncio
import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from billfold import errors, ids
from billfold.contract.payments import PaymentStatus
from billfold_server.connectors.service import Notice, Report
from billfold_server.consents import service as consents
from billfold_server.consents.service import Consent
from billfold_server.ledger.engine import Engine
from billfold_server.ledger.protocol import Answer
from billfold_server.payments import service
from billfold_server.payments.control_parameters import Amount, ControlParameters, Order, PeriodicLimit, periods_on
from billfold_server.payments.service import day_of, write_terms
from billfold_server.tenancy.context import IdempotencyRef
from tests.server.consents.consenting import caller_of
from tests.server.ledger.books import open_engine
from tests.server.payments.desk import OPENED_MINOR, Desk
from tests.server.payments.test_control_parameters import KINDS, NOT_REQUIRED, SWEEPING
from tests.soak import SOAK, many

AT_ONCE = 500


@dataclass
class Till:
    """A bank whose payer lets a third party pay again and again, with two workers."""

    desk: Desk
    engines: list[Engine]

    async def consent(self, *limits: tuple[Any, Any, int], maximum_minor: int = 10_000, **facts: Any) -> Consent:
        """Return a consent with these limits, authorised."""
        agreed = ControlParameters(
            maximum_individual=Amount(maximum_minor, "EUR"),
            periodic_limits=tuple(
                PeriodicLimit(period_type=kind, period_alignment=alignment, amount_minor=amount, currency="EUR")
                for kind, alignment, amount in limits
            ),
            vrp_types=(SWEEPING,),
            authentication_methods=(NOT_REQUIRED,),
            **facts,
        )
        asked = await self.desk.bank.ask(
            self.desk.client_id, kind="domestic_vrp", terms=write_terms(agreed), repeated=b"the order"
        )
        return await self.desk.bank.authorise(asked)

    async def order(self, consent: Consent, amount_minor: int, *, to: Any = "outside", **facts: Any) -> service.Order:
        """Return an order for a payment under it."""
        order = await self.desk.order(consent, amount_minor, to=to, said=facts.pop("said", b"the order"))
        asked = {"vrp_type": SWEEPING, "authentication_method": NOT_REQUIRED, **facts}
        return msgspec.structs.replace(order, facts=Order(amount_minor=amount_minor, currency="EUR", **asked))

    async def give(
        self, consent: Consent, order: service.Order, *, key: str | None = None, worker: int = 0
    ) -> Answer | errors.ProblemError:
        """Give an order to one of the workers, and return its answer or what refuses it."""
        reference = None
        if key is not None:
            reference = IdempotencyRef(client_id=consent.client_id, key=key, fingerprint=bytes(32))
        caller = caller_of(consent.client_id, consent.id)
        engine, kind = self.engines[worker], service.INITIATE_RECURRING
        try:
            answer = await engine.submit(self.desk.tenant, caller, kind, order, reference)
        except errors.ProblemError as error:
            return error
        return answer if answer.error is None else answer.error

    async def pay(self, consent: Consent, amount_minor: int, **facts: Any) -> Answer | errors.ProblemError:
        """Pay once."""
        return await self.give(consent, await self.order(consent, amount_minor, **facts))

    async def pay_at_once(self, consent: Consent, amounts: list[int]) -> list[Answer | errors.ProblemError]:
        """Pay all at once, at one worker and the other."""
        order = await self.order(consent, amounts[0])
        given = (
            self.give(consent, _another(order, amount), worker=number % 2) for number, amount in enumerate(amounts)
        )
        return await asyncio.gather(*given)

    async def counted(self, consent: Consent) -> list[tuple[str, int, int]]:
        """Return what is counted under a consent: the period's kind, the sum and how many payments it is of."""
        async with self.desk.bank.tx() as tx:
            rows = await tx.fetch(
                "SELECT period_type, spent_minor, payments FROM vrp_periods WHERE consent_id = $1 "
                "ORDER BY starts_on, period_type, period_alignment",
                consent.id,
            )
        return [tuple(row) for row in rows]

    async def used(self, consent: Consent) -> list[tuple[str, int]]:
        """Return for what a consent was used, and how often."""
        async with self.desk.bank.tx() as tx:
            return [(use.operation, use.times) for use in await consents.list_uses(tx, consent.id, limit=9)]


def _another(order: service.Order, amount_minor: int) -> service.Order:
    facts = msgspec.structs.replace(order.facts, amount_minor=amount_minor)
    amount = msgspec.structs.replace(order.amount, amount_minor=amount_minor)
    return msgspec.structs.replace(order, payment_id=ids.uuid7(), amount=amount, facts=facts)


@pytest_asyncio.fixture
async def till(desk: Desk) -> Any:
    """A bank with two workers, whose clock stands: no day ends while a test counts what was paid in it."""
    await desk.bank.pass_time()
    second = open_engine(desk.bank.tenancy.database)
    yield Till(desk, [desk.bench.engine, second])
    await second.close()


def _paid(answers: list[Answer | errors.ProblemError], amounts: list[int]) -> tuple[list[int], list[int]]:
    """Return which amounts were paid and which were refused, each by the limit alone."""
    paid, refused = [], []
    for answer, amount in zip(answers, amounts, strict=True):
        if isinstance(answer, errors.ProblemError):
            assert isinstance(answer, errors.ControlParametersBreached), answer
            refused.append(amount)
        else:
            paid.append(amount)
    return paid, refused


class TestFiveHundredPaymentsAtOnce:
    """Five hundred payments at once, at two workers."""

    async def test_fill_a_limit_exactly(self, till: Till) -> None:
        """Of equal ones as many pass as fit, whatever the period; the books hold exactly those."""
        left = OPENED_MINOR
        for kind in KINDS if SOAK else [("Day", "Consent"), ("Year", "Calendar")]:
            consent = await till.consent((*kind, 100_000))
            (period,) = periods_on(service.agreed(consent), day_of(consent.created_at))
            amount = min(900, period.limit_minor // 100)
            fitting = period.limit_minor // amount
            assert fitting < AT_ONCE
            amounts = [amount] * AT_ONCE
            paid, refused = _paid(await till.pay_at_once(consent, amounts), amounts)
            assert (len(paid), len(refused)) == (fitting, AT_ONCE - fitting)
            assert await till.counted(consent) == [(kind[0], fitting * amount, fitting)]
            left -= fitting * amount
            assert (await till.desk.balances())[0] == left
        await till.desk.check()

    @pytest.mark.parametrize("seed", range(many(1, 20)))
    async def test_leave_no_room_for_any_that_was_refused(self, till: Till, seed: int) -> None:
        """Of unequal ones under several limits none was refused that the narrowest had room for."""
        chance = random.Random(seed)
        amounts = [chance.randint(1, 3_000) for _ in range(AT_ONCE)]
        consent = await till.consent(
            ("Week", "Consent", 300_000), ("Day", "Calendar", 200_000), ("Year", "Consent", 250_000)
        )
        paid, refused = _paid(await till.pay_at_once(consent, amounts), amounts)
        assert sum(paid) <= 200_000
        assert min(refused) > 200_000 - sum(paid)
        assert {row[1:] for row in await till.counted(consent)} == {(sum(paid), len(paid))}
        await till.desk.check()

    async def test_are_held_to_the_wallet_s_money(self, till: Till) -> None:
        """What the wallet can't pay doesn't count, so the limit is left for what comes later."""
        consent = await till.consent(("Month", "Consent", OPENED_MINOR * 2), maximum_minor=OPENED_MINOR)
        amounts = [OPENED_MINOR // 10] * 30
        answers = await till.pay_at_once(consent, amounts)
        assert sum(isinstance(each, errors.InsufficientFunds) for each in answers) == 20
        assert await till.counted(consent) == [("Month", OPENED_MINOR, 10)]
        assert await till.used(consent) == [("domestic_vrp", 10)]
        await till.desk.check()


class TestCopiesOfOneKey:
    """Copies of one key."""

    async def test_pay_and_count_once(self, till: Till) -> None:
        """Two hundred copies at two workers are one payment, which counts once."""
        consent = await till.consent(("Day", "Consent", 5_000))
        order = await till.order(consent, 3_000)
        copies = [_another(order, 3_000) for _ in range(200)]
        answers = await asyncio.gather(
            *(till.give(consent, each, key="key", worker=number % 2) for number, each in enumerate(copies))
        )
        bodies = {each.body for each in answers if isinstance(each, Answer)}
        assert len(bodies) == 1
        assert not [each for each in answers if isinstance(each, errors.ControlParametersBreached)]
        assert await till.counted(consent) == [("Day", 3_000, 1)]
        assert await till.used(consent) == [("domestic_vrp", 1)]
        await till.desk.check()
        # Whatever wrote it, a sum above its limit is refused by the database.
        with pytest.raises(asyncpg.CheckViolationError):
            async with till.desk.bank.tx() as tx:
                await tx.execute("UPDATE vrp_periods SET spent_minor = limit_minor + 1")


class TestAnEndedConsent:
    """A consent that is revoked while it is used."""

    async def test_pays_nothing_after_the_answer(self, till: Till) -> None:
        """What is ordered once revoking was answered is refused by both workers; what had passed stays."""
        consent = await till.consent(("Year", "Consent", OPENED_MINOR))
        order = await till.order(consent, 10)
        is_over, late, paid = asyncio.Event(), [], 0

        async def go_on(worker: int) -> int:
            passed = 0
            while True:
                begun_after = is_over.is_set()
                answer = await till.give(consent, _another(order, 10), worker=worker)
                if isinstance(answer, errors.ConsentNotUsable):
                    return passed
                assert isinstance(answer, Answer), answer
                late.extend([answer] if begun_after else [])
                passed += 1

        going = [asyncio.create_task(go_on(number % 2)) for number in range(16)]
        while sum(payments for _, _, payments in await till.counted(consent)) < 20:
            await asyncio.sleep(0)
        await till.desk.bank.revoke(consent)
        is_over.set()
        after = await asyncio.gather(*(till.give(consent, _another(order, 10), worker=each % 2) for each in range(20)))
        paid = sum(await asyncio.gather(*going))
        assert late == []
        assert all(isinstance(each, errors.ConsentNotUsable) for each in after)
        assert await till.counted(consent) == [("Year", 10 * paid, paid)]
        assert (await till.desk.balances())[0] == OPENED_MINOR - 10 * paid
        await till.desk.check()


class TestAPaymentThatComesToNothing:
    """A payment that a rail rejects."""

    async def _reject(self, till: Till, payment_id: UUID) -> None:
        now = await till.desk.now()
        await till.desk.hear(
            payment_id, Report(notices=(Notice(id=str(payment_id), word="reject", reason=None, at=now),))
        )

    async def test_gives_its_amount_back(self, till: Till) -> None:
        """It is taken out of every period in which it counted, once, and there is room for another."""
        consent = await till.consent(("Month", "Consent", 5_000), ("Week", "Calendar", 70_000))
        paid = await till.pay(consent, 5_000)
        assert isinstance(paid, Answer)
        assert isinstance(await till.pay(consent, 1), errors.ControlParametersBreached)
        payment_id = service.initiated(paid.body)
        for _ in range(2):
            await self._reject(till, payment_id)
        assert (await till.desk.payment(payment_id)).status is PaymentStatus.REJECTED
        assert {row[1:] for row in await till.counted(consent)} == {(0, 0)}
        assert isinstance(await till.pay(consent, 5_000), Answer)
        await till.desk.check()

    async def test_leaves_later_periods_as_they_are(self, till: Till) -> None:
        """What is rejected two days later goes from the day on which it was ordered, and from no other."""
        consent = await till.consent(("Day", "Consent", 1_000))
        first = await till.pay(consent, 1_000)
        await till.desk.bank.pass_time(days=2)
        assert isinstance(await till.pay(consent, 600), Answer)
        assert isinstance(first, Answer)
        await self._reject(till, service.initiated(first.body))
        assert await till.counted(consent) == [("Day", 0, 0), ("Day", 600, 1)]
        assert isinstance(await till.pay(consent, 401), errors.ControlParametersBreached)
        await till.desk.check()

    async def test_that_was_settled_stays_counted(self, till: Till) -> None:
        """What the rail has settled is never given back."""
        consent = await till.consent(("Day", "Consent", 1_000))
        paid = await till.pay(consent, 1_000)
        assert isinstance(paid, Answer)
        payment_id, now = service.initiated(paid.body), await till.desk.now()
        notice = Notice(id="n1", word="settle", reason=None, at=now)
        await till.desk.hear(payment_id, Report(notices=(notice,)))
        await self._reject(till, payment_id)
        assert await till.counted(consent) == [("Day", 1_000, 1)]
        await till.desk.check()


class TestAPaymentOutsideOfItsConsent:
    """A payment that its consent doesn't allow."""

    async def test_is_refused_by_name_and_leaves_nothing(self, till: Till) -> None:
        """The refusal names the control parameter; neither a payment nor a sum is there."""
        consent = await till.consent(("Month", "Consent", 20_000), ("Day", "Calendar", 5_000))
        refused: list[tuple[str, int, dict[str, Any]]] = [
            ("VRPType", 100, {"vrp_type": "UK.OBIE.VRPType.Other"}),
            ("PSUAuthenticationMethods", 100, {"authentication_method": "UK.OBIE.SCA"}),
            ("PSUInteractionTypes", 100, {"interaction_type": "InSession"}),
            ("MaximumIndividualAmount", 10_001, {}),
            ("PeriodicLimits[1].Amount", 5_001, {}),
        ]
        for path, amount, facts in refused:
            refusal = await till.pay(consent, amount, **facts)
            assert isinstance(refusal, errors.ControlParametersBreached)
            assert refusal.param == f"Data.ControlParameters.{path}"
        assert isinstance(await till.pay(consent, 100, said=b"other"), errors.PaymentDiffersFromConsent)
        assert await till.counted(consent) == []
        async with till.desk.bank.tx() as tx:
            assert await service.list_payments(tx, limit=10) == []


class TestPaymentsOverTime:
    """Payments as days pass."""

    @pytest.mark.parametrize("seed", range(many(1, 10)))
    async def test_have_room_again_when_a_period_is_over(self, till: Till, seed: int) -> None:
        """At random days each is let through exactly if what was paid in each of its periods leaves room."""
        chance = random.Random(seed)
        await till.desk.bank.pass_time(days=chance.randint(0, 60))
        limits = [("Day", "Consent", 900), ("Week", "Calendar", 1_500), ("Month", "Consent", 4_000)]
        consent = await till.consent(*limits, ("Half-year", "Calendar", 90_000))
        agreed, sums, verdicts = service.agreed(consent), dict[Any, int](), set[bool]()
        for _ in range(40):
            now = await till.desk.bank.pass_time(hours=chance.choice([1, 5, 24, 24 * 9]))
            amount = chance.randint(1, 900)
            periods = periods_on(agreed, day_of(now))
            fits = all(sums.get(each.slot, 0) + amount <= each.limit_minor for each in periods)
            answer = await till.pay(consent, amount)
            assert isinstance(answer, Answer) is fits, answer
            verdicts.add(fits)
            for each in periods if fits else ():
                sums[each.slot] = sums.get(each.slot, 0) + amount
        assert verdicts == {True, False}
        await till.desk.check()

    async def test_end_with_the_last_day(self, till: Till) -> None:
        """On the last day of the consent one passes, and on the next none."""
        now = await till.desk.now()
        consent = await till.consent(("Month", "Consent", 5_000), valid_to=day_of(now + timedelta(days=1)))
        await till.desk.bank.pass_time(days=1)
        assert isinstance(await till.pay(consent, 100), Answer)
        await till.desk.bank.pass_time(days=1)
        refusal = await till.pay(consent, 100)
        assert isinstance(refusal, errors.ControlParametersBreached)
        assert refusal.param == "Data.ControlParameters.ValidToDateTime"
