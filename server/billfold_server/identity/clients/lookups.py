"""Looks clients up, many at a time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from billfold_server.identity.clients import rows
from billfold_server.identity.clients.rows import Registered
from billfold_server.identity.together import Together

if TYPE_CHECKING:
    from billfold_server.tenancy.transaction import Database

__all__ = ["Lookups"]


class Lookups(Together[UUID, Registered]):
    """Finds clients, whatever their state, for all realms of one process.

    Args:
        database: Where they are.
    """

    def __init__(self, database: "Database") -> None:
        super().__init__(database, _by_id)


async def _by_id(tx: Any, client_ids: Sequence[UUID]) -> dict[UUID, Registered]:
    return {each.client.id: each for each in await rows.find_clients(tx, list(client_ids))}
