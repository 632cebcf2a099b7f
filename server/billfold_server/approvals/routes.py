"""Approvals over HTTP."""

from uuid import UUID

from billfold import errors, ids
from billfold.contract.approvals import Approval, ApprovalStatus, DecideApproval
from billfold.contract.common import ApprovalId, Page
from billfold.ids import Prefix
from billfold_server.approvals import service
from billfold_server.http.pagination import DEFAULT_LIMIT, Cursor, Limit
from billfold_server.http.routing import Call, Reply, Routes

__all__ = ["routes"]

routes = Routes(
    tag="Approvals",
    description="What one person asks for and another must agree to first, where the tenant's manifest says so.",
)

_KIND = "approvals"
_REJECTS = (errors.NotFound, errors.PersonRequired, errors.MakerMayNotDecide, errors.ApprovalNotPending)
_APPROVES = (*_REJECTS, errors.MakerLacksPermission)


@routes.get("/v1/approvals", scope="approvals:read")
async def list_approvals(
    call: Call,
    *,
    status: ApprovalStatus | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor | None = None,
) -> Page[Approval]:
    """List approvals.

    The newest comes first.
    """
    after = call.cursors.decode(_KIND, cursor)
    async with call.tx() as tx:
        rows, now = await service.list_approvals(
            tx, status=status, before=_id(str(after[0])) if after else None, limit=limit + 1
        )
    found = await service.show(call.services.keys, call.tenant, rows, now)
    return call.page(_KIND, found, limit, key=lambda approval: [approval.id])


@routes.get("/v1/approvals/{approval_id}", scope="approvals:read", errors=(errors.NotFound,))
async def get_approval(call: Call, approval_id: ApprovalId) -> Approval:
    """Show an approval.

    Once it was carried out, it holds the answer of what was asked for.
    """
    async with call.tx() as tx:
        row, now = await service.get_approval(tx, _id(approval_id))
    (approval,) = await service.show(call.services.keys, call.tenant, [row], now)
    return approval


@routes.post("/v1/approvals/{approval_id}/approve", scope="approvals:decide", idempotency="optional", errors=_APPROVES)
async def approve_approval(call: Call, approval_id: ApprovalId, body: DecideApproval) -> Reply[Approval]:
    """Agree to what another person has asked for.

    It is carried out at once, in the name of who has asked, if they still may do it; what has a secret for an answer is
    carried out when they send it again. Only a member of staff may do this, signed in as themselves, and never who has
    asked, nor who has made the API client that has asked, or has given it keys.
    """
    approved: Reply[Approval] = await call.services.approvals.decide(call, _id(approval_id), "approve", body.reason)
    return approved


@routes.post("/v1/approvals/{approval_id}/reject", scope="approvals:decide", idempotency="optional", errors=_REJECTS)
async def reject_approval(call: Call, approval_id: ApprovalId, body: DecideApproval) -> Reply[Approval]:
    """Refuse what another person has asked for."""
    rejected: Reply[Approval] = await call.services.approvals.decide(call, _id(approval_id), "reject", body.reason)
    return rejected


def _id(approval_id: str) -> UUID:
    return ids.decode(Prefix.APPROVAL, approval_id)
