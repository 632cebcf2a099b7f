"""Vault tokens as their table has them."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from billfold import ids
from billfold.contract.tokens import (
    BankAccountMask,
    CardMask,
    VaultToken,
    VaultTokenCreated,
    VaultTokenKind,
    VaultTokenStatus,
)
from billfold.ids import Prefix

__all__ = ["TokenRow"]


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """A vault token.

    Attributes:
        place: Where it stands in lists.
        value: What it stands for, sealed; None where that was forgotten.
        masked: What is shown of it.
        claim: Who has used it up.
    """

    id: UUID
    place: UUID
    kind: VaultTokenKind
    personal_type: str | None
    party_id: UUID | None
    value: bytes | None
    masked: dict[str, Any]
    fingerprint_id: UUID | None
    single_use: bool
    claim: UUID | None
    used_at: datetime | None
    last_used_at: datetime | None
    expires_at: datetime | None
    metadata: dict[str, str]
    version: int
    created_at: datetime
    updated_at: datetime
    forgotten_at: datetime | None

    def __repr__(self) -> str:
        return f"TokenRow({self.wire_id})"

    @classmethod
    def of(cls, row: Any) -> "TokenRow":
        """Read a row, of which JSON comes as text."""
        values = {name: row[name] for name in cls.__struct_fields__}
        values["kind"] = VaultTokenKind(values["kind"])
        for name in ("masked", "metadata"):
            values[name] = msgspec.json.decode(values[name])
        return cls(**values)

    @property
    def wire_id(self) -> str:
        """Its id on the wire."""
        return ids.encode(Prefix.VAULT_TOKEN, self.id)

    def status(self, now: datetime) -> VaultTokenStatus:
        """Whether it opens anything at a time."""
        if self.used_at is not None:
            return VaultTokenStatus.USED
        expired = self.expires_at is not None and self.expires_at <= now
        return VaultTokenStatus.EXPIRED if expired else VaultTokenStatus.ACTIVE

    @property
    def card(self) -> CardMask | None:
        """What is shown of a card."""
        return msgspec.convert(self.masked, CardMask) if self.kind is VaultTokenKind.CARD else None

    @property
    def bank_account(self) -> BankAccountMask | None:
        """What is shown of a bank account."""
        return msgspec.convert(self.masked, BankAccountMask) if self.kind is VaultTokenKind.BANK_ACCOUNT else None

    def _shown(self, now: datetime, *, fingerprint: bool) -> dict[str, Any]:
        value = self.fingerprint_id if fingerprint else None
        return {
            "id": self.wire_id,
            "kind": self.kind,
            "status": self.status(now),
            "party_id": None if self.party_id is None else ids.encode(Prefix.PARTY, self.party_id),
            "card": self.card,
            "bank_account": self.bank_account,
            "personal_type": self.personal_type,
            "fingerprint": None if value is None else ids.encode(Prefix.FINGERPRINT, value),
            "single_use": self.single_use,
            "used_at": self.used_at,
            "expires_at": self.expires_at,
            "metadata": self.metadata,
            "version": self.version,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }

    def to_response(self, now: datetime, *, fingerprint: bool) -> VaultToken:
        """Return the token as the API shows it, with the fingerprint of its value or without."""
        return VaultToken(**self._shown(now, fingerprint=fingerprint))

    def to_created(self, now: datetime, *, fingerprint: bool, has_cvc: bool, reused: bool) -> VaultTokenCreated:
        """Return the token as the answer to who took its value in."""
        return VaultTokenCreated(**self._shown(now, fingerprint=fingerprint), has_cvc=has_cvc, reused=reused)
