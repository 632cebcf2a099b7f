"""Shows what programs have asked and what they were answered: to themselves, and to those who look after them."""

from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta

from billfold import errors, ids
from billfold.contract.common import ClientId, Instant, Page
from billfold.contract.requests import LoggedRequest, LoggedRequestRecord, RequestId, RequestMethod, StatusClass
from billfold.ids import Prefix
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Routes
from billfold_server.http.services import REQUEST_LOG
from billfold_server.request_log import service

__all__ = ["routes"]

routes = Routes(
    tag="Requests",
    description="What programs have asked and what they were answered in the last seven days, without anybody's data. "
    "Requests are logged in sandboxes, and elsewhere where the tenant wants it.",
)

_KIND: Final = "requests"
OperationId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9]+$(?!\n)",
        description="Only of this operation of the document.",
        examples=["createTransfer"],
    ),
]


@routes.get("/v1/requests", scope="requests:read")
async def list_requests(
    call: Call,
    *,
    status_class: Annotated[StatusClass, Meta(description="Only with a status of this class.")] | None = None,
    method: Annotated[RequestMethod, Meta(description="Only with this method.")] | None = None,
    operation: OperationId | None = None,
    client_id: ClientId | None = None,
    request_id: RequestId | None = None,
    from_: Annotated[Instant, Meta(description="Only what was answered then or later.")] | None = None,
    to: Annotated[Instant, Meta(description="Only what was answered before.")] | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[LoggedRequest]:
    """List requests, the newest first.

    A program sees its own; whoever has signed in to work for the tenant sees all. What was answered is here a moment
    later; where more is asked than can be written, some of it isn't.
    """
    place = call.cursors.decode(_KIND, cursor)
    wanted = service.Wanted(
        client_id=None if client_id is None else ids.decode(Prefix.CLIENT, client_id),
        request_id=request_id,
        status_from=None if status_class is None else int(status_class[0]) * 100,
        status_below=None if status_class is None else int(status_class[0]) * 100 + 100,
        method=method,
        operation=operation,
        from_=from_,
        to=to,
    )
    await call.services.rooms[REQUEST_LOG].write(call.tenant.id)
    async with call.tx() as tx:
        rows = await service.list_requests(
            tx, call.caller, wanted, limit=limit + 1, before=UUID(str(place[0])) if place else None
        )
    page = call.page(_KIND, rows, limit, key=lambda row: [str(row.id)])
    return Page(data=[row.to_response() for row in page.data], next_cursor=page.next_cursor)


@routes.get("/v1/requests/{request_id}", scope="requests:read", errors=(errors.NotFound,))
async def get_request(call: Call, request_id: RequestId) -> LoggedRequestRecord:
    """Show a request, with what was sent and what was answered.

    Its id is in the header ``X-Request-Id`` of every answer, and in every problem.
    """
    await call.services.rooms[REQUEST_LOG].write(call.tenant.id)
    async with call.tx() as tx:
        row = await service.get(tx, call.caller, request_id)
    return row.to_record()
