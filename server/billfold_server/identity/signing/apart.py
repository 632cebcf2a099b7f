"""Does the arithmetic of signatures beside the event loop, for as many as wait for one at once.

A signature by RSA takes longer than all else that an answer costs, and other requests needn't wait for it. One by one
they are made in a thread, for the library lets others run meanwhile. A thread needs the interpreter again after each,
though, and waits for it wherever the event loop is busy. So once several are wanted at a time, they are made in a
process of their own (ADR 65). It starts while the thread does what there is; whatever becomes of it, the thread does
what it has left.
"""

import asyncio
import contextvars
import hashlib
import time
from collections.abc import Callable
from typing import Final, TypeVar

import structlog
from joserfc.jwk import RSAKey

from billfold_server.identity.signing.aside import Aside, Order

__all__ = ["Apart"]

T = TypeVar("T")

_log = structlog.stdlib.get_logger("billfold.identity")

_MANY: Final = 4
"""How many are wanted at once where a process is worth it."""
_AGAIN_S: Final = 10.0
"""How long after one was started another one may be."""
_NOT_HERE_S: Final = 600.0
"""The same after one that never got ready: probably none can here."""


class Apart:
    """Signs by RSA (PS256) for one process."""

    def __init__(self) -> None:
        self._waiting: list[Order] = []
        self._worker: asyncio.Task[None] | None = None
        self._aside: Aside | None = None
        self._again_at = 0.0
        self._closed = False

    @property
    def process_id(self) -> int | None:
        """Return the id of the process that signs, where one does."""
        return self._aside.process.pid if self._aside is not None and self._aside.is_ready else None

    def begin(self, key: RSAKey, signed: bytes, finish: Callable[[bytes], T]) -> "asyncio.Future[T]":
        """Begin to sign, and return what will have what is made of the signature. Nobody need wait for it."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_heard)
        order = Order(key, hashlib.sha256(signed).digest(), answer, finish)
        aside = self._aside
        if aside is None or aside.loop is not answer.get_loop() or not aside.take(order):
            self._do_here([order])
        return answer

    async def close(self) -> None:
        """End the process that signs. What is wanted later is made in the thread."""
        self._closed = True
        if self._aside is not None:
            await self._aside.close()

    def _do_here(self, orders: list[Order]) -> None:
        self._waiting += orders
        if self._waiting and self._worker is None:
            # It works for many, so it has nothing of the one that happens to start it.
            self._worker = asyncio.get_running_loop().create_task(self._work(), context=contextvars.Context())

    async def _work(self) -> None:
        batch: list[Order] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                if len(batch) >= _MANY:
                    self._start()
                outcomes = await asyncio.get_running_loop().run_in_executor(None, _done, batch)
                for order, outcome in zip(batch, outcomes, strict=True):
                    order.settle(outcome)
        finally:
            self._worker = None
            # Only if this task itself was ended is there anybody left.
            for order in (*batch, *self._waiting):
                order.answer.cancel()

    def _start(self) -> None:
        """Start a process, unless there is one, or was a moment ago."""
        now, last = time.monotonic(), self._aside
        if self._closed or now < self._again_at or (last is not None and not last.is_over):
            return
        if last is not None and not last.is_known_good:
            self._give_up("it ended before it was ready")
            return
        self._again_at = now + _AGAIN_S
        try:
            self._aside = Aside(self._do_here)
        except OSError as error:
            self._give_up(str(error))

    def _give_up(self, cause: str) -> None:
        """Leave it to the thread for a while."""
        self._aside = None
        self._again_at = time.monotonic() + _NOT_HERE_S
        _log.warning("no process can be started that signs, so a thread does", cause=cause)


def _heard(answer: "asyncio.Future[T]") -> None:
    """Take note of a failure also where nobody waits for it."""
    if not answer.cancelled():
        answer.exception()


def _done(orders: list[Order]) -> list[bytes | Exception]:
    """Return the signature of each, or the exception that it raises."""
    return [_outcome(order) for order in orders]


def _outcome(order: Order) -> bytes | Exception:
    try:
        return order.sign()
    except Exception as error:  # noqa: BLE001 - who waits for it is told
        return error
