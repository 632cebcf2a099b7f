"""Every table class against the live schema."""

import importlib
import pkgutil
from typing import Any

import asyncpg
import pytest
from piccolo.table import Table

import billfold_server
from billfold_server.db.engine import ENGINE
from tests.tenants import Tenancy


def table_classes() -> list[type[Table]]:
    """Return the table classes of every room: whatever its ``tables.py`` defines."""
    found: list[type[Table]] = []
    for room in pkgutil.iter_modules(billfold_server.__path__):
        if not room.ispkg:
            continue
        package = importlib.import_module(f"billfold_server.{room.name}")
        if any(module.name == "tables" for module in pkgutil.iter_modules(package.__path__)):
            module = importlib.import_module(f"billfold_server.{room.name}.tables")
            members = [value for value in vars(module).values() if isinstance(value, type)]
            found += [value for value in members if issubclass(value, Table) and value.__module__ == module.__name__]
    return found


TABLES = table_classes()


class TestATableClass:
    def test_is_found_in_the_rooms(self) -> None:
        """The walk over the rooms finds something, so the tests below mean something."""
        assert {"parties"} <= {table._meta.tablename for table in TABLES}

    @pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
    def test_queries_through_the_tenants_transaction(self, table: type[Table]) -> None:
        """With another engine a query would go around role and search path."""
        assert table._meta.db is ENGINE
        assert table._meta.schema is None

    @pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
    async def test_is_what_the_schema_has(self, tenancy: Tenancy, table: type[Table]) -> None:
        """Names, types and nullability of all columns are those of the live table, and so is the primary key."""
        connection = await asyncpg.connect(tenancy.admin_dsn)
        try:
            columns, key = await live(connection, tenancy, table._meta.tablename)
            assert await described(connection, table) == columns
        finally:
            await connection.close()
        # Piccolo knows no key of several columns; its own must be a part of such a one.
        assert table._meta.primary_key._meta.db_column_name in key


async def described(connection: Any, table: type[Table]) -> dict[str, tuple[str, bool]]:
    """Return the columns as the class has them: type, and whether null is allowed."""
    return {
        column._meta.db_column_name: (
            # PostgreSQL says by what name it knows the type.
            await connection.fetchval("SELECT to_regtype($1)::text", column.column_type),
            column._meta.null,
        )
        for column in table._meta.columns
    }


async def live(connection: Any, tenancy: Tenancy, name: str) -> tuple[dict[str, tuple[str, bool]], set[str]]:
    """Return columns and primary key as PostgreSQL has them, in the tenant's schema or else in the platform's."""
    rows = await connection.fetch(
        "SELECT a.attname, format_type(a.atttypid, NULL) AS type, NOT a.attnotnull AS null, "
        "coalesce(a.attnum = ANY(i.indkey), false) AS key FROM pg_attribute a "
        "LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary "
        "WHERE a.attrelid = coalesce(to_regclass($1), to_regclass($2)) AND a.attnum > 0 AND NOT a.attisdropped",
        f"{tenancy.tenant.schema}.{name}",
        f"billfold_platform.{name}",
    )
    return {row["attname"]: (row["type"], row["null"]) for row in rows}, {row["attname"] for row in rows if row["key"]}
