"""How a request comes in and its answer goes out, by ASGI or in fewer steps where our own protocol is at the other end.

ASGI knows bodies and answers in pieces, each of which is a message that somebody may have to wait for. Nearly always a
body has all come in before anybody asks for it, and an answer is ready as a whole. Our protocol (``protocol``) can say
so: what it gives an application to receive and send by belongs to an ``Exchange``. Where something else stands between
the two, be it another server or another application that looks at messages, there is none, and messages it is.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from litestar.types import Receive

__all__ = ["ClientGoneError", "Exchange", "Receiving", "exchange_of"]


class ClientGoneError(Exception):
    """Who was sending a request has gone, and nobody waits for an answer."""


class Exchange:
    """One request and its answer, as our own protocol knows them."""

    def body_at_hand(self) -> bytes | None:
        """Return what is left of the body, if all of it has come in; then there is nothing to receive."""
        raise NotImplementedError

    def declines(self) -> bool:
        """Ask for no body any more, and tell whether none comes because the client waits to be asked for it."""
        raise NotImplementedError

    def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Send a whole answer, and tell whether it was sent; if not, it goes by ASGI."""
        raise NotImplementedError


def exchange_of(receive: Any, send: Any) -> Exchange | None:
    """Return the exchange to which both belong, where nothing stands between our protocol and the application."""
    exchange = getattr(send, "__self__", None)
    if isinstance(exchange, Exchange) and getattr(receive, "__self__", None) is exchange:
        return exchange
    return None


_DRAINED_BYTES: Final = 256 * 1024
_DRAINED_S: Final = 0.5


class Receiving:
    """Receives a request's body, and knows whether all of it has come in."""

    __slots__ = ("_complete", "_exchange", "_receive")

    def __init__(self, receive: "Receive", exchange: Exchange | None, *, has_body: bool) -> None:
        self._receive = receive
        self._exchange = exchange
        self._complete = not has_body

    async def __call__(self) -> Any:
        """Receive one message."""
        message = await self._receive()
        self._complete = not message.get("more_body", False)
        return message

    def at_hand(self) -> bytes | None:
        """Return the body, if all of it can be had without waiting."""
        body = None if self._exchange is None else self._exchange.body_at_hand()
        if body is not None:
            self._complete = True
        return body

    @property
    def complete(self) -> bool:
        """Tell whether nothing is left of the body."""
        return self._complete

    async def drain(self) -> None:
        """Take in what is left of a body that nobody wants, within reason.

        Whoever is still sending when the connection shuts loses the answer that says why (RFC 9112, section 9.6).
        """
        if self._complete or self.at_hand() is not None:
            return
        if self._exchange is not None and self._exchange.declines():
            return
        size = 0
        try:
            async with asyncio.timeout(_DRAINED_S):
                while not self.complete and size <= _DRAINED_BYTES:
                    size += len((await self()).get("body", b""))
        except TimeoutError:
            pass
