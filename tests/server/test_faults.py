"""Money under fire: PostgreSQL and workers are killed while transfers go on."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from billfold import AsyncBillfold, Money, errors
from billfold.contract.wallets import Transfer
from tests.postgres import binaries
from tests.server.upping import Up, billfold, data_dirs
from tests.soak import many

TRANSFERS = many(2_000, 36_000)
CALLERS = many(24, 64)
PAUSE_S = 0.1
SHOTS = ("worker", "postgres", "worker", "postgres", "both workers", "worker and postgres")
KILLS = [SHOTS[number % len(SHOTS)] for number in range(many(4, 36))]
"""Whom to kill, one after the other."""
AT_ONCE = 4
"""How often some transfers are sent at the same time, under the same key."""


@pytest.fixture
def folders() -> Iterator[Callable[[], Path]]:
    """Data folders for the servers."""
    binaries(18)
    with data_dirs() as give:
        yield give


class Customer:
    """Gives transfers, and insists on an answer.

    Args:
        options: How to become a client.
        client: One that is open.
        wallets: From the first two of them in turn to the third.
    """

    def __init__(self, options: dict[str, Any], client: AsyncBillfold, wallets: list[str]) -> None:
        self._options = options
        self._client = client
        self._wallets = wallets
        self.attempts = 0

    async def order(self, number: int) -> Transfer:
        """Give one transfer; every tenth is sent several times at once, as by a program that is too eager."""
        copies = AT_ONCE if number % 10 == 0 else 1
        first, *others = await asyncio.gather(*(self.insist(number) for _ in range(copies)))
        assert all(other == first for other in others)
        return first

    async def insist(self, number: int) -> Transfer:
        """Give one transfer under its key until it is answered; nothing else tells what became of it."""
        async with contextlib.AsyncExitStack() as stack:
            client = self._client
            while True:
                self.attempts += 1
                with suppress(errors.TransportError, errors.Unavailable, errors.RequestInFlight, errors.RateLimited):
                    return await client.transfers.create(
                        from_wallet_id=self._wallets[number % 2],
                        to_wallet_id=self._wallets[2],
                        amount=Money(1, "EUR"),
                        metadata={"number": str(number)},
                        idempotency_key=f"transfer-{number}",
                    )
                # Everybody who asks again at once would only keep the server from coming back.
                await asyncio.sleep(PAUSE_S)
                # The next attempt is made on a new connection, to whichever worker takes it.
                client = await stack.enter_async_context(connect(self._options))


def connect(options: dict[str, Any]) -> AsyncBillfold:
    """Return a client with connections of its own, which doesn't retry by itself."""
    return AsyncBillfold(**options, max_retries=0, timeout_s=10)


async def kill_now_and_then(up: Up, done: list[Transfer]) -> None:
    """Kill a worker or PostgreSQL whenever a further part of the transfers is done."""
    for number, victims in enumerate(KILLS, start=1):
        while len(done) < TRANSFERS * number / (len(KILLS) + 1):
            await asyncio.sleep(0.01)
        if "postgres" in victims:
            await kill(up.postmaster)
        if victims == "both workers":
            await kill(lambda: up.workers()[0])
            await kill(lambda: up.workers()[-1])
        elif "worker" in victims:
            await kill(lambda number=number: random.Random(number).choice(up.workers()))  # type: ignore[misc]


async def kill(find: Callable[[], int]) -> None:
    """Kill a process as soon as there is one; the one before may have been killed, and not be replaced yet."""
    while True:
        with suppress(LookupError, OSError):
            os.kill(find(), signal.SIGKILL)
            return
        await asyncio.sleep(0.01)


async def run(up: Up) -> None:
    """Move money while things are killed, and compare what was said with what is there."""
    options = {name: up.welcome[name] for name in ("base_url", "client_id", "client_secret")}
    async with connect(options) as client:
        party = await client.parties.create(kind="company", name="Fault")
        wallets = [(await client.wallets.create(party_id=party.id)).id for _ in range(3)]
        for wallet in wallets[:2]:
            await client.top_ups.create(wallet_id=wallet, amount=Money(TRANSFERS, "EUR"))
        customer, numbers = Customer(options, client, wallets), iter(range(TRANSFERS))
        done: list[Transfer] = []

        async def call() -> None:
            for number in numbers:
                transfer = await customer.order(number)
                done.append(transfer)

        await asyncio.gather(kill_now_and_then(up, done), *(call() for _ in range(CALLERS)))
        print(f"{len(KILLS)} times something was killed; {TRANSFERS} transfers in {customer.attempts} attempts")
    async with AsyncBillfold(**options) as client:
        assert len({transfer.id for transfer in done}) == TRANSFERS
        listed = [transfer async for transfer in client.transfers.list(wallet_id=wallets[2], limit=100)]
        assert {transfer.id for transfer in listed} == {transfer.id for transfer in done}
        assert len(listed) == TRANSFERS
        (balance,) = [balance async for balance in client.wallets.balances(wallets[2])]
        assert balance.posted_minor == TRANSFERS
        customer, said = Customer(options, client, wallets), {int(each.metadata["number"]): each for each in done}
        for number in random.Random(1).sample(range(TRANSFERS), 100):
            assert await customer.insist(number) == said[number]


@pytest.mark.xdist_group("faults")
@pytest.mark.timeout(many(240, 3_600))
class TestMoneyUnderFire:
    """Money under fire."""

    def test_is_neither_lost_nor_doubled(self, folders: Callable[[], Path]) -> None:
        """Every acknowledged transfer exists once, retries get the same answer, and the books balance."""
        folder = folders()
        up = Up(folder, "--port=0", "--workers=2").ready()
        try:
            asyncio.run(run(up))
        finally:
            assert up.end() == 0, up.log()
        verified = billfold(f"--data-dir={folder}", "ledger", "verify", "--tenant=sandbox", "--json")
        assert verified.returncode == 0, verified.stdout + verified.stderr
