"""The PostgreSQL of the tests themselves."""

import uuid

import asyncpg
import pytest

from tests.postgres import create_database, drop_database, query, template_database


class TestTheClusterOfTheTests:
    def test_gives_each_test_a_database(self, database):
        """A test's database is its own and empty."""
        assert query(database, "SELECT FROM pg_tables WHERE schemaname = 'public'") == []

    def test_builds_a_template_once(self, postgres):
        """A template is built by the first who asks, its copies hold what it holds, and a dropped one is gone."""
        built = []

        async def build(dsn: str) -> None:
            built.append(dsn)
            connection = await asyncpg.connect(dsn)
            await connection.execute("CREATE TABLE kept (n int)")
            await connection.close()

        name = f"template_{uuid.uuid4().hex}"
        copies = [create_database(postgres, template=template_database(postgres, name, build)) for _ in range(2)]
        assert len(built) == 1
        for copy in copies:
            assert query(copy, "SELECT FROM kept") == []
            drop_database(postgres, copy)
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            query(copies[0], "SELECT 1")
