"""Arrangements and products as they lie in the database: what is personal is sealed."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.arrangements import (
    Arrangement,
    ArrangementKind,
    ArrangementStatus,
    Beneficiary,
    DirectDebit,
    Offer,
    Product,
    ProductType,
    ScheduledPayment,
    StandingOrder,
)
from billfold.ids import Prefix
from billfold.money import Money

__all__ = ["KINDS", "TERMS", "ArrangementRow", "ProductRow", "Terms"]

Terms = Beneficiary | DirectDebit | StandingOrder | ScheduledPayment | Offer
"""What has been arranged."""

TERMS: dict[ArrangementKind, Any] = {
    ArrangementKind.BENEFICIARY: Beneficiary,
    ArrangementKind.DIRECT_DEBIT: DirectDebit,
    ArrangementKind.STANDING_ORDER: StandingOrder,
    ArrangementKind.SCHEDULED_PAYMENT: ScheduledPayment,
    ArrangementKind.OFFER: Offer,
}
"""What is arranged, by its kind."""

KINDS: dict[type[Any], ArrangementKind] = {terms: kind for kind, terms in TERMS.items()}
"""The kind of what is arranged."""


class ArrangementRow(msgspec.Struct, frozen=True, kw_only=True):
    """An arrangement.

    Attributes:
        sealed_terms: What was arranged, of the type that ``TERMS`` has for the kind, as JSON, sealed.
    """

    id: UUID
    wallet_id: UUID
    kind: ArrangementKind
    status: ArrangementStatus
    sealed_terms: bytes
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def wire_id(self) -> str:
        """The arrangement's id as the API spells it."""
        return ids.encode(Prefix.ARRANGEMENT, self.id)

    def to_response(self, terms: Terms) -> Arrangement:
        """Return the arrangement as the API shows it."""
        members: dict[str, Any] = {kind.value: None for kind in ArrangementKind}
        members[self.kind.value] = terms
        return Arrangement(
            id=self.wire_id,
            wallet_id=ids.encode(Prefix.WALLET, self.wallet_id),
            kind=self.kind,
            status=self.status,
            version=self.version,
            created_at=self.created_at,
            updated_at=self.updated_at,
            **members,
        )


class ProductRow(msgspec.Struct, frozen=True, kw_only=True):
    """A product."""

    id: UUID
    name: str
    type: ProductType
    description: str
    secondary_id: str | None
    monthly_fee_cap: Money | None
    interest_rate: str | None
    notes: list[str]
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def wire_id(self) -> str:
        """The product's id as the API spells it."""
        return ids.encode(Prefix.PRODUCT, self.id)

    def to_response(self) -> Product:
        """Return the product as the API shows it."""
        return Product(**{**msgspec.structs.asdict(self), "id": self.wire_id})
