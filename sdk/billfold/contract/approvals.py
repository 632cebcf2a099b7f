"""Approvals: what one person has asked for and another must agree to before it is done."""

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta

from billfold.contract.common import ApprovalId, Instant, LongText, Request, Response

__all__ = ["Approval", "ApprovalStatus", "DecideApproval", "RequestedOperation"]


class ApprovalStatus(StrEnum):
    """Where an approval stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    EXECUTED = "executed"


class DecideApproval(Request, frozen=True, kw_only=True):
    """A decision, and why it was made."""

    reason: LongText | None = None


class RequestedOperation(Response, frozen=True, kw_only=True):
    """What was asked for."""

    operation_id: Annotated[str, Meta(description="As in the OpenAPI document.", examples=["reverseTransfer"])]
    path: Annotated[dict[str, str], Meta(description="The parameters in the address.")]
    body: Annotated[dict[str, Any] | None, Meta(description="The request's body.")]


class Approval(Response, frozen=True, kw_only=True):
    """A request that waits for another person, or has waited."""

    id: ApprovalId
    kind: Annotated[str, Meta(description="For what the manifest asks a second person.", examples=["refund"])]
    status: ApprovalStatus
    requested: RequestedOperation
    requested_by: Annotated[str, Meta(description="The person or API client that asked for it.")]
    requested_at: Instant
    expires_at: Instant
    decided_by: Annotated[str | None, Meta(description="The person who decided.")]
    decided_at: Instant | None
    reason: str | None
    executed_at: Instant | None
    outcome_status: Annotated[int | None, Meta(description="The HTTP status with which the request was answered.")]
    outcome: Annotated[dict[str, Any] | None, Meta(description="The request's answer: what it made, or a problem.")]
