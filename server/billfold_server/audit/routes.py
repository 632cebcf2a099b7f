"""Shows the audit trails: a tenant's to its clients, and the platform's to its operators."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from billfold import ids
from billfold.contract.common import Page
from billfold.contract.platform import AUDIT_HEAD_TYPE, AuditHead, AuditRecord
from billfold.ids import Prefix
from billfold_server.audit import service
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Routes

__all__ = ["platform_routes", "routes"]

routes = Routes(
    tag="Audit", description="Who did what, on which object, why, and in which request. Records are never changed."
)
platform_routes = Routes(
    tag="Platform audit",
    description="What operators did with tenants and clients. Records are never changed.",
    audience="platform",
)

_KIND = "audit_records"
_PLATFORM_KIND = "platform_audit_records"
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
    return call.page(_KIND, records, limit, key=_position)


@routes.get("/v1/audit-head", scope="audit:read")
async def get_audit_head(call: Call) -> AuditHead:
    """Show the signed head of the audit trail's hash chain.

    It stands for everything that is sealed so far, which is done within about a minute of what was recorded. Whoever
    keeps it notices a trail that is changed later.
    """
    async with call.tx() as tx:
        head = await service.get_head(tx)
    return await _signed(call, head)


@platform_routes.get("/platform/v1/audit-head", scope="platform:audit:read")
async def get_platform_audit_head(call: Call) -> AuditHead:
    """Show the signed head of the hash chain of what operators did.

    It stands for everything that is sealed so far, which is done within about a minute of what was recorded.
    """
    async with call.services.database.platform_tx() as tx:
        head = await service.get_head(tx)
    return await _signed(call, head)


@platform_routes.get("/platform/v1/audit-records", scope="platform:audit:read")
async def list_platform_audit_records(
    call: Call,
    *,
    object_id: ObjectId | None = None,
    action: Action | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[AuditRecord]:
    """List what operators did with tenants and clients.

    The newest comes first. What was done inside a tenant stands in the tenant's own audit trail.
    """
    after = call.cursors.decode(_PLATFORM_KIND, cursor)
    async with call.services.database.platform_tx() as tx:
        records = await service.list_records(
            tx, object_id=object_id, action=action, before=UUID(str(after[0])) if after else None, limit=limit + 1
        )
    return call.page(_PLATFORM_KIND, records, limit, key=_position)


async def _signed(call: Call, head: service.HeadRow) -> AuditHead:
    identity = call.services.identity
    realm = identity.realm(call.tenant_or_none)
    claims = service.head_claims(head, realm.issuer)
    return service.signed_head(claims, await identity.attest(realm, AUDIT_HEAD_TYPE, claims))


def _position(record: AuditRecord) -> list[str]:
    return [str(ids.decode(Prefix.AUDIT_RECORD, record.id))]
