"""Vault tokens: stand-ins for card numbers, bank accounts and personal data, which the vault alone holds.

A token is random, so nothing of its value can be learned from it. What the contract shows of a value is what PCI DSS
4.0.1, requirement 3.4.1, lets anybody see: brand, the first digits (at most eight of sixteen), the last four.
"""

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from billfold.contract.common import (
    FingerprintId,
    Instant,
    Metadata,
    PartyId,
    Problem,
    Request,
    Response,
    VaultTokenId,
)

__all__ = [
    "BankAccount",
    "BankAccountMask",
    "CardMask",
    "CreateVaultToken",
    "CreateVaultTokens",
    "Detokenize",
    "DetokenizeVerdict",
    "DetokenizedBankAccount",
    "DetokenizedVaultTokens",
    "EncryptionKey",
    "EncryptionKeys",
    "Jwe",
    "PersonalType",
    "PersonalValue",
    "PurposeName",
    "ResponseKey",
    "SearchVaultTokens",
    "UpdateVaultToken",
    "VaultToken",
    "VaultTokenCreated",
    "VaultTokenKind",
    "VaultTokenMatches",
    "VaultTokenStatus",
    "VaultTokenVerdict",
    "VaultTokenVerdicts",
]

MAX_BULK = 100

_B64 = "[A-Za-z0-9_-]"
Jwe = Annotated[
    str,
    Meta(
        min_length=5,
        max_length=8192,
        pattern=rf"^{_B64}+\.{_B64}*\.{_B64}+\.{_B64}+\.{_B64}+$(?!\n)",
        description="Compact JWE (RFC 7516), ECDH-ES and A256GCM, to a key of ``GET /v1/encryption-keys``.",
        examples=["eyJhbGciOiJFQ0RILUVTIn0..48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX.XFBo"],
    ),
]
PurposeName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=50,
        pattern=r"^[a-z][a-z0-9_]*$(?!\n)",
        description="A purpose that the tenant's manifest names.",
        examples=["payout"],
    ),
]
PersonalType = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=50,
        pattern=r"^[a-z][a-z0-9_]*$(?!\n)",
        description="A type of personal data that the tenant's manifest declares.",
        examples=["tax_id"],
    ),
]
Reason = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=500,
        pattern="^[^\\u0000]*$",
        description="Why, for the audit. No card data.",
        examples=["Payout 4711"],
    ),
]
Iban = Annotated[
    str,
    Meta(
        min_length=5,
        max_length=42,
        pattern=r"^[A-Za-z0-9 ]+$(?!\n)",
        description="IBAN (ISO 13616), blanks allowed.",
        examples=["DE89370400440532013000"],
    ),
]
SortCode = Annotated[str, Meta(pattern=r"^[0-9]{2}-?[0-9]{2}-?[0-9]{2}$(?!\n)", examples=["20-00-00"])]
AccountNumber = Annotated[str, Meta(pattern=r"^[0-9]{8}$(?!\n)", examples=["55779911"])]
Holder = Annotated[str, Meta(min_length=1, max_length=140, pattern="^[^\\u0000]*$")]
Coordinate = Annotated[str, Meta(pattern=rf"^{_B64}{{43}}$(?!\n)")]


class VaultTokenKind(StrEnum):
    """What a token stands for."""

    CARD = "card"
    BANK_ACCOUNT = "bank_account"
    PERSONAL = "personal"


class VaultTokenStatus(StrEnum):
    """Whether a token still opens anything. What was deleted isn't there any more."""

    ACTIVE = "active"
    USED = "used"
    EXPIRED = "expired"


class BankAccount(Request, frozen=True, kw_only=True):
    """A bank account: an IBAN, or a British sort code and account number."""

    _secrets = frozenset({"account_number", "holder", "iban", "sort_code"})

    iban: Iban | None = None
    sort_code: SortCode | None = None
    account_number: AccountNumber | None = None
    holder: Holder | None = None


class PersonalValue(Request, frozen=True, kw_only=True):
    """A piece of personal data of a declared type."""

    _secrets = frozenset({"value"})

    type: PersonalType
    value: Annotated[str, Meta(min_length=1, max_length=2000, pattern="^[^\\u0000]*$")]


class CreateVaultToken(Request, frozen=True, kw_only=True):
    """A value to take in: a card as ``jwe``, a bank account or a personal value as it is."""

    kind: VaultTokenKind
    jwe: Jwe | None = None
    bank_account: BankAccount | None = None
    personal: PersonalValue | None = None
    party_id: (
        Annotated[PartyId, Meta(description="Whom the value is about. Erasing that party erases the value.")] | None
    ) = None
    single_use: Annotated[bool, Meta(description="Whether it opens once and never again.")] = False
    expires_at: Instant | None = None
    expires_in_s: Annotated[int, Meta(ge=1, le=10 * 366 * 86_400)] | None = None
    metadata: Metadata = {}
    dedup: Annotated[
        Literal["none", "reuse"],
        Meta(
            description="``reuse`` answers with the token that stands for the same value already, where the same party "
            "has one that ends when this one would; a card must have the same expiry, and come without a CVC. "
            "It needs the scope `tokens:search`, and counts as a search."
        ),
    ] = "none"

    def __post_init__(self) -> None:
        """Bring the end to UTC."""
        self._to_utc("expires_at")


class CreateVaultTokens(Request, frozen=True, kw_only=True):
    """Many values to take in."""

    vault_tokens: Annotated[list[CreateVaultToken], Meta(min_length=1, max_length=MAX_BULK)]


class UpdateVaultToken(Request, frozen=True, kw_only=True):
    """Changes to a token. What is absent stays; null lets it last."""

    metadata: Metadata | UnsetType = UNSET
    expires_at: Instant | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        """Bring the end to UTC."""
        if self.expires_at is not UNSET:
            self._to_utc("expires_at")


class CardMask(Response, frozen=True, kw_only=True):
    """What is shown of a card."""

    brand: Annotated[str, Meta(description="By its first digits, such as ``visa``; ``unknown`` where none fits.")]
    bin: Annotated[str, Meta(description="First six digits; eight of a number of sixteen and more.")]
    last4: str
    expiry_month: int
    expiry_year: int


class BankAccountMask(Response, frozen=True, kw_only=True):
    """What is shown of a bank account."""

    country: Annotated[str, Meta(description="ISO 3166-1, two letters.")]
    last4: str


class VaultToken(Response, frozen=True, kw_only=True):
    """A stand-in for a value, without the value."""

    id: VaultTokenId
    kind: VaultTokenKind
    status: VaultTokenStatus
    party_id: PartyId | None
    card: CardMask | None
    bank_account: BankAccountMask | None
    personal_type: str | None
    fingerprint: Annotated[
        FingerprintId | None,
        Meta(
            description="The same for tokens of the same value, a card's expiry and any holder aside. Shown to callers "
            "with the scope ``tokens:search`` only."
        ),
    ]
    single_use: bool
    used_at: Annotated[Instant | None, Meta(description="When a token for one use was used.")]
    expires_at: Instant | None
    metadata: Metadata
    version: Annotated[int, Meta(description="Counts up at each change; the ETag is made of it.")]
    created_at: Instant
    updated_at: Instant


class VaultTokenCreated(VaultToken, frozen=True, kw_only=True):
    """A token as it was made, or found."""

    has_cvc: Annotated[
        bool,
        Meta(description="Whether a CVC came along. It is never stored: it waits for one use, for minutes."),
    ]
    reused: Annotated[bool, Meta(description="Whether it was there already.")]


class VaultTokenVerdict(Response, frozen=True, kw_only=True):
    """What became of one value: the token, or the problem."""

    status: Annotated[int, Meta(ge=200, le=599, description="What it would have been answered with alone.")]
    vault_token: VaultTokenCreated | None
    problem: Problem | None


class VaultTokenVerdicts(Response, frozen=True, kw_only=True):
    """What became of each value, in order."""

    created: int
    reused: int
    refused: int
    results: list[VaultTokenVerdict]


class ResponseKey(Request, frozen=True, kw_only=True):
    """A public key of the caller's, to which the answer is encrypted (RFC 7518, section 6.2)."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: Coordinate
    y: Coordinate
    kid: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$(?!\n)")] | None = None
    use: Literal["enc"] | None = None
    alg: Literal["ECDH-ES"] | None = None


class Detokenize(Request, frozen=True, kw_only=True):
    """Which values are wanted, what for and why."""

    vault_token_ids: Annotated[list[VaultTokenId], Meta(min_length=1, max_length=MAX_BULK)]
    purpose: PurposeName
    reason: Reason
    response_key: (
        Annotated[
            ResponseKey,
            Meta(description="Where it is given every value comes as a JWE to it; a card never comes otherwise."),
        ]
        | None
    ) = None


class DetokenizedBankAccount(Response, frozen=True, kw_only=True):
    """A bank account as it was taken in."""

    _secrets = frozenset({"account_number", "holder", "iban", "sort_code"})

    iban: str | None
    sort_code: str | None
    account_number: str | None
    holder: str | None


class DetokenizeVerdict(Response, frozen=True, kw_only=True):
    """What became of one token: its value in one of the ways in which values are told, or the problem.

    A masked value is in ``card`` or ``bank_account_mask``, a full one in ``jwe``, ``bank_account`` or ``personal``.
    """

    _secrets = frozenset({"personal"})

    vault_token_id: VaultTokenId
    status: Annotated[int, Meta(ge=200, le=599, description="What it would have been answered with alone.")]
    kind: VaultTokenKind | None
    jwe: Annotated[str | None, Meta(description="Compact JWE to the request's ``response_key``.")]
    bank_account: DetokenizedBankAccount | None
    personal: str | None
    card: CardMask | None
    bank_account_mask: BankAccountMask | None
    problem: Problem | None


class DetokenizedVaultTokens(Response, frozen=True, kw_only=True):
    """What became of each token, in the order in which they were asked for."""

    purpose: PurposeName
    reveal: Annotated[Literal["masked", "full"], Meta(description="What the purpose lets be seen.")]
    released: int
    refused: int
    results: list[DetokenizeVerdict]


class SearchVaultTokens(Request, frozen=True, kw_only=True):
    """A value whose tokens are looked for: a card's number in a JWE, a bank account, a personal value."""

    kind: VaultTokenKind
    jwe: Jwe | None = None
    bank_account: BankAccount | None = None
    personal: PersonalValue | None = None


class VaultTokenMatches(Response, frozen=True, kw_only=True):
    """The newest hundred tokens of a value. Its fingerprint leads to all of them, by the list's condition."""

    fingerprint: FingerprintId | None
    data: list[VaultToken]


class EncryptionKey(Response, frozen=True, kw_only=True):
    """A public key to which values are encrypted (RFC 7517), for ``alg`` alone."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: str
    y: str
    kid: str
    use: Literal["enc"]
    alg: Literal["ECDH-ES"]
    not_after: Annotated[Instant, Meta(description="Until when what is encrypted to it is taken.")]


class EncryptionKeys(Response, frozen=True, kw_only=True):
    """The tenant's public encryption keys as a JWK Set; encrypt to the first."""

    audience: Annotated[str, Meta(description="What the JWE's ``aud`` must be, so that no other tenant takes it.")]
    keys: list[EncryptionKey]
