"""The decryptor's socket: takes orders from several processes at once, and never more than it can hold."""

import asyncio
import contextlib
import logging
import socket
from pathlib import Path
from typing import Final

import msgspec

from billfold import errors
from billfold_server.decryptor import wire
from billfold_server.decryptor.address import listen, same_socket
from billfold_server.decryptor.handling import Handling
from billfold_server.decryptor.hardening import frames_of
from billfold_server.decryptor.peers import PeerRefused, is_ours, prove_as_server

__all__ = ["Server"]

_log = logging.getLogger("billfold.decryptor")

MOST_WAITING: Final = 2_048
"""How many items may be under way: what is worked off within a second, and so before patience ends."""
_MOST_CONNECTIONS: Final = 512
_HANDSHAKE_S: Final = 2.0
_LOOK_S: Final = 0.5
_DRAIN_S: Final = 0.01
_LONGEST_PATIENCE_MS: Final = 10_000
_HEAD: Final = 4


class Server:
    """Serves the decryptor's clients.

    Args:
        folder: Where the socket lies.
        secret: What clients must know.
        handling: What is done with orders.
        most_waiting: How many items may be under way.
    """

    def __init__(self, folder: Path, secret: bytes, handling: Handling, *, most_waiting: int = MOST_WAITING) -> None:
        self._folder = folder
        self._secret = secret
        self._handling = handling
        self._most_waiting = most_waiting
        self._waiting = 0
        self._conversations: set[asyncio.Task[None]] = set()
        self._listener = listen(folder)

    async def serve(self) -> None:
        """Take connections until cancelled. A socket that was taken away is put back."""
        while True:
            accepting = asyncio.create_task(self._accept(self._listener))
            try:
                await self._while_ours()
            finally:
                accepting.cancel()
                await asyncio.wait([accepting])
                self._listener.close()
            _log.warning("the decryptor's socket was taken away, and is put back")
            self._listener = listen(self._folder)

    async def hung_up(self, *, timeout_s: float) -> None:
        """Wait until every client has hung up, or the time is over."""
        if self._conversations:
            await asyncio.wait(self._conversations, timeout=timeout_s)

    async def drain(self) -> None:
        """Wait until what is under way has been answered, and hang up."""
        async with asyncio.timeout(_LONGEST_PATIENCE_MS / 1000):
            while self._waiting:  # noqa: ASYNC110 - It is a matter of milliseconds, once in a process's life.
                await asyncio.sleep(_DRAIN_S)
        for each in self._conversations:
            each.cancel()
        if self._conversations:
            await asyncio.wait(self._conversations)

    async def _while_ours(self) -> None:
        inode = (self._folder / "socket").lstat().st_ino
        while same_socket(self._folder, inode):  # noqa: ASYNC110 - No event comes from a folder.
            await asyncio.sleep(_LOOK_S)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                # Too many files are open, as a rule; those who ask wait for that long, and are let in then.
                await asyncio.sleep(_DRAIN_S)
                continue
            if not is_ours(connection) or len(self._conversations) >= _MOST_CONNECTIONS:
                _log.warning("a connection to the decryptor is refused")
                connection.close()
                continue
            task = asyncio.create_task(self._converse(connection))
            self._conversations.add(task)
            task.add_done_callback(self._conversations.discard)

    async def _converse(self, connection: socket.socket) -> None:
        connection.settimeout(0)
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                await prove_as_server(reader, writer, self._secret)
            async with asyncio.TaskGroup() as group:
                await self._take_orders(reader, writer, group)
        except* (PeerRefused, TimeoutError, msgspec.MsgspecError, OSError, asyncio.IncompleteReadError) as refused:
            if not isinstance(refused.exceptions[0], OSError | asyncio.IncompleteReadError):
                _log.warning("a client of the decryptor is hung up on: %s", type(refused.exceptions[0]).__name__)
        finally:
            writer.close()

    async def _take_orders(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, group: asyncio.TaskGroup
    ) -> None:
        """Take orders until the client hangs up; what is under way for it then is given up."""
        while True:
            length = int.from_bytes(await reader.readexactly(_HEAD), "big")
            if length > wire.MOST_BYTES:
                raise msgspec.DecodeError
            number, patience_ms, order = wire.decode_order(await reader.readexactly(length))
            weight = _weight(order)
            if self._waiting + weight > self._most_waiting or weight > wire.MOST_ITEMS:
                _tell(writer, number, wire.Failed("keys_unavailable", "overloaded"))
            else:
                self._waiting += weight
                patience_s = min(patience_ms, _LONGEST_PATIENCE_MS) / 1000
                group.create_task(self._answer(writer, number, order, weight, patience_s))
            # Who doesn't read the answers is told nothing more, and asks nothing more.
            await writer.drain()

    async def _answer(
        self, writer: asyncio.StreamWriter, number: int, order: wire.Order, weight: int, patience_s: float
    ) -> None:
        try:
            async with asyncio.timeout(patience_s):
                answer = await self._handling.do(order, waiting=self._waiting)
        except TimeoutError:
            answer = wire.Failed("keys_unavailable", "timeout")
        except errors.KeysUnavailable as error:
            facts = error.facts
            answer = wire.Failed("keys_unavailable", str(facts.get("reason")), int(facts.get("retry_after_s") or 1))
        except Exception as error:  # noqa: BLE001 - One order's mistake is not another's.
            _log.error("an order failed\n%s", frames_of((type(error), error, error.__traceback__)))
            answer = wire.Failed("internal_error")
        finally:
            self._waiting -= weight
        _tell(writer, number, answer)


def _tell(writer: asyncio.StreamWriter, number: int, answer: wire.Answer) -> None:
    # Who has hung up hears nothing any more; some event loops say that by an error of another kind than the system's.
    with contextlib.suppress(OSError, RuntimeError):
        if not writer.transport.is_closing():
            writer.write(wire.encode(number, answer))


def _weight(order: wire.Order) -> int:
    match order:
        case wire.TakeIn() | wire.GiveOut() | wire.Refingerprint():
            return max(1, len(order.items))
        case wire.Fingerprints():
            return max(1, len(order.values))
    return 1
