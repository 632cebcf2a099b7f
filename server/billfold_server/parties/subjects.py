"""What the parties room does for a person who asks what is known of them, or to be forgotten."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from billfold_server.db.personal import Erasing, Exported, Subject, SubjectProvider, to_plain
from billfold_server.http.routing import Call
from billfold_server.parties import service
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["SUBJECTS"]


async def _party(call: Call, subject: Subject, after: UUID | None, _limit: int) -> Sequence[Exported]:
    if after is not None:
        return []
    async with call.tx() as tx:
        row = await service.get_party(tx, subject.party_id)
    (party,) = await service.open_parties(call.services.keys, call.tenant, [row])
    return [Exported(kind="party", key=row.id, data=to_plain(party))]


async def _erase(tx: TenantTx, erasing: Erasing) -> Mapping[str, int]:
    return {"parties": int(await service.erase_party(tx, erasing.subject.party_id, erasing.now))}


SUBJECTS: Final = SubjectProvider(room="parties", export=(_party,), erase=_erase)
