"""A worker's end of the decryptor's socket: one connection, on which many orders are under way at once.

Whatever keeps an answer away is ``errors.KeysUnavailable`` within two seconds: no process, one that is too slow, too
much to do. An order whose connection breaks is sent again as long as there is time, for nothing that the decryptor does
is half done: what it has sealed counts only when the caller keeps it, and the codes that it kept are gone with it.
"""

import asyncio
import contextlib
import itertools
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, get_args

import msgspec
import structlog

from billfold import errors
from billfold.contract.platform import KeysState
from billfold_server.decryptor import wire
from billfold_server.decryptor.address import reached
from billfold_server.decryptor.peers import PeerRefused, is_ours, prove_as_client

__all__ = ["PATIENCE_S", "Client", "Standing", "unavailable"]

_log = structlog.stdlib.get_logger("billfold.decryptor")

PATIENCE_S: Final = 1.8
"""How long an answer may take, however often it is asked for."""
_MOST_UNDER_WAY: Final = 1_024
_AGAIN_S: Final = 0.05
_SLACK_S: Final = 0.1
_HEAD: Final = 4
_OF_KEYS: Final = frozenset(get_args(KeysState))
"""Reasons that tell of the decryptor's keys; any other tells of the decryptor itself."""

_Pending = dict[int, "asyncio.Future[wire.Answer]"]


class _HungUp(Exception):
    """The connection ended before the answer."""


def unavailable(reason: str, *, retry_after_s: int = 1) -> errors.KeysUnavailable:
    """Make the error that says that the decryptor is away."""
    msg = "the keys are not available at the moment"
    return errors.KeysUnavailable(msg, reason=reason, retry_after_s=retry_after_s)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


class _Connection:
    """One connection that stands, until it breaks."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._numbers = itertools.count(1)
        self._pending: _Pending = {}
        self._reading = asyncio.create_task(self._read(reader), name="decryptor")

    @property
    def open(self) -> bool:
        return not self._reading.done()

    @property
    def under_way(self) -> int:
        return len(self._pending)

    async def ask(self, order: wire.Order, patience_s: float) -> wire.Answer:
        number = next(self._numbers)
        answer: asyncio.Future[wire.Answer] = asyncio.get_running_loop().create_future()
        self._pending[number] = answer
        try:
            frame = wire.encode(number, max(1, int((patience_s - _SLACK_S) * 1000)), order)
            try:
                self._writer.write(frame)
                await self._writer.drain()
            except RuntimeError:
                # So some event loops say that a connection has ended.
                raise _HungUp from None
            return await answer
        finally:
            self._pending.pop(number, None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(_HEAD), "big")
                number, answer = wire.decode_answer(await reader.readexactly(length))
                waiting = self._pending.get(number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except (OSError, asyncio.IncompleteReadError, msgspec.MsgspecError):
            pass
        finally:
            self._writer.close()
            for each in self._pending.values():
                if not each.done():
                    each.set_exception(_HungUp())

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.wait([self._reading])
        await _closed(self._writer)


class Standing(msgspec.Struct, frozen=True):
    """Whether the decryptor has answered when it was last asked.

    Attributes:
        ok: Whether it has.
        reason: Why not.
    """

    ok: bool = True
    reason: str | None = None


class Client:
    """Asks the decryptor.

    Args:
        folder: Where its socket lies.
        secret: By which both know each other.
        patience_s: How long an answer may take.
        believed_s: How long it counts that an order had no keys, where no further order says more.

    Attributes:
        wake: Sees that there is a decryptor, where it is started when it is first needed; None where somebody else
            looks after it.
        domain: Of the keys that it has.
        counts: What it was asked, by kinds of orders, since somebody looked last.
        failures: Why it didn't answer, likewise.
        standing: Whether it has when it was last asked, and could have the keys when it was last looked at.
        awaiting_rewrap: Not known on this side: the decryptor rewraps by itself, and ``billfold keys status`` shows it.
    """

    domain: Final = "cards"
    awaiting_rewrap: Final = None

    def __init__(
        self, folder: Path, secret: bytes, *, patience_s: float = PATIENCE_S, believed_s: float = 60.0
    ) -> None:
        self._folder = folder
        self._secret = secret
        self._patience_s = patience_s
        self._believed_s = believed_s
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()
        self.wake: Callable[[], Awaitable[None]] | None = None
        self.counts: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._answered = Standing()
        self._answered_s = 0.0
        self._told = Standing()

    @property
    def standing(self) -> Standing:
        """Whether cards can be taken in and given out, as far as is known."""
        return self._answered if self._told.ok else self._told

    async def ask(self, order: wire.Order) -> wire.Answer:
        """Return the answer to an order.

        Raises:
            errors.KeysUnavailable: It doesn't come in time, or the decryptor can't have the keys.
            errors.InternalError: The decryptor has made a mistake, which its log describes.
        """
        try:
            answer = await self._ask(order)
        except errors.KeysUnavailable as error:
            reason = str(error.facts.get("reason"))
            self.failures[reason] += 1
            self._answered, self._answered_s = Standing(ok=False, reason=reason), time.monotonic()
            raise
        self.counts[str(type(order).__struct_config__.tag)] += 1
        self._answered = Standing()
        return answer

    async def look(self) -> wire.StatusTold | None:
        """Ask how it is though nobody needs it, note that as ``standing``, and return it; None where it doesn't answer.

        An order finds out what its own keys need, which may be cached; this finds out what the next one's may.
        """
        try:
            told = await self._ask(wire.Status())
        except (errors.KeysUnavailable, errors.InternalError) as error:
            self._told = Standing(ok=False, reason=str(error.facts.get("reason") or "failing"))
            return None
        assert isinstance(told, wire.StatusTold)
        recovered = told.keys is None and not self._told.ok
        self._told = Standing(ok=told.keys is None, reason=told.keys)
        # That it answers says nothing of keys that it hadn't for an order, which this one needs none of.
        if recovered or self._answered.reason not in _OF_KEYS or self._age_s() > self._believed_s:
            self._answered = Standing()
        return told

    def _age_s(self) -> float:
        return time.monotonic() - self._answered_s

    async def _ask(self, order: wire.Order) -> wire.Answer:
        if self.wake is not None:
            await self.wake()
        answer = await self._ask_until(order, asyncio.get_running_loop().time() + self._patience_s)
        if isinstance(answer, wire.Failed):
            if answer.code == "keys_unavailable":
                raise unavailable(answer.reason, retry_after_s=answer.retry_after_s)
            raise errors.InternalError
        return answer

    async def _ask_until(self, order: wire.Order, deadline: float) -> wire.Answer:
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    connection = await self._connected()
                    if connection.under_way >= _MOST_UNDER_WAY:
                        raise unavailable("decryptor_overloaded")
                    return await connection.ask(order, deadline - loop.time())
            except TimeoutError:
                raise unavailable("decryptor_timeout") from None
            except (OSError, _HungUp, asyncio.IncompleteReadError):
                # A busy machine may let the pause outlast the deadline; still nobody is there, which is why.
                if loop.time() + _AGAIN_S < deadline:
                    await asyncio.sleep(_AGAIN_S)
                if loop.time() + _AGAIN_S >= deadline:
                    raise unavailable("decryptor_down") from None

    async def _connected(self) -> _Connection:
        if self._connection is not None and self._connection.open:
            return self._connection
        async with self._connecting:
            if self._connection is None or not self._connection.open:
                self._connection = await self._connect()
            return self._connection

    async def _connect(self) -> _Connection:
        try:
            reader, writer = await self._open()
            try:
                await prove_as_client(reader, writer, self._secret)
            except BaseException:
                await _closed(writer)
                raise
        except PeerRefused:
            _log.error("what listens at the decryptor's socket isn't this deployment's decryptor")
            raise unavailable("decryptor_foreign", retry_after_s=5) from None
        return _Connection(reader, writer)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(0)
            with reached(self._folder) as path:
                await asyncio.get_running_loop().sock_connect(connection, path)
            if not is_ours(connection):
                raise PeerRefused  # noqa: TRY301 - The socket is closed below, whatever is wrong with it.
            return await asyncio.open_unix_connection(sock=connection)
        except BaseException:
            connection.close()
            raise

    async def aclose(self) -> None:
        """Hang up."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
