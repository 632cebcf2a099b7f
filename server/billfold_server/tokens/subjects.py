"""What the vault does for a person who asks what is known of them, or to be forgotten.

A card's number isn't exported: it goes out by detokenization alone, to whoever may, and encrypted.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from billfold_server.db.personal import Erasing, Exported, Subject, SubjectProvider, to_plain
from billfold_server.http.routing import Call
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.tokens import service
from billfold_server.tokens.rows import TokenRow

__all__ = ["SUBJECTS"]


async def _tokens(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
    async with call.tx() as tx:
        rows = await service.list_of_party(tx, subject.party_id, before=after, limit=limit)
    return [Exported(kind="vault_token", key=row.place, data=_data(row)) for row in rows]


def _data(row: TokenRow) -> Mapping[str, object]:
    data: Mapping[str, object] = to_plain(
        {
            "id": row.wire_id,
            "kind": row.kind,
            "personal_type": row.personal_type,
            "masked": row.masked,
            "metadata": row.metadata,
            "created_at": row.created_at,
        }
    )
    return data


async def _erase(tx: TenantTx, erasing: Erasing) -> Mapping[str, int]:
    party_id = erasing.subject.party_id
    return {"vault_tokens": await service.forget(tx, erasing.caller, party_id, now=erasing.now, reason=erasing.reason)}


SUBJECTS: Final = SubjectProvider(room="tokens", export=(_tokens,), erase=_erase)
