"""What this room asks of the decryptor, the one process that sees what vault tokens stand for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from billfold_server.tenancy.context import TenantRef
from billfold_server.tenancy.manifest import CardField

__all__ = ["Decryptor", "Fingerprint", "Given", "Incoming", "Outgoing", "PublicKey", "Refused", "Taken"]

Kind = Literal["card", "bank_account", "personal"]


class Fingerprint(msgspec.Struct, frozen=True):
    """A keyed digest of a value, and by which version of the key it was made."""

    version: int
    digest: bytes


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A value to seal.

    Attributes:
        token_id: The vault token, to which the sealed value is bound.
        kind: What it is.
        subject: Under whose key.
        personal_type: Which personal data, of that kind.
        jwe: A card, always; anything else where it came encrypted.
        plain: What came as it is: a bank account as the JSON of ``contract.tokens.BankAccount``, without blanks and
            hyphens; a personal value as its text.
    """

    token_id: UUID
    kind: Kind
    subject: UUID
    personal_type: str | None = None
    jwe: str | None = None
    plain: bytes | None = None

    def __repr__(self) -> str:
        return f"Incoming(token_id={self.token_id!s})"


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A value as it was sealed.

    Attributes:
        sealed: What may lie in the database.
        masked: What may be shown: the members of ``CardMask`` or ``BankAccountMask``; nothing of personal values.
        fingerprints: By each version of the key that counts, the newest first.
        has_cvc: Whether a code came along and is held.
    """

    sealed: bytes
    masked: dict[str, Any]
    fingerprints: Sequence[Fingerprint]
    has_cvc: bool = False


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed value that is to be told.

    Attributes:
        response_jwk: To which public key it is encrypted; a card always is.
        with_cvc: Whether the code goes along if it is still held, which it then isn't any longer.
        fields: What of a card is told; None is everything but the code.
    """

    token_id: UUID
    kind: Kind
    sealed: bytes
    response_jwk: dict[str, Any] | None = None
    with_cvc: bool = False
    fields: Sequence[CardField] | None = None


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A value as it may leave."""

    jwe: str | None = None
    plain: bytes | None = None

    def __repr__(self) -> str:
        return "Given()"


class Refused(msgspec.Struct, frozen=True):
    """A value that isn't taken or told, and the stable code of why not."""

    code: str


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key to which values are encrypted.

    Attributes:
        jwk: With kty, crv, x, y, kid, use and alg.
        not_after: Until when what is encrypted to it is taken.
    """

    jwk: dict[str, Any]
    not_after: datetime


class Decryptor(Protocol):
    """The decryptor. Each method raises ``errors.KeysUnavailable`` where it or the keys can't be reached."""

    async def take_in(self, tenant: TenantRef, incoming: Sequence[Incoming]) -> list[Taken | Refused]:
        """Seal values, and return for each in order what became of it."""
        ...

    async def give_out(self, tenant: TenantRef, outgoing: Sequence[Outgoing]) -> list[Given | Refused]:
        """Open sealed values, and return for each in order what became of it."""
        ...

    async def public_keys(self, tenant: TenantRef) -> list[PublicKey]:
        """Return the keys to which may be encrypted, the one to use first."""
        ...

    async def fingerprints(
        self, tenant: TenantRef, kind: str, values: Sequence[str], personal_type: str | None = None
    ) -> list[list[Fingerprint] | Refused]:
        """Return the fingerprints of values that are looked for: JWEs of cards, else as they are taken in."""
        ...

    async def refingerprint(
        self, tenant: TenantRef, sealed: Sequence[Outgoing], personal_types: Sequence[str | None]
    ) -> list[list[Fingerprint] | Refused]:
        """Return the fingerprints of values that are sealed already, for when the key of fingerprints has changed."""
        ...
