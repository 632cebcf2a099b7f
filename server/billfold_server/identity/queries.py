"""The SQL of signing keys. The same tables are in each tenant's schema and in the platform's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import msgspec

__all__ = ["KeyRow", "Tx"]


class Tx(Protocol):
    """An open transaction, of a tenant or of the platform."""

    async def fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        """Return rows."""
        ...

    async def fetchrow(self, sql: str, *args: Any) -> asyncpg.Record | None:
        """Return a row."""
        ...

    async def execute(self, sql: str, *args: Any) -> str:
        """Run a statement."""
        ...


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key, its private half sealed."""

    id: UUID
    algorithm: str
    public_jwk: str
    sealed_private: bytes
    state: str
    created_at: datetime


_KEY = "id, algorithm, public_jwk, sealed_private, state, created_at"


async def list_keys(tx: Tx) -> Sequence[KeyRow]:
    """Return the keys by which tokens can be verified, the one that signs first."""
    rows = await tx.fetch(f"SELECT {_KEY} FROM signing_keys ORDER BY state, id DESC")  # noqa: S608 - a constant
    return [KeyRow(**dict(row)) for row in rows]


async def insert_key(tx: Tx, row: KeyRow) -> bool:
    """Write a new key, unless another worker has just written one that signs; tell whether it was written."""
    tag = await tx.execute(
        "INSERT INTO signing_keys (id, algorithm, public_jwk, sealed_private, state, created_at) "
        "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        row.id, row.algorithm, row.public_jwk, row.sealed_private, row.state, row.created_at,
    )  # fmt: skip
    return tag == "INSERT 0 1"
