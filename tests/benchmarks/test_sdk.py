"""What the SDK costs beside bare httpx, measured in one run: per call, to import, and in memory.

Calls of both kinds take turns, so that whatever else the machine does meets both alike; what counts is the processor
time of the calling thread, and of many short turns the median.
"""

import asyncio
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from billfold import AsyncBillfold, Billfold, Money

SDK = Path(__file__).parents[2] / "sdk"
TURNS, CALLS = 60, 20
WALLET = "wal_01m7w9tnzcejq9b78b81gh4nmw"
ORDER = {"from_wallet_id": WALLET, "to_wallet_id": WALLET, "amount": {"amount_minor": 1250, "currency": "EUR"}}
HEADERS = {"authorization": "Bearer x", "idempotency-key": "0f9f3c2ab1d04d7e8f4b3a2c1d0e9f8a"}
AMOUNT = Money(1250, "EUR")


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """Run the answering server in a process of its own."""
    command = [sys.executable, str(Path(__file__).parent / "answering.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}/t/sandbox"
        server.kill()


def times(turn: Callable[[], Any]) -> float:
    """Return the processor time of one turn, per call, in microseconds."""
    began = time.thread_time()
    turn()
    return (time.thread_time() - began) / CALLS * 1e6


def compare(name: str, bare: Callable[[], Any], ours: Callable[[], Any]) -> float:
    """Let both take turns and return how much more ours takes."""
    for warm_up in (bare, ours):
        warm_up()
    gc.collect()
    measured = [(times(bare), times(ours)) for _ in range(TURNS)]
    bare_us, ours_us = (statistics.median(column) for column in zip(*measured, strict=True))
    print(f"\n{name}: bare httpx {bare_us:.0f} µs, Billfold {ours_us:.0f} µs, {ours_us / bare_us:.2f} times")
    return float(ours_us / bare_us)


class TestACall:
    def test_costs_at_most_a_quarter_more_than_bare_httpx(self, base_url: str):
        """Key, token, retries and typed answer fit in what httpx's own client costs."""
        with httpx.Client() as client, Billfold(base_url=base_url, client_id="i", client_secret="s") as billfold:

            def bare() -> None:
                for _ in range(CALLS):
                    client.post(f"{base_url}/v1/transfers", json=ORDER, headers=HEADERS).json()

            def ours() -> None:
                for _ in range(CALLS):
                    billfold.transfers.create(from_wallet_id=WALLET, to_wallet_id=WALLET, amount=AMOUNT)

            assert compare("sync", bare, ours) <= 1.25

    def test_costs_at_most_a_quarter_more_in_the_other_mode(self, base_url: str):
        """The same for asyncio."""
        with asyncio.Runner() as runner:
            client = httpx.AsyncClient()
            billfold = AsyncBillfold(base_url=base_url, client_id="i", client_secret="s")

            async def bare() -> None:
                for _ in range(CALLS):
                    (await client.post(f"{base_url}/v1/transfers", json=ORDER, headers=HEADERS)).json()

            async def ours() -> None:
                for _ in range(CALLS):
                    await billfold.transfers.create(from_wallet_id=WALLET, to_wallet_id=WALLET, amount=AMOUNT)

            assert compare("async", lambda: runner.run(bare()), lambda: runner.run(ours())) <= 1.25
            runner.run(client.aclose())
            runner.run(billfold.aclose())


def import_seconds(code: str) -> float:
    """Return the processor time of a fresh interpreter that runs some imports, the best of several.

    Without the libraries of httpx's command line, which it would load too, but which a plain install doesn't have.
    """
    environment = {**os.environ, "PYTHONPATH": str(SDK)}
    without = "import sys; sys.modules.update(click=None, rich=None)"
    script = f"{without}; import time; began = time.process_time(); {code}; print(time.process_time() - began)"
    runs = [
        subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(7)
    ]
    return min(map(float, runs))


class TestImporting:
    @pytest.mark.parametrize(
        ("bare", "names"), [("httpx", "Billfold"), ("asyncio, httpx", "AsyncBillfold")], ids=["sync", "async"]
    )
    def test_takes_no_longer_than_it_may(self, bare: str, names: str):
        """A client costs about as much as httpx by itself, and little beside it once a request has loaded that."""
        bare_s = import_seconds(f"import {bare}")
        alone_s = import_seconds(f"from billfold import {names}, Money, errors")
        both_s = import_seconds(f"from billfold import {names}, Money, errors; import httpx")
        figures = [f"{seconds * 1000:.0f} ms" for seconds in (bare_s, alone_s, both_s)]
        print(f"\nimport: {bare} {figures[0]}, {names} {figures[1]}, with httpx {figures[2]}")
        assert alone_s <= bare_s * 1.3
        assert both_s <= bare_s * 1.6


class TestMemory:
    def test_stays_flat(self, base_url: str):
        """After a warm-up, a hundred thousand calls leave no more objects than ten."""
        with Billfold(base_url=base_url, client_id="i", client_secret="s") as billfold:

            def objects_after(calls: int) -> int:
                for _ in range(calls):
                    billfold.transfers.create(from_wallet_id=WALLET, to_wallet_id=WALLET, amount=AMOUNT)
                gc.collect()
                return len(gc.get_objects())

            objects_after(1000)
            few, many = objects_after(10), objects_after(100_000)
            print(f"\nobjects: {few} after ten calls, {many} after 100,000 more")
            assert many - few < 100
