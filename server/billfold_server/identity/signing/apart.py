"""Does arithmetic beside the event loop, for as many as wait for it at once.

A signature by RSA takes longer than all else that an answer costs, and other requests needn't wait for it: the library
lets other threads run meanwhile. Those that come while a thread is at work are done together by the next one, so a busy
process pays for the way there and back once per batch.
"""

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["Apart"]

T = TypeVar("T")


class Apart:
    """Does the work of one process, in one thread at a time."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        self._worker: asyncio.Task[None] | None = None

    def begin(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Have work done that touches nothing that others change, and return what will have what it returns.

        Nobody need wait for that.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, answer))
        if self._worker is None:
            # It works for many, so it has nothing of the one that happens to start it.
            self._worker = asyncio.get_running_loop().create_task(self._work(), context=contextvars.Context())
        answer.add_done_callback(_heard)
        return answer

    async def _work(self) -> None:
        batch: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                works = [work for work, _ in batch]
                outcomes = await asyncio.get_running_loop().run_in_executor(None, _done, works)
                for (_, answer), outcome in zip(batch, outcomes, strict=True):
                    if answer.done():
                        # Whoever asked has gone away.
                        continue
                    if isinstance(outcome, Exception):
                        answer.set_exception(outcome)
                    else:
                        answer.set_result(outcome)
        finally:
            self._worker = None
            # Only if this task itself was ended is there anybody left.
            for _, answer in (*batch, *self._waiting):
                answer.cancel()


def _heard(answer: "asyncio.Future[Any]") -> None:
    """Take note of a failure also where nobody waits for it."""
    if not answer.cancelled():
        answer.exception()


def _done(works: list[Callable[[], Any]]) -> list[Any]:
    """Return what each work returns, or the exception that it raises."""
    return [_outcome(work) for work in works]


def _outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - who waits for it is told
        return error
