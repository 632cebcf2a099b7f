"""Endpoints as the database has them."""

import base64
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.webhooks import WebhookEndpoint, WebhookEndpointReason, WebhookEndpointState
from billfold.ids import Prefix

__all__ = ["ENDPOINT", "WRITTEN", "EndpointRow", "public_text", "to_endpoint"]

_PUBLIC: Final = "whpk_"


class EndpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """Where events are delivered.

    Attributes:
        event_types: Which types, or beginnings of types with ``.*``; None is all.
        sealed_keys: ``SigningKeys``, sealed under the tenant's own key.
        former_until: Until when former keys sign too, in real time.
        begins_after: The place in the stream behind which it is told.
        taken_at: When it last took something, on the tenant's clock.
        partner_id: The partner to which it belongs.
        suspended: Whether that is suspended, as it was when this was read.
    """

    id: UUID
    url: str
    description: str | None
    event_types: tuple[str, ...] | None
    state: WebhookEndpointState
    state_reason: WebhookEndpointReason | None
    sealed_keys: bytes
    public_key: bytes
    former_public_key: bytes | None = None
    former_until: datetime | None = None
    begins_after: int
    taken_at: datetime | None = None
    version: int
    created_at: datetime
    updated_at: datetime
    partner_id: UUID | None = None
    suspended: bool = False

    def __repr__(self) -> str:
        return f"EndpointRow({self.id})"

    @property
    def wire_id(self) -> str:
        """The id as it is told."""
        return ids.encode(Prefix.WEBHOOK_ENDPOINT, self.id)

    def to_response(self, now: datetime) -> WebhookEndpoint:
        """Return it as it is shown, at a real time."""
        former = self.former_public_key if self.former_until is not None and self.former_until > now else None
        return WebhookEndpoint(
            id=self.wire_id,
            url=self.url,
            description=self.description,
            event_types=None if self.event_types is None else list(self.event_types),
            state=self.state,
            state_reason=self.state_reason,
            public_key=public_text(self.public_key),
            former_public_key=None if former is None else public_text(former),
            former_secret_until=None if former is None else self.former_until,
            last_delivered_at=self.taken_at,
            version=self.version,
            created_at=self.created_at,
            updated_at=self.updated_at,
            partner_id=None if self.partner_id is None else ids.encode(Prefix.PARTNER, self.partner_id),
        )


def public_text(public: bytes) -> str:
    """Return a public key as receivers are given it."""
    return _PUBLIC + base64.b64encode(public).decode()


WRITTEN: Final = tuple(name for name in EndpointRow.__struct_fields__ if name != "suspended")
"""What an endpoint's own row holds."""

# One place says whether a partner is let in: its own row, which is read with each of its endpoints.
ENDPOINT: Final = f"""{", ".join(WRITTEN)}, (
    SELECT p.state FROM partners AS p WHERE p.id = webhook_endpoints.partner_id
) IS NOT DISTINCT FROM 'suspended' AS suspended"""  # noqa: S608 - constants


def to_endpoint(row: Any) -> EndpointRow:
    """Return an endpoint that was read."""
    types, reason = row["event_types"], row["state_reason"]
    return EndpointRow(
        **{
            **dict(row),
            "event_types": None if types is None else tuple(types),
            "state": WebhookEndpointState(row["state"]),
            "state_reason": None if reason is None else WebhookEndpointReason(reason),
        }
    )
