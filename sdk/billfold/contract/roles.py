"""Roles of a bank's staff, and of the members of its partners: what somebody's work is, and so what they may do."""

from enum import StrEnum

__all__ = ["PartnerRole", "StaffRole"]


class PartnerRole(StrEnum):
    """What a member of a partner organisation does there. Each has one role."""

    ADMIN = "admin"
    DEVELOPER = "developer"
    VIEWER = "viewer"


class StaffRole(StrEnum):
    """What a member of staff does. Whoever does several things has several roles."""

    OWNER = "owner"
    OPERATOR = "operator"
    APPROVER = "approver"
    SUPPORT = "support"
    AUDITOR = "auditor"
    DEVELOPER = "developer"
    CUSTODIAN = "custodian"
