"""Connections to PostgreSQL that learn once in a process what its own types are.

The driver knows the types of single values by itself and asks each connection anew about arrays of them, by a query
that takes longer than most of ours. The numbers of these types are part of PostgreSQL's source code, so what one
connection was told is true on every other one to the same major version.
"""

from collections.abc import Iterable
from typing import Any, Final

import asyncpg
import msgspec

__all__ = ["KnowingConnection"]

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
