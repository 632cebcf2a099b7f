"""Parties: the people and companies that own wallets."""

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field

from billfold.contract.common import Instant, Metadata, PartyId, Request, Response, Text

__all__ = ["CreateParty", "Party", "PartyKind", "PartyRole", "UpdateParty"]

Email = Annotated[
    str, Meta(min_length=3, max_length=254, pattern=r"^[^\s@\u0000-\u001f\u0085]+@[^\s@\u0000-\u001f\u0085]+$(?!\n)")
]
ExternalId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[\x21-\x7e]+$(?!\n)",
        description="The caller's own id, unique in the tenant.",
    ),
]


class PartyKind(StrEnum):
    """What a party is in law."""

    PERSON = "person"
    COMPANY = "company"


class PartyRole(StrEnum):
    """What a party does at the tenant."""

    CUSTOMER = "customer"
    MERCHANT = "merchant"


class CreateParty(Request, frozen=True, kw_only=True):
    """A new person or company."""

    kind: PartyKind
    name: Text
    external_id: ExternalId | None = None
    email: Email | None = None
    roles: Annotated[list[PartyRole], Meta(min_length=1, max_length=2)] = field(
        default_factory=lambda: [PartyRole.CUSTOMER]
    )
    metadata: Metadata = {}


class UpdateParty(Request, frozen=True, kw_only=True):
    """Changes to a party. What is absent stays; null clears what may be empty."""

    name: Text | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    roles: Annotated[list[PartyRole], Meta(min_length=1, max_length=2)] | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class Party(Response, frozen=True, kw_only=True):
    """A person or company."""

    id: PartyId
    kind: PartyKind
    name: Annotated[str | None, Meta(description="Null where the party was forgotten, or its name isn't known here.")]
    external_id: str | None
    email: str | None
    roles: list[PartyRole]
    metadata: dict[str, str]
    forgotten_at: Annotated[
        Instant | None, Meta(description="When it was forgotten: nothing personal is known of it any more.")
    ] = None
    version: Annotated[int, Meta(description="Counts up at each change; the ETag is made of it.")]
    created_at: Instant
    updated_at: Instant
