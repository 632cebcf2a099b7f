# Generated from billfold/consents/_async/pages.py by tests/sdk/generate_sync.py. Change that one instead.

"""Lists of a bank that fetch their pages as they are walked through."""

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from billfold.consents._sync.asking import Asking
from billfold.consents.asking import Order, next_query

__all__ = ["Entries"]

T = TypeVar("T")


class Entries(Generic[T]):
    """A list that fetches its pages as it is walked through.

    ``for item in …`` goes through all items, and ``.pages()`` through the bank's answers, one for each page.
    """

    __slots__ = ("_asking", "_member", "_order")

    def __init__(self, asking: Asking, order: Order[Any], member: str) -> None:
        self._asking = asking
        self._order = order
        self._member = member

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._order.path}>"

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            items: Iterable[T] = getattr(page.data, self._member) or ()
            yield from items

    def pages(self) -> Iterator[Any]:
        """Go through the list page by page, each as the contract has it.

        Raises:
            errors.MalformedAnswer: A page leads elsewhere, or back to itself.
        """
        order = self._order
        query: dict[str, str] | None = dict(order.query)
        while query is not None:
            page = self._asking.ask(_with_query(order, query))
            yield page
            query = next_query(page.links.next if page.links else None, order, query)


def _with_query(order: Order[T], query: dict[str, str]) -> Order[T]:
    return Order(order.method, order.area, order.path, order.answer, query=query)
