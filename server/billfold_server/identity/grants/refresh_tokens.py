"""Refresh tokens as rows: 256 random bits, of which a digest is kept (RFC 6749, section 1.5).

One belongs to a client, and to the DPoP key that its first token was bound to. It isn't bound to a certificate, though
the tokens that it brings are: certificates are renewed, and the client has authenticated (RFC 9449, section 5 says as
much; ADR 0013).
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold_server.identity.grants.frame import Asking
from billfold_server.tenancy.transaction import Tx

__all__ = ["LIFE", "RefreshToken", "create", "find", "rotate", "sweep"]

LIFE: Final = timedelta(days=90)
"""How long one grant can be refreshed, however often; after that the user is asked again.

One that was given by a consent of open banking can be as long as that lasts.
"""

_BYTES: Final = 32
_KEPT_FOR: Final = timedelta(days=1)


class RefreshToken(msgspec.Struct, frozen=True, kw_only=True):
    """A refresh token, without itself.

    Attributes:
        digest: What is kept of it.
        grant_id: By which grant it was issued.
        client_id: Whose it is.
        scopes: What it can be refreshed to.
        resources: For what; all of the realm's where empty.
        jkt: The key to which it is bound.
        created_at: When it was issued.
        expires_at: When it ends.
        rotated_at: When another one took its place.
    """

    digest: bytes
    grant_id: UUID
    client_id: UUID
    scopes: list[str]
    resources: list[str]
    jkt: str | None
    created_at: datetime
    expires_at: datetime
    rotated_at: datetime | None


_COLUMNS: Final = "digest, grant_id, client_id, scopes, resources, jkt, created_at, expires_at, rotated_at"
_FIND: Final = f"SELECT {_COLUMNS} FROM refresh_tokens WHERE digest = $1"  # noqa: S608 - a constant


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def create(
    tx: Tx, asking: Asking, *, scopes: Sequence[str], resources: Sequence[str], expires_at: datetime
) -> str:
    """Make a refresh token for the grant of a request, and return it.

    Args:
        tx: The transaction in which the code or the former token is used.
        asking: The request, with its grant and the key that it has shown.
        scopes: What it can be refreshed to.
        resources: For what.
        expires_at: When it ends.
    """
    assert asking.grant is not None
    token = secrets.token_urlsafe(_BYTES)
    await tx.execute(
        f"INSERT INTO refresh_tokens ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL)",  # noqa: S608 - a constant
        _digest(token), asking.grant.id, asking.grant.client_id, list(scopes), list(resources), asking.binding.jkt,
        asking.now, expires_at,
    )  # fmt: skip
    return token


async def find(tx: Tx, token: str, *, lock: bool = False) -> RefreshToken | None:
    """Return the row of a refresh token, whatever has become of it, or None.

    Args:
        tx: The realm's transaction.
        token: The token.
        lock: Whether nobody else may use it until the transaction ends.
    """
    row: Any = await tx.fetchrow(_FIND + (" FOR UPDATE" if lock else ""), _digest(token))
    return None if row is None else RefreshToken(**dict(row))


async def rotate(tx: Tx, digest: bytes, now: datetime) -> None:
    """Note that another token has taken the place of a locked one."""
    await tx.execute("UPDATE refresh_tokens SET rotated_at = $2 WHERE digest = $1", digest, now)


async def sweep(tx: Tx, now: datetime, limit: int) -> int:
    """Forget tokens that have ended a while ago, and return how many."""
    tag = await tx.execute(
        "DELETE FROM refresh_tokens WHERE digest IN ("
        "SELECT digest FROM refresh_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        now - _KEPT_FOR,
        limit,
    )
    return int(tag.removeprefix("DELETE "))
