"""What the reconciliation room does for a person who asks what is known of them, or to be forgotten."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from billfold_server.db.personal import Erasing, Exported, Subject, SubjectProvider, counted, to_plain
from billfold_server.http.routing import Call
from billfold_server.reconciliation.service import open_entries
from billfold_server.reconciliation.stores import ENTRY_COLUMNS, to_entry
from billfold_server.tenancy.transaction import TenantTx

__all__ = ["SUBJECTS"]

_ENTRIES: Final = f"""
SELECT {ENTRY_COLUMNS}
FROM (
    SELECT n.id FROM unnest($1::uuid[]) AS w (id)
    CROSS JOIN LATERAL (
        SELECT id FROM statement_entries
        WHERE wallet_id = w.id AND id > coalesce($2::uuid, '00000000-0000-0000-0000-000000000000') ORDER BY id LIMIT $3
    ) AS n
    ORDER BY n.id LIMIT $3
) AS own
JOIN statement_entries AS e ON e.id = own.id ORDER BY e.id
"""  # noqa: S608 - constants
_BLANK: Final = """
UPDATE statement_entries SET sealed_texts = NULL WHERE wallet_id = ANY($1::uuid[]) AND sealed_texts IS NOT NULL
"""


async def _entries(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
    async with call.tx() as tx:
        rows = [to_entry(row) for row in await tx.fetch(_ENTRIES, list(subject.wallet_ids), after, limit)]
    opened = await open_entries(call.services.keys, call.tenant, rows)
    return [
        Exported(kind="statement_entry", key=row.id, data=to_plain(entry))
        for row, entry in zip(rows, opened, strict=True)
    ]


async def _erase(tx: TenantTx, erasing: Erasing) -> Mapping[str, int]:
    return {"statement_entries": counted(await tx.execute(_BLANK, list(erasing.subject.wallet_ids)))}


SUBJECTS: Final = SubjectProvider(room="reconciliation", export=(_entries,), erase=_erase)
