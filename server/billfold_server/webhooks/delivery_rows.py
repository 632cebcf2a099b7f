"""Deliveries and attempts as the database has them."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.webhooks import WebhookDelivery, WebhookDeliveryState
from billfold.ids import Prefix

__all__ = ["DELIVERY", "AttemptRow", "DeliveryRow", "Exchange", "NewDelivery", "Outcome", "to_delivery"]


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to one endpoint.

    Attributes:
        sequence: The event's place in the stream.
        attempts: How often it was tried since it began, or since it was asked for again.
        begun_at: When that was, on the tenant's clock.
        next_attempt_at: When it is tried next; None is not, for now or for good.
        last_result: A status, or in one word why there is none.
        copies: How often it is to arrive.
    """

    id: UUID
    endpoint_id: UUID
    event_id: UUID
    sequence: int
    event_type: str
    state: WebhookDeliveryState
    attempts: int
    begun_at: datetime
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    last_result: str | None
    created_at: datetime
    copies: int

    @property
    def wire_id(self) -> str:
        """The id as it is told."""
        return ids.encode(Prefix.WEBHOOK_DELIVERY, self.id)

    def to_response(self) -> WebhookDelivery:
        """Return it as it is shown."""
        return WebhookDelivery(
            id=self.wire_id,
            webhook_endpoint_id=ids.encode(Prefix.WEBHOOK_ENDPOINT, self.endpoint_id),
            event_id=ids.encode(Prefix.EVENT, self.event_id),
            event_type=self.event_type,
            sequence=self.sequence,
            state=self.state,
            attempts=self.attempts,
            next_attempt_at=self.next_attempt_at,
            last_attempt_at=self.last_attempt_at,
            last_result=self.last_result,
            created_at=self.created_at,
        )


class NewDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """An event that an endpoint is to be told of.

    Attributes:
        due: Whether it is tried at once; what a paused endpoint is told of waits.
        wait_s: How much later it is tried first.
        copies: How often it is to arrive.
    """

    id: UUID
    endpoint_id: UUID
    event_id: UUID
    sequence: int
    event_type: str
    due: bool
    wait_s: int = 0
    copies: int = 1


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent and what came back, as it is sealed. The body that was sent is the event.

    Attributes:
        status: None where no answer came.
        body: The beginning of the answer's body, as text.
        whole: Whether that is all of it.
    """

    url: str
    sent: dict[str, str]
    status: int | None = None
    headers: dict[str, str] = {}
    body: str = ""
    whole: bool = True


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a delivery."""

    id: UUID
    delivery_id: UUID
    attempted_at: datetime
    took_ms: int
    result: str
    sealed_exchange: bytes


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt has come to.

    Attributes:
        attempts: How often it had been tried before.
        next_attempt_at: When it is tried again, where it waits.
    """

    delivery_id: UUID
    attempts: int
    state: WebhookDeliveryState
    result: str
    next_attempt_at: datetime | None


DELIVERY: Final = ", ".join(DeliveryRow.__struct_fields__)


def to_delivery(row: Any) -> DeliveryRow:
    """Return a delivery that was read."""
    return DeliveryRow(**{**dict(row), "state": WebhookDeliveryState(row["state"])})
