"""What endpoints' secrets are opened by, and how the tenant is told of its endpoints."""

from datetime import datetime
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.events import EventType, WebhookEndpointEventData
from billfold.ids import Prefix
from billfold_server.db import outbox
from billfold_server.keys.service import Keys
from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.webhooks import signing
from billfold_server.webhooks.rows import EndpointRow
from billfold_server.webhooks.signing import SigningKeys

__all__ = ["open_keys", "tell"]


async def open_keys(keys: Keys, tenant: TenantRef, row: EndpointRow) -> SigningKeys:
    """Return what signs an endpoint's deliveries, outside of any transaction.

    Raises:
        errors.KeysUnavailable: It can't be opened now.
    """
    opener = await keys.opener(tenant, [row.sealed_keys])
    return msgspec.json.decode(opener.open(signing.place_of(row.id), row.sealed_keys), type=SigningKeys)


async def tell(tx: TenantTx, row: EndpointRow, what: EventType[WebhookEndpointEventData], now: datetime) -> UUID:
    """Write the event that tells of an endpoint, without its address, which may be a secret, and return its id."""
    partner_id = None if row.partner_id is None else ids.encode(Prefix.PARTNER, row.partner_id)
    data = WebhookEndpointEventData(
        id=row.wire_id, state=row.state, state_reason=row.state_reason, partner_id=partner_id
    )
    event = outbox.new_event(what, row.wire_id, data, now)
    await outbox.emit(tx, event)
    return event.id
