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

# The index is the only way to what lies between an object and itself in this order; said to be equal, one of which
# there is nothing might be looked for along the whole trail.
_RECORDS: Final = """
SELECT r.id, r.actor, r.action, r.object_id, r.reason, r.facts, r.recorded_at FROM unnest($1::text[]) AS o (id)
CROSS JOIN LATERAL (
    SELECT id, actor, action, object_id, reason, facts::text AS facts, recorded_at FROM audit_records
    WHERE object_id >= o.id AND object_id <= o.id AND id > coalesce($2::uuid, '00000000-0000-0000-0000-000000000000')
    ORDER BY object_id, id LIMIT $3
) AS r
ORDER BY r.id LIMIT $3
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
