"""What programs have asked of a tenant."""

from datetime import datetime

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._async.resource import AsyncPages, AsyncResource
from billfold.contract.requests import LoggedRequest, LoggedRequestRecord, RequestMethod, StatusClass

__all__ = ["AsyncRequests"]


class AsyncRequests(AsyncResource):
    """What was asked and answered in the last days, without anybody's data: ``billfold.requests``.

    A program sees its own requests. They are logged in sandboxes, and elsewhere where the tenant's manifest says so.
    """

    __slots__ = ()

    def list(
        self,
        *,
        status_class: StatusClass | None = None,
        method: RequestMethod | None = None,
        operation: str | None = None,
        client_id: str | None = None,
        request_id: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPages[LoggedRequest]:
        """List requests, the newest first.

        Args:
            status_class: Only those answered by such a status, such as ``4xx``.
            method: Only those of this HTTP method.
            operation: Only those of this operation, such as ``createTransfer``.
            client_id: Only those of this API client.
            request_id: Only those of this id.
            from_: Only those answered then or later.
            to: Only those answered before.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(
            status_class=status_class,
            method=method,
            operation=operation,
            client_id=client_id,
            request_id=request_id,
            from_=from_,
            to=to,
            limit=limit,
            cursor=cursor,
        )
        return self._list(operations.LIST_REQUESTS, query=query)

    async def get(self, request_id: str) -> LoggedRequestRecord:
        """Return a request with what was sent and what was answered.

        Args:
            request_id: As ``request_id`` of an error tells it, or the header ``X-Request-Id`` of any answer.

        Raises:
            errors.NotFound: It isn't in the log, or was another program's.
        """
        return await self._ask(operations.GET_REQUEST, request_id)
