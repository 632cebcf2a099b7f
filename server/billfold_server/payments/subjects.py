"""What the payments room does for a person who asks what is known of them, or to be forgotten."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from billfold_server.db.personal import Erasing, Exported, Subject, SubjectProvider, to_plain
from billfold_server.http.routing import Call
from billfold_server.payments import queries
from billfold_server.payments.service import show
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["SUBJECTS"]


async def _payments(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
    async with call.tx() as tx:
        rows = await queries.list_of(tx, subject.wallet_ids, after=after, limit=limit)
    shown = await show(call.services, call.tenant, rows)
    return [
        Exported(kind="payment", key=row.id, data=to_plain(payment)) for row, payment in zip(rows, shown, strict=True)
    ]


async def _erase(tx: TenantTx, erasing: Erasing) -> Mapping[str, int]:
    return {"payment_texts": await queries.delete_texts(tx, erasing.subject.wallet_ids)}


SUBJECTS: Final = SubjectProvider(room="payments", export=(_payments,), erase=_erase)
