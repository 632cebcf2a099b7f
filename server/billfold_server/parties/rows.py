"""Parties as they lie in the database: what is personal is sealed."""

from datetime import datetime
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.parties import Party, PartyKind, PartyRole
from billfold.ids import Prefix

__all__ = ["PartyRow", "Profile"]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What is personal of a party, as JSON in one sealed value."""

    name: str | None = None
    email: str | None = None
    metadata: dict[str, str] = {}

    def __repr__(self) -> str:
        return "Profile()"


class PartyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A party.

    Attributes:
        sealed_profile: Its ``Profile``; absent where the party was forgotten, or where its books came without people.
        forgotten_at: When it was forgotten.
    """

    id: UUID
    kind: PartyKind
    sealed_profile: bytes | None
    external_id: str | None
    roles: list[PartyRole]
    forgotten_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def wire_id(self) -> str:
        """The party's id as the API spells it."""
        return ids.encode(Prefix.PARTY, self.id)

    def to_response(self, profile: Profile | None) -> Party:
        """Return the party as the API shows it.

        Args:
            profile: What was opened of it, if there is anything.
        """
        return Party(
            id=self.wire_id,
            kind=self.kind,
            name=None if profile is None else profile.name,
            external_id=self.external_id,
            email=None if profile is None else profile.email,
            roles=self.roles,
            metadata={} if profile is None else profile.metadata,
            forgotten_at=self.forgotten_at,
            version=self.version,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )
