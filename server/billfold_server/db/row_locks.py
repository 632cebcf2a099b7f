"""Locks on rows of one table, taken in order of id, so that two who take the same ones never wait for each other."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from billfold_server.db.sets import Tx

__all__ = ["lock_rows"]


async def lock_rows(tx: Tx, sql: str, ids: Collection[UUID], *, staying: Collection[UUID] = ()) -> list[Any]:
    """Return the rows that there are, in order of id, each locked until the transaction ends.

    Args:
        tx: An open transaction.
        sql: The query of the row whose id is ``$1``.
        ids: Those that are to change, from which others are kept.
        staying: Those that only have to stay as they are.
    """
    found: list[Any] = []
    for each in sorted({*ids, *staying}):
        found += await tx.fetch(f"{sql} {'FOR UPDATE' if each in ids else 'FOR SHARE'}", each)
    return found
