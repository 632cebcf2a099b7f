"""A process that stands still is killed and replaced; one that turns, however slowly, is let be."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from billfold_server.serving.orders import Orders, settings_sent
from billfold_server.serving.pulse import beating, hangs
from billfold_server.serving.supervisor import DECRYPTOR, SIMULATOR, WORKER, Supervisor
from billfold_server.settings import Settings
from tests.live import settings_for
from tests.processes import children
from tests.sandbox import database

HUNG_S = 3
"""Long enough for a busy machine; where one process is replaced too soon all the same, the facts are no others."""


@pytest.fixture(scope="module")
def settings(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a server with a database of its own."""
    with database(postgres_dsn) as dsn:
        yield settings_for(Path(tmp_path_factory.mktemp("hanging")), dsn, hung_timeout_s=HUNG_S)


@contextlib.asynccontextmanager
async def kept(settings: Settings, module: str, ended: Callable[[int], None]) -> AsyncIterator[int]:
    """Keep one process, and yield the port that it serves at if it does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        # A process takes as many listeners as it is given.
        supervisor = Supervisor([listener] if module == WORKER else [], 1, module=module, mourn=ended)
        await supervisor.prepare()
        await supervisor.serve(Orders(settings_sent(settings), owns_database=False))
        keeping = asyncio.create_task(supervisor.keep())
        try:
            yield port
        finally:
            await supervisor.stop(timeout_s=5, at_once=asyncio.Event())
            await asyncio.wait([keeping])


def running(module: str) -> set[int]:
    """Return the processes of ours that run a module; other tests' servers may have some, too."""
    return {pid for pid, command in children(os.getpid()).items() if module in command}


class TestAProcessThatHangs:
    @pytest.mark.parametrize("module", [WORKER, DECRYPTOR, SIMULATOR])
    async def test_is_replaced(self, settings: Settings, module: str) -> None:
        """A stopped one answers nobody, so another one takes its place, whatever it runs."""
        ended: list[int] = []
        others = running(module)
        async with kept(settings, module, ended.append) as port:
            (first,) = running(module) - others
            os.kill(first, signal.SIGSTOP)
            deadline = time.monotonic() + 60
            while not running(module) - others - {first}:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            assert ended[0] == first
            if module == WORKER:
                async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                    assert (await client.get("/health/live", timeout=30)).status_code == 200


class TestAProcessThatIsBeingReplaced:
    async def test_is_no_trouble_when_all_shall_end(self, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
        """A stop ends it while it starts, which is no failure that anybody must hear of."""
        others, ended = running(DECRYPTOR), list[int]()
        async with kept(settings, DECRYPTOR, ended.append):
            (first,) = running(DECRYPTOR) - others
            os.kill(first, signal.SIGTERM)
            deadline = time.monotonic() + 60
            while not running(DECRYPTOR) - others - {first}:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
        assert ended[0] == first
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


class TestSilence:
    async def test_is_no_end(self) -> None:
        """Who has closed their end isn't hung; that is seen by other means."""
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        theirs.close()
        with ours:
            assert not await hangs(ours, 0.06)

    async def test_is_told_from_a_slow_pulse(self) -> None:
        """Whoever says that they turn isn't hung, until they no longer do."""
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        theirs.settimeout(0)
        with ours, theirs:

            async def send(said: bytes) -> None:
                await asyncio.get_running_loop().sock_sendall(theirs, said)

            watching = asyncio.create_task(hangs(ours, 0.3))
            async with beating(send, 0.06):
                done, _ = await asyncio.wait([watching], timeout=0.9)
                assert not done
            assert await watching

    async def test_is_allowed_where_somebody_looks_into_a_process(self) -> None:
        """With no limit nothing is sent, and nothing waited for."""

        async def send(_: bytes) -> None:
            pytest.fail("nobody listens")

        async with beating(send, 0):
            await asyncio.sleep(0)
