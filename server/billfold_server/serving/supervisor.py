"""The parent of the workers: starts them, replaces those that die, and ends them in good order.

Workers are fresh processes, not forks: the parent has threads, and a fork of those is a lottery. They share one
listening socket, so a connection that arrives while a worker dies is taken by another, or waits for the next.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from billfold_server.serving.failures import Exit, Failure
from billfold_server.serving.orders import Orders, Report
from billfold_server.serving.pulse import hangs

__all__ = ["DECRYPTOR", "SIMULATOR", "Supervisor", "Worker"]

_log = logging.getLogger("billfold.supervisor")

WORKER = "billfold_server.serving.worker"
DECRYPTOR = "billfold_server.serving.decrypting"
SIMULATOR = "billfold_server.serving.simulating"
"""What a process runs."""

_OURS = "BILLFOLD_"
_START_TIMEOUT_S = 60
_STARTS_SOON_S = 5.0
"""A worker that dies younger than this is replaced after a pause, which doubles each time."""
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_IN_GOOD_ORDER = frozenset({0, -signal.SIGTERM})
"""How a worker ends that was told to, whether or not it was ready for that yet."""
_GRACE_S = 5.0
"""How much longer than its own bound a worker may take to end, before it is killed."""


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let processes that are started here hear no SIGINT from their first moment on: what is blocked is inherited.

    A terminal's Ctrl-C comes to all processes. These are ended by us, and would end in a page of where they happened
    to be while they were still loading.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        # What came meanwhile comes now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


class Worker:
    """One worker process, seen from its parent."""

    def __init__(self, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        self.process = process
        self._channel = channel
        self.started_at = asyncio.get_running_loop().time()

    @classmethod
    async def spawn(
        cls, listeners: Sequence[socket.socket], environment: dict[str, str], *, module: str = WORKER
    ) -> "Worker":
        """Start a process that imports the application and waits for orders.

        ``-P`` keeps the folder that we happen to be in off its path. Its standard output is our standard error, since
        what we print ourselves may be read by a program. Our own variables stay here: they may hold secrets, and all
        that counts comes as orders.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        ours, theirs = socket.socketpair()
        with theirs:
            handed = [theirs.fileno(), *(each.fileno() for each in listeners)]
            with _deaf_to_interrupts():
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",
                    "-m",
                    module,
                    *map(str, handed),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=sys.stderr,
                    pass_fds=handed,
                    env=inherited | environment,
                )
        ours.settimeout(0)
        return cls(process, ours)

    async def serve(self, orders: Orders) -> None:
        """Give it its orders, and wait until it serves.

        Raises:
            Failure: It can't.
        """
        loop = asyncio.get_running_loop()
        line = b""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_START_TIMEOUT_S):
                await loop.sock_sendall(self._channel, msgspec.json.encode(orders) + b"\n")
                while b"\n" not in line and (more := await loop.sock_recv(self._channel, 65_536)):
                    line += more
        # It may have begun to say that it turns, too.
        said, newline, _ = line.partition(b"\n")
        report = msgspec.json.decode(said, type=Report) if newline else None
        if report is not None and report.failure is None:
            return
        self.kill()
        code = await self.ended()
        if report is not None and report.failure is not None:
            raise Failure("worker_failed", report.failure, Exit(report.exit_code))
        raise Failure(
            "worker_failed",
            f"A worker process ended while it was starting ({_how(code)}): its log above says why.",
            Exit.INTERNAL,
        )

    async def ended(self) -> int:
        """Wait for its end, and return its exit code, or the negative number of the signal that ended it."""
        code = await self.process.wait()
        self._channel.close()
        return code

    async def kept(self, hung_timeout_s: float) -> int:
        """Do the same, and bring its end about where it hangs.

        Args:
            hung_timeout_s: After how long a silence it counts as hung; 0 is never.
        """
        watching = asyncio.create_task(self._watch(hung_timeout_s)) if hung_timeout_s else None
        code = await self.process.wait()
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])
        self._channel.close()
        return code

    async def _watch(self, hung_timeout_s: float) -> None:
        if await hangs(self._channel, hung_timeout_s):
            _log.error("worker %d hasn't turned for %g seconds and is killed", self.process.pid, hung_timeout_s)
            self.kill()

    def drain(self) -> None:
        """Tell it to finish what it has begun, and to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def age_s(self) -> float:
        """Return how long ago it was started."""
        return asyncio.get_running_loop().time() - self.started_at

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)


class Supervisor:
    """All workers of one server.

    Args:
        listeners: The sockets that they share.
        count: How many there are.
        module: What each of them runs.
        environment: What their environment has beside ours.
        mourn: Is told the number of each process that has ended.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        count: int,
        *,
        module: str = WORKER,
        environment: dict[str, str] | None = None,
        mourn: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._listeners = listeners
        self._count = count
        self._module = module
        self._environment = environment or {}
        self._mourn = mourn
        self._orders: Orders | None = None
        self._workers: set[Worker] = set()
        self._stopping = False
        self._leaving = False

    async def prepare(self) -> None:
        """Start processes, which import the application meanwhile; no more than can do so at the same time."""
        for _ in range(min(self._count, os.cpu_count() or 1)):
            await self._spawn()

    async def serve(self, orders: Orders) -> None:
        """Let all workers serve, those that are prepared and the rest, and return when all of them do.

        Raises:
            Failure: One of them can't.
        """
        self._orders = orders
        while len(self._workers) < self._count:
            await self._spawn()
        async with asyncio.TaskGroup() as group:
            for worker in list(self._workers):
                group.create_task(worker.serve(orders))

    async def keep(self) -> None:
        """Replace workers that end, until told to stop."""
        async with asyncio.TaskGroup() as group:
            for worker in list(self._workers):
                group.create_task(self._keep_one(worker))

    def renew(self, orders: Orders) -> None:
        """Let every worker finish what it has begun, and be followed by one with other orders."""
        self._orders = orders
        for worker in self._workers:
            worker.drain()

    def let_leave(self) -> None:
        """Replace no worker from now on that ends in good order: the stop is near, and may have been told to all."""
        self._leaving = True

    async def stop(self, *, timeout_s: float, at_once: asyncio.Event) -> None:
        """End all workers: with what they have begun, or, when the time or somebody's patience is over, without.

        Args:
            timeout_s: How long each may take for what it has begun.
            at_once: Is set when somebody loses patience.
        """
        self._stopping = True
        # First our own copies: as long as one is open, the system takes connections that nobody would answer.
        for listener in self._listeners:
            listener.close()
        workers = list(self._workers)
        for worker in workers:
            worker.drain()
        ends: asyncio.Future[Any] = asyncio.ensure_future(asyncio.gather(*(worker.ended() for worker in workers)))
        hurry: asyncio.Future[Any] = asyncio.ensure_future(at_once.wait())
        done, _ = await asyncio.wait([ends, hurry], timeout=timeout_s + _GRACE_S, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if ends not in done:
            _log.warning("workers are ended before they have finished")
            for worker in workers:
                worker.kill()
        await ends
        for worker in workers:
            self._bury(worker)

    def _bury(self, worker: Worker) -> None:
        self._workers.discard(worker)
        self._mourn(worker.process.pid)

    async def _spawn(self) -> Worker:
        worker = await Worker.spawn(self._listeners, self._environment, module=self._module)
        if self._stopping:
            # All the others were told while this one was on its way.
            worker.kill()
        self._workers.add(worker)
        return worker

    async def _keep_one(self, worker: Worker | None) -> None:
        pauses = _Pauses()
        while worker is not None:
            code = await worker.kept(self._orders.settings["hung_timeout_s"] if self._orders is not None else 0)
            if self._stopping or (self._leaving and code in _IN_GOOD_ORDER):
                return
            self._bury(worker)
            _log.warning("worker %d ended (%s) and is replaced", worker.process.pid, _how(code))
            if code != 0 and worker.age_s() < _STARTS_SOON_S:
                await pauses.make()
            else:
                pauses = _Pauses()
            ended, worker = worker, await self._replace()
            if worker is not None:
                _log.info("worker %d serves in the place of worker %d", worker.process.pid, ended.process.pid)

    async def _replace(self) -> Worker | None:
        """Start a worker that serves, however often that takes; None once all shall end."""
        assert self._orders is not None, "the first workers have been serving"
        pauses = _Pauses()
        while not self._stopping:
            try:
                worker = await self._spawn()
            except OSError as error:
                # A stop has closed the listeners, so nothing can be handed on.
                if not self._stopping:
                    _log.error("a worker can't be started yet: %s", error)
            else:
                try:
                    await worker.serve(self._orders)
                except Failure as failure:
                    self._bury(worker)
                    if not self._stopping:
                        _log.error("a worker can't be replaced yet: %s", failure)
                else:
                    return worker
            await pauses.make()
        return None


class _Pauses:
    """Pauses that grow, so that what fails at once doesn't fail without end."""

    def __init__(self) -> None:
        self._next_s = _FIRST_PAUSE_S

    async def make(self) -> None:
        """Wait, each time twice as long as before."""
        pause_s, self._next_s = self._next_s, min(self._next_s * 2, _LONGEST_PAUSE_S)
        await asyncio.sleep(pause_s)


def _how(code: int) -> str:
    """Say how a process ended."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"by {signal.Signals(-code).name}"
    return f"with exit code {code}"
