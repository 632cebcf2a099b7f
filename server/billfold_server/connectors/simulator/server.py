"""The simulator's side of HTTP: what leaves, what comes in, and for whom it won't answer a silent line."""

import hmac
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from billfold_server.connectors.simulator.state import AnotherOrder, Orders
from billfold_server.connectors.words import Credit, Instruction, Report

__all__ = ["AT_ONCE", "AWAY", "REJECTS", "simulator"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

AWAY, REJECTS, AT_ONCE = b"x-play-away", b"x-play-rejects", b"x-play-at-once"
"""By which headers a caller has the simulator play a part: that it is away, rejects what is new for a reason, or tells
at once of a silence."""

_PATH = re.compile(r"/instructions/([a-z0-9_]{1,64})")
_CREDITS = re.compile(r"/mailboxes/([a-z0-9_]{1,64})/credits(?:/([a-z0-9_]{1,64}))?(/answer)?")
_OK, _BAD_REQUEST, _UNAUTHORIZED, _NOT_FOUND, _CONFLICT, _AWAY, _SILENT = 200, 400, 401, 404, 409, 503, 504
_LONGEST = 65_536


def simulator(orders: Orders, secret: str) -> Callable[[Any, Receive, Send], Awaitable[None]]:
    """Return the simulator as an ASGI application.

    Args:
        orders: What it remembers.
        secret: What whoever asks must know.
    """
    expected = f"Bearer {secret}".encode()

    async def application(scope: Any, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        given = headers.get(b"authorization", b"")
        found = _PATH.fullmatch(scope["path"])
        if not hmac.compare_digest(given, expected):
            await _answer(send, _UNAUTHORIZED)
        elif headers.get(AWAY) is not None:
            await _answer(send, _AWAY)
        elif (mail := _CREDITS.fullmatch(scope["path"])) is not None:
            await _mail(orders, mail, scope["method"], receive, send)
        elif found is None or scope["method"] not in {"PUT", "GET"}:
            await _answer(send, _NOT_FOUND)
        elif scope["method"] == "GET":
            await _inquire(orders, scope, found[1], receive, send)
        else:
            await _submit(orders, scope, found[1], receive, send)

    return application


async def _submit(orders: Orders, scope: Any, key: str, receive: Receive, send: Send) -> None:
    rejects = dict(scope["headers"]).get(REJECTS)
    try:
        instruction = msgspec.json.decode(await _body(receive), type=Instruction)
    except msgspec.MsgspecError:
        instruction = None
    if instruction is None or instruction.key != key:
        await _answer(send, _BAD_REQUEST)
        return
    try:
        report = orders.submit(instruction, rejects=None if rejects is None else rejects.decode("ascii"))
    except AnotherOrder:
        await _answer(send, _CONFLICT)
        return
    await _say(report, scope, receive, send)


async def _mail(orders: Orders, mail: re.Match[str], method: str, receive: Receive, send: Send) -> None:
    """Have money that comes in, show it, or hear what has become of it."""
    mailbox, key, answer = mail.groups()
    if method == "GET" and key is not None and answer is None:
        credit = orders.find_credit(mailbox, key)
        await _answer(send, _NOT_FOUND if credit is None else _OK, msgspec.json.encode(credit))
    elif method == "DELETE" and key is None:
        orders.empty(mailbox)
        await _answer(send, _OK)
    elif method == "PUT" and key is not None and answer is not None:
        orders.answer(mailbox, key)
        await _answer(send, _OK)
    elif method == "PUT" and key is not None:
        try:
            orders.announce(mailbox, msgspec.json.decode(await _body(receive), type=Credit))
        except msgspec.MsgspecError:
            await _answer(send, _BAD_REQUEST)
        except AnotherOrder:
            await _answer(send, _CONFLICT)
        else:
            await _answer(send, _OK)
    else:
        await _answer(send, _NOT_FOUND)


async def _inquire(orders: Orders, scope: Any, key: str, receive: Receive, send: Send) -> None:
    try:
        report = orders.inquire(key)
    except KeyError:
        await _answer(send, _NOT_FOUND)
        return
    await _say(report, scope, receive, send)


async def _say(report: Report | None, scope: Any, receive: Receive, send: Send) -> None:
    if report is not None:
        await _answer(send, _OK, msgspec.json.encode(report))
        return
    if AT_ONCE in dict(scope["headers"]):
        await _answer(send, _SILENT)
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
