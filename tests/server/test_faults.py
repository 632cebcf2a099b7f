"""Money under fire: PostgreSQL and workers are killed while transfers go on."""

import asyncio
import contextlib
import itertools
import os
import random
import signal
import time
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

WORKERS = 2
CALLERS = many(24, 64)
PAUSE_S = 0.1
BETWEEN = many(200, 250)
"""How many transfers are done at least between a kill and the next."""
MONEY = Money(1_000_000, "EUR")
SHOTS = ("worker", "postgres", "worker", "postgres", "both workers", "worker and postgres")
KILLS = [SHOTS[number % len(SHOTS)] for number in range(many(4, 30))]
"""Whom to kill, one after the other."""
MISSED_S = 10
"""Within which somebody goes unanswered whose worker was killed, however busy the machine is."""
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
        stack: Closes the clients that are made besides.
        wallets: From the first two of them in turn to the third.

    Attributes:
        unanswered: How often nobody said what had become of a transfer.
    """

    def __init__(
        self, options: dict[str, Any], client: AsyncBillfold, stack: contextlib.AsyncExitStack, wallets: list[str]
    ) -> None:
        self._options = options
        self._client = client
        self._stack = stack
        self._wallets = wallets
        self._newest = client
        self.attempts = 0
        self.unanswered = 0

    async def order(self, number: int) -> Transfer:
        """Give one transfer; every tenth is sent several times at once, as by a program that is too eager."""
        copies = AT_ONCE if number % 10 == 0 else 1
        first, *others = await asyncio.gather(*(self.insist(number) for _ in range(copies)))
        assert all(other == first for other in others)
        return first

    async def insist(self, number: int) -> Transfer:
        """Give one transfer under its key until it is answered; nothing else tells what became of it."""
        client = self._client
        while True:
            self.attempts += 1
            try:
                return await client.transfers.create(
                    from_wallet_id=self._wallets[number % 2],
                    to_wallet_id=self._wallets[2],
                    amount=Money(1, "EUR"),
                    metadata={"number": str(number)},
                    idempotency_key=f"transfer-{number}",
                )
            except errors.RateLimited:
                await asyncio.sleep(PAUSE_S)
            except (errors.TransportError, errors.Unavailable, errors.RequestInFlight):
                self.unanswered += 1
                # Everybody who asks again at once would only keep the server from coming back.
                await asyncio.sleep(PAUSE_S)
                client = await self._after(client)

    async def _after(self, failed: AsyncBillfold) -> AsyncBillfold:
        """Return a client that was made after one had failed: its connections are new, to whichever worker takes them.

        All whom the same one has failed share it. If each made one, making them would take the processor from the
        server that is to come back, and a kill would take minutes instead of seconds.
        """
        if failed is self._newest:
            self._newest = await self._stack.enter_async_context(connect(self._options))
        return self._newest


def connect(options: dict[str, Any]) -> AsyncBillfold:
    """Return a client with connections of its own, which doesn't retry by itself."""
    return AsyncBillfold(**options, max_retries=0, timeout_s=10)


async def kill_now_and_then(up: Up, customer: Customer, done: list[Transfer]) -> None:
    """Kill workers and PostgreSQL, each time once both workers serve again and many further transfers are done."""
    killed_workers = 0
    for victims in KILLS:
        await is_whole(up, killed_workers, done)
        unanswered = customer.unanswered
        if "postgres" in victims:
            await kill(up.postmaster)
        if "worker" in victims:
            workers = up.workers()
            assert len(workers) == WORKERS
            random.Random(killed_workers).shuffle(workers)
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
                killed_workers += 1
                # All connections may be to the other one, which came up sooner; then it is that one's turn.
                if victims != "both workers" and await is_missed(customer, unanswered):
                    break
        # Somebody was asking whoever was killed, or nothing was under fire.
        assert await is_missed(customer, unanswered)
    await is_whole(up, killed_workers, done)


async def is_missed(customer: Customer, unanswered: int) -> bool:
    """Tell whether somebody goes unanswered before long: all ask without a pause."""
    until = time.monotonic() + MISSED_S
    while customer.unanswered == unanswered and time.monotonic() < until:
        await asyncio.sleep(0.01)
    return customer.unanswered > unanswered


async def is_whole(up: Up, killed_workers: int, done: list[Transfer]) -> None:
    """Wait until every killed worker is replaced by one that serves, and then for so many transfers."""
    while up.log().count("serves in the place of") < killed_workers:
        await asyncio.sleep(0.1)
    before = len(done)
    while len(done) < before + BETWEEN:
        await asyncio.sleep(0.01)


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
    done: list[Transfer] = []
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect(options))
        party = await client.parties.create(kind="company", name="Fault")
        wallets = [(await client.wallets.create(party_id=party.id)).id for _ in range(3)]
        for wallet in wallets[:2]:
            await client.top_ups.create(wallet_id=wallet, amount=MONEY)
        customer, numbers, over = Customer(options, client, stack, wallets), itertools.count(), asyncio.Event()

        async def call() -> None:
            while not over.is_set():
                done.append(await customer.order(next(numbers)))

        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(call())
            await kill_now_and_then(up, customer, done)
            over.set()
        print(f"{len(KILLS)} times something was killed; {len(done)} transfers in {customer.attempts} attempts")
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(AsyncBillfold(**options))
        assert len({transfer.id for transfer in done}) == len(done)
        listed = [transfer async for transfer in client.transfers.list(wallet_id=wallets[2], limit=100)]
        assert {transfer.id for transfer in listed} == {transfer.id for transfer in done}
        assert len(listed) == len(done)
        (balance,) = [balance async for balance in client.wallets.balances(wallets[2])]
        assert balance.posted_minor == len(done)
        customer = Customer(options, client, stack, wallets)
        said = {int(each.metadata["number"]): each for each in done}
        for number in random.Random(1).sample(range(len(done)), 100):
            assert await customer.insist(number) == said[number]


@pytest.mark.xdist_group("faults")
@pytest.mark.timeout(many(240, 1_800))
class TestMoneyUnderFire:
    """Money under fire."""

    def test_is_neither_lost_nor_doubled(self, folders: Callable[[], Path]) -> None:
        """Every acknowledged transfer exists once, retries get the same answer, and the books balance."""
        folder = folders()
        up = Up(folder, "--port=0", f"--workers={WORKERS}").ready()
        try:
            asyncio.run(run(up))
        finally:
            assert up.end() == 0, up.log()
        verified = billfold(f"--data-dir={folder}", "ledger", "verify", "--tenant=sandbox", "--json")
        assert verified.returncode == 0, verified.stdout + verified.stderr
