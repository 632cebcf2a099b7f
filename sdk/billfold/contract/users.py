"""Users: the people who sign in at a tenant: customers, staff and members of partner organisations, kept apart."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from billfold.contract.common import Instant, PartnerId, PartyId, Request, Response, Text, UserId
from billfold.contract.roles import PartnerRole, StaffRole

__all__ = [
    "CreateUser",
    "EnrolmentCode",
    "Factors",
    "Language",
    "LockedUntil",
    "LoginName",
    "LoginRealm",
    "SetUserRoles",
    "SignedOut",
    "User",
    "UserState",
]

LoginName = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=254,
        pattern=r"^[^\s\u0000-\u001f\u007f\u0085]+$(?!\n)",
        description="What the person types to sign in; upper and lower case are alike. Unique in its realm.",
        examples=["ada.lovelace"],
    ),
]
Language = Annotated[str, Meta(min_length=2, max_length=35, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$(?!\n)")]
Factors = Annotated[list[str], Meta(description="Kinds: ``password``, ``totp``, ``passkey``.")]
LockedUntil = Annotated[
    Instant | None,
    Meta(
        description=(
            "Guesses are being refused until then; known devices may be let in all the same. The end of 9999 is until "
            "somebody unlocks them, or they get in by another way."
        )
    ),
]


class LoginRealm(StrEnum):
    """Whose sign-in it is. The realms share neither names nor sessions."""

    PSU = "psu"
    STAFF = "staff"
    PARTNER = "partner"


class UserState(StrEnum):
    """Whether somebody can sign in: not yet, yes, or no longer."""

    INVITED = "invited"
    ACTIVE = "active"
    DISABLED = "disabled"


class CreateUser(Request, frozen=True, kw_only=True):
    """A new user. A payment service user is a party; staff has roles. Members of partners are invited there."""

    login_realm: LoginRealm
    login_name: LoginName
    display_name: Text
    party_id: PartyId | None = None
    roles: Annotated[list[StaffRole], Meta(max_length=len(StaffRole))] = []
    language: Language | None = None


class SetUserRoles(Request, frozen=True, kw_only=True):
    """What a member of staff does from now on, in place of what they did."""

    roles: Annotated[list[StaffRole], Meta(max_length=len(StaffRole))]


class EnrolmentCode(Response, frozen=True, kw_only=True):
    """By what somebody enrols, once: hand one of the two to them over a channel that you trust."""

    _secrets = frozenset({"code", "url"})

    url: Annotated[str, Meta(description="A link to the tenant's pages that holds the code.")]
    code: Annotated[str, Meta(description="The same as a code to type. It is shown this once.")]
    expires_at: Instant


class User(Response, frozen=True, kw_only=True):
    """Somebody who signs in. What they sign in by isn't shown to anybody."""

    id: UserId
    login_realm: LoginRealm
    login_name: str
    display_name: str
    party_id: PartyId | None
    roles: list[StaffRole]
    language: str | None
    state: UserState
    factors: Factors
    locked_until: LockedUntil
    last_sign_in_at: Instant | None
    version: Annotated[int, Meta(description="Counts up at each change.")]
    created_at: Instant
    updated_at: Instant
    partner_id: Annotated[PartnerId | None, Meta(description="The partner organisation whose member it is.")] = None
    partner_role: Annotated[PartnerRole | None, Meta(description="What such a member does there.")] = None


class SignedOut(Response, frozen=True, kw_only=True):
    """What came of signing somebody out everywhere."""

    sessions: Annotated[int, Meta(description="How many sessions were ended.")]
