"""Requests as they are seen, and as the log has them."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.requests import LoggedMessage, LoggedRequest, LoggedRequestRecord
from billfold.ids import Prefix
from billfold_server.http.answers import Header

if TYPE_CHECKING:
    from billfold_server.http.routing import Operation

__all__ = ["REQUEST", "Exchange", "RequestRow", "Seen"]


class Seen(msgspec.Struct, kw_only=True, eq=False, gc=False):
    """A request that was answered, as it came in and went out. It lives in memory alone, and not for long.

    Attributes:
        id: Of the time of the answer.
        path: The path below the tenant's base, as it was sent.
        code: Of the problem, where it was refused.
        sent: The request's headers by lower-case name.
        body: What was read of its body; None is too much.
        answer: The answer's body; None is too much.
    """

    id: UUID
    request_id: str
    method: str
    path: str
    query: bytes
    operation: "Operation | None"
    client_id: UUID | None
    status: int
    code: str | None
    took_ms: int
    sent: Any
    body: bytes | None
    answered: Sequence[Header]
    answer: bytes | None


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent and answered, as it is kept."""

    query: dict[str, Any] = {}
    request: LoggedMessage
    response: LoggedMessage


class RequestRow(msgspec.Struct, frozen=True, kw_only=True):
    """A request in the log.

    Attributes:
        id: Of the time of the answer.
        exchange: The ``Exchange`` as JSON, in which nothing is personal or secret.
    """

    id: UUID
    request_id: str
    method: str
    operation: str | None
    path: str | None
    status: int
    code: str | None
    client_id: UUID | None
    took_ms: int
    exchange: bytes = b""

    @property
    def answered_at(self) -> datetime:
        """When it was answered, in real time."""
        return ids.instant_of(self.id)

    def to_response(self) -> LoggedRequest:
        """Return it as a list shows it."""
        return LoggedRequest(**self._facts())

    def to_record(self) -> LoggedRequestRecord:
        """Return it with what was sent and answered."""
        said = msgspec.json.decode(self.exchange, type=Exchange)
        return LoggedRequestRecord(**self._facts(), query=said.query, request=said.request, response=said.response)

    def _facts(self) -> dict[str, Any]:
        return {
            "request_id": self.request_id,
            "answered_at": self.answered_at,
            "took_ms": self.took_ms,
            "method": self.method,
            "operation": self.operation,
            "path": self.path,
            "status": self.status,
            "code": self.code,
            "client_id": None if self.client_id is None else ids.encode(Prefix.CLIENT, self.client_id),
        }


REQUEST: Final = ", ".join(name for name in RequestRow.__struct_fields__ if name != "exchange")
