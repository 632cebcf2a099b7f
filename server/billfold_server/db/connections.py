"""Connections to PostgreSQL that learn once in a process what its own types are.

The driver knows the types of single values by itself and asks each connection anew about arrays of them, by a query
that takes longer than most of ours. The numbers of these types are part of PostgreSQL's source code, so what one
connection was told is true on every other one to the same major version.
"""

import contextlib
from collections.abc import Iterable
from typing import Any, Final

import asyncpg
import msgspec

__all__ = ["KnowingConnection", "hang_up"]

_FIRST_OF_A_DATABASE: Final = 10_000
"""Types from this number on are numbered when PostgreSQL is built, a cluster is made or somebody creates them."""


class _NotAsked(msgspec.Struct, frozen=True):
    """Stands for the query that wasn't sent; its name says that it has taken no unnamed statement's place."""

    name: str = "known"


_NOT_ASKED: Final = _NotAsked()
_known: dict[tuple[int, frozenset[int]], Any] = {}


class KnowingConnection(asyncpg.Connection):
    """A connection that doesn't ask what its process has been told."""

    async def _introspect_types(self, typeoids: Iterable[int], timeout: float | None) -> tuple[Any, Any]:
        asked = self.get_server_version().major, frozenset(typeoids)
        if (types := _known.get(asked)) is not None:
            return types, _NOT_ASKED
        types, statement = await super()._introspect_types(typeoids, timeout)  # type: ignore[misc] # Not in the stubs.
        if max(asked[1]) < _FIRST_OF_A_DATABASE:
            _known[asked] = types
        return types, statement


async def hang_up(connection: "asyncpg.Connection[asyncpg.Record]", *, timeout_s: float) -> None:
    """Close a connection on which everything is done, or cut it off where PostgreSQL doesn't let go of it in time.

    What was done on it is done all the same, so nobody is told of that: it would look as if it hadn't been.

    Args:
        connection: Which one; also one that is closed already.
        timeout_s: How long PostgreSQL may take.
    """
    # The driver cuts it off by itself when this fails.
    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        await connection.close(timeout=timeout_s)
