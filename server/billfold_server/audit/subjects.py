"""What the audit does for a person who asks what is known of them: it tells who did what with them, and why."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.ids import Prefix
from billfold_server.db.personal import Exported, Subject, SubjectProvider, to_plain
from billfold_server.http.routing import Call

__all__ = ["SUBJECTS"]

_RECORDS: Final = """
SELECT id, actor, action, object_id, reason, facts::text AS facts, recorded_at FROM audit_records
WHERE object_id = ANY($1::text[]) AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
"""


async def _records(call: Call, subject: Subject, after: UUID | None, limit: int) -> Sequence[Exported]:
    objects = [
        ids.encode(Prefix.PARTY, subject.party_id),
        *(ids.encode(Prefix.WALLET, each) for each in subject.wallet_ids),
        *(ids.encode(Prefix.USER, each) for each in subject.user_ids),
    ]
    async with call.tx() as tx:
        rows = await tx.fetch(_RECORDS, objects, after, limit)
    return [
        Exported(
            kind="audit_record",
            key=row["id"],
            data=to_plain(
                {
                    **dict(row),
                    "id": ids.encode(Prefix.AUDIT_RECORD, row["id"]),
                    "facts": msgspec.json.decode(row["facts"]),
                }
            ),
        )
        for row in rows
    ]


SUBJECTS: Final = SubjectProvider(
    room="audit",
    export=(_records,),
    nothing_because=(
        "what was done must be told for as long as the law says; records hold ids, which say nothing of somebody who "
        "was forgotten"
    ),
)
