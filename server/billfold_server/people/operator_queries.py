"""The SQL of what one operator asks for another one, and a second must ask for as well."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from billfold_server.tenancy.transaction import PlatformTx

__all__ = ["Request", "ask", "forget_requests", "use_request"]

# Whoever asks again while another one's word waits would have used that; so what stands here is their own, or over.
_ASK: Final = """
INSERT INTO operator_requests (user_id, what, asked_by, asked_at, expires_at, half)
SELECT $1, $2, u.id, $4, $5, $6 FROM users AS u WHERE u.id = $3 AND u.state = 'active'
ON CONFLICT (user_id, what)
DO UPDATE SET asked_by = excluded.asked_by, asked_at = excluded.asked_at, expires_at = excluded.expires_at,
    half = excluded.half
"""
_USE: Final = """
DELETE FROM operator_requests AS r
WHERE r.user_id = $1 AND r.what = $2 AND r.asked_by <> $3 AND r.expires_at > $4
  AND EXISTS (SELECT FROM users AS u WHERE u.id = r.asked_by AND u.state = 'active')
  AND EXISTS (SELECT FROM users AS u WHERE u.id = $3 AND u.state = 'active')
  AND (r.what <> 'enrolment' OR r.half IS NOT NULL)
RETURNING half
"""
"""Who has asked for an enrolment and got no half was answered by an older version, and counts for nothing."""


class Request(msgspec.Struct, frozen=True):
    """What another operator has asked.

    Attributes:
        half: Digest of the half of the code that they were given, where it is an enrolment.
    """

    half: bytes | None


async def ask(
    tx: PlatformTx,
    user_id: UUID,
    what: str,
    asked_by: UUID,
    *,
    now: datetime,
    expires_at: datetime,
    half: bytes | None = None,
) -> bool:
    """Write down that somebody asks, and tell whether they are an operator who may."""
    return await tx.execute(_ASK, user_id, what, asked_by, now, expires_at, half) == "INSERT 0 1"


async def use_request(tx: PlatformTx, user_id: UUID, what: str, second: UUID, now: datetime) -> Request | None:
    """Use up what another operator has asked, where both still are operators, and return it, or None."""
    row = await tx.fetchrow(_USE, user_id, what, second, now)
    return None if row is None else Request(row["half"])


async def forget_requests(tx: PlatformTx, user_id: UUID) -> None:
    """Forget all that was asked for somebody, and all that they asked for others: neither outlives their return."""
    await tx.execute("DELETE FROM operator_requests WHERE user_id = $1 OR asked_by = $1", user_id)
