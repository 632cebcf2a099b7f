"""What has changed since tokens were issued: clients that were disabled, grants that ended, tokens that were revoked.

Each worker reads the standing of a client when one of its tokens is shown and what it knows is older than seven tenths
of a second; so whatever is changed anywhere holds everywhere within a second. With the client come the tokens of it
that were revoked since the last reading, and beside it the grant of a user's token. (ADR 0013.)
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from billfold_server.identity.clients import service as clients

__all__ = ["STANDING_S", "GrantStanding", "Standing", "read_grant", "read_standing"]

STANDING_S: Final = 0.7
"""How long a standing is believed. With the query itself, what is revoked is out within a second."""

_OVERLAP: Final = timedelta(seconds=30)
"""Longer than any transaction takes: what was revoked at an earlier instant may have been committed later."""

_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)

_REVOKED: Final = """
SELECT digest, revoked_at, expires_at FROM revoked_tokens
WHERE client_id = $1 AND revoked_at > $2 AND expires_at > $3
"""
_STANDS: Final = "SELECT revoked_at IS NULL AS stands FROM grants WHERE id = $1 AND client_id = $2"


class _Tx(Protocol):
    async def fetch(self, sql: str, *arguments: Any) -> Any: ...

    async def fetchrow(self, sql: str, *arguments: Any) -> Any: ...

    async def execute(self, sql: str, *arguments: Any) -> str: ...


class Standing(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a client may do, as it was read at a moment.

    Attributes:
        active: Whether it is let in.
        scopes: What it may still have.
        revoked: Digests of its tokens that were revoked, with when each would have ended anyway.
        revoked_until: The latest instant at which one of them was revoked.
        read_at: When it was read, on the monotonic clock.
    """

    active: bool
    scopes: frozenset[str]
    revoked: dict[bytes, datetime]
    revoked_until: datetime
    read_at: float


class GrantStanding(msgspec.Struct, frozen=True):
    """Whether a grant stood at a moment of the monotonic clock."""

    stands: bool
    read_at: float


async def read_standing(tx: _Tx, client_id: UUID, former: Standing | None, now: datetime) -> Standing:
    """Return a client's standing.

    Args:
        tx: An open transaction of the realm.
        client_id: Whose.
        former: What was read last time; only what was revoked since then is read.
        now: The real time.
    """
    read_at = time.monotonic()
    client = await clients.find(tx, client_id)
    since = _BEGINNING if former is None else former.revoked_until - _OVERLAP
    rows = await tx.fetch(_REVOKED, client_id, since, now)
    revoked = {} if former is None else {digest: ends for digest, ends in former.revoked.items() if ends > now}
    revoked |= {row["digest"]: row["expires_at"] for row in rows}
    return Standing(
        active=client is not None and client.state == "active",
        scopes=frozenset(client.scopes) if client is not None else frozenset(),
        revoked=revoked,
        revoked_until=max(
            [row["revoked_at"] for row in rows], default=former.revoked_until if former else _BEGINNING + _OVERLAP
        ),
        read_at=read_at,
    )


async def read_grant(tx: _Tx, grant_id: UUID, client_id: UUID) -> GrantStanding:
    """Tell whether a grant to a client stands."""
    read_at = time.monotonic()
    row = await tx.fetchrow(_STANDS, grant_id, client_id)
    return GrantStanding(row is not None and row["stands"], read_at)
