"""Subscriptions and notifications, as the database has them."""

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.open_banking.events.rules import EventType, Scope, read_types

__all__ = ["SUBSCRIPTION", "Notification", "Outcome", "Pause", "Subscription", "Told", "to_subscription"]

Pause = Literal["gone", "unresponsive"]
"""Why nothing is pushed any more: the endpoint says that it is gone for good, or has taken nothing for days."""

Outcome = Literal["acknowledged", "refused"]
"""How a notification has ended: its reader has it, or can't read it and says so."""


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """Where and of what a third party is told.

    Attributes:
        callback_url: Where to; None is by polling alone.
        version: Of which version of resources.
        event_types: Of what, as it was said; None is everything.
        paused_because: Why nothing is pushed.
        taken_at: When something that was pushed was last taken.
    """

    id: UUID
    client_id: UUID
    callback_url: str | None
    version: str
    event_types: tuple[str, ...] | None
    paused_because: Pause | None
    taken_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def wire_id(self) -> str:
        """The id as third parties know it."""
        return ids.encode(Prefix.EVENT_SUBSCRIPTION, self.id)

    @property
    def wanted(self) -> frozenset[EventType]:
        """Of what it is told."""
        return read_types(self.event_types)

    @property
    def pushes(self) -> bool:
        """Whether notifications are sent to it."""
        return self.callback_url is not None and self.paused_because is None


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a third party is told.

    Attributes:
        id: The token's ``jti``.
        event_id: The event of the stream.
        sequence: Its place there.
        scope: What must be allowed for it to be seen.
        resource: The id of what it is about; about one resource, one comes after the other.
        token: The signed token.
        occurred_at: When it happened, on the tenant's clock.
        created_at: When it was written, on the tenant's clock.
        attempts: How often it was sent.
    """

    id: UUID
    client_id: UUID
    event_id: UUID
    sequence: int
    scope: Scope
    resource: str
    token: str
    occurred_at: datetime
    created_at: datetime
    attempts: int = 0


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A notification with what has become of it.

    Attributes:
        state: ``unread``, ``dead`` (pushing was given up), or how it has ended.
        next_attempt_at: When it is pushed next, if it is.
        last_result: What came of the last attempt that failed.
        ended_by: ``push`` or ``poll``.
        error: The code by which its reader has refused it, for good or when it was last pushed.
        error_description: What that one has said of it.
    """

    id: UUID
    client_id: UUID
    event_id: UUID
    resource: str
    token: str
    occurred_at: datetime
    created_at: datetime
    attempts: int
    state: str
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    last_result: str | None
    ended_at: datetime | None
    ended_by: str | None
    error: str | None
    error_description: str | None


SUBSCRIPTION: Final = ", ".join(Subscription.__struct_fields__)


def to_subscription(row: Any) -> Subscription:
    """Return a subscription that was read."""
    types = row["event_types"]
    return Subscription(**{**dict(row), "event_types": None if types is None else tuple(types)})
