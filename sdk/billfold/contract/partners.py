"""Partner organisations: who embeds the platform, with members, API clients and webhook endpoints of their own.

Their members are users of a login realm of their own (``billfold.contract.users``).
"""

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from billfold.contract.common import Instant, PartnerId, Request, Response, Text
from billfold.contract.parties import ExternalId
from billfold.contract.roles import PartnerRole
from billfold.contract.users import Language, LoginName

__all__ = ["CreatePartner", "CreatePartnerMember", "Partner", "PartnerState", "SetPartnerRole", "UpdatePartner"]

Scope = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[a-z_]+(:[a-z]+)?$(?!\n)")]
Scopes = Annotated[
    list[Scope],
    Meta(
        max_length=100,
        description=(
            "What its API clients may be allowed at most. Who sets it must be allowed all of it itself; what is about "
            "the bank alone, such as users and approvals, no partner is given."
        ),
        examples=[["wallets:read", "transfers:write"]],
    ),
]


class PartnerState(StrEnum):
    """Whether a partner's members and API clients are let in."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class CreatePartner(Request, frozen=True, kw_only=True):
    """A new partner organisation."""

    name: Annotated[Text, Meta(description="Of the organisation, which is no person.")]
    external_id: ExternalId | None = None
    client_scopes: Scopes = []


class UpdatePartner(Request, frozen=True, kw_only=True):
    """Changes to a partner organisation. What is absent stays; null clears what may be empty.

    API clients of it lose what it loses.
    """

    name: Text | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    client_scopes: Scopes | UnsetType = UNSET


class Partner(Response, frozen=True, kw_only=True):
    """A partner organisation."""

    id: PartnerId
    name: str
    external_id: str | None
    state: PartnerState
    client_scopes: Annotated[list[str], Meta(description="What its API clients may be allowed at most.")]
    version: Annotated[int, Meta(description="Counts up at each change; the ETag is made of it.")]
    created_at: Instant
    updated_at: Instant


class CreatePartnerMember(Request, frozen=True, kw_only=True):
    """A new member of a partner organisation."""

    login_name: LoginName
    display_name: Text
    role: PartnerRole
    language: Language | None = None


class SetPartnerRole(Request, frozen=True, kw_only=True):
    """What a member of a partner organisation does from now on, in place of what they did."""

    role: PartnerRole
