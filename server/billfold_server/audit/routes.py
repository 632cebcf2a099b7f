"""Shows a tenant's clients the audit trail."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from billfold import ids
from billfold.contract.common import Page
from billfold.contract.platform import AuditRecord
from billfold.ids import Prefix
from billfold_server.audit import service
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Routes

__all__ = ["routes"]

routes = Routes(
    tag="Audit", description="Who did what, on which object, why, and in which request. Records are never changed."
)

_KIND = "audit_records"
ObjectId = Annotated[
    str, Meta(min_length=1, max_length=100, pattern=r"^[!-~]+$(?!\n)", description="Id of the object.")
]
Action = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[a-z0-9_.]+$(?!\n)",
        description="What was done.",
        examples=["party.updated"],
    ),
]


@routes.get("/v1/audit-records", scope="audit:read")
async def list_audit_records(
    call: Call,
    *,
    object_id: ObjectId | None = None,
    action: Action | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[AuditRecord]:
    """List audit records.

    The newest comes first.
    """
    after = call.cursors.decode(_KIND, cursor)
    async with call.tx() as tx:
        records = await service.list_records(
            tx, object_id=object_id, action=action, before=UUID(str(after[0])) if after else None, limit=limit + 1
        )
    return call.page(_KIND, records, limit, key=lambda record: [str(ids.decode(Prefix.AUDIT_RECORD, record.id))])
