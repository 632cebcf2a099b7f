"""Answers that are made and signed while their payment is being written: what is sent is what was committed."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import asyncpg
import httpx
import pytest

from billfold_server.http.routing import Call
from billfold_server.ledger import service as ledger
from billfold_server.open_banking.edge import signatures
from tests.live import LiveServer
from tests.pace import until
from tests.server.open_banking.ordering import SLUG
from tests.server.open_banking.payments.pisp import Pisp
from tests.server.open_banking.signing import verified

DEADLINE_S = 30
PAYMENT = "DomesticPaymentId"
LOCK_HEAD = "SELECT FROM ledger_head FOR UPDATE"
FIND_BLOCKED = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ 'EXECUTE billfold_'
"""


@pytest.fixture(scope="module")
def payer(live: LiveServer) -> Pisp:
    """A third party with a customer."""
    return Pisp.at([live])


@pytest.fixture
def pisp(live: LiveServer, payer: Pisp) -> Pisp:
    """The third party, whose orders the engine decides before it takes the ledger."""
    # The ledger may have been moved by another test, after which nothing is presumed for a while.
    for queue in live.services.engine._queues.values():
        queue.doubts = 0
    assert payer.pay(payer.consented()).status_code == 201
    return payer


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Call, bytes]]:
    """The answers that were begun to be signed ahead, with their requests."""
    found: list[tuple[Call, bytes]] = []
    begin = signatures.begin

    def noted(call: Call, body: bytes) -> None:
        begin(call, body)
        found.append((call, body))

    monkeypatch.setattr(signatures, "begin", noted)
    return found


@contextmanager
def held(live: LiveServer, *, moved: bool = False) -> Iterator[None]:
    """Keep the ledger from being written meanwhile; and let it stand elsewhere afterwards, if it is ``moved``."""
    events: list[asyncio.Event] = []

    async def hold() -> None:
        has_it, may_go = asyncio.Event(), asyncio.Event()
        async with live.services.database.tx(await live.services.registry.get(SLUG)) as tx:
            await tx.execute(LOCK_HEAD)
            if moved:
                await ledger.take_books(tx)
            events.extend((has_it, may_go))
            await may_go.wait()

    holding = live.begin(hold())
    until(lambda: bool(events))
    try:
        yield
    finally:
        live._loop.call_soon_threadsafe(events[1].set)
        holding.result(DEADLINE_S)


def is_signed(call: Call) -> bool:
    """Tell whether the signature that was begun for a request is there."""
    return bool(call.memo["signature"].signature.done())


def seen(live: LiveServer, answer: httpx.Response) -> dict[str, Any]:
    """Return the data of an answer, whose signature is the bank's and of just this body."""
    assert answer.status_code == 201, answer.text
    keys = httpx.get(f"{live.base(SLUG)}/.well-known/jwks.json").json()
    assert verified(answer.headers["x-jws-signature"], answer.content, keys)
    found: dict[str, Any] = answer.json()["Data"]
    return found


class TestAnAnswerThatIsMadeAhead:
    def test_is_sent_once_the_payment_is_committed(self, live: LiveServer, pisp: Pisp, begun: list[Any]) -> None:
        """It is signed by the time that nobody sees the payment yet; what is sent is that, to the byte."""
        consent_id = pisp.consented()
        with ThreadPoolExecutor() as threads:
            with held(live):
                order = threads.submit(pisp.pay, consent_id)
                until(lambda: len(begun) == 1 and is_signed(begun[0][0]))
                assert not order.done()
            answer = order.result()
        ((call, body),) = begun
        assert answer.content == body
        assert answer.headers["x-jws-signature"] == call.memo["signature"].signature.result()
        assert seen(live, answer)["Status"] == "ACCC"

    def test_is_left_where_the_payment_is_decided_again(self, live: LiveServer, pisp: Pisp, begun: list[Any]) -> None:
        """Where the ledger has moved meanwhile, what is sent and signed is what came of the second decision."""
        consent_id = pisp.consented()
        with ThreadPoolExecutor() as threads:
            with held(live, moved=True):
                order = threads.submit(pisp.pay, consent_id)
                until(lambda: len(begun) == 1 and is_signed(begun[0][0]))
            answer = order.result()
        (_, first), (_, second) = begun
        assert first != second
        assert answer.content == second
        made = seen(live, answer)
        shown = pisp.ask("GET", f"/domestic-payments/{made[PAYMENT]}")
        assert shown.json()["Data"]["CreationDateTime"] == made["CreationDateTime"]

    def test_is_sent_to_nobody_where_the_database_dies(self, live: LiveServer, pisp: Pisp, begun: list[Any]) -> None:
        """Who waits hears that it is away; under the same key it is paid then, once, and answered with that."""
        consent_id = pisp.consented()
        with ThreadPoolExecutor() as threads:
            with held(live):
                order = threads.submit(pisp.pay, consent_id, key="the database dies")
                until(lambda: len(begun) == 1 and is_signed(begun[0][0]))
                asyncio.run(_end_who_waits(live))
                lost = order.result()
            again = pisp.pay(consent_id, key="the database dies")
        assert lost.status_code == 503
        (_, foreseen), (_, made) = begun
        assert seen(live, again)[PAYMENT].encode() not in foreseen
        assert again.content == made
        assert PAYMENT not in lost.text

    def test_is_one_for_copies_that_come_at_once(self, live: LiveServer, pisp: Pisp, begun: list[Any]) -> None:
        """One of them pays; each is answered with that payment, and signed for what it is answered."""
        consent_id = pisp.consented()
        with ThreadPoolExecutor(12) as threads:
            orders = [threads.submit(pisp.pay, consent_id, key="copies at once") for _ in range(12)]
            found = [seen(live, order.result()) for order in orders]
        assert len({each[PAYMENT] for each in found}) == 1
        assert len(begun) == 1

    def test_is_none_where_it_says_what_is_read_later_or_by_other_names(
        self, live: LiveServer, pisp: Pisp, begun: list[Any]
    ) -> None:
        """With an account to which it can be given back, and for who migrates, it is made and signed as ever."""
        refunded = seen(live, pisp.pay(pisp.consented(ReadRefundAccount="Yes")))
        assert refunded["Refund"]["Account"]["Identification"] == pisp.wallets[0]
        consent_id = pisp.consented()
        order, old = pisp.payment(consent_id), {"payload-version": "3.1.11"}
        answer = pisp.ask("POST", "/domestic-payments", order, consent_id=consent_id, headers=old)
        assert seen(live, answer)["Status"] == "AcceptedCreditSettlementCompleted"
        assert begun == []


async def _end_who_waits(live: LiveServer) -> None:
    """End the session of PostgreSQL that waits for the ledger."""
    admin = live.settings.admin_database_url
    assert admin is not None
    connection = await asyncpg.connect(admin.reveal())
    try:
        while (backend := await connection.fetchval(FIND_BLOCKED)) is None:
            await asyncio.sleep(0.01)
        assert await connection.fetchval("SELECT pg_terminate_backend($1, 30000)", backend)
    finally:
        await connection.close()
