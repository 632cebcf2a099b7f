"""What each role of a bank's staff, and of a partner's members, allows, by the scopes that operations ask for.

Least privilege: a role has what its work needs, and nothing follows from being above somebody. Who hands out access
moves no money, who moves money hands out no access, and who approves does neither. Sources: NIST SP 800-53, AC-5
(separation of duties) and AC-6 (least privilege).
"""

from collections.abc import Iterable
from typing import Final

from billfold.contract.roles import PartnerRole, StaffRole

__all__ = ["CUSTOMER_SCOPES", "PARTNER_ROLES", "ROLES", "allowed_scopes", "allowed_to_member"]

_SEES_CUSTOMERS: Final = frozenset(
    {
        "arrangements:read",
        "consents:read",
        "holds:read",
        "parties:read",
        "payments:read",
        "statements:read",
        "tenant:read",
        "tokens:read",
        "transfers:read",
        "wallets:read",
    }
)

ROLES: Final[dict[StaffRole, frozenset[str]]] = {
    # Who works here, and which programs may connect. Owners see what was done, but touch neither customers nor money.
    StaffRole.OWNER: frozenset(
        {
            "approvals:read",
            "audit:read",
            "clients:read",
            "clients:write",
            "events:read",
            "keys:read",
            "keys:write",
            "members:read",
            "members:write",
            "partner_sandboxes:read",
            "partner_sandboxes:write",
            "partners:read",
            "partners:write",
            "tenant:read",
            "users:read",
            "users:write",
        }
    ),
    # The daily work with customers and money.
    StaffRole.OPERATOR: _SEES_CUSTOMERS
    | {
        "approvals:read",
        "arrangements:write",
        "consents:write",
        "events:read",
        "holds:write",
        "keys:read",
        "keys:write",
        "ledger:read",
        "ledger:write",
        "parties:write",
        "payments:resolve",
        "payments:write",
        "privacy:write",
        "statements:write",
        "tokens:write",
        "transfers:write",
        "wallets:write",
    },
    # The second pair of eyes: sees what it decides on, and changes nothing by itself.
    StaffRole.APPROVER: _SEES_CUSTOMERS | {"approvals:decide", "approvals:read", "keys:read", "ledger:read"},
    # Answers customers.
    StaffRole.SUPPORT: _SEES_CUSTOMERS | {"users:read"},
    # Reads everything.
    StaffRole.AUDITOR: _SEES_CUSTOMERS
    | {
        "approvals:read",
        "audit:read",
        "clients:read",
        "events:read",
        "keys:read",
        "ledger:read",
        "members:read",
        "partner_sandboxes:read",
        "partners:read",
        "privacy:read",
        "requests:read",
        "users:read",
        "webhooks:read",
    },
    # Connects programs, and tries them out where the clock can be moved.
    StaffRole.DEVELOPER: frozenset(
        {
            "clients:read",
            "clients:write",
            "clock:write",
            "events:read",
            "members:read",
            "partner_sandboxes:read",
            "partner_sandboxes:write",
            "partners:read",
            "requests:read",
            "sandbox:write",
            "tenant:read",
            "webhooks:read",
            "webhooks:write",
        }
    ),
    # Sees the values behind vault tokens, where a purpose of the manifest names the role; changes nothing by itself.
    StaffRole.CUSTODIAN: frozenset({"tenant:read", "tokens:detokenize", "tokens:read", "tokens:search"}),
}
"""Every role with its scopes."""

_OF_PARTNER: Final = frozenset(
    {
        "clients:read",
        "clients:write",
        "members:read",
        "members:write",
        "partner_sandboxes:read",
        "partner_sandboxes:write",
        "partners:read",
        "requests:read",
        "tenant:read",
    }
)
"""What is about a partner itself, so that it needs nobody's leave."""

_SEES_PARTNER: Final = frozenset(
    {
        "clients:read",
        "members:read",
        "partner_sandboxes:read",
        "partners:read",
        "requests:read",
        "tenant:read",
        "webhooks:read",
    }
)
_CONNECTS: Final = _SEES_PARTNER | {
    "clients:write",
    "clock:write",
    "events:read",
    "partner_sandboxes:write",
    "sandbox:write",
    "webhooks:write",
}

PARTNER_ROLES: Final[dict[PartnerRole, frozenset[str]]] = {
    # All of it is about the partner's own: what belongs to nobody or to another isn't there for them.
    PartnerRole.ADMIN: _CONNECTS | {"members:write"},
    PartnerRole.DEVELOPER: _CONNECTS,
    PartnerRole.VIEWER: _SEES_PARTNER,
}
"""What members of a partner organisation may do; money moves by its API clients alone."""

CUSTOMER_SCOPES: Final = frozenset({"tenant:read", "wallets:read"})
"""What a payment service user may allow an app: to look at what is their own, and no more than that."""


def allowed_scopes(roles: Iterable[StaffRole | str]) -> frozenset[str]:
    """Return what a member of staff with these roles may do; a role that isn't known allows nothing."""
    known = [StaffRole(role) for role in roles if role in set(StaffRole)]
    return frozenset().union(*(ROLES[role] for role in known))


def allowed_to_member(roles: Iterable[PartnerRole | str], partner_scopes: Iterable[str]) -> frozenset[str]:
    """Return what a partner's member with these roles may do; a role that isn't known allows nothing.

    What isn't about the partner itself, such as the stream of events, a member has only where the partner has it.
    """
    known = [PartnerRole(role) for role in roles if role in set(PartnerRole)]
    return frozenset().union(*(PARTNER_ROLES[role] for role in known)) & (_OF_PARTNER | frozenset(partner_scopes))
