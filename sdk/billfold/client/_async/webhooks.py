"""Where a tenant's programs are told what happened."""

from collections.abc import Sequence
from typing import Literal

from msgspec import UNSET, UnsetType

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncPages, AsyncResource
from billfold.contract.webhooks import (
    WebhookDelivery,
    WebhookDeliveryRecord,
    WebhookDeliveryState,
    WebhookEndpoint,
    WebhookEndpointCreated,
    WebhookEndpointState,
    WebhookReplay,
    WebhookSecret,
    WebhookTest,
)

__all__ = ["AsyncWebhookDeliveries", "AsyncWebhookEndpoints"]

_DeliveryState = WebhookDeliveryState | Literal["waiting", "delivered", "dead", "cancelled"]
_State = WebhookEndpointState | Literal["enabled", "paused", "disabled"]


class AsyncWebhookEndpoints(AsyncResource):
    """Where events are delivered as they happen: ``billfold.webhook_endpoints``.

    What arrives there is checked by ``billfold.webhooks.verify``.
    """

    __slots__ = ()

    async def create(
        self,
        *,
        url: str,
        description: str | None = None,
        event_types: Sequence[str] | None = None,
        partner_id: str | None = None,
    ) -> WebhookEndpointCreated:
        """Register an endpoint. Its secret is in the answer and nowhere else.

        There is no idempotency key, because no secret is kept for a second answer; so this isn't repeated by itself
        when the server may have begun with it.

        Args:
            url: Where events are sent; https, and reachable by everybody.
            description: For people.
            event_types: Which types of events, such as ``"transfer.posted"`` or ``"payment.*"``; all where absent.
            partner_id: The partner organisation to which it belongs; where absent, the one for which the caller acts.

        Raises:
            errors.WebhookUrlRefused: Nothing can be delivered there.
            errors.EventTypeUnknown: A filter names a type that there is none of.
            errors.WebhookEndpointLimitReached: There are as many as there may be.
        """
        types = None if event_types is None else encoding.several(event_types, "event_types")
        body = encoding.fields(url=url, description=description, event_types=types, partner_id=partner_id)
        return await self._change(operations.CREATE_WEBHOOK_ENDPOINT, body=body)

    async def get(self, webhook_endpoint_id: str) -> WebhookEndpoint:
        """Return an endpoint, without its secret.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._ask(operations.GET_WEBHOOK_ENDPOINT, webhook_endpoint_id)

    def list(
        self, *, partner_id: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> AsyncPages[WebhookEndpoint]:
        """List endpoints, the oldest first.

        Args:
            partner_id: Only those of this partner organisation.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(partner_id=partner_id, limit=limit, cursor=cursor)
        return self._list(operations.LIST_WEBHOOK_ENDPOINTS, query=query)

    async def update(
        self,
        webhook_endpoint_id: str,
        *,
        url: str | UnsetType = UNSET,
        description: str | UnsetType | None = UNSET,
        event_types: Sequence[str] | UnsetType | None = UNSET,
        state: _State | UnsetType = UNSET,
        if_match: int | str | None = None,
    ) -> WebhookEndpoint:
        """Change an endpoint, or pause, disable and enable it. What isn't given stays.

        Args:
            webhook_endpoint_id: Which one.
            url: Where events are sent.
            description: For people; None clears it.
            event_types: Which types of events; None for all of them.
            state: ``enabled``; ``paused``, by which events are kept until it is enabled again; or ``disabled``, by
                which they aren't.
            if_match: The ``version`` that the caller has read; without it, the change is made whatever was changed
                since.

        Raises:
            errors.NotFound: There is none with this id.
            errors.WebhookUrlRefused: Nothing can be delivered there.
            errors.EventTypeUnknown: A filter names a type that there is none of.
            errors.PreconditionFailed: It has changed since that version.
        """
        types = encoding.several(event_types, "event_types") if isinstance(event_types, Sequence) else event_types
        body = encoding.changes(url=url, description=description, event_types=types, state=state)
        return await self._change(operations.UPDATE_WEBHOOK_ENDPOINT, webhook_endpoint_id, body=body, if_match=if_match)

    async def rotate_secret(self, webhook_endpoint_id: str, *, overlap_s: int | None = None) -> WebhookSecret:
        """Give an endpoint another secret and another key. The secret is in the answer and nowhere else.

        Args:
            webhook_endpoint_id: Which one.
            overlap_s: For how many seconds deliveries are signed by the former ones as well; a day where absent.

        Raises:
            errors.NotFound: There is none with this id.
        """
        body = encoding.fields(overlap_s=overlap_s)
        return await self._change(operations.ROTATE_WEBHOOK_SECRET, webhook_endpoint_id, body=body)

    async def test(self, webhook_endpoint_id: str) -> WebhookTest:
        """Have an endpoint told of an event ``webhook_endpoint.tested``, whatever types it wants.

        Args:
            webhook_endpoint_id: Which one; a disabled one is told of nothing.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._change(operations.TEST_WEBHOOK_ENDPOINT, webhook_endpoint_id)

    async def replay(self, webhook_endpoint_id: str, *, after: int, up_to: int | None = None) -> WebhookReplay:
        """Have an endpoint told again of what it wants among a range of events, each with the same id.

        A request looks at 1,000 events; ``next_after`` of the answer says where the next one goes on.

        Args:
            webhook_endpoint_id: Which one.
            after: The place in the stream of events behind which to begin; 0 is the beginning.
            up_to: The last place; the end of the stream where absent. Where it is ``after``, nothing is told again.

        Raises:
            errors.NotFound: There is none with this id.
            errors.EventRangeInvalid: ``up_to`` lies before ``after``.
        """
        body = encoding.fields(after=after, up_to=up_to)
        return await self._change(operations.REPLAY_WEBHOOK_EVENTS, webhook_endpoint_id, body=body, repeatable=True)

    async def delete(self, webhook_endpoint_id: str) -> None:
        """Delete an endpoint. What wasn't delivered by then never is.

        Raises:
            errors.NotFound: There is none with this id.
        """
        await self._change(operations.DELETE_WEBHOOK_ENDPOINT, webhook_endpoint_id)


class AsyncWebhookDeliveries(AsyncResource):
    """Events on their way to endpoints, and what came of it: ``billfold.webhook_deliveries``."""

    __slots__ = ()

    async def get(self, webhook_delivery_id: str) -> WebhookDeliveryRecord:
        """Return a delivery, with what was sent and what came back.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return await self._ask(operations.GET_WEBHOOK_DELIVERY, webhook_delivery_id)

    def list(
        self,
        *,
        webhook_endpoint_id: str | None = None,
        event_id: str | None = None,
        state: _DeliveryState | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[WebhookDelivery]:
        """List deliveries, the newest first.

        Args:
            webhook_endpoint_id: Only those to this endpoint.
            event_id: Only those of this event.
            state: Only those that have come so far, such as ``"dead"``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(
            webhook_endpoint_id=webhook_endpoint_id, event_id=event_id, state=state, limit=limit, cursor=cursor
        )
        return self._list(operations.LIST_WEBHOOK_DELIVERIES, query=query)

    async def replay(self, webhook_delivery_id: str) -> WebhookDelivery:
        """Have an event delivered again, with the same id and all its attempts.

        Raises:
            errors.NotFound: There is none with this id.
            errors.WebhookEndpointDeleted: The endpoint is no more.
        """
        return await self._change(operations.REPLAY_WEBHOOK_DELIVERY, webhook_delivery_id, repeatable=True)
