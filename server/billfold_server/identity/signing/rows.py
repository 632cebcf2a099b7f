"""The SQL of signing keys. The same table is in each tenant's schema and in the platform's.

Rows are only ever added, and marked as withdrawn; what a key is good for follows from the rows and the time.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from billfold_server.identity.profiles import SigningAlgorithm
from billfold_server.tenancy.transaction import Tx

__all__ = ["KeyRow", "Purpose", "insert_key", "list_keys", "withdraw_key"]

Purpose = Literal["tokens", "records"]
"""What a key signs: what lives for minutes, or what must stay verifiable for years, such as the ledger's heads."""


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key, its private half sealed."""

    id: UUID
    purpose: Purpose
    algorithm: SigningAlgorithm
    generation: int
    public_jwk: str
    sealed_private: bytes
    voucher: bytes
    signs_from: datetime
    withdrawn_at: datetime | None = None
    created_at: datetime

    def __repr__(self) -> str:
        return f"KeyRow(id={self.id!s}, {self.purpose}, {self.algorithm}, {self.generation})"


_COLUMNS = (
    "id, purpose, algorithm, generation, public_jwk, sealed_private, voucher, signs_from, withdrawn_at, created_at"
)


async def list_keys(tx: Tx) -> Sequence[KeyRow]:
    """Return every key that there ever was, generation after generation."""
    rows = await tx.fetch(f"SELECT {_COLUMNS} FROM signing_keys ORDER BY purpose, algorithm, generation")  # noqa: S608 - a constant
    return [KeyRow(**dict(row)) for row in rows]


async def insert_key(tx: Tx, row: KeyRow) -> bool:
    """Write a new key, unless another worker has just made that generation; tell whether it was written."""
    tag = await tx.execute(
        f"INSERT INTO signing_keys ({_COLUMNS}) "  # noqa: S608 - a constant
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
        row.id, row.purpose, row.algorithm, row.generation, row.public_jwk, row.sealed_private, row.voucher,
        row.signs_from, row.withdrawn_at, row.created_at,
    )  # fmt: skip
    return tag == "INSERT 0 1"


async def withdraw_key(tx: Tx, key_id: UUID, now: datetime) -> bool:
    """Mark a key as worth nothing from now on; tell whether it wasn't yet."""
    tag = await tx.execute(
        "UPDATE signing_keys SET withdrawn_at = $2 WHERE id = $1 AND withdrawn_at IS NULL", key_id, now
    )
    return tag == "UPDATE 1"
