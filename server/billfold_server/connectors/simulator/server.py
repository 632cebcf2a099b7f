"""The simulator's side of HTTP: two addresses, and for whom it won't answer a line that stays silent."""

import hmac
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from billfold_server.connectors.simulator.state import AnotherOrder, Orders
from billfold_server.connectors.words import Instruction, Report

__all__ = ["simulator"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_PATH = re.compile(r"/instructions/([a-z0-9_]{1,64})")
_OK, _BAD_REQUEST, _UNAUTHORIZED, _NOT_FOUND, _CONFLICT = 200, 400, 401, 404, 409
_LONGEST = 65_536


def simulator(orders: Orders, secret: str) -> Callable[[Any, Receive, Send], Awaitable[None]]:
    """Return the simulator as an ASGI application.

    Args:
        orders: What it remembers.
        secret: What whoever asks must know.
    """
    expected = f"Bearer {secret}".encode()

    async def application(scope: Any, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"")
        found = _PATH.fullmatch(scope["path"])
        if not hmac.compare_digest(given, expected):
            await _answer(send, _UNAUTHORIZED)
        elif found is None or scope["method"] not in {"PUT", "GET"}:
            await _answer(send, _NOT_FOUND)
        elif scope["method"] == "GET":
            await _inquire(orders, found[1], receive, send)
        else:
            await _submit(orders, found[1], await _body(receive), receive, send)

    return application


async def _submit(orders: Orders, key: str, body: bytes, receive: Receive, send: Send) -> None:
    try:
        instruction = msgspec.json.decode(body, type=Instruction)
    except msgspec.MsgspecError:
        instruction = None
    if instruction is None or instruction.key != key:
        await _answer(send, _BAD_REQUEST)
        return
    try:
        report = orders.submit(instruction)
    except AnotherOrder:
        await _answer(send, _CONFLICT)
        return
    await _say(report, receive, send)


async def _inquire(orders: Orders, key: str, receive: Receive, send: Send) -> None:
    try:
        report = orders.inquire(key)
    except KeyError:
        await _answer(send, _NOT_FOUND)
        return
    await _say(report, receive, send)


async def _say(report: Report | None, receive: Receive, send: Send) -> None:
    if report is not None:
        await _answer(send, _OK, msgspec.json.encode(report))
        return
    # Whoever waits for an answer has to lose patience by themselves.
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more and len(body) <= _LONGEST:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _answer(send: Send, status: int, body: bytes = b"") -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
