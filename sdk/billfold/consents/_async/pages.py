"""Lists of a bank that fetch their pages as they are walked through."""

from collections.abc import AsyncIterator, Iterable
from typing import Any, Generic, TypeVar

from billfold.consents._async.asking import AsyncAsking
from billfold.consents.asking import Order, next_query

__all__ = ["AsyncEntries"]

T = TypeVar("T")


class AsyncEntries(Generic[T]):
    """A list that fetches its pages as it is walked through.

    ``async for item in …`` goes through all items, and ``.pages()`` through the bank's answers, one for each page.
    """

    __slots__ = ("_asking", "_member", "_order")

    def __init__(self, asking: AsyncAsking, order: Order[Any], member: str) -> None:
        self._asking = asking
        self._order = order
        self._member = member

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._order.path}>"

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            items: Iterable[T] = getattr(page.data, self._member) or ()
            for item in items:
                yield item

    async def pages(self) -> AsyncIterator[Any]:
        """Go through the list page by page, each as the contract has it.

        Raises:
            errors.MalformedAnswer: A page leads elsewhere, or back to itself.
        """
        order = self._order
        query: dict[str, str] | None = dict(order.query)
        while query is not None:
            page = await self._asking.ask(_with_query(order, query))
            yield page
            query = next_query(page.links.next if page.links else None, order, query)


def _with_query(order: Order[T], query: dict[str, str]) -> Order[T]:
    return Order(order.method, order.area, order.path, order.answer, query=query)
