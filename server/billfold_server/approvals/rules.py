"""Who may decide, and where an approval stands.

An approval is pending until it is approved, is rejected, or its time has run out, which no row needs to say. What is
approved is carried out by the server itself, once.
"""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from billfold import errors
from billfold.contract.approvals import ApprovalStatus

__all__ = ["DECISIONS", "Decision", "check_decider", "decided", "status_at"]

Decision = Literal["approve", "reject"]

DECISIONS: Final[dict[tuple[ApprovalStatus, Decision], ApprovalStatus]] = {
    (ApprovalStatus.PENDING, "approve"): ApprovalStatus.APPROVED,
    (ApprovalStatus.PENDING, "reject"): ApprovalStatus.REJECTED,
}
"""What a decision makes of an approval; what isn't here is refused."""


def status_at(state: str, expires_at: datetime, now: datetime) -> ApprovalStatus:
    """Return where an approval stands at an instant of the tenant's clock."""
    status = ApprovalStatus(state)
    if status is ApprovalStatus.PENDING and now >= expires_at:
        return ApprovalStatus.EXPIRED
    return status


def decided(status: ApprovalStatus, decision: Decision) -> ApprovalStatus:
    """Return what a decision makes of an approval.

    Raises:
        errors.ApprovalNotPending: There is nothing to decide any more.
    """
    try:
        return DECISIONS[status, decision]
    except KeyError:
        raise errors.ApprovalNotPending(f"the approval is {status.value}") from None


def check_decider(decider: UUID | None, maker: UUID | None) -> UUID:
    """Return who decides, if that is a person other than who has asked.

    Raises:
        errors.PersonRequired: It is a program, whose owner might be anybody.
        errors.MakerMayNotDecide: It is the same person.
    """
    if decider is None:
        raise errors.PersonRequired("a member of staff must decide, signed in as themselves")
    if decider == maker:
        raise errors.MakerMayNotDecide("whoever has asked for it can't decide on it")
    return decider
