"""A partner as the database has it."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract import partners as contract
from billfold.contract.partners import PartnerState
from billfold.ids import Prefix

__all__ = ["COLUMNS", "Partner"]


class Partner(msgspec.Struct, frozen=True, kw_only=True):
    """A partner organisation.

    Attributes:
        id: The row's id.
        name: Of the organisation.
        external_id: The bank's own id.
        state: ``active``, or ``suspended``; who reads its members and clients reads it with them.
        client_scopes: What its clients may be allowed at most.
        version: Counts its changes.
        created_at: When it was made.
        updated_at: When it was changed last.
        removed_at: When it was removed, on the tenant's clock. It is suspended for good then, and stays as a row,
            because those of its clients and members name it, who stay because audit and consents name them.
    """

    id: UUID
    name: str
    external_id: str | None
    state: str
    client_scopes: list[str]
    version: int
    created_at: datetime
    updated_at: datetime
    removed_at: datetime | None = None

    @property
    def wire_id(self) -> str:
        """The id as others see it."""
        return ids.encode(Prefix.PARTNER, self.id)

    def to_response(self) -> contract.Partner:
        """Return it as the API shows it."""
        return contract.Partner(
            id=self.wire_id,
            name=self.name,
            external_id=self.external_id,
            state=PartnerState(self.state),
            client_scopes=self.client_scopes,
            version=self.version,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


COLUMNS: Final = ", ".join(Partner.__struct_fields__)
