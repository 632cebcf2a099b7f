"""Connections that learn once in a process what PostgreSQL's own types are."""

import os
import signal
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from billfold_server.db import connections
from billfold_server.db.connections import KnowingConnection, hang_up

VALUES: dict[str, list[Any]] = {
    "uuid[]": [UUID(int=7), None],
    "bigint[]": [1, 2**62],
    "bytea[]": [b"\x00\xff"],
    "timestamptz[]": [datetime(2026, 11, 20, 12, tzinfo=UTC)],
}


async def echo(dsn: str, value_of: dict[str, Any], kind: type[Any] = KnowingConnection) -> tuple[list[Any], list[str]]:
    """Return what a new connection reads of what it wrote, and the queries that it sent for it."""
    connection = await asyncpg.connect(dsn, connection_class=kind)
    sent: list[str] = []
    try:
        connection.add_query_logger(lambda query: sent.append(query.query))
        return [await connection.fetchval(f"SELECT $1::{name}", value) for name, value in value_of.items()], sent
    finally:
        await connection.close()


class TestATypeOfPostgresql:
    async def test_is_asked_about_once(self, database: str) -> None:
        """The second connection sends what it was given and nothing else, and reads the same values."""
        connections._known.clear()
        read, sent = await echo(database, VALUES)
        assert read == [*VALUES.values()]
        assert len(sent) > len(VALUES)
        read, sent = await echo(database, VALUES)
        assert read == [*VALUES.values()]
        assert sent == [f"SELECT $1::{name}" for name in VALUES]

    async def test_is_asked_about_by_every_other_kind_of_connection(self, database: str) -> None:
        """The driver's own connection asks each time; where it no longer does, ours is no longer needed."""
        for _ in range(2):
            _, sent = await echo(database, VALUES, asyncpg.Connection)
            assert len(sent) > len(VALUES)


class TestATypeOfADatabase:
    async def test_is_asked_about_each_time(self, database: str) -> None:
        """Its number may mean another type in another database, or tomorrow."""
        connection = await asyncpg.connect(database)
        await connection.execute("CREATE TYPE mood AS ENUM ('glad', 'sad')")
        await connection.close()
        for _ in range(2):
            read, sent = await echo(database, {"mood[]": ["sad", "glad"]})
            assert read == [["sad", "glad"]]
            assert len(sent) > 1


class TestHangingUp:
    async def test_ends_a_connection_that_postgresql_does_not_let_go_of(self, database: str) -> None:
        """Whoever has done everything on it hears nothing of that, and hanging up once more changes nothing."""
        connection = await asyncpg.connect(database)
        backend = connection.get_server_pid()
        os.kill(backend, signal.SIGSTOP)
        try:
            await hang_up(connection, timeout_s=0.1)
            assert connection.is_closed()
            await hang_up(connection, timeout_s=0.1)
        finally:
            os.kill(backend, signal.SIGCONT)
