"""Authorization codes: made once, claimed once (RFC 6749, sections 4.1.2 and 10.5; FAPI 2.0, section 5.3.2.2).

A code is 256 random bits, of which the database keeps a digest. Claiming is one statement that only the first of any
number of requests can win; a row outlives its code by a day, so that who comes second is told apart from who guesses,
and what the first has got can be taken back.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from billfold_server.tenancy.transaction import Tx

__all__ = ["CODE_TTL_MAX_S", "KEPT_FOR", "Code", "Used", "claim", "create", "digest_of", "renew", "was_made"]

CODE_TTL_MAX_S: Final = 60
"""FAPI 2.0 Security Profile, section 5.3.2.1: at most 60 seconds."""

KEPT_FOR: Final = timedelta(days=1)
"""How long a code's row outlives it."""

_BYTES = 32


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """What a code stands for, once it is claimed.

    Who has signed in and how, and the authorization details, are the grant's.

    Attributes:
        client_id: Whose it is.
        grant_id: What the user has allowed.
        redirect_uri: Where it was sent; the token request must name the same one if it names one.
        code_challenge: By S256 (RFC 7636).
        scopes: What was allowed.
        resources: What was asked for by RFC 8707, within which the token request may narrow.
        nonce: For the ID token.
        state_hash: Half of the hash of the request's ``state``, for the ID token, where there was one.
        dpop_jkt: The thumbprint of the key that alone may redeem it (RFC 9449, section 10).
        id_token_claims: The ``id_token`` and ``userinfo`` members of the ``claims`` parameter (OpenID Connect Core,
            section 5.5), as they were checked.
        created_at: When it was allowed, which is when the first code was made.
    """

    client_id: UUID
    grant_id: UUID
    redirect_uri: str
    code_challenge: str
    scopes: list[str]
    resources: list[str]
    nonce: str | None
    state_hash: str | None
    dpop_jkt: str | None
    id_token_claims: dict[str, Any]
    created_at: datetime


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """A code that its client has already redeemed: what was issued by its grant is to be revoked (section 4.1.2)."""

    grant_id: UUID
    used_at: datetime


def digest_of(text: str) -> bytes:
    """Return what is kept of a random text. It has 256 bits, so a plain digest can't be searched."""
    return hashlib.sha256(text.encode()).digest()


async def create(
    tx: Tx,
    *,
    client_id: UUID,
    grant_id: UUID,
    redirect_uri: str,
    code_challenge: str,
    scopes: list[str],
    now: datetime,
    ttl_s: int = CODE_TTL_MAX_S,
    resources: list[str] | None = None,
    nonce: str | None = None,
    state_hash: str | None = None,
    dpop_jkt: str | None = None,
    id_token_claims: dict[str, Any] | None = None,
    allowed_at: datetime | None = None,
) -> str:
    """Make a code in the transaction that opens its grant, and return it.

    Args:
        tx: The realm's transaction.
        client_id: Who may redeem it.
        grant_id: What the user has allowed.
        redirect_uri: Where it will be sent.
        code_challenge: By S256; there is no other method here.
        scopes: What was allowed.
        now: The real time.
        ttl_s: How long it lives; never more than ``CODE_TTL_MAX_S``.
        resources: RFC 8707.
        nonce: For the ID token.
        state_hash: For the ID token.
        dpop_jkt: RFC 9449, section 10.
        id_token_claims: The ``claims`` parameter.
        allowed_at: When the user allowed it, where that was before.
    """
    code = secrets.token_urlsafe(_BYTES)
    await tx.execute(
        "INSERT INTO authorization_codes (digest, client_id, grant_id, redirect_uri, code_challenge, scopes, resources,"
        " nonce, state_hash, dpop_jkt, id_token_claims, created_at, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        digest_of(code), client_id, grant_id, redirect_uri, code_challenge, scopes, resources or [],
        nonce, state_hash, dpop_jkt, msgspec.json.encode(id_token_claims or {}).decode(),
        allowed_at or now, now + timedelta(seconds=min(ttl_s, CODE_TTL_MAX_S)),
    )  # fmt: skip
    return code


_COLUMNS: Final = (
    "client_id, grant_id, redirect_uri, code_challenge, scopes, resources, nonce, state_hash, dpop_jkt, "
    "id_token_claims, created_at"
)


async def claim(tx: Tx, code: str, now: datetime, *, client_id: UUID) -> Code | Used | None:
    """Claim a code: of all who try, one gets it, and only if that one's transaction commits.

    Another client's code is as unknown as one that never was: it stays with its client, who hasn't lost it to a thief.

    Args:
        tx: The realm's transaction, in which what the code brings is written too.
        code: As the token request shows it.
        now: The real time.
        client_id: The authenticated client.

    Returns:
        The code; or that this client has already redeemed it; or None where it is no code of this client's that stands.
    """
    digest = digest_of(code)
    row = await tx.fetchrow(
        "UPDATE authorization_codes SET used_at = $3"  # noqa: S608 - constants
        " WHERE digest = $1 AND client_id = $2 AND used_at IS NULL AND expires_at > $3"
        f" RETURNING {_COLUMNS}",
        digest, client_id, now,
    )  # fmt: skip
    if row is not None:
        return _read(row)
    # Whoever lost the race has waited for the winner's row above, so it is seen here as the winner has left it.
    used = await tx.fetchrow(
        "SELECT grant_id, used_at FROM authorization_codes"
        " WHERE digest = $1 AND client_id = $2 AND used_at IS NOT NULL",
        digest, client_id,
    )  # fmt: skip
    return None if used is None else Used(grant_id=used["grant_id"], used_at=used["used_at"])


def _read(row: Any) -> Code:
    return Code(**{**dict(row), "id_token_claims": msgspec.json.decode(row["id_token_claims"])})


# A code is of one answer. Codes of before are passed over by the index on when they end.
_OF_ANSWER: Final = "client_id = $1 AND code_challenge = $2 AND created_at = $3 AND expires_at > $3"


async def was_made(tx: Tx, client_id: UUID, code_challenge: str, allowed_at: datetime) -> bool:
    """Tell whether a request was answered by a code, whatever has become of that.

    Args:
        tx: The realm's transaction.
        client_id: Whose request it was.
        code_challenge: That of the request.
        allowed_at: When it was answered.
    """
    sql = f"SELECT TRUE FROM authorization_codes WHERE {_OF_ANSWER}"  # noqa: S608 - a constant
    return await tx.fetchval(sql, client_id, code_challenge, allowed_at) is not None


async def renew(
    tx: Tx, client_id: UUID, code_challenge: str, allowed_at: datetime, *, now: datetime, ttl_s: int
) -> str | None:
    """Make another code in the place of one whose answer has got lost, or return None where its client has redeemed it.

    The former one is as unknown from then on as one that never was. Arguments are those of ``was_made`` and ``create``.
    """
    row = await tx.fetchrow(
        f"DELETE FROM authorization_codes WHERE {_OF_ANSWER} AND used_at IS NULL RETURNING {_COLUMNS}",  # noqa: S608 - constants
        client_id, code_challenge, allowed_at,
    )  # fmt: skip
    if row is None:
        return None
    said = msgspec.structs.asdict(_read(row))
    said["allowed_at"] = said.pop("created_at")
    return await create(tx, **said, now=now, ttl_s=ttl_s)
