"""What the identity room does for a person who asks what is known of them, or to be forgotten."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.db.personal import Erasing, Exported, Subject, SubjectProvider, counted, to_plain
from billfold_server.http.routing import Call
from billfold_server.identity.grants.service import revoke_grants
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["SUBJECTS"]

_GRANTS: Final = """
SELECT id, client_id, scopes, details::text AS details, created_at, revoked_at FROM grants
WHERE user_id = ANY($1) AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
"""
_END_REFRESHING: Final = """
DELETE FROM refresh_tokens WHERE grant_id IN (SELECT id FROM grants WHERE user_id = ANY($1))
"""


async def _grants(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
    async with call.tx() as tx:
        rows = await tx.fetch(_GRANTS, list(subject.user_ids), after, limit)
    return [
        Exported(
            kind="grant",
            key=row["id"],
            data=to_plain(
                {
                    **dict(row),
                    "id": ids.encode(Prefix.GRANT, row["id"]),
                    "client_id": ids.encode(Prefix.CLIENT, row["client_id"]),
                    "details": msgspec.json.decode(row["details"]),
                }
            ),
        )
        for row in rows
    ]


async def _erase(tx: TenantTx, erasing: Erasing) -> Mapping[str, int]:
    """End what somebody has allowed apps; that it was allowed stays, with ids alone, until its days are over."""
    users = list(erasing.subject.user_ids)
    ended = 0
    for user_id in users:
        ended += await revoke_grants(
            tx, "the user was forgotten", now=erasing.real_now, user_id=user_id, caller=erasing.caller
        )
    return {"grants": ended, "refresh_tokens": counted(await tx.execute(_END_REFRESHING, users))}


SUBJECTS: Final = SubjectProvider(room="identity", export=(_grants,), erase=_erase)
