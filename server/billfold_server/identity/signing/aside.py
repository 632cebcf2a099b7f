"""A worker's end of the process that signs for it (``signer``)."""

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import RSAKey

from billfold_server.identity.signing.signer import FORGET, LEARN, LONGEST, NUMBER, READY, SIGN, sign_digest

__all__ = ["Aside", "Order"]

_PROGRAM: Final = "billfold_server.identity.signing.signer"
_PATIENCE_S: Final = 2.0
"""How long an order may take. It is a fraction of a millisecond's work, and its socket takes some hundreds."""
_START_S: Final = 30.0
"""How long it may take until it is ready."""
_OURS: Final = "BILLFOLD_"


class Order:
    """One signature that is wanted.

    Args:
        key: By which key.
        digest: The SHA-256 digest of what is signed.
        answer: Has what is made of the signature.
        finish: Makes that.
    """

    __slots__ = ("_finish", "answer", "digest", "key", "private")

    def __init__(
        self, key: RSAKey, digest: bytes, answer: "asyncio.Future[Any]", finish: Callable[[bytes], Any]
    ) -> None:
        assert key.private_key is not None
        self.key = key
        self.private = key.private_key
        self.digest = digest
        self.answer = answer
        self._finish = finish

    def sign(self) -> bytes:
        """Return the signature, made here."""
        return sign_digest(self.private, self.digest)

    def settle(self, signature: bytes | Exception) -> None:
        """Give whoever waits for it the signature, or what has gone wrong. Whoever asked may have gone away."""
        if self.answer.done():
            return
        if isinstance(signature, bytes):
            self.answer.set_result(self._finish(signature))
        else:
            self.answer.set_exception(signature)


class Aside:
    """The process, from its start to its end.

    Args:
        left: Is told the orders that it leaves undone: one that it can't do, or all when it has ended.

    Attributes:
        is_ready: Whether it takes orders now.
        is_known_good: Whether it ever did.
        is_over: Whether it has ended, or is as good as that.
        loop: On which it was started.

    Raises:
        OSError: It can't be started here.
    """

    def __init__(self, left: Callable[[list[Order]], None]) -> None:
        self._left = left
        self._orders: dict[int, Order] = {}
        self._numbers = itertools.count(1)
        self._keys: dict[int, int] = {}
        self._finalizers: dict[int, weakref.finalize[..., RSAKey]] = {}
        self._forgotten: list[int] = []
        self.is_ready = self.is_known_good = self.is_over = False
        self._reaping: asyncio.Future[int] | None = None
        self._oldest = 0
        self.loop = asyncio.get_running_loop()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self.process = _started(theirs)
            except OSError:
                self._channel.close()
                raise
        self._channel.settimeout(0)
        self.loop.add_reader(self._channel.fileno(), self._read)
        self._alarm: asyncio.TimerHandle | None = self.loop.call_later(_START_S, self._end)

    def take(self, order: Order) -> bool:
        """Take an order, or tell that it can't be taken now. It is begun at once, whatever else this loop has to do."""
        if not self.is_ready:
            return False
        number = next(self._numbers)
        try:
            self._tell_forgotten()
            of_key = self._number_of(order)
            self._channel.send(SIGN + NUMBER.pack(number) + NUMBER.pack(of_key) + order.digest)
        except BlockingIOError:
            return False
        except OSError:
            self._end()
            return False
        self._orders[number] = order
        if self._alarm is None:
            self._watch()
        return True

    async def close(self) -> None:
        """End it. What it hasn't done is left."""
        self._end()
        if self._reaping is not None:
            await self._reaping

    def _number_of(self, order: Order) -> int:
        """Return the number by which it knows an order's key, which it is told where it doesn't."""
        key = order.key
        number = self._keys.get(id(key))
        if number is None:
            number = next(self._numbers)
            encoded = order.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            self._channel.send(LEARN + NUMBER.pack(number) + encoded)
            # It knows it for as long as this process does.
            self._finalizers[number] = weakref.finalize(key, self._forget, id(key), number)
            self._finalizers[number].atexit = False
            self._keys[id(key)] = number
        return number

    def _forget(self, place: int, number: int) -> None:
        """Have a key forgotten that is no more, in whichever thread that was noticed."""
        self._keys.pop(place, None)
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._forget_soon, number)

    def _forget_soon(self, number: int) -> None:
        self._finalizers.pop(number, None)
        if self.is_over:
            return
        self._forgotten.append(number)
        # What it can't be told now it is told before its next order.
        with contextlib.suppress(OSError):
            self._tell_forgotten()

    def _tell_forgotten(self) -> None:
        while self._forgotten:
            self._channel.send(FORGET + NUMBER.pack(self._forgotten[-1]))
            self._forgotten.pop()

    def _read(self) -> None:
        while not self.is_over:
            try:
                message = self._channel.recv(LONGEST)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self._end()
            elif message == READY:
                self.is_ready = self.is_known_good = True
                self._still()
            else:
                self._settle(NUMBER.unpack_from(message)[0], message[NUMBER.size :])

    def _settle(self, number: int, signature: bytes) -> None:
        order = self._orders.pop(number)
        if signature:
            order.settle(signature)
        else:
            self._left([order])

    def _watch(self) -> None:
        """See to it that nobody waits for what will never come."""
        self._oldest = next(iter(self._orders))
        self._alarm = self.loop.call_later(_PATIENCE_S, self._look)

    def _still(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None

    def _look(self) -> None:
        self._alarm = None
        # It may be this loop that was held up, and the answer be there.
        self._read()
        if self._oldest in self._orders:
            self._end()
        elif self._orders:
            self._watch()

    def _end(self) -> None:
        if self.is_over:
            return
        self.is_over, self.is_ready = True, False
        self._still()
        self.loop.remove_reader(self._channel.fileno())
        self._channel.close()
        for finalizer in self._finalizers.values():
            finalizer.detach()
        # It would end by itself, unless it is stopped or stuck.
        self.process.kill()
        orders, self._orders = [*self._orders.values()], {}
        self._left(orders)
        try:
            self._reaping = self.loop.run_in_executor(None, self.process.wait)
        except RuntimeError:
            # The loop has no threads any more. Whoever was killed is gone in a moment.
            self.process.wait()


def _started(channel: socket.socket) -> "subprocess.Popen[bytes]":
    """Start the program, of whose inheritance our own variables are no part: what they say may be secret."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", _PROGRAM, str(channel.fileno())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[channel.fileno()],
        env={name: value for name, value in os.environ.items() if not name.startswith(_OURS)},
    )
