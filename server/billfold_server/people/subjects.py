"""What the people room does for a person who asks what is known of them, or to be forgotten."""

from collections.abc import Mapping, Sequence
from secrets import token_bytes
from typing import Any, Final
from uuid import UUID

from billfold import ids
from billfold.ids import Prefix
from billfold_server.db.personal import Erasing, Exported, Part, Subject, SubjectProvider, to_plain
from billfold_server.http.routing import Call
from billfold_server.people import queries, service
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["SUBJECTS"]

_SESSIONS: Final = """
SELECT id, user_id, device, created_at, last_seen_at, ended_at FROM sessions
WHERE user_id = ANY($1) AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
"""
_FACTORS: Final = """
SELECT id, user_id, kind, label, created_at, last_used_at FROM factors
WHERE user_id = ANY($1) AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
"""
_CHALLENGES: Final = """
SELECT id, user_id, kind, object_id, amount_minor, currency, payee, terms::text AS terms, state, created_at, ended_at
FROM sca_challenges
WHERE user_id = ANY($1) AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
"""


async def _users(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
    chosen = sorted(each for each in subject.user_ids if after is None or each > after)[:limit]
    realm = service.Realm.of(call.services, call.tenant)
    async with call.tx() as tx:
        found = [await service.get_user(realm, tx, each) for each in chosen]
    return [Exported(kind="user", key=key, data=to_plain(user)) for key, user in zip(chosen, found, strict=True)]


def _listed(kind: str, sql: str) -> Part:
    """Return what exports the rows of a table of people."""

    async def export(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
        async with call.tx() as tx:
            rows = await tx.fetch(sql, list(subject.user_ids), after, limit)
        return [_exported(kind, row) for row in rows]

    return export


def _exported(kind: str, row: Any) -> Exported:
    data = {**dict(row), "id": str(row["id"]), "user_id": ids.encode(Prefix.USER, row["user_id"])}
    return Exported(kind=kind, key=row["id"], data=to_plain(data))


async def _erase(tx: TenantTx, erasing: Erasing) -> Mapping[str, int]:
    """Sign somebody out for good: their users stay as numbers that nobody can sign in as."""
    users = list(erasing.subject.user_ids)
    return await queries.forget_users(tx, users, [token_bytes(32) for _ in users], erasing.real_now)


SUBJECTS: Final = SubjectProvider(
    room="people",
    export=(
        _users,
        _listed("session", _SESSIONS),
        _listed("factor", _FACTORS),
        _listed("sca_challenge", _CHALLENGES),
    ),
    erase=_erase,
)
