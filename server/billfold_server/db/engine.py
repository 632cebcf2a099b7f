"""The Piccolo engine: a query runs on the open transaction's connection, or not at all.

Piccolo's own engine opens a connection wherever none is at hand, treats a nested transaction as nothing, and keeps
the connection when a COMMIT fails. Here the tenant transaction (``tenancy.transaction``) owns the connection,
and the engine only finds it. A query outside of it fails, so that no path leads around role and search path.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, NoReturn, Protocol, Self

from piccolo.engine.postgres import AsyncBatch, PostgresEngine
from piccolo.query.base import Query
from piccolo.querystring import QueryString

__all__ = ["ENGINE", "NestedTransactionError", "NoTransactionError", "OpenTransaction", "TransactionEngine"]

_OLDEST_POSTGRES = 16.0


class NoTransactionError(RuntimeError):
    """A query was made outside of a transaction: a defect of the calling code."""


class NestedTransactionError(RuntimeError):
    """A transaction was opened inside another one: a defect of the calling code."""


class OpenTransaction(Protocol):
    """What the engine needs to know of a transaction."""

    open: bool

    @property
    def connection(self) -> Any:
        """The connection on which it runs."""


class _CursorBatch(AsyncBatch):
    """Rows of one query in portions, read through a cursor of the open transaction."""

    async def __aenter__(self) -> Self:
        template, arguments = self.query.querystrings[0].compile_string()
        self._cursor = await self.connection.cursor(template, *arguments)
        return self

    async def __aexit__(self, exception_type: object, exception: object, traceback: object) -> bool:
        # The cursor ends with the transaction, which isn't ours to end.
        return False


class TransactionEngine(PostgresEngine):
    """A Piccolo engine without connections of its own."""

    def __init__(self) -> None:
        super().__init__(config={"database": "billfold"})
        self._current: ContextVar[OpenTransaction | None] = ContextVar("billfold_transaction", default=None)
        # Piccolo itself asks this variable whether it is inside a transaction.
        self.current_transaction: Any = self._current

    def enter(self, transaction: OpenTransaction) -> None:
        """Make a transaction the one in which the caller runs."""
        self._current.set(transaction)

    def leave(self) -> None:
        """Forget the caller's transaction. There is never an outer one to return to."""
        self._current.set(None)

    async def get_version(self) -> float:
        """Return the oldest version that is supported; Piccolo asks at import, when no database is there yet."""
        return _OLDEST_POSTGRES

    def open_transaction(self) -> OpenTransaction:
        """Return the transaction in which the caller runs.

        Raises:
            NoTransactionError: There is none, or it has ended.
        """
        current = self._current.get()
        if current is None or not current.open:
            msg = "a query needs an open transaction: use Database.tx(tenant)"
            raise NoTransactionError(msg)
        return current

    def refuse_nesting(self) -> None:
        """Make sure that the caller isn't inside a transaction.

        Raises:
            NestedTransactionError: It is. A nested transaction would commit apart from the outer one, and take a
                second connection while the first is held.
        """
        current = self._current.get()
        if current is not None and current.open:
            msg = "a transaction is open already; pass it on instead of opening another"
            raise NestedTransactionError(msg)

    async def run_querystring(self, querystring: QueryString, in_pool: bool = True) -> Any:  # noqa: ARG002, FBT001, FBT002
        """Run a query of Piccolo's on the open transaction's connection."""
        query, arguments = querystring.compile_string(engine_type=self.engine_type)
        return await self.open_transaction().connection.fetch(query, *arguments)

    async def run_ddl(self, ddl: str, in_pool: bool = True) -> Any:  # noqa: ARG002, FBT001, FBT002
        """Run a data definition of Piccolo's on the open transaction's connection."""
        return await self.open_transaction().connection.fetch(ddl)

    async def batch(self, query: Query[Any, Any], batch_size: int = 100, node: str | None = None) -> AsyncBatch:  # noqa: ARG002
        """Read a query's rows in portions, inside the open transaction."""
        return _CursorBatch(connection=self.open_transaction().connection, query=query, batch_size=batch_size)

    def transaction(self, allow_nested: bool = True) -> NoReturn:  # noqa: ARG002, FBT001, FBT002
        """Refuse: only ``Database.tx`` opens transactions."""
        self.refuse_nesting()
        self._refuse()

    def atomic(self) -> NoReturn:
        """Refuse: only ``Database.tx`` opens transactions."""
        self._refuse()

    async def get_new_connection(self) -> NoReturn:
        """Refuse: only the pools open connections."""
        self._refuse()

    async def start_connection_pool(self, **kwargs: Any) -> NoReturn:  # noqa: ARG002
        """Refuse: only the pools open connections."""
        self._refuse()

    async def _run_in_new_connection(self, query: str, args: Sequence[Any] | None = None) -> NoReturn:  # noqa: ARG002
        self._refuse()

    async def _run_in_pool(self, query: str, args: Sequence[Any] | None = None) -> NoReturn:  # noqa: ARG002
        self._refuse()

    def _refuse(self) -> NoReturn:
        msg = "the engine has no connection of its own: use Database.tx(tenant)"
        raise NoTransactionError(msg)


ENGINE = TransactionEngine()
"""The engine of every table class: ``class Party(Table, db=ENGINE)``."""
