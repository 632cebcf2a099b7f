"""What the wallets room does for a person who asks what is known of them, or to be forgotten."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from billfold_server.db.personal import Erasing, Exported, Subject, SubjectProvider, counted, to_plain
from billfold_server.http.routing import Call
from billfold_server.tenancy.transaction import TenantTx
from billfold_server.wallets import queries
from billfold_server.wallets.stores import to_alias, to_transfer, to_wallet

__all__ = ["SUBJECTS"]


async def _rows(call: Call, sql: str, subject: Subject, after: UUID | None, limit: int) -> list[Any]:
    async with call.tx() as tx:
        return await tx.fetch(sql, list(subject.wallet_ids), after, limit)


async def _wallets(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
    rows = map(to_wallet, await _rows(call, queries.WALLETS_OF, subject, after, limit))
    return [Exported(kind="wallet", key=row.id, data=to_plain(row.to_response([]))) for row in rows]


async def _aliases(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
    rows = map(to_alias, await _rows(call, queries.ALIASES_OF, subject, after, limit))
    return [Exported(kind="wallet_alias", key=row.id, data=to_plain(row.to_response())) for row in rows]


async def _transfers(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
    rows = map(to_transfer, await _rows(call, queries.TRANSFERS_OF, subject, after, limit))
    return [Exported(kind=row.kind, key=row.id, data=to_plain(row.to_response())) for row in rows]


async def _blank_transfers(tx: TenantTx, erasing: Erasing) -> Mapping[str, int]:
    return {"transfers": counted(await tx.execute(queries.BLANK_TRANSFERS, list(erasing.subject.wallet_ids)))}


async def _erase(tx: TenantTx, erasing: Erasing) -> Mapping[str, int]:
    """Blank what people have written of wallets and transfers, and delete the names by which money found them."""
    wallets = list(erasing.subject.wallet_ids)
    return {
        "wallets": counted(await tx.execute(queries.BLANK_WALLETS, wallets)),
        "wallet_aliases": counted(await tx.execute(queries.DELETE_ALIASES, wallets)),
        **await _blank_transfers(tx, erasing),
    }


SUBJECTS: Final = SubjectProvider(
    room="wallets", export=(_wallets, _aliases, _transfers), erase=_erase, begin=_blank_transfers
)
