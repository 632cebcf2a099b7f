"""What every context of the contract uses: bases, texts, ids, pages and problems."""

from datetime import datetime
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from msgspec import Meta

from billfold import ids
from billfold.clock import ensure_utc
from billfold.contract.texts import LINE
from billfold.ids import Prefix

__all__ = [
    "SHOWN",
    "AccountId",
    "AccountStatementId",
    "AliasId",
    "ApprovalId",
    "ArrangementId",
    "AuditRecordId",
    "CardSessionId",
    "ClientId",
    "ConsentId",
    "Directory",
    "DirectoryOrganisation",
    "DirectorySoftware",
    "EventId",
    "Expanded",
    "FingerprintId",
    "HoldId",
    "IdempotencyKey",
    "Instant",
    "JobId",
    "JournalEntryId",
    "LongText",
    "Metadata",
    "OtherWalletId",
    "Page",
    "PartnerId",
    "PartnerSandboxId",
    "PartyId",
    "PaymentId",
    "Problem",
    "ProductId",
    "Reference",
    "Request",
    "Response",
    "StatementEntryId",
    "StatementImportId",
    "Text",
    "TopUpId",
    "TransferId",
    "UserId",
    "VaultTokenId",
    "Violation",
    "WalletId",
    "WebhookDeliveryId",
    "WebhookEndpointId",
    "WithdrawalId",
]

T = TypeVar("T")


# What both hold leads nowhere but down, so Python's collector of garbage needn't look at them (``gc``).


class _Hidden:
    """What stands for a member that isn't shown."""

    def __repr__(self) -> str:
        return "…"


_HIDDEN: Final = _Hidden()


class _Shown(msgspec.Struct, frozen=True, gc=False):
    """What shows itself without its secrets, for what is printed goes to logs and into reports of crashes."""

    # The members that open something, or that somebody has given away to have them kept. It has no annotation, for what
    # has one is a member to whoever reads these.
    _secrets = frozenset[str]()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        shown = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return [(name, _HIDDEN if value and name in self._secrets else value) for name, value in shown]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


class Request(_Shown, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """The base of what a caller sends: closed, so that a misspelt field is refused, not ignored.

    Written out, it leaves out what is as if it were absent; so a member that a later version adds changes neither what
    an older server is told nor what a request says that doesn't use it.
    """

    def _to_utc(self, field: str) -> None:
        """Bring an instant to UTC, for ``__post_init__``; nothing behind the contract knows another zone.

        Raises:
            ValueError: In UTC it isn't within the years that a calendar has.
        """
        instant: datetime | None = getattr(self, field)
        if instant is not None and (utc := ensure_utc(instant)) is not instant:
            msgspec.structs.force_setattr(self, field, utc)


class Response(_Shown, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The base of what the server answers."""


class Expanded(Response, frozen=True, kw_only=True, omit_defaults=True):
    """The base of what an object refers to, as a whole: the declaration of what ``expand`` may ask for.

    An object with such a member ``expanded`` may be asked for together with what it refers to. A member ``wallet`` here
    is what the object's ``wallet_id`` names. It is there only where it was asked for and there is such a thing; written
    out, what isn't there is left out.
    """


SHOWN: Final = {"format": LINE}
"""What people are shown as a name, a label or a reference: nothing in it is hidden, and something in it is seen."""

# PostgreSQL can't store NUL in text, so the contract has no place for it.
_NO_NUL = "^[^\\u0000]*$"

Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=_NO_NUL, extra_json_schema=SHOWN)]
"""A short text for people or programs, such as a name or a label."""

Directory = Annotated[
    str | None,
    Meta(
        description="Who vouches for the third party: the issuer of its software statements. Null is nobody.",
        examples=["https://directory.openbanking.example"],
    ),
]
DirectoryOrganisation = Annotated[
    str | None,
    Meta(
        description="The organisation as the directory names it; all its software is meant.",
        examples=["0015800001HQQrZAAX"],
    ),
]
DirectorySoftware = Annotated[
    str | None,
    Meta(
        description="The software as the directory names it, where the directory names no organisation.",
        examples=["4fJ9q1bLkC2vXy8Zt0mNpQ"],
    ),
]

LongText = Annotated[str, Meta(min_length=1, max_length=2000, pattern=_NO_NUL)]
"""A longer text for people, such as a reason."""

Reference = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=140,
        pattern=_NO_NUL,
        extra_json_schema=SHOWN,
        description="Free reference that travels with the money (ISO 20022 unstructured remittance: 140 characters).",
        examples=["Invoice 4711"],
    ),
]

Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 date-time.", examples=["2026-11-20T12:00:00Z"])]

IdempotencyKey = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        # A quote at its beginning would be the header's, which isn't part of the key.
        pattern=r"^[!#-~][!-~]*$(?!\n)",
        description="Makes it safe to send the item again: its first answer is kept for 30 days, unless the bank says "
        "otherwise.",
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]

_MetadataKey = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_.:-]+$(?!\n)")]
_MetadataValue = Annotated[str, Meta(max_length=500, pattern=_NO_NUL)]
Metadata = Annotated[
    dict[_MetadataKey, _MetadataValue],
    Meta(max_length=50, description="The caller's own keys and values. No secrets or card data.", examples=[{}]),
]


def _id(prefix: Prefix, what: str, example: str = "01m7w9tnzcejq9b78b81gh4nmw") -> Meta:
    return Meta(
        pattern=ids.pattern(prefix),
        description=f"Id of {what}.",
        examples=[f"{prefix.value}_{example}"],
    )


AccountId = Annotated[str, _id(Prefix.ACCOUNT, "a ledger account")]
AccountStatementId = Annotated[str, _id(Prefix.ACCOUNT_STATEMENT, "an account statement")]
AliasId = Annotated[str, _id(Prefix.ALIAS, "a wallet's alias")]
ApprovalId = Annotated[str, _id(Prefix.APPROVAL, "an approval")]
ArrangementId = Annotated[str, _id(Prefix.ARRANGEMENT, "an arrangement")]
AuditRecordId = Annotated[str, _id(Prefix.AUDIT_RECORD, "an audit record")]
ClientId = Annotated[str, _id(Prefix.CLIENT, "an API client")]
ConsentId = Annotated[str, _id(Prefix.CONSENT, "a consent")]
EventId = Annotated[str, _id(Prefix.EVENT, "an event")]
CardSessionId = Annotated[str, _id(Prefix.CARD_SESSION, "a card session")]
FingerprintId = Annotated[str, _id(Prefix.FINGERPRINT, "a value that vault tokens stand for")]
HoldId = Annotated[str, _id(Prefix.HOLD, "a hold")]
JobId = Annotated[str, _id(Prefix.JOB, "a job")]
JournalEntryId = Annotated[str, _id(Prefix.JOURNAL_ENTRY, "a journal entry")]
PartnerId = Annotated[str, _id(Prefix.PARTNER, "a partner organisation")]
PartnerSandboxId = Annotated[str, _id(Prefix.PARTNER_SANDBOX, "a partner organisation's sandbox")]
PartyId = Annotated[str, _id(Prefix.PARTY, "a party")]
PaymentId = Annotated[str, _id(Prefix.PAYMENT, "a payment")]
ProductId = Annotated[str, _id(Prefix.PRODUCT, "a product")]
StatementEntryId = Annotated[str, _id(Prefix.STATEMENT_ENTRY, "a statement entry")]
StatementImportId = Annotated[str, _id(Prefix.STATEMENT_IMPORT, "a statement import")]
TopUpId = Annotated[str, _id(Prefix.TOP_UP, "a top-up")]
TransferId = Annotated[str, _id(Prefix.TRANSFER, "a transfer")]
UserId = Annotated[str, _id(Prefix.USER, "a user")]
VaultTokenId = Annotated[str, _id(Prefix.VAULT_TOKEN, "a vault token")]
WalletId = Annotated[str, _id(Prefix.WALLET, "a wallet")]
# Where two wallets stand in one body, an example with one id twice would be refused.
OtherWalletId = Annotated[str, _id(Prefix.WALLET, "a wallet", "01m7w9tp2kfz3t0y6sgd7e8xqr")]
WebhookDeliveryId = Annotated[str, _id(Prefix.WEBHOOK_DELIVERY, "a delivery to a webhook endpoint")]
WebhookEndpointId = Annotated[str, _id(Prefix.WEBHOOK_ENDPOINT, "a webhook endpoint")]
WithdrawalId = Annotated[str, _id(Prefix.WITHDRAWAL, "a withdrawal")]


class Page(Response, Generic[T], frozen=True, kw_only=True):
    """One page of a list. ``next_cursor`` is null on the last page."""

    data: list[T]
    next_cursor: str | None


class Violation(Response, frozen=True, kw_only=True):
    """One value that isn't of the documented form."""

    param: str
    reason: str


class Problem(Response, frozen=True, kw_only=True):
    """A refusal (RFC 9457), with a stable code."""

    type: Annotated[str, Meta(description="URI reference that names the kind of problem; ends with the code.")]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    code: Annotated[str, Meta(description="Stable, machine-readable name of the problem.", examples=["not_found"])]
    detail: str
    request_id: str
    param: str | None = None
    facts: Annotated[
        dict[str, str | int | bool | None], Meta(description="Details of the problem for programs, by name.")
    ] = {}
    violations: Annotated[list[Violation], Meta(description="Every value that isn't of the documented form.")] = []
