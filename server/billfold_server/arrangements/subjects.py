"""What the arrangements room does for a person who asks what is known of them, or to be forgotten."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from billfold_server.arrangements import service
from billfold_server.db.personal import Erasing, Exported, Subject, SubjectProvider, counted, to_plain
from billfold_server.http.routing import Call
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["SUBJECTS"]


async def _arrangements(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
    async with call.tx() as tx:
        rows = await service.list_behind(tx, subject.wallet_ids, after, limit)
    opened = await service.open_terms(call.services.keys, call.tenant, rows)
    return [
        Exported(kind="arrangement", key=each.row.id, data=to_plain(each.row.to_response(each.terms)))
        for each in opened
    ]


async def _erase(tx: TenantTx, erasing: Erasing) -> Mapping[str, int]:
    return {"arrangements": counted(await service.delete_of_wallets(tx, erasing.subject.wallet_ids))}


SUBJECTS: Final = SubjectProvider(room="arrangements", export=(_arrangements,), erase=_erase)
