"""What third parties are told of their consents and payments, as the bank sees it."""

from typing import Literal

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncPages, AsyncResource
from billfold.contract.event_notifications import EventNotification, EventNotificationState

__all__ = ["AsyncEventNotifications"]

_State = EventNotificationState | Literal["unread", "dead", "acknowledged", "refused"]


class AsyncEventNotifications(AsyncResource):
    """What third parties are told, and what they have reported: ``billfold.event_notifications``."""

    __slots__ = ()

    def list(
        self,
        *,
        client_id: str | None = None,
        state: _State | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[EventNotification]:
        """List what third parties were told, the newest first.

        Args:
            client_id: Only what this third party was told.
            state: Only what has come so far, such as ``"refused"``, of which they have reported why.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(client_id=client_id, state=state, limit=limit, cursor=cursor)
        return self._list(operations.LIST_EVENT_NOTIFICATIONS, query=query)
