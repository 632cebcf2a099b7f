"""What queries touch, as PostgreSQL itself counts it."""

import json
from typing import Any

import asyncpg

from billfold_server.tenancy.transaction import TenantTx

__all__ = ["Explaining"]


class Explaining:
    """A transaction that explains each query, and then runs it.

    Args:
        tx: The transaction.
        tables: With what the names of those tables begin whose scans are looked at.
    """

    def __init__(self, tx: TenantTx, tables: tuple[str, ...]) -> None:
        self._tx = tx
        self._tables = tables
        self.scans: list[dict[str, Any]] = []

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Run a query and note its plan."""
        plan = await self._tx.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", *arguments)
        self._note(json.loads(plan)[0]["Plan"])
        return await self._tx.fetch(sql, *arguments)

    async def fetchrow(self, sql: str, *arguments: object) -> asyncpg.Record | None:
        """Run a query and note its plan."""
        rows = await self.fetch(sql, *arguments)
        return rows[0] if rows else None

    async def fetchval(self, sql: str, *arguments: object) -> Any:
        """Run a query and note its plan."""
        row = await self.fetchrow(sql, *arguments)
        return None if row is None else row[0]

    def _note(self, node: dict[str, Any]) -> None:
        name = node.get("Relation Name", "")
        # What is ahead is empty, and reading nothing from end to end is the fastest way to do it.
        if name.startswith(self._tables) and node["Actual Loops"]:
            self.scans.append(node)
        for child in node.get("Plans", ()):
            self._note(child)

    @property
    def rows(self) -> float:
        """How many rows were read of the tables."""
        read = (scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0) for scan in self.scans)
        return float(sum(rows * scan["Actual Loops"] for rows, scan in zip(read, self.scans, strict=True)))

    @property
    def looked_into(self) -> set[str]:
        """The tables, or partitions of them, of which something was read."""
        return {scan["Relation Name"] for scan in self.scans}
