"""Answers that are made, and whose signatures are begun, while what they tell of is being written.

Once a command is decided it is known what will be answered if that is committed, and writing it takes longer than
signing. So both are got ready meanwhile. None of it leaves this process by that: what is sent is made of what the
engine answers in the end, after COMMIT. Only where that is to the byte what had been foreseen is what was made of it
the same, and only for the very bytes that are sent is a signature used. Where writing has failed, or the command came
to something else when it was decided again, all of it is left.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from billfold_server.http.routing import Call
from billfold_server.ledger.service import Answer
from billfold_server.open_banking.edge import headers, signatures

__all__ = ["Foreseen"]

_encode = msgspec.json.Encoder().encode


class Foreseen:
    """What is answered to a request that gives one command, got ready as soon as that is decided.

    Args:
        call: The request.
        show: Makes what is answered of what the command has answered, and of nothing else that may change.
    """

    def __init__(self, call: Call, show: Callable[[bytes], Any]) -> None:
        self._call = call
        self._show = show
        self._made: tuple[bytes, bytes] | None = None

    def foresee(self, answer: Answer) -> None:
        """Make the answer, and begin to sign it; the ledger's engine calls this (``ledger.protocol.Foresee``)."""
        # What is answered by other names is put together anew, and signed then.
        if headers.payload_version(self._call.headers) != headers.OLD_PAYLOAD:
            told = _encode(self._show(answer.body))
            self._made = answer.body, told
            signatures.begin(self._call, told)

    def told(self, said: bytes) -> bytes:
        """Return what is answered, now that it is known what the command has answered."""
        if self._made is not None and self._made[0] == said:
            return self._made[1]
        return _encode(self._show(said))
