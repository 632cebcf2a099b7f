"""Money under fire: PostgreSQL and workers are killed while transfers go on."""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from billfold import AsyncBillfold, Money, errors
from billfold.contract.wallets import Transfer
from tests.postgres import binaries
from tests.server.upping import Up, billfold, data_dirs

TRANSFERS = 2_000
CALLERS = 24
PAUSE_S = 0.1
KILLS = ("worker", "postgres", "worker", "postgres")


@pytest.fixture
def folders() -> Iterator[Callable[[], Path]]:
    """Data folders for the servers."""
    binaries(18)
    with data_dirs() as give:
        yield give


async def insist(client: AsyncBillfold, wallets: list[str], number: int) -> Transfer:
    """Give one transfer under its key until it is answered; nothing else tells what became of it."""
    while True:
        with suppress(errors.TransportError, errors.Unavailable, errors.RequestInFlight):
            return await client.transfers.create(
                from_wallet_id=wallets[number % 2],
                to_wallet_id=wallets[2],
                amount=Money(1, "EUR"),
                metadata={"number": str(number)},
                idempotency_key=f"transfer-{number}",
            )
        # Everybody who asks again at once would only keep the server from coming back.
        await asyncio.sleep(PAUSE_S)


async def kill_now_and_then(up: Up, done: list[Transfer]) -> None:
    """Kill a worker or PostgreSQL whenever a further part of the transfers is done."""
    for number, victim in enumerate(KILLS, start=1):
        while len(done) < TRANSFERS * number / (len(KILLS) + 1):
            await asyncio.sleep(0.01)
        pid = random.Random(number).choice(up.workers()) if victim == "worker" else up.postmaster()
        os.kill(pid, signal.SIGKILL)


async def run(up: Up) -> None:
    """Move money while things are killed, and compare what was said with what is there."""
    options = {name: up.welcome[name] for name in ("base_url", "client_id", "client_secret")}
    async with AsyncBillfold(**options, max_retries=0, timeout_s=10) as client:
        party = await client.parties.create(kind="company", name="Fault")
        wallets = [(await client.wallets.create(party_id=party.id)).id for _ in range(3)]
        for wallet in wallets[:2]:
            await client.top_ups.create(wallet_id=wallet, amount=Money(TRANSFERS, "EUR"))
        numbers = iter(range(TRANSFERS))
        done: list[Transfer] = []

        async def call() -> None:
            for number in numbers:
                transfer = await insist(client, wallets, number)
                done.append(transfer)

        await asyncio.gather(kill_now_and_then(up, done), *(call() for _ in range(CALLERS)))
        assert len({transfer.id for transfer in done}) == TRANSFERS
        listed = [transfer async for transfer in client.transfers.list(wallet_id=wallets[2], limit=100)]
        assert {transfer.id for transfer in listed} == {transfer.id for transfer in done}
        assert len(listed) == TRANSFERS
        (balance,) = [balance async for balance in client.wallets.balances(wallets[2])]
        assert balance.posted_minor == TRANSFERS
        said = {int(transfer.metadata["number"]): transfer for transfer in done}
        for number in random.Random(1).sample(range(TRANSFERS), 100):
            assert await insist(client, wallets, number) == said[number]


@pytest.mark.xdist_group("faults")
@pytest.mark.timeout(240)
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
