"""The SQL of clients and signing keys. The same tables are in each tenant's schema and in the platform's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import msgspec

__all__ = ["ClientRow", "KeyRow", "Tx"]


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


class ClientRow(msgspec.Struct, frozen=True, kw_only=True):
    """An API client."""

    id: UUID
    name: str
    secret_digest: bytes
    scopes: list[str]
    state: str
    created_at: datetime
    updated_at: datetime

    def __repr__(self) -> str:
        return f"ClientRow(id={self.id!s}, state={self.state!r})"


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key, its private half sealed."""

    id: UUID
    algorithm: str
    public_jwk: str
    sealed_private: bytes
    state: str
    created_at: datetime


_CLIENT = "id, name, secret_digest, scopes, state, created_at, updated_at"
_KEY = "id, algorithm, public_jwk, sealed_private, state, created_at"


async def insert_client(tx: Tx, row: ClientRow) -> None:
    """Write a new client."""
    await tx.execute(
        "INSERT INTO api_clients (id, name, secret_digest, scopes, state, created_at, updated_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7)",
        row.id, row.name, row.secret_digest, row.scopes, row.state, row.created_at, row.updated_at,
    )  # fmt: skip


async def find_client(tx: Tx, client_id: UUID) -> ClientRow | None:
    """Return a client, or None."""
    row = await tx.fetchrow(f"SELECT {_CLIENT} FROM api_clients WHERE id = $1", client_id)  # noqa: S608 - a constant
    return None if row is None else ClientRow(**dict(row))


async def list_clients(tx: Tx) -> Sequence[ClientRow]:
    """Return all clients, oldest first."""
    rows = await tx.fetch(f"SELECT {_CLIENT} FROM api_clients ORDER BY id")  # noqa: S608 - a constant
    return [ClientRow(**dict(row)) for row in rows]


async def set_client_state(tx: Tx, client_id: UUID, state: str, now: datetime) -> bool:
    """Change a client's state, and tell whether there is such a client."""
    tag = await tx.execute("UPDATE api_clients SET state = $2, updated_at = $3 WHERE id = $1", client_id, state, now)
    return tag == "UPDATE 1"


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
