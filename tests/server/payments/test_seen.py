"""Orders that are decided on what was seen of their consents: what they wait for, in what order, and what ends them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import pytest
from structlog.testing import capture_logs

from billfold import errors
from billfold_server.consents import queries
from billfold_server.consents.service import Consent
from billfold_server.payments import service
from billfold_server.tenancy.context import IdempotencyRef
from tests.postgres import WAITS
from tests.server.consents.consenting import caller_of
from tests.server.payments.desk import OPENED_MINOR, Desk
from tests.server.payments.test_paying import errors_of
from tests.server.payments.test_recurring import Till, till

__all__ = ["till"]

DEADLINE_S = 30


@asynccontextmanager
async def held(desk: Desk, consent: Consent) -> AsyncIterator[None]:
    """Keep others from changing a consent meanwhile, as whoever ends it does."""
    has_it, may_go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with desk.bank.tx() as tx:
            await queries.lock(tx, consent.id)
            has_it.set()
            await may_go.wait()

    holding = asyncio.create_task(hold())
    await has_it.wait()
    yield
    may_go.set()
    await holding


async def somebody_waits(desk: Desk) -> None:
    """Return once somebody waits for a lock."""
    deadline = time.monotonic() + DEADLINE_S
    async with desk.bank.tx() as tx:
        while not await tx.fetchval(WAITS):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


@pytest.fixture
def behind(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The batches that had to take the ledger before they were decided."""
    found: list[Any] = []
    run_behind = desk.bench.engine._run_behind

    async def noted(queue: Any, run: Any) -> Any:
        found.append(run)
        return await run_behind(queue, run)

    monkeypatch.setattr(desk.bench.engine, "_run_behind", noted)
    return found


class TestOrdersOfOneBatch:
    async def test_lock_their_consents_in_the_order_of_their_ids(self, desk: Desk) -> None:
        """So does whoever ends all of a customer's, however few consents there were when PostgreSQL counted them."""
        # With fewer wallets known the batch would take the ledger first.
        for _ in range(2):
            await desk.pay_own(to=desk.payee_id)
        # An index begins with the third party's id, by which they would be in the other order.
        first, second = [
            await Desk(desk.bank, desk.bench, desk.rail, UUID(int=1 << bits)).consent() for bits in (120, 100)
        ]
        assert first.id < second.id
        given = [(each, await desk.order(each, to=desk.payee_id), await desk.seen(each)) for each in (first, second)]
        await desk.bank.tenancy.as_owner(desk.tenant, "ANALYZE consents")
        async with held(desk, first):
            paying = [asyncio.create_task(desk.give(each, order, seen=seen)) for each, order, seen in given]
            await somebody_waits(desk)
            free = "SELECT count(*) FROM (SELECT FROM consents WHERE id = $1 FOR UPDATE SKIP LOCKED) AS free"
            async with desk.bank.tx() as tx:
                assert await tx.fetchval(free, second.id) == 1
        assert [errors_of(each) for each in await asyncio.gather(*paying, return_exceptions=True)] == [None, None]
        await desk.check()

    @pytest.mark.usefixtures("product_locks")
    async def test_wait_no_longer_for_a_consent_than_others(self, desk: Desk, behind: list[Any]) -> None:
        """Whoever holds one for too long holds the ledger up for one time-out, and not for another behind it."""
        await desk.pay_own(to=desk.payee_id)
        consent = await desk.consent()
        order, seen = await desk.order(consent, to=desk.payee_id), await desk.seen(consent)
        async with held(desk, consent):
            with pytest.raises(errors.Busy):
                await desk.give(consent, order, seen=seen)
        assert not behind
        assert errors_of(await desk.give(consent, order, seen=seen)) is None
        await desk.check()

    async def test_may_have_seen_nothing_beside_a_copy_of_one_that_has(self, till: Till) -> None:
        """What an order that is answered already has seen is no other's; that one is decided on what is read."""
        desk, engine = till.desk, till.engines[0]
        await desk.pay(to=desk.payee_id)
        consent = await till.consent(("Day", "Calendar", 20_000), maximum_minor=1_000)
        first = await till.order(consent, 1_000, to=desk.payee_id)
        second = await till.order(consent, 1_000, to=desk.payee_id)
        unseen = caller_of(consent.client_id, consent.id)
        caller = msgspec.structs.replace(unseen, agreed=await desk.seen(consent))
        key = IdempotencyRef(client_id=consent.client_id, key="key", fingerprint=bytes(32))
        kept = await engine.submit(desk.tenant, caller, service.INITIATE_RECURRING, first, key)
        # What is put aside after the first is forgotten by then: nothing is presumed for a while after a doubt.
        for _ in range(3):
            await desk.bench.top_up(0, 1)
        with capture_logs() as logs:
            copy, other = await asyncio.gather(
                engine.submit(desk.tenant, caller, service.INITIATE_RECURRING, first, key),
                engine.submit(desk.tenant, unseen, service.INITIATE_RECURRING, second),
            )
        assert [line["event"] for line in logs if line["event"].startswith("ledger_")] == []
        assert (copy.body, copy.replayed, other.error) == (kept.body, True, None)

    async def test_pay_to_the_limit_and_no_further(self, till: Till) -> None:
        """However many have seen a consent for recurring payments, what the period has left is spent once."""
        desk, engine = till.desk, till.engines[0]
        await desk.pay(to=desk.payee_id)
        consent = await till.consent(("Day", "Calendar", 20_000), maximum_minor=1_000)
        caller = caller_of(consent.client_id, consent.id)
        caller = msgspec.structs.replace(caller, agreed=await desk.seen(consent))
        orders = [await till.order(consent, 1_000, to=desk.payee_id) for _ in range(60)]
        given = (engine.submit(desk.tenant, caller, service.INITIATE_RECURRING, order) for order in orders)
        answers = [errors_of(each) for each in await asyncio.gather(*given, return_exceptions=True)]
        assert answers.count(None) == 20
        assert {type(each) for each in answers if each is not None} == {errors.ControlParametersBreached}
        assert (await desk.balances())[0] == OPENED_MINOR - 1_000 * 21
        await desk.check()
