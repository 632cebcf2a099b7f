"""What comes of calling an endpoint."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from billfold_server.outbound.rules import Reason

__all__ = ["Answer", "Cause", "Failure"]

Cause = Literal["refused", "unresolved", "unconnected", "tls", "timeout", "protocol", "broken", "error"]
"""Why there is no answer: it may not be called, its name leads nowhere, nobody is there, TLS failed, it took too long,
what came isn't HTTP, the connection broke, or we couldn't ask."""

_GONE: Final = 410


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

    @property
    def result(self) -> str:
        """What came of it, in one word."""
        return str(self.status)

    @property
    def is_gone(self) -> bool:
        """Whether it says that it is gone for good (RFC 9110, section 15.5.11)."""
        return self.status == _GONE


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

    @property
    def result(self) -> str:
        """What came of it, in one word."""
        return self.cause

    @property
    def is_gone(self) -> bool:
        """Whether it says that it is gone for good."""
        return False
