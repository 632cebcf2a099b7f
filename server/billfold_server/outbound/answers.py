"""What comes of calling an endpoint."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from billfold_server.outbound.rules import Reason

__all__ = ["Answer", "Cause", "Failure"]

Cause = Literal["refused", "unresolved", "unconnected", "tls", "timeout", "protocol", "broken"]
"""Why there is no answer: it may not be called, its name leads nowhere, nobody is there, TLS failed, it took too long,
what came isn't HTTP, or the connection broke."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint said.

    Attributes:
        status: Its status.
        headers: Its headers by lower-case name; of several the last.
        body: The beginning of its body, as it came.
        whole: Whether that is all of it.
        took_s: How long it took, in seconds.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool
    took_s: float


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why an endpoint said nothing.

    Attributes:
        cause: In one word.
        took_s: How long it took, in seconds.
        reason: Why it may not be called, where that is the cause.
    """

    cause: Cause
    took_s: float
    reason: Reason | None = None
