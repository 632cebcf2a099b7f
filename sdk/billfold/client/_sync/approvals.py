# Generated from billfold/client/_async/approvals.py by tests/sdk/generate_sync.py. Change that one instead.

"""Approvals: what one person has asked for and another must agree to."""

from typing import Literal

from billfold.client import _encoding as encoding
from billfold.client import _operations as operations
from billfold.client._sync.resource import Pages, Resource
from billfold.contract.approvals import Approval, ApprovalStatus

__all__ = ["Approvals"]

_Status = ApprovalStatus | Literal["pending", "approved", "rejected", "expired", "executed"]


class Approvals(Resource):
    """Requests that wait for a second person: ``billfold.approvals``."""

    __slots__ = ()

    def get(self, approval_id: str) -> Approval:
        """Return an approval; once it was carried out, with the answer of what was asked for.

        Raises:
            errors.NotFound: There is none with this id.
        """
        return self._ask(operations.GET_APPROVAL, approval_id)

    def approve(self, approval_id: str, *, reason: str | None = None, idempotency_key: str | None = None) -> Approval:
        """Agree to what another person has asked for; it is carried out at once.

        Args:
            approval_id: Which one.
            reason: Why, for the audit.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.PersonRequired: The client acts for no member of staff.
            errors.MakerMayNotDecide: It acts for the person who has asked.
            errors.ApprovalNotPending: It is decided, or its time has run out.
        """
        body = encoding.fields(reason=reason)
        return self._order(operations.APPROVE_APPROVAL, approval_id, body=body, idempotency_key=idempotency_key)

    def reject(self, approval_id: str, *, reason: str | None = None, idempotency_key: str | None = None) -> Approval:
        """Refuse what another person has asked for.

        Args:
            approval_id: Which one.
            reason: Why, for the audit.
            idempotency_key: The caller's own key; otherwise one is made, and kept over retries.

        Raises:
            errors.PersonRequired: The client acts for no member of staff.
            errors.MakerMayNotDecide: It acts for the person who has asked.
            errors.ApprovalNotPending: It is decided, or its time has run out.
        """
        body = encoding.fields(reason=reason)
        return self._order(operations.REJECT_APPROVAL, approval_id, body=body, idempotency_key=idempotency_key)

    def list(
        self, *, status: _Status | None = None, limit: int | None = None, cursor: str | None = None
    ) -> Pages[Approval]:
        """List approvals, the newest first.

        Args:
            status: Only those that stand there, such as ``pending``.
            limit: How many a page has, 1 to 100.
            cursor: Where to begin: ``next_cursor`` of a page.
        """
        query = encoding.query(status=status, limit=limit, cursor=cursor)
        return self._list(operations.LIST_APPROVALS, query=query)
