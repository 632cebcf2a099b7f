"""The SQL of encryption keys. Rows are only added, and lose their private half after their time."""

from collections.abc import Sequence
from datetime import datetime

from billfold_server.db.personal import counted
from billfold_server.decryptor.wire import EncryptionKey, SealedKey
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["insert_key", "list_keys", "wipe_keys"]

_KEPT = 64
"""How many are told apart from keys that never were: more than a year of them."""


async def list_keys(tx: TenantTx) -> Sequence[tuple[int, SealedKey]]:
    """Return a tenant's pairs of keys with their generations, newest first."""
    rows = await tx.fetch(
        f"SELECT id, generation, sealed_private FROM encryption_keys ORDER BY generation DESC LIMIT {_KEPT}"  # noqa: S608 - a number
    )
    return [(row["generation"], SealedKey(row["id"], row["sealed_private"])) for row in rows]


async def insert_key(tx: TenantTx, key: EncryptionKey) -> bool:
    """Write a new pair, unless another worker has just made that generation; tell whether it was written."""
    tag = await tx.execute(
        "INSERT INTO encryption_keys (id, generation, sealed_private, created_at, not_after) "
        "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        key.id, key.generation, key.sealed_private, key.created_at, key.not_after,
    )  # fmt: skip
    return tag == "INSERT 0 1"


async def wipe_keys(tx: TenantTx, before: datetime) -> int:
    """Delete the private halves of pairs that were of use until some time ago; return of how many."""
    tag = await tx.execute(
        "UPDATE encryption_keys SET sealed_private = NULL WHERE not_after < $1 AND sealed_private IS NOT NULL", before
    )
    return counted(tag)
