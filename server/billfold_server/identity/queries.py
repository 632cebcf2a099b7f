"""What this room asks of a transaction. The same tables are in each tenant's schema and in the platform's."""

from typing import Any, Protocol

import asyncpg

__all__ = ["Tx"]


class Tx(Protocol):
    """An open transaction, of a tenant or of the platform."""

    async def fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        """Return rows."""
        ...

    async def fetchrow(self, sql: str, *args: Any) -> asyncpg.Record | None:
        """Return a row."""
        ...

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """Return the first column of the first row."""
        ...

    async def execute(self, sql: str, *args: Any) -> str:
        """Run a statement."""
        ...
