"""Roles of a bank's staff: what somebody's work is, from which follows what they may do."""

from enum import StrEnum

__all__ = ["StaffRole"]


class StaffRole(StrEnum):
    """What a member of staff does. Whoever does several things has several roles."""

    OWNER = "owner"
    OPERATOR = "operator"
    APPROVER = "approver"
    SUPPORT = "support"
    AUDITOR = "auditor"
    DEVELOPER = "developer"
    CUSTODIAN = "custodian"
