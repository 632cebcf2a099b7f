"""What all resources do: ask, order, change, delete and list."""

import urllib.parse
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

from billfold import errors
from billfold.client import _encoding as encoding
from billfold.client._async.session import AsyncSession
from billfold.client._flow import Call, Timeouts
from billfold.client._operations import Operation
from billfold.contract.common import Page
from billfold.ids import uuid7

__all__ = ["AsyncPages", "AsyncResource"]

T = TypeVar("T")


class AsyncResource:
    """A group of operations.

    Args:
        session: What carries them out.
    """

    __slots__ = ("_session",)

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._session.base_url}>"

    async def _ask(self, operation: Operation[T], *ids: str, query: dict[str, str] | None = None) -> T:
        answer: T = await self._session.run(_call(self._session, operation, ids, query))
        return answer

    async def _order(
        self,
        operation: Operation[T],
        *ids: str,
        body: bytes | None,
        idempotency_key: str | None,
        content_type: str = "application/json",
    ) -> T:
        """Send an order under a key that stays the same however often it is sent.

        Keys that are made here are in the order of time, so that the server finds their places beside each other.
        """
        call = _call(self._session, operation, ids)
        call.headers["idempotency-key"] = uuid7().hex if idempotency_key is None else encoding.key(idempotency_key)
        if body is not None:
            call.headers["content-type"] = content_type
            call.body = body
        answer: T = await self._session.run(call)
        return answer

    async def _change(
        self,
        operation: Operation[T],
        *ids: str,
        body: bytes | None = None,
        if_match: int | str | None = None,
        query: dict[str, str] | None = None,
        repeatable: bool = False,
    ) -> T:
        """Send a change, which has no key, and so isn't repeated when the server may have begun with it.

        Args:
            operation: Which one.
            ids: What is changed.
            body: To what.
            if_match: The version that the caller has read.
            query: Parameters.
            repeatable: True where the change says what shall be, so that doing it twice is doing it once.
        """
        call = _call(self._session, operation, ids, query)
        call.repeatable = repeatable
        if if_match is not None:
            call.headers["if-match"] = encoding.etag(if_match)
        if body is not None:
            call.headers["content-type"] = "application/json"
            call.body = body
        answer: T = await self._session.run(call)
        return answer

    def _list(self, operation: Operation[Page[T]], *ids: str, query: dict[str, str]) -> "AsyncPages[T]":
        return AsyncPages(self._session, operation, ids, query)


def _call(
    session: AsyncSession, operation: Operation[Any], ids: tuple[str, ...], query: dict[str, str] | None = None
) -> Call:
    suffix = f"?{urllib.parse.urlencode(query)}" if query else ""
    path = operation.fill(*map(encoding.segment, ids)) if ids else operation.path
    timeouts = session.timeouts
    if operation.patience != 1:
        timeouts = Timeouts(
            connect_s=timeouts.connect_s,
            read_s=timeouts.read_s * operation.patience,
            total_s=timeouts.total_s * operation.patience,
        )
    return Call(
        operation.method,
        f"{session.base_url}{path}{suffix}",
        name=f"{operation.method} {path}",
        template=operation.path,
        headers=session.headers.copy(),
        read=operation.read,
        timeouts=timeouts,
    )


class AsyncPages(Generic[T]):
    """A list that fetches its pages as it is walked through.

    ``async for item in …`` goes through all items, ``.pages()`` through the pages, and ``await ….page()`` returns the
    first page alone. Each starts from the beginning. Items are in the list's documented order, and what is added behind
    the place that has been reached will be met.
    """

    __slots__ = ("_ids", "_operation", "_query", "_session")

    def __init__(
        self, session: AsyncSession, operation: Operation[Page[T]], ids: tuple[str, ...], query: dict[str, str]
    ) -> None:
        self._session = session
        self._operation = operation
        self._ids = ids
        self._query = query

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._operation.path}>"

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.data:
                yield item

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Go through the list page by page.

        Raises:
            errors.MalformedAnswer: The server's cursor stands still, so the list would never end.
        """
        cursor = self._query.get("cursor")
        while True:
            page = await self._fetch(cursor)
            yield page
            if page.next_cursor is None:
                return
            if page.next_cursor == cursor:
                raise errors.MalformedAnswer("the list's cursor stands still")
            cursor = page.next_cursor

    async def page(self) -> Page[T]:
        """Return the first page alone. Its ``next_cursor`` goes into the list's ``cursor`` to continue."""
        return await self._fetch(self._query.get("cursor"))

    async def _fetch(self, cursor: str | None) -> Page[T]:
        query = self._query if cursor is None else {**self._query, "cursor": cursor}
        page: Page[T] = await self._session.run(_call(self._session, self._operation, self._ids, query))
        return page
